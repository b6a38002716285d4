/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small client of the Redis protocol (RESP2): requests are collected and
 * sent together, replies are taken one by one in order.  One thread.
 */
#ifndef BENCH_LIB_RESP_H
#define BENCH_LIB_RESP_H

#include "libfar/base/compiler.h"

enum bench_reply_type {
	BENCH_REPLY_STATUS, /* +OK */
	BENCH_REPLY_ERROR,  /* -ERR ... */
	BENCH_REPLY_NUMBER, /* :1 */
	BENCH_REPLY_BULK,   /* $3 abc */
	BENCH_REPLY_NIL,    /* $-1 */
};

/** struct bench_reply - one reply; data points into the input buffer */
struct bench_reply {
	enum bench_reply_type type;
	const char *data;
	size_t len;
};

/**
 * bench_reply_parse() - the reply at the start of @buf; pure
 * @ret_used: bytes it takes
 *
 * Return: 0; -EAGAIN not complete yet; -EPROTO.
 */
int bench_reply_parse(const char *buf, size_t len,
		      struct bench_reply *ret_reply, size_t *ret_used);

/** struct bench_conn - one connection */
struct bench_conn {
	int fd;
	char *in, *out;
	size_t in_len, in_pos, out_len;
	size_t cap; /* bytes of in and of out */
};

/**
 * bench_conn_open() - connect
 * @path: unix socket, or NULL for 127.0.0.1:@port
 * @cap: bytes of each buffer: what is collected, and the longest reply
 *
 * A server silent for 60 s is an error of the receiving call (-EAGAIN).
 * Return: 0; -errno.
 */
int bench_conn_open(struct bench_conn *c, const char *path, unsigned port,
		    size_t cap);
void bench_conn_close(struct bench_conn *c);

/** bench_conn_add() - collect one request of @nr arguments; 0 or -ENOBUFS */
int bench_conn_add(struct bench_conn *c, unsigned nr, const char *const *args,
		   const size_t *lens);

/** bench_conn_send() - send what was collected; 0 or -errno */
int bench_conn_send(struct bench_conn *c);

/** bench_conn_recv() - read once, at least a byte; 0, -EPIPE at the end */
int bench_conn_recv(struct bench_conn *c);

/** bench_conn_next() - a reply already received; 0, -EAGAIN or -EPROTO */
int bench_conn_next(struct bench_conn *c, struct bench_reply *ret_reply);

/** bench_conn_reply() - the next reply, waiting for it; 0 or -errno */
int bench_conn_reply(struct bench_conn *c, struct bench_reply *ret_reply);

#endif
