/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/placement.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfar/base/clock.h"

#define LOOK_NS (500 * FAR_NS_PER_US) /* a look costs a few us */
#define SETTLED_NS (1 * FAR_NS_PER_MS)
#define NUDGED_NS (50 * FAR_NS_PER_US) /* even if it seems to run elsewhere */
#define STREAK 32 /* faults in a row that make a thread the one to follow */

void placement_init(struct far_placement *pl, _Atomic int *home)
{
	memset(pl, 0, sizeof(*pl));
	pl->home = home;
	pl->cpu = pl->stat_fd = -1;
	pl->can_follow =
		sched_getaffinity(0, sizeof(pl->allowed), &pl->allowed) == 0 &&
		CPU_COUNT(&pl->allowed) > 1;
}

void placement_fini(struct far_placement *pl)
{
	if (pl->stat_fd >= 0)
		(void)close(pl->stat_fd);
	pl->stat_fd = -1;
}

/* Field 39 of its stat line: the core the thread last ran on; -1 unknown. */
static int core_of(struct far_placement *pl)
{
	char path[48], buf[1024], *p;
	ssize_t n;

	if (pl->stat_fd < 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/task/%u/stat",
			       pl->tid);
		pl->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (pl->stat_fd < 0)
			return -1;
	}
	n = pread(pl->stat_fd, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	p = strrchr(buf, ')');
	for (int field = 2; p && field < 39; field++)
		p = strchr(p + 1, ' ');
	return p ? atoi(p + 1) : -1;
}

static void bind_to(struct far_placement *pl, int cpu)
{
	cpu_set_t one;

	if (pl->cpu == cpu)
		return;
	CPU_ZERO(&one);
	if (cpu >= 0)
		CPU_SET((unsigned)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), cpu >= 0 ? &one : &pl->allowed) !=
	    0)
		return;
	pl->cpu = cpu;
	if (pl->home)
		atomic_store_explicit(pl->home, cpu, memory_order_relaxed);
}

void placement_release(struct far_placement *pl)
{
	bind_to(pl, -1);
	pl->can_follow = false;
}

void placement_nudge(struct far_placement *pl)
{
	if (pl->cpu >= 0)
		pl->next_ns =
			far_min_u64(pl->next_ns, pl->looked_ns + NUDGED_NS);
}

void placement_join(struct far_placement *pl, const _Atomic int *home)
{
	int cpu = atomic_load_explicit(home, memory_order_relaxed);

	if (pl->can_follow)
		bind_to(pl, cpu);
}

void placement_follow(struct far_placement *pl, uint32_t tid, uint64_t now_ns)
{
	int cpu;

	if (!pl->can_follow || !tid)
		return;
	if (tid != pl->tid) {
		/* Faults from here and there: the scheduler knows better. */
		pl->tid = tid;
		pl->streak = 0;
		placement_fini(pl);
		bind_to(pl, -1);
		return;
	}
	if (++pl->streak < STREAK || now_ns < pl->next_ns)
		return;
	pl->next_ns = now_ns + (pl->is_settled ? SETTLED_NS : LOOK_NS);
	pl->looked_ns = now_ns;
	cpu = core_of(pl);
	if (cpu >= 0 && cpu < CPU_SETSIZE &&
	    CPU_ISSET((unsigned)cpu, &pl->allowed))
		bind_to(pl, cpu);
}
