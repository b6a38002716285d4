/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Latencies of one measurement: a histogram and the exact extremes.
 */
#ifndef BENCH_LIB_LAT_H
#define BENCH_LIB_LAT_H

#include "libfar/base/clock.h"
#include "libfar/base/hist.h"

/** struct bench_lat - one writer */
struct bench_lat {
	struct far_hist hist;
	uint64_t min_ns; /* UINT64_MAX while empty */
	uint64_t max_ns;
	uint64_t sum_ns;
};

/** bench_lat_init() - empty it; must come before the first add */
void bench_lat_init(struct bench_lat *lat);

/** bench_lat_merge() - add what @src counted to @dst */
void bench_lat_merge(struct bench_lat *dst, const struct bench_lat *src);

/** bench_lat_ns() - quantile @q (0..1), never outside the extremes seen */
uint64_t bench_lat_ns(const struct bench_lat *lat, double q);

/** bench_lat_add() - count one latency */
static inline void bench_lat_add(struct bench_lat *lat, uint64_t ns)
{
	far_hist_add(&lat->hist, ns);
	lat->sum_ns += ns;
	if (ns < lat->min_ns)
		lat->min_ns = ns;
	if (ns > lat->max_ns)
		lat->max_ns = ns;
}

#endif
