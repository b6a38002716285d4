/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Monitors: threads that read fault messages and serve them (serve.h), and
 * complete the fetches that are under way.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/base/futex.h"
#include "libfar/pager/pager.h"

#define EXPIRE_MS 250 /* how often to look for unanswered reads */
#define RETRY_MS 5    /* how often to look whether one is due */
#define WAIT_SLICE_NS (1 * FAR_NS_PER_MS)
#define MSGS 16
/* Each message may take a fetch, and half of the depth one more. */
_Static_assert(MSGS + FAR_FAULT_DEPTH / 2 <= FAR_FAULT_DEPTH, "fetches");
#define SPIN_NS (60 * FAR_NS_PER_US)
#define SPIN_MISSES 16 /* in a row: the backend is slower than that */
#define SPIN_RETRY 64
#define WAITED_NS (5 * FAR_NS_PER_US) /* for a message that was not there */

/* A touch outside all mappings: SIGBUS, until the range is mapped. */
static void serve_wild(struct far_monitor *m, far_pgno_t pg)
{
	struct far_pager *p = m->server.fetch.pager;
	far_word_t w = far_page_load(&p->words[pg]);

	while (word_state(w) == FAR_PAGE_ABSENT)
		if (far_page_cas(&p->words[pg], &w,
				 word_with(w, FAR_PAGE_LOST)))
			break;
	atomic_store(&p->has_lost, 1);
	(void)space_poison(&p->space, pager_addr(p, pg));
}

static void handle(struct far_monitor *m, const struct far_uffd_msg *msg,
		   uint64_t start_ns)
{
	struct far_pager *p = m->server.fetch.pager;
	uintptr_t off = msg->addr - (uintptr_t)p->base;
	char *page = (char *)(msg->addr & ~(uintptr_t)FAR_PAGE_MASK);
	far_pgno_t pg = pager_page(p, page);

	if (off >= p->space.len) {
		/* A staging page, which space_take() saw; or the doorbell. */
		if (page != p->space.doorbell)
			FAR_COUNT(m->server.fetch.stats, gone_pages);
		(void)far_uffd_copy(p->space.fd, page, p->space.zero, 0);
		return;
	}
	if (space_is_inline(&p->space, page)) {
		/* From before the chunk became an inline one: once more. */
		(void)far_uffd_wake(p->space.fd, page, FAR_PAGE_SIZE);
		return;
	}
	if (msg->kind == FAR_UFFD_FAULT_MISSING)
		FAR_COUNT(m->server.fetch.stats, faults_missing);
	if (!far_ranges_contains(&p->ranges, pg, 1)) {
		serve_wild(m, pg);
		return;
	}
	(void)server_serve(&m->server, pg, msg, start_ns);
}

/* --- the thread --- */

/* On the core of the thread that faults, and behind it, if it is one. */
static void stand_by(struct far_monitor *m, uint32_t tid, unsigned nr,
		     uint64_t now)
{
	yield_served(&m->yield, nr);
	placement_follow(&m->place, tid, now);
	if (m->place.cpu < 0)
		yield_end(&m->yield);
	else
		yield_begin(&m->yield, &m->server.fetch.pager->guard, tid, now);
	if (atomic_load(&m->yield.is_stuck))
		placement_release(&m->place);
	m->place.is_settled = atomic_load(&m->yield.back) != 0;
}

static void read_faults(struct far_monitor *m)
{
	struct far_pager *p = m->server.fetch.pager;
	struct far_uffd_msg msgs[MSGS];
	int n;

	for (;;) {
		/* One message may take one fetch: read what can be served. */
		unsigned room = FAR_FAULT_DEPTH - m->server.fetch.nr_busy;
		unsigned want = room < MSGS ? room : MSGS;
		uint64_t before, now;

		if (!room)
			return;
		before = far_now_ns();
		n = far_uffd_read(p->space.fd, msgs, want);
		if (n <= 0)
			return;
		now = far_now_ns();
		/* On the core of who faults, it sleeps whenever we run. */
		if (now - before > WAITED_NS)
			placement_nudge(&m->place);
		for (int i = 0; i < n; i++)
			handle(m, &msgs[i], now);
		if (m->server.fetch.nr_busy)
			(void)fetcher_poll(&m->server.fetch);
		stand_by(m, msgs[n - 1].tid, (unsigned)n, now);
		if ((unsigned)n < want || m->server.fetch.waiting)
			return; /* that was all, or the rest can wait */
	}
}

/*
 * Until what was asked for has come, but not for long: being woken costs more
 * than a pool needs to answer.  Gives the core to whoever wants it.  A backend
 * that is always slower is asked once in SPIN_RETRY faults whether it still is.
 */
static void spin(struct far_monitor *m)
{
	unsigned nr_came = 0;
	uint64_t t0;

	if (m->spin_misses >= SPIN_MISSES && ++m->spin_skips % SPIN_RETRY != 0)
		return;
	t0 = far_now_ns();
	do {
		(void)sched_yield();
		nr_came += (unsigned)fetcher_poll(&m->server.fetch);
		read_faults(m);
	} while (m->server.fetch.nr_busy > m->server.fetch.nr_abandoned &&
		 !m->server.fetch.waiting && far_now_ns() - t0 < SPIN_NS);
	m->spin_misses = nr_came ? 0 : m->spin_misses + 1;
}

/*
 * Waits for a message, or for what else the monitor has to do.  A lone
 * monitor over a synchronous backend lets the read itself wait, which saves a
 * system call; but such a descriptor cannot be polled, so while a retry is due
 * it is switched back.
 */
static void await_work(struct far_monitor *m)
{
	int fd = m->server.fetch.pager->space.fd;
	bool is_due;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct epoll_event ev[4];
	int n;

	if (m->epfd >= 0) {
		if (m->server.fetch.nr_busy > m->server.fetch.nr_abandoned &&
		    !m->server.fetch.waiting)
			spin(m);
		n = epoll_wait(m->epfd, ev, FAR_ARRAY_SIZE(ev),
			       m->server.fetch.waiting	 ? RETRY_MS
			       : m->server.fetch.nr_busy ? EXPIRE_MS
							 : -1);
		/* A pool that went away makes it readable, too. */
		for (int i = 0; i < n; i++)
			if (ev[i].data.fd == m->queue_fd)
				(void)fetcher_poll(&m->server.fetch);
		return;
	}
	is_due = m->server.fetch.waiting != NULL;
	if (m->is_blocking == is_due && far_uffd_set_blocking(fd, !is_due) == 0)
		m->is_blocking = !is_due;
	if (is_due)
		(void)poll(&pfd, 1, RETRY_MS);
}

static void *monitor_main(void *arg)
{
	struct far_monitor *m = arg;
	struct far_pager *p = m->server.fetch.pager;

	pager_thread_begin("far-fault", m->index);
	placement_init(&m->place, p->nr_monitors == 1 ? &p->home_cpu : NULL);
	if (p->guard.is_started)
		yield_init(&m->yield);
	while (!atomic_load(&p->stopping)) {
		await_work(m);
		if (m->server.fetch.nr_busy)
			(void)fetcher_poll(&m->server.fetch);
		/* a retry that failed again needs a timer, not a read */
		if (m->is_blocking && m->server.fetch.waiting)
			continue;
		read_faults(m);
	}
	yield_end(&m->yield);
	placement_fini(&m->place);
	/* far-ctl rings to get us out of a read; it may ring only now. */
	(void)far_uffd_copy(p->space.fd, (char *)(uintptr_t)p->space.doorbell,
			    p->space.zero, 0);
	while (m->server.fetch.nr_busy >
	       m->server.fetch
		       .nr_abandoned) { /* close: nobody waits for these */
		if (!fetcher_poll(&m->server.fetch))
			(void)far_queue_wait(m->server.fetch.q,
					     (int64_t)WAIT_SLICE_NS);
	}
	return NULL;
}

static int watch(int epfd, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int choose_wait(struct far_monitor *m)
{
	struct far_pager *p = m->server.fetch.pager;
	int fd = far_queue_event_fd(m->server.fetch.q);
	int r;

	m->epfd = -1;
	m->queue_fd = fd;
	if (fd < 0 && p->nr_monitors == 1)
		return 0; /* see await_work() */
	m->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (m->epfd < 0)
		return -errno;
	r = watch(m->epfd, p->stop_fd, EPOLLIN);
	if (r == 0)
		/* one fault wakes one monitor */
		r = watch(m->epfd, p->space.fd, EPOLLIN | EPOLLEXCLUSIVE);
	if (r == 0 && fd >= 0)
		r = watch(m->epfd, fd, EPOLLIN);
	return r;
}

static int monitor_start(struct far_pager *p, unsigned i)
{
	struct far_monitor *m = &p->monitors[i];
	int r;

	m->index = i;
	r = fetcher_init(&m->server.fetch, p, FAR_FAULT_DEPTH,
			 pager_shard_monitor(p, i));
	if (r < 0)
		return r;
	r = choose_wait(m);
	if (r == 0)
		r = pager_thread(&m->thread, monitor_main, m);
	if (r < 0) {
		if (m->epfd >= 0)
			(void)close(m->epfd);
		fetcher_fini(&m->server.fetch);
		return r;
	}
	m->is_started = true;
	return 0;
}

/*
 * Without a guard nobody stands back: slower, and as right.  Not where answers
 * take time, for then the core is free meanwhile; nor beside other monitors:
 * one that is back would be woken for the fault of a thread elsewhere.
 */
static void start_guard(struct far_pager *p)
{
	if (p->nr_monitors > 1 ||
	    !(far_backend_caps(p->be)->flags & FAR_CAP_SYNC) ||
	    !yield_is_possible())
		return;
	(void)yield_guard_start(&p->guard, &p->monitors[0].yield);
}

int monitors_start(struct far_pager *p)
{
	p->guard.is_started = false;
	start_guard(p);
	for (unsigned i = 0; i < p->nr_monitors; i++) {
		int r = monitor_start(p, i);

		if (r < 0) {
			monitors_stop(p);
			return r;
		}
	}
	return 0;
}

void monitors_stop(struct far_pager *p)
{
	atomic_store(&p->stopping, 1);
	(void)eventfd_write(p->stop_fd, 1);
	yield_guard_stop(&p->guard);
	if (p->nr_monitors == 1 && p->monitors[0].is_started)
		(void)space_ring(&p->space); /* it may be waiting in a read */
	for (unsigned i = 0; i < p->nr_monitors; i++) {
		struct far_monitor *m = &p->monitors[i];

		if (!m->is_started)
			continue;
		(void)pthread_join(m->thread, NULL);
		if (m->epfd >= 0)
			(void)close(m->epfd);
		fetcher_fini(&m->server.fetch);
		m->is_started = false;
	}
}

static uint64_t ring(void *ctx)
{
	return space_ring(ctx);
}

uint64_t monitors_time(struct far_pager *p)
{
	return service_time(ring, &p->space);
}
