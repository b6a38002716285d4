/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/tracestat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ENTRIES 4096

/* --- a table of pages, or chunks --- */

struct entry {
	uint32_t key;
	uint32_t faults;
	uint32_t out_at;   /* how many had left with it, the last time; or 0 */
	unsigned char row; /* + 1, where it was last wanted; 0: nowhere */
	bool is_out, is_used;
};

/** struct table - open addressing, at most half full */
struct table {
	struct entry *e;
	size_t nr, room; /* room: a power of two */
};

static struct entry *slot_of(struct entry *e, size_t room, uint32_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	while (e[at & (room - 1)].is_used && e[at & (room - 1)].key != key)
		at++;
	return &e[at & (room - 1)];
}

static int table_grow(struct table *t)
{
	size_t room = t->room ? 2 * t->room : FIRST_ENTRIES;
	struct entry *e = calloc(room, sizeof(*e));

	if (!e)
		return -ENOMEM;
	for (size_t i = 0; i < t->room; i++)
		if (t->e[i].is_used)
			*slot_of(e, room, t->e[i].key) = t->e[i];
	free(t->e);
	t->e = e;
	t->room = room;
	return 0;
}

/* The entry of @key, a new one if there is none; NULL: no memory. */
static struct entry *table_get(struct table *t, uint32_t key)
{
	struct entry *e;

	if (t->nr >= t->room / 2 && table_grow(t) < 0)
		return NULL;
	e = slot_of(t->e, t->room, key);
	if (!e->is_used) {
		*e = (struct entry){.key = key, .is_used = true};
		t->nr++;
	}
	return e;
}

/* --- one pass over the records --- */

/** struct fetch - a page that came back */
struct fetch {
	uint32_t distance; /* UINT32_MAX: unknown */
	bool is_ahead;
};

struct pass {
	const struct tracefile *t;
	struct tracestat *st;
	struct table pages, chunks;
	struct fetch *fetches;
	size_t nr_fetches;
	uint32_t nr_out, max_out;
	uint32_t *tree; /* binary indexed: marks where each page last left */
};

static void mark(struct pass *p, uint32_t at, uint32_t by)
{
	for (; at <= p->max_out; at += at & -at)
		p->tree[at] += by;
}

static uint32_t marks_up_to(const struct pass *p, uint32_t at)
{
	uint32_t sum = 0;

	for (; at; at -= at & -at)
		sum += p->tree[at];
	return sum;
}

static void note_out(struct pass *p, struct entry *page)
{
	if (page->out_at)
		mark(p, page->out_at, UINT32_MAX);
	page->out_at = ++p->nr_out;
	page->is_out = true;
	mark(p, page->out_at, 1);
}

static void measure_span(const struct tracefile *t, struct tracestat *st)
{
	st->first_us = t->nr ? UINT64_MAX : 0;
	for (size_t i = 0; i < t->nr; i++) {
		if (t->r[i].us < st->first_us)
			st->first_us = t->r[i].us;
		if (t->r[i].us > st->last_us)
			st->last_us = t->r[i].us;
	}
	st->seconds = (double)(st->last_us - st->first_us) / 1e6;
	if (st->seconds < 1e-6)
		st->seconds = 1e-6;
	st->row_us = (st->last_us - st->first_us) / TRACESTAT_ROWS + 1;
	st->nr_rows =
		t->nr ? (unsigned)((st->last_us - st->first_us) / st->row_us) +
				1
		      : 0;
	for (unsigned i = 0; i < st->nr_rows; i++)
		st->rows[i].us = st->first_us + i * st->row_us;
}

static unsigned row_of(const struct pass *p, uint64_t us)
{
	return (unsigned)((us - p->st->first_us) / p->st->row_us);
}

/* The page was wanted at this time. */
static void note_use(struct pass *p, struct entry *page, uint64_t us)
{
	unsigned at = row_of(p, us);
	struct tracestat_row *row = &p->st->rows[at];

	if (page->row != at + 1)
		row->pages++;
	if (!page->row)
		row->fresh++;
	page->row = (unsigned char)(at + 1);
}

static int note_fault(struct pass *p, const struct far_trace_record *r)
{
	struct entry *chunk =
		table_get(&p->chunks, r->page >> TRACESTAT_CHUNK_SHIFT);

	if (!chunk)
		return -ENOMEM;
	chunk->faults++;
	p->st->faults++;
	p->st->rows[row_of(p, r->us)].faults++;
	return 0;
}

static void note_fetch(struct pass *p, const struct entry *page, bool is_ahead)
{
	struct fetch *f = &p->fetches[p->nr_fetches++];

	f->is_ahead = is_ahead;
	f->distance = UINT32_MAX;
	if (page->is_out)
		f->distance = marks_up_to(p, p->nr_out) -
			      marks_up_to(p, page->out_at - 1);
	else
		p->st->unknown++;
}

static int note(struct pass *p, const struct far_trace_record *r)
{
	struct entry *page;

	if (r->kind == FAR_TRACE_DROPPED) {
		p->st->kinds[r->kind] += r->page;
		return 0;
	}
	p->st->kinds[r->kind]++;
	page = table_get(&p->pages, r->page);
	if (!page)
		return -ENOMEM;
	if (r->kind == FAR_TRACE_OUT) {
		note_out(p, page);
		return 0;
	}
	if (far_trace_is_fetch(r))
		note_fetch(p, page, r->kind == FAR_TRACE_AHEAD);
	page->is_out = false;
	if (r->kind == FAR_TRACE_AHEAD) {
		p->st->rows[row_of(p, r->us)].ahead++;
		return 0;
	}
	note_use(p, page, r->us);
	return r->kind == FAR_TRACE_WRITE ? 0 : note_fault(p, r);
}

/* --- what follows from it --- */

static struct tracestat_size with_limit(const struct pass *p, uint64_t pages)
{
	struct tracestat_size s = {.pages = pages};
	uint64_t more = pages - p->t->header.limit_pages;

	for (size_t i = 0; i < p->nr_fetches; i++) {
		if (p->fetches[i].distance <= more)
			continue;
		s.fetched++;
		s.faults += !p->fetches[i].is_ahead;
	}
	return s;
}

/* From the limit that was on, in steps of an eighth of it and then larger ones,
 * until more would not help. */
static void make_sizes(struct pass *p)
{
	static const unsigned eighths[TRACESTAT_SIZES] = {
		8, 9, 10, 11, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128};
	uint64_t limit = p->t->header.limit_pages;
	struct tracestat *st = p->st;

	while (st->nr_sizes < TRACESTAT_SIZES) {
		/* no limit is so large that this is */
		uint64_t pages = limit / 8 * eighths[st->nr_sizes] +
				 limit % 8 * eighths[st->nr_sizes] / 8;

		st->sizes[st->nr_sizes++] = with_limit(p, pages);
		if (st->sizes[st->nr_sizes - 1].fetched <= st->unknown)
			break;
	}
}

static int by_faults(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->faults != y->faults)
		return x->faults < y->faults ? 1 : -1;
	return (x->key > y->key) - (x->key < y->key);
}

static void make_chunks(struct pass *p)
{
	struct tracestat *st = p->st;

	if (!p->chunks.nr)
		return;
	qsort(p->chunks.e, p->chunks.room, sizeof(*p->chunks.e), by_faults);
	while (st->nr_chunks < TRACESTAT_CHUNKS &&
	       st->nr_chunks < p->chunks.nr) {
		const struct entry *e = &p->chunks.e[st->nr_chunks];

		st->chunks[st->nr_chunks++] = (struct tracestat_chunk){
			.chunk = e->key, .faults = e->faults};
	}
}

static int prepare(struct pass *p)
{
	uint64_t nr_out = 0;

	for (size_t i = 0; i < p->t->nr; i++)
		nr_out += p->t->r[i].kind == FAR_TRACE_OUT;
	if (nr_out >= UINT32_MAX / 2)
		return -EFBIG;
	p->max_out = (uint32_t)nr_out;
	p->tree = calloc(nr_out + 1, sizeof(*p->tree));
	p->fetches = calloc(p->t->nr + 1, sizeof(*p->fetches));
	return p->tree && p->fetches ? 0 : -ENOMEM;
}

int tracestat_make(const struct tracefile *t, struct tracestat *ret)
{
	struct pass p = {.t = t, .st = ret};
	int err;

	memset(ret, 0, sizeof(*ret));
	measure_span(t, ret);
	err = prepare(&p);
	for (size_t i = 0; i < t->nr && err == 0; i++)
		err = note(&p, &t->r[i]);
	if (err == 0) {
		ret->pages = p.pages.nr;
		make_sizes(&p);
		make_chunks(&p);
	}
	free(p.fetches);
	free(p.tree);
	free(p.pages.e);
	free(p.chunks.e);
	return err;
}
