/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/backend/compress.h"
#include "tests/libfar/backend_io.h"
#include "tests/support/capture.h"

struct env {
	struct far_backend *be;
	struct far_queue *q;
	uint64_t off;
	char *buf, *back;
};

static struct env env;

static int open_env(const char *spec)
{
	memset(&env, 0, sizeof(env));
	env.buf = aligned_alloc(PAGE, PAGE);
	env.back = aligned_alloc(PAGE, PAGE);
	return far_backend_open(spec, NULL, NULL, &env.be) ||
	       far_queue_open(env.be, 8, &env.q) ||
	       far_backend_reserve(env.be, 256 * PAGE, &env.off);
}

static int open_lz4(void **state)
{
	(void)state;
	return open_env("lz4:4M");
}

static int open_zstd(void **state)
{
	(void)state;
	return open_env("zstd:4M,level=5");
}

static int close_env(void **state)
{
	(void)state;
	far_queue_close(env.q);
	far_backend_close(env.be);
	free(env.buf);
	free(env.back);
	return 0;
}

static void put(unsigned page, const void *buf)
{
	memcpy(env.buf, buf, PAGE);
	assert_int_equal(
		io_do(env.q, FAR_IO_WRITE, env.off + page * PAGE, env.buf), 0);
}

static void expect(unsigned page, const void *buf)
{
	memset(env.back, 0x5a, PAGE);
	assert_int_equal(
		io_do(env.q, FAR_IO_READ, env.off + page * PAGE, env.back), 0);
	assert_memory_equal(env.back, buf, PAGE);
}

static struct far_backend_usage usage(void)
{
	struct far_backend_usage u;

	assert_int_equal(far_backend_usage(env.be, &u), 0);
	return u;
}

static void same_filled_pages_take_no_space(void **state)
{
	static const uint64_t patterns[] = {0, 1, UINT64_MAX,
					    UINT64_C(0x3ff0000000000000),
					    UINT64_C(0x0123456789abcdef)};
	uint64_t words[FAR_PAGE_SIZE / 8];
	unsigned i, k;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(patterns); i++) {
		for (k = 0; k < FAR_ARRAY_SIZE(words); k++)
			words[k] = patterns[i];
		put(i, words);
	}
	assert_int_equal(usage().same_filled_pages, FAR_ARRAY_SIZE(patterns));
	assert_int_equal(usage().stored_bytes, FAR_ARRAY_SIZE(patterns) * PAGE);
	assert_int_equal(usage().used_bytes, 0);
	for (i = 0; i < FAR_ARRAY_SIZE(patterns); i++) {
		for (k = 0; k < FAR_ARRAY_SIZE(words); k++)
			words[k] = patterns[i];
		expect(i, words);
	}
}

static void
a_page_that_differs_in_its_last_word_is_not_same_filled(void **state)
{
	uint64_t words[FAR_PAGE_SIZE / 8] = {0};

	(void)state;
	words[FAR_ARRAY_SIZE(words) - 1] = 1;
	put(0, words);
	assert_int_equal(usage().same_filled_pages, 0);
	assert_int_equal(usage().used_bytes, FAR_SLAB_SPAN);
	expect(0, words);
}

static void pages_change_their_form(void **state)
{
	char packed[FAR_PAGE_SIZE], raw[FAR_PAGE_SIZE], same[FAR_PAGE_SIZE];
	const char *forms[3] = {packed, raw, same};
	unsigned from, to;

	(void)state;
	io_fill(packed, 1);
	io_noise(raw, 2);
	memset(same, 3, sizeof(same));
	for (from = 0; from < 3; from++) {
		for (to = 0; to < 3; to++) {
			put(7, forms[from]);
			expect(7, forms[from]);
			put(7, forms[to]);
			expect(7, forms[to]);
			assert_int_equal(usage().same_filled_pages, to == 2);
			assert_int_equal(usage().stored_bytes, PAGE);
		}
	}
	assert_int_equal(io_do(env.q, FAR_IO_DISCARD, env.off + 7 * PAGE, NULL),
			 0);
	assert_int_equal(usage().used_bytes, 0);
	assert_int_equal(usage().same_filled_pages, 0);
}

static void pages_that_compress_fourfold_take_about_a_quarter(void **state)
{
	char page[FAR_PAGE_SIZE];
	unsigned i;

	(void)state;
	for (i = 0; i < 256; i++) {
		io_fill(page, i);
		put(i, page);
	}
	/* Noise of 1/8, matches, rounding, the last span: below 0.4. */
	assert_in_range(usage().used_bytes, 256 * PAGE / 16,
			256 * PAGE * 4 / 10);
	for (i = 0; i < 256; i++) {
		io_fill(page, i);
		expect(i, page);
	}
}

static void damage_is_ebadmsg(void **state)
{
	struct far_slab *slab = far_compress_slab(env.be);
	char page[FAR_PAGE_SIZE];

	(void)state;
	io_fill(page, 1);
	put(0, page);
	/* The one object: the first of the first span. */
	memset(far_slab_addr(slab, 0), 0xff, 64);
	assert_int_equal(io_do(env.q, FAR_IO_READ, env.off, env.back),
			 -EBADMSG);
	put(0, page);
	expect(0, page);
}

static void a_refused_overwrite_keeps_the_old_page(void **state)
{
	char page[FAR_PAGE_SIZE], old[FAR_PAGE_SIZE];
	uint64_t off, n = 0;
	int rc;

	(void)state;
	io_fill(old, 1);
	put(0, old);
	assert_int_equal(far_backend_reserve(env.be, 2048 * PAGE, &off), 0);
	do {
		io_noise(env.buf, n);
		rc = io_do(env.q, FAR_IO_WRITE, off + n * PAGE, env.buf);
	} while (rc == 0 && ++n < 2048);
	assert_int_equal(rc, -ENOSPC);
	assert_true(usage().used_bytes <= UINT64_C(4) << 20);
	assert_true(usage().used_bytes >= (UINT64_C(4) << 20) - FAR_SLAB_SPAN);
	io_noise(page, 99999);
	memcpy(env.buf, page, PAGE);
	assert_int_equal(io_do(env.q, FAR_IO_WRITE, env.off, env.buf), -ENOSPC);
	expect(0, old);
}

static void transfers_do_not_allocate(void **state)
{
	struct mallinfo2 before, after;
	char page[FAR_PAGE_SIZE];
	unsigned i;

	(void)state;
	before = mallinfo2();
	for (i = 0; i < 200; i++) {
		if (i % 3 == 0)
			io_noise(page, i);
		else
			io_fill(page, i);
		put(i % 64, page);
		expect(i % 64, page);
	}
	after = mallinfo2();
	assert_int_equal(before.uordblks, after.uordblks);
	assert_int_equal(before.fordblks, after.fordblks);
}

static void bad_parameters_are_refused(void **state)
{
	static const struct {
		const char *spec, *message;
	} rows[] = {
		{"lz4:level=3", "unknown parameter 'level'"},
		{"zstd:4M,level=20", "level=20; fix: give a number from 1"},
		{"zstd:4M,level=", "level="},
		{"lz4:1K", "too small; fix: give at least 1"},
		{"lz4:x", "'x' is not a size"},
		{"lz4:4M,size=4M", "given twice"},
		{"zstd:4M,levl=3", "did you mean 'level'?"},
	};
	struct far_backend *be;
	struct capture cap;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		memset(&cap, 0, sizeof(cap));
		assert_int_equal(
			far_backend_open(rows[i].spec, capture_log, &cap, &be),
			-EINVAL);
		assert_true(capture_has(&cap, rows[i].message));
	}
}

#define BOTH(name)                                                             \
	cmocka_unit_test_setup_teardown(name, open_lz4, close_env),            \
		cmocka_unit_test_setup_teardown(name, open_zstd, close_env)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BOTH(same_filled_pages_take_no_space),
		BOTH(a_page_that_differs_in_its_last_word_is_not_same_filled),
		BOTH(pages_change_their_form),
		BOTH(pages_that_compress_fourfold_take_about_a_quarter),
		BOTH(damage_is_ebadmsg),
		BOTH(a_refused_overwrite_keeps_the_old_page),
		BOTH(transfers_do_not_allocate),
		cmocka_unit_test(bad_parameters_are_refused),
	};

	return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
