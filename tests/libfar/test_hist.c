/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/base/hist.h"

/* Its largest values share a bucket without a true upper edge. */
#define LAST_EDGE ((UINT64_C(1) << 43) - 1)

static void empty_histogram_is_zero(void **state)
{
	static struct far_hist h;

	(void)state;
	assert_int_equal(far_hist_total(&h), 0);
	assert_int_equal(far_hist_quantile(&h, 0.5), 0);
}

static void edge_holds_value_within_7_percent(void **state)
{
	static struct far_hist h;
	uint64_t v;

	(void)state;
	for (v = 1; v < LAST_EDGE; v = v * 17 / 16 + 1) {
		uint64_t edge;

		memset(&h, 0, sizeof(h));
		far_hist_add(&h, v);
		edge = far_hist_quantile(&h, 0.5);
		assert_true(edge >= v);
		assert_true(edge - v <= v * 7 / 100);
		assert_int_equal(far_hist_bucket(edge), far_hist_bucket(v));
		assert_int_equal(far_hist_bucket(edge + 1),
				 far_hist_bucket(v) + 1 == FAR_HIST_BUCKETS
					 ? FAR_HIST_BUCKETS - 1
					 : far_hist_bucket(v) + 1);
	}
}

static void values_beyond_the_last_bucket_count(void **state)
{
	static struct far_hist h;

	(void)state;
	far_hist_add(&h, UINT64_MAX);
	assert_int_equal(far_hist_total(&h), 1);
	assert_int_equal(far_hist_quantile(&h, 1), LAST_EDGE);
}

static void quantiles_find_their_rank(void **state)
{
	static struct far_hist h;
	uint64_t i;

	(void)state;
	for (i = 0; i < 90; i++)
		far_hist_add(&h, 3);
	for (i = 0; i < 9; i++)
		far_hist_add(&h, 7);
	far_hist_add(&h, 11);
	assert_int_equal(far_hist_total(&h), 100);
	assert_int_equal(far_hist_quantile(&h, 0), 3);
	assert_int_equal(far_hist_quantile(&h, 0.5), 3);
	assert_int_equal(far_hist_quantile(&h, 0.9), 3);
	assert_int_equal(far_hist_quantile(&h, 0.91), 7);
	assert_int_equal(far_hist_quantile(&h, 0.99), 7);
	assert_int_equal(far_hist_quantile(&h, 0.995), 11);
	assert_int_equal(far_hist_quantile(&h, 1), 11);
}

static void merge_adds_every_bucket(void **state)
{
	static struct far_hist a, b;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_HIST_BUCKETS; i++) {
		atomic_store(&a.count[i], i);
		atomic_store(&b.count[i], 1000);
	}
	far_hist_merge(&a, &b);
	for (i = 0; i < FAR_HIST_BUCKETS; i++) {
		assert_int_equal(atomic_load(&a.count[i]), i + 1000);
		assert_int_equal(atomic_load(&b.count[i]), 1000);
	}
}

static void octaves_hold_every_value(void **state)
{
	static struct far_hist h;
	uint64_t n[8];

	(void)state;
	for (uint64_t v = 0; v < 1000; v++)
		far_hist_add(&h, v);
	far_hist_octaves(&h, n, FAR_ARRAY_SIZE(n));
	assert_int_equal(n[0], 2); /* 0 and 1 */
	assert_int_equal(n[1], 2);
	assert_int_equal(n[4], 16);
	assert_int_equal(n[6], 64);
	assert_int_equal(n[7], 1000 - 128); /* and what is larger */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_histogram_is_zero),
		cmocka_unit_test(edge_holds_value_within_7_percent),
		cmocka_unit_test(values_beyond_the_last_bucket_count),
		cmocka_unit_test(quantiles_find_their_rank),
		cmocka_unit_test(merge_adds_every_bucket),
		cmocka_unit_test(octaves_hold_every_value),
	};

	return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
