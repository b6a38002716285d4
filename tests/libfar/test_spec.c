/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/backend/spec.h"
#include "tests/support/capture.h"

static struct far_spec specs[FAR_SPEC_MAX_STACK];
static unsigned nr_specs;
static char why[256];

static int parse(const char *text)
{
	why[0] = '\0';
	return far_spec_parse(text, specs, &nr_specs, why, sizeof(why));
}

static void a_scheme_alone(void **state)
{
	static const struct {
		const char *text, *name, *target;
	} rows[] = {
		{"mem:", "mem", ""},
		{"mem:2G", "mem", "2G"},
		{"lz4:", "lz4", ""},
		{"zstd:4G", "zstd", "4G"},
		{"unix:/run/far/fard.sock", "unix", "/run/far/fard.sock"},
		{"tcp://host:7470", "tcp", "host:7470"},
		{"tcp://[::1]:7470", "tcp", "[::1]:7470"},
		{"file:/a,b=c", "file", "/a,b=c"},
		{"file:./x", "file", "./x"},
		{"tcp://a:1,b:2", "tcp", "a:1,b:2"},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		assert_int_equal(nr_specs, 1);
		assert_string_equal(specs[0].name, rows[i].name);
		assert_string_equal(specs[0].target, rows[i].target);
		assert_int_equal(specs[0].nr_params, 0);
	}
}

static void parameters_of_a_scheme(void **state)
{
	static const struct {
		const char *text, *target;
	} rows[] = {
		{"zstd:4G,level=3,direct=0", "4G"},
		{"zstd:level=3,direct=0", ""},
		{"file:/path?level=3,direct=0", "/path"},
		{"tcp://[::1]:7470?level=3,direct=0", "[::1]:7470"},
		{"mem:2G?level=3,direct=0", "2G"},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].text), 0);
		assert_string_equal(specs[0].target, rows[i].target);
		assert_int_equal(specs[0].nr_params, 2);
		assert_string_equal(far_spec_get(&specs[0], "level"), "3");
		assert_string_equal(far_spec_get(&specs[0], "direct"), "0");
		assert_null(far_spec_get(&specs[0], "size"));
	}
}

static void filters_come_outermost_first(void **state)
{
	(void)state;
	assert_int_equal(parse("crc|delay:read=10us,quick|tcp://h:1?size=4G"),
			 0);
	assert_int_equal(nr_specs, 3);
	assert_string_equal(specs[0].name, "crc");
	assert_int_equal(specs[0].nr_params, 0);
	assert_string_equal(specs[1].name, "delay");
	assert_string_equal(far_spec_get(&specs[1], "read"), "10us");
	assert_string_equal(far_spec_get(&specs[1], "quick"), "");
	assert_string_equal(specs[2].name, "tcp");
	assert_string_equal(specs[2].target, "h:1");
}

static void errors_name_the_column(void **state)
{
	static const struct {
		const char *text, *column;
	} rows[] = {
		{"", "column 1:"},
		{"mem", "column 4:"},
		{"crc|mem", "column 8:"},
		{"crc||mem:", "column 5:"},
		{"|mem:", "column 1:"},
		{"crc|", "column 5:"},
		{"m-m:", "column 2:"},
		{"crc|delay:=3|mem:", "column 11:"},
		{"delay:read=1,read=2|mem:", "column 14:"},
		{"delay:re ad=1|mem:", "column 9:"},
		{"mem:2G,", "column 8:"},
		{"a|a|a|a|a|a|a|a|mem:", "column 17:"},
		{"a:a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q|mem:", "column 35:"},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i].text), -EINVAL);
		if (!strstr(why, rows[i].column) || !strstr(why, "fix: "))
			fail_msg("'%s' gave '%s'", rows[i].text, why);
	}
}

static void long_input_is_refused_and_fits_below_the_limit(void **state)
{
	char text[FAR_SPEC_MAX_TEXT + 8];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "file:/", 6);
	text[FAR_SPEC_MAX_TEXT - 1] = '\0';
	assert_int_equal(parse(text), 0);
	assert_int_equal(strlen(specs[0].target), FAR_SPEC_MAX_TEXT - 6);
	text[FAR_SPEC_MAX_TEXT - 1] = 'x';
	text[FAR_SPEC_MAX_TEXT] = '\0';
	assert_int_equal(parse(text), -EINVAL);
	assert_int_equal(far_spec_parse("", specs, &nr_specs, NULL, 0),
			 -EINVAL);
}

static void typed_parameters(void **state)
{
	struct capture cap = {0};
	uint64_t n = 0;
	double p = 0;

	(void)state;
	assert_int_equal(parse("delay:read=10us,size=3M,rate=0.25,e=1e-3,c=5%,"
			       "one=1,big=1.5,neg=-1,txt=abc|mem:"),
			 0);
	assert_int_equal(far_spec_size(specs, "size", 1, &n, NULL, NULL), 0);
	assert_int_equal(n, 3 << 20);
	assert_int_equal(far_spec_ns(specs, "read", 1, &n, NULL, NULL), 0);
	assert_int_equal(n, 10000);
	assert_int_equal(far_spec_ns(specs, "absent", 77, &n, NULL, NULL), 0);
	assert_int_equal(n, 77);
	assert_int_equal(far_spec_rate(specs, "rate", 0, &p, NULL, NULL), 0);
	assert_true(p == 0.25);
	assert_int_equal(far_spec_rate(specs, "e", 0, &p, NULL, NULL), 0);
	assert_true(p > 0.000999 && p < 0.001001);
	assert_int_equal(far_spec_rate(specs, "c", 0, &p, NULL, NULL), 0);
	assert_true(p > 0.0499 && p < 0.0501);
	assert_int_equal(far_spec_rate(specs, "one", 0, &p, NULL, NULL), 0);
	assert_true(p == 1.0);
	assert_int_equal(far_spec_rate(specs, "absent", 0.5, &p, NULL, NULL),
			 0);
	assert_true(p == 0.5);
	n = 9;
	assert_int_equal(far_spec_rate(specs, "big", 0, &p, capture_log, &cap),
			 -EINVAL);
	assert_true(capture_has(&cap, "delay: bad value big=1.5; fix:"));
	assert_int_equal(far_spec_rate(specs, "neg", 0, &p, NULL, NULL),
			 -EINVAL);
	assert_int_equal(far_spec_rate(specs, "txt", 0, &p, NULL, NULL),
			 -EINVAL);
	assert_int_equal(far_spec_size(specs, "txt", 0, &n, capture_log, &cap),
			 -EINVAL);
	assert_int_equal(far_spec_ns(specs, "txt", 0, &n, capture_log, &cap),
			 -EINVAL);
	assert_true(capture_has(&cap, "delay: bad value txt=abc"));
	assert_int_equal(n, 9);
}

static void unknown_parameters_are_refused(void **state)
{
	static const char *const keys[] = {"read", "write", NULL};
	struct capture cap = {0};

	(void)state;
	assert_int_equal(parse("delay:read=1us|mem:"), 0);
	assert_int_equal(far_spec_allow(specs, keys, capture_log, &cap), 0);
	assert_int_equal(cap.nr, 0);
	assert_int_equal(parse("delay:read=1us,wriet=2us|mem:"), 0);
	assert_int_equal(far_spec_allow(specs, keys, capture_log, &cap),
			 -EINVAL);
	assert_true(capture_has(&cap, "'wriet'"));
	assert_true(capture_has(&cap, "did you mean 'write'?"));
	assert_int_equal(parse("delay:zzzzzzzz=1|mem:"), 0);
	assert_int_equal(far_spec_allow(specs, keys, capture_log, &cap),
			 -EINVAL);
	assert_true(capture_has(&cap, "fix: leave it out"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scheme_alone),
		cmocka_unit_test(parameters_of_a_scheme),
		cmocka_unit_test(filters_come_outermost_first),
		cmocka_unit_test(errors_name_the_column),
		cmocka_unit_test(
			long_input_is_refused_and_fits_below_the_limit),
		cmocka_unit_test(typed_parameters),
		cmocka_unit_test(unknown_parameters_are_refused),
	};

	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
