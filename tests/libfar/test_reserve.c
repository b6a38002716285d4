/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/reserve.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LIMIT 32768
#define BATCH 256
#define STEP (FAR_RESERVE_STEP_NS + 1)

static void few_when_nobody_waits(void **state)
{
	struct far_reserve r = {0};

	(void)state;
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), LIMIT / 512);
	assert_int_equal(reserve_pages(&r, 4096, 32), 32);
	assert_int_equal(reserve_pages(&r, 40, 32), 10); /* a quarter */
}

static void doubles_up_to_four_batches(void **state)
{
	struct far_reserve r = {0};
	uint64_t now = 1;
	uint32_t n = reserve_pages(&r, LIMIT, BATCH);

	(void)state;
	reserve_short(&r, LIMIT, BATCH, now);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 2 * n);
	reserve_short(&r, LIMIT, BATCH, now + 1); /* too soon */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 2 * n);
	for (unsigned i = 0; i < 20; i++)
		reserve_short(&r, LIMIT, BATCH, now += STEP);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 4 * BATCH);
	/* and never much of the limit, which may shrink */
	assert_int_equal(reserve_pages(&r, 4096, BATCH), 4096 / 16);
}

static void shrinks_in_calm(void **state)
{
	struct far_reserve r = {0};
	uint64_t now = 1;
	uint32_t n;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		reserve_short(&r, LIMIT, BATCH, now += STEP);
	n = reserve_pages(&r, LIMIT, BATCH);
	reserve_relax(&r, now + FAR_RESERVE_CALM_NS); /* not calm yet */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), n);
	for (unsigned i = 1; i <= 100; i++)
		reserve_relax(&r, now + FAR_RESERVE_CALM_NS + i);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), LIMIT / 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_when_nobody_waits),
		cmocka_unit_test(doubles_up_to_four_batches),
		cmocka_unit_test(shrinks_in_calm),
	};

	return cmocka_run_group_tests_name("libfar.reserve", tests, NULL, NULL);
}
