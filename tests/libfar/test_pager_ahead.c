/* SPDX-License-Identifier: BSD-3-Clause */
/* What the pager does before it is asked: pages that come along with others,
 * or arrive writable. */
#include "tests/libfar/test_pager_support.h"

#define LEN (4 * MIB)

static struct tp open_kind(bool is_inline)
{
	struct tp t = tp_open("lazy=off", 0);
	void *mem;
	int r = is_inline ? far_map_inline(t.pager, LEN, 0, &mem)
			  : far_map(t.pager, LEN, 0, &mem);

	assert_int_equal(r, 0);
	t.mem = mem;
	t.len = LEN;
	return t;
}

static void for_both_kinds(void (*fn)(struct tp *t))
{
	for (int is_inline = 0; is_inline < 2; is_inline++) {
		struct tp t = open_kind(is_inline);

		tp_fill_all(t.mem, LEN, 1);
		assert_true(tp_evict(t.pager, t.mem, LEN));
		fn(&t);
		assert_int_equal(TP_STAT(t.pager, lost_pages), 0);
		assert_int_equal(TP_STAT(t.pager, gone_pages), 0);
		tp_close(&t);
	}
}

static void read_in_steps(struct tp *t, size_t first, ptrdiff_t step)
{
	struct far_stats a = tp_stats(t->pager), b;
	size_t nr = 0;

	for (size_t pg = first; pg < PAGES(LEN); pg += (size_t)step, nr++)
		assert_true(tp_same(t->mem, pg, 1 + pg));
	b = tp_stats(t->pager);
	/* windows are small where the limit is */
	assert_true(b.faults_remote - a.faults_remote < nr / 3);
	assert_true(b.prefetch_useful_pages - a.prefetch_useful_pages > nr / 2);
	assert_true(b.prefetch_wasted_pages - a.prefetch_wasted_pages <= 32);
}

static void scan(struct tp *t)
{
	read_in_steps(t, 0, 1);
}

static void scan_down(struct tp *t)
{
	read_in_steps(t, PAGES(LEN) - 1, -1);
}

static void scan_in_strides(struct tp *t)
{
	read_in_steps(t, 2, 5);
}

static void scans_bring_pages_along(void **state)
{
	(void)state;
	for_both_kinds(scan);
	for_both_kinds(scan_down);
	for_both_kinds(scan_in_strides);
}

/* Each page once, in an order without streams. */
static size_t shuffled(size_t i)
{
	return i * 389 % PAGES(LEN);
}

static void read_at_random(struct tp *t)
{
	struct far_stats a = tp_stats(t->pager), b;

	for (size_t i = 0; i < PAGES(LEN); i += 2) {
		size_t pg = shuffled(shuffled(i) ^ i);

		assert_true(tp_same(t->mem, pg, 1 + pg));
	}
	b = tp_stats(t->pager);
	assert_true(b.prefetched_pages - a.prefetched_pages < PAGES(LEN) / 16);
}

static void random_reads_bring_nothing_along(void **state)
{
	(void)state;
	for_both_kinds(read_at_random);
}

/* Up to the middle: what came along behind it reads as zeros, and leaves so. */
static void first_touches_bring_pages_along(void **state)
{
	const size_t half = PAGES(LEN) / 2;

	(void)state;
	for (int is_inline = 0; is_inline < 2; is_inline++) {
		struct tp t = open_kind(is_inline);
		struct far_stats st;

		for (size_t pg = 0; pg < half; pg++)
			tp_fill(t.mem, pg, 1 + pg);
		st = tp_stats(t.pager);
		assert_true(st.faults_zero < half / 3);
		assert_true(st.prefetched_pages > half / 2);
		assert_true(tp_resident(t.mem, LEN) <= half + 32);
		assert_int_equal(tp_same_all(t.mem, LEN / 2, 1), 0);
		assert_true(tp_evict(t.pager, t.mem, LEN));
		assert_int_equal(tp_same_all(t.mem, LEN / 2, 1), 0);
		assert_int_equal(tp_same_all(t.mem + LEN / 2, LEN / 2, 0), 0);
		tp_close(&t);
	}
}

static void random_first_touches_bring_nothing_along(void **state)
{
	(void)state;
	for (int is_inline = 0; is_inline < 2; is_inline++) {
		struct tp t = open_kind(is_inline);

		for (size_t i = 0; i < PAGES(LEN); i += 2)
			tp_fill(t.mem, shuffled(shuffled(i) ^ i), 1);
		assert_true(TP_STAT(t.pager, prefetched_pages) <
			    PAGES(LEN) / 16);
		tp_close(&t);
	}
}

static void nothing_comes_along_where_it_is_off(void **state)
{
	struct tp t = tp_open("lazy=off;ahead=off", LEN);
	struct far_stats st;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		tp_fill_all(t.mem, LEN, 1);
		assert_true(tp_evict(t.pager, t.mem, LEN));
		assert_int_equal(tp_same_all(t.mem, LEN, 1), 0);
	}
	st = tp_stats(t.pager);
	assert_int_equal(st.prefetched_pages, 0);
	/* read, and then filled again */
	assert_int_equal(st.faults_write_protect, PAGES(LEN));
	tp_close(&t);
}

/* One fault in 16, by stages; a monitor's way is measured at the start. */
static void faults_are_timed(struct tp *t)
{
	struct far_stats st;

	read_at_random(t);
	TP_WAIT(TP_STAT(t->pager, deliver_ns) > 0, 5);
	st = tp_stats(t->pager);
	assert_in_range(st.sampled_faults, st.faults_remote / 32,
			st.faults_remote / 8);
	assert_true(st.sampled_lookup_ns > 0);
	assert_true(st.sampled_install_ns > 0);
	/* its backend answers at once, but not in no time */
	assert_true(st.sampled_fetch_ns > 0);
	assert_int_equal(st.sampled_frame_ns, 0);
	assert_true(st.fault_p50_ns > 0);
	assert_true(st.fault_p50_ns <= st.fault_p999_ns);
}

static void stages_add_up(void **state)
{
	(void)state;
	for_both_kinds(faults_are_timed);
}

/* Reads each page, and writes it then; write faults. */
static uint64_t modify_all(struct tp *t, uint64_t key)
{
	uint64_t before = TP_STAT(t->pager, faults_write_protect);

	for (size_t i = 0; i < PAGES(LEN); i++) {
		size_t pg = shuffled(i);

		assert_true(tp_same(t->mem, pg, key + pg));
		tp_fill(t->mem, pg, key + 1 + pg);
	}
	return TP_STAT(t->pager, faults_write_protect) - before;
}

static uint64_t read_all(struct tp *t, uint64_t key)
{
	struct far_stats a = tp_stats(t->pager), b;

	for (size_t i = 0; i < PAGES(LEN); i++)
		assert_true(tp_same(t->mem, shuffled(i), key + shuffled(i)));
	assert_true(tp_evict(t->pager, t->mem, LEN));
	b = tp_stats(t->pager);
	return b.written_bytes - a.written_bytes;
}

static void modify_then_read(struct tp *t)
{
	uint64_t key = 1, written;

	(void)modify_all(t, key++);
	assert_true(tp_evict(t->pager, t->mem, LEN));
	/* one in eight is looked at again */
	assert_true(modify_all(t, key++) < PAGES(LEN) / 4);
	assert_true(tp_evict(t->pager, t->mem, LEN));
	written = read_all(t, key);
	for (unsigned i = 0; i < 30; i++)
		written = read_all(t, key);
	assert_true(written < LEN / 8);
}

static void pages_that_were_written_arrive_writable(void **state)
{
	(void)state;
	for_both_kinds(modify_then_read);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scans_bring_pages_along),
		cmocka_unit_test(random_reads_bring_nothing_along),
		cmocka_unit_test(first_touches_bring_pages_along),
		cmocka_unit_test(random_first_touches_bring_nothing_along),
		cmocka_unit_test(nothing_comes_along_where_it_is_off),
		cmocka_unit_test(stages_add_up),
		cmocka_unit_test(pages_that_were_written_arrive_writable),
	};

	return tp_main(argc, argv, "pager.ahead", tests);
}
