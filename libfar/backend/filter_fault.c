/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "error": requests fail before they reach the next backend.
 * "corrupt": a bit of what was read is flipped.
 * Both draw from a generator that is seeded by the queue's number, so a run
 * repeats.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/backend/filter.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"

struct fault_filter {
	struct far_filter f;
	double share[FAR_FILTER_NR_OPS];
	uint64_t seed;
	int err;		    /* negative errno */
	uint64_t after;		    /* requests that are spared */
	uint64_t count;		    /* failures at most */
	_Atomic uint64_t nr_seen;   /* requests it might have failed */
	_Atomic uint64_t nr_failed; /* may run ahead of count */
};

static const struct {
	const char *name;
	int value;
} err_names[] = {
	{"EIO", EIO},
	{"ENOSPC", ENOSPC},
	{"ENOMEM", ENOMEM},
	{"ETIMEDOUT", ETIMEDOUT},
	{"EHOSTDOWN", EHOSTDOWN},
	{"EBADMSG", EBADMSG},
	{"EPROTO", EPROTO},
	{"ESTALE", ESTALE},
	{"EDQUOT", EDQUOT},
	{"ENODATA", ENODATA},
	{"ECANCELED", ECANCELED},
	{"ECONNRESET", ECONNRESET},
};

static struct fault_filter *to_fault(struct far_filter_queue *fq)
{
	return FAR_CONTAINER_OF(far_filter_of(fq), struct fault_filter, f);
}

static void fault_queue_init(struct far_filter_queue *fq)
{
	*(uint64_t *)fq->priv = far_filter_rng(to_fault(fq)->seed, fq->number);
}

static int error_before(struct far_filter_queue *fq, struct far_filter_req *req)
{
	struct fault_filter *fault = to_fault(fq);
	double share = fault->share[req->io.op];

	if (share <= 0.0)
		return 0;
	if (atomic_fetch_add_explicit(&fault->nr_seen, 1,
				      memory_order_relaxed) < fault->after)
		return 0;
	if (!far_filter_draw(fq->priv, share))
		return 0;
	if (atomic_fetch_add_explicit(&fault->nr_failed, 1,
				      memory_order_relaxed) >= fault->count)
		return 0;
	return fault->err;
}

static void corrupt_after(struct far_filter_queue *fq,
			  struct far_filter_req *req)
{
	struct fault_filter *fault = to_fault(fq);
	uint64_t bit;

	if (req->io.op != FAR_IO_READ || req->io.res < 0 ||
	    !far_filter_draw(fq->priv, fault->share[FAR_IO_READ]))
		return;
	bit = far_filter_random(fq->priv) % ((uint64_t)req->io.len * 8);
	((unsigned char *)req->io.buf)[bit / 8] ^=
		(unsigned char)(1u << (bit % 8));
}

static const struct far_filter_hooks error_hooks = {
	.queue_size = sizeof(uint64_t),
	.queue_init = fault_queue_init,
	.before = error_before,
};

static const struct far_filter_hooks corrupt_hooks = {
	.queue_size = sizeof(uint64_t),
	.queue_init = fault_queue_init,
	.after = corrupt_after,
};

static int parse_errno(const struct far_spec *spec, int *ret_err,
		       far_log_fn log, void *log_ctx)
{
	const char *names[FAR_ARRAY_SIZE(err_names) + 1] = {NULL};
	const char *text = far_spec_get(spec, "errno");
	const char *near;
	unsigned i;

	*ret_err = -EIO;
	if (!text)
		return 0;
	for (i = 0; i < FAR_ARRAY_SIZE(err_names); i++) {
		names[i] = err_names[i].name;
		if (strcmp(names[i], text) == 0) {
			*ret_err = -err_names[i].value;
			return 0;
		}
	}
	near = far_nearest(text, names);
	far_log_to(log, log_ctx, FAR_LOG_ERR,
		   "error: unknown errno=%s; fix: give %s", text,
		   near ? near : "a name like EIO or ENOSPC");
	return -EINVAL;
}

static int parse_error(const struct far_spec *spec, struct fault_filter *fault,
		       far_log_fn log, void *log_ctx)
{
	double rate;
	int rc;

	rc = far_filter_count(spec, "after", 0, &fault->after, log, log_ctx);
	if (rc == 0)
		rc = far_filter_count(spec, "count", UINT64_MAX, &fault->count,
				      log, log_ctx);
	if (rc)
		return rc;
	/* "error:after=5" alone: everything from the sixth on. */
	rate = far_spec_get(spec, "after") || far_spec_get(spec, "count") ? 1.0
									  : 0.0;
	if (far_spec_get(spec, "read") || far_spec_get(spec, "write") ||
	    far_spec_get(spec, "discard"))
		rate = 0.0;
	rc = far_spec_rate(spec, "rate", rate, &rate, log, log_ctx);
	if (rc == 0)
		rc = far_spec_rate(spec, "read", rate,
				   &fault->share[FAR_IO_READ], log, log_ctx);
	if (rc == 0)
		rc = far_spec_rate(spec, "write", rate,
				   &fault->share[FAR_IO_WRITE], log, log_ctx);
	if (rc == 0)
		rc = far_spec_rate(spec, "discard", 0.0,
				   &fault->share[FAR_IO_DISCARD], log, log_ctx);
	return rc ? rc : parse_errno(spec, &fault->err, log, log_ctx);
}

static int parse_corrupt(const struct far_spec *spec,
			 struct fault_filter *fault, far_log_fn log,
			 void *log_ctx)
{
	return far_spec_rate(spec, "rate", 0.0, &fault->share[FAR_IO_READ], log,
			     log_ctx);
}

static int fault_open(const struct far_spec *spec, const char *const *keys,
		      const struct far_backend_ops *ops,
		      const struct far_filter_hooks *hooks,
		      struct far_backend *next, far_log_fn log, void *log_ctx,
		      struct far_backend **ret_be)
{
	struct fault_filter *fault;
	int rc;

	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc)
		return rc;
	fault = far_filter_new(sizeof(*fault), ops, hooks, next);
	if (!fault)
		return -ENOMEM;
	rc = far_filter_count(spec, "seed", 1, &fault->seed, log, log_ctx);
	if (rc == 0)
		rc = hooks == &error_hooks
			     ? parse_error(spec, fault, log, log_ctx)
			     : parse_corrupt(spec, fault, log, log_ctx);
	if (rc) {
		free(fault);
		return rc;
	}
	*ret_be = &fault->f.be;
	return 0;
}

static int error_open(const struct far_spec *spec, struct far_backend *next,
		      far_log_fn log, void *log_ctx,
		      struct far_backend **ret_be)
{
	static const char *const keys[] = {"rate",    "read",  "write",
					   "discard", "errno", "after",
					   "count",   "seed",  NULL};

	return fault_open(spec, keys, &far_backend_error_ops, &error_hooks,
			  next, log, log_ctx, ret_be);
}

static int corrupt_open(const struct far_spec *spec, struct far_backend *next,
			far_log_fn log, void *log_ctx,
			struct far_backend **ret_be)
{
	static const char *const keys[] = {"rate", "seed", NULL};

	return fault_open(spec, keys, &far_backend_corrupt_ops, &corrupt_hooks,
			  next, log, log_ctx, ret_be);
}

const struct far_backend_ops far_backend_error_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "error",
	.help = "error:rate=P,read=P,write=P,discard=P,errno=EIO,after=N,"
		"count=N,seed=N - fail requests",
	.is_filter = 1,
	.open = error_open,
	.close = far_filter_close,
	.caps = far_filter_caps,
	FAR_FILTER_DATA_OPS,
};

const struct far_backend_ops far_backend_corrupt_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "corrupt",
	.help = "corrupt:rate=P,seed=N - flip a bit of what is read",
	.is_filter = 1,
	.open = corrupt_open,
	.close = far_filter_close,
	.caps = far_filter_caps,
	FAR_FILTER_DATA_OPS,
};
