/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/yield.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/base/futex.h"
#include "libfar/pager/pager.h"

#define LOOK_NS (4 * FAR_NS_PER_MS)
#define ENOUGH 16 /* faults from one look to the next: it gets along */
#define STUCK 2	  /* looks in a row */
#define PAUSE_MIN_NS (100 * FAR_NS_PER_MS)
#define PAUSE_MAX_NS (10 * FAR_NS_PER_S)
#define FORGET_NS (60 * FAR_NS_PER_S)
#define ASLEEP_NS (10 * FAR_NS_PER_S)

static int set_class(uint32_t tid, int policy)
{
	struct sched_param none = {0};

	return sched_setscheduler((pid_t)tid, policy, &none);
}

/* The thread that is tried on, asleep: it needs no core to come back. */
struct probe {
	_Atomic uint32_t tid;	  /* futex */
	_Atomic uint32_t is_done; /* futex */
};

static void *probe_main(void *arg)
{
	struct probe *p = arg;

	atomic_store(&p->tid, (uint32_t)gettid());
	far_futex_wake(&p->tid, 1);
	while (!atomic_load(&p->is_done))
		far_futex_wait(&p->is_done, 0, FAR_NS_PER_S);
	return NULL;
}

bool yield_is_possible(void)
{
	struct probe p = {0};
	bool is_possible;
	pthread_t thread;

	if (pager_thread(&thread, probe_main, &p) < 0)
		return false;
	while (!atomic_load(&p.tid))
		far_futex_wait(&p.tid, 0, FAR_NS_PER_S);
	is_possible = set_class(atomic_load(&p.tid), SCHED_IDLE) == 0 &&
		      set_class(atomic_load(&p.tid), SCHED_OTHER) == 0;
	atomic_store(&p.is_done, 1);
	far_futex_wake(&p.is_done, 1);
	(void)pthread_join(thread, NULL);
	return is_possible;
}

void yield_init(struct far_yield *y)
{
	y->euid = geteuid();
	atomic_store(&y->tid, (uint32_t)gettid());
	atomic_store(&y->may, sched_getscheduler(0) == SCHED_OTHER);
}

/* Of thread @tid; 0: this one. */
static void come_forward(struct far_yield *y, uint32_t tid)
{
	if (set_class(tid, SCHED_OTHER) == 0)
		return;
	atomic_store(&y->may, 0);
	atomic_store(&y->is_stuck, 1);
}

void yield_begin(struct far_yield *y, struct far_yield_guard *g, uint32_t peer,
		 uint64_t now_ns)
{
	uint32_t nr;

	if (atomic_load_explicit(&y->back, memory_order_relaxed) ||
	    !atomic_load_explicit(&y->may, memory_order_relaxed) ||
	    now_ns < atomic_load_explicit(&y->not_before_ns,
					  memory_order_relaxed))
		return;
	if (geteuid() != y->euid) { /* it may not be able to return */
		atomic_store(&y->may, 0);
		return;
	}
	nr = ++y->nr_back ? y->nr_back : ++y->nr_back;
	atomic_store(&y->peer, peer);
	/* The guard first: once back, this thread may not run for long. */
	atomic_store(&y->back, nr);
	atomic_fetch_add(&g->kick, 1);
	far_futex_wake(&g->kick, 1);
	if (set_class(0, SCHED_IDLE) < 0) {
		atomic_store(&y->may, 0);
		atomic_store(&y->back, 0);
		return;
	}
	/* The guard may have called it forward before it was back. */
	if (atomic_load(&y->back) != nr)
		come_forward(y, 0);
}

void yield_end(struct far_yield *y)
{
	if (atomic_load_explicit(&y->back, memory_order_relaxed) &&
	    atomic_exchange(&y->back, 0))
		come_forward(y, 0);
}

/* --- the guard --- */

/* Does thread @tid run, or wait for a core? */
static bool wants_to_run(uint32_t tid)
{
	char path[48], buf[128], *end;
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%u/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, sizeof(buf) - 1);
		(void)close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
	end = strrchr(buf, ')'); /* "TID (NAME) STATE ..." */
	return end && end[1] == ' ' && end[2] == 'R';
}

/* False if it has come, or has stood back anew, by itself. */
static bool call_forward(struct far_yield *y, uint32_t nr)
{
	if (!atomic_compare_exchange_strong(&y->back, &nr, 0))
		return false;
	y->nr_stuck = 0;
	come_forward(y, atomic_load(&y->tid));
	return true;
}

bool yield_watch(struct far_yield *y, uint64_t now_ns)
{
	uint64_t served = atomic_load(&y->nr_served), moved = served - y->seen;
	uint32_t nr = atomic_load(&y->back);

	if (!nr)
		return false;
	y->seen = served;
	if (moved >= ENOUGH) {
		y->nr_stuck = 0;
		return true;
	}
	/* While the thread it serves runs, it is where it should be: behind. */
	if (wants_to_run(atomic_load(&y->tid)) &&
	    !wants_to_run(atomic_load(&y->peer))) {
		if (++y->nr_stuck < STUCK)
			return true;
		if (now_ns - y->forced_ns > FORGET_NS)
			y->pause_ns = 0;
		y->pause_ns =
			far_min_u64(far_max_u64(2 * y->pause_ns, PAUSE_MIN_NS),
				    PAUSE_MAX_NS);
		y->forced_ns = now_ns;
		atomic_store(&y->not_before_ns, now_ns + y->pause_ns);
		return !call_forward(y, nr);
	}
	y->nr_stuck = 0;
	/* Nothing to do: let the guard sleep, too. */
	return moved || !call_forward(y, nr);
}

static void *guard_main(void *arg)
{
	struct far_yield_guard *g = arg;

	pager_thread_begin("far-guard", 0);
	while (!atomic_load(&g->is_stopping)) {
		uint32_t seen = atomic_load(&g->kick);
		bool is_back = yield_watch(g->yield, far_now_ns());

		far_futex_wait(&g->kick, seen, is_back ? LOOK_NS : ASLEEP_NS);
	}
	return NULL;
}

int yield_guard_start(struct far_yield_guard *g, struct far_yield *y)
{
	int r;

	g->yield = y;
	atomic_store(&g->is_stopping, 0);
	r = pager_thread(&g->thread, guard_main, g);
	g->is_started = r == 0;
	return r;
}

void yield_guard_stop(struct far_yield_guard *g)
{
	if (!g->is_started)
		return;
	atomic_store(&g->is_stopping, 1);
	atomic_fetch_add(&g->kick, 1);
	far_futex_wake(&g->kick, 1);
	(void)pthread_join(g->thread, NULL);
	g->is_started = false;
	atomic_store(&g->yield->may, 0);
	if (atomic_exchange(&g->yield->back, 0))
		come_forward(g->yield, atomic_load(&g->yield->tid));
}
