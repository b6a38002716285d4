/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the preload needs of the pager beyond <far/far.h>: a pager that costs
 * nothing until memory runs short, near threads, and fork handlers that can
 * be placed around the allocator's own.
 */
#ifndef LIBFAR_PAGER_PRELOAD_H
#define LIBFAR_PAGER_PRELOAD_H

#include <far/far.h>

#include "libfar/base/compiler.h"

/**
 * far_preload_open() - a pager that has parsed @conf and opened nothing
 * Threads, userfaultfd and backend start when the memory handed out nears
 * the limit.  Does not allocate.
 * Return: 0; -EINVAL, -ENOMEM (logged to standard error).
 */
int far_preload_open(const char *conf, struct far_pager **ret_pager);

/** far_set_thread_hook() - called on each pager thread as it starts */
void far_set_thread_hook(void (*hook)(void));

/** far_set_near_hooks() - called around the creation of pager threads */
void far_set_near_hooks(void (*enter)(void), void (*leave)(void));

/*
 * Fork handlers in their parts.  prepare: the backend is cloned, nothing is
 * in transit, far memory is inherited; parent: goes on; child: a new pager
 * with threads and userfaultfd of its own serves the inherited memory, or the
 * child dies with one line.
 */
void far_fork_prepare(void);
void far_fork_parent(void);
void far_fork_child(void);

/** far_fork_external() - the caller registers the handlers, far_open() must
 * not */
void far_fork_external(void);

/** far_preload_exit() - leave final figures in the statistics page */
void far_preload_exit(struct far_pager *pager);

/** far_pager_contains() - is @addr in the range that far_map() uses */
bool far_pager_contains(const struct far_pager *pager, const void *addr);

#endif
