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

#define PERIOD UINT64_C(100000000)
#define BATCH_NS UINT64_C(1000000)

/* @nr frames in each of @periods, from @from on. */
static uint64_t take(struct far_reserve *r, uint64_t *now, uint64_t from,
		     uint64_t nr, unsigned periods)
{
	for (unsigned i = 0; i < periods; i++)
		reserve_pace(r, from += nr, *now += PERIOD);
	return from;
}

static void follows_the_rate_before_anybody_waits(void **state)
{
	struct far_reserve r = {0};
	uint64_t now = 1, nr = 0;

	(void)state;
	reserve_pace(&r, nr, now);
	nr = take(&r, &now, nr, 20000, 1); /* no batch was seen yet */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), LIMIT / 512);
	reserve_took(&r, BATCH_NS);
	nr = take(&r, &now, nr, 20000, 1); /* 200 a batch, twice */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 400);
	nr = take(&r, &now, nr, 1000, 100);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), LIMIT / 512);
	(void)take(&r, &now, nr, 100000000, 1); /* bounded as ever */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 4 * BATCH);
	assert_int_equal(reserve_pages(&r, 4096, BATCH), 4096 / 16);
}

static void does_not_shrink_while_the_rate_lasts(void **state)
{
	struct far_reserve r = {0};
	uint64_t now = 1, nr = 0;

	(void)state;
	reserve_took(&r, BATCH_NS);
	reserve_pace(&r, nr, now);
	for (unsigned i = 0; i < 100; i++) {
		nr = take(&r, &now, nr, 20000, 1);
		reserve_relax(&r, now);
		assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 400);
	}
	/* a break does not end it at once */
	nr = take(&r, &now, nr, 0, 1);
	assert_true(reserve_pages(&r, LIMIT, BATCH) > 300);
	(void)take(&r, &now, nr, 0, 40);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), LIMIT / 512);
}

static void one_slow_batch_is_not_the_mean(void **state)
{
	struct far_reserve r = {0};
	uint64_t now = 1;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		reserve_took(&r, BATCH_NS);
	reserve_took(&r, 5 * BATCH_NS); /* an eighth of it: 1.5 */
	reserve_pace(&r, 0, now);
	(void)take(&r, &now, 0, 20000, 1);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 600);
	for (unsigned i = 0; i < 100; i++)
		reserve_took(&r, UINT64_MAX);
	(void)take(&r, &now, 20000, UINT32_MAX, 2); /* no overflow */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 4 * BATCH);
}

/* In a forked child they are counted from 0 again. */
static void counts_may_begin_again(void **state)
{
	struct far_reserve r = {0};
	uint64_t now = 1;

	(void)state;
	reserve_took(&r, BATCH_NS);
	reserve_pace(&r, 1000000, now);
	reserve_pace(&r, 10, now += PERIOD);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), LIMIT / 512);
	(void)take(&r, &now, 10, 20000, 1);
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 400);
	reserve_pace(&r, 10 + 20001, now); /* no time has passed */
	assert_int_equal(reserve_pages(&r, LIMIT, BATCH), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_when_nobody_waits),
		cmocka_unit_test(doubles_up_to_four_batches),
		cmocka_unit_test(shrinks_in_calm),
		cmocka_unit_test(follows_the_rate_before_anybody_waits),
		cmocka_unit_test(does_not_shrink_while_the_rate_lasts),
		cmocka_unit_test(one_slow_batch_is_not_the_mean),
		cmocka_unit_test(counts_may_begin_again),
	};

	return cmocka_run_group_tests_name("libfar.reserve", tests, NULL, NULL);
}
