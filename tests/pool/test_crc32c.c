/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "libfar/base/crc32c.h"

/* From RFC 3720, B.4, as numbers. */
static void known_values(void **state)
{
	uint8_t buf[32];
	size_t i;

	(void)state;
	assert_int_equal(far_crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(far_crc32c_table(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(far_crc32c(0, NULL, 0), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(far_crc32c(0, buf, sizeof(buf)), 0x8a9136aau);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(far_crc32c(0, buf, sizeof(buf)), 0x62a8ab43u);
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)i;
	assert_int_equal(far_crc32c(0, buf, sizeof(buf)), 0x46dd794eu);
}

static void instruction_agrees_with_table(void **state)
{
	static uint8_t buf[3 * 4096];
	uint64_t x = 88172645463325252u;
	size_t i, len, at;

	(void)state;
	for (i = 0; i < sizeof(buf); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (uint8_t)x;
	}
	for (len = 0; len < 2100; len++)
		for (at = 0; at < 8; at += 3)
			assert_int_equal(far_crc32c(7, buf + at, len),
					 far_crc32c_table(7, buf + at, len));
	assert_int_equal(far_crc32c(0, buf, sizeof(buf)),
			 far_crc32c_table(0, buf, sizeof(buf)));
}

static void pieces_make_the_whole(void **state)
{
	static const char text[] = "far memory is memory that is not near";
	uint32_t whole = far_crc32c(0, text, sizeof(text));
	size_t cut;

	(void)state;
	for (cut = 0; cut <= sizeof(text); cut++)
		assert_int_equal(far_crc32c(far_crc32c(0, text, cut),
					    text + cut, sizeof(text) - cut),
				 whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values),
		cmocka_unit_test(instruction_agrees_with_table),
		cmocka_unit_test(pieces_make_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
