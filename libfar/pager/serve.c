/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/serve.h"

#include <errno.h>
#include <string.h>

#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"

#define WAIT_SLICE_NS (1 * FAR_NS_PER_MS)
#define STUCK_NS (50 * FAR_NS_PER_MS)
#define TIMED 16      /* one fault in so many */
#define SMALL_GROUP 4 /* pages */
#define LARGE_GROUP 16
_Static_assert(LARGE_GROUP <= FAR_ZERO_RUN, "zeros for a group");

/* An evictor reads one page all the time: its own fault may be waiting behind
 * the one that waits for a frame. */
static bool is_reader_stuck(const struct far_pager *p, uintptr_t *page,
			    uint64_t *since_ns)
{
	uintptr_t now_read = space_being_read(&p->space);
	uint64_t now = far_now_ns();

	if (now_read != *page)
		*since_ns = now;
	*page = now_read;
	return now_read && now - *since_ns > STUCK_NS;
}

/*
 * Charges a frame, waiting for an evictor if none is free.  The wait is
 * bounded by on_loss: if nothing was freed for so long, nothing will be.  One
 * more than the limit is had where waiting would be for ever: in a fork, where
 * evictors stand still, and for a reader that is stuck.
 */
static bool charge(struct far_server *v)
{
	struct far_fetcher *f = &v->fetch;
	struct far_pager *p = f->pager;
	struct far_budget *b = &p->budget;
	uintptr_t page = 0; /* read by an evictor, and since when */
	uint64_t t0, page_ns = 0;
	bool ok;

	v->waited_ns = 0;
	if (FAR_LIKELY(far_budget_try(b, 1)))
		return true;
	t0 = far_now_ns();
	FAR_COUNT(f->stats, frame_waits);
	pager_short(p);
	atomic_fetch_add(&b->sh->waiters, 1);
	do {
		uint32_t seen = atomic_load(&b->sh->freed);

		far_budget_press(b);
		ok = far_budget_try(b, 1);
		if (!ok && (atomic_load(&p->is_forking) ||
			    is_reader_stuck(p, &page, &page_ns))) {
			far_budget_force(b, 1);
			ok = true;
		}
		if (ok)
			break;
		(void)fetcher_poll(f);
		far_budget_wait(b, seen, WAIT_SLICE_NS);
	} while (far_now_ns() - t0 < p->on_loss_ns + FAR_NS_PER_S &&
		 !atomic_load(&p->stopping));
	atomic_fetch_sub(&b->sh->waiters, 1);
	v->waited_ns = far_now_ns() - t0;
	FAR_COUNT_N(f->stats, frame_wait_ns, v->waited_ns);
	return ok;
}

/* The evictor begins before frames run out. */
static void press_if_low(struct far_pager *p)
{
	if (far_budget_free(&p->budget) < pager_reserve_pages(p))
		far_budget_press(&p->budget);
}

static void note(const struct far_server *v, enum far_trace_kind kind,
		 far_pgno_t pg, const struct far_uffd_msg *msg)
{
	trace_note(v->fetch.pager->trace, kind, pg,
		   msg->is_write ? FAR_TRACE_IS_WRITE : 0, msg->tid);
}

/* No frame can be had: the page that was touched cannot be served. */
static void refuse(struct far_server *v, far_pgno_t pg)
{
	struct far_pager *p = v->fetch.pager;
	far_word_t w = far_page_load(&p->words[pg]);

	while (word_state(w) == FAR_PAGE_ABSENT ||
	       word_state(w) == FAR_PAGE_REMOTE) {
		if (!far_page_cas(&p->words[pg], &w,
				  word_with(w, FAR_PAGE_FETCHING)))
			continue;
		w = word_with(w, FAR_PAGE_FETCHING);
		while (!far_page_cas(&p->words[pg], &w,
				     word_with(w, FAR_PAGE_LOST) &
					     ~FAR_WORD_PARKED))
			;
		pager_lost(p, pg, -ENOSPC);
		return;
	}
	pager_wake(p, pg); /* something moved: look again */
}

/* May the pages behind a fault be taken along? */
static bool is_fetchable(struct far_pager *p, far_pgno_t pg, far_pgno_t next)
{
	/* A thread of the program has no means for pages of the other kind. */
	return next < p->max_pages &&
	       space_is_inline(&p->space, pager_addr(p, next)) ==
		       space_is_inline(&p->space, pager_addr(p, pg)) &&
	       far_ranges_contains(&p->ranges, next, 1);
}

/* Frames and buffers that no fault needs: other messages were read, too. */
static bool has_room(const struct far_fetcher *f)
{
	struct far_pager *p = f->pager;

	if (f->nr_busy >= f->max_ahead || atomic_load(&p->is_forking))
		return false;
	if (far_budget_free(&p->budget) >= FAR_FAULT_DEPTH)
		return true;
	pager_short(p);
	return false;
}

static bool will_write(struct far_server *v, far_word_t w)
{
	return v->fetch.pager->cfg.ahead &&
	       predict_write(&v->predict, (w & FAR_WORD_WRITTEN) != 0);
}

/* The pages of the window that are far come, as long as there is room. */
static void fetch_window(struct far_server *v, far_pgno_t pg,
			 struct far_window *win)
{
	struct far_fetcher *f = &v->fetch;
	struct far_pager *p = f->pager;
	far_pgno_t next = win->start;
	unsigned nr = 0, i;

	for (i = 0; i < win->nr && has_room(f); i++) {
		far_word_t w = 0;

		if (win->pages)
			next = win->pages[i];
		if (is_fetchable(p, pg, next))
			w = far_page_load(&p->words[next]);
		if (fetcher_wants(w) && !(w & FAR_WORD_RANDOM)) {
			int r = fetcher_add_ahead(f, next, w, will_write(v, w));

			if (r < 0)
				break;
			nr += (unsigned)r;
		}
		next += (far_pgno_t)(int64_t)win->stride;
	}
	if (win->stream)
		predict_fetched(win, i, nr);
	if (win->guide)
		guide_fetched(win, i, nr);
}

/* Will the page behind a fault be touched, because objects go on in it? */
static bool is_next_wanted(struct far_server *v, const struct far_uffd_msg *msg,
			   far_pgno_t pg)
{
	struct far_pager *p = v->fetch.pager;
	far_pgno_t next = pg + 1;
	far_word_t w =
		is_fetchable(p, pg, next) ? far_page_load(&p->words[next]) : 0;

	return predict_next(&v->predict, msg->tid, pg,
			    (unsigned)(msg->addr & FAR_PAGE_MASK),
			    fetcher_wants(w) && !(w & FAR_WORD_PATTERN));
}

/* The group of @pg, whose word is @w; it is aligned as addresses are. */
static void plan_group(struct far_pager *p, far_pgno_t pg, far_word_t w,
		       struct far_window *ret)
{
	unsigned nr = w & FAR_WORD_SEQ ? SMALL_GROUP : LARGE_GROUP;
	unsigned at =
		(unsigned)((uintptr_t)pager_addr(p, pg) >> FAR_PAGE_SHIFT) % nr;
	unsigned before = at < pg ? at : pg; /* page 0 may lie in the middle */

	ret->start = pg - before;
	ret->nr = nr - at + before;
	ret->stride = 1;
}

/* What became of the window before. */
static void count_window(struct far_server *v, const struct far_window *win)
{
	FAR_COUNT_N(v->fetch.stats, prefetch_useful_pages, win->nr_useful);
	FAR_COUNT_N(v->fetch.stats, prefetch_wasted_pages, win->nr_wasted);
}

/* What the stream of @pg, whose word is @w, will touch after it. */
static void plan_stream(struct far_server *v, const struct far_uffd_msg *msg,
			far_pgno_t pg, far_word_t w, struct far_window *ret)
{
	struct far_pager *p = v->fetch.pager;
	unsigned max = v->fetch.max_ahead;

	memset(ret, 0, sizeof(*ret));
	if (w & FAR_WORD_RANDOM)
		return;
	if (w & FAR_WORD_GROUP) {
		plan_group(p, pg, w, ret);
		return;
	}
	if (w & FAR_WORD_SEQ) {
		*ret = (struct far_window){
			.start = pg + 1, .stride = 1, .nr = max};
		return;
	}
	if (!p->cfg.ahead)
		return;
	predict_stream(&v->predict, msg->tid, pg, max, ret);
	count_window(v, ret);
}

/* What came after @pg when the program ran before; false: it is not known. */
static bool plan_replay(struct far_server *v, far_pgno_t pg, far_word_t w,
			struct far_window *ret)
{
	const struct far_replay *r = v->fetch.pager->replay;

	if (FAR_LIKELY(!r) || w & FAR_WORD_RANDOM)
		return false;
	guide_fault(&v->guide, &r->guided, pg, v->fetch.max_ahead, ret);
	count_window(v, ret);
	return ret->nr != 0;
}

/* All that may come along: as it did before, a stream, or the next page. */
static void plan(struct far_server *v, const struct far_uffd_msg *msg,
		 far_pgno_t pg, far_word_t w, struct far_window *ret)
{
	if (plan_replay(v, pg, w, ret))
		return;
	plan_stream(v, msg, pg, w, ret);
	if (!ret->nr && !(w & FAR_WORD_RANDOM) && v->fetch.pager->cfg.ahead &&
	    is_next_wanted(v, msg, pg))
		*ret = (struct far_window){
			.start = pg + 1, .stride = 1, .nr = 1};
}

/* Will @other be touched for the first time soon, as @pg is now?  Then it is
 * FETCHING, too. */
static bool comes_along(struct far_server *v, far_pgno_t pg, far_pgno_t other)
{
	struct far_pager *p = v->fetch.pager;
	far_word_t w;

	if (!has_room(&v->fetch) || !is_fetchable(p, pg, other))
		return false;
	w = far_page_load(&p->words[other]);
	if (word_state(w) != FAR_PAGE_ABSENT ||
	    w & (FAR_WORD_HELD | FAR_WORD_RANDOM) ||
	    !far_budget_try(&p->budget, 1))
		return false;
	if (far_page_cas(&p->words[other], &w,
			 word_with(w, FAR_PAGE_FETCHING))) {
		trace_note(p->trace, FAR_TRACE_AHEAD, other, FAR_TRACE_IS_ZEROS,
			   0);
		return true;
	}
	far_budget_put(&p->budget, 1);
	return false;
}

/* Pages of @win on both sides of @pg, which is FETCHING, that have never been
 * touched: as many as lie side by side.  How many beside it. */
static unsigned claim_zeros(struct far_server *v, far_pgno_t pg,
			    const struct far_window *win, far_pgno_t *ret_first)
{
	far_pgno_t first = pg, end = pg + 1;

	while (first > win->start && comes_along(v, pg, first - 1))
		first--;
	while (end < win->start + win->nr && end - first < FAR_ZERO_RUN &&
	       comes_along(v, pg, end))
		end++;
	*ret_first = first;
	return (unsigned)(end - first - 1);
}

/* @pg, which is FETCHING and has never been touched, and those that its stream
 * or group will touch. */
static void fill_zeros(struct far_server *v, const struct far_uffd_msg *msg,
		       far_pgno_t pg, far_word_t w, uint64_t start_ns)
{
	struct far_fetcher *f = &v->fetch;
	struct far_window win;
	far_pgno_t first = pg;
	unsigned nr = 0; /* beside it */

	FAR_COUNT(f->stats, faults_zero);
	note(v, FAR_TRACE_ZERO, pg, msg);
	plan_stream(v, msg, pg, w, &win);
	if (win.stride == 1 && win.start <= pg + 1)
		nr = claim_zeros(v, pg, &win, &first);
	if (win.stream)
		predict_fetched(&win, nr, nr);
	if (nr)
		pager_fill_zeros(f->pager, pg, first, 1 + nr);
	else
		fetcher_fill(f, pg, f->pager->space.zero, FAR_WORD_DIRTY, true,
			     start_ns, 0);
	FAR_COUNT_N(f->stats, prefetched_pages, nr);
}

/* Page and frame are there: when, if the fault is timed; or 0. */
static uint64_t found(struct far_server *v, uint64_t start_ns)
{
	uint64_t now;

	if (!start_ns)
		return 0;
	now = far_now_ns();
	FAR_COUNT_N(v->fetch.stats, sampled_frame_ns, v->waited_ns);
	FAR_COUNT_N(v->fetch.stats, sampled_lookup_ns,
		    now - start_ns - v->waited_ns);
	return now;
}

/* @pg, which is FETCHING, and what will be touched after it. */
static void fetch(struct far_server *v, const struct far_uffd_msg *msg,
		  far_pgno_t pg, far_word_t w, uint64_t start_ns)
{
	struct far_fetcher *f = &v->fetch;
	bool is_write = msg->is_write || will_write(v, w);
	const void *src = NULL;
	struct far_window win;
	struct far_fault *x;
	uint64_t found_ns;

	FAR_COUNT(f->stats, faults_remote);
	note(v, FAR_TRACE_REMOTE, pg, msg);
	plan(v, msg, pg, w, &win);
	/* What comes together is read, installed and woken together. */
	if (win.nr)
		start_ns = 0;
	found_ns = found(v, start_ns);
	/* From where it lies, without a copy between. */
	if (!win.nr)
		src = far_backend_peek(f->pager->be,
				       word_slot(w) << FAR_PAGE_SHIFT,
				       FAR_PAGE_SIZE);
	if (src) {
		FAR_COUNT_N(f->stats, fetched_bytes, FAR_PAGE_SIZE);
		fetcher_fill(f, pg, src, 0, is_write, start_ns, found_ns);
		return;
	}
	x = fetcher_add(f, pg, word_slot(w), is_write, false);
	x->start_ns = start_ns;
	x->found_ns = found_ns;
	fetch_window(v, pg, &win);
	fetcher_send(f);
}

/* ABSENT, REMOTE, EVICTING: take the page over and fill it. */
static bool serve_missing(struct far_server *v, far_pgno_t pg, far_word_t w,
			  const struct far_uffd_msg *msg, uint64_t start_ns)
{
	struct far_fetcher *f = &v->fetch;
	struct far_pager *p = f->pager;
	bool is_write = msg->is_write;
	enum far_page_state s = word_state(w);
	enum far_page_state next =
		s == FAR_PAGE_EVICTING ? FAR_PAGE_RESCUING : FAR_PAGE_FETCHING;

	if (!charge(v)) {
		refuse(v, pg);
		return true;
	}
	if (!far_page_cas(&p->words[pg], &w, word_with(w, next))) {
		far_budget_put(&p->budget, 1);
		return false;
	}
	switch (s) {
	case FAR_PAGE_ABSENT:
		FAR_HOOK(FAULT_FETCHING, pager_addr(p, pg));
		fill_zeros(v, msg, pg, w, start_ns);
		break;
	case FAR_PAGE_EVICTING:
		FAR_HOOK(FAULT_RESCUING, pager_addr(p, pg));
		FAR_COUNT(f->stats, faults_rescued);
		note(v, FAR_TRACE_RESCUED, pg, msg);
		fetcher_fill(f, pg, space_stage_addr(&p->space, word_stage(w)),
			     FAR_WORD_REF, is_write, start_ns, 0);
		break;
	default:
		FAR_HOOK(FAULT_FETCHING, pager_addr(p, pg));
		fetch(v, msg, pg, w, start_ns);
		break;
	}
	press_if_low(p);
	return true;
}

/* RESIDENT -> TAKING, so that nobody protects, moves or cleans the page while
 * its mapping is changed; false if the word is not @w any more. */
static bool own(struct far_pager *p, far_pgno_t pg, far_word_t w)
{
	return far_page_cas(&p->words[pg], &w, word_with(w, FAR_PAGE_TAKING));
}

static void disown(struct far_pager *p, far_pgno_t pg, far_word_t add)
{
	far_word_t w = far_page_load(&p->words[pg]);

	while (!far_page_cas(&p->words[pg], &w,
			     (word_with(w, FAR_PAGE_RESIDENT) | add) &
				     ~FAR_WORD_PARKED))
		;
	wake_parked(p, w, pg);
}

/* First write to a clean page. */
static bool serve_protected(struct far_server *v, far_pgno_t pg, far_word_t w,
			    const struct far_uffd_msg *msg)
{
	struct far_pager *p = v->fetch.pager;

	if (!own(p, pg, w))
		return false;
	FAR_COUNT(v->fetch.stats, faults_write_protect);
	note(v, FAR_TRACE_WRITE, pg, msg);
	recorder_note(p->history, pg, "unprotected", w, 0);
	FAR_HOOK(FAULT_OPEN, pager_addr(p, pg));
	(void)space_protect(&p->space, pager_addr(p, pg), FAR_PAGE_SIZE, false);
	FAR_HOOK(FAULT_OPENED, pager_addr(p, pg));
	predict_written(&v->predict);
	disown(p, pg, FAR_WORD_DIRTY | FAR_WORD_REF | FAR_WORD_WRITTEN);
	return true;
}

/* A missing fault on a RESIDENT page: served by another monitor while the
 * message was in the queue; or the program dropped the page with a
 * madvise(2) of its own, whose meaning is zeros.  Counted, and said. */
static bool serve_raced(struct far_server *v, far_pgno_t pg, far_word_t w)
{
	struct far_pager *p = v->fetch.pager;
	int r;

	if (!own(p, pg, w))
		return false;
	FAR_COUNT(v->fetch.stats, faults_raced);
	FAR_HOOK(FAULT_GONE, pager_addr(p, pg));
	r = space_install(&p->space, pager_addr(p, pg), p->space.zero, 0);
	recorder_note(p->history, pg, "missing", w, r);
	if (r == 0)
		FAR_COUNT(v->fetch.stats, gone_pages);
	disown(p, pg, r == 0 ? FAR_WORD_DIRTY : 0);
	pager_wake(p, pg);
	return true;
}

/*
 * Who takes the page out, or flushes it, reads it; and the program dropped it
 * by a madvise(2) of its own just before.  It would wait for itself: it gets
 * zeros, and before it goes on is told that what it has read is worthless.  If
 * it was about to write, it has read nothing yet.
 */
static void serve_taker(struct far_server *v, far_pgno_t pg,
			const struct far_uffd_msg *msg)
{
	struct far_pager *p = v->fetch.pager;
	far_word_t w = far_page_load(&p->words[pg]);
	bool stays_open = msg->is_write || word_pins(w);
	int r = space_install(&p->space, pager_addr(p, pg), p->space.zero,
			      FAR_COPY_QUIET |
				      (stays_open ? 0 : FAR_COPY_PROTECT));

	recorder_note(p->history, pg, "gone", w, r);
	if (r == 0) {
		FAR_COUNT(v->fetch.stats, gone_pages);
		while (!msg->is_write &&
		       !far_page_cas(&p->words[pg], &w, w | FAR_WORD_DISCARD))
			;
	}
	pager_wake(p, pg);
}

/* The owner of the page wakes who waits for it. */
static enum far_served park(struct far_pager *p, far_pgno_t pg, far_word_t w)
{
	return far_page_cas(&p->words[pg], &w, w | FAR_WORD_PARKED)
		       ? FAR_SERVED_WAIT
		       : FAR_SERVED_AGAIN;
}

/* The thread is faster than the pages: those behind must begin sooner. */
static void late(struct far_server *v, const struct far_uffd_msg *msg,
		 far_pgno_t pg, far_word_t w)
{
	struct far_window win;

	FAR_COUNT(v->fetch.stats, prefetch_late_pages);
	plan(v, msg, pg, w & FAR_WORD_PATTERN, &win);
	fetch_window(v, pg, &win);
	fetcher_send(&v->fetch);
}

static enum far_served ended(bool is_done)
{
	return is_done ? FAR_SERVED_DONE : FAR_SERVED_AGAIN;
}

static enum far_served serve(struct far_server *v, far_pgno_t pg,
			     const struct far_uffd_msg *msg, uint64_t start_ns)
{
	struct far_pager *p = v->fetch.pager;
	far_word_t w = far_page_load(&p->words[pg]);

	FAR_HOOK(FAULT, pager_addr(p, pg));
	switch (word_state(w)) {
	case FAR_PAGE_ABSENT:
	case FAR_PAGE_REMOTE:
		if (w & FAR_WORD_HELD)
			return park(p, pg, w);
		return ended(serve_missing(v, pg, w, msg, start_ns));
	case FAR_PAGE_EVICTING:
		return ended(serve_missing(v, pg, w, msg, start_ns));
	case FAR_PAGE_RESIDENT:
		return ended(msg->kind == FAR_UFFD_FAULT_WP
				     ? serve_protected(v, pg, w, msg)
				     : serve_raced(v, pg, w));
	case FAR_PAGE_FETCHING:
		if ((w & FAR_WORD_AHEAD) && !(w & FAR_WORD_PARKED))
			late(v, msg, pg, w);
		return park(p, pg, w);
	case FAR_PAGE_TAKING:
		if (!space_is_taker(&p->space, pager_addr(p, pg), msg->tid))
			return park(p, pg, w);
		serve_taker(v, pg, msg);
		return FAR_SERVED_DONE;
	case FAR_PAGE_RESCUING:
		return park(p, pg, w);
	case FAR_PAGE_LOST:
		(void)space_poison(&p->space, pager_addr(p, pg));
		pager_wake(p, pg);
		return FAR_SERVED_LOST;
	}
	return FAR_SERVED_DONE;
}

enum far_served server_serve(struct far_server *v, far_pgno_t pg,
			     const struct far_uffd_msg *msg, uint64_t start_ns)
{
	enum far_served r;

	if (++v->nr_faults % TIMED != 0)
		start_ns = 0;
	do
		r = serve(v, pg, msg, start_ns);
	while (r == FAR_SERVED_AGAIN);
	return r;
}
