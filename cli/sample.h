/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The statistics of one far run: the last page of every process below it,
 * collected while they live.  Files stay open as long as their process
 * lives, so that what it wrote last is read even when it removed the file.
 */
#ifndef CLI_SAMPLE_H
#define CLI_SAMPLE_H

#include <sys/types.h>

#include "cli/statpage.h"
#include "libfar/base/stats.h"

#define SAMPLES_MAX 4096

/** struct sample - one pager of a process */
struct sample {
	struct statpage_id id;
	uint64_t start_ticks;
	int fd; /* of its page; -1 once it is gone */
	bool has_page;
	struct far_stat_page page; /* the last copy */
};

/** struct samples - a tree of processes */
struct samples {
	struct sample *list;
	size_t nr, cap;
	int watch_fd; /* readable when a page appeared; -1 none */
};

/** samples_init() - none yet; watches the directory of the pages if it can */
void samples_init(struct samples *s);

/**
 * samples_take() - look for new descendants of @root, read all pages
 * A process that was once seen below @root stays in, wherever it moves to.
 * Pages that cannot be read now keep their last copy.
 */
void samples_take(struct samples *s, pid_t root);

/**
 * samples_write() - one far.run/1 object into the file @path
 * Return: 0; -errno.
 */
int samples_write(const struct samples *s, int exit_status, const char *path);

/** samples_fini() - unlink the pages of those that are gone, free the rest */
void samples_fini(struct samples *s);

#endif
