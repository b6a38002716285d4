/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a monitor runs.  Waking a thread on another, idle core costs several
 * times as much as the fault itself; waking it on the core whose thread just
 * blocked costs a context switch.  So a monitor follows the thread it serves:
 * now and then it looks where the last faulting thread runs, and if it is
 * one core most of the time, binds itself to that core.
 */
#ifndef LIBFAR_PAGER_PLACEMENT_H
#define LIBFAR_PAGER_PLACEMENT_H

#include <sched.h>

#include "libfar/base/compiler.h"

struct far_placement {
	cpu_set_t allowed; /* what the thread was born with */
	bool can_follow;
	int cpu;	  /* bound to, or -1 */
	int candidate;	  /* core seen last */
	unsigned streak;  /* how often in a row */
	uint64_t next_ns; /* when to look again */
};

/** placement_init() - on the monitor's own thread */
void placement_init(struct far_placement *pl);

/** placement_follow() - @tid has just faulted; cheap unless it is time to
 * look */
void placement_follow(struct far_placement *pl, uint32_t tid, uint64_t now_ns);

#endif
