/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/range.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NR_PAGES 2048u
#define ROUNDS 20000

static uint64_t rng_state;

static uint32_t rnd(uint32_t below)
{
	rng_state = rng_state * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
	return (uint32_t)(rng_state >> 33) % below;
}

/* --- a model: one byte per page ---------------------------------------------
 */

static unsigned char model[NR_PAGES];

static bool model_is(far_pgno_t start, far_pgno_t nr, unsigned char v)
{
	for (far_pgno_t i = start; i < start + nr; i++)
		if (model[i] != v)
			return false;
	return true;
}

/* The lowest place that fits, or NR_PAGES. */
static far_pgno_t model_find(far_pgno_t nr, far_pgno_t align)
{
	for (far_pgno_t at = 0; at + nr <= NR_PAGES; at += align)
		if (model_is(at, nr, 0))
			return at;
	return NR_PAGES;
}

static void check_all(const struct far_ranges *rs)
{
	uint64_t mapped = 0;

	for (far_pgno_t i = 0; i < NR_PAGES; i++) {
		assert_int_equal(far_ranges_contains(rs, i, 1), model[i]);
		mapped += model[i];
	}
	assert_int_equal(rs->mapped_pages, mapped);
	for (uint32_t i = 0; i < rs->nr; i++) { /* sorted, never touching */
		assert_true(rs->r[i].start < rs->r[i].end);
		if (i)
			assert_true(rs->r[i - 1].end < rs->r[i].start);
	}
}

static void random_alloc(struct far_ranges *rs)
{
	far_pgno_t nr = 1 + rnd(rnd(8) ? 40 : 400);
	far_pgno_t align = (far_pgno_t)1 << rnd(7);
	far_pgno_t want = model_find(nr, align), got = NR_PAGES;
	int r = far_ranges_alloc(rs, nr, align, &got);

	if (want == NR_PAGES) {
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(got, NR_PAGES); /* untouched */
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(got, want);
	assert_int_equal(got % align, 0);
	memset(model + got, 1, nr);
	assert_true(rs->top >= got + nr);
}

static void random_free(struct far_ranges *rs)
{
	far_pgno_t start = rnd(NR_PAGES), nr;
	bool ok;

	nr = 1 + rnd(NR_PAGES - start < 60 ? NR_PAGES - start : 60);
	ok = model_is(start, nr, 1);
	assert_int_equal(far_ranges_contains(rs, start, nr), ok);
	assert_int_equal(far_ranges_free(rs, start, nr), ok ? 0 : -EINVAL);
	if (ok)
		memset(model + start, 0, nr);
}

static void random_changes_match_a_bitmap(void **state)
{
	struct far_ranges rs;

	(void)state;
	rng_state = 42;
	memset(model, 0, sizeof(model));
	assert_int_equal(far_ranges_init(&rs, NR_PAGES, 0), 0);
	for (int i = 0; i < ROUNDS; i++) {
		if (rnd(3))
			random_free(&rs);
		else
			random_alloc(&rs);
		if (i % 100 == 0)
			check_all(&rs);
	}
	check_all(&rs);
	far_ranges_fini(&rs);
}

static void ends_are_respected(void **state)
{
	struct far_ranges rs;
	far_pgno_t at = 99;

	(void)state;
	assert_int_equal(far_ranges_init(&rs, 64, 0), 0);
	assert_int_equal(far_ranges_alloc(&rs, 65, 1, &at), -ENOMEM);
	assert_int_equal(far_ranges_alloc(&rs, 64, 64, &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(far_ranges_alloc(&rs, 1, 1, &at), -ENOMEM);
	assert_false(far_ranges_contains(&rs, 0, 65));
	assert_false(far_ranges_contains(&rs, 63, 2));
	assert_false(far_ranges_contains(&rs, UINT32_MAX, 2));
	assert_int_equal(far_ranges_free(&rs, 63, 2), -EINVAL);
	assert_int_equal(far_ranges_free(&rs, 1, UINT32_MAX), -EINVAL);
	assert_int_equal(far_ranges_free(&rs, 0, 64), 0);
	assert_int_equal(far_ranges_free(&rs, 0, 1), -EINVAL);
	assert_int_equal(rs.top, 64); /* "was ever mapped" */
	far_ranges_fini(&rs);
}

static void last_page_number_does_not_wrap(void **state)
{
	struct far_ranges rs;
	far_pgno_t at;

	(void)state;
	assert_int_equal(far_ranges_init(&rs, UINT32_MAX, 0), 0);
	assert_int_equal(far_ranges_alloc(&rs, UINT32_MAX - 1, 1, &at), 0);
	assert_int_equal(far_ranges_alloc(&rs, 2, 1, &at), -ENOMEM);
	assert_int_equal(far_ranges_alloc(&rs, 1, 1, &at), 0);
	assert_int_equal(at, UINT32_MAX - 1);
	assert_true(far_ranges_contains(&rs, 0, UINT32_MAX));
	far_ranges_fini(&rs);
}

/* Every other page freed until the array is full. */
static void too_many_pieces_are_refused(void **state)
{
	struct far_ranges rs;
	far_pgno_t at, pg;
	int r = 0;

	(void)state;
	assert_int_equal(far_ranges_init(&rs, 1u << 20, 0), 0);
	assert_int_equal(far_ranges_alloc(&rs, 1u << 20, 1, &at), 0);
	for (pg = 1; r == 0 && pg < 1u << 20; pg += 16)
		r = far_ranges_free(&rs, pg, 1);
	if (r == 0) /* more pieces fit than this range has */
		assert_true(rs.nr >= (1u << 16));
	else
		assert_int_equal(r, -ENOMEM);
	assert_true(rs.nr < rs.max);
	assert_int_equal(rs.mapped_pages, (1u << 20) - rs.nr + 1);
	if (r) { /* and nothing was changed by the refusal */
		pg -= 16;
		assert_true(far_ranges_contains(&rs, pg, 1));
	}
	far_ranges_fini(&rs);
}

/* --- a reader without a lock ------------------------------------------------
 */

struct reader {
	struct far_ranges *rs;
	_Atomic bool stop;
	_Atomic uint64_t looks;
	uint64_t wrong;
};

/* Page 0..15 and 1000..1015 are mapped all the time, page 500 never is. */
static void *read_ranges(void *arg)
{
	struct reader *rd = arg;

	while (!atomic_load(&rd->stop)) {
		rd->wrong += !far_ranges_contains(rd->rs, 0, 16);
		rd->wrong += !far_ranges_contains(rd->rs, 1000, 16);
		rd->wrong += far_ranges_contains(rd->rs, 500, 1);
		rd->wrong += far_ranges_contains(rd->rs, 0, 1016);
		atomic_fetch_add(&rd->looks, 1);
	}
	return NULL;
}

static void reader_never_sees_half_a_change(void **state)
{
	struct far_ranges rs;
	struct reader rd = {.rs = &rs};
	far_pgno_t at;
	pthread_t th;

	(void)state;
	rng_state = 7;
	assert_int_equal(far_ranges_init(&rs, 1016, 0), 0);
	assert_int_equal(far_ranges_alloc(&rs, 1016, 1, &at), 0);
	assert_int_equal(far_ranges_free(&rs, 500, 1), 0);
	assert_int_equal(pthread_create(&th, NULL, read_ranges, &rd), 0);
	/*
	 * Holes come and go below 500, which shifts the entries behind them.
	 * Two are always left, so that the lowest hole is never page 500.
	 * Changes go on until the reader, which may start late on a busy
	 * machine, has looked at enough of them.
	 */
	for (unsigned i = 0, holes = 0;
	     i < 200000 || atomic_load(&rd.looks) <= 1000; i++) {
		far_pgno_t pg = 16 + rnd(484);

		if (i >= 200000)
			(void)sched_yield();
		if (holes > 2 && (holes > 300 || rnd(2))) {
			assert_int_equal(far_ranges_alloc(&rs, 1, 1, &at), 0);
			assert_true(at < 500);
			holes--;
		} else if (far_ranges_contains(&rs, pg, 1)) {
			assert_int_equal(far_ranges_free(&rs, pg, 1), 0);
			holes++;
		}
	}
	atomic_store(&rd.stop, true);
	assert_int_equal(pthread_join(th, NULL), 0);
	assert_int_equal(rd.wrong, 0);
	far_ranges_fini(&rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_changes_match_a_bitmap),
		cmocka_unit_test(ends_are_respected),
		cmocka_unit_test(last_page_number_does_not_wrap),
		cmocka_unit_test(too_many_pieces_are_refused),
		cmocka_unit_test(reader_never_sees_half_a_change),
	};

	return cmocka_run_group_tests_name("libfar.range", tests, NULL, NULL);
}
