/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "rate": bounds bytes and requests per second, over all queues together.
 * The generic cell rate algorithm (ITU-T I.371, virtual scheduling): one
 * atomic time per bucket, when it will have drained; a completion is held
 * until its own cost has drained.  Invariant: that time never lags more than
 * the burst behind the clock, so idleness earns no more than one burst.
 */
#include <errno.h>
#include <stdlib.h>

#include "libfar/backend/filter.h"
#include "libfar/base/clock.h"
#include "libfar/base/log.h"

struct rate_bucket {
	uint64_t per_s;		 /* units per second; 0: unlimited */
	_Atomic uint64_t due_ns; /* any queue */
};

struct rate_filter {
	struct far_filter f;
	struct rate_bucket bytes, requests;
	uint64_t burst_ns;
};

/* When @units more will have drained. */
static uint64_t take(struct rate_bucket *bucket, uint64_t units,
		     uint64_t burst_ns, uint64_t now)
{
	uint64_t floor = now > burst_ns ? now - burst_ns : 0;
	uint64_t old, due, cost;

	if (bucket->per_s == 0)
		return 0;
	cost = (units * FAR_NS_PER_S + bucket->per_s - 1) / bucket->per_s;
	old = atomic_load_explicit(&bucket->due_ns, memory_order_relaxed);
	do {
		due = far_max_u64(old, floor) + cost;
	} while (!atomic_compare_exchange_weak_explicit(
		&bucket->due_ns, &old, due, memory_order_relaxed,
		memory_order_relaxed));
	return due;
}

static int rate_before(struct far_filter_queue *fq, struct far_filter_req *req)
{
	struct rate_filter *rate =
		FAR_CONTAINER_OF(far_filter_of(fq), struct rate_filter, f);
	uint64_t now, due;

	if (req->io.op == FAR_IO_DISCARD)
		return 0;
	now = far_now_ns();
	due = far_max_u64(take(&rate->bytes, req->io.len, rate->burst_ns, now),
			  take(&rate->requests, 1, rate->burst_ns, now));
	if (due > now)
		req->due_ns = due;
	return 0;
}

static const struct far_filter_hooks rate_hooks = {
	.is_holding = true,
	.before = rate_before,
};

static int parse_rate(const struct far_spec *spec, struct rate_filter *rate,
		      far_log_fn log, void *log_ctx)
{
	int rc;

	rc = far_spec_size(spec, "bytes", 0, &rate->bytes.per_s, log, log_ctx);
	if (rc == 0)
		rc = far_filter_count(spec, "ops", 0, &rate->requests.per_s,
				      log, log_ctx);
	if (rc == 0)
		rc = far_spec_ns(spec, "burst", FAR_NS_PER_MS, &rate->burst_ns,
				 log, log_ctx);
	if (rc)
		return rc;
	if (rate->bytes.per_s == 0 && rate->requests.per_s == 0) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "rate: neither bytes nor ops is given; fix: write "
			   "e.g. rate:bytes=100M");
		return -EINVAL;
	}
	return 0;
}

static int rate_open(const struct far_spec *spec, struct far_backend *next,
		     far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	static const char *const keys[] = {"bytes", "ops", "burst", NULL};
	struct rate_filter *rate;
	int rc;

	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc)
		return rc;
	rate = far_filter_new(sizeof(*rate), &far_backend_rate_ops, &rate_hooks,
			      next);
	if (!rate)
		return -ENOMEM;
	rc = parse_rate(spec, rate, log, log_ctx);
	if (rc) {
		free(rate);
		return rc;
	}
	*ret_be = &rate->f.be;
	return 0;
}

const struct far_backend_ops far_backend_rate_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "rate",
	.help = "rate:bytes=SIZE,ops=N,burst=T - at most so much per second",
	.is_filter = 1,
	.open = rate_open,
	.close = far_filter_close,
	.caps = far_filter_caps,
	FAR_FILTER_DATA_OPS,
};
