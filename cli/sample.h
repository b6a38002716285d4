/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The statistics of one far run: the last page of every process below it,
 * collected while they live.
 */
#ifndef CLI_SAMPLE_H
#define CLI_SAMPLE_H

#include <sys/types.h>

#include "libfar/base/stats.h"

#define SAMPLES_MAX 4096

/** struct samples - pages of a tree of processes; zeroed to begin with */
struct samples {
	struct far_stat_page *pages; /* the last copy of each */
	size_t nr, cap;
};

/**
 * samples_take() - look at all pages, keep those of descendants of @root
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
