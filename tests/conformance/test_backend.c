/* SPDX-License-Identifier: BSD-3-Clause */
/* What every backend and every stack of filters has to do; see far/backend.h */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/base/clock.h"
#include "tests/conformance/harness.h"
#include "tests/conformance/suite.h"

static struct harness harness;

static void print_log(void *ctx, enum far_log_level level, const char *msg)
{
	(void)ctx;
	(void)level;
	(void)fprintf(stderr, "%s\n", msg);
}

static int open_backend(void **state)
{
	static struct suite s;

	memset(&s, 0, sizeof(s));
	if (far_backend_open(harness.spec, print_log, NULL, &s.be))
		return -1;
	if (far_queue_open(s.be, DEPTH, &s.q))
		return -1;
	s.buf = aligned_alloc(FAR_PAGE_SIZE, DEPTH * FAR_PAGE_SIZE);
	s.caps = far_backend_caps(s.be);
	*state = &s;
	return s.buf ? 0 : -1;
}

static int close_backend(void **state)
{
	struct suite *s = *state;

	free(s->buf);
	far_queue_close(s->q);
	far_backend_close(s->be);
	return 0;
}

static uint64_t reserve(struct suite *s, uint64_t len)
{
	uint64_t off = UINT64_MAX;

	assert_int_equal(far_backend_reserve(s->be, len, &off), 0);
	assert_true(off % s->caps->align == 0);
	assert_true(off + len <= s->caps->capacity);
	return off;
}

static void write_page(struct suite *s, uint64_t off, uint64_t version)
{
	fill_page(s->buf, off, version);
	assert_int_equal(do_io(s->q, FAR_IO_WRITE, off, s->buf, PAGE), 0);
}

static void expect_page(struct suite *s, uint64_t off, uint64_t version)
{
	const void *peek;

	memset(s->buf, 0xee, PAGE);
	assert_int_equal(do_io(s->q, FAR_IO_READ, off, s->buf, PAGE), 0);
	assert_true(is_page(s->buf, off, version));
	peek = far_backend_peek(s->be, off, PAGE);
	assert_true(!peek || memcmp(peek, s->buf, PAGE) == 0);
}

static void expect_nothing(struct suite *s, uint64_t off)
{
	assert_int_equal(do_io(s->q, FAR_IO_READ, off, s->buf, PAGE), -ENODATA);
	assert_null(far_backend_peek(s->be, off, PAGE));
}

static void capabilities_are_sane(void **state)
{
	struct suite *s = *state;

	assert_true(s->caps->align >= 1 && s->caps->align <= PAGE);
	assert_int_equal(s->caps->align & (s->caps->align - 1), 0);
	assert_true(s->caps->capacity >= NR_SLOTS * PAGE);
	assert_true(s->caps->max_len >= PAGE);
	assert_true(s->caps->max_depth >= 1);
	if (s->caps->flags & FAR_CAP_SIGNAL_SAFE)
		assert_true(s->caps->flags & FAR_CAP_SYNC);
	if (s->caps->flags & FAR_CAP_SYNC)
		assert_int_equal(far_queue_event_fd(s->q), -EOPNOTSUPP);
	else
		assert_true(far_queue_event_fd(s->q) >= 0);
}

static void bad_requests_are_refused(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 4 * PAGE), end = s->caps->capacity;
	struct far_queue *q = s->q;

	assert_int_equal(do_io(q, FAR_IO_READ, off + 1, s->buf, PAGE), -EINVAL);
	assert_int_equal(do_io(q, FAR_IO_READ, off, s->buf, 0), -EINVAL);
	assert_int_equal(do_io(q, FAR_IO_READ, off, NULL, PAGE), -EINVAL);
	assert_int_equal(do_io(q, FAR_IO_WRITE, end, s->buf, PAGE), -EINVAL);
	assert_int_equal(
		do_io(q, FAR_IO_WRITE, UINT64_MAX - PAGE + 1, s->buf, PAGE),
		-EINVAL);
	assert_int_equal(do_io(q, (enum far_io_op)3, off, s->buf, PAGE),
			 -EINVAL);
	if (s->caps->max_len <= UINT32_MAX - PAGE)
		assert_int_equal(do_io(q, FAR_IO_WRITE, off, s->buf,
				       s->caps->max_len + (uint32_t)PAGE),
				 -EINVAL);
	/* The queue is none the worse. */
	write_page(s, off, 0);
	expect_page(s, off, 0);
}

static void what_is_not_reserved_is_refused(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 4 * PAGE);

	write_page(s, off, 0);
	assert_int_equal(far_backend_release(s->be, off, 4 * PAGE), 0);
	assert_true(do_io(s->q, FAR_IO_READ, off, s->buf, PAGE) < 0);
	assert_true(do_io(s->q, FAR_IO_WRITE, off, s->buf, PAGE) < 0);
	assert_true(far_backend_release(s->be, off, 4 * PAGE) < 0);
	assert_int_equal(far_backend_reserve(s->be, 0, &off), -EINVAL);
}

static void a_request_that_is_bad_ends_the_accepted_prefix(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 4 * PAGE);
	struct far_io io[3] = {0}, *done;
	unsigned i;

	for (i = 0; i < 3; i++) {
		io[i].off = off + i * PAGE + (i == 1);
		io[i].buf = s->buf + i * PAGE;
		io[i].len = (uint32_t)PAGE;
		io[i].op = FAR_IO_WRITE;
		io[i].next = i < 2 ? &io[i + 1] : NULL;
	}
	memset(s->buf, 1, 3 * PAGE);
	assert_int_equal(far_queue_submit(s->q, io, 3), 1);
	assert_int_equal(poll_some(s->q, &done, 1), 1);
	assert_ptr_equal(done, &io[0]);
	assert_int_equal(io[0].res, 0);
	assert_int_equal(far_queue_submit(s->q, &io[1], 1), -EINVAL);
	assert_int_equal(far_queue_poll(s->q, &done, 1), 0);
}

static void unwritten_is_enodata(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 8 * PAGE);

	write_page(s, off + 2 * PAGE, 0);
	expect_nothing(s, off);
	expect_nothing(s, off + PAGE);
	expect_nothing(s, off + 3 * PAGE);
	if (s->caps->max_len >= 2 * PAGE)
		assert_int_equal(do_io(s->q, FAR_IO_READ, off + 2 * PAGE,
				       s->buf, 2 * (uint32_t)PAGE),
				 -ENODATA);
	expect_page(s, off + 2 * PAGE, 0);
}

static void a_write_is_read_back_and_overwritten(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 4 * PAGE), v;

	for (v = 0; v < 12; v++) {
		write_page(s, off + PAGE, v);
		expect_page(s, off + PAGE, v);
		expect_page(s, off + PAGE, v);
	}
}

static void long_transfers_hold_together(void **state)
{
	struct suite *s = *state;
	uint64_t n = far_min_u64(s->caps->max_len / PAGE, DEPTH), i;
	uint64_t off = reserve(s, n * PAGE);

	for (i = 0; i < n; i++)
		fill_page(s->buf + i * PAGE, off + i * PAGE, i);
	assert_int_equal(
		do_io(s->q, FAR_IO_WRITE, off, s->buf, (uint32_t)(n * PAGE)),
		0);
	memset(s->buf, 0, n * PAGE);
	assert_int_equal(
		do_io(s->q, FAR_IO_READ, off, s->buf, (uint32_t)(n * PAGE)), 0);
	for (i = 0; i < n; i++)
		assert_true(is_page(s->buf + i * PAGE, off + i * PAGE, i));
	assert_int_equal(
		do_io(s->q, FAR_IO_DISCARD, off, NULL, (uint32_t)(n * PAGE)),
		0);
	for (i = 0; i < n; i++)
		expect_nothing(s, off + i * PAGE);
}

static void unaligned_buffers_are_fine(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, PAGE);
	char *odd = s->buf + 24;

	fill_page(odd, off, 1);
	assert_int_equal(do_io(s->q, FAR_IO_WRITE, off, odd, PAGE), 0);
	expect_page(s, off, 1);
	assert_int_equal(do_io(s->q, FAR_IO_READ, off, odd, PAGE), 0);
	assert_true(is_page(odd, off, 1));
}

static void discarded_is_enodata_and_writable_again(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 128 * PAGE), i;

	for (i = 0; i < 128; i++)
		write_page(s, off + i * PAGE, i);
	for (i = 0; i < 128; i++) {
		if (i % 5 != 0)
			assert_int_equal(do_io(s->q, FAR_IO_DISCARD,
					       off + i * PAGE, NULL, PAGE),
					 0);
	}
	for (i = 0; i < 128; i++) {
		if (i % 5 != 0)
			expect_nothing(s, off + i * PAGE);
		else
			expect_page(s, off + i * PAGE, i);
	}
	write_page(s, off + 7 * PAGE, 1);
	expect_page(s, off + 7 * PAGE, 1);
	/* What holds nothing may be discarded. */
	assert_int_equal(
		do_io(s->q, FAR_IO_DISCARD, off + 8 * PAGE, NULL, PAGE), 0);
}

static void every_request_completes_exactly_once(void **state)
{
	struct suite *s = *state;
	unsigned nr = s->q->depth < DEPTH ? s->q->depth : DEPTH, got = 0, i;
	uint64_t off = reserve(s, nr * PAGE);
	struct far_io io[DEPTH] = {0}, *done[DEPTH];
	unsigned seen[DEPTH] = {0};
	int n, k;

	for (i = 0; i < nr; i++) {
		io[i].off = off + i * PAGE;
		io[i].buf = s->buf + i * PAGE;
		io[i].len = (uint32_t)PAGE;
		io[i].op = FAR_IO_WRITE;
		io[i].next = i + 1 < nr ? &io[i + 1] : NULL;
		io[i].res = 1;
		fill_page(io[i].buf, io[i].off, i);
	}
	for (i = 0; i < nr; i += (unsigned)n) {
		n = far_queue_submit(s->q, &io[i], nr - i);
		assert_true(n > 0);
	}
	while (got < nr) {
		n = poll_some(s->q, done, 3);
		assert_true(n > 0 && n <= 3);
		for (k = 0; k < n; k++) {
			assert_true(done[k] >= io && done[k] < io + nr);
			assert_int_equal(done[k]->res, 0);
			seen[done[k] - io]++;
		}
		got += (unsigned)n;
	}
	for (i = 0; i < nr; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(far_queue_poll(s->q, done, DEPTH), 0);
	for (i = 0; i < nr; i++)
		expect_page(s, off + i * PAGE, i);
}

static void a_full_queue_is_eagain(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 8 * PAGE);
	struct far_io io[8] = {0}, *done[8];
	struct far_queue *q;
	unsigned i, nr, got = 0;
	int n;

	assert_int_equal(far_queue_open(s->be, 4, &q), 0);
	for (i = 0; i < 8; i++) {
		io[i].off = off + i * PAGE;
		io[i].buf = s->buf + i * PAGE;
		io[i].len = (uint32_t)PAGE;
		io[i].op = FAR_IO_WRITE;
		io[i].next = i < 7 ? &io[i + 1] : NULL;
		fill_page(io[i].buf, io[i].off, 0);
	}
	n = far_queue_submit(q, io, 8);
	assert_true(n > 0 && n <= 4);
	nr = (unsigned)n;
	while (nr < 4 && (n = far_queue_submit(q, &io[nr], 8 - nr)) > 0)
		nr += (unsigned)n;
	assert_int_equal(nr, 4);
	assert_int_equal(far_queue_submit(q, &io[4], 4), -EAGAIN);
	while (got < 4) {
		n = poll_some(q, done, 8);
		assert_true(n > 0);
		got += (unsigned)n;
	}
	n = far_queue_submit(q, &io[4], 1);
	assert_int_equal(n, 1);
	assert_int_equal(poll_some(q, done, 8), 1);
	far_queue_close(q);
}

static void reservations_end_at_the_capacity(void **state)
{
	struct suite *s = *state;
	uint64_t chunk = s->caps->capacity / 16 & ~(PAGE - 1);
	uint64_t off[17], extra;
	unsigned nr = 0, i, k;

	while (nr < 17 && far_backend_reserve(s->be, chunk, &off[nr]) == 0)
		nr++;
	assert_int_equal(nr, 16);
	assert_int_equal(far_backend_reserve(s->be, chunk, &extra), -ENOSPC);
	for (i = 0; i < nr; i++) {
		assert_true(off[i] + chunk <= s->caps->capacity);
		for (k = 0; k < i; k++)
			assert_true(off[i] + chunk <= off[k] ||
				    off[k] + chunk <= off[i]);
	}
	write_page(s, off[5], 1);
	assert_int_equal(far_backend_release(s->be, off[5], chunk), 0);
	assert_int_equal(far_backend_reserve(s->be, chunk, &extra), 0);
	assert_int_equal(extra, off[5]);
	/* It is a new reservation: the old contents are not in it. */
	expect_nothing(s, extra);
	assert_int_equal(
		far_backend_reserve(s->be, s->caps->capacity + PAGE, &extra),
		-ENOSPC);
}

static void completions_wake_who_waits(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, PAGE);
	struct far_io io = {.off = off, .buf = s->buf, .len = PAGE}, *done;
	unsigned i, tries = 0;

	write_page(s, off, 0);
	for (i = 0; i < 20; i++) {
		assert_int_equal(far_queue_submit(s->q, &io, 1), 1);
		/* Waiting comes first: nobody has polled yet. */
		assert_int_equal(far_queue_wait(s->q, WAIT_NS), 0);
		assert_int_equal(poll_some(s->q, &done, 1), 1);
		assert_ptr_equal(done, &io);
		assert_int_equal(io.res, 0);
	}
	if (s->caps->flags & FAR_CAP_SYNC) {
		assert_int_equal(far_queue_wait(s->q, 0), 0);
		return;
	}
	/* With nothing to do, the descriptor is not readable for ever. */
	while (far_queue_wait(s->q, 1000000) == 0 && ++tries < 100)
		assert_int_equal(far_queue_poll(s->q, &done, 1), 0);
	assert_true(tries < 100);
}

static void usage_counts_and_returns_to_zero(void **state)
{
	struct suite *s = *state;
	uint64_t off = reserve(s, 64 * PAGE), i;
	struct far_backend_usage u;

	for (i = 0; i < 64; i++)
		write_page(s, off + i * PAGE, i);
	write_page(s, off, 3); /* overwriting stores no more */
	assert_int_equal(far_backend_usage(s->be, &u), 0);
	assert_true(u.reserved_bytes >= 64 * PAGE);
	assert_int_equal(u.stored_bytes, 64 * PAGE);
	assert_true(u.used_bytes > 0);
	for (i = 0; i < 64; i++)
		assert_int_equal(
			do_io(s->q, FAR_IO_DISCARD, off + i * PAGE, NULL, PAGE),
			0);
	assert_int_equal(far_backend_usage(s->be, &u), 0);
	assert_int_equal(u.stored_bytes, 0);
	assert_int_equal(u.used_bytes, 0);
	assert_int_equal(u.same_filled_pages, 0);
	assert_int_equal(far_backend_release(s->be, off, 64 * PAGE), 0);
	assert_int_equal(far_backend_usage(s->be, &u), 0);
	assert_int_equal(u.reserved_bytes, 0);
}

/* Writes pages that do not compress until it is full; how many fit. */
static uint64_t fill_up(struct suite *s, uint64_t off, uint64_t nr)
{
	uint64_t i;
	int rc;

	for (i = 0; i < nr; i++) {
		fill_page(s->buf, off + i * PAGE, 0);
		rc = do_io(s->q, FAR_IO_WRITE, off + i * PAGE, s->buf, PAGE);
		if (rc) {
			assert_int_equal(rc, -ENOSPC);
			break;
		}
	}
	return i;
}

static void a_full_store_loses_nothing(void **state)
{
	struct suite *s = *state;
	uint64_t nr = far_min_u64(s->caps->capacity / PAGE, 16384), fits, i;
	uint64_t off = reserve(s, nr * PAGE);

	fits = fill_up(s, off, nr);
	assert_true(fits >= 64);
	for (i = 0; i < fits; i++)
		expect_page(s, off + i * PAGE, 0);
	for (i = 0; i < fits; i++)
		assert_int_equal(
			do_io(s->q, FAR_IO_DISCARD, off + i * PAGE, NULL, PAGE),
			0);
	assert_int_equal(fill_up(s, off, nr), fits);
}

#define CASE(name)                                                             \
	cmocka_unit_test_setup_teardown(name, open_backend, close_backend)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(capabilities_are_sane),
		CASE(bad_requests_are_refused),
		CASE(what_is_not_reserved_is_refused),
		CASE(a_request_that_is_bad_ends_the_accepted_prefix),
		CASE(unwritten_is_enodata),
		CASE(a_write_is_read_back_and_overwritten),
		CASE(long_transfers_hold_together),
		CASE(unaligned_buffers_are_fine),
		CASE(discarded_is_enodata_and_writable_again),
		CASE(every_request_completes_exactly_once),
		CASE(a_full_queue_is_eagain),
		CASE(reservations_end_at_the_capacity),
		CASE(completions_wake_who_waits),
		CASE(usage_counts_and_returns_to_zero),
		CASE(a_full_store_loses_nothing),
		CASE(random_requests_agree_with_a_model),
		CASE(two_threads_with_a_queue_each),
		CASE(a_forked_child_sees_frozen_contents),
	};
	int rc = 1;

	if (harness_start(&harness, argc, argv) == 0)
		rc = cmocka_run_group_tests_name(harness.spec, tests, NULL,
						 NULL);
	harness_stop(&harness);
	return rc;
}
