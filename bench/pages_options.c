/* SPDX-License-Identifier: BSD-3-Clause */
/* bench-pages: the command line. */
#include "bench/pages.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "libfar/base/size.h"

bool pages_is_far(const struct pages_opts *o)
{
	return strcmp(o->backend, "none") && strcmp(o->backend, "zram");
}

static void usage(FILE *f)
{
	const struct pages_pattern *p;

	(void)fprintf(
		f,
		"usage: bench-pages [options]\n"
		"  --backend SPEC   libfar over SPEC, e.g. lz4: or tcp://H:P;\n"
		"                   zram: kernel swap under a cgroup's limit;\n"
		"                   none: plain memory (default mem:)\n"
		"  --region SIZE    memory accessed (default 256M)\n"
		"  --local SHARE    of it that may be local (default 50%%)\n"
		"  --pattern LIST   comma-separated, or all (default all)\n"
		"  --threads N      (default 1)\n"
		"  --seconds S      measured time of a pattern (default 2)\n"
		"  --ops N          measured operations instead\n"
		"  --warmup S       before each (default 0.5)\n"
		"  --seed N         (default 1)\n"
		"  --option K=V     option of far_open(), may be repeated\n"
		"  --inline         memory whose faults the thread serves "
		"itself\n"
		"  --advise ADVICE  for all of it: random, sequential, "
		"group_16k\n"
		"                   or group_64k (far_advise())\n"
		"  --label TEXT     goes into the result\n"
		"  --smoke          accept a build that must not be measured\n"
		"  --allow-swap     measure libfar while swap is on\n"
		"Patterns:\n");
	for (p = pages_patterns(); p->name; p++)
		(void)fprintf(f, "  %-16s %s\n", p->name, p->help);
	(void)fprintf(f, "Exit status: 0; 1 data or limit wrong; 2 no set-up; "
			 "64 wrong use; 77 skipped.\n");
}

enum {
	OPT_BACKEND = 1000,
	OPT_REGION,
	OPT_LOCAL,
	OPT_PATTERN,
	OPT_THREADS,
	OPT_SECONDS,
	OPT_OPS,
	OPT_WARMUP,
	OPT_SEED,
	OPT_OPTION,
	OPT_INLINE,
	OPT_ADVISE,
	OPT_LABEL,
	OPT_SMOKE,
	OPT_ALLOW_SWAP,
	OPT_HELP,
};

static const struct option options[] = {
	{"backend", required_argument, NULL, OPT_BACKEND},
	{"region", required_argument, NULL, OPT_REGION},
	{"local", required_argument, NULL, OPT_LOCAL},
	{"pattern", required_argument, NULL, OPT_PATTERN},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"ops", required_argument, NULL, OPT_OPS},
	{"warmup", required_argument, NULL, OPT_WARMUP},
	{"seed", required_argument, NULL, OPT_SEED},
	{"option", required_argument, NULL, OPT_OPTION},
	{"inline", no_argument, NULL, OPT_INLINE},
	{"advise", required_argument, NULL, OPT_ADVISE},
	{"label", required_argument, NULL, OPT_LABEL},
	{"smoke", no_argument, NULL, OPT_SMOKE},
	{"allow-swap", no_argument, NULL, OPT_ALLOW_SWAP},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int add_patterns(struct pages_opts *o, const char *list)
{
	const struct pages_pattern *p;

	o->nr_patterns = 0;
	while (*list) {
		size_t len = strcspn(list, ",");
		bool is_all = len == 3 && !strncmp(list, "all", 3);
		bool is_known = false;

		for (p = pages_patterns(); p->name; p++) {
			if (!is_all && (strlen(p->name) != len ||
					strncmp(list, p->name, len)))
				continue;
			if (o->nr_patterns == PAGES_MAX_PATTERNS)
				return -EINVAL;
			o->patterns[o->nr_patterns++] = p;
			is_known = true;
		}
		if (!is_known)
			return -EINVAL;
		list += len;
		list += *list == ',';
	}
	return o->nr_patterns ? 0 : -EINVAL;
}

static int set_advice(struct pages_opts *o, const char *arg)
{
	static const struct {
		const char *name;
		enum far_advice advice;
	} all[] = {
		{"random", FAR_ADV_RANDOM},
		{"sequential", FAR_ADV_SEQUENTIAL},
		{"group_16k", FAR_ADV_GROUP_16K},
		{"group_64k", FAR_ADV_GROUP_64K},
	};

	for (size_t i = 0; i < FAR_ARRAY_SIZE(all); i++)
		if (!strcmp(arg, all[i].name)) {
			o->advice = all[i].advice;
			return 0;
		}
	return -EINVAL;
}

static int set_option(struct pages_opts *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_BACKEND:
		o->backend = arg;
		return 0;
	case OPT_REGION:
		return far_size_parse(arg, &o->region_bytes);
	case OPT_LOCAL:
		o->local = arg;
		return 0;
	case OPT_PATTERN:
		return add_patterns(o, arg);
	case OPT_THREADS:
		return far_size_parse(arg, &o->nr_threads);
	case OPT_SECONDS:
		return far_duration_parse(arg, &o->duration_ns);
	case OPT_OPS:
		return far_size_parse(arg, &o->nr_ops);
	case OPT_WARMUP:
		return far_duration_parse(arg, &o->warmup_ns);
	case OPT_SEED:
		return far_size_parse(arg, &o->seed);
	case OPT_OPTION:
		return bench_conf_add(&o->conf, arg);
	case OPT_INLINE:
		o->is_inline = true;
		return 0;
	case OPT_ADVISE:
		return set_advice(o, arg);
	case OPT_LABEL:
		o->label = arg;
		return 0;
	case OPT_SMOKE:
		o->is_smoke = true;
		return 0;
	case OPT_ALLOW_SWAP:
		o->is_swap_allowed = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int check_options(struct pages_opts *o)
{
	double share;
	int err;

	o->region_bytes &= ~(uint64_t)FAR_PAGE_MASK;
	if (!far_percent_parse(o->local, &share)) {
		o->local_bytes = (uint64_t)((double)o->region_bytes * share);
	} else {
		err = far_size_parse(o->local, &o->local_bytes);
		if (err)
			return err;
	}
	o->local_bytes &= ~(uint64_t)FAR_PAGE_MASK;
	if (!o->local_bytes || !o->nr_threads || o->nr_threads > 256 ||
	    o->region_bytes / FAR_PAGE_SIZE < o->nr_threads ||
	    o->region_bytes / FAR_PAGE_SIZE > UINT32_MAX)
		return -EINVAL;
	return 0;
}

int pages_parse_options(struct pages_opts *o, int argc, char **argv)
{
	int opt, err;

	*o = (struct pages_opts){
		.region_bytes = UINT64_C(256) << 20,
		.local = "50%",
		.backend = "mem:",
		.label = "",
		.nr_threads = 1,
		.duration_ns = 2 * FAR_NS_PER_S,
		.warmup_ns = FAR_NS_PER_S / 2,
		.seed = 1,
	};
	(void)add_patterns(o, "all"); /* cannot fail */
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			usage(stdout);
			return 1;
		}
		err = opt == '?' ? -EINVAL : set_option(o, opt, optarg);
		if (err) {
			(void)fprintf(stderr, "bench-pages: bad option %s\n",
				      argv[optind - 1]);
			usage(stderr);
			return err;
		}
	}
	err = optind == argc ? check_options(o) : -EINVAL;
	if (err)
		usage(stderr);
	return err;
}
