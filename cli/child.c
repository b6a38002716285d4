/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = {
	SIGTERM, SIGINT,  SIGHUP,   SIGQUIT, SIGUSR1,
	SIGUSR2, SIGCONT, SIGWINCH, SIGALRM, SIGTSTP,
};

static int block_signals(struct child *c)
{
	const struct sigaction def = {.sa_handler = SIG_DFL};
	sigset_t set;
	size_t i;

	(void)sigemptyset(&set);
	for (i = 0; i < FAR_ARRAY_SIZE(forwarded); i++)
		(void)sigaddset(&set, forwarded[i]);
	(void)sigaddset(&set, SIGCHLD);
	/* Who started us may have ignored it: nobody could be waited for. */
	if (sigaction(SIGCHLD, &def, &c->chld) < 0 ||
	    sigprocmask(SIG_BLOCK, &set, &c->before) < 0)
		return -errno;
	c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signal_fd < 0 ? -errno : 0;
}

/* The child's side: nothing is executed before a byte arrives. */
static void child_main(const struct child *c, int go_fd, int result_fd,
		       const char *path, char *const *argv, char *const *env)
{
	int err;
	char byte;

	if (read(go_fd, &byte, 1) != 1)
		_exit(127); /* the parent gave up and knows why */
	(void)sigaction(SIGCHLD, &c->chld, NULL);
	(void)sigprocmask(SIG_SETMASK, &c->before, NULL);
	(void)execve(path, argv, env);
	err = errno;
	if (write(result_fd, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int child_fork(struct child *c, const char *path, char *const *argv,
	       char *const *env)
{
	int go[2], result[2], err;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(result, O_CLOEXEC) < 0) {
		err = -errno;
		goto err_go;
	}
	err = block_signals(c);
	if (err < 0)
		goto err_result;
	c->pid = fork();
	if (c->pid < 0) {
		err = -errno;
		(void)close(c->signal_fd);
		goto err_result;
	}
	if (c->pid == 0) {
		(void)close(go[1]);
		child_main(c, go[0], result[1], path, argv, env);
	}
	(void)close(go[0]);
	(void)close(result[1]);
	c->go_fd = go[1];
	c->result_fd = result[0];
	return 0;
err_result:
	(void)close(result[0]);
	(void)close(result[1]);
err_go:
	(void)close(go[0]);
	(void)close(go[1]);
	return err;
}

int child_exec(struct child *c)
{
	ssize_t n;
	int err = 0;

	n = write(c->go_fd, "g", 1);
	(void)close(c->go_fd);
	if (n == 1) {
		do {
			n = read(c->result_fd, &err, sizeof(err));
		} while (n < 0 && errno == EINTR);
	}
	(void)close(c->result_fd);
	if (n == 0)
		return 0; /* closed by a successful exec */
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return n == (ssize_t)sizeof(err) ? -err : -ECHILD;
}

/*
 * Stops ourselves as the terminal would have: with the default action, so
 * that the kernel can still decide that nobody could continue us.
 */
static void stop_self(void)
{
	sigset_t set, old;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTSTP);
	(void)raise(SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &set, &old);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
}

/*
 * What the terminal sends goes to the whole foreground group, and the child
 * has it already.
 */
static void forward(const struct child *c, const struct signalfd_siginfo *si)
{
	int sig = (int)si->ssi_signo;

	if (sig == SIGCHLD)
		return;
	/* The child cannot have been reaped: it is waited for after this. */
	if (si->ssi_code != SI_KERNEL || sig == SIGCONT)
		(void)kill(c->pid, sig);
	if (sig == SIGTSTP)
		stop_self();
}

static void read_signals(const struct child *c)
{
	struct signalfd_siginfo si;

	while (read(c->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		forward(c, &si);
}

/* Reaps what ended; true if that was the child. Orphans of the tree come to
 * us too when we are their subreaper. */
static bool reap(const struct child *c, int *ret_status)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != c->pid)
			continue;
		*ret_status = status;
		ended = true;
	}
	return ended;
}

int child_wait(struct child *c, int tick_ms, int wake_fd,
	       void (*tick)(void *ctx), void *ctx)
{
	struct pollfd p[2] = {
		{.fd = c->signal_fd, .events = POLLIN},
		{.fd = wake_fd, .events = POLLIN}, /* -1 is passed over */
	};
	int status = 0, n;

	for (;;) {
		n = poll(p, FAR_ARRAY_SIZE(p), tick ? tick_ms : -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		read_signals(c);
		if (reap(c, &status))
			break;
		if (tick)
			tick(ctx);
	}
	(void)close(c->signal_fd);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}
