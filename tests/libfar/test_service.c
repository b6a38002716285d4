/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/service.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "libfar/base/clock.h"

static struct far_service_facts all_possible(enum far_opt_fault asked)
{
	return (struct far_service_facts){
		.asked = asked,
		.is_signal_safe = true,
		.can_share = true,
		.inline_ns = 4000,
		.monitor_ns = 8000,
	};
}

static void auto_takes_the_thread_itself(void **state)
{
	struct far_service_facts f = all_possible(FAR_FAULT_AUTO);

	(void)state;
	assert_int_equal(service_choose(&f), FAR_SERVICE_INLINE);
	f.monitor_ns = f.inline_ns; /* a tie */
	assert_int_equal(service_choose(&f), FAR_SERVICE_INLINE);
	f.monitor_ns = 3000; /* not by enough */
	assert_int_equal(service_choose(&f), FAR_SERVICE_INLINE);
	assert_true(service_is_inline(FAR_SERVICE_INLINE, f.asked));
}

static void auto_takes_monitors_that_are_clearly_faster(void **state)
{
	struct far_service_facts f = all_possible(FAR_FAULT_AUTO);

	(void)state;
	f.monitor_ns = 2999;
	assert_int_equal(service_choose(&f), FAR_SERVICE_MONITOR);
	assert_false(service_is_inline(FAR_SERVICE_MONITOR, f.asked));
}

static void auto_without_figures_takes_the_thread_itself(void **state)
{
	struct far_service_facts f = all_possible(FAR_FAULT_AUTO);

	(void)state;
	f.monitor_ns = 0;
	assert_int_equal(service_choose(&f), FAR_SERVICE_UNTIMED);
	assert_true(service_is_inline(FAR_SERVICE_UNTIMED, f.asked));
	f.monitor_ns = 1;
	f.inline_ns = 0;
	assert_int_equal(service_choose(&f), FAR_SERVICE_UNTIMED);
}

static void what_cannot_be_goes_before_what_is_faster(void **state)
{
	struct far_service_facts f = all_possible(FAR_FAULT_AUTO);

	(void)state;
	f.can_share = false;
	assert_int_equal(service_choose(&f), FAR_SERVICE_KERNEL);
	assert_false(service_is_inline(FAR_SERVICE_KERNEL, f.asked));
	f.is_signal_safe = false;
	assert_int_equal(service_choose(&f), FAR_SERVICE_BACKEND);
	assert_false(service_is_inline(FAR_SERVICE_BACKEND, f.asked));
	/* nor can it be asked for */
	f.asked = FAR_FAULT_INLINE;
	assert_int_equal(service_choose(&f), FAR_SERVICE_BACKEND);
	assert_false(service_is_inline(FAR_SERVICE_BACKEND, f.asked));
}

static void the_option_goes_before_figures(void **state)
{
	struct far_service_facts f = all_possible(FAR_FAULT_INLINE);

	(void)state;
	f.monitor_ns = 1;
	assert_int_equal(service_choose(&f), FAR_SERVICE_OPTION);
	assert_true(service_is_inline(FAR_SERVICE_OPTION, f.asked));
	f = all_possible(FAR_FAULT_MONITOR);
	f.is_signal_safe = false;
	assert_int_equal(service_choose(&f), FAR_SERVICE_OPTION);
	assert_false(service_is_inline(FAR_SERVICE_OPTION, f.asked));
}

/* --- timing ---------------------------------------------------------------
 */

struct course {
	unsigned nr, slow_until, fails_at;
};

static uint64_t trip(void *ctx)
{
	struct course *c = ctx;

	if (++c->nr == c->fails_at)
		return 0;
	return c->nr <= c->slow_until || c->nr % 8 == 0 ? 1000000 : 5000;
}

static void first_trips_and_outliers_do_not_count(void **state)
{
	struct course c = {.slow_until = 8};
	uint64_t ns = service_time(trip, &c);

	(void)state;
	assert_true(ns >= 5000 && ns < 6000);
	assert_true(c.nr > 8 && c.nr <= 1000); /* it ends */
}

static void a_trip_that_fails_is_no_figure(void **state)
{
	struct course c = {.fails_at = 1};

	(void)state;
	assert_int_equal(service_time(trip, &c), 0);
	assert_int_equal(c.nr, 1);
	c = (struct course){.fails_at = 12};
	assert_int_equal(service_time(trip, &c), 0);
	assert_int_equal(c.nr, 12);
}

static uint64_t long_trip(void *ctx)
{
	uint64_t begin = far_now_ns();

	++*(unsigned *)ctx;
	while (far_now_ns() - begin < 3 * FAR_NS_PER_MS)
		;
	return 3 * FAR_NS_PER_MS;
}

static void long_trips_are_few(void **state)
{
	unsigned nr = 0;

	(void)state;
	assert_true(service_time(long_trip, &nr) >= 3 * FAR_NS_PER_MS);
	assert_int_equal(nr, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_takes_the_thread_itself),
		cmocka_unit_test(auto_takes_monitors_that_are_clearly_faster),
		cmocka_unit_test(auto_without_figures_takes_the_thread_itself),
		cmocka_unit_test(what_cannot_be_goes_before_what_is_faster),
		cmocka_unit_test(the_option_goes_before_figures),
		cmocka_unit_test(first_trips_and_outliers_do_not_count),
		cmocka_unit_test(a_trip_that_fails_is_no_figure),
		cmocka_unit_test(long_trips_are_few),
	};

	return cmocka_run_group_tests_name("libfar.service", tests, NULL, NULL);
}
