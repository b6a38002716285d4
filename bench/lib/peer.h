/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer every user has: the same work under a memory limit of the kernel,
 * with swap to zram.
 */
#ifndef BENCH_LIB_PEER_H
#define BENCH_LIB_PEER_H

#include "libfar/base/compiler.h"

/* What counts beside the memory that is measured: page tables for it, and the
 * little that cannot be swapped.  With more, the kernel has more pages local
 * than libfar is allowed; smaps tells. */
#define BENCH_PEER_TABLES 512 /* bytes for each byte of page tables */
#define BENCH_PEER_OWN (UINT64_C(3) << 20)

/** struct bench_peer_result - how the child ended */
struct bench_peer_result {
	int status;	     /* exit status; 128 + signal when killed */
	uint64_t peak_bytes; /* most the cgroup held, or 0 if unknown */
};

/**
 * bench_peer_run() - call @fn in a child under @limit_bytes, swapping to zram
 * @swap_bytes: size of the swap device
 * @fn: runs in the child; what it returns becomes the exit status
 *
 * INT, TERM and HUP meanwhile are passed to the child; swap, device and
 * cgroup are gone when this returns, however the child ended.
 *
 * Context: a process with one thread.
 * Return: 0; -errno if it could not be set up, the reason on standard error.
 */
int bench_peer_run(uint64_t limit_bytes, uint64_t swap_bytes,
		   int (*fn)(void *arg), void *arg,
		   struct bench_peer_result *ret_result);

#endif
