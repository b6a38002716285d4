/* SPDX-License-Identifier: BSD-3-Clause */
/* What far trace report counts, on traces short enough to count by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/tracestat.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void make(struct far_trace_record *r, size_t nr, struct tracestat *st)
{
	const struct tracefile t = {
		.header = {.nr_pages = 100000, .limit_pages = 8},
		.r = r,
		.nr = nr,
	};

	assert_int_equal(tracestat_make(&t, st), 0);
}

#define R(time, pg, what)                                                      \
	{                                                                      \
		.us = (time), .page = (pg), .kind = FAR_TRACE_##what           \
	}

static void distances_count_different_pages(void **state)
{
	struct far_trace_record r[] = {
		R(0, 1, ZERO),	   R(1, 2, ZERO),
		R(2, 3, ZERO),	   R(3, 4, ZERO),
		R(4, 1, OUT),	   R(5, 2, OUT),
		R(6, 3, OUT),	   R(7, 2, REMOTE), /* 2 and 3 left: 2 */
		R(8, 2, OUT),	   R(9, 4, OUT),
		R(10, 1, AHEAD),   /* 1, 3, 2 (twice), 4: 4 */
		R(11, 9, RESCUED), /* nobody knows */
	};
	struct tracestat st;

	(void)state;
	make(r, COUNT(r), &st);
	assert_int_equal(st.faults, 6);
	assert_int_equal(st.pages, 5);
	assert_int_equal(st.unknown, 1);
	/* limits of 8, 9, 10, 11 and 12: then nothing helps any more */
	assert_int_equal(st.nr_sizes, 5);
	assert_int_equal(st.sizes[0].faults, 2);
	assert_int_equal(st.sizes[0].fetched, 3);
	assert_int_equal(st.sizes[1].faults, 2);
	assert_int_equal(st.sizes[2].pages, 10);
	assert_int_equal(st.sizes[2].faults, 1);
	assert_int_equal(st.sizes[2].fetched, 2);
	assert_int_equal(st.sizes[3].fetched, 2);
	assert_int_equal(st.sizes[4].pages, 12);
	assert_int_equal(st.sizes[4].fetched, 1);
}

static void parts_have_their_pages(void **state)
{
	struct far_trace_record r[] = {
		R(100, 7, ZERO),    R(101, 7, WRITE),	 R(199, 8, ZERO),
		R(1050, 8, REMOTE), R(1051, 7, WRITE),	 R(1999, 8, OUT),
		R(2050, 8, AHEAD),  R(2100, 5, DROPPED),
	};
	uint64_t faults = 0, pages = 0, fresh = 0, ahead = 0;
	struct tracestat st;

	(void)state;
	make(r, COUNT(r), &st);
	assert_int_equal(st.row_us, 101);
	assert_int_equal(st.nr_rows, 20);
	for (unsigned i = 0; i < st.nr_rows; i++) {
		faults += st.rows[i].faults;
		pages += st.rows[i].pages;
		fresh += st.rows[i].fresh;
		ahead += st.rows[i].ahead;
	}
	assert_int_equal(st.rows[0].faults, 2);
	assert_int_equal(st.rows[0].pages, 2);
	assert_int_equal(st.rows[0].fresh, 2);
	assert_int_equal(faults, 3);
	assert_int_equal(pages, 4);
	assert_int_equal(fresh, 2);
	assert_int_equal(ahead, 1);
	assert_int_equal(st.kinds[FAR_TRACE_DROPPED], 5);
	assert_int_equal(st.kinds[FAR_TRACE_WRITE], 2);
}

static void chunks_are_sorted(void **state)
{
	struct far_trace_record *r = calloc(20000, sizeof(*r));
	struct tracestat st;
	size_t nr = 0;

	(void)state;
	assert_non_null(r);
	/* chunk c has c faults */
	for (uint32_t c = 0; c < 190; c++)
		for (uint32_t i = 0; i < c; i++, nr++)
			r[nr] = (struct far_trace_record)R(nr, c * 512 + i,
							   ZERO);
	make(r, nr, &st);
	assert_int_equal(st.nr_chunks, TRACESTAT_CHUNKS);
	for (uint32_t i = 0; i < st.nr_chunks; i++) {
		assert_int_equal(st.chunks[i].chunk, 189 - i);
		assert_int_equal(st.chunks[i].faults, 189 - i);
	}
	assert_int_equal(st.pages, nr);
	free(r);
}

static void nothing_and_nonsense_are_counted(void **state)
{
	struct far_trace_record r[] = {
		R(UINT64_MAX, 1, ZERO),
		R(0, 99999, OUT),
		R(UINT64_MAX / 2, 99999, OUT),
		R(3, 99999, REMOTE),
	};
	struct tracestat st;

	(void)state;
	make(r, 0, &st);
	assert_int_equal(st.nr_rows, 0);
	assert_int_equal(st.nr_chunks, 0);
	assert_int_equal(st.sizes[0].fetched, 0);
	make(r, 1, &st);
	assert_int_equal(st.nr_rows, 1);
	make(r, COUNT(r), &st);
	assert_in_range(st.nr_rows, 1, TRACESTAT_ROWS);
	assert_int_equal(st.sizes[0].faults, 1);
	assert_int_equal(st.sizes[1].faults, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances_count_different_pages),
		cmocka_unit_test(parts_have_their_pages),
		cmocka_unit_test(chunks_are_sorted),
		cmocka_unit_test(nothing_and_nonsense_are_counted),
	};

	return cmocka_run_group_tests_name("cli.tracestat", tests, NULL, NULL);
}
