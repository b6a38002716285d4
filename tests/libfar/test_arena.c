/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "libfar/base/arena.h"

static void near_memory_is_zeroed_and_whole_pages(void **state)
{
	unsigned char *p;
	void *addr;
	size_t i;

	(void)state;
	assert_int_equal(far_near_map(FAR_PAGE_SIZE + 1, &addr), 0);
	p = addr;
	for (i = 0; i < 2 * FAR_PAGE_SIZE; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0xff, 2 * FAR_PAGE_SIZE);
	far_near_unmap(addr, FAR_PAGE_SIZE + 1);
	/* both pages are gone */
	assert_int_equal(msync(addr, FAR_PAGE_SIZE, MS_ASYNC), -1);
	assert_int_equal(msync(p + FAR_PAGE_SIZE, FAR_PAGE_SIZE, MS_ASYNC), -1);
	far_near_unmap(NULL, 0);
}

static void impossible_sizes_are_enomem(void **state)
{
	void *addr = &addr;

	(void)state;
	assert_int_equal(far_near_map(SIZE_MAX, &addr), -ENOMEM);
	assert_int_equal(far_near_map(SIZE_MAX / 2, &addr), -ENOMEM);
	assert_int_equal(far_near_map(0, &addr), -ENOMEM);
	assert_ptr_equal(addr, &addr);
}

static void arena_hands_out_lines_until_it_is_empty(void **state)
{
	struct far_arena arena;
	char *p, *last = NULL;
	unsigned nr = 0;

	(void)state;
	assert_int_equal(far_arena_init(&arena, FAR_PAGE_SIZE), 0);
	while ((p = far_arena_alloc(&arena, 1))) {
		assert_int_equal((uintptr_t)p % FAR_CACHE_LINE, 0);
		assert_true(!last || p >= last + FAR_CACHE_LINE);
		assert_int_equal(*p, 0);
		memset(p, 0xff, FAR_CACHE_LINE);
		last = p;
		nr++;
	}
	assert_int_equal(nr, FAR_PAGE_SIZE / FAR_CACHE_LINE);
	far_arena_fini(&arena);
	assert_null(far_arena_alloc(&arena, 1));
	far_arena_fini(&arena);
}

static void arena_refuses_what_does_not_fit(void **state)
{
	struct far_arena arena;

	(void)state;
	assert_int_equal(far_arena_init(&arena, FAR_PAGE_SIZE), 0);
	assert_null(far_arena_alloc(&arena, FAR_PAGE_SIZE + 1));
	assert_null(far_arena_alloc(&arena, SIZE_MAX));
	assert_null(far_arena_alloc(&arena, 0));
	assert_non_null(far_arena_alloc(&arena, FAR_PAGE_SIZE - 1));
	assert_null(far_arena_alloc(&arena, 1));
	far_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_memory_is_zeroed_and_whole_pages),
		cmocka_unit_test(impossible_sizes_are_enomem),
		cmocka_unit_test(arena_hands_out_lines_until_it_is_empty),
		cmocka_unit_test(arena_refuses_what_does_not_fit),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
