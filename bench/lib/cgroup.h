/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A memory limit for one child process: a cgroup made for it, version 1 or 2
 * of the memory controller, whichever the machine has.
 */
#ifndef BENCH_LIB_CGROUP_H
#define BENCH_LIB_CGROUP_H

#include "libfar/base/compiler.h"

/** struct bench_cgroup - one group, ours */
struct bench_cgroup {
	char path[512]; /* "" when there is none */
	bool is_v2;
};

/**
 * bench_cgroup_create() - a new group with a memory limit and free use of swap
 * @name: prefix of its directory name
 *
 * Return: 0; -ENOENT no memory controller; -EPERM or -EACCES not allowed; the
 * reason is on standard error.
 */
int bench_cgroup_create(struct bench_cgroup *cg, const char *name,
			uint64_t limit_bytes);

/** bench_cgroup_join() - move the calling process into it; 0 or -errno */
int bench_cgroup_join(const struct bench_cgroup *cg);

/** bench_cgroup_destroy() - remove it; its processes must have ended */
void bench_cgroup_destroy(struct bench_cgroup *cg);

/** bench_cgroup_peak() - most memory it ever used, or 0 if unknown */
uint64_t bench_cgroup_peak(const struct bench_cgroup *cg);

#endif
