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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_nothing_at_first),
		cmocka_unit_test(learns_which_offsets_cross),
		cmocka_unit_test(forgets_what_is_not_true_any_more),
		cmocka_unit_test(scan_is_a_crossing_at_every_start),
		cmocka_unit_test(other_threads_teach_nothing),
		cmocka_unit_test(page_that_is_here_is_not_fetched),
	};

	return cmocka_run_group_tests_name("libfar.predict", tests, NULL, NULL);
}
