/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/evictor/policy_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

void bed_make(struct bed *b, const char *name)
{
	memset(b, 0, sizeof(*b));
	b->ops = far_evict_policy_find(name);
	assert_non_null(b->ops);
	b->mem = calloc(1, b->ops->footprint(BED_PAGES));
	assert_non_null(b->mem);
	assert_int_equal(b->ops->init(b->mem, BED_PAGES, &b->p), 0);
	b->view = (struct far_policy_view){b, bed_is_evictable, bed_take_ref,
					   BED_PAGES};
}

void bed_free(struct bed *b)
{
	free(b->mem);
}

void bed_come(struct bed *b, far_pgno_t first, far_pgno_t nr)
{
	for (far_pgno_t pg = first; pg < first + nr; pg++) {
		b->is_evictable[pg] = true;
		b->ops->page_in(b->p, pg);
	}
}

void bed_leave(struct bed *b, far_pgno_t pg)
{
	b->is_evictable[pg] = b->is_used[pg] = false;
	b->ops->page_out(b->p, pg);
}

unsigned bed_pick(struct bed *b, uint64_t local, far_pgno_t *ret_pg,
		  unsigned max)
{
	return b->ops->pick(b->p, &b->view, local, ret_pg, max);
}

void bed_expect(struct bed *b, uint64_t local, far_pgno_t pg)
{
	unsigned nr = 0;
	far_pgno_t got;

	for (unsigned picks = 0; picks < BED_PAGES / 64 && !nr; picks++)
		nr = bed_pick(b, local, &got, 1);
	assert_int_equal(nr, 1);
	assert_int_equal(got, pg);
	bed_leave(b, pg);
}

void bed_expect_run(struct bed *b, uint64_t local, far_pgno_t first,
		    far_pgno_t nr)
{
	for (far_pgno_t pg = first; pg < first + nr; pg++)
		bed_expect(b, local, pg);
}
