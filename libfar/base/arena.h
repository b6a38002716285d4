/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Near memory: private anonymous mappings that are never far memory, so that
 * pager threads can use them while serving faults.  A bump allocator; nothing
 * is freed but the whole.
 */
#ifndef LIBFAR_BASE_ARENA_H
#define LIBFAR_BASE_ARENA_H

#include "libfar/base/compiler.h"

/**
 * far_near_map() - @len bytes (rounded up to pages) of zeroed near memory
 * Lazily populated, excluded from core dumps.
 * Return: 0, -ENOMEM
 */
int far_near_map(size_t len, void **ret_addr);

/** far_near_unmap() - give back what far_near_map() gave; NULL is fine */
void far_near_unmap(void *addr, size_t len);

#define FAR_HUGE_SIZE ((size_t)2 << 20)

/**
 * far_near_huge() - back near memory that nobody has used yet by a huge page
 * @addr: multiple of FAR_HUGE_SIZE; so many bytes from there
 * Best effort; at least its first page is populated.
 */
void far_near_huge(void *addr);

struct far_arena {
	char *base;
	size_t len;
	size_t used;
};

/** far_arena_init() - an arena of at most @len bytes; 0 or -ENOMEM */
int far_arena_init(struct far_arena *arena, size_t len);
void far_arena_fini(struct far_arena *arena);

/** far_arena_alloc() - zeroed, aligned to a cache line; NULL when exhausted */
void *far_arena_alloc(struct far_arena *arena, size_t len);

#endif
