/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/base/futex.h"
#include "libfar/base/process.h"

static uint32_t my_start(pid_t pid)
{
	uint64_t ticks;

	return far_process_start(pid, &ticks) == 0 ? (uint32_t)ticks : 0;
}

/* A number that an exec changes and a fork does not. */
static uint32_t my_image(void)
{
	static _Atomic uint32_t image;
	uint32_t old = 0, now = (uint32_t)far_now_ns() | 1;

	if (atomic_compare_exchange_strong(&image, &old, now))
		return now;
	return old;
}

/* Before an exec this process was a member too; that memory is gone. */
static void forget_past(struct far_budget *b, uint32_t pid)
{
	uint32_t top = atomic_load(&b->sh->nr_members);

	for (uint32_t i = 0; i < top; i++) {
		struct far_budget_member *m = &b->sh->member[i];

		if (atomic_load(&m->pid) != pid ||
		    atomic_load(&m->image) == my_image())
			continue;
		atomic_fetch_sub(&b->sh->used_pages,
				 atomic_exchange(&m->used_pages, 0));
		atomic_store(&m->pid, 0);
	}
}

static int join(struct far_budget *b)
{
	uint32_t pid = (uint32_t)getpid();

	forget_past(b, pid);
	for (uint32_t i = 0; i < FAR_BUDGET_MEMBERS; i++) {
		struct far_budget_member *m = &b->sh->member[i];
		uint32_t expected = 0, top;

		if (!atomic_compare_exchange_strong(&m->pid, &expected, pid))
			continue;
		atomic_store(&m->start, my_start((pid_t)pid));
		atomic_store(&m->image, my_image());
		b->me = m;
		top = atomic_load(&b->sh->nr_members);
		while (top < i + 1 && !atomic_compare_exchange_weak(
					      &b->sh->nr_members, &top, i + 1))
			;
		return 0;
	}
	return -EUSERS;
}

static int map_file(const char *path, struct far_budget_shared **ret_sh)
{
	struct stat st;
	void *p;
	int fd, r = 0;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if ((size_t)st.st_size < sizeof(struct far_budget_shared))
		r = -EINVAL;
	if (r < 0)
		goto out_close;
	p = mmap(NULL, sizeof(struct far_budget_shared), PROT_READ | PROT_WRITE,
		 MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		r = -errno;
		goto out_close;
	}
	*ret_sh = p;
	if ((*ret_sh)->magic != FAR_BUDGET_MAGIC) {
		(void)munmap(p, sizeof(struct far_budget_shared));
		r = -EINVAL;
	}
out_close:
	(void)close(fd);
	return r;
}

int far_budget_open(struct far_budget *b, const char *path,
		    uint64_t limit_pages)
{
	void *p;
	int r;

	memset(b, 0, sizeof(*b));
	if (path[0]) {
		r = map_file(path, &b->sh);
		if (r < 0)
			return r;
		b->is_file = true;
	} else {
		r = far_near_map(sizeof(*b->sh), &p);
		if (r < 0)
			return r;
		b->sh = p;
		b->sh->magic = FAR_BUDGET_MAGIC;
		atomic_store(&b->sh->limit_pages, limit_pages);
	}
	r = join(b);
	if (r < 0) {
		(void)munmap(b->sh, sizeof(*b->sh));
		memset(b, 0, sizeof(*b));
	}
	return r;
}

int far_budget_create(const char *path, uint64_t limit_pages)
{
	struct far_budget_shared *sh;
	int fd, r;

	(void)unlink(path); /* left by a process that had our pid */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* Allocated, not sparse: a full tmpfs must not be a SIGBUS later. */
	r = -posix_fallocate(fd, 0, (off_t)sizeof(*sh));
	if (r < 0)
		goto err_unlink;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sh == MAP_FAILED) {
		r = -errno;
		goto err_unlink;
	}
	atomic_store(&sh->limit_pages, limit_pages);
	sh->magic = FAR_BUDGET_MAGIC;
	(void)munmap(sh, sizeof(*sh));
	(void)close(fd);
	return 0;

err_unlink:
	(void)unlink(path);
	(void)close(fd);
	return r;
}

static void leave(struct far_budget *b)
{
	int64_t used = atomic_exchange(&b->me->used_pages, 0);

	if (used)
		atomic_fetch_sub(&b->sh->used_pages, used);
	atomic_store(&b->me->pid, 0);
	far_futex_wake(&b->sh->freed, INT32_MAX);
}

void far_budget_close(struct far_budget *b)
{
	if (!b->sh)
		return;
	if (b->me)
		leave(b);
	(void)munmap(b->sh, sizeof(*b->sh));
	memset(b, 0, sizeof(*b));
}

int far_budget_fork(struct far_budget *b, int64_t pages)
{
	struct far_budget_shared *old = b->sh;
	void *p;
	int r;

	b->me = NULL;
	if (!b->is_file) {
		/* A private mapping: the child's copy counts for itself. */
		r = far_near_map(sizeof(*b->sh), &p);
		if (r < 0)
			return r;
		b->sh = p;
		b->sh->magic = FAR_BUDGET_MAGIC;
		atomic_store(&b->sh->limit_pages,
			     atomic_load(&old->limit_pages));
		(void)munmap(old, sizeof(*old));
	}
	r = join(b);
	if (r == 0)
		far_budget_force(b, pages);
	return r;
}

static void note_peak(struct far_budget_shared *sh, int64_t used)
{
	int64_t peak =
		atomic_load_explicit(&sh->peak_pages, memory_order_relaxed);

	while (used > peak &&
	       !atomic_compare_exchange_weak_explicit(
		       &sh->peak_pages, &peak, used, memory_order_relaxed,
		       memory_order_relaxed))
		;
}

bool far_budget_try(struct far_budget *b, unsigned n)
{
	struct far_budget_shared *sh = b->sh;
	int64_t limit = (int64_t)atomic_load_explicit(&sh->limit_pages,
						      memory_order_relaxed);
	int64_t used =
		atomic_fetch_add(&sh->used_pages, (int64_t)n) + (int64_t)n;

	if (used > limit) {
		atomic_fetch_sub(&sh->used_pages, (int64_t)n);
		return false;
	}
	note_peak(sh, used);
	atomic_fetch_add_explicit(&b->me->used_pages, (int64_t)n,
				  memory_order_relaxed);
	return true;
}

void far_budget_force(struct far_budget *b, int64_t n)
{
	note_peak(b->sh, atomic_fetch_add(&b->sh->used_pages, n) + n);
	atomic_fetch_add_explicit(&b->me->used_pages, n, memory_order_relaxed);
}

void far_budget_put(struct far_budget *b, int64_t n)
{
	struct far_budget_shared *sh = b->sh;

	atomic_fetch_sub_explicit(&b->me->used_pages, n, memory_order_relaxed);
	atomic_fetch_sub(&sh->used_pages, n);
	/*
	 * Pairs with far_budget_wait(): a waiter counts itself, reads freed,
	 * then tries once more; we uncharge, then look for waiters.
	 */
	if (atomic_load(&sh->waiters)) {
		atomic_fetch_add(&sh->freed, 1);
		far_futex_wake(&sh->freed, INT32_MAX);
	}
}

void far_budget_wait(struct far_budget *b, uint32_t seen, uint64_t timeout_ns)
{
	far_futex_wait(&b->sh->freed, seen, timeout_ns);
}

void far_budget_press(struct far_budget *b)
{
	/* Pairs with far_budget_pressed(): counted asleep before it looks. */
	if (!atomic_load(&b->sh->sleepers))
		return;
	atomic_fetch_add(&b->sh->pressure, 1);
	far_futex_wake(&b->sh->pressure, INT32_MAX);
}

void far_budget_pressed(struct far_budget *b, uint32_t seen,
			uint64_t timeout_ns)
{
	far_futex_wait(&b->sh->pressure, seen, timeout_ns);
}

static bool is_dead(const struct far_budget_member *m)
{
	pid_t pid = (pid_t)atomic_load(&m->pid);
	uint64_t ticks;

	if (!pid)
		return false;
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	switch (far_process_start(pid, &ticks)) {
	case 0:
		return atomic_load(&m->start) &&
		       (uint32_t)ticks != atomic_load(&m->start);
	case -ESRCH:
		return true;
	default: /* cannot tell */
		return false;
	}
}

int64_t far_budget_sweep(struct far_budget *b)
{
	uint32_t top = atomic_load(&b->sh->nr_members);
	int64_t total = 0;

	for (uint32_t i = 0; b->is_file && i < top; i++) {
		struct far_budget_member *m = &b->sh->member[i];
		uint32_t pid = atomic_load(&m->pid);
		int64_t used;

		if (m == b->me || !is_dead(m))
			continue;
		used = atomic_exchange(&m->used_pages, 0);
		if (!atomic_compare_exchange_strong(&m->pid, &pid, 0)) {
			/* someone else swept it, and a new one joined */
			atomic_fetch_add(&m->used_pages, used);
			continue;
		}
		atomic_fetch_sub(&b->sh->used_pages, used);
		total += used;
	}
	if (total) {
		atomic_fetch_add(&b->sh->freed, 1);
		far_futex_wake(&b->sh->freed, INT32_MAX);
	}
	return total;
}
