/* SPDX-License-Identifier: BSD-3-Clause */
/* What far_advise(), far_flush(), far_unmap() and far_map() promise. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BIG (4 * TP_LIMIT)

/* Walks all of it, so that the pages of others have to leave. */
struct pressure {
	char *mem;
	size_t len;
	size_t wrong;
	pthread_t thread;
	_Atomic bool stop;
};

static void *press(void *arg)
{
	struct pressure *pr = arg;

	for (uint64_t key = 1; !atomic_load(&pr->stop); key++)
		for (size_t pg = 0;
		     pg < PAGES(pr->len) && !atomic_load(&pr->stop); pg++) {
			tp_fill(pr->mem, pg, key + pg);
			pr->wrong += !tp_same(pr->mem, pg, key + pg);
		}
	return NULL;
}

static void press_begin(struct pressure *pr, char *mem, size_t len)
{
	memset(pr, 0, sizeof(*pr));
	pr->mem = mem;
	pr->len = len;
	assert_int_equal(pthread_create(&pr->thread, NULL, press, pr), 0);
}

static void press_end(struct pressure *pr)
{
	atomic_store(&pr->stop, true);
	assert_int_equal(pthread_join(pr->thread, NULL), 0);
	assert_int_equal(pr->wrong, 0);
}

/* --- discard -------------------------------------------------------------- */

static void discarded_pages_read_zeros(void **state)
{
	struct tp t = tp_open("", BIG);
	struct far_stats st;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(far_advise(t.pager, t.mem, t.len, FAR_ADV_DISCARD), 0);
	st = tp_stats(t.pager);
	assert_int_equal(st.discarded_pages, PAGES(BIG));
	assert_int_equal(tp_resident(t.mem, t.len), 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 0), 0);
	tp_close(&t);
}

static void discard_gives_local_memory_back(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	uint64_t empty = TP_STAT(t.pager, local_bytes);

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(far_advise(t.pager, t.mem, t.len, FAR_ADV_DISCARD), 0);
	TP_WAIT(TP_STAT(t.pager, local_bytes) == empty, 5);
	TP_WAIT(TP_STAT(t.pager, remote_bytes) == 0, 5);
	TP_WAIT(TP_STAT(t.pager, store_used_bytes) == 0, 5);
	tp_close(&t);
}

/*
 * The page is discarded and used again at once, while evictors are busy with
 * it and its neighbours: no old content and nothing written later may be lost.
 */
static void discard_then_write_under_eviction(void **state)
{
	const size_t own = 256, rounds = 400;
	struct tp t = tp_open("lazy=off", BIG);
	struct pressure pr;
	size_t wrong = 0;

	(void)state;
	press_begin(&pr, t.mem + own * FAR_PAGE_SIZE,
		    t.len - own * FAR_PAGE_SIZE);
	for (size_t r = 1; r <= rounds && !wrong; r++) {
		for (size_t pg = 0; pg < own; pg++)
			tp_fill(t.mem, pg, r * 1000 + pg);
		/* all of them on their way out at about this time */
		assert_int_equal(far_advise(t.pager, t.mem, own * FAR_PAGE_SIZE,
					    FAR_ADV_COLD),
				 0);
		for (size_t pg = 0; pg < own; pg++) {
			char *page = t.mem + pg * FAR_PAGE_SIZE;

			assert_int_equal(far_advise(t.pager, page,
						    FAR_PAGE_SIZE,
						    FAR_ADV_DISCARD),
					 0);
			if ((r + pg) % 2)
				wrong += !tp_same(t.mem, pg, 0);
			tp_fill(t.mem, pg, r * 2000 + pg);
		}
		for (size_t pg = 0; pg < own; pg++)
			wrong += !tp_same(t.mem, pg, r * 2000 + pg);
	}
	press_end(&pr);
	assert_int_equal(wrong, 0);
	tp_close(&t);
}

/* --- unmap and map ---------------------------------------------------------
 */

static void remapped_range_reads_zeros(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 8 * MIB;
	struct pressure pr;
	uint64_t mapped = TP_STAT(t.pager, mapped_bytes);

	(void)state;
	press_begin(&pr, t.mem, t.len);
	for (uint64_t r = 1; r <= 12; r++) {
		void *mem;

		assert_int_equal(far_map(t.pager, len, 0, &mem), 0);
		assert_int_equal(tp_same_all(mem, len, 0), 0);
		tp_fill_all(mem, len, r << 20);
		assert_int_equal(tp_same_all(mem, len, r << 20), 0);
		assert_int_equal(far_unmap(t.pager, mem, len), 0);
	}
	press_end(&pr);
	assert_int_equal(TP_STAT(t.pager, mapped_bytes), mapped);
	tp_close(&t);
}

static void part_of_a_mapping_can_go(void **state)
{
	struct tp t = tp_open("", BIG);
	const size_t hole = 4 * MIB, at = 20 * MIB;
	void *mem;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(far_unmap(t.pager, t.mem + at, hole), 0);
	assert_int_equal(far_unmap(t.pager, t.mem + at, hole), -EINVAL);
	assert_int_equal(far_unmap(t.pager, t.mem, t.len), -EINVAL);
	assert_int_equal(TP_STAT(t.pager, mapped_bytes), BIG - hole);
	assert_int_equal(far_map(t.pager, hole, 0, &mem), 0);
	assert_ptr_equal(mem, t.mem + at); /* lowest gap that fits */
	assert_int_equal(tp_same_all(mem, hole, 0), 0);
	for (size_t pg = 0; pg < PAGES(BIG); pg++)
		if (pg < PAGES(at) || pg >= PAGES(at + hole))
			assert_true(tp_same(t.mem, pg, 1 + pg));
	tp_close(&t);
}

/* --- pins ----------------------------------------------------------------- */

static void pinned_pages_stay(void **state)
{
	struct tp t = tp_open("", BIG);
	const size_t len = 4 * MIB;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	/* pinning fetches what has left */
	assert_true(tp_resident(t.mem, len) < PAGES(len));
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_PIN), 0);
	assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	for (int round = 0; round < 3; round++) {
		assert_int_equal(
			tp_same_all(t.mem + len, t.len - len, 1 + PAGES(len)),
			0);
		assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	}
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_UNPIN), 0);
	for (int round = 0; round < 2; round++)
		assert_int_equal(
			tp_same_all(t.mem + len, t.len - len, 1 + PAGES(len)),
			0);
	assert_true(tp_resident(t.mem, len) < PAGES(len));
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	tp_close(&t);
}

static void pins_count(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 1 * MIB;

	(void)state;
	tp_fill_all(t.mem, len, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_PIN),
				 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_UNPIN),
				 0);
	tp_fill_all(t.mem + len, t.len - len, 9); /* one pin is left */
	assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_UNPIN), 0);
	tp_fill_all(t.mem + len, t.len - len, 10);
	assert_true(tp_resident(t.mem, len) < PAGES(len));
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	tp_close(&t);
}

static void pins_end_at_half_the_limit(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);

	(void)state;
	assert_int_equal(
		far_advise(t.pager, t.mem, TP_LIMIT / 2 + 4096, FAR_ADV_PIN),
		-EDQUOT);
	/* what a refused call pinned is unpinned again, to the page */
	assert_int_equal(far_advise(t.pager, t.mem, TP_LIMIT / 2, FAR_ADV_PIN),
			 0);
	assert_int_equal(far_advise(t.pager, t.mem, 4096, FAR_ADV_PIN), 0);
	assert_int_equal(
		far_advise(t.pager, t.mem + TP_LIMIT / 2, 4096, FAR_ADV_PIN),
		-EDQUOT);
	assert_int_equal(
		far_advise(t.pager, t.mem, TP_LIMIT / 2, FAR_ADV_UNPIN), 0);
	assert_int_equal(far_advise(t.pager, t.mem, 4096, FAR_ADV_UNPIN), 0);
	assert_int_equal(far_advise(t.pager, t.mem + TP_LIMIT / 2, TP_LIMIT / 2,
				    FAR_ADV_PIN),
			 0);
	/* a pinned page that is unmapped is not counted any more */
	assert_int_equal(far_unmap(t.pager, t.mem + TP_LIMIT / 2, TP_LIMIT / 2),
			 0);
	assert_int_equal(far_advise(t.pager, t.mem, TP_LIMIT / 2, FAR_ADV_PIN),
			 0);
	tp_close(&t);
}

/* --- prefetch and cold -----------------------------------------------------
 */

static void willneed_brings_pages_in(void **state)
{
	struct tp t = tp_open("", BIG);
	const size_t len = 1 * MIB;
	struct far_stats a, b;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_true(tp_evict(t.pager, t.mem, len));
	/* frames are needed for pages that nobody has asked for */
	assert_int_equal(far_advise(t.pager, t.mem + 32 * MIB, 32 * MIB,
				    FAR_ADV_DISCARD),
			 0);
	a = tp_stats(t.pager);
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_WILLNEED), 0);
	TP_WAIT(tp_resident(t.mem, len) == PAGES(len), 5);
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	b = tp_stats(t.pager);
	assert_int_equal(b.prefetched_pages - a.prefetched_pages, PAGES(len));
	assert_int_equal(b.faults_remote, a.faults_remote);
	tp_close(&t);
}

static void cold_pages_leave(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 2 * MIB;

	(void)state;
	tp_fill_all(t.mem, 2 * len, 1); /* far from the limit */
	assert_int_equal(tp_resident(t.mem, 2 * len), PAGES(2 * len));
	assert_true(tp_evict(t.pager, t.mem, len));
	assert_int_equal(tp_resident(t.mem + len, len), PAGES(len));
	assert_int_equal(tp_same_all(t.mem, 2 * len, 1), 0);
	tp_close(&t);
}

static void sequential_reads_fetch_ahead(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 4 * MIB;
	struct far_stats a, b;

	(void)state;
	tp_fill_all(t.mem, len, 1);
	assert_true(tp_evict(t.pager, t.mem, len));
	TP_WAIT(TP_STAT(t.pager, evicted_pages) == PAGES(len), 5);
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_RANDOM), 0);
	a = tp_stats(t.pager);
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	b = tp_stats(t.pager);
	assert_int_equal(b.prefetched_pages, a.prefetched_pages);
	assert_int_equal(b.faults_remote - a.faults_remote, PAGES(len));
	assert_true(tp_evict(t.pager, t.mem, len));
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_SEQUENTIAL),
			 0);
	a = tp_stats(t.pager);
	for (size_t pg = 0; pg < PAGES(len); pg++) {
		/* a reader that does something with what it reads */
		assert_true(tp_same(t.mem, pg, 1 + pg));
		if (pg % 16 == 0)
			TP_WAIT(tp_resident(t.mem + pg * FAR_PAGE_SIZE,
					    16 * FAR_PAGE_SIZE) == 16,
				5);
	}
	/* counted when they have been installed */
	TP_WAIT(TP_STAT(t.pager, prefetched_pages) - a.prefetched_pages >=
			PAGES(len) * 15 / 16,
		5);
	b = tp_stats(t.pager);
	assert_true(b.faults_remote - a.faults_remote <= PAGES(len) / 16);
	tp_close(&t);
}

/* One touch a group, in the middle: one fault, and the others are there. */
static void touch_groups(struct far_pager *p, char *mem, size_t len,
			 size_t group)
{
	struct far_stats a = tp_stats(p), b;

	for (size_t at = 0; at < len; at += group) {
		(void)tp_touch(mem + at + group / 2);
		TP_WAIT(tp_resident(mem + at, group) == PAGES(group), 5);
	}
	b = tp_stats(p);
	assert_int_equal(b.faults_missing - a.faults_missing, len / group);
}

static void groups_come_whole(void **state)
{
	static const struct {
		enum far_advice advice;
		size_t bytes;
	} groups[] = {{FAR_ADV_GROUP_16K, 16 << 10},
		      {FAR_ADV_GROUP_64K, 64 << 10}};
	const size_t len = 2 * MIB;

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(groups); i++) {
		struct tp t = tp_open("lazy=off", BIG);
		char *mem;
		void *p;

		assert_int_equal(far_map(t.pager, len, 64 << 10, &p), 0);
		mem = p;
		assert_int_equal(
			far_advise(t.pager, mem, len, groups[i].advice), 0);
		touch_groups(t.pager, mem, len, groups[i].bytes); /* zeros */
		tp_fill_all(mem, len, 1);
		assert_true(tp_evict(t.pager, mem, len));
		touch_groups(t.pager, mem, len, groups[i].bytes); /* far */
		assert_int_equal(tp_same_all(mem, len, 1), 0);
		/* ended by other advice */
		assert_int_equal(far_advise(t.pager, mem, len, FAR_ADV_RANDOM),
				 0);
		assert_true(tp_evict(t.pager, mem, len));
		(void)tp_touch(mem);
		assert_int_equal(tp_resident(mem, groups[i].bytes), 1);
		tp_close(&t);
	}
}

/* --- flush ---------------------------------------------------------------- */

static void flushed_pages_stay_and_drop_clean(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 4 * MIB;
	struct far_stats a, b;

	(void)state;
	tp_fill_all(t.mem, len, 1);
	assert_int_equal(far_flush(t.pager, t.mem, len), 0);
	assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	a = tp_stats(t.pager);
	assert_int_equal(a.written_bytes, len);
	assert_int_equal(far_flush(t.pager, t.mem, len), 0);
	assert_int_equal(TP_STAT(t.pager, written_bytes), len);
	assert_true(tp_evict(t.pager, t.mem, len));
	TP_WAIT(TP_STAT(t.pager, evicted_pages) == PAGES(len), 5);
	b = tp_stats(t.pager);
	assert_int_equal(b.written_bytes, len);
	assert_int_equal(b.evicted_clean_pages, PAGES(len));
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	tp_close(&t);
}

static void write_after_flush_is_kept(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 2 * MIB;

	(void)state;
	for (uint64_t r = 1; r <= 5; r++) {
		tp_fill_all(t.mem, len, r * 10000);
		assert_int_equal(far_flush(t.pager, t.mem, len), 0);
		tp_fill_all(t.mem, len, r * 20000);
		assert_true(tp_evict(t.pager, t.mem, len));
		assert_int_equal(tp_same_all(t.mem, len, r * 20000), 0);
	}
	tp_close(&t);
}

/* Writers go on while pages are flushed under them. */
static void flush_under_writers_loses_nothing(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	struct pressure pr;

	(void)state;
	press_begin(&pr, t.mem, 6 * MIB);
	for (int i = 0; i < 30; i++)
		assert_int_equal(far_flush(t.pager, t.mem, 6 * MIB), 0);
	press_end(&pr);
	tp_close(&t);
}

static void unpin_during_flush_unpins(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	const size_t len = 2 * MIB;
	struct pressure pr;

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_PIN),
				 0);
		press_begin(&pr, t.mem, len);
		assert_int_equal(far_flush(t.pager, t.mem, len), 0);
		press_end(&pr);
		assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_UNPIN),
				 0);
	}
	assert_true(tp_evict(t.pager, t.mem, len));
	tp_close(&t);
}

struct flusher {
	struct tp *t;
	size_t len;
	_Atomic bool stop;
	int result;
	pthread_t thread;
};

static void *flush_loop(void *arg)
{
	struct flusher *f = arg;

	while (!atomic_load(&f->stop) && f->result == 0)
		f->result = far_flush(f->t->pager, f->t->mem, f->len);
	return NULL;
}

/* Pins, unpins and discards of pages that are being flushed all count. */
static void pins_and_discards_while_flushing(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	struct flusher f = {.t = &t, .len = 1 * MIB};
	size_t wrong = 0;

	(void)state;
	assert_int_equal(pthread_create(&f.thread, NULL, flush_loop, &f), 0);
	for (uint64_t r = 1; r <= 40; r++) {
		for (size_t pg = 0; pg < PAGES(f.len); pg++) {
			char *at = t.mem + pg * FAR_PAGE_SIZE;

			tp_fill(t.mem, pg, r * 7 + pg);
			assert_int_equal(
				far_advise(t.pager, at, 4096, FAR_ADV_PIN), 0);
			wrong += !tp_same(t.mem, pg, r * 7 + pg);
			assert_int_equal(
				far_advise(t.pager, at, 4096, FAR_ADV_UNPIN),
				0);
			assert_int_equal(
				far_advise(t.pager, at, 4096, FAR_ADV_DISCARD),
				0);
			tp_fill(t.mem, pg, r * 9 + pg);
			wrong += !tp_same(t.mem, pg, r * 9 + pg);
		}
		for (size_t pg = 0; pg < PAGES(f.len); pg++)
			wrong += !tp_same(t.mem, pg, r * 9 + pg);
	}
	atomic_store(&f.stop, true);
	assert_int_equal(pthread_join(f.thread, NULL), 0);
	assert_int_equal(f.result, 0);
	assert_int_equal(wrong, 0);
	assert_true(tp_evict(t.pager, t.mem, f.len));
	tp_close(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(discarded_pages_read_zeros),
		cmocka_unit_test(discard_gives_local_memory_back),
		cmocka_unit_test(discard_then_write_under_eviction),
		cmocka_unit_test(remapped_range_reads_zeros),
		cmocka_unit_test(part_of_a_mapping_can_go),
		cmocka_unit_test(pinned_pages_stay),
		cmocka_unit_test(pins_count),
		cmocka_unit_test(pins_end_at_half_the_limit),
		cmocka_unit_test(willneed_brings_pages_in),
		cmocka_unit_test(cold_pages_leave),
		cmocka_unit_test(sequential_reads_fetch_ahead),
		cmocka_unit_test(groups_come_whole),
		cmocka_unit_test(flushed_pages_stay_and_drop_clean),
		cmocka_unit_test(write_after_flush_is_kept),
		cmocka_unit_test(flush_under_writers_loses_nothing),
		cmocka_unit_test(unpin_during_flush_unpins),
		cmocka_unit_test(pins_and_discards_while_flushing),
	};

	return tp_main(argc, argv, "pager.advice", tests);
}
