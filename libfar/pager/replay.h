/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace of an earlier run (<far/trace.h>), loaded to guide prefetch: its
 * pages that were far when they were wanted, in order.  Loaded once, when faults
 * begin to be intercepted; a forked child goes on with its parent's.
 */
#ifndef LIBFAR_PAGER_REPLAY_H
#define LIBFAR_PAGER_REPLAY_H

#include "libfar/pager/guide.h"

struct far_pager;

struct far_replay {
	struct far_guided guided;
	size_t len;   /* of this mapping, with what guided is made of */
	uint64_t used; /* of it: bytes that count */
};

/** replay_start() - load what the option replay= names; far-ctl
 * What fails is logged; the program goes on without. */
void replay_start(struct far_pager *p);

/** replay_pages() - what is loaded takes of the limit */
uint64_t replay_pages(struct far_pager *p);

/** replay_fini() - when nobody serves faults any more */
void replay_fini(struct far_pager *p);

#endif
