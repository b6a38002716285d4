/* SPDX-License-Identifier: BSD-3-Clause */
/* Who serves inline memory, and what the statistics say of it. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <far/stats.h>

#define NR_OPENERS 4
#define LONG_NS FAR_NS_PER_S /* no round trip takes that */

static struct far_stats map_one(struct tp *t)
{
	void *mem;

	assert_int_equal(far_map_inline(t->pager, MIB, 0, &mem), 0);
	tp_fill_all(mem, MIB, 1);
	assert_int_equal(tp_same_all(mem, MIB, 1), 0);
	return tp_stats(t->pager);
}

/* Is @service one of those that measuring leads to, and were pages served so?
 */
static void assert_measured(const struct far_stats *st)
{
	assert_true(st->inline_ns > 0 && st->inline_ns < LONG_NS);
	assert_true(st->deliver_ns > 0 && st->deliver_ns < LONG_NS);
	if (st->fault_service == FAR_SERVICE_MONITOR) {
		assert_true(st->deliver_ns < st->inline_ns);
		assert_int_equal(st->faults_inline, 0);
		return;
	}
	assert_int_equal(st->fault_service, FAR_SERVICE_INLINE);
	assert_true(st->faults_inline > 0);
}

static void both_ways_are_measured_once(void **state)
{
	struct tp t = tp_open("lazy=off", 0);
	struct far_stats first, again;

	(void)state;
	assert_int_equal(TP_STAT(t.pager, fault_service), FAR_SERVICE_NONE);
	assert_int_equal(TP_STAT(t.pager, inline_ns), 0);
	first = map_one(&t);
	assert_measured(&first);
	again = map_one(&t);
	assert_int_equal(again.inline_ns, first.inline_ns);
	assert_int_equal(again.deliver_ns, first.deliver_ns);
	assert_int_equal(again.fault_service, first.fault_service);
	/* the trips were not faults of the program */
	assert_true(again.faults_missing <= 2 * PAGES(MIB));
	tp_close(&t);
}

static void nothing_need_be_intercepted(void **state)
{
	struct tp t = tp_open("log=info", 0);
	struct far_stats st;
	void *mem;

	(void)state;
	assert_int_equal(far_map_inline(t.pager, MIB, 0, &mem), 0);
	st = tp_stats(t.pager);
	assert_int_equal(st.is_armed, 0);
	assert_true(st.inline_ns > 0 && st.deliver_ns > 0);
	TP_WAIT(tp_logged("inline memory is served by "), 5);
	tp_close(&t);
}

static void options_and_backends_are_the_reason(void **state)
{
	struct tp t = tp_open("lazy=off;fault=monitor", 0);
	struct far_stats st = map_one(&t);
	void *mem;

	(void)state;
	assert_int_equal(st.fault_service, FAR_SERVICE_OPTION);
	assert_int_equal(st.faults_inline, 0);
	tp_close(&t);

	t = tp_open("lazy=off;fault=inline", 0);
	st = map_one(&t);
	assert_int_equal(st.fault_service, FAR_SERVICE_OPTION);
	assert_true(st.faults_inline > 0);
	assert_true(st.inline_ns > 0);
	tp_close(&t);

	t = tp_open("lazy=off;far=delay:read=1us|mem:64M", 0);
	st = map_one(&t);
	assert_int_equal(st.fault_service, FAR_SERVICE_BACKEND);
	assert_int_equal(st.faults_inline, 0);
	st = map_one(&t);
	assert_int_equal(st.fault_service, FAR_SERVICE_BACKEND);
	tp_close(&t);

	t = tp_open("lazy=off;fault=inline;far=delay:read=1us|mem:64M", 0);
	assert_int_equal(far_map_inline(t.pager, MIB, 0, &mem), -ENOTSUP);
	assert_int_equal(TP_STAT(t.pager, fault_service), FAR_SERVICE_BACKEND);
	tp_close(&t);
}

/* The kernel ends a process whose thread blocks the SIGBUS of a fault. */
static void blocked_signal_is_left_alone(void **state)
{
	struct tp t = tp_open("lazy=off", 0);
	sigset_t bus, old, now;
	void *mem;

	(void)state;
	(void)sigemptyset(&bus);
	(void)sigaddset(&bus, SIGBUS);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &bus, &old), 0);
	assert_int_equal(far_map_inline(t.pager, MIB, 0, &mem), 0);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, &now), 0);
	assert_int_equal(sigismember(&now, SIGBUS), 1);
	assert_int_equal(TP_STAT(t.pager, fault_service), FAR_SERVICE_UNTIMED);
	assert_int_equal(TP_STAT(t.pager, inline_ns), 0);
	tp_fill_all(mem, MIB, 1);
	assert_true(TP_STAT(t.pager, faults_inline) > 0);
	tp_close(&t);
}

static _Atomic int nr_seen;

static void count(int sig)
{
	(void)sig;
	atomic_fetch_add(&nr_seen, 1);
}

static int map_with_handler(void *arg)
{
	struct tp t;

	(void)arg;
	(void)signal(SIGBUS, count);
	t = tp_open("lazy=off", 0);
	(void)map_one(&t);
	if (atomic_load(&nr_seen))
		return 1;
	(void)raise(SIGBUS); /* that one is the program's */
	return atomic_load(&nr_seen) == 1 ? 0 : 2;
}

static void program_sees_no_signal_of_it(void **state)
{
	(void)state;
	assert_int_equal(tp_in_child(map_with_handler, NULL), 0);
}

static void *open_one(void *arg)
{
	struct far_stats *st = arg;
	struct far_pager *pager;
	void *mem;

	if (tp_try("lazy=off", &pager) < 0)
		return NULL;
	st->size = sizeof(*st);
	if (far_map_inline(pager, MIB, 0, &mem) == 0) {
		tp_fill_all(mem, MIB, 1);
		(void)far_stats_read(pager, st);
	}
	far_close(pager);
	return st;
}

static void threads_measure_side_by_side(void **state)
{
	struct far_stats st[NR_OPENERS];
	pthread_t thread[NR_OPENERS];
	void *done;

	(void)state;
	memset(st, 0, sizeof(st));
	for (unsigned i = 0; i < NR_OPENERS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, open_one, &st[i]), 0);
	for (unsigned i = 0; i < NR_OPENERS; i++) {
		assert_int_equal(pthread_join(thread[i], &done), 0);
		assert_ptr_equal(done, &st[i]);
		assert_measured(&st[i]);
	}
}

struct family {
	struct tp t;
	struct far_stats st; /* the parent's */
};

static int compare_in_child(void *arg)
{
	struct family *f = arg;
	struct far_stats st = tp_stats(f->t.pager);
	void *mem;

	if (st.inline_ns != f->st.inline_ns ||
	    st.deliver_ns != f->st.deliver_ns ||
	    st.fault_service != f->st.fault_service)
		return 1;
	if (far_map_inline(f->t.pager, MIB, 0, &mem) < 0)
		return 2;
	return TP_STAT(f->t.pager, inline_ns) == f->st.inline_ns ? 0 : 3;
}

static void child_takes_over_what_was_measured(void **state)
{
	struct family f = {.t = tp_open("lazy=off", 0)};

	(void)state;
	f.st = map_one(&f.t);
	assert_int_equal(tp_in_child(compare_in_child, &f), 0);
	tp_close(&f.t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_are_measured_once),
		cmocka_unit_test(nothing_need_be_intercepted),
		cmocka_unit_test(options_and_backends_are_the_reason),
		cmocka_unit_test(blocked_signal_is_left_alone),
		cmocka_unit_test(program_sees_no_signal_of_it),
		cmocka_unit_test(threads_measure_side_by_side),
		cmocka_unit_test(child_takes_over_what_was_measured),
	};

	return tp_main(argc, argv, "pager.service", tests);
}
