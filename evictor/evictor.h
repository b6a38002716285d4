/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The evictor: a bounded team of threads that keeps frames free, so that
 * faults never evict.  Each thread builds batches of victims, hands them to
 * the pager to be taken out and written back, and keeps several batches in
 * flight; when pressure ends it drains them.  How many of them work follows the
 * load (team.h); the others sleep.
 */
#ifndef EVICTOR_EVICTOR_H
#define EVICTOR_EVICTOR_H

#include <pthread.h>

#include <far/evict.h>

#include "libfar/base/compiler.h"

#define FAR_EVICT_BATCHES 4 /* in flight per thread */
#define FAR_EVICT_BATCH_MAX 512

struct far_evict_host; /* the pager's side; opaque here */

/** struct far_evict_host_ops - the hands the evictor borrows */
struct far_evict_host_ops {
	size_t size;
	/* pages that should be freed beyond @in_flight; 0: enough are free */
	uint64_t (*shortage)(struct far_evict_host *h, uint64_t in_flight);
	/* size of the cache in pages, for the policy */
	uint64_t (*local_pages)(struct far_evict_host *h);
	/* pages at and above this one were never used */
	far_pgno_t (*nr_pages)(struct far_evict_host *h);
	/*
	 * Takes out up to @nr pages and starts writing them back as batch
	 * @batch of worker @worker.  Returns how many it took; 0: the batch is
	 * not in flight.
	 */
	unsigned (*begin)(struct far_evict_host *h, unsigned worker,
			  unsigned batch, far_pgno_t *pgs, unsigned nr);
	/*
	 * Advances @batch; true: it is finished, its frames are free.  Waits
	 * up to @wait_ns for completions.
	 */
	bool (*reap)(struct far_evict_host *h, unsigned worker, unsigned batch,
		     uint64_t wait_ns);
	/* sleeps until frames may be short, or the evictor was kicked */
	void (*wait)(struct far_evict_host *h, unsigned worker,
		     uint64_t timeout_ns);
	/* do faults wait for frames that we are to free? */
	bool (*is_waiting)(struct far_evict_host *h);
	/* wakes sleepers in wait() */
	void (*kick)(struct far_evict_host *h);
	/* first and last thing on each thread; @worker's queue is its own */
	int (*thread_begin)(struct far_evict_host *h, unsigned worker);
	void (*thread_end)(struct far_evict_host *h, unsigned worker);
	int (*thread_create)(pthread_t *ret_thread, void *(*fn)(void *),
			     void *arg);
	struct far_policy_view view;
};

struct far_evictor_attr {
	const struct far_evict_host_ops *ops;
	struct far_evict_host *host;
	const struct far_evict_policy_ops *policy;
	far_pgno_t max_pages;
	unsigned nr_threads; /* at most */
	unsigned batch; /* pages */
};

struct far_evictor;

/** far_evictor_create() - nothing runs yet; 0, -ENOMEM, -EINVAL */
int far_evictor_create(const struct far_evictor_attr *attr,
		       struct far_evictor **ret_evictor);

/** far_evictor_start() - start the threads; 0 or -errno */
int far_evictor_start(struct far_evictor *e);

/** far_evictor_working() - how many threads are at work; any thread */
unsigned far_evictor_working(const struct far_evictor *e);

/** far_evictor_stop() - drain and end the threads */
void far_evictor_stop(struct far_evictor *e);

/** far_evictor_destroy() - after stop; NULL is fine */
void far_evictor_destroy(struct far_evictor *e);

/** far_evictor_pause() - return when nothing is in flight any more */
void far_evictor_pause(struct far_evictor *e);
void far_evictor_resume(struct far_evictor *e);

/**
 * far_evictor_forked() - in a child: the threads are the parent's
 * The policy forgets all pages; tell it again with far_evictor_page_in().
 * Return: 0; -ENOMEM.
 */
int far_evictor_forked(struct far_evictor *e);

/** far_evictor_page_in() - @pg became resident; any thread */
void far_evictor_page_in(struct far_evictor *e, far_pgno_t pg);

/** far_evictor_page_out() - @pg left; any thread */
void far_evictor_page_out(struct far_evictor *e, far_pgno_t pg);

/** far_evictor_cold() - evict [start, start + nr) soon; false: try later */
bool far_evictor_cold(struct far_evictor *e, far_pgno_t start, far_pgno_t nr);

#endif
