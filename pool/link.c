/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/link.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "pool/sock.h"

static bool is_retry(int err)
{
	return err == EAGAIN || err == EINTR;
}

static int send_all(int fd, const uint8_t *buf, size_t len,
		    uint64_t deadline_ns)
{
	ssize_t n;
	int err;

	while (len) {
		n = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			buf += n;
			len -= (size_t)n;
			continue;
		}
		if (!is_retry(errno))
			return -EHOSTDOWN;
		err = pool_sock_wait(fd, POLLOUT, deadline_ns);
		if (err)
			return err;
	}
	return 0;
}

static int recv_all(int fd, uint8_t *buf, size_t len, uint64_t deadline_ns)
{
	ssize_t n;
	int err;

	while (len) {
		n = recv(fd, buf, len, MSG_DONTWAIT);
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
			continue;
		}
		if (!n || !is_retry(errno))
			return -EHOSTDOWN;
		err = pool_sock_wait(fd, POLLIN, deadline_ns);
		if (err)
			return err;
	}
	return 0;
}

/* Tells the server why we go; it need not listen. */
static void send_error(int fd, int status, const char *text)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg;

	wire_error(&msg, status, text);
	(void)send(fd, buf, wire_encode(&msg, buf),
		   MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Replies on a control connection are small: they fit @buf. */
static int recv_msg(int fd, uint8_t *buf, struct wire_msg *ret_msg,
		    uint64_t deadline_ns)
{
	int got, err;

	err = recv_all(fd, buf, WIRE_HEADER_LEN, deadline_ns);
	if (err)
		return err;
	got = wire_decode(buf, WIRE_HEADER_LEN, ret_msg);
	if (got == WIRE_GOT_HEADER) {
		if (ret_msg->length > WIRE_ENCODE_MAX - WIRE_HEADER_LEN)
			return -EPROTO;
		err = recv_all(fd, buf + WIRE_HEADER_LEN, ret_msg->length,
			       deadline_ns);
		if (err)
			return err;
		got = wire_decode(buf, WIRE_HEADER_LEN + ret_msg->length,
				  ret_msg);
	}
	if (got == WIRE_GOT_FRAME)
		return 0;
	send_error(fd, got < 0 ? got : -EPROTO,
		   "this client speaks version 1 of the protocol and could not "
		   "read the server's message");
	return got == -EPROTONOSUPPORT ? got : -EPROTO;
}

/* 0 and a message: the reply to @req, or an ERROR. */
static int call(int fd, struct wire_msg *req, struct wire_msg *ret_reply,
		uint64_t deadline_ns)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	int err;

	req->id = far_now_ns();
	err = send_all(fd, buf, wire_encode(req, buf), deadline_ns);
	/* A server that refuses closes its end: its reason may be there. */
	if (err && err != -EHOSTDOWN)
		return err;
	err = recv_msg(fd, buf, ret_reply, deadline_ns);
	if (err)
		return err;
	ret_reply->payload = NULL;
	if (ret_reply->type == WIRE_ERROR)
		return 0;
	if (ret_reply->type != (req->type | WIRE_REPLY) ||
	    ret_reply->id != req->id)
		return -EPROTO;
	return 0;
}

int pool_link_call(int fd, struct wire_msg *req, struct wire_msg *ret_reply,
		   uint64_t timeout_ns)
{
	int err = call(fd, req, ret_reply, far_now_ns() + timeout_ns);

	if (!err && ret_reply->type == WIRE_ERROR)
		return -EHOSTDOWN;
	return err;
}

static int greet(int fd, const struct wire_hello *hello,
		 struct wire_welcome *ret_welcome, uint64_t deadline_ns,
		 char *why)
{
	struct wire_msg req, rep;
	int err;

	memset(&req, 0, sizeof(req));
	req.type = WIRE_HELLO;
	req.hello = *hello;
	req.hello.min_version = WIRE_VERSION;
	req.hello.max_version = WIRE_VERSION;
	err = call(fd, &req, &rep, deadline_ns);
	if (err)
		return err;
	if (rep.type == WIRE_ERROR) {
		memcpy(why, rep.text, WIRE_TEXT_MAX);
		return rep.status;
	}
	if (rep.status)
		return rep.status;
	if (rep.welcome.version != WIRE_VERSION) {
		send_error(fd, -EPROTONOSUPPORT,
			   "this client speaks version 1 of the protocol");
		return -EPROTONOSUPPORT;
	}
	*ret_welcome = rep.welcome;
	return 0;
}

int pool_link_open(const struct pool_addr *addr, const struct wire_hello *hello,
		   int *ret_fd, struct wire_welcome *ret_welcome, char *why)
{
	uint64_t deadline_ns = far_now_ns() + POOL_CONNECT_NS;
	int fd, err;

	why[0] = '\0';
	err = pool_sock_connect(addr, POOL_CONNECT_NS, &fd);
	if (err)
		return err;
	err = greet(fd, hello, ret_welcome, deadline_ns, why);
	if (err) {
		(void)close(fd); /* all has been said */
		return err;
	}
	*ret_fd = fd;
	return 0;
}
