/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page content that shows every error of a pager, at any access:
 *
 *   word 0       sum over the words from FIRST on of word * odd multiplier
 *   word 1       number of the page, mixed with the seed
 *   word 2       how many times the page was modified
 *   words 3..7   0
 *   words 8..511 content: the first half of the page is random, the second
 *		  half zeros with the page number in every 16th word
 *
 * A modification adds 2^32 to one content word, its multiple to word 0 and 1
 * to word 2, each an atomic add: any number of threads may do that to one
 * page, and afterwards the sum holds.  The low halves of content words never
 * change, so that every read can be checked alone.  A page that came back
 * whole but old keeps its sum: the total of all words 2 tells.
 */
#ifndef BENCH_LIB_CONTENT_H
#define BENCH_LIB_CONTENT_H

#include <stdatomic.h>

#include "bench/lib/rng.h"

#define BENCH_PAGE_WORDS (FAR_PAGE_SIZE / sizeof(uint64_t))
#define BENCH_FIRST_WORD 8
#define BENCH_CONTENT_WORDS (BENCH_PAGE_WORDS - BENCH_FIRST_WORD)

/** bench_page() - page @pg of the region at @base */
static inline _Atomic uint64_t *bench_page(void *base, uint64_t pg)
{
	return (_Atomic uint64_t *)base + pg * BENCH_PAGE_WORDS;
}

static inline uint64_t bench_word_factor(unsigned i)
{
	return (uint64_t)i * UINT64_C(0x9e3779b97f4a7c16) + 1;
}

/** bench_word() - what content word @i of page @pg is before modifications */
static inline uint64_t bench_word(uint64_t seed, uint64_t pg, unsigned i)
{
	if (i < BENCH_PAGE_WORDS / 2)
		return bench_mix64(seed ^ (pg * BENCH_PAGE_WORDS + i));
	return i % 16 ? 0 : pg & UINT32_MAX;
}

/** bench_page_fill() - write the initial content of page @pg */
void bench_page_fill(_Atomic uint64_t *page, uint64_t seed, uint64_t pg);

/**
 * bench_page_sum_ok() - read all of a page and check its sum and number
 * Context: no thread modifies the page meanwhile.
 */
bool bench_page_sum_ok(_Atomic uint64_t *page, uint64_t seed, uint64_t pg);

/** bench_word_ok() - read content word @i of page @pg and check it */
static inline bool bench_word_ok(_Atomic uint64_t *page, uint64_t seed,
				 uint64_t pg, unsigned i)
{
	uint64_t w = atomic_load_explicit(&page[i], memory_order_relaxed);

	return (uint32_t)w == (uint32_t)bench_word(seed, pg, i);
}

/** bench_word_modify() - modify content word @i; false: it was bad before */
static inline bool bench_word_modify(_Atomic uint64_t *page, uint64_t seed,
				     uint64_t pg, unsigned i)
{
	const uint64_t delta = UINT64_C(1) << 32;
	uint64_t was;

	was = atomic_fetch_add_explicit(&page[i], delta, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&page[0], delta * bench_word_factor(i),
					memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&page[2], 1, memory_order_relaxed);
	return (uint32_t)was == (uint32_t)bench_word(seed, pg, i);
}

/** struct bench_content_check - outcome of bench_content_verify() */
struct bench_content_check {
	uint64_t bad_pages;	/* wrong sum or number */
	uint64_t modifications; /* total of words 2 */
};

/** bench_content_verify() - read all pages of [@base, + @nr_pages pages) */
void bench_content_verify(void *base, uint64_t nr_pages, uint64_t seed,
			  struct bench_content_check *ret_check);

#endif
