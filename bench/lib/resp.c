/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/resp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SILENCE_S 60
#define BULK_MAX (512 << 20) /* Redis' own bound */

/* The line at @buf up to "\r\n"; its length, or -EAGAIN. */
static int line_length(const char *buf, size_t len, size_t *ret_len)
{
	const char *end = memchr(buf, '\r', len);

	if (!end || (size_t)(end - buf) + 1 >= len)
		return -EAGAIN;
	if (end[1] != '\n')
		return -EPROTO;
	*ret_len = (size_t)(end - buf);
	return 0;
}

static int parse_bulk(const char *buf, size_t len, size_t head,
		      struct bench_reply *ret_reply, size_t *ret_used)
{
	char *end;
	long n = strtol(buf + 1, &end, 10);

	if (end != buf + head || n < -1 || n > BULK_MAX)
		return -EPROTO;
	if (n == -1) {
		*ret_reply = (struct bench_reply){.type = BENCH_REPLY_NIL};
		*ret_used = head + 2;
		return 0;
	}
	if (len < head + 2 + (size_t)n + 2)
		return -EAGAIN;
	if (memcmp(buf + head + 2 + n, "\r\n", 2))
		return -EPROTO;
	*ret_reply = (struct bench_reply){.type = BENCH_REPLY_BULK,
					  .data = buf + head + 2,
					  .len = (size_t)n};
	*ret_used = head + 2 + (size_t)n + 2;
	return 0;
}

int bench_reply_parse(const char *buf, size_t len,
		      struct bench_reply *ret_reply, size_t *ret_used)
{
	enum bench_reply_type type;
	size_t head;
	int err;

	if (!len)
		return -EAGAIN;
	switch (buf[0]) {
	case '+':
		type = BENCH_REPLY_STATUS;
		break;
	case '-':
		type = BENCH_REPLY_ERROR;
		break;
	case ':':
		type = BENCH_REPLY_NUMBER;
		break;
	case '$':
		type = BENCH_REPLY_BULK;
		break;
	default:
		return -EPROTO;
	}
	err = line_length(buf, len, &head);
	if (err)
		return err;
	if (type == BENCH_REPLY_BULK)
		return parse_bulk(buf, len, head, ret_reply, ret_used);
	*ret_reply = (struct bench_reply){
		.type = type, .data = buf + 1, .len = head - 1};
	*ret_used = head + 2;
	return 0;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	err = -errno;
	(void)close(fd);
	return err;
}

static int connect_tcp(unsigned port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port)};
	const int on = 1;
	int fd, err;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) &&
	    !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		return fd;
	err = -errno;
	(void)close(fd);
	return err;
}

int bench_conn_open(struct bench_conn *c, const char *path, unsigned port,
		    size_t cap)
{
	const struct timeval silence = {.tv_sec = SILENCE_S};

	memset(c, 0, sizeof(*c));
	c->fd = path ? connect_unix(path) : connect_tcp(port);
	if (c->fd < 0)
		return c->fd;
	c->cap = cap;
	/* One byte more: numbers are parsed as strings. */
	c->in = calloc(1, cap + 1);
	c->out = malloc(cap);
	if (!c->in || !c->out) {
		bench_conn_close(c);
		return -ENOMEM;
	}
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &silence,
			 sizeof(silence)); /* without it we only wait longer */
	return 0;
}

void bench_conn_close(struct bench_conn *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->in);
	free(c->out);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

int bench_conn_add(struct bench_conn *c, unsigned nr, const char *const *args,
		   const size_t *lens)
{
	size_t need = 32;
	unsigned i;

	for (i = 0; i < nr; i++)
		need += lens[i] + 32;
	if (need > c->cap - c->out_len)
		return -ENOBUFS;
	c->out_len += (size_t)sprintf(c->out + c->out_len, "*%u\r\n", nr);
	for (i = 0; i < nr; i++) {
		c->out_len += (size_t)sprintf(c->out + c->out_len, "$%zu\r\n",
					      lens[i]);
		memcpy(c->out + c->out_len, args[i], lens[i]);
		c->out_len += lens[i];
		memcpy(c->out + c->out_len, "\r\n", 2);
		c->out_len += 2;
	}
	return 0;
}

int bench_conn_send(struct bench_conn *c)
{
	size_t pos = 0;

	while (pos < c->out_len) {
		ssize_t n = send(c->fd, c->out + pos, c->out_len - pos,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		pos += (size_t)n;
	}
	c->out_len = 0;
	return 0;
}

int bench_conn_recv(struct bench_conn *c)
{
	ssize_t n;

	if (c->in_pos) {
		memmove(c->in, c->in + c->in_pos, c->in_len - c->in_pos);
		c->in_len -= c->in_pos;
		c->in_pos = 0;
	}
	if (c->in_len == c->cap)
		return -EMSGSIZE;
	do
		n = recv(c->fd, c->in + c->in_len, c->cap - c->in_len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!n)
		return -EPIPE;
	c->in_len += (size_t)n;
	return 0;
}

int bench_conn_next(struct bench_conn *c, struct bench_reply *ret_reply)
{
	size_t used;
	int err;

	err = bench_reply_parse(c->in + c->in_pos, c->in_len - c->in_pos,
				ret_reply, &used);
	if (!err)
		c->in_pos += used;
	return err;
}

int bench_conn_reply(struct bench_conn *c, struct bench_reply *ret_reply)
{
	int err;

	while ((err = bench_conn_next(c, ret_reply)) == -EAGAIN) {
		err = bench_conn_recv(c);
		if (err)
			return err == -EAGAIN ? -ETIMEDOUT : err;
	}
	return err;
}
