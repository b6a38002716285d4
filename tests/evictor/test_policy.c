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

#include "tests/evictor/policy_model.h"

#define PAGES 1024

/* A policy and the pages it sees. */
struct bed {
	const struct far_evict_policy_ops *ops;
	struct far_policy *p;
	void *mem;
	struct far_policy_view view;
	bool is_evictable[PAGES];
	bool is_used[PAGES];
	unsigned nr_visits;
};

static bool bed_is_evictable(void *ctx, far_pgno_t pg)
{
	struct bed *b = ctx;

	assert_true(pg < b->view.nr_pages);
	b->nr_visits++;
	return b->is_evictable[pg];
}

static bool bed_take_ref(void *ctx, far_pgno_t pg)
{
	struct bed *b = ctx;
	bool was = b->is_used[pg];

	b->is_used[pg] = false;
	return was;
}

static void bed_make(struct bed *b, const char *name)
{
	memset(b, 0, sizeof(*b));
	b->ops = far_evict_policy_find(name);
	assert_non_null(b->ops);
	b->mem = calloc(1, b->ops->footprint(PAGES));
	assert_non_null(b->mem);
	assert_int_equal(b->ops->init(b->mem, PAGES, &b->p), 0);
	b->view = (struct far_policy_view){ b, bed_is_evictable, bed_take_ref,
					    PAGES };
}

static void bed_free(struct bed *b)
{
	free(b->mem);
}

static void come(struct bed *b, far_pgno_t first, far_pgno_t nr)
{
	for (far_pgno_t pg = first; pg < first + nr; pg++) {
		b->is_evictable[pg] = true;
		b->ops->page_in(b->p, pg);
	}
}

static void leave(struct bed *b, far_pgno_t pg)
{
	b->is_evictable[pg] = b->is_used[pg] = false;
	b->ops->page_out(b->p, pg);
}

static unsigned pick(struct bed *b, uint64_t local, far_pgno_t *ret_pg,
		     unsigned max)
{
	return b->ops->pick(b->p, &b->view, local, ret_pg, max);
}

/* Picks and evicts one page, which has to be @pg; used ones may delay it. */
static void expect_victim(struct bed *b, uint64_t local, far_pgno_t pg)
{
	unsigned nr = 0;
	far_pgno_t got;

	for (unsigned picks = 0; picks < PAGES / 64 && !nr; picks++)
		nr = pick(b, local, &got, 1);
	assert_int_equal(nr, 1);
	assert_int_equal(got, pg);
	leave(b, pg);
}

/* Picks and evicts the pages [@first, @first + @nr), in that order. */
static void expect_victims(struct bed *b, uint64_t local, far_pgno_t first,
			   far_pgno_t nr)
{
	for (far_pgno_t pg = first; pg < first + nr; pg++)
		expect_victim(b, local, pg);
}

/* --- the registry and what all share -------------------------------------- */

static const char *const names[] = { "clock", "fifo", "s3fifo" };
#define NR_NAMES (sizeof(names) / sizeof(names[0]))

static void find_knows_three_names_and_no_others(void **state)
{
	static const char *const others[] = { "", "Clock", "fif", "fifo2",
					      "s3fifo ", "lru" };

	(void)state;
	for (size_t i = 0; i < NR_NAMES; i++) {
		const struct far_evict_policy_ops *ops =
			far_evict_policy_find(names[i]);

		assert_non_null(ops);
		assert_string_equal(ops->name, names[i]);
		assert_int_equal(ops->size, sizeof(*ops));
		assert_true(ops->footprint && ops->init && ops->pick);
		assert_true(ops->page_in && ops->page_out);
		assert_int_equal(ops->wants_events, i != 0);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_null(far_evict_policy_find(others[i]));
	assert_null(far_evict_policy_find(NULL));
}

static void init_refuses_no_memory_and_no_pages(void **state)
{
	uint64_t mem[64] = { 0 };

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
		assert_int_equal(pick(&b, 10, &pg, 1), 0);
		come(&b, 3, 5);
		assert_int_equal(pick(&b, 10, &pg, 0), 0);
		assert_int_equal(pg, 77);
		b.view.nr_pages = 0;
		assert_int_equal(pick(&b, 10, &pg, 1), 0);
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
		come(&b, 0, PAGES);
		for (far_pgno_t p = 0; p < PAGES - 1; p++)
			b.is_evictable[p] = false;
		for (picks = 0; picks < 3 * PAGES / 64 && !nr; picks++) {
			b.nr_visits = 0;
			nr = pick(&b, PAGES, &pg, 1);
			assert_in_range(b.nr_visits, 0, 64);
		}
		assert_int_equal(nr, 1);
		assert_int_equal(pg, PAGES - 1);
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
		come(&b, 0, 64);
		b.view.nr_pages = 64;
		memset(b.is_used, true, 64);
		assert_int_equal(pick(&b, 64, pgs, 64), 0);
		assert_int_equal(pick(&b, 64, pgs, 64), 64);
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
	come(&b, 100, 4);
	come(&b, 40, 3);
	b.is_used[41] = true;
	assert_int_equal(pick(&b, PAGES, pgs, 8), 6);
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
	come(&b, 0, 6);
	b.view.nr_pages = 6;
	assert_int_equal(pick(&b, 6, pgs, 4), 4);
	assert_int_equal(pgs[3], 3);
	assert_int_equal(pick(&b, 6, pgs, 4), 4); /* around the end */
	assert_int_equal(pgs[0], 4);
	assert_int_equal(pgs[2], 0);
	b.view.nr_pages = 2; /* the space shrinks under the hand */
	assert_int_equal(pick(&b, 6, pgs, 4), 2);
	bed_free(&b);
}

static void clock_looks_at_64_pages_and_returns(void **state)
{
	far_pgno_t pg;
	struct bed b;

	(void)state;
	bed_make(&b, "clock");
	come(&b, 130, 1);
	assert_int_equal(pick(&b, PAGES, &pg, 1), 0);
	assert_int_equal(b.nr_visits, 64);
	assert_int_equal(pick(&b, PAGES, &pg, 1), 0);
	assert_int_equal(pick(&b, PAGES, &pg, 1), 1);
	assert_int_equal(pg, 130);
	assert_int_equal(b.nr_visits, 131);
	bed_free(&b);
}

/* --- fifo ----------------------------------------------------------------- */

static void fifo_keeps_the_order_of_arrival(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "fifo");
	come(&b, 9, 1);
	come(&b, 2, 3);
	come(&b, 9, 1); /* again: no change */
	come(&b, 7, 1);
	leave(&b, 3);
	leave(&b, 500); /* never came */
	leave(&b, 3);	/* twice */
	b.ops->page_in(b.p, PAGES);
	b.ops->page_out(b.p, UINT32_MAX);
	b.is_used[9] = true;
	expect_victim(&b, 10, 2);
	expect_victim(&b, 10, 4);
	expect_victim(&b, 10, 7);
	expect_victim(&b, 10, 9);
	bed_free(&b);
}

static void fifo_gives_a_victim_that_stayed_another_round(void **state)
{
	far_pgno_t pgs[2];
	struct bed b;

	(void)state;
	bed_make(&b, "fifo");
	come(&b, 0, 3);
	assert_int_equal(pick(&b, 3, pgs, 1), 1);
	assert_int_equal(pgs[0], 0); /* and it was touched: no page_out */
	expect_victims(&b, 3, 1, 2);
	expect_victim(&b, 3, 0);
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
				come(&b, pg, 1);
				queue[len++] = pg;
			}
			if (len < 40)
				continue;
			for (tries = 0; b.is_used[queue[0]]; tries++) {
				pg = queue[0];
				b.is_used[pg] = false;
				memmove(queue, queue + 1, (len - 1) * sizeof(pg));
				queue[len - 1] = pg;
			}
			/* the model took the marks: put them back */
			for (unsigned i = 0; i < tries; i++)
				b.is_used[queue[len - 1 - i]] = true;
			pg = queue[0];
			memmove(queue, queue + 1, --len * sizeof(pg));
			expect_victim(&b, 40, pg);
		}
		bed_free(&b);
	}
}

/* --- s3fifo --------------------------------------------------------------- */

static void s3fifo_lets_go_first_of_what_was_used_once(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	come(&b, 0, 90);
	memset(b.is_used, true, 90);
	come(&b, 200, 20); /* used once */
	/* 10 % of 110 are kept for newcomers */
	expect_victims(&b, 110, 200, 10);
	/* then the main queue gives what was not used again */
	expect_victim(&b, 110, 0);
	expect_victim(&b, 110, 1);
	come(&b, 300, 3);
	expect_victims(&b, 110, 210, 3);
	bed_free(&b);
}

static void s3fifo_remembers_ghosts_for_nine_tenths_of_the_cache(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	come(&b, 0, 30);
	expect_victims(&b, 20, 0, 19); /* one ghost more than 18 */
	come(&b, 0, 1);		       /* forgotten: on the small queue */
	come(&b, 1, 1);		       /* just remembered: on the main one */
	expect_victims(&b, 20, 19, 11);
	/* the small queue is down to its tenth, that is page 0 and no more */
	expect_victim(&b, 20, 1);
	expect_victim(&b, 20, 0);
	bed_free(&b);
}

static void s3fifo_keeps_a_ghost_that_came_back(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	come(&b, 0, 40);
	expect_victim(&b, 40, 0);
	come(&b, 0, 1);
	expect_victims(&b, 40, 1, 36); /* small, 4 of 40 are left */
	expect_victim(&b, 40, 0);      /* now it is its turn */
	come(&b, 0, 1);		       /* left the main queue: no ghost */
	expect_victims(&b, 40, 37, 3);
	expect_victim(&b, 40, 0);
	bed_free(&b);
}

static void s3fifo_makes_no_ghost_of_what_was_given_back(void **state)
{
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	come(&b, 0, 20);
	leave(&b, 0);
	come(&b, 0, 1); /* back on the small queue, and its youngest */
	come(&b, 20, 1);
	expect_victims(&b, 10, 1, 19);
	expect_victim(&b, 10, 0);
	expect_victim(&b, 10, 20);
	bed_free(&b);
}

static void s3fifo_counts_no_victim_as_small_before_it_is_gone(void **state)
{
	far_pgno_t pgs[32];
	struct bed b;

	(void)state;
	bed_make(&b, "s3fifo");
	come(&b, 0, 80);
	memset(b.is_used, true, 80);
	come(&b, 100, 20);
	assert_int_equal(pick(&b, 100, pgs, 10), 10); /* none is out yet */
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(pgs[i], 100 + i);
		b.is_evictable[pgs[i]] = false; /* on its way */
	}
	assert_int_equal(pick(&b, 100, pgs, 32), 32);
	assert_int_equal(pgs[0], 110); /* the tenth is reached with this one */
	for (unsigned i = 1; i < 32; i++)
		assert_int_equal(pgs[i], i - 1);
	bed_free(&b);
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
			nr_caught += policy_model_run(&bad[i], data,
						      sizeof(data), why,
						      sizeof(why)) != 0;
		}
		assert_int_equal(nr_caught, 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(find_knows_three_names_and_no_others),
		cmocka_unit_test(init_refuses_no_memory_and_no_pages),
		cmocka_unit_test(pick_of_none_and_of_nothing_is_none),
		cmocka_unit_test(the_largest_space_costs_what_is_used_of_it),
		cmocka_unit_test(pinned_pages_do_not_stop_the_others),
		cmocka_unit_test(pages_all_in_use_leave_in_the_second_round),
		cmocka_unit_test(clock_takes_runs_in_address_order),
		cmocka_unit_test(clock_goes_on_where_it_stopped),
		cmocka_unit_test(clock_looks_at_64_pages_and_returns),
		cmocka_unit_test(fifo_keeps_the_order_of_arrival),
		cmocka_unit_test(fifo_gives_a_victim_that_stayed_another_round),
		cmocka_unit_test(fifo_is_a_queue_with_second_chances),
		cmocka_unit_test(s3fifo_lets_go_first_of_what_was_used_once),
		cmocka_unit_test(
			s3fifo_remembers_ghosts_for_nine_tenths_of_the_cache),
		cmocka_unit_test(s3fifo_keeps_a_ghost_that_came_back),
		cmocka_unit_test(s3fifo_makes_no_ghost_of_what_was_given_back),
		cmocka_unit_test(
			s3fifo_counts_no_victim_as_small_before_it_is_gone),
		cmocka_unit_test(no_history_breaks_a_policy),
		cmocka_unit_test(the_model_catches_faulty_policies),
	};

	return cmocka_run_group_tests_name("evictor.policy", tests, NULL,
					   NULL);
}
