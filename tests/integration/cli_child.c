/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program for far run to run: "cli_child exit N", "cli_child page NAME
 * [SERIAL]" keeps a statistics page until standard input ends, "cli_child
 * last NAME" then counts 77 forks and removes the page, "cli_child torn"
 * leaves one as if its writer had died in the middle, "cli_child signals"
 * prints the signals it gets until SIGTERM.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/base/process.h"
#include "libfar/base/stats.h"

static char path[600];

static struct far_stat_page *make_page(const char *name, const char *serial)
{
	struct far_stat_page *p;
	char dir[512];
	int fd;

	if (far_runtime_subdir("stat", dir, sizeof(dir)) < 0)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/%d%s%s", dir, (int)getpid(),
		       *serial ? "." : "", serial);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)FAR_PAGE_SIZE) < 0)
		return NULL;
	p = mmap(NULL, FAR_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		return NULL;
	p->pid = (uint64_t)getpid();
	(void)far_process_start(getpid(), &p->start_ticks);
	(void)snprintf(p->command, sizeof(p->command), "%s", name);
	(void)snprintf(p->far_spec, sizeof(p->far_spec), "lz4:");
	(void)snprintf(p->state, sizeof(p->state), "armed");
	p->stats.size = sizeof(p->stats);
	p->stats.version = FAR_STATS_VERSION;
	p->stats.limit_bytes = UINT64_C(200) << 20;
	p->stats.local_bytes = UINT64_C(150) << 20;
	p->stats.remote_bytes = UINT64_C(3) << 29;
	p->magic = FAR_STAT_PAGE_MAGIC;
	return p;
}

/* One round of the writer's side of the sequence lock. */
static void update(struct far_stat_page *p, uint64_t start_ns)
{
	uint64_t now = far_now_ns();

	atomic_fetch_add(&p->seq, 1);
	p->updated_ns = now;
	/* a thousand faults a second, for the rates to show */
	p->stats.faults_missing = (now - start_ns) / FAR_NS_PER_MS;
	p->stats.evicted_pages = 2 * p->stats.faults_missing;
	p->stats.fault_p50_ns = 12300;
	p->stats.fault_p99_ns = 1500000;
	p->stats.sampled_faults = 10;
	p->stats.sampled_lookup_ns = 2500;
	p->stats.sampled_fetch_ns = 31000;
	p->stats.sampled_install_ns = 42000;
	p->stats.deliver_ns = 7700;
	p->stats.inline_ns = 4900;
	p->stats.fault_service = FAR_SERVICE_INLINE;
	p->fault_octaves[13] = 200;
	p->fault_octaves[15] = 50;
	atomic_fetch_add(&p->seq, 1);
}

static int keep_page(const char *name, const char *serial, bool is_last)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	struct far_stat_page *p = make_page(name, serial);
	uint64_t start = far_now_ns();
	char byte;

	if (!p)
		return 1;
	for (;;) {
		update(p, start);
		if (poll(&in, 1, 20) > 0 && read(in.fd, &byte, 1) <= 0)
			break;
	}
	if (is_last) {
		p->stats.forks = 77;
		update(p, start);
		return unlink(path) < 0;
	}
	return 0;
}

static int leave_torn(void)
{
	struct far_stat_page *p = make_page("torn", "");

	if (!p)
		return 1;
	atomic_fetch_add(&p->seq, 1);
	return pause() < 0;
}

static int print_signals(void)
{
	static const int nrs[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
				  SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};
	sigset_t set;
	size_t i;
	int sig;

	(void)sigemptyset(&set);
	for (i = 0; i < FAR_ARRAY_SIZE(nrs); i++)
		(void)sigaddset(&set, nrs[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	printf("ready %d\n", (int)getpid());
	(void)fflush(stdout);
	do {
		if (sigwait(&set, &sig) != 0)
			return 1;
		printf("got %s\n", sigabbrev_np(sig));
		(void)fflush(stdout);
	} while (sig != SIGTERM);
	return 5;
}

int main(int argc, char **argv)
{
	(void)alarm(60); /* whatever the test does, this ends */
	if (argc == 3 && strcmp(argv[1], "exit") == 0)
		return atoi(argv[2]);
	if (argc >= 3 && strcmp(argv[1], "page") == 0)
		return keep_page(argv[2], argc == 4 ? argv[3] : "", false);
	if (argc == 3 && strcmp(argv[1], "last") == 0)
		return keep_page(argv[2], "", true);
	if (argc == 2 && strcmp(argv[1], "torn") == 0)
		return leave_torn();
	if (argc == 2 && strcmp(argv[1], "signals") == 0)
		return print_signals();
	return 64;
}
