/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"

#define SLOTS_MIN (UINT32_C(1) << 14)
#define SLOTS_MAX (UINT32_C(1) << 16)
#define RING_PART 64 /* of the limit, at most, beyond the minimum */
#define CHUNK 512    /* records in one write(2) */
#define NAMES_MAX 1000
#define FLUSH_NS (1 * FAR_NS_PER_S)

#define KIND_SHIFT 32
#define FLAGS_SHIFT 40
#define THREAD_SHIFT 48

/* --- recording --- */

/* False: there is none, or no file any more. */
static bool take_place(struct far_trace *t, uint32_t *ret)
{
	uint32_t at, used;

	if (atomic_load_explicit(&t->is_off, memory_order_relaxed))
		return false;
	do {
		/* before tail: a ring that is full then was full now */
		at = atomic_load_explicit(&t->head, memory_order_acquire);
		FAR_HOOK(TRACE_PLACE, NULL);
		/* pairs with the release in give_back() */
		used = at -
		       atomic_load_explicit(&t->tail, memory_order_acquire);
		if (used == t->nr_slots)
			return false;
		/* beyond that, others were here in between: once more */
	} while (used > t->nr_slots ||
		 !atomic_compare_exchange_weak_explicit(&t->head, &at, at + 1,
							memory_order_release,
							memory_order_relaxed));
	*ret = at;
	return true;
}

/*
 * A place is taken by advancing head, never past what far-ctl has written; it
 * counts once `what` is not 0, and far-ctl sets that back before it gives the
 * place away by advancing tail.
 */
void trace_add(struct far_trace *t, enum far_trace_kind kind, far_pgno_t pg,
	       unsigned flags, uint32_t thread)
{
	uint64_t us = (far_now_ns() - t->start_ns) / FAR_NS_PER_US;
	struct far_trace_slot *s;
	uint32_t at;

	if (!take_place(t, &at)) {
		atomic_fetch_add(&t->dropped, 1);
		return;
	}
	s = &t->slots[at & (t->nr_slots - 1)];
	atomic_store_explicit(&s->us, us, memory_order_relaxed);
	/* pairs with the acquire in take() */
	atomic_store_explicit(&s->what,
			      (uint64_t)pg | (uint64_t)kind << KIND_SHIFT |
				      (uint64_t)flags << FLAGS_SHIFT |
				      (uint64_t)(uint16_t)thread
					      << THREAD_SHIFT,
			      memory_order_release);
	if ((at & (t->nr_slots / 4 - 1)) == 0)
		pager_kick(t->pager); /* the next tick may be too late */
}

/* --- the file --- */

/* @name with the pid for each %p, and @end. */
static int make_path(const char *name, const char *end, char *buf, size_t len)
{
	size_t at = 0;
	int n = 0;

	for (; *name && n >= 0 && at < len; name++) {
		if (name[0] == '%' && name[1] == 'p') {
			n = snprintf(buf + at, len - at, "%d", (int)getpid());
			name++;
		} else {
			n = snprintf(buf + at, len - at, "%c", *name);
		}
		at += (size_t)n;
	}
	if (at < len)
		at += (size_t)snprintf(buf + at, len - at, "%s", end);
	return at < len ? 0 : -ENAMETOOLONG;
}

/* A new file under the first of its names that is free. */
static int create_file(const char *name, char *path, size_t len)
{
	char end[32] = "";
	int fd, r;

	for (unsigned i = 0; i < NAMES_MAX; i++) {
		if (i == 1)
			(void)snprintf(end, sizeof(end), ".%d", (int)getpid());
		if (i > 1)
			(void)snprintf(end, sizeof(end), ".%d.%u",
				       (int)getpid(), i);
		r = make_path(name, end, path, len);
		if (r < 0)
			return r;
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

static int write_all(int fd, const unsigned char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

void trace_program(char *buf, size_t len)
{
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	if (fd >= 0)
		(void)close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

static void make_header(struct far_pager *p, struct far_trace_header *ret)
{
	struct timespec ts;

	memset(ret, 0, sizeof(*ret));
	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail here */
	ret->nr_pages = p->max_pages;
	ret->limit_pages = atomic_load(&p->budget.sh->limit_pages);
	ret->start_ns =
		(uint64_t)ts.tv_sec * FAR_NS_PER_S + (uint64_t)ts.tv_nsec;
	trace_program(ret->name, sizeof(ret->name));
}

static int begin_file(struct far_trace *t, char *path, size_t len)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	struct far_trace_header h;
	int r;

	t->fd = create_file(t->pager->cfg.trace, path, len);
	if (t->fd < 0)
		return t->fd;
	make_header(t->pager, &h);
	far_trace_header_put(buf, &h);
	r = write_all(t->fd, buf, sizeof(buf));
	t->bytes = sizeof(buf);
	if (r < 0) {
		(void)close(t->fd);
		(void)unlink(path); /* it is no trace */
	}
	return r;
}

static uint32_t nr_slots(const struct far_pager *p)
{
	uint64_t most =
		p->cfg.local / RING_PART / sizeof(struct far_trace_slot);
	uint32_t nr = SLOTS_MIN;

	while (nr < SLOTS_MAX && nr * 2 <= most)
		nr *= 2;
	return nr;
}

static size_t size_of(uint32_t nr)
{
	return sizeof(struct far_trace) + nr * sizeof(struct far_trace_slot);
}

uint64_t trace_pages(const struct far_pager *p)
{
	if (!p->cfg.trace[0])
		return 0;
	return far_round_up(size_of(nr_slots(p)), FAR_PAGE_SIZE) >>
	       FAR_PAGE_SHIFT;
}

static int open_trace(struct far_pager *p, struct far_trace **ret)
{
	uint32_t nr = nr_slots(p);
	char path[PATH_MAX];
	struct far_trace *t;
	void *mem;
	int r;

	r = far_near_map(size_of(nr), &mem);
	if (r < 0)
		return r;
	t = mem;
	t->pager = p;
	t->nr_slots = nr;
	t->pid = getpid();
	r = begin_file(t, path, sizeof(path));
	if (r < 0) {
		far_near_unmap(mem, size_of(nr));
		return r;
	}
	t->start_ns = far_now_ns();
	far_log(&p->log, FAR_LOG_INFO, "what happens to pages goes to %s",
		path);
	*ret = t;
	return 0;
}

void trace_start(struct far_pager *p)
{
	struct far_trace *t = NULL;
	int r;

	if (!p->cfg.trace[0] || atomic_load(&p->trace))
		return;
	r = open_trace(p, &t);
	if (r < 0)
		far_log(&p->log, FAR_LOG_ERR,
			"cannot make the trace %s: %s; the program goes on "
			"untraced; fix: a file in a folder that can be written "
			"to",
			p->cfg.trace, strerrordesc_np(-r));
	atomic_store(&p->trace, t);
}

/* Up to @max records from the ring into @buf; how many. */
static uint32_t take(struct far_trace *t, unsigned char *buf, uint32_t max)
{
	uint32_t at = atomic_load_explicit(&t->tail, memory_order_relaxed);
	uint32_t nr;

	for (nr = 0; nr < max; nr++, at++) {
		struct far_trace_slot *s = &t->slots[at & (t->nr_slots - 1)];
		uint64_t what =
			atomic_load_explicit(&s->what, memory_order_acquire);
		struct far_trace_record r;

		if (!what)
			break;
		r.us = atomic_load_explicit(&s->us, memory_order_relaxed);
		r.page = (uint32_t)what;
		r.kind = (uint8_t)(what >> KIND_SHIFT);
		r.flags = (uint8_t)(what >> FLAGS_SHIFT);
		r.thread = (uint16_t)(what >> THREAD_SHIFT);
		far_trace_record_put(buf + nr * FAR_TRACE_RECORD_BYTES, &r);
		atomic_store_explicit(&s->what, 0, memory_order_relaxed);
	}
	return nr;
}

static void give_back(struct far_trace *t, uint32_t nr)
{
	/* pairs with the acquire in take_place() and trace_flush() */
	atomic_fetch_add_explicit(&t->tail, nr, memory_order_release);
}

/* Those not recorded since the last call. */
static uint32_t count_dropped(struct far_trace *t)
{
	uint32_t now = atomic_load(&t->dropped);
	uint32_t nr = now - t->dropped_seen;

	t->dropped_seen = now;
	FAR_COUNT_N(pager_shard_ctl(t->pager), trace_dropped_records, nr);
	return nr;
}

/* One record of those that were not recorded: whoever reads the trace must
 * know. */
static uint32_t tell_dropped(struct far_trace *t, unsigned char *buf)
{
	struct far_trace_record r = {
		.us = (far_now_ns() - t->start_ns) / FAR_NS_PER_US,
		.page = count_dropped(t),
		.kind = FAR_TRACE_DROPPED,
	};

	if (!r.page)
		return 0;
	far_trace_record_put(buf, &r);
	return 1;
}

static FAR_COLD void end_early(struct far_trace *t, int err)
{
	/* no record is cut in two */
	int r = ftruncate(t->fd, (off_t)t->bytes);

	(void)r; /* who reads the file copes */
	(void)close(t->fd);
	t->fd = -1;
	atomic_store(&t->is_off, 1);
	far_log(&t->pager->log, FAR_LOG_ERR,
		"cannot write to the trace %s: %s; it ends here, the program "
		"goes on; fix: more room there",
		t->pager->cfg.trace, strerrordesc_np(-err));
}

/* The file failed: what is in the ring gets nowhere. */
static FAR_COLD void drop_rest(struct far_trace *t)
{
	unsigned char buf[CHUNK * FAR_TRACE_RECORD_BYTES];
	uint32_t nr;

	do {
		nr = take(t, buf, CHUNK);
		give_back(t, nr);
		atomic_fetch_add(&t->dropped, nr);
	} while (nr == CHUNK);
	(void)count_dropped(t);
}

/* False: that was all, or it failed. */
static bool write_chunk(struct far_trace *t)
{
	unsigned char buf[CHUNK * FAR_TRACE_RECORD_BYTES];
	uint32_t extra = tell_dropped(t, buf);
	uint32_t nr =
		take(t, buf + extra * FAR_TRACE_RECORD_BYTES, CHUNK - extra);
	size_t len = (nr + extra) * FAR_TRACE_RECORD_BYTES;
	int r = write_all(t->fd, buf, len);

	if (r < 0) {
		end_early(t, r);
		atomic_fetch_add(&t->dropped, nr);
	} else {
		t->bytes += len;
	}
	give_back(t, nr);
	return r == 0 && nr == CHUNK - extra;
}

void trace_drain(struct far_pager *p)
{
	struct far_trace *t = atomic_load(&p->trace);

	if (!t)
		return;
	/* As many as fit at once, not as many as come. */
	for (uint32_t i = 0;
	     t->fd >= 0 && i < t->nr_slots / CHUNK && write_chunk(t); i++)
		;
	if (t->fd < 0)
		drop_rest(t);
}

void trace_ease(struct far_pager *p)
{
	struct far_trace *t = atomic_load(&p->trace);

	if (t &&
	    atomic_load(&t->head) - atomic_load(&t->tail) >= t->nr_slots / 4)
		trace_drain(p);
}

void trace_stop(struct far_pager *p)
{
	struct far_trace *t = atomic_load(&p->trace);

	if (!t)
		return;
	while (t->fd >= 0 && write_chunk(t))
		;
	if (t->fd >= 0)
		(void)close(t->fd);
	else
		drop_rest(t);
	atomic_store(&p->trace, NULL);
	far_near_unmap(t, size_of(t->nr_slots));
}

void trace_forked(struct far_pager *p)
{
	struct far_trace *t = atomic_exchange(&p->trace, NULL);

	if (t)
		far_near_unmap(t, size_of(t->nr_slots));
}

void trace_flush(struct far_pager *p)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct far_trace *t = atomic_load(&p->trace);
	uint64_t until = far_now_ns() + FLUSH_NS;
	uint32_t end;

	if (!t || t->pid != getpid()) /* a child that shares our memory */
		return;
	end = atomic_load(&t->head);
	while ((int32_t)(end - atomic_load(&t->tail)) > 0 &&
	       !atomic_load(&t->is_off) && far_now_ns() < until) {
		pager_kick(p);
		(void)nanosleep(&pause, NULL);
	}
}
