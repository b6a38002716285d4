/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/evictor/trace.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOP_BASE (UINT32_C(1) << 20) /* keeps two parts of a trace apart */
#define NEVER UINT32_MAX

/* --- generators ----------------------------------------------------------- */

struct rng {
	uint64_t state;
};

/* splitmix64, as a number in [0, 1) */
static double rng_unit(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* Rank of the first of @nr running sums that is not below @u. */
static uint32_t sums_find(const double *sums, uint32_t nr, double u)
{
	uint32_t lo = 0, hi = nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (sums[mid] < u)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nr ? lo : nr - 1;
}

static int gen_zipf(uint32_t *pg, uint32_t nr, uint32_t pages, double alpha,
		    uint64_t seed)
{
	double *sums = calloc(pages, sizeof(*sums));
	struct rng r = {seed};
	double total = 0, sum = 0;

	if (!sums)
		return -ENOMEM;
	for (uint32_t i = 0; i < pages; i++)
		total += 1 / pow(i + 1, alpha);
	for (uint32_t i = 0; i < pages; i++) {
		sum += 1 / pow(i + 1, alpha);
		sums[i] = sum / total;
	}
	for (uint32_t i = 0; i < nr; i++)
		pg[i] = sums_find(sums, pages, rng_unit(&r));
	free(sums);
	return 0;
}

static void gen_loop(uint32_t *pg, uint32_t nr, uint32_t pages, uint32_t base)
{
	for (uint32_t i = 0; i < nr; i++)
		pg[i] = base + i % pages;
}

/* Seven of ten accesses are zipf, the others go round @loop pages. */
static int gen_mix(uint32_t *pg, uint32_t nr, uint32_t loop, uint64_t seed)
{
	uint32_t *zipf = calloc(nr, sizeof(*zipf));
	struct rng r = {seed ^ 1};
	uint32_t i = 0, j = 0;
	int err;

	if (!zipf)
		return -ENOMEM;
	err = gen_zipf(zipf, nr, 2000, 0.9, seed);
	for (uint32_t n = 0; n < nr && !err; n++) {
		if (rng_unit(&r) < 0.7)
			pg[n] = zipf[i++];
		else
			pg[n] = LOOP_BASE + j++ % loop;
	}
	free(zipf);
	return err;
}

static int make_zipf_99(uint32_t *pg, uint32_t nr)
{
	return gen_zipf(pg, nr, 3000, 0.99, 1);
}

static int make_zipf_70(uint32_t *pg, uint32_t nr)
{
	return gen_zipf(pg, nr, 3000, 0.7, 2);
}

static int make_uniform(uint32_t *pg, uint32_t nr)
{
	struct rng r = {3};

	for (uint32_t i = 0; i < nr; i++)
		pg[i] = (uint32_t)(rng_unit(&r) * 2000);
	return 0;
}

static int make_loop(uint32_t *pg, uint32_t nr)
{
	gen_loop(pg, nr, 1000, 0);
	return 0;
}

static int make_stream(uint32_t *pg, uint32_t nr)
{
	gen_loop(pg, nr, nr, 0);
	return 0;
}

static int make_mix_loop(uint32_t *pg, uint32_t nr)
{
	return gen_mix(pg, nr, 1500, 4);
}

static int make_phases(uint32_t *pg, uint32_t nr)
{
	gen_loop(pg + nr / 2, nr - nr / 2, 1200, LOOP_BASE);
	return gen_zipf(pg, nr / 2, 1500, 1.0, 5);
}

static int make_mix_scan(uint32_t *pg, uint32_t nr)
{
	return gen_mix(pg, nr, nr, 6); /* never comes round */
}

static const struct {
	const char *name;
	int (*make)(uint32_t *pg, uint32_t nr);
} makers[] = {
	{"zipf_0.99_3000", make_zipf_99},      {"zipf_0.70_3000", make_zipf_70},
	{"uniform_2000", make_uniform},	       {"loop_1000", make_loop},
	{"stream_no_reuse", make_stream},      {"mix_zipf_loop", make_mix_loop},
	{"phase_zipf_then_loop", make_phases}, {"mix_zipf_scan", make_mix_scan},
};

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Numbers the pages 0, 1, ... in the order of their addresses. */
static int number_densely(struct trace *t)
{
	uint32_t *sorted = calloc(t->nr, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, t->raw, t->nr * sizeof(*sorted));
	qsort(sorted, t->nr, sizeof(*sorted), by_number);
	for (uint32_t i = 0; i < t->nr; i++)
		if (!i || sorted[i] != sorted[i - 1])
			sorted[t->nr_pages++] = sorted[i];
	for (uint32_t i = 0; i < t->nr; i++) {
		const uint32_t *at = bsearch(&t->raw[i], sorted, t->nr_pages,
					     sizeof(*sorted), by_number);

		t->pg[i] = (uint32_t)(at - sorted);
	}
	free(sorted);
	return 0;
}

int trace_make(struct trace *t, const char *name, uint32_t nr)
{
	size_t k = 0;
	int r;

	memset(t, 0, sizeof(*t));
	while (k < sizeof(makers) / sizeof(makers[0]) &&
	       strcmp(makers[k].name, name))
		k++;
	if (k == sizeof(makers) / sizeof(makers[0]))
		return -ENOENT;
	t->nr = nr;
	t->pg = calloc(nr, sizeof(*t->pg));
	t->raw = calloc(nr, sizeof(*t->raw));
	r = t->pg && t->raw ? makers[k].make(t->raw, nr) : -ENOMEM;
	if (!r)
		r = number_densely(t);
	if (r)
		trace_free(t);
	return r;
}

static int read_line(const char *line, uint32_t *ret)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(line, &end, 10);
	if (*line < '0' || *line > '9' || *end != '\n' || errno ||
	    n > UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int read_lines(struct trace *t, FILE *f)
{
	char line[64];
	int r;

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#') {
			if (strchr(line, '\n'))
				continue;
			return -EINVAL;
		}
		if ((t->nr & (t->nr - 1)) == 0) { /* full: double it */
			size_t room = t->nr ? 2 * (size_t)t->nr : 1;
			uint32_t *raw = realloc(t->raw, room * sizeof(*raw));

			if (!raw)
				return -ENOMEM;
			t->raw = raw;
		}
		r = read_line(line, &t->raw[t->nr]);
		if (r)
			return r;
		t->nr++;
	}
	if (ferror(f) || !t->nr)
		return -EINVAL;
	t->pg = calloc(t->nr, sizeof(*t->pg));
	return t->pg ? number_densely(t) : -ENOMEM;
}

int trace_read(struct trace *t, const char *path)
{
	FILE *f = fopen(path, "re");
	int r;

	memset(t, 0, sizeof(*t));
	if (!f)
		return -errno;
	r = read_lines(t, f);
	(void)fclose(f);
	if (r)
		trace_free(t);
	return r;
}

void trace_free(struct trace *t)
{
	free(t->pg);
	free(t->raw);
	memset(t, 0, sizeof(*t));
}

/* --- exact LRU ------------------------------------------------------------ */

/* Binary indexed tree over [1, nr]: sums of prefixes. */
static void tree_add(uint32_t *tree, uint32_t nr, uint32_t at, uint32_t by)
{
	for (; at <= nr; at += at & -at)
		tree[at] += by;
}

static uint32_t tree_sum(const uint32_t *tree, uint32_t at)
{
	uint32_t sum = 0;

	for (; at; at -= at & -at)
		sum += tree[at];
	return sum;
}

/* The tree marks the last access of every page; a page's distance is the
 * number of marks after its own. */
int trace_lru_hits(const struct trace *t, uint32_t *ret_hits)
{
	uint32_t *tree = calloc(t->nr + 1, sizeof(*tree));
	uint32_t *last = calloc(t->nr_pages, sizeof(*last));
	int r = tree && last ? 0 : -ENOMEM;

	memset(ret_hits, 0, (t->nr + 1) * sizeof(*ret_hits));
	for (uint32_t now = 1; now <= t->nr && !r; now++) {
		uint32_t pg = t->pg[now - 1], was = last[pg];

		if (was) {
			uint32_t others =
				tree_sum(tree, now - 1) - tree_sum(tree, was);

			ret_hits[others + 1]++; /* a hit in larger caches */
			tree_add(tree, t->nr, was, UINT32_MAX);
		}
		last[pg] = now;
		tree_add(tree, t->nr, now, 1);
	}
	for (uint32_t c = 1; c <= t->nr; c++)
		ret_hits[c] += ret_hits[c - 1];
	free(tree);
	free(last);
	return r;
}

/* --- Belady's MIN --------------------------------------------------------- */

/* A max-heap of (next use, page); entries of past uses stay until they come
 * up and are recognised by a next use that is no longer the page's. */
struct use {
	uint32_t next;
	uint32_t pg;
};

static void heap_push(struct use *heap, uint32_t *nr, struct use u)
{
	uint32_t i = (*nr)++;

	while (i && heap[(i - 1) / 2].next < u.next) {
		heap[i] = heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap[i] = u;
}

static struct use heap_pop(struct use *heap, uint32_t *nr)
{
	struct use top = heap[0], u = heap[--*nr];
	uint32_t i = 0, kid;

	while ((kid = 2 * i + 1) < *nr) {
		if (kid + 1 < *nr && heap[kid + 1].next > heap[kid].next)
			kid++;
		if (heap[kid].next <= u.next)
			break;
		heap[i] = heap[kid];
		i = kid;
	}
	heap[i] = u;
	return top;
}

struct min_cache {
	struct use *heap;
	uint32_t nr_heap;
	uint32_t *after; /* next access of the same page, by access */
	uint32_t *seen;	 /* by page: its next use, as known now */
	bool *is_in;
	uint32_t nr_in;
};

static void min_next_uses(const struct trace *t, struct min_cache *c)
{
	for (uint32_t pg = 0; pg < t->nr_pages; pg++)
		c->seen[pg] = NEVER;
	for (uint32_t i = t->nr; i-- > 0;) {
		c->after[i] = c->seen[t->pg[i]];
		c->seen[t->pg[i]] = i;
	}
}

static void min_evict(struct min_cache *c)
{
	struct use u;

	do
		u = heap_pop(c->heap, &c->nr_heap);
	while (!c->is_in[u.pg] || u.next != c->seen[u.pg]);
	c->is_in[u.pg] = false;
	c->nr_in--;
}

static uint32_t min_run(const struct trace *t, struct min_cache *c,
			uint32_t size)
{
	uint32_t misses = 0;

	min_next_uses(t, c);
	for (uint32_t i = 0; i < t->nr; i++) {
		uint32_t pg = t->pg[i];

		if (!c->is_in[pg]) {
			misses++;
			if (c->nr_in == size)
				min_evict(c);
			c->is_in[pg] = true;
			c->nr_in++;
		}
		c->seen[pg] = c->after[i];
		heap_push(c->heap, &c->nr_heap, (struct use){c->after[i], pg});
	}
	return misses;
}

int trace_min_misses(const struct trace *t, uint32_t size, uint32_t *ret_misses)
{
	struct min_cache c = {
		.heap = calloc(t->nr, sizeof(*c.heap)),
		.after = calloc(t->nr, sizeof(*c.after)),
		.seen = calloc(t->nr_pages, sizeof(*c.seen)),
		.is_in = calloc(t->nr_pages, sizeof(*c.is_in)),
	};
	int r = c.heap && c.after && c.seen && c.is_in ? 0 : -ENOMEM;

	if (!r)
		*ret_misses = min_run(t, &c, size);
	free(c.heap);
	free(c.after);
	free(c.seen);
	free(c.is_in);
	return r;
}
