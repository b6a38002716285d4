/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/predict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TID 7
#define CROSSES 3840 /* an object here goes on in the next page */
#define ENDS 512     /* one here does not */

/* One object of @pg at @offset is read: how many faults does that take? */
static unsigned read_object(struct far_predict *pr, far_pgno_t pg,
			    unsigned offset, bool crosses)
{
	bool has_next = predict_next(pr, TID, pg, offset, true);

	if (!crosses || has_next)
		return 1;
	(void)predict_next(pr, TID, pg + 1, 0, true);
	return 2;
}

static void knows_nothing_at_first(void **state)
{
	struct far_predict pr = {0};

	(void)state;
	assert_false(predict_next(&pr, TID, 1, CROSSES, true));
	assert_false(predict_next(&pr, TID, 9, 0, true));
}

static void learns_which_offsets_cross(void **state)
{
	struct far_predict pr = {0};
	unsigned nr_cross = 0, nr_vain = 0;

	(void)state;
	for (far_pgno_t pg = 0; pg < 64; pg++)
		(void)read_object(&pr, 10 * pg, CROSSES, true);
	for (far_pgno_t pg = 64; pg < 1664; pg++) {
		nr_cross += read_object(&pr, 20 * pg, CROSSES, true);
		nr_vain += predict_next(&pr, TID, 20 * pg + 10, ENDS, true);
	}
	/* one in sixteen is spent on learning */
	assert_true(nr_cross <= 1600 + 1600 / PREDICT_SAMPLE + 1);
	assert_int_equal(nr_vain, 0);
}

static void forgets_what_is_not_true_any_more(void **state)
{
	struct far_predict pr = {0};
	unsigned nr = 0;

	(void)state;
	for (far_pgno_t pg = 0; pg < 100; pg++)
		(void)read_object(&pr, 10 * pg, CROSSES, true);
	/* one of them may be the one that is spent on learning */
	assert_true(predict_next(&pr, TID, 1, CROSSES, true) ||
		    predict_next(&pr, TID, 1, CROSSES, true));
	for (far_pgno_t pg = 0; pg < 1000; pg++)
		(void)read_object(&pr, 10 * pg, CROSSES, false);
	for (far_pgno_t pg = 0; pg < 100; pg++)
		nr += predict_next(&pr, TID, 10 * pg, CROSSES, true);
	assert_int_equal(nr, 0);
}

static void scan_is_a_crossing_at_every_start(void **state)
{
	struct far_predict pr = {0};
	unsigned faults = 0;

	(void)state;
	for (far_pgno_t pg = 0; pg < 1000; pg++) {
		faults++;
		if (predict_next(&pr, TID, pg, 0, true))
			pg++; /* it came along */
	}
	assert_true(faults < 600);
}

static void other_threads_teach_nothing(void **state)
{
	struct far_predict pr = {0};

	(void)state;
	for (far_pgno_t pg = 0; pg < 200; pg++) {
		assert_false(predict_next(&pr, TID, 10 * pg, CROSSES, true));
		assert_false(predict_next(&pr, TID + 1, 10 * pg + 1, 0, true));
	}
}

static void page_that_is_here_is_not_fetched(void **state)
{
	struct far_predict pr = {0};

	(void)state;
	memset(pr.score, 255, sizeof(pr.score));
	for (far_pgno_t pg = 0; pg < 100; pg++)
		assert_false(predict_next(&pr, TID, 10 * pg, CROSSES, false));
	/* nor does its absence from the faults count against the offset */
	assert_int_equal(pr.score[CROSSES / 64], 255);
}

/* --- streams --- */

#define MAX 16
#define FAR_PAGES 100000

/* Which pages are here; a thread touches @pg. */
struct memory {
	bool is_here[FAR_PAGES];
	struct far_predict pr;
	unsigned faults, useful, wasted, fetched;
};

static void touch(struct memory *m, uint32_t tid, far_pgno_t pg)
{
	struct far_window w;
	unsigned nr = 0;

	if (m->is_here[pg])
		return;
	m->is_here[pg] = true;
	m->faults++;
	predict_stream(&m->pr, tid, pg, MAX, &w);
	m->useful += w.nr_useful;
	m->wasted += w.nr_wasted;
	assert_true(w.nr <= MAX);
	for (unsigned i = 0; i < w.nr; i++) {
		int64_t at = (int64_t)w.start + (int64_t)w.stride * i;

		if (at < 0 || at >= FAR_PAGES || m->is_here[at])
			continue;
		m->is_here[at] = true;
		nr++;
	}
	if (w.nr)
		predict_fetched(&w, w.nr, nr);
	m->fetched += nr;
}

static struct memory *memory_new(void)
{
	struct memory *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	return m;
}

static void walk(int stride)
{
	struct memory *m = memory_new();

	for (int i = 0; i < 1600; i++)
		touch(m, TID, (far_pgno_t)(50000 + i * stride));
	/* the first few, then one in MAX + 1 */
	assert_true(m->faults <= 1600 / (MAX + 1) + 10);
	assert_int_equal(m->wasted, 0);
	assert_true(m->useful >= 1500);
	free(m);
}

static void scans_are_fetched_ahead(void **state)
{
	(void)state;
	walk(1);
	walk(-1);
	walk(7);
	walk(-30);
}

static void scan_over_some_that_are_here(void **state)
{
	struct memory *m = memory_new();
	unsigned nr_far = 0;

	(void)state;
	srand(1);
	for (far_pgno_t pg = 0; pg < 4000; pg++) {
		m->is_here[pg] = rand() % 2;
		nr_far += !m->is_here[pg];
	}
	for (far_pgno_t pg = 0; pg < 4000; pg++)
		touch(m, TID, pg);
	assert_true(m->faults < nr_far / 5);
	free(m);
}

static void interleaved_streams_are_told_apart(void **state)
{
	struct memory *m = memory_new();

	(void)state;
	for (far_pgno_t i = 0; i < 1600; i++) {
		touch(m, TID, 1000 + i);
		touch(m, TID, 90000 - i);
		touch(m, TID, 20000 + 3 * i);
		touch(m, TID + 1, 60000 + i);
	}
	assert_true(m->faults < 4 * (1600 / (MAX + 1) + 10));
	free(m);
}

static void random_is_no_stream(void **state)
{
	struct memory *m = memory_new();

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		m->is_here[i] = false;
		touch(m, TID, (far_pgno_t)(rand() % FAR_PAGES));
	}
	assert_true(m->fetched < 20000 / 100);
	free(m);
}

/* Four pages in a row, then elsewhere: what looks like a scan is none. */
static void guesses_that_fail_stop(void **state)
{
	struct memory *m = memory_new();

	(void)state;
	for (far_pgno_t i = 0; i < 1000; i++)
		for (far_pgno_t k = 0; k < 5; k++)
			touch(m, TID, i * 90 + k);
	/* at most one first window each, and no growth */
	assert_true(m->fetched <= 1000 * 4);
	assert_true(m->wasted > m->fetched / 2);
	free(m);
}

static void overtaken_window_is_extended(void **state)
{
	struct far_predict pr = {0};
	struct far_window w = {0};
	far_pgno_t pg;

	(void)state;
	for (pg = 100; !w.nr; pg++)
		predict_stream(&pr, TID, pg, MAX, &w);
	predict_fetched(&w, w.nr, w.nr);
	assert_int_equal(w.start, pg);
	pg = w.start + w.nr; /* where the window ends */
	/* a fault on its second page, which is still on its way */
	predict_stream(&pr, TID, w.start + 1, MAX, &w);
	assert_int_equal(w.start, pg);
	assert_true(w.nr > 4);
}

/* --- writes --- */

static void pages_that_were_written_come_writable(void **state)
{
	struct far_predict pr = {0};
	unsigned nr = 0;

	(void)state;
	for (unsigned i = 0; i < 800; i++)
		nr += predict_write(&pr, true);
	assert_in_range(nr, 600, 799); /* some are looked at again */
}

static void writes_are_learned_and_forgotten(void **state)
{
	struct far_predict pr = {0};
	unsigned nr = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		if (!predict_write(&pr, false))
			predict_written(&pr);
	for (unsigned i = 0; i < 160; i++)
		if (predict_write(&pr, false))
			nr++;
		else
			predict_written(&pr);
	assert_true(nr >= 130);
	for (unsigned i = 0; i < 1000; i++) /* only read from now on */
		(void)predict_write(&pr, false);
	nr = 0;
	for (unsigned i = 0; i < 100; i++)
		nr += predict_write(&pr, false);
	assert_int_equal(nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_nothing_at_first),
		cmocka_unit_test(learns_which_offsets_cross),
		cmocka_unit_test(forgets_what_is_not_true_any_more),
		cmocka_unit_test(scan_is_a_crossing_at_every_start),
		cmocka_unit_test(other_threads_teach_nothing),
		cmocka_unit_test(page_that_is_here_is_not_fetched),
		cmocka_unit_test(scans_are_fetched_ahead),
		cmocka_unit_test(scan_over_some_that_are_here),
		cmocka_unit_test(interleaved_streams_are_told_apart),
		cmocka_unit_test(random_is_no_stream),
		cmocka_unit_test(guesses_that_fail_stop),
		cmocka_unit_test(overtaken_window_is_extended),
		cmocka_unit_test(pages_that_were_written_come_writable),
		cmocka_unit_test(writes_are_learned_and_forgotten),
	};

	return cmocka_run_group_tests_name("libfar.predict", tests, NULL, NULL);
}
