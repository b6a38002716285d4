/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon without its main(): sockets, their sessions, one thread that
 * serves them with epoll(7).  A session stays with its server and shares
 * nothing with others but the store.
 */
#ifndef POOL_SERVER_H
#define POOL_SERVER_H

#include "libfar/base/log.h"
#include "pool/addr.h"
#include "pool/store.h"

#define POOL_MAX_LISTENERS 16

struct pool_server;

/** struct pool_server_attr - all of it is borrowed */
struct pool_server_attr {
	struct pool_store *store;
	struct far_log *log;
	unsigned max_clients; /* connections at a time */
	uint64_t hello_ns;    /* a connection must have said HELLO by then */
};

int pool_server_create(const struct pool_server_attr *attr,
		       struct pool_server **ret_server);

/** pool_server_destroy() - closes everything, unlinks sockets; NULL is fine */
void pool_server_destroy(struct pool_server *sv);

/**
 * pool_server_listen() - accept connections at @addr
 * @addr: port 0 is replaced by the port chosen
 *
 * A socket file is made with mode 0600; one that lies there already is
 * replaced only if nothing answers.  Says through the log why it failed.
 *
 * Return: 0; -EPERM not a local address (there are no keys yet);
 * -EADDRINUSE; -EEXIST there is a file that is no socket; -ENOSPC more than
 * POOL_MAX_LISTENERS; else what the system said.
 */
int pool_server_listen(struct pool_server *sv, struct pool_addr *addr);

/**
 * pool_server_run() - serve until @stop_fd is readable
 * Clients that are connected then are told that the server ends.
 * Return: 0; -errno of epoll.
 */
int pool_server_run(struct pool_server *sv, int stop_fd);

#endif
