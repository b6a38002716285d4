/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/lat.h"

#include <string.h>

void bench_lat_init(struct bench_lat *lat)
{
	memset(lat, 0, sizeof(*lat));
	lat->min_ns = UINT64_MAX;
}

void bench_lat_merge(struct bench_lat *dst, const struct bench_lat *src)
{
	far_hist_merge(&dst->hist, &src->hist);
	dst->sum_ns += src->sum_ns;
	if (src->min_ns < dst->min_ns)
		dst->min_ns = src->min_ns;
	if (src->max_ns > dst->max_ns)
		dst->max_ns = src->max_ns;
}

uint64_t bench_lat_ns(const struct bench_lat *lat, double q)
{
	uint64_t ns = far_hist_quantile(&lat->hist, q);

	if (ns > lat->max_ns)
		ns = lat->max_ns;
	if (ns < lat->min_ns && lat->min_ns != UINT64_MAX)
		ns = lat->min_ns;
	return ns;
}
