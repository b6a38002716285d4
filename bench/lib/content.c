/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/content.h"

#include <string.h>

void bench_page_fill(_Atomic uint64_t *page, uint64_t seed, uint64_t pg)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = BENCH_FIRST_WORD; i < BENCH_PAGE_WORDS; i++) {
		uint64_t w = bench_word(seed, pg, i);

		atomic_store_explicit(&page[i], w, memory_order_relaxed);
		sum += w * bench_word_factor(i);
	}
	for (i = 2; i < BENCH_FIRST_WORD; i++)
		atomic_store_explicit(&page[i], 0, memory_order_relaxed);
	atomic_store_explicit(&page[1], bench_mix64(seed ^ pg),
			      memory_order_relaxed);
	atomic_store_explicit(&page[0], sum, memory_order_relaxed);
}

bool bench_page_sum_ok(_Atomic uint64_t *page, uint64_t seed, uint64_t pg)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = BENCH_FIRST_WORD; i < BENCH_PAGE_WORDS; i++)
		sum += atomic_load_explicit(&page[i], memory_order_relaxed) *
		       bench_word_factor(i);
	return sum == atomic_load_explicit(&page[0], memory_order_relaxed) &&
	       atomic_load_explicit(&page[1], memory_order_relaxed) ==
		       bench_mix64(seed ^ pg);
}

/* The content words' low halves, which a matching sum alone does not prove. */
static bool words_ok(_Atomic uint64_t *page, uint64_t seed, uint64_t pg)
{
	unsigned i;

	for (i = BENCH_FIRST_WORD; i < BENCH_PAGE_WORDS; i++) {
		if (!bench_word_ok(page, seed, pg, i))
			return false;
	}
	return true;
}

void bench_content_verify(void *base, uint64_t nr_pages, uint64_t seed,
			  struct bench_content_check *ret_check)
{
	struct bench_content_check c = {0};
	uint64_t pg;

	for (pg = 0; pg < nr_pages; pg++) {
		_Atomic uint64_t *page = bench_page(base, pg);

		if (!bench_page_sum_ok(page, seed, pg) ||
		    !words_ok(page, seed, pg))
			c.bad_pages++;
		c.modifications +=
			atomic_load_explicit(&page[2], memory_order_relaxed);
	}
	*ret_check = c;
}
