/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who serves the memory of far_map_inline(): the thread that faults, or a
 * monitor.  Decided once, when the first of it is mapped: by what can be, by
 * what the program asked for, and then by what a round trip takes here.
 *
 * Both trips have nothing to fetch: a touch, until it returns.  They are those
 * of the thread that maps, but that of a pager that intercepts faults for a
 * while: then far-ctl has measured the way to a monitor already.  With one
 * monitor that is after it has had time to find that thread, and to follow it
 * to its core (placement.h).
 */
#ifndef LIBFAR_PAGER_SERVICE_H
#define LIBFAR_PAGER_SERVICE_H

#include <far/stats.h>

#include "libfar/base/compiler.h"
#include "libfar/base/options.h"

/** struct far_service_facts - what the choice depends on */
struct far_service_facts {
	enum far_opt_fault asked;
	bool is_signal_safe; /* the backend, FAR_CAP_SIGNAL_SAFE */
	bool can_share; /* one descriptor, between the program and far-ctl */
	uint64_t inline_ns, monitor_ns; /* round trips; 0: not timed */
};

/**
 * service_choose() - who serves, and why
 * Monitors are taken when they need less than three quarters of the time: many
 * threads serve themselves side by side, and no figure is exact.
 */
enum far_service service_choose(const struct far_service_facts *f);

/** service_is_inline() - is @s, the choice for @asked, the thread itself? */
bool service_is_inline(enum far_service s, enum far_opt_fault asked);

/** far_trip_fn - one round trip, ns; 0 it failed */
typedef uint64_t (*far_trip_fn)(void *ctx);

/** service_trip() - touch @page, which is not there, until it is; then drop it
 * again.  What the touch took, ns */
uint64_t service_trip(volatile char *page);

/** service_time() - the median of some trips, after some that do not count; a
 * few ms in all if a trip takes less than one; 0 a trip failed, or
 * took much longer */
uint64_t service_time(far_trip_fn trip, void *ctx);

#endif
