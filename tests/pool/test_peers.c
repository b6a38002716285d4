/* SPDX-License-Identifier: BSD-3-Clause */
/* What clients of all kinds can do to the daemon, and to each other. */
#include "tests/pool/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void garbage_ends_only_that_connection(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: far\r\n\r\n";
	static char junk[200000];
	int good = raw_open(fard.tcp), fd;
	size_t i;

	(void)state;
	fd = raw_connect(fard.tcp);
	assert_true(send(fd, http, sizeof(http), MSG_NOSIGNAL) > 0);
	raw_expect_refusal(fd, -EBADMSG);
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(i * 7919 >> 3);
	fd = raw_open(fard.unix_spec);
	(void)!send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	raw_expect_refusal(fd, -EBADMSG);
	(void)raw_usage(good);
	(void)close(good);
}

static void oversized_and_unknown_are_refused(void **state)
{
	struct wire_msg msg = {
		.type = WIRE_WRITE, .len = UINT32_MAX, .length = UINT32_MAX};
	uint8_t head[WIRE_HEADER_LEN];
	int fd = raw_open(fard.tcp);

	(void)state;
	wire_encode_header(&msg, head);
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL),
			 sizeof(head));
	raw_expect_refusal(fd, -EMSGSIZE);

	fd = raw_open(fard.tcp);
	msg.type = 77;
	msg.length = 0;
	wire_encode_header(&msg, head);
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL),
			 sizeof(head));
	raw_expect_refusal(fd, -EPROTO);

	fd = raw_connect(fard.unix_spec);
	head[4] = 9; /* version */
	assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL),
			 sizeof(head));
	raw_expect_refusal(fd, -EPROTONOSUPPORT);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
	struct wire_msg msg = {.type = WIRE_PING};
	int fd = raw_open(fard.tcp);
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
		fds[i] = raw_open(i & 1 ? fard.tcp : fard.unix_spec);
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
	other = raw_open(fard.tcp);
	for (i = 0; i < 100; i++)
		(void)raw_usage(other);
	(void)close(other);
	assert_true(resident_kib(fard.pid) < before + 8 * 4096);
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
	int fd = raw_open(fard.unix_spec), other = raw_open(fard.tcp);

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
	int fd = raw_open(fard.tcp);

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
	int a = raw_open(fard.tcp), b = raw_connect(fard.unix_spec);
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
	a = raw_open(fard.tcp);
	wait_pool_reserved(a, 0);
	(void)close(a);
	b = raw_connect(fard.tcp);
	raw_hello(b, token, &welcome);
	assert_int_equal(welcome.type, WIRE_ERROR);
	assert_int_equal(welcome.status, -ESTALE);
	(void)close(b);
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
	};

	if (argc != 2)
		return 2;
	fard_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
