/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eviction: which pages leave (a policy: pure, no locks, no threads, no
 * clock) and who takes them out (the evictor's threads, which borrow the
 * pager's hands through far_evict_host_ops).
 */
#ifndef FAR_EVICT_H
#define FAR_EVICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint32_t far_pgno_t; /* page number inside a pager's address range */

struct far_policy; /* the policy's own state */

/**
 * struct far_policy_view - what a policy may ask about pages
 * Given to pick(); cheap, no side effects but take_ref().
 */
struct far_policy_view {
	void *ctx;
	/* page is resident, not pinned, not in transit */
	bool (*is_evictable)(void *ctx, far_pgno_t pg);
	/* page was seen used since the last call; clears the mark */
	bool (*take_ref)(void *ctx, far_pgno_t pg);
	far_pgno_t nr_pages; /* pages [0, nr_pages) are in use now */
};

/**
 * struct far_evict_policy_ops - chooses victims
 * All functions of one policy object are called under one lock, but page_in and
 * page_out if is_lockless.  Memory is given once; nothing allocates.
 */
struct far_evict_policy_ops {
	size_t size; /* sizeof(struct far_evict_policy_ops) */
	const char *name;
	/* bytes of state for at most @max_pages pages */
	size_t (*footprint)(far_pgno_t max_pages);
	/* @mem: zeroed, footprint() bytes */
	int (*init)(void *mem, far_pgno_t max_pages,
		    struct far_policy **ret_policy);
	/* true: wants page_in/page_out calls; false: works from the view */
	bool wants_events;
	/* these may run beside each other and beside a pick: no lock */
	bool is_lockless;
	void (*page_in)(struct far_policy *p, far_pgno_t pg);
	void (*page_out)(struct far_policy *p, far_pgno_t pg);
	/*
	 * Up to @max victims into @ret_pg, each evictable when asked, none
	 * twice.  Bounded work; fewer than @max is fine, 0 means that nothing
	 * was found this time.  @local_pages: size of the cache, in pages.
	 */
	unsigned (*pick)(struct far_policy *p,
			 const struct far_policy_view *view,
			 uint64_t local_pages, far_pgno_t *ret_pg,
			 unsigned max);
};

/** far_evict_policy_find() - by name: "clock", "fifo", "s3fifo", "refault"; or NULL */
const struct far_evict_policy_ops *far_evict_policy_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
