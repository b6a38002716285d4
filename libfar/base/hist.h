/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latency histogram: log-linear buckets (16 per power of two, error below
 * 7 %), values in nanoseconds.  One writer, any reader; mergeable.
 */
#ifndef LIBFAR_BASE_HIST_H
#define LIBFAR_BASE_HIST_H

#include <stdatomic.h>

#include "libfar/base/compiler.h"

#define FAR_HIST_SUB_BITS 4
#define FAR_HIST_BUCKETS (40 << FAR_HIST_SUB_BITS)

struct far_hist {
	_Atomic uint64_t count[FAR_HIST_BUCKETS];
};

/** far_hist_bucket() - index of the bucket that holds @value */
static inline unsigned far_hist_bucket(uint64_t value)
{
	unsigned msb, idx;

	if (value < (1u << FAR_HIST_SUB_BITS))
		return (unsigned)value;
	msb = 63 - (unsigned)__builtin_clzll(value);
	idx = ((msb - FAR_HIST_SUB_BITS + 1) << FAR_HIST_SUB_BITS) +
	      (unsigned)((value >> (msb - FAR_HIST_SUB_BITS)) &
			 ((1u << FAR_HIST_SUB_BITS) - 1));
	return idx < FAR_HIST_BUCKETS ? idx : FAR_HIST_BUCKETS - 1;
}

/** far_hist_add() - count @value; single writer per histogram */
static inline void far_hist_add(struct far_hist *h, uint64_t value)
{
	_Atomic uint64_t *c = &h->count[far_hist_bucket(value)];

	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

/** far_hist_merge() - add @src to @dst */
void far_hist_merge(struct far_hist *dst, const struct far_hist *src);

/** far_hist_octaves() - how many values from 2^i on, below 2^(i+1), for each i
 * below @nr; the last one holds what is larger, the first 0, too */
void far_hist_octaves(const struct far_hist *h, uint64_t *ret, unsigned nr);

/** far_hist_total() - number of values */
uint64_t far_hist_total(const struct far_hist *h);

/** far_hist_quantile() - upper edge of the bucket at @q (0..1); 0 if empty */
uint64_t far_hist_quantile(const struct far_hist *h, double q);

#endif
