/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/zipf.h"

#include <math.h>

/* Above this rank the sum is taken as an integral: the error is below 1e-7. */
#define ZETA_EXACT 1000000

static double zeta(uint64_t n, double theta)
{
	uint64_t exact = n < ZETA_EXACT ? n : ZETA_EXACT;
	double s = 1.0 - theta;
	double sum = 0.0;
	uint64_t i;

	for (i = 1; i <= exact; i++)
		sum += pow((double)i, -theta);
	if (n > exact)
		sum += (pow((double)n + 0.5, s) - pow((double)exact + 0.5, s)) /
		       s;
	return sum;
}

void bench_zipf_init(struct bench_zipf *z, uint64_t nr_items, double theta)
{
	double n = (double)nr_items;

	z->nr_items = nr_items;
	z->zeta_n = zeta(nr_items, theta);
	z->alpha = 1.0 / (1.0 - theta);
	z->half_pow = 1.0 + pow(0.5, theta);
	z->eta = (1.0 - pow(2.0 / n, 1.0 - theta)) /
		 (1.0 - z->half_pow / z->zeta_n);
}

uint64_t bench_zipf_rank(const struct bench_zipf *z, struct bench_rng *rng)
{
	double u = (double)(bench_rng_next(rng) >> 11) * 0x1p-53;
	double uz = u * z->zeta_n;
	uint64_t rank;

	if (uz < 1.0)
		return 0;
	if (uz < z->half_pow)
		return 1;
	rank = (uint64_t)((double)z->nr_items *
			  pow(z->eta * u - z->eta + 1.0, z->alpha));
	return rank < z->nr_items ? rank : z->nr_items - 1;
}
