/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <far/far.h>

#include "bench/lib/content.h"
#include "bench/lib/env.h"
#include "bench/lib/peer.h"
#include "bench/lib/smaps.h"
#include "libfar/base/size.h"

#define EXIT_BAD 1   /* data was wrong, or the limit was passed */
#define EXIT_SETUP 2 /* could not be set up */
#define SWAP_EXTRA (UINT64_C(64) << 20)
#define ZIPF_THETA 0.99

/* One measurement, kept until the pages have been verified. */
struct result {
	struct pages_outcome out;
	uint64_t cpu_ns, faults, evicted_pages;
	uint64_t sampled_faults, sampled_fetch_ns;
	/* by the kernel: Rss of the region, for libfar + Swap */
	uint64_t resident_bytes;
};

struct bench {
	const struct pages_opts *o;
	struct far_pager *pager; /* NULL: plain memory */
	void *base;
	uint64_t nr_pages;
	uint64_t nr_modified;
	struct bench_zipf zipf;
	struct pages_team team;
	struct result *results;
	struct bench_content_check check;
	uint64_t limit_bytes, peak_bytes; /* libfar only */
};

static int map_far(struct bench *b)
{
	struct far_open_attr attr = {.size = sizeof(attr)};
	char conf[2048];
	int err;

	err = snprintf(conf, sizeof(conf), "local=%" PRIu64 ";far=%s%s%s",
		       b->o->local_bytes, b->o->backend,
		       b->o->conf.text[0] ? ";" : "", b->o->conf.text);
	if (err < 0 || (size_t)err >= sizeof(conf))
		return -ENAMETOOLONG;
	err = far_open(conf, &attr, &b->pager);
	if (err)
		return err;
	err = b->o->is_inline
		      ? far_map_inline(b->pager, b->o->region_bytes, 0,
				       &b->base)
		      : far_map(b->pager, b->o->region_bytes, 0, &b->base);
	return err ? err
		   : far_advise(b->pager, b->base, b->o->region_bytes,
				b->o->advice);
}

static int map_plain(struct bench *b)
{
	void *p = mmap(NULL, b->o->region_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	b->base = p;
	/* Refused by kernels without huge pages, which is as good. */
	(void)madvise(p, b->o->region_bytes, MADV_NOHUGEPAGE);
	return 0;
}

static void unmap(struct bench *b)
{
	far_close(b->pager);
	if (!b->pager && b->base)
		(void)munmap(b->base, b->o->region_bytes);
}

static void counters(const struct bench *b, struct result *r)
{
	struct far_stats st = {.size = sizeof(st)};
	struct rusage ru;

	r->cpu_ns = bench_cpu_ns();
	if (b->pager && !far_stats_read(b->pager, &st)) {
		r->faults = st.faults_missing;
		r->evicted_pages = st.evicted_pages;
		r->sampled_faults = st.sampled_faults;
		r->sampled_fetch_ns = st.sampled_fetch_ns;
	} else if (!getrusage(RUSAGE_SELF, &ru)) {
		r->faults = (uint64_t)ru.ru_majflt;
	}
}

static int measure(struct bench *b, const struct pages_pattern *p,
		   struct result *r)
{
	struct pages_work work = {
		.base = b->base,
		.nr_pages = b->nr_pages,
		.seed = b->o->seed,
		.nr_threads = (unsigned)b->o->nr_threads,
		.zipf = &b->zipf,
		.pattern = p,
	};
	struct bench_smaps smaps;
	struct result before = {0};
	uint64_t bad;
	int err;

	work.duration_ns = b->o->warmup_ns;
	err = pages_run(&b->team, &work, &r->out);
	if (err)
		return err;
	b->nr_modified += r->out.nr_modified;
	bad = r->out.nr_bad;
	work.duration_ns = b->o->nr_ops ? 0 : b->o->duration_ns;
	work.nr_ops = b->o->nr_ops;
	counters(b, &before);
	err = pages_run(&b->team, &work, &r->out);
	counters(b, r);
	b->nr_modified += r->out.nr_modified;
	r->out.nr_bad += bad;
	r->cpu_ns -= before.cpu_ns;
	r->faults -= before.faults;
	r->evicted_pages -= before.evicted_pages;
	r->sampled_faults -= before.sampled_faults;
	r->sampled_fetch_ns -= before.sampled_fetch_ns;
	if (!err && !bench_smaps_self(b->base, b->o->region_bytes, &smaps))
		r->resident_bytes = smaps.rss + (b->pager ? smaps.swap : 0);
	return err;
}

static void verify(struct bench *b)
{
	struct far_stats st = {.size = sizeof(st)};

	bench_content_verify(b->base, b->nr_pages, b->o->seed, &b->check);
	if (b->pager && !far_stats_read(b->pager, &st)) {
		b->limit_bytes = st.limit_bytes;
		b->peak_bytes = st.local_peak_bytes;
	}
}

static bool is_limit_kept(const struct bench *b, const struct result *r)
{
	return !b->pager || (b->peak_bytes <= b->limit_bytes &&
			     r->resident_bytes <= b->limit_bytes);
}

static void options_json(const struct pages_opts *o, struct bench_json *j)
{
	bench_json_str(j, "backend", o->backend);
	bench_json_str(j, "conf", o->conf.text);
	bench_json_u64(j, "region_bytes", o->region_bytes);
	bench_json_u64(j, "local_bytes", o->local_bytes);
	bench_json_f64(j, "local_share",
		       (double)o->local_bytes / (double)o->region_bytes);
	bench_json_u64(j, "threads", o->nr_threads);
	bench_json_f64(j, "asked_s", (double)o->duration_ns / 1e9);
	bench_json_f64(j, "warmup_s", (double)o->warmup_ns / 1e9);
	bench_json_u64(j, "asked_ops", o->nr_ops);
	bench_json_u64(j, "seed", o->seed);
	bench_json_str(j, "label", o->label);
	bench_json_bool(j, "inline", o->is_inline);
	bench_json_bool(j, "smoke", o->is_smoke);
}

static int print_result(const struct bench *b, unsigned i)
{
	const struct result *r = &b->results[i];
	double s = (double)r->out.elapsed_ns / 1e9;
	double n = (double)r->out.nr_ops;
	struct bench_json j;

	bench_json_begin(&j, "pages");
	bench_json_str(&j, "pattern", b->o->patterns[i]->name);
	bench_json_f64(&j, "value", n / s);
	bench_json_str(&j, "unit", "ops/s");
	bench_json_lat(&j, &r->out.lat);
	if (b->o->patterns[i]->jumps) {
		struct pages_dip dip;

		pages_dip(&r->out, &dip);
		bench_json_f64(&j, "recovery_ms",
			       (double)dip.recovery_ns / 1e6);
		bench_json_f64(&j, "below_quarter_ms",
			       (double)dip.below_ns / 1e6);
	}
	bench_json_f64(&j, "seconds", s);
	bench_json_f64(&j, "cpu_s", (double)r->cpu_ns / 1e9);
	bench_json_f64(&j, "cpu_us_per_op", (double)r->cpu_ns / 1e3 / n);
	bench_json_f64(&j, "faults_per_op", (double)r->faults / n);
	/* what the backend alone takes for a page, for the ideal line */
	bench_json_f64(&j, "fetch_ns",
		       r->sampled_faults ? (double)r->sampled_fetch_ns /
						   (double)r->sampled_faults
					 : 0);
	bench_json_u64(&j, "evicted_pages", r->evicted_pages);
	bench_json_u64(&j, "resident_bytes", r->resident_bytes);
	bench_json_u64(&j, "limit_bytes", b->limit_bytes);
	bench_json_u64(&j, "local_peak_bytes", b->peak_bytes);
	bench_json_bool(&j, "limit_kept", is_limit_kept(b, r));
	bench_json_u64(&j, "bad_accesses", r->out.nr_bad);
	bench_json_u64(&j, "bad_pages", b->check.bad_pages);
	bench_json_u64(&j, "lost_writes",
		       b->nr_modified - b->check.modifications);
	options_json(b->o, &j);
	bench_json_env(&j);
	return bench_json_end(&j, stdout);
}

/* What went wrong, in words; true if all is well. */
static bool judge(const struct bench *b)
{
	bool is_good = true;
	unsigned i;

	for (i = 0; i < b->o->nr_patterns; i++) {
		const struct result *r = &b->results[i];

		if (r->out.nr_bad)
			(void)fprintf(stderr,
				      "bench-pages: %s: %" PRIu64
				      " accesses read wrong data\n",
				      b->o->patterns[i]->name, r->out.nr_bad);
		if (!is_limit_kept(b, r))
			(void)fprintf(
				stderr,
				"bench-pages: limit passed: limit %" PRIu64
				", peak %" PRIu64 ", by the kernel %" PRIu64
				" bytes\n",
				b->limit_bytes, b->peak_bytes,
				r->resident_bytes);
		is_good &= !r->out.nr_bad && is_limit_kept(b, r);
	}
	if (b->check.bad_pages || b->check.modifications != b->nr_modified) {
		(void)fprintf(stderr,
			      "bench-pages: %" PRIu64 " bad pages; %" PRIu64
			      " writes made, %" PRIu64 " found\n",
			      b->check.bad_pages, b->nr_modified,
			      b->check.modifications);
		is_good = false;
	}
	return is_good;
}

static int run_patterns(struct bench *b)
{
	uint64_t pg;
	unsigned i;
	int err = 0;

	for (pg = 0; pg < b->nr_pages; pg++)
		bench_page_fill(bench_page(b->base, pg), b->o->seed, pg);
	for (i = 0; i < b->o->nr_patterns && !err; i++)
		err = measure(b, b->o->patterns[i], &b->results[i]);
	if (err)
		return err;
	verify(b);
	for (i = 0; i < b->o->nr_patterns && !err; i++)
		err = print_result(b, i);
	return err;
}

/* Runs in this process, or in the child of the peer. */
static int run_here(void *arg)
{
	const struct pages_opts *o = arg;
	struct bench *b = calloc(1, sizeof(*b));
	int status = EXIT_SETUP;
	int err = -ENOMEM;

	if (!b)
		return EXIT_SETUP;
	b->o = o;
	b->nr_pages = o->region_bytes / FAR_PAGE_SIZE;
	b->results = calloc(o->nr_patterns, sizeof(*b->results));
	if (!b->results)
		goto out;
	bench_zipf_init(&b->zipf, b->nr_pages * (BENCH_CONTENT_WORDS / 8),
			ZIPF_THETA);
	err = pages_team_init(&b->team, (unsigned)o->nr_threads, o->seed);
	if (!err)
		err = pages_is_far(o) ? map_far(b) : map_plain(b);
	if (!err)
		err = run_patterns(b);
	if (!err)
		status = judge(b) ? EXIT_SUCCESS : EXIT_BAD;
out:
	if (err)
		(void)fprintf(stderr, "bench-pages: %s: %s\n", o->backend,
			      strerror(-err));
	unmap(b);
	pages_team_fini(&b->team);
	free(b->results);
	free(b);
	return status;
}

static int run_zram(struct pages_opts *o)
{
	struct bench_peer_result res;
	int err;

	err = bench_peer_run(o->local_bytes +
				     o->region_bytes / BENCH_PEER_TABLES +
				     BENCH_PEER_OWN,
			     o->region_bytes + SWAP_EXTRA, run_here, o, &res);
	if (err) {
		(void)fprintf(stderr, "bench-pages: skipped: no zram peer\n");
		return BENCH_EXIT_SKIP;
	}
	if (res.status == 128 + SIGKILL)
		(void)fprintf(
			stderr,
			"bench-pages: zram: killed: out of memory at this "
			"limit; fix: a larger --local\n");
	return res.status;
}

int main(int argc, char **argv)
{
	struct pages_opts o;
	int status = pages_parse_options(&o, argc, argv);

	if (status)
		return status > 0 ? EXIT_SUCCESS : PAGES_EXIT_USAGE;
	if (!o.is_smoke && !bench_is_measurable())
		return BENCH_EXIT_SKIP;
	if (!strcmp(o.backend, "zram"))
		return run_zram(&o);
	if (pages_is_far(&o) && bench_swap_is_on() && !o.is_swap_allowed) {
		(void)fprintf(stderr,
			      "bench-pages: skipped: swap is on, the kernel "
			      "would take pages too; fix: swapoff -a, or "
			      "--allow-swap\n");
		return BENCH_EXIT_SKIP;
	}
	return run_here(&o);
}
