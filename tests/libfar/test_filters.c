/* SPDX-License-Identifier: BSD-3-Clause */
/* Each filter does what it says, in figures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/backend/filter.h"
#include "libfar/base/clock.h"
#include "tests/libfar/backend_io.h"
#include "tests/support/capture.h"

#define NR_PAGES 64u

static struct far_backend *be;
static struct far_queue *q;
static uint64_t off;
static char *buf;

/* Opens @spec, writes NR_PAGES pages; 0 if all of them were accepted. */
static void open_spec(const char *spec)
{
	assert_int_equal(far_backend_open(spec, NULL, NULL, &be), 0);
	assert_int_equal(far_queue_open(be, 64, &q), 0);
	assert_int_equal(far_backend_reserve(be, NR_PAGES * PAGE, &off), 0);
	buf = aligned_alloc(PAGE, NR_PAGES * PAGE);
	assert_non_null(buf);
}

static void close_spec(void)
{
	far_queue_close(q);
	far_backend_close(be);
	free(buf);
}

static int do_page(enum far_io_op op, unsigned page)
{
	return io_do(q, op, off + page % NR_PAGES * PAGE, buf);
}

static void write_all(void)
{
	unsigned i;

	for (i = 0; i < NR_PAGES; i++) {
		io_fill(buf, i);
		assert_int_equal(do_page(FAR_IO_WRITE, i), 0);
	}
}

/* How many of @nr requests fail with @err; anything else fails the test. */
static unsigned count_failures(enum far_io_op op, unsigned nr, int err)
{
	unsigned i, n = 0;
	int rc;

	for (i = 0; i < nr; i++) {
		rc = do_page(op, i);
		if (rc != 0)
			assert_int_equal(rc, err);
		n += rc != 0;
	}
	return n;
}

static void error_fails_at_its_rate(void **state)
{
	unsigned n;

	(void)state;
	/* Of 10000 at 0.1: 1000, five standard deviations are 150. */
	open_spec("error:rate=0.1,errno=ETIMEDOUT,seed=7|mem:1M");
	n = count_failures(FAR_IO_WRITE, 10000, -ETIMEDOUT);
	assert_in_range(n, 850, 1150);
	assert_int_equal(count_failures(FAR_IO_DISCARD, 1000, 0), 0);
	close_spec();
}

static void error_tells_reads_from_writes(void **state)
{
	(void)state;
	open_spec("error:read=1,errno=EHOSTDOWN|mem:1M");
	write_all();
	assert_int_equal(count_failures(FAR_IO_READ, 100, -EHOSTDOWN), 100);
	assert_int_equal(count_failures(FAR_IO_WRITE, 100, 0), 0);
	close_spec();
	open_spec("error:write=1|mem:1M");
	assert_int_equal(count_failures(FAR_IO_WRITE, 100, -EIO), 100);
	assert_int_equal(count_failures(FAR_IO_READ, 100, -ENODATA), 100);
	close_spec();
	open_spec("error:discard=1|mem:1M");
	write_all();
	assert_int_equal(count_failures(FAR_IO_DISCARD, 10, -EIO), 10);
	assert_int_equal(count_failures(FAR_IO_READ, 64, 0), 0);
	close_spec();
}

static void error_sweeps_the_nth_request(void **state)
{
	char spec[64];
	unsigned n, i;

	(void)state;
	for (n = 0; n < 20; n++) {
		(void)snprintf(spec, sizeof(spec),
			       "error:after=%u,count=1|mem:1M", n);
		open_spec(spec);
		for (i = 0; i < 20; i++) {
			io_fill(buf, i);
			assert_int_equal(do_page(FAR_IO_WRITE, i),
					 i == n ? -EIO : 0);
		}
		close_spec();
	}
	open_spec("error:after=5|mem:1M");
	assert_int_equal(count_failures(FAR_IO_WRITE, 30, -EIO), 25);
	close_spec();
}

static void error_is_repeatable_by_its_seed(void **state)
{
	static const char *const specs[] = {
		"error:rate=0.5,seed=3|mem:1M",
		"error:rate=0.5,seed=3|mem:1M",
		"error:rate=0.5,seed=4|mem:1M",
	};
	uint64_t got[3] = {0};
	unsigned i, k;

	(void)state;
	for (i = 0; i < 3; i++) {
		open_spec(specs[i]);
		for (k = 0; k < 64; k++) {
			if (do_page(FAR_IO_WRITE, k))
				got[i] |= UINT64_C(1) << k;
		}
		close_spec();
	}
	assert_true(got[0] == got[1]);
	assert_true(got[0] != got[2]);
}

static void a_request_that_failed_did_not_happen(void **state)
{
	(void)state;
	open_spec("error:after=1,write=1|mem:1M");
	io_fill(buf, 1);
	assert_int_equal(do_page(FAR_IO_WRITE, 0), 0);
	io_fill(buf, 2);
	assert_int_equal(do_page(FAR_IO_WRITE, 0), -EIO);
	assert_int_equal(do_page(FAR_IO_READ, 0), 0);
	io_fill(buf + PAGE, 1);
	assert_memory_equal(buf, buf + PAGE, PAGE);
	close_spec();
}

static unsigned bits_that_differ(const char *a, const char *b)
{
	unsigned i, n = 0;

	for (i = 0; i < PAGE; i++)
		n += (unsigned)__builtin_popcount((unsigned char)(a[i] ^ b[i]));
	return n;
}

static void corrupt_flips_one_bit_at_its_rate(void **state)
{
	unsigned i, bits, n = 0;

	(void)state;
	open_spec("corrupt:rate=0.25,seed=5|mem:1M");
	write_all();
	for (i = 0; i < 2000; i++) {
		assert_int_equal(do_page(FAR_IO_READ, i), 0);
		io_fill(buf + PAGE, i % NR_PAGES);
		bits = bits_that_differ(buf, buf + PAGE);
		assert_true(bits <= 1);
		n += bits;
	}
	/* 500, five standard deviations are 97. */
	assert_in_range(n, 400, 600);
	close_spec();
}

static void crc_catches_all_that_corrupt_does(void **state)
{
	unsigned i, n = 0;
	int rc;

	(void)state;
	open_spec("crc|corrupt:rate=0.25,seed=5|mem:1M");
	write_all();
	for (i = 0; i < 2000; i++) {
		rc = do_page(FAR_IO_READ, i);
		assert_true(rc == 0 || rc == -EBADMSG);
		n += rc == -EBADMSG;
		io_fill(buf + PAGE, i % NR_PAGES);
		if (rc == 0)
			assert_memory_equal(buf, buf + PAGE, PAGE);
		else
			assert_int_equal(bits_that_differ(buf, buf + PAGE), 1);
	}
	assert_in_range(n, 400, 600);
	close_spec();
}

static void crc_checks_each_page_of_a_long_read(void **state)
{
	struct far_io io, *done;

	(void)state;
	open_spec("crc|corrupt:rate=1|mem:1M");
	write_all();
	memset(&io, 0, sizeof(io));
	io.off = off;
	io.buf = buf;
	io.len = 8 * PAGE;
	assert_int_equal(far_queue_submit(q, &io, 1), 1);
	assert_int_equal(io_wait(q, &done), 1);
	assert_int_equal(io.res, -EBADMSG);
	close_spec();
}

static void crc_catches_a_backend_that_forgets_a_write(void **state)
{
	struct far_queue *under;

	(void)state;
	open_spec("crc|mem:1M");
	write_all();
	/* Behind the filter's back, page 1 gets what page 2 holds. */
	assert_int_equal(far_queue_open(be->next, 4, &under), 0);
	assert_int_equal(io_do(under, FAR_IO_READ, off + 2 * PAGE, buf), 0);
	assert_int_equal(io_do(under, FAR_IO_WRITE, off + PAGE, buf), 0);
	far_queue_close(under);
	assert_int_equal(do_page(FAR_IO_READ, 1), -EBADMSG);
	assert_int_equal(do_page(FAR_IO_READ, 2), 0);
	io_fill(buf, 1);
	assert_int_equal(do_page(FAR_IO_WRITE, 1), 0);
	assert_int_equal(do_page(FAR_IO_READ, 1), 0);
	close_spec();
}

static uint64_t time_of(enum far_io_op op)
{
	uint64_t start = far_now_ns();

	assert_int_equal(do_page(op, 0), 0);
	return far_now_ns() - start;
}

static void delay_takes_at_least_as_long_as_asked(void **state)
{
	uint64_t fastest = UINT64_MAX;
	unsigned i;

	(void)state;
	open_spec("delay:read=2ms,write=1ms|mem:1M");
	assert_int_equal(far_backend_caps(be)->flags & FAR_CAP_SYNC, 0);
	io_fill(buf, 0);
	for (i = 0; i < 20; i++) {
		assert_true(time_of(FAR_IO_WRITE) >= FAR_NS_PER_MS);
		assert_true(time_of(FAR_IO_READ) >= 2 * FAR_NS_PER_MS);
		fastest = far_min_u64(fastest, time_of(FAR_IO_DISCARD));
		assert_int_equal(do_page(FAR_IO_WRITE, 0), 0);
	}
	/* What has no delay gets none; the best of 20 shows it. */
	assert_true(fastest < FAR_NS_PER_MS);
	close_spec();
}

static void delays_of_a_batch_overlap(void **state)
{
	struct far_io io[NR_PAGES], *done;
	uint64_t start, took;
	unsigned i;

	(void)state;
	open_spec("delay:read=20ms|mem:1M");
	write_all();
	memset(io, 0, sizeof(io));
	for (i = 0; i < NR_PAGES; i++) {
		io[i].off = off + i * PAGE;
		io[i].buf = buf + i * PAGE;
		io[i].len = PAGE;
		io[i].next = i + 1 < NR_PAGES ? &io[i + 1] : NULL;
	}
	start = far_now_ns();
	assert_int_equal(far_queue_submit(q, io, NR_PAGES), NR_PAGES);
	assert_int_equal(far_queue_poll(q, &done, 1), 0);
	for (i = 0; i < NR_PAGES; i++)
		assert_int_equal(io_wait(q, &done), 1);
	took = far_now_ns() - start;
	/* One after the other they would take 1280 ms. */
	assert_true(took >= 20 * FAR_NS_PER_MS);
	assert_true(took < 640 * FAR_NS_PER_MS);
	close_spec();
}

static void jitter_spreads_and_reorders(void **state)
{
	struct far_io io[NR_PAGES], *done;
	unsigned i, nr_early = 0;

	(void)state;
	open_spec("delay:read=1ms,jitter=5ms,seed=9|mem:1M");
	memset(io, 0, sizeof(io));
	for (i = 0; i < NR_PAGES; i++) {
		io[i].off = off + i * PAGE;
		io[i].buf = buf + i * PAGE;
		io[i].len = PAGE;
		io[i].next = i + 1 < NR_PAGES ? &io[i + 1] : NULL;
	}
	assert_int_equal(far_queue_submit(q, io, NR_PAGES), NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		assert_int_equal(io_wait(q, &done), 1);
		nr_early += done != &io[i];
	}
	/* Of 64 random delays almost none comes in its turn. */
	assert_true(nr_early > NR_PAGES / 2);
	close_spec();
}

static uint64_t time_of_all(enum far_io_op op)
{
	uint64_t start = far_now_ns();

	assert_int_equal(count_failures(op, NR_PAGES, 0), 0);
	return far_now_ns() - start;
}

static void rate_bounds_bytes_and_requests(void **state)
{
	(void)state;
	/* 256 KiB at 4 MiB/s are 62.5 ms; one burst (1 ms) may come free. */
	open_spec("rate:bytes=4M|mem:1M");
	assert_true(time_of_all(FAR_IO_WRITE) >= 61 * FAR_NS_PER_MS);
	close_spec();
	/* 64 requests at 1000/s. */
	open_spec("rate:ops=1000|mem:1M");
	assert_true(time_of_all(FAR_IO_WRITE) >= 62 * FAR_NS_PER_MS);
	close_spec();
}

static void rate_is_shared_by_queues(void **state)
{
	struct far_queue *q1, *q2;
	uint64_t start;
	unsigned i;

	(void)state;
	open_spec("rate:bytes=4M|mem:1M");
	q1 = q;
	assert_int_equal(far_queue_open(be, 64, &q2), 0);
	start = far_now_ns();
	for (i = 0; i < NR_PAGES; i++) {
		q = i % 2 ? q1 : q2;
		assert_int_equal(do_page(FAR_IO_WRITE, i), 0);
	}
	assert_true(far_now_ns() - start >= 61 * FAR_NS_PER_MS);
	q = q1;
	far_queue_close(q2);
	close_spec();
}

static void a_burst_is_not_held(void **state)
{
	(void)state;
	/* 256 KiB lie within a burst of a second at 1 MiB/s. */
	open_spec("rate:bytes=1M,burst=1s|mem:1M");
	assert_true(time_of_all(FAR_IO_WRITE) < 200 * FAR_NS_PER_MS);
	close_spec();
}

static void stats_count_what_happened(void **state)
{
	static struct far_filter_stats st;
	unsigned i;

	(void)state;
	open_spec("crc|stats|error:read=1,after=10|delay:write=1ms|mem:1M");
	for (i = 0; i < 16; i++) {
		io_fill(buf, i);
		assert_int_equal(do_page(FAR_IO_WRITE, i), 0);
	}
	for (i = 0; i < 30; i++)
		(void)do_page(FAR_IO_READ, i);
	(void)do_page(FAR_IO_DISCARD, 0);
	assert_int_equal(far_filter_stats_read(be, &st), 0);
	assert_int_equal(st.requests[FAR_IO_WRITE], 16);
	assert_int_equal(st.bytes[FAR_IO_WRITE], 16 * PAGE);
	assert_int_equal(st.errors[FAR_IO_WRITE], 0);
	assert_int_equal(st.requests[FAR_IO_READ], 30);
	assert_int_equal(st.errors[FAR_IO_READ], 20);
	assert_int_equal(st.requests[FAR_IO_DISCARD], 1);
	assert_int_equal(far_hist_total(&st.latency_ns[FAR_IO_WRITE]), 16);
	assert_true(far_hist_quantile(&st.latency_ns[FAR_IO_WRITE], 0.01) >=
		    FAR_NS_PER_MS);
	/* A queue that is gone still counts. */
	far_queue_close(q);
	assert_int_equal(far_queue_open(be, 4, &q), 0);
	io_fill(buf, 1);
	assert_int_equal(do_page(FAR_IO_WRITE, 1), 0);
	assert_int_equal(far_filter_stats_read(be, &st), 0);
	assert_int_equal(st.requests[FAR_IO_WRITE], 17);
	assert_int_equal(far_hist_total(&st.latency_ns[FAR_IO_WRITE]), 17);
	assert_int_equal(far_filter_stats_read(be->next->next, &st), -ENOENT);
	close_spec();
}

/* A delayed backend that takes four at a time, under a queue of sixteen. */
static void a_filter_keeps_what_the_next_queue_has_no_room_for(void **state)
{
	struct far_io io[NR_PAGES], *done;
	unsigned i, got = 0;

	(void)state;
	open_spec("error|delay:write=200us|mem:1M");
	far_queue_close(q);
	be->next->caps.max_depth = 4;
	assert_int_equal(far_queue_open(be, 16, &q), 0);
	memset(io, 0, sizeof(io));
	for (i = 0; i < 16; i++) {
		io[i].off = off + i * PAGE;
		io[i].buf = buf + i * PAGE;
		io[i].len = PAGE;
		io[i].op = FAR_IO_WRITE;
		io[i].next = i < 15 ? &io[i + 1] : NULL;
		io_fill(io[i].buf, i);
	}
	assert_int_equal(far_queue_submit(q, io, 16), 16);
	while (got < 16 && io_wait(q, &done) == 1) {
		assert_int_equal(done->res, 0);
		got++;
	}
	assert_int_equal(got, 16);
	for (i = 0; i < 16; i++) {
		assert_int_equal(do_page(FAR_IO_READ, i), 0);
		io_fill(buf + PAGE, i);
		assert_memory_equal(buf, buf + PAGE, PAGE);
	}
	close_spec();
}

static void bad_parameters_are_refused(void **state)
{
	static const struct {
		const char *spec, *message;
	} rows[] = {
		{"error:rate=2|mem:1M", "rate=2; fix: give a share"},
		{"error:errno=EWHAT|mem:1M", "unknown errno=EWHAT"},
		{"error:errno=ENOSPCE|mem:1M", "fix: give ENOSPC"},
		{"error:after=-1|mem:1M", "after=-1"},
		{"error:seed=x|mem:1M", "seed=x; fix: give a whole number"},
		{"corrupt:errno=EIO|mem:1M", "unknown parameter 'errno'"},
		{"delay:read=fast|mem:1M", "read=fast; fix: give a time"},
		{"delay:read=7200|mem:1M", "more than an hour"},
		{"rate|mem:1M", "neither bytes nor ops"},
		{"rate:bytes=much|mem:1M", "bytes=much"},
		{"crc:x=1|mem:1M", "unknown parameter 'x'"},
		{"stats:x=1|mem:1M", "unknown parameter 'x'"},
	};
	struct far_backend *none = NULL;
	struct capture cap;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		memset(&cap, 0, sizeof(cap));
		assert_int_equal(far_backend_open(rows[i].spec, capture_log,
						  &cap, &none),
				 -EINVAL);
		assert_true(capture_has(&cap, rows[i].message));
		assert_null(none);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_fails_at_its_rate),
		cmocka_unit_test(error_tells_reads_from_writes),
		cmocka_unit_test(error_sweeps_the_nth_request),
		cmocka_unit_test(error_is_repeatable_by_its_seed),
		cmocka_unit_test(a_request_that_failed_did_not_happen),
		cmocka_unit_test(corrupt_flips_one_bit_at_its_rate),
		cmocka_unit_test(crc_catches_all_that_corrupt_does),
		cmocka_unit_test(crc_checks_each_page_of_a_long_read),
		cmocka_unit_test(crc_catches_a_backend_that_forgets_a_write),
		cmocka_unit_test(delay_takes_at_least_as_long_as_asked),
		cmocka_unit_test(delays_of_a_batch_overlap),
		cmocka_unit_test(jitter_spreads_and_reorders),
		cmocka_unit_test(rate_bounds_bytes_and_requests),
		cmocka_unit_test(rate_is_shared_by_queues),
		cmocka_unit_test(a_burst_is_not_held),
		cmocka_unit_test(stats_count_what_happened),
		cmocka_unit_test(
			a_filter_keeps_what_the_next_queue_has_no_room_for),
		cmocka_unit_test(bad_parameters_are_refused),
	};

	return cmocka_run_group_tests_name("filters", tests, NULL, NULL);
}
