/* SPDX-License-Identifier: BSD-3-Clause */
/* S3-FIFO: what leaves first, what is remembered, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/evictor/policy_bed.h"

static void s3fifo_lets_go_first_of_what_was_used_once(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	bed_come(&b, 0, 90);
	memset(b.is_used, true, 90);
	bed_come(&b, 200, 20); /* used once */
	/* 10 % of 110 are kept for newcomers */
	bed_expect_run(&b, 110, 200, 10);
	/* then the main queue gives what was not used again */
	bed_expect(&b, 110, 0);
	bed_expect(&b, 110, 1);
	bed_come(&b, 300, 3);
	bed_expect_run(&b, 110, 210, 3);
	bed_free(&b);
}

static void s3fifo_remembers_ghosts_for_nine_tenths_of_the_cache(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	bed_come(&b, 0, 30);
	bed_expect_run(&b, 20, 0, 19); /* one ghost more than 18 */
	bed_come(&b, 0, 1);	       /* forgotten: on the small queue */
	bed_come(&b, 1, 1);	       /* just remembered: on the main one */
	bed_expect_run(&b, 20, 19, 11);
	/* the small queue is down to its tenth, that is page 0 and no more */
	bed_expect(&b, 20, 1);
	bed_expect(&b, 20, 0);
	bed_free(&b);
}

static void s3fifo_keeps_a_ghost_that_came_back(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	bed_come(&b, 0, 40);
	bed_expect(&b, 40, 0);
	bed_come(&b, 0, 1);
	bed_expect_run(&b, 40, 1, 36); /* small, 4 of 40 are left */
	bed_expect(&b, 40, 0);	       /* now it is its turn */
	bed_come(&b, 0, 1);	       /* left the main queue: no ghost */
	bed_expect_run(&b, 40, 37, 3);
	bed_expect(&b, 40, 0);
	bed_free(&b);
}

static void s3fifo_makes_no_ghost_of_what_was_given_back(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	bed_come(&b, 0, 20);
	bed_expect(&b, 20, 0); /* it knows the size of the cache now */
	bed_leave(&b, 5);
	bed_come(&b, 5, 1); /* on the small queue, and its youngest */
	bed_expect_run(&b, 20, 1, 4);
	bed_expect_run(&b, 20, 6, 14);
	bed_expect(&b, 20, 5);
	bed_free(&b);
}

static void s3fifo_gets_past_pinned_newcomers(void **state)
{
	far_pgno_t pg = 0;
	unsigned nr = 0;
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	bed_come(&b, 0, 100);
	memset(b.is_used, true, 100);
	/* one pick moves the first 64 to the main queue */
	assert_int_equal(bed_pick(&b, 200, &pg, 1), 0);
	bed_come(&b, 100, 500);
	memset(b.is_evictable + 100, false, 500);
	for (unsigned picks = 0; picks < 10 && !nr; picks++)
		nr = bed_pick(&b, 200, &pg, 1);
	assert_int_equal(nr, 1);
	assert_int_equal(pg, 0);
	bed_free(&b);
}

static void s3fifo_counts_no_victim_as_small_before_it_is_gone(void **state)
{
	far_pgno_t pgs[32];
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	bed_come(&b, 0, 80);
	memset(b.is_used, true, 80);
	bed_come(&b, 100, 20);
	assert_int_equal(bed_pick(&b, 100, pgs, 10), 10); /* none is out yet */
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(pgs[i], 100 + i);
		b.is_evictable[pgs[i]] = false; /* on its way */
	}
	assert_int_equal(bed_pick(&b, 100, pgs, 32), 32);
	assert_int_equal(pgs[0], 110); /* the tenth is reached with this one */
	for (unsigned i = 1; i < 32; i++)
		assert_int_equal(pgs[i], i - 1);
	bed_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s3fifo_lets_go_first_of_what_was_used_once),
		cmocka_unit_test(
			s3fifo_remembers_ghosts_for_nine_tenths_of_the_cache),
		cmocka_unit_test(s3fifo_keeps_a_ghost_that_came_back),
		cmocka_unit_test(s3fifo_makes_no_ghost_of_what_was_given_back),
		cmocka_unit_test(s3fifo_gets_past_pinned_newcomers),
		cmocka_unit_test(
			s3fifo_counts_no_victim_as_small_before_it_is_gone),
	};

	return cmocka_run_group_tests_name("evictor.policy_s3fifo", tests, NULL,
					   NULL);
}
