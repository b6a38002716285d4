/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/service.h"

#include <sys/mman.h>

#include "libfar/base/clock.h"
#include "libfar/base/hist.h"

#define TRIPS 64
#define LEAST_TRIPS 8
/* For what counts, and for what does not. */
#define PART_NS (2 * FAR_NS_PER_MS)
#define TOO_LONG_NS (10 * FAR_NS_PER_MS) /* something is in the way */

enum far_service service_choose(const struct far_service_facts *f)
{
	if (f->asked == FAR_FAULT_MONITOR)
		return FAR_SERVICE_OPTION;
	if (!f->is_signal_safe)
		return FAR_SERVICE_BACKEND;
	if (!f->can_share)
		return FAR_SERVICE_KERNEL;
	if (f->asked == FAR_FAULT_INLINE)
		return FAR_SERVICE_OPTION;
	if (!f->inline_ns || !f->monitor_ns)
		return FAR_SERVICE_UNTIMED;
	return f->monitor_ns < f->inline_ns - f->inline_ns / 4
		       ? FAR_SERVICE_MONITOR
		       : FAR_SERVICE_INLINE;
}

bool service_is_inline(enum far_service s, enum far_opt_fault asked)
{
	return s == FAR_SERVICE_INLINE || s == FAR_SERVICE_UNTIMED ||
	       (s == FAR_SERVICE_OPTION && asked == FAR_FAULT_INLINE);
}

uint64_t service_trip(volatile char *page)
{
	uint64_t begin = far_now_ns(), end;

	(void)*page;
	end = far_now_ns();
	(void)madvise((char *)(uintptr_t)page, FAR_PAGE_SIZE, MADV_DONTNEED);
	return end - begin;
}

static bool make_trips(far_trip_fn trip, void *ctx, struct far_hist *h)
{
	uint64_t begin = far_now_ns();

	for (unsigned i = 0; i < TRIPS; i++) {
		uint64_t ns;

		if (i >= LEAST_TRIPS && far_now_ns() - begin > PART_NS)
			break;
		ns = trip(ctx);
		if (!ns || ns > TOO_LONG_NS)
			return false;
		far_hist_add(h, ns);
	}
	return true;
}

uint64_t service_time(far_trip_fn trip, void *ctx)
{
	struct far_hist first = {0}, h = {0};

	if (!make_trips(trip, ctx, &first) || !make_trips(trip, ctx, &h))
		return 0;
	return far_hist_quantile(&h, 0.5);
}
