/* SPDX-License-Identifier: BSD-3-Clause */
/* Each policy alone: what it promises, and what the model of a pager finds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <far/evict.h>

#include "tests/evictor/policy_bed.h"
#include "tests/evictor/policy_model.h"

/* --- the registry and what all share -------------------------------------- */

static const char *const names[] = {"clock", "fifo", "s3fifo", "refault"};
#define NR_NAMES (sizeof(names) / sizeof(names[0]))

static void find_knows_all_names_and_no_others(void **state)
{
	static const char *const others[] = {"",      "Clock",	 "fif",
					     "fifo2", "s3fifo ", "lru"};

	(void)state;
	for (size_t i = 0; i < NR_NAMES; i++) {
		const struct far_evict_policy_ops *ops =
			far_evict_policy_find(names[i]);

		assert_non_null(ops);
		assert_string_equal(ops->name, names[i]);
		assert_int_equal(ops->size, sizeof(*ops));
		assert_true(ops->footprint && ops->init && ops->pick);
		assert_true(ops->page_in && ops->page_out);
		assert_int_equal(ops->wants_events, names[i][0] != 'c');
		assert_int_equal(ops->is_lockless, names[i][0] == 'r');
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_null(far_evict_policy_find(others[i]));
	assert_null(far_evict_policy_find(NULL));
}

static void init_refuses_no_memory_and_no_pages(void **state)
{
	uint64_t mem[64] = {0};

	(void)state;
	for (size_t i = 0; i < NR_NAMES; i++) {
		const struct far_evict_policy_ops *ops =
			far_evict_policy_find(names[i]);
		struct far_policy *p = (void *)mem;

		assert_int_equal(ops->init(NULL, 1, &p), -EINVAL);
		assert_int_equal(ops->init(mem, 0, &p), -EINVAL);
		assert_ptr_equal(p, mem);
	}
}

static void pick_of_none_and_of_nothing_is_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_NAMES; i++) {
		far_pgno_t pg = 77;
		struct bed b;

		bed_make(&b, names[i]);
		assert_int_equal(bed_pick(&b, 10, &pg, 1), 0);
		bed_come(&b, 3, 5);
		assert_int_equal(bed_pick(&b, 10, &pg, 0), 0);
		assert_int_equal(pg, 77);
		b.view.nr_pages = 0;
		assert_int_equal(bed_pick(&b, 10, &pg, 1), 0);
		bed_free(&b);
	}
}

static size_t nr_populated(void *mem, size_t len)
{
	static unsigned char vec[1 << 14];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), nr = 0;
	size_t step = sizeof(vec) * page;

	for (size_t at = 0; at < len; at += step) {
		size_t n = len - at < step ? len - at : step;

		assert_int_equal(mincore((char *)mem + at, n, vec), 0);
		for (size_t i = 0; i < (n + page - 1) / page; i++)
			nr += vec[i] & 1;
	}
	return nr;
}

/* The last page numbers of 16 TiB work, and cost memory only where used. */
static void the_largest_space_costs_what_is_used_of_it(void **state)
{
	const far_pgno_t max = UINT32_MAX;

	(void)state;
	for (size_t i = 1; i < NR_NAMES; i++) {
		struct bed b;
		size_t len;

		memset(&b, 0, sizeof(b));
		b.ops = far_evict_policy_find(names[i]);
		len = b.ops->footprint(max);
		assert_true(len <= (size_t)max * 9 + 4096);
		b.mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			     0);
		if (b.mem == MAP_FAILED)
			skip();
		/* A huge page would populate what nobody touched. */
		(void)madvise(b.mem, len, MADV_NOHUGEPAGE);
		assert_int_equal(b.ops->init(b.mem, max, &b.p), 0);
		b.ops->page_in(b.p, max - 1);
		b.ops->page_in(b.p, max - 2);
		b.ops->page_in(b.p, 0);
		b.ops->page_out(b.p, max - 2);
		b.ops->page_out(b.p, 0);
		b.ops->page_out(b.p, max - 1);
		assert_true(nr_populated(b.mem, len) <= 8);
		assert_int_equal(munmap(b.mem, len), 0);
	}
}

static void pinned_pages_do_not_stop_the_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_NAMES; i++) {
		far_pgno_t pg = 0;
		unsigned nr = 0, picks;
		struct bed b;

		bed_make(&b, names[i]);
		bed_come(&b, 0, BED_PAGES);
		for (far_pgno_t p = 0; p < BED_PAGES - 1; p++)
			b.is_evictable[p] = false;
		for (picks = 0; picks < 3 * BED_PAGES / 64 && !nr; picks++) {
			b.nr_visits = 0;
			nr = bed_pick(&b, BED_PAGES, &pg, 1);
			assert_in_range(b.nr_visits, 0, 64);
		}
		assert_int_equal(nr, 1);
		assert_int_equal(pg, BED_PAGES - 1);
		bed_free(&b);
	}
}

static void pages_all_in_use_leave_in_the_second_round(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_NAMES; i++) {
		far_pgno_t pgs[64];
		struct bed b;

		bed_make(&b, names[i]);
		bed_come(&b, 0, 64);
		b.view.nr_pages = 64;
		memset(b.is_used, true, 64);
		assert_int_equal(bed_pick(&b, 64, pgs, 64), 0);
		assert_int_equal(bed_pick(&b, 64, pgs, 64), 64);
		for (unsigned k = 0; k < 64; k++)
			assert_int_equal(pgs[k], k);
		bed_free(&b);
	}
}

/* --- clock ---------------------------------------------------------------- */

static void clock_takes_runs_in_address_order(void **state)
{
	far_pgno_t pgs[8];
	struct bed b;

	(void)state;
	bed_make(&b, "clock");
	bed_come(&b, 100, 4);
	bed_come(&b, 40, 3);
	b.is_used[41] = true;
	assert_int_equal(bed_pick(&b, BED_PAGES, pgs, 8), 6);
	assert_int_equal(pgs[0], 40);
	assert_int_equal(pgs[1], 42);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pgs[2 + i], 100 + i);
	bed_free(&b);
}

static void clock_goes_on_where_it_stopped(void **state)
{
	far_pgno_t pgs[4];
	struct bed b;

	(void)state;
	bed_make(&b, "clock");
	bed_come(&b, 0, 6);
	b.view.nr_pages = 6;
	assert_int_equal(bed_pick(&b, 6, pgs, 4), 4);
	assert_int_equal(pgs[3], 3);
	assert_int_equal(bed_pick(&b, 6, pgs, 4), 4); /* around the end */
	assert_int_equal(pgs[0], 4);
	assert_int_equal(pgs[2], 0);
	b.view.nr_pages = 2; /* the space shrinks under the hand */
	assert_int_equal(bed_pick(&b, 6, pgs, 4), 2);
	bed_free(&b);
}

static void clock_looks_at_64_pages_and_returns(void **state)
{
	far_pgno_t pg;
	struct bed b;

	(void)state;
	bed_make(&b, "clock");
	bed_come(&b, 130, 1);
	assert_int_equal(bed_pick(&b, BED_PAGES, &pg, 1), 0);
	assert_int_equal(b.nr_visits, 64);
	assert_int_equal(bed_pick(&b, BED_PAGES, &pg, 1), 0);
	assert_int_equal(bed_pick(&b, BED_PAGES, &pg, 1), 1);
	assert_int_equal(pg, 130);
	assert_int_equal(b.nr_visits, 131);
	bed_free(&b);
}

/* --- refault -------------------------------------------------------------- */

/* Picks from 64 pages, one after the other, and brings back what left, but not
 * before the hand has gone @lag further.  How often page 5 left. */
static unsigned departures(unsigned nr_picks, unsigned lag)
{
	far_pgno_t out[64];
	unsigned nr_out = 0, nr = 0;
	struct bed b;

	bed_make(&b, "refault");
	b.view.nr_pages = 64;
	bed_come(&b, 0, 64);
	for (unsigned i = 0; i < nr_picks; i++) {
		far_pgno_t pg;

		if (!bed_pick(&b, 64, &pg, 1))
			continue;
		bed_leave(&b, pg);
		nr += pg == 5;
		if (pg == 5) /* the hot one: missed at once */
			bed_come(&b, pg, 1);
		else
			out[nr_out++] = pg;
		if (nr_out <= lag)
			continue;
		bed_come(&b, out[0], 1);
		memmove(out, out + 1, --nr_out * sizeof(out[0]));
	}
	bed_free(&b);
	return nr;
}

static void refault_keeps_who_comes_back_at_once(void **state)
{
	(void)state;
	/* Ten rounds and more: the others come back after half of one. */
	assert_in_range(departures(640, 40), 1, 2);
	/* If all come back at once, nobody is better than the others. */
	assert_in_range(departures(640, 0), 4, 16);
}

static void refault_finds_a_victim_where_all_have_earned_a_stay(void **state)
{
	far_pgno_t pg;
	struct bed b;

	(void)state;
	bed_make(&b, "refault");
	b.view.nr_pages = 64;
	bed_come(&b, 0, 64);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(bed_pick(&b, 64, &pg, 1), 1);
		bed_leave(&b, pg);
		bed_come(&b, pg, 1);
	}
	b.nr_visits = 0;
	while (!bed_pick(&b, 64, &pg, 1))
		assert_in_range(b.nr_visits, 0, 2 * 64);
	bed_free(&b);
}

/* --- fifo ----------------------------------------------------------------- */

static void fifo_keeps_the_order_of_arrival(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "fifo");
	bed_come(&b, 9, 1);
	bed_come(&b, 2, 3);
	bed_come(&b, 9, 1); /* again: no change */
	bed_come(&b, 7, 1);
	bed_leave(&b, 3);
	bed_leave(&b, 500); /* never came */
	bed_leave(&b, 3);   /* twice */
	b.ops->page_in(b.p, BED_PAGES);
	b.ops->page_out(b.p, UINT32_MAX);
	b.is_used[9] = true;
	bed_expect(&b, 10, 2);
	bed_expect(&b, 10, 4);
	bed_expect(&b, 10, 7);
	bed_expect(&b, 10, 9);
	bed_free(&b);
}

static void fifo_gives_a_victim_that_stayed_another_round(void **state)
{
	far_pgno_t pgs[2];
	struct bed b;

	(void)state;
	bed_make(&b, "fifo");
	bed_come(&b, 0, 3);
	assert_int_equal(bed_pick(&b, 3, pgs, 1), 1);
	assert_int_equal(pgs[0], 0); /* and it was touched: no page_out */
	bed_expect_run(&b, 3, 1, 2);
	bed_expect(&b, 3, 0);
	bed_free(&b);
}

/* Against a queue that is moved by hand, over many random histories. */
static void fifo_is_a_queue_with_second_chances(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		far_pgno_t queue[64], pg;
		unsigned len = 0, tries;
		struct bed b;

		bed_make(&b, "fifo");
		srand(seed);
		for (unsigned step = 0; step < 2000; step++) {
			pg = (far_pgno_t)rand() % 64;
			if (b.is_evictable[pg])
				b.is_used[pg] = true;
			else if (len < 40) {
				bed_come(&b, pg, 1);
				queue[len++] = pg;
			}
			if (len < 40)
				continue;
			for (tries = 0; b.is_used[queue[0]]; tries++) {
				pg = queue[0];
				b.is_used[pg] = false;
				memmove(queue, queue + 1,
					(len - 1) * sizeof(pg));
				queue[len - 1] = pg;
			}
			/* the model took the marks: put them back */
			for (unsigned i = 0; i < tries; i++)
				b.is_used[queue[len - 1 - i]] = true;
			pg = queue[0];
			memmove(queue, queue + 1, --len * sizeof(pg));
			bed_expect(&b, 40, pg);
		}
		bed_free(&b);
	}
}

/* --- all of them, by the model -------------------------------------------- */

static uint64_t mix64(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void no_history_breaks_a_policy(void **state)
{
	static uint8_t data[6000];
	char why[200] = "";

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t rng = seed;
		size_t len = 20 + seed * 20 % sizeof(data);

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(mix64(&rng) >> 32);
		for (size_t i = 0; i < NR_NAMES; i++)
			if (policy_model_run(far_evict_policy_find(names[i]),
					     data, len, why, sizeof(why)))
				fail_msg("seed %u: %s", (unsigned)seed, why);
	}
}

/* The model has teeth: policies with one fault each are caught. */
static const struct far_evict_policy_ops *sound;

static unsigned pick_twice(struct far_policy *p,
			   const struct far_policy_view *view, uint64_t local,
			   far_pgno_t *ret_pg, unsigned max)
{
	unsigned nr = sound->pick(p, view, local, ret_pg, max);

	if (nr && nr < max) {
		ret_pg[nr] = ret_pg[0];
		nr++;
	}
	return nr;
}

static unsigned pick_blindly(struct far_policy *p,
			     const struct far_policy_view *view, uint64_t local,
			     far_pgno_t *ret_pg, unsigned max)
{
	(void)p;
	(void)view;
	(void)local;
	if (max)
		ret_pg[0] = 5;
	return max ? 1 : 0;
}

static void forget_some(struct far_policy *p, far_pgno_t pg)
{
	if (pg % 50 != 7)
		sound->page_in(p, pg);
}

static void the_model_catches_faulty_policies(void **state)
{
	struct far_evict_policy_ops bad[3];
	uint8_t data[1200];
	char why[200];

	(void)state;
	sound = far_evict_policy_find("fifo");
	bad[0] = bad[1] = bad[2] = *sound;
	bad[0].pick = pick_twice;
	bad[1].pick = pick_blindly;
	bad[2].page_in = forget_some;
	for (unsigned i = 0; i < 3; i++) {
		unsigned nr_caught = 0;

		for (uint64_t seed = 1; seed <= 10; seed++) {
			uint64_t rng = seed;

			for (size_t k = 0; k < sizeof(data); k++)
				data[k] = (uint8_t)(mix64(&rng) >> 32);
			nr_caught +=
				policy_model_run(&bad[i], data, sizeof(data),
						 why, sizeof(why)) != 0;
		}
		assert_int_equal(nr_caught, 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_knows_all_names_and_no_others),
		cmocka_unit_test(init_refuses_no_memory_and_no_pages),
		cmocka_unit_test(pick_of_none_and_of_nothing_is_none),
		cmocka_unit_test(the_largest_space_costs_what_is_used_of_it),
		cmocka_unit_test(pinned_pages_do_not_stop_the_others),
		cmocka_unit_test(pages_all_in_use_leave_in_the_second_round),
		cmocka_unit_test(clock_takes_runs_in_address_order),
		cmocka_unit_test(clock_goes_on_where_it_stopped),
		cmocka_unit_test(clock_looks_at_64_pages_and_returns),
		cmocka_unit_test(refault_keeps_who_comes_back_at_once),
		cmocka_unit_test(
			refault_finds_a_victim_where_all_have_earned_a_stay),
		cmocka_unit_test(fifo_keeps_the_order_of_arrival),
		cmocka_unit_test(fifo_gives_a_victim_that_stayed_another_round),
		cmocka_unit_test(fifo_is_a_queue_with_second_chances),
		cmocka_unit_test(no_history_breaks_a_policy),
		cmocka_unit_test(the_model_catches_faulty_policies),
	};

	return cmocka_run_group_tests_name("evictor.policy", tests, NULL, NULL);
}
