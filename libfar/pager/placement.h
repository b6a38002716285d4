/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where pager threads run.  Waking a thread on another, idle core costs
 * several times as much as the fault itself; waking it on the core whose
 * thread just went to sleep costs a context switch.  When nearly all faults
 * come from one thread, its monitor follows it from core to core, and
 * evictors join them there, so that unmapping interrupts no other core.  The
 * program's own threads are left where the scheduler puts them.
 */
#ifndef LIBFAR_PAGER_PLACEMENT_H
#define LIBFAR_PAGER_PLACEMENT_H

#include <sched.h>
#include <stdatomic.h>

#include "libfar/base/compiler.h"

struct far_placement {
	cpu_set_t allowed; /* what the thread was born with */
	bool can_follow;
	int cpu;	   /* bound to, or -1 */
	_Atomic int *home; /* told where that is; or NULL */
	uint32_t tid;	   /* who faulted last */
	int stat_fd;	   /* its /proc/self/task/TID/stat, or -1 */
	bool is_settled;   /* its owner: it stays there, look less often */
	unsigned streak;   /* how many faults in a row */
	uint64_t next_ns;  /* when to look where it runs */
	uint64_t looked_ns;
};

/** placement_init() - on the thread itself; @home may be NULL */
void placement_init(struct far_placement *pl, _Atomic int *home);

/** placement_release() - follow nobody any more; on the thread itself */
void placement_release(struct far_placement *pl);

/** placement_fini() - on the thread itself */
void placement_fini(struct far_placement *pl);

/** placement_follow() - @tid faulted; cheap unless it is time to look */
void placement_follow(struct far_placement *pl, uint32_t tid, uint64_t now_ns);

/** placement_nudge() - the thread seems to run elsewhere: look soon */
void placement_nudge(struct far_placement *pl);

/** placement_join() - run where @home says, anywhere if it says -1 */
void placement_join(struct far_placement *pl, const _Atomic int *home);

#endif
