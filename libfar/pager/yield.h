/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Standing back for the program.
 *
 * A monitor that wakes the thread it has served still runs on that thread's
 * core.  The scheduler then looks for an idle core and moves the thread there,
 * and the next fault crosses cores, at several times the price.  A core whose
 * only runnable threads are of class SCHED_IDLE counts as idle, so a monitor
 * that serves one thread from beside it runs in that class: the thread stays,
 * and goes on at once.
 *
 * The danger is that others want that core, too, for then the monitor hardly
 * runs.  A guard looks at it every few milliseconds and calls a monitor that
 * wants to run but does not get anywhere forward, into the class it came from;
 * it may stand back again after a pause, which doubles from time to time.  The
 * guard sleeps while nobody stands back.
 *
 * Leaving SCHED_IDLE takes CAP_SYS_NICE or RLIMIT_NICE >= 20 (less for who is
 * nice): without them nobody stands back.  A monitor whose process gave them up
 * in the meantime remains what it is, and is stuck; it should run on any core.
 *
 * Threads: a monitor begins and ends, the guard watches.
 */
#ifndef LIBFAR_PAGER_YIELD_H
#define LIBFAR_PAGER_YIELD_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "libfar/base/compiler.h"

/** struct far_yield - one monitor's */
struct far_yield {
	_Atomic uint32_t may;		/* it can leave SCHED_IDLE again */
	_Atomic uint32_t back;		/* not 0: it stands back, for the
					 * so-many-th time.  Who makes it 0
					 * ends that: monitor or guard */
	_Atomic uint32_t is_stuck;	/* could not leave SCHED_IDLE */
	_Atomic uint32_t tid;		/* the monitor */
	_Atomic uint32_t peer;		/* the thread it serves; monitor */
	_Atomic uint64_t nr_served;	/* faults; monitor */
	_Atomic uint64_t not_before_ns; /* stand back again; guard */
	/* the monitor's */
	uint32_t nr_back;
	uid_t euid; /* who may leave SCHED_IDLE */
	/* the guard's */
	uint64_t seen;	    /* nr_served at its last look */
	unsigned nr_stuck;  /* looks in a row that found it stuck */
	uint64_t pause_ns;  /* the last one */
	uint64_t forced_ns; /* when it was called forward */
};

struct far_yield_guard {
	struct far_yield *yield; /* whom it watches */
	pthread_t thread;
	bool is_started;
	_Atomic uint32_t kick; /* futex: somebody stands back, or stop */
	_Atomic uint32_t is_stopping;
};

/** yield_is_possible() - may threads of this process leave SCHED_IDLE?  Tries
 * it on a thread of its own, which sleeps; false also if there can be none */
bool yield_is_possible(void);

/** yield_init() - on the monitor's thread, @y zeroed; does nothing for one
 * whose class is not SCHED_OTHER */
void yield_init(struct far_yield *y);

/** yield_begin() - stand back for thread @peer, unless told not to; cheap */
void yield_begin(struct far_yield *y, struct far_yield_guard *g, uint32_t peer,
		 uint64_t now_ns);

/** yield_end() - on the monitor's thread */
void yield_end(struct far_yield *y);

/** yield_served() - @nr faults more; on the monitor's thread */
static inline void yield_served(struct far_yield *y, unsigned nr)
{
	atomic_store_explicit(
		&y->nr_served,
		atomic_load_explicit(&y->nr_served, memory_order_relaxed) + nr,
		memory_order_relaxed);
}

/** yield_watch() - one look of the guard; is @y still standing back? */
bool yield_watch(struct far_yield *y, uint64_t now_ns);

/** yield_guard_start() - watch @y; 0 or -errno */
int yield_guard_start(struct far_yield_guard *g, struct far_yield *y);

/** yield_guard_stop() - and call @y forward; before its thread ends */
void yield_guard_stop(struct far_yield_guard *g);

#endif
