/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/backend/store.h"

#define NR_PAGES 300u /* not a multiple of a run */
#define PAGE ((uint64_t)FAR_PAGE_SIZE)

static struct far_store *st;

/* What was dropped, page by page, and in how many calls. */
static struct {
	unsigned pages[NR_PAGES];
	unsigned nr_calls;
} dropped;

static void note_drop(void *ctx, uint64_t page, unsigned nr)
{
	(void)ctx;
	dropped.nr_calls++;
	while (nr-- > 0) {
		assert_true(page < NR_PAGES);
		dropped.pages[page++]++;
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&dropped, 0, sizeof(dropped));
	st = aligned_alloc(FAR_CACHE_LINE, sizeof(*st));
	/* What is less than a page is rounded away. */
	return st ? far_store_init(st, NR_PAGES * PAGE + 100) : -1;
}

static int teardown(void **state)
{
	(void)state;
	far_store_fini(st);
	far_store_fini(st);
	free(st);
	return 0;
}

static uint64_t reserve(uint64_t nr)
{
	uint64_t off = UINT64_MAX;

	assert_int_equal(far_store_reserve(st, nr * PAGE, &off), 0);
	return off / PAGE;
}

static struct far_backend_usage usage(void)
{
	struct far_backend_usage u;

	far_store_usage(st, &u);
	return u;
}

static void reservations_fill_every_hole(void **state)
{
	uint64_t off;

	(void)state;
	assert_int_equal(far_store_capacity(st), NR_PAGES * PAGE);
	assert_int_equal(reserve(70), 0);
	assert_int_equal(reserve(70), 70);
	assert_int_equal(far_store_release(st, 0, 70 * PAGE), 0);
	assert_int_equal(reserve(10), 0);
	/* Does not fit into the hole of 60; the hole is not forgotten. */
	assert_int_equal(reserve(160), 140);
	assert_int_equal(far_store_reserve(st, 61 * PAGE, &off), -ENOSPC);
	assert_int_equal(reserve(60), 10);
	assert_int_equal(far_store_reserve(st, PAGE, &off), -ENOSPC);
	assert_int_equal(usage().reserved_bytes, NR_PAGES * PAGE);
	/* Part of a page takes a page. */
	assert_int_equal(far_store_release(st, 5 * PAGE, PAGE), 0);
	assert_int_equal(far_store_reserve(st, 100, &off), 0);
	assert_int_equal(off, 5 * PAGE);
	assert_int_equal(far_store_reserve(st, UINT64_MAX, &off), -ENOSPC);
}

static void a_run_crosses_words(void **state)
{
	uint64_t page;

	(void)state;
	assert_int_equal(reserve(NR_PAGES), 0);
	assert_int_equal(far_store_release(st, 60 * PAGE, 140 * PAGE), 0);
	for (page = 0; page < NR_PAGES; page++)
		assert_int_equal(far_store_is_reserved(st, page * PAGE, PAGE),
				 page < 60 || page >= 200);
	assert_false(far_store_is_reserved(st, 59 * PAGE, 2 * PAGE));
	assert_true(far_store_is_reserved(st, 200 * PAGE, 100 * PAGE));
	assert_int_equal(reserve(140), 60);
}

static void only_what_is_reserved_is_released(void **state)
{
	(void)state;
	(void)reserve(10);
	assert_int_equal(far_store_release(st, 5 * PAGE, 6 * PAGE), -EINVAL);
	assert_int_equal(far_store_release(st, 299 * PAGE, 2 * PAGE), -EINVAL);
	assert_int_equal(usage().reserved_bytes, 10 * PAGE);
	assert_int_equal(far_store_release(st, 0, 10 * PAGE), 0);
	assert_int_equal(far_store_release(st, 0, 10 * PAGE), -EINVAL);
	assert_int_equal(usage().reserved_bytes, 0);
}

static void space_goes_back_by_the_half_run(void **state)
{
	unsigned i;

	(void)state;
	far_store_claim(st, 0, 64 * PAGE);
	assert_int_equal(usage().stored_bytes, 64 * PAGE);
	for (i = 0; i < 31; i++)
		far_store_discard(st, 2 * i * PAGE, PAGE, note_drop, NULL);
	assert_int_equal(dropped.nr_calls, 0);
	assert_int_equal(usage().stored_bytes, 33 * PAGE);
	assert_int_equal(usage().used_bytes, 64 * PAGE);
	/* The 32nd. */
	far_store_discard(st, 62 * PAGE, PAGE, note_drop, NULL);
	assert_int_equal(dropped.nr_calls, 32);
	assert_int_equal(usage().used_bytes, 32 * PAGE);
	for (i = 0; i < 64; i++)
		assert_int_equal(dropped.pages[i], i % 2 == 0);
	/* All of a run in one call. */
	far_store_claim(st, 64 * PAGE, 64 * PAGE);
	far_store_discard(st, 64 * PAGE, 64 * PAGE, note_drop, NULL);
	assert_int_equal(dropped.nr_calls, 33);
	assert_int_equal(usage().used_bytes, 32 * PAGE);
	assert_int_equal(usage().stored_bytes, 32 * PAGE);
}

static void rewriting_what_was_discarded_occupies_no_more(void **state)
{
	(void)state;
	far_store_claim(st, 0, 64 * PAGE);
	far_store_discard(st, 0, 8 * PAGE, note_drop, NULL);
	far_store_claim(st, 0, 8 * PAGE);
	assert_int_equal(usage().used_bytes, 64 * PAGE);
	assert_int_equal(usage().stored_bytes, 64 * PAGE);
	far_store_discard(st, 0, 64 * PAGE, note_drop, NULL);
	assert_int_equal(usage().used_bytes, 0);
	/* What holds nothing is dropped no second time. */
	far_store_discard(st, 0, 64 * PAGE, note_drop, NULL);
	assert_int_equal(dropped.nr_calls, 1);
}

static void trimming_leaves_what_is_written(void **state)
{
	uint64_t page;

	(void)state;
	far_store_claim(st, 0, NR_PAGES * PAGE);
	for (page = 0; page < NR_PAGES; page += 10)
		far_store_discard(st, page * PAGE, PAGE, note_drop, NULL);
	assert_int_equal(dropped.nr_calls, 0);
	far_store_trim(st, note_drop, NULL);
	for (page = 0; page < NR_PAGES; page++)
		assert_int_equal(dropped.pages[page], page % 10 == 0);
	assert_int_equal(usage().used_bytes, usage().stored_bytes);
}

static void stretches_of_written_pages_are_found(void **state)
{
	(void)state;
	assert_int_equal(far_store_next_written(st, 0), NR_PAGES);
	far_store_claim(st, 5 * PAGE, 2 * PAGE);
	far_store_claim(st, 60 * PAGE, 70 * PAGE);
	far_store_claim(st, 299 * PAGE, PAGE);
	assert_int_equal(far_store_next_written(st, 0), 5);
	assert_int_equal(far_store_next_free(st, 5), 7);
	assert_int_equal(far_store_next_written(st, 7), 60);
	assert_int_equal(far_store_next_free(st, 60), 130);
	assert_int_equal(far_store_next_written(st, 130), 299);
	assert_int_equal(far_store_next_free(st, 299), NR_PAGES);
}

#define NR_ROUNDS 500u
#define DROP_LOOKS 200u

static _Atomic unsigned owner[NR_PAGES]; /* 1 while its writer needs it */
static _Atomic unsigned nr_stolen;

/* Takes its time, so that who does not wait for it is seen. */
static void check_drop(void *ctx, uint64_t page, unsigned nr)
{
	unsigned i, k;

	(void)ctx;
	for (k = 0; k < DROP_LOOKS; k++) {
		for (i = 0; i < nr; i++)
			nr_stolen += owner[page + i];
	}
}

/* Claims and discards the odd or the even pages of one run, over and over. */
static void *churn(void *arg)
{
	uint64_t first = *(uint64_t *)arg, page;
	unsigned i;

	for (i = 0; i < NR_ROUNDS; i++) {
		for (page = first; page < 64; page += 2) {
			far_store_claim(st, page * PAGE, PAGE);
			owner[page] = 1;
		}
		for (page = first; page < 64; page += 2) {
			owner[page] = 0;
			far_store_discard(st, page * PAGE, PAGE, check_drop,
					  NULL);
		}
	}
	return NULL;
}

static void a_page_in_use_is_never_dropped(void **state)
{
	uint64_t first[2] = {0, 1};
	pthread_t threads[2];
	unsigned i;

	(void)state;
	for (i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, churn, &first[i]), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(nr_stolen, 0);
	assert_int_equal(usage().stored_bytes, 0);
	far_store_trim(st, check_drop, NULL);
	assert_int_equal(usage().used_bytes, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(reservations_fill_every_hole),
		CASE(a_run_crosses_words),
		CASE(only_what_is_reserved_is_released),
		CASE(space_goes_back_by_the_half_run),
		CASE(rewriting_what_was_discarded_occupies_no_more),
		CASE(trimming_leaves_what_is_written),
		CASE(stretches_of_written_pages_are_found),
		CASE(a_page_in_use_is_never_dropped),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
