/* SPDX-License-Identifier: BSD-3-Clause */
/* The checked dispatch, against a backend that can be told to misbehave. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/backend/backend.h"
#include "libfar/base/clock.h"
#include "tests/libfar/backend_io.h"
#include "tests/support/capture.h"

#define NR 128u

/* A backend in the test's hands: it keeps what it got until told otherwise. */
static struct {
	struct far_backend be;
	struct far_queue q;
	struct far_io *got[NR];
	unsigned nr_got, take; /* take: accepted by one submit at most */
	int submit_rc;	       /* returned instead, if negative */
	uint64_t reserve_off;
	int event;
} fake;

static int fake_submit(struct far_queue *q, struct far_io *list, unsigned nr)
{
	unsigned n = 0;

	(void)q;
	if (fake.submit_rc < 0)
		return fake.submit_rc;
	for (; n < nr && n < fake.take && list; n++, list = list->next)
		fake.got[fake.nr_got++] = list;
	return (int)n;
}

static int fake_poll(struct far_queue *q, struct far_io **ret_done,
		     unsigned max)
{
	unsigned n = 0;

	(void)q;
	while (n < max && fake.nr_got > 0)
		ret_done[n++] = fake.got[--fake.nr_got];
	return (int)n;
}

static int fake_event_fd(struct far_queue *q)
{
	(void)q;
	return fake.event;
}

static int fake_reserve(struct far_backend *be, uint64_t len, uint64_t *ret_off)
{
	(void)be;
	(void)len;
	*ret_off = fake.reserve_off;
	return 0;
}

static const struct far_backend_ops fake_ops = {
	.size = sizeof(fake_ops),
	.name = "fake",
	.submit = fake_submit,
	.poll = fake_poll,
	.event_fd = fake_event_fd,
	.reserve = fake_reserve,
};

/* A table of an older version, which ended before reserve. */
static const struct far_backend_ops short_ops = {
	.size = offsetof(struct far_backend_ops, reserve),
	.name = "short",
	.reserve = fake_reserve,
};

static struct far_io ios[NR];
static char page[FAR_PAGE_SIZE];

static int setup(void **state)
{
	unsigned i;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	far_backend_init(&fake.be, &fake_ops, NULL);
	fake.be.caps.capacity = 1 << 20;
	fake.be.caps.align = PAGE;
	fake.be.caps.max_len = 4 * PAGE;
	fake.be.caps.max_depth = NR;
	far_queue_init(&fake.q, &fake.be, NR);
	fake.take = NR;
	fake.event = eventfd(0, EFD_CLOEXEC);
	for (i = 0; i < NR; i++) {
		memset(&ios[i], 0, sizeof(ios[i]));
		ios[i].off = i * (uint64_t)PAGE;
		ios[i].buf = page;
		ios[i].len = PAGE;
		ios[i].next = i + 1 < NR ? &ios[i + 1] : NULL;
	}
	return fake.event < 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(fake.event);
}

static void long_lists_arrive_whole_and_in_order(void **state)
{
	struct far_io *done[NR];
	unsigned i;

	(void)state;
	assert_int_equal(far_queue_submit(&fake.q, ios, NR), NR);
	assert_int_equal(fake.q.in_flight, NR);
	for (i = 0; i < NR; i++)
		assert_ptr_equal(fake.got[i], &ios[i]);
	assert_int_equal(far_queue_poll(&fake.q, done, 100), 100);
	assert_int_equal(far_queue_poll(&fake.q, done, 100), NR - 100);
	assert_int_equal(fake.q.in_flight, 0);
}

static void a_short_acceptance_is_passed_on(void **state)
{
	struct far_io *done[NR];

	(void)state;
	fake.take = 10;
	assert_int_equal(far_queue_submit(&fake.q, ios, NR), 10);
	/* The rest is not marked: it can be submitted again. */
	fake.take = NR;
	assert_int_equal(far_queue_submit(&fake.q, &ios[10], NR - 10), NR - 10);
	assert_int_equal(far_queue_submit(&fake.q, &ios[0], 1), -EAGAIN);
	assert_int_equal(far_queue_poll(&fake.q, done, NR), NR);
}

static void errors_of_submit_are_passed_on(void **state)
{
	(void)state;
	fake.submit_rc = -EHOSTDOWN;
	assert_int_equal(far_queue_submit(&fake.q, ios, NR), -EHOSTDOWN);
	assert_int_equal(fake.q.in_flight, 0);
	fake.submit_rc = 0;
	assert_int_equal(far_queue_submit(&fake.q, ios, 1), 1);
	fake.take = 0;
	assert_int_equal(far_queue_submit(&fake.q, &ios[1], 1), -EAGAIN);
	assert_int_equal(far_queue_submit(&fake.q, &ios[1], 0), 0);
}

static void what_is_in_flight_cannot_be_submitted_again(void **state)
{
	struct far_io *done;

	(void)state;
	ios[0].next = NULL;
	assert_int_equal(far_queue_submit(&fake.q, &ios[0], 1), 1);
	assert_int_equal(far_queue_submit(&fake.q, &ios[0], 1), -EINVAL);
	assert_int_equal(far_queue_poll(&fake.q, &done, 1), 1);
	assert_int_equal(far_queue_submit(&fake.q, &ios[0], 1), 1);
}

static void a_positive_result_becomes_eio(void **state)
{
	struct far_io *done;

	(void)state;
	assert_int_equal(far_queue_submit(&fake.q, ios, 1), 1);
	ios[0].res = 4096;
	assert_int_equal(far_queue_poll(&fake.q, &done, 1), 1);
	assert_int_equal(ios[0].res, -EIO);
}

static void requests_are_checked(void **state)
{
	struct far_io good = ios[0];

	(void)state;
	good.next = NULL;
#define REFUSED(field, value)                                                  \
	do {                                                                   \
		struct far_io io = good;                                       \
		io.field = value;                                              \
		assert_int_equal(far_queue_submit(&fake.q, &io, 1), -EINVAL);  \
	} while (0)
	REFUSED(off, 1);
	REFUSED(off, 1 << 20);
	REFUSED(off, UINT64_MAX - PAGE + 1);
	REFUSED(len, 0);
	REFUSED(len, PAGE + 1);
	REFUSED(len, 5 * PAGE);
	REFUSED(op, 3);
	REFUSED(buf, NULL);
#undef REFUSED
	assert_int_equal(fake.nr_got, 0);
	good.op = FAR_IO_DISCARD;
	good.buf = NULL;
	good.len = 4 * PAGE;
	assert_int_equal(far_queue_submit(&fake.q, &good, 1), 1);
}

static void missing_ops_have_defaults(void **state)
{
	struct far_backend_usage usage;
	struct far_clone clone;
	struct far_queue *q;

	(void)state;
	assert_int_equal(far_backend_usage(&fake.be, &usage), -EOPNOTSUPP);
	assert_int_equal(far_backend_clone(&fake.be, &clone), -EOPNOTSUPP);
	assert_int_equal(far_backend_adopt(&fake.be, &clone), -EOPNOTSUPP);
	assert_int_equal(far_backend_release(&fake.be, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(far_queue_open(&fake.be, 1, &q), -EOPNOTSUPP);
	/* No registration needed is no error. */
	assert_int_equal(far_backend_register_buf(&fake.be, page, PAGE), 0);
	assert_int_equal(far_backend_unregister_buf(&fake.be, page, PAGE), 0);
}

static void ops_beyond_the_table_are_not_looked_at(void **state)
{
	uint64_t off;

	(void)state;
	assert_int_equal(far_backend_reserve(&fake.be, PAGE, &off), 0);
	fake.be.ops = &short_ops;
	assert_int_equal(far_backend_reserve(&fake.be, PAGE, &off),
			 -EOPNOTSUPP);
}

static void a_filter_without_an_op_forwards_it(void **state)
{
	struct far_backend filter;
	uint64_t off = 0;

	(void)state;
	far_backend_init(&filter, &short_ops, &fake.be);
	filter.caps = fake.be.caps;
	fake.reserve_off = 3 * PAGE;
	assert_int_equal(far_backend_reserve(&filter, PAGE, &off), 0);
	assert_int_equal(off, 3 * PAGE);
}

static void a_grant_outside_the_capacity_is_eio(void **state)
{
	uint64_t off = 77;

	(void)state;
	fake.reserve_off = 1 << 20;
	assert_int_equal(far_backend_reserve(&fake.be, PAGE, &off), -EIO);
	fake.reserve_off = 12;
	assert_int_equal(far_backend_reserve(&fake.be, PAGE, &off), -EIO);
	fake.reserve_off = UINT64_MAX - PAGE + 1;
	assert_int_equal(far_backend_reserve(&fake.be, PAGE, &off), -EIO);
	assert_int_equal(off, 77);
	assert_int_equal(far_backend_reserve(&fake.be, 2 << 20, &off), -ENOSPC);
	assert_int_equal(far_backend_reserve(&fake.be, 0, &off), -EINVAL);
	assert_int_equal(far_backend_release(&fake.be, 0, 2 << 20), -EINVAL);
	assert_int_equal(far_backend_release(&fake.be, 5, PAGE), -EINVAL);
}

static void waiting_ends_at_the_event_or_the_timeout(void **state)
{
	uint64_t one = 1, start = far_now_ns();

	(void)state;
	assert_int_equal(far_queue_wait(&fake.q, 3000000), -ETIMEDOUT);
	assert_true(far_now_ns() - start >= 3000000);
	assert_int_equal(far_queue_wait(&fake.q, 0), -ETIMEDOUT);
	assert_int_equal(write(fake.event, &one, sizeof(one)), sizeof(one));
	assert_int_equal(far_queue_wait(&fake.q, -1), 0);
	assert_int_equal(far_queue_wait(&fake.q, 3000000), 0);
	fake.be.caps.flags = FAR_CAP_SYNC;
	assert_int_equal(far_queue_event_fd(&fake.q), -EOPNOTSUPP);
	assert_int_equal(far_queue_wait(&fake.q, -1), 0);
}

static void bad_specs_name_what_is_near(void **state)
{
	static const struct {
		const char *spec, *message;
	} rows[] = {
		{"", "column 1"},
		{"mem", "column 4"},
		{"lz5:", "did you mean 'lz4'?"},
		{"crc|lz5:", "column 5: unknown backend 'lz5'"},
		{"dely:read=1us|mem:", "did you mean 'delay'?"},
		{"crc|nothinglikeit|mem:", "column 5: unknown filter"},
		{"mem|mem:", "'mem' is a backend; fix: put it last"},
		{"crc|stats:", "column 5: 'stats' is a filter"},
	};
	struct far_backend *be = NULL;
	struct capture cap;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		memset(&cap, 0, sizeof(cap));
		assert_int_equal(
			far_backend_open(rows[i].spec, capture_log, &cap, &be),
			-EINVAL);
		assert_true(capture_has(&cap, rows[i].message));
		assert_true(capture_has(&cap, "fix: "));
		assert_int_equal(cap.nr, 1);
		assert_int_equal(far_backend_check(rows[i].spec, NULL, NULL),
				 -EINVAL);
	}
	assert_null(be);
	assert_int_equal(
		far_backend_check("crc|delay:read=1us|mem:1G", NULL, NULL), 0);
	far_backend_close(NULL);
	far_queue_close(NULL);
}

static void a_filter_that_does_not_open_leaves_nothing(void **state)
{
	struct far_backend *be = NULL;
	struct capture cap = {0};

	(void)state;
	/* Under the address sanitizer this also shows what leaks. */
	assert_int_equal(far_backend_open("crc|delay:raed=1us|mem:1M",
					  capture_log, &cap, &be),
			 -EINVAL);
	assert_true(capture_has(&cap, "did you mean 'read'?"));
	assert_null(be);
}

static void builtins_are_complete_and_distinct(void **state)
{
	const struct far_backend_ops *const *a, *const *b;
	unsigned nr = 0;

	(void)state;
	for (a = far_backend_builtins(); *a; a++, nr++) {
		assert_int_equal((*a)->size, sizeof(struct far_backend_ops));
		assert_non_null((*a)->open);
		assert_non_null((*a)->close);
		assert_non_null((*a)->queue_open);
		assert_non_null((*a)->queue_close);
		assert_non_null((*a)->submit);
		assert_non_null((*a)->poll);
		assert_true(strlen((*a)->help) > 0);
		for (b = far_backend_builtins(); b != a; b++)
			assert_string_not_equal((*a)->name, (*b)->name);
	}
	assert_true(nr >= 10);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(long_lists_arrive_whole_and_in_order),
		CASE(a_short_acceptance_is_passed_on),
		CASE(errors_of_submit_are_passed_on),
		CASE(what_is_in_flight_cannot_be_submitted_again),
		CASE(a_positive_result_becomes_eio),
		CASE(requests_are_checked),
		CASE(missing_ops_have_defaults),
		CASE(ops_beyond_the_table_are_not_looked_at),
		CASE(a_filter_without_an_op_forwards_it),
		CASE(a_grant_outside_the_capacity_is_eio),
		CASE(waiting_ends_at_the_event_or_the_timeout),
		CASE(bad_specs_name_what_is_near),
		CASE(a_filter_that_does_not_open_leaves_nothing),
		CASE(builtins_are_complete_and_distinct),
	};

	return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
