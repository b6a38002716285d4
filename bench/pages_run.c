/* SPDX-License-Identifier: BSD-3-Clause */
/* bench-pages: the patterns, and the threads that run them. */
#include "bench/pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/content.h"

#define ITEM_WORDS 8 /* an item of the zipf pattern is 64 bytes */
#define ITEMS_PER_PAGE (BENCH_CONTENT_WORDS / ITEM_WORDS)
#define ZIPF_WRITE_PERCENT 5
#define GUPS_HOT_PERCENT 90
#define GUPS_HOT_PART 8 /* of the region */

struct pages_worker {
	pthread_t thread;
	unsigned id;
	const struct pages_work *work;
	struct bench_rng rng;
	uint64_t cursor; /* of seq: page within the own part */
	uint64_t start_ns, end_ns;
	bool is_second_half;
	uint32_t slices[PAGES_MAX_SLICES];
	uint64_t nr_ops, nr_modified, nr_bad;
	struct bench_lat lat;
} FAR_CACHE_ALIGNED;

static void next_seq(struct pages_worker *w, struct pages_target *ret_target)
{
	const struct pages_work *k = w->work;
	uint64_t part = k->nr_pages / k->nr_threads;

	ret_target->pg = part * w->id + w->cursor;
	w->cursor = (w->cursor + 1) % part;
}

static bool access_page(struct pages_worker *w, const struct pages_target *t)
{
	return bench_page_sum_ok(bench_page(w->work->base, t->pg),
				 w->work->seed, t->pg);
}

static void next_random(struct pages_worker *w, struct pages_target *ret_target)
{
	ret_target->pg = bench_rng_below(&w->rng, w->work->nr_pages);
	ret_target->word =
		BENCH_FIRST_WORD +
		(unsigned)bench_rng_below(&w->rng, BENCH_CONTENT_WORDS);
}

static bool access_read(struct pages_worker *w, const struct pages_target *t)
{
	return bench_word_ok(bench_page(w->work->base, t->pg), w->work->seed,
			     t->pg, t->word);
}

static bool access_rmw(struct pages_worker *w, const struct pages_target *t)
{
	w->nr_modified++;
	return bench_word_modify(bench_page(w->work->base, t->pg),
				 w->work->seed, t->pg, t->word);
}

static void next_zipf(struct pages_worker *w, struct pages_target *ret_target)
{
	uint64_t item = bench_zipf_item(w->work->zipf, &w->rng);

	ret_target->pg = item / ITEMS_PER_PAGE;
	ret_target->word = BENCH_FIRST_WORD +
			   (unsigned)(item % ITEMS_PER_PAGE) * ITEM_WORDS;
	ret_target->is_write =
		bench_rng_below(&w->rng, 100) < ZIPF_WRITE_PERCENT;
}

/* Its hot set jumps from the first part of the region to the last. */
static void next_gups(struct pages_worker *w, struct pages_target *ret_target)
{
	uint64_t nr = w->work->nr_pages, hot = nr / GUPS_HOT_PART;

	next_random(w, ret_target);
	if (bench_rng_below(&w->rng, 100) >= GUPS_HOT_PERCENT)
		return;
	ret_target->pg = bench_rng_below(&w->rng, hot) +
			 (w->is_second_half ? nr - hot : 0);
}

/* Records of some pages, one at random: a word of each page. */
static void next_record(struct pages_worker *w, struct pages_target *t,
			unsigned pages)
{
	next_random(w, t);
	t->pg -= t->pg % pages;
	t->nr_pages = pages;
}

static void next_record_16k(struct pages_worker *w,
			    struct pages_target *ret_target)
{
	next_record(w, ret_target, 4);
}

static void next_record_64k(struct pages_worker *w,
			    struct pages_target *ret_target)
{
	next_record(w, ret_target, 16);
}

static bool access_record(struct pages_worker *w, const struct pages_target *t)
{
	struct pages_target page = *t;
	uint64_t end = far_min_u64(t->pg + t->nr_pages, w->work->nr_pages);
	bool is_good = true;

	for (; page.pg < end; page.pg++)
		is_good &= access_read(w, &page);
	return is_good;
}

static bool access_item(struct pages_worker *w, const struct pages_target *t)
{
	_Atomic uint64_t *page = bench_page(w->work->base, t->pg);
	bool is_good = true;
	unsigned i;

	if (t->is_write)
		return access_rmw(w, t);
	for (i = 0; i < ITEM_WORDS; i++)
		is_good &=
			bench_word_ok(page, w->work->seed, t->pg, t->word + i);
	return is_good;
}

static const struct pages_pattern patterns[] = {
	{"seq", "read every word of the next page", next_seq, access_page,
	 false},
	{"rand_read", "read 8 bytes in a random page", next_random, access_read,
	 false},
	{"rand_rmw", "modify 8 bytes in a random page", next_random, access_rmw,
	 false},
	{"zipf", "64-byte items, zipfian 0.99, 95 % reads", next_zipf,
	 access_item, false},
	{"gups", "modify 8 bytes, 90 % in an eighth, which jumps half way",
	 next_gups, access_rmw, true},
	{"records_16k", "read 4 pages that lie together, at random",
	 next_record_16k, access_record, false},
	{"records_64k", "read 16 pages that lie together, at random",
	 next_record_64k, access_record, false},
	{NULL, NULL, NULL, NULL, false},
};

const struct pages_pattern *pages_patterns(void)
{
	return patterns;
}

static void count_slice(struct pages_worker *w, uint64_t now)
{
	uint64_t i = (now - w->start_ns) / PAGES_SLICE_NS;

	if (i < PAGES_MAX_SLICES)
		w->slices[i]++;
}

static void *worker_main(void *arg)
{
	struct pages_worker *w = arg;
	const struct pages_work *k = w->work;
	uint64_t quota =
		k->duration_ns ? UINT64_MAX : k->nr_ops / k->nr_threads;
	uint64_t deadline, now;

	w->start_ns = now = far_now_ns();
	deadline = k->duration_ns ? now + k->duration_ns : UINT64_MAX;
	while (w->nr_ops < quota && now < deadline) {
		struct pages_target t = {0};
		uint64_t before;

		w->is_second_half =
			k->duration_ns ? now - w->start_ns >= k->duration_ns / 2
				       : w->nr_ops >= quota / 2;
		k->pattern->next(w, &t);
		before = far_now_ns();
		if (!k->pattern->access(w, &t))
			w->nr_bad++;
		now = far_now_ns();
		bench_lat_add(&w->lat, now - before);
		count_slice(w, now);
		w->nr_ops++;
	}
	w->end_ns = now;
	return NULL;
}

int pages_team_init(struct pages_team *team, unsigned nr, uint64_t seed)
{
	unsigned i;

	team->nr = 0;
	team->workers =
		aligned_alloc(FAR_CACHE_LINE, nr * sizeof(*team->workers));
	if (!team->workers)
		return -ENOMEM;
	memset(team->workers, 0, nr * sizeof(*team->workers));
	team->nr = nr;
	for (i = 0; i < nr; i++) {
		team->workers[i].id = i;
		bench_rng_init(&team->workers[i].rng, seed + i);
	}
	return 0;
}

void pages_team_fini(struct pages_team *team)
{
	free(team->workers);
	memset(team, 0, sizeof(*team));
}

static void collect(const struct pages_team *team, unsigned nr,
		    struct pages_outcome *ret_outcome)
{
	uint64_t start = UINT64_MAX, end = 0;
	unsigned i;

	memset(ret_outcome, 0, sizeof(*ret_outcome));
	bench_lat_init(&ret_outcome->lat);
	for (i = 0; i < nr; i++) {
		const struct pages_worker *w = &team->workers[i];

		ret_outcome->nr_ops += w->nr_ops;
		ret_outcome->nr_modified += w->nr_modified;
		ret_outcome->nr_bad += w->nr_bad;
		for (unsigned k = 0; k < PAGES_MAX_SLICES; k++)
			ret_outcome->slices[k] += w->slices[k];
		bench_lat_merge(&ret_outcome->lat, &w->lat);
		start = far_min_u64(start, w->start_ns);
		end = far_max_u64(end, w->end_ns);
	}
	ret_outcome->elapsed_ns = nr ? end - start : 0;
	ret_outcome->nr_slices = (unsigned)far_min_u64(
		ret_outcome->elapsed_ns / PAGES_SLICE_NS, PAGES_MAX_SLICES);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void pages_dip(const struct pages_outcome *o, struct pages_dip *ret)
{
	unsigned half = o->nr_slices / 2, i = half, run = 0, longest = 0;
	uint32_t sorted[PAGES_MAX_SLICES];
	uint64_t median;

	memset(ret, 0, sizeof(*ret));
	if (!half)
		return;
	memcpy(sorted, o->slices, half * sizeof(sorted[0]));
	qsort(sorted, half, sizeof(sorted[0]), by_size);
	median = sorted[half / 2];
	while (i < o->nr_slices && o->slices[i] * 10 < median * 8)
		i++;
	for (unsigned k = half; k < o->nr_slices; k++) {
		run = o->slices[k] * 4 < median ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	ret->recovery_ns = (i - half) * PAGES_SLICE_NS;
	ret->below_ns = longest * PAGES_SLICE_NS;
}

int pages_run(struct pages_team *team, const struct pages_work *work,
	      struct pages_outcome *ret_outcome)
{
	unsigned i, nr;
	int err = 0;

	for (nr = 0; nr < team->nr; nr++) {
		struct pages_worker *w = &team->workers[nr];

		w->work = work;
		w->nr_ops = w->nr_modified = w->nr_bad = 0;
		memset(w->slices, 0, sizeof(w->slices));
		bench_lat_init(&w->lat);
		err = -pthread_create(&w->thread, NULL, worker_main, w);
		if (err)
			break;
	}
	for (i = 0; i < nr; i++)
		(void)pthread_join(team->workers[i].thread, NULL);
	collect(team, nr, ret_outcome);
	return err;
}
