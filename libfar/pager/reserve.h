/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many frames evictors keep free, so that faults find one: few, for they
 * are lost to the cache; more as soon as somebody had to do without, as at a
 * change of phase; and fewer again when that has not happened for a while.  And
 * never fewer than are taken, at the rate of late, while a batch is on its way
 * out, and as many again: whoever takes frames so fast must not run out of them
 * once a second, to find out that the reserve has shrunk.
 *
 * Threads: any; it is advice, and a lost update does no harm.
 */
#ifndef LIBFAR_PAGER_RESERVE_H
#define LIBFAR_PAGER_RESERVE_H

#include <stdatomic.h>

#include "libfar/base/compiler.h"

#define FAR_RESERVE_STEP_NS UINT64_C(200000) /* between two doublings */
#define FAR_RESERVE_CALM_NS UINT64_C(1000000000)

struct far_reserve {
	_Atomic uint32_t pages; /* 0: the least */
	_Atomic uint64_t short_ns;
	_Atomic uint64_t batch_ns;   /* reserve_took(), the mean of late */
	_Atomic uint32_t pace_pages; /* what follows from that and the rate */
	uint64_t nr_taken, pace_ns;  /* at the last reserve_pace(); its caller */
};

/** reserve_pages() - how many now
 * @limit: of the local memory, pages; @batch: pages an evictor takes at a time,
 * at most */
uint32_t reserve_pages(const struct far_reserve *r, uint64_t limit,
		       uint64_t batch);

/** reserve_short() - a fault, or a prefetch, found no frame at @now_ns */
void reserve_short(struct far_reserve *r, uint64_t limit, uint64_t batch,
		   uint64_t now_ns);

/** reserve_took() - a batch was on its way for @ns, until its frames were free */
void reserve_took(struct far_reserve *r, uint64_t ns);

/** reserve_pace() - @nr_taken frames were taken so far, at @now_ns; called now
 * and then, by one thread */
void reserve_pace(struct far_reserve *r, uint64_t nr_taken, uint64_t now_ns);

/** reserve_relax() - called now and then */
void reserve_relax(struct far_reserve *r, uint64_t now_ns);

#endif
