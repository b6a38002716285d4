/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon as a process: what clients of all kinds can do to it. */
#include "tests/pool/fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
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

#define MIB ((uint64_t)1 << 20)
#define NR_THREADS 6

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

/* ---- many clients ---- */

struct worker {
	pthread_t thread;
	unsigned nr;
	const char *spec;
	int bad; /* out: mismatches and failures */
};

/* No assertions: these are not the test's thread. */
static void *work(void *arg)
{
	enum { PAGES = 128, ROUNDS = 12 };
	struct worker *w = arg;
	struct far_io ios[16], *done[16];
	static _Thread_local char bufs[16][PAGE], want[PAGE];
	struct far_backend *be;
	struct far_queue *q;
	unsigned round, i, j, got;
	uint64_t off;
	int rc;

	w->bad = 1;
	if (far_backend_open(w->spec, NULL, NULL, &be) ||
	    far_backend_reserve(be, PAGES * PAGE, &off) ||
	    far_queue_open(be, 16, &q))
		return NULL;
	w->bad = 0;
	for (round = 0; round < 2 * ROUNDS * PAGES / 16; round++) {
		bool is_read = round / (PAGES / 16) & 1;
		unsigned first = round % (PAGES / 16) * 16;
		unsigned pass = round / (PAGES / 16) / 2;

		for (i = 0; i < 16; i++) {
			fill_page(bufs[i],
				  (pass << 20) + (w->nr << 10) + first + i);
			if (is_read)
				memset(bufs[i], 0, PAGE);
			ios[i] = (struct far_io){
				.off = off + (first + i) * PAGE,
				.buf = bufs[i],
				.len = PAGE,
				.op = is_read ? FAR_IO_READ : FAR_IO_WRITE,
				.next = i < 15 ? &ios[i + 1] : NULL};
		}
		rc = far_queue_submit(q, ios, 16);
		if (rc != 16)
			w->bad++;
		for (got = 0; rc > 0 && got < (unsigned)rc;) {
			if (far_queue_wait(q, TEST_WAIT_NS)) {
				w->bad++;
				return NULL;
			}
			got += (unsigned)far_queue_poll(q, done, 16);
		}
		for (i = 0; i < 16; i++)
			w->bad += ios[i].res != 0;
		for (j = 0; is_read && j < 16; j++) {
			fill_page(want,
				  (pass << 20) + (w->nr << 10) + first + j);
			w->bad += memcmp(want, bufs[j], PAGE) != 0;
		}
	}
	far_queue_close(q);
	far_backend_close(be);
	return NULL;
}

static void many_clients_keep_to_themselves(void **state)
{
	struct worker workers[NR_THREADS];
	unsigned i;

	(void)state;
	for (i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){
			.nr = i, .spec = i & 1 ? fard.tcp : fard.unix_spec};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work,
						&workers[i]),
				 0);
	}
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(workers[i].bad, 0);
}

static void a_killed_client_frees_its_space(void **state)
{
	struct wire_msg msg;
	int fd, fds[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct far_backend *be = open_backend(fard.tcp);
		static char page[PAGE];
		struct far_queue *q;
		uint64_t off;

		if (far_backend_reserve(be, 20 * MIB, &off) ||
		    far_queue_open(be, 8, &q) ||
		    run_io(q, FAR_IO_WRITE, off, page, PAGE))
			_exit(1);
		(void)!write(fds[1], "x", 1);
		for (;;)
			(void)pause();
	}
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	(void)close(fds[0]);
	fd = raw_connect(fard.unix_spec);
	raw_hello(fd, NULL, &msg);
	assert_int_equal(raw_usage(fd).pool_reserved, 20 * MIB);
	assert_int_equal(raw_usage(fd).pool_used, PAGE);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	wait_pool_reserved(fd, 0);
	assert_int_equal(raw_usage(fd).pool_used, 0);
	(void)close(fd);
}

/* ---- clients that misbehave ---- */

/* What comes back is an ERROR with @status, then the end. */
static void expect_refusal(int fd, int status)
{
	struct wire_msg msg;

	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	assert_int_equal(msg.type, WIRE_ERROR);
	assert_int_equal(msg.status, status);
	assert_int_equal(raw_recv(fd, &msg, NULL), 0);
	(void)close(fd);
}

static int hello_on(const char *addr)
{
	struct wire_msg msg;
	int fd = raw_connect(addr);

	raw_hello(fd, NULL, &msg);
	assert_int_equal(msg.type, WIRE_HELLO | WIRE_REPLY);
	return fd;
}

static void garbage_ends_only_that_connection(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: far\r\n\r\n";
	static char junk[200000];
	int good = hello_on(fard.tcp), fd;
	size_t i;

	(void)state;
	fd = raw_connect(fard.tcp);
	assert_true(send(fd, http, sizeof(http), MSG_NOSIGNAL) > 0);
	expect_refusal(fd, -EBADMSG);
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(i * 7919 >> 3);
	fd = hello_on(fard.unix_spec);
	(void)!send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	expect_refusal(fd, -EBADMSG);
	(void)raw_usage(good);
	(void)close(good);
}

static void oversized_and_unknown_are_refused(void **state)
{
	struct wire_msg msg = {
		.type = WIRE_WRITE, .len = UINT32_MAX, .length = UINT32_MAX};
	uint8_t head[WIRE_HEADER_LEN];
	int fd = hello_on(fard.tcp);

	(void)state;
	wire_encode_header(&msg, head);
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL),
			 sizeof(head));
	expect_refusal(fd, -EMSGSIZE);

	fd = hello_on(fard.tcp);
	msg.type = 77;
	msg.length = 0;
	wire_encode_header(&msg, head);
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL),
			 sizeof(head));
	expect_refusal(fd, -EPROTO);

	fd = raw_connect(fard.unix_spec);
	head[4] = 9; /* version */
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL),
			 sizeof(head));
	expect_refusal(fd, -EPROTONOSUPPORT);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
	struct wire_msg msg = {.type = WIRE_PING};
	int fd = hello_on(fard.tcp);
	unsigned i;

	(void)state;
	for (i = 0; i < 100; i++) {
		msg.id = i;
		raw_send(fd, &msg, NULL);
	}
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(raw_recv(fd, &msg, NULL), 1);
		assert_int_equal(msg.id, i);
	}
	assert_int_equal(raw_recv(fd, &msg, NULL), 0);
	(void)close(fd);
}

static uint64_t resident_kib(pid_t pid)
{
	unsigned long long kib = 0;
	char path[64], line[200];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %llu kB", &kib) == 1)
			break;
	(void)fclose(f);
	assert_true(kib > 0);
	return kib;
}

#define MANY_READS 400

/* Asks for far more than socket buffers hold, in one go. */
static void send_many_reads(int fd)
{
	static uint8_t reads[MANY_READS * WIRE_HEADER_LEN];
	struct wire_msg msg = {.type = WIRE_READ, .len = WIRE_MAX_LEN};
	unsigned i;

	for (i = 0; i < MANY_READS; i++) {
		msg.id = i;
		wire_encode_header(&msg, reads + i * WIRE_HEADER_LEN);
	}
	assert_int_equal(send(fd, reads, sizeof(reads), MSG_NOSIGNAL),
			 sizeof(reads));
}

/* Many large reads and nothing taken, on each of 8 connections. */
static void slow_readers_cost_bounded_memory(void **state)
{
	static uint8_t page[WIRE_MAX_LEN], got[WIRE_MAX_LEN];
	struct wire_msg msg;
	int fds[8], other;
	uint64_t before;
	unsigned i, j;

	(void)state;
	for (i = 0; i < 8; i++) {
		fds[i] = hello_on(i & 1 ? fard.tcp : fard.unix_spec);
		msg = (struct wire_msg){.type = WIRE_RESERVE,
					.len = WIRE_MAX_LEN};
		raw_send(fds[i], &msg, NULL);
		assert_int_equal(raw_recv(fds[i], &msg, NULL), 1);
		assert_int_equal(msg.status, 0);
		memset(page, (int)i, sizeof(page));
		msg = (struct wire_msg){.type = WIRE_WRITE,
					.len = WIRE_MAX_LEN,
					.length = WIRE_MAX_LEN};
		raw_send(fds[i], &msg, page);
		assert_int_equal(raw_recv(fds[i], &msg, NULL), 1);
	}
	before = resident_kib(fard.pid);
	for (i = 0; i < 8; i++)
		send_many_reads(fds[i]);
	/* others are served meanwhile */
	other = hello_on(fard.tcp);
	for (i = 0; i < 100; i++)
		(void)raw_usage(other);
	(void)close(other);
	assert_true(resident_kib(fard.pid) < before + 8 * 600);
	for (i = 0; i < 8; i++) {
		for (j = 0; j < MANY_READS; j++) {
			assert_int_equal(raw_recv(fds[i], &msg, got), 1);
			assert_int_equal(msg.id, j);
			assert_false(msg.is_payload_bad);
		}
		memset(page, (int)i, sizeof(page));
		assert_memory_equal(page, got, sizeof(page));
		(void)close(fds[i]);
	}
}

static void a_slow_reader_that_is_gone_frees_its_space(void **state)
{
	static uint8_t page[WIRE_MAX_LEN];
	struct wire_msg msg = {.type = WIRE_RESERVE, .len = WIRE_MAX_LEN};
	int fd = hello_on(fard.unix_spec), other = hello_on(fard.tcp);

	(void)state;
	raw_send(fd, &msg, NULL);
	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	msg = (struct wire_msg){.type = WIRE_WRITE,
				.len = WIRE_MAX_LEN,
				.length = WIRE_MAX_LEN};
	raw_send(fd, &msg, page);
	send_many_reads(fd);
	assert_true(raw_usage(other).pool_reserved > 0);
	(void)close(fd);
	wait_pool_reserved(other, 0);
	(void)close(other);
}

static void a_damaged_page_fails_alone(void **state)
{
	static uint8_t page[PAGE];
	struct wire_msg msg = {.type = WIRE_RESERVE, .len = PAGE};
	int fd = hello_on(fard.tcp);

	(void)state;
	raw_send(fd, &msg, NULL);
	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	/* raw_send() takes what is set here as a change of the checksum */
	msg = (struct wire_msg){.type = WIRE_WRITE,
				.len = PAGE,
				.length = PAGE,
				.payload_crc = 1};
	raw_send(fd, &msg, page);
	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	assert_int_equal(msg.status, -EBADMSG);
	msg = (struct wire_msg){.type = WIRE_READ, .len = PAGE};
	raw_send(fd, &msg, NULL);
	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	assert_int_equal(msg.status, -ENODATA);
	(void)close(fd);
}

/* ---- sharing ---- */

static void a_clone_is_there_for_who_has_the_token(void **state)
{
	static uint8_t page[PAGE], got[PAGE];
	struct wire_msg msg = {.type = WIRE_RESERVE, .len = PAGE}, welcome;
	int a = hello_on(fard.tcp), b = raw_connect(fard.unix_spec);
	uint8_t token[WIRE_TOKEN_LEN];

	(void)state;
	raw_send(a, &msg, NULL);
	assert_int_equal(raw_recv(a, &msg, NULL), 1);
	fill_page(page, 5);
	msg = (struct wire_msg){
		.type = WIRE_WRITE, .len = PAGE, .length = PAGE};
	raw_send(a, &msg, page);
	assert_int_equal(raw_recv(a, &msg, NULL), 1);
	msg = (struct wire_msg){.type = WIRE_CLONE};
	raw_send(a, &msg, NULL);
	assert_int_equal(raw_recv(a, &msg, NULL), 1);
	memcpy(token, msg.token, sizeof(token));
	(void)close(a); /* the clone outlives what it was made from */
	raw_hello(b, token, &welcome);
	assert_int_equal(welcome.type, WIRE_HELLO | WIRE_REPLY);
	assert_memory_equal(welcome.welcome.token, token, sizeof(token));
	msg = (struct wire_msg){.type = WIRE_READ, .len = PAGE};
	raw_send(b, &msg, NULL);
	assert_int_equal(raw_recv(b, &msg, got), 1);
	assert_int_equal(msg.status, 0);
	assert_memory_equal(page, got, PAGE);
	(void)close(b);
	a = hello_on(fard.tcp);
	wait_pool_reserved(a, 0);
	(void)close(a);
	b = raw_connect(fard.tcp);
	raw_hello(b, token, &welcome);
	assert_int_equal(welcome.type, WIRE_ERROR);
	assert_int_equal(welcome.status, -ESTALE);
	(void)close(b);
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
	fd = hello_on(own.tcp);
	fard_stop(&own);
	expect_refusal(fd, -ESHUTDOWN);
}

static void connections_are_bounded(void **state)
{
	struct wire_msg msg;
	struct fard own;
	int a, b, c;

	(void)state;
	fard_start(&own, "4M", "--max-clients=2");
	a = hello_on(own.tcp);
	b = hello_on(own.unix_spec);
	c = raw_connect(own.tcp);
	expect_refusal(c, -EUSERS);
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
	int fd = raw_connect(fard.tcp), idle = hello_on(fard.tcp);
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
	(void)close(hello_on(fard.unix_spec));
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
		(void)close(hello_on(own.unix_spec));
		/* the first one must not unlink what is the second one's */
		assert_int_equal(kill(own.pid, SIGTERM), 0);
		assert_int_equal(waitpid(own.pid, &status, 0), own.pid);
		assert_int_equal(status, 0);
		(void)close(hello_on(own.unix_spec));
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
		TEST(many_clients_keep_to_themselves),
		TEST(a_killed_client_frees_its_space),
		TEST(garbage_ends_only_that_connection),
		TEST(oversized_and_unknown_are_refused),
		TEST(a_half_closed_client_gets_its_answers),
		TEST(slow_readers_cost_bounded_memory),
		TEST(a_slow_reader_that_is_gone_frees_its_space),
		TEST(a_damaged_page_fails_alone),
		TEST(a_clone_is_there_for_who_has_the_token),
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
