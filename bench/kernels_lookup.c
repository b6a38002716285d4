/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-kernels: cross sections of neutrons, looked up as XSBench does with its
 * unionized grid: one binary search over all energies, then for every nuclide
 * of a material two points of its own grid.
 */
#include <stdlib.h>

#include "bench/kernels.h"
#include "bench/lib/rng.h"

#define NR_SECTIONS 5
#define NR_MATERIALS 12

/* Of the Hoogenboom-Martin reactor: nuclides in each, and how often a neutron
 * is in it, in 1/1000. */
static const unsigned nuclides_of[NR_MATERIALS] = {34, 5,  4,  4,  27, 21,
						   21, 21, 21, 21, 9,  9};
static const unsigned share_of[NR_MATERIALS] = {140, 52, 275, 134, 154, 64,
						66,  55, 8,   15,  25,	12};

struct point {
	double energy;
	double section[NR_SECTIONS];
};

struct grids {
	unsigned nr_nuclides;
	uint32_t nr_points; /* of each nuclide */
	uint32_t nr_all;
	struct point *points; /* nuclide by nuclide, by energy */
	double *energies;     /* of all nuclides, ascending */
	uint32_t *index;      /* [nr_all][nr_nuclides]: the point below */
};

static double draw(struct bench_rng *rng)
{
	return (double)(bench_rng_next(rng) >> 11) * 0x1p-53;
}

static int by_energy(const void *a, const void *b)
{
	const double *x = a, *y = b; /* of a point, the first field */

	return (*x > *y) - (*x < *y);
}

static void destroy(void *data)
{
	struct grids *g = data;

	if (!g)
		return;
	free(g->points);
	free(g->energies);
	free(g->index);
	free(g);
}

static void fill_points(struct grids *g, uint64_t seed)
{
	struct bench_rng rng;

	bench_rng_init(&rng, seed);
	for (uint32_t i = 0; i < g->nr_all; i++) {
		g->points[i].energy = draw(&rng);
		for (unsigned k = 0; k < NR_SECTIONS; k++)
			g->points[i].section[k] = draw(&rng);
	}
	for (unsigned n = 0; n < g->nr_nuclides; n++)
		qsort(&g->points[(size_t)n * g->nr_points], g->nr_points,
		      sizeof(*g->points), by_energy);
}

static void fill_index(struct grids *g, uint32_t *at)
{
	for (uint32_t i = 0; i < g->nr_all; i++)
		g->energies[i] = g->points[i].energy;
	qsort(g->energies, g->nr_all, sizeof(*g->energies), by_energy);
	for (uint32_t i = 0; i < g->nr_all; i++)
		for (unsigned n = 0; n < g->nr_nuclides; n++) {
			const struct point *own =
				&g->points[(size_t)n * g->nr_points];

			/* the last one has no successor to weigh with */
			while (at[n] + 2 < g->nr_points &&
			       own[at[n] + 1].energy <= g->energies[i])
				at[n]++;
			g->index[(size_t)i * g->nr_nuclides + n] = at[n];
		}
}

static void *build(const struct kernel_size *size, uint64_t seed)
{
	struct grids *g = calloc(1, sizeof(*g));
	uint32_t *at;

	if (!g)
		return NULL;
	g->nr_nuclides = size->degree;
	g->nr_all = UINT32_C(1) << size->scale;
	g->nr_points = g->nr_all / g->nr_nuclides;
	g->nr_all = g->nr_points * g->nr_nuclides;
	g->points = malloc(g->nr_all * sizeof(*g->points));
	g->energies = malloc(g->nr_all * sizeof(*g->energies));
	g->index =
		malloc((size_t)g->nr_all * g->nr_nuclides * sizeof(*g->index));
	at = calloc(g->nr_nuclides, sizeof(*at));
	if (!g->points || !g->energies || !g->index || !at) {
		free(at);
		destroy(g);
		return NULL;
	}
	fill_points(g, seed);
	fill_index(g, at);
	free(at);
	return g;
}

/* The last point of all whose energy is not above @energy, or the first. */
static uint32_t find(const struct grids *g, double energy)
{
	uint32_t low = 0, n = g->nr_all;

	while (n > 1) {
		uint32_t half = n / 2;

		if (g->energies[low + half] <= energy)
			low += half;
		n -= half;
	}
	return low;
}

static unsigned choose_material(struct bench_rng *rng)
{
	uint64_t x = bench_rng_below(rng, 1000);
	unsigned m = 0;

	for (uint64_t sum = share_of[0]; x >= sum && m + 1 < NR_MATERIALS;)
		sum += share_of[++m];
	return m;
}

static void look_up(const struct grids *g, unsigned material, double energy,
		    double *ret)
{
	const uint32_t *index =
		&g->index[(size_t)find(g, energy) * g->nr_nuclides];

	for (unsigned i = 0; i < nuclides_of[material]; i++) {
		/* others than the neighbours, for the other materials */
		unsigned n = (material * 7 + i) % g->nr_nuclides;
		const struct point *low =
			&g->points[(size_t)n * g->nr_points + index[n]];
		double f = (low[1].energy - energy) /
			   (low[1].energy - low[0].energy);

		for (unsigned k = 0; k < NR_SECTIONS; k++)
			ret[k] += low[1].section[k] -
				  f * (low[1].section[k] - low[0].section[k]);
	}
}

static uint64_t run(void *data, const struct kernel_size *size)
{
	const struct grids *g = data;
	struct bench_rng rng;
	uint64_t sum = 0;

	bench_rng_init(&rng, 1);
	for (uint64_t i = 0; i < size->trials * UINT64_C(1000); i++) {
		double xs[NR_SECTIONS] = {0}, energy = draw(&rng);
		unsigned best = 0;

		look_up(g, choose_material(&rng), energy, xs);
		for (unsigned k = 1; k < NR_SECTIONS; k++)
			best = xs[k] > xs[best] ? k : best;
		sum += best + 1;
	}
	return sum;
}

const struct kernel kernel_lookup = {
	.name = "lookup",
	.help = "random lookups of cross sections (as XSBench)",
	.size = {.scale = 20, .degree = 48, .trials = 160},
	.build = build,
	.run = run,
	.destroy = destroy,
};
