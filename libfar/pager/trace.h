/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recording what happens to pages (<far/trace.h>): who serves a fault or takes
 * a page out puts a record into a ring; far-ctl writes them into the file that
 * the option trace= names.  A full ring drops records, and counts them:
 * neither a fault nor an evictor waits for the file.  Who asks something of
 * far-ctl, as a fork does, waits while it writes.
 *
 * The first process to make a file of that name has it; others, and a process
 * whose pid has one already, append .PID, and then .PID.2 and so on.  %p in the
 * name is the pid.
 */
#ifndef LIBFAR_PAGER_TRACE_H
#define LIBFAR_PAGER_TRACE_H

#include <stdatomic.h>
#include <sys/types.h>

#include <far/evict.h>
#include <far/trace.h>

#include "libfar/base/compiler.h"

struct far_pager;

/** struct far_trace_slot - a record in the ring */
struct far_trace_slot {
	_Atomic uint64_t us;
	_Atomic uint64_t what; /* all the rest; 0: not written yet */
};

struct far_trace {
	_Atomic uint32_t head FAR_CACHE_ALIGNED; /* ever; writers advance it */
	_Atomic uint32_t dropped;		 /* ever; writers count */
	_Atomic uint32_t is_off;		 /* the file failed */
	_Atomic uint32_t tail FAR_CACHE_ALIGNED; /* in the file; far-ctl */
	uint32_t dropped_seen;			 /* far-ctl's, like what follows
						  */
	int fd;
	uint64_t bytes; /* in the file */
	/* constant */
	struct far_pager *pager;
	uint32_t nr_slots; /* a power of two */
	pid_t pid;
	uint64_t start_ns;
	struct far_trace_slot slots[];
};

/** trace_pages() - what recording takes of the limit; 0 if not asked for */
uint64_t trace_pages(const struct far_pager *p);

/** trace_start() - begin, if the option says so and it has not begun; far-ctl.
 * What fails is logged; the program goes on untraced. */
void trace_start(struct far_pager *p);

/** trace_drain() - write what there is; far-ctl */
void trace_drain(struct far_pager *p);

/** trace_ease() - the same once a quarter of the ring is full: for loops that
 * keep far-ctl busy */
void trace_ease(struct far_pager *p);

/** trace_stop() - and close the file; far-ctl, when nobody records any more */
void trace_stop(struct far_pager *p);

/** trace_forked() - in the child: the file is the parent's */
void trace_forked(struct far_pager *p);

/** trace_program() - the program's name, as in the header of a trace */
void trace_program(char *buf, size_t len);

/** trace_flush() - at the program's end: wait, not long, until far-ctl has
 * written what there is now */
void trace_flush(struct far_pager *p);

/** trace_add() - the inside of trace_note() */
void trace_add(struct far_trace *t, enum far_trace_kind kind, far_pgno_t pg,
	       unsigned flags, uint32_t thread);

/** trace_note() - @kind happened to @pg; any thread, signal-safe
 * @t: p->trace, NULL if nothing is recorded
 * To be called before others can do something to the page. */
static inline void trace_note(struct far_trace *t, enum far_trace_kind kind,
			      far_pgno_t pg, unsigned flags, uint32_t thread)
{
	if (FAR_UNLIKELY(t))
		trace_add(t, kind, pg, flags, thread);
}

#endif
