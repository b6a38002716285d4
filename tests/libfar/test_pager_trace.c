/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens to pages is recorded, and an earlier run guides prefetch. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <far/trace.h>

#include "libfar/pager/pager.h"
#include "tests/libfar/test_pager_support.h"

#define LEN (2 * TP_LIMIT)
#define WALKS 4

static char folder[] = "/tmp/far-trace-XXXXXX";
static char path[64]; /* of the trace; set by each test */

/** struct trace - a file, read */
struct trace {
	struct far_trace_header h;
	struct far_trace_record *r;
	size_t nr;
	size_t of[FAR_TRACE_NR_KINDS];
};

static void name_file(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	(void)unlink(path);
}

static void trace_read(struct trace *t, const char *file)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	FILE *f = fopen(file, "re");
	size_t max = 1 << 20;

	assert_non_null(f);
	memset(t, 0, sizeof(*t));
	t->r = calloc(max, sizeof(*t->r));
	assert_non_null(t->r);
	assert_int_equal(fread(buf, sizeof(buf), 1, f), 1);
	assert_int_equal(far_trace_header_get(buf, sizeof(buf), &t->h), 0);
	while (fread(buf, FAR_TRACE_RECORD_BYTES, 1, f) == 1) {
		struct far_trace_record *r = &t->r[t->nr++];

		assert_true(t->nr < max);
		assert_int_equal(far_trace_record_get(buf, &t->h, r), 0);
		t->of[r->kind]++;
	}
	assert_int_equal(ftell(f) % FAR_TRACE_RECORD_BYTES, 0);
	(void)fclose(f);
}

static void trace_free(struct trace *t)
{
	free(t->r);
}

/* Each page once, in an order without streams. */
static size_t shuffled(size_t i)
{
	size_t x = i * 2654435761u % PAGES(LEN);

	return (x ^ x >> 5 ^ 0x2a5) % PAGES(LEN);
}

static struct tp open_with(const char *option, const char *file,
			   const char *more)
{
	char conf[256];

	(void)snprintf(conf, sizeof(conf), "lazy=off;ahead=off;%s=%s;%s",
		       option, file, more);
	return tp_open(conf, LEN);
}

/* Where far-ctl gets no processor for long, the ring would overflow, rightly:
 * waits until most is in the file. */
static void let_ctl_catch_up(struct tp *t)
{
	uint64_t end = far_now_ns() + 10 * FAR_NS_PER_S;
	struct far_stats st = tp_stats(t->pager);
	uint64_t nr = st.faults_zero + st.faults_remote + st.faults_rescued +
		      st.evicted_pages + st.prefetched_pages;
	struct stat file = {.st_size = 0};

	while ((uint64_t)file.st_size / FAR_TRACE_RECORD_BYTES + 4096 < nr) {
		if (far_now_ns() > end || stat(path, &file) < 0)
			fail_msg("the trace does not grow");
		tp_pause();
	}
}

/* Fills all pages, and reads them again and again. */
static void walk(struct tp *t, bool is_recorded)
{
	for (size_t i = 0; i < WALKS * PAGES(LEN); i++) {
		size_t pg = shuffled(i % PAGES(LEN));

		if (i < PAGES(LEN))
			tp_fill(t->mem, pg, 1 + pg);
		else
			assert_true(tp_same(t->mem, pg, 1 + pg));
		if (is_recorded && i % 1024 == 0)
			let_ctl_catch_up(t);
	}
}

/* Nobody takes pages out any more. */
static struct far_stats settled(struct tp *t)
{
	struct far_stats a, b = tp_stats(t->pager);

	do {
		a = b;
		for (unsigned i = 0; i < 50; i++)
			tp_pause();
		b = tp_stats(t->pager);
	} while (a.evict_batches != b.evict_batches ||
		 a.evicted_pages != b.evicted_pages);
	return b;
}

/* The pages are served inline from now on. */
static void remap_inline(struct tp *t)
{
	void *mem;

	assert_int_equal(far_unmap(t->pager, t->mem, LEN), 0);
	assert_int_equal(far_map_inline(t->pager, LEN, 0, &mem), 0);
	t->mem = mem;
}

static struct far_stats record(bool is_inline)
{
	struct tp t = open_with("trace", path, "");
	struct far_stats st;

	if (is_inline)
		remap_inline(&t);
	walk(&t, true);
	st = settled(&t);
	tp_close(&t);
	return st;
}

/* What was fetched had left before, and what is there is not fetched. */
static void check_order(const struct trace *t)
{
	enum { NEVER, HERE, LEFT };
	unsigned char *is = calloc(t->h.nr_pages, 1);

	assert_non_null(is);
	for (size_t i = 0; i < t->nr; i++) {
		unsigned char *page = &is[t->r[i].page];

		switch (t->r[i].kind) {
		case FAR_TRACE_ZERO:
			assert_int_equal(*page, NEVER);
			*page = HERE;
			break;
		case FAR_TRACE_REMOTE:
		case FAR_TRACE_RESCUED:
		case FAR_TRACE_AHEAD:
			assert_int_equal(*page, LEFT);
			*page = HERE;
			break;
		case FAR_TRACE_WRITE:
			assert_int_equal(*page, HERE);
			break;
		case FAR_TRACE_OUT:
			assert_int_equal(*page, HERE);
			*page = LEFT;
			break;
		default:
			fail_msg("record %zu is of kind %d", i, t->r[i].kind);
		}
	}
	free(is);
}

static void records_are_what_happened(void **state)
{
	struct far_stats st;
	struct trace t;

	(void)state;
	name_file("plain");
	st = record(false);
	trace_read(&t, path);
	assert_int_equal(t.h.limit_pages, PAGES(TP_LIMIT));
	assert_string_equal(t.h.name, "test_pager_trac"); /* 15, the kernel's */
	assert_true(st.faults_remote > PAGES(LEN) / 2);
	assert_int_equal(t.of[FAR_TRACE_ZERO], st.faults_zero);
	assert_int_equal(t.of[FAR_TRACE_ZERO], PAGES(LEN));
	assert_int_equal(t.of[FAR_TRACE_REMOTE], st.faults_remote);
	assert_int_equal(t.of[FAR_TRACE_RESCUED], st.faults_rescued);
	assert_int_equal(t.of[FAR_TRACE_WRITE], st.faults_write_protect);
	assert_int_equal(t.of[FAR_TRACE_AHEAD], 0);
	assert_int_equal(t.of[FAR_TRACE_OUT],
			 st.evicted_pages + st.evict_aborted_pages);
	assert_int_equal(st.trace_dropped_records, 0);
	check_order(&t);
	for (size_t i = 0; i < t.nr; i++) {
		if (t.r[i].kind == FAR_TRACE_OUT)
			continue;
		/* filled by writes, then read only */
		assert_int_equal(t.r[i].flags, t.r[i].kind == FAR_TRACE_ZERO
						       ? FAR_TRACE_IS_WRITE
						       : 0);
	}
	trace_free(&t);
}

static void prefetched_pages_are_recorded(void **state)
{
	struct far_stats st;
	struct trace t;
	struct tp tp;

	(void)state;
	name_file("ahead");
	tp = open_with("trace", path, "ahead=on");
	for (size_t i = 0; i < 2 * PAGES(LEN); i++) {
		size_t pg = i % PAGES(LEN);

		if (i < PAGES(LEN))
			tp_fill(tp.mem, pg, 1 + pg);
		else
			assert_true(tp_same(tp.mem, pg, 1 + pg));
		if (i % 1024 == 0)
			let_ctl_catch_up(&tp);
	}
	st = settled(&tp);
	tp_close(&tp);
	trace_read(&t, path);
	assert_true(st.prefetched_pages > 0);
	assert_int_equal(t.of[FAR_TRACE_AHEAD], st.prefetched_pages);
	assert_int_equal(t.of[FAR_TRACE_REMOTE], st.faults_remote);
	trace_free(&t);
}

static void far_ctl_writes_as_it_goes(void **state)
{
	struct stat st;
	struct tp t;

	(void)state;
	name_file("going");
	t = open_with("trace", path, "");
	tp_fill_all(t.mem, TP_LIMIT / 2, 1);
	TP_WAIT(stat(path, &st) == 0 &&
			(size_t)st.st_size >=
				FAR_TRACE_HEADER_BYTES +
					PAGES(TP_LIMIT / 2) *
						FAR_TRACE_RECORD_BYTES,
		10);
	tp_close(&t);
}

static void nothing_is_recorded_unasked(void **state)
{
	struct tp t = tp_open("lazy=off", LEN);

	(void)state;
	tp_fill_all(t.mem, LEN, 1);
	assert_null(atomic_load(&t.pager->trace));
	assert_int_equal(TP_STAT(t.pager, trace_dropped_records), 0);
	tp_close(&t);
}

static void a_trace_that_cannot_be_made_is_told(void **state)
{
	struct tp t;

	(void)state;
	t = open_with("trace", "/nonexistent/trace", "");
	TP_WAIT(tp_logged("cannot make the trace /nonexistent/trace: No such "
			  "file or directory; the program goes on untraced"),
		5);
	tp_fill_all(t.mem, LEN, 1);
	assert_int_equal(tp_same_all(t.mem, LEN, 1), 0);
	tp_close(&t);
}

static int fill_the_disk(void *arg)
{
	const struct rlimit full = {.rlim_cur = 100000, .rlim_max = 100000};
	struct tp t;

	(void)arg;
	if (setrlimit(RLIMIT_FSIZE, &full) < 0)
		return 1;
	t = open_with("trace", path, "");
	walk(&t, false);
	for (unsigned i = 0; i < 5000 && !tp_logged("it ends here"); i++)
		tp_pause();
	if (!TP_STAT(t.pager, trace_dropped_records))
		return 3;
	tp_close(&t);
	return tp_logged("cannot write to the trace") ? 0 : 2;
}

/* What got there can be read. */
static void a_full_disk_ends_the_trace(void **state)
{
	struct trace t;

	(void)state;
	name_file("full");
	assert_int_equal(tp_in_child(fill_the_disk, NULL), 0);
	trace_read(&t, path);
	assert_true(t.nr > 0);
	assert_true(t.nr <= 100000 / FAR_TRACE_RECORD_BYTES);
	trace_free(&t);
}

static size_t nr_with_prefix(const char *prefix)
{
	char command[128], line[32] = "0";
	FILE *f;

	(void)snprintf(command, sizeof(command), "ls %s* | wc -l", prefix);
	f = popen(command, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)pclose(f);
	return strtoul(line, NULL, 10);
}

/* The first one keeps the name; nobody's file is overwritten. */
static void names_do_not_collide(void **state)
{
	char own[96];
	struct stat st;
	struct tp a, b, c;

	(void)state;
	name_file("shared");
	a = open_with("trace", path, "");
	b = open_with("trace", path, "");
	c = open_with("trace", path, "");
	(void)snprintf(own, sizeof(own), "%s.%d", path, (int)getpid());
	assert_int_equal(stat(own, &st), 0);
	assert_int_equal(nr_with_prefix(path), 3);
	tp_close(&a);
	tp_close(&b);
	tp_close(&c);
	(void)snprintf(own, sizeof(own), "%s/at-%%p-%%p", folder);
	a = open_with("trace", own, "");
	tp_close(&a);
	(void)snprintf(own, sizeof(own), "%s/at-%d-%d", folder, (int)getpid(),
		       (int)getpid());
	assert_int_equal(stat(own, &st), 0);
}

static int touch_some(void *arg)
{
	struct tp *t = arg;

	for (size_t i = 0; i < PAGES(LEN); i++)
		if (!tp_same(t->mem, i, 1 + i))
			return 1;
	tp_close(t);
	return 0;
}

static void a_forked_child_has_a_file_of_its_own(void **state)
{
	struct trace parent, child;
	char theirs[96];
	struct tp t;
	pid_t pid;

	(void)state;
	name_file("forked");
	t = open_with("trace", path, "");
	tp_fill_all(t.mem, LEN, 1);
	pid = tp_child(touch_some, &t);
	assert_int_equal(tp_status(pid), 0);
	tp_close(&t);
	(void)snprintf(theirs, sizeof(theirs), "%s.%d", path, (int)pid);
	trace_read(&parent, path);
	trace_read(&child, theirs);
	assert_true(child.of[FAR_TRACE_REMOTE] > 0);
	assert_int_equal(child.of[FAR_TRACE_ZERO], 0);
	assert_int_equal(parent.of[FAR_TRACE_ZERO], PAGES(LEN));
	assert_int_equal(parent.of[FAR_TRACE_DROPPED], 0);
	check_order(&parent);
	trace_free(&parent);
	trace_free(&child);
}

/* --- replay --- */

static void walk_again(bool is_inline, const char *more)
{
	struct far_stats a, b;
	struct tp t;

	name_file("replayed");
	a = record(is_inline);
	t = open_with("replay", path, more);
	if (is_inline)
		remap_inline(&t);
	walk(&t, false);
	b = tp_stats(t.pager);
	tp_close(&t);
	print_message("%llu faults on far pages, then %llu (%llu of %llu "
		      "prefetched in vain)\n",
		      (unsigned long long)a.faults_remote,
		      (unsigned long long)b.faults_remote,
		      (unsigned long long)b.prefetch_wasted_pages,
		      (unsigned long long)b.prefetched_pages);
	assert_true(b.faults_remote + b.faults_rescued <
		    (a.faults_remote + a.faults_rescued) / 2);
	assert_true(b.prefetch_useful_pages > b.prefetched_pages / 2);
	assert_int_equal(b.lost_pages, 0);
}

static void the_same_walk_faults_less(void **state)
{
	(void)state;
	walk_again(false, "");
	walk_again(false, "monitors=2");
	walk_again(true, "");
}

/* Same pages, another order: guesses would be wrong. */
static void another_walk_is_left_alone(void **state)
{
	struct far_stats st;
	struct tp t;

	(void)state;
	name_file("other");
	(void)record(false);
	t = open_with("replay", path, "");
	tp_fill_all(t.mem, LEN, 1);
	srand(7);
	for (size_t i = 0; i < 2 * PAGES(LEN); i++) {
		size_t pg = (size_t)rand() % PAGES(LEN);

		assert_true(tp_same(t.mem, pg, 1 + pg));
	}
	st = tp_stats(t.pager);
	assert_true(st.prefetched_pages < st.faults_remote / 10);
	tp_close(&t);
}

static void only_traces_are_replayed(void **state)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES + FAR_TRACE_RECORD_BYTES] = {
		0};
	struct far_trace_header h = {
		.nr_pages = 10, .limit_pages = 10, .name = "test_pager_trac"};
	struct tp t;
	FILE *f;

	(void)state;
	name_file("hostile");
	for (unsigned i = 0; i < 4; i++) {
		static const char *const why[] = {
			"No such file or directory", "it is not a fault trace",
			"nothing was fetched in it", "a record is damaged"};
		size_t len = i == 1   ? 3
			     : i == 2 ? FAR_TRACE_HEADER_BYTES
				      : sizeof(buf);

		if (i) {
			far_trace_header_put(buf, &h);
			f = fopen(path, "we");
			assert_non_null(f);
			assert_int_equal(fwrite(buf, len, 1, f), 1);
			assert_int_equal(fclose(f), 0);
		}
		t = open_with("replay", path, "");
		TP_WAIT(tp_logged("cannot replay") && tp_logged(why[i]), 5);
		tp_fill_all(t.mem, LEN, 1);
		assert_int_equal(tp_same_all(t.mem, LEN, 1), 0);
		tp_close(&t);
	}
}

/* Pages that are not mapped, or not there at all. */
static void pages_of_a_trace_are_not_trusted(void **state)
{
	struct far_trace_header h = {.nr_pages = UINT32_MAX,
				     .limit_pages = 10,
				     .name = "test_pager_trac"};
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	struct far_stats st;
	struct tp t;
	FILE *f;

	(void)state;
	name_file("wild");
	f = fopen(path, "we");
	assert_non_null(f);
	far_trace_header_put(buf, &h);
	assert_int_equal(fwrite(buf, sizeof(buf), 1, f), 1);
	for (uint32_t i = 0; i < 3 * PAGES(LEN); i++) {
		struct far_trace_record r = {
			.kind = FAR_TRACE_REMOTE,
			.page = i % 3 == 0   ? (uint32_t)shuffled(i / 3)
				: i % 3 == 1 ? UINT32_MAX - 1 - i
					     : (uint32_t)PAGES(LEN) + i,
		};

		far_trace_record_put(buf, &r);
		assert_int_equal(fwrite(buf, FAR_TRACE_RECORD_BYTES, 1, f), 1);
	}
	assert_int_equal(fclose(f), 0);
	t = open_with("replay", path, "");
	walk(&t, false);
	st = tp_stats(t.pager);
	assert_true(st.prefetched_pages > 0);
	assert_int_equal(st.lost_pages, 0);
	tp_close(&t);
}

static int remove_folder(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_what_happened),
		cmocka_unit_test(prefetched_pages_are_recorded),
		cmocka_unit_test(far_ctl_writes_as_it_goes),
		cmocka_unit_test(nothing_is_recorded_unasked),
		cmocka_unit_test(a_trace_that_cannot_be_made_is_told),
		cmocka_unit_test(a_full_disk_ends_the_trace),
		cmocka_unit_test(names_do_not_collide),
		cmocka_unit_test(a_forked_child_has_a_file_of_its_own),
		cmocka_unit_test(the_same_walk_faults_less),
		cmocka_unit_test(another_walk_is_left_alone),
		cmocka_unit_test(only_traces_are_replayed),
		cmocka_unit_test(pages_of_a_trace_are_not_trusted),
	};
	int r;

	if (!mkdtemp(folder))
		return 1;
	r = tp_main(argc, argv, "pager.trace", tests);
	return remove_folder() == 0 ? r : 1;
}
