/* SPDX-License-Identifier: BSD-3-Clause */
/* Prefetch by what a program did before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/pager/guide.h"

#define MAX 16
#define NR_PAGES 997u /* prime: a step through them meets each */

/** struct bed - a sequence, a cursor, and which pages were fetched */
struct bed {
	struct far_guided s;
	struct far_guide g;
	bool is_here[NR_PAGES];
	unsigned faults, fetched, useful, wasted;
};

static void bed_init(struct bed *b, uint32_t nr)
{
	far_pgno_t *pages = calloc(nr, sizeof(*pages));
	uint32_t *order = calloc(nr, sizeof(*order));

	assert_true(pages && order);
	memset(b, 0, sizeof(*b));
	b->s = (struct far_guided){.pages = pages, .order = order, .nr = nr};
}

static void bed_index(struct bed *b)
{
	uint32_t *spare = calloc(b->s.nr + 1, sizeof(*spare));

	assert_non_null(spare);
	guide_index(b->s.pages, b->s.nr, (uint32_t *)(uintptr_t)b->s.order,
		    spare);
	free(spare);
}

static void bed_put(struct bed *b, uint32_t at, far_pgno_t pg)
{
	((far_pgno_t *)(uintptr_t)b->s.pages)[at] = pg;
}

static void bed_fini(struct bed *b)
{
	free((void *)(uintptr_t)b->s.pages);
	free((void *)(uintptr_t)b->s.order);
}

/* The page of entry @i: scattered, each once in NR_PAGES. */
static far_pgno_t scattered(uint32_t i)
{
	return (far_pgno_t)((uint64_t)i * i * i % 7919 * 389 + i) % NR_PAGES;
}

static far_pgno_t stepped(uint32_t i)
{
	return (far_pgno_t)((uint64_t)i * 389 % NR_PAGES);
}

/* A trace of the stepped pages, four times over. */
static void bed_stepped(struct bed *b)
{
	bed_init(b, 4 * NR_PAGES);
	for (uint32_t i = 0; i < b->s.nr; i++)
		bed_put(b, i, stepped(i));
	bed_index(b);
}

/* The program touches @pg, which leaves again at once. */
static void touch(struct bed *b, far_pgno_t pg)
{
	struct far_window w;
	unsigned nr = 0;

	if (b->is_here[pg]) {
		b->is_here[pg] = false;
		return;
	}
	b->faults++;
	guide_fault(&b->g, &b->s, pg, MAX, &w);
	b->useful += w.nr_useful;
	b->wasted += w.nr_wasted;
	assert_true(w.nr <= MAX);
	for (unsigned i = 0; i < w.nr; i++) {
		assert_true(w.pages + i < b->s.pages + b->s.nr);
		nr += !b->is_here[w.pages[i]];
		b->is_here[w.pages[i]] = true;
	}
	b->fetched += nr;
	if (w.guide)
		guide_fetched(&w, w.nr, nr);
}

static void the_index_is_sorted_and_whole(void **state)
{
	bool seen[5000] = {false};
	struct bed b;

	(void)state;
	bed_init(&b, 5000);
	for (uint32_t i = 0; i < b.s.nr; i++)
		bed_put(&b, i, (far_pgno_t)rand() % 300 * 0x1234567);
	bed_index(&b);
	for (uint32_t i = 0; i < b.s.nr; i++) {
		uint32_t at = b.s.order[i], was;

		assert_in_range(at, 0, b.s.nr - 1);
		assert_false(seen[at]);
		seen[at] = true;
		if (!i)
			continue;
		was = b.s.order[i - 1];
		assert_true(b.s.pages[was] < b.s.pages[at] ||
			    (b.s.pages[was] == b.s.pages[at] && was < at));
	}
	bed_fini(&b);
}

static void the_same_again_is_fetched(void **state)
{
	struct bed b;

	(void)state;
	bed_stepped(&b);
	for (uint32_t i = 0; i < b.s.nr; i++)
		touch(&b, stepped(i));
	/* two to find the place, and then one in MAX + 1 */
	assert_in_range(b.faults, 1, b.s.nr / (MAX + 1) + 10);
	assert_true(b.useful > b.s.nr / (MAX + 1) * (MAX - 1));
	assert_int_equal(b.wasted, 0);
	bed_fini(&b);
}

static void a_start_in_the_middle_is_found(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, NR_PAGES);
	for (uint32_t i = 0; i < b.s.nr; i++)
		bed_put(&b, i, stepped(i));
	bed_index(&b);
	for (uint32_t i = 500; i < b.s.nr; i++)
		touch(&b, stepped(i));
	assert_in_range(b.faults, 1, (b.s.nr - 500) / (MAX + 1) + 10);
	/* and over its end, from the start again */
	for (uint32_t i = 0; i < b.s.nr; i++)
		touch(&b, stepped(i));
	assert_in_range(b.faults, 1, (2 * b.s.nr - 500) / (MAX + 1) + 30);
	bed_fini(&b);
}

static void strays_do_not_lead_away(void **state)
{
	struct bed b;

	(void)state;
	bed_stepped(&b);
	for (uint32_t i = 0; i < b.s.nr; i++) {
		touch(&b, stepped(i));
		if (i % 10 == 9) /* one that is not due */
			touch(&b, stepped(i + 400));
	}
	assert_in_range(b.faults - b.s.nr / 10, 0, b.s.nr / 4);
	assert_true(b.useful > b.s.nr / 2);
	bed_fini(&b);
}

static void entries_that_need_no_fault_are_passed_over(void **state)
{
	struct bed b;

	(void)state;
	bed_stepped(&b);
	for (uint32_t i = 0; i < b.s.nr; i++)
		if (i % 40 < 20) /* the others are local this time */
			touch(&b, stepped(i));
	assert_in_range(b.faults, 1, b.s.nr / 2 / 4);
	bed_fini(&b);
}

static void what_it_does_not_know_it_leaves_alone(void **state)
{
	struct bed b;

	(void)state;
	bed_stepped(&b);
	for (uint32_t i = 0; i < 20000; i++)
		touch(&b, scattered(i + 7));
	assert_in_range(b.fetched, 0, 20000 / 100);
	assert_int_equal(b.useful > b.fetched, false);
	bed_fini(&b);
}

static void depth_follows_what_was_right(void **state)
{
	struct far_window w;
	struct bed b;

	(void)state;
	bed_init(&b, 300);
	for (uint32_t i = 0; i < b.s.nr; i++)
		bed_put(&b, i, 2 * i);
	bed_index(&b);
	guide_fault(&b.g, &b.s, 0, MAX, &w);
	assert_int_equal(w.nr, 0);
	guide_fault(&b.g, &b.s, 2, MAX, &w);
	assert_int_equal(w.nr, 4);
	assert_ptr_equal(w.pages, b.s.pages + 2);
	guide_fetched(&w, 4, 3);
	guide_fault(&b.g, &b.s, 12, MAX, &w); /* behind it */
	assert_int_equal(w.nr_useful, 3);
	assert_int_equal(w.nr, 8);
	guide_fetched(&w, 8, 8);
	guide_fault(&b.g, &b.s, 20, MAX, &w); /* in it: too late */
	assert_int_equal(w.nr_useful, 8);
	assert_int_equal(w.nr, MAX);
	assert_ptr_equal(w.pages, b.s.pages + 6 + 9);
	guide_fetched(&w, 2, 2); /* there was room for two */
	assert_int_equal(b.g.window, 4 + 2);
	for (unsigned i = 0; i < GUIDE_STRAYS; i++)
		guide_fault(&b.g, &b.s, 1001 + i, MAX, &w);
	assert_int_equal(w.nr_wasted, 2);
	guide_fault(&b.g, &b.s, 32, MAX, &w);
	assert_int_equal(w.nr, 0);
	bed_fini(&b);
}

static void the_end_is_not_passed(void **state)
{
	struct far_window w;
	struct bed b;

	(void)state;
	for (uint32_t nr = 0; nr < 5; nr++) {
		bed_init(&b, nr + !nr);
		b.s.nr = nr;
		for (uint32_t i = 0; i < nr; i++)
			bed_put(&b, i, i);
		bed_index(&b);
		for (unsigned round = 0; round < 3; round++)
			for (far_pgno_t pg = 0; pg < 6; pg++) {
				guide_fault(&b.g, &b.s, pg, MAX, &w);
				if (!w.nr)
					continue;
				assert_true(w.pages + w.nr <= b.s.pages + nr);
				guide_fetched(&w, w.nr, 0);
			}
		bed_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_index_is_sorted_and_whole),
		cmocka_unit_test(the_same_again_is_fetched),
		cmocka_unit_test(a_start_in_the_middle_is_found),
		cmocka_unit_test(strays_do_not_lead_away),
		cmocka_unit_test(entries_that_need_no_fault_are_passed_over),
		cmocka_unit_test(what_it_does_not_know_it_leaves_alone),
		cmocka_unit_test(depth_follows_what_was_right),
		cmocka_unit_test(the_end_is_not_passed),
	};

	return cmocka_run_group_tests_name("libfar.guide", tests, NULL, NULL);
}
