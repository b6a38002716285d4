/* SPDX-License-Identifier: BSD-3-Clause */
/* What may come between the steps of a fault. */
#include "tests/libfar/race.h"
#include "tests/libfar/test_pager_support.h"

static void what_comes_while_a_page_is_fetched(void **state)
{
	static const struct race_row rows[] = {
		ROW(FAULT, REMOTE, READ),
		ROW(FAULT, REMOTE, WRITE),
		ROW(FAULT_FETCHING, REMOTE, READ),
		ROW(FAULT_FETCHING, REMOTE, WRITE),
		ROW(FILL, REMOTE, READ),
		ROW(FILL, REMOTE, WRITE, BUFFERED),
		ROW(FILLED, REMOTE, READ),
		ROW(FILLED, REMOTE, WRITE),
		ROW(FILL_RESIDENT, REMOTE, READ, BUFFERED),
		ROW(FILL_RESIDENT, REMOTE, WRITE),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_while_a_page_is_made(void **state)
{
	static const struct race_row rows[] = {
		ROW(FAULT, ABSENT, READ),
		ROW(FAULT_FETCHING, ABSENT, WRITE),
		ROW(FILLED, ABSENT, READ),
		ROW(FILL_RESIDENT, ABSENT, WRITE),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_while_a_page_is_prefetched(void **state)
{
	static const struct race_row rows[] = {
		ROW(FAULT_AHEAD, REMOTE, PREFETCH),
		ROW(FILL, REMOTE, PREFETCH),
		ROW(FILLED, REMOTE, PREFETCH),
		ROW(FILL_RESIDENT, REMOTE, PREFETCH),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_to_a_first_write(void **state)
{
	static const struct race_row rows[] = {
		ROW(FAULT, CLEAN, WRITE),	 ROW(FAULT_OPEN, CLEAN, WRITE),
		ROW(FAULT_OPENED, CLEAN, WRITE), ROW(FAULT_GONE, GONE, READ),
		ROW(FAULT_GONE, GONE, WRITE),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_while_a_page_is_rescued(void **state)
{
	static const struct race_row rows[] = {
		ROW(FAULT, DIRTY, READ, UNDER(PUBLISHED)),
		ROW(FAULT, DIRTY, WRITE, UNDER_FIRST(WRITTEN)),
		ROW(FAULT, CLEAN, READ, UNDER(PUBLISHED), MOVED),
		ROW(FAULT, CLEAN, WRITE, UNDER_FIRST(WRITTEN), MOVED),
		ROW(FAULT, ZERO, READ, UNDER(WRITTEN)),
		ROW(FAULT_RESCUING, DIRTY, READ, UNDER(PUBLISHED)),
		ROW(FAULT_RESCUING, DIRTY, WRITE, UNDER_FIRST(PUBLISHED)),
		ROW(FAULT_RESCUING, DIRTY, WRITE, UNDER(QUEUED)),
		ROW(FAULT_RESCUING, DIRTY, WRITE, UNDER_FIRST(WRITTEN)),
		ROW(FAULT_RESCUING, ZERO, READ, UNDER_FIRST(WRITTEN)),
		ROW(FILLED, DIRTY, WRITE, UNDER(PUBLISHED)),
		ROW(FILLED, DIRTY, WRITE, UNDER_FIRST(QUEUED)),
		ROW(FILLED, DIRTY, READ, UNDER_FIRST(WRITTEN)),
		ROW(FILL_RESIDENT, DIRTY, READ, UNDER(QUEUED)),
		ROW(FILL_RESIDENT, ZERO, WRITE, UNDER_FIRST(PUBLISHED)),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_to_a_rescue_when_the_write_fails(void **state)
{
	static const struct race_row rows[] = {
		ROW(FAULT, DIRTY, READ, UNDER(FAILED), WRITE_FAILS),
		ROW(FAULT, DIRTY, WRITE, UNDER(PUTTING), WRITE_FAILS),
		ROW(FAULT_RESCUING, DIRTY, READ, UNDER(FAILED), WRITE_FAILS),
		ROW(FAULT_RESCUING, DIRTY, WRITE, UNDER_FIRST(FAILED),
		    WRITE_FAILS),
		ROW(FILLED, DIRTY, WRITE, UNDER_FIRST(FAILED), WRITE_FAILS),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_while_a_page_is_fetched),
		cmocka_unit_test(what_comes_while_a_page_is_made),
		cmocka_unit_test(what_comes_while_a_page_is_prefetched),
		cmocka_unit_test(what_comes_to_a_first_write),
		cmocka_unit_test(what_comes_while_a_page_is_rescued),
		cmocka_unit_test(what_comes_to_a_rescue_when_the_write_fails),
	};

	return tp_main(argc, argv, "pager.race_fault", tests);
}
