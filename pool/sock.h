/* SPDX-License-Identifier: BSD-3-Clause */
/* What client and server ask of a connected socket. */
#ifndef POOL_SOCK_H
#define POOL_SOCK_H

#include "pool/addr.h"

/**
 * pool_sock_tune() - no delay, keep-alive and time-outs for TCP; large buffers
 * for unix
 * Best effort: a connection works without.
 */
void pool_sock_tune(int fd);

/**
 * pool_sock_connect() - a connected, tuned, non-blocking socket
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
