/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The statistics page of a process under libfar-preload.so, kept open while
 * the process lives: it can be read after the process has removed it.
 */
#ifndef TESTS_INTEGRATION_TEST_PRELOAD_WATCH_H
#define TESTS_INTEGRATION_TEST_PRELOAD_WATCH_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "libfar/base/process.h"
#include "libfar/base/stats.h"

/* Is it the page of the process that is @pid now?  One that was killed, and had
 * the same number, may have left its own behind. */
static inline bool watch_is_of(const struct far_stat_page *page, ssize_t len,
			       pid_t pid)
{
	uint64_t start;

	return len == (ssize_t)sizeof(*page) &&
	       page->magic == FAR_STAT_PAGE_MAGIC &&
	       page->pid == (uint64_t)pid &&
	       far_process_start(pid, &start) == 0 &&
	       page->start_ticks == start;
}

/* Opens the page of @pid if it is there by now; else -1. */
static inline int watch_open(pid_t pid)
{
	struct far_stat_page page;
	char dir[256], path[300];
	int fd;

	if (far_runtime_dir(dir, sizeof(dir)) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/stat/%d", dir, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 &&
	    watch_is_of(&page, pread(fd, &page, sizeof(page), 0), pid))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Reads and closes @fd; true if it is a page of @pid. */
static inline bool watch_read(int fd, pid_t pid, struct far_stats *ret_stats)
{
	struct far_stat_page page;
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, &page, sizeof(page), 0);
	close(fd);
	if (n != (ssize_t)sizeof(page) || page.magic != FAR_STAT_PAGE_MAGIC ||
	    page.pid != (uint64_t)pid)
		return false;
	*ret_stats = page.stats;
	return true;
}

#endif
