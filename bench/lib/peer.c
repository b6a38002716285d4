/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/lib/cgroup.h"
#include "bench/lib/zram.h"

static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP};

static int child_main(const struct bench_cgroup *cg, const sigset_t *old,
		      int (*fn)(void *arg), void *arg)
{
	int err;

	/* No orphan may keep the swap device busy. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigprocmask(SIG_SETMASK, old, NULL); /* cannot fail */
	err = bench_cgroup_join(cg);
	if (err) {
		(void)fprintf(stderr, "bench: cannot join %s: %s\n", cg->path,
			      strerror(-err));
		return EXIT_FAILURE;
	}
	return fn(arg);
}

/* From here on nothing of these ends us before the machine is as it was. */
static void block_signals(sigset_t *ret_set, sigset_t *ret_old)
{
	unsigned i;

	(void)signal(SIGCHLD, SIG_DFL); /* or wait() finds nothing */
	(void)sigemptyset(ret_set);
	(void)sigaddset(ret_set, SIGCHLD);
	for (i = 0; i < FAR_ARRAY_SIZE(forwarded); i++)
		(void)sigaddset(ret_set, forwarded[i]);
	(void)sigprocmask(SIG_BLOCK, ret_set, ret_old); /* cannot fail */
}

/* Waits for the child; the signals in @set are blocked here. */
static int wait_child(pid_t pid, const sigset_t *set)
{
	for (;;) {
		int status, sig;

		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
						   : WEXITSTATUS(status);
		sig = sigwaitinfo(set, NULL);
		if (sig > 0 && sig != SIGCHLD)
			(void)kill(pid, sig); /* may have ended meanwhile */
	}
}

static int run_child(const struct bench_cgroup *cg, const sigset_t *set,
		     const sigset_t *old, int (*fn)(void *arg), void *arg,
		     struct bench_peer_result *ret_result)
{
	int err = 0;
	pid_t pid;

	(void)fflush(NULL); /* or the child writes it again */
	pid = fork();
	if (!pid) {
		int status = child_main(cg, old, fn, arg);

		(void)fflush(NULL);
		_exit(status);
	}
	if (pid < 0)
		err = -errno;
	else
		ret_result->status = wait_child(pid, set);
	ret_result->peak_bytes = bench_cgroup_peak(cg);
	return err;
}

int bench_peer_run(uint64_t limit_bytes, uint64_t swap_bytes,
		   int (*fn)(void *arg), void *arg,
		   struct bench_peer_result *ret_result)
{
	struct bench_peer_result result = {0};
	struct bench_cgroup cg;
	struct bench_zram zram;
	sigset_t set, old;
	int err;

	block_signals(&set, &old);
	err = bench_cgroup_create(&cg, "far-bench", limit_bytes);
	if (err)
		goto out;
	err = bench_zram_up(&zram, swap_bytes, "lz4");
	if (err)
		goto out_cgroup;
	err = run_child(&cg, &set, &old, fn, arg, &result);
	bench_zram_down(&zram);
out_cgroup:
	bench_cgroup_destroy(&cg);
out:
	(void)sigprocmask(SIG_SETMASK, &old, NULL); /* cannot fail */
	if (!err)
		*ret_result = result;
	return err;
}
