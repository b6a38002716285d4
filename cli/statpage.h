/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statistics pages as a reader sees them: a copy taken under the page's
 * sequence lock, checked, its texts ended.  Files of processes that are gone
 * are stale; a process is named by pid and start time.
 */
#ifndef CLI_STATPAGE_H
#define CLI_STATPAGE_H

#include <sys/types.h>

#include "libfar/base/stats.h"

/**
 * statpage_read() - a consistent copy of the page of @pid
 * Return: 0; -ENOENT there is none; -EAGAIN it is being written all the time
 * (its writer died in the middle); -EINVAL not a statistics page; -errno.
 */
int statpage_read(pid_t pid, struct far_stat_page *ret_page);

/** statpage_is_live() - does the process that wrote @page still run */
bool statpage_is_live(const struct far_stat_page *page);

/** statpage_remove() - unlink the page of @pid; if it cannot be, it stays */
void statpage_remove(pid_t pid);

/**
 * statpage_list() - pids that have a page, in ascending order
 * Return: how many are in *@ret_pids (release with free()); -errno.
 */
int statpage_list(pid_t **ret_pids);

/**
 * statpage_json() - @page as one far.stat/1 object
 * Return: 0, *@ret_text is to be released with free(); -ENOMEM.
 */
int statpage_json(const struct far_stat_page *page, char **ret_text);

/** statpage_clean() - @text for a terminal: printable ASCII only, in place */
void statpage_clean(char *text);

#endif
