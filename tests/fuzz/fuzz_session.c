/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Server sessions over one small store.  The input is a list of steps: feed
 * raw bytes, feed a well-formed request, take some of the output, end one, let
 * time pass.  Checked: every byte that comes out belongs to a message that
 * decodes; pages hold what was written at that offset, and nothing of other
 * places; the store's accounts never go wrong and end at zero.
 */
#include <errno.h>
#include <string.h>

#include "libfar/base/crc32c.h"
#include "pool/session.h"
#include "tests/fuzz/fuzz.h"

#define NR_SESSIONS 4
#define STORE_PAGES 48
#define PAGE FAR_PAGE_SIZE

enum step { STEP_RAW, STEP_SEND, STEP_TAKE, STEP_EOF, STEP_END, STEP_TIME };

/* Where a client is in what it has been sent. */
struct peer {
	struct pool_session *s;
	uint8_t *got;
	size_t len;
};

static struct pool_store *store;
static struct peer peers[NR_SESSIONS];
static uint8_t tokens[8][WIRE_TOKEN_LEN]; /* the latest seen */
static unsigned nr_tokens;
static uint64_t now_ns;
static bool is_pure; /* all that was written came from send_write() */

static int next_token(void *ctx, void *buf, size_t len)
{
	uint64_t *serial = ctx;

	memset(buf, 0, len);
	++*serial;
	memcpy(buf, serial, sizeof(*serial));
	return 0;
}

static uint8_t pattern(uint64_t off)
{
	return (uint8_t)(off / PAGE * 7 + 1);
}

static void start(struct peer *p)
{
	static uint64_t id;

	FUZZ_CHECK(!pool_session_create(store, ++id, &p->s));
	p->len = 0;
}

static void learn_token(const uint8_t *token)
{
	memcpy(tokens[nr_tokens++ % FAR_ARRAY_SIZE(tokens)], token,
	       WIRE_TOKEN_LEN);
}

static void check_data(const struct wire_msg *msg)
{
	uint64_t i;

	FUZZ_CHECK(!msg->is_payload_bad);
	for (i = 0; is_pure && i < msg->length; i++)
		FUZZ_CHECK(msg->payload[i] == pattern(msg->off + i));
}

/* Decodes what one client has received so far. */
static void look(struct peer *p)
{
	struct wire_msg msg;
	size_t at = 0;
	int got;

	while ((got = wire_decode(p->got + at, p->len - at, &msg)) ==
	       WIRE_GOT_FRAME) {
		FUZZ_CHECK(msg.type == WIRE_ERROR || msg.type & WIRE_REPLY);
		if (msg.type == (WIRE_READ | WIRE_REPLY) && !msg.status)
			check_data(&msg);
		if (msg.type == (WIRE_HELLO | WIRE_REPLY))
			learn_token(msg.welcome.token);
		if (msg.type == (WIRE_CLONE | WIRE_REPLY) && !msg.status)
			learn_token(msg.token);
		at += WIRE_HEADER_LEN + msg.length;
	}
	FUZZ_CHECK(got >= 0);
	memmove(p->got, p->got + at, p->len - at);
	p->len -= at;
}

static void take(struct peer *p, size_t max)
{
	const uint8_t *out;
	size_t n;

	while (max && (n = pool_session_output(p->s, &out)) > 0) {
		n = far_min_u64(n,
				far_min_u64(max, 2 * WIRE_MAX_FRAME - p->len));
		memcpy(p->got + p->len, out, n);
		p->len += n;
		max -= n;
		pool_session_sent(p->s, n, now_ns);
		look(p);
	}
}

static void check_accounts(void)
{
	struct pool_store_usage usage;

	pool_store_usage(store, &usage);
	FUZZ_CHECK(usage.size == STORE_PAGES * PAGE);
	FUZZ_CHECK(usage.used <= usage.reserved);
	FUZZ_CHECK(usage.reserved <= usage.size);
}

/* In pieces of at most @piece bytes; stops when the session takes no more. */
static void feed(struct peer *p, const uint8_t *data, size_t len, size_t piece)
{
	uint8_t *room;
	size_t n;

	while (len) {
		n = pool_session_space(p->s, &room);
		if (!n)
			take(p, SIZE_MAX);
		n = pool_session_space(p->s, &room);
		if (!n) {
			FUZZ_CHECK(pool_session_is_over(p->s));
			return;
		}
		n = far_min_u64(far_min_u64(n, len), piece);
		memcpy(room, data, n);
		data += n;
		len -= n;
		pool_session_feed(p->s, n, now_ns);
		check_accounts();
	}
}

static size_t add_payload(struct fuzz_bytes *in, struct wire_msg *msg,
			  uint8_t *payload)
{
	unsigned i, nr;

	if (msg->type == WIRE_WRITE) {
		msg->length = (uint32_t)(1 + msg->id % 3) * PAGE;
		msg->len = msg->length;
		for (i = 0; i < msg->length; i++)
			payload[i] = pattern(msg->off + i);
		return msg->length;
	}
	nr = 1 + msg->id % 4;
	for (i = 0; i < nr; i++)
		wire_put_range(payload + i * WIRE_RANGE_LEN,
			       fuzz_u8(in) % 16 * PAGE, fuzz_u8(in) % 4 * PAGE);
	msg->length = nr * WIRE_RANGE_LEN;
	return msg->length;
}

static void make_hello(struct fuzz_bytes *in, struct wire_hello *hello)
{
	uint8_t how = fuzz_u8(in);

	hello->min_version = how == 255 ? 2 : 1;
	hello->max_version = 2;
	hello->limit = how / 2 % 4 * 8 * PAGE;
	hello->attach = nr_tokens ? how % 2 : 0;
	if (hello->attach)
		memcpy(hello->token, tokens[how / 8 % FAR_ARRAY_SIZE(tokens)],
		       WIRE_TOKEN_LEN);
}

static void make_request(struct fuzz_bytes *in, struct wire_msg *msg)
{
	static const uint8_t types[] = {
		WIRE_WRITE,   WIRE_READ,    WIRE_WRITE, WIRE_READ,
		WIRE_RESERVE, WIRE_DISCARD, WIRE_CLONE, WIRE_RELEASE,
		WIRE_WRITE,   WIRE_READ,    WIRE_HELLO, WIRE_USAGE,
		WIRE_PING,    WIRE_ERROR,   WIRE_CLONE, WIRE_REPLY | WIRE_PING,
	};
	uint8_t how = fuzz_u8(in);

	memset(msg, 0, sizeof(*msg));
	msg->type = types[fuzz_u8(in) % FAR_ARRAY_SIZE(types)];
	msg->id = how;
	msg->off = fuzz_u8(in) % 16 * PAGE;
	msg->len = (1 + how % 8) * PAGE;
	if (how >= 250) { /* as far off as can be */
		msg->off = fuzz_u64(in);
		msg->len = fuzz_u64(in);
	}
	if (msg->type == WIRE_HELLO)
		make_hello(in, &msg->hello);
	if (msg->type == WIRE_ERROR)
		wire_error(msg, -EPROTO, "over");
}

static void send_small(struct peer *p, const struct wire_msg *msg)
{
	uint8_t buf[WIRE_ENCODE_MAX];

	feed(p, buf, wire_encode(msg, buf), sizeof(buf));
}

/* Most sessions get a start that lets the rest mean something. */
static void open_up(struct peer *p, struct fuzz_bytes *in)
{
	struct wire_msg msg = {.type = WIRE_HELLO};
	uint8_t how = fuzz_u8(in);

	if (how >= 240)
		return;
	make_hello(in, &msg.hello);
	send_small(p, &msg);
	take(p, SIZE_MAX);
	msg = (struct wire_msg){.type = WIRE_RESERVE, .len = how % 8 * PAGE};
	if (msg.len && !pool_session_is_over(p->s))
		send_small(p, &msg);
}

static void send_request(struct peer *p, struct fuzz_bytes *in)
{
	static uint8_t buf[WIRE_MAX_FRAME];
	struct wire_msg msg;
	size_t len;

	if (!pool_session_is_open(p->s))
		open_up(p, in);
	make_request(in, &msg);
	if (msg.type == WIRE_WRITE || msg.type == WIRE_DISCARD) {
		len = add_payload(in, &msg, buf + WIRE_HEADER_LEN);
		msg.payload_crc = far_crc32c(0, buf + WIRE_HEADER_LEN, len);
		if (msg.id == 249)
			msg.payload_crc++; /* damaged on the way */
		wire_encode_header(&msg, buf);
		len += WIRE_HEADER_LEN;
	} else {
		len = wire_encode(&msg, buf);
	}
	/* now and then in many pieces */
	feed(p, buf, len, msg.id % 16 ? SIZE_MAX / 2 : 100);
}

static void send_raw(struct peer *p, struct fuzz_bytes *in)
{
	size_t len = far_min_u64(fuzz_u8(in), in->len);

	is_pure = false;
	feed(p, in->p, len, 9);
	in->p += len;
	in->len -= len;
}

static void step(struct fuzz_bytes *in)
{
	struct peer *p = &peers[fuzz_u8(in) % NR_SESSIONS];

	if (pool_session_is_over(p->s)) {
		take(p, SIZE_MAX);
		pool_session_destroy(p->s);
		start(p);
	}
	switch ((enum step)(fuzz_u8(in) % 16)) {
	case STEP_RAW:
		send_raw(p, in);
		break;
	case STEP_TAKE:
		take(p, fuzz_u8(in) * 64u);
		break;
	case STEP_EOF:
		pool_session_eof(p->s, now_ns);
		break;
	case STEP_END:
		pool_session_destroy(p->s);
		start(p);
		break;
	case STEP_TIME:
		now_ns += POOL_CLONE_LIFE_NS / 64 * fuzz_u8(in);
		(void)pool_store_expire(store, now_ns);
		break;
	case STEP_SEND:
	default:
		send_request(p, in);
	}
	check_accounts();
}

static void finish(void)
{
	struct pool_store_usage usage;
	unsigned i;

	for (i = 0; i < NR_SESSIONS; i++) {
		take(&peers[i], SIZE_MAX);
		pool_session_destroy(peers[i].s);
		free(peers[i].got);
	}
	now_ns += POOL_CLONE_LIFE_NS;
	FUZZ_CHECK(pool_store_expire(store, now_ns) == UINT64_MAX);
	pool_store_usage(store, &usage);
	FUZZ_CHECK(!usage.used && !usage.reserved && !usage.nr_exports);
	pool_store_destroy(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_bytes in = {.p = data, .len = len};
	uint64_t serial = 0;
	struct pool_store_attr attr = {
		.size = STORE_PAGES * PAGE,
		.max_exports = 8,
		.random = next_token,
		.ctx = &serial,
	};
	unsigned i;

	memset(tokens, 0, sizeof(tokens));
	nr_tokens = 0;
	is_pure = true;
	FUZZ_CHECK(!pool_store_create(&attr, &store));
	for (i = 0; i < NR_SESSIONS; i++) {
		start(&peers[i]);
		peers[i].got = malloc(2 * WIRE_MAX_FRAME);
		FUZZ_CHECK(peers[i].got);
	}
	for (i = 0; in.len && i < 400; i++)
		step(&in);
	finish();
	return 0;
}
