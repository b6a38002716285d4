/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-zram-run: run a command under a memory limit of the kernel, swapping
 * to zram, and put the machine back as it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/env.h"
#include "bench/lib/peer.h"
#include "libfar/base/size.h"

#define EXIT_USAGE 64

static int run_command(void *arg)
{
	char **argv = arg;

	(void)execvp(argv[0], argv);
	(void)fprintf(stderr, "bench-zram-run: %s: %s\n", argv[0],
		      strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

static int usage(void)
{
	(void)fprintf(stderr,
		      "usage: bench-zram-run LIMIT SWAP COMMAND [ARGS]\n"
		      "  LIMIT  bytes the command's cgroup may use, e.g. 100M\n"
		      "  SWAP   bytes of swap on zram (lz4), e.g. 1G\n"
		      "Exit status: the command's; 64 wrong use; 77 cannot be "
		      "set up here (needs root).\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct bench_peer_result res;
	uint64_t limit, swap;

	if (argc < 4 || far_size_parse(argv[1], &limit) ||
	    far_size_parse(argv[2], &swap) || !limit || !swap)
		return usage();
	if (bench_peer_run(limit, swap, run_command, argv + 3, &res))
		return BENCH_EXIT_SKIP;
	(void)fprintf(stderr,
		      "bench-zram-run: peak %" PRIu64 " bytes of %" PRIu64 "\n",
		      res.peak_bytes, limit);
	return res.status;
}
