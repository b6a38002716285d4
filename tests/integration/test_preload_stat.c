/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a program under libfar-preload.so for the shell tests and writes the
 * statistics that it had in the end, as "name value" lines.
 *	test_preload_stat PRELOAD FILE PROGRAM [ARGS...]
 * Status: the program's; 128 and the signal that ended it; 99 no statistics.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/test_preload_watch.h"

#define NO_STATS 99

static volatile sig_atomic_t child; /* gets the signals that we get */

static void pass_on(int sig)
{
	if (child > 0)
		kill((pid_t)child, sig);
}

static int write_stats(const char *path, const struct far_stats *st)
{
	const struct far_stat_desc *d;
	FILE *out = fopen(path, "w");
	uint64_t value;

	if (!out)
		return -1;
	for (d = far_stat_descs(); d->name; d++) {
		memcpy(&value, (const char *)st + d->offset, sizeof(value));
		fprintf(out, "%s %" PRIu64 "\n", d->name, value);
	}
	return fclose(out);
}

/* Waits for @pid; the page appears soon after the start or never. */
static int watch(pid_t pid, int *ret_page_fd)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int page_fd = -1, status;
	pid_t got;

	for (;;) {
		if (page_fd < 0)
			page_fd = watch_open(pid);
		got = waitpid(pid, &status, page_fd < 0 ? WNOHANG : 0);
		if (got == pid)
			break;
		if (got == 0)
			nanosleep(&pause, NULL);
	}
	*ret_page_fd = page_fd;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct far_stats st;
	int page_fd, status;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: test_preload_stat PRELOAD FILE "
				"PROGRAM [ARGS...]\n");
		return 2;
	}
	signal(SIGTERM, pass_on);
	signal(SIGINT, pass_on);
	pid = fork();
	if (pid < 0)
		return NO_STATS;
	if (pid == 0) {
		setenv("LD_PRELOAD", argv[1], 1);
		execvp(argv[3], argv + 3);
		perror(argv[3]);
		_exit(127);
	}
	child = pid;
	status = watch(pid, &page_fd);
	if (!watch_read(page_fd, pid, &st) || write_stats(argv[2], &st) != 0) {
		fprintf(stderr, "%s: no statistics (status %d)\n", argv[3],
			status);
		return status ? status : NO_STATS;
	}
	return status;
}
