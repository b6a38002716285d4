/* SPDX-License-Identifier: BSD-3-Clause */
/* What may come between the steps of a call of the program. */
#include "tests/libfar/race.h"
#include "tests/libfar/test_pager_support.h"

static void what_comes_while_a_page_is_flushed(void **state)
{
	static const struct race_row rows[] = {
		ROW(FLUSH_CLAIMED, DIRTY, FLUSH),
		ROW(FLUSH_COPIED, DIRTY, FLUSH),
		ROW(FLUSH_WRITTEN, DIRTY, FLUSH),
		ROW(FLUSH_CLAIMED, GONE, FLUSH),
		ROW(FLUSH_COPIED, GONE, FLUSH),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_while_a_page_is_discarded(void **state)
{
	static const struct race_row rows[] = {
		ROW(DISCARD, DIRTY, DISCARD),
		ROW(DISCARD, CLEAN, DISCARD),
		ROW(DISCARD, REMOTE, DISCARD),
		ROW(DISCARD, DIRTY, DISCARD, UNDER(PUBLISHED)),
		ROW(DISCARD, DIRTY, DISCARD, UNDER_FIRST(WRITTEN)),
		ROW(DISCARD_CLAIMED, DIRTY, DISCARD),
		ROW(DISCARD_CLAIMED, CLEAN, DISCARD),
		ROW(DISCARD_DROPPED, DIRTY, DISCARD),
		ROW(DISCARD_DROPPED, CLEAN, DISCARD),
		ROW(DISCARD_CLAIMED, DIRTY, UNMAP),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_while_a_page_is_pinned(void **state)
{
	static const struct race_row rows[] = {
		ROW(PIN, DIRTY, PIN),
		ROW(PIN, CLEAN, PIN),
		ROW(PIN, REMOTE, PIN),
		ROW(PIN, DIRTY, PIN, UNDER(QUEUED)),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

static void what_comes_to_a_limit_and_a_fork(void **state)
{
	static const struct race_row rows[] = {
		ROW(LIMIT, DIRTY, LIMIT),
		ROW(LIMIT, DIRTY, LIMIT, UNDER(PUBLISHED)),
		ROW(FORK_BEGUN, DIRTY, FORK),
		ROW(FORK_BEGUN, REMOTE, FORK),
		ROW(FORK_BEGUN, DIRTY, FORK, UNDER_FIRST(PUBLISHED)),
		ROW(FORK_CLONED, DIRTY, FORK),
		ROW(FORK_CLONED, CLEAN, FORK),
		ROW(FORK_CLONED, REMOTE, FORK),
	};

	(void)state;
	race_run(rows, FAR_ARRAY_SIZE(rows));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_while_a_page_is_flushed),
		cmocka_unit_test(what_comes_while_a_page_is_discarded),
		cmocka_unit_test(what_comes_while_a_page_is_pinned),
		cmocka_unit_test(what_comes_to_a_limit_and_a_fork),
	};

	return tp_main(argc, argv, "pager.race_call", tests);
}
