/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far_flush(): dirty pages are written to the backend and stay, clean.  Runs
 * on far-ctl, one page at a time.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "libfar/base/arena.h"
#include "libfar/pager/pager.h"

/* What the program has dropped by a madvise(2) of its own is zeros. */
static int read_page(struct far_pager *p, far_pgno_t pg, void *buf)
{
	int r = space_read(&p->space, buf, pager_addr(p, pg));

	if (r == -ENOENT || far_page_load(&p->words[pg]) & FAR_WORD_DISCARD) {
		memset(buf, 0, FAR_PAGE_SIZE);
		r = 0;
	}
	return r;
}

/* A dirty page becomes a clean one whose write is under way. */
static bool flush_begin(struct far_pager *p, far_pgno_t pg, struct far_io *io)
{
	far_word_t w = far_page_load(&p->words[pg]), to;
	char *addr = pager_addr(p, pg);
	uint64_t slot;
	bool stays;

	do {
		if (word_state(w) != FAR_PAGE_RESIDENT ||
		    !(w & FAR_WORD_DIRTY) || (w & FAR_WORD_IOBUSY))
			return false;
	} while (!far_page_cas(&p->words[pg], &w,
			       word_with(w, FAR_PAGE_TAKING)));
	FAR_HOOK(FLUSH_CLAIMED, addr);
	slot = word_slot(w);
	/* One that is prepared for system calls stays writable, and dirty. */
	stays = word_pins(w) != 0;
	if (!stays && space_protect(&p->space, addr, FAR_PAGE_SIZE, true) < 0)
		io->res = -EIO;
	else
		io->res = read_page(p, pg, io->buf);
	if (io->res == 0 && slot == FAR_SLOT_NONE && !far_page_is_zero(io->buf))
		slot = far_slots_alloc(&p->slots);
	FAR_HOOK(FLUSH_COPIED, addr);
	w = far_page_load(&p->words[pg]);
	do {
		to = word_with(w, FAR_PAGE_RESIDENT) &
		     ~(FAR_WORD_PARKED | FAR_WORD_DISCARD);
		if (slot != FAR_SLOT_NONE && io->res == 0)
			to = (word_with_slot(to, slot) | FAR_WORD_IOBUSY) &
			     ~(stays ? 0 : FAR_WORD_DIRTY);
	} while (!far_page_cas(&p->words[pg], &w, to));
	wake_parked(p, w, pg);
	if (io->res == 0 && slot == FAR_SLOT_NONE && !far_page_is_zero(io->buf))
		io->res = -ENOSPC;
	io->off = slot << FAR_PAGE_SHIFT;
	return slot != FAR_SLOT_NONE && io->res == 0;
}

static void flush_end(struct far_pager *p, far_pgno_t pg, int res)
{
	far_word_t w = far_page_load(&p->words[pg]), to;

	do {
		to = w & ~FAR_WORD_IOBUSY;
		if (res < 0 && word_state(w) != FAR_PAGE_ABSENT)
			to |= FAR_WORD_DIRTY;
		if (word_state(w) == FAR_PAGE_ABSENT)
			to = word_with_slot(to, FAR_SLOT_NONE);
	} while (!far_page_cas(&p->words[pg], &w, to));
	if (word_state(w) == FAR_PAGE_ABSENT && word_slot(w) != FAR_SLOT_NONE)
		far_slots_put(&p->slots, word_slot(w));
}

/*
 * Somebody else has the page at this moment: let it finish.  A page
 * that is FETCHING may have been filled, and written to, already: its monitor
 * wakes the program before it says so in the word.
 */
static void await_settled(struct far_pager *p, far_pgno_t pg)
{
	const struct timespec pause = {.tv_nsec = 50000};

	for (;;) {
		far_word_t w = far_page_load(&p->words[pg]);
		enum far_page_state s = word_state(w);

		if (s != FAR_PAGE_TAKING && s != FAR_PAGE_EVICTING &&
		    s != FAR_PAGE_RESCUING && s != FAR_PAGE_FETCHING &&
		    !(w & FAR_WORD_IOBUSY))
			return;
		trace_ease(p);
		pager_serve_urgent(p); /* its owner may be asking us */
		(void)nanosleep(&pause, NULL);
	}
}

static int flush_one(struct far_pager *p, struct far_queue *q, far_pgno_t pg,
		     struct far_io *io, struct far_stat_shard *stats)
{
	struct far_io *done;
	int n;

	await_settled(p, pg);
	if (!flush_begin(p, pg, io))
		return io->res;
	io->next = NULL;
	n = far_queue_submit(q, io, 1);
	if (n == 1) {
		FAR_COUNT_N(stats, written_bytes, FAR_PAGE_SIZE);
		while ((n = far_queue_poll(q, &done, 1)) == 0)
			(void)far_queue_wait(q, -1);
	}
	if (n < 0)
		io->res = n;
	FAR_HOOK(FLUSH_WRITTEN, pager_addr(p, pg));
	flush_end(p, pg, io->res);
	return io->res;
}

int writeback_flush(struct far_pager *p, struct far_queue *q,
		    struct far_stat_shard *stats, far_pgno_t start,
		    far_pgno_t nr)
{
	void *buf;
	int r, first = 0;

	r = far_near_map(FAR_PAGE_SIZE, &buf);
	if (r < 0)
		return r;
	for (far_pgno_t pg = start; pg < start + nr; pg++) {
		struct far_io io = {
			.op = FAR_IO_WRITE, .buf = buf, .len = FAR_PAGE_SIZE};

		trace_ease(p);
		r = flush_one(p, q, pg, &io, stats);
		if (r < 0 && !first)
			first = r;
	}
	far_near_unmap(buf, FAR_PAGE_SIZE);
	return first;
}
