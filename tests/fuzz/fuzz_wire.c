/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decoder of the pool's protocol.  The first byte chooses how much of the
 * frame is made right first, since no fuzzer guesses checksums.
 */
#include <errno.h>
#include <string.h>

#include "libfar/base/crc32c.h"
#include "pool/wire.h"
#include "tests/fuzz/fuzz.h"

#define FIX_MAGIC 1u
#define FIX_HEADER_CRC 2u
#define FIX_PAYLOAD_CRC 4u
#define FIX_LENGTH 8u

static void put32(uint8_t *p, uint32_t v)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void repair(uint8_t *buf, size_t len, unsigned how)
{
	size_t payload = len - WIRE_HEADER_LEN;

	if (how & FIX_MAGIC) {
		put32(buf, WIRE_MAGIC);
		buf[4] = WIRE_VERSION;
		buf[6] = buf[7] = 0;
	}
	if (how & FIX_LENGTH)
		put32(buf + 8, (uint32_t)payload);
	if (how & FIX_PAYLOAD_CRC)
		put32(buf + 40, far_crc32c(0, buf + WIRE_HEADER_LEN, payload));
	if (how & FIX_HEADER_CRC)
		put32(buf + 44, far_crc32c(0, buf, WIRE_HEADER_LEN - 4));
}

/* What was understood says the same when it is written again. */
static void check_round_trip(const uint8_t *buf, const struct wire_msg *msg)
{
	uint8_t again[WIRE_ENCODE_MAX];
	size_t len = WIRE_HEADER_LEN + msg->length;
	bool is_hello = msg->type == (WIRE_HELLO | WIRE_REPLY);

	if (msg->type == WIRE_WRITE || msg->type == WIRE_DISCARD ||
	    msg->type == (WIRE_READ | WIRE_REPLY) ||
	    (msg->type == (WIRE_DISCARD | WIRE_REPLY) && msg->status)) {
		wire_encode_header(msg, again);
		len = WIRE_HEADER_LEN;
	} else {
		FUZZ_CHECK(wire_encode(msg, again) == len);
	}
	FUZZ_CHECK(!memcmp(again, buf, len));
	FUZZ_CHECK(!is_hello || msg->status || msg->welcome.max_len);
}

static void check(const uint8_t *buf, size_t len)
{
	struct wire_msg msg, head;
	int got = wire_decode(buf, len, &msg);

	FUZZ_CHECK(got == -EBADMSG || got == -EPROTONOSUPPORT ||
		   got == -EMSGSIZE || got == -EPROTO ||
		   (got >= 0 && got <= WIRE_GOT_FRAME));
	if (got == WIRE_GOT_PART)
		FUZZ_CHECK(len < WIRE_HEADER_LEN);
	if (got < WIRE_GOT_HEADER)
		return;
	FUZZ_CHECK(msg.length <= WIRE_MAX_LEN);
	FUZZ_CHECK(msg.status <= 0 && msg.status >= -4095);
	FUZZ_CHECK((got == WIRE_GOT_FRAME) ==
		   (len >= WIRE_HEADER_LEN + msg.length));
	if (got != WIRE_GOT_FRAME)
		return;
	FUZZ_CHECK(msg.payload == buf + WIRE_HEADER_LEN);
	check_round_trip(buf, &msg);
	/* the header alone says the same; bytes behind change nothing */
	FUZZ_CHECK(wire_decode(buf, WIRE_HEADER_LEN, &head) ==
		   (msg.length ? WIRE_GOT_HEADER : WIRE_GOT_FRAME));
	FUZZ_CHECK(head.type == msg.type && head.length == msg.length);
	FUZZ_CHECK(wire_decode(buf, WIRE_HEADER_LEN + msg.length, &head) ==
		   WIRE_GOT_FRAME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *buf;
	size_t n;

	if (!len)
		return 0;
	n = len - 1;
	buf = malloc(n ? n : 1);
	FUZZ_CHECK(buf);
	memcpy(buf, data + 1, n);
	if (n >= WIRE_HEADER_LEN)
		repair(buf, n, data[0]);
	check(buf, n);
	for (n = n < 600 ? n : 600; n; n--)
		(void)wire_decode(buf, n - 1, &(struct wire_msg){0});
	free(buf);
	return 0;
}
