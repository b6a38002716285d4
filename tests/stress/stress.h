/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A random load on one pager, checked against a shadow.
 *
 * The region is cut into chunks, each owned by one thread at a time.  The
 * shadow holds the version of every page; version 0 is a page of zeros.  A
 * page is filled from its number and version, so any other content, old or
 * of another page, is seen.
 */
#ifndef TESTS_STRESS_STRESS_H
#define TESTS_STRESS_STRESS_H

#include <pthread.h>
#include <stdatomic.h>

#include <far/far.h>

#include "libfar/base/compiler.h"

#define CHUNK_PAGES 256u
#define MAX_THREADS 32

struct chunk {
	pthread_mutex_t lock;  /* of all below */
	char *mem;	       /* CHUNK_PAGES pages; NULL: unmapped */
	unsigned pinned_pages; /* from the first */
	uint32_t version[CHUNK_PAGES];
};

struct stress {
	struct far_pager *pager;
	struct chunk *chunks;
	unsigned nr_chunks;
	uint64_t seed;
	uint64_t limit_lo, limit_hi; /* bytes */
	bool may_fork;
	pthread_barrier_t all_there; /* workers and main */
	_Atomic bool stop;
	_Atomic uint64_t nr_ops, nr_forks;
	_Atomic uint64_t failures;
};

struct worker {
	struct stress *s;
	unsigned index;
	uint64_t rng;
	pthread_t thread;
};

/** stress_fail() - count a failure and say what, with the place */
void stress_fail(struct stress *s, const char *fmt, ...) FAR_PRINTF(2, 3);

/** stress_work() - one thread's loop, until s->stop; a pthread start routine */
void *stress_work(void *arg);

/** chunk_check() - compare all pages of @c, which the caller has locked, with
 * the shadow; pages that are wrong */
unsigned chunk_check(struct stress *s, struct chunk *c);

/** stress_random() - below @below, from @rng */
static inline uint32_t stress_random(uint64_t *rng, uint32_t below)
{
	*rng = *rng * UINT64_C(6364136223846793005) +
	       UINT64_C(1442695040888963407);
	return (uint32_t)((*rng >> 32) * below >> 32);
}

#endif
