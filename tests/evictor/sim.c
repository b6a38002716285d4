/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/evictor/sim.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_MAX 512

struct page {
	uint32_t out_at; /* number of victims before it, when it left */
	bool is_in;
	bool is_marked;
	bool was_out;
};

struct sim {
	const struct far_evict_policy_ops *ops;
	struct far_policy *policy;
	struct page *pages;
	far_pgno_t nr_pages;
	uint32_t nr_in;
	uint32_t nr_out; /* victims so far */
	uint32_t size;
	unsigned batch;
	enum sim_sight sight;
	struct sim_result result;
};

static bool sim_is_evictable(void *ctx, far_pgno_t pg)
{
	return ((struct sim *)ctx)->pages[pg].is_in;
}

static bool sim_take_ref(void *ctx, far_pgno_t pg)
{
	struct page *p = &((struct sim *)ctx)->pages[pg];
	bool was = p->is_marked;

	p->is_marked = false;
	return was;
}

static int sim_take_out(struct sim *s, far_pgno_t pg)
{
	struct page *p;

	if (pg >= s->nr_pages || !s->pages[pg].is_in)
		return -EPROTO;
	p = &s->pages[pg];
	p->is_in = p->is_marked = false;
	p->was_out = true;
	p->out_at = s->nr_out++;
	s->nr_in--;
	if (s->ops->wants_events)
		s->ops->page_out(s->policy, pg);
	return 0;
}

/* Everything may have to be looked at twice, 64 pages in a call. */
static int sim_make_room(struct sim *s)
{
	const struct far_policy_view view = {
		.ctx = s,
		.is_evictable = sim_is_evictable,
		.take_ref = sim_take_ref,
		.nr_pages = s->nr_pages,
	};
	uint32_t tries = 4 * (s->nr_pages / 64 + 1);
	far_pgno_t pgs[BATCH_MAX];
	unsigned nr = 0;

	for (; !nr && tries; tries--) {
		nr = s->ops->pick(s->policy, &view, s->size, pgs, s->batch);
		s->result.picks++;
	}
	for (unsigned i = 0; i < nr; i++) {
		int r = sim_take_out(s, pgs[i]);

		if (r < 0)
			return r;
	}
	return nr && nr <= s->batch ? 0 : -EPROTO;
}

static int sim_miss(struct sim *s, far_pgno_t pg)
{
	struct page *p = &s->pages[pg];
	bool is_rescue = p->was_out && s->nr_out - p->out_at <= 2 * s->batch;
	int r;

	s->result.misses++;
	s->result.rescues += is_rescue;
	if (s->nr_in == s->size) {
		r = sim_make_room(s);
		if (r < 0)
			return r;
	}
	p->is_in = true;
	p->is_marked = s->sight == SIM_SEES_RESCUES && is_rescue;
	s->nr_in++;
	if (s->ops->wants_events)
		s->ops->page_in(s->policy, pg);
	return 0;
}

static int sim_play(struct sim *s, const struct trace *t)
{
	for (uint32_t i = 0; i < t->nr; i++) {
		struct page *p = &s->pages[t->pg[i]];
		int r;

		if (p->is_in) {
			p->is_marked |= s->sight == SIM_SEES_ALL;
			continue;
		}
		r = sim_miss(s, t->pg[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int sim_run(const struct trace *t, const struct far_evict_policy_ops *ops,
	    uint32_t size, unsigned batch, enum sim_sight sight,
	    struct sim_result *ret)
{
	struct sim s = {
		.ops = ops,
		.pages = calloc(t->nr_pages, sizeof(*s.pages)),
		.nr_pages = t->nr_pages,
		.size = size,
		.batch = batch < BATCH_MAX ? batch : BATCH_MAX,
		.sight = sight,
	};
	void *mem = calloc(1, ops->footprint(t->nr_pages));
	int r = s.pages && mem ? 0 : -ENOMEM;

	if (!r)
		r = ops->init(mem, t->nr_pages, &s.policy);
	if (!r)
		r = sim_play(&s, t);
	if (!r)
		*ret = s.result;
	free(s.pages);
	free(mem);
	return r;
}

int sim_plain_fifo(const struct trace *t, uint32_t size, uint32_t *ret_misses)
{
	far_pgno_t *queue = calloc(size, sizeof(*queue));
	bool *is_in = calloc(t->nr_pages, sizeof(*is_in));
	uint32_t misses = 0;
	int r = queue && is_in ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < t->nr && !r; i++) {
		if (is_in[t->pg[i]])
			continue;
		if (misses >= size)
			is_in[queue[misses % size]] = false;
		queue[misses++ % size] = t->pg[i];
		is_in[t->pg[i]] = true;
	}
	free(queue);
	free(is_in);
	if (!r)
		*ret_misses = misses;
	return r;
}
