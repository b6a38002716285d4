/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two operations on one page, in a chosen order.  One, the cause, is stopped
 * where it gets to a hook (libfar/pager/hook.h); meanwhile the other, the
 * action, is begun, and does all it can without the first.  Then the first
 * goes on.  Whatever came of it:
 *
 *  - the page holds, word by word, what one of the two left there, and never
 *    anything else; so does what a reader, or a forked child, saw of it;
 *  - every page word is stable, nobody waits, nothing is pinned;
 *  - frames charged = those resident and the overhead; slots likewise.
 *
 * A row of a table says how the first gets to its point, race_run() crosses
 * all rows with all actions, in memory of both kinds.  A point that is not
 * reached fails the test, and so does a thread that does not come back.
 */
#ifndef TESTS_LIBFAR_RACE_H
#define TESTS_LIBFAR_RACE_H

#include <stdbool.h>
#include <stddef.h>

#include "libfar/pager/hook.h"

/* RACE_OP(name, what it is) */
#define RACE_OPS(RACE_OP)                                                      \
	RACE_OP(READ, "reads all of the page")                                 \
	RACE_OP(WRITE, "writes all of it")                                     \
	RACE_OP(DISCARD, "FAR_ADV_DISCARD")                                    \
	RACE_OP(PIN, "FAR_ADV_PIN, until the end")                             \
	RACE_OP(FLUSH, "far_flush()")                                          \
	RACE_OP(UNMAP, "far_unmap()")                                          \
	RACE_OP(FORK, "fork(); the child reads all of it")                     \
	RACE_OP(LIMIT, "far_set_limit(), up and down again")                   \
	RACE_OP(PREFETCH, "FAR_ADV_WILLNEED, until it is done")                \
	RACE_OP(EVICT, "FAR_ADV_COLD; of two evictors one takes it")           \
	RACE_OP(DROP, "madvise(MADV_DONTNEED), which the pager does not see")

enum race_op {
#define RACE_ENUM(name, what) RACE_##name,
	RACE_OPS(RACE_ENUM)
#undef RACE_ENUM
		RACE_NR_OPS
};

/* What the page is before anything begins. */
enum race_page {
	RACE_IS_DIRTY,
	RACE_IS_CLEAN, /* RESIDENT, written back, protected */
	RACE_IS_ZERO,  /* RESIDENT, all zeros */
	RACE_IS_REMOTE,
	RACE_IS_ABSENT,
	RACE_IS_GONE, /* RESIDENT by its word, but dropped by madvise(2) */
};

enum race_way {
	RACE_ANY_WAY,
	RACE_MOVED,  /* not reached where pages are copied */
	RACE_COPIED, /* not reached where pages are moved */
};

struct race_row {
	enum far_hook_point at; /* where the cause is stopped */
	enum race_page page;
	enum race_op cause;
	enum race_way way;
	/* first an evictor is stopped there, with the page in its hands */
	enum far_hook_point under;
	bool under_first; /* it goes on before the cause does */
	bool between;	  /* the neighbours on both sides are evicted; the
			   * page itself is held meanwhile */
	const char *conf; /* options, or NULL */
};

/* ROW(point, page, cause, and what else is said of it) */
#define ROW(point, is, by, ...)                                                \
	{                                                                      \
		.at = FAR_AT_##point, .page = RACE_IS_##is,                    \
		.cause = RACE_##by, __VA_ARGS__                                \
	}
#define UNDER(point) .under = FAR_AT_EVICT_##point
#define UNDER_FIRST(point) UNDER(point), .under_first = true
#define COPIED .way = RACE_COPIED
#define MOVED .way = RACE_MOVED
/* One write fails, and then no more. */
#define WRITE_FAILS .conf = "far=error:write=1,count=1|mem:64M"
/* Nothing is taken from where it lies: all is read into buffers. */
#define BUFFERED .conf = "far=delay:read=1us|mem:64M"

/** race_run() - all cells of @rows; inline memory too */
void race_run(const struct race_row *rows, size_t nr);

#endif
