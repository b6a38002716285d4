/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What will be touched after this fault, if the program does what it did before?
 * A cursor in the sequence of far pages that were wanted then.  A fault a little
 * behind the cursor moves it there, and what follows in the sequence is the
 * window to fetch.  The guess was right if the next fault lies behind the
 * window; then the next one doubles.
 *
 * A fault that is not to be found there is a stray: other threads, and pages
 * that were local then, cause some.  The place where it comes next, by an index,
 * is remembered, and the cursor jumps if the next fault is just behind that.
 * After some strays in a row nothing is fetched any more; then so many faults
 * must come in sequence before anything is, and twice as many each time that
 * this was in vain.
 *
 * Pure: no clock, no locks, no I/O.  The sequence does not change; a cursor is
 * a server's, used by it alone.
 */
#ifndef LIBFAR_PAGER_GUIDE_H
#define LIBFAR_PAGER_GUIDE_H

#include <far/evict.h>

#include "libfar/base/compiler.h"
#include "libfar/pager/predict.h"

#define GUIDE_NEAR 32	/* entries passed over without a fault */
#define GUIDE_JUMP 8	/* the same, before the cursor jumps */
#define GUIDE_BEHIND 64 /* entries that others may still be at */
#define GUIDE_STRAYS 8
#define GUIDE_NEED_MAX 64

/** struct far_guided - the sequence; who uses it holds it */
struct far_guided {
	const far_pgno_t *pages;
	const uint32_t *order; /* places in it, by page and then by place */
	uint32_t nr;
};

/** struct far_guide - a cursor; all zeros to begin with */
struct far_guide {
	uint32_t at; /* where the last fault was found, if it was */
	bool is_at;
	uint32_t stray_at; /* where the last stray comes next, if it does */
	bool is_stray_at;
	unsigned nr_strays; /* in a row */
	unsigned hits;	    /* in a row */
	unsigned extra;	    /* hits needed beyond the first two */
	unsigned depth;	    /* of the window; 0: none is fetched */
	unsigned window;    /* entries behind at that were to be fetched */
	unsigned pages;	    /* of these: that really were */
};

/**
 * guide_index() - the places 0 .. @nr - 1 of @pages, by page and then by place
 * @order: becomes that; @nr, as is
 * @spare: content does not matter
 */
void guide_index(const far_pgno_t *pages, uint32_t nr, uint32_t *order,
		 uint32_t *spare);

/**
 * guide_fault() - there was a fault on @pg: which pages are next?
 * @max: pages in a window, at most
 * @ret: nr 0: it is not known
 */
void guide_fault(struct far_guide *g, const struct far_guided *s, far_pgno_t pg,
		 unsigned max, struct far_window *ret);

/** guide_fetched() - predict_fetched() for such a window */
void guide_fetched(struct far_window *w, unsigned walked, unsigned nr);

#endif
