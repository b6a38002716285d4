/* SPDX-License-Identifier: BSD-3-Clause */
/* far_memory_limit() against small copies of /proc and /sys in a folder. */
#include <errno.h>
#include <fcntl.h>
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

#include "libfar/base/memlimit.h"
#include "libfar/base/options.h"

#define MIB (UINT64_C(1) << 20)
#define V1 "/sys/fs/cgroup/memory"
#define V2 "/sys/fs/cgroup"
#define V1_MOUNT                                                               \
	"32 31 0:29 / " V1 " rw,nosuid shared:9 - cgroup cgroup "              \
	"rw,memory\n"
#define V2_MOUNT "41 31 0:38 / " V2 " rw,nosuid - cgroup2 cgroup2 rw\n"

static char root[64];

/* Writes @text into @path below the root, making the folders on the way. */
static void put(const char *path, const char *text)
{
	char full[PATH_MAX];
	size_t len = strlen(text);
	char *slash;
	int fd;

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static int make_root(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "/tmp/far-memlimit-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	put("/proc/meminfo", "MemTotal:        1048576 kB\n"
			     "MemFree:              1 kB\n");
	return 0;
}

static int remove_root(void **state)
{
	char cmd[128];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	return system(cmd);
}

static void expect(uint64_t bytes, int version, const char *path)
{
	struct far_memory_limit limit;

	far_memory_limit(root, &limit);
	assert_int_equal(limit.bytes, bytes);
	assert_int_equal(limit.cgroup_version, version);
	assert_string_equal(limit.path, path);
}

static void without_cgroups_it_is_the_machine(void **state)
{
	(void)state;
	expect(1024 * MIB, 0, "/proc/meminfo");
	put("/proc/self/cgroup", "0::/\n");
	put("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
	expect(1024 * MIB, 0, "/proc/meminfo");
}

static void nothing_readable_is_unlimited(void **state)
{
	(void)state;
	put("/proc/meminfo", "");
	expect(UINT64_MAX, 0, "");
}

static void v1_limit_of_the_own_group(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "9:name=systemd:/\n"
				 "4:cpu,memory:/job/one\n1:cpu:/other\n");
	put("/proc/self/mountinfo",
	    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
	    "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup "
	    "rw,cpu\n" V1_MOUNT);
	put(V1 "/memory.limit_in_bytes", "9223372036854771712\n");
	put(V1 "/job/memory.limit_in_bytes", "9223372036854771712\n");
	put(V1 "/job/one/memory.limit_in_bytes", "104857600\n");
	expect(100 * MIB, 1, V1 "/job/one/memory.limit_in_bytes");
}

static void v1_limit_of_an_ancestor(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "4:memory:/job/one\n");
	put("/proc/self/mountinfo", V1_MOUNT);
	put(V1 "/memory.limit_in_bytes", "9223372036854771712\n");
	put(V1 "/job/memory.limit_in_bytes", "52428800\n");
	put(V1 "/job/one/memory.limit_in_bytes", "104857600\n");
	expect(50 * MIB, 1, V1 "/job/memory.limit_in_bytes");
}

static void v1_unlimited_is_the_machine(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "4:memory:/\n");
	put("/proc/self/mountinfo", V1_MOUNT);
	put(V1 "/memory.limit_in_bytes", "9223372036854771712\n");
	expect(1024 * MIB, 0, "/proc/meminfo");
}

static void v1_container_sees_its_group_as_root(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "4:memory:/docker/abc/sub\n");
	put("/proc/self/mountinfo",
	    "32 31 0:29 /docker/abc " V1 " ro - cgroup cgroup rw,memory\n");
	put(V1 "/memory.limit_in_bytes", "73400320\n");
	put(V1 "/sub/memory.limit_in_bytes", "62914560\n");
	expect(60 * MIB, 1, V1 "/sub/memory.limit_in_bytes");
}

static void group_outside_the_mount_uses_the_mount(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "4:memory:/docker/abcdef\n");
	put("/proc/self/mountinfo",
	    "32 31 0:29 /docker/abc " V1 " ro - cgroup cgroup rw,memory\n");
	put(V1 "/memory.limit_in_bytes", "73400320\n");
	expect(70 * MIB, 1, V1 "/memory.limit_in_bytes");
}

static void v2_smallest_of_max_and_high(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/user.slice/app\n");
	put("/proc/self/mountinfo", V2_MOUNT);
	put(V2 "/user.slice/memory.max", "max\n");
	put(V2 "/user.slice/app/memory.max", "314572800\n");
	expect(300 * MIB, 2, V2 "/user.slice/app/memory.max");
	put(V2 "/user.slice/memory.high", "209715200\n");
	expect(200 * MIB, 2, V2 "/user.slice/memory.high");
}

static void hybrid_takes_the_smaller(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
	put("/proc/self/mountinfo", V1_MOUNT V2_MOUNT);
	put(V1 "/a/memory.limit_in_bytes", "104857600\n");
	put(V2 "/b/memory.max", "94371840\n");
	expect(90 * MIB, 2, V2 "/b/memory.max");
}

static void escaped_mount_point_is_understood(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/\n");
	put("/proc/self/mountinfo",
	    "41 31 0:38 / /my\\040groups rw - cgroup2 none rw\n");
	put("/my groups/memory.max", "83886080\n");
	expect(80 * MIB, 2, "/my groups/memory.max");
}

static void long_lines_are_passed_over(void **state)
{
	char *text = malloc(20000);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 19000);
	(void)snprintf(text + 19000, 1000, "\n%s", V2_MOUNT);
	put("/proc/self/cgroup", "0::/\n");
	put("/proc/self/mountinfo", text);
	put(V2 "/memory.max", "41943040\n");
	expect(40 * MIB, 2, V2 "/memory.max");
	free(text);
}

static void the_real_machine_has_a_limit(void **state)
{
	uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
	uint64_t total = far_memory_total();

	(void)state;
	assert_true(total > 0);
	assert_true(total <= pages * FAR_PAGE_SIZE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_cgroups_it_is_the_machine),
		TEST(nothing_readable_is_unlimited),
		TEST(v1_limit_of_the_own_group),
		TEST(v1_limit_of_an_ancestor),
		TEST(v1_unlimited_is_the_machine),
		TEST(v1_container_sees_its_group_as_root),
		TEST(group_outside_the_mount_uses_the_mount),
		TEST(v2_smallest_of_max_and_high),
		TEST(hybrid_takes_the_smaller),
		TEST(escaped_mount_point_is_understood),
		TEST(long_lines_are_passed_over),
		cmocka_unit_test(the_real_machine_has_a_limit),
	};

	return cmocka_run_group_tests_name("memlimit", tests, NULL, NULL);
}
