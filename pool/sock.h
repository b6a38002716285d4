/* SPDX-License-Identifier: BSD-3-Clause */
/* What client and server ask of a connected socket. */
#ifndef POOL_SOCK_H
#define POOL_SOCK_H

#include <sys/types.h>

#include "pool/addr.h"

#define POOL_SILENCE_MS 30000

/** struct pool_sock - a socket, and what tells that it is still that one */
struct pool_sock {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
};

/** pool_sock_set() - remember @fd and which socket it is */
void pool_sock_set(struct pool_sock *s, int fd);

/**
 * pool_sock_is_here() - ->fd still names that socket
 * After fork() the number may name something else: a child can have another
 * table of descriptors.
 */
bool pool_sock_is_here(const struct pool_sock *s);

/**
 * pool_sock_drop() - close it if it is here, and forget it
 * Never shuts it down: a parent may still be using it.
 */
void pool_sock_drop(struct pool_sock *s);

/**
 * pool_sock_tune() - no delay and keep-alive for TCP, large buffers for unix
 * Best effort: a connection works without.
 */
void pool_sock_tune(int fd);

/**
 * pool_sock_connect() - a connected, tuned, non-blocking socket
 * A TCP server that takes nothing for POOL_SILENCE_MS is given up.
 * Return: 0; -ETIMEDOUT after @timeout_ns; else what connect(2) said.
 */
int pool_sock_connect(const struct pool_addr *addr, uint64_t timeout_ns,
		      int *ret_fd);

/**
 * pool_sock_wait() - until @fd is ready for @events (poll(2)) or in error
 * @deadline_ns: CLOCK_MONOTONIC
 * Return: 0; -ETIMEDOUT; -errno.
 */
int pool_sock_wait(int fd, short events, uint64_t deadline_ns);

#endif
