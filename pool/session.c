/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/base/crc32c.h"

/* Several frames at a time, so that one system call moves many pages. */
#define IN_LEN (4 * WIRE_MAX_FRAME)
#define OUT_LEN (4 * WIRE_MAX_FRAME)

struct pool_session {
	struct pool_store *store;
	struct pool_export *ex; /* NULL before HELLO */
	uint64_t id;
	uint64_t now_ns;	   /* of the call in progress */
	bool is_eof;		   /* the client will send no more */
	bool is_over;		   /* nothing more is taken from the input */
	size_t in_head, in_tail;   /* bytes not taken up yet */
	size_t out_head, out_tail; /* bytes not sent yet */
	char tenant[WIRE_TENANT_MAX];
	char reason[WIRE_TEXT_MAX];
	uint8_t in[IN_LEN];
	uint8_t out[OUT_LEN];
};

int pool_session_create(struct pool_store *store, uint64_t id,
			struct pool_session **ret_session)
{
	/* not zeroed: most of the buffers are never touched */
	struct pool_session *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	memset(s, 0, offsetof(struct pool_session, in));
	s->store = store;
	s->id = id;
	*ret_session = s;
	return 0;
}

void pool_session_destroy(struct pool_session *s)
{
	if (!s)
		return;
	pool_export_put(s->ex);
	free(s);
}

/* ---- output ---- */

static size_t out_room(const struct pool_session *s)
{
	return OUT_LEN - s->out_tail;
}

/* A reply and the ERROR message that may follow it must fit. */
static bool has_room_for_reply(struct pool_session *s)
{
	if (s->out_head == s->out_tail)
		s->out_head = s->out_tail = 0;
	return out_room(s) >= WIRE_MAX_FRAME + WIRE_ENCODE_MAX;
}

static void send_msg(struct pool_session *s, const struct wire_msg *msg)
{
	assert(out_room(s) >= WIRE_ENCODE_MAX);
	s->out_tail += wire_encode(msg, s->out + s->out_tail);
}

static void make_reply(const struct wire_msg *req, int status,
		       struct wire_msg *ret_msg)
{
	memset(ret_msg, 0, sizeof(*ret_msg));
	ret_msg->type = req->type | WIRE_REPLY;
	ret_msg->id = req->id;
	ret_msg->off = req->off;
	ret_msg->len = req->len;
	ret_msg->status = status;
}

static void reply(struct pool_session *s, const struct wire_msg *req,
		  int status)
{
	struct wire_msg msg;

	make_reply(req, status, &msg);
	send_msg(s, &msg);
}

/* Header for @len bytes of payload that lie behind where it goes. */
static void reply_payload(struct pool_session *s, const struct wire_msg *req,
			  int status, size_t len)
{
	uint8_t *head = s->out + s->out_tail;
	struct wire_msg msg;

	make_reply(req, status, &msg);
	msg.length = (uint32_t)len;
	msg.payload_crc = far_crc32c(0, head + WIRE_HEADER_LEN, len);
	wire_encode_header(&msg, head);
	s->out_tail += WIRE_HEADER_LEN + len;
}

void pool_session_stop(struct pool_session *s, int status, const char *text)
{
	struct wire_msg msg;

	if (s->is_over)
		return;
	wire_error(&msg, status, text);
	memcpy(s->reason, msg.text, sizeof(s->reason));
	if (out_room(s) >= WIRE_ENCODE_MAX)
		send_msg(s, &msg);
	s->is_over = true;
}

/* ---- requests ---- */

static int open_export(struct pool_session *s, const struct wire_hello *hello)
{
	if (hello->attach == WIRE_ATTACH)
		return pool_export_attach(s->store, hello->token, &s->ex);
	return pool_export_create(s->store, hello->limit, &s->ex);
}

static const char *refusal(int err)
{
	switch (err) {
	case -ESTALE:
		return "no such export: it ended with its last connection, or "
		       "the server was restarted";
	case -ENFILE:
		return "too many exports: the server's limit is reached; fix: "
		       "raise fard's --max-clients";
	default:
		return "the server could not make an export";
	}
}

static void do_hello(struct pool_session *s, const struct wire_msg *req)
{
	const struct wire_hello *hello = &req->hello;
	struct wire_msg msg;
	int err;

	if (s->ex) {
		pool_session_stop(s, -EPROTO, "a second HELLO");
		return;
	}
	if (hello->min_version > WIRE_VERSION ||
	    hello->max_version < WIRE_VERSION) {
		pool_session_stop(s, -EPROTONOSUPPORT,
				  "this server speaks version 1 of the "
				  "protocol; fix: run the same release on both "
				  "sides");
		return;
	}
	err = open_export(s, hello);
	if (err) {
		pool_session_stop(s, err, refusal(err));
		return;
	}
	memcpy(s->tenant, hello->tenant, sizeof(s->tenant));
	make_reply(req, 0, &msg);
	msg.welcome.version = WIRE_VERSION;
	msg.welcome.max_len = WIRE_MAX_LEN;
	msg.welcome.max_depth = WIRE_MAX_DEPTH;
	msg.welcome.session = s->id;
	msg.welcome.capacity = pool_export_capacity(s->ex);
	memcpy(msg.welcome.token, pool_export_token(s->ex), WIRE_TOKEN_LEN);
	send_msg(s, &msg);
}

static void do_reserve(struct pool_session *s, const struct wire_msg *req)
{
	struct wire_msg msg;
	uint64_t off = 0;
	int err = pool_export_reserve(s->ex, req->len, &off);

	make_reply(req, err, &msg);
	msg.off = off;
	send_msg(s, &msg);
}

static void do_read(struct pool_session *s, const struct wire_msg *req)
{
	uint8_t *data = s->out + s->out_tail + WIRE_HEADER_LEN;
	int err = -EINVAL;

	if (req->len <= WIRE_MAX_LEN)
		err = pool_export_read(s->ex, req->off, req->len, data);
	if (err)
		reply(s, req, err);
	else
		reply_payload(s, req, 0, req->len);
}

static void do_write(struct pool_session *s, const struct wire_msg *req)
{
	int err = -EBADMSG;

	if (!req->is_payload_bad)
		err = pool_export_write(s->ex, req->off, req->len,
					req->payload);
	reply(s, req, err);
}

static void do_discard(struct pool_session *s, const struct wire_msg *req)
{
	uint8_t *statuses = s->out + s->out_tail + WIRE_HEADER_LEN;
	size_t i, nr = req->length / WIRE_RANGE_LEN;
	uint64_t off, len;
	int err, first = 0;

	for (i = 0; i < nr; i++) {
		wire_get_range(req->payload + i * WIRE_RANGE_LEN, &off, &len);
		err = pool_export_discard(s->ex, off, len);
		wire_put_status(statuses + 4 * i, err);
		if (!first)
			first = err;
	}
	if (first)
		reply_payload(s, req, first, 4 * nr);
	else
		reply(s, req, 0);
}

static void do_clone(struct pool_session *s, const struct wire_msg *req)
{
	uint8_t token[WIRE_TOKEN_LEN] = {0};
	struct wire_msg msg;
	int err = pool_export_clone(s->ex, s->now_ns, token);

	make_reply(req, err, &msg);
	memcpy(msg.token, token, sizeof(token));
	send_msg(s, &msg);
}

static void do_usage(struct pool_session *s, const struct wire_msg *req)
{
	struct pool_store_usage pool;
	struct pool_export_usage ex;
	struct wire_msg msg;

	pool_store_usage(s->store, &pool);
	pool_export_usage(s->ex, &ex);
	make_reply(req, 0, &msg);
	msg.usage.reserved = ex.reserved;
	msg.usage.stored = ex.stored;
	msg.usage.pool_size = pool.size;
	msg.usage.pool_reserved = pool.reserved;
	msg.usage.pool_used = pool.used;
	msg.usage.nr_exports = pool.nr_exports;
	send_msg(s, &msg);
}

static void do_request(struct pool_session *s, const struct wire_msg *req)
{
	if (!s->ex && req->type != WIRE_HELLO && req->type != WIRE_ERROR) {
		pool_session_stop(s, -EPROTO, "the first message is not HELLO");
		return;
	}
	switch (req->type) {
	case WIRE_HELLO:
		do_hello(s, req);
		break;
	case WIRE_RESERVE:
		do_reserve(s, req);
		break;
	case WIRE_RELEASE:
		reply(s, req, pool_export_release(s->ex, req->off, req->len));
		break;
	case WIRE_READ:
		do_read(s, req);
		break;
	case WIRE_WRITE:
		do_write(s, req);
		break;
	case WIRE_DISCARD:
		do_discard(s, req);
		break;
	case WIRE_CLONE:
		do_clone(s, req);
		break;
	case WIRE_USAGE:
		do_usage(s, req);
		break;
	case WIRE_PING:
		reply(s, req, 0);
		break;
	case WIRE_ERROR: /* the client says why it goes */
		memcpy(s->reason, req->text, sizeof(s->reason));
		s->is_over = true;
		break;
	default:
		pool_session_stop(s, -EPROTO, "a reply instead of a request");
	}
}

static const char *decode_text(int err)
{
	switch (err) {
	case -EPROTONOSUPPORT:
		return "this server speaks version 1 of the protocol; fix: run "
		       "the same release on both sides";
	case -EMSGSIZE:
		return "a message longer than its type allows";
	case -EBADMSG:
		return "not a message of this protocol, or damaged on the way";
	default:
		return "a malformed message";
	}
}

/* Takes up as many requests as there are replies' worth of room. */
static void run(struct pool_session *s)
{
	struct wire_msg msg;
	int got;

	while (!s->is_over && has_room_for_reply(s)) {
		got = wire_decode(s->in + s->in_head, s->in_tail - s->in_head,
				  &msg);
		if (got < 0) {
			pool_session_stop(s, got, decode_text(got));
		} else if (got == WIRE_GOT_FRAME) {
			s->in_head += WIRE_HEADER_LEN + msg.length;
			do_request(s, &msg);
		} else {
			s->is_over = s->is_eof;
			break;
		}
	}
	if (s->is_over)
		s->in_head = s->in_tail;
	if (s->in_head == s->in_tail)
		s->in_head = s->in_tail = 0;
}

/* ---- moving bytes ---- */

size_t pool_session_space(struct pool_session *s, uint8_t **ret_buf)
{
	if (s->is_over || s->is_eof || s->out_head != s->out_tail)
		return 0;
	if (IN_LEN - s->in_head < WIRE_MAX_FRAME) {
		memmove(s->in, s->in + s->in_head, s->in_tail - s->in_head);
		s->in_tail -= s->in_head;
		s->in_head = 0;
	}
	*ret_buf = s->in + s->in_tail;
	return IN_LEN - s->in_tail;
}

void pool_session_feed(struct pool_session *s, size_t len, uint64_t now_ns)
{
	assert(len <= IN_LEN - s->in_tail);
	s->now_ns = now_ns;
	s->in_tail += len;
	run(s);
}

void pool_session_eof(struct pool_session *s, uint64_t now_ns)
{
	s->now_ns = now_ns;
	s->is_eof = true;
	run(s);
}

size_t pool_session_output(const struct pool_session *s,
			   const uint8_t **ret_buf)
{
	*ret_buf = s->out + s->out_head;
	return s->out_tail - s->out_head;
}

void pool_session_sent(struct pool_session *s, size_t len, uint64_t now_ns)
{
	assert(len <= s->out_tail - s->out_head);
	s->now_ns = now_ns;
	s->out_head += len;
	if (s->out_head == s->out_tail)
		run(s);
}

bool pool_session_is_over(const struct pool_session *s)
{
	return s->is_over;
}

bool pool_session_is_open(const struct pool_session *s)
{
	return s->ex;
}

const char *pool_session_tenant(const struct pool_session *s)
{
	return s->tenant;
}

const char *pool_session_reason(const struct pool_session *s)
{
	return s->reason;
}
