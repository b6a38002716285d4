/* SPDX-License-Identifier: BSD-3-Clause */
/* A server session without sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "libfar/base/crc32c.h"
#include "pool/session.h"

#define PAGE FAR_PAGE_SIZE

static struct pool_store *store;
static struct pool_session *ses;

static int setup(void **state)
{
	struct pool_store_attr attr = {.size = 64 * PAGE, .max_exports = 16};

	(void)state;
	assert_int_equal(pool_store_create(&attr, &store), 0);
	assert_int_equal(pool_session_create(store, 7, &ses), 0);
	return 0;
}

static int teardown(void **state)
{
	struct pool_store_usage usage;

	(void)state;
	pool_session_destroy(ses);
	(void)pool_store_expire(store, UINT64_MAX);
	pool_store_usage(store, &usage);
	assert_int_equal(usage.nr_exports, 0);
	assert_int_equal(usage.reserved, 0);
	pool_store_destroy(store);
	return 0;
}

/* Bytes that were taken; fewer when the session wants no more. */
static size_t feed(const void *data, size_t len, size_t piece)
{
	const uint8_t *p = data;
	size_t n, done = 0;
	uint8_t *room;

	while (done < len) {
		n = pool_session_space(ses, &room);
		if (!n)
			break;
		n = far_min_u64(far_min_u64(n, piece), len - done);
		memcpy(room, p + done, n);
		pool_session_feed(ses, n, 1);
		done += n;
	}
	return done;
}

static void feed_msg(const struct wire_msg *msg)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	size_t len = wire_encode(msg, buf);

	assert_int_equal(feed(buf, len, len), len);
}

/* The next message of the output; its payload stays valid until more comes. */
static struct wire_msg next_msg(void)
{
	struct wire_msg msg;
	const uint8_t *out;
	size_t len = pool_session_output(ses, &out);

	assert_int_equal(wire_decode(out, len, &msg), WIRE_GOT_FRAME);
	pool_session_sent(ses, WIRE_HEADER_LEN + msg.length, 1);
	return msg;
}

static void hello(unsigned min, unsigned max)
{
	struct wire_msg msg = {.type = WIRE_HELLO, .id = 5};

	msg.hello.min_version = (uint16_t)min;
	msg.hello.max_version = (uint16_t)max;
	memcpy(msg.hello.tenant, "bob", 3);
	feed_msg(&msg);
}

static void expect_over(int status)
{
	struct wire_msg msg = next_msg();
	const uint8_t *out;

	assert_int_equal(msg.type, WIRE_ERROR);
	assert_int_equal(msg.status, status);
	assert_true(msg.text[0]);
	assert_true(pool_session_is_over(ses));
	assert_true(pool_session_reason(ses)[0]);
	assert_int_equal(pool_session_output(ses, &out), 0);
}

static void open_with_pages(unsigned nr)
{
	struct wire_msg msg = {.type = WIRE_RESERVE, .len = nr * PAGE};

	hello(1, 1);
	(void)next_msg();
	feed_msg(&msg);
	assert_int_equal(next_msg().status, 0);
}

static void hello_is_welcomed(void **state)
{
	struct wire_msg msg;

	(void)state;
	assert_false(pool_session_is_open(ses));
	hello(1, 9);
	msg = next_msg();
	assert_int_equal(msg.type, WIRE_HELLO | WIRE_REPLY);
	assert_int_equal(msg.id, 5);
	assert_int_equal(msg.welcome.version, 1);
	assert_int_equal(msg.welcome.session, 7);
	assert_int_equal(msg.welcome.capacity, 64 * PAGE);
	assert_true(pool_session_is_open(ses));
	assert_string_equal(pool_session_tenant(ses), "bob");
	hello(1, 1);
	expect_over(-EPROTO);
}

static void other_versions_are_refused(void **state)
{
	(void)state;
	hello(2, 9);
	expect_over(-EPROTONOSUPPORT);
}

static void a_header_of_another_version_is_refused(void **state)
{
	uint8_t frame[] = {'F', 'A', 'R', 'W', 2};

	(void)state;
	(void)feed(frame, sizeof(frame), sizeof(frame));
	expect_over(-EPROTONOSUPPORT);
}

static void nothing_goes_before_hello(void **state)
{
	struct wire_msg msg = {.type = WIRE_USAGE};

	(void)state;
	feed_msg(&msg);
	expect_over(-EPROTO);
}

static void unknown_tokens_are_stale(void **state)
{
	struct wire_msg msg = {.type = WIRE_HELLO};

	(void)state;
	msg.hello.min_version = msg.hello.max_version = 1;
	msg.hello.attach = WIRE_ATTACH;
	feed_msg(&msg);
	expect_over(-ESTALE);
}

static void a_reply_is_no_request(void **state)
{
	struct wire_msg msg = {.type = WIRE_PING | WIRE_REPLY};

	(void)state;
	open_with_pages(1);
	feed_msg(&msg);
	expect_over(-EPROTO);
}

static size_t make_write(uint8_t *buf, uint64_t off, int value)
{
	struct wire_msg msg = {
		.type = WIRE_WRITE, .off = off, .len = PAGE, .length = PAGE};

	memset(buf + WIRE_HEADER_LEN, value, PAGE);
	msg.payload_crc = far_crc32c(0, buf + WIRE_HEADER_LEN, PAGE);
	wire_encode_header(&msg, buf);
	return WIRE_HEADER_LEN + PAGE;
}

static void requests_may_come_byte_by_byte(void **state)
{
	static uint8_t buf[WIRE_HEADER_LEN + PAGE];
	struct wire_msg msg = {.type = WIRE_READ, .off = PAGE, .len = PAGE};
	size_t len;

	(void)state;
	open_with_pages(2);
	len = make_write(buf, PAGE, 'q');
	assert_int_equal(feed(buf, len, 1), len);
	assert_int_equal(next_msg().status, 0);
	feed_msg(&msg);
	msg = next_msg();
	assert_int_equal(msg.length, PAGE);
	assert_false(msg.is_payload_bad);
	assert_memory_equal(msg.payload, buf + WIRE_HEADER_LEN, PAGE);
}

static void a_damaged_write_fails_alone(void **state)
{
	static uint8_t buf[WIRE_HEADER_LEN + PAGE];
	size_t len;

	(void)state;
	open_with_pages(1);
	len = make_write(buf, 0, 'q');
	buf[len - 1] ^= 1;
	assert_int_equal(feed(buf, len, len), len);
	assert_int_equal(next_msg().status, -EBADMSG);
	buf[len - 1] ^= 1;
	assert_int_equal(feed(buf, len, len), len);
	assert_int_equal(next_msg().status, 0);
}

static void too_long_a_read_is_an_argument_error(void **state)
{
	struct wire_msg msg = {.type = WIRE_READ, .len = WIRE_MAX_LEN + PAGE};

	(void)state;
	open_with_pages(20);
	feed_msg(&msg);
	msg = next_msg();
	assert_int_equal(msg.status, -EINVAL);
	assert_int_equal(msg.length, 0);
	assert_false(pool_session_is_over(ses));
}

/* 1000 READs of 64 KiB from one who takes nothing. */
static void a_slow_reader_is_not_read_from(void **state)
{
	static uint8_t buf[WIRE_HEADER_LEN + PAGE];
	static uint8_t reads[1000 * WIRE_HEADER_LEN];
	struct wire_msg msg = {.type = WIRE_READ, .len = WIRE_MAX_LEN};
	size_t i, taken, len, answered = 0;
	const uint8_t *out;
	uint8_t *room;

	(void)state;
	open_with_pages(16);
	for (i = 0; i < 16; i++) {
		len = make_write(buf, i * PAGE, 'a');
		assert_int_equal(feed(buf, len, len), len);
		assert_int_equal(next_msg().status, 0);
	}
	for (i = 0; i < 1000; i++) {
		msg.id = i;
		wire_encode_header(&msg, reads + i * WIRE_HEADER_LEN);
	}
	taken = feed(reads, sizeof(reads), sizeof(reads));
	assert_true(pool_session_output(ses, &out) < 5 * WIRE_MAX_FRAME);
	assert_int_equal(pool_session_space(ses, &room), 0);
	while (answered < 1000) {
		while (pool_session_output(ses, &out)) {
			msg = next_msg();
			assert_int_equal(msg.id, answered++); /* in order */
			assert_int_equal(msg.status, 0);
		}
		taken += feed(reads + taken, sizeof(reads) - taken,
			      sizeof(reads));
	}
	assert_int_equal(taken, sizeof(reads));
}

static void what_came_before_the_end_is_answered(void **state)
{
	struct wire_msg msg = {.type = WIRE_PING, .id = 8};
	uint8_t buf[2 * WIRE_ENCODE_MAX];
	const uint8_t *out;
	size_t len;

	(void)state;
	open_with_pages(1);
	len = wire_encode(&msg, buf);
	(void)wire_encode(&msg, buf + len);
	len += 20; /* the second one is cut */
	assert_int_equal(feed(buf, len, len), len);
	pool_session_eof(ses, 2);
	assert_int_equal(next_msg().id, 8);
	assert_int_equal(pool_session_output(ses, &out), 0);
	assert_true(pool_session_is_over(ses));
}

static void discards_report_each_range(void **state)
{
	uint8_t buf[WIRE_HEADER_LEN + 3 * WIRE_RANGE_LEN];
	uint8_t *ranges = buf + WIRE_HEADER_LEN;
	struct wire_msg msg = {.type = WIRE_DISCARD,
			       .length = 3 * WIRE_RANGE_LEN};

	(void)state;
	open_with_pages(4);
	wire_put_range(ranges, 0, PAGE);
	wire_put_range(ranges + WIRE_RANGE_LEN, 4 * PAGE, PAGE);
	wire_put_range(ranges + 2 * WIRE_RANGE_LEN, PAGE, 3 * PAGE);
	msg.payload_crc = far_crc32c(0, ranges, msg.length);
	wire_encode_header(&msg, buf);
	assert_int_equal(feed(buf, sizeof(buf), sizeof(buf)), sizeof(buf));
	msg = next_msg();
	assert_int_equal(msg.status, -EINVAL);
	assert_int_equal(msg.length, 12);
	assert_int_equal(wire_get_status(msg.payload), 0);
	assert_int_equal(wire_get_status(msg.payload + 4), -EINVAL);
	assert_int_equal(wire_get_status(msg.payload + 8), 0);
}

static void the_server_can_end_it(void **state)
{
	(void)state;
	open_with_pages(1);
	pool_session_stop(ses, -ESHUTDOWN, "bye");
	expect_over(-ESHUTDOWN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hello_is_welcomed),
		TEST(other_versions_are_refused),
		TEST(a_header_of_another_version_is_refused),
		TEST(nothing_goes_before_hello),
		TEST(unknown_tokens_are_stale),
		TEST(a_reply_is_no_request),
		TEST(requests_may_come_byte_by_byte),
		TEST(a_damaged_write_fails_alone),
		TEST(too_long_a_read_is_an_argument_error),
		TEST(a_slow_reader_is_not_read_from),
		TEST(what_came_before_the_end_is_answered),
		TEST(discards_report_each_range),
		TEST(the_server_can_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
