/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "libfar/base/crc32c.h"

#define HELLO_LEN (2 + 2 + 4 + 4 + 8 + WIRE_TOKEN_LEN + WIRE_TENANT_MAX)
#define WELCOME_LEN (2 + 2 + 4 + 4 + 4 + 8 + 8 + WIRE_TOKEN_LEN)
#define USAGE_LEN (6 * 8)
#define ERRNO_MAX 4095

/* How long a type's payload may be; a failed reply other than DISCARD's has
 * none. */
struct length_rule {
	uint32_t min, max, unit;
};

static const struct length_rule request_rules[] = {
	[WIRE_HELLO] = {HELLO_LEN, HELLO_LEN, 1},
	[WIRE_RESERVE] = {0, 0, 1},
	[WIRE_RELEASE] = {0, 0, 1},
	[WIRE_READ] = {0, 0, 1},
	[WIRE_WRITE] = {1, WIRE_MAX_LEN, 1},
	[WIRE_DISCARD] = {WIRE_RANGE_LEN, WIRE_MAX_RANGES *WIRE_RANGE_LEN,
			  WIRE_RANGE_LEN},
	[WIRE_CLONE] = {0, 0, 1},
	[WIRE_USAGE] = {0, 0, 1},
	[WIRE_PING] = {0, 0, 1},
	[WIRE_ERROR] = {1, WIRE_TEXT_MAX - 1, 1},
};

static const struct length_rule reply_rules[] = {
	[WIRE_HELLO] = {WELCOME_LEN, WELCOME_LEN, 1},
	[WIRE_RESERVE] = {0, 0, 1},
	[WIRE_RELEASE] = {0, 0, 1},
	[WIRE_READ] = {1, WIRE_MAX_LEN, 1},
	[WIRE_WRITE] = {0, 0, 1},
	[WIRE_DISCARD] = {0, 0, 1},
	[WIRE_CLONE] = {WIRE_TOKEN_LEN, WIRE_TOKEN_LEN, 1},
	[WIRE_USAGE] = {USAGE_LEN, USAGE_LEN, 1},
	[WIRE_PING] = {0, 0, 1},
};

static const struct length_rule failed_rule = {0, 0, 1};
static const struct length_rule failed_discard_rule = {4, WIRE_MAX_RANGES * 4,
						       4};

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, (uint16_t)v), (uint16_t)(v >> 16));
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
	return put32(put32(p, (uint32_t)v), (uint32_t)(v >> 32));
}

static uint8_t *put_bytes(uint8_t *p, const void *from, size_t len)
{
	memcpy(p, from, len);
	return p + len;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static bool is_printable(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

void wire_put_range(uint8_t *buf, uint64_t off, uint64_t len)
{
	(void)put64(put64(buf, off), len);
}

void wire_get_range(const uint8_t *buf, uint64_t *ret_off, uint64_t *ret_len)
{
	*ret_off = get64(buf);
	*ret_len = get64(buf + 8);
}

void wire_put_status(uint8_t *buf, int32_t status)
{
	(void)put32(buf, (uint32_t)status);
}

int32_t wire_get_status(const uint8_t *buf)
{
	int32_t status = (int32_t)get32(buf);

	return status <= 0 && status >= -ERRNO_MAX ? status : -EPROTO;
}

void wire_encode_header(const struct wire_msg *msg, uint8_t *buf)
{
	uint8_t *p = put32(buf, WIRE_MAGIC);

	*p++ = WIRE_VERSION;
	*p++ = msg->type;
	p = put16(p, 0);
	p = put32(p, msg->length);
	p = put32(p, (uint32_t)msg->status);
	p = put64(p, msg->id);
	p = put64(p, msg->off);
	p = put64(p, msg->len);
	p = put32(p, msg->payload_crc);
	(void)put32(p, far_crc32c(0, buf, WIRE_HEADER_LEN - 4));
}

static uint8_t *encode_hello(const struct wire_hello *h, uint8_t *p)
{
	p = put16(p, h->min_version);
	p = put16(p, h->max_version);
	p = put32(p, h->features);
	p = put32(p, h->attach);
	p = put64(p, h->limit);
	p = put_bytes(p, h->token, WIRE_TOKEN_LEN);
	return put_bytes(p, h->tenant, WIRE_TENANT_MAX);
}

static uint8_t *encode_welcome(const struct wire_welcome *w, uint8_t *p)
{
	p = put16(p, w->version);
	p = put16(p, 0);
	p = put32(p, w->features);
	p = put32(p, w->max_len);
	p = put32(p, w->max_depth);
	p = put64(p, w->session);
	p = put64(p, w->capacity);
	return put_bytes(p, w->token, WIRE_TOKEN_LEN);
}

static uint8_t *encode_usage(const struct wire_usage *u, uint8_t *p)
{
	p = put64(p, u->reserved);
	p = put64(p, u->stored);
	p = put64(p, u->pool_size);
	p = put64(p, u->pool_reserved);
	p = put64(p, u->pool_used);
	return put64(p, u->nr_exports);
}

static uint8_t *encode_payload(const struct wire_msg *msg, uint8_t *p)
{
	if (msg->type == WIRE_ERROR)
		return put_bytes(p, msg->text, strlen(msg->text));
	if (msg->type == WIRE_HELLO)
		return encode_hello(&msg->hello, p);
	if (!(msg->type & WIRE_REPLY) || msg->status)
		return p;
	switch (msg->type & ~WIRE_REPLY) {
	case WIRE_HELLO:
		return encode_welcome(&msg->welcome, p);
	case WIRE_USAGE:
		return encode_usage(&msg->usage, p);
	case WIRE_CLONE:
		return put_bytes(p, msg->token, WIRE_TOKEN_LEN);
	default:
		return p;
	}
}

size_t wire_encode(const struct wire_msg *msg, uint8_t *buf)
{
	struct wire_msg head = *msg;
	uint8_t *payload = buf + WIRE_HEADER_LEN;

	head.length = (uint32_t)(encode_payload(msg, payload) - payload);
	head.payload_crc = far_crc32c(0, payload, head.length);
	assert(WIRE_HEADER_LEN + head.length <= WIRE_ENCODE_MAX);
	wire_encode_header(&head, buf);
	return WIRE_HEADER_LEN + head.length;
}

void wire_error(struct wire_msg *ret_msg, int status, const char *text)
{
	size_t i;

	memset(ret_msg, 0, sizeof(*ret_msg));
	ret_msg->type = WIRE_ERROR;
	ret_msg->status = status;
	for (i = 0; i < WIRE_TEXT_MAX - 1 && text[i]; i++)
		ret_msg->text[i] =
			is_printable((uint8_t)text[i]) ? text[i] : '?';
	if (!i)
		ret_msg->text[0] = '?'; /* the payload is never empty */
}

/* NULL: there is no such type. */
static const struct length_rule *find_rule(uint8_t type, int32_t status)
{
	unsigned base = type & ~(unsigned)WIRE_REPLY;

	if (!base)
		return NULL;
	if (!(type & WIRE_REPLY))
		return base < FAR_ARRAY_SIZE(request_rules)
			       ? &request_rules[base]
			       : NULL;
	if (base >= FAR_ARRAY_SIZE(reply_rules))
		return NULL;
	if (!status)
		return &reply_rules[base];
	return base == WIRE_DISCARD ? &failed_discard_rule : &failed_rule;
}

static bool is_status_ok(uint8_t type, int32_t status)
{
	if (type == WIRE_ERROR)
		return status < 0 && status >= -ERRNO_MAX;
	if (!(type & WIRE_REPLY))
		return status == 0;
	return status <= 0 && status >= -ERRNO_MAX;
}

static bool carries_data(const struct wire_msg *msg)
{
	return msg->type == WIRE_WRITE || msg->type == (WIRE_READ | WIRE_REPLY);
}

static int check_header(const struct wire_msg *msg, uint16_t flags)
{
	const struct length_rule *rule = find_rule(msg->type, msg->status);

	if (!rule || flags || !is_status_ok(msg->type, msg->status))
		return -EPROTO;
	if (msg->length > rule->max)
		return -EMSGSIZE;
	if (msg->length < rule->min || msg->length % rule->unit)
		return -EPROTO;
	if (carries_data(msg) && !msg->status && msg->length != msg->len)
		return -EPROTO;
	return 0;
}

static int decode_header(const uint8_t *buf, struct wire_msg *ret_msg)
{
	struct wire_msg msg;
	int err;

	if (get32(buf) != WIRE_MAGIC)
		return -EBADMSG;
	if (buf[4] != WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (get32(buf + 44) != far_crc32c(0, buf, WIRE_HEADER_LEN - 4))
		return -EBADMSG;
	memset(&msg, 0, sizeof(msg));
	msg.type = buf[5];
	msg.length = get32(buf + 8);
	msg.status = (int32_t)get32(buf + 12);
	msg.id = get64(buf + 16);
	msg.off = get64(buf + 24);
	msg.len = get64(buf + 32);
	msg.payload_crc = get32(buf + 40);
	err = check_header(&msg, get16(buf + 6));
	if (!err)
		*ret_msg = msg;
	return err;
}

static int decode_hello(const uint8_t *p, struct wire_hello *h)
{
	size_t i;

	h->min_version = get16(p);
	h->max_version = get16(p + 2);
	h->features = get32(p + 4);
	h->attach = get32(p + 8);
	h->limit = get64(p + 12);
	memcpy(h->token, p + 20, WIRE_TOKEN_LEN);
	memcpy(h->tenant, p + 20 + WIRE_TOKEN_LEN, WIRE_TENANT_MAX);
	for (i = 0; is_printable((uint8_t)h->tenant[i]); i++)
		if (i == WIRE_TENANT_MAX - 1)
			return -EPROTO; /* no NUL */
	for (; i < WIRE_TENANT_MAX; i++)
		if (h->tenant[i])
			return -EPROTO;
	if (h->attach > WIRE_ATTACH || h->min_version > h->max_version)
		return -EPROTO;
	return 0;
}

static int decode_welcome(const uint8_t *p, struct wire_welcome *w)
{
	w->version = get16(p);
	w->features = get32(p + 4);
	w->max_len = get32(p + 8);
	w->max_depth = get32(p + 12);
	w->session = get64(p + 16);
	w->capacity = get64(p + 24);
	memcpy(w->token, p + 32, WIRE_TOKEN_LEN);
	if (get16(p + 2))
		return -EPROTO;
	if (w->max_len < WIRE_PAGE || w->max_len % WIRE_PAGE || !w->max_depth)
		return -EPROTO;
	return 0;
}

static int decode_usage(const uint8_t *p, struct wire_usage *u)
{
	u->reserved = get64(p);
	u->stored = get64(p + 8);
	u->pool_size = get64(p + 16);
	u->pool_reserved = get64(p + 24);
	u->pool_used = get64(p + 32);
	u->nr_exports = get64(p + 40);
	return 0;
}

static int decode_text(const uint8_t *p, size_t len, char *text)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!is_printable(p[i]))
			return -EPROTO;
	memcpy(text, p, len);
	text[len] = '\0';
	return 0;
}

/* @msg->payload is there and, unless it is bulk data, its checksum holds. */
static int decode_payload(struct wire_msg *msg)
{
	if (msg->type == WIRE_ERROR)
		return decode_text(msg->payload, msg->length, msg->text);
	if (msg->type == WIRE_HELLO)
		return decode_hello(msg->payload, &msg->hello);
	if (!(msg->type & WIRE_REPLY) || msg->status)
		return 0;
	switch (msg->type & ~WIRE_REPLY) {
	case WIRE_HELLO:
		return decode_welcome(msg->payload, &msg->welcome);
	case WIRE_USAGE:
		return decode_usage(msg->payload, &msg->usage);
	case WIRE_CLONE:
		memcpy(msg->token, msg->payload, WIRE_TOKEN_LEN);
		return 0;
	default:
		return 0;
	}
}

int wire_decode(const uint8_t *buf, size_t len, struct wire_msg *ret_msg)
{
	struct wire_msg msg;
	int err;

	/* Say that it is not ours before waiting for the rest of it. */
	if (len >= 4 && get32(buf) != WIRE_MAGIC)
		return -EBADMSG;
	if (len >= 5 && buf[4] != WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (len < WIRE_HEADER_LEN)
		return WIRE_GOT_PART;
	err = decode_header(buf, &msg);
	if (err)
		return err;
	if (len - WIRE_HEADER_LEN < msg.length) {
		*ret_msg = msg;
		return WIRE_GOT_HEADER;
	}
	msg.payload = buf + WIRE_HEADER_LEN;
	if (far_crc32c(0, msg.payload, msg.length) != msg.payload_crc) {
		if (!carries_data(&msg))
			return -EBADMSG;
		msg.is_payload_bad = true;
	}
	err = decode_payload(&msg);
	if (err)
		return err;
	*ret_msg = msg;
	return WIRE_GOT_FRAME;
}
