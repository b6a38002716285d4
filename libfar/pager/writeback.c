/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking pages out and writing them back: the hands the evictor borrows.
 *
 * One batch: claim (RESIDENT -> TAKING), take out to staging (one system call
 * per run), publish (-> EVICTING), write the dirty ones, and when all writes
 * are acknowledged settle (-> REMOTE or ABSENT) and free the frames at once.
 * A fault on an EVICTING page copies it back from staging (RESCUING), so no
 * thread ever waits for a write.
 */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"

/* Pages that are taken at a time.  The kernel interrupts the other cores for
 * each one that is moved, and twice for all that are copied together. */
#define MOVE_SLICE 16u
#define COPY_SLICE 64u
/* Pages between two victims that are worth working across in one call. */
#define COPY_GAP 32
/* Faults wait for frames, and none was freed for so long. */
#define NOBODY_NS (10 * FAR_NS_PER_MS)
#define NOBODY_FOR_NS (1 * FAR_NS_PER_S)

enum wb_kind { WB_CLEAN, WB_ZERO, WB_WRITE, WB_NO_SLOT };

struct wb_entry {
	struct far_io io; /* first: completions come back as far_io */
	far_pgno_t pg;
	unsigned stage;
	enum far_take_how how;
	unsigned gap; /* held pages before it */
	enum wb_kind kind;
	bool is_done;
};

struct wb_batch {
	unsigned nr;	    /* entries */
	unsigned nr_frames; /* to give back at the end */
	unsigned io_left;   /* writes not completed, sent or not */
	unsigned nr_stage;  /* staging pages to move to, from the first */
	unsigned nr_copies; /* and to copy to */
	unsigned nr_writes, nr_sent;
	uint64_t begun_ns;
	struct far_io *writes[FAR_EVICT_BATCH_MAX];
	struct wb_entry e[FAR_EVICT_BATCH_MAX];
	struct far_take take[FAR_EVICT_BATCH_MAX];
};

struct far_evict_wb {
	struct far_pager *p;
	struct far_queue *q;
	struct far_stat_shard *stats;
	unsigned index;
	struct far_placement place;
	unsigned stage_first, copy_first; /* of batch 0 */
	unsigned stage_per_batch, copy_per_batch;
	uint64_t retry_ns; /* writes fail: do not begin before */
	far_pgno_t steal;  /* where the last search for a slot ended */
	uint64_t steal_ns; /* the last one found none: not again before */
	struct wb_batch batch[FAR_EVICT_BATCHES];
};

struct far_evict_host {
	struct far_pager *p;
};

/* --- claim --- */

static bool is_claimable(far_word_t w)
{
	return word_state(w) == FAR_PAGE_RESIDENT && !word_pins(w) &&
	       !(w & FAR_WORD_IOBUSY);
}

/* The word as it was; false if it is not to be had. */
static bool claim(struct far_pager *p, far_pgno_t pg, far_word_t *ret_word)
{
	far_word_t w = far_page_load(&p->words[pg]);

	while (is_claimable(w)) {
		far_word_t to = word_with(w, FAR_PAGE_TAKING) &
				~(FAR_WORD_REF | FAR_WORD_AHEAD);

		*ret_word = w;
		FAR_HOOK(EVICT_CLAIM, pager_addr(p, pg));
		if (far_page_cas(&p->words[pg], &w, to))
			return true;
	}
	return false;
}

/* Keeps faults from installing @pg while a run is copied across it. */
static bool hold(struct far_pager *p, far_pgno_t pg)
{
	far_word_t w = far_page_load(&p->words[pg]);

	while (!(w & FAR_WORD_HELD) && (word_state(w) == FAR_PAGE_ABSENT ||
					word_state(w) == FAR_PAGE_REMOTE))
		if (far_page_cas(&p->words[pg], &w, w | FAR_WORD_HELD)) {
			recorder_note(p->history, pg, "held", w, 0);
			FAR_HOOK(EVICT_HELD, pager_addr(p, pg));
			return true;
		}
	return false;
}

static void unhold(struct far_pager *p, far_pgno_t from, far_pgno_t to)
{
	for (far_pgno_t pg = from; pg < to; pg++) {
		far_word_t w = far_page_load(&p->words[pg]);

		while (!far_page_cas(&p->words[pg], &w,
				     w & ~(FAR_WORD_HELD | FAR_WORD_PARKED)))
			;
		recorder_note(p->history, pg, "let go", w, 0);
		wake_parked(p, w, pg);
	}
}

static bool hold_gap(struct far_pager *p, far_pgno_t from, far_pgno_t to)
{
	for (far_pgno_t pg = from; pg < to; pg++)
		if (!hold(p, pg)) {
			unhold(p, from, pg);
			return false;
		}
	return true;
}

static void sort_pages(far_pgno_t *pgs, unsigned nr)
{
	/* Policies hand them out nearly sorted, or in short batches. */
	for (unsigned gap = nr / 2; gap; gap /= 2)
		for (unsigned i = gap; i < nr; i++)
			for (unsigned k = i; k >= gap && pgs[k - gap] > pgs[k];
			     k -= gap) {
				far_pgno_t t = pgs[k];

				pgs[k] = pgs[k - gap];
				pgs[k - gap] = t;
			}
}

static enum far_take_how how_of(struct far_pager *p, far_pgno_t pg,
				far_word_t w)
{
	if (space_is_moved(&p->space, pager_addr(p, pg)))
		return FAR_TAKE_MOVE;
	return w & FAR_WORD_DIRTY || word_slot(w) == FAR_SLOT_NONE
		       ? FAR_TAKE_COPY
		       : FAR_TAKE_DROP;
}

/* How many pages between two victims are held, to be worked across: all of
 * them, or none.  Only what is copied has a use for that. */
static unsigned bridge(struct far_pager *p, const struct wb_entry *prev,
		       const struct wb_entry *e)
{
	far_pgno_t d = e->pg - prev->pg - 1;

	if (!d || d > COPY_GAP || e->how == FAR_TAKE_MOVE ||
	    prev->how == FAR_TAKE_MOVE || !hold_gap(p, prev->pg + 1, e->pg))
		return 0;
	return (unsigned)d;
}

/* Claims pages and gives each a staging page: neighbours neighbouring ones. */
static void claim_slice(struct far_evict_wb *wb, struct wb_batch *b,
			unsigned batch, const far_pgno_t *pgs, unsigned nr)
{
	struct far_pager *p = wb->p;
	unsigned stage = wb->stage_first + batch * wb->stage_per_batch;
	unsigned copy = wb->copy_first + batch * wb->copy_per_batch;
	unsigned first = b->nr;

	for (unsigned i = 0; i < nr; i++) {
		struct wb_entry *e = &b->e[b->nr];
		far_word_t w;

		if (!claim(p, pgs[i], &w))
			continue;
		FAR_HOOK(EVICT_CLAIMED, pager_addr(p, pgs[i]));
		e->pg = pgs[i];
		e->how = how_of(p, e->pg, w);
		e->gap = b->nr > first ? bridge(p, e - 1, e) : 0;
		e->stage = 0;
		if (e->how == FAR_TAKE_MOVE)
			e->stage = stage + b->nr_stage++;
		else if (e->how == FAR_TAKE_COPY)
			e->stage = copy + b->nr_copies++;
		e->is_done = false;
		b->take[b->nr].addr = pager_addr(p, e->pg);
		b->take[b->nr].how = e->how;
		b->take[b->nr].stage = e->stage;
		b->take[b->nr].gap = e->gap;
		b->nr++;
	}
}

static void unhold_slice(struct far_pager *p, const struct wb_batch *b,
			 unsigned first)
{
	for (unsigned i = first; i < b->nr; i++)
		if (b->e[i].gap)
			unhold(p, b->e[i].pg - b->e[i].gap, b->e[i].pg);
}

/* --- publish --- */

/* The page could not be taken out: it is resident as before. */
static void untaken(struct far_evict_wb *wb, struct wb_entry *e,
		    const struct far_take *t)
{
	struct far_pager *p = wb->p;
	far_word_t w = far_page_load(&p->words[e->pg]), to;

	do {
		/* ENOENT: dropped by a madvise(2) of the program's own */
		to = t->res == -ENOENT
			     ? word_with(w, FAR_PAGE_ABSENT) & ~FAR_WORD_DIRTY
			     : word_with(w, FAR_PAGE_RESIDENT);
		to &= ~(FAR_WORD_PARKED | FAR_WORD_DISCARD);
		if (t->was_opened)
			to |= FAR_WORD_DIRTY;
		if (t->res == -ENOENT)
			to = word_with_slot(to, FAR_SLOT_NONE);
		else if (w & FAR_WORD_DISCARD)
			to |= FAR_WORD_DIRTY; /* what the slot holds is old */
		if (t->res == -EBUSY || t->res == -EIO)
			to |= FAR_WORD_REF; /* not again at once */
	} while (!far_page_cas(&p->words[e->pg], &w, to));
	wake_parked(p, w, e->pg);
	if (t->res == -EBUSY)
		FAR_COUNT(wb->stats, evict_pinned_pages);
	if (t->res == -ENOENT) {
		FAR_COUNT(wb->stats, gone_pages);
		if (word_slot(w) != FAR_SLOT_NONE)
			far_slots_put(&p->slots, word_slot(w));
		far_budget_put(&p->budget, 1);
	}
	e->is_done = true;
}

/* TAKING -> REMOTE: a clean page, which is gone. */
static void leave(struct far_evict_wb *wb, struct wb_entry *e)
{
	struct far_pager *p = wb->p;
	far_word_t w = far_page_load(&p->words[e->pg]);

	recorder_note(p->history, e->pg, "dropped", w, 0);
	/* it was only read, this time */
	while (!far_page_cas(&p->words[e->pg], &w,
			     word_with(w, FAR_PAGE_REMOTE) &
				     ~(FAR_WORD_PARKED | FAR_WORD_WRITTEN)))
		;
	wake_parked(p, w, e->pg);
	FAR_HOOK(EVICT_LEFT, pager_addr(p, e->pg));
	e->is_done = true;
	FAR_COUNT(wb->stats, evicted_pages);
	FAR_COUNT(wb->stats, evicted_clean_pages);
}

/* TAKING -> EVICTING: from here on faults find it in staging. */
static far_word_t publish(struct far_evict_wb *wb, struct wb_entry *e,
			  bool was_opened)
{
	struct far_pager *p = wb->p;
	far_word_t w = far_page_load(&p->words[e->pg]), to;

	do {
		to = word_with(w, FAR_PAGE_EVICTING) & ~FAR_WORD_PARKED;
		to = word_with_stage(to, e->stage);
		if (was_opened)
			to |= FAR_WORD_DIRTY;
	} while (!far_page_cas(&p->words[e->pg], &w, to));
	recorder_note(p->history, e->pg, "published", to, e->stage);
	wake_parked(p, w, e->pg);
	FAR_HOOK(EVICT_PUBLISHED, pager_addr(p, e->pg));
	return to;
}

/* A slot for the page: its own, a new one, or one of a resident page. */
static uint64_t find_slot(struct far_evict_wb *wb, far_word_t w)
{
	struct far_pager *p = wb->p;
	uint64_t slot = word_slot(w);
	far_pgno_t top;

	if (slot != FAR_SLOT_NONE)
		return slot;
	slot = far_slots_alloc(&p->slots);
	if (slot != FAR_SLOT_NONE)
		return slot;
	/* Full: resident pages do not need theirs. */
	if (wb->steal_ns && far_now_ns() < wb->steal_ns)
		return FAR_SLOT_NONE;
	wb->steal_ns = 0;
	top = atomic_load(&p->ranges.top);
	for (far_pgno_t n = 0; n < top; n++) {
		far_pgno_t pg = wb->steal < top ? wb->steal : 0;

		wb->steal = pg + 1;
		w = far_page_load(&p->words[pg]);
		if (word_state(w) != FAR_PAGE_RESIDENT ||
		    (w & FAR_WORD_IOBUSY) || word_slot(w) == FAR_SLOT_NONE)
			continue;
		if (far_page_cas(&p->words[pg], &w,
				 word_with_slot(w, FAR_SLOT_NONE) |
					 FAR_WORD_DIRTY))
			return word_slot(w);
	}
	wb->steal_ns = far_now_ns() + 10 * FAR_NS_PER_MS;
	return FAR_SLOT_NONE;
}

/* Queues the write of a dirty page; false if that cannot be. */
static bool prepare_write(struct far_evict_wb *wb, struct wb_entry *e,
			  far_word_t w)
{
	struct far_pager *p = wb->p;
	uint64_t slot = find_slot(wb, w);
	far_word_t to;

	if (slot == FAR_SLOT_NONE)
		return false;
	do {
		if (word_state(w) != FAR_PAGE_EVICTING ||
		    word_stage(w) != e->stage) { /* rescued already */
			if (word_slot(w) != slot)
				far_slots_put(&p->slots, slot);
			e->kind = WB_CLEAN;
			return true;
		}
		to = word_with_slot(w, slot) | FAR_WORD_IOBUSY;
	} while (!far_page_cas(&p->words[e->pg], &w, to));
	FAR_HOOK(EVICT_QUEUED, pager_addr(p, e->pg));
	memset(&e->io, 0, sizeof(e->io));
	e->io.op = FAR_IO_WRITE;
	e->io.off = slot << FAR_PAGE_SHIFT;
	e->io.buf = space_stage_addr(&p->space, e->stage);
	e->io.len = FAR_PAGE_SIZE;
	e->kind = WB_WRITE;
	return true;
}

/* --- settle --- */

/* The write failed, or there is no slot: back to where it was. */
static bool put_back(struct far_evict_wb *wb, struct wb_entry *e, far_word_t w)
{
	struct far_pager *p = wb->p;
	far_word_t to;
	int r;

	do {
		if (word_state(w) != FAR_PAGE_EVICTING ||
		    word_stage(w) != e->stage || (w & FAR_WORD_DISCARD))
			return false;
		to = word_with(w, FAR_PAGE_RESCUING);
	} while (!far_page_cas(&p->words[e->pg], &w, to));
	FAR_HOOK(EVICT_PUTTING, pager_addr(p, e->pg));
	r = space_untake(&p->space, pager_addr(p, e->pg), e->stage);
	FAR_HOOK(EVICT_PUT, pager_addr(p, e->pg));
	w = far_page_load(&p->words[e->pg]);
	do {
		to = word_with_stage(word_with(w, r < 0 ? FAR_PAGE_LOST
							: FAR_PAGE_RESIDENT),
				     0) |
		     FAR_WORD_DIRTY;
		to &= ~(FAR_WORD_PARKED | FAR_WORD_IOBUSY);
	} while (!far_page_cas(&p->words[e->pg], &w, to));
	if (r < 0)
		pager_lost(p, e->pg, r);
	pager_wake(p, e->pg);
	return r == 0;
}

/* A fault is copying the page from staging right now: let it finish. */
static far_word_t await_rescue(struct far_pager *p, const struct wb_entry *e)
{
	const struct timespec pause = {.tv_nsec = 20000};
	far_word_t w = far_page_load(&p->words[e->pg]);

	for (unsigned i = 0;
	     word_state(w) == FAR_PAGE_RESCUING && word_stage(w) == e->stage;
	     i++) {
		if (i < 100)
			(void)sched_yield();
		else
			(void)nanosleep(&pause, NULL);
		w = far_page_load(&p->words[e->pg]);
	}
	return w;
}

/* EVICTING -> REMOTE or ABSENT; or, if a fault rescued it, tidy up.  True if
 * the page left. */
static bool settle(struct far_evict_wb *wb, struct wb_entry *e)
{
	struct far_pager *p = wb->p;
	far_word_t w, to;
	uint64_t freed;
	bool left;

	do {
		w = await_rescue(p, e);
		left = word_state(w) == FAR_PAGE_EVICTING &&
		       word_stage(w) == e->stage;
		freed = FAR_SLOT_NONE;
		to = e->kind == WB_WRITE ? w & ~FAR_WORD_IOBUSY : w;
		if (left) {
			bool is_gone = e->kind == WB_ZERO ||
				       (w & FAR_WORD_DISCARD) != 0;

			assert(is_gone || e->kind == WB_CLEAN ||
			       (e->kind == WB_WRITE && e->io.res == 0));

			to = word_with(to, is_gone ? FAR_PAGE_ABSENT
						   : FAR_PAGE_REMOTE);
			to = word_with_stage(to, 0) &
			     ~(FAR_WORD_DIRTY | FAR_WORD_DISCARD);
			if (e->kind == WB_CLEAN) /* only read, this time */
				to &= ~FAR_WORD_WRITTEN;
		}
		if (word_state(to) == FAR_PAGE_ABSENT &&
		    (left || e->kind == WB_WRITE)) {
			freed = word_slot(to);
			to = word_with_slot(to, FAR_SLOT_NONE);
		}
		if (to == w)
			return false;
	} while (!far_page_cas(&p->words[e->pg], &w, to));
	recorder_note(p->history, e->pg, "settled", to, e->kind);
	FAR_HOOK(EVICT_SETTLED, pager_addr(p, e->pg));
	if (freed != FAR_SLOT_NONE)
		far_slots_put(&p->slots, freed);
	return left;
}

static void settle_entry(struct far_evict_wb *wb, struct wb_batch *b,
			 struct wb_entry *e)
{
	struct far_stat_shard *st = wb->stats;
	struct far_pager *p = wb->p;

	if (e->is_done)
		return;
	FAR_HOOK(EVICT_WRITTEN, pager_addr(p, e->pg));
	if (e->kind == WB_NO_SLOT || (e->kind == WB_WRITE && e->io.res < 0)) {
		FAR_HOOK(EVICT_FAILED, pager_addr(p, e->pg));
		FAR_COUNT(st, write_errors);
		atomic_store(&p->write_error,
			     e->kind == WB_NO_SLOT ? -ENOSPC : e->io.res);
		wb->retry_ns = far_now_ns() + 10 * FAR_NS_PER_MS;
		if (put_back(wb, e, far_page_load(&p->words[e->pg]))) {
			b->nr_frames--; /* its frame is in use again */
			far_evictor_page_in(p->evictor, e->pg);
			return;
		}
	}
	if (!settle(wb, e)) {
		FAR_COUNT(st, evict_aborted_pages);
		return;
	}
	FAR_COUNT(st, evicted_pages);
	if (e->kind == WB_CLEAN)
		FAR_COUNT(st, evicted_clean_pages);
	if (e->kind == WB_ZERO)
		FAR_COUNT(st, evicted_zero_pages);
}

/* --- the evictor's operations --- */

/* Submits what the queue takes; the rest waits for completions. */
static void send(struct far_evict_wb *wb, struct wb_batch *b)
{
	while (b->nr_sent < b->nr_writes) {
		unsigned nr = b->nr_writes - b->nr_sent;
		struct far_io **io = &b->writes[b->nr_sent];
		int n;

		for (unsigned i = 0; i < nr; i++)
			io[i]->next = i + 1 < nr ? io[i + 1] : NULL;
		n = far_queue_submit(wb->q, io[0], nr);
		if (n == -EAGAIN || n == 0)
			return;
		if (n < 0) { /* the first is refused for good */
			io[0]->res = n;
			b->io_left--;
			n = 1;
		}
		b->nr_sent += (unsigned)n;
	}
}

static void publish_slice(struct far_evict_wb *wb, struct wb_batch *b,
			  unsigned first)
{
	struct far_pager *p = wb->p;
	unsigned nr_dropped = 0; /* frames that are free now */

	for (unsigned i = first; i < b->nr; i++) {
		struct wb_entry *e = &b->e[i];
		far_word_t w;

		if (b->take[i].res < 0) {
			untaken(wb, e, &b->take[i]);
			continue;
		}
		far_evictor_page_out(p->evictor, e->pg);
		trace_note(p->trace, FAR_TRACE_OUT, e->pg, 0, wb->index);
		if (e->how == FAR_TAKE_DROP) {
			leave(wb, e);
			nr_dropped++;
			continue;
		}
		b->nr_frames++;
		w = publish(wb, e, b->take[i].was_opened);
		if (!(w & FAR_WORD_DIRTY) && word_slot(w) != FAR_SLOT_NONE)
			e->kind = WB_CLEAN;
		else if (far_page_is_zero(
				 space_stage_addr(&p->space, e->stage)))
			e->kind = WB_ZERO;
		else if (!prepare_write(wb, e, w)) {
			e->kind = WB_NO_SLOT; /* put back when settled */
		} else if (e->kind == WB_WRITE) {
			b->writes[b->nr_writes++] = &e->io;
			FAR_COUNT_N(wb->stats, written_bytes, FAR_PAGE_SIZE);
		}
	}
	if (nr_dropped)
		far_budget_put(&p->budget, nr_dropped);
}

/* A fault on a page that is being taken waits for all of its slice. */
static void take_slice(struct far_evict_wb *wb, struct wb_batch *b,
		       unsigned batch, const far_pgno_t *pgs, unsigned nr)
{
	struct far_pager *p = wb->p;
	unsigned first = b->nr;

	claim_slice(wb, b, batch, pgs, nr);
	space_take(&p->space, &b->take[first], b->nr - first);
	for (unsigned i = first; i < b->nr; i++) {
		recorder_note(p->history, b->e[i].pg, "taken", b->take[i].stage,
			      b->take[i].res);
		FAR_HOOK(EVICT_TAKEN, b->take[i].addr);
	}
	unhold_slice(p, b, first);
	publish_slice(wb, b, first);
}

static unsigned slice_of(struct far_pager *p, far_pgno_t pg)
{
	return space_is_moved(&p->space, pager_addr(p, pg)) ? MOVE_SLICE
							    : COPY_SLICE;
}

static unsigned host_begin(struct far_evict_host *h, unsigned worker,
			   unsigned batch, far_pgno_t *pgs, unsigned nr)
{
	struct far_evict_wb *wb = &h->p->wb[worker];
	struct wb_batch *b = &wb->batch[batch];
	uint64_t t0 = far_now_ns();

	if (!pager_is_armed(h->p) || (wb->retry_ns && t0 < wb->retry_ns))
		return 0;
	wb->retry_ns = 0;
	placement_join(&wb->place, &h->p->home_cpu);
	sort_pages(pgs, nr);
	b->nr = b->nr_frames = b->nr_stage = b->nr_copies = 0;
	b->nr_writes = b->nr_sent = 0;
	b->begun_ns = t0;
	for (unsigned i = 0, n; i < nr; i += n) {
		n = slice_of(h->p, pgs[i]);
		if (n > nr - i)
			n = nr - i;
		take_slice(wb, b, batch, &pgs[i], n);
	}
	if (!b->nr)
		return 0;
	b->io_left = b->nr_writes;
	send(wb, b);
	FAR_COUNT(wb->stats, evict_batches);
	FAR_COUNT_N(wb->stats, evict_busy_ns, far_now_ns() - t0);
	return b->nr;
}

/* Which batch of ours @io belongs to. */
static struct wb_batch *batch_of(struct far_evict_wb *wb,
				 const struct far_io *io)
{
	for (unsigned i = 0; i < FAR_EVICT_BATCHES; i++) {
		const char *lo = (const char *)&wb->batch[i].e[0];

		if ((const char *)io >= lo &&
		    (const char *)io < lo + sizeof(wb->batch[i].e))
			return &wb->batch[i];
	}
	return NULL;
}

static void poll_queue(struct far_evict_wb *wb)
{
	struct far_io *done[64];
	int n = far_queue_poll(wb->q, done, FAR_ARRAY_SIZE(done));

	for (int i = 0; i < n; i++)
		batch_of(wb, done[i])->io_left--;
}

static bool host_reap(struct far_evict_host *h, unsigned worker, unsigned batch,
		      uint64_t wait_ns)
{
	struct far_evict_wb *wb = &h->p->wb[worker];
	struct wb_batch *b = &wb->batch[batch];
	uint64_t t0;

	poll_queue(wb);
	for (unsigned i = 0; i < FAR_EVICT_BATCHES; i++)
		send(wb, &wb->batch[i]);
	if (b->io_left && wait_ns) {
		(void)far_queue_wait(wb->q, (int64_t)wait_ns);
		poll_queue(wb);
		send(wb, b);
	}
	if (b->io_left)
		return false;
	t0 = far_now_ns();
	for (unsigned i = 0; i < b->nr; i++)
		settle_entry(wb, b, &b->e[i]);
	space_stage_clear(&h->p->space,
			  wb->stage_first + batch * wb->stage_per_batch,
			  b->nr_stage);
	far_budget_put(&h->p->budget, b->nr_frames);
	b->nr = 0;
	reserve_took(&h->p->reserve, far_now_ns() - b->begun_ns);
	FAR_COUNT_N(wb->stats, evict_busy_ns, far_now_ns() - t0);
	return true;
}

/*
 * Those who should give cannot, or do not: they intercept nothing yet, are
 * stopped, or everything they have is pinned.  Found out when faults have
 * waited for a while and nobody freed a frame; then believed for a while.
 */
static bool is_nobody_giving(struct far_pager *p)
{
	const struct far_budget_shared *sh = p->budget.sh;
	uint32_t freed = atomic_load(&sh->freed);
	uint64_t now = far_now_ns(), since;

	if (now < atomic_load(&p->giving_until_ns))
		return true;
	if (!atomic_load(&sh->waiters)) {
		atomic_store(&p->waiting_ns, 0);
		return false;
	}
	since = atomic_load(&p->waiting_ns);
	if (!since || atomic_exchange(&p->waiting_freed, freed) != freed) {
		atomic_store(&p->waiting_ns, now);
		return false;
	}
	if (now - since < NOBODY_NS)
		return false;
	atomic_store(&p->waiting_ns, 0);
	atomic_store(&p->giving_until_ns, now + NOBODY_FOR_NS);
	return true;
}

/* In a shared budget, who holds less than its even part need not give. */
static bool is_mine_to_give(struct far_pager *p)
{
	const struct far_budget_shared *sh = p->budget.sh;
	int64_t mine = atomic_load(&p->budget.me->used_pages);
	unsigned members = 0, top = atomic_load(&sh->nr_members);

	if (!p->budget.is_file)
		return true;
	for (unsigned i = 0; i < top; i++)
		members += atomic_load(&sh->member[i].used_pages) > 0;
	return mine >= ((int64_t)atomic_load(&sh->limit_pages) -
			2 * pager_reserve_pages(p)) /
			       (int64_t)(members ? members : 1) ||
	       is_nobody_giving(p);
}

static uint64_t host_shortage(struct far_evict_host *h, uint64_t in_flight)
{
	struct far_pager *p = h->p;
	int64_t low = pager_reserve_pages(p);
	/* Who joins because faults wait has as much to do as who was there. */
	int64_t share = (int64_t)(in_flight / far_evictor_working(p->evictor));
	int64_t coming = far_budget_free(&p->budget) + share;

	if (!pager_is_armed(p))
		return 0;
	/*
	 * As much beyond the reserve, no more: on the core where the program
	 * runs, a long burst is what its slowest requests wait for.
	 */
	if (coming >= low || !is_mine_to_give(p))
		return 0;
	return (uint64_t)(low - coming) + (uint64_t)low;
}

static bool host_is_waiting(struct far_evict_host *h)
{
	return atomic_load(&h->p->budget.sh->waiters) && is_mine_to_give(h->p);
}

static uint64_t host_local_pages(struct far_evict_host *h)
{
	return atomic_load(&h->p->budget.sh->limit_pages);
}

static far_pgno_t host_nr_pages(struct far_evict_host *h)
{
	return atomic_load(&h->p->ranges.top);
}

static void host_wait(struct far_evict_host *h, unsigned worker,
		      uint64_t timeout_ns)
{
	struct far_budget *b = &h->p->budget;
	uint32_t seen;

	(void)worker;
	seen = atomic_load(&b->sh->pressure);
	atomic_fetch_add(&b->sh->sleepers, 1);
	/* Pairs with far_budget_press(): asleep first, then a last look. */
	if (!host_shortage(h, 0) || timeout_ns < 10 * FAR_NS_PER_MS)
		far_budget_pressed(b, seen, timeout_ns);
	atomic_fetch_sub(&b->sh->sleepers, 1);
}

static void host_kick(struct far_evict_host *h)
{
	far_budget_press(&h->p->budget);
}

static int host_thread_begin(struct far_evict_host *h, unsigned worker)
{
	struct far_pager *p = h->p;
	struct far_evict_wb *wb = &p->wb[worker];
	int r;

	pager_thread_begin("far-evict", worker);
	space_taker_begin(&p->space, worker);
	placement_init(&wb->place, NULL);
	wb->stage_first = worker * wb->stage_per_batch * FAR_EVICT_BATCHES;
	wb->copy_first = p->space.nr_stage +
			 worker * wb->copy_per_batch * FAR_EVICT_BATCHES;
	r = far_queue_open(p->be, 256, &wb->q);
	if (r < 0)
		far_log(&p->log, FAR_LOG_ERR,
			"evictor %u cannot open a queue: %s", worker,
			strerrordesc_np(-r));
	return r;
}

static void host_thread_end(struct far_evict_host *h, unsigned worker)
{
	far_queue_close(h->p->wb[worker].q);
	h->p->wb[worker].q = NULL;
}

static struct far_pager *pager_of(void *ctx)
{
	return ((struct far_evict_host *)ctx)->p;
}

static bool view_is_evictable(void *ctx, far_pgno_t pg)
{
	return is_claimable(far_page_load(&pager_of(ctx)->words[pg]));
}

static bool view_take_ref(void *ctx, far_pgno_t pg)
{
	_Atomic far_word_t *word = &pager_of(ctx)->words[pg];
	far_word_t w = far_page_load(word);

	while (w & FAR_WORD_REF)
		if (far_page_cas(word, &w, w & ~FAR_WORD_REF))
			return true;
	return false;
}

static const struct far_evict_host_ops host_ops = {
	.size = sizeof(struct far_evict_host_ops),
	.shortage = host_shortage,
	.local_pages = host_local_pages,
	.nr_pages = host_nr_pages,
	.begin = host_begin,
	.reap = host_reap,
	.wait = host_wait,
	.is_waiting = host_is_waiting,
	.kick = host_kick,
	.thread_begin = host_thread_begin,
	.thread_end = host_thread_end,
	.thread_create = pager_thread,
	.view = {.is_evictable = view_is_evictable, .take_ref = view_take_ref},
};

/* What is moved out page by page loses nothing if the victims lie apart; what
 * may be served inline, and copied out, does. */
static const struct far_evict_policy_ops *policy_of(const struct far_pager *p)
{
	static const char *const names[] = {"clock", "clock", "fifo", "s3fifo",
					    "refault"};
	uint64_t policy = p->cfg.policy;

	if (policy == FAR_POLICY_AUTO && p->is_preload)
		policy = FAR_POLICY_REFAULT;
	return far_evict_policy_find(names[policy]);
}

int writeback_init(struct far_pager *p)
{
	struct far_evictor_attr attr = {
		.ops = &host_ops,
		.policy = policy_of(p),
		.max_pages = p->max_pages,
		.nr_threads = (unsigned)p->cfg.evictors,
		.batch = (unsigned)p->cfg.batch,
	};
	void *mem;
	int r;

	r = far_near_map(sizeof(*p->wb) * p->cfg.evictors +
				 sizeof(*p->evict_host),
			 &mem);
	if (r < 0)
		return r;
	p->wb = mem;
	p->evict_host = (void *)&p->wb[p->cfg.evictors];
	p->evict_host->p = p;
	attr.host = p->evict_host;
	for (unsigned i = 0; i < p->cfg.evictors; i++) {
		p->wb[i].p = p;
		p->wb[i].index = i;
		p->wb[i].stats = pager_shard_evictor(p, i);
		p->wb[i].copy_per_batch = (unsigned)p->cfg.batch;
		p->wb[i].stage_per_batch = (unsigned)p->cfg.batch;
	}
	r = far_evictor_create(&attr, &p->evictor);
	if (r < 0)
		writeback_fini(p);
	return r;
}

void writeback_fini(struct far_pager *p)
{
	far_evictor_destroy(p->evictor);
	p->evictor = NULL;
	if (p->wb)
		far_near_unmap(p->wb, sizeof(*p->wb) * p->cfg.evictors +
					      sizeof(*p->evict_host));
	p->wb = NULL;
	p->evict_host = NULL;
}
