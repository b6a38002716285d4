/* SPDX-License-Identifier: BSD-3-Clause */
/* What may come between the steps of an eviction. */
#include "tests/libfar/race.h"
#include "tests/libfar/test_pager_support.h"

static void what_comes_while_a_page_is_taken(void **state)
{
	static const struct race_row rows[] = {
		ROW(EVICT_CLAIM, DIRTY, EVICT),
		ROW(EVICT_CLAIMED, DIRTY, EVICT),
		ROW(EVICT_CLAIMED, CLEAN, EVICT),
		ROW(EVICT_CLAIMED, ZERO, EVICT),
		ROW(EVICT_PROTECTED, DIRTY, EVICT, COPIED),
		ROW(EVICT_PROTECTED, CLEAN, EVICT, COPIED),
		ROW(EVICT_COPIED, DIRTY, EVICT, COPIED),
		ROW(EVICT_COPIED, CLEAN, EVICT, COPIED),
		ROW(EVICT_TAKEN, DIRTY, EVICT),
		ROW(EVICT_TAKEN, CLEAN, EVICT),
		ROW(EVICT_CLAIMED, GONE, EVICT),
		ROW(EVICT_LEFT, CLEAN, EVICT, COPIED),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_while_a_page_is_written_back(void **state)
{
	static const struct race_row rows[] = {
		ROW(EVICT_PUBLISHED, DIRTY, EVICT),
		ROW(EVICT_PUBLISHED, CLEAN, EVICT, MOVED),
		ROW(EVICT_PUBLISHED, ZERO, EVICT),
		ROW(EVICT_QUEUED, DIRTY, EVICT),
		ROW(EVICT_WRITTEN, DIRTY, EVICT),
		ROW(EVICT_WRITTEN, CLEAN, EVICT, MOVED),
		ROW(EVICT_WRITTEN, ZERO, EVICT),
		ROW(EVICT_SETTLED, DIRTY, EVICT),
		ROW(EVICT_SETTLED, CLEAN, EVICT, MOVED),
		ROW(EVICT_SETTLED, ZERO, EVICT),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_when_the_write_fails(void **state)
{
	static const struct race_row rows[] = {
		ROW(EVICT_FAILED, DIRTY, EVICT, WRITE_FAILS),
		ROW(EVICT_PUTTING, DIRTY, EVICT, WRITE_FAILS),
		ROW(EVICT_PUT, DIRTY, EVICT, WRITE_FAILS),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_to_a_page_between_two_victims(void **state)
{
	static const struct race_row rows[] = {
		ROW(EVICT_HELD, REMOTE, EVICT, COPIED, .between = true),
		ROW(EVICT_HELD, ABSENT, EVICT, COPIED, .between = true),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_while_a_page_is_taken),
		cmocka_unit_test(what_comes_while_a_page_is_written_back),
		cmocka_unit_test(what_comes_when_the_write_fails),
		cmocka_unit_test(what_comes_to_a_page_between_two_victims),
	};

	return tp_main(argc, argv, "pager.race_evict", tests);
}
