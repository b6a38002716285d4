/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/yield.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/base/clock.h"

#define WAIT_NS (20 * FAR_NS_PER_S)

/* A monitor in its place: bound to one core, standing back for @peer. */
struct monitor {
	struct far_yield y;
	struct far_yield_guard *g;
	uint32_t peer;
	bool is_busy; /* always wants to run; else sleeps */
	_Atomic int served;
	_Atomic bool is_ready, stop;
	pthread_t thread;
};

static void bind_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((unsigned)cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static int first_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET((unsigned)cpu, &set))
		cpu++;
	return cpu;
}

static void nap(void)
{
	(void)usleep(1000);
}

static void *monitor(void *arg)
{
	struct monitor *m = arg;

	bind_to(first_cpu());
	yield_init(&m->y);
	yield_begin(&m->y, m->g, m->peer, far_now_ns());
	atomic_store(&m->is_ready, true);
	while (!atomic_load(&m->stop)) {
		if (atomic_load(&m->served))
			yield_served(&m->y, (unsigned)atomic_load(&m->served));
		if (!m->is_busy || atomic_load(&m->served))
			nap();
	}
	yield_end(&m->y);
	return NULL;
}

static void monitor_begin(struct monitor *m, struct far_yield_guard *g,
			  uint32_t peer)
{
	m->g = g;
	m->peer = peer;
	assert_int_equal(pthread_create(&m->thread, NULL, monitor, m), 0);
	while (!atomic_load(&m->is_ready))
		nap();
}

static void monitor_end(struct monitor *m)
{
	atomic_store(&m->stop, true);
	assert_int_equal(pthread_join(m->thread, NULL), 0);
}

static int class_of(const struct monitor *m)
{
	return sched_getscheduler((pid_t)atomic_load(&m->y.tid));
}

static void *hog(void *arg)
{
	_Atomic bool *stop = arg;

	bind_to(first_cpu());
	while (!atomic_load(stop))
		;
	return NULL;
}

/* A peer that sleeps all the time. */
static void *sleeper(void *arg)
{
	_Atomic uint32_t *tid = arg;

	atomic_store(tid, (uint32_t)gettid());
	while (atomic_load(tid))
		(void)usleep(200000); /* seldom seen awake */
	return NULL;
}

static void class_comes_and_goes(void **state)
{
	struct far_yield_guard g = {0};
	struct far_yield y = {0};

	(void)state;
	yield_init(&y);
	yield_begin(&y, &g, (uint32_t)gettid(), 1);
	assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
	assert_true(atomic_load(&y.back) && atomic_load(&g.kick));
	yield_end(&y);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	assert_false(atomic_load(&y.back));
	atomic_store(&y.not_before_ns, 100);
	yield_begin(&y, &g, 1, 99);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	yield_begin(&y, &g, 1, 100);
	assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
	yield_end(&y);
}

static void class_of_others_is_left_alone(void **state)
{
	const struct sched_param none = {0};
	struct far_yield_guard g = {0};
	struct far_yield y = {0};

	(void)state;
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
	yield_init(&y);
	yield_begin(&y, &g, 1, 1);
	yield_end(&y);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
}

/* The core is another's: the guard must get the monitor out of the way it
 * put itself in, although the monitor does not run. */
static void starved_monitor_is_called_forward(void **state)
{
	struct monitor m = {.is_busy = true};
	struct far_yield_guard g = {0};
	_Atomic uint32_t tid = 0;
	_Atomic bool stop = false;
	pthread_t asleep, busy;
	uint64_t t0;

	(void)state;
	assert_int_equal(pthread_create(&asleep, NULL, sleeper, &tid), 0);
	while (!atomic_load(&tid))
		nap();
	monitor_begin(&m, &g, atomic_load(&tid));
	assert_int_equal(pthread_create(&busy, NULL, hog, &stop), 0);
	assert_int_equal(yield_guard_start(&g, &m.y), 0);
	t0 = far_now_ns();
	while (atomic_load(&m.y.back) && far_now_ns() - t0 < WAIT_NS)
		nap();
	assert_false(atomic_load(&m.y.back));
	assert_int_equal(class_of(&m), SCHED_OTHER);
	assert_true(atomic_load(&m.y.not_before_ns) > t0);
	yield_guard_stop(&g);
	atomic_store(&stop, true);
	monitor_end(&m);
	atomic_store(&tid, 0);
	assert_int_equal(pthread_join(busy, NULL), 0);
	assert_int_equal(pthread_join(asleep, NULL), 0);
}

static void idle_monitor_comes_forward_for_nothing(void **state)
{
	struct monitor m = {0};
	struct far_yield_guard g = {0};

	(void)state;
	monitor_begin(&m, &g, (uint32_t)gettid());
	assert_false(yield_watch(&m.y, far_now_ns()));
	assert_int_equal(class_of(&m), SCHED_OTHER);
	assert_true(atomic_load(&m.y.not_before_ns) == 0);
	monitor_end(&m);
}

static void monitor_that_gets_along_stays_back(void **state)
{
	struct monitor m = {.served = 1000};
	struct far_yield_guard g = {0};

	(void)state;
	monitor_begin(&m, &g, (uint32_t)gettid());
	for (unsigned i = 0; i < 20; i++) {
		uint64_t seen = atomic_load(&m.y.nr_served);

		while (atomic_load(&m.y.nr_served) == seen)
			nap();
		assert_true(yield_watch(&m.y, far_now_ns()));
	}
	assert_int_equal(class_of(&m), SCHED_IDLE);
	monitor_end(&m);
}

/* Its peer runs: that is what it stands back for. */
static void monitor_behind_its_peer_is_not_stuck(void **state)
{
	struct monitor m = {.is_busy = true};
	struct far_yield_guard g = {0};

	(void)state;
	monitor_begin(&m, &g, (uint32_t)gettid());
	for (unsigned i = 0; i < 5; i++) /* this thread runs, as it looks */
		(void)yield_watch(&m.y, far_now_ns());
	assert_true(atomic_load(&m.y.not_before_ns) == 0);
	monitor_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(class_comes_and_goes),
		cmocka_unit_test(class_of_others_is_left_alone),
		cmocka_unit_test(starved_monitor_is_called_forward),
		cmocka_unit_test(idle_monitor_comes_forward_for_nothing),
		cmocka_unit_test(monitor_that_gets_along_stays_back),
		cmocka_unit_test(monitor_behind_its_peer_is_not_stuck),
	};

	if (!yield_is_possible()) {
		(void)printf("skipped: may not leave SCHED_IDLE; needs "
			     "CAP_SYS_NICE or RLIMIT_NICE 20\n");
		return 77;
	}
	return cmocka_run_group_tests_name("libfar.yield", tests, NULL, NULL);
}
