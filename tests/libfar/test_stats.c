/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/base/stats.h"

static uint64_t *field(struct far_stats *st, const struct far_stat_desc *d)
{
	return (uint64_t *)(void *)((char *)st + d->offset);
}

static void table_covers_the_struct(void **state)
{
	size_t at = offsetof(struct far_stats, version) + sizeof(uint64_t);
	const struct far_stat_desc *d;

	(void)state;
	for (d = far_stat_descs(); d->name; d++) {
		assert_int_equal(d->offset, at);
		assert_true(strlen(d->help) > 0);
		at += sizeof(uint64_t);
	}
	assert_int_equal(at, sizeof(struct far_stats));
}

static void only_counters_are_added(void **state)
{
	static struct far_stat_shard shard;
	struct far_stats st = {.size = sizeof(st)};
	const struct far_stat_desc *d;
	unsigned nr_counters = 0;

	(void)state;
	FAR_COUNT_N(&shard, limit_bytes, 5);
	FAR_COUNT_N(&shard, faults_missing, 40);
	FAR_COUNT(&shard, faults_missing);
	FAR_COUNT(&shard, forks);
	far_stats_add(&st, &shard);
	far_stats_add(&st, &shard);
	assert_int_equal(st.limit_bytes, 0);
	assert_int_equal(st.faults_missing, 82);
	assert_int_equal(st.forks, 2);
	for (d = far_stat_descs(); d->name; d++)
		nr_counters += !d->is_gauge && *field(&st, d) != 0;
	assert_int_equal(nr_counters, 2);
}

static void json_holds_every_field(void **state)
{
	const struct far_stat_desc *d;
	struct far_stats st = {.size = sizeof(st), .version = 1};
	char buf[8192], want[128];
	uint64_t i = 1000;
	int len;

	(void)state;
	for (d = far_stat_descs(); d->name; d++)
		*field(&st, d) = i++;
	st.forks = UINT64_MAX;
	len = far_stats_print_json(&st, ",\"pid\":12", buf, sizeof(buf));
	assert_int_equal(len, strlen(buf));
	assert_memory_equal(buf, "{\"schema\":\"far.stat/1\",\"version\":1,",
			    35);
	assert_string_equal(buf + len - 10, ",\"pid\":12}");
	for (d = far_stat_descs(); d->name; d++) {
		(void)snprintf(want, sizeof(want), ",\"%s\":%" PRIu64, d->name,
			       *field(&st, d));
		assert_non_null(strstr(buf, want));
	}
}

static void short_buffer_tells_the_length(void **state)
{
	struct far_stats st = {.size = sizeof(st), .version = 1};
	char whole[8192], cut[64];
	int len;

	(void)state;
	len = far_stats_print_json(&st, "", whole, sizeof(whole));
	assert_int_equal(far_stats_print_json(&st, "", NULL, 0), len);
	memset(cut, 'x', sizeof(cut));
	assert_int_equal(far_stats_print_json(&st, "", cut, sizeof(cut) - 1),
			 len);
	assert_int_equal(strlen(cut), sizeof(cut) - 2);
	assert_memory_equal(cut, whole, sizeof(cut) - 2);
	assert_int_equal(cut[sizeof(cut) - 1], 'x');
}

static void stat_page_fits_a_page(void **state)
{
	(void)state;
	assert_true(sizeof(struct far_stat_page) <= FAR_PAGE_SIZE);
}

static void runtime_dir_follows_the_user(void **state)
{
	char dir[PATH_MAX], sub[PATH_MAX], want[64];
	char *saved = getenv("XDG_RUNTIME_DIR");

	(void)state;
	if (saved)
		saved = strdup(saved);
	(void)snprintf(want, sizeof(want), "/tmp/far-%u", (unsigned)geteuid());
	(void)setenv("XDG_RUNTIME_DIR", "relative/is/ignored", 1);
	assert_int_equal(far_runtime_dir(dir, sizeof(dir)), 0);
	assert_string_equal(dir, geteuid() ? want : "/run/far");
	(void)setenv("XDG_RUNTIME_DIR", "/run/user/12", 1);
	assert_int_equal(far_runtime_dir(dir, sizeof(dir)), 0);
	assert_string_equal(dir, geteuid() ? "/run/user/12/far" : "/run/far");
	assert_int_equal(far_runtime_dir(dir, 5), -ENAMETOOLONG);
	if (saved)
		(void)setenv("XDG_RUNTIME_DIR", saved, 1);
	else
		(void)unsetenv("XDG_RUNTIME_DIR");
	free(saved);

	assert_int_equal(far_runtime_subdir("stat", sub, sizeof(sub)), 0);
	assert_int_equal(access(sub, W_OK | X_OK), 0);
	assert_int_equal(far_runtime_subdir("stat", sub, 6), -ENAMETOOLONG);
}

static void services_have_words(void **state)
{
	(void)state;
	assert_string_equal(far_service_words(FAR_SERVICE_NONE),
			    "nobody has mapped any");
	for (uint64_t i = 0; i <= FAR_SERVICE_UNTIMED; i++)
		assert_string_not_equal(far_service_words(i), "unknown");
	assert_string_equal(far_service_words(FAR_SERVICE_UNTIMED + 1),
			    "unknown");
	assert_string_equal(far_service_words(UINT64_MAX), "unknown");
}

/* The directories of everybody's /tmp are not taken on trust. */
static void runtime_subdir_refuses_strangers(void **state)
{
	char sub[] = "test-strangers", path[PATH_MAX];

	(void)state;
	assert_int_equal(far_runtime_subdir(sub, path, sizeof(path)), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(far_runtime_subdir(sub, path, sizeof(path)), -EPERM);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(far_runtime_subdir(sub, path, sizeof(path)), -ENOTDIR);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_covers_the_struct),
		cmocka_unit_test(only_counters_are_added),
		cmocka_unit_test(json_holds_every_field),
		cmocka_unit_test(short_buffer_tells_the_length),
		cmocka_unit_test(stat_page_fits_a_page),
		cmocka_unit_test(services_have_words),
		cmocka_unit_test(runtime_dir_follows_the_user),
		cmocka_unit_test(runtime_subdir_refuses_strangers),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
