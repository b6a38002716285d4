/* SPDX-License-Identifier: BSD-3-Clause */
/* The format of fault traces: what is written is read, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#include <far/trace.h>

#include "libfar/base/compiler.h"

static const struct far_trace_header sample = {
	.nr_pages = 1000,
	.limit_pages = 4096,
	.start_ns = UINT64_C(0x0123456789abcdef),
	.name = "sixteen letters!",
};

static void headers_are_read_as_written(void **state)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	struct far_trace_header h;

	(void)state;
	far_trace_header_put(buf, &sample);
	assert_memory_equal(buf, "FARTRACE\1\0\0\0\100\0\0\0\20\0\0\0\0\20\0\0",
			    24);
	assert_memory_equal(buf + 40, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8);
	assert_int_equal(far_trace_header_get(buf, sizeof(buf), &h), 0);
	assert_int_equal(h.nr_pages, sample.nr_pages);
	assert_int_equal(h.limit_pages, sample.limit_pages);
	assert_int_equal(h.start_ns, sample.start_ns);
	assert_string_equal(h.name, sample.name);
}

static void short_headers_are_refused(void **state)
{
	struct far_trace_header h;

	(void)state;
	/* on the heap, and no longer than it says: a sanitizer looks on */
	for (size_t len = 0; len < FAR_TRACE_HEADER_BYTES; len++) {
		unsigned char all[FAR_TRACE_HEADER_BYTES];
		unsigned char *buf = malloc(len ? len : 1);

		assert_non_null(buf);
		far_trace_header_put(all, &sample);
		memcpy(buf, all, len);
		assert_int_equal(far_trace_header_get(buf, len, &h),
				 len < 8 ? -EBADMSG : -ENODATA);
		free(buf);
	}
}

static void wrong_headers_are_refused(void **state)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
		int err;
	} wrong[] = {
		{0, 1, 'f', -EBADMSG},
		{7, 1, 0, -EBADMSG},
		{8, 4, 0, -ENOTSUP},
		{8, 4, FAR_TRACE_VERSION + 1, -ENOTSUP},
		{12, 4, 0, -EINVAL},
		{12, 4, 65, -EINVAL},
		{16, 4, 0, -EINVAL},
		{16, 4, 32, -EINVAL},
		{20, 4, 16384, -EINVAL},
		{24, 8, 0, -EINVAL},
		{24, 8, UINT64_C(1) << 32, -EINVAL},
		{24, 8, UINT64_MAX, -EINVAL},
		{32, 8, 0, -EINVAL},
		{32, 8, UINT64_MAX, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(wrong); i++) {
		unsigned char buf[FAR_TRACE_HEADER_BYTES];
		struct far_trace_header h;

		far_trace_header_put(buf, &sample);
		far_trace_put(buf + wrong[i].at, wrong[i].bytes,
			      wrong[i].value);
		assert_int_equal(far_trace_header_get(buf, sizeof(buf), &h),
				 wrong[i].err);
		assert_non_null(far_trace_error(wrong[i].err));
	}
	assert_null(far_trace_error(-ENOENT));
}

static void records_are_read_as_written(void **state)
{
	const struct far_trace_record r = {
		.us = UINT64_C(0xfedcba9876543210),
		.page = 999,
		.kind = FAR_TRACE_REMOTE,
		.flags = FAR_TRACE_IS_WRITE,
		.thread = 0xabcd,
	};
	unsigned char buf[FAR_TRACE_RECORD_BYTES];
	struct far_trace_record is;

	(void)state;
	far_trace_record_put(buf, &r);
	assert_memory_equal(buf,
			    "\x10\x32\x54\x76\x98\xba\xdc\xfe"
			    "\xe7\x03\0\0\2\1\xcd\xab",
			    sizeof(buf));
	assert_int_equal(far_trace_record_get(buf, &sample, &is), 0);
	assert_int_equal(is.us, r.us);
	assert_int_equal(is.page, r.page);
	assert_int_equal(is.kind, r.kind);
	assert_int_equal(is.flags, r.flags);
	assert_int_equal(is.thread, r.thread);
}

static int get(uint32_t page, unsigned kind, unsigned flags)
{
	const struct far_trace_record r = {
		.page = page, .kind = (uint8_t)kind, .flags = (uint8_t)flags};
	unsigned char buf[FAR_TRACE_RECORD_BYTES];
	struct far_trace_record is;

	far_trace_record_put(buf, &r);
	return far_trace_record_get(buf, &sample, &is);
}

static void wrong_records_are_refused(void **state)
{
	(void)state;
	assert_int_equal(get(0, FAR_TRACE_ZERO, 0), 0);
	assert_int_equal(get(0, FAR_TRACE_NONE, 0), -EILSEQ);
	assert_int_equal(get(0, FAR_TRACE_NR_KINDS, 0), -EILSEQ);
	assert_int_equal(get(0, 255, 0), -EILSEQ);
	assert_int_equal(get(0, FAR_TRACE_ZERO, FAR_TRACE_FLAGS + 1), -EILSEQ);
	assert_int_equal(get(999, FAR_TRACE_OUT, 0), 0);
	assert_int_equal(get(1000, FAR_TRACE_OUT, 0), -EILSEQ);
	assert_int_equal(get(UINT32_MAX, FAR_TRACE_ZERO, 0), -EILSEQ);
	/* not a page, a count */
	assert_int_equal(get(UINT32_MAX, FAR_TRACE_DROPPED, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_as_written),
		cmocka_unit_test(short_headers_are_refused),
		cmocka_unit_test(wrong_headers_are_refused),
		cmocka_unit_test(records_are_read_as_written),
		cmocka_unit_test(wrong_records_are_refused),
	};

	return cmocka_run_group_tests_name("libfar.trace", tests, NULL, NULL);
}
