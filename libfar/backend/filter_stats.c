/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "stats": counts requests, bytes and errors, and the latency from submit to
 * completion.  Each queue counts for itself (one writer); a reader adds the
 * queues up under the lock that opening and closing one takes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/backend/filter.h"
#include "libfar/base/clock.h"

struct stats_op {
	_Atomic uint64_t requests, bytes, errors; /* the queue's thread */
	struct far_hist latency_ns;
};

struct stats_queue {
	struct stats_op ops[FAR_FILTER_NR_OPS];
	struct stats_queue *next; /* under the filter's lock */
};

struct stats_filter {
	struct far_filter f;
	pthread_mutex_t lock; /* control plane: guards queues and closed */
	struct stats_queue *queues;
	struct far_filter_stats closed; /* of queues that are gone */
};

static struct stats_filter *to_stats(struct far_filter *f)
{
	return FAR_CONTAINER_OF(f, struct stats_filter, f);
}

static void add_queue(struct far_filter_stats *sum, struct stats_queue *sq)
{
	struct stats_op *op;
	unsigned i;

	for (i = 0; i < FAR_FILTER_NR_OPS; i++) {
		op = &sq->ops[i];
		sum->requests[i] += atomic_load_explicit(&op->requests,
							 memory_order_relaxed);
		sum->bytes[i] +=
			atomic_load_explicit(&op->bytes, memory_order_relaxed);
		sum->errors[i] +=
			atomic_load_explicit(&op->errors, memory_order_relaxed);
		far_hist_merge(&sum->latency_ns[i], &op->latency_ns);
	}
}

static void stats_queue_init(struct far_filter_queue *fq)
{
	struct stats_filter *stats = to_stats(far_filter_of(fq));
	struct stats_queue *sq = fq->priv;

	(void)pthread_mutex_lock(&stats->lock);
	sq->next = stats->queues;
	stats->queues = sq;
	(void)pthread_mutex_unlock(&stats->lock);
}

static void stats_queue_fini(struct far_filter_queue *fq)
{
	struct stats_filter *stats = to_stats(far_filter_of(fq));
	struct stats_queue *sq = fq->priv, **link;

	(void)pthread_mutex_lock(&stats->lock);
	for (link = &stats->queues; *link && *link != sq;)
		link = &(*link)->next;
	if (*link)
		*link = sq->next;
	add_queue(&stats->closed, sq);
	(void)pthread_mutex_unlock(&stats->lock);
}

static int stats_before(struct far_filter_queue *fq, struct far_filter_req *req)
{
	(void)fq;
	req->start_ns = far_now_ns();
	return 0;
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

static void stats_after(struct far_filter_queue *fq, struct far_filter_req *req)
{
	struct stats_queue *sq = fq->priv;
	struct stats_op *op = &sq->ops[req->io.op];

	add(&op->requests, 1);
	add(&op->bytes, req->io.len);
	if (req->io.res < 0 && req->io.res != -ENODATA)
		add(&op->errors, 1);
	far_hist_add(&op->latency_ns, far_now_ns() - req->start_ns);
}

static const struct far_filter_hooks stats_hooks = {
	.queue_size = sizeof(struct stats_queue),
	.queue_init = stats_queue_init,
	.queue_fini = stats_queue_fini,
	.before = stats_before,
	.after = stats_after,
};

int far_filter_stats_read(struct far_backend *be,
			  struct far_filter_stats *ret_stats)
{
	struct stats_filter *stats;
	struct stats_queue *sq;

	while (be && be->ops != &far_backend_stats_ops)
		be = be->next;
	if (!be)
		return -ENOENT;
	stats = to_stats(FAR_CONTAINER_OF(be, struct far_filter, be));
	(void)pthread_mutex_lock(&stats->lock);
	memcpy(ret_stats, &stats->closed, sizeof(*ret_stats));
	for (sq = stats->queues; sq; sq = sq->next)
		add_queue(ret_stats, sq);
	(void)pthread_mutex_unlock(&stats->lock);
	return 0;
}

/* The parent's queues are not the child's, and nobody holds the lock. */
static int stats_adopt(struct far_backend *be, const struct far_clone *clone)
{
	struct stats_filter *stats =
		to_stats(FAR_CONTAINER_OF(be, struct far_filter, be));

	(void)pthread_mutex_init(&stats->lock, NULL); /* cannot fail */
	stats->queues = NULL;
	return far_backend_adopt(be->next, clone);
}

static int stats_open(const struct far_spec *spec, struct far_backend *next,
		      far_log_fn log, void *log_ctx,
		      struct far_backend **ret_be)
{
	static const char *const keys[] = {NULL};
	struct stats_filter *stats;
	int rc;

	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc)
		return rc;
	stats = far_filter_new(sizeof(*stats), &far_backend_stats_ops,
			       &stats_hooks, next);
	if (!stats)
		return -ENOMEM;
	(void)pthread_mutex_init(&stats->lock, NULL); /* cannot fail */
	*ret_be = &stats->f.be;
	return 0;
}

const struct far_backend_ops far_backend_stats_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "stats",
	.help = "stats - count requests, bytes, errors and latency",
	.is_filter = 1,
	.open = stats_open,
	.close = far_filter_close,
	.caps = far_filter_caps,
	.adopt = stats_adopt,
	FAR_FILTER_DATA_OPS,
};
