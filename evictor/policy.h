/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the eviction policies share: their tables, the bound on the work of
 * one pick, and lists of page numbers in plain arrays.
 *
 * Everything here is pure: no locks, threads, clock, allocation or I/O.  The
 * caller serialises the calls on one policy object, but those of policies that
 * are lockless (<far/evict.h>).
 */
#ifndef EVICTOR_POLICY_H
#define EVICTOR_POLICY_H

#include <assert.h>
#include <errno.h>

#include <far/evict.h>

#include "libfar/base/compiler.h"

extern const struct far_evict_policy_ops far_policy_clock;
extern const struct far_evict_policy_ops far_policy_fifo;
extern const struct far_evict_policy_ops far_policy_s3fifo;
extern const struct far_evict_policy_ops far_policy_refault;

/*
 * Pages one pick looks at for every victim asked for.  What is left to do is
 * done by the next pick, so that the lock of the policy is held for a bounded
 * time however many pages are pinned, used or absent.
 */
#define POLICY_VISITS_PER_VICTIM 64

/** policy_visits() - how many of @nr pages a pick of @max may look at */
static inline uint32_t policy_visits(uint32_t nr, unsigned max)
{
	return (uint32_t)far_min_u64(nr,
				     (uint64_t)max * POLICY_VISITS_PER_VICTIM);
}

/**
 * policy_is_evictable() - is @pg in use, and may it leave now?
 * Page numbers at or above nr_pages are not shown to the view.
 */
static inline bool policy_is_evictable(const struct far_policy_view *view,
				       far_pgno_t pg)
{
	return pg < view->nr_pages && view->is_evictable(view->ctx, pg);
}

/** policy_init_zeroed() - for a policy whose zeroed memory is its beginning */
static inline int policy_init_zeroed(void *mem, far_pgno_t max_pages,
				     struct far_policy **ret_policy)
{
	if (!mem || !max_pages)
		return -EINVAL;
	*ret_policy = (struct far_policy *)mem;
	return 0;
}

/** policy_ignore() - for a policy that sees pages come and go in the view */
static inline void policy_ignore(struct far_policy *p, far_pgno_t pg)
{
	(void)p;
	(void)pg;
}

/*
 * Doubly linked lists of pages.  A link holds page number + 1, so that zeroed
 * memory is an empty list and is populated only where pages come in; page
 * numbers are at most 2^32 - 2, so the sum fits.
 */
struct page_link {
	uint32_t next;
	uint32_t prev;
};

struct page_list {
	uint32_t head; /* oldest page + 1; 0: empty */
	uint32_t tail; /* youngest page + 1 */
	uint32_t nr;   /* pages on the list */
};

/**
 * page_list_push() - make @pg the youngest page of @list
 * @links: one per page, shared by all lists: a page is on one at most
 * @pg: on no list
 */
static inline void page_list_push(struct page_link *links,
				  struct page_list *list, far_pgno_t pg)
{
	uint32_t link = pg + 1;

	links[pg].next = 0;
	links[pg].prev = list->tail;
	if (list->tail)
		links[list->tail - 1].next = link;
	else
		list->head = link;
	list->tail = link;
	list->nr++;
}

/** page_list_remove() - take @pg, which is on @list, off it; zeroes its link */
static inline void page_list_remove(struct page_link *links,
				    struct page_list *list, far_pgno_t pg)
{
	struct page_link l = links[pg];

	assert(list->nr);
	if (l.prev)
		links[l.prev - 1].next = l.next;
	else
		list->head = l.next;
	if (l.next)
		links[l.next - 1].prev = l.prev;
	else
		list->tail = l.prev;
	links[pg] = (struct page_link){0, 0};
	list->nr--;
}

/** page_list_rotate() - make the oldest page the youngest; returns it */
static inline far_pgno_t page_list_rotate(struct page_link *links,
					  struct page_list *list)
{
	far_pgno_t pg = list->head - 1;

	page_list_remove(links, list, pg);
	page_list_push(links, list, pg);
	return pg;
}

/** page_list_has() - is @pg on @list? only if it can be on no other list */
static inline bool page_list_has(const struct page_link *links,
				 const struct page_list *list, far_pgno_t pg)
{
	return links[pg].next || links[pg].prev || list->head == pg + 1;
}

#endif
