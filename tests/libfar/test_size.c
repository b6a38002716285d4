/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "libfar/base/size.h"

struct row {
	const char *text;
	int ret;
	uint64_t value;
};

static const uint64_t untouched = UINT64_C(0x5a5a5a5a5a5a5a5a);

static void check_rows(int (*parse)(const char *, uint64_t *),
		       const struct row *rows, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		uint64_t v = untouched;
		int ret = parse(rows[i].text, &v);
		uint64_t want = rows[i].ret ? untouched : rows[i].value;

		if (ret != rows[i].ret || v != want)
			fail_msg("'%s' gives %d, %llu", rows[i].text, ret,
				 (unsigned long long)v);
	}
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"7B", 0, 7},
		{"1k", 0, 1024},
		{"2KB", 0, 2048},
		{"200M", 0, UINT64_C(200) << 20},
		{"200MiB", 0, UINT64_C(200) << 20},
		{"1.5G", 0, UINT64_C(3) << 29},
		{"1.50 GiB", 0, UINT64_C(3) << 29},
		{".5T", 0, UINT64_C(1) << 39},
		{"0.1K", 0, 102},
		{"1.0000009K", 0, 1024},
		{"64T", 0, UINT64_C(64) << 40},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"16777216T", -ERANGE, 0},
		{"16777215.999999T", 0, UINT64_MAX - 1099511},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{".", -EINVAL, 0},
		{".K", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1  K", -EINVAL, 0},
		{"1X", -EINVAL, 0},
		{"1KK", -EINVAL, 0},
		{"1,5G", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"25%", -EINVAL, 0},
	};

	(void)state;
	check_rows(far_size_parse, rows, sizeof(rows) / sizeof(rows[0]));
}

static void durations_default_to_seconds(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"30", 0, UINT64_C(30000000000)},
		{"30s", 0, UINT64_C(30000000000)},
		{"1.5s", 0, UINT64_C(1500000000)},
		{"10us", 0, 10000},
		{"0.5us", 0, 500},
		{"2ms", 0, 2000000},
		{"7ns", 0, 7},
		{"2min", 0, UINT64_C(120000000000)},
		{"1h", 0, UINT64_C(3600000000000)},
		{"1.5ns", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"10 weeks", -EINVAL, 0},
		{"-5s", -EINVAL, 0},
		{"5124096h", -ERANGE, 0},
	};

	(void)state;
	check_rows(far_duration_parse, rows, sizeof(rows) / sizeof(rows[0]));
}

static void percent_needs_its_sign(void **state)
{
	double share = -1;

	(void)state;
	assert_int_equal(far_percent_parse("25%", &share), 0);
	assert_true(share == 0.25);
	assert_int_equal(far_percent_parse("12.5%", &share), 0);
	assert_true(share == 0.125);
	assert_int_equal(far_percent_parse("200%", &share), 0);
	assert_true(share == 2);
	assert_int_equal(far_percent_parse("25", &share), -EINVAL);
	assert_int_equal(far_percent_parse("%", &share), -EINVAL);
	assert_int_equal(far_percent_parse("25%x", &share), -EINVAL);
	assert_int_equal(far_percent_parse("-1%", &share), -EINVAL);
	assert_true(share == 2);
}

static void format_rounds_to_hundredths(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.00 KiB"},
		{1536, "1.50 KiB"},
		{(1 << 20) - 5, "1.00 MiB"},
		{(1 << 20) - 6, "1023.99 KiB"},
		{(1 << 20) - 600, "1023.41 KiB"},
		{UINT64_C(200) << 20, "200.00 MiB"},
		{UINT64_C(8) << 30, "8.00 GiB"},
		{UINT64_MAX, "16.00 EiB"},
	};
	char buf[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
			far_size_format(rows[i].bytes, buf, sizeof(buf)),
			rows[i].text);
}

static void what_is_formatted_parses_back(void **state)
{
	uint64_t v, back, diff;
	char buf[16];
	unsigned i;

	(void)state;
	for (i = 0, v = 1; i < 30; i++, v = v * 3 + 1) {
		assert_int_equal(
			far_size_parse(far_size_format(v, buf, sizeof(buf)),
				       &back),
			0);
		diff = back > v ? back - v : v - back;
		assert_true(diff <= v / 100);
	}
}

static void durations_take_the_fitting_unit(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{0, "0 ns"},
		{999, "999 ns"},
		{1000, "1.0 us"},
		{12345, "12.3 us"},
		{12350, "12.4 us"},
		{999949, "999.9 us"},
		{999950, "1.0 ms"},
		{1500000000, "1.5 s"},
		{UINT64_C(999950000), "1.0 s"},
		{UINT64_C(3600000000000), "3600.0 s"},
	};
	char buf[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(
			far_duration_format(rows[i].ns, buf, sizeof(buf)),
			rows[i].text);
}

static void nearest_suggests_only_likely_words(void **state)
{
	static const char *const words[] = {"local",	"far",	   "evictors",
					    "monitors", "on_loss", NULL};

	(void)state;
	assert_string_equal(far_nearest("locl", words), "local");
	assert_string_equal(far_nearest("lcoal", words), "local");
	assert_string_equal(far_nearest("LOCAL", words), "local");
	assert_string_equal(far_nearest("evictor", words), "evictors");
	assert_string_equal(far_nearest("on-loss", words), "on_loss");
	assert_string_equal(far_nearest("fra", words), "far");
	assert_null(far_nearest("zzzzz", words));
	assert_null(far_nearest("x", words));
	assert_null(far_nearest("", words));
	assert_null(far_nearest("a-very-long-word-that-passes-the-limit-of-32",
				words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(durations_default_to_seconds),
		cmocka_unit_test(percent_needs_its_sign),
		cmocka_unit_test(format_rounds_to_hundredths),
		cmocka_unit_test(what_is_formatted_parses_back),
		cmocka_unit_test(durations_take_the_fitting_unit),
		cmocka_unit_test(nearest_suggests_only_likely_words),
	};

	return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}
