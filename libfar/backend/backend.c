/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/backend.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "libfar/backend/spec.h"
#include "libfar/base/clock.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"

#define MAX_BUILTINS 32
#define SUBMIT_CHUNK 64

/* far_io.reserved between submit and poll: tells what is really in flight. */
#define IO_IN_FLIGHT UINT32_C(0x46415249)

/* An op is there if the table is long enough to hold it and it is not NULL. */
#define HAS_OP(be, op)                                                         \
	(offsetof(struct far_backend_ops, op) + sizeof((be)->ops->op) <=       \
		 (be)->ops->size &&                                            \
	 (be)->ops->op != NULL)

static const struct far_backend_ops *find_ops(const char *name)
{
	const struct far_backend_ops *const *ops;

	for (ops = far_backend_builtins(); *ops; ops++) {
		if (strcmp((*ops)->name, name) == 0)
			return *ops;
	}
	return NULL;
}

/* Column, from 1, where element @index of @spec begins. */
static unsigned element_column(const char *spec, unsigned index)
{
	const char *at = spec;

	while (index-- > 0)
		at = strchr(at, '|') + 1;
	return (unsigned)(at - spec) + 1;
}

static int FAR_COLD unknown_name(const char *name, int is_filter,
				 unsigned column, far_log_fn log, void *log_ctx)
{
	const struct far_backend_ops *const *ops = far_backend_builtins();
	const char *names[MAX_BUILTINS + 1];
	const char *kind = is_filter ? "filter" : "backend";
	const char *near;
	unsigned nr = 0;

	for (; *ops && nr < MAX_BUILTINS; ops++) {
		if ((*ops)->is_filter == is_filter)
			names[nr++] = (*ops)->name;
	}
	names[nr] = NULL;
	near = far_nearest(name, names);
	far_log_to(log, log_ctx, FAR_LOG_ERR,
		   "backend: column %u: unknown %s '%s'; fix: %s%s%s", column,
		   kind, name, near ? "did you mean '" : "see far(7) for a ",
		   near ? near : kind, near ? "'?" : "");
	return -EINVAL;
}

static int find_stack(const char *str, struct far_spec *specs, unsigned *ret_nr,
		      const struct far_backend_ops **ret_ops, far_log_fn log,
		      void *log_ctx)
{
	char why[256];
	unsigned nr, i;
	int is_filter;

	if (far_spec_parse(str, specs, &nr, why, sizeof(why))) {
		far_log_to(log, log_ctx, FAR_LOG_ERR, "backend: '%s': %s", str,
			   why);
		return -EINVAL;
	}
	for (i = 0; i < nr; i++) {
		is_filter = i + 1 < nr;
		ret_ops[i] = find_ops(specs[i].name);
		if (!ret_ops[i])
			return unknown_name(specs[i].name, is_filter,
					    element_column(str, i), log,
					    log_ctx);
		if (ret_ops[i]->is_filter == is_filter)
			continue;
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "backend: column %u: '%s' is a %s; fix: %s",
			   element_column(str, i), specs[i].name,
			   is_filter ? "backend" : "filter",
			   is_filter ? "put it last"
				     : "put a backend behind it, e.g. '|mem:'");
		return -EINVAL;
	}
	*ret_nr = nr;
	return 0;
}

static bool caps_are_sane(const struct far_backend_caps *caps)
{
	return caps->capacity > 0 && caps->align > 0 &&
	       (caps->align & (caps->align - 1)) == 0 &&
	       caps->align <= FAR_PAGE_SIZE && caps->max_len >= caps->align &&
	       caps->max_depth > 0;
}

/* Opens one layer over @next; takes @next over on success only. */
static int open_layer(const struct far_backend_ops *ops,
		      const struct far_spec *spec, struct far_backend *next,
		      far_log_fn log, void *log_ctx,
		      struct far_backend **ret_be)
{
	struct far_backend_caps caps = {0};
	struct far_backend *be;
	int rc;

	rc = ops->open(spec, next, log, log_ctx, &be);
	if (rc)
		return rc < 0 ? rc : -EIO;
	if (HAS_OP(be, caps))
		rc = be->ops->caps(be, &caps);
	else
		caps = next ? next->caps : be->caps;
	if (rc == 0 && !caps_are_sane(&caps)) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: capabilities make no sense; fix: report it",
			   ops->name);
		rc = -EIO;
	}
	if (rc) {
		/* The caller still owns @next: close this layer alone. */
		be->next = NULL;
		be->ops->close(be);
		return rc;
	}
	be->caps = caps;
	*ret_be = be;
	return 0;
}

int far_backend_open(const char *spec, far_log_fn log, void *log_ctx,
		     struct far_backend **ret_be)
{
	struct far_spec specs[FAR_SPEC_MAX_STACK];
	const struct far_backend_ops *ops[FAR_SPEC_MAX_STACK];
	struct far_backend *be = NULL, *outer = NULL;
	unsigned nr;
	int rc;

	rc = find_stack(spec, specs, &nr, ops, log, log_ctx);
	if (rc)
		return rc;
	while (nr-- > 0) {
		rc = open_layer(ops[nr], &specs[nr], be, log, log_ctx, &outer);
		if (rc) {
			far_backend_close(be);
			return rc;
		}
		be = outer;
	}
	*ret_be = be;
	return 0;
}

int far_backend_check(const char *spec, far_log_fn log, void *log_ctx)
{
	struct far_spec specs[FAR_SPEC_MAX_STACK];
	const struct far_backend_ops *ops[FAR_SPEC_MAX_STACK];
	unsigned nr;

	return find_stack(spec, specs, &nr, ops, log, log_ctx);
}

void far_backend_close(struct far_backend *be)
{
	if (be)
		be->ops->close(be);
}

const struct far_backend_caps *far_backend_caps(const struct far_backend *be)
{
	return &be->caps;
}

int far_backend_usage(struct far_backend *be, struct far_backend_usage *ret)
{
	if (HAS_OP(be, usage))
		return be->ops->usage(be, ret);
	return be->next ? far_backend_usage(be->next, ret) : -EOPNOTSUPP;
}

const void *far_backend_peek(struct far_backend *be, uint64_t off, uint32_t len)
{
	assert(off % be->caps.align == 0 && len % be->caps.align == 0);
	/* Not through a filter: it may change what it passes on. */
	return HAS_OP(be, peek) ? be->ops->peek(be, off, len) : NULL;
}

int far_backend_reserve(struct far_backend *be, uint64_t len, uint64_t *ret_off)
{
	uint64_t off, end;
	int rc;

	if (len == 0)
		return -EINVAL;
	if (len > be->caps.capacity)
		return -ENOSPC;
	if (!HAS_OP(be, reserve))
		return be->next ? far_backend_reserve(be->next, len, ret_off)
				: -EOPNOTSUPP;
	rc = be->ops->reserve(be, len, &off);
	if (rc)
		return rc < 0 ? rc : -EIO;
	if ((off & (be->caps.align - 1)) != 0 ||
	    far_add_overflow(off, len, &end) || end > be->caps.capacity)
		return -EIO;
	*ret_off = off;
	return 0;
}

int far_backend_release(struct far_backend *be, uint64_t off, uint64_t len)
{
	uint64_t end;

	if (len == 0 || (off & (be->caps.align - 1)) != 0 ||
	    far_add_overflow(off, len, &end) || end > be->caps.capacity)
		return -EINVAL;
	if (HAS_OP(be, release))
		return be->ops->release(be, off, len);
	return be->next ? far_backend_release(be->next, off, len) : -EOPNOTSUPP;
}

/* A backend without the op needs no registration: nothing to do. */
int far_backend_register_buf(struct far_backend *be, void *addr, size_t len)
{
	if (HAS_OP(be, register_buf))
		return be->ops->register_buf(be, addr, len);
	return be->next ? far_backend_register_buf(be->next, addr, len) : 0;
}

int far_backend_unregister_buf(struct far_backend *be, void *addr, size_t len)
{
	if (HAS_OP(be, unregister_buf))
		return be->ops->unregister_buf(be, addr, len);
	return be->next ? far_backend_unregister_buf(be->next, addr, len) : 0;
}

int far_backend_clone(struct far_backend *be, struct far_clone *ret_clone)
{
	struct far_clone clone;
	int rc;

	if (!HAS_OP(be, clone))
		return be->next ? far_backend_clone(be->next, ret_clone)
				: -EOPNOTSUPP;
	memset(&clone, 0, sizeof(clone));
	rc = be->ops->clone(be, &clone);
	if (rc == 0)
		*ret_clone = clone;
	return rc;
}

int far_backend_adopt(struct far_backend *be, const struct far_clone *clone)
{
	if (HAS_OP(be, adopt))
		return be->ops->adopt(be, clone);
	return be->next ? far_backend_adopt(be->next, clone) : -EOPNOTSUPP;
}

int far_queue_open(struct far_backend *be, unsigned depth,
		   struct far_queue **ret_q)
{
	struct far_queue *q;
	int rc;

	if (depth == 0)
		return -EINVAL;
	if (!HAS_OP(be, queue_open))
		return -EOPNOTSUPP;
	if (depth > be->caps.max_depth)
		depth = be->caps.max_depth;
	rc = be->ops->queue_open(be, depth, &q);
	if (rc)
		return rc < 0 ? rc : -EIO;
	*ret_q = q;
	return 0;
}

void far_queue_close(struct far_queue *q)
{
	if (!q)
		return;
	assert(q->in_flight == 0);
	/* Built without asserts: a leak is better than a use after free. */
	if (q->in_flight == 0)
		q->be->ops->queue_close(q);
}

static bool io_is_valid(const struct far_backend_caps *caps,
			const struct far_io *io)
{
	uint64_t end;

	return ((io->off | io->len) & (caps->align - 1)) == 0 && io->len != 0 &&
	       io->len <= caps->max_len && io->op <= FAR_IO_DISCARD &&
	       (io->buf != NULL || io->op == FAR_IO_DISCARD) &&
	       !far_add_overflow(io->off, io->len, &end) &&
	       end <= caps->capacity && io->reserved != IO_IN_FLIGHT;
}

/*
 * Hands at most SUBMIT_CHUNK members over; *@list moves on to the first that
 * was not looked at.  After the backend has taken a member its ->next is the
 * backend's, so the members are remembered here.
 */
static int submit_chunk(struct far_queue *q, struct far_io **list, unsigned nr)
{
	struct far_io *ios[SUBMIT_CHUNK], *io = *list;
	unsigned i, n = 0;
	int rc;

	if (nr > SUBMIT_CHUNK)
		nr = SUBMIT_CHUNK;
	for (; n < nr && io && io_is_valid(&q->be->caps, io); io = io->next) {
		io->reserved = IO_IN_FLIGHT;
		ios[n++] = io;
	}
	if (n == 0)
		return -EINVAL;
	*list = io;
	rc = q->be->ops->submit(q, ios[0], n);
	if (rc > (int)n)
		rc = (int)n;
	for (i = rc < 0 ? 0 : (unsigned)rc; i < n; i++)
		ios[i]->reserved = 0;
	if (rc > 0)
		q->in_flight += (unsigned)rc;
	return rc;
}

int far_queue_submit(struct far_queue *q, struct far_io *list, unsigned nr)
{
	unsigned done = 0, n, room = q->depth - q->in_flight;
	int rc;

	if (nr == 0)
		return 0;
	if (room == 0)
		return -EAGAIN;
	if (nr > room)
		nr = room;
	while (done < nr && list) {
		n = nr - done < SUBMIT_CHUNK ? nr - done : SUBMIT_CHUNK;
		rc = submit_chunk(q, &list, nr - done);
		if (rc < 0)
			return done ? (int)done : rc;
		done += (unsigned)rc;
		if ((unsigned)rc < n)
			break;
	}
	return done ? (int)done : -EAGAIN;
}

int far_queue_poll(struct far_queue *q, struct far_io **ret_done, unsigned max)
{
	unsigned i, n = 0;
	int rc;

	if (max == 0)
		return 0;
	rc = q->be->ops->poll(q, ret_done, max);
	if (rc <= 0)
		return rc;
	for (i = 0; i < (unsigned)rc && i < max; i++) {
		struct far_io *io = ret_done[i];

		/* Twice, or never submitted: the backend's breach, dropped. */
		assert(io->reserved == IO_IN_FLIGHT);
		if (io->reserved != IO_IN_FLIGHT || q->in_flight == 0)
			continue;
		io->reserved = 0;
		if (io->res > 0)
			io->res = -EIO;
		q->in_flight--;
		ret_done[n++] = io;
	}
	return (int)n;
}

int far_queue_event_fd(struct far_queue *q)
{
	if ((q->be->caps.flags & FAR_CAP_SYNC) != 0 || !HAS_OP(q->be, event_fd))
		return -EOPNOTSUPP;
	return q->be->ops->event_fd(q);
}

int far_queue_wait(struct far_queue *q, int64_t timeout_ns)
{
	uint64_t now, end = 0;
	struct timespec ts;
	struct pollfd pfd;
	int rc;

	if ((q->be->caps.flags & FAR_CAP_SYNC) != 0)
		return 0;
	pfd.fd = far_queue_event_fd(q);
	if (pfd.fd < 0)
		return pfd.fd;
	pfd.events = POLLIN;
	if (timeout_ns >= 0)
		end = far_now_ns() + (uint64_t)timeout_ns;
	for (;;) {
		now = timeout_ns >= 0 ? far_now_ns() : 0;
		now = end > now ? end - now : 0;
		ts.tv_sec = (time_t)(now / FAR_NS_PER_S);
		ts.tv_nsec = (long)(now % FAR_NS_PER_S);
		rc = ppoll(&pfd, 1, timeout_ns >= 0 ? &ts : NULL, NULL);
		if (rc > 0)
			return 0;
		if (rc == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

void far_backend_init(struct far_backend *be, const struct far_backend_ops *ops,
		      struct far_backend *next)
{
	memset(be, 0, sizeof(*be));
	be->ops = ops;
	be->next = next;
}

void far_queue_init(struct far_queue *q, struct far_backend *be, unsigned depth)
{
	q->be = be;
	q->depth = depth;
	q->in_flight = 0;
}
