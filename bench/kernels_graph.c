/* SPDX-License-Identifier: BSD-3-Clause */
/* bench-kernels: PageRank and breadth-first search on a Kronecker graph. */
#include <stdlib.h>
#include <string.h>

#include "bench/kernels.h"
#include "bench/lib/rng.h"

#define DAMPING 0.85f
#define NOWHERE UINT32_MAX

struct edge {
	uint32_t from, to;
};

/* Undirected, as compressed sparse rows: the neighbours of v are those from
 * first[v] to first[v + 1]. */
struct graph {
	uint32_t nr_vertices;
	uint64_t nr_edges; /* both directions */
	uint64_t *first;
	uint32_t *neighbour;
	void *a, *b; /* per vertex, for the kernel */
};

/* The proportions of the Graph 500 benchmark, in 1/1000: 570, 190, 190, 50. */
static struct edge draw(struct bench_rng *rng, unsigned scale)
{
	struct edge e = {0, 0};

	for (unsigned i = 0; i < scale; i++) {
		uint64_t x = bench_rng_below(rng, 1000);

		e.from = e.from << 1 | (x >= 760);
		e.to = e.to << 1 | ((x >= 570 && x < 760) || x >= 950);
	}
	return e;
}

static struct edge *draw_edges(uint64_t nr, unsigned scale, uint64_t seed)
{
	struct edge *edges = malloc(nr * sizeof(*edges));
	struct bench_rng rng;

	bench_rng_init(&rng, seed);
	for (uint64_t i = 0; edges && i < nr; i++) {
		struct edge e = draw(&rng, scale);
		uint32_t mask = (uint32_t)((UINT64_C(1) << scale) - 1);

		/* vertices of high degree shall not be neighbours in memory */
		e.from = (uint32_t)bench_mix64(e.from) & mask;
		e.to = (uint32_t)bench_mix64(e.to) & mask;
		edges[i] = e;
	}
	return edges;
}

static void fill(struct graph *g, const struct edge *edges, uint64_t nr)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++) {
		g->first[edges[i].from]++;
		g->first[edges[i].to]++;
	}
	for (uint32_t v = 0; v <= g->nr_vertices; v++) {
		uint64_t n = g->first[v];

		g->first[v] = sum;
		sum += n;
	}
	for (uint64_t i = 0; i < nr; i++) {
		g->neighbour[g->first[edges[i].from]++] = edges[i].to;
		g->neighbour[g->first[edges[i].to]++] = edges[i].from;
	}
	/* each now begins where the next one does */
	memmove(g->first + 1, g->first, g->nr_vertices * sizeof(*g->first));
	g->first[0] = 0;
}

static void destroy(void *data)
{
	struct graph *g = data;

	if (!g)
		return;
	free(g->first);
	free(g->neighbour);
	free(g->a);
	free(g->b);
	free(g);
}

static void *build(const struct kernel_size *size, uint64_t seed)
{
	struct graph *g = calloc(1, sizeof(*g));
	uint64_t nr = (UINT64_C(1) << size->scale) * size->degree;
	struct edge *edges = draw_edges(nr, size->scale, seed);

	if (!g || !edges)
		goto fail;
	g->nr_vertices = UINT32_C(1) << size->scale;
	g->nr_edges = 2 * nr;
	g->first = calloc((size_t)g->nr_vertices + 1, sizeof(*g->first));
	g->neighbour = malloc(g->nr_edges * sizeof(*g->neighbour));
	if (!g->first || !g->neighbour)
		goto fail;
	fill(g, edges, nr);
	free(edges);
	g->a = malloc(g->nr_vertices * sizeof(uint32_t));
	g->b = malloc(g->nr_vertices * sizeof(uint32_t));
	if (g->a && g->b)
		return g;
	edges = NULL;
fail:
	free(edges);
	destroy(g);
	return NULL;
}

static uint64_t pagerank(void *data, const struct kernel_size *size)
{
	struct graph *g = data;
	float *score = g->a, *given = g->b;
	float base = (1 - DAMPING) / (float)g->nr_vertices;
	uint64_t sum = 0;

	for (uint32_t v = 0; v < g->nr_vertices; v++)
		score[v] = 1 / (float)g->nr_vertices;
	for (unsigned i = 0; i < size->trials; i++) {
		for (uint32_t v = 0; v < g->nr_vertices; v++) {
			uint64_t n = g->first[v + 1] - g->first[v];

			given[v] = n ? score[v] / (float)n : 0;
		}
		for (uint32_t v = 0; v < g->nr_vertices; v++) {
			float in = 0;

			for (uint64_t k = g->first[v]; k < g->first[v + 1]; k++)
				in += given[g->neighbour[k]];
			score[v] = base + DAMPING * in;
		}
	}
	for (uint32_t v = 0; v < g->nr_vertices; v++) {
		uint32_t bits;

		memcpy(&bits, &score[v], sizeof(bits));
		sum = bench_mix64(sum ^ bits);
	}
	return sum;
}

/* Parents of all that can be reached from @root; how many. */
static uint64_t search(const struct graph *g, uint32_t root)
{
	uint32_t *parent = g->a, *queue = g->b;
	uint64_t head = 0, tail = 0;

	for (uint32_t v = 0; v < g->nr_vertices; v++)
		parent[v] = NOWHERE;
	parent[root] = root;
	queue[tail++] = root;
	while (head < tail) {
		uint32_t v = queue[head++];

		for (uint64_t k = g->first[v]; k < g->first[v + 1]; k++) {
			uint32_t to = g->neighbour[k];

			if (parent[to] != NOWHERE)
				continue;
			parent[to] = v;
			queue[tail++] = to;
		}
	}
	return tail;
}

static uint64_t bfs(void *data, const struct kernel_size *size)
{
	struct graph *g = data;
	uint64_t sum = 0;

	for (unsigned i = 0; i < size->trials; i++) {
		uint32_t root = (uint32_t)bench_mix64(i) % g->nr_vertices;

		while (g->first[root] == g->first[root + 1])
			root = (root + 1) % g->nr_vertices;
		sum = bench_mix64(sum ^ search(g, root));
	}
	for (uint32_t v = 0; v < g->nr_vertices; v++)
		sum = bench_mix64(sum ^ ((uint32_t *)g->a)[v]);
	return sum;
}

const struct kernel kernel_pagerank = {
	.name = "pagerank",
	.help = "PageRank by pulling, on a Kronecker graph (as GAPBS)",
	.size = {.scale = 20, .degree = 16, .trials = 20},
	.build = build,
	.run = pagerank,
	.destroy = destroy,
};

const struct kernel kernel_bfs = {
	.name = "bfs",
	.help = "breadth-first searches on the same graph (as GAPBS)",
	.size = {.scale = 20, .degree = 16, .trials = 8},
	.build = build,
	.run = bfs,
	.destroy = destroy,
};
