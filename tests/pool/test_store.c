/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pool/space.h"
#include "pool/store.h"

#define PAGE FAR_PAGE_SIZE

static struct pool_store *make_store(uint64_t pages)
{
	struct pool_store_attr attr = {.size = pages * PAGE, .max_exports = 16};
	struct pool_store *st;

	assert_int_equal(pool_store_create(&attr, &st), 0);
	return st;
}

static struct pool_export *make_export(struct pool_store *st)
{
	struct pool_export *ex;

	assert_int_equal(pool_export_create(st, 0, &ex), 0);
	return ex;
}

static struct pool_store_usage usage_of(const struct pool_store *st)
{
	struct pool_store_usage usage;

	pool_store_usage(st, &usage);
	return usage;
}

static void write_page(struct pool_export *ex, uint64_t off, int value)
{
	char page[PAGE];

	memset(page, value, sizeof(page));
	assert_int_equal(pool_export_write(ex, off, PAGE, page), 0);
}

/* The byte a page is full of; or what read() said. */
static int read_page(const struct pool_export *ex, uint64_t off)
{
	char page[PAGE];
	size_t i;
	int err = pool_export_read(ex, off, PAGE, page);

	for (i = 1; !err && i < PAGE; i++)
		assert_int_equal(page[i], page[0]);
	return err ? err : page[0];
}

static void space_is_first_fit_and_joins_holes(void **state)
{
	struct pool_space sp, copy;
	uint64_t at;

	(void)state;
	pool_space_init(&sp, 100);
	assert_int_equal(pool_space_alloc(&sp, 10, &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(pool_space_alloc(&sp, 90, &at), 0);
	assert_int_equal(at, 10);
	assert_int_equal(pool_space_alloc(&sp, 1, &at), -ENOSPC);
	assert_int_equal(pool_space_free(&sp, 20, 10), 0);
	assert_int_equal(pool_space_free(&sp, 40, 10), 0);
	assert_int_equal(sp.nr_holes, 2);
	assert_int_equal(pool_space_alloc(&sp, 11, &at), -ENOSPC);
	assert_int_equal(pool_space_free(&sp, 30, 10), 0);
	assert_int_equal(sp.nr_holes, 1);
	assert_int_equal(pool_space_copy(&copy, &sp), 0);
	assert_int_equal(pool_space_alloc(&copy, 30, &at), 0);
	assert_int_equal(at, 20);
	assert_int_equal(pool_space_alloc(&sp, 30, &at), 0);
	assert_int_equal(at, 20);
	assert_int_equal(pool_space_free(&sp, 50, 50), 0);
	assert_int_equal(sp.top, 50);
	assert_int_equal(pool_space_free(&sp, 0, 50), 0);
	assert_int_equal(sp.top, 0);
	assert_int_equal(sp.nr_holes, 0);
	pool_space_fini(&sp);
	pool_space_fini(&copy);
}

/* Against a map of bytes that cannot be wrong. */
static void space_agrees_with_a_plain_map(void **state)
{
	enum { MAX = 200 };
	bool taken[MAX] = {false};
	struct pool_space sp;
	uint64_t at, nr, i, run;
	unsigned round;

	(void)state;
	srand(99);
	pool_space_init(&sp, MAX);
	for (round = 0; round < 20000; round++) {
		nr = 1 + (uint64_t)rand() % 20;
		if (rand() & 1) {
			uint64_t want = MAX;

			for (i = 0, run = 0; i < MAX && want == MAX; i++) {
				run = taken[i] ? 0 : run + 1;
				if (run == nr)
					want = i + 1 - nr;
			}
			assert_int_equal(pool_space_alloc(&sp, nr, &at),
					 want == MAX ? -ENOSPC : 0);
			if (want == MAX)
				continue;
			assert_int_equal(at, want);
			for (i = at; i < at + nr; i++)
				taken[i] = true;
		} else {
			at = (uint64_t)rand() % MAX;
			for (i = at; i < MAX && i < at + nr && taken[i]; i++)
				taken[i] = false;
			if (i > at)
				assert_int_equal(
					pool_space_free(&sp, at, i - at), 0);
		}
	}
	pool_space_fini(&sp);
}

static void only_what_is_reserved_can_be_used(void **state)
{
	struct pool_store *st = make_store(16);
	struct pool_export *ex = make_export(st);
	char page[PAGE] = {0};
	uint64_t off;

	(void)state;
	assert_int_equal(read_page(ex, 0), -EINVAL);
	assert_int_equal(pool_export_reserve(ex, 4 * PAGE, &off), 0);
	assert_int_equal(off, 0);
	assert_int_equal(read_page(ex, 0), -ENODATA);
	write_page(ex, PAGE, 'a');
	assert_int_equal(read_page(ex, PAGE), 'a');
	assert_int_equal(read_page(ex, 0), -ENODATA);
	assert_int_equal(pool_export_write(ex, 4 * PAGE, PAGE, page), -EINVAL);
	assert_int_equal(pool_export_write(ex, 1, PAGE, page), -EINVAL);
	assert_int_equal(pool_export_write(ex, 0, 100, page), -EINVAL);
	assert_int_equal(pool_export_write(ex, 0, 0, page), -EINVAL);
	assert_int_equal(pool_export_discard(ex, 3 * PAGE, 2 * PAGE), -EINVAL);
	assert_int_equal(pool_export_discard(ex, UINT64_MAX - PAGE + 1, PAGE),
			 -EINVAL);
	assert_int_equal(pool_export_release(ex, 0, 5 * PAGE), -EINVAL);
	assert_int_equal(pool_export_release(ex, PAGE, PAGE), 0);
	assert_int_equal(read_page(ex, PAGE), -EINVAL);
	assert_int_equal(pool_export_release(ex, PAGE, PAGE), -EINVAL);
	assert_int_equal(usage_of(st).used, 0);
	/* the same place again: what was there is not to be seen */
	assert_int_equal(pool_export_reserve(ex, PAGE, &off), 0);
	assert_int_equal(off, PAGE);
	assert_int_equal(read_page(ex, PAGE), -ENODATA);
	pool_export_put(ex);
	pool_store_destroy(st);
}

static void space_is_counted_and_comes_back(void **state)
{
	struct pool_store *st = make_store(8);
	struct pool_export *a = make_export(st), *b = make_export(st);
	uint64_t off;
	unsigned i;

	(void)state;
	assert_int_equal(pool_export_reserve(a, 6 * PAGE, &off), 0);
	assert_int_equal(pool_export_reserve(b, 3 * PAGE, &off), -ENOSPC);
	assert_int_equal(pool_export_reserve(b, 2 * PAGE, &off), 0);
	assert_int_equal(usage_of(st).reserved, 8 * PAGE);
	for (i = 0; i < 6; i++)
		write_page(a, i * PAGE, 'a');
	write_page(b, 0, 'b');
	write_page(b, PAGE, 'b');
	assert_int_equal(usage_of(st).used, 8 * PAGE);
	assert_int_equal(pool_export_discard(a, 0, 6 * PAGE), 0);
	assert_int_equal(usage_of(st).used, 2 * PAGE);
	assert_int_equal(usage_of(st).reserved, 8 * PAGE);
	pool_export_put(a);
	assert_int_equal(usage_of(st).reserved, 2 * PAGE);
	assert_int_equal(usage_of(st).nr_exports, 1);
	assert_int_equal(read_page(b, 0), 'b');
	pool_export_put(b);
	assert_int_equal(usage_of(st).used, 0);
	pool_store_destroy(st);
}

static void a_limit_bounds_one_export(void **state)
{
	struct pool_store *st = make_store(8);
	struct pool_export *ex;
	uint64_t off;

	(void)state;
	assert_int_equal(pool_export_create(st, 2 * PAGE, &ex), 0);
	assert_int_equal(pool_export_capacity(ex), 2 * PAGE);
	assert_int_equal(pool_export_reserve(ex, 3 * PAGE, &off), -ENOSPC);
	assert_int_equal(pool_export_reserve(ex, 2 * PAGE, &off), 0);
	assert_int_equal(pool_export_reserve(ex, PAGE, &off), -ENOSPC);
	pool_export_put(ex);
	assert_int_equal(pool_export_create(st, 100, &ex), 0);
	assert_int_equal(pool_export_capacity(ex), 0);
	pool_export_put(ex);
	assert_int_equal(pool_export_create(st, UINT64_MAX, &ex), 0);
	assert_int_equal(pool_export_capacity(ex), 8 * PAGE);
	pool_export_put(ex);
	pool_store_destroy(st);
}

static void a_clone_shares_until_someone_writes(void **state)
{
	struct pool_store *st = make_store(8);
	struct pool_export *ex = make_export(st), *cl;
	uint8_t token[POOL_TOKEN_LEN];
	uint64_t off;

	(void)state;
	assert_int_equal(pool_export_reserve(ex, 4 * PAGE, &off), 0);
	write_page(ex, 0, 'a');
	write_page(ex, PAGE, 'b');
	assert_int_equal(pool_export_clone(ex, 0, token), 0);
	assert_int_equal(usage_of(st).reserved, 8 * PAGE);
	assert_int_equal(usage_of(st).used, 2 * PAGE);
	assert_int_equal(pool_export_attach(st, token, &cl), 0);
	write_page(ex, 0, 'x');
	assert_int_equal(usage_of(st).used, 3 * PAGE);
	assert_int_equal(read_page(cl, 0), 'a');
	assert_int_equal(read_page(ex, 0), 'x');
	write_page(ex, 0, 'y'); /* its own by now: in place */
	assert_int_equal(usage_of(st).used, 3 * PAGE);
	assert_int_equal(pool_export_discard(cl, PAGE, PAGE), 0);
	assert_int_equal(read_page(cl, PAGE), -ENODATA);
	assert_int_equal(read_page(ex, PAGE), 'b');
	write_page(cl, 2 * PAGE, 'c');
	assert_int_equal(read_page(ex, 2 * PAGE), -ENODATA);
	assert_int_equal(pool_export_release(cl, 3 * PAGE, PAGE), 0);
	assert_int_equal(read_page(ex, 3 * PAGE), -ENODATA);
	pool_export_put(ex);
	assert_int_equal(read_page(cl, 0), 'a');
	assert_int_equal(read_page(cl, 2 * PAGE), 'c');
	assert_int_equal(usage_of(st).used, 2 * PAGE);
	pool_export_put(cl);
	assert_int_equal(usage_of(st).reserved, 0);
	pool_store_destroy(st);
}

/* Full in every way: all reserved, all shared; each write still finds room. */
static void copy_on_write_never_lacks_room(void **state)
{
	struct pool_store *st = make_store(12);
	struct pool_export *ex = make_export(st), *cl[2];
	uint8_t token[POOL_TOKEN_LEN];
	uint64_t off;
	unsigned i;

	(void)state;
	assert_int_equal(pool_export_reserve(ex, 4 * PAGE, &off), 0);
	for (i = 0; i < 4; i++)
		write_page(ex, i * PAGE, 'a');
	for (i = 0; i < 2; i++) {
		assert_int_equal(pool_export_clone(ex, 0, token), 0);
		assert_int_equal(pool_export_attach(st, token, &cl[i]), 0);
	}
	assert_int_equal(pool_export_clone(ex, 0, token), -ENOSPC);
	for (i = 0; i < 4; i++) {
		write_page(cl[0], i * PAGE, 'b');
		write_page(ex, i * PAGE, 'c');
		write_page(cl[1], i * PAGE, 'd');
	}
	assert_int_equal(usage_of(st).used, 12 * PAGE);
	for (i = 0; i < 4; i++) {
		assert_int_equal(read_page(cl[0], i * PAGE), 'b');
		assert_int_equal(read_page(ex, i * PAGE), 'c');
		assert_int_equal(read_page(cl[1], i * PAGE), 'd');
	}
	pool_export_put(ex);
	pool_export_put(cl[0]);
	pool_export_put(cl[1]);
	pool_store_destroy(st);
}

static void an_unclaimed_clone_is_dropped(void **state)
{
	struct pool_store *st = make_store(8);
	struct pool_export *ex = make_export(st), *cl;
	uint8_t one[POOL_TOKEN_LEN], two[POOL_TOKEN_LEN];
	uint64_t off, t = 1000;

	(void)state;
	assert_int_equal(pool_export_reserve(ex, 2 * PAGE, &off), 0);
	write_page(ex, 0, 'a');
	assert_int_equal(pool_export_clone(ex, t, one), 0);
	assert_int_equal(pool_export_clone(ex, t + 5, two), 0);
	assert_int_equal(pool_export_attach(st, two, &cl), 0);
	assert_true(pool_store_expire(st, t) == t + POOL_CLONE_LIFE_NS);
	assert_int_equal(usage_of(st).nr_exports, 3);
	assert_true(pool_store_expire(st, t + POOL_CLONE_LIFE_NS) ==
		    UINT64_MAX);
	assert_int_equal(usage_of(st).nr_exports, 2);
	assert_int_equal(usage_of(st).reserved, 4 * PAGE);
	pool_export_put(ex);
	assert_int_equal(pool_export_attach(st, one, &ex), -ESTALE);
	/* the claimed one lives on */
	(void)pool_store_expire(st, t + 3 * POOL_CLONE_LIFE_NS);
	assert_int_equal(read_page(cl, 0), 'a');
	pool_export_put(cl);
	pool_store_destroy(st);
}

static void tokens_open_only_their_export(void **state)
{
	struct pool_store *st = make_store(8);
	struct pool_export *a = make_export(st), *b = make_export(st), *c;
	uint8_t token[POOL_TOKEN_LEN];

	(void)state;
	assert_memory_not_equal(pool_export_token(a), pool_export_token(b),
				POOL_TOKEN_LEN);
	memcpy(token, pool_export_token(a), sizeof(token));
	assert_int_equal(pool_export_attach(st, token, &c), 0);
	assert_ptr_equal(a, c);
	token[15] ^= 1;
	assert_int_equal(pool_export_attach(st, token, &c), -ESTALE);
	token[15] ^= 1;
	pool_export_put(a); /* one holder is left */
	assert_int_equal(usage_of(st).nr_exports, 2);
	pool_export_put(a);
	assert_int_equal(pool_export_attach(st, token, &c), -ESTALE);
	pool_export_put(b);
	pool_store_destroy(st);
}

static void exports_are_bounded(void **state)
{
	struct pool_store *st = make_store(8);
	struct pool_export *ex[16], *more;
	uint8_t token[POOL_TOKEN_LEN];
	unsigned i;

	(void)state;
	for (i = 0; i < 16; i++)
		ex[i] = make_export(st);
	assert_int_equal(pool_export_create(st, 0, &more), -ENFILE);
	assert_int_equal(pool_export_clone(ex[0], 0, token), -ENFILE);
	for (i = 0; i < 16; i++)
		pool_export_put(ex[i]);
	pool_store_destroy(st);
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
	struct pool_store_attr attr = {.size = PAGE - 1, .max_exports = 1};
	struct pool_store *st;

	(void)state;
	assert_int_equal(pool_store_create(&attr, &st), -EINVAL);
	attr.size = UINT64_C(1) << 60;
	assert_int_equal(pool_store_create(&attr, &st), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(space_is_first_fit_and_joins_holes),
		cmocka_unit_test(space_agrees_with_a_plain_map),
		cmocka_unit_test(only_what_is_reserved_can_be_used),
		cmocka_unit_test(space_is_counted_and_comes_back),
		cmocka_unit_test(a_limit_bounds_one_export),
		cmocka_unit_test(a_clone_shares_until_someone_writes),
		cmocka_unit_test(copy_on_write_never_lacks_room),
		cmocka_unit_test(an_unclaimed_clone_is_dropped),
		cmocka_unit_test(tokens_open_only_their_export),
		cmocka_unit_test(exports_are_bounded),
		cmocka_unit_test(sizes_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
