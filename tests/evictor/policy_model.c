/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/evictor/policy_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES POLICY_MODEL_PAGES
#define PICK_MAX 80
#define VISITS_PER_VICTIM 64
#define CANARY UINT32_C(0xdeadbeef)

enum place {
	GONE,
	RESIDENT,
	LEAVING, /* the evictor has it: not evictable, maybe coming back */
};

struct page {
	enum place place;
	bool is_pinned;
	bool is_used;
	unsigned nr_asked;  /* is_evictable() calls in this pick */
	bool may_leave;	    /* the answer to them */
	bool was_seen_used; /* take_ref() said so in this pick */
	bool was_picked;
};

struct model {
	const struct far_evict_policy_ops *ops;
	struct far_policy *policy;
	struct page pages[PAGES];
	far_pgno_t nr_pages;
	far_pgno_t hand; /* pages that stopped being in transit */
	unsigned nr_visits;
	const char *wrong; /* first thing the policy did wrong */
	far_pgno_t wrong_pg;
	const uint8_t *data;
	size_t left;
};

static uint8_t next_byte(struct model *m)
{
	if (!m->left)
		return 0;
	m->left--;
	return *m->data++;
}

static far_pgno_t next_page(struct model *m)
{
	unsigned b = next_byte(m);

	return (b | (unsigned)next_byte(m) << 8) % m->nr_pages;
}

static void blame(struct model *m, const char *what, far_pgno_t pg)
{
	if (m->wrong)
		return;
	m->wrong = what;
	m->wrong_pg = pg;
}

static bool view_is_evictable(void *ctx, far_pgno_t pg)
{
	struct model *m = ctx;
	struct page *p = &m->pages[pg];

	m->nr_visits++;
	if (pg >= m->nr_pages) {
		blame(m, "asked about a page that is not in use", pg);
		return false;
	}
	if (p->nr_asked++)
		blame(m, "looked twice at a page in one pick", pg);
	p->may_leave = p->place == RESIDENT && !p->is_pinned;
	return p->may_leave;
}

static bool view_take_ref(void *ctx, far_pgno_t pg)
{
	struct model *m = ctx;
	struct page *p = &m->pages[pg];

	if (pg >= m->nr_pages || !p->may_leave) {
		blame(m, "took the mark of a page that may not leave", pg);
		return false;
	}
	p->was_seen_used = p->is_used;
	p->is_used = false;
	return p->was_seen_used;
}

static void page_in(struct model *m, far_pgno_t pg)
{
	if (m->ops->wants_events)
		m->ops->page_in(m->policy, pg);
}

static void page_out(struct model *m, far_pgno_t pg)
{
	if (m->ops->wants_events)
		m->ops->page_out(m->policy, pg);
}

/* The page is given back or evicted: nothing stays of it. */
static void vanish(struct model *m, far_pgno_t pg)
{
	memset(&m->pages[pg], 0, sizeof(m->pages[pg]));
	page_out(m, pg);
}

static void check_victim(struct model *m, far_pgno_t pg)
{
	struct page *p;

	if (pg >= m->nr_pages) {
		blame(m, "picked a page that is not in use", pg);
		return;
	}
	p = &m->pages[pg];
	if (!p->may_leave)
		blame(m, "picked a page that may not leave", pg);
	if (p->was_seen_used)
		blame(m, "picked a page just seen used", pg);
	if (p->was_picked)
		blame(m, "picked a page twice", pg);
	p->was_picked = true;
}

static unsigned pick(struct model *m, uint64_t local, far_pgno_t *ret_pg,
		     unsigned max)
{
	struct far_policy_view view = {
		.ctx = m,
		.is_evictable = view_is_evictable,
		.take_ref = view_take_ref,
		.nr_pages = m->nr_pages,
	};
	unsigned nr;

	for (unsigned i = 0; i < PAGES; i++) {
		m->pages[i].nr_asked = 0;
		m->pages[i].may_leave = false;
		m->pages[i].was_seen_used = false;
		m->pages[i].was_picked = false;
	}
	m->nr_visits = 0;
	ret_pg[max] = CANARY;
	nr = m->ops->pick(m->policy, &view, local, ret_pg, max);
	if (nr > max || ret_pg[max] != CANARY) {
		blame(m, "gave more victims than asked for", nr);
		return 0;
	}
	if (m->nr_visits > max * VISITS_PER_VICTIM)
		blame(m, "looked at too many pages in one pick", 0);
	for (unsigned i = 0; i < nr; i++)
		check_victim(m, ret_pg[i]);
	return m->wrong ? 0 : nr;
}

/* What happens to victims: gone, on their way, or touched and back. */
static void op_pick(struct model *m)
{
	far_pgno_t pgs[PICK_MAX + 1];
	unsigned max = next_byte(m) % (PICK_MAX + 1);
	unsigned fate = next_byte(m);
	unsigned nr = pick(m, fate * 2, pgs, max);

	for (unsigned i = 0; i < nr; i++, fate = fate * 5 + 3) {
		struct page *p = &m->pages[pgs[i]];

		switch (fate >> 2 & 3) {
		case 0:
		case 1:
			vanish(m, pgs[i]);
			break;
		case 2:
			p->place = LEAVING;
			break;
		default: /* came back before it left */
			p->is_used = fate & 1;
			break;
		}
	}
}

/* Some of the pages on their way arrive, some come back. */
static void op_settle(struct model *m)
{
	unsigned how = next_byte(m);

	for (unsigned n = 0; n < PAGES / 4; n++) {
		far_pgno_t pg = m->hand++ % PAGES;

		if (m->pages[pg].place != LEAVING)
			continue;
		if (how >> (n & 7) & 1)
			vanish(m, pg);
		else
			m->pages[pg].place = RESIDENT;
	}
}

static void op_resize(struct model *m)
{
	far_pgno_t nr =
		1 + (next_byte(m) | (unsigned)next_byte(m) << 8) % PAGES;

	for (far_pgno_t pg = nr; pg < m->nr_pages; pg++)
		vanish(m, pg);
	m->nr_pages = nr;
}

static void op_arrive(struct model *m, unsigned nr)
{
	far_pgno_t pg = next_page(m);

	for (; nr && pg < m->nr_pages; nr--, pg++) {
		if (m->pages[pg].place == LEAVING)
			continue;
		m->pages[pg].place = RESIDENT;
		page_in(m, pg); /* also twice */
	}
}

static void step(struct model *m)
{
	unsigned op = next_byte(m);
	far_pgno_t pg;

	switch (op % 8) {
	case 0:
		op_arrive(m, 1);
		break;
	case 1:
		op_arrive(m, op >> 3);
		break;
	case 2:
		pg = next_page(m);
		if (m->pages[pg].place != LEAVING)
			vanish(m, pg); /* also if it was gone */
		break;
	case 3:
		pg = next_page(m);
		m->pages[pg].is_pinned = !m->pages[pg].is_pinned;
		break;
	case 4:
		m->pages[next_page(m)].is_used = true;
		break;
	case 5:
		op_pick(m);
		break;
	case 6:
		op_settle(m);
		break;
	default:
		if (op >> 3 == 0) {
			op_resize(m);
		} else if (op >> 3 == 1) { /* no such pages */
			page_in(m, PAGES + next_byte(m));
			page_out(m, UINT32_MAX - next_byte(m));
		} else {
			op_pick(m);
		}
		break;
	}
}

static unsigned nr_resident(const struct model *m)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < PAGES; i++)
		nr += m->pages[i].place == RESIDENT;
	return nr;
}

/* Nothing is used or pinned any more: the policy must give every page. */
static void drain(struct model *m)
{
	far_pgno_t pgs[PICK_MAX + 1];
	unsigned max = 1 + next_byte(m) % PICK_MAX;
	unsigned picks = PAGES + PAGES / VISITS_PER_VICTIM + 2;

	for (unsigned i = 0; i < PAGES; i++) {
		if (m->pages[i].place == LEAVING)
			m->pages[i].place = RESIDENT;
		m->pages[i].is_pinned = m->pages[i].is_used = false;
	}
	for (; picks && !m->wrong; picks--) {
		unsigned nr = pick(m, PAGES, pgs, max);

		for (unsigned i = 0; i < nr; i++)
			vanish(m, pgs[i]);
	}
	if (nr_resident(m))
		blame(m, "never picked some resident pages", nr_resident(m));
}

int policy_model_run(const struct far_evict_policy_ops *ops,
		     const uint8_t *data, size_t len, char *why, size_t why_len)
{
	struct model m = {.ops = ops, .data = data, .left = len};
	void *mem = calloc(1, ops->footprint(PAGES));

	m.nr_pages = PAGES;
	if (!mem || ops->init(mem, PAGES, &m.policy) < 0)
		blame(&m, "did not start", 0);
	while (m.left && !m.wrong)
		step(&m);
	if (!m.wrong)
		drain(&m);
	free(mem);
	if (!m.wrong)
		return 0;
	(void)snprintf(why, why_len, "%s %s (%u), %zu bytes before the end",
		       ops->name, m.wrong, m.wrong_pg, m.left);
	return -1;
}
