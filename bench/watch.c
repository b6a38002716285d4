/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-watch: what the kernel says the far mappings of a process and its
 * children take, sampled until the process ends or TERM or INT comes; then
 * one JSON line with the peaks.  The limit is checked by somebody who does
 * not trust the pager's own figures.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/json.h"
#include "bench/lib/smaps.h"
#include "libfar/base/size.h"

#define EXIT_OVER 1
#define EXIT_USAGE 64
#define MAX_PIDS 4096

struct process {
	pid_t pid, parent;
	bool is_ours;
};

struct watch {
	pid_t root;
	uint64_t interval_ns;
	uint64_t limit_bytes; /* 0: none */
	uint64_t nr_samples, nr_over;
	uint64_t peak_bytes;	  /* all processes, shared pages once */
	uint64_t peak_root_bytes; /* Rss + Swap of the root process */
	enum bench_smaps_how how; /* the best way that was found */
	unsigned max_processes;
	struct process procs[MAX_PIDS];
	unsigned nr_procs;
};

/* Parent of @pid: the second field after the command's ')'; or -1. */
static pid_t parent_of(pid_t pid)
{
	char path[64], text[512], *p;
	size_t n;
	FILE *f;
	int parent;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f); /* read only */
	text[n] = '\0';
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %d", &parent) != 1)
		return -1;
	return parent;
}

static void list_processes(struct watch *w)
{
	struct dirent *e;
	DIR *d = opendir("/proc");

	w->nr_procs = 0;
	if (!d)
		return;
	while ((e = readdir(d)) && w->nr_procs < MAX_PIDS) {
		struct process *p = &w->procs[w->nr_procs];

		p->pid = (pid_t)atol(e->d_name);
		if (p->pid <= 0)
			continue;
		p->parent = parent_of(p->pid);
		p->is_ours = p->pid == w->root;
		w->nr_procs++;
	}
	(void)closedir(d);
}

static bool is_child_of_ours(const struct watch *w, const struct process *p)
{
	unsigned i;

	for (i = 0; i < w->nr_procs; i++) {
		if (w->procs[i].is_ours && w->procs[i].pid == p->parent)
			return true;
	}
	return false;
}

static void mark_ours(struct watch *w)
{
	bool is_changed = true;
	unsigned i;

	while (is_changed) {
		is_changed = false;
		for (i = 0; i < w->nr_procs; i++) {
			struct process *p = &w->procs[i];

			if (p->is_ours || !is_child_of_ours(w, p))
				continue;
			p->is_ours = true;
			is_changed = true;
		}
	}
}

/* One sample; false when the root process is gone. */
static bool sample(struct watch *w)
{
	uint64_t rss = 0, pss = 0, sum;
	unsigned i, nr = 0;
	bool is_alive = false;

	list_processes(w);
	mark_ours(w);
	for (i = 0; i < w->nr_procs; i++) {
		const struct process *p = &w->procs[i];
		struct bench_smaps s;

		if (!p->is_ours || bench_smaps_read(p->pid, &s) ||
		    s.how == BENCH_SMAPS_NONE)
			continue; /* ended, or a zombie */
		if (p->pid == w->root) {
			is_alive = true;
			w->peak_root_bytes =
				far_max_u64(w->peak_root_bytes, s.rss + s.swap);
			if (s.how > w->how)
				w->how = s.how;
		}
		rss += s.rss + s.swap;
		pss += s.pss + s.swap_pss;
		nr++;
	}
	if (!is_alive)
		return false;
	/* With one process Rss is exact; with more it counts pages twice. */
	sum = nr > 1 ? pss : rss;
	w->nr_samples++;
	w->nr_over += w->limit_bytes && sum > w->limit_bytes;
	w->peak_bytes = far_max_u64(w->peak_bytes, sum);
	if (nr > w->max_processes)
		w->max_processes = nr;
	return true;
}

static int report(const struct watch *w)
{
	static const char *const how[] = {
		[BENCH_SMAPS_NONE] = "none",
		[BENCH_SMAPS_LARGEST] = "largest mapping",
		[BENCH_SMAPS_UFFD] = "userfaultfd mappings",
		[BENCH_SMAPS_NAMED] = "named mappings",
	};
	struct bench_json j;

	bench_json_begin(&j, "watch");
	bench_json_u64(&j, "samples", w->nr_samples);
	bench_json_u64(&j, "peak_bytes", w->peak_bytes);
	bench_json_u64(&j, "peak_root_bytes", w->peak_root_bytes);
	bench_json_u64(&j, "limit_bytes", w->limit_bytes);
	bench_json_u64(&j, "over_samples", w->nr_over);
	bench_json_u64(&j, "max_processes", w->max_processes);
	bench_json_str(&j, "how", how[w->how]);
	return bench_json_end(&j, stdout);
}

static void run(struct watch *w)
{
	const struct timespec interval = {
		.tv_sec = (time_t)(w->interval_ns / FAR_NS_PER_S),
		.tv_nsec = (long)(w->interval_ns % FAR_NS_PER_S),
	};
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail */
	while (sample(w)) {
		if (sigtimedwait(&set, NULL, &interval) > 0)
			break;
	}
}

static int usage(void)
{
	(void)fprintf(
		stderr,
		"usage: bench-watch [--interval TIME] [--limit SIZE] PID\n"
		"Exit status: 0; 1 a sample was above the limit; 64 wrong "
		"use.\n");
	return EXIT_USAGE;
}

static const struct option options[] = {
	{"interval", required_argument, NULL, 'i'},
	{"limit", required_argument, NULL, 'l'},
	{NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
	static struct watch w = {.interval_ns = 100 * FAR_NS_PER_MS};
	int opt, err = 0;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'i')
			err = far_duration_parse(optarg, &w.interval_ns);
		else if (opt == 'l')
			err = far_size_parse(optarg, &w.limit_bytes);
		else
			err = -EINVAL;
		if (err)
			return usage();
	}
	if (optind + 1 != argc)
		return usage();
	w.root = (pid_t)atol(argv[optind]);
	if (w.root <= 0)
		return usage();
	run(&w);
	if (report(&w))
		return EXIT_FAILURE;
	return w.nr_over ? EXIT_OVER : EXIT_SUCCESS;
}
