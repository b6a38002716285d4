/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-fault: what one page fault costs, for every way it can be served,
 * beside the least it could cost.  Single faults, one at a time: the region
 * is touched page by page by one thread.
 */
#ifndef BENCH_FAULT_H
#define BENCH_FAULT_H

#include "bench/lib/conf.h"
#include "bench/lib/lat.h"

/** struct fault_opts - the command line */
struct fault_opts {
	uint64_t nr_samples;
	uint64_t seed;
	struct bench_conf conf; /* further options of far_open() */
	const char *only;	/* rows whose name contains it; NULL: all */
	bool is_smoke;
};

/** enum fault_outcome - of a row that did not fail */
enum fault_outcome {
	FAULT_DONE = 0,
	FAULT_SKIPPED = 1, /* reason told on standard error */
};

/*
 * The rows.  @lat is initialised; each returns an enum fault_outcome, or
 * -errno; -EBADMSG means that a page read wrong.
 */

/** fault_zero_fill() - the kernel's own first touch: floor of any fault */
int fault_zero_fill(const struct fault_opts *o, struct bench_lat *lat);

/** fault_zram() - the kernel's own swap-in from zram; needs root */
int fault_zram(const struct fault_opts *o, struct bench_lat *lat);

/** fault_copy() - UFFDIO_COPY without a fault: floor of userfaultfd */
int fault_copy(const struct fault_opts *o, struct bench_lat *lat);

/** fault_monitor() - a thread blocked on userfaultfd copies the page
 * @same_core: both threads on one core, else on two */
int fault_monitor(const struct fault_opts *o, bool same_core,
		  struct bench_lat *lat);

/** fault_far_first_touch() - zeros through libfar over @spec
 * @is_inline: served in the thread that faults */
int fault_far_first_touch(const struct fault_opts *o, const char *spec,
			  bool is_inline, struct bench_lat *lat);

/** fault_far_remote_read() - a page that libfar must fetch from @spec */
int fault_far_remote_read(const struct fault_opts *o, const char *spec,
			  bool is_inline, struct bench_lat *lat);

/** fault_region() - plain memory without huge pages; 0 or -errno */
int fault_region(uint64_t nr_pages, void **ret_base);

/** fault_touch() - write page @pg of @base and count how long that took */
void fault_touch(void *base, uint64_t pg, struct bench_lat *lat);

#endif
