/* SPDX-License-Identifier: BSD-3-Clause */
/* Backends that fail: right data late, or a signal, never wrong data. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BIG (2 * TP_LIMIT)

/* Errors now and then, in both directions: slower, and that is all. */
static void right_under(const char *conf)
{
	struct tp t = tp_open(conf, BIG);
	struct far_stats st;

	for (uint64_t r = 1; r <= 2; r++) {
		tp_fill_all(t.mem, t.len, r << 32);
		assert_int_equal(tp_same_all(t.mem, t.len, r << 32), 0);
	}
	st = tp_stats(t.pager);
	assert_true(st.read_errors > 0 || st.write_errors > 0);
	assert_int_equal(st.lost_pages, 0);
	assert_true(st.local_peak_bytes <= TP_LIMIT);
	tp_close(&t);
}

static void failed_reads_are_tried_again(void **state)
{
	(void)state;
	right_under("far=error:read=0.01,errno=EIO|mem:64M");
	right_under("far=error:read=0.01,errno=ETIMEDOUT|lz4:64M");
}

static void failed_writes_lose_nothing(void **state)
{
	(void)state;
	right_under("far=error:write=0.01,errno=EIO|mem:64M");
	right_under("far=error:write=0.01,errno=ENOSPC|mem:64M");
}

static void failures_of_both_kinds_at_once(void **state)
{
	(void)state;
	right_under("far=error:read=0.01,write=0.01|delay:read=50us|mem:64M");
}

/* Wrong bits are noticed by the checksum and fetched again. */
static void corrupt_pages_are_fetched_again(void **state)
{
	(void)state;
	right_under("far=crc|corrupt:rate=0.02|mem:64M");
}

/* A backend that is away for a while and comes back in time. */
static void short_absence_is_waited_for(void **state)
{
	struct tp t = tp_open("lazy=off;on_loss=wait:10s;"
			      "far=error:read=1,count=200|mem:64M",
			      BIG);

	(void)state;
	tp_fill_all(t.mem, t.len, 3);
	assert_int_equal(tp_same_all(t.mem, t.len, 3), 0);
	assert_int_equal(TP_STAT(t.pager, read_errors), 200);
	assert_int_equal(TP_STAT(t.pager, lost_pages), 0);
	tp_close(&t);
}

/* Pages that nobody has asked for are not lost because they could not be
 * fetched ahead: with this on_loss a failed read of a fault would be. */
static void failed_prefetch_loses_nothing(void **state)
{
	const size_t len = 200 * FAR_PAGE_SIZE;
	struct tp t = tp_open("lazy=off;on_loss=wait:0s;"
			      "far=error:read=1,count=200|mem:64M",
			      TP_LIMIT / 4);

	(void)state;
	tp_fill_all(t.mem, t.len, 3);
	assert_true(tp_evict(t.pager, t.mem, t.len));
	while (TP_STAT(t.pager, read_errors) < PAGES(len)) {
		assert_int_equal(
			far_advise(t.pager, t.mem, len, FAR_ADV_WILLNEED), 0);
		tp_pause();
	}
	assert_int_equal(TP_STAT(t.pager, lost_pages), 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 3), 0);
	assert_int_equal(TP_STAT(t.pager, lost_pages), 0);
	tp_close(&t);
}

/* --- pages that nobody has -------------------------------------------------
 */

/* The log of a child, in memory that outlives it. */
struct child_log {
	_Atomic size_t used;
	char text[8192];
};

static void log_to_memory(void *ctx, enum far_log_level level, const char *msg)
{
	struct child_log *log = ctx;
	size_t len = strlen(msg) + 1;
	size_t at = atomic_fetch_add(&log->used, len);

	(void)level;
	if (at + len < sizeof(log->text)) {
		memcpy(log->text + at, msg, len - 1);
		log->text[at + len - 1] = '\n';
	}
}

struct lost {
	const char *conf;
	struct child_log *log;
	uint64_t ns; /* how long the child took */
};

/* In the child: fill, wait until all has left, touch it. */
static int touch_lost(void *arg)
{
	struct lost *l = arg;
	const struct far_open_attr attr = {
		.size = sizeof(attr), .log = log_to_memory, .log_ctx = l->log};
	struct far_pager *p;
	char text[512];
	void *mem;

	(void)snprintf(text, sizeof(text), "local=16M;va=1G;takeout=%s;%s",
		       tp_takeout, l->conf);
	if (far_open(text, &attr, &p) < 0 || far_map(p, MIB, 0, &mem) < 0)
		return 100;
	tp_fill_all(mem, MIB, 1);
	if (!tp_evict(p, mem, MIB))
		return 101;
	return tp_same(mem, 0, 1) ? 0 : 1;
}

/* Its status; the caller unmaps l->log. */
static int run_lost(struct lost *l)
{
	uint64_t t0 = far_now_ns();
	int st;

	l->log = mmap(NULL, sizeof(*l->log), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(l->log, MAP_FAILED);
	st = tp_in_child(touch_lost, l);
	l->ns = far_now_ns() - t0;
	return st;
}

static void logged(struct lost *l, const char *text)
{
	if (!strstr(l->log->text, text))
		fail_msg("'%s' is not in the log: %s", text, l->log->text);
}

static void lost_page_is_sigbus_after_on_loss(void **state)
{
	struct lost l = {.conf = "lazy=off;on_loss=wait:1s;"
				 "far=error:read=1,errno=EIO|mem:64M"};

	(void)state;
	assert_int_equal(run_lost(&l), TP_SIGNAL(SIGBUS));
	assert_true(l.ns >= 1 * FAR_NS_PER_S && l.ns < 10 * FAR_NS_PER_S);
	logged(&l, "is lost");
	logged(&l, "Input/output error");
	(void)munmap(l.log, sizeof(*l.log));
}

static void page_that_stays_corrupt_is_sigbus_at_once(void **state)
{
	struct lost l = {.conf = "lazy=off;on_loss=wait:19s;"
				 "far=crc|corrupt:rate=1|mem:64M"};

	(void)state;
	assert_int_equal(run_lost(&l), TP_SIGNAL(SIGBUS));
	assert_true(l.ns < 10 * FAR_NS_PER_S); /* waiting would not help */
	logged(&l, "corrupt");
	(void)munmap(l.log, sizeof(*l.log));
}

static void page_the_backend_forgot_is_sigbus_at_once(void **state)
{
	struct lost l = {.conf = "lazy=off;on_loss=wait:19s;"
				 "far=error:read=1,errno=ENODATA|mem:64M"};

	(void)state;
	assert_int_equal(run_lost(&l), TP_SIGNAL(SIGBUS));
	assert_true(l.ns < 10 * FAR_NS_PER_S);
	logged(&l, "is lost");
	(void)munmap(l.log, sizeof(*l.log));
}

/* A system call gets an error instead of the signal. */
static int read_lost_by_kernel(void *conf)
{
	struct far_pager *p;
	void *mem;
	int fds[2];

	if (tp_try(conf, &p) < 0 || far_map(p, MIB, 0, &mem) < 0 ||
	    pipe(fds) < 0)
		return 100;
	tp_fill_all(mem, MIB, 1);
	if (!tp_evict(p, mem, MIB))
		return 101;
	if (write(fds[1], mem, 1) != -1 || errno != EFAULT)
		return 1;
	/* lost pages may be given up, and are new pages then */
	if (far_advise(p, mem, FAR_PAGE_SIZE, FAR_ADV_DISCARD) < 0)
		return 2;
	if (!tp_same(mem, 0, 0))
		return 3;
	tp_fill(mem, 0, 5);
	return tp_same(mem, 0, 5) ? 0 : 4;
}

static void
lost_page_is_an_error_for_the_kernel_and_can_be_discarded(void **state)
{
	char conf[] = "lazy=off;on_loss=wait:100ms;far=error:read=1|mem:64M";

	(void)state;
	assert_int_equal(tp_in_child(read_lost_by_kernel, conf), 0);
}

/* Nothing can be written: memory fills up to the limit, and not beyond. */
static int fill_without_backend(void *conf)
{
	struct far_pager *p;
	void *mem;

	if (tp_try(conf, &p) < 0 || far_map(p, BIG, 0, &mem) < 0)
		return 100;
	tp_fill_all(mem, BIG, 1); /* never gets to the end */
	return 1;
}

static void backend_that_refuses_all_writes_ends_in_sigbus(void **state)
{
	char conf[] = "lazy=off;on_loss=wait:1s;far=error:write=1|mem:64M";

	(void)state;
	assert_int_equal(tp_in_child(fill_without_backend, conf),
			 TP_SIGNAL(SIGBUS));
}

/* A page that cannot be written stays local and is right. */
static void unwritable_pages_stay(void **state)
{
	struct tp t = tp_open("lazy=off;far=error:write=1|mem:64M", 2 * MIB);

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(far_flush(t.pager, t.mem, t.len), -EIO);
	assert_int_equal(far_advise(t.pager, t.mem, t.len, FAR_ADV_COLD), 0);
	TP_WAIT(TP_STAT(t.pager, write_errors) > 0, 5);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	assert_int_equal(TP_STAT(t.pager, lost_pages), 0);
	tp_close(&t);
}

/* --- stores that fill up ----------------------------------------------------
 */

static void full_store_refuses_to_map(void **state)
{
	static const char *const confs[] = {"far=mem:16M", "far=crc|mem:16M"};
	void *mem;

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(confs); i++) {
		struct tp t = tp_open(confs[i], 8 * MIB);

		tp_fill_all(t.mem, t.len, 1);
		assert_int_equal(far_map(t.pager, 128 * MIB, 0, &mem), -ENOSPC);
		assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
		assert_int_equal(TP_STAT(t.pager, mapped_bytes), t.len);
		tp_close(&t);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failed_reads_are_tried_again),
		cmocka_unit_test(failed_writes_lose_nothing),
		cmocka_unit_test(failures_of_both_kinds_at_once),
		cmocka_unit_test(corrupt_pages_are_fetched_again),
		cmocka_unit_test(short_absence_is_waited_for),
		cmocka_unit_test(failed_prefetch_loses_nothing),
		cmocka_unit_test(lost_page_is_sigbus_after_on_loss),
		cmocka_unit_test(page_that_stays_corrupt_is_sigbus_at_once),
		cmocka_unit_test(page_the_backend_forgot_is_sigbus_at_once),
		cmocka_unit_test(
			lost_page_is_an_error_for_the_kernel_and_can_be_discarded),
		cmocka_unit_test(
			backend_that_refuses_all_writes_ends_in_sigbus),
		cmocka_unit_test(unwritable_pages_stay),
		cmocka_unit_test(full_store_refuses_to_map),
	};

	return tp_main(argc, argv, "pager.loss", tests);
}
