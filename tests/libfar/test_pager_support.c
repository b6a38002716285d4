/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/libfar/test_pager_support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libfar/uffd/uffd.h"

#define CHILD_SECONDS 20

const char *tp_takeout = "move";

/* Messages one after the other; no lock, a fork may come at any time. */
static char log_text[65536];
static _Atomic size_t log_used; /* any thread */

static void keep_log(void *ctx, enum far_log_level level, const char *msg)
{
	size_t len = strlen(msg) + 1;
	size_t at = atomic_fetch_add(&log_used, len);

	(void)ctx;
	if (level <= FAR_LOG_WARN && getenv("TP_VERBOSE"))
		(void)dprintf(2, "far: %s\n", msg);
	if (at + len < sizeof(log_text)) {
		memcpy(log_text + at, msg, len - 1);
		log_text[at + len - 1] = '\n';
	}
}

bool tp_logged(const char *text)
{
	return strstr(log_text, text) != NULL;
}

void tp_log_clear(void)
{
	memset(log_text, 0, sizeof(log_text));
	atomic_store(&log_used, 0);
}

static int can_run(void)
{
	struct far_uffd_info info;
	char why[512];
	int fd = far_uffd_open(false, &info);

	if (fd < 0) {
		far_uffd_explain(&info, why, sizeof(why));
		(void)fprintf(stderr, "SKIP: %s\n", why);
		return 77;
	}
	(void)close(fd);
	if (strcmp(tp_takeout, "move") == 0 &&
	    !(info.features & FAR_UFFD_MOVE)) {
		(void)fprintf(stderr, "SKIP: UFFDIO_MOVE needs Linux 6.8\n");
		return 77;
	}
	return 0;
}

int tp_run(int argc, char **argv, const char *name,
	   const struct CMUnitTest *tests, size_t nr)
{
	int r;

	if (argc > 1)
		tp_takeout = argv[1];
	if (strcmp(tp_takeout, "move") && strcmp(tp_takeout, "dontneed") &&
	    strcmp(tp_takeout, "auto")) {
		(void)fprintf(stderr, "usage: %s move|dontneed|auto [TEST]\n",
			      argv[0]);
		return 2;
	}
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	r = can_run();
	return r ? r : _cmocka_run_group_tests(name, tests, nr, NULL, NULL);
}

int tp_try(const char *conf, struct far_pager **ret_pager)
{
	const struct far_open_attr attr = {.size = sizeof(attr),
					   .log = keep_log};
	char text[2048];

	(void)snprintf(text, sizeof(text),
		       "local=16M;va=1G;far=mem:256M;takeout=%s;%s", tp_takeout,
		       conf);
	return far_open(text, &attr, ret_pager);
}

struct tp tp_open(const char *conf, size_t len)
{
	struct tp t = {.len = len};
	void *mem;
	int r;

	tp_log_clear();
	r = tp_try(conf, &t.pager);
	if (r < 0)
		print_error("far_open(%s): %s\n%s", conf, strerror(-r),
			    log_text);
	assert_int_equal(r, 0);
	if (len) {
		assert_int_equal(far_map(t.pager, len, 0, &mem), 0);
		t.mem = mem;
	}
	return t;
}

void tp_close(struct tp *t)
{
	far_close(t->pager);
	memset(t, 0, sizeof(*t));
}

struct far_stats tp_stats(struct far_pager *pager)
{
	struct far_stats st = {.size = sizeof(st)};

	assert_int_equal(far_stats_read(pager, &st), 0);
	return st;
}

/* --- content -------------------------------------------------------------- */

uint64_t tp_word(uint64_t key, size_t i)
{
	uint64_t x = key * UINT64_C(0x9e3779b97f4a7c15);

	if (!key)
		return 0;
	x ^= x >> 29;
	return (x * UINT64_C(0xbf58476d1ce4e5b9) + i) | 1;
}

void tp_fill(char *mem, size_t pg, uint64_t key)
{
	uint64_t *w = (uint64_t *)(void *)(mem + pg * FAR_PAGE_SIZE);

	for (size_t i = 0; i < FAR_PAGE_SIZE / sizeof(*w); i++)
		w[i] = tp_word(key, i);
}

bool tp_same(const char *mem, size_t pg, uint64_t key)
{
	const uint64_t *w =
		(const uint64_t *)(const void *)(mem + pg * FAR_PAGE_SIZE);

	for (size_t i = 0; i < FAR_PAGE_SIZE / sizeof(*w); i++) {
		uint64_t is = w[i], should = tp_word(key, i);

		if (is == should)
			continue;
		(void)dprintf(2, "page %zu word %zu is %#llx, not %#llx\n", pg,
			      i, (unsigned long long)is,
			      (unsigned long long)should);
		return false;
	}
	return true;
}

void tp_fill_all(char *mem, size_t len, uint64_t key)
{
	for (size_t pg = 0; pg < PAGES(len); pg++)
		tp_fill(mem, pg, key ? key + pg : 0);
}

size_t tp_same_all(const char *mem, size_t len, uint64_t key)
{
	size_t wrong = 0;

	for (size_t pg = 0; pg < PAGES(len) && wrong < 10; pg++)
		wrong += !tp_same(mem, pg, key ? key + pg : 0);
	return wrong;
}

/* --- the kernel's view ------------------------------------------------------
 */

size_t tp_resident(const char *addr, size_t len)
{
	unsigned char vec[1024];
	size_t nr = 0;

	for (size_t at = 0; at < PAGES(len); at += sizeof(vec)) {
		size_t n = PAGES(len) - at;

		n = n < sizeof(vec) ? n : sizeof(vec);
		if (mincore((void *)(uintptr_t)(addr + at * FAR_PAGE_SIZE),
			    n * FAR_PAGE_SIZE, vec) < 0)
			return SIZE_MAX;
		for (size_t i = 0; i < n; i++)
			nr += vec[i] & 1;
	}
	return nr;
}

bool tp_evict(struct far_pager *pager, char *addr, size_t len)
{
	uint64_t end = far_now_ns() + 10 * FAR_NS_PER_S;

	for (unsigned i = 0; tp_resident(addr, len); i++) {
		if (far_now_ns() > end ||
		    (i % 64 == 0 &&
		     far_advise(pager, addr, len, FAR_ADV_COLD) < 0))
			return false;
		tp_pause();
	}
	return true;
}

uint64_t tp_footprint(const void *addr)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long long lo, hi, kib, sum = 0;
	bool ours = false, found = false;
	char line[512];

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &lo, &hi) == 2) {
			ours = ((uintptr_t)addr >= lo &&
				(uintptr_t)addr < hi) ||
			       strstr(line, "[anon:far");
			found = found || ours;
		}
		if (ours && (sscanf(line, "Rss: %llu", &kib) == 1 ||
			     sscanf(line, "Swap: %llu", &kib) == 1))
			sum += kib;
	}
	(void)fclose(f);
	return found ? sum << 10 : UINT64_MAX;
}

void tp_pause(void)
{
	const struct timespec ts = {.tv_nsec = 1000000};

	(void)nanosleep(&ts, NULL);
}

/* --- children ------------------------------------------------------------- */

pid_t tp_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : pid;
	(void)signal(SIGABRT, SIG_DFL);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)signal(SIGBUS, SIG_DFL);
	(void)alarm(CHILD_SECONDS);
	_exit(fn(arg));
}

int tp_status(pid_t pid)
{
	int st;

	if (pid <= 0)
		return -1;
	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFSIGNALED(st) ? TP_SIGNAL(WTERMSIG(st)) : WEXITSTATUS(st);
}

int tp_in_child(int (*fn)(void *arg), void *arg)
{
	return tp_status(tp_child(fn, arg));
}

size_t tp_entries(const char *name)
{
	char path[64], line[1024];
	size_t nr = 0;
	FILE *f;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/self/%s", name);
	if (strcmp(name, "maps") == 0) {
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			nr++;
		if (f)
			(void)fclose(f);
		return nr;
	}
	d = opendir(path);
	while (d && readdir(d))
		nr++;
	if (d)
		(void)closedir(d);
	return nr;
}
