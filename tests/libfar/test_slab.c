/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "libfar/backend/slab.h"
#include "libfar/base/compiler.h"

#define SIZE (UINT64_C(4) << 20)
#define NR_OBJECTS 2000u

static struct far_slab slab;

static int setup(void **state)
{
	(void)state;
	return far_slab_init(&slab, SIZE);
}

static int teardown(void **state)
{
	(void)state;
	far_slab_fini(&slab);
	far_slab_fini(&slab); /* twice is fine */
	return 0;
}

/* Pages of the slab that are in memory now. */
static unsigned resident_pages(void)
{
	unsigned char vec[SIZE / FAR_PAGE_SIZE];
	unsigned i, n = 0;

	assert_int_equal(mincore(slab.base, SIZE, vec), 0);
	for (i = 0; i < sizeof(vec); i++)
		n += vec[i] & 1;
	return n;
}

static void objects_do_not_overlap(void **state)
{
	uint64_t handle[NR_OBJECTS];
	uint32_t len[NR_OBJECTS];
	unsigned i, k;

	(void)state;
	for (i = 0; i < NR_OBJECTS; i++) {
		len[i] = 1 + i * 2654435761u % FAR_PAGE_SIZE;
		if (i >= 700)
			len[i] = 1 + len[i] % 500;
		assert_int_equal(far_slab_alloc(&slab, len[i], &handle[i]), 0);
		assert_true(handle[i] < UINT64_C(1) << 40);
		assert_true(far_slab_room(&slab, handle[i]) >= len[i]);
		assert_true(far_slab_room(&slab, handle[i]) < len[i] + 64);
		memset(far_slab_addr(&slab, handle[i]), (int)(i % 251), len[i]);
	}
	assert_true(far_slab_used(&slab) <= SIZE);
	for (i = 0; i < NR_OBJECTS; i++) {
		unsigned char *p = far_slab_addr(&slab, handle[i]);

		assert_true((char *)p >= slab.base &&
			    (char *)p + len[i] <= slab.base + SIZE);
		for (k = 0; k < len[i]; k++)
			assert_int_equal(p[k], i % 251);
		far_slab_free(&slab, handle[i]);
	}
	assert_int_equal(far_slab_used(&slab), 0);
}

static void every_length_fits_its_class(void **state)
{
	uint64_t a, b;
	uint32_t len;

	(void)state;
	for (len = 1; len <= FAR_PAGE_SIZE; len++) {
		assert_int_equal(far_slab_alloc(&slab, len, &a), 0);
		assert_int_equal(far_slab_alloc(&slab, len, &b), 0);
		assert_int_equal(far_slab_room(&slab, a), (len + 63) / 64 * 64);
		assert_true(labs((char *)far_slab_addr(&slab, a) -
				 (char *)far_slab_addr(&slab, b)) >= (long)len);
		far_slab_free(&slab, a);
		far_slab_free(&slab, b);
	}
}

static void full_is_enospc_and_space_is_reused_by_other_classes(void **state)
{
	static uint64_t handle[SIZE / 64];
	uint64_t n = 0, m = 0, extra = 42;

	(void)state;
	while (far_slab_alloc(&slab, 64, &handle[n]) == 0)
		n++;
	/* Classes that divide a span waste nothing. */
	assert_int_equal(n, SIZE / 64);
	assert_int_equal(far_slab_used(&slab), SIZE);
	assert_int_equal(far_slab_alloc(&slab, 4096, &extra), -ENOSPC);
	assert_int_equal(extra, 42);
	while (n > 0)
		far_slab_free(&slab, handle[--n]);
	assert_int_equal(far_slab_used(&slab), 0);
	while (far_slab_alloc(&slab, 4096, &handle[m]) == 0)
		m++;
	assert_int_equal(m, SIZE / 4096);
	while (m > 0)
		far_slab_free(&slab, handle[--m]);
}

static void empty_spans_go_back_to_the_system(void **state)
{
	uint64_t handle[1024], n, warm = FAR_SLAB_WARM * FAR_SLAB_SPAN;

	(void)state;
	assert_int_equal(resident_pages(), 0);
	for (n = 0; n < 1024; n++) {
		assert_int_equal(far_slab_alloc(&slab, 4096, &handle[n]), 0);
		memset(far_slab_addr(&slab, handle[n]), 1, 4096);
	}
	assert_int_equal(resident_pages(), 1024);
	/* All but one span: some stay warm, and are counted as occupied. */
	for (n = 8; n < 1024; n++)
		far_slab_free(&slab, handle[n]);
	assert_int_equal(far_slab_used(&slab), FAR_SLAB_SPAN + warm);
	assert_int_equal(resident_pages() * FAR_PAGE_SIZE,
			 FAR_SLAB_SPAN + warm);
	for (n = 0; n < 8; n++)
		far_slab_free(&slab, handle[n]);
	assert_int_equal(far_slab_used(&slab), 0);
	assert_int_equal(resident_pages(), 0);
}

static void *hammer(void *arg)
{
	unsigned char tag = *(unsigned char *)arg;
	uint64_t handle[64], rng = tag + 1, wrong = 0;
	uint32_t len[64] = {0};
	unsigned i, k, slot;

	for (i = 0; i < 40000; i++) {
		rng = rng * UINT64_C(6364136223846793005) + 1;
		slot = (unsigned)(rng >> 40) % 64;
		if (len[slot]) {
			unsigned char *p = far_slab_addr(&slab, handle[slot]);

			for (k = 0; k < len[slot]; k += 61)
				wrong += p[k] != (unsigned char)(tag + slot);
			far_slab_free(&slab, handle[slot]);
			len[slot] = 0;
		} else if (far_slab_alloc(&slab, 1 + (rng >> 20) % 4096,
					  &handle[slot]) == 0) {
			len[slot] = 1 + (rng >> 20) % 4096;
			memset(far_slab_addr(&slab, handle[slot]),
			       tag + (int)slot, len[slot]);
		}
	}
	for (slot = 0; slot < 64; slot++) {
		if (len[slot])
			far_slab_free(&slab, handle[slot]);
	}
	return (void *)wrong;
}

static void threads_get_objects_of_their_own(void **state)
{
	unsigned char tags[4] = {0, 64, 128, 192};
	pthread_t threads[4];
	void *wrong;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, hammer, &tags[i]), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	assert_int_equal(far_slab_used(&slab), 0);
}

static void bad_sizes_are_refused(void **state)
{
	static struct far_slab other;

	(void)state;
	assert_int_equal(far_slab_init(&other, FAR_SLAB_SPAN - 1), -EINVAL);
	assert_int_equal(far_slab_init(&other, UINT64_MAX), -EINVAL);
	assert_int_equal(far_slab_init(&other, UINT64_C(1) << 47), -EINVAL);
	far_slab_fini(&other);
}

/* The whole slab full, huge pages and what lies around them. */
static void objects_in_huge_pages_are_kept_and_given_back(void **state)
{
	const unsigned nr = (unsigned)(SIZE / FAR_PAGE_SIZE);
	uint64_t handle[SIZE / FAR_PAGE_SIZE];

	(void)state;
	for (unsigned i = 0; i < nr; i++) {
		assert_int_equal(
			far_slab_alloc(&slab, FAR_PAGE_SIZE, &handle[i]), 0);
		memset(far_slab_addr(&slab, handle[i]), (int)(i % 251),
		       FAR_PAGE_SIZE);
	}
	for (unsigned i = 0; i < nr; i++) {
		const unsigned char *p = far_slab_addr(&slab, handle[i]);

		assert_int_equal(p[0], i % 251);
		assert_int_equal(p[FAR_PAGE_SIZE - 1], i % 251);
		far_slab_free(&slab, handle[i]);
	}
	assert_true(resident_pages() <=
		    FAR_SLAB_WARM * FAR_SLAB_SPAN / FAR_PAGE_SIZE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(objects_do_not_overlap),
		CASE(objects_in_huge_pages_are_kept_and_given_back),
		CASE(every_length_fits_its_class),
		CASE(full_is_enospc_and_space_is_reused_by_other_classes),
		CASE(empty_spans_go_back_to_the_system),
		CASE(threads_get_objects_of_their_own),
		CASE(bad_sizes_are_refused),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
