/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Will the next page be touched, too?  Objects of an allocator lie at a few
 * offsets only, and those that begin near the end of a page go on in the next
 * one; a scan touches every page at its beginning.  So the offset of a fault
 * in its page tells whether a fault on the next page will follow, and what
 * was right for an offset before is right again.
 *
 * One score per offset learns from pairs of faults: the thread that faulted
 * on a page whose successor is far, too, either faults on that successor next
 * or does not.  Where the prediction is acted on there is no second fault to
 * learn from; hence every PREDICT_SAMPLE-th time it is not.
 *
 * Pure: no clock, no locks, no I/O.  One object a monitor, used by it alone.
 */
#ifndef LIBFAR_PAGER_PREDICT_H
#define LIBFAR_PAGER_PREDICT_H

#include <far/evict.h>

#include "libfar/base/compiler.h"

#define PREDICT_OFFSETS 64 /* of 64 bytes each */
#define PREDICT_SAMPLE 16

struct far_predict {
	uint8_t score[PREDICT_OFFSETS]; /* 0 never .. 255 always */
	uint32_t nr_acted;
	/* the last fault, if what follows it is to be learned */
	bool is_open;
	unsigned at; /* its offset */
	uint32_t tid;
	far_pgno_t pg;
};

/**
 * predict_next() - @tid faulted on @pg, which is far; fetch @pg + 1 with it?
 * @offset: of the touch in its page, bytes; 0 where the kernel does not say
 * @is_next_far: @pg + 1 could be fetched
 */
bool predict_next(struct far_predict *pr, uint32_t tid, far_pgno_t pg,
		  unsigned offset, bool is_next_far);

#endif
