/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/base/log.h"
#include "tests/support/capture.h"

static time_t fake_s = 100;

/* The clock of the rate limit; linked with --wrap. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	ts->tv_sec = fake_s;
	ts->tv_nsec = 0;
	return 0;
}

static void level_decides(void **state)
{
	struct capture c = {0};
	struct far_log log;

	(void)state;
	(void)unsetenv("FAR_LOG");
	far_log_init(&log, capture_log, &c, FAR_LOG_WARN);
	far_log(&log, FAR_LOG_INFO, "no");
	assert_int_equal(c.nr, 0);
	far_log(&log, FAR_LOG_WARN, "page %d: %s", 7, "lost");
	assert_int_equal(c.nr, 1);
	assert_int_equal(c.level, FAR_LOG_WARN);
	assert_string_equal(c.msg, "page 7: lost");
}

static void environment_sets_the_level(void **state)
{
	struct capture c = {0};
	struct far_log log;

	(void)state;
	(void)setenv("FAR_LOG", "debug", 1);
	far_log_init(&log, capture_log, &c, FAR_LOG_ERR);
	far_log(&log, FAR_LOG_DEBUG, "yes");
	assert_int_equal(c.nr, 1);
	(void)setenv("FAR_LOG", "loud", 1);
	far_log_init(&log, capture_log, &c, FAR_LOG_ERR);
	far_log(&log, FAR_LOG_WARN, "no");
	assert_int_equal(c.nr, 1);
	(void)unsetenv("FAR_LOG");
}

static void errno_survives_and_is_printed(void **state)
{
	struct capture c = {0};
	struct far_log log;

	(void)state;
	far_log_init(&log, capture_log, &c, FAR_LOG_ERR);
	errno = ENOSPC;
	far_log(&log, FAR_LOG_ERR, "%m");
	assert_int_equal(errno, ENOSPC);
	assert_string_equal(c.msg, strerror(ENOSPC));
	errno = EPERM;
	far_log_to(capture_log, &c, FAR_LOG_ERR, "%m");
	assert_int_equal(errno, EPERM);
	assert_string_equal(c.msg, strerror(EPERM));
	far_log_to(NULL, &c, FAR_LOG_ERR, "nobody");
	assert_int_equal(c.nr, 2);
}

static void long_messages_are_cut(void **state)
{
	char text[3 * FAR_LOG_MAX];
	struct capture c = {0};
	struct far_log log;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	far_log_init(&log, capture_log, &c, FAR_LOG_ERR);
	far_log(&log, FAR_LOG_ERR, "%s", text);
	assert_int_equal(strlen(c.msg), FAR_LOG_MAX - 1);
}

static void bursts_are_bounded_and_told(void **state)
{
	struct capture c = {0};
	struct far_log log;
	unsigned i;

	(void)state;
	far_log_init(&log, capture_log, &c, FAR_LOG_ERR);
	for (i = 0; i < FAR_LOG_BURST + 15; i++)
		far_log(&log, FAR_LOG_ERR, "again");
	assert_int_equal(c.nr, FAR_LOG_BURST);
	fake_s++;
	far_log(&log, FAR_LOG_ERR, "new second");
	assert_int_equal(c.nr, FAR_LOG_BURST + 2);
	assert_string_equal(c.msg, "new second");
	/* the line before it told how many were dropped */
	fake_s++;
	for (i = 0; i < FAR_LOG_BURST + 3; i++)
		far_log(&log, FAR_LOG_ERR, "more");
	c.msg[0] = '\0';
	log.level = FAR_LOG_WARN;
	fake_s++;
	log.fn = capture_log;
	far_log(&log, FAR_LOG_DEBUG, "below the level counts for nothing");
	assert_int_equal(c.nr, 2 * FAR_LOG_BURST + 2);
	far_log(&log, FAR_LOG_WARN, "%s", "");
	assert_int_equal(c.nr, 2 * FAR_LOG_BURST + 4);
}

static void keep_first(void *ctx, enum far_log_level level, const char *msg)
{
	struct capture *c = ctx;

	if (c->nr == 0)
		capture_log(ctx, level, msg);
}

static void dropped_messages_are_numbered(void **state)
{
	struct capture c = {0};
	struct far_log log;
	unsigned i;

	(void)state;
	far_log_init(&log, keep_first, &c, FAR_LOG_ERR);
	for (i = 0; i < FAR_LOG_BURST + 15; i++)
		far_log(&log, FAR_LOG_ERR, "again");
	c.nr = 0;
	fake_s++;
	far_log(&log, FAR_LOG_ERR, "new second");
	assert_true(capture_has(&c, "15 messages dropped"));
}

static void relay_passes_through_a_log(void **state)
{
	struct capture c = {0};
	struct far_log log;

	(void)state;
	far_log_init(&log, capture_log, &c, FAR_LOG_WARN);
	far_log_relay(&log, FAR_LOG_INFO, "below");
	assert_int_equal(c.nr, 0);
	far_log_relay(&log, FAR_LOG_ERR, "100%s");
	assert_string_equal(c.msg, "100%s");
}

static void standard_error_gets_one_line(void **state)
{
	int fds[2], saved = dup(STDERR_FILENO);
	struct far_log log;
	char buf[128];
	ssize_t n;

	(void)state;
	assert_true(saved >= 0);
	assert_int_equal(pipe(fds), 0);
	(void)fflush(stderr);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	far_log_init(&log, NULL, NULL, FAR_LOG_ERR);
	far_log(&log, FAR_LOG_ERR, "disk: full");
	(void)dup2(saved, STDERR_FILENO);
	(void)close(fds[1]);
	n = read(fds[0], buf, sizeof(buf));
	(void)close(fds[0]);
	(void)close(saved);
	assert_int_equal(n, 16);
	assert_memory_equal(buf, "far: disk: full\n", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_decides),
		cmocka_unit_test(environment_sets_the_level),
		cmocka_unit_test(errno_survives_and_is_printed),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(bursts_are_bounded_and_told),
		cmocka_unit_test(dropped_messages_are_numbered),
		cmocka_unit_test(relay_passes_through_a_log),
		cmocka_unit_test(standard_error_gets_one_line),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
