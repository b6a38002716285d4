/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault traces: the format, of which what is written is read and nothing else;
 * and the ring, which loses nothing that it does not count. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <far/trace.h>

#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"

static const struct far_trace_header sample = {
	.nr_pages = 1000,
	.limit_pages = 4096,
	.start_ns = UINT64_C(0x0123456789abcdef),
	.name = "sixteen letters!",
};

static void headers_are_read_as_written(void **state)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	struct far_trace_header h;

	(void)state;
	far_trace_header_put(buf, &sample);
	assert_memory_equal(buf, "FARTRACE\1\0\0\0\100\0\0\0\20\0\0\0\0\20\0\0",
			    24);
	assert_memory_equal(buf + 40, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8);
	assert_int_equal(far_trace_header_get(buf, sizeof(buf), &h), 0);
	assert_int_equal(h.nr_pages, sample.nr_pages);
	assert_int_equal(h.limit_pages, sample.limit_pages);
	assert_int_equal(h.start_ns, sample.start_ns);
	assert_string_equal(h.name, sample.name);
}

static void short_headers_are_refused(void **state)
{
	struct far_trace_header h;

	(void)state;
	/* on the heap, and no longer than it says: a sanitizer looks on */
	for (size_t len = 0; len < FAR_TRACE_HEADER_BYTES; len++) {
		unsigned char all[FAR_TRACE_HEADER_BYTES];
		unsigned char *buf = malloc(len ? len : 1);

		assert_non_null(buf);
		far_trace_header_put(all, &sample);
		memcpy(buf, all, len);
		assert_int_equal(far_trace_header_get(buf, len, &h),
				 len < 8 ? -EBADMSG : -ENODATA);
		free(buf);
	}
}

static void wrong_headers_are_refused(void **state)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
		int err;
	} wrong[] = {
		{0, 1, 'f', -EBADMSG},
		{7, 1, 0, -EBADMSG},
		{8, 4, 0, -ENOTSUP},
		{8, 4, FAR_TRACE_VERSION + 1, -ENOTSUP},
		{12, 4, 0, -EINVAL},
		{12, 4, 65, -EINVAL},
		{16, 4, 0, -EINVAL},
		{16, 4, 32, -EINVAL},
		{20, 4, 16384, -EINVAL},
		{24, 8, 0, -EINVAL},
		{24, 8, UINT64_C(1) << 32, -EINVAL},
		{24, 8, UINT64_MAX, -EINVAL},
		{32, 8, 0, -EINVAL},
		{32, 8, UINT64_MAX, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(wrong); i++) {
		unsigned char buf[FAR_TRACE_HEADER_BYTES];
		struct far_trace_header h;

		far_trace_header_put(buf, &sample);
		far_trace_put(buf + wrong[i].at, wrong[i].bytes,
			      wrong[i].value);
		assert_int_equal(far_trace_header_get(buf, sizeof(buf), &h),
				 wrong[i].err);
		assert_non_null(far_trace_error(wrong[i].err));
	}
	assert_null(far_trace_error(-ENOENT));
}

static void records_are_read_as_written(void **state)
{
	const struct far_trace_record r = {
		.us = UINT64_C(0xfedcba9876543210),
		.page = 999,
		.kind = FAR_TRACE_REMOTE,
		.flags = FAR_TRACE_IS_WRITE,
		.thread = 0xabcd,
	};
	unsigned char buf[FAR_TRACE_RECORD_BYTES];
	struct far_trace_record is;

	(void)state;
	far_trace_record_put(buf, &r);
	assert_memory_equal(buf,
			    "\x10\x32\x54\x76\x98\xba\xdc\xfe"
			    "\xe7\x03\0\0\2\1\xcd\xab",
			    sizeof(buf));
	assert_int_equal(far_trace_record_get(buf, &sample, &is), 0);
	assert_int_equal(is.us, r.us);
	assert_int_equal(is.page, r.page);
	assert_int_equal(is.kind, r.kind);
	assert_int_equal(is.flags, r.flags);
	assert_int_equal(is.thread, r.thread);
}

static int get(uint32_t page, unsigned kind, unsigned flags)
{
	const struct far_trace_record r = {
		.page = page, .kind = (uint8_t)kind, .flags = (uint8_t)flags};
	unsigned char buf[FAR_TRACE_RECORD_BYTES];
	struct far_trace_record is;

	far_trace_record_put(buf, &r);
	return far_trace_record_get(buf, &sample, &is);
}

static void wrong_records_are_refused(void **state)
{
	(void)state;
	assert_int_equal(get(0, FAR_TRACE_ZERO, 0), 0);
	assert_int_equal(get(0, FAR_TRACE_NONE, 0), -EILSEQ);
	assert_int_equal(get(0, FAR_TRACE_NR_KINDS, 0), -EILSEQ);
	assert_int_equal(get(0, 255, 0), -EILSEQ);
	assert_int_equal(get(0, FAR_TRACE_ZERO, FAR_TRACE_FLAGS + 1), -EILSEQ);
	assert_int_equal(get(999, FAR_TRACE_OUT, 0), 0);
	assert_int_equal(get(1000, FAR_TRACE_OUT, 0), -EILSEQ);
	assert_int_equal(get(UINT32_MAX, FAR_TRACE_ZERO, 0), -EILSEQ);
	/* not a page, a count */
	assert_int_equal(get(UINT32_MAX, FAR_TRACE_DROPPED, 0), 0);
}

/* --- the ring --- */

#define NR_THREADS 4
#define PER_THREAD 100000u

/** struct bed - as much of a pager as recording takes */
struct bed {
	struct far_pager p;
	struct far_budget_shared shared;
	struct far_stat_shard shards[FAR_NR_THREAD_SHARDS];
	/* what the file holds */
	uint32_t next[NR_THREADS]; /* page of each thread's next record */
	uint64_t nr, dropped;
};

static struct bed *bed_open(void)
{
	struct bed *b = aligned_alloc(FAR_CACHE_LINE, sizeof(*b));
	int fd;

	assert_non_null(b);
	memset(b, 0, sizeof(*b));
	b->p.budget.sh = &b->shared;
	b->p.shards = b->shards;
	b->p.max_pages = UINT32_MAX;
	b->p.cfg.local = UINT64_C(16) << 20;
	atomic_store(&b->shared.limit_pages, 4096);
	far_log_init(&b->p.log, NULL, NULL, FAR_LOG_WARN);
	strcpy(b->p.cfg.trace, "/tmp/far-ring-XXXXXX");
	fd = mkstemp(b->p.cfg.trace);
	assert_true(fd >= 0);
	(void)close(fd);
	(void)unlink(b->p.cfg.trace);
	trace_start(&b->p);
	assert_non_null(atomic_load(&b->p.trace));
	return b;
}

/* Each thread's records are there in order, but for those that were dropped. */
static void bed_read(struct bed *b)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	FILE *f = fopen(b->p.cfg.trace, "re");
	struct far_trace_header h;
	struct far_trace_record r;

	assert_non_null(f);
	assert_int_equal(fread(buf, sizeof(buf), 1, f), 1);
	assert_int_equal(far_trace_header_get(buf, sizeof(buf), &h), 0);
	while (fread(buf, FAR_TRACE_RECORD_BYTES, 1, f) == 1) {
		assert_int_equal(far_trace_record_get(buf, &h, &r), 0);
		if (r.kind == FAR_TRACE_DROPPED) {
			b->dropped += r.page;
			continue;
		}
		assert_int_equal(r.kind, FAR_TRACE_REMOTE);
		assert_int_equal(r.flags, FAR_TRACE_IS_WRITE);
		assert_in_range(r.thread, 0, NR_THREADS - 1);
		assert_true(r.page >= b->next[r.thread]);
		b->next[r.thread] = r.page + 1;
		b->nr++;
	}
	(void)fclose(f);
}

static void bed_close(struct bed *b)
{
	(void)unlink(b->p.cfg.trace);
	free(b);
}

static void add(struct bed *b, uint32_t page, uint32_t thread)
{
	trace_note(b->p.trace, FAR_TRACE_REMOTE, page, FAR_TRACE_IS_WRITE,
		   thread);
}

static void a_full_ring_drops_and_counts(void **state)
{
	struct bed *b = bed_open();
	uint32_t room = b->p.trace->nr_slots;

	(void)state;
	for (uint32_t i = 0; i < room + 10; i++)
		add(b, i, 0);
	trace_drain(&b->p);
	add(b, room + 10, 0); /* there is room again */
	trace_stop(&b->p);
	assert_null(b->p.trace);
	add(b, 0, 0); /* to nowhere */
	bed_read(b);
	assert_int_equal(b->nr, room + 1);
	assert_int_equal(b->dropped, 10);
	assert_int_equal(b->next[0], room + 11);
	assert_int_equal(pager_shard_ctl(&b->p)->trace_dropped_records, 10);
	bed_close(b);
}

struct adder {
	struct bed *b;
	_Atomic uint32_t *begun; /* records, of all threads */
	uint32_t index;
	pthread_t thread;
};

/* Those that are in the file, or will never be. */
static uint32_t nr_gone(struct far_trace *t)
{
	return atomic_load(&t->tail) + atomic_load(&t->dropped);
}

static void *add_many(void *arg)
{
	const struct adder *a = arg;

	for (uint32_t i = 0; i < PER_THREAD; i++) {
		struct far_trace *t = atomic_load(&a->b->p.trace);
		uint32_t n = atomic_fetch_add(a->begun, 1);

		/* never more at once than there is room for */
		while ((int32_t)(n - nr_gone(t)) >= (int32_t)t->nr_slots)
			(void)sched_yield();
		add(a->b, i, a->index);
	}
	return NULL;
}

static void threads_record_at_the_same_time(void **state)
{
	struct adder a[NR_THREADS];
	struct bed *b = bed_open();
	_Atomic uint32_t begun = 0;

	(void)state;
	for (uint32_t i = 0; i < NR_THREADS; i++) {
		a[i] = (struct adder){.b = b, .begun = &begun, .index = i};
		assert_int_equal(
			pthread_create(&a[i].thread, NULL, add_many, &a[i]), 0);
	}
	while (nr_gone(b->p.trace) < NR_THREADS * PER_THREAD)
		trace_drain(&b->p);
	for (uint32_t i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_join(a[i].thread, NULL), 0);
	trace_stop(&b->p);
	bed_read(b);
	assert_int_equal(b->dropped, 0);
	assert_int_equal(b->nr, NR_THREADS * PER_THREAD);
	bed_close(b);
}

#if FAR_HAS_HOOKS
static struct bed *hooked;

/* Others record, and far-ctl writes that, once. */
static void come_in_between(enum far_hook_point point, const char *addr)
{
	(void)addr;
	if (point != FAR_AT_TRACE_PLACE)
		return;
	atomic_store(&far_hook, NULL);
	for (uint32_t i = 0; i < 3; i++)
		add(hooked, i, 1);
	trace_drain(&hooked->p);
}

/* A head that is older than tail says nothing. */
static void a_slow_thread_drops_nothing(void **state)
{
	(void)state;
	hooked = bed_open();
	atomic_store(&far_hook, come_in_between);
	add(hooked, 0, 0);
	assert_null(atomic_load(&far_hook));
	trace_stop(&hooked->p);
	bed_read(hooked);
	assert_int_equal(hooked->dropped, 0);
	assert_int_equal(hooked->nr, 4);
	bed_close(hooked);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_as_written),
		cmocka_unit_test(short_headers_are_refused),
		cmocka_unit_test(wrong_headers_are_refused),
		cmocka_unit_test(records_are_read_as_written),
		cmocka_unit_test(wrong_records_are_refused),
		cmocka_unit_test(a_full_ring_drops_and_counts),
		cmocka_unit_test(threads_record_at_the_same_time),
#if FAR_HAS_HOOKS
		cmocka_unit_test(a_slow_thread_drops_nothing),
#endif
	};

	return cmocka_run_group_tests_name("libfar.trace", tests, NULL, NULL);
}
