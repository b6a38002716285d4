/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfar/base/clock.h"

#define UNIX_BUF_BYTES (1 << 20)
#define KEEP_IDLE_S 30
#define KEEP_INTERVAL_S 10
#define KEEP_COUNT 6

void pool_sock_set(struct pool_sock *s, int fd)
{
	struct stat st = {0};

	s->fd = fd;
	(void)fstat(fd, &st); /* zeros match nothing: then it is left open */
	s->dev = st.st_dev;
	s->ino = st.st_ino;
}

bool pool_sock_is_here(const struct pool_sock *s)
{
	struct stat st;

	return s->fd >= 0 && !fstat(s->fd, &st) && S_ISSOCK(st.st_mode) &&
	       st.st_ino == s->ino && st.st_dev == s->dev;
}

void pool_sock_drop(struct pool_sock *s)
{
	if (pool_sock_is_here(s))
		(void)close(s->fd); /* what was to be said is said */
	s->fd = -1;
}

static void set(int fd, int level, int name, int value)
{
	/* best effort, as the header says */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void pool_sock_tune(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len))
		return;
	if (domain == AF_UNIX) {
		set(fd, SOL_SOCKET, SO_SNDBUF, UNIX_BUF_BYTES);
		set(fd, SOL_SOCKET, SO_RCVBUF, UNIX_BUF_BYTES);
		return;
	}
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
}

int pool_sock_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	uint64_t now;
	int nr;

	for (;;) {
		now = far_now_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		nr = poll(&pfd, 1,
			  (int)((deadline_ns - now) / FAR_NS_PER_MS) + 1);
		if (nr > 0)
			return 0;
		if (nr < 0 && errno != EINTR)
			return -errno;
	}
}

static int finish_connect(int fd, uint64_t deadline_ns)
{
	socklen_t len = sizeof(int);
	int err, soerr = 0;

	err = pool_sock_wait(fd, POLLOUT, deadline_ns);
	if (err)
		return err;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &soerr, &len))
		return -errno;
	return -soerr;
}

/* A unix listener whose queue is full says EAGAIN: there is no event to wait
 * for, so ask again. */
static int start_connect(int fd, const struct pool_addr *addr,
			 uint64_t deadline_ns)
{
	struct timespec pause = {.tv_nsec = 5 * (long)FAR_NS_PER_MS};

	for (;;) {
		if (!connect(fd, (const void *)&addr->sa, addr->len))
			return 0;
		if (errno == EINPROGRESS)
			return finish_connect(fd, deadline_ns);
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (far_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL); /* shorter does no harm */
	}
}

int pool_sock_connect(const struct pool_addr *addr, uint64_t timeout_ns,
		      int *ret_fd)
{
	int fd, err;

	fd = socket(addr->sa.ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = start_connect(fd, addr, far_now_ns() + timeout_ns);
	if (err) {
		(void)close(fd); /* nothing was sent */
		return err;
	}
	pool_sock_tune(fd);
	/*
	 * Only the client gives up on a silent peer: the server must keep the
	 * pages of a client that is being debugged or frozen.
	 */
	if (!pool_addr_is_unix(addr))
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, POOL_SILENCE_MS);
	*ret_fd = fd;
	return 0;
}
