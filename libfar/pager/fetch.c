/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/fetch.h"

#include <errno.h>
#include <string.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"

#define RETRY_NS (10 * FAR_NS_PER_MS)
#define WRONG_TRIES 5 /* reads of a page whose checksum is wrong */
#define WAIT_SLICE_NS (1 * FAR_NS_PER_MS)

int fetcher_init(struct far_fetcher *f, struct far_pager *p, unsigned depth,
		 struct far_stat_shard *stats)
{
	size_t len = depth * FAR_PAGE_SIZE;
	void *bufs;
	int r;

	memset(f, 0, sizeof(*f));
	f->pager = p;
	f->stats = stats;
	f->depth = depth;
	r = far_near_map(len, &bufs);
	if (r < 0)
		return r;
	f->bufs = bufs;
	(void)far_backend_register_buf(p->be, bufs, len); /* a speed-up */
	r = far_queue_open(p->be, depth, &f->q);
	if (r < 0) {
		far_near_unmap(bufs, len);
		f->bufs = NULL;
		return r;
	}
	for (unsigned i = 0; i < depth; i++) {
		f->faults[i].buf = f->bufs + i * FAR_PAGE_SIZE;
		f->faults[i].next = f->idle;
		f->idle = &f->faults[i];
	}
	return 0;
}

void fetcher_fini(struct far_fetcher *f)
{
	size_t len = f->depth * FAR_PAGE_SIZE;

	if (!f->bufs)
		return;
	if (f->nr_busy)
		return; /* a backend that hangs keeps queue and buffers */
	far_queue_close(f->q);
	(void)far_backend_unregister_buf(f->pager->be, f->bufs, len);
	far_near_unmap(f->bufs, len);
	f->bufs = NULL;
}

/* --- installing --- */

void pager_fill(struct far_pager *p, far_pgno_t pg, const void *src,
		far_word_t add, bool is_write)
{
	far_word_t w = far_page_load(&p->words[pg]), to;
	bool is_clean =
		!is_write && !(w & FAR_WORD_DIRTY) && !(add & FAR_WORD_DIRTY);
	int r = -ECANCELED;

	if (!(w & FAR_WORD_DISCARD)) {
		r = space_install(&p->space, pager_addr(p, pg), src, is_clean);
		if (r == -EEXIST)
			r = 0;
		/* A message read late, for memory that is unmapped, and may be
		 * changing its kind: nobody waits for it. */
		if (r == -ENOENT && src == p->space.zero)
			r = -ECANCELED;
	}
	w = far_page_load(&p->words[pg]);
	do {
		to = word_with_stage(w, 0) &
		     ~(FAR_WORD_PARKED | FAR_WORD_DISCARD | FAR_WORD_HELD);
		if (r == 0)
			to = word_with(to, FAR_PAGE_RESIDENT) | add |
			     (is_clean ? 0 : FAR_WORD_DIRTY);
		else
			to = word_with(to, r == -ECANCELED ? FAR_PAGE_ABSENT
							   : FAR_PAGE_LOST);
	} while (!far_page_cas(&p->words[pg], &w, to));
	if (r == 0) {
		far_evictor_page_in(p->evictor, pg);
		wake_parked(p, w, pg);
		return;
	}
	far_budget_put(&p->budget, 1);
	if (r != -ECANCELED)
		pager_lost(p, pg, r);
	pager_wake(p, pg);
}

/* --- fetching --- */

void fetcher_note(struct far_fetcher *f, uint64_t start_ns)
{
	far_hist_add(&f->stats->fault_ns, far_now_ns() - start_ns);
}

static void fault_put(struct far_fetcher *f, struct far_fault *x)
{
	x->next = f->idle;
	f->idle = x;
	f->nr_busy--;
}

/*
 * FETCHING -> LOST: SIGBUS for who touches it.  A page that was fetched ahead
 * goes back to REMOTE instead: who touches it has it read again.  But who has
 * waited for it as long as on_loss allows does not wait once more.
 */
static void give_up(struct far_fetcher *f, struct far_fault *x, int err)
{
	struct far_pager *p = f->pager;
	far_word_t w = far_page_load(&p->words[x->pg]);
	enum far_page_state to;

	do {
		bool has_waited = err == -ETIMEDOUT && (w & FAR_WORD_PARKED);

		to = x->is_ahead && !has_waited ? FAR_PAGE_REMOTE
						: FAR_PAGE_LOST;
	} while (!far_page_cas(&p->words[x->pg], &w,
			       word_with(w, to) & ~FAR_WORD_PARKED));
	far_budget_put(&p->budget, 1);
	if (to == FAR_PAGE_LOST)
		pager_lost(p, x->pg, err);
	else
		wake_parked(p, w, x->pg);
}

/* The backend has not answered for longer than on_loss: it keeps the buffer,
 * the page is lost. */
static void expire(struct far_fetcher *f)
{
	uint64_t now = far_now_ns();

	for (unsigned i = 0; i < f->depth; i++) {
		struct far_fault *x = &f->faults[i];

		if (!x->sent_ns || x->is_abandoned ||
		    now - x->sent_ns < f->pager->on_loss_ns)
			continue;
		x->is_abandoned = true;
		f->nr_abandoned++;
		FAR_COUNT(f->stats, read_errors);
		give_up(f, x, -ETIMEDOUT);
	}
}

static bool is_final(const struct far_fault *x, int err, uint64_t on_loss_ns,
		     uint64_t now)
{
	switch (err) {
	case -ENODATA: /* the backend does not have it, and will not */
	case -ESTALE:
	case -EINVAL:
		return true;
	case -EBADMSG:
		if (x->tries >= WRONG_TRIES)
			return true;
		break;
	default:
		break;
	}
	return now - x->first_fail_ns >= on_loss_ns;
}

static void failed(struct far_fetcher *f, struct far_fault *x, int err)
{
	uint64_t now = far_now_ns();

	FAR_COUNT(f->stats, read_errors);
	x->tries++;
	if (!x->first_fail_ns)
		x->first_fail_ns = now;
	if (x->is_ahead || is_final(x, err, f->pager->on_loss_ns, now)) {
		give_up(f, x, err);
		fault_put(f, x);
		return;
	}
	x->retry_ns = err == -EBADMSG ? now : now + RETRY_NS;
	x->next = f->waiting;
	f->waiting = x;
}

static void completed(struct far_fetcher *f, struct far_fault *x)
{
	x->sent_ns = 0;
	if (x->is_abandoned) {
		f->nr_abandoned--;
		fault_put(f, x);
		return;
	}
	if (x->io.res < 0) {
		failed(f, x, x->io.res);
		return;
	}
	FAR_COUNT_N(f->stats, fetched_bytes, FAR_PAGE_SIZE);
	pager_fill(f->pager, x->pg, x->buf, x->is_ahead ? FAR_WORD_AHEAD : 0,
		   x->is_write);
	if (x->is_ahead)
		FAR_COUNT(f->stats, prefetched_pages);
	else
		fetcher_note(f, x->start_ns);
	fault_put(f, x);
}

static void submit(struct far_fetcher *f, struct far_fault *x)
{
	int n;

	x->retry_ns = 0;
	x->io.res = 0;
	x->io.next = NULL;
	x->sent_ns = far_now_ns();
	n = far_queue_submit(f->q, &x->io, 1);
	if (n == 1)
		return;
	x->sent_ns = 0;
	if (n != -EAGAIN && n != 0) {
		failed(f, x, n);
		return;
	}
	x->retry_ns = 1; /* queue full: as soon as something completes */
	x->next = f->waiting;
	f->waiting = x;
}

static void retry_due(struct far_fetcher *f)
{
	struct far_fault *x = f->waiting;
	uint64_t now;

	if (!x)
		return;
	f->waiting = NULL;
	now = far_now_ns();
	while (x) {
		struct far_fault *next = x->next;

		if (x->retry_ns <= now) {
			submit(f, x);
		} else {
			x->next = f->waiting;
			f->waiting = x;
		}
		x = next;
	}
}

int fetcher_poll(struct far_fetcher *f)
{
	struct far_io *done[FAR_FAULT_DEPTH];
	int total = 0, n;

	retry_due(f);
	do {
		n = far_queue_poll(f->q, done, FAR_FAULT_DEPTH);
		for (int i = 0; i < n; i++)
			completed(f, (struct far_fault *)(void *)done[i]);
		total += n > 0 ? n : 0;
	} while (n == FAR_FAULT_DEPTH);
	if (!total && f->nr_busy > f->nr_abandoned)
		expire(f);
	return total;
}

void fetcher_fetch(struct far_fetcher *f, far_pgno_t pg, uint64_t slot,
		   bool is_write, bool is_ahead, uint64_t start_ns)
{
	struct far_fault *x = f->idle; /* the caller saw that there is one */

	f->idle = x->next;
	f->nr_busy++;
	x->pg = pg;
	x->is_write = is_write;
	x->is_ahead = is_ahead;
	x->is_abandoned = false;
	x->tries = 0;
	x->first_fail_ns = 0;
	x->start_ns = start_ns;
	x->io = (struct far_io){.op = FAR_IO_READ,
				.off = slot << FAR_PAGE_SHIFT,
				.buf = x->buf,
				.len = FAR_PAGE_SIZE};
	submit(f, x);
}

bool fetcher_wants(far_word_t w)
{
	return word_state(w) == FAR_PAGE_REMOTE && !(w & FAR_WORD_HELD);
}

bool fetcher_ahead_one(struct far_fetcher *f, far_pgno_t pg, far_word_t w)
{
	struct far_pager *p = f->pager;

	if (!far_budget_try(&p->budget, 1))
		return false;
	if (far_page_cas(&p->words[pg], &w, word_with(w, FAR_PAGE_FETCHING)))
		fetcher_fetch(f, pg, word_slot(w), false, true, 0);
	else
		far_budget_put(&p->budget, 1);
	return true;
}

void fetcher_ahead(struct far_fetcher *f, far_pgno_t start, far_pgno_t nr)
{
	struct far_pager *p = f->pager;

	for (far_pgno_t pg = start; pg < start + nr && pg < p->max_pages;
	     pg++) {
		far_word_t w = far_page_load(&p->words[pg]);

		if (!fetcher_wants(w))
			continue;
		/* Prefetch takes no frame that a fault may need. */
		if (far_budget_free(&p->budget) <
		    (int64_t)p->cfg.batch + FAR_FAULT_DEPTH)
			break;
		while (!f->idle) {
			if (f->nr_abandoned == f->depth)
				return;
			(void)far_queue_wait(f->q, (int64_t)WAIT_SLICE_NS);
			(void)fetcher_poll(f);
		}
		if (!fetcher_ahead_one(f, pg, w))
			break;
	}
	while (f->nr_busy > f->nr_abandoned) {
		if (!fetcher_poll(f))
			(void)far_queue_wait(f->q, (int64_t)WAIT_SLICE_NS);
	}
}
