/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon as a process: options, sockets, signals. */
#include "tests/pool/fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfar/base/clock.h"

static struct fard fard;

static int setup(void **state)
{
	(void)state;
	fard_start(&fard, "32M", "--log=err");
	return 0;
}

/* After every test the daemon still works, and holds nothing of it. */
static int teardown(void **state)
{
	struct wire_msg msg;
	int fd = raw_connect(fard.tcp);

	(void)state;
	raw_hello(fd, NULL, &msg);
	assert_int_equal(msg.type, WIRE_HELLO | WIRE_REPLY);
	wait_pool_reserved(fd, 0);
	(void)close(fd);
	fard_stop(&fard);
	return 0;
}

/* ---- the process ---- */

static void the_socket_file_is_private(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(fard.unix_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void the_last_words_reach_the_clients(void **state)
{
	struct fard own;
	int fd;

	(void)state;
	fard_start(&own, "4M", "--log=err");
	fd = raw_open(own.tcp);
	fard_stop(&own);
	raw_expect_refusal(fd, -ESHUTDOWN);
}

static void connections_are_bounded(void **state)
{
	struct wire_msg msg;
	struct fard own;
	int a, b, c;

	(void)state;
	fard_start(&own, "4M", "--max-clients=2");
	a = raw_open(own.tcp);
	b = raw_open(own.unix_spec);
	c = raw_connect(own.tcp);
	raw_expect_refusal(c, -EUSERS);
	(void)close(a);
	do { /* until the server has seen that one go */
		c = raw_connect(own.tcp);
		raw_hello(c, NULL, &msg);
		if (msg.type == WIRE_ERROR)
			(void)close(c);
	} while (msg.type == WIRE_ERROR);
	(void)raw_usage(b);
	(void)raw_usage(c);
	(void)close(b);
	(void)close(c);
	fard_stop(&own);
}

static void who_never_says_hello_is_let_go(void **state)
{
	uint64_t start = far_now_ns();
	int fd = raw_connect(fard.tcp), idle = raw_open(fard.tcp);
	struct wire_msg msg;

	(void)state;
	assert_int_equal(raw_recv(fd, &msg, NULL), 0);
	assert_true(far_now_ns() - start > 3 * FAR_NS_PER_S);
	(void)close(fd);
	(void)raw_usage(idle); /* said hello and nothing since: fine */
	(void)close(idle);
}

/* Runs fard with @args; its exit status, and the start of what it said. */
static int run_fard(char *const *args, char *said, size_t len)
{
	int fds[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)dup2(fds[1], STDERR_FILENO);
		(void)alarm(20); /* not one of these may keep running */
		(void)execv(fard_path, args);
		_exit(127);
	}
	(void)close(fds[1]);
	while (used < len - 1 &&
	       (n = read(fds[0], said + used, len - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void options_are_strict(void **state)
{
#define TCP "tcp://127.0.0.1:0"
	static const struct {
		const char *args[5], *says;
		int status;
	} cases[] = {
		{{"--help"}, "usage: fard", 0},
		{{"--version"}, "fard 0.", 0},
		{{"--lisen", TCP}, "did you mean --listen?", 2},
		{{"--frobnicate"}, "see fard --help", 2},
		{{"extra"}, "unknown option 'extra'", 2},
		{{NULL}, "--listen tcp://127.0.0.1:7470", 2},
		{{"--listen", TCP}, "add e.g. --size 2G", 2},
		{{"--listen"}, "no value for '--listen'", 2},
		{{"--listen", "7470"}, "tcp://HOST:PORT", 2},
		{{"--listen", TCP, "--size", "2X"}, "bad --size '2X'", 2},
		{{"--listen", TCP, "--size=1"}, "at least 4K", 2},
		{{"--max-clients", "0"}, "from 1 to 100000", 2},
		{{"--max-clients", "1x"}, "from 1 to 100000", 2},
		{{"--log", "loud"}, "err, warn, info or debug", 2},
		{{"--listen", "tcp://0.0.0.0:0", "--size=4M"},
		 "there are no keys yet; fix:",
		 1},
		{{"--listen", "tcp://[::]:0", "--size=4M"},
		 "there are no keys yet; fix:",
		 1},
		{{"--listen", "unix:/nowhere/at/all", "--size=4M"},
		 "make the directory first",
		 1},
		{{"--listen", "unix:/dev/null", "--size=4M"},
		 "not a socket",
		 1},
	};
	char said[8192];
	size_t i, j;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(cases); i++) {
		char copies[5][64], *args[7] = {copies[0]};
		int status;

		(void)snprintf(copies[0], sizeof(copies[0]), "fard");
		for (j = 0; j < 4 && cases[i].args[j]; j++) {
			(void)snprintf(copies[j + 1], sizeof(copies[0]), "%s",
				       cases[i].args[j]);
			args[j + 1] = copies[j + 1];
		}
		status = run_fard(args, said, sizeof(said));
		if (status != cases[i].status || !strstr(said, cases[i].says))
			fail_msg("case %zu: status %d, said '%s', not '%s'", i,
				 status, said, cases[i].says);
	}
}

static void a_path_in_use_is_respected(void **state)
{
	char listen[160], size[] = "--size=4M", name[] = "fard", said[2048];
	char *args[] = {name, listen, size, NULL};

	(void)state;
	(void)snprintf(listen, sizeof(listen), "--listen=%s", fard.unix_spec);
	assert_int_equal(run_fard(args, said, sizeof(said)), 1);
	assert_non_null(strstr(said, "stop the server that answers there"));
	assert_int_equal(access(fard.unix_path, F_OK), 0);
	(void)close(raw_open(fard.unix_spec));
}

static void a_left_over_socket_is_replaced(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fard own;

	(void)state;
	/* what a daemon that crashed leaves: a file, and nobody behind it */
	fard_start(&own, "4M", "--log=err");
	assert_int_equal(unlink(own.unix_path), 0);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", own.unix_path);
	assert_int_equal(bind(fd, (void *)&un, sizeof(un)), 0);
	(void)close(fd);
	{
		char listen[160], size[] = "--size=4M", name[] = "fard";
		char *args[] = {name, listen, size, NULL};
		struct pollfd pfd;
		int fds[2], status;
		pid_t pid;
		char c;

		(void)snprintf(listen, sizeof(listen), "--listen=%s",
			       own.unix_spec);
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			(void)dup2(fds[1], STDERR_FILENO);
			(void)alarm(20);
			(void)execv(fard_path, args);
			_exit(127);
		}
		(void)close(fds[1]);
		pfd = (struct pollfd){.fd = fds[0], .events = POLLIN};
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		assert_int_equal(read(fds[0], &c, 1), 1);
		(void)close(raw_open(own.unix_spec));
		/* the first one must not unlink what is the second one's */
		assert_int_equal(kill(own.pid, SIGTERM), 0);
		assert_int_equal(waitpid(own.pid, &status, 0), own.pid);
		assert_int_equal(status, 0);
		(void)close(raw_open(own.unix_spec));
		assert_int_equal(kill(pid, SIGINT), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		(void)close(fds[0]);
	}
	assert_int_equal(access(own.unix_path, F_OK), -1);
	assert_int_equal(rmdir(own.dir), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_file_is_private),
		TEST(the_last_words_reach_the_clients),
		TEST(connections_are_bounded),
		TEST(who_never_says_hello_is_let_go),
		TEST(options_are_strict),
		TEST(a_path_in_use_is_respected),
		TEST(a_left_over_socket_is_replaced),
	};

	if (argc != 2)
		return 2;
	fard_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
