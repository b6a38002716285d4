/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/fault.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/env.h"
#include "bench/lib/json.h"
#include "libfar/base/size.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 64
#define MAX_SPECS 8
#define SMOKE_SAMPLES 500

/* One row of the table; arg is a spec or unused. */
struct row {
	const char *name;
	int (*run)(const struct fault_opts *o, const struct row *r,
		   struct bench_lat *lat);
	const char *spec;
	bool is_inline;
};

static int zero_fill(const struct fault_opts *o, const struct row *r,
		     struct bench_lat *lat)
{
	(void)r;
	return fault_zero_fill(o, lat);
}

static int zram(const struct fault_opts *o, const struct row *r,
		struct bench_lat *lat)
{
	(void)r;
	return fault_zram(o, lat);
}

static int copy(const struct fault_opts *o, const struct row *r,
		struct bench_lat *lat)
{
	(void)r;
	return fault_copy(o, lat);
}

static int same_core(const struct fault_opts *o, const struct row *r,
		     struct bench_lat *lat)
{
	(void)r;
	return fault_monitor(o, true, lat);
}

static int other_core(const struct fault_opts *o, const struct row *r,
		      struct bench_lat *lat)
{
	(void)r;
	return fault_monitor(o, false, lat);
}

static int first_touch(const struct fault_opts *o, const struct row *r,
		       struct bench_lat *lat)
{
	return fault_far_first_touch(o, r->spec, r->is_inline, lat);
}

static int remote_read(const struct fault_opts *o, const struct row *r,
		       struct bench_lat *lat)
{
	return fault_far_remote_read(o, r->spec, r->is_inline, lat);
}

static const struct row floors[] = {
	{"kernel zero-fill", zero_fill, NULL, false},
	{"kernel swap-in from zram", zram, NULL, false},
	{"UFFDIO_COPY alone", copy, NULL, false},
	{"uffd, monitor on same core", same_core, NULL, false},
	{"uffd, monitor on other core", other_core, NULL, false},
};

static int print_row(const struct fault_opts *o, const char *name,
		     const struct row *r, const struct bench_lat *lat)
{
	struct bench_json j;

	(void)fprintf(stderr, "%-36s %10.2f %10.2f %10.2f %8llu\n", name,
		      (double)bench_lat_ns(lat, 0.5) / 1e3,
		      (double)bench_lat_ns(lat, 0.99) / 1e3,
		      (double)bench_lat_ns(lat, 0.999) / 1e3,
		      (unsigned long long)far_hist_total(&lat->hist));
	bench_json_begin(&j, "fault");
	bench_json_str(&j, "row", name);
	bench_json_f64(&j, "value", (double)bench_lat_ns(lat, 0.5) / 1e3);
	bench_json_str(&j, "unit", "us");
	bench_json_lat(&j, lat);
	bench_json_str(&j, "backend", r->spec ? r->spec : "");
	bench_json_str(&j, "conf", o->conf.text);
	bench_json_u64(&j, "asked_samples", o->nr_samples);
	bench_json_u64(&j, "seed", o->seed);
	bench_json_bool(&j, "smoke", o->is_smoke);
	bench_json_env(&j);
	return bench_json_end(&j, stdout);
}

/* 0, also when skipped; -errno, told. */
static int run_row(const struct fault_opts *o, const struct row *r)
{
	struct bench_lat *lat;
	char name[128];
	int res;

	(void)snprintf(name, sizeof(name), "%s%s%.80s",
		       r->spec ? "libfar " : "", r->name,
		       r->spec ? r->spec : "");
	if (o->only && !strstr(name, o->only))
		return 0;
	lat = malloc(sizeof(*lat));
	if (!lat)
		return -ENOMEM;
	bench_lat_init(lat);
	res = r->run(o, r, lat);
	if (res == FAULT_SKIPPED) {
		(void)fprintf(stderr, "%-36s skipped\n", name);
		res = 0;
	} else if (res) {
		(void)fprintf(stderr, "bench-fault: %s: %s\n", name,
			      strerror(-res));
	} else if (!far_hist_total(&lat->hist)) {
		(void)fprintf(stderr, "bench-fault: %s: no page was remote\n",
			      name);
		res = -ENODATA;
	} else {
		res = print_row(o, name, r, lat);
	}
	free(lat);
	return res;
}

static int run_all(const struct fault_opts *o, const char *const *specs,
		   unsigned nr_specs)
{
	int err = 0, res;
	unsigned i;

	(void)fprintf(stderr, "%-36s %10s %10s %10s %8s\n", "fault", "p50 us",
		      "p99 us", "p99.9 us", "n");
	for (i = 0; i < FAR_ARRAY_SIZE(floors); i++) {
		res = run_row(o, &floors[i]);
		err = err ? err : res;
	}
	for (i = 0; i < nr_specs; i++) {
		const struct row rows[] = {
			{"first touch, ", first_touch, specs[i], false},
			{"first touch inline, ", first_touch, specs[i], true},
			{"remote read, ", remote_read, specs[i], false},
			{"remote read inline, ", remote_read, specs[i], true},
		};

		for (unsigned k = 0; k < FAR_ARRAY_SIZE(rows); k++) {
			res = run_row(o, &rows[k]);
			err = err ? err : res;
		}
	}
	return err ? EXIT_FAILED : EXIT_SUCCESS;
}

static void usage(FILE *f)
{
	(void)fprintf(
		f,
		"usage: bench-fault [options]\n"
		"  --samples N    faults of each kind (default 20000)\n"
		"  --backend SPEC may be repeated (default mem: and lz4:)\n"
		"  --option K=V   option of far_open(), may be repeated\n"
		"  --only TEXT    rows whose name contains TEXT\n"
		"  --seed N       (default 1)\n"
		"  --smoke        few samples, any build: for crashes only\n"
		"Exit status: 0; 1 a row failed; 64 wrong use; 77 skipped.\n");
}

static const struct option options[] = {
	{"samples", required_argument, NULL, 'n'},
	{"backend", required_argument, NULL, 'b'},
	{"option", required_argument, NULL, 'c'},
	{"only", required_argument, NULL, 'o'},
	{"seed", required_argument, NULL, 'e'},
	{"smoke", no_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
	struct fault_opts o = {.nr_samples = 20000, .seed = 1};
	const char *specs[MAX_SPECS] = {"mem:", "lz4:"};
	unsigned nr_specs = 0;
	int opt, err = 0;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'n')
			err = far_size_parse(optarg, &o.nr_samples);
		else if (opt == 'b' && nr_specs < MAX_SPECS)
			specs[nr_specs++] = optarg;
		else if (opt == 'c')
			err = bench_conf_add(&o.conf, optarg);
		else if (opt == 'o')
			o.only = optarg;
		else if (opt == 'e')
			err = far_size_parse(optarg, &o.seed);
		else if (opt == 's')
			o.is_smoke = true;
		else
			err = -EINVAL;
		if (opt == 'h' || err) {
			usage(opt == 'h' ? stdout : stderr);
			return opt == 'h' ? EXIT_SUCCESS : EXIT_USAGE;
		}
	}
	if (optind != argc || !o.nr_samples || o.nr_samples > 1 << 22) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!o.is_smoke && !bench_is_measurable())
		return BENCH_EXIT_SKIP;
	if (o.is_smoke)
		o.nr_samples = far_min_u64(o.nr_samples, SMOKE_SAMPLES);
	return run_all(&o, specs, nr_specs ? nr_specs : 2);
}
