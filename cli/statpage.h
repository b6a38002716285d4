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
 * struct statpage_id - names a page: file stat/PID, or stat/PID.SERIAL of
 * further pagers of the same process
 */
struct statpage_id {
	pid_t pid;
	unsigned serial; /* 0: none in the name */
};

/**
 * statpage_open() - the file of page @id
 * It can be read after the process has removed it.
 * Return: descriptor; -ENOENT there is none; -errno.
 */
int statpage_open(struct statpage_id id);

/**
 * statpage_read_fd() - a consistent copy of a page of @pid behind @fd
 * Return: 0; -EAGAIN it is being written all the time (its writer died in the
 * middle); -EINVAL not a statistics page, or not one yet; -errno.
 */
int statpage_read_fd(int fd, pid_t pid, struct far_stat_page *ret_page);

/** statpage_read() - both in one */
int statpage_read(struct statpage_id id, struct far_stat_page *ret_page);

/**
 * statpage_is_live() - does the process that wrote @page, page @id, still
 * run, and the same program: exec(2) leaves pages behind
 */
bool statpage_is_live(struct statpage_id id, const struct far_stat_page *page);

/** statpage_sweep() - unlink the pages of processes that have been gone for a
 * minute: whoever wanted their figures has had the time */
void statpage_sweep(void);

/** statpage_remove() - unlink page @id; if it cannot be, it stays */
void statpage_remove(struct statpage_id id);

/**
 * statpage_list() - pages that there are, in ascending order
 * @pid: of this process, 0 for all
 *
 * Return: how many are in *@ret_ids (release with free()); -errno.
 */
int statpage_list(pid_t pid, struct statpage_id **ret_ids);

/**
 * statpage_json() - @page as one far.stat/1 object
 * Return: 0, *@ret_text is to be released with free(); -ENOMEM.
 */
int statpage_json(const struct far_stat_page *page, char **ret_text);

/** statpage_clean() - @text for a terminal: printable ASCII only, in place */
void statpage_clean(char *text);

#endif
