/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much memory this process may use, and who says so.  Runs inside a
 * malloc before main(): stack buffers and open/read only.
 */
#ifndef LIBFAR_BASE_MEMLIMIT_H
#define LIBFAR_BASE_MEMLIMIT_H

#include "libfar/base/compiler.h"

/** struct far_memory_limit - the smallest limit and where it was found */
struct far_memory_limit {
	uint64_t bytes;	    /* UINT64_MAX if nothing could be read */
	int cgroup_version; /* 1, 2; 0: the machine's memory */
	char path[512];	    /* the file that holds it, perhaps cut short */
};

/**
 * far_memory_limit() - the smallest of the machine's memory and the limits of
 * this process's cgroups and their ancestors
 * @root: put before every path that is opened; "" is the real system
 *
 * Files that are missing or unreadable set no limit.
 * Context: any thread; takes 24 KiB of stack.
 */
void far_memory_limit(const char *root, struct far_memory_limit *ret_limit);

#endif
