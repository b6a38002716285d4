/* SPDX-License-Identifier: BSD-3-Clause */
/* The limit holds, content survives, and no page is sent without need. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libfar/pager/budget.h"

#define NR_THREADS 8
#define ROUNDS 2
#define BIG (4 * TP_LIMIT)
#define SLACK (2 * MIB)

/* --- a watcher of the footprint --------------------------------------------
 */

struct watcher {
	const struct tp *t;
	pthread_t thread;
	_Atomic bool stop;
	uint64_t raw_peak; /* the watcher's until it is joined */
	uint64_t peak;
	unsigned samples;
};

static uint64_t left_pages(const struct watcher *w)
{
	struct far_stats st = {.size = sizeof(st)};

	(void)far_stats_read(w->t->pager, &st);
	return st.evicted_pages + st.evict_aborted_pages;
}

/*
 * Reading smaps takes a while: a page that is counted may leave, and another
 * that took its frame be counted too.  What was counted is resident at the end
 * or has left meanwhile; so much may be taken off.
 */
static void *watch(void *arg)
{
	struct watcher *w = arg;

	while (!atomic_load(&w->stop)) {
		uint64_t before = left_pages(w);
		uint64_t now = tp_footprint(w->t->mem), left;

		left = (left_pages(w) - before) << FAR_PAGE_SHIFT;
		w->raw_peak = far_max_u64(w->raw_peak, now);
		w->peak = far_max_u64(w->peak, now > left ? now - left : 0);
		w->samples++;
		for (int i = 0; i < 4; i++)
			tp_pause();
	}
	return NULL;
}

static void watch_begin(struct watcher *w, const struct tp *t)
{
	memset(w, 0, sizeof(*w));
	w->t = t;
	assert_int_equal(pthread_create(&w->thread, NULL, watch, w), 0);
}

static void watch_end(struct watcher *w, uint64_t limit)
{
	atomic_store(&w->stop, true);
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	print_message("footprint: %llu KiB at most, %llu as read, in %u "
		      "samples\n",
		      (unsigned long long)w->peak >> 10,
		      (unsigned long long)w->raw_peak >> 10, w->samples);
	assert_true(w->samples > 10);
	/* The region is larger than the limit: it must have been in use. */
	assert_true(w->peak > limit / 4);
	assert_true(w->peak <= limit + SLACK);
}

/* --- threads that write and check -------------------------------------------
 */

struct part {
	struct tp *t;
	unsigned index, rounds;
	size_t wrong;
	pthread_t thread;
};

/* Each round rewrites every NR_THREADSth page and checks what was there. */
static void *work(void *arg)
{
	struct part *p = arg;
	uint64_t key = 0;

	for (unsigned r = 1; r <= p->rounds; r++) {
		uint64_t next = (uint64_t)r << 32;

		for (size_t pg = p->index; pg < PAGES(p->t->len);
		     pg += NR_THREADS) {
			if (!tp_same(p->t->mem, pg, key ? key + pg : 0)) {
				p->wrong++;
				return NULL;
			}
			tp_fill(p->t->mem, pg, next + pg);
		}
		key = next;
	}
	return NULL;
}

static void run_threads(struct tp *t, unsigned rounds)
{
	struct part parts[NR_THREADS];

	for (unsigned i = 0; i < NR_THREADS; i++) {
		parts[i] = (struct part){.t = t, .index = i, .rounds = rounds};
		assert_int_equal(
			pthread_create(&parts[i].thread, NULL, work, &parts[i]),
			0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		assert_int_equal(pthread_join(parts[i].thread, NULL), 0);
		assert_int_equal(parts[i].wrong, 0);
	}
}

static void limit_under(const char *conf)
{
	struct tp t = tp_open(conf, BIG);
	struct far_stats st;
	struct watcher w;

	watch_begin(&w, &t);
	run_threads(&t, ROUNDS);
	watch_end(&w, TP_LIMIT);
	assert_int_equal(tp_same_all(t.mem, t.len, (uint64_t)ROUNDS << 32), 0);
	st = tp_stats(t.pager);
	assert_int_equal(st.limit_bytes, TP_LIMIT);
	assert_int_equal(st.mapped_bytes, BIG);
	assert_true(st.local_peak_bytes <= TP_LIMIT);
	assert_true(st.local_bytes <= st.local_peak_bytes);
	assert_true(st.overhead_bytes < TP_LIMIT / 2);
	assert_true(st.faults_zero >= PAGES(BIG));
	assert_true(st.faults_remote > 0 && st.evicted_pages > 0);
	assert_true(st.fetched_bytes >= st.faults_remote * FAR_PAGE_SIZE);
	assert_int_equal(st.lost_pages, 0);
	tp_close(&t);
}

static void limit_holds_with_many_threads(void **state)
{
	(void)state;
	limit_under("lazy=off");
}

static void limit_holds_with_more_evictors_and_monitors(void **state)
{
	(void)state;
	limit_under("evictors=2;monitors=2;batch=32");
}

static void limit_holds_under_each_policy(void **state)
{
	(void)state;
	limit_under("policy=fifo");
	limit_under("policy=s3fifo");
}

static void limit_holds_when_pages_compress(void **state)
{
	(void)state;
	limit_under("far=lz4:256M");
}

/* --- content of first touches and of zeros -------------------------------- */

static void first_touch_reads_zeros(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);

	(void)state;
	assert_int_equal(tp_same_all(t.mem, t.len, 0), 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 0), 0);
	tp_close(&t);
}

static void zero_pages_are_never_sent(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	struct far_stats st;

	(void)state;
	for (unsigned round = 0; round < 2; round++)
		tp_fill_all(t.mem, t.len, 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 0), 0);
	st = tp_stats(t.pager);
	assert_true(st.evicted_pages >= PAGES(BIG));
	assert_int_equal(st.written_bytes, 0);
	assert_int_equal(st.fetched_bytes, 0);
	assert_int_equal(st.evicted_zero_pages, st.evicted_pages);
	tp_close(&t);
}

static void page_that_becomes_zero_reads_zeros(void **state)
{
	struct tp t = tp_open("", BIG);

	(void)state;
	tp_fill_all(t.mem, t.len, 7);
	assert_true(TP_STAT(t.pager, written_bytes) > 0);
	tp_fill_all(t.mem, t.len, 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 0), 0);
	tp_close(&t);
}

/* Two rounds of reading, and nothing to write from the second on. */
static void clean_pages_are_dropped_not_written(void **state)
{
	struct tp t = tp_open("", BIG);
	struct far_stats a, b;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	/* What is dirty still has to go once. */
	assert_int_equal(far_flush(t.pager, t.mem, t.len), 0);
	a = tp_stats(t.pager);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	b = tp_stats(t.pager);
	assert_int_equal(b.written_bytes, a.written_bytes);
	assert_true(b.evicted_clean_pages >=
		    a.evicted_clean_pages + PAGES(BIG - TP_LIMIT));
	assert_true(b.fetched_bytes >= a.fetched_bytes + (BIG - TP_LIMIT));
	tp_close(&t);
}

/* One page rewritten costs one page sent, and is not lost as "clean". */
static void rewritten_page_is_sent_again(void **state)
{
	struct tp t = tp_open("", BIG);

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	for (size_t pg = 0; pg < PAGES(BIG); pg += 16) {
		/* read first: it arrives clean and write-protected */
		assert_true(tp_same(t.mem, pg, 1 + pg));
		tp_fill(t.mem, pg, 1000000 + pg);
	}
	assert_true(TP_STAT(t.pager, faults_write_protect) > 0);
	for (unsigned round = 0; round < 2; round++)
		for (size_t pg = 0; pg < PAGES(BIG); pg++)
			assert_true(tp_same(t.mem, pg,
					    (pg % 16 ? 1 : 1000000) + pg));
	tp_close(&t);
}

/* --- changing the limit ----------------------------------------------------
 */

struct churn {
	struct tp *t;
	_Atomic bool stop;
	size_t wrong;
	uint64_t touched;
	pthread_t thread;
};

static void *churn(void *arg)
{
	struct churn *c = arg;

	for (size_t pg = 0; !atomic_load(&c->stop); pg++) {
		size_t at = pg % PAGES(c->t->len);

		c->wrong += !tp_same(c->t->mem, at, 5 + at);
		c->touched++;
	}
	return NULL;
}

static void limit_moves_while_running(void **state)
{
	static const size_t limits[] = {48 * MIB, 16 * MIB, 40 * MIB, 20 * MIB};
	struct tp t = tp_open("local=32M", BIG);
	struct churn c = {.t = &t};

	(void)state;
	tp_fill_all(t.mem, t.len, 5);
	assert_int_equal(pthread_create(&c.thread, NULL, churn, &c), 0);
	for (size_t i = 0; i < FAR_ARRAY_SIZE(limits); i++) {
		size_t limit = limits[i];

		assert_int_equal(far_set_limit(t.pager, limit), 0);
		assert_int_equal(TP_STAT(t.pager, limit_bytes), limit);
		TP_WAIT(TP_STAT(t.pager, local_bytes) <= limit, 5);
		TP_WAIT(tp_footprint(t.mem) <= limit + SLACK, 5);
		/* the evictor keeps a reserve; the rest must come into use */
		TP_WAIT(TP_STAT(t.pager, local_bytes) >= limit - limit / 4, 5);
	}
	atomic_store(&c.stop, true);
	assert_int_equal(pthread_join(c.thread, NULL), 0);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 5), 0);
	assert_int_equal(far_set_limit(t.pager, 16 * MIB - 4096), -EINVAL);
	assert_int_equal(TP_STAT(t.pager, limit_bytes), 20 * MIB);
	tp_close(&t);
}

/* Who shares the limit with nobody gives up pages before the last frame is
 * gone: otherwise every fault near the end calls an evictor in vain. */
static void budget_of_one_keeps_its_reserve(void **state)
{
	const size_t reserve = 32 * FAR_PAGE_SIZE;
	char path[64], conf[128];
	struct tp t;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/far-test-budget.%d",
		       (int)getpid());
	(void)snprintf(conf, sizeof(conf), "lazy=off;budget=%s", path);
	assert_int_equal(far_budget_create(path, PAGES(TP_LIMIT)), 0);
	t = tp_open(conf, BIG);
	tp_fill_all(t.mem, t.len, 1);
	TP_WAIT(TP_STAT(t.pager, local_bytes) <= TP_LIMIT - reserve, 5);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	tp_close(&t);
	assert_int_equal(unlink(path), 0);
}

/* Another process has more than its part, and nothing that could give it up:
 * faults here must not wait for it. */
static void member_that_cannot_give_is_not_waited_for(void **state)
{
	char path[64], conf[128];
	struct tp idle, t;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/far-test-budget.%d",
		       (int)getpid());
	assert_int_equal(far_budget_create(path, PAGES(TP_LIMIT)), 0);
	(void)snprintf(conf, sizeof(conf), "budget=%s", path);
	idle = tp_open(conf, 9 * MIB);
	tp_fill_all(idle.mem, idle.len, 2);
	assert_int_equal(TP_STAT(idle.pager, is_armed), 0);
	(void)snprintf(conf, sizeof(conf), "on_loss=wait:1s;budget=%s", path);
	t = tp_open(conf, 2 * TP_LIMIT);
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	assert_int_equal(TP_STAT(t.pager, lost_pages), 0);
	assert_int_equal(TP_STAT(idle.pager, is_armed), 0);
	assert_int_equal(tp_same_all(idle.mem, idle.len, 2), 0);
	tp_close(&t);
	tp_close(&idle);
	assert_int_equal(unlink(path), 0);
}

/* It ends as processes do that know nothing of us. */
static int take_and_end(void *arg)
{
	struct far_pager *pager;
	void *mem;

	if (tp_try(arg, &pager) < 0 || far_map(pager, 9 * MIB, 0, &mem) < 0)
		return 1;
	return 0;
}

/* What those who are gone had handed out is no reason to intercept. */
static void members_that_ended_take_no_room(void **state)
{
	char path[64], conf[128];
	struct tp t;
	void *mem;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/far-test-budget.%d",
		       (int)getpid());
	(void)snprintf(conf, sizeof(conf), "budget=%s", path);
	assert_int_equal(far_budget_create(path, PAGES(TP_LIMIT)), 0);
	t = tp_open(conf, 0);
	assert_int_equal(tp_in_child(take_and_end, conf), 0);
	assert_int_equal(far_map(t.pager, 9 * MIB, 0, &mem), 0);
	assert_int_equal(TP_STAT(t.pager, is_armed), 0);
	tp_close(&t);
	assert_int_equal(unlink(path), 0);
}

/* --- lazy arming -------------------------------------------------------------
 */

static void nothing_is_intercepted_while_it_fits(void **state)
{
	struct tp t = tp_open("local=64M", 16 * MIB);
	struct watcher w;
	struct far_stats st;
	void *more;

	(void)state;
	tp_fill_all(t.mem, t.len, 3);
	st = tp_stats(t.pager);
	assert_int_equal(st.is_armed, 0);
	assert_int_equal(st.faults_missing, 0);
	assert_int_equal(tp_resident(t.mem, t.len), PAGES(t.len));
	assert_int_equal(far_map(t.pager, 128 * MIB, 0, &more), 0);
	st = tp_stats(t.pager);
	assert_int_equal(st.is_armed, 1);
	assert_true(st.local_bytes <= 64 * MIB);
	assert_true(st.local_peak_bytes <= 64 * MIB);
	watch_begin(&w, &t);
	tp_fill_all(more, 128 * MIB, 4);
	assert_int_equal(tp_same_all(t.mem, t.len, 3), 0);
	assert_int_equal(tp_same_all(more, 128 * MIB, 4), 0);
	watch_end(&w, 64 * MIB);
	st = tp_stats(t.pager);
	assert_true(st.evicted_pages > 0);
	assert_true(st.local_peak_bytes <= 64 * MIB);
	tp_close(&t);
}

/* Full to the brim with pages touched before: arming must adopt them all. */
static void arming_when_full_keeps_the_limit(void **state)
{
	struct tp t = tp_open("local=32M", 24 * MIB);
	void *more;

	(void)state;
	tp_fill_all(t.mem, t.len, 3);
	assert_int_equal(TP_STAT(t.pager, is_armed), 0);
	assert_int_equal(far_map(t.pager, 64 * MIB, 0, &more), 0);
	assert_true(TP_STAT(t.pager, local_peak_bytes) <= 32 * MIB);
	tp_fill_all(more, 64 * MIB, 4);
	assert_int_equal(tp_same_all(t.mem, t.len, 3), 0);
	assert_int_equal(tp_same_all(more, 64 * MIB, 4), 0);
	assert_true(TP_STAT(t.pager, local_peak_bytes) <= 32 * MIB);
	tp_close(&t);
}

static void *write_one(void *arg)
{
	struct churn *c = arg;

	for (uint64_t key = 1; !atomic_load(&c->stop); key++) {
		for (size_t pg = 0; pg < PAGES(c->t->len); pg++) {
			c->wrong += key > 1 &&
				    !tp_same(c->t->mem, pg, key - 1 + pg);
			tp_fill(c->t->mem, pg, key + pg);
		}
		c->touched = key;
	}
	return NULL;
}

static void arming_while_threads_write(void **state)
{
	struct tp t = tp_open("local=32M", 8 * MIB);
	struct churn c = {.t = &t};
	void *more;

	(void)state;
	assert_int_equal(pthread_create(&c.thread, NULL, write_one, &c), 0);
	TP_WAIT(tp_resident(t.mem, t.len) == PAGES(t.len), 5);
	assert_int_equal(far_map(t.pager, 96 * MIB, 0, &more), 0);
	tp_fill_all(more, 96 * MIB, 9);
	atomic_store(&c.stop, true);
	assert_int_equal(pthread_join(c.thread, NULL), 0);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(tp_same_all(t.mem, t.len, c.touched), 0);
	assert_int_equal(tp_same_all(more, 96 * MIB, 9), 0);
	tp_close(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_holds_with_many_threads),
		cmocka_unit_test(limit_holds_with_more_evictors_and_monitors),
		cmocka_unit_test(limit_holds_under_each_policy),
		cmocka_unit_test(limit_holds_when_pages_compress),
		cmocka_unit_test(first_touch_reads_zeros),
		cmocka_unit_test(zero_pages_are_never_sent),
		cmocka_unit_test(page_that_becomes_zero_reads_zeros),
		cmocka_unit_test(clean_pages_are_dropped_not_written),
		cmocka_unit_test(rewritten_page_is_sent_again),
		cmocka_unit_test(limit_moves_while_running),
		cmocka_unit_test(budget_of_one_keeps_its_reserve),
		cmocka_unit_test(members_that_ended_take_no_room),
		cmocka_unit_test(member_that_cannot_give_is_not_waited_for),
		cmocka_unit_test(nothing_is_intercepted_while_it_fits),
		cmocka_unit_test(arming_when_full_keeps_the_limit),
		cmocka_unit_test(arming_while_threads_write),
	};

	return tp_main(argc, argv, "pager.limit", tests);
}
