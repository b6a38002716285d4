/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/preload/preload.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "libfar/preload/je.h"

/* What the library may need between two fork handlers: thread blocks, clones */
#define WINDOW_SIZE ((size_t)1 << 20)
#define WINDOW_ALIGN 16u
#define WINDOW_ONE_LIVE (UINT64_C(1) << 32)
#define LG_ALIGN_MASK 0x3f /* of jemalloc's flags */

/** struct block_head - before each block of the window */
struct block_head {
	size_t size;
	size_t unused; /* keeps the block aligned */
};

/** struct put_off - a block whose free() waits for the end of a fork */
struct put_off {
	struct put_off *next;
};

static _Alignas(4096) unsigned char window[WINDOW_SIZE];
/* Blocks in use in the upper half, bytes handed out in the lower. */
static _Atomic uint64_t window_state;

static _Atomic int near_flags = MALLOCX_TCACHE_NONE;
static _Atomic uint32_t gate_users;   /* threads inside jemalloc */
static _Atomic uint32_t gate_closers; /* forks that are going on */
static _Atomic(struct put_off *) put_off_list;

int far_near_arena_create(void)
{
	unsigned ind;
	size_t len = sizeof(ind);
	int err = far_je_mallctl("arenas.create", &ind, &len, NULL, 0);

	if (err)
		return -err;
	atomic_store_explicit(&near_flags,
			      MALLOCX_ARENA(ind) | MALLOCX_TCACHE_NONE,
			      memory_order_relaxed);
	return 0;
}

/*
 * True: the caller may call jemalloc, and must gate_exit().  Sequentially
 * consistent: either this sees the closer, or the closer sees this user.
 */
static bool gate_enter(void)
{
	atomic_fetch_add(&gate_users, 1);
	if (FAR_LIKELY(atomic_load(&gate_closers) == 0))
		return true;
	atomic_fetch_sub(&gate_users, 1);
	return false;
}

static void gate_exit(void)
{
	atomic_fetch_sub(&gate_users, 1);
}

static void *window_alloc(size_t size, int flags)
{
	size_t align = (size_t)1 << (flags & LG_ALIGN_MASK);
	uint64_t old = atomic_load(&window_state), new;
	struct block_head *head;
	uint64_t at;

	if (align < WINDOW_ALIGN)
		align = WINDOW_ALIGN;
	if (size > WINDOW_SIZE || align > 4096)
		return NULL;
	do {
		at = far_round_up((uint32_t)old + sizeof(*head), align);
		if (at + size > WINDOW_SIZE)
			return NULL;
		new = (old & ~(uint64_t)UINT32_MAX) + WINDOW_ONE_LIVE + at +
		      size;
	} while (!atomic_compare_exchange_weak(&window_state, &old, new));
	head = (struct block_head *)(void *)(window + at - sizeof(*head));
	head->size = size;
	if (flags & MALLOCX_ZERO)
		memset(window + at, 0, size);
	return window + at;
}

bool far_window_owns(const void *ptr)
{
	return (uintptr_t)ptr - (uintptr_t)window < WINDOW_SIZE;
}

size_t far_window_size(const void *ptr)
{
	const struct block_head *head = ptr;

	return head[-1].size;
}

void far_window_free(void *ptr)
{
	(void)ptr; /* space comes back when the last block is gone */
	atomic_fetch_sub(&window_state, WINDOW_ONE_LIVE);
}

/* An empty window starts over; a block handed out meanwhile prevents it. */
static void window_reset(void)
{
	uint64_t old = atomic_load(&window_state);

	if (old < WINDOW_ONE_LIVE)
		(void)atomic_compare_exchange_strong(&window_state, &old, 0);
}

void *far_near_alloc(size_t size, int flags)
{
	void *ptr;

	if (size == 0)
		size = 1;
	if (gate_enter()) {
		flags |=
			atomic_load_explicit(&near_flags, memory_order_relaxed);
		ptr = far_je_mallocx(size, flags);
		gate_exit();
	} else {
		ptr = window_alloc(size, flags);
	}
	if (!ptr)
		errno = ENOMEM;
	return ptr;
}

void far_near_free(void *ptr)
{
	struct put_off *item = ptr;

	if (!ptr)
		return;
	if (far_window_owns(ptr)) {
		far_window_free(ptr);
		return;
	}
	if (gate_enter()) {
		far_je_dallocx(ptr, MALLOCX_TCACHE_NONE);
		gate_exit();
		return;
	}
	item->next = atomic_load(&put_off_list);
	while (!atomic_compare_exchange_weak(&put_off_list, &item->next, item))
		;
}

/* A block that jemalloc cannot be asked to change now. */
static void *realloc_by_copy(void *ptr, size_t old_size, size_t size)
{
	void *new;

	if (size <= old_size)
		return ptr;
	new = far_near_alloc(size, 0);
	if (!new)
		return NULL;
	memcpy(new, ptr, old_size);
	far_near_free(ptr);
	return new;
}

void *far_near_realloc(void *ptr, size_t size)
{
	int flags = atomic_load_explicit(&near_flags, memory_order_relaxed);
	void *new;

	if (!ptr)
		return far_near_alloc(size, 0);
	if (size == 0) {
		far_near_free(ptr);
		return NULL;
	}
	if (far_window_owns(ptr))
		return realloc_by_copy(ptr, far_window_size(ptr), size);
	if (!gate_enter())
		return realloc_by_copy(ptr, far_je_malloc_usable_size(ptr),
				       size);
	new = far_je_rallocx(ptr, size, flags);
	gate_exit();
	if (!new)
		errno = ENOMEM;
	return new;
}

void far_near_fork_begin(void)
{
	const struct timespec pause = {.tv_nsec = 50000};
	unsigned round;

	atomic_fetch_add(&gate_closers, 1);
	/* Users are inside one call of jemalloc and wait for nothing of ours;
	 * the pauses let them run whatever their priority is. */
	for (round = 0; atomic_load(&gate_users) != 0; round++) {
		if (round < 100)
			sched_yield();
		else
			nanosleep(&pause, NULL);
	}
	window_reset();
}

void far_near_fork_end(bool is_child)
{
	struct put_off *item, *next;

	if (is_child) {
		/* The other threads, users or forkers, are not here. */
		atomic_store(&gate_users, 0);
		atomic_store(&gate_closers, 0);
	} else if (atomic_fetch_sub(&gate_closers, 1) != 1) {
		return;
	}
	item = atomic_exchange(&put_off_list, NULL);
	for (; item; item = next) {
		next = item->next;
		far_near_free(item);
	}
}
