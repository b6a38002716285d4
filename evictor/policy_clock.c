/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CLOCK over addresses (Corbato, "A Paging Experiment with the Multics
 * System", 1969): a hand sweeps the page numbers; a page that was used since
 * the hand last came by loses its mark and stays, another one leaves.
 *
 * The hand follows addresses, not arrivals: victims come out in ascending
 * order (but for the one step where the hand starts over), neighbours
 * together, so that a run of them costs one unmapping and one round of
 * interrupts to the other cores.  The price is the history that a list keeps.
 *
 * Invariants: hand <= max_pages.  A pick shows every page number at most once,
 * at most POLICY_VISITS_PER_VICTIM of them for each victim asked for, and the
 * next pick goes on where this one stopped: nr_pages visits, over however many
 * picks, see every page.
 */
#include "evictor/policy.h"

struct far_policy {
	far_pgno_t hand; /* next page to look at */
};

static size_t clock_footprint(far_pgno_t max_pages)
{
	(void)max_pages; /* the view knows the pages */
	return sizeof(struct far_policy);
}

static unsigned clock_pick(struct far_policy *p,
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
			continue;
		if (view->take_ref(view->ctx, pg))
			continue;
		ret_pg[nr++] = pg;
	}
	return nr;
}

const struct far_evict_policy_ops far_policy_clock = {
	.size = sizeof(struct far_evict_policy_ops),
	.name = "clock",
	.footprint = clock_footprint,
	.init = policy_init_zeroed,
	.wants_events = false,
	.page_in = policy_ignore,
	.page_out = policy_ignore,
	.pick = clock_pick,
};
