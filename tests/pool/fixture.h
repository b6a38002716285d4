/* SPDX-License-Identifier: BSD-3-Clause */
/* A real fard in a process of its own, and clients to talk to it. */
#ifndef TESTS_POOL_FIXTURE_H
#define TESTS_POOL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>

#include "libfar/backend/backend.h"
#include "pool/wire.h"

#define TEST_WAIT_NS UINT64_C(20000000000) /* any wait ends by then */
#define PAGE FAR_PAGE_SIZE

/** struct fard - a daemon that runs; every field is the test's to read */
struct fard {
	pid_t pid;
	char tcp[128]; /* "tcp://127.0.0.1:PORT" */
	char unix_path[108];
	char unix_spec[128]; /* "unix:PATH" */
	char dir[64];	     /* removed by fard_stop() */
};

/** fard_path() - of the program; main() sets it from its first argument */
extern const char *fard_path;

/**
 * fard_start() - with a TCP and a unix listener, ready to answer
 * @size: as for --size
 * @extra: one more option, "--name=value", or NULL
 */
void fard_start(struct fard *f, const char *size, const char *extra);

/** fard_stop() - SIGTERM; fails the test unless it ends cleanly */
void fard_stop(struct fard *f);

/** fard_kill() - SIGKILL, as a crash */
void fard_kill(struct fard *f);

/** open_backend() - fails the test if it cannot be opened */
struct far_backend *open_backend(const char *spec);

/** run_ios() - submit @nr requests and wait for all; bounded */
void run_ios(struct far_queue *q, struct far_io *ios, unsigned nr);

/** run_io() - one request; returns its result */
int run_io(struct far_queue *q, unsigned op, uint64_t off, void *buf,
	   size_t len);

/** fill_page() - contents that depend on @seed, everywhere */
void fill_page(void *page, uint64_t seed);

/* A client that speaks the protocol by hand, over blocking sockets. */

/** raw_connect() - to "tcp://..." or "unix:..." */
int raw_connect(const char *addr);

/** raw_send() - the whole message; @payload: of WRITE and DISCARD, or NULL */
void raw_send(int fd, struct wire_msg *msg, const void *payload);

/**
 * raw_recv() - the next message
 * @payload: WIRE_MAX_LEN bytes, or NULL if none is expected
 * Return: 1; 0 the server has closed.
 */
int raw_recv(int fd, struct wire_msg *ret_msg, void *payload);

/** raw_hello() - HELLO and WELCOME; @token NULL: a new export */
void raw_hello(int fd, const uint8_t *token, struct wire_msg *ret_welcome);

/** raw_open() - connect and HELLO for a new export */
int raw_open(const char *addr);

/** raw_expect_refusal() - an ERROR with @status comes, then the end; closes */
void raw_expect_refusal(int fd, int status);

/** raw_usage() - what the server says it holds */
struct wire_usage raw_usage(int fd);

/** wait_pool_reserved() - until the pool's reserved bytes are @bytes */
void wait_pool_reserved(int fd, uint64_t bytes);

#endif
