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
#define AHEAD_WAITS 4 /* slices, for frames */

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
	f->max_ahead = depth / 2;
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
		f->idle |= UINT32_C(1) << i;
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

/* Filled, or not: @r. */
static void end_fill(struct far_pager *p, far_pgno_t pg, far_word_t add,
		     bool is_clean, int r)
{
	far_word_t w = far_page_load(&p->words[pg]), to;

	recorder_note(p->history, pg, "filled", w, r);
	FAR_HOOK(FILLED, pager_addr(p, pg));
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
		FAR_HOOK(FILL_RESIDENT, pager_addr(p, pg));
		far_evictor_page_in(p->evictor, pg);
		wake_parked(p, w, pg);
		return;
	}
	far_budget_put(&p->budget, 1);
	if (r != -ECANCELED)
		pager_lost(p, pg, r);
	pager_wake(p, pg);
}

static void fill(struct far_pager *p, far_pgno_t pg, const void *src,
		 far_word_t add, bool is_write, unsigned how)
{
	far_word_t w = far_page_load(&p->words[pg]);
	bool is_clean =
		!is_write && !(w & FAR_WORD_DIRTY) && !(add & FAR_WORD_DIRTY);
	int r = -ECANCELED;

	FAR_HOOK(FILL, pager_addr(p, pg));
	if (!(w & FAR_WORD_DISCARD)) {
		r = space_install(&p->space, pager_addr(p, pg), src,
				  how | (is_clean ? FAR_COPY_PROTECT : 0));
		if (r == -EEXIST)
			r = 0;
		/* A message read late, for memory that is unmapped, and may be
		 * changing its kind: nobody waits for it. */
		if (r == -ENOENT && src == p->space.zero)
			r = -ECANCELED;
	}
	end_fill(p, pg, add, is_clean, r);
}

void pager_fill(struct far_pager *p, far_pgno_t pg, const void *src,
		far_word_t add, bool is_write)
{
	fill(p, pg, src, add, is_write, 0);
}

void pager_fill_zeros(struct far_pager *p, far_pgno_t pg, far_pgno_t first,
		      unsigned nr)
{
	unsigned n = space_install_run(&p->space, pager_addr(p, first),
				       p->space.zero, nr, false);

	for (unsigned i = 0; i < nr; i++) {
		far_word_t add =
			FAR_WORD_DIRTY | (first + i == pg ? 0 : FAR_WORD_AHEAD);

		if (i < n)
			end_fill(p, first + i, add, false, 0);
		else
			pager_fill(p, first + i, p->space.zero, add, true);
	}
}

/* --- fetching --- */

void fetcher_fill(struct far_fetcher *f, far_pgno_t pg, const void *src,
		  far_word_t add, bool is_write, uint64_t start_ns,
		  uint64_t found_ns)
{
	uint64_t from, end;

	if (!start_ns) {
		pager_fill(f->pager, pg, src, add, is_write);
		return;
	}
	/* Who is woken may take the core at once: first the clock. */
	from = far_now_ns();
	fill(f->pager, pg, src, add, is_write, FAR_COPY_QUIET);
	end = far_now_ns();
	pager_wake(f->pager, pg);
	far_hist_add(&f->stats->fault_ns, end - start_ns);
	if (!found_ns)
		return;
	FAR_COUNT(f->stats, sampled_faults);
	FAR_COUNT_N(f->stats, sampled_fetch_ns, from - found_ns);
	FAR_COUNT_N(f->stats, sampled_install_ns, end - from);
}

static void fault_put(struct far_fetcher *f, struct far_fault *x)
{
	f->idle |= UINT32_C(1) << (x - f->faults);
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
			       word_with(w, to) &
				       ~(FAR_WORD_PARKED | FAR_WORD_AHEAD)));
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

/* It is in memory, and RESIDENT. */
static void arrived(struct far_fetcher *f, struct far_fault *x)
{
	FAR_COUNT_N(f->stats, fetched_bytes, FAR_PAGE_SIZE);
	if (x->is_ahead)
		FAR_COUNT(f->stats, prefetched_pages);
	fault_put(f, x);
}

static far_word_t flags_of(const struct far_fault *x)
{
	return x->is_ahead ? FAR_WORD_AHEAD : 0;
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
	fetcher_fill(f, x->pg, x->buf, flags_of(x), x->is_write, x->start_ns,
		     x->found_ns);
	arrived(f, x);
}

/* Can @b be installed with its neighbour @a? */
static bool goes_with(const struct far_fetcher *f, const struct far_fault *a,
		      const struct far_fault *b)
{
	const struct far_pager *p = f->pager;

	return b == a + 1 && b->pg == a->pg + 1 && !b->is_abandoned &&
	       b->io.res >= 0 && b->is_write == a->is_write &&
	       space_is_inline(&p->space, pager_addr(p, b->pg)) ==
		       space_is_inline(&p->space, pager_addr(p, a->pg));
}

static struct far_fault *fault_of(struct far_io *io)
{
	return (struct far_fault *)(void *)io;
}

/* What is read lies in one piece, and belongs in one piece: how many of @done
 * from the first on? */
static unsigned run_of(const struct far_fetcher *f, struct far_io **done,
		       unsigned nr)
{
	unsigned n = 1;

	if (fault_of(done[0])->is_abandoned || done[0]->res < 0)
		return 1;
	while (n < nr && goes_with(f, fault_of(done[n - 1]), fault_of(done[n])))
		n++;
	return n;
}

/* All in one system call; what that leaves, one by one. */
static void completed_run(struct far_fetcher *f, struct far_fault *x,
			  unsigned nr)
{
	struct far_pager *p = f->pager;
	bool is_clean = !x->is_write;
	unsigned n = 0;

	if (nr > 1)
		n = space_install_run(&p->space, pager_addr(p, x->pg), x->buf,
				      nr, is_clean);
	for (unsigned i = 0; i < n; i++) {
		x[i].sent_ns = 0;
		end_fill(p, x[i].pg, flags_of(&x[i]), is_clean, 0);
		arrived(f, &x[i]);
	}
	for (unsigned i = n; i < nr; i++)
		completed(f, &x[i]);
}

/* The queue is full: once more as soon as something completes. */
static void wait_turn(struct far_fetcher *f, struct far_fault *x)
{
	x->sent_ns = 0;
	x->retry_ns = 1;
	x->next = f->waiting;
	f->waiting = x;
}

static void submit(struct far_fetcher *f, struct far_io **io, unsigned nr)
{
	uint64_t now = far_now_ns();
	unsigned i;

	for (i = 0; i < nr; i++) {
		io[i]->next = i + 1 < nr ? io[i + 1] : NULL;
		io[i]->res = 0;
		fault_of(io[i])->retry_ns = 0;
		fault_of(io[i])->sent_ns = now;
	}
	for (i = 0; i < nr;) {
		int n = far_queue_submit(f->q, io[i], nr - i);

		if (n == -EAGAIN || n == 0)
			break;
		if (n < 0) { /* the first is refused */
			fault_of(io[i])->sent_ns = 0;
			failed(f, fault_of(io[i++]), n);
			continue;
		}
		i += (unsigned)n;
	}
	for (; i < nr; i++)
		wait_turn(f, fault_of(io[i]));
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
			struct far_io *io = &x->io;

			submit(f, &io, 1);
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
		for (unsigned i = 0, nr; n > 0 && i < (unsigned)n; i += nr) {
			nr = run_of(f, done + i, (unsigned)n - i);
			completed_run(f, fault_of(done[i]), nr);
		}
		total += n > 0 ? n : 0;
	} while (n == FAR_FAULT_DEPTH);
	if (!total && f->nr_busy > f->nr_abandoned)
		expire(f);
	return total;
}

struct far_fault *fetcher_add(struct far_fetcher *f, far_pgno_t pg,
			      uint64_t slot, bool is_write, bool is_ahead)
{
	/* The first: buffers of what is added in a row are neighbours. */
	unsigned i = (unsigned)__builtin_ctz(f->idle);
	struct far_fault *x = &f->faults[i];

	f->idle &= ~(UINT32_C(1) << i);
	f->nr_busy++;
	x->pg = pg;
	x->is_write = is_write;
	x->is_ahead = is_ahead;
	x->is_abandoned = false;
	x->tries = 0;
	x->first_fail_ns = 0;
	x->sent_ns = x->retry_ns = 0;
	x->start_ns = x->found_ns = 0;
	x->io = (struct far_io){.op = FAR_IO_READ,
				.off = slot << FAR_PAGE_SHIFT,
				.buf = x->buf,
				.len = FAR_PAGE_SIZE};
	f->added[f->nr_added++] = &x->io;
	return x;
}

void fetcher_send(struct far_fetcher *f)
{
	unsigned nr = f->nr_added;

	f->nr_added = 0;
	if (nr)
		submit(f, f->added, nr);
}

bool fetcher_wants(far_word_t w)
{
	return word_state(w) == FAR_PAGE_REMOTE && !(w & FAR_WORD_HELD);
}

int fetcher_add_ahead(struct far_fetcher *f, far_pgno_t pg, far_word_t w,
		      bool is_write)
{
	struct far_pager *p = f->pager;

	if (!far_budget_try(&p->budget, 1))
		return -EAGAIN;
	if (!far_page_cas(&p->words[pg], &w,
			  word_with(w, FAR_PAGE_FETCHING) | FAR_WORD_AHEAD)) {
		far_budget_put(&p->budget, 1);
		return 0;
	}
	trace_note(p->trace, FAR_TRACE_AHEAD, pg, 0, 0);
	FAR_HOOK(FAULT_AHEAD, pager_addr(p, pg));
	(void)fetcher_add(f, pg, word_slot(w), is_write, true);
	return 1;
}

void pager_short(struct far_pager *p)
{
	reserve_short(&p->reserve, atomic_load(&p->budget.sh->limit_pages),
		      p->cfg.batch, far_now_ns());
	far_budget_press(&p->budget);
}

/* Prefetch takes no frame that a fault may need, but asks for more. */
static bool await_frames(struct far_pager *p)
{
	for (unsigned i = 0; i < AHEAD_WAITS; i++) {
		uint32_t seen = atomic_load(&p->budget.sh->freed);

		if (far_budget_free(&p->budget) >= FAR_FAULT_DEPTH)
			return true;
		pager_short(p);
		far_budget_wait(&p->budget, seen, WAIT_SLICE_NS);
	}
	return false;
}

void fetcher_ahead(struct far_fetcher *f, far_pgno_t start, far_pgno_t nr)
{
	struct far_pager *p = f->pager;

	for (far_pgno_t pg = start; pg < start + nr && pg < p->max_pages;
	     pg++) {
		far_word_t w = far_page_load(&p->words[pg]);

		trace_ease(p);
		if (!fetcher_wants(w))
			continue;
		if (!await_frames(p))
			break;
		while (!f->idle) {
			fetcher_send(f);
			trace_ease(p);
			if (f->nr_abandoned == f->depth)
				return;
			(void)far_queue_wait(f->q, (int64_t)WAIT_SLICE_NS);
			(void)fetcher_poll(f);
		}
		if (fetcher_add_ahead(f, pg, w, (w & FAR_WORD_WRITTEN) != 0) <
		    0)
			break;
	}
	fetcher_send(f);
	while (f->nr_busy > f->nr_abandoned) {
		trace_ease(p);
		if (!fetcher_poll(f))
			(void)far_queue_wait(f->q, (int64_t)WAIT_SLICE_NS);
	}
}
