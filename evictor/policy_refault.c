/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clock whose pages earn their stay by coming back.  Nobody sees a page being
 * used while it is here; but how far the hand has gone since a page left tells
 * how soon it was missed: its refault distance, without a list of ghosts.  Who
 * is back within a 32nd of a round is spared for three, and next time for
 * STAYS_MAX; where all pages are used alike that happens to few.  Who is away
 * for more than an eighth, or a whole round, loses by halves.  So what is used
 * often comes to stay, and what is used now and then does not.
 *
 * Where nearly all pages are spared the hand takes off several rounds at a
 * time: what was hot before a change of phase does not stay for long.
 *
 * Arrivals are noted without a lock, beside a pick: if both write to the byte
 * of a page, one of them is lost, and that does no harm.  Compared to the plain
 * clock it misses less, and what it takes out lies less close together.
 *
 * Invariants: as of policy_clock.c.  State: one byte a page.
 */
#include <stdatomic.h>

#include "evictor/policy.h"

#define STAYS_MAX 15
#define SOON 32 /* a part of a round */
#define LATE 8
#define EARNED_MAX 4 /* log2(STAYS_MAX + 1) */

/* A page's byte: */
#define STAYS 0x0f     /* rounds that it is still spared */
#define EARNED_SHIFT 4 /* log2 of one more than it is worth now */
#define EARNED_MASK 0x7
#define LEFT 0x80 /* when the hand last came by */

struct far_policy {
	_Atomic far_pgno_t hand;     /* next page to look at */
	_Atomic far_pgno_t nr_pages; /* at the last pick */
	uint64_t spared;	     /* in a row */
	far_pgno_t max_pages;
	_Atomic uint8_t page[];
};

static size_t refault_footprint(far_pgno_t max_pages)
{
	return sizeof(struct far_policy) + max_pages;
}

static int refault_init(void *mem, far_pgno_t max_pages,
			struct far_policy **ret_policy)
{
	int r = policy_init_zeroed(mem, max_pages, ret_policy);

	if (r == 0)
		(*ret_policy)->max_pages = max_pages;
	return r;
}

static uint8_t load(const _Atomic uint8_t *page)
{
	return atomic_load_explicit(page, memory_order_relaxed);
}

static void store(_Atomic uint8_t *page, unsigned earned, unsigned rest)
{
	atomic_store_explicit(page, (uint8_t)(earned << EARNED_SHIFT | rest),
			      memory_order_relaxed);
}

static unsigned earned_of(uint8_t b)
{
	return b >> EARNED_SHIFT & EARNED_MASK;
}

static void refault_page_in(struct far_policy *p, far_pgno_t pg)
{
	far_pgno_t nr =
		atomic_load_explicit(&p->nr_pages, memory_order_relaxed);
	far_pgno_t hand = atomic_load_explicit(&p->hand, memory_order_relaxed);
	/* The hand was at @pg when it left. */
	far_pgno_t d = hand > pg ? hand - pg : hand + nr - pg;
	uint8_t b = pg < p->max_pages ? load(&p->page[pg]) : 0;
	unsigned earned = earned_of(b);

	if (!(b & LEFT))
		return;
	if (d <= nr / SOON)
		earned = (unsigned)far_min_u64(earned + 2, EARNED_MAX);
	else if (d > nr / LATE)
		earned /= 2;
	store(&p->page[pg], earned, (1u << earned) - 1);
}

/* Rounds that are taken off at a time. */
static unsigned step_of(const struct far_policy *p, uint64_t local_pages)
{
	return 1 + (unsigned)(p->spared * STAYS_MAX / (local_pages + 1));
}

/* The hand comes by a page that is here: does it leave? */
static bool leaves(_Atomic uint8_t *page, bool was_used, unsigned step)
{
	uint8_t b = load(page);
	unsigned stays = b & STAYS;

	if (was_used && stays < STAYS_MAX)
		stays++;
	store(page, earned_of(b),
	      !stays	     ? LEFT
	      : stays > step ? stays - step
			     : 0);
	return !stays;
}

/* The hand comes by a page that is away, or may not leave. */
static void forget(_Atomic uint8_t *page)
{
	uint8_t b = load(page);

	if (b)
		store(page, earned_of(b) / 2, 0);
}

static unsigned refault_pick(struct far_policy *p,
			     const struct far_policy_view *view,
			     uint64_t local_pages, far_pgno_t *ret_pg,
			     unsigned max)
{
	uint32_t visits = policy_visits(view->nr_pages, max);
	far_pgno_t hand = atomic_load_explicit(&p->hand, memory_order_relaxed);
	unsigned nr = 0;

	atomic_store_explicit(&p->nr_pages, view->nr_pages,
			      memory_order_relaxed);
	for (; visits && nr < max; visits--) {
		far_pgno_t pg = hand < view->nr_pages ? hand : 0;

		hand = pg + 1;
		atomic_store_explicit(&p->hand, hand, memory_order_relaxed);
		if (!policy_is_evictable(view, pg)) {
			forget(&p->page[pg]);
			continue;
		}
		if (leaves(&p->page[pg], view->take_ref(view->ctx, pg),
			   step_of(p, local_pages))) {
			ret_pg[nr++] = pg;
			p->spared = 0;
		} else {
			p->spared++;
		}
	}
	return nr;
}

const struct far_evict_policy_ops far_policy_refault = {
	.size = sizeof(struct far_evict_policy_ops),
	.name = "refault",
	.footprint = refault_footprint,
	.init = refault_init,
	.wants_events = true,
	.is_lockless = true,
	.page_in = refault_page_in,
	.page_out = policy_ignore,
	.pick = refault_pick,
};
