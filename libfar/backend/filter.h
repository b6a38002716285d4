/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all filters share: a filter wraps the queue of the backend behind it.
 * Each request of the caller gets a request of the filter's own, so that
 * filters stack without sharing scratch fields.  A filter says what it wants
 * in a struct far_filter_hooks; filter.c does the rest.
 *
 * A filter that holds completions back turns a SYNC backend into one that is
 * not, and has an event descriptor of its own.
 */
#ifndef LIBFAR_BACKEND_FILTER_H
#define LIBFAR_BACKEND_FILTER_H

#include "libfar/backend/backend.h"
#include "libfar/backend/spec.h"
#include "libfar/base/compiler.h"
#include "libfar/base/hist.h"

struct far_filter_queue;

/** struct far_filter_req - one request inside a filter; the queue's thread */
struct far_filter_req {
	struct far_io io;    /* what the next backend gets */
	struct far_io *orig; /* the caller's */
	uint64_t start_ns;   /* hooks' own */
	uint64_t due_ns;     /* completion is held until then (0: not) */
	struct far_filter_req *next; /* free, ready or backlog list */
};

/** struct far_filter_hooks - what one kind of filter does; data plane */
struct far_filter_hooks {
	size_t queue_size; /* bytes of fq->priv */
	bool is_holding;   /* after() sets due_ns */
	/* fq->priv is zeroed memory; NULL: nothing to set up */
	void (*queue_init)(struct far_filter_queue *fq);
	/* the queue is going; NULL: nothing to do */
	void (*queue_fini)(struct far_filter_queue *fq);
	/* 0 passes the request on; -errno completes it with that */
	int (*before)(struct far_filter_queue *fq, struct far_filter_req *req);
	/* the next backend completed it with req->io.res, which may be changed
	 */
	void (*after)(struct far_filter_queue *fq, struct far_filter_req *req);
};

/** struct far_filter - every filter's handle begins with it */
struct far_filter {
	struct far_backend be;
	const struct far_filter_hooks *hooks;
	_Atomic uint32_t nr_queues; /* opened so far; numbers them */
};

/** struct far_filter_list - filter requests in order */
struct far_filter_list {
	struct far_filter_req *head, *tail;
};

/** struct far_filter_queue - its one thread's, but for priv of "stats" */
struct far_filter_queue {
	struct far_queue q;
	struct far_queue *next;
	const struct far_filter_hooks *hooks;
	uint32_t number;		/* 0 for the first queue opened */
	void *priv;			/* hooks->queue_size bytes */
	struct far_filter_req *free;	/* requests not in use */
	struct far_filter_list ready;	/* complete, not yet polled */
	struct far_filter_list backlog; /* the next queue was full */
	struct far_filter_req **held;	/* heap, earliest due_ns first */
	unsigned nr_held;
	uint64_t armed_ns; /* when timer_fd fires or fired; 0: not set */
	bool is_signalled; /* signal_fd is readable */
	int timer_fd, signal_fd, epoll_fd;
	void *mem; /* near memory of all this */
	size_t mem_len;
};

/**
 * far_filter_new() - allocate a filter's handle
 * @size: of the filter's struct, which begins with struct far_filter
 * Return: it, zeroed but for the head; NULL without memory.  far_filter_close()
 * frees it.
 */
void *far_filter_new(size_t size, const struct far_backend_ops *ops,
		     const struct far_filter_hooks *hooks,
		     struct far_backend *next);

/* Ops that all filters share. */
void far_filter_close(struct far_backend *be);
int far_filter_caps(struct far_backend *be, struct far_backend_caps *ret_caps);
int far_filter_queue_open(struct far_backend *be, unsigned depth,
			  struct far_queue **ret_q);
void far_filter_queue_close(struct far_queue *q);
int far_filter_submit(struct far_queue *q, struct far_io *list, unsigned nr);
int far_filter_poll(struct far_queue *q, struct far_io **ret_done,
		    unsigned max);
int far_filter_event_fd(struct far_queue *q);

/* The data plane in a filter's ops table; ends without a comma. */
#define FAR_FILTER_DATA_OPS                                                    \
	.queue_open = far_filter_queue_open,                                   \
	.queue_close = far_filter_queue_close, .submit = far_filter_submit,    \
	.poll = far_filter_poll, .event_fd = far_filter_event_fd

/** far_filter_of() - the filter a queue belongs to */
static inline struct far_filter *far_filter_of(struct far_filter_queue *fq)
{
	return FAR_CONTAINER_OF(fq->q.be, struct far_filter, be);
}

/** far_filter_random() - next of splitmix64, 64 random bits */
static inline uint64_t far_filter_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/** far_filter_draw() - true with probability @share */
static inline bool far_filter_draw(uint64_t *state, double share)
{
	/* 53 random bits make an exact double in [0, 1). */
	return (double)(far_filter_random(state) >> 11) * 0x1p-53 < share;
}

/** far_filter_count() - decimal parameter @key, or @def; 0 or -EINVAL, logged
 */
int far_filter_count(const struct far_spec *spec, const char *key, uint64_t def,
		     uint64_t *ret, far_log_fn log, void *log_ctx);

/** far_filter_rng() - first state of a queue's generator */
static inline uint64_t far_filter_rng(uint64_t seed, uint32_t number)
{
	uint64_t state = seed + ((uint64_t)number << 32);

	return far_filter_random(&state);
}

#define FAR_FILTER_NR_OPS 3 /* enum far_io_op */

/** struct far_filter_stats - what a "stats" filter counted, all queues */
struct far_filter_stats {
	uint64_t requests[FAR_FILTER_NR_OPS];
	uint64_t bytes[FAR_FILTER_NR_OPS];
	uint64_t errors[FAR_FILTER_NR_OPS]; /* -ENODATA is not one */
	struct far_hist latency_ns[FAR_FILTER_NR_OPS];
};

/**
 * far_filter_stats_read() - counts of the outermost "stats" filter in @be
 * Context: control plane.
 * Return: 0; -ENOENT there is no such filter.
 */
int far_filter_stats_read(struct far_backend *be,
			  struct far_filter_stats *ret_stats);

/* The built-in ops of the filters, as builtin.c finds them. */
extern const struct far_backend_ops far_backend_crc_ops;
extern const struct far_backend_ops far_backend_delay_ops;
extern const struct far_backend_ops far_backend_error_ops;
extern const struct far_backend_ops far_backend_corrupt_ops;
extern const struct far_backend_ops far_backend_rate_ops;
extern const struct far_backend_ops far_backend_stats_ops;

#endif
