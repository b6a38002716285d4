/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of libfar-preload.so and what they owe each other.
 *
 *   malloc.c     the exported malloc family: where does this thread allocate?
 *   start.c      start-up in the first malloc, arenas, fork handlers
 *   near.c       memory for pager threads and for the library itself
 *   extent.c     jemalloc's extent hooks on top of far_map()
 *   libc.c       what the C library keeps in far memory and must not lose
 *   memory.c     calls about memory whose meaning must be kept
 *   operators.c  C++ operator new and delete
 *
 * Far memory holds the program's data only.  What runs on pager threads, or
 * between far_near_enter() and far_near_leave(), gets near memory, because a
 * page fault of such code would have nobody to serve it.
 */
#ifndef LIBFAR_PRELOAD_PRELOAD_H
#define LIBFAR_PRELOAD_PRELOAD_H

#include "libfar/base/compiler.h"

struct far_pager;

/*
 * State of this thread; FAR_MODE_FAR alone is the fast path.  The object is
 * built with the initial-exec model, so that reading it cannot allocate.
 */
enum far_mode_bits {
	FAR_MODE_NEW = 0,	  /* not bound to an arena yet */
	FAR_MODE_FAR = 1u << 0,	  /* bound to a far arena */
	FAR_MODE_START = 1u << 1, /* is running a stage of the start-up */
	FAR_MODE_PAGER = 1u << 2, /* a thread of the pager: always near */
	FAR_MODE_DEPTH = 1u << 8, /* one far_near_enter(); counts upwards */
};

extern _Thread_local uint32_t far_mode;

/**
 * far_mode_is_near() - must this thread not touch far memory?
 */
static inline bool far_mode_is_near(void)
{
	return far_mode >= FAR_MODE_START;
}

/** far_near_enter() - until far_near_leave() this thread allocates near */
static inline void far_near_enter(void)
{
	far_mode += FAR_MODE_DEPTH;
}

static inline void far_near_leave(void)
{
	far_mode -= FAR_MODE_DEPTH;
}

/**
 * far_start() - run what is due of the start-up, bind this thread
 *
 * Stage one (jemalloc, fork handlers) runs in the first allocation of the
 * process, which ld.so makes before any constructor.  Stage two (FAR_CONF,
 * pager, arenas) runs as soon as there is an environment, at the latest in
 * this object's constructor; it ends the process when the configuration is
 * wrong (78) or userfaultfd cannot serve the kernel's own faults (77).
 *
 * Context: any thread, any time; calls itself through malloc().
 * Return: true if this thread may now allocate far memory.
 */
bool far_start(void);

/**
 * far_alloc_elsewhere() - a last try, in the far arenas of other threads
 * An arena keeps what was freed in it, while the backend has no room for more
 * in this thread's.
 * @flags: as for mallocx(), naming no arena
 *
 * Context: a thread for which far_start() returned true.
 * Return: memory, or NULL with errno ENOMEM and the reason on standard error.
 */
void *far_alloc_elsewhere(size_t size, int flags);

/**
 * far_extent_discard() - the pages of [@addr, @addr + @len) read as zeros
 * Context: the program's threads.
 * Return: 0; 1 it is no range of whole pages of far memory; -errno.
 */
int far_extent_discard(void *addr, size_t len);

/* near.c */

/** far_near_arena_create() - once, by the start-up; 0 or -errno */
int far_near_arena_create(void);

/**
 * far_near_alloc() - near memory
 * @size: 0 is served as 1
 * @flags: MALLOCX_ZERO, MALLOCX_ALIGN() or 0
 *
 * Between far_near_fork_begin() and far_near_fork_end() jemalloc's locks may
 * be held by the forking thread, for which this thread may in turn hold a lock
 * of the pager: such calls are served from a fixed window instead.
 *
 * Return: memory, or NULL with errno ENOMEM.
 */
void *far_near_alloc(size_t size, int flags);

/** far_near_realloc() - realloc() of any block; grows into near memory */
void *far_near_realloc(void *ptr, size_t size);

/** far_near_free() - free() of any block; put off while a fork is going on */
void far_near_free(void *ptr);

/** far_window_owns() - is @ptr from the fixed window? */
bool far_window_owns(const void *ptr);

/** far_window_size() - usable bytes of a block of the window */
size_t far_window_size(const void *ptr);

/** far_window_free() - give a block of the window back; any thread */
void far_window_free(void *ptr);

/**
 * far_near_fork_begin() - from now on near memory comes from the window
 * Returns when no thread is inside jemalloc for near memory any more.  Called
 * before jemalloc takes its locks; far_near_fork_end() after it gave them
 * back, in the parent and in the child.
 */
void far_near_fork_begin(void);
void far_near_fork_end(bool is_child);

/* extent.c */

/**
 * far_extent_setup() - give arena @ind our extent hooks
 * Call once for each arena, before it has allocated anything: jemalloc takes
 * an arena's metadata from the hooks that it was created with, the default
 * ones, and the program's data from these.
 * @pager: the same in every call; serves the arenas from now on
 *
 * Return: 0 or -errno of jemalloc.
 */
int far_extent_setup(struct far_pager *pager, unsigned ind);

/**
 * far_extent_complain() - malloc() of @size fails: say why, once a second
 * Says nothing when it was not for a refusal of far_map().
 */
void far_extent_complain(size_t size);

/** far_extent_fork_lock() - nobody is handing out address space */
void far_extent_fork_lock(void);
void far_extent_fork_unlock(void);

/* libc.c */

/** far_libc_find() - look up where libc's code lies; allocates near memory */
void far_libc_find(void);

/**
 * far_libc_wants_near() - is this calloc() of something that fork() writes
 * to in the child before any handler has run?
 * glibc clears the thread-specific data of the threads that do not exist in
 * the child (nptl, reclaim_stacks), while no pager serves the child yet.
 * @caller: return address of the call
 */
bool far_libc_wants_near(size_t nmemb, size_t size, const void *caller);

/**
 * far_libc_touch_streams() - make all FILE objects resident
 * In the child of fork() glibc resets the locks of all streams before any
 * handler has run.  Call when evictors stand still.
 */
void far_libc_touch_streams(void);

#endif
