/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many evictors work: one, as long as it keeps up.  Two that take pages out
 * at once get in each other's way, and in that of the program; so another joins
 * only when faults have had to wait for frames for most of some milliseconds,
 * and again when that goes on.  When nobody has had to wait for a while, the
 * last to join leaves, one at a time.
 *
 * Threads: one has the team; others may read how many work.
 */
#ifndef EVICTOR_TEAM_H
#define EVICTOR_TEAM_H

#include <stdatomic.h>

#include "libfar/base/compiler.h"

#define FAR_TEAM_JOIN_NS UINT64_C(4000000)    /* of waiting, less the rest */
#define FAR_TEAM_LEAVE_NS UINT64_C(250000000) /* without any */

struct far_team {
	unsigned max;	     /* 1 or more */
	_Atomic uint32_t nr; /* that work; the first ones */
	bool was_waiting;    /* at the last look */
	uint64_t look_ns;    /* when that was; 0: never */
	uint64_t wait_ns;    /* last seen, or somebody left */
	uint64_t behind_ns;  /* time waited, less time not waited */
};

/** team_init() - one works; at most @max */
void team_init(struct far_team *t, unsigned max);

/** team_look() - do faults wait for frames at @now_ns?  True: the number that
 * work is another one now.  Called often, while there is work. */
bool team_look(struct far_team *t, bool is_waiting, uint64_t now_ns);

/** team_nr() - how many work; any thread */
static inline unsigned team_nr(const struct far_team *t)
{
	return atomic_load_explicit(&t->nr, memory_order_relaxed);
}

#endif
