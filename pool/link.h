/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's side of a connection's beginning, and single calls on it.
 * Control plane: these block, with a time-out.
 */
#ifndef POOL_LINK_H
#define POOL_LINK_H

#include "pool/addr.h"
#include "pool/wire.h"

#define POOL_CONNECT_NS UINT64_C(5000000000) /* connect, HELLO, WELCOME */
#define POOL_CALL_NS UINT64_C(30000000000)   /* a CLONE may be large */

/**
 * pool_link_open() - connect and say HELLO
 * @hello: whom to attach to and as whom; versions are filled in
 * @ret_fd: non-blocking socket; close(2) it
 * @why: WIRE_TEXT_MAX bytes: what the server said, "" if it said nothing;
 *	written on failure only
 *
 * Return: 0; -ETIMEDOUT; -EPROTONOSUPPORT no common version; -ESTALE the
 * server does not know the token; -EPROTO; what connect(2) said; what the
 * server refused with.
 */
int pool_link_open(const struct pool_addr *addr, const struct wire_hello *hello,
		   int *ret_fd, struct wire_welcome *ret_welcome, char *why);

/**
 * pool_link_call() - one request, one reply
 * @req: no bulk data; ->id is filled in
 *
 * After a failure other than a status in the reply the connection is of no
 * use any more.
 *
 * Return: 0 and the reply is in @ret_reply, whatever its status; -EHOSTDOWN
 * the connection is lost; -ETIMEDOUT; -EPROTO.
 */
int pool_link_call(int fd, struct wire_msg *req, struct wire_msg *ret_reply,
		   uint64_t timeout_ns);

#endif
