/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/arena.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sanitizer does not see these mappings; where a thread that ended with a
 * fork had its stack, it would still know of that thread's variables. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(addr, len) ((void)(addr), (void)(len))
#endif

/*
 * System calls are made directly: under the preload mmap() and munmap() may
 * be our own wrappers, and near memory must never pass through them.
 */
int far_near_map(size_t len, void **ret_addr)
{
	uint64_t bytes;
	long addr;

	if (len == 0 || far_add_overflow(len, FAR_PAGE_MASK, &bytes))
		return -ENOMEM;
	bytes &= ~(uint64_t)FAR_PAGE_MASK;
	addr = syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
	if (addr == -1)
		return -ENOMEM;
	/* Only the size of core dumps depends on it. */
	(void)syscall(SYS_madvise, addr, bytes, MADV_DONTDUMP);
	*ret_addr = (void *)addr;
	ASAN_UNPOISON_MEMORY_REGION(*ret_addr, bytes);
	return 0;
}

void far_near_huge(void *addr)
{
	/* Advised only while it is touched: khugepaged would fill up later
	 * what had been given back.  Neighbours with the same advice merge. */
	(void)syscall(SYS_madvise, addr, FAR_HUGE_SIZE, MADV_HUGEPAGE);
	*(volatile char *)addr = 0;
	(void)syscall(SYS_madvise, addr, FAR_HUGE_SIZE, MADV_NOHUGEPAGE);
}

void far_near_unmap(void *addr, size_t len)
{
	long ret;

	if (!addr)
		return;
	ret = syscall(SYS_munmap, addr, far_round_up(len, FAR_PAGE_SIZE));
	assert(ret == 0);
	(void)ret; /* used by the assertion only */
}

int far_arena_init(struct far_arena *arena, size_t len)
{
	void *base;
	int ret = far_near_map(len, &base);

	if (ret < 0)
		return ret;
	arena->base = base;
	arena->len = far_round_up(len, FAR_PAGE_SIZE);
	arena->used = 0;
	return 0;
}

void far_arena_fini(struct far_arena *arena)
{
	far_near_unmap(arena->base, arena->len);
	arena->base = NULL;
	arena->len = 0;
	arena->used = 0;
}

void *far_arena_alloc(struct far_arena *arena, size_t len)
{
	size_t left = arena->len - arena->used;
	char *p;

	/* used stays a multiple of the line, and so does len: no overflow */
	if (len == 0 || len > left)
		return NULL;
	p = arena->base + arena->used;
	arena->used += far_round_up(len, FAR_CACHE_LINE);
	return p;
}
