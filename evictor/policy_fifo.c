/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FIFO with a second chance: pages leave in the order in which they arrived;
 * one that was used since it was last looked at goes to the back instead.
 * Where nobody can tell whether a page was used, this is plain FIFO.
 *
 * Invariants: a page is on the list from page_in() to page_out(), whatever
 * pick() does.  Every page that pick() looks at goes to the back, also the
 * victims and those that may not leave now: so one pick sees a page once, a
 * victim that stays after all (touched or pinned in the meantime) gets another
 * round, and pinned pages cannot pile up at the front and stop the rest.
 */
#include "evictor/policy.h"

#include <errno.h>
#include <stdalign.h>

struct far_policy {
	struct page_list list;
	far_pgno_t max_pages;
	struct page_link links[]; /* max_pages of them */
};

static size_t fifo_footprint(far_pgno_t max_pages)
{
	return sizeof(struct far_policy) +
	       (size_t)max_pages * sizeof(struct page_link);
}

static int fifo_init(void *mem, far_pgno_t max_pages,
		     struct far_policy **ret_policy)
{
	struct far_policy *p = mem;

	if (!mem || !max_pages)
		return -EINVAL;
	assert((uintptr_t)mem % alignof(struct far_policy) == 0);
	p->max_pages = max_pages;
	*ret_policy = p;
	return 0;
}

static void fifo_page_in(struct far_policy *p, far_pgno_t pg)
{
	if (pg < p->max_pages && !page_list_has(p->links, &p->list, pg))
		page_list_push(p->links, &p->list, pg);
}

static void fifo_page_out(struct far_policy *p, far_pgno_t pg)
{
	if (pg < p->max_pages && page_list_has(p->links, &p->list, pg))
		page_list_remove(p->links, &p->list, pg);
}

static unsigned fifo_pick(struct far_policy *p,
			  const struct far_policy_view *view,
			  uint64_t local_pages, far_pgno_t *ret_pg,
			  unsigned max)
{
	uint32_t visits = policy_visits(p->list.nr, max);
	unsigned nr = 0;

	(void)local_pages;
	for (; visits && nr < max; visits--) {
		far_pgno_t pg = page_list_rotate(p->links, &p->list);

		if (!policy_is_evictable(view, pg))
			continue;
		if (view->take_ref(view->ctx, pg))
			continue;
		ret_pg[nr++] = pg;
	}
	return nr;
}

const struct far_evict_policy_ops far_policy_fifo = {
	.size = sizeof(struct far_evict_policy_ops),
	.name = "fifo",
	.footprint = fifo_footprint,
	.init = fifo_init,
	.wants_events = true,
	.page_in = fifo_page_in,
	.page_out = fifo_page_out,
	.pick = fifo_pick,
};
