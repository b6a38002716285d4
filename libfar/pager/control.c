/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far-ctl: the one pager thread that may block.  It owns a descriptor table
 * of its own, so that a program which closes all descriptors cannot close
 * ours (a closed userfaultfd turns evicted pages into zeros); the other pager
 * threads are its children and share that table.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/base/futex.h"
#include "libfar/base/size.h"
#include "libfar/base/process.h"
#include "libfar/pager/pager.h"
#include "libfar/pager/preload.h"

#define TICK_NS (100 * FAR_NS_PER_MS)
#define STACK_BYTES (256 * 1024)
#define ADOPT_PAGES 4096
#define DISCARD_RUN 64
#define WAIT_NS (1 * FAR_NS_PER_S)
#define OVERHEAD_STEP 16
#define OVERHEAD_NS (2 * FAR_NS_PER_S)
#define WRITE_ERROR_NS (10 * FAR_NS_PER_S)

/* Hooks of the preload; set once, before any pager has threads. */
static void (*thread_hook)(void);
static void (*near_enter)(void);
static void (*near_leave)(void);

void far_set_thread_hook(void (*hook)(void))
{
	thread_hook = hook;
}

void far_set_near_hooks(void (*enter)(void), void (*leave)(void))
{
	near_enter = enter;
	near_leave = leave;
}

/* Read in a signal handler: not to be allocated when it is first used. */
static _Thread_local
	__attribute__((tls_model("initial-exec"))) bool is_own_thread;

bool pager_is_own_thread(void)
{
	return is_own_thread;
}

void pager_thread_is_programs(void)
{
	is_own_thread = false;
}

/* --- threads --- */

struct start {
	void *(*fn)(void *);
	void *arg;
	_Atomic uint32_t is_running; /* futex */
};

static void *start_main(void *arg)
{
	struct start *s = arg, mine = {.fn = s->fn, .arg = s->arg};

	atomic_store(&s->is_running, 1);
	far_futex_wake(&s->is_running, 1);
	return mine.fn(mine.arg);
}

/* Returns when it runs: what the C library does before that may fault, so
 * nothing may be evicted until those who serve faults have got so far. */
int pager_thread(pthread_t *ret_thread, void *(*fn)(void *), void *arg)
{
	struct start s = {.fn = fn, .arg = arg};
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	/* Signals are the program's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (near_enter)
		near_enter();
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = -pthread_create(ret_thread, &attr, start_main, &s);
	(void)pthread_attr_destroy(&attr);
	if (near_leave)
		near_leave();
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	while (r == 0 && !atomic_load(&s.is_running))
		far_futex_wait(&s.is_running, 0, WAIT_NS);
	return r;
}

void pager_thread_begin(const char *name, unsigned index)
{
	char text[16];

	is_own_thread = true;
	if (thread_hook)
		thread_hook();
	(void)snprintf(text, sizeof(text), "%s/%u", name, index);
	(void)prctl(PR_SET_NAME, text);
}

/* --- requests and rings --- */

void pager_kick(struct far_pager *p)
{
	atomic_fetch_add(&p->ctl_kick, 1);
	far_futex_wake(&p->ctl_kick, 1);
}

int pager_request(struct far_pager *p, struct far_request *req)
{
	atomic_store(&req->is_done, 0);
	(void)pthread_mutex_lock(&p->request_lock);
	req->next = p->requests;
	p->requests = req;
	(void)pthread_mutex_unlock(&p->request_lock);
	pager_kick(p);
	while (!atomic_load(&req->is_done))
		far_futex_wait(&req->is_done, 0, WAIT_NS);
	return req->result;
}

void pager_prefetch(struct far_pager *p, far_pgno_t start, far_pgno_t nr)
{
	(void)pthread_mutex_lock(&p->prefetch_lock);
	if (p->prefetch_head - p->prefetch_tail < FAR_PREFETCH_RING) {
		uint32_t at = p->prefetch_head++ % FAR_PREFETCH_RING;

		p->prefetch[at].start = start;
		p->prefetch[at].nr = nr;
	}
	(void)pthread_mutex_unlock(&p->prefetch_lock);
	pager_kick(p);
}

static bool next_prefetch(struct far_pager *p, far_pgno_t *ret_start,
			  far_pgno_t *ret_nr)
{
	bool any;

	(void)pthread_mutex_lock(&p->prefetch_lock);
	any = p->prefetch_tail != p->prefetch_head;
	if (any) {
		uint32_t at = p->prefetch_tail++ % FAR_PREFETCH_RING;

		*ret_start = p->prefetch[at].start;
		*ret_nr = p->prefetch[at].nr;
	}
	(void)pthread_mutex_unlock(&p->prefetch_lock);
	return any;
}

void pager_lost(struct far_pager *p, far_pgno_t pg, int err)
{
	uint32_t i;
	bool fits;

	atomic_store(&p->has_lost, 1);
	(void)pthread_mutex_lock(&p->lost_lock);
	i = atomic_load(&p->nr_lost);
	fits = i - atomic_load(&p->lost_seen) < FAR_LOST_RING;
	if (fits) {
		p->lost[i % FAR_LOST_RING].err = err;
		p->lost[i % FAR_LOST_RING].pg = pg;
		atomic_store(&p->nr_lost, i + 1);
	} else {
		atomic_fetch_add(&p->nr_unsaid, 1);
	}
	(void)pthread_mutex_unlock(&p->lost_lock);
	if (fits)
		pager_kick(p);
	else /* the log has enough of them */
		(void)space_poison(&p->space, pager_addr(p, pg));
}

static const char *why_lost(int err)
{
	switch (err) {
	case -EBADMSG:
		return "its copy is corrupt (wrong checksum)";
	case -ENODATA:
	case -ESTALE:
		return "the backend does not hold it any more";
	case -ETIMEDOUT:
		return "the backend did not answer in time";
	case -ENOSPC:
		return "no local frame was freed in time: the backend is "
		       "full or gone";
	default:
		return strerrordesc_np(-err);
	}
}

static void report_lost(struct far_pager *p)
{
	uint32_t end = atomic_load(&p->nr_lost);
	uint32_t i = atomic_load(&p->lost_seen);

	for (; i != end; i++) {
		const struct far_lost *l = &p->lost[i % FAR_LOST_RING];

		far_log(&p->log, FAR_LOG_ERR,
			"page at %p is lost: %s; the program gets SIGBUS when "
			"it touches it",
			(void *)pager_addr(p, l->pg), why_lost(l->err));
		logger_flush(&p->logger); /* SIGBUS may be the end */
		/* unless it was discarded meanwhile */
		if (word_state(far_page_load(&p->words[l->pg])) ==
		    FAR_PAGE_LOST)
			(void)space_poison(&p->space, pager_addr(p, l->pg));
		atomic_store(&p->lost_seen, i + 1);
	}
}

/* Once in a while, as long as pages cannot leave. */
static void report_write_error(struct far_pager *p, uint64_t now)
{
	int err = atomic_exchange(&p->write_error, 0);
	char text[16];

	if (!err ||
	    (p->write_error_ns && now - p->write_error_ns < WRITE_ERROR_NS))
		return;
	p->write_error_ns = now;
	far_log(&p->log, FAR_LOG_ERR,
		"pages cannot be written to %s: %s; they stay local, and a "
		"fault that finds no frame for %s ends in SIGBUS; fix: %s",
		p->cfg.far, strerrordesc_np(-err),
		far_duration_format(p->on_loss_ns, text, sizeof(text)),
		err == -ENOSPC ? "give it more room, or raise local="
			       : "look after the backend");
}

/* The program did it, by a system call that libfar does not see; or pages get
 * lost, which nobody would notice otherwise. */
static void report_gone(struct far_pager *p)
{
	uint64_t nr = 0;

	for (unsigned i = 0; i < p->nr_shards; i++)
		nr += atomic_load_explicit(&p->shards[i].gone_pages,
					   memory_order_relaxed);
	if (nr == p->gone_seen)
		return;
	if (!p->gone_seen)
		far_log(&p->log, FAR_LOG_WARN,
			"%llu pages that were resident are gone and read as "
			"zeros: was that madvise(2) by a raw system call, or "
			"from before libfar was loaded? fix: far_advise() or "
			"the C library's madvise(); gone_pages counts on",
			(unsigned long long)nr);
	p->gone_seen = nr;
}

/* --- capacity --- */

static int grant(struct far_pager *p, uint64_t pages)
{
	uint64_t len = far_round_up(pages << FAR_PAGE_SHIFT, FAR_RESERVE_BYTES);
	uint64_t off;
	int r;

	r = far_backend_reserve(p->be, len, &off);
	if (r == -ENOSPC && len > pages << FAR_PAGE_SHIFT) {
		len = pages << FAR_PAGE_SHIFT; /* the last piece */
		r = far_backend_reserve(p->be, len, &off);
	}
	if (r < 0)
		return r;
	return far_slots_grant(&p->slots, off >> FAR_PAGE_SHIFT,
			       len >> FAR_PAGE_SHIFT);
}

/* Slots for all that is mapped; at the least for what can never be local. */
static int reserve(struct far_pager *p, uint64_t mapped_pages)
{
	uint64_t limit = atomic_load(&p->budget.sh->limit_pages);
	uint64_t kept = p->overhead_pages + p->words_pages +
			2 * (uint64_t)pager_reserve_pages(p);
	uint64_t usable = limit > kept ? limit - kept : 0;
	uint64_t have = atomic_load(&p->slots.nr_granted);
	uint64_t least = mapped_pages > usable ? mapped_pages - usable : 0;
	uint64_t size = far_backend_caps(p->be)->capacity >> FAR_PAGE_SHIFT;
	int r;

	if (have >= mapped_pages)
		return 0;
	r = grant(p, mapped_pages - have);
	if (r == -ENOSPC && size > have) /* what there is */
		r = grant(p, far_min_u64(size, mapped_pages) - have);
	have = atomic_load(&p->slots.nr_granted);
	if (r == 0 || have >= least)
		return have >= least ? 0 : -ENOSPC;
	return grant(p, least - have);
}

/* Frees the backend's copies of pages that are not needed any more. */
static void discard_stale(struct far_pager *p)
{
	struct far_fetcher *f = p->ctl_fetch;
	uint64_t pos = 0, first;
	unsigned nr;

	while (atomic_load(&p->slots.nr_stale) > 0 &&
	       (nr = far_slots_take_stale(&p->slots, &pos, DISCARD_RUN,
					  &first)) > 0) {
		struct far_io io = {.op = FAR_IO_DISCARD,
				    .off = first << FAR_PAGE_SHIFT,
				    .len = nr << FAR_PAGE_SHIFT};
		struct far_io *done;
		int n = far_queue_submit(f->q, &io, 1);

		while (n == 1 && far_queue_poll(f->q, &done, 1) == 0)
			(void)far_queue_wait(f->q, (int64_t)TICK_NS);
		/* a backend that is gone has discarded them all */
		far_slots_discarded(&p->slots, first, nr);
	}
}

/* --- arming --- */

/* Pages the program touched before faults were intercepted. */
static int adopt(struct far_pager *p)
{
	static const far_word_t resident = FAR_PAGE_RESIDENT | FAR_WORD_DIRTY;
	unsigned char present[ADOPT_PAGES];
	far_pgno_t top = atomic_load(&p->ranges.top);
	int64_t found = 0;

	for (far_pgno_t at = 0; at < top; at += ADOPT_PAGES) {
		unsigned nr = (unsigned)far_min_u64(top - at, ADOPT_PAGES);
		int r = space_present(&p->space, pager_addr(p, at), nr,
				      present);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < nr; i++) {
			far_word_t w = far_page_load(&p->words[at + i]);
			far_word_t to = (w & FAR_WORD_STICKY) | resident;

			if (!present[i])
				continue;
			/* a fault may have been served there already */
			while (word_state(w) == FAR_PAGE_ABSENT)
				if (far_page_cas(&p->words[at + i], &w, to)) {
					found++;
					recorder_note(p->history, at + i,
						      "adopted", w, 0);
					far_evictor_page_in(p->evictor, at + i);
					break;
				}
		}
	}
	/* So far the whole mapping was charged. */
	far_budget_put(&p->budget,
		       (int64_t)atomic_load(&p->ranges.mapped_pages) - found);
	return 0;
}

static int arm(struct far_pager *p)
{
	int r;

	/* From registration to ARMED faults are served, but nothing can be
	 * evicted: what takes long comes before. */
	trace_start(p);
	replay_start(p);
	r = space_register(&p->space);
	if (r < 0) {
		far_log(&p->log, FAR_LOG_ERR,
			"cannot register far memory with userfaultfd: %s",
			strerrordesc_np(-r));
		return r;
	}
	/* Until all pages are found, a word that says ABSENT may be wrong, and
	 * an evictor would move the page along with its neighbours. */
	far_evictor_pause(p->evictor);
	atomic_store(&p->state, FAR_PAGER_ARMED);
	r = adopt(p);
	far_evictor_resume(p->evictor);
	if (r < 0)
		far_log(&p->log, FAR_LOG_ERR,
			"cannot read /proc/self/pagemap: %s",
			strerrordesc_np(-r));
	far_budget_press(&p->budget);
	return r;
}

/* What a page is in a forked child, from its word at the fork, which the
 * parent's monitors may have been changing, and from the kernel's word. */
static far_word_t reborn(far_word_t w, bool is_present)
{
	far_word_t keep = w & (FAR_SLOT_MASK | FAR_WORD_PATTERN);
	bool is_clean = !(w & (FAR_WORD_DIRTY | FAR_WORD_DISCARD)) &&
			word_slot(w) != FAR_SLOT_NONE;

	if (word_state(w) == FAR_PAGE_LOST)
		return FAR_PAGE_LOST;
	if (is_present)
		return keep | FAR_PAGE_RESIDENT | FAR_WORD_DIRTY |
		       (word_state(w) == FAR_PAGE_RESIDENT ? w & FAR_STAGE_MASK
							   : 0);
	if (word_state(w) != FAR_PAGE_ABSENT && is_clean)
		return keep | FAR_PAGE_REMOTE;
	return (keep & ~FAR_SLOT_MASK) | FAR_PAGE_ABSENT;
}

/* arm() of a forked child: nothing runs in it yet but us. */
static int rearm(struct far_pager *p)
{
	unsigned char present[ADOPT_PAGES];
	far_pgno_t top = atomic_load(&p->ranges.top);
	int64_t found = 0;
	int r = space_register(&p->space);

	far_slots_rebuild(&p->slots);
	for (far_pgno_t at = 0; r == 0 && at < top; at += ADOPT_PAGES) {
		unsigned nr = (unsigned)far_min_u64(top - at, ADOPT_PAGES);

		r = space_present(&p->space, pager_addr(p, at), nr, present);
		for (unsigned i = 0; r == 0 && i < nr; i++) {
			far_word_t w = far_page_load(&p->words[at + i]);
			far_word_t to = reborn(w, present[i]);

			if (to == 0 && w == 0)
				continue;
			atomic_store(&p->words[at + i], to);
			if (word_slot(to) != FAR_SLOT_NONE)
				far_slots_in_use(&p->slots, word_slot(to));
			if (word_state(to) != FAR_PAGE_RESIDENT)
				continue;
			found++;
			far_evictor_page_in(p->evictor, at + i);
		}
	}
	if (r < 0)
		return r;
	trace_start(p);
	far_budget_force(&p->budget, found);
	atomic_store(&p->state, FAR_PAGER_ARMED);
	far_budget_press(&p->budget);
	return 0;
}

/* --- the thread --- */

/* What stands for the program's descriptors 0 to 2 in our table.  A sanitizer
 * reports by 2: what it finds on our threads must not end in silence. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NR_NULLED 2
#else
#define NR_NULLED 3
#endif

static void private_descriptors(void)
{
	int fd;

	if (unshare(CLONE_FILES) < 0)
		return; /* works, but closing all descriptors would hurt */
	far_close_inherited(3);
	fd = open("/dev/null", O_RDWR);
	for (int i = 0; fd >= 0 && i < NR_NULLED; i++)
		if (fd != i)
			(void)dup2(fd, i);
	if (fd > 2)
		(void)close(fd);
}

unsigned pager_by_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 4 ? 1 : (unsigned)far_min_u64((uint64_t)n / 4, 4);
}

static unsigned choose_monitors(const struct far_pager *p)
{
	return p->cfg.monitors ? (unsigned)p->cfg.monitors : pager_by_cores();
}

static int open_parts(struct far_pager *p)
{
	char text[512];
	unsigned nr;
	int r;

	r = space_open(&p->space, (unsigned)p->cfg.takeout, !p->is_preload);
	if (r < 0) {
		far_uffd_explain(&p->space.info, text, sizeof(text));
		far_log(&p->log, FAR_LOG_ERR, "%s", text);
		return r;
	}
	if (p->space.info.way == FAR_UFFD_USER_ONLY)
		far_log(&p->log, FAR_LOG_WARN,
			"userfaultfd sees faults of user mode only: a system "
			"call on an evicted page fails with EFAULT; fix: "
			"access "
			"to /dev/userfaultfd, see far doctor");
	if (p->be) /* a forked child: the parent's contents */
		r = far_backend_adopt(p->be, &p->clone);
	else
		r = far_backend_open(p->cfg.far, far_log_relay, &p->log,
				     &p->be);
	if (r < 0)
		return r;
	if (!p->slots.free) {
		r = far_slots_init(&p->slots,
				   far_backend_caps(p->be)->capacity >>
					   FAR_PAGE_SHIFT);
		if (r < 0)
			return r;
	}
	nr = (unsigned)(p->cfg.batch * p->cfg.evictors * FAR_EVICT_BATCHES);
	r = space_stage(&p->space, 2 * nr, nr);
	if (r < 0)
		return r;
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return p->stop_fd < 0 ? -errno : 0;
}

uint64_t pager_overhead_pages(struct far_pager *p)
{
	uint64_t n =
		(FAR_OVERHEAD_FIXED + p->cfg.evictors * FAR_OVERHEAD_EVICTOR) >>
		FAR_PAGE_SHIFT;

	n += (choose_monitors(p) + 1) * FAR_FAULT_DEPTH;
	n += trace_pages(p) + replay_pages(p);
	/* What is moved to staging is charged as it was where it came from. */
	if (!p->space.use_move)
		n += p->cfg.batch * p->cfg.evictors * FAR_EVICT_BATCHES;
	return n;
}

/* Charged before it was known how pages leave: what is too much goes back. */
static void settle_overhead(struct far_pager *p)
{
	uint64_t n = pager_overhead_pages(p);

	if (p->overhead_pages <= n)
		return;
	far_budget_put(&p->budget, (int64_t)(p->overhead_pages - n));
	p->overhead_pages = n;
}

static int bring_up(struct far_pager *p)
{
	void *mem;
	int r;

	r = open_parts(p);
	if (r < 0)
		return r;
	settle_overhead(p);
	r = far_near_map(sizeof(*p->ctl_fetch) +
				 FAR_MAX_MONITORS * sizeof(*p->monitors),
			 &mem);
	if (r < 0)
		return r;
	p->monitors = mem;
	p->ctl_fetch = (void *)&p->monitors[FAR_MAX_MONITORS];
	r = fetcher_init(p->ctl_fetch, p, FAR_FAULT_DEPTH, pager_shard_ctl(p));
	if (r < 0)
		return r;
	p->nr_monitors = choose_monitors(p);
	atomic_store(&p->home_cpu, -1);
	r = monitors_start(p);
	if (r == 0)
		r = far_evictor_start(p->evictor);
	return r;
}

static void bring_down(struct far_pager *p)
{
	if (p->evictor)
		far_evictor_stop(p->evictor);
	inline_stop(p);
	if (p->monitors) {
		monitors_stop(p);
		fetcher_fini(p->ctl_fetch);
		far_near_unmap(p->monitors,
			       sizeof(*p->ctl_fetch) +
				       FAR_MAX_MONITORS * sizeof(*p->monitors));
		p->monitors = NULL;
		p->ctl_fetch = NULL;
	}
	trace_stop(p);
	if (p->stop_fd >= 0)
		(void)close(p->stop_fd);
	p->stop_fd = -1;
	/* Far memory that nobody intercepts yet is ordinary memory: it stays
	 * when starting failed. */
	if (p->space.is_registered)
		space_release(&p->space); /* unmaps, then closes */
	else
		space_close(&p->space);
	far_backend_close(p->be);
	p->be = NULL;
}

static int wake_range(struct far_pager *p, far_pgno_t start, far_pgno_t nr)
{
	/* Who waits in a monitor's chunk needs one call, whatever the range. */
	int r = far_uffd_wake(p->space.fd, pager_addr(p, start),
			      (size_t)nr << FAR_PAGE_SHIFT);

	for (far_pgno_t pg = start; pg < start + nr; pg++)
		if (space_is_inline(&p->space, pager_addr(p, pg)))
			pager_wake(p, pg);
	return r;
}

static int install(struct far_pager *p, const struct far_request *req)
{
	char *addr = pager_addr(p, req->start);

	if (!req->arg)
		return space_protect(&p->space, addr, FAR_PAGE_SIZE,
				     req->nr != 0);
	return space_install(&p->space, addr, (const void *)(uintptr_t)req->arg,
			     req->nr ? FAR_COPY_PROTECT : 0);
}

static int perform(struct far_pager *p, struct far_request *req)
{
	switch (req->kind) {
	case FAR_REQ_RESERVE:
		return reserve(p, req->arg);
	case FAR_REQ_ARM:
		return arm(p);
	case FAR_REQ_REARM:
		return rearm(p);
	case FAR_REQ_FLUSH:
		return writeback_flush(p, p->ctl_fetch->q, pager_shard_ctl(p),
				       req->start, req->nr);
	case FAR_REQ_CLONE:
		return far_backend_clone(p->be, &p->clone);
	case FAR_REQ_WAKE:
		return wake_range(p, req->start, req->nr);
	case FAR_REQ_HEAL:
		return space_heal(&p->space, pager_addr(p, req->start));
	case FAR_REQ_INLINE:
		return inline_start(p, (int)req->arg);
	case FAR_REQ_KIND:
		return space_set_inline(&p->space, pager_addr(p, req->start),
					(size_t)req->nr << FAR_PAGE_SHIFT,
					req->arg != 0);
	case FAR_REQ_INSTALL:
		return install(p, req);
	case FAR_REQ_STOP:
	case FAR_REQ_NONE:
		break;
	}
	return 0;
}

static void finish(struct far_request *req, int result)
{
	req->result = result;
	atomic_store(&req->is_done, 1);
	far_futex_wake(&req->is_done, INT_MAX);
}

void pager_serve_urgent(struct far_pager *p)
{
	struct far_request **at, *req;

	(void)pthread_mutex_lock(&p->request_lock);
	for (at = &p->requests; *at && (*at)->kind != FAR_REQ_INSTALL &&
				(*at)->kind != FAR_REQ_HEAL;
	     at = &(*at)->next)
		;
	req = *at;
	if (req)
		*at = req->next;
	(void)pthread_mutex_unlock(&p->request_lock);
	if (req)
		finish(req, perform(p, req));
}

/* Serves all requests there are; true if one of them was to stop. */
static bool serve_requests(struct far_pager *p)
{
	struct far_request *req, *stop = NULL;

	for (;;) {
		(void)pthread_mutex_lock(&p->request_lock);
		req = p->requests;
		if (req)
			p->requests = req->next;
		(void)pthread_mutex_unlock(&p->request_lock);
		if (!req)
			break;
		if (req->kind == FAR_REQ_STOP) {
			stop = req;
			continue;
		}
		finish(req, perform(p, req));
	}
	if (!stop)
		return false;
	bring_down(p);
	finish(stop, 0);
	return true;
}

static uint64_t frames_taken(const struct far_pager *p)
{
	uint64_t nr = 0;

	for (unsigned i = 0; i < p->nr_shards; i++)
		nr += atomic_load_explicit(&p->shards[i].faults_missing,
					   memory_order_relaxed) +
		      atomic_load_explicit(&p->shards[i].prefetched_pages,
					   memory_order_relaxed);
	return nr;
}

static void housekeep(struct far_pager *p, uint64_t *last_ns)
{
	uint64_t now = far_now_ns();

	if (now - *last_ns < TICK_NS)
		return;
	*last_ns = now;
	/* During a fork the child's copy may still name what is stale here. */
	if (pager_is_armed(p) && !atomic_load(&p->is_forking)) {
		discard_stale(p);
		if (!atomic_load(&p->deliver_ns))
			atomic_store(&p->deliver_ns, monitors_time(p));
	}
	report_write_error(p, now);
	report_gone(p);
	reserve_relax(&p->reserve, now);
	reserve_pace(&p->reserve, frames_taken(p), now);
	(void)far_budget_sweep(&p->budget);
	stat_page_write(p);
}

static void report_up(struct far_pager *p, uint32_t how)
{
	atomic_store(&p->ctl_up, how);
	far_futex_wake(&p->ctl_up, INT_MAX);
}

static void *ctl_main(void *arg)
{
	struct far_pager *p = arg;
	uint64_t last_ns = 0;
	int r;

	pager_thread_begin("far-ctl", 0);
	space_taker_begin(&p->space, FAR_MAX_EVICTORS);
	private_descriptors();
	r = bring_up(p);
	if (r < 0) {
		p->start_error = r;
		bring_down(p);
		report_up(p, 2);
		return NULL;
	}
	report_up(p, 1);
	for (;;) {
		uint32_t seen = atomic_load(&p->ctl_kick);
		far_pgno_t start, nr;

		report_lost(p);
		trace_drain(p);
		if (serve_requests(p))
			return NULL;
		if (next_prefetch(p, &start, &nr)) {
			fetcher_ahead(p->ctl_fetch, start, nr);
			continue;
		}
		housekeep(p, &last_ns);
		far_futex_wait(&p->ctl_kick, seen, TICK_NS);
	}
}

void pager_charge(struct far_pager *p, uint64_t left)
{
	struct far_budget *b = &p->budget;
	bool has_givers = b->is_file || pager_is_armed(p);
	uint64_t t0 = far_now_ns();

	atomic_fetch_add(&b->sh->waiters, 1);
	while (left) {
		unsigned n = (unsigned)far_min_u64(left, OVERHEAD_STEP);
		uint32_t seen = atomic_load(&b->sh->freed);

		if (far_budget_try(b, n)) {
			left -= n;
			continue;
		}
		if (!has_givers || far_now_ns() - t0 > OVERHEAD_NS)
			break;
		far_budget_press(b);
		far_budget_wait(b, seen, FAR_NS_PER_MS);
	}
	atomic_fetch_sub(&b->sh->waiters, 1);
	far_budget_force(b, (int64_t)left);
}

int pager_start(struct far_pager *p)
{
	int r;

	if (!p->overhead_pages) {
		p->overhead_pages = pager_overhead_pages(p);
		pager_charge(p, p->overhead_pages);
	}
	atomic_store(&p->ctl_up, 0);
	atomic_store(&p->stopping, 0);
	r = logger_start(&p->logger);
	if (r == 0)
		r = pager_thread(&p->ctl, ctl_main, p);
	if (r < 0)
		goto failed;
	while (!atomic_load(&p->ctl_up))
		far_futex_wait(&p->ctl_up, 0, WAIT_NS);
	if (atomic_load(&p->ctl_up) == 2) {
		(void)pthread_join(p->ctl, NULL);
		r = p->start_error;
		goto failed;
	}
	atomic_store(&p->state, FAR_PAGER_READY);
	return 0;
failed:
	logger_stop(&p->logger); /* prints what there is */
	atomic_store(&p->state, FAR_PAGER_FAILED);
	p->start_error = r;
	return r;
}

int pager_arm(struct far_pager *p)
{
	struct far_request req = {.kind = FAR_REQ_ARM};

	return pager_request(p, &req);
}

void pager_stop(struct far_pager *p)
{
	struct far_request req = {.kind = FAR_REQ_STOP};
	uint32_t s = atomic_load(&p->state);

	if (s == FAR_PAGER_READY || s == FAR_PAGER_ARMED) {
		(void)pager_request(p, &req);
		(void)pthread_join(p->ctl, NULL);
	}
	logger_stop(&p->logger);
	atomic_store(&p->state, FAR_PAGER_IDLE);
}
