/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/pool/fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/base/crc32c.h"
#include "libfar/base/log.h"
#include "pool/addr.h"

const char *fard_path;

static void exec_fard(const struct fard *f, const char *size, const char *extra,
		      int ready_fd)
{
	char ready[16], path[128];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* no daemon outlives us */
	(void)snprintf(ready, sizeof(ready), "%d", ready_fd);
	(void)snprintf(path, sizeof(path), "unix:%s", f->unix_path);
	(void)execl(fard_path, "fard", "--listen", "tcp://127.0.0.1:0",
		    "--listen", path, "--size", size, "--ready-fd", ready,
		    extra, (char *)NULL);
	_exit(127);
}

static void read_ready(int fd, char *buf, size_t len)
{
	size_t used = 0;
	ssize_t n;

	while (used < len - 1) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&pfd, 1, 20000), 1);
		n = read(fd, buf + used, len - 1 - used);
		assert_true(n >= 0);
		if (!n)
			break;
		used += (size_t)n;
	}
	buf[used] = '\0';
}

void fard_start(struct fard *f, const char *size, const char *extra)
{
	char text[300];
	int fds[2];

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/far-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->unix_path, sizeof(f->unix_path), "%s/sock", f->dir);
	(void)snprintf(f->unix_spec, sizeof(f->unix_spec), "unix:%s",
		       f->unix_path);
	assert_int_equal(pipe(fds), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (!f->pid) {
		(void)close(fds[0]);
		exec_fard(f, size, extra, fds[1]);
	}
	(void)close(fds[1]);
	read_ready(fds[0], text, sizeof(text));
	(void)close(fds[0]);
	assert_int_equal(sscanf(text, "%127[^\n]", f->tcp), 1);
	assert_non_null(strstr(text, f->unix_spec));
}

static int wait_for(pid_t pid)
{
	uint64_t end = far_now_ns() + TEST_WAIT_NS;
	struct timespec tick = {.tv_nsec = 2000000};
	int status;
	pid_t got;

	while (!(got = waitpid(pid, &status, WNOHANG))) {
		assert_true(far_now_ns() < end);
		(void)nanosleep(&tick, NULL);
	}
	assert_int_equal(got, pid);
	return status;
}

void fard_stop(struct fard *f)
{
	int status;

	assert_int_equal(kill(f->pid, SIGTERM), 0);
	status = wait_for(f->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(f->unix_path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
}

void fard_kill(struct fard *f)
{
	assert_int_equal(kill(f->pid, SIGKILL), 0);
	assert_true(WIFSIGNALED(wait_for(f->pid)));
	(void)unlink(f->unix_path);
	assert_int_equal(rmdir(f->dir), 0);
}

struct far_backend *open_backend(const char *spec)
{
	struct far_backend *be;

	assert_int_equal(far_backend_open(spec, far_log_stderr, NULL, &be), 0);
	return be;
}

void run_ios(struct far_queue *q, struct far_io *ios, unsigned nr)
{
	uint64_t end = far_now_ns() + TEST_WAIT_NS;
	struct far_io *done[32];
	unsigned i, sent = 0, got = 0;
	int rc;

	for (i = 0; i < nr; i++) {
		ios[i].next = i + 1 < nr ? &ios[i + 1] : NULL;
		ios[i].res = 1;
	}
	while (got < nr) {
		assert_true(far_now_ns() < end);
		if (sent < nr) {
			rc = far_queue_submit(q, &ios[sent], nr - sent);
			assert_true(rc > 0 || rc == -EAGAIN);
			sent += rc > 0 ? (unsigned)rc : 0;
		}
		rc = far_queue_poll(q, done, FAR_ARRAY_SIZE(done));
		assert_true(rc >= 0);
		got += (unsigned)rc;
		if (!rc)
			assert_int_equal(far_queue_wait(q, TEST_WAIT_NS), 0);
	}
	for (i = 0; i < nr; i++)
		assert_true(ios[i].res <= 0);
}

int run_io(struct far_queue *q, unsigned op, uint64_t off, void *buf,
	   size_t len)
{
	struct far_io io = {
		.off = off, .buf = buf, .len = (uint32_t)len, .op = op};

	run_ios(q, &io, 1);
	return io.res;
}

void fill_page(void *page, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	char *p = page;
	size_t i;

	for (i = 0; i < PAGE; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, sizeof(x));
	}
}

int raw_connect(const char *text)
{
	struct timeval limit = {.tv_sec = 20};
	struct pool_addr addr;
	int fd;

	assert_int_equal(pool_addr_parse(text, &addr), 0);
	fd = socket(addr.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (void *)&addr.sa, addr.len), 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

void raw_send(int fd, struct wire_msg *msg, const void *payload)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	size_t len;

	if (!payload) {
		len = wire_encode(msg, buf);
		assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), len);
		return;
	}
	msg->payload_crc ^= far_crc32c(0, payload, msg->length);
	wire_encode_header(msg, buf);
	assert_int_equal(send(fd, buf, WIRE_HEADER_LEN, MSG_NOSIGNAL),
			 WIRE_HEADER_LEN);
	assert_int_equal(send(fd, payload, msg->length, MSG_NOSIGNAL),
			 msg->length);
}

int raw_recv(int fd, struct wire_msg *ret_msg, void *payload)
{
	static uint8_t buf[WIRE_MAX_FRAME];
	ssize_t n;
	int got;

	n = recv(fd, buf, WIRE_HEADER_LEN, MSG_WAITALL);
	if (n <= 0) {
		assert_true(!n || errno == ECONNRESET);
		return 0;
	}
	assert_int_equal(n, WIRE_HEADER_LEN);
	got = wire_decode(buf, WIRE_HEADER_LEN, ret_msg);
	assert_true(got > 0);
	if (got == WIRE_GOT_HEADER) {
		n = recv(fd, buf + WIRE_HEADER_LEN, ret_msg->length,
			 MSG_WAITALL);
		assert_int_equal(n, ret_msg->length);
		assert_int_equal(
			wire_decode(buf, WIRE_HEADER_LEN + (size_t)n, ret_msg),
			WIRE_GOT_FRAME);
		if (payload)
			memcpy(payload, buf + WIRE_HEADER_LEN, (size_t)n);
	}
	ret_msg->payload = NULL;
	return 1;
}

void raw_hello(int fd, const uint8_t *token, struct wire_msg *ret_welcome)
{
	struct wire_msg msg = {.type = WIRE_HELLO, .id = 1};

	msg.hello.min_version = msg.hello.max_version = WIRE_VERSION;
	(void)snprintf(msg.hello.tenant, sizeof(msg.hello.tenant), "test");
	if (token) {
		msg.hello.attach = WIRE_ATTACH;
		memcpy(msg.hello.token, token, WIRE_TOKEN_LEN);
	}
	raw_send(fd, &msg, NULL);
	assert_int_equal(raw_recv(fd, ret_welcome, NULL), 1);
}

int raw_open(const char *addr)
{
	struct wire_msg msg;
	int fd = raw_connect(addr);

	raw_hello(fd, NULL, &msg);
	assert_int_equal(msg.type, WIRE_HELLO | WIRE_REPLY);
	return fd;
}

void raw_expect_refusal(int fd, int status)
{
	struct wire_msg msg;

	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	assert_int_equal(msg.type, WIRE_ERROR);
	assert_int_equal(msg.status, status);
	assert_int_equal(raw_recv(fd, &msg, NULL), 0);
	(void)close(fd);
}

struct wire_usage raw_usage(int fd)
{
	struct wire_msg msg = {.type = WIRE_USAGE, .id = 2};

	raw_send(fd, &msg, NULL);
	assert_int_equal(raw_recv(fd, &msg, NULL), 1);
	assert_int_equal(msg.type, WIRE_USAGE | WIRE_REPLY);
	return msg.usage;
}

void wait_pool_reserved(int fd, uint64_t bytes)
{
	uint64_t end = far_now_ns() + TEST_WAIT_NS;

	while (raw_usage(fd).pool_reserved != bytes)
		assert_true(far_now_ns() < end);
}
