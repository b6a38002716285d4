/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libfar-preload.so as a program sees it: test_preload_guest runs in each of
 * its modes with a limit below what it allocates.  The guest checks its
 * results; here it is checked that memory really was paged and that the limit
 * held, from the statistics that the process leaves behind.
 *	test_preload PRELOAD GUEST memory|fork|edges
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/test_preload_watch.h"

#define NOBODY 65534

static char *preload, *guest;

/** struct run - one guest, from start to end */
struct run {
	const char *mode, *conf;
	uid_t uid;
	pid_t pid;
	int status, page_fd;
	bool has_stats; /* stats is what the guest's page said in the end */
	struct far_stats stats;
	char output[4096]; /* what it said on descriptor 2 */
};

static void become_guest(const struct run *r, int err_fd)
{
	char *args[] = {guest, (char *)(uintptr_t)r->mode, NULL};

	if (dup2(err_fd, STDERR_FILENO) < 0)
		_exit(99);
	if (r->uid && (setgroups(0, NULL) < 0 || setgid(r->uid) < 0 ||
		       setuid(r->uid) < 0))
		_exit(98);
	if (r->uid && (access(guest, X_OK) < 0 || access(preload, R_OK) < 0))
		_exit(97);
	setenv("LD_PRELOAD", preload, 1);
	unsetenv("FAR_CONF");
	if (r->conf)
		setenv("FAR_CONF", r->conf, 1);
	execv(guest, args);
	_exit(96);
}

/* Until all of the guest's processes have ended; finds its page meanwhile. */
static void watch_guest(struct run *r, int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n = 1;

	r->page_fd = -1;
	while (n > 0 && len < sizeof(r->output) - 1) {
		if (r->page_fd < 0)
			r->page_fd = watch_open(r->pid);
		if (poll(&pfd, 1, r->page_fd < 0 ? 1 : -1) != 1)
			continue;
		n = read(fd, r->output + len, sizeof(r->output) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	r->output[len] = '\0';
}

static void run_guest(struct run *r)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		close(fds[0]);
		become_guest(r, fds[1]);
	}
	close(fds[1]);
	watch_guest(r, fds[0]);
	close(fds[0]);
	assert_int_equal(waitpid(r->pid, &r->status, 0), r->pid);
	if (r->output[0])
		print_message("%s: %s", r->mode, r->output);
	r->has_stats = watch_read(r->page_fd, r->pid, &r->stats);
}

/* Runs @mode at 16 MiB local; its memory must have come and gone. */
static void run_paged(const char *mode, const char *conf)
{
	struct run r = {.mode = mode, .conf = conf};

	run_guest(&r);
	assert_int_equal(r.status, 0);
	assert_true(r.has_stats);
	assert_true(r.stats.evicted_pages > 1000);
	assert_true(r.stats.faults_remote > 1000);
	assert_int_equal(r.stats.lost_pages, 0);
	/* The pager's own part comes on top until its first evictions. */
	assert_true(r.stats.local_peak_bytes <=
		    r.stats.limit_bytes + r.stats.overhead_bytes);
	assert_true(r.stats.local_bytes <= r.stats.limit_bytes);
}

#define PAGED(name, mode, conf)                                                \
	static void name(void **state)                                         \
	{                                                                      \
		(void)state;                                                   \
		run_paged(mode, conf);                                         \
	}

PAGED(malloc_family_holds_at_its_edges, "family", "local=16M;far=lz4:")
PAGED(threads_by_the_hundred_pass_blocks, "storm", "local=16M;far=lz4:")
PAGED(children_inherit_what_is_far, "fork", "local=16M;far=lz4:")
PAGED(forks_beside_busy_threads, "tree", "local=16M;far=lz4:")
PAGED(children_may_exec, "exec", "local=16M;far=lz4:")
PAGED(closing_all_descriptors_does_no_harm, "close", "local=16M;far=lz4:")
PAGED(system_calls_reach_far_memory, "io", "local=16M;far=lz4:")
PAGED(madvise_drops_what_is_far, "drop", "local=16M;far=lz4:")
PAGED(uncompressed_store_is_the_same, "io", "local=16M;far=mem:")

static void file_backend_is_the_same(void **state)
{
	char dir[] = "/tmp/far-preload-XXXXXX", path[64], conf[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pages", dir);
	snprintf(conf, sizeof(conf), "local=16M;far=file:%s?size=1G", path);
	run_paged("close", conf);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static void malloc_fails_when_the_store_is_full(void **state)
{
	struct run r = {.mode = "full", .conf = "local=16M;far=mem:96M"};

	(void)state;
	run_guest(&r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.output, "fix: "));
	assert_true(r.has_stats);
	assert_true(r.stats.evicted_pages > 1000);
}

static void memory_below_the_limit_is_not_intercepted(void **state)
{
	struct run r = {.mode = "io", .conf = "local=1G;far=lz4:"};

	(void)state;
	run_guest(&r);
	assert_int_equal(r.status, 0);
	assert_true(r.has_stats);
	assert_true(r.stats.mapped_bytes >= (uint64_t)64 << 20);
	assert_int_equal(r.stats.is_armed, 0);
	assert_int_equal(r.stats.faults_missing, 0);
}

static void bad_configuration_is_refused(void **state)
{
	struct run r = {.mode = "io", .conf = "locall=16M"};

	(void)state;
	run_guest(&r);
	assert_true(WIFEXITED(r.status));
	assert_int_equal(WEXITSTATUS(r.status), 78);
	assert_non_null(strstr(r.output, "locall"));
	assert_non_null(strstr(r.output, "local"));
	assert_null(strstr(r.output, "guest: "));
}

static void bad_backend_is_refused(void **state)
{
	struct run r = {.mode = "io", .conf = "local=16M;far=lzz4:"};

	(void)state;
	run_guest(&r);
	assert_true(WIFEXITED(r.status));
	assert_int_equal(WEXITSTATUS(r.status), 78);
	assert_non_null(strstr(r.output, "lz4"));
}

static bool others_may_use_userfaultfd(void)
{
	char text[8] = "";
	int fd = open("/proc/sys/vm/unprivileged_userfaultfd", O_RDONLY);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return text[0] != '0' || access("/dev/userfaultfd", F_OK) != 0;
}

static void user_without_right_is_refused(void **state)
{
	struct run r = {.mode = "io", .conf = "local=16M", .uid = NOBODY};

	(void)state;
	if (geteuid() != 0 || others_may_use_userfaultfd())
		skip();
	run_guest(&r);
	assert_true(WIFEXITED(r.status));
	if (WEXITSTATUS(r.status) == 97)
		skip(); /* the build folder is not for others to read */
	assert_int_equal(WEXITSTATUS(r.status), 77);
	assert_non_null(strstr(r.output, "fix: "));
}

static const struct CMUnitTest memory_tests[] = {
	cmocka_unit_test(malloc_family_holds_at_its_edges),
	cmocka_unit_test(threads_by_the_hundred_pass_blocks),
	cmocka_unit_test(system_calls_reach_far_memory),
	cmocka_unit_test(madvise_drops_what_is_far),
	cmocka_unit_test(uncompressed_store_is_the_same),
	cmocka_unit_test(file_backend_is_the_same),
};

static const struct CMUnitTest fork_tests[] = {
	cmocka_unit_test(children_inherit_what_is_far),
	cmocka_unit_test(forks_beside_busy_threads),
	cmocka_unit_test(children_may_exec),
	cmocka_unit_test(closing_all_descriptors_does_no_harm),
};

static const struct CMUnitTest edge_tests[] = {
	cmocka_unit_test(malloc_fails_when_the_store_is_full),
	cmocka_unit_test(memory_below_the_limit_is_not_intercepted),
	cmocka_unit_test(bad_configuration_is_refused),
	cmocka_unit_test(bad_backend_is_refused),
	cmocka_unit_test(user_without_right_is_refused),
};

int main(int argc, char **argv)
{
	if (argc == 4) {
		preload = argv[1];
		guest = argv[2];
		if (!strcmp(argv[3], "memory"))
			return cmocka_run_group_tests(memory_tests, NULL, NULL);
		if (!strcmp(argv[3], "fork"))
			return cmocka_run_group_tests(fork_tests, NULL, NULL);
		if (!strcmp(argv[3], "edges"))
			return cmocka_run_group_tests(edge_tests, NULL, NULL);
	}
	fprintf(stderr,
		"usage: test_preload PRELOAD GUEST memory|fork|edges\n");
	return 2;
}
