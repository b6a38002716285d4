/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/guide.h"

#include <string.h>

#define DEPTH_FIRST 4
#define NOWHERE UINT32_MAX

/* --- the index --- */

/* One digit of a radix sort, which keeps the order of what is equal in it. */
static void sort_digit(const far_pgno_t *pages, uint32_t nr,
		       const uint32_t *from, uint32_t *to, unsigned shift)
{
	uint32_t at[257] = {0};

	for (uint32_t i = 0; i < nr; i++)
		at[(pages[i] >> shift & 255) + 1]++;
	for (unsigned d = 0; d < 255; d++)
		at[d + 1] += at[d];
	for (uint32_t i = 0; i < nr; i++)
		to[at[pages[from[i]] >> shift & 255]++] = from[i];
}

void guide_index(const far_pgno_t *pages, uint32_t nr, uint32_t *order,
		 uint32_t *spare)
{
	for (uint32_t i = 0; i < nr; i++)
		order[i] = i;
	for (unsigned shift = 0; shift < 32; shift += 16) {
		sort_digit(pages, nr, order, spare, shift);
		sort_digit(pages, nr, spare, order, shift + 8);
	}
}

static bool is_before(const struct far_guided *s, uint32_t at, far_pgno_t pg,
		      uint32_t from)
{
	return s->pages[at] != pg ? s->pages[at] < pg : at < from;
}

/* The first place of @pg from @from on. */
static uint32_t find(const struct far_guided *s, far_pgno_t pg, uint32_t from)
{
	uint32_t lo = 0, hi = s->nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (is_before(s, s->order[mid], pg, from))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nr && s->pages[s->order[lo]] == pg ? s->order[lo]
							  : NOWHERE;
}

/* The first place of @pg in the @nr entries behind @at. */
static uint32_t find_near(const struct far_guided *s, far_pgno_t pg,
			  uint32_t at, uint32_t nr)
{
	uint32_t end = nr < s->nr - at ? at + nr : s->nr - 1;

	for (uint32_t i = at + 1; i <= end; i++)
		if (s->pages[i] == pg)
			return i;
	return NOWHERE;
}

/* --- the cursor --- */

static bool was_just_there(const struct far_guided *s, far_pgno_t pg,
			   uint32_t at)
{
	uint32_t from = at > GUIDE_BEHIND ? at - GUIDE_BEHIND : 0;

	for (uint32_t i = from; i <= at; i++)
		if (s->pages[i] == pg)
			return true;
	return false;
}

static void forget_window(struct far_guide *g, struct far_window *ret)
{
	if (g->window) {
		ret->nr_wasted = g->pages;
		g->extra = g->extra ? g->extra * 2 : 1;
		if (g->extra > GUIDE_NEED_MAX)
			g->extra = GUIDE_NEED_MAX;
	}
	g->depth = g->window = g->pages = g->hits = 0;
}

static void stray(struct far_guide *g, const struct far_guided *s,
		  far_pgno_t pg, struct far_window *ret)
{
	uint32_t next = g->is_at ? find(s, pg, g->at + 1) : NOWHERE;

	if (next == NOWHERE)
		next = find(s, pg, 0);
	g->is_stray_at = next != NOWHERE;
	g->stray_at = next;
	if (++g->nr_strays == GUIDE_STRAYS)
		forget_window(g, ret);
}

/* Moves the cursor to @at, which the fault before the last said it might. */
static void jump(struct far_guide *g, uint32_t at, struct far_window *ret)
{
	forget_window(g, ret);
	g->at = at;
	g->is_at = true;
	g->hits = 1; /* and this fault */
}

/* @steps behind the cursor there was a fault; entries that are under way. */
static unsigned advance(struct far_guide *g, uint32_t steps, unsigned max,
			struct far_window *ret)
{
	unsigned skip = 0;

	g->at += steps;
	g->hits++;
	if (g->window) {
		ret->nr_useful = g->pages;
		g->depth = g->depth * 2 < max ? g->depth * 2 : max;
		if (steps <= g->window)
			skip = g->window - steps;
		else
			g->extra /= 2;
	} else if (g->hits >= 2 + g->extra) {
		g->depth = DEPTH_FIRST < max ? DEPTH_FIRST : max;
	}
	g->window = g->pages = 0;
	return skip;
}

/* Where behind the cursor, or the last stray, is @pg? */
static uint32_t place(struct far_guide *g, const struct far_guided *s,
		      far_pgno_t pg, struct far_window *ret)
{
	uint32_t to = NOWHERE;

	if (g->is_at)
		to = find_near(s, pg, g->at, g->window + GUIDE_NEAR);
	if (to != NOWHERE || !g->is_stray_at)
		return to;
	to = find_near(s, pg, g->stray_at, GUIDE_JUMP);
	if (to != NOWHERE)
		jump(g, g->stray_at, ret);
	return to;
}

void guide_fault(struct far_guide *g, const struct far_guided *s, far_pgno_t pg,
		 unsigned max, struct far_window *ret)
{
	uint32_t to, from, left;
	unsigned skip;

	memset(ret, 0, sizeof(*ret));
	if (!s->nr)
		return;
	to = place(g, s, pg, ret);
	if (to == NOWHERE) {
		if (!g->is_at || !was_just_there(s, pg, g->at))
			stray(g, s, pg, ret);
		return;
	}
	g->nr_strays = 0;
	g->is_stray_at = false;
	skip = advance(g, to - g->at, max, ret);
	left = s->nr - 1 - g->at;
	if (!g->depth || skip >= left)
		return;
	from = g->at + 1 + skip;
	ret->pages = &s->pages[from];
	ret->nr = g->depth < left - skip ? g->depth : left - skip;
	ret->guide = g;
	g->window = skip + ret->nr;
}

void guide_fetched(struct far_window *w, unsigned walked, unsigned nr)
{
	w->guide->window -= w->nr - walked;
	w->guide->pages = nr;
}
