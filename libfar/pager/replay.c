/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/pager/pager.h"

#define CHUNK 1024    /* records in one read(2) */
#define LIMIT_PART 32 /* of the limit: what may be loaded */
/* A page, and its place in order. */
#define ENTRY_BYTES (2 * sizeof(uint32_t))

struct loading {
	struct far_trace_header header;
	struct far_replay *replay;
	far_pgno_t *pages;
	uint32_t nr, max;
	uint64_t charged; /* pages */
	bool is_cut;	  /* there were more */
};

/* Reads until @len bytes are there, or the file ends; how many, or -errno. */
static ssize_t read_all(int fd, unsigned char *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = read(fd, buf + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

static int load_records(struct loading *l, int fd)
{
	unsigned char buf[CHUNK * FAR_TRACE_RECORD_BYTES];
	ssize_t n;

	do {
		n = read_all(fd, buf, sizeof(buf));
		for (ssize_t at = 0; at + FAR_TRACE_RECORD_BYTES <= n;
		     at += FAR_TRACE_RECORD_BYTES) {
			struct far_trace_record r;
			int err =
				far_trace_record_get(buf + at, &l->header, &r);

			if (err < 0)
				return err;
			if (!far_trace_is_fetch(&r))
				continue;
			l->is_cut = l->nr == l->max;
			if (l->is_cut)
				return 0;
			l->pages[l->nr++] = r.page;
		}
	} while (n == (ssize_t)sizeof(buf));
	return n < 0 ? (int)n : 0;
}

static int load_header(struct loading *l, int fd)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	ssize_t n = read_all(fd, buf, sizeof(buf));

	return n < 0 ? (int)n
		     : far_trace_header_get(buf, (size_t)n, &l->header);
}

static uint64_t pages_of(uint64_t bytes)
{
	return far_round_up(bytes, FAR_PAGE_SIZE) >> FAR_PAGE_SHIFT;
}

/* Room for the most there can be, charged before it is touched. */
static int make_room(struct far_pager *p, struct loading *l, int fd)
{
	uint64_t max = p->cfg.local / LIMIT_PART / ENTRY_BYTES;
	struct stat st;
	size_t len;
	void *mem;
	int r;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		max = far_min_u64(max, (uint64_t)st.st_size /
					       FAR_TRACE_RECORD_BYTES);
	l->max = (uint32_t)far_min_u64(max, UINT32_MAX / 2);
	len = sizeof(*l->replay) + l->max * ENTRY_BYTES;
	r = far_near_map(len, &mem);
	if (r < 0)
		return r;
	l->replay = mem;
	l->replay->len = len;
	l->pages = (far_pgno_t *)(void *)(l->replay + 1);
	/* and what finish() needs to sort them */
	l->charged = pages_of(len) + pages_of(l->max * sizeof(uint32_t));
	pager_charge(p, l->charged);
	return 0;
}

static int finish(struct loading *l)
{
	struct far_replay *replay = l->replay;
	uint32_t *order = l->pages + l->nr;
	void *spare;
	int r;

	if (!l->nr)
		return -ENOMSG;
	r = far_near_map(l->nr * sizeof(uint32_t), &spare);
	if (r < 0)
		return r;
	guide_index(l->pages, l->nr, order, spare);
	far_near_unmap(spare, l->nr * sizeof(uint32_t));
	replay->guided.pages = l->pages;
	replay->guided.order = order;
	replay->guided.nr = l->nr;
	replay->used = sizeof(*replay) + l->nr * ENTRY_BYTES;
	return 0;
}

/* 0: it is another program's, one that this one was started by, or starts. */
static int load(struct far_pager *p, struct loading *l)
{
	int fd = open(p->cfg.replay, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char name[FAR_TRACE_NAME_BYTES + 1];
	int r;

	if (fd < 0)
		return -errno;
	trace_program(name, sizeof(name));
	r = load_header(l, fd);
	if (r == 0 && strcmp(name, l->header.name) == 0) {
		r = make_room(p, l, fd);
		if (r == 0)
			r = load_records(l, fd);
		if (r == 0)
			r = finish(l);
	}
	if (r < 0 && l->replay)
		far_near_unmap(l->replay, l->replay->len);
	(void)close(fd);
	return r;
}

static FAR_COLD void report_failure(struct far_pager *p, int err)
{
	const char *why = far_trace_error(err);

	if (err == -ENOMSG)
		why = "nothing was fetched in it";
	far_log(&p->log, FAR_LOG_ERR,
		"cannot replay %s: %s; the program goes on without; fix: a "
		"file that far trace record made, of a run with faults on far "
		"pages",
		p->cfg.replay, why ? why : strerrordesc_np(-err));
}

void replay_start(struct far_pager *p)
{
	struct loading l = {.nr = 0};
	int r;

	if (!p->cfg.replay[0] || atomic_load(&p->replay))
		return;
	r = load(p, &l);
	if (r < 0) {
		far_budget_put(&p->budget, (int64_t)l.charged);
		report_failure(p, r);
		return;
	}
	if (!l.replay) {
		far_log(&p->log, FAR_LOG_WARN,
			"the trace %s is of the program '%s', and not replayed",
			p->cfg.replay, l.header.name);
		return;
	}
	if (l.is_cut)
		far_log(&p->log, FAR_LOG_WARN,
			"the first %u far pages of the trace %s are replayed: "
			"there is no room for more; fix: a larger local=",
			l.nr, p->cfg.replay);
	atomic_store(&p->replay, l.replay);
	far_budget_put(&p->budget, (int64_t)(l.charged - replay_pages(p)));
	p->overhead_pages += replay_pages(p);
}

uint64_t replay_pages(struct far_pager *p)
{
	const struct far_replay *replay = atomic_load(&p->replay);

	return replay ? pages_of(replay->used) : 0;
}

void replay_fini(struct far_pager *p)
{
	struct far_replay *replay = atomic_exchange(&p->replay, NULL);

	if (replay)
		far_near_unmap(replay, replay->len);
}
