/* SPDX-License-Identifier: BSD-3-Clause */
/* The backends "tcp" and "unix": the control plane. */
#include "pool/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libfar/backend/spec.h"
#include "libfar/base/arena.h"
#include "libfar/base/log.h"
#include "pool/link.h"
#include "pool/sock.h"

/* What a far_clone holds. */
#define CLONE_MAGIC "FARPOOL1"
struct clone_name {
	char magic[8];
	uint64_t reserved; /* bytes */
	uint8_t token[WIRE_TOKEN_LEN];
	char addr[POOL_ADDR_TEXT];
};
_Static_assert(sizeof(struct clone_name) <= sizeof(struct far_clone),
	       "a clone's name fits");

extern const struct far_backend_ops far_backend_tcp_ops;
extern const struct far_backend_ops far_backend_unix_ops;

static struct pool_client *as_client(struct far_backend *be)
{
	return (struct pool_client *)(void *)be;
}

/* ---- calls ---- */

/* What says that the server is not there, as opposed to why it refused. */
static bool is_unreachable(int err)
{
	static const int errs[] = {-ECONNREFUSED, -ECONNRESET,	 -ENOENT,
				   -ETIMEDOUT,	  -EHOSTUNREACH, -ENETUNREACH,
				   -EPIPE,	  -ESHUTDOWN};
	size_t i;

	for (i = 0; i < FAR_ARRAY_SIZE(errs); i++)
		if (errs[i] == err)
			return true;
	return false;
}

/* Connects as the holder of our export. */
static int attach(struct pool_client *c, struct pool_sock *ret_sock)
{
	struct wire_welcome welcome;
	char why[WIRE_TEXT_MAX];
	int fd, err;

	err = pool_link_open(&c->addr, &c->hello, &fd, &welcome, why);
	if (err)
		return is_unreachable(err) ? -EHOSTDOWN : err;
	pool_sock_set(ret_sock, fd);
	return 0;
}

/* One call on the control connection, which is made anew if it was lost. */
static int call(struct pool_client *c, struct wire_msg *req,
		struct wire_msg *ret_reply)
{
	int err;

	if (c->control.fd < 0) {
		err = attach(c, &c->control);
		if (err)
			return err;
	}
	err = pool_link_call(c->control.fd, req, ret_reply, POOL_CALL_NS);
	if (err) {
		pool_sock_drop(&c->control);
		return -EHOSTDOWN;
	}
	return ret_reply->status;
}

static int simple_call(struct pool_client *c, uint8_t type, uint64_t off,
		       uint64_t len, struct wire_msg *ret_reply)
{
	struct wire_msg req;

	memset(&req, 0, sizeof(req));
	req.type = type;
	req.off = off;
	req.len = len;
	return call(c, &req, ret_reply);
}

static int client_reserve(struct far_backend *be, uint64_t len,
			  uint64_t *ret_off)
{
	struct pool_client *c = as_client(be);
	struct wire_msg rep;
	int err;

	if (len > c->limit - c->reserved)
		return -ENOSPC;
	err = simple_call(c, WIRE_RESERVE, 0, len, &rep);
	if (err)
		return err;
	c->reserved += len;
	*ret_off = rep.off;
	return 0;
}

static int client_release(struct far_backend *be, uint64_t off, uint64_t len)
{
	struct pool_client *c = as_client(be);
	struct wire_msg rep;
	int err = simple_call(c, WIRE_RELEASE, off, len, &rep);

	if (!err)
		c->reserved -= len;
	return err;
}

static int client_usage(struct far_backend *be,
			struct far_backend_usage *ret_usage)
{
	struct wire_msg rep;
	int err = simple_call(as_client(be), WIRE_USAGE, 0, 0, &rep);

	if (err)
		return err;
	memset(ret_usage, 0, sizeof(*ret_usage));
	ret_usage->reserved_bytes = rep.usage.reserved;
	ret_usage->stored_bytes = rep.usage.stored;
	ret_usage->used_bytes = rep.usage.stored;
	return 0;
}

static int client_caps(struct far_backend *be,
		       struct far_backend_caps *ret_caps)
{
	*ret_caps = be->caps;
	return 0;
}

/* ---- clones ---- */

static int client_clone(struct far_backend *be, struct far_clone *ret_clone)
{
	struct pool_client *c = as_client(be);
	struct clone_name name = {.magic = CLONE_MAGIC};
	struct wire_msg rep;
	int err = simple_call(c, WIRE_CLONE, 0, 0, &rep);

	if (err)
		return err;
	name.reserved = c->reserved;
	memcpy(name.token, rep.token, sizeof(name.token));
	memcpy(name.addr, c->addr.text, sizeof(name.addr));
	memset(ret_clone, 0, sizeof(*ret_clone));
	memcpy(ret_clone->bytes, &name, sizeof(name));
	return 0;
}

/* Forgets connections of the parent without saying anything on them. */
static void drop_inherited(struct pool_client *c)
{
	struct pool_queue *q;

	while ((q = c->queues)) {
		c->queues = q->next;
		if (pool_sock_is_here(&q->sock)) {
			/* the same table: then these are the queue's, too */
			(void)close(q->kick_fd);
			(void)close(q->epoll_fd);
		}
		pool_sock_drop(&q->sock);
		far_near_unmap(q, sizeof(*q));
	}
	pool_sock_drop(&c->control);
}

static int client_adopt(struct far_backend *be, const struct far_clone *clone)
{
	struct pool_client *c = as_client(be);
	struct clone_name name;
	int err;

	memcpy(&name, clone->bytes, sizeof(name));
	if (memcmp(name.magic, CLONE_MAGIC, sizeof(name.magic)) ||
	    !memchr(name.addr, '\0', sizeof(name.addr)))
		return -EINVAL;
	err = pool_addr_parse(name.addr, &c->addr);
	if (err)
		return err;
	drop_inherited(c);
	c->reserved = name.reserved;
	memcpy(c->hello.token, name.token, sizeof(name.token));
	return attach(c, &c->control);
}

/* ---- queues ---- */

static int watch(int epoll_fd, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int init_events(struct pool_queue *q)
{
	int err;

	q->done_end = &q->done;
	q->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (q->epoll_fd < 0)
		return -errno;
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0) {
		err = -errno;
		goto err_epoll;
	}
	err = watch(q->epoll_fd, q->sock.fd);
	if (!err)
		err = watch(q->epoll_fd, q->kick_fd);
	if (err)
		goto err_kick;
	return 0;

err_kick:
	(void)close(q->kick_fd);
err_epoll:
	(void)close(q->epoll_fd);
	return err;
}

static void fini_events(struct pool_queue *q)
{
	/* no data in them */
	(void)close(q->kick_fd);
	(void)close(q->epoll_fd);
}

static int client_queue_open(struct far_backend *be, unsigned depth,
			     struct far_queue **ret_q)
{
	struct pool_client *c = as_client(be);
	struct pool_queue *q;
	void *mem;
	int err;

	err = far_near_map(sizeof(*q), &mem);
	if (err)
		return err;
	q = mem;
	err = attach(c, &q->sock);
	if (err)
		goto err_unmap;
	err = init_events(q);
	if (err)
		goto err_sock;
	far_queue_init(&q->q, be, depth);
	q->next = c->queues;
	c->queues = q;
	*ret_q = &q->q;
	return 0;

err_sock:
	pool_sock_drop(&q->sock);
err_unmap:
	far_near_unmap(q, sizeof(*q));
	return err;
}

static void client_queue_close(struct far_queue *fq)
{
	struct pool_queue *q = (struct pool_queue *)(void *)fq, **at;
	struct pool_client *c = as_client(fq->be);

	for (at = &c->queues; *at && *at != q; at = &(*at)->next)
		;
	if (*at)
		*at = q->next;
	fini_events(q);
	pool_sock_drop(&q->sock);
	far_near_unmap(q, sizeof(*q));
}

/* ---- open and close ---- */

static int set_tenant(const struct far_spec *spec, char *tenant, far_log_fn log,
		      void *log_ctx)
{
	const char *value = far_spec_get(spec, "tenant");
	size_t i;

	if (!value) {
		(void)snprintf(tenant, WIRE_TENANT_MAX, "uid:%u", getuid());
		return 0;
	}
	for (i = 0; value[i] > ' ' && value[i] < 0x7f; i++)
		if (i == WIRE_TENANT_MAX - 1)
			break;
	if (!i || value[i]) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: bad value tenant=%s; fix: give 1 to 63 "
			   "characters of ASCII without spaces",
			   spec->name, value);
		return -EINVAL;
	}
	memcpy(tenant, value, i);
	return 0;
}

/* A relative path would mean something else after chdir(). */
static int absolute_path(const char *path, char *buf, size_t len)
{
	size_t used;

	if (path[0] == '/' || !path[0]) {
		if (snprintf(buf, len, "%s", path) >= (int)len)
			return -ENAMETOOLONG;
		return 0;
	}
	if (!getcwd(buf, len))
		return errno == ERANGE ? -ENAMETOOLONG : -errno;
	used = strlen(buf);
	if (snprintf(buf + used, len - used, "/%s", path) >= (int)(len - used))
		return -ENAMETOOLONG;
	return 0;
}

static int find_addr(const struct far_spec *spec, bool is_unix,
		     struct pool_addr *ret_addr, far_log_fn log, void *log_ctx)
{
	char path[POOL_ADDR_TEXT];
	int err;

	if (is_unix) {
		err = absolute_path(spec->target, path, sizeof(path));
		if (!err)
			err = pool_addr_unix(path, ret_addr);
	} else {
		err = pool_addr_tcp(spec->target, ret_addr);
	}
	if (err)
		far_log_to(log, log_ctx, FAR_LOG_ERR, "%s: '%s': %s",
			   spec->name, spec->target, pool_addr_explain(err));
	return err;
}

static void say_why(const struct pool_addr *addr, int err, const char *why,
		    far_log_fn log, void *log_ctx)
{
	if (*why)
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: the pool refused: %s", addr->text, why);
	else if (err == -EPROTO || err == -EPROTONOSUPPORT)
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: what answers does not speak version 1 of the "
			   "pool's protocol; fix: check the address, and run "
			   "the same release on both sides",
			   addr->text);
	else if (err == -EACCES)
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: cannot connect: %s; fix: run fard as this user",
			   addr->text, strerror(-err));
	else
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: cannot connect: %s; fix: is fard running? "
			   "start: fard --listen %s --size 2G",
			   addr->text, strerror(-err), addr->text);
}

static int connect_first(struct pool_client *c, far_log_fn log, void *log_ctx)
{
	struct far_backend_caps *caps = &c->be.caps;
	struct wire_welcome welcome;
	char why[WIRE_TEXT_MAX];
	int fd, err;

	err = pool_link_open(&c->addr, &c->hello, &fd, &welcome, why);
	if (err) {
		say_why(&c->addr, err, why, log, log_ctx);
		return err;
	}
	pool_sock_set(&c->control, fd);
	c->hello.attach = WIRE_ATTACH;
	memcpy(c->hello.token, welcome.token, sizeof(welcome.token));
	c->limit = welcome.capacity;
	caps->capacity = welcome.capacity;
	caps->align = FAR_PAGE_SIZE;
	caps->max_len = (uint32_t)far_min_u64(welcome.max_len, WIRE_MAX_LEN);
	caps->max_depth = (uint32_t)far_min_u64(welcome.max_depth, CLIENT_RING);
	return 0;
}

static int client_open(const struct far_spec *spec,
		       const struct far_backend_ops *ops, far_log_fn log,
		       void *log_ctx, struct far_backend **ret_be)
{
	static const char *const keys[] = {"size", "tenant", NULL};
	struct pool_client *c;
	void *mem;
	int err;

	err = far_spec_allow(spec, keys, log, log_ctx);
	if (err)
		return err;
	err = far_near_map(sizeof(*c), &mem);
	if (err)
		return err;
	c = mem;
	far_backend_init(&c->be, ops, NULL);
	c->control.fd = -1;
	err = far_spec_size(spec, "size", 0, &c->hello.limit, log, log_ctx);
	if (!err && far_spec_get(spec, "size") &&
	    c->hello.limit < FAR_PAGE_SIZE) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: size is less than a page; fix: give a size "
			   "like 200M",
			   spec->name);
		err = -EINVAL;
	}
	if (!err)
		err = set_tenant(spec, c->hello.tenant, log, log_ctx);
	if (!err)
		err = find_addr(spec, ops == &far_backend_unix_ops, &c->addr,
				log, log_ctx);
	if (!err)
		err = connect_first(c, log, log_ctx);
	if (err) {
		far_near_unmap(c, sizeof(*c));
		return err;
	}
	*ret_be = &c->be;
	return 0;
}

static int tcp_open(const struct far_spec *spec, struct far_backend *next,
		    far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	(void)next; /* not a filter */
	return client_open(spec, &far_backend_tcp_ops, log, log_ctx, ret_be);
}

static int unix_open(const struct far_spec *spec, struct far_backend *next,
		     far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	(void)next; /* not a filter */
	return client_open(spec, &far_backend_unix_ops, log, log_ctx, ret_be);
}

static void client_close(struct far_backend *be)
{
	struct pool_client *c = as_client(be);

	if (!c)
		return;
	drop_inherited(c); /* whatever is still open */
	far_near_unmap(c, sizeof(*c));
}

#define CLIENT_OPS                                                             \
	.caps = client_caps, .usage = client_usage, .reserve = client_reserve, \
	.release = client_release, .clone = client_clone,                      \
	.adopt = client_adopt, .close = client_close,                          \
	.queue_open = client_queue_open, .queue_close = client_queue_close,    \
	.submit = pool_queue_submit, .poll = pool_queue_poll,                  \
	.event_fd = pool_queue_event_fd

const struct far_backend_ops far_backend_tcp_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "tcp",
	.help = "tcp://HOST:PORT[?size=SIZE][,tenant=NAME]: memory of the "
		"pool daemon fard that listens there",
	.open = tcp_open,
	CLIENT_OPS,
};

const struct far_backend_ops far_backend_unix_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "unix",
	.help = "unix:PATH[?size=SIZE][,tenant=NAME]: memory of the pool "
		"daemon fard that listens on that socket",
	.open = unix_open,
	CLIENT_OPS,
};
