/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's half of one connection: bytes in, bytes out.  No sockets, no
 * clock; whoever owns it moves the bytes:
 *
 *	n = pool_session_space(s, &buf)		read at most n bytes into buf
 *	pool_session_feed(s, got, now)
 *	n = pool_session_output(s, &out)	write them
 *	pool_session_sent(s, put, now)		until there are none
 *	pool_session_is_over(s)			then close
 *
 * Memory is bounded: while output waits to be sent space() is 0, and a
 * request is taken up only when its reply is sure to fit.
 *
 * Context: the thread that owns the store.
 */
#ifndef POOL_SESSION_H
#define POOL_SESSION_H

#include "pool/store.h"
#include "pool/wire.h"

struct pool_session;

/**
 * pool_session_create() - a connection that has said nothing yet
 * @store: outlives the session
 * @id: for logs; told to the client
 *
 * Return: 0; -ENOMEM.
 */
int pool_session_create(struct pool_store *store, uint64_t id,
			struct pool_session **ret_session);

/** pool_session_destroy() - lets go of its export; NULL is fine */
void pool_session_destroy(struct pool_session *s);

/** pool_session_space() - how much may be fed now, and where it goes */
size_t pool_session_space(struct pool_session *s, uint8_t **ret_buf);

/** pool_session_feed() - @len bytes were put where space() said */
void pool_session_feed(struct pool_session *s, size_t len, uint64_t now_ns);

/** pool_session_eof() - the client will send no more */
void pool_session_eof(struct pool_session *s, uint64_t now_ns);

/** pool_session_output() - bytes that wait to be sent */
size_t pool_session_output(const struct pool_session *s,
			   const uint8_t **ret_buf);

/** pool_session_sent() - the first @len bytes of them are on their way */
void pool_session_sent(struct pool_session *s, size_t len, uint64_t now_ns);

/** pool_session_stop() - end it from our side with an ERROR message */
void pool_session_stop(struct pool_session *s, int status, const char *text);

/** pool_session_is_over() - nothing more will be read; flush and close */
bool pool_session_is_over(const struct pool_session *s);

/** pool_session_is_open() - HELLO has been accepted */
bool pool_session_is_open(const struct pool_session *s);

/** pool_session_tenant() - the name the client gave; "" before HELLO */
const char *pool_session_tenant(const struct pool_session *s);

/** pool_session_reason() - why we ended it; "" if we did not */
const char *pool_session_reason(const struct pool_session *s);

#endif
