/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a monitor and the thread it serves run.  Waking a thread on another,
 * idle core costs several times as much as the fault itself; waking it on the
 * core whose thread just went to sleep costs a context switch.  When nearly
 * all faults come from one thread, the monitor binds itself to that thread's
 * core, and keeps the scheduler from moving the thread to an idle core at the
 * moment it is woken: the thread's affinity is narrowed while it sleeps in the
 * fault and given back before it runs on.  Every LOOK_NS the scheduler gets
 * its way once, and both follow its choice.
 */
#ifndef LIBFAR_PAGER_PLACEMENT_H
#define LIBFAR_PAGER_PLACEMENT_H

#include <sched.h>
#include <stdatomic.h>

#include "libfar/base/compiler.h"

struct far_placement {
	cpu_set_t allowed; /* what the monitor was born with */
	bool can_follow;
	int cpu;	   /* bound to, or -1 */
	_Atomic int *home; /* told where that is; or NULL */
	uint32_t tid;	   /* who faulted last */
	unsigned streak;   /* how many faults in a row */
	uint64_t next_ns;  /* when to look where it runs */
	bool let_go;	   /* the scheduler chooses at the next wake-up */
	bool is_held;
	cpu_set_t held_mask; /* of the thread that is held */
};

/** placement_init() - on the thread itself; @home may be NULL */
void placement_init(struct far_placement *pl, _Atomic int *home);

/**
 * placement_join() - run where @home says
 * An evictor unmaps: while all threads of the program are on its own core, no
 * other core has to be interrupted for that.
 */
void placement_join(struct far_placement *pl, const _Atomic int *home);

/** placement_hold() - @tid's fault is about to be served, which wakes it */
void placement_hold(struct far_placement *pl, uint32_t tid, uint64_t now_ns);

/** placement_release() - it was served */
void placement_release(struct far_placement *pl);

#endif
