/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places where a test may stop a thread: the steps of the page state machine
 * (page.h).  tests/libfar/race.h holds one thread at one of them while others
 * do what may come in between.  Nothing of it is in a release build.
 *
 * Threads: any; also in the SIGBUS handler of inline memory, and while a page
 * is ours.  What is called must not touch far memory, allocate or use stdio.
 */
#ifndef LIBFAR_PAGER_HOOK_H
#define LIBFAR_PAGER_HOOK_H

#include <stdatomic.h>

#if !defined(NDEBUG)
#define FAR_HAS_HOOKS 1
#else
#define FAR_HAS_HOOKS 0
#endif

/* FAR_POINT(name, what is true there) */
#define FAR_HOOK_POINTS(FAR_POINT)                                             \
	FAR_POINT(EVICT_CLAIM, "RESIDENT, about to be claimed")                \
	FAR_POINT(EVICT_CLAIMED, "TAKING by an evictor")                       \
	FAR_POINT(EVICT_HELD, "held, between two that are taken")              \
	FAR_POINT(EVICT_PROTECTED, "write-protected, not copied yet")          \
	FAR_POINT(EVICT_COPIED, "copied if need be, not dropped yet")          \
	FAR_POINT(EVICT_TAKEN, "unmapped, the word does not say so")           \
	FAR_POINT(EVICT_LEFT, "clean and dropped: REMOTE")                     \
	FAR_POINT(EVICT_PUBLISHED, "EVICTING, no write is queued")             \
	FAR_POINT(EVICT_QUEUED, "EVICTING, its slot is being written")         \
	FAR_POINT(EVICT_WRITTEN, "EVICTING, about to settle")                  \
	FAR_POINT(EVICT_FAILED, "EVICTING, its write failed")                  \
	FAR_POINT(EVICT_PUTTING, "RESCUING by the evictor")                    \
	FAR_POINT(EVICT_PUT, "back, the word does not say so")                 \
	FAR_POINT(EVICT_SETTLED, "settled, its frame is not free yet")         \
	FAR_POINT(FAULT, "a fault has read the word")                          \
	FAR_POINT(FAULT_FETCHING, "FETCHING by a fault")                       \
	FAR_POINT(FAULT_RESCUING, "RESCUING by a fault")                       \
	FAR_POINT(FAULT_AHEAD, "FETCHING by a prefetch")                       \
	FAR_POINT(FAULT_OPEN, "TAKING, its protection is to be lifted")        \
	FAR_POINT(FAULT_OPENED, "TAKING, its protection is lifted")            \
	FAR_POINT(FAULT_GONE, "TAKING, it was missing though RESIDENT")        \
	FAR_POINT(FILL, "content is there, not installed")                     \
	FAR_POINT(FILLED, "installed, the word does not say so")               \
	FAR_POINT(FILL_RESIDENT, "RESIDENT, waiters are not woken")            \
	FAR_POINT(DISCARD, "about to be claimed by a discard")                 \
	FAR_POINT(DISCARD_CLAIMED, "TAKING by a discard")                      \
	FAR_POINT(DISCARD_DROPPED, "dropped, the word does not say so")        \
	FAR_POINT(PIN, "touched, not pinned yet")                              \
	FAR_POINT(FLUSH_CLAIMED, "TAKING by a flush")                          \
	FAR_POINT(FLUSH_COPIED, "protected and copied by a flush")             \
	FAR_POINT(FLUSH_WRITTEN, "written by a flush, IOBUSY")                 \
	FAR_POINT(LIMIT, "the limit is another; no page")                      \
	FAR_POINT(FORK_BEGUN, "faults may charge by force; no page")           \
	FAR_POINT(FORK_CLONED, "the backend is cloned; no page")               \
	FAR_POINT(TRACE_PLACE, "head of the ring is read, tail is not")

enum far_hook_point {
	FAR_AT_NO_POINT,
#define FAR_HOOK_ENUM(name, what) FAR_AT_##name,
	FAR_HOOK_POINTS(FAR_HOOK_ENUM)
#undef FAR_HOOK_ENUM
		FAR_NR_HOOK_POINTS
};

/** far_hook_fn - a thread is at @point with the page at @addr; NULL: no page */
typedef void (*far_hook_fn)(enum far_hook_point point, const char *addr);

#if FAR_HAS_HOOKS
extern _Atomic(far_hook_fn) far_hook; /* NULL, or what the test has set */

/* A macro: in a release build not even its arguments are there. */
#define FAR_HOOK(point, addr)                                                  \
	do {                                                                   \
		far_hook_fn far_hook_now =                                     \
			atomic_load_explicit(&far_hook, memory_order_relaxed); \
		if (far_hook_now)                                              \
			far_hook_now(FAR_AT_##point, addr);                    \
	} while (0)
#else
#define FAR_HOOK(point, addr)                                                  \
	do {                                                                   \
	} while (0)
#endif

#endif
