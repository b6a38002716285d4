/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel swap to compressed memory: a zram device of our own, as swap.
 */
#ifndef BENCH_LIB_ZRAM_H
#define BENCH_LIB_ZRAM_H

#include "libfar/base/compiler.h"

/** struct bench_zram - one device */
struct bench_zram {
	int id;	       /* N of zramN; -1 when there is none */
	bool is_added; /* we added it: it is removed at the end */
	bool is_sized; /* has contents: it is reset at the end */
	bool is_swap_on;
	char node[64]; /* device node */
	bool is_node_made;
};

/**
 * bench_zram_up() - swap of @bytes on a fresh zram device
 * @algorithm: compressor, "lz4"
 *
 * Takes a device of its own where the kernel adds them, else a zram0 nobody
 * uses.  Needs root.
 *
 * Return: 0; -EPERM; -ENODEV no zram; -EBUSY; the reason is on standard error
 * and nothing is left behind.
 */
int bench_zram_up(struct bench_zram *z, uint64_t bytes, const char *algorithm);

/** bench_zram_down() - end the swap and give the device back; any state */
void bench_zram_down(struct bench_zram *z);

#endif
