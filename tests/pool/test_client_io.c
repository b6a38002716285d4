/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client against a server played by the test: wrong answers, odd pieces,
 * no answers.  Only greetings need a thread; the data plane never blocks, so
 * the test plays both sides of it in turn.
 */
#include "tests/pool/fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/base/crc32c.h"

#define NR_IOS 64

/* How the played server greets. */
enum greeting {
	GREET_WELL,
	GREET_OTHER_VERSION, /* WELCOME to version 2 */
	GREET_OTHER_HEADER,  /* a header of version 9 */
	GREET_STALE,
	GREET_GARBAGE,
	GREET_HANG_UP,
	GREET_NOT,
};

static int listen_fd;
static char dir[64], spec[160];

struct accepting {
	pthread_t thread;
	enum greeting greeting;
	int fd; /* out: the server's end */
};

static void send_welcome(int fd, const struct wire_msg *hello,
			 enum greeting greeting)
{
	struct wire_msg msg = {.type = WIRE_HELLO | WIRE_REPLY,
			       .id = hello->id};
	uint8_t buf[WIRE_ENCODE_MAX];
	size_t len;

	msg.welcome.version = greeting == GREET_OTHER_VERSION ? 2 : 1;
	msg.welcome.max_len = WIRE_MAX_LEN;
	msg.welcome.max_depth = WIRE_MAX_DEPTH;
	msg.welcome.capacity = 1 << 30;
	if (greeting == GREET_STALE)
		wire_error(&msg, -ESTALE, "no such export");
	len = wire_encode(&msg, buf);
	if (greeting == GREET_OTHER_HEADER)
		buf[4] = 9;
	if (greeting == GREET_GARBAGE)
		memset(buf, 'x', len);
	(void)!send(fd, buf, len, MSG_NOSIGNAL);
}

static void *accept_one(void *arg)
{
	struct accepting *a = arg;
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg = {0};
	ssize_t n;

	a->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (a->greeting == GREET_NOT || a->fd < 0)
		return NULL;
	n = recv(a->fd, buf, WIRE_HEADER_LEN, MSG_WAITALL);
	if (n == WIRE_HEADER_LEN && wire_decode(buf, (size_t)n, &msg) > 0)
		n = recv(a->fd, buf, msg.length, MSG_WAITALL);
	if (a->greeting == GREET_HANG_UP)
		(void)shutdown(a->fd, SHUT_RDWR);
	else
		send_welcome(a->fd, &msg, a->greeting);
	return NULL;
}

static void accept_begin(struct accepting *a, enum greeting greeting)
{
	a->greeting = greeting;
	assert_int_equal(pthread_create(&a->thread, NULL, accept_one, a), 0);
}

static int accept_end(struct accepting *a)
{
	assert_int_equal(pthread_join(a->thread, NULL), 0);
	assert_true(a->fd >= 0);
	return a->fd;
}

static int setup(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/far-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", dir);
	(void)snprintf(spec, sizeof(spec), "unix:%s", un.sun_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listen_fd, (void *)&un, sizeof(un)), 0);
	return listen(listen_fd, 8);
}

static int teardown(void **state)
{
	(void)state;
	(void)close(listen_fd);
	(void)unlink(spec + strlen("unix:"));
	return rmdir(dir);
}

/* A backend and a queue; *@ret_fd is the server's end of the queue. */
struct played {
	struct far_backend *be;
	struct far_queue *q;
	int control_fd, fd;
	struct far_io ios[NR_IOS];
	char bufs[NR_IOS][PAGE];
	unsigned done;
};

static struct played pl;

static void play(void)
{
	struct accepting a;

	memset(&pl, 0, sizeof(pl));
	accept_begin(&a, GREET_WELL);
	pl.be = open_backend(spec);
	pl.control_fd = accept_end(&a);
	accept_begin(&a, GREET_WELL);
	assert_int_equal(far_queue_open(pl.be, 256, &pl.q), 0);
	pl.fd = accept_end(&a);
}

static void play_end(void)
{
	far_queue_close(pl.q);
	far_backend_close(pl.be);
	(void)close(pl.fd);
	(void)close(pl.control_fd);
}

static void submit_reads(unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr; i++)
		pl.ios[i] = (struct far_io){.off = i * PAGE,
					    .buf = pl.bufs[i],
					    .len = PAGE,
					    .res = 1,
					    .next = i + 1 < nr ? &pl.ios[i + 1]
							       : NULL};
	assert_int_equal(far_queue_submit(pl.q, pl.ios, nr), nr);
}

static void poll_some(void)
{
	struct far_io *done[8];
	int n = far_queue_poll(pl.q, done, 8);

	assert_true(n >= 0);
	pl.done += (unsigned)n;
}

static void poll_until(unsigned nr)
{
	uint64_t end = far_now_ns() + TEST_WAIT_NS;

	while (pl.done < nr) {
		assert_true(far_now_ns() < end);
		assert_int_equal(far_queue_wait(pl.q, TEST_WAIT_NS), 0);
		poll_some();
	}
	assert_int_equal(pl.done, nr);
}

/* The server's next request. */
static struct wire_msg request(void)
{
	struct wire_msg msg;

	assert_int_equal(raw_recv(pl.fd, &msg, NULL), 1);
	return msg;
}

static size_t make_answer(const struct wire_msg *req, int status, uint8_t *buf)
{
	struct wire_msg msg = {.type = req->type | WIRE_REPLY,
			       .id = req->id,
			       .off = req->off,
			       .len = req->len,
			       .status = status};

	if (req->type == WIRE_READ && !status) {
		msg.length = PAGE;
		fill_page(buf + WIRE_HEADER_LEN, req->off / PAGE);
		msg.payload_crc = far_crc32c(0, buf + WIRE_HEADER_LEN, PAGE);
	}
	wire_encode_header(&msg, buf);
	return WIRE_HEADER_LEN + msg.length;
}

static void put(const void *buf, size_t len)
{
	assert_int_equal(send(pl.fd, buf, len, MSG_NOSIGNAL), len);
}

static void check_page(unsigned i)
{
	char want[PAGE];

	assert_int_equal(pl.ios[i].res, 0);
	fill_page(want, i);
	assert_memory_equal(pl.bufs[i], want, PAGE);
}

static void a_damaged_page_is_ebadmsg_and_no_more(void **state)
{
	static uint8_t buf[WIRE_HEADER_LEN + PAGE];
	struct wire_msg req;
	unsigned i;
	size_t len;

	(void)state;
	play();
	submit_reads(3);
	for (i = 0; i < 3; i++) {
		req = request();
		len = make_answer(&req, 0, buf);
		if (i == 1)
			buf[len - 7] ^= 0x10;
		put(buf, len);
	}
	poll_until(3);
	check_page(0);
	assert_int_equal(pl.ios[1].res, -EBADMSG);
	check_page(2);
	play_end();
}

/* Every split of the answers' bytes that a stride of 1 to many gives. */
static void answers_may_come_in_any_pieces(void **state)
{
	static const size_t strides[] = {1,    47,   48,   49,	 97,   4095,
					 4096, 4097, 4143, 4145, 9000, 70000};
	static uint8_t all[NR_IOS * (WIRE_HEADER_LEN + PAGE)];
	struct wire_msg req;
	size_t s, len, at, n;
	unsigned i;

	(void)state;
	play();
	for (s = 0; s < FAR_ARRAY_SIZE(strides); s++) {
		unsigned nr = s ? NR_IOS : 4; /* byte by byte takes long */

		memset(pl.bufs, 0, sizeof(pl.bufs));
		pl.done = 0;
		submit_reads(nr);
		for (i = 0, len = 0; i < nr; i++) {
			req = request();
			len += make_answer(&req, i % 3 == 1 ? -ENODATA : 0,
					   all + len);
		}
		for (at = 0; at < len; at += n) {
			n = far_min_u64(strides[s], len - at);
			put(all + at, n);
			poll_some();
		}
		poll_until(nr);
		for (i = 0; i < nr; i++) {
			if (i % 3 == 1)
				assert_int_equal(pl.ios[i].res, -ENODATA);
			else
				check_page(i);
		}
	}
	play_end();
}

static void expect_all_lost(unsigned nr)
{
	unsigned i;

	poll_until(nr);
	for (i = 0; i < nr; i++)
		assert_int_equal(pl.ios[i].res, -EHOSTDOWN);
	assert_int_equal(far_queue_submit(pl.q, pl.ios, 1), -EHOSTDOWN);
	play_end();
}

static void an_error_message_ends_all(void **state)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg;

	(void)state;
	play();
	submit_reads(5);
	wire_error(&msg, -ESHUTDOWN, "bye");
	put(buf, wire_encode(&msg, buf));
	expect_all_lost(5);
}

static void wrong_answers_end_all(void **state)
{
	static uint8_t buf[WIRE_HEADER_LEN + PAGE];
	struct wire_msg wrong;
	unsigned i;
	size_t len;

	(void)state;
	for (i = 0; i < 6; i++) {
		play();
		submit_reads(4);
		wrong = request();
		if (i == 0)
			wrong.id++; /* not its turn */
		if (i == 1)
			wrong.type = WIRE_WRITE; /* another's answer */
		if (i == 2)
			wrong.id = 1000; /* never asked */
		len = make_answer(&wrong, 0, buf);
		if (i == 3)
			buf[10]++; /* a header that is damaged */
		if (i == 4)
			memset(buf, 'x', len);
		if (i == 5) { /* twice the page that was asked for */
			wrong.length = 2 * PAGE;
			wrong.len = 2 * PAGE;
			wrong.type |= WIRE_REPLY;
			wire_encode_header(&wrong, buf);
		}
		put(buf, len);
		expect_all_lost(4);
	}
}

static void an_answer_to_nothing_ends_it(void **state)
{
	struct wire_msg nothing = {.type = WIRE_WRITE};
	uint8_t buf[WIRE_HEADER_LEN];
	struct pollfd pfd;

	(void)state;
	play();
	put(buf, make_answer(&nothing, 0, buf));
	pfd = (struct pollfd){.fd = far_queue_event_fd(pl.q), .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	/* the operation itself: the dispatch layer knows that all is done */
	assert_int_equal(pl.be->ops->poll(pl.q, NULL, 0), 0);
	assert_int_equal(poll(&pfd, 1, 0), 0); /* and nobody spins on it */
	pl.ios[0] = (struct far_io){.buf = pl.bufs[0], .len = PAGE};
	assert_int_equal(far_queue_submit(pl.q, pl.ios, 1), -EHOSTDOWN);
	play_end();
}

/* 4 MiB of writes to a server that does not read. */
static void a_server_that_does_not_read_blocks_nobody(void **state)
{
	static char big[WIRE_MAX_LEN];
	static uint8_t buf[WIRE_HEADER_LEN];
	struct wire_msg req;
	struct pollfd pfd;
	unsigned i;

	(void)state;
	play();
	for (i = 0; i < sizeof(big) / PAGE; i++)
		fill_page(big + i * PAGE, i);
	for (i = 0; i < NR_IOS; i++)
		pl.ios[i] = (struct far_io){
			.off = i * WIRE_MAX_LEN,
			.buf = big,
			.len = WIRE_MAX_LEN,
			.op = FAR_IO_WRITE,
			.next = i + 1 < NR_IOS ? &pl.ios[i + 1] : NULL};
	assert_int_equal(far_queue_submit(pl.q, pl.ios, NR_IOS), NR_IOS);
	pfd = (struct pollfd){.fd = far_queue_event_fd(pl.q), .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, 50), 0); /* no room, no answer */
	for (i = 0; i < NR_IOS; i++) {
		static uint8_t in[WIRE_MAX_LEN];
		size_t got = 0, want = WIRE_HEADER_LEN;
		uint8_t head[WIRE_HEADER_LEN];
		ssize_t n;

		while (got < want + WIRE_MAX_LEN) {
			uint8_t *to = got < want ? head + got : in + got - want;
			size_t rest = got < want ? want - got
						 : want + WIRE_MAX_LEN - got;

			n = recv(pl.fd, to, rest, MSG_DONTWAIT);
			if (n > 0) {
				got += (size_t)n;
				continue;
			}
			/* now there is room: the client must be told */
			assert_int_equal(poll(&pfd, 1, 20000), 1);
			poll_some();
		}
		assert_true(wire_decode(head, want, &req) > 0);
		assert_int_equal(req.off, i * WIRE_MAX_LEN);
		assert_memory_equal(in, big, WIRE_MAX_LEN);
		assert_int_equal(req.id, i);
	}
	assert_int_equal(pl.done, 0);
	for (i = 0; i < NR_IOS; i++) {
		req.id = i;
		put(buf, make_answer(&req, 0, buf));
	}
	poll_until(NR_IOS);
	for (i = 0; i < NR_IOS; i++)
		assert_int_equal(pl.ios[i].res, 0);
	play_end();
}

static void hear(void *ctx, enum far_log_level level, const char *msg)
{
	(void)level;
	(void)snprintf(ctx, 300, "%s", msg);
}

static void other_servers_are_refused(void **state)
{
	static const struct {
		enum greeting greeting;
		int err;
		const char *says;
	} cases[] = {
		{GREET_OTHER_VERSION, -EPROTONOSUPPORT, "version 1"},
		{GREET_OTHER_HEADER, -EPROTONOSUPPORT, "version 1"},
		{GREET_GARBAGE, -EPROTO, "check the address"},
		{GREET_STALE, -ESTALE, "no such export"},
		{GREET_HANG_UP, -EHOSTDOWN, "cannot connect"},
	};
	struct far_backend *be;
	struct accepting a;
	struct wire_msg msg;
	char said[300];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(cases); i++) {
		accept_begin(&a, cases[i].greeting);
		assert_int_equal(far_backend_open(spec, hear, said, &be),
				 cases[i].err);
		assert_non_null(strstr(said, cases[i].says));
		fd = accept_end(&a);
		/* it is told, too, if it is the one who is not understood */
		if (cases[i].err == -EPROTONOSUPPORT) {
			assert_int_equal(raw_recv(fd, &msg, NULL), 1);
			assert_int_equal(msg.type, WIRE_ERROR);
			assert_int_equal(msg.status, -EPROTONOSUPPORT);
		}
		(void)close(fd);
	}
}

static void a_silent_server_times_out(void **state)
{
	uint64_t start = far_now_ns();
	struct far_backend *be;
	struct accepting a;
	char said[300];

	(void)state;
	accept_begin(&a, GREET_NOT);
	assert_int_equal(far_backend_open(spec, hear, said, &be), -ETIMEDOUT);
	assert_true(far_now_ns() - start > 4 * FAR_NS_PER_S);
	assert_true(far_now_ns() - start < 15 * FAR_NS_PER_S);
	(void)close(accept_end(&a));
}

static void a_server_that_lost_our_pages_is_stale(void **state)
{
	struct far_queue *q;
	struct accepting a;
	uint64_t off;
	int fd;

	(void)state;
	play();
	accept_begin(&a, GREET_STALE);
	assert_int_equal(far_queue_open(pl.be, 8, &q), -ESTALE);
	(void)close(accept_end(&a));
	/* the control connection is lost; made anew, the token is unknown */
	(void)shutdown(pl.control_fd, SHUT_RDWR);
	assert_int_equal(far_backend_reserve(pl.be, PAGE, &off), -EHOSTDOWN);
	accept_begin(&a, GREET_STALE);
	assert_int_equal(far_backend_reserve(pl.be, PAGE, &off), -ESTALE);
	fd = accept_end(&a);
	(void)close(fd);
	play_end();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_damaged_page_is_ebadmsg_and_no_more),
		TEST(answers_may_come_in_any_pieces),
		TEST(an_error_message_ends_all),
		TEST(wrong_answers_end_all),
		TEST(an_answer_to_nothing_ends_it),
		TEST(a_server_that_does_not_read_blocks_nobody),
		TEST(other_servers_are_refused),
		TEST(a_silent_server_times_out),
		TEST(a_server_that_lost_our_pages_is_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
