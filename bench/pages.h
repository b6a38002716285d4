/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-pages: access patterns over a region larger than the memory it may
 * use; every access and, at the end, every page is checked.
 */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <far/far.h>

#include "bench/lib/conf.h"
#include "bench/lib/json.h"
#include "bench/lib/zipf.h"

#define PAGES_MAX_PATTERNS 8
#define PAGES_EXIT_USAGE 64
#define PAGES_SLICE_NS UINT64_C(10000000)
#define PAGES_MAX_SLICES 4096

struct pages_worker;

/** struct pages_target - what one operation will touch */
struct pages_target {
	uint64_t pg;
	unsigned word;	   /* first content word */
	unsigned nr_pages; /* of a record */
	bool is_write;
};

/** struct pages_pattern - one way to access a region */
struct pages_pattern {
	const char *name;
	const char *help;
	/* choose; not part of the measured time */
	void (*next)(struct pages_worker *w, struct pages_target *ret_target);
	/* access; true if all that was read was right */
	bool (*access)(struct pages_worker *w, const struct pages_target *t);
	bool jumps; /* what it touches changes half way */
};

/** struct pages_work - what all workers share; read-only while they run */
struct pages_work {
	void *base;
	uint64_t nr_pages;
	uint64_t seed;
	unsigned nr_threads;
	const struct bench_zipf *zipf;
	const struct pages_pattern *pattern;
	uint64_t duration_ns; /* 0: nr_ops decides */
	uint64_t nr_ops;      /* of all threads together */
};

/** struct pages_outcome - sums over the workers of one phase */
struct pages_outcome {
	uint64_t nr_ops;
	uint64_t nr_modified; /* words modified: to be found again */
	uint64_t nr_bad;      /* accesses that read something wrong */
	uint64_t elapsed_ns;
	struct bench_lat lat;
	uint32_t slices[PAGES_MAX_SLICES]; /* operations in each, by time */
	unsigned nr_slices;		   /* whole ones */
};

/** struct pages_dip - what a change half way cost */
struct pages_dip {
	uint64_t recovery_ns; /* until 80 % of the median rate before it */
	uint64_t below_ns;    /* the longest time under 25 % of it */
};

/** pages_dip() - from the slices of @o */
void pages_dip(const struct pages_outcome *o, struct pages_dip *ret);

/** struct pages_team - the workers; their positions live across phases */
struct pages_team {
	struct pages_worker *workers;
	unsigned nr;
};

/** struct pages_opts - the command line */
struct pages_opts {
	uint64_t region_bytes;
	uint64_t local_bytes;
	const char *local; /* as given; the region's size may come later */
	const char *backend;
	struct bench_conf conf; /* further options of far_open() */
	const char *label;
	const struct pages_pattern *patterns[PAGES_MAX_PATTERNS];
	unsigned nr_patterns;
	uint64_t nr_threads;
	uint64_t duration_ns, warmup_ns;
	uint64_t nr_ops;
	uint64_t seed;
	bool is_inline; /* far_map_inline() */
	enum far_advice advice;
	bool is_smoke;
	bool is_swap_allowed;
};

/**
 * pages_parse_options() - the command line, checked
 * Return: 0; 1 help was asked for and given; -EINVAL, told on standard error.
 */
int pages_parse_options(struct pages_opts *o, int argc, char **argv);

/** pages_is_far() - the backend is one of libfar */
bool pages_is_far(const struct pages_opts *o);

/** pages_patterns() - all patterns; ends with a NULL name */
const struct pages_pattern *pages_patterns(void);

/** pages_team_init() - @nr workers, each with its own seed; 0 or -ENOMEM */
int pages_team_init(struct pages_team *team, unsigned nr, uint64_t seed);
void pages_team_fini(struct pages_team *team);

/** pages_run() - one phase of @work by @team; 0 or -errno of a thread */
int pages_run(struct pages_team *team, const struct pages_work *work,
	      struct pages_outcome *ret_outcome);

#endif
