/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "delay": a completion is held for a time after the next backend has
 * delivered it, so that any backend looks as far away as one likes.
 */
#include <errno.h>
#include <stdlib.h>

#include "libfar/backend/filter.h"
#include "libfar/base/clock.h"
#include "libfar/base/log.h"

/* More than this is a mistake in the unit. */
#define DELAY_MAX (UINT64_C(3600) * FAR_NS_PER_S)

struct delay_filter {
	struct far_filter f;
	uint64_t ns[FAR_FILTER_NR_OPS];
	uint64_t jitter_ns; /* added: uniform from 0 to this */
	uint64_t seed;
};

static struct delay_filter *to_delay(struct far_filter_queue *fq)
{
	return FAR_CONTAINER_OF(far_filter_of(fq), struct delay_filter, f);
}

static void delay_queue_init(struct far_filter_queue *fq)
{
	*(uint64_t *)fq->priv = far_filter_rng(to_delay(fq)->seed, fq->number);
}

static void delay_after(struct far_filter_queue *fq, struct far_filter_req *req)
{
	struct delay_filter *delay = to_delay(fq);
	uint64_t ns = delay->ns[req->io.op];

	if (delay->jitter_ns > 0)
		ns += far_filter_random(fq->priv) % (delay->jitter_ns + 1);
	if (ns > 0)
		req->due_ns = far_now_ns() + ns;
}

static const struct far_filter_hooks delay_hooks = {
	.queue_size = sizeof(uint64_t),
	.is_holding = true,
	.queue_init = delay_queue_init,
	.after = delay_after,
};

static int parse_delay(const struct far_spec *spec, struct delay_filter *delay,
		       far_log_fn log, void *log_ctx)
{
	static const char *const ops[FAR_FILTER_NR_OPS] = {
		[FAR_IO_READ] = "read",
		[FAR_IO_WRITE] = "write",
		[FAR_IO_DISCARD] = "discard",
	};
	unsigned i;
	int rc;

	for (i = 0; i < FAR_FILTER_NR_OPS; i++) {
		rc = far_spec_ns(spec, ops[i], 0, &delay->ns[i], log, log_ctx);
		if (rc)
			return rc;
	}
	rc = far_spec_ns(spec, "jitter", 0, &delay->jitter_ns, log, log_ctx);
	if (rc)
		return rc;
	for (i = 0; i < FAR_FILTER_NR_OPS; i++) {
		if (delay->ns[i] <= DELAY_MAX && delay->jitter_ns <= DELAY_MAX)
			continue;
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "delay: more than an hour; fix: give a unit, like "
			   "read=10us");
		return -EINVAL;
	}
	return far_filter_count(spec, "seed", 1, &delay->seed, log, log_ctx);
}

static int delay_open(const struct far_spec *spec, struct far_backend *next,
		      far_log_fn log, void *log_ctx,
		      struct far_backend **ret_be)
{
	static const char *const keys[] = {"read",   "write", "discard",
					   "jitter", "seed",  NULL};
	struct delay_filter *delay;
	int rc;

	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc)
		return rc;
	delay = far_filter_new(sizeof(*delay), &far_backend_delay_ops,
			       &delay_hooks, next);
	if (!delay)
		return -ENOMEM;
	rc = parse_delay(spec, delay, log, log_ctx);
	if (rc) {
		free(delay);
		return rc;
	}
	*ret_be = &delay->f.be;
	return 0;
}

const struct far_backend_ops far_backend_delay_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "delay",
	.help = "delay:read=T,write=T,discard=T,jitter=T,seed=N - add latency",
	.is_filter = 1,
	.open = delay_open,
	.close = far_filter_close,
	.caps = far_filter_caps,
	FAR_FILTER_DATA_OPS,
};
