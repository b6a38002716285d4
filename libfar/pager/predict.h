/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What will be touched after this fault, and how?  Three guesses, each of which
 * learns from the faults themselves, for there is no accessed bit to read:
 *
 *  - a stream: a thread that faults on pages at equal distances goes on so.
 *    The guess was right if its next fault is just behind what was fetched;
 *    then the window doubles, else it halves, down to none.
 *  - the next page: objects of an allocator lie at a few offsets only, and
 *    those that begin near the end of a page go on in the next one.  So the
 *    offset of a touch tells, and what was right for an offset before is right
 *    again.  Where it is acted on there is no second fault to learn from;
 *    hence every PREDICT_SAMPLE-th time it is not.
 *  - a write: a page that is read in and then written takes a second fault,
 *    which is saved by letting it arrive writable.
 *
 * Pure: no clock, no locks, no I/O.  One object a server, used by it alone.
 */
#ifndef LIBFAR_PAGER_PREDICT_H
#define LIBFAR_PAGER_PREDICT_H

#include <far/evict.h>

#include "libfar/base/compiler.h"

#define PREDICT_OFFSETS 64 /* of 64 bytes each */
#define PREDICT_SAMPLE 16
#define PREDICT_STREAMS 8
#define PREDICT_DELTAS 4
#define PREDICT_NEAR 64 /* pages: what is farther off is another stream */

/** struct far_stream - a thread's faults near each other */
struct far_stream {
	uint32_t tid;
	uint32_t used; /* when, in faults; 0: never */
	far_pgno_t last;
	int32_t delta[PREDICT_DELTAS]; /* between its faults, in pages; a ring
					*/
	unsigned nr_deltas;	       /* ever */
	int32_t stride;
	unsigned depth;	 /* of the next window */
	unsigned window; /* pages behind last that were to be fetched */
	unsigned pages;	 /* of these: that really were */
};

struct far_predict {
	uint8_t score[PREDICT_OFFSETS]; /* 0 never .. 255 always */
	uint32_t nr_acted;
	/* the last fault, if what follows it is to be learned */
	bool is_open;
	unsigned at; /* its offset */
	uint32_t tid;
	far_pgno_t pg;

	struct far_stream streams[PREDICT_STREAMS];
	uint32_t nr_faults;

	/* pages that came by a read and protected; of these, written after */
	unsigned nr_read, nr_written, nr_trusted;
};

/**
 * predict_next() - @tid faulted on @pg, which is far; fetch @pg + 1 with it?
 * @offset: of the touch in its page, bytes; 0 where the kernel does not say
 * @is_next_far: @pg + 1 could be fetched
 */
bool predict_next(struct far_predict *pr, uint32_t tid, far_pgno_t pg,
		  unsigned offset, bool is_next_far);

/** struct far_window - pages that will be touched */
struct far_window {
	far_pgno_t start;
	int32_t stride;
	unsigned nr;
	struct far_stream *stream; /* for predict_fetched() */
	/* or, from a trace: the pages themselves, and for guide_fetched() */
	const far_pgno_t *pages;
	struct far_guide *guide;
	/* what became of the stream's last window, in pages fetched */
	unsigned nr_useful, nr_wasted;
};

/**
 * predict_stream() - @tid faulted on @pg: which pages are next?
 * @max: pages in a window, at most
 * @ret: nr 0: it is no stream
 */
void predict_stream(struct far_predict *pr, uint32_t tid, far_pgno_t pg,
		    unsigned max, struct far_window *ret);

/** predict_fetched() - of the window's first @walked pages, @nr were not there
 * and come; there was no room for more */
void predict_fetched(struct far_window *w, unsigned walked, unsigned nr);

/**
 * predict_write() - a page comes in by a read: should it arrive writable?
 * @has_been: when it was here last it was read first and then written
 */
bool predict_write(struct far_predict *pr, bool has_been);

/** predict_written() - a page that arrived protected has been written */
void predict_written(struct far_predict *pr);

#endif
