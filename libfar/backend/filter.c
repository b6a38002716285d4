/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/base/log.h"

#define REAP_BATCH 64u
/*
 * A timer costs several microseconds to set and its interrupt some more, so
 * what is due so soon counts as there: who waits for it polls instead.
 */
#define SOON_NS (20 * FAR_NS_PER_US)

static struct far_filter_queue *to_fq(struct far_queue *q)
{
	return FAR_CONTAINER_OF(q, struct far_filter_queue, q);
}

static void list_push(struct far_filter_list *list, struct far_filter_req *req)
{
	req->next = NULL;
	if (list->head)
		list->tail->next = req;
	else
		list->head = req;
	list->tail = req;
}

static struct far_filter_req *list_pop(struct far_filter_list *list)
{
	struct far_filter_req *req = list->head;

	if (req)
		list->head = req->next;
	return req;
}

static void held_swap(struct far_filter_queue *fq, unsigned a, unsigned b)
{
	struct far_filter_req *tmp = fq->held[a];

	fq->held[a] = fq->held[b];
	fq->held[b] = tmp;
}

static void held_push(struct far_filter_queue *fq, struct far_filter_req *req)
{
	unsigned i = fq->nr_held++;

	fq->held[i] = req;
	while (i > 0 && fq->held[(i - 1) / 2]->due_ns > fq->held[i]->due_ns) {
		held_swap(fq, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static struct far_filter_req *held_pop(struct far_filter_queue *fq)
{
	struct far_filter_req *req = fq->held[0];
	unsigned i = 0, child;

	fq->held[0] = fq->held[--fq->nr_held];
	for (;;) {
		child = 2 * i + 1;
		if (child >= fq->nr_held)
			return req;
		if (child + 1 < fq->nr_held &&
		    fq->held[child + 1]->due_ns < fq->held[child]->due_ns)
			child++;
		if (fq->held[i]->due_ns <= fq->held[child]->due_ns)
			return req;
		held_swap(fq, i, child);
		i = child;
	}
}

static bool next_is_sync(const struct far_filter_queue *fq)
{
	return (fq->next->be->caps.flags & FAR_CAP_SYNC) != 0;
}

static void set_signal(struct far_filter_queue *fq, bool is_on)
{
	uint64_t value = 1;

	if (fq->is_signalled == is_on)
		return;
	/* Neither blocks nor fails: the counter goes from 0 to 1 and back. */
	if (is_on)
		(void)!write(fq->signal_fd, &value, sizeof(value));
	else
		(void)!read(fq->signal_fd, &value, sizeof(value));
	fq->is_signalled = is_on;
}

/* Setting the timer also takes the readiness of the last time away. */
static void set_timer(struct far_filter_queue *fq, uint64_t at)
{
	struct itimerspec when = {0};

	when.it_value.tv_sec = (time_t)(at / FAR_NS_PER_S);
	when.it_value.tv_nsec = (long)(at % FAR_NS_PER_S);
	(void)timerfd_settime(fq->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	fq->armed_ns = at;
}

/*
 * Makes event_fd readable when poll() has something of the filter's own.  A
 * timer that fires too early does no harm: the poll that follows sets it
 * again.  So it is left alone unless it fired or would be late.
 */
static void arm_events(struct far_filter_queue *fq)
{
	uint64_t now = 0, due = 0;
	bool is_soon = fq->ready.head != NULL;

	if (fq->epoll_fd < 0)
		return;
	if (fq->nr_held > 0 || fq->armed_ns > 0)
		now = far_now_ns();
	if (fq->nr_held > 0) {
		due = fq->held[0]->due_ns;
		is_soon = is_soon || due <= now + SOON_NS;
	}
	set_signal(fq, is_soon);
	if (fq->armed_ns > 0 && fq->armed_ns <= now)
		set_timer(fq, is_soon ? 0 : due);
	else if (due > 0 && !is_soon &&
		 (fq->armed_ns == 0 || due < fq->armed_ns))
		set_timer(fq, due);
}

static void complete(struct far_filter_queue *fq, struct far_filter_req *req)
{
	if (req->due_ns > 0)
		held_push(fq, req);
	else
		list_push(&fq->ready, req);
}

/* Takes completions of the next backend in, at most @max. */
static int reap(struct far_filter_queue *fq, unsigned max)
{
	struct far_io *done[REAP_BATCH];
	struct far_filter_req *req;
	int i, n;

	n = far_queue_poll(fq->next, done, max < REAP_BATCH ? max : REAP_BATCH);
	for (i = 0; i < n; i++) {
		req = FAR_CONTAINER_OF(done[i], struct far_filter_req, io);
		if (fq->hooks->after)
			fq->hooks->after(fq, req);
		complete(fq, req);
	}
	return n;
}

/* Everything the next backend has finished. */
static int reap_all(struct far_filter_queue *fq)
{
	int n;

	do {
		n = reap(fq, REAP_BATCH);
	} while (n == (int)REAP_BATCH);
	return n < 0 ? n : 0;
}

/* Passes the backlog on; what the next backend refuses for good, fails. */
static void send_backlog(struct far_filter_queue *fq)
{
	struct far_filter_req *req;
	unsigned nr, i;
	int n;

	while (fq->backlog.head) {
		nr = 0;
		for (req = fq->backlog.head; req && nr < REAP_BATCH;
		     req = req->next, nr++)
			req->io.next = req->next ? &req->next->io : NULL;
		n = far_queue_submit(fq->next, &fq->backlog.head->io, nr);
		if (n == -EAGAIN || n == 0)
			return;
		for (i = 0; n > 0 && i < (unsigned)n; i++)
			(void)list_pop(&fq->backlog);
		if (n < 0) {
			req = list_pop(&fq->backlog);
			req->io.res = n;
			complete(fq, req);
		}
	}
}

static void accept_io(struct far_filter_queue *fq, struct far_io *io)
{
	struct far_filter_req *req = fq->free;
	int rc = 0;

	fq->free = req->next;
	memset(&req->io, 0, sizeof(req->io));
	req->io.off = io->off;
	req->io.buf = io->buf;
	req->io.len = io->len;
	req->io.op = io->op;
	req->orig = io;
	req->start_ns = 0;
	req->due_ns = 0;
	if (fq->hooks->before)
		rc = fq->hooks->before(fq, req);
	if (rc == 0) {
		list_push(&fq->backlog, req);
		return;
	}
	req->io.res = rc;
	complete(fq, req);
}

int far_filter_submit(struct far_queue *q, struct far_io *list, unsigned nr)
{
	struct far_filter_queue *fq = to_fq(q);
	struct far_io *next;
	unsigned n;

	for (n = 0; n < nr && list && fq->free; n++, list = next) {
		next = list->next;
		accept_io(fq, list);
	}
	send_backlog(fq);
	/* Nothing will wake us for what a SYNC backend has done already. */
	if (fq->hooks->is_holding && next_is_sync(fq))
		(void)reap_all(fq);
	arm_events(fq);
	return n > 0 ? (int)n : -EAGAIN;
}

/* Hands one finished request to the caller. */
static struct far_io *finish(struct far_filter_queue *fq,
			     struct far_filter_req *req)
{
	struct far_io *io = req->orig;

	io->res = req->io.res;
	req->next = fq->free;
	fq->free = req;
	return io;
}

static unsigned take_ready(struct far_filter_queue *fq,
			   struct far_io **ret_done, unsigned max)
{
	uint64_t now = fq->nr_held > 0 ? far_now_ns() : 0;
	unsigned n = 0;

	while (n < max && fq->ready.head)
		ret_done[n++] = finish(fq, list_pop(&fq->ready));
	while (n < max && fq->nr_held > 0 && fq->held[0]->due_ns <= now)
		ret_done[n++] = finish(fq, held_pop(fq));
	return n;
}

int far_filter_poll(struct far_queue *q, struct far_io **ret_done, unsigned max)
{
	struct far_filter_queue *fq = to_fq(q);
	unsigned n;
	int rc;

	n = take_ready(fq, ret_done, max);
	if (fq->hooks->is_holding)
		rc = reap_all(fq);
	else
		rc = n < max ? reap(fq, max - n) : 0;
	send_backlog(fq);
	n += take_ready(fq, ret_done + n, max - n);
	arm_events(fq);
	return n == 0 && rc < 0 ? rc : (int)n;
}

int far_filter_event_fd(struct far_queue *q)
{
	struct far_filter_queue *fq = to_fq(q);

	return fq->epoll_fd >= 0 ? fq->epoll_fd : far_queue_event_fd(fq->next);
}

static int watch(int epoll_fd, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* One descriptor for the filter's own events and the next queue's. */
static int open_events(struct far_filter_queue *fq)
{
	int fd, rc;

	fq->timer_fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fq->timer_fd < 0)
		return -errno;
	fq->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fq->signal_fd < 0)
		return -errno;
	fq->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (fq->epoll_fd < 0)
		return -errno;
	rc = watch(fq->epoll_fd, fq->timer_fd);
	if (rc == 0)
		rc = watch(fq->epoll_fd, fq->signal_fd);
	if (rc || next_is_sync(fq))
		return rc;
	fd = far_queue_event_fd(fq->next);
	return fd < 0 ? fd : watch(fq->epoll_fd, fd);
}

static void queue_free(struct far_filter_queue *fq)
{
	if (fq->epoll_fd >= 0)
		(void)close(fq->epoll_fd); /* nothing to lose */
	if (fq->signal_fd >= 0)
		(void)close(fq->signal_fd);
	if (fq->timer_fd >= 0)
		(void)close(fq->timer_fd);
	far_queue_close(fq->next);
	far_near_unmap(fq->mem, fq->mem_len);
}

/* One mapping: the queue, its requests, the heap and the hooks' own. */
static int queue_alloc(const struct far_filter_hooks *hooks, unsigned depth,
		       struct far_filter_queue **ret_fq)
{
	size_t reqs_at = far_round_up(sizeof(struct far_filter_queue), 64);
	size_t held_at = reqs_at + depth * sizeof(struct far_filter_req);
	size_t priv_at = far_round_up(held_at + depth * sizeof(void *), 64);
	struct far_filter_queue *fq;
	struct far_filter_req *reqs;
	void *mem;
	unsigned i;
	int rc;

	rc = far_near_map(priv_at + hooks->queue_size, &mem);
	if (rc)
		return rc;
	fq = mem;
	fq->mem = mem;
	fq->mem_len = priv_at + hooks->queue_size;
	fq->hooks = hooks;
	fq->held = (void *)((char *)mem + held_at);
	fq->priv = (char *)mem + priv_at;
	fq->timer_fd = -1;
	fq->signal_fd = -1;
	fq->epoll_fd = -1;
	reqs = (void *)((char *)mem + reqs_at);
	for (i = depth; i-- > 0;) {
		reqs[i].next = fq->free;
		fq->free = &reqs[i];
	}
	*ret_fq = fq;
	return 0;
}

int far_filter_queue_open(struct far_backend *be, unsigned depth,
			  struct far_queue **ret_q)
{
	struct far_filter *filter = FAR_CONTAINER_OF(be, struct far_filter, be);
	struct far_filter_queue *fq;
	struct far_queue *next;
	int rc;

	rc = far_queue_open(be->next, depth, &next);
	if (rc)
		return rc;
	rc = queue_alloc(filter->hooks, depth, &fq);
	if (rc) {
		far_queue_close(next);
		return rc;
	}
	fq->next = next;
	far_queue_init(&fq->q, be, depth);
	if (filter->hooks->is_holding || !next_is_sync(fq)) {
		rc = open_events(fq);
		if (rc) {
			queue_free(fq);
			return rc;
		}
	}
	fq->number = atomic_fetch_add_explicit(&filter->nr_queues, 1,
					       memory_order_relaxed);
	if (filter->hooks->queue_init)
		filter->hooks->queue_init(fq);
	*ret_q = &fq->q;
	return 0;
}

void far_filter_queue_close(struct far_queue *q)
{
	struct far_filter_queue *fq = to_fq(q);

	if (fq->hooks->queue_fini)
		fq->hooks->queue_fini(fq);
	queue_free(fq);
}

int far_filter_caps(struct far_backend *be, struct far_backend_caps *ret_caps)
{
	struct far_filter *filter = FAR_CONTAINER_OF(be, struct far_filter, be);

	*ret_caps = be->next->caps;
	if (filter->hooks->is_holding)
		ret_caps->flags &=
			~(uint32_t)(FAR_CAP_SYNC | FAR_CAP_SIGNAL_SAFE);
	return 0;
}

void *far_filter_new(size_t size, const struct far_backend_ops *ops,
		     const struct far_filter_hooks *hooks,
		     struct far_backend *next)
{
	struct far_filter *filter = calloc(1, size);

	if (!filter)
		return NULL;
	far_backend_init(&filter->be, ops, next);
	filter->hooks = hooks;
	return filter;
}

void far_filter_close(struct far_backend *be)
{
	far_backend_close(be->next);
	free(FAR_CONTAINER_OF(be, struct far_filter, be));
}

int far_filter_count(const struct far_spec *spec, const char *key, uint64_t def,
		     uint64_t *ret, far_log_fn log, void *log_ctx)
{
	const char *text = far_spec_get(spec, key);
	unsigned long long value = def;
	char *end;

	if (text) {
		errno = 0;
		value = strtoull(text, &end, 10);
		if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno) {
			far_log_to(log, log_ctx, FAR_LOG_ERR,
				   "%s: bad value %s=%s; fix: give a whole "
				   "number",
				   spec->name, key, text);
			return -EINVAL;
		}
	}
	*ret = value;
	return 0;
}
