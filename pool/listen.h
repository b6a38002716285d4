/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening sockets of the server. */
#ifndef POOL_LISTEN_H
#define POOL_LISTEN_H

#include <sys/stat.h>

#include "libfar/base/log.h"
#include "pool/addr.h"

/** struct pool_listener - one socket; fd is -1 when not in use */
struct pool_listener {
	int fd;
	struct pool_addr addr;
	struct stat file; /* of a socket file: tells whether it is still ours */
};

/** pool_listener_open() - see pool_server_listen() */
int pool_listener_open(struct pool_listener *ls, struct pool_addr *addr,
		       struct far_log *log);

/** pool_listener_close() - and unlink its file if it is still ours */
void pool_listener_close(struct pool_listener *ls);

#endif
