/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/base/options.h"
#include "tests/support/capture.h"

#define MIB (UINT64_C(1) << 20)

static struct far_config cfg;
static struct capture cap;

static int fresh(void **state)
{
	(void)state;
	memset(&cap, 0, sizeof(cap));
	far_config_defaults(&cfg);
	return 0;
}

static int parse(const char *str)
{
	return far_config_parse(&cfg, str, capture_log, &cap);
}

static int set(const char *name, const char *value)
{
	return far_config_set(&cfg, name, value, capture_log, &cap);
}

static void defaults_are_those_of_the_table(void **state)
{
	uint64_t share = (uint64_t)((double)far_memory_total() * 0.4);

	(void)state;
	assert_true(cfg.local >= 16 * MIB);
	assert_true(share < 16 * MIB || cfg.local <= share);
	assert_true(share < 16 * MIB || share - cfg.local <= FAR_PAGE_SIZE);
	assert_string_equal(cfg.far, "lz4:");
	assert_string_equal(cfg.on_loss, "wait:30s");
	assert_int_equal(cfg.batch, 256);
	assert_int_equal(cfg.lazy, 1);
	assert_int_equal(cfg.log, FAR_LOG_WARN);
	assert_int_equal(cfg.policy, FAR_POLICY_AUTO);
}

static void table_ends_and_is_documented(void **state)
{
	const struct far_opt_desc *d;
	unsigned nr = 0;

	(void)state;
	for (d = far_opt_descs(); d->name; d++, nr++) {
		assert_true(strlen(d->help) > 0);
		assert_true(d->offset < sizeof(struct far_config));
		/* "" is no WORD, the rest takes its own default */
		assert_int_equal(set(d->name, d->def), 0);
	}
	assert_true(nr > 10);
}

static void values_are_parsed_by_type(void **state)
{
	(void)state;
	assert_int_equal(parse("local=200M;far=crc|tcp://h:1,h:2;"
			       "takeout=move;policy=s3fifo;batch=512; va=1T;"),
			 0);
	assert_int_equal(cap.nr, 0);
	assert_int_equal(cfg.local, 200 * MIB);
	assert_string_equal(cfg.far, "crc|tcp://h:1,h:2");
	assert_int_equal(cfg.takeout, FAR_TAKEOUT_MOVE);
	assert_int_equal(cfg.policy, FAR_POLICY_S3FIFO);
	assert_int_equal(cfg.batch, 512);
	assert_int_equal(cfg.va, UINT64_C(1) << 40);
	assert_int_equal(parse(""), 0);
	assert_int_equal(parse(";;"), 0);
	assert_int_equal(parse("tenant="), 0);
	assert_string_equal(cfg.tenant, "");
}

static void last_of_two_wins(void **state)
{
	(void)state;
	assert_int_equal(parse("batch=32;batch=128"), 0);
	assert_int_equal(cfg.batch, 128);
}

static void local_takes_a_share(void **state)
{
	uint64_t total = far_memory_total();

	(void)state;
	if (total / 4 < 16 * MIB)
		skip();
	assert_int_equal(set("local", "25%"), 0);
	assert_true(cfg.local <= total / 4);
	assert_true(total / 4 - cfg.local <= FAR_PAGE_SIZE);
	assert_int_equal(set("local", "100%"), 0);
	assert_int_equal(set("local", "101%"), -EINVAL);
	assert_true(capture_has(&cap, "fix: give at most 100%"));
}

static void refused(const char *conf, const char *text, const char *fix)
{
	struct far_config before = cfg;

	cap.nr = 0;
	assert_int_equal(parse(conf), -EINVAL);
	assert_int_equal(cap.nr, 1);
	assert_int_equal(cap.level, FAR_LOG_ERR);
	assert_true(capture_has(&cap, text));
	assert_true(capture_has(&cap, fix));
	assert_memory_equal(&before, &cfg, sizeof(cfg));
}

static void refusals_say_why_and_how(void **state)
{
	(void)state;
	refused("locl=1G", "column 1: option locl: unknown",
		"fix: did you mean 'local'?");
	refused("zzzzzzz=1", "option zzzzzzz: unknown", "fix: see far(7)");
	refused("local=8M", "below the minimum 16M", "fix: give at least 16M");
	refused("local=0%", "below the minimum 16M", "fix: give at least 16M");
	refused("local=lots", "'lots' is not understood", "a share like 25%");
	refused("local=99999999T", "too large", "fix: give at most 100%");
	refused("va=65T", "too large", "fix: give at most 64T");
	refused("batch=7", "below the minimum 8", "fix: give at least 8");
	refused("batch=513", "too large", "fix: give at most 512");
	refused("batch=1.5", "not understood", "a whole number");
	refused("batch=-1", "not understood", "a whole number");
	refused("batch=", "not understood", "a whole number");
	refused("batch=99999999999999999999", "too large", "at most 512");
	refused("policy=clok", "not one of auto|clock|fifo|s3fifo|refault",
		"did you mean 'clock'?");
	refused("policy=zzzzzz", "not one of them",
		"fix: use one of auto|clock|fifo|s3fifo|refault");
	refused("policy=", "not one of them", "use one of");
	refused("on_loss=30s", "'30s' is not understood", "wait:TIME");
	refused("local", "'local': no '='", "fix: write name=value");
}

static void column_points_at_the_option(void **state)
{
	(void)state;
	assert_int_equal(parse("lazy=on; batch=0"), -EINVAL);
	assert_true(capture_has(&cap, "column 10: option batch"));
}

static void long_texts_are_refused(void **state)
{
	char conf[4096];

	(void)state;
	memset(conf, 'a', sizeof(conf));
	memcpy(conf, "far=", 4);
	conf[4 + FAR_TEXT_MAX - 1] = '\0';
	assert_int_equal(parse(conf), 0);
	assert_int_equal(strlen(cfg.far), FAR_TEXT_MAX - 1);
	conf[4 + FAR_TEXT_MAX - 1] = 'a';
	conf[4 + FAR_TEXT_MAX] = '\0';
	refused(conf, "option far: text is too long", "at most 1023 bytes");
	conf[4 + FAR_TEXT_MAX] = 'a';
	conf[sizeof(conf) - 1] = '\0';
	refused(conf, "option far: text is too long", "at most 1023 bytes");
	memset(conf, 'n', 2000);
	conf[2000] = '=';
	conf[2001] = '\0';
	refused(conf, "unknown", "far(7)");
}

static void text_cannot_smuggle_options(void **state)
{
	(void)state;
	assert_int_equal(set("far", "mem:;local=1T"), -EINVAL);
	assert_true(capture_has(&cap, "holds ';'"));
	assert_string_equal(cfg.far, "lz4:");
}

static void on_loss_is_a_time(void **state)
{
	uint64_t ns = 5;

	(void)state;
	assert_int_equal(far_on_loss_ns("wait:1.5s", &ns), 0);
	assert_int_equal(ns, UINT64_C(1500000000));
	assert_int_equal(far_on_loss_ns("wait:0", &ns), 0);
	assert_int_equal(ns, 0);
	ns = 5;
	assert_int_equal(far_on_loss_ns("wait:", &ns), -EINVAL);
	assert_int_equal(far_on_loss_ns("wait", &ns), -EINVAL);
	assert_int_equal(far_on_loss_ns("wait:99999999h", &ns), -EINVAL);
	assert_int_equal(ns, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults_are_those_of_the_table, fresh),
		cmocka_unit_test_setup(table_ends_and_is_documented, fresh),
		cmocka_unit_test_setup(values_are_parsed_by_type, fresh),
		cmocka_unit_test_setup(last_of_two_wins, fresh),
		cmocka_unit_test_setup(local_takes_a_share, fresh),
		cmocka_unit_test_setup(refusals_say_why_and_how, fresh),
		cmocka_unit_test_setup(column_points_at_the_option, fresh),
		cmocka_unit_test_setup(long_texts_are_refused, fresh),
		cmocka_unit_test_setup(text_cannot_smuggle_options, fresh),
		cmocka_unit_test_setup(on_loss_is_a_time, fresh),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
