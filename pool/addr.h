/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a pool is: "tcp://HOST:PORT", "tcp://[V6]:PORT" or "unix:PATH".
 */
#ifndef POOL_ADDR_H
#define POOL_ADDR_H

#include <sys/socket.h>

#include "libfar/base/compiler.h"

#define POOL_ADDR_TEXT 128 /* bytes of the longest text, with the NUL */

/** struct pool_addr - a resolved address */
struct pool_addr {
	struct sockaddr_storage sa;
	socklen_t len;
	char text[POOL_ADDR_TEXT]; /* as above, numeric */
};

/**
 * pool_addr_parse() - resolve "tcp://HOST:PORT" or "unix:PATH"
 * Context: control plane; a name that is not a number asks the resolver.
 * Return: 0; -EINVAL malformed; -ENAMETOOLONG a path of 108 bytes or more;
 * -EADDRNOTAVAIL a name nobody knows.
 */
int pool_addr_parse(const char *text, struct pool_addr *ret_addr);

/** pool_addr_tcp(), pool_addr_unix() - the same without the scheme */
int pool_addr_tcp(const char *host_port, struct pool_addr *ret_addr);
int pool_addr_unix(const char *path, struct pool_addr *ret_addr);

/** pool_addr_format() - text of ->sa, e.g. after getsockname(2) */
void pool_addr_format(struct pool_addr *addr);

/** pool_addr_is_unix() - a path */
bool pool_addr_is_unix(const struct pool_addr *addr);

/** pool_addr_is_local() - nobody outside this machine can reach it */
bool pool_addr_is_local(const struct pool_addr *addr);

/** pool_addr_path() - of a unix address */
const char *pool_addr_path(const struct pool_addr *addr);

/** pool_addr_explain() - why parsing gave @err, and how to write it */
const char *pool_addr_explain(int err);

#endif
