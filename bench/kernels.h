/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-kernels: what analytics does to memory, in plain C on plain malloc, to
 * be run as it is, under `far run`, or under the kernel's swap.  Like the
 * kernels of GAPBS and like XSBench, and not them: figures compare with
 * themselves alone.
 */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

#include "libfar/base/compiler.h"

/** struct kernel_size - how large, and how often */
struct kernel_size {
	unsigned scale;	 /* log2 of vertices; of grid points for lookups */
	unsigned degree; /* edges a vertex; nuclides */
	unsigned trials; /* iterations, searches, or thousands of lookups */
};

/**
 * struct kernel - one of them; every function runs in one thread, the same
 * seed gives the same sum on every machine
 */
struct kernel {
	const char *name;
	const char *help;
	struct kernel_size size; /* if nothing else is said */
	/* allocate and fill; NULL: out of memory */
	void *(*build)(const struct kernel_size *size, uint64_t seed);
	/* work on it; a checksum of all results */
	uint64_t (*run)(void *data, const struct kernel_size *size);
	void (*destroy)(void *data);
};

extern const struct kernel kernel_pagerank, kernel_bfs, kernel_lookup;

#endif
