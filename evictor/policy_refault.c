/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clock whose pages earn their stay by coming back.  Nobody sees a page being
 * used while it is here; but one that is fetched again before the hand has gone
 * round once more was missed, and would have been a hit in a cache little
 * larger.  Each such return earns the page one more round, up to STAYS_MAX; a
 * round away costs half of what it had.  So what is used often comes to stay,
 * what is used once leaves at once, and a loop larger than the cache keeps a
 * part of itself in.
 *
 * It is a refault distance without a list of ghosts: the hand itself is the
 * measure.  All is found out when the hand comes by; pages come and go unseen,
 * and no fault takes a lock.  Compared to the plain clock it misses less, and
 * what it takes out lies less close together.
 *
 * Invariants: as of policy_clock.c.  State: one byte a page.
 */
#include "evictor/policy.h"

#define STAYS_MAX 3

/* A page's byte: */
#define STAYS 0x0f     /* rounds that it is still spared */
#define EARNED_SHIFT 4 /* rounds that a return is worth now */
#define EARNED_MASK 0x7
#define LEFT 0x80 /* it left when the hand last came by */

struct far_policy {
	far_pgno_t hand; /* next page to look at */
	uint8_t page[];
};

static size_t refault_footprint(far_pgno_t max_pages)
{
	return sizeof(struct far_policy) + max_pages;
}

/* The hand comes by a page that is here: does it leave? */
static bool leaves(uint8_t *page, bool was_used)
{
	unsigned earned = *page >> EARNED_SHIFT & EARNED_MASK;
	unsigned stays = *page & STAYS;

	if (*page & LEFT) { /* and is back within one round */
		earned += earned < STAYS_MAX;
		stays = earned;
	}
	if (was_used && stays < STAYS_MAX)
		stays++;
	*page = (uint8_t)(earned << EARNED_SHIFT | (stays ? stays - 1 : LEFT));
	return !stays;
}

/* The hand comes by a page that is away, or may not leave. */
static void forget(uint8_t *page)
{
	unsigned earned = *page >> EARNED_SHIFT & EARNED_MASK;

	if (*page)
		*page = (uint8_t)(earned / 2 << EARNED_SHIFT);
}

static unsigned refault_pick(struct far_policy *p,
			     const struct far_policy_view *view,
			     uint64_t local_pages, far_pgno_t *ret_pg,
			     unsigned max)
{
	uint32_t visits = policy_visits(view->nr_pages, max);
	unsigned nr = 0;

	(void)local_pages;
	for (; visits && nr < max; visits--) {
		far_pgno_t pg = p->hand < view->nr_pages ? p->hand : 0;

		p->hand = pg + 1;
		if (!policy_is_evictable(view, pg))
			forget(&p->page[pg]);
		else if (leaves(&p->page[pg], view->take_ref(view->ctx, pg)))
			ret_pg[nr++] = pg;
	}
	return nr;
}

const struct far_evict_policy_ops far_policy_refault = {
	.size = sizeof(struct far_evict_policy_ops),
	.name = "refault",
	.footprint = refault_footprint,
	.init = policy_init_zeroed,
	.wants_events = false,
	.page_in = policy_ignore,
	.page_out = policy_ignore,
	.pick = refault_pick,
};
