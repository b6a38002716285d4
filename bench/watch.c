/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-watch: what the kernel says the far mappings of a process and its
 * children take, sampled until the process ends or TERM or INT comes; then
 * one JSON line with the peaks.  The limit is checked by somebody who does
 * not trust the pager's own figures.
 *
 * The kernel walks mappings while pages move: one that was counted may leave
 * and another arrive further on, so a sample of running processes can show
 * more than there ever was.  The samples that count are therefore taken with
 * all processes stopped: one a second, and one right after each sample that
 * looked like too much.
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
#define EXACT_EVERY_NS FAR_NS_PER_S
#define SETTLE_NS (300 * FAR_NS_PER_MS) /* to stop all threads */

struct process {
	pid_t pid, parent;
	bool is_ours;
};

/* Sums of one sample. */
struct sums {
	uint64_t bytes;	     /* all processes, shared pages once */
	uint64_t root_bytes; /* Rss + Swap of the root process */
	unsigned nr;	     /* processes with memory */
};

struct watch {
	pid_t root;
	uint64_t interval_ns;
	uint64_t limit_bytes; /* 0: none */
	uint64_t nr_samples;
	uint64_t nr_exact, nr_over; /* all stopped; of these above limit */
	uint64_t nr_suspect;	    /* running, above the limit */
	uint64_t peak_bytes;	    /* of exact samples */
	uint64_t peak_root_bytes;   /* of exact samples */
	uint64_t peak_moving_bytes; /* of all samples */
	uint64_t max_stop_ns;	    /* longest pause we made */
	uint64_t last_exact_ns;
	enum bench_smaps_how how; /* the best way that was found */
	unsigned max_processes;
	struct process procs[MAX_PIDS];
	unsigned nr_procs;
};

/* State and parent in a stat file, behind the command's ')'. */
static int read_stat(const char *path, char *ret_state, pid_t *ret_parent)
{
	char text[512], *p;
	size_t n;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f); /* read only */
	text[n] = '\0';
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %c %d", ret_state, ret_parent) != 2)
		return -1;
	return 0;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], state;
	pid_t parent;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	return read_stat(path, &state, &parent) ? -1 : parent;
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

/* No thread of @pid runs or is about to: it can change nothing. */
static bool is_stopped(pid_t pid)
{
	char dir[64], path[400], state;
	bool is_still = true;
	struct dirent *e;
	pid_t parent;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), "/proc/%ld/task", (long)pid);
	d = opendir(dir);
	if (!d)
		return true; /* ended */
	while (is_still && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s/stat", dir,
			       e->d_name);
		/* D: waits for a page from one of those that are stopped */
		is_still = read_stat(path, &state, &parent) ||
			   strchr("TtDZX", state);
	}
	(void)closedir(d);
	return is_still;
}

static void signal_ours(const struct watch *w, int sig)
{
	unsigned i;

	for (i = 0; i < w->nr_procs; i++) {
		if (w->procs[i].is_ours)
			(void)kill(w->procs[i].pid, sig); /* may have ended */
	}
}

/* Stops all of them; false if they did not within SETTLE_NS. */
static bool stop_ours(const struct watch *w)
{
	const struct timespec nap = {.tv_nsec = 500 * 1000};
	uint64_t end = far_now_ns() + SETTLE_NS;
	bool is_still;
	unsigned i;

	signal_ours(w, SIGSTOP);
	do {
		is_still = true;
		for (i = 0; i < w->nr_procs && is_still; i++)
			is_still = !w->procs[i].is_ours ||
				   is_stopped(w->procs[i].pid);
		if (!is_still)
			(void)nanosleep(&nap, NULL);
	} while (!is_still && far_now_ns() < end);
	return is_still;
}

/* Adds all of ours up; false when the root process is gone. */
static bool add_up(struct watch *w, struct sums *ret_sums)
{
	uint64_t rss = 0, pss = 0;
	struct sums sums = {0};
	bool is_alive = false;
	unsigned i;

	for (i = 0; i < w->nr_procs; i++) {
		const struct process *p = &w->procs[i];
		struct bench_smaps s;

		if (!p->is_ours || bench_smaps_read(p->pid, &s) ||
		    s.how == BENCH_SMAPS_NONE)
			continue; /* ended, or a zombie */
		if (p->pid == w->root) {
			is_alive = true;
			sums.root_bytes = s.rss + s.swap;
			if (s.how > w->how)
				w->how = s.how;
		}
		rss += s.rss + s.swap;
		pss += s.pss + s.swap_pss;
		sums.nr++;
	}
	/* With one process Rss is exact; with more it counts pages twice. */
	sums.bytes = sums.nr > 1 ? pss : rss;
	*ret_sums = sums;
	return is_alive;
}

static bool sample_exact(struct watch *w)
{
	uint64_t start = far_now_ns();
	bool is_alive, is_still;
	struct sums s;

	is_still = stop_ours(w);
	is_alive = add_up(w, &s);
	signal_ours(w, SIGCONT);
	w->last_exact_ns = far_now_ns();
	w->max_stop_ns = far_max_u64(w->max_stop_ns, w->last_exact_ns - start);
	if (!is_alive || !is_still)
		return is_alive;
	w->nr_exact++;
	w->nr_over += w->limit_bytes && s.bytes > w->limit_bytes;
	w->peak_bytes = far_max_u64(w->peak_bytes, s.bytes);
	w->peak_root_bytes = far_max_u64(w->peak_root_bytes, s.root_bytes);
	return true;
}

/* One sample; false when the root process is gone. */
static bool sample(struct watch *w)
{
	bool is_suspect;
	struct sums s;

	list_processes(w);
	mark_ours(w);
	if (!add_up(w, &s))
		return false;
	w->nr_samples++;
	w->peak_moving_bytes = far_max_u64(w->peak_moving_bytes, s.bytes);
	if (s.nr > w->max_processes)
		w->max_processes = s.nr;
	is_suspect = w->limit_bytes && s.bytes > w->limit_bytes;
	w->nr_suspect += is_suspect;
	if (is_suspect || far_now_ns() - w->last_exact_ns >= EXACT_EVERY_NS)
		return sample_exact(w);
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
	bench_json_u64(&j, "exact_samples", w->nr_exact);
	bench_json_u64(&j, "over_samples", w->nr_over);
	bench_json_u64(&j, "suspect_samples", w->nr_suspect);
	bench_json_u64(&j, "peak_bytes", w->peak_bytes);
	bench_json_u64(&j, "peak_root_bytes", w->peak_root_bytes);
	bench_json_u64(&j, "peak_moving_bytes", w->peak_moving_bytes);
	bench_json_u64(&j, "limit_bytes", w->limit_bytes);
	bench_json_f64(&j, "longest_stop_ms", (double)w->max_stop_ns / 1e6);
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
