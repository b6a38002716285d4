/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/reserve.h"

#define LEAST_PART 512 /* of the limit */
#define LEAST 32
#define MOST_PART 16
#define MOST_BATCHES 4
#define BATCH_MAX_NS UINT64_C(1000000000)
#define MEAN_PART 8 /* of the newest in a mean */
#define TIMES 2	    /* what a batch takes: faults do not come evenly */

static uint32_t least(uint64_t limit)
{
	return (uint32_t)far_min_u64(far_max_u64(limit / LEAST_PART, LEAST),
				     limit / 4);
}

static uint32_t most(uint64_t limit, uint64_t batch)
{
	return (uint32_t)far_max_u64(
		far_min_u64(limit / MOST_PART, MOST_BATCHES * batch),
		least(limit));
}

uint32_t reserve_pages(const struct far_reserve *r, uint64_t limit,
		       uint64_t batch)
{
	uint64_t n = far_max_u64(
		atomic_load_explicit(&r->pages, memory_order_relaxed),
		atomic_load_explicit(&r->pace_pages, memory_order_relaxed));

	return (uint32_t)far_min_u64(far_max_u64(n, least(limit)),
				     most(limit, batch));
}

void reserve_short(struct far_reserve *r, uint64_t limit, uint64_t batch,
		   uint64_t now_ns)
{
	uint64_t last =
		atomic_load_explicit(&r->short_ns, memory_order_relaxed);
	uint32_t n = reserve_pages(r, limit, batch);

	/* What the last step asked for has to come first. */
	if (last && now_ns - last < FAR_RESERVE_STEP_NS)
		return;
	atomic_store_explicit(&r->short_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(
		&r->pages,
		(uint32_t)far_min_u64(2 * (uint64_t)n, most(limit, batch)),
		memory_order_relaxed);
}

void reserve_took(struct far_reserve *r, uint64_t ns)
{
	uint64_t mean =
		atomic_load_explicit(&r->batch_ns, memory_order_relaxed);

	ns = far_min_u64(ns, BATCH_MAX_NS);
	atomic_store_explicit(&r->batch_ns,
			      mean ? mean - mean / MEAN_PART + ns / MEAN_PART
				   : ns,
			      memory_order_relaxed);
}

void reserve_pace(struct far_reserve *r, uint64_t nr_taken, uint64_t now_ns)
{
	uint64_t batch =
		atomic_load_explicit(&r->batch_ns, memory_order_relaxed);
	uint32_t old =
		atomic_load_explicit(&r->pace_pages, memory_order_relaxed);
	uint64_t nr = nr_taken - r->nr_taken, ns = now_ns - r->pace_ns;
	/* the first look, or they are counted from 0 again: after a fork */
	bool is_known = r->pace_ns && ns && nr_taken >= r->nr_taken;

	r->nr_taken = nr_taken;
	r->pace_ns = now_ns;
	if (!is_known)
		return;
	nr = far_min_u64(far_min_u64(nr, UINT32_MAX) * TIMES * batch / ns,
			 UINT32_MAX);
	atomic_store_explicit(&r->pace_pages,
			      (uint32_t)far_max_u64(nr, old - (old + 7) / 8),
			      memory_order_relaxed);
}

void reserve_relax(struct far_reserve *r, uint64_t now_ns)
{
	uint64_t last =
		atomic_load_explicit(&r->short_ns, memory_order_relaxed);
	uint32_t n = atomic_load_explicit(&r->pages, memory_order_relaxed);

	if (n && now_ns - last > FAR_RESERVE_CALM_NS)
		atomic_store_explicit(&r->pages, n - (n + 7) / 8,
				      memory_order_relaxed);
}
