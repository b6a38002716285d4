/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/kernels.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/lib/env.h"
#include "bench/lib/json.h"
#include "libfar/base/clock.h"
#include "libfar/base/size.h"

#define EXIT_SETUP 2
#define EXIT_USAGE 64

static const struct kernel *const kernels[] = {&kernel_pagerank, &kernel_bfs,
					       &kernel_lookup};

struct opts {
	const struct kernel *kernel;
	struct kernel_size size;
	uint64_t seed;
	const char *label;
};

static void usage(FILE *f)
{
	(void)fprintf(f, "usage: bench-kernels [options] KERNEL\n"
			 "  --scale N    log2 of vertices, or of grid points\n"
			 "  --degree N   edges a vertex, or nuclides\n"
			 "  --trials N   iterations, searches, or thousands of "
			 "lookups\n"
			 "  --seed N     (default 1)\n"
			 "  --label TEXT goes into the result\n"
			 "Kernels, with their sizes if nothing is said:\n");
	for (size_t i = 0; i < FAR_ARRAY_SIZE(kernels); i++)
		(void)fprintf(f, "  %-10s %s: %u, %u, %u\n", kernels[i]->name,
			      kernels[i]->help, kernels[i]->size.scale,
			      kernels[i]->size.degree, kernels[i]->size.trials);
	(void)fprintf(f, "Exit status: 0; 2 out of memory; 64 wrong use.\n");
}

enum {
	OPT_SCALE = 1000,
	OPT_DEGREE,
	OPT_TRIALS,
	OPT_SEED,
	OPT_LABEL,
	OPT_HELP,
};

static const struct option options[] = {
	{"scale", required_argument, NULL, OPT_SCALE},
	{"degree", required_argument, NULL, OPT_DEGREE},
	{"trials", required_argument, NULL, OPT_TRIALS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"label", required_argument, NULL, OPT_LABEL},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int set_number(const char *text, uint64_t min, uint64_t max,
		      unsigned *ret)
{
	uint64_t n;
	int r = far_size_parse(text, &n);

	if (r < 0 || n < min || n > max)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

static int set_option(struct opts *o, struct kernel_size *size, int opt,
		      const char *arg)
{
	switch (opt) {
	case OPT_SCALE:
		return set_number(arg, 10, 30, &size->scale);
	case OPT_DEGREE:
		return set_number(arg, 1, 1024, &size->degree);
	case OPT_TRIALS:
		return set_number(arg, 1, 1000000, &size->trials);
	case OPT_SEED:
		return far_size_parse(arg, &o->seed);
	case OPT_LABEL:
		o->label = arg;
		return 0;
	default:
		return -EINVAL;
	}
}

static int set_kernel(struct opts *o, const char *name,
		      const struct kernel_size *size)
{
	for (size_t i = 0; i < FAR_ARRAY_SIZE(kernels); i++)
		if (!strcmp(kernels[i]->name, name))
			o->kernel = kernels[i];
	if (!o->kernel)
		return -EINVAL;
	o->size = o->kernel->size;
	if (size->scale)
		o->size.scale = size->scale;
	if (size->degree)
		o->size.degree = size->degree;
	if (size->trials)
		o->size.trials = size->trials;
	return 0;
}

static int parse(struct opts *o, int argc, char **argv)
{
	struct kernel_size size = {0};
	int opt;

	*o = (struct opts){.seed = 1, .label = ""};
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			usage(stdout);
			return 1;
		}
		if (opt == '?' || set_option(o, &size, opt, optarg) < 0) {
			(void)fprintf(stderr, "bench-kernels: bad option %s\n",
				      argv[optind - 1]);
			return -EINVAL;
		}
	}
	if (optind + 1 != argc || set_kernel(o, argv[optind], &size) < 0) {
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

static int report(const struct opts *o, uint64_t sum, uint64_t build_ns,
		  uint64_t run_ns)
{
	struct bench_json j;
	struct rusage ru = {0};
	char text[32];

	(void)getrusage(RUSAGE_SELF, &ru);
	(void)snprintf(text, sizeof(text), "%016" PRIx64, sum);
	bench_json_begin(&j, "kernels");
	bench_json_str(&j, "kernel", o->kernel->name);
	bench_json_f64(&j, "value", (double)(build_ns + run_ns) / 1e9);
	bench_json_str(&j, "unit", "s");
	bench_json_f64(&j, "build_s", (double)build_ns / 1e9);
	bench_json_f64(&j, "run_s", (double)run_ns / 1e9);
	bench_json_f64(&j, "cpu_s", (double)bench_cpu_ns() / 1e9);
	bench_json_str(&j, "sum", text);
	bench_json_u64(&j, "peak_bytes", (uint64_t)ru.ru_maxrss << 10);
	bench_json_u64(&j, "scale", o->size.scale);
	bench_json_u64(&j, "degree", o->size.degree);
	bench_json_u64(&j, "trials", o->size.trials);
	bench_json_u64(&j, "seed", o->seed);
	bench_json_str(&j, "label", o->label);
	bench_json_env(&j);
	return bench_json_end(&j, stdout);
}

int main(int argc, char **argv)
{
	struct opts o;
	uint64_t start, built, sum;
	void *data;
	int r = parse(&o, argc, argv);

	if (r)
		return r > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	start = far_now_ns();
	data = o.kernel->build(&o.size, o.seed);
	if (!data) {
		(void)fprintf(stderr, "bench-kernels: %s: out of memory\n",
			      o.kernel->name);
		return EXIT_SETUP;
	}
	built = far_now_ns();
	sum = o.kernel->run(data, &o.size);
	r = report(&o, sum, built - start, far_now_ns() - built);
	o.kernel->destroy(data);
	return r < 0 ? EXIT_SETUP : EXIT_SUCCESS;
}
