/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random numbers of the benchmarks: seeded, the same on every machine.
 */
#ifndef BENCH_LIB_RNG_H
#define BENCH_LIB_RNG_H

#include "libfar/base/compiler.h"

/**
 * bench_mix64() - a bijection of 64 bits in which every input bit matters
 * Source: the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
 */
static inline uint64_t bench_mix64(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/** struct bench_rng - one thread's generator */
struct bench_rng {
	uint64_t state;
};

static inline void bench_rng_init(struct bench_rng *rng, uint64_t seed)
{
	rng->state = bench_mix64(seed);
}

static inline uint64_t bench_rng_next(struct bench_rng *rng)
{
	uint64_t x = bench_mix64(rng->state);

	rng->state += UINT64_C(0x9e3779b97f4a7c15);
	return x;
}

/** bench_rng_below() - uniform in [0, @n), @n below 2^32 */
static inline uint64_t bench_rng_below(struct bench_rng *rng, uint64_t n)
{
	return ((bench_rng_next(rng) >> 32) * n) >> 32;
}

#endif
