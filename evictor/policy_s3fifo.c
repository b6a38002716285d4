/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * S3-FIFO: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for
 * cache eviction", SOSP 2023.
 *
 * Pages arrive on a small queue (a tenth of the cache).  Those used again
 * before they reach its end move to the main queue, the others leave and are
 * remembered as ghosts, so that what is used once leaves first and fast.  A
 * ghost that comes back enters the main queue at once.  On the main queue a
 * used page goes round once more, another one leaves and is forgotten.
 *
 * Where this differs from the paper:
 * - Nobody counts accesses; take_ref() tells whether there was one since it
 *   was last asked.  "Used again" is therefore one use after the arrival, and
 *   the main queue keeps one bit (in the view) instead of a count up to 3.
 * - All pages are known, so the ghost queue is a mark and a stamp on the page
 *   itself, in the link that a page on no queue does not need.  A stamp is
 *   the number of ghosts made before; a ghost is remembered while fewer than
 *   nine tenths of the cache were made after it.  Ghosts that came back still
 *   count, hence at most as many are remembered as in the paper.
 * - pick() only proposes.  A victim stays on its queue, at the back and marked
 *   PICKED, until page_out() confirms it; if it can be evicted again before
 *   that, it has stayed and is an ordinary page.
 * - A page of the small queue that may not leave although it was not picked is
 *   pinned, hence in use, and moves to the main queue.  Otherwise more pinned
 *   pages than one pick looks at could keep all picks busy on the small queue.
 *   For the same reason the small queue is looked at by turns when a whole
 *   round of the main queue gave nothing, although it is below its tenth.
 *
 * Invariants: a page is on exactly one queue from page_in() to page_out().
 * nr_picked is the number of PICKED pages on the small queue.  One pick sees a
 * page at most once: it looks at no more pages of a queue than were there when
 * it began, and every page it looks at goes to the back of a queue.
 */
#include "evictor/policy.h"

#include <errno.h>
#include <stdalign.h>

#define SMALL_DIVISOR 10 /* the paper's 10 % */

enum {
	ON_NONE = 0,
	ON_SMALL = 1,
	ON_MAIN = 2,
	GHOST = 3, /* not resident; its link holds the stamp */
	WHERE = 3, /* mask */
	PICKED = 4,
};

struct far_policy {
	struct page_list small;
	struct page_list main;
	uint32_t nr_picked; /* PICKED pages on the small queue */
	uint32_t nr_dry;    /* looks at the main queue since its last victim */
	far_pgno_t max_pages;
	uint64_t nr_ghosts;   /* ghosts made, ever */
	uint64_t local_pages; /* as last told to pick() */
	uint8_t *mark;	      /* one per page, after the links */
	struct page_link links[];
};

static size_t s3fifo_footprint(far_pgno_t max_pages)
{
	return sizeof(struct far_policy) +
	       (size_t)max_pages * (sizeof(struct page_link) + 1);
}

static int s3fifo_init(void *mem, far_pgno_t max_pages,
		       struct far_policy **ret_policy)
{
	struct far_policy *p = mem;

	if (!mem || !max_pages)
		return -EINVAL;
	assert((uintptr_t)mem % alignof(struct far_policy) == 0);
	p->max_pages = max_pages;
	p->mark = (uint8_t *)&p->links[max_pages];
	*ret_policy = p;
	return 0;
}

static void ghost_make(struct far_policy *p, far_pgno_t pg)
{
	uint64_t stamp = p->nr_ghosts++;

	p->mark[pg] = GHOST;
	p->links[pg].next = (uint32_t)stamp;
	p->links[pg].prev = (uint32_t)(stamp >> 32);
}

/* Is the ghost @pg still remembered? */
static bool ghost_is_fresh(const struct far_policy *p, far_pgno_t pg)
{
	uint64_t stamp = p->links[pg].next | (uint64_t)p->links[pg].prev << 32;
	uint64_t room = p->local_pages - p->local_pages / SMALL_DIVISOR;

	return p->nr_ghosts - stamp <= room;
}

static void small_unpick(struct far_policy *p, far_pgno_t pg)
{
	if (p->mark[pg] & PICKED) {
		p->mark[pg] = ON_SMALL;
		p->nr_picked--;
	}
}

static void s3fifo_page_in(struct far_policy *p, far_pgno_t pg)
{
	unsigned where;

	if (pg >= p->max_pages)
		return;
	where = p->mark[pg] & WHERE;
	if (where == ON_SMALL || where == ON_MAIN)
		return;
	if (where == GHOST && ghost_is_fresh(p, pg)) {
		p->mark[pg] = ON_MAIN;
		page_list_push(p->links, &p->main, pg);
	} else {
		p->mark[pg] = ON_SMALL;
		page_list_push(p->links, &p->small, pg);
	}
}

/* A page that leaves without having been picked was given back: no ghost. */
static void s3fifo_page_out(struct far_policy *p, far_pgno_t pg)
{
	unsigned where;
	bool is_ghost;

	if (pg >= p->max_pages)
		return;
	where = p->mark[pg] & WHERE;
	if (where == ON_MAIN) {
		page_list_remove(p->links, &p->main, pg);
		p->mark[pg] = ON_NONE;
	} else if (where == ON_SMALL) {
		is_ghost = p->mark[pg] & PICKED;
		small_unpick(p, pg);
		page_list_remove(p->links, &p->small, pg);
		p->mark[pg] = ON_NONE;
		if (is_ghost)
			ghost_make(p, pg);
	}
}

static void small_promote(struct far_policy *p, far_pgno_t pg)
{
	small_unpick(p, pg);
	page_list_remove(p->links, &p->small, pg);
	p->mark[pg] = ON_MAIN;
	page_list_push(p->links, &p->main, pg);
}

/* Look at the oldest page of the small queue; true: *@ret_pg is a victim. */
static bool small_visit(struct far_policy *p,
			const struct far_policy_view *view, far_pgno_t *ret_pg)
{
	far_pgno_t pg = page_list_rotate(p->links, &p->small);

	if (!policy_is_evictable(view, pg)) {
		if (!(p->mark[pg] & PICKED))
			small_promote(p, pg);
		return false;
	}
	if (view->take_ref(view->ctx, pg)) {
		small_promote(p, pg);
		return false;
	}
	if (!(p->mark[pg] & PICKED)) {
		p->mark[pg] |= PICKED;
		p->nr_picked++;
	}
	*ret_pg = pg;
	return true;
}

/* Look at the oldest page of the main queue; true: *@ret_pg is a victim. */
static bool main_visit(struct far_policy *p, const struct far_policy_view *view,
		       far_pgno_t *ret_pg)
{
	far_pgno_t pg = page_list_rotate(p->links, &p->main);

	if (p->nr_dry < p->main.nr)
		p->nr_dry++;
	if (!policy_is_evictable(view, pg))
		return false;
	if (view->take_ref(view->ctx, pg))
		return false;
	p->nr_dry = 0;
	*ret_pg = pg;
	return true;
}

/* Is it the small queue's turn?  It is if it is above @target. */
static bool is_small_turn(const struct far_policy *p, uint64_t target,
			  uint64_t turn)
{
	if (p->small.nr - p->nr_picked >= target)
		return true;
	return p->nr_dry >= p->main.nr && turn % 2 == 0;
}

static unsigned s3fifo_pick(struct far_policy *p,
			    const struct far_policy_view *view,
			    uint64_t local_pages, far_pgno_t *ret_pg,
			    unsigned max)
{
	uint64_t target = far_max_u64(local_pages / SMALL_DIVISOR, 1);
	uint32_t small_left = p->small.nr, main_left = p->main.nr;
	uint64_t visits = (uint64_t)max * POLICY_VISITS_PER_VICTIM;
	unsigned nr = 0;

	p->local_pages = local_pages;
	for (; visits && nr < max && (small_left || main_left); visits--) {
		if (small_left &&
		    (!main_left || is_small_turn(p, target, visits))) {
			small_left--;
			nr += small_visit(p, view, &ret_pg[nr]);
		} else {
			main_left--;
			nr += main_visit(p, view, &ret_pg[nr]);
		}
	}
	return nr;
}

const struct far_evict_policy_ops far_policy_s3fifo = {
	.size = sizeof(struct far_evict_policy_ops),
	.name = "s3fifo",
	.footprint = s3fifo_footprint,
	.init = s3fifo_init,
	.wants_events = true,
	.page_in = s3fifo_page_in,
	.page_out = s3fifo_page_out,
	.pick = s3fifo_pick,
};
