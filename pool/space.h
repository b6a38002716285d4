/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which offsets of an export are handed out: first fit, neighbouring holes
 * joined, so that offsets stay small.  Counts pages.  Pure, but for malloc().
 */
#ifndef POOL_SPACE_H
#define POOL_SPACE_H

#include "libfar/base/compiler.h"

struct pool_hole {
	uint64_t start, nr_pages;
};

/** struct pool_space - [0, top) is handed out, but for the holes */
struct pool_space {
	uint64_t top;
	uint64_t max;		 /* top never passes it */
	struct pool_hole *holes; /* by start; none touch, none end at top */
	size_t nr_holes;
	size_t cap; /* holes that fit without allocating */
};

/** pool_space_init() - all of [0, @max_pages) is free; release with fini */
void pool_space_init(struct pool_space *sp, uint64_t max_pages);
void pool_space_fini(struct pool_space *sp);

/** pool_space_copy() - @dst, not initialised, becomes like @src; -ENOMEM */
int pool_space_copy(struct pool_space *dst, const struct pool_space *src);

/** pool_space_alloc() - @nr_pages in a row; -ENOSPC no such run */
int pool_space_alloc(struct pool_space *sp, uint64_t nr_pages,
		     uint64_t *ret_start);

/**
 * pool_space_free() - give back part or all of what was handed out
 * Every page of the range must be handed out; the caller has checked.
 * Return: 0; -ENOMEM, and nothing changed.
 */
int pool_space_free(struct pool_space *sp, uint64_t start, uint64_t nr_pages);

#endif
