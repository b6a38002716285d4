/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "pool/listen.h"
#include "pool/session.h"
#include "pool/sock.h"

#define NR_EVENTS 64
#define ACCEPT_BURST 16
#define READ_BURST 4		     /* then it is the others' turn */
#define LINGER_NS (1 * FAR_NS_PER_S) /* for the peer to read our ERROR */
#define FLUSH_NS (5 * FAR_NS_PER_S)  /* for it to take what is left */
#define ACCEPT_PAUSE_NS (100 * FAR_NS_PER_MS)
#define EXTRA_CONNS 64 /* being told that there is no room */

/* What epoll gives back: which of the three it is. */
enum watch_kind { WATCH_STOP, WATCH_LISTENER, WATCH_CONN };

struct watch {
	enum watch_kind kind;
	int fd;
};

struct conn {
	struct watch watch; /* first */
	struct conn *next, **link;
	struct pool_session *session; /* NULL: lingering, input is dropped */
	uint32_t events;	      /* asked of epoll */
	uint64_t id;
	uint64_t deadline_ns; /* closed then; 0: never */
};

struct pool_server {
	struct pool_server_attr attr;
	int epoll_fd;
	struct conn *conns;
	unsigned nr_conns, nr_sessions;
	uint64_t last_id;
	uint64_t now_ns;    /* when epoll returned */
	uint64_t accept_ns; /* no descriptors left: try again then; 0: fine */
	struct watch stop;
	struct watch listener_watch[POOL_MAX_LISTENERS];
	struct pool_listener listeners[POOL_MAX_LISTENERS];
	unsigned nr_listeners;
};

static int watch_add(struct pool_server *sv, struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(sv->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) ? -errno : 0;
}

static void watch_set(struct pool_server *sv, struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};
	int err = epoll_ctl(sv->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);

	assert(!err); /* it is there, and changing needs no memory */
	(void)err;
}

/* ---- connections ---- */

static void conn_close(struct pool_server *sv, struct conn *c)
{
	if (c->session) {
		far_log(sv->attr.log, FAR_LOG_DEBUG, "client %llu: closed",
			(unsigned long long)c->id);
		pool_session_destroy(c->session);
		sv->nr_sessions--;
	}
	(void)close(c->watch.fd); /* what it could say, send() has said */
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	sv->nr_conns--;
	free(c);
}

/*
 * Everything is sent.  If the peer may still be sending, closing at once
 * would reset the connection and could take our last message with it.
 */
static void conn_end(struct pool_server *sv, struct conn *c, bool is_eof)
{
	const char *reason = pool_session_reason(c->session);

	if (*reason)
		far_log(sv->attr.log, FAR_LOG_WARN, "client %llu ended: %s",
			(unsigned long long)c->id, reason);
	if (is_eof || !*reason || shutdown(c->watch.fd, SHUT_WR)) {
		conn_close(sv, c);
		return;
	}
	pool_session_destroy(c->session);
	c->session = NULL;
	sv->nr_sessions--;
	c->deadline_ns = sv->now_ns + LINGER_NS;
	c->events = EPOLLIN;
	watch_set(sv, &c->watch, EPOLLIN);
}

static void conn_drain(struct pool_server *sv, struct conn *c)
{
	char dump[4096];
	ssize_t n;
	int i;

	for (i = 0; i < READ_BURST; i++) {
		n = recv(c->watch.fd, dump, sizeof(dump), 0);
		if (n > 0)
			continue;
		if (!n || (errno != EAGAIN && errno != EINTR))
			conn_close(sv, c);
		return;
	}
}

/* 0 all sent; -EAGAIN the socket is full; else the connection is lost. */
static int conn_flush(struct pool_server *sv, struct conn *c)
{
	const uint8_t *buf;
	size_t len;
	ssize_t n;

	while ((len = pool_session_output(c->session, &buf)) > 0) {
		n = send(c->watch.fd, buf, len, MSG_NOSIGNAL);
		if (n > 0)
			pool_session_sent(c->session, (size_t)n, sv->now_ns);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* 1 there may be more; 0 that was all; -EPIPE end of input; else lost. */
static int conn_read(struct pool_server *sv, struct conn *c)
{
	size_t room;
	uint8_t *buf;
	ssize_t n;

	room = pool_session_space(c->session, &buf);
	if (!room)
		return 0;
	n = recv(c->watch.fd, buf, room, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n) {
		pool_session_eof(c->session, sv->now_ns);
		return -EPIPE;
	}
	pool_session_feed(c->session, (size_t)n, sv->now_ns);
	return (size_t)n == room;
}

static void conn_rearm(struct pool_server *sv, struct conn *c, bool is_blocked)
{
	uint32_t events = is_blocked ? EPOLLOUT : EPOLLIN;

	if (pool_session_is_over(c->session)) {
		if (!c->deadline_ns)
			c->deadline_ns = sv->now_ns + FLUSH_NS;
	} else if (pool_session_is_open(c->session)) {
		c->deadline_ns = 0;
	}
	if (c->events == events)
		return;
	c->events = events;
	watch_set(sv, &c->watch, events);
}

static void conn_work(struct pool_server *sv, struct conn *c)
{
	int i, err, got = 1;

	for (i = 0; i < READ_BURST && got > 0; i++) {
		err = conn_flush(sv, c);
		if (!err && !pool_session_is_over(c->session)) {
			got = conn_read(sv, c);
			if (got < 0 && got != -EPIPE) {
				conn_close(sv, c);
				return;
			}
			err = conn_flush(sv, c);
		}
		if (err == -EAGAIN)
			break;
		if (err) {
			conn_close(sv, c);
			return;
		}
		if (pool_session_is_over(c->session)) {
			conn_end(sv, c, got == -EPIPE);
			return;
		}
	}
	conn_rearm(sv, c, err == -EAGAIN);
}

/* ---- accepting ---- */

static int conn_create(struct pool_server *sv, int fd, struct conn **ret_conn)
{
	struct conn *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->watch.kind = WATCH_CONN;
	c->watch.fd = fd;
	c->events = EPOLLIN;
	c->id = ++sv->last_id;
	err = watch_add(sv, &c->watch, EPOLLIN);
	if (err) {
		free(c);
		return err;
	}
	c->next = sv->conns;
	c->link = &sv->conns;
	if (c->next)
		c->next->link = &c->next;
	sv->conns = c;
	sv->nr_conns++;
	*ret_conn = c;
	return 0;
}

/* Tells the client that there is no room and lets it read that. */
static void conn_refuse(struct pool_server *sv, struct conn *c)
{
	uint8_t buf[WIRE_ENCODE_MAX];
	struct wire_msg msg;

	wire_error(&msg, -EUSERS,
		   "the server has as many connections as it may; fix: raise "
		   "fard's --max-clients");
	/* a fresh socket has room for it; if not, closing must do */
	(void)send(c->watch.fd, buf, wire_encode(&msg, buf), MSG_NOSIGNAL);
	(void)shutdown(c->watch.fd, SHUT_WR);
	c->deadline_ns = sv->now_ns + LINGER_NS;
	far_log(sv->attr.log, FAR_LOG_WARN,
		"client refused: %u connections already; fix: raise "
		"--max-clients",
		sv->nr_sessions);
}

static void adopt_socket(struct pool_server *sv, int fd)
{
	struct conn *c;

	if (sv->nr_conns >= sv->attr.max_clients + EXTRA_CONNS ||
	    conn_create(sv, fd, &c)) {
		(void)close(fd); /* overload: the client sees a reset */
		return;
	}
	if (sv->nr_sessions >= sv->attr.max_clients) {
		conn_refuse(sv, c);
		return;
	}
	if (pool_session_create(sv->attr.store, c->id, &c->session)) {
		conn_close(sv, c);
		return;
	}
	sv->nr_sessions++;
	pool_sock_tune(fd);
	c->deadline_ns = sv->now_ns + sv->attr.hello_ns;
	far_log(sv->attr.log, FAR_LOG_DEBUG, "client %llu: connected",
		(unsigned long long)c->id);
}

static void pause_accepting(struct pool_server *sv, bool is_paused)
{
	unsigned i;

	for (i = 0; i < sv->nr_listeners; i++)
		watch_set(sv, &sv->listener_watch[i], is_paused ? 0 : EPOLLIN);
	sv->accept_ns = is_paused ? sv->now_ns + ACCEPT_PAUSE_NS : 0;
}

static void listener_work(struct pool_server *sv, struct watch *w)
{
	int i, fd;

	for (i = 0; i < ACCEPT_BURST; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			adopt_socket(sv, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			far_log(sv->attr.log, FAR_LOG_WARN,
				"cannot accept: %s; fix: raise the limit on "
				"open files",
				strerror(errno));
			pause_accepting(sv, true);
		}
		return; /* EAGAIN, or a client that has gone again */
	}
}

/* ---- the loop ---- */

/* Closes what is overdue; returns when the next thing is due. */
static uint64_t expire(struct pool_server *sv)
{
	uint64_t due = pool_store_expire(sv->attr.store, sv->now_ns);
	struct conn *c, *next;

	if (sv->accept_ns && sv->accept_ns <= sv->now_ns)
		pause_accepting(sv, false);
	if (sv->accept_ns)
		due = far_min_u64(due, sv->accept_ns);
	for (c = sv->conns; c; c = next) {
		next = c->next;
		if (!c->deadline_ns)
			continue;
		if (c->deadline_ns <= sv->now_ns)
			conn_close(sv, c);
		else
			due = far_min_u64(due, c->deadline_ns);
	}
	return due;
}

static int timeout_ms(uint64_t now_ns, uint64_t due_ns)
{
	uint64_t ms;

	if (due_ns == UINT64_MAX)
		return -1;
	ms = (due_ns - now_ns) / FAR_NS_PER_MS + 1;
	return ms > 60000 ? 60000 : (int)ms;
}

static void say_goodbye(struct pool_server *sv)
{
	struct conn *c, *next;

	for (c = sv->conns; c; c = next) {
		next = c->next;
		if (c->session) {
			pool_session_stop(c->session, -ESHUTDOWN,
					  "the server is being stopped");
			(void)conn_flush(sv, c); /* as far as it goes now */
		}
		conn_close(sv, c);
	}
}

/* True: time to stop. */
static bool dispatch(struct pool_server *sv, struct epoll_event *ev, int nr)
{
	bool is_stopping = false;
	int i;

	for (i = 0; i < nr; i++) {
		struct watch *w = ev[i].data.ptr;
		struct conn *c = (struct conn *)(void *)w;

		if (w->kind == WATCH_STOP)
			is_stopping = true;
		else if (w->kind == WATCH_LISTENER)
			listener_work(sv, w);
		else if (c->session)
			conn_work(sv, c);
		else
			conn_drain(sv, c);
	}
	return is_stopping;
}

int pool_server_run(struct pool_server *sv, int stop_fd)
{
	struct epoll_event ev[NR_EVENTS];
	uint64_t due;
	int nr, err;

	sv->stop = (struct watch){.kind = WATCH_STOP, .fd = stop_fd};
	err = watch_add(sv, &sv->stop, EPOLLIN);
	if (err)
		return err;
	do {
		sv->now_ns = far_now_ns();
		due = expire(sv);
		nr = epoll_wait(sv->epoll_fd, ev, NR_EVENTS,
				timeout_ms(sv->now_ns, due));
		if (nr < 0 && errno != EINTR)
			return -errno;
		sv->now_ns = far_now_ns();
	} while (!dispatch(sv, ev, nr));
	say_goodbye(sv);
	return 0;
}

int pool_server_listen(struct pool_server *sv, struct pool_addr *addr)
{
	unsigned i = sv->nr_listeners;
	int err;

	if (i == POOL_MAX_LISTENERS) {
		far_log(sv->attr.log, FAR_LOG_ERR,
			"cannot listen on %s: there are %d listeners already; "
			"fix: leave some out",
			addr->text, POOL_MAX_LISTENERS);
		return -ENOSPC;
	}
	err = pool_listener_open(&sv->listeners[i], addr, sv->attr.log);
	if (err)
		return err;
	sv->listener_watch[i].kind = WATCH_LISTENER;
	sv->listener_watch[i].fd = sv->listeners[i].fd;
	err = watch_add(sv, &sv->listener_watch[i], EPOLLIN);
	if (err) {
		pool_listener_close(&sv->listeners[i]);
		return err;
	}
	sv->nr_listeners++;
	return 0;
}

int pool_server_create(const struct pool_server_attr *attr,
		       struct pool_server **ret_server)
{
	struct pool_server *sv = calloc(1, sizeof(*sv));
	int err;

	if (!sv)
		return -ENOMEM;
	sv->attr = *attr;
	sv->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sv->epoll_fd < 0) {
		err = -errno;
		free(sv);
		return err;
	}
	*ret_server = sv;
	return 0;
}

void pool_server_destroy(struct pool_server *sv)
{
	unsigned i;

	if (!sv)
		return;
	while (sv->conns)
		conn_close(sv, sv->conns);
	for (i = 0; i < sv->nr_listeners; i++)
		pool_listener_close(&sv->listeners[i]);
	(void)close(sv->epoll_fd); /* no data in it */
	free(sv);
}
