/* SPDX-License-Identifier: BSD-3-Clause */
#include "evictor/team.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MAX 4
#define STEP (FAR_TEAM_JOIN_NS / 8) /* between two looks */
#define LOOKS 1000

struct bed {
	struct far_team t;
	uint64_t now;
	unsigned changes;
};

static struct bed new_bed(unsigned max)
{
	struct bed b = {.now = 1};

	team_init(&b.t, max);
	return b;
}

static void look(struct bed *b, bool is_waiting)
{
	unsigned before = team_nr(&b->t);
	bool has_changed;

	b->now += STEP;
	has_changed = team_look(&b->t, is_waiting, b->now);
	assert_int_equal(has_changed, team_nr(&b->t) != before);
	assert_true(team_nr(&b->t) >= 1 && team_nr(&b->t) <= b->t.max);
	b->changes += has_changed;
}

/* Looks until the number that works is another one; how many it took. */
static unsigned looks_to_change(struct bed *b, bool is_waiting)
{
	unsigned before = team_nr(&b->t), n = 0;

	while (team_nr(&b->t) == before && n < LOOKS) {
		look(b, is_waiting);
		n++;
	}
	return n;
}

static void one_works_while_nobody_waits(void **state)
{
	struct bed b = new_bed(MAX);

	(void)state;
	assert_int_equal(team_nr(&b.t), 1);
	for (unsigned i = 0; i < LOOKS; i++)
		look(&b, false);
	assert_int_equal(b.changes, 0);
}

static void short_waits_call_nobody(void **state)
{
	struct bed b = new_bed(MAX);

	(void)state;
	/* two looks of five, and never for long */
	for (unsigned i = 0; i < LOOKS; i++)
		look(&b, i % 5 < 2);
	assert_int_equal(b.changes, 0);
}

static void others_join_one_by_one_while_it_goes_on(void **state)
{
	struct bed b = new_bed(MAX);

	(void)state;
	look(&b, true);
	for (unsigned nr = 2; nr <= MAX; nr++) {
		assert_int_equal(looks_to_change(&b, true), 8);
		assert_int_equal(team_nr(&b.t), nr);
	}
	/* and no more than there may be */
	assert_int_equal(looks_to_change(&b, true), LOOKS);
}

static void breaks_do_not_hide_that_it_does_not_keep_up(void **state)
{
	struct bed b = new_bed(2);

	(void)state;
	/* a batch came: one look in five finds nobody */
	for (unsigned i = 0; i < 40; i++)
		look(&b, i % 5 != 0);
	assert_int_equal(team_nr(&b.t), 2);
}

static void long_looks_count_as_much(void **state)
{
	struct bed b = new_bed(MAX);

	(void)state;
	assert_false(team_look(&b.t, true, 1));
	assert_true(team_look(&b.t, true, 1 + FAR_TEAM_JOIN_NS));
	assert_int_equal(team_nr(&b.t), 2);
}

static void they_leave_one_by_one_in_calm(void **state)
{
	const unsigned looks = FAR_TEAM_LEAVE_NS / STEP;
	struct bed b = new_bed(3);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		look(&b, true);
	assert_int_equal(team_nr(&b.t), 3);
	for (unsigned i = 0; i < looks / 2; i++)
		look(&b, false);
	look(&b, true); /* not calm yet */
	assert_int_equal(looks_to_change(&b, false), looks);
	assert_int_equal(team_nr(&b.t), 2);
	assert_int_equal(looks_to_change(&b, false), looks);
	assert_int_equal(team_nr(&b.t), 1);
	assert_int_equal(looks_to_change(&b, false), LOOKS);
}

static void a_bound_of_one_is_kept(void **state)
{
	struct bed b = new_bed(1);

	(void)state;
	for (unsigned i = 0; i < LOOKS; i++)
		look(&b, true);
	assert_int_equal(b.changes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_works_while_nobody_waits),
		cmocka_unit_test(short_waits_call_nobody),
		cmocka_unit_test(others_join_one_by_one_while_it_goes_on),
		cmocka_unit_test(breaks_do_not_hide_that_it_does_not_keep_up),
		cmocka_unit_test(long_looks_count_as_much),
		cmocka_unit_test(they_leave_one_by_one_in_calm),
		cmocka_unit_test(a_bound_of_one_is_kept),
	};

	return cmocka_run_group_tests_name("evictor.team", tests, NULL, NULL);
}
