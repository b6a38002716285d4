/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of race.h: one pair of operations on one page, a cell of the
 * table.  race.c stops threads and checks, race_ops.c performs.
 */
#ifndef TESTS_LIBFAR_RACE_CELL_H
#define TESTS_LIBFAR_RACE_CELL_H

#include <pthread.h>
#include <stdatomic.h>

#include "libfar/pager/pager.h"
#include "tests/libfar/race.h"
#include "tests/libfar/test_pager_support.h"

#define RACE_LEN (2 * MIB) /* of the mapping: a chunk of inline memory */
#define RACE_WORDS (FAR_PAGE_SIZE / sizeof(uint64_t))
#define RACE_PATIENCE_NS (20 * FAR_NS_PER_S)
/* Keys of contents: what the page holds at first, and what is written. */
#define RACE_OLD UINT64_C(1)
#define RACE_NEW UINT64_C(2)

struct actor {
	struct cell *c;
	enum race_op op;
	pthread_t thread;
	_Atomic uint32_t state; /* 0; 1 begun; 2 done */
	int result;
	uint64_t seen[RACE_WORDS]; /* RACE_READ */
};

struct cell {
	const struct race_row *row;
	enum race_op action;
	bool is_inline;
	struct tp t;
	struct far_pager *p;
	char *page;
	far_pgno_t pg;
	int64_t base;		/* frames charged for other things than pages */
	struct actor actors[2]; /* cause, action */
};

static inline bool has_op(const struct cell *c, enum race_op op)
{
	return c->row->cause == op || c->action == op;
}

static inline bool is_zeroing(enum race_op op)
{
	return op == RACE_DISCARD || op == RACE_UNMAP || op == RACE_DROP;
}

/** race_first_key() - what the page holds before anything begins */
static inline uint64_t race_first_key(const struct cell *c)
{
	return c->row->page <= RACE_IS_CLEAN || c->row->page == RACE_IS_REMOTE
		       ? RACE_OLD
		       : 0;
}

extern const char *const race_op_names[];

/** race_say() - which cell it is, and what is known of its page */
void race_say(const struct cell *c);

/** race_hang() - the end: threads stand at hooks and in the kernel, and there
 * is no way on from here */
void race_hang(const struct cell *c, const char *what);

/** race_pause() - a moment between two looks */
void race_pause(void);

#define RACE_WAIT(c, cond)                                                     \
	do {                                                                   \
		uint64_t race_end = far_now_ns() + RACE_PATIENCE_NS;           \
		while (!(cond)) {                                              \
			if (far_now_ns() > race_end)                           \
				race_hang(c, "never: " #cond);                 \
			race_pause();                                          \
		}                                                              \
	} while (0)

#define RACE_CHECK(c, cond)                                                    \
	do {                                                                   \
		if (!(cond)) {                                                 \
			race_say(c);                                           \
			fail_msg("not so: %s", #cond);                         \
		}                                                              \
	} while (0)

/* --- race_ops.c --- */

/** race_begin() - start actor @i; race_end() - it must end, and well */
void race_begin(struct cell *c, unsigned i, enum race_op op);
void race_end(struct cell *c, unsigned i);
bool race_is_done(struct actor *a);

/** race_evict() - have the page, or its neighbours too, evicted; once */
int race_evict(struct cell *c);

/** race_may_be_left() - may the page hold @w when both are done? */
bool race_may_be_left(const struct cell *c, const uint64_t *w);

#endif
