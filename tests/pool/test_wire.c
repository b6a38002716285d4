/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libfar/base/crc32c.h"
#include "pool/wire.h"

static void put32(uint8_t *p, uint32_t v)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* After a change of the header that is to be seen. */
static void seal(uint8_t *frame)
{
	put32(frame + 44, far_crc32c(0, frame, 44));
}

/* One of each message that wire_encode() makes; 0: no more. */
static size_t sample(unsigned i, struct wire_msg *msg, uint8_t *buf)
{
	static const struct {
		uint8_t type;
		int32_t status;
	} kinds[] = {
		{WIRE_HELLO, 0},
		{WIRE_HELLO | WIRE_REPLY, 0},
		{WIRE_HELLO | WIRE_REPLY, -ESTALE},
		{WIRE_RESERVE, 0},
		{WIRE_RESERVE | WIRE_REPLY, -ENOSPC},
		{WIRE_RELEASE, 0},
		{WIRE_RELEASE | WIRE_REPLY, 0},
		{WIRE_READ, 0},
		{WIRE_READ | WIRE_REPLY, -ENODATA},
		{WIRE_WRITE | WIRE_REPLY, 0},
		{WIRE_DISCARD | WIRE_REPLY, 0},
		{WIRE_CLONE, 0},
		{WIRE_CLONE | WIRE_REPLY, 0},
		{WIRE_USAGE, 0},
		{WIRE_USAGE | WIRE_REPLY, 0},
		{WIRE_PING, 0},
		{WIRE_PING | WIRE_REPLY, 0},
		{WIRE_ERROR, -EPROTO},
	};

	if (i >= FAR_ARRAY_SIZE(kinds))
		return 0;
	memset(msg, 0, sizeof(*msg));
	if (kinds[i].type == WIRE_ERROR)
		wire_error(msg, kinds[i].status, "it is over");
	msg->type = kinds[i].type;
	msg->status = kinds[i].status;
	msg->id = UINT64_C(0x0102030405060708);
	msg->off = UINT64_C(0x1112131415161718);
	msg->len = UINT64_C(0x2122232425262728);
	if (msg->type == WIRE_HELLO) {
		msg->hello.min_version = 1;
		msg->hello.max_version = 3;
		msg->hello.features = 0xa1a2a3a4;
		msg->hello.attach = WIRE_ATTACH;
		msg->hello.limit = UINT64_C(0x3132333435363738);
		memset(msg->hello.token, 0x77, WIRE_TOKEN_LEN);
		memcpy(msg->hello.tenant, "someone", 8);
	} else if (msg->type == (WIRE_HELLO | WIRE_REPLY) && !msg->status) {
		msg->welcome.version = 1;
		msg->welcome.max_len = 65536;
		msg->welcome.max_depth = 256;
		msg->welcome.session = 9;
		msg->welcome.capacity = UINT64_C(1) << 40;
		memset(msg->welcome.token, 0x66, WIRE_TOKEN_LEN);
	} else if (msg->type == (WIRE_USAGE | WIRE_REPLY)) {
		msg->usage.reserved = 1;
		msg->usage.stored = 2;
		msg->usage.pool_size = 3;
		msg->usage.pool_reserved = 4;
		msg->usage.pool_used = 5;
		msg->usage.nr_exports = 6;
	} else if (msg->type == (WIRE_CLONE | WIRE_REPLY)) {
		memset(msg->token, 0x55, WIRE_TOKEN_LEN);
	}
	return wire_encode(msg, buf);
}

static void every_message_survives_the_trip(void **state)
{
	uint8_t buf[WIRE_ENCODE_MAX], again[WIRE_ENCODE_MAX];
	struct wire_msg msg, got;
	size_t len;
	unsigned i;

	(void)state;
	for (i = 0; (len = sample(i, &msg, buf)) > 0; i++) {
		assert_int_equal(wire_decode(buf, len, &got), WIRE_GOT_FRAME);
		assert_int_equal(got.type, msg.type);
		assert_int_equal(got.status, msg.status);
		assert_true(got.id == msg.id && got.off == msg.off &&
			    got.len == msg.len);
		assert_int_equal(got.length, len - WIRE_HEADER_LEN);
		assert_memory_equal(&got.hello, &msg.hello,
				    sizeof(got.text)); /* the whole union */
		assert_int_equal(wire_encode(&got, again), len);
		assert_memory_equal(buf, again, len);
	}
	assert_int_equal(i, 18);
}

/* Another implementation must be able to rely on these bytes. */
static void bytes_on_the_wire_do_not_change(void **state)
{
	static const uint8_t read_golden[WIRE_HEADER_LEN] = {
		'F',  'A',  'R',  'W',
		1,    4,    0,	  0, /* magic version type flags */
		0,    0,    0,	  0,
		0,    0,    0,	  0, /* length status */
		0xef, 0xbe, 0xad, 0xde,
		0,    0,    0,	  0, /* id */
		0,    0x30, 0,	  0,
		1,    0,    0,	  0, /* off */
		0,    0x10, 0,	  0,
		0,    0,    0,	  0, /* len */
		0,    0,    0,	  0,
		0x6a, 0xca, 0x52, 0xca, /* crcs */
	};
	static const uint8_t hello_golden[WIRE_HEADER_LEN + 100] = {
		'F',  'A',  'R',  'W',	1,    1,    0,	  0,	100, 0,
		0,    0,    0,	  0,	0,    0,    1,	  0,	0,   0,
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,   0,
		0,    0,    0,	  0,	0,    0,    0,	  0,	0,   0,
		0x04, 0xc8, 0x05, 0xfa, 0x57, 0x95, 0xd6, 0xbc, 1,   0,
		1,    0,    0,	  0,	0,    0, /* versions features */
		1,    0,    0,	  0,	0,    0,    0,	  0x40, 0,   0,
		0,    0, /* attach limit */
		0,    1,    2,	  3,	4,    5,    6,	  7,	8,   9,
		10,   11,   12,	  13,	14,   15,   'b',  'o',	'b', /* and 61
									zeros */
	};
	struct wire_msg msg = {.type = WIRE_READ,
			       .id = 0xdeadbeef,
			       .off = UINT64_C(0x100003000),
			       .len = 4096};
	uint8_t buf[WIRE_ENCODE_MAX];
	unsigned i;

	(void)state;
	assert_int_equal(wire_encode(&msg, buf), sizeof(read_golden));
	assert_memory_equal(buf, read_golden, sizeof(read_golden));
	memset(&msg, 0, sizeof(msg));
	msg.type = WIRE_HELLO;
	msg.id = 1;
	msg.hello.min_version = msg.hello.max_version = 1;
	msg.hello.attach = WIRE_ATTACH;
	msg.hello.limit = 0x40000000;
	for (i = 0; i < WIRE_TOKEN_LEN; i++)
		msg.hello.token[i] = (uint8_t)i;
	memcpy(msg.hello.tenant, "bob", 3);
	assert_int_equal(wire_encode(&msg, buf), sizeof(hello_golden));
	assert_memory_equal(buf, hello_golden, sizeof(hello_golden));
}

static void a_part_is_never_taken_for_the_whole(void **state)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg, got;
	size_t len, n;
	unsigned i;

	(void)state;
	for (i = 0; (len = sample(i, &msg, buf)) > 0; i++) {
		for (n = 0; n < len; n++)
			assert_int_equal(wire_decode(buf, n, &got),
					 n < WIRE_HEADER_LEN ? WIRE_GOT_PART
							     : WIRE_GOT_HEADER);
	}
}

static void a_flipped_bit_is_always_noticed(void **state)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg, got;
	unsigned i;
	size_t len, n;

	(void)state;
	for (i = 0; (len = sample(i, &msg, buf)) > 0; i++) {
		for (n = 0; n < 8 * len; n++) {
			buf[n / 8] ^= (uint8_t)(1u << n % 8);
			assert_true(wire_decode(buf, len, &got) < 0);
			buf[n / 8] ^= (uint8_t)(1u << n % 8);
		}
	}
}

static void random_changes_do_no_harm(void **state)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg, got;
	unsigned i, round, k;
	size_t len;
	int rc;

	(void)state;
	srand(12345);
	for (round = 0; round < 20000; round++) {
		i = (unsigned)rand() % 18;
		len = sample(i, &msg, buf);
		for (k = (unsigned)rand() % 8; k; k--)
			buf[4 + (size_t)rand() % (len - 4)] = (uint8_t)rand();
		seal(buf); /* so that the rest of the decoder is reached */
		rc = wire_decode(buf, len, &got);
		if (rc >= WIRE_GOT_HEADER)
			assert_true(got.length <= WIRE_MAX_LEN);
	}
}

static void wrong_headers_are_refused(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
		int err;
	} cases[] = {
		{0, 'f', -EBADMSG},	  /* magic */
		{4, 2, -EPROTONOSUPPORT}, /* version */
		{4, 0, -EPROTONOSUPPORT},
		{5, 0, -EPROTO}, /* type */
		{5, 11, -EPROTO},
		{5, WIRE_REPLY, -EPROTO},
		{5, WIRE_ERROR | WIRE_REPLY, -EPROTO},
		{5, 0x7f, -EPROTO},
		{6, 1, -EPROTO}, /* flags */
		{7, 0x80, -EPROTO},
		{8, 1, -EMSGSIZE}, /* length of a READ */
		{11, 0x80, -EMSGSIZE},
		{12, 1, -EPROTO}, /* status of a request */
	};
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg = {.type = WIRE_READ}, got;
	size_t i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(cases); i++) {
		(void)wire_encode(&msg, buf);
		buf[cases[i].at] = cases[i].value;
		seal(buf);
		assert_int_equal(wire_decode(buf, WIRE_HEADER_LEN, &got),
				 cases[i].err);
	}
}

static void replies_carry_only_negative_errnos(void **state)
{
	struct wire_msg msg = {.type = WIRE_WRITE | WIRE_REPLY}, got;
	uint8_t buf[WIRE_ENCODE_MAX];

	(void)state;
	msg.status = 1;
	(void)wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, WIRE_HEADER_LEN, &got), -EPROTO);
	msg.status = -4096;
	(void)wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, WIRE_HEADER_LEN, &got), -EPROTO);
	msg.status = -4095;
	(void)wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, WIRE_HEADER_LEN, &got),
			 WIRE_GOT_FRAME);
}

static void bulk_lengths_are_bounded(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t length;
		int got;
	} cases[] = {
		{WIRE_WRITE, 0, -EPROTO},
		{WIRE_WRITE, 1, WIRE_GOT_HEADER},
		{WIRE_WRITE, WIRE_MAX_LEN, WIRE_GOT_HEADER},
		{WIRE_WRITE, WIRE_MAX_LEN + 1, -EMSGSIZE},
		{WIRE_WRITE, UINT32_MAX, -EMSGSIZE},
		{WIRE_DISCARD, 0, -EPROTO},
		{WIRE_DISCARD, 15, -EPROTO},
		{WIRE_DISCARD, 16 * WIRE_MAX_RANGES, WIRE_GOT_HEADER},
		{WIRE_DISCARD, 16 * WIRE_MAX_RANGES + 16, -EMSGSIZE},
		{WIRE_READ | WIRE_REPLY, 0, -EPROTO},
		{WIRE_READ | WIRE_REPLY, WIRE_MAX_LEN, WIRE_GOT_HEADER},
	};
	struct wire_msg msg = {0}, got;
	uint8_t buf[WIRE_HEADER_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(cases); i++) {
		msg.type = cases[i].type;
		msg.length = cases[i].length;
		msg.len = cases[i].length;
		wire_encode_header(&msg, buf);
		assert_int_equal(wire_decode(buf, sizeof(buf), &got),
				 cases[i].got);
	}
	/* and what the header says twice must agree */
	msg.type = WIRE_WRITE;
	msg.length = 4096;
	msg.len = 8192;
	wire_encode_header(&msg, buf);
	assert_int_equal(wire_decode(buf, sizeof(buf), &got), -EPROTO);
}

static void a_damaged_page_keeps_the_framing(void **state)
{
	static uint8_t buf[WIRE_HEADER_LEN + 4096];
	struct wire_msg msg = {.type = WIRE_WRITE, .length = 4096, .len = 4096};
	struct wire_msg got;

	(void)state;
	msg.payload_crc = far_crc32c(0, buf + WIRE_HEADER_LEN, 4096);
	wire_encode_header(&msg, buf);
	assert_int_equal(wire_decode(buf, sizeof(buf), &got), WIRE_GOT_FRAME);
	assert_false(got.is_payload_bad);
	buf[WIRE_HEADER_LEN + 4000] ^= 1;
	assert_int_equal(wire_decode(buf, sizeof(buf), &got), WIRE_GOT_FRAME);
	assert_true(got.is_payload_bad);
	assert_int_equal(got.length, 4096);
}

static void names_and_texts_are_printable(void **state)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg, got;
	char text[1000];
	size_t len;

	(void)state;
	(void)sample(0, &msg, buf);
	msg.hello.tenant[3] = '\n';
	len = wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, len, &got), -EPROTO);
	memset(msg.hello.tenant, 'x', WIRE_TENANT_MAX); /* no end */
	len = wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, len, &got), -EPROTO);
	memset(msg.hello.tenant, 0, WIRE_TENANT_MAX);
	msg.hello.tenant[5] = 'x'; /* behind the end */
	len = wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, len, &got), -EPROTO);

	memset(text, '\a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	wire_error(&msg, -EPROTO, text);
	len = wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, len, &got), WIRE_GOT_FRAME);
	assert_int_equal(strlen(got.text), WIRE_TEXT_MAX - 1);
	assert_int_equal(got.text[0], '?');
	wire_error(&msg, -EPROTO, "");
	len = wire_encode(&msg, buf);
	assert_int_equal(wire_decode(buf, len, &got), WIRE_GOT_FRAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_the_trip),
		cmocka_unit_test(bytes_on_the_wire_do_not_change),
		cmocka_unit_test(a_part_is_never_taken_for_the_whole),
		cmocka_unit_test(a_flipped_bit_is_always_noticed),
		cmocka_unit_test(random_changes_do_no_harm),
		cmocka_unit_test(wrong_headers_are_refused),
		cmocka_unit_test(replies_carry_only_negative_errnos),
		cmocka_unit_test(bulk_lengths_are_bounded),
		cmocka_unit_test(a_damaged_page_keeps_the_framing),
		cmocka_unit_test(names_and_texts_are_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
