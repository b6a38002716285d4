/* SPDX-License-Identifier: BSD-3-Clause */
/* The judges of the benchmarks are right: they find what is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/lib/content.h"
#include "bench/lib/json.h"
#include "bench/lib/resp.h"
#include "bench/lib/smaps.h"
#include "bench/lib/zipf.h"

#define PAGES 4
#define SEED 42

static _Alignas(4096) unsigned char region[PAGES * 4096];

static void fill(void)
{
	uint64_t pg;

	for (pg = 0; pg < PAGES; pg++)
		bench_page_fill(bench_page(region, pg), SEED, pg);
}

static uint64_t bad_pages(void)
{
	struct bench_content_check c;

	bench_content_verify(region, PAGES, SEED, &c);
	return c.bad_pages;
}

static void content_finds_every_flipped_bit(void **state)
{
	size_t i;

	(void)state;
	fill();
	assert_int_equal(bad_pages(), 0);
	/* words 2 to 7 hold no content; the total of words 2 is checked */
	for (i = 0; i < 4096; i++) {
		if (i >= 16 && i < BENCH_FIRST_WORD * 8)
			continue;
		region[4096 + i] ^= (unsigned char)(1u << (i % 8));
		assert_int_equal(bad_pages(), 1);
		region[4096 + i] ^= (unsigned char)(1u << (i % 8));
	}
	assert_int_equal(bad_pages(), 0);
}

static void content_finds_swapped_zeroed_and_old_pages(void **state)
{
	static unsigned char old[4096], other[4096];
	struct bench_content_check c;

	(void)state;
	fill();
	memcpy(old, region, 4096);
	memcpy(other, region + 4096, 4096);
	memcpy(region, other, 4096);
	assert_int_equal(bad_pages(), 1);
	memset(region, 0, 4096);
	assert_int_equal(bad_pages(), 1);
	memcpy(region, old, 4096);
	assert_true(bench_word_modify(bench_page(region, 0), SEED, 0, 8));
	assert_true(bench_word_modify(bench_page(region, 0), SEED, 0, 511));
	bench_content_verify(region, PAGES, SEED, &c);
	assert_int_equal(c.bad_pages, 0);
	assert_int_equal(c.modifications, 2);
	memcpy(region, old, 4096); /* came back whole, but old */
	bench_content_verify(region, PAGES, SEED, &c);
	assert_int_equal(c.bad_pages, 0);
	assert_int_equal(c.modifications, 0);
}

static void content_finds_a_bad_word_at_once(void **state)
{
	_Atomic uint64_t *page = bench_page(region, 2);
	unsigned i;

	(void)state;
	fill();
	for (i = BENCH_FIRST_WORD; i < BENCH_PAGE_WORDS; i++) {
		assert_true(bench_word_ok(page, SEED, 2, i));
		page[i] ^= 1;
		assert_false(bench_word_ok(page, SEED, 2, i));
		assert_false(bench_word_modify(page, SEED, 2, i));
	}
}

static void zipf_draws_as_its_weights_say(void **state)
{
	enum { ITEMS = 1000, DRAWS = 400000 };
	unsigned seen[ITEMS] = {0};
	struct bench_zipf z;
	struct bench_rng rng;
	unsigned i;

	(void)state;
	bench_zipf_init(&z, ITEMS, 0.99);
	bench_rng_init(&rng, 7);
	for (i = 0; i < DRAWS; i++) {
		uint64_t r = bench_zipf_rank(&z, &rng);

		assert_true(r < ITEMS);
		seen[r]++;
	}
	/* ranks 0 and 1 are exact in the method: 1 / zeta, 2^-0.99 / zeta */
	assert_in_range(seen[0], DRAWS / z.zeta_n * 0.97,
			DRAWS / z.zeta_n * 1.03);
	assert_in_range(seen[1], DRAWS / z.zeta_n * 0.4886,
			DRAWS / z.zeta_n * 0.5186);
	assert_true(seen[9] > seen[99] && seen[99] > seen[999]);
}

static const char wire[] =
	"+OK\r\n$5\r\nhe\r\no\r\n:42\r\n$-1\r\n-ERR no\r\n$0\r\n"
	"\r\n";
static const enum bench_reply_type wire_types[] = {
	BENCH_REPLY_STATUS, BENCH_REPLY_BULK,  BENCH_REPLY_NUMBER,
	BENCH_REPLY_NIL,    BENCH_REPLY_ERROR, BENCH_REPLY_BULK,
};

static void replies_are_parsed_whole_or_not_at_all(void **state)
{
	size_t pos = 0, used, cut, end = sizeof(wire) - 1;
	struct bench_reply r;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(wire_types); i++) {
		assert_int_equal(
			bench_reply_parse(wire + pos, end - pos, &r, &used), 0);
		assert_int_equal(r.type, wire_types[i]);
		if (i == 1) {
			assert_int_equal(r.len, 5);
			assert_memory_equal(r.data, "he\r\no", 5);
		}
		for (cut = 0; cut < used; cut++) {
			struct bench_reply x;
			size_t n;

			assert_int_equal(
				bench_reply_parse(wire + pos, cut, &x, &n),
				-EAGAIN);
		}
		pos += used;
	}
	assert_int_equal(pos, end);
}

static void replies_that_break_the_protocol_are_refused(void **state)
{
	static const char *const broken[] = {
		"?\r\n",   "$5x\r\nhello\r\n", "$5\r\nhelloXX",
		"$-2\r\n", "+OK\rX",	       "$99999999999\r\n",
	};
	struct bench_reply r;
	size_t used;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(broken); i++)
		assert_int_equal(bench_reply_parse(broken[i], strlen(broken[i]),
						   &r, &used),
				 -EPROTO);
}

#define FIELDS(rss, pss, swap, flags)                                          \
	"Size: 1 kB\nRss: " rss " kB\nPss: " pss " kB\nPss_Dirty: 77 kB\n"     \
	"Swap: " swap " kB\nSwapPss: " swap " kB\nVmFlags: rd wr " flags "\n"

static const char largest[] =
	"555000000000-555000001000 r-xp 00000000 fe:00 99 "
	"/usr/bin/x\n" FIELDS(
		"900", "900", "0",
		"mr") "7f0000000000-7f0000800000 rw-p 00000000 00:00 0 "
		      "\n" FIELDS("100", "50", "8",
				  "mr") "7f0001000000-7f0001001000 "
					"rw-p 00000000 00:00 0 "
					"\n" FIELDS("4", "4", "0",
						    "mr") "7ffe00000000"
							  "-7ffe0002100"
							  "0 rw-p "
							  "00000000 "
							  "00:00 0 "
							  "[stack]"
							  "\n" FIELDS("8", "8",
								      "0",
								      "mr");
static const char registered[] =
	"7f0000000000-7f0000800000 rw-p 00000000 00:00 0 \n" FIELDS(
		"9000", "50", "8",
		"mr") "7f0001000000-7f0001001000 rw-p 00000000 00:00 0 "
		      "\n" FIELDS("4", "4", "1",
				  "mr um uw") "7f0002000000-7f0002001000 "
					      "rw-p 00000000 00:00 "
					      "0\n" FIELDS("16", "8", "0",
							   "mr um");
static const char named[] =
	"7f0001000000-7f0001001000 rw-p 00000000 00:00 0 \n" FIELDS(
		"4", "4", "1",
		"mr um uw") "7f0002000000-7f0002001000 rw-p 00000000 00:00 0 "
			    "[anon:far heap]\n" FIELDS("32", "8", "2", "mr um");

static void parse(const char *text, struct bench_smaps *s)
{
	char copy[4096];
	FILE *f;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	f = fmemopen(copy, strlen(copy), "r");
	assert_non_null(f);
	bench_smaps_parse(f, s);
	(void)fclose(f);
}

static void smaps_sums_far_mappings(void **state)
{
	struct bench_smaps s;

	(void)state;
	parse(largest, &s);
	assert_int_equal(s.how, BENCH_SMAPS_LARGEST);
	assert_int_equal(s.rss, 100 << 10);
	assert_int_equal(s.swap, 8 << 10);
	assert_int_equal(s.pss, 50 << 10);
	assert_int_equal(s.size, 8 << 20);
	parse(registered, &s);
	assert_int_equal(s.how, BENCH_SMAPS_UFFD);
	assert_int_equal(s.rss, 20 << 10);
	assert_int_equal(s.swap, 1 << 10);
	parse(named, &s);
	assert_int_equal(s.how, BENCH_SMAPS_NAMED);
	assert_int_equal(s.rss, 32 << 10);
	assert_int_equal(s.swap, 2 << 10);
	parse("", &s);
	assert_int_equal(s.how, BENCH_SMAPS_NONE);
}

static void smaps_of_this_process_counts_touched_pages(void **state)
{
	size_t len = 1 << 20;
	struct bench_smaps s;
	char *p = aligned_alloc(4096, len);

	(void)state;
	assert_non_null(p);
	memset(p, 1, len);
	assert_int_equal(bench_smaps_self(p, len, &s), 0);
	assert_true(s.rss + s.swap >= len);
	free(p);
}

static void json_line_is_quoted_and_bounded(void **state)
{
	static struct bench_json j;
	char buf[256] = {0};
	FILE *f = fmemopen(buf, sizeof(buf), "w");
	int i;

	(void)state;
	assert_non_null(f);
	bench_json_begin(&j, "t");
	bench_json_str(&j, "s", "a\"b\\c\n");
	bench_json_f64(&j, "f", 1.5);
	bench_json_f64(&j, "inf", 1e308 * 10.0);
	bench_json_bool(&j, "b", true);
	assert_int_equal(bench_json_end(&j, f), 0);
	(void)fclose(f);
	assert_string_equal(buf, "{\"schema\":\"far.bench/1\",\"bench\":\"t\","
				 "\"s\":\"a\\\"b\\\\c\\u000a\",\"f\":1.5,"
				 "\"inf\":null,\"b\":true}\n");
	bench_json_begin(&j, "t");
	for (i = 0; i < 1000; i++)
		bench_json_str(&j, "key", "0123456789");
	assert_int_equal(bench_json_end(&j, stdout), -EMSGSIZE);
}

static void latencies_stay_within_what_was_seen(void **state)
{
	static struct bench_lat a, b;
	unsigned i;

	(void)state;
	bench_lat_init(&a);
	bench_lat_init(&b);
	for (i = 1; i <= 1000; i++)
		bench_lat_add(i % 2 ? &a : &b, i * 1000);
	bench_lat_merge(&a, &b);
	assert_int_equal(far_hist_total(&a.hist), 1000);
	assert_int_equal(bench_lat_ns(&a, 1.0), 1000000);
	assert_int_equal(a.min_ns, 1000);
	assert_in_range(bench_lat_ns(&a, 0.5), 500000, 540000);
	assert_in_range(bench_lat_ns(&a, 0.99), 990000, 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_finds_every_flipped_bit),
		cmocka_unit_test(content_finds_swapped_zeroed_and_old_pages),
		cmocka_unit_test(content_finds_a_bad_word_at_once),
		cmocka_unit_test(zipf_draws_as_its_weights_say),
		cmocka_unit_test(replies_are_parsed_whole_or_not_at_all),
		cmocka_unit_test(replies_that_break_the_protocol_are_refused),
		cmocka_unit_test(smaps_sums_far_mappings),
		cmocka_unit_test(smaps_of_this_process_counts_touched_pages),
		cmocka_unit_test(json_line_is_quoted_and_bounded),
		cmocka_unit_test(latencies_stay_within_what_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
