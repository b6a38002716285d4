/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says the far mappings of a process take: Rss and Swap of
 * /proc/PID/smaps.  Far mappings are those named "[anon:far...]", else those
 * registered with userfaultfd, else (before anything is intercepted) the
 * largest anonymous one.
 */
#ifndef BENCH_LIB_SMAPS_H
#define BENCH_LIB_SMAPS_H

#include <stdio.h>
#include <sys/types.h>

#include "libfar/base/compiler.h"

enum bench_smaps_how {
	BENCH_SMAPS_NONE,    /* no anonymous mapping at all */
	BENCH_SMAPS_LARGEST, /* the largest anonymous mapping */
	BENCH_SMAPS_UFFD,    /* VmFlags say userfaultfd */
	BENCH_SMAPS_NAMED,   /* by name */
};

/** struct bench_smaps - sums over the far mappings of one process, bytes */
struct bench_smaps {
	enum bench_smaps_how how;
	uint64_t size;
	uint64_t rss;
	uint64_t swap;
	uint64_t pss; /* shares pages with forked children: its part */
	uint64_t swap_pss;
};

/** bench_smaps_parse() - sums from the text of an smaps file */
void bench_smaps_parse(FILE *f, struct bench_smaps *ret_sum);

/**
 * bench_smaps_range() - sums over mappings that overlap [@lo, @hi)
 * ->how is BENCH_SMAPS_NAMED if there was one.
 */
void bench_smaps_range(FILE *f, uint64_t lo, uint64_t hi,
		       struct bench_smaps *ret_sum);

/** bench_smaps_read() - bench_smaps_parse() of process @pid; 0 or -errno */
int bench_smaps_read(pid_t pid, struct bench_smaps *ret_sum);

/** bench_smaps_self() - bench_smaps_range() of this process; 0 or -errno */
int bench_smaps_self(const void *addr, size_t len, struct bench_smaps *ret_sum);

#endif
