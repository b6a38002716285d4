/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One child process: started in two steps, given the signals we get, stopped
 * and continued with us, waited for.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <signal.h>
#include <sys/types.h>

#include "libfar/base/compiler.h"

/** struct child - a program that was forked, and perhaps executed */
struct child {
	pid_t pid;
	int go_fd;	       /* closing it without a byte ends the child */
	int result_fd;	       /* gives the errno of exec, or nothing */
	int signal_fd;	       /* our signals, blocked since child_fork() */
	sigset_t before;       /* our mask until then */
	struct sigaction chld; /* what SIGCHLD did until then */
};

/**
 * child_fork() - a child that waits for child_exec()
 * @path: file to execute
 * @env: its environment
 *
 * Context: one thread, no other children.
 * Return: 0; -errno.
 */
int child_fork(struct child *c, const char *path, char *const *argv,
	       char *const *env);

/** child_exec() - let it go; 0 once the program runs, else the -errno of
 * execve(2), and the child is gone */
int child_exec(struct child *c);

/**
 * child_wait() - pass signals on until the child ends
 * @tick: called every @tick_ms, and when @wake_fd is readable (-1 for none);
 *	NULL for neither
 *
 * Return: its exit status, 128 + signal if one ended it; -errno.
 */
int child_wait(struct child *c, int tick_ms, int wake_fd,
	       void (*tick)(void *ctx), void *ctx);

#endif
