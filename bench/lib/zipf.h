/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zipfian ranks in constant time per draw, and their scattering over a range.
 * Source: Gray et al., "Quickly generating billion-record synthetic
 * databases", SIGMOD 1994.
 */
#ifndef BENCH_LIB_ZIPF_H
#define BENCH_LIB_ZIPF_H

#include "bench/lib/rng.h"

/** struct bench_zipf - constants of one distribution; read-only once made */
struct bench_zipf {
	uint64_t nr_items;
	double zeta_n;
	double alpha;
	double eta;
	double half_pow; /* 1 + 0.5^theta */
};

/**
 * bench_zipf_init() - ranks 0 .. @nr_items - 1, weight of rank r is
 * 1 / (r + 1)^@theta
 * @nr_items: at least 2; takes time linear in it
 * @theta: above 0, below 1
 */
void bench_zipf_init(struct bench_zipf *z, uint64_t nr_items, double theta);

/** bench_zipf_rank() - draw a rank; 0 is the most frequent one */
uint64_t bench_zipf_rank(const struct bench_zipf *z, struct bench_rng *rng);

/** bench_zipf_item() - draw an item: the ranks, scattered over the range */
static inline uint64_t bench_zipf_item(const struct bench_zipf *z,
				       struct bench_rng *rng)
{
	return bench_mix64(bench_zipf_rank(z, rng)) % z->nr_items;
}

#endif
