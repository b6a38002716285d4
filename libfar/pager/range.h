/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which parts of the pager's one address range are mapped: a sorted array of
 * [start, end) in pages.  Changed under the pager's control lock; the fault
 * path looks without a lock and retries when a change came in between.
 */
#ifndef LIBFAR_PAGER_RANGE_H
#define LIBFAR_PAGER_RANGE_H

#include <stdatomic.h>

#include <far/evict.h>

#include "libfar/base/compiler.h"

struct far_range {
	_Atomic far_pgno_t start;
	_Atomic far_pgno_t end;
};

struct far_ranges {
	struct far_range *r; /* near memory */
	far_pgno_t max_pages;
	uint64_t base_pg; /* page number of page 0's address, for alignment */
	uint32_t max;	  /* entries that fit */
	_Atomic uint32_t nr;
	_Atomic uint32_t seq; /* odd while changing */
	_Atomic uint64_t mapped_pages;
	_Atomic far_pgno_t top; /* no page at or above was ever mapped */
};

/** far_ranges_init() - for @max_pages pages from address @base on */
int far_ranges_init(struct far_ranges *rs, far_pgno_t max_pages,
		    uintptr_t base);
void far_ranges_fini(struct far_ranges *rs);

/**
 * far_ranges_alloc() - lowest free @nr pages, address aligned to @align pages
 * Return: 0; -ENOMEM no room.
 */
int far_ranges_alloc(struct far_ranges *rs, far_pgno_t nr, far_pgno_t align,
		     far_pgno_t *ret_start);

/** far_ranges_free() - unmap [start, start + nr), which must be mapped
 * Return: 0; -EINVAL not wholly mapped; -ENOMEM too many pieces. */
int far_ranges_free(struct far_ranges *rs, far_pgno_t start, far_pgno_t nr);

/** far_ranges_contains() - all of [start, start + nr) is mapped; lock-free */
bool far_ranges_contains(const struct far_ranges *rs, far_pgno_t start,
			 far_pgno_t nr);

#endif
