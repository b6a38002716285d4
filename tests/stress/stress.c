/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stress [--seconds N] [--threads N] [--seed N] [--mib N] [--conf TEXT]
 * Status 0: all was right; 1: not; 77: no userfaultfd here.
 */
#include "tests/stress/stress.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"
#include "libfar/uffd/uffd.h"
#include "tests/support/tsan.h"

#define STALL_SECONDS 30

struct options {
	unsigned seconds, threads, mib;
	uint64_t seed;
	const char *conf;
};

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"seconds", required_argument, NULL, 's'},
		{"threads", required_argument, NULL, 't'},
		{"seed", required_argument, NULL, 'r'},
		{"mib", required_argument, NULL, 'm'},
		{"conf", required_argument, NULL, 'c'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*o = (struct options){10, 6, 64, far_now_ns(), ""};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's')
			o->seconds = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 't')
			o->threads = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'r')
			o->seed = strtoull(optarg, NULL, 0);
		else if (c == 'm')
			o->mib = (unsigned)strtoul(optarg, NULL, 0);
		else if (c == 'c')
			o->conf = optarg;
		else
			exit(2);
	}
	if (!o->threads || o->threads > MAX_THREADS || o->mib < 8) {
		(void)fprintf(stderr, "1 to %d threads, 8 MiB or more\n",
			      MAX_THREADS);
		exit(2);
	}
}

static int need_uffd(void)
{
	struct far_uffd_info info;
	char why[512];
	int fd = far_uffd_open(false, &info);

	if (fd >= 0)
		return close(fd);
	far_uffd_explain(&info, why, sizeof(why));
	(void)fprintf(stderr, "SKIP: %s\n", why);
	return 77;
}

static int start(const struct options *o, struct stress *s)
{
	char conf[1024];
	int r;

	(void)snprintf(conf, sizeof(conf),
		       "local=20M;va=4G;far=lz4:512M;fault=inline;%s", o->conf);
	r = far_open(conf, NULL, &s->pager);
	if (r < 0) {
		(void)fprintf(stderr, "far_open(%s): %s\n", conf, strerror(-r));
		return r;
	}
	s->nr_chunks = (unsigned)(((size_t)o->mib << 20) /
				  (CHUNK_PAGES * FAR_PAGE_SIZE));
	s->chunks = calloc(s->nr_chunks, sizeof(*s->chunks));
	if (!s->chunks)
		return -ENOMEM;
	for (unsigned i = 0; i < s->nr_chunks; i++)
		(void)pthread_mutex_init(&s->chunks[i].lock, NULL);
	s->seed = o->seed;
	s->limit_lo = (uint64_t)16 << 20;
	s->limit_hi = (uint64_t)32 << 20;
	s->may_fork = !HAS_TSAN;
	return 0;
}

/* --- what hangs -------------------------------------------------------------
 */

/* @text: what the file says, "" if it cannot be read */
static void read_task(const char *pid, const char *task, const char *name,
		      char *text, size_t size)
{
	char path[64];
	size_t n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/task/%.16s/%s", pid,
		       task, name);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, size - 1, f);
		(void)fclose(f);
	}
	text[n] = '\0';
}

/* All threads of @pid, and of its children. */
static void print_threads(const char *pid)
{
	static const char *const names[] = {"comm", "wchan", "syscall",
					    "stack"};
	char path[64], text[2048];
	const struct dirent *d;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/task", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		char *save = NULL;

		if (d->d_name[0] == '.')
			continue;
		for (size_t i = 0; i < FAR_ARRAY_SIZE(names); i++) {
			read_task(pid, d->d_name, names[i], text, sizeof(text));
			(void)fprintf(stderr, "%s/%s %s: %s\n", pid, d->d_name,
				      names[i], text);
		}
		read_task(pid, d->d_name, "children", text, sizeof(text));
		for (char *c = strtok_r(text, " ", &save); c;
		     c = strtok_r(NULL, " ", &save))
			print_threads(c);
	}
	if (dir)
		(void)closedir(dir);
}

/* Pages that somebody owns, or ought to. */
static void print_pages(const struct far_pager *p)
{
	far_pgno_t top = atomic_load(&p->ranges.top);
	unsigned nr = 0;

	for (far_pgno_t pg = 0; pg < top && nr < 64; pg++) {
		far_word_t w = far_page_load(&p->words[pg]);
		enum far_page_state s = word_state(w);

		if ((w & (FAR_WORD_PARKED | FAR_WORD_HELD | FAR_WORD_IOBUSY)) ||
		    (s != FAR_PAGE_ABSENT && s != FAR_PAGE_RESIDENT &&
		     s != FAR_PAGE_REMOTE)) {
			(void)fprintf(stderr, "page %llu: word %#llx\n",
				      (unsigned long long)pg,
				      (unsigned long long)w);
			nr++;
		}
	}
}

static void hang(struct stress *s, const char *what)
{
	stress_fail(s, "%s", what);
	print_threads("self");
	print_pages(s->pager);
	abort(); /* joining would hang, too */
}

/* Until time is up; a load that makes no progress is a failure, too. */
static void watch(const struct options *o, struct stress *s)
{
	const struct timespec tick = {.tv_nsec = 50000000};
	uint64_t end = far_now_ns() + o->seconds * FAR_NS_PER_S;
	uint64_t last_ops = 0, last_ns = far_now_ns();

	while (!atomic_load(&s->stop) && far_now_ns() < end) {
		uint64_t ops = atomic_load(&s->nr_ops);

		(void)nanosleep(&tick, NULL);
		if (ops != last_ops)
			last_ns = far_now_ns();
		last_ops = ops;
		if (far_now_ns() - last_ns > STALL_SECONDS * FAR_NS_PER_S)
			hang(s, "no step was done for long");
	}
	atomic_store(&s->stop, true);
}

static void check_statistics(struct stress *s)
{
	struct far_stats st = {.size = sizeof(st)};

	if (far_stats_read(s->pager, &st) < 0)
		stress_fail(s, "statistics");
	if (st.lost_pages)
		stress_fail(s, "%llu pages were lost",
			    (unsigned long long)st.lost_pages);
	if (st.gone_pages)
		stress_fail(s, "%llu pages were gone",
			    (unsigned long long)st.gone_pages);
	if (!st.faults_inline || st.faults_inline == st.faults_missing)
		stress_fail(s, "only one way of serving faults was used");
	if (!st.evicted_pages || !st.faults_remote)
		stress_fail(s, "nothing was evicted: the load is too small");
	(void)printf("%llu steps, %llu forks, %llu pages evicted, %llu "
		     "fetched, %llu rescued\n",
		     (unsigned long long)s->nr_ops,
		     (unsigned long long)s->nr_forks,
		     (unsigned long long)st.evicted_pages,
		     (unsigned long long)st.faults_remote,
		     (unsigned long long)st.faults_rescued);
}

static void run(const struct options *o, struct stress *s)
{
	struct worker w[MAX_THREADS];

	/* None of them forks before all are there: a child would inherit the
	 * locks that a sanitizer holds while it creates a thread. */
	(void)pthread_barrier_init(&s->all_there, NULL, o->threads + 1);
	for (unsigned i = 0; i < o->threads; i++) {
		w[i] = (struct worker){
			.s = s, .index = i, .rng = s->seed + i * 7919u};
		if (pthread_create(&w[i].thread, NULL, stress_work, &w[i])) {
			(void)fprintf(stderr, "cannot create a thread\n");
			exit(1);
		}
	}
	(void)pthread_barrier_wait(&s->all_there);
	watch(o, s);
	for (unsigned i = 0; i < o->threads; i++) {
		struct timespec end;

		(void)clock_gettime(CLOCK_REALTIME, &end);
		end.tv_sec += STALL_SECONDS;
		if (pthread_timedjoin_np(w[i].thread, NULL, &end))
			hang(s, "a thread does not end its step");
	}
	(void)pthread_barrier_destroy(&s->all_there);
	for (unsigned i = 0; i < s->nr_chunks; i++)
		(void)chunk_check(s, &s->chunks[i]);
	check_statistics(s);
}

int main(int argc, char **argv)
{
	struct stress s = {.nr_chunks = 0};
	struct options o;
	int r;

	parse(argc, argv, &o);
	r = need_uffd();
	if (r)
		return r;
	(void)printf("stress --seed %llu --threads %u --mib %u --conf '%s'\n",
		     (unsigned long long)o.seed, o.threads, o.mib, o.conf);
	(void)fflush(stdout); /* before a child could print it again */
	if (start(&o, &s) < 0)
		return 1;
	run(&o, &s);
	(void)fflush(stdout);
	(void)alarm(STALL_SECONDS); /* ends it, loudly, if this hangs */
	far_close(s.pager);
	for (unsigned i = 0; i < s.nr_chunks; i++)
		(void)pthread_mutex_destroy(&s.chunks[i].lock);
	free(s.chunks);
	if (s.failures)
		(void)printf("%llu failures with seed %llu\n",
			     (unsigned long long)s.failures,
			     (unsigned long long)s.seed);
	return s.failures ? 1 : 0;
}
