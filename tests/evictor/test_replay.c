/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plays synthetic traces to the eviction policies and prints what part of the
 * accesses miss, beside exact LRU and Belady's MIN.
 *
 * usage: test_evictor_replay VECTORS [PAGES...]	(vectors/mrc_lru.txt)
 * PAGES is what far trace export printed, a real program's: its table is
 * printed, too.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/evictor/sim.h"
#include "tests/evictor/trace.h"

#define NR_ACCESSES 60000
#define LINE_MAX_BYTES 1024

static const char *vectors_path;
static char **files; /* NULL-ended */

static const char *const traces[] = {
	"zipf_0.99_3000", "zipf_0.70_3000",	  "uniform_2000",
	"loop_1000",	  "stream_no_reuse",	  "mix_zipf_loop",
	"mix_zipf_scan",  "phase_zipf_then_loop",
};
static const uint32_t sizes[] = {100, 400, 1000, 2000};
static const char *const policies[] = {"clock", "fifo", "s3fifo", "refault"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Some pages a batch, as a pager takes them out: more for larger caches. */
static unsigned batch_for(uint32_t size)
{
	return size / 64 ? size / 64 : 1;
}

static void trace_get(struct trace *t, const char *name)
{
	assert_int_equal(trace_make(t, name, NR_ACCESSES), 0);
}

/* --- the references are right --------------------------------------------- */

struct vector {
	struct trace t;
	uint32_t *hits;
};

static void check_first(const struct trace *t, char *words)
{
	char *save = NULL, *word = strtok_r(words, " \n", &save);
	uint32_t nr = 0;

	for (; word; word = strtok_r(NULL, " \n", &save))
		assert_int_equal(t->raw[nr++], strtoul(word, NULL, 10));
	assert_int_equal(nr, 16);
}

static unsigned check_lru(const struct vector *v, char *words)
{
	char *save = NULL, *word = strtok_r(words, " \n", &save);
	unsigned nr = 0;

	for (; word; word = strtok_r(NULL, " \n", &save), nr++) {
		char *colon;
		unsigned long size = strtoul(word, &colon, 10);

		assert_int_equal(*colon, ':');
		assert_in_range(size, 1, NR_ACCESSES);
		assert_int_equal(v->t.nr - v->hits[size],
				 strtoul(colon + 1, NULL, 10));
	}
	return nr;
}

static void vector_begin(struct vector *v, const char *words)
{
	unsigned nr, distinct;
	char name[32];

	assert_int_equal(sscanf(words, "%31s %u %u", name, &nr, &distinct), 3);
	assert_int_equal(nr, NR_ACCESSES);
	trace_get(&v->t, name);
	assert_int_equal(v->t.nr_pages, distinct);
	v->hits = calloc(v->t.nr + 1, sizeof(*v->hits));
	assert_non_null(v->hits);
	assert_int_equal(trace_lru_hits(&v->t, v->hits), 0);
}

static void vector_end(struct vector *v)
{
	free(v->hits);
	v->hits = NULL;
	trace_free(&v->t);
}

static void traces_and_lru_match_the_vectors(void **state)
{
	FILE *f = fopen(vectors_path, "re");
	struct vector v = {.hits = NULL};
	char line[LINE_MAX_BYTES];
	unsigned nr_traces = 0, nr_sizes = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "trace ", 6)) {
			vector_end(&v);
			vector_begin(&v, line + 6);
			nr_traces++;
		} else if (!strncmp(line, "first ", 6)) {
			check_first(&v.t, line + 6);
		} else if (!strncmp(line, "lru ", 4)) {
			nr_sizes += check_lru(&v, line + 4);
		} else {
			assert_int_equal(line[0], '#');
		}
	}
	vector_end(&v);
	(void)fclose(f);
	assert_int_equal(nr_traces, COUNT(traces));
	assert_int_equal(nr_sizes, COUNT(traces) * 16);
}

static void unknown_traces_are_refused(void **state)
{
	struct trace t;

	(void)state;
	assert_int_equal(trace_make(&t, "zipf", 10), -ENOENT);
	assert_null(t.pg);
}

/* Round a loop of N pages MIN keeps C - 1 of the N - 1 others: that part of
 * the accesses hits. */
static void min_of_a_loop_is_known(void **state)
{
	struct trace t;

	(void)state;
	trace_get(&t, "loop_1000");
	for (size_t i = 0; i < COUNT(sizes); i++) {
		uint32_t misses = 0, c = sizes[i] < 1000 ? sizes[i] : 1000;
		double want = 1000 + (t.nr - 1000) * (1 - (c - 1) / 999.0);

		assert_int_equal(trace_min_misses(&t, sizes[i], &misses), 0);
		assert_in_range(misses, (unsigned)(want * 0.99),
				(unsigned)(want * 1.01) + 1);
	}
	trace_free(&t);
}

/* The least misses of a cache with @in, from @at on: every choice is tried. */
static unsigned least(const uint32_t *pg, unsigned at, unsigned nr, unsigned in,
		      unsigned room)
{
	unsigned best = UINT32_MAX, bit;

	while (at < nr && in >> pg[at] & 1)
		at++;
	if (at == nr)
		return 0;
	bit = 1u << pg[at];
	if ((unsigned)__builtin_popcount(in) < room)
		return 1 + least(pg, at + 1, nr, in | bit, room);
	for (unsigned out = 0; out < 5; out++) {
		unsigned n;

		if (!(in >> out & 1))
			continue;
		n = 1 + least(pg, at + 1, nr, (in & ~(1u << out)) | bit, room);
		best = n < best ? n : best;
	}
	return best;
}

static void min_is_the_least_of_all_choices(void **state)
{
	uint32_t pg[14], misses;
	struct trace t = {.nr = 14, .nr_pages = 5, .pg = pg};

	(void)state;
	srand(5);
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned k = 0; k < t.nr; k++)
			pg[k] = (uint32_t)rand() % t.nr_pages;
		for (uint32_t room = 1; room <= 4; room++) {
			assert_int_equal(trace_min_misses(&t, room, &misses),
					 0);
			assert_int_equal(misses, least(pg, 0, t.nr, 0, room));
		}
	}
}

/* --- the policies --------------------------------------------------------- */

static uint32_t misses_of(const struct trace *t, const char *policy,
			  uint32_t size, unsigned batch, enum sim_sight sight)
{
	struct sim_result r;

	assert_int_equal(sim_run(t, far_evict_policy_find(policy), size, batch,
				 sight, &r),
			 0);
	assert_in_range(r.rescues, 0, r.misses);
	return r.misses;
}

static void fifo_that_sees_nothing_is_plain_fifo(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(traces); i++) {
		struct trace t;

		trace_get(&t, traces[i]);
		for (size_t k = 0; k < COUNT(sizes); k++) {
			uint32_t plain = 0;

			assert_int_equal(sim_plain_fifo(&t, sizes[k], &plain),
					 0);
			assert_int_equal(misses_of(&t, "fifo", sizes[k], 1,
						   SIM_SEES_NOTHING),
					 plain);
		}
		trace_free(&t);
	}
}

struct row {
	uint32_t min, lru, plain;
	uint32_t all[COUNT(policies)], rescues[COUNT(policies)];
};

static void row_fill(struct row *r, const struct trace *t, const uint32_t *hits,
		     uint32_t size)
{
	assert_int_equal(trace_min_misses(t, size, &r->min), 0);
	assert_int_equal(sim_plain_fifo(t, size, &r->plain), 0);
	r->lru = t->nr - hits[size];
	for (size_t i = 0; i < COUNT(policies); i++) {
		r->all[i] = misses_of(t, policies[i], size, batch_for(size),
				      SIM_SEES_ALL);
		r->rescues[i] = misses_of(t, policies[i], size, batch_for(size),
					  SIM_SEES_RESCUES);
	}
}

static void row_print(const struct row *r, const char *name, uint32_t size,
		      double nr)
{
	print_message("%-21s %5u  %.3f %.3f %.3f ", name, size, r->min / nr,
		      r->lru / nr, r->plain / nr);
	for (size_t i = 0; i < COUNT(policies); i++)
		print_message(" %.3f", r->all[i] / nr);
	print_message(" ");
	for (size_t i = 0; i < COUNT(policies); i++)
		print_message(" %.3f", r->rescues[i] / nr);
	print_message("\n");
}

static void row_check(const struct row *r, const struct trace *t, uint32_t size)
{
	assert_in_range(r->lru, r->min, t->nr);
	assert_in_range(r->plain, r->min, t->nr);
	assert_true(r->min >= t->nr_pages);
	for (size_t i = 0; i < COUNT(policies); i++) {
		assert_in_range(r->all[i], r->min, t->nr);
		assert_in_range(r->rescues[i], r->min, t->nr);
		if (size < t->nr_pages)
			continue;
		assert_int_equal(r->all[i], t->nr_pages);
		assert_int_equal(r->rescues[i], t->nr_pages);
	}
}

static void for_each_row(const struct trace *t, const char *name,
			 const uint32_t *at, size_t nr,
			 void (*fn)(const struct row *r, const char *name,
				    uint32_t size))
{
	uint32_t *hits = calloc(t->nr + 1, sizeof(*hits));

	assert_non_null(hits);
	assert_int_equal(trace_lru_hits(t, hits), 0);
	for (size_t k = 0; k < nr; k++) {
		struct row r;

		row_fill(&r, t, hits, at[k]);
		row_print(&r, name, at[k], t->nr);
		row_check(&r, t, at[k]);
		fn(&r, name, at[k]);
	}
	free(hits);
}

static void check_claims(const struct row *r, const char *name, uint32_t size)
{
	uint32_t fifo = r->all[1], s3fifo = r->all[2];

	if (!strncmp(name, "zipf", 4))
		assert_true(s3fifo <= fifo * 1.02);
	/* Returns alone tell nearly as much as LRU knows. */
	if (!strncmp(name, "zipf", 4) && size < 2000)
		assert_true(r->rescues[3] <= r->lru * 1.08);
	if (!strncmp(name, "phase", 5) && size == 1000)
		assert_true(r->rescues[3] <= r->lru * 1.02);
	if (strncmp(name, "mix_zipf_scan", 13))
		return;
	assert_true(s3fifo < r->plain);
	assert_true(s3fifo <= r->lru);
	assert_true(r->rescues[2] < r->plain);
}

static void print_head(void)
{
	print_message("part of the accesses that miss; uses seen: all of them,"
		      " or only rescues from write-back\n"
		      "%-21s %5s  %5s %5s %5s  %5s %5s %5s %5s  %5s %5s %5s "
		      "%5s\n",
		      "trace", "pages", "MIN", "LRU", "FIFO", "clock", "fifo",
		      "s3f", "refa", "clock", "fifo", "s3f", "refa");
}

static void policies_miss_as_they_should(void **state)
{
	struct trace t;

	(void)state;
	print_head();
	for (size_t i = 0; i < COUNT(traces); i++) {
		trace_get(&t, traces[i]);
		for_each_row(&t, traces[i], sizes, COUNT(sizes), check_claims);
		trace_free(&t);
	}
}

static void claim_nothing(const struct row *r, const char *name, uint32_t size)
{
	(void)r;
	(void)name;
	(void)size;
}

static void policies_miss_as_they_do(void **state)
{
	struct trace t;

	(void)state;
	print_head();
	for (char **f = files; *f; f++) {
		const char *slash = strrchr(*f, '/');
		uint32_t at[4];
		int r = trace_read(&t, *f);

		if (r < 0)
			print_error("%s: %s; fix: what far trace export "
				    "printed\n",
				    *f, strerror(-r));
		assert_int_equal(r, 0);
		for (uint32_t i = 0; i < COUNT(at); i++) /* an eighth .. all */
			at[i] = (t.nr_pages >> (3 - i)) + 1;
		for_each_row(&t, slash ? slash + 1 : *f, at, COUNT(at),
			     claim_nothing);
		trace_free(&t);
	}
}

static void files_that_are_no_pages_are_refused(void **state)
{
	struct trace t;

	(void)state;
	assert_int_equal(trace_read(&t, "/nonexistent"), -ENOENT);
	assert_int_equal(trace_read(&t, "/dev/null"), -EINVAL);
	assert_int_equal(trace_read(&t, vectors_path), -EINVAL);
	assert_null(t.raw);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest of_files[] = {
		cmocka_unit_test(policies_miss_as_they_do),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(traces_and_lru_match_the_vectors),
		cmocka_unit_test(unknown_traces_are_refused),
		cmocka_unit_test(files_that_are_no_pages_are_refused),
		cmocka_unit_test(min_of_a_loop_is_known),
		cmocka_unit_test(min_is_the_least_of_all_choices),
		cmocka_unit_test(fifo_that_sees_nothing_is_plain_fifo),
		cmocka_unit_test(policies_miss_as_they_should),
	};

	if (argc < 2) {
		(void)fprintf(stderr,
			      "no vectors: none were named; fix: %s "
			      "vectors/mrc_lru.txt [PAGES...]\n",
			      argv[0]);
		return 2;
	}
	vectors_path = argv[1];
	files = argv + 2;
	if (*files)
		return cmocka_run_group_tests_name("evictor.replay of files",
						   of_files, NULL, NULL);
	return cmocka_run_group_tests_name("evictor.replay", tests, NULL, NULL);
}
