/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NR_STATES 8

static void fields_do_not_touch_each_other(void **state)
{
	far_word_t w = 0;

	(void)state;
	w = word_with(w, FAR_PAGE_EVICTING);
	w = word_with_stage(w, 0xffff);
	w = word_with_slot(w, 0xfffffffe);
	w |= FAR_WORD_DIRTY | FAR_WORD_SEQ;
	assert_int_equal(word_state(w), FAR_PAGE_EVICTING);
	assert_int_equal(word_stage(w), 0xffff);
	assert_true(word_slot(w) == 0xfffffffe);
	w = word_with_stage(w, 1);
	w = word_with(w, FAR_PAGE_REMOTE);
	assert_int_equal(word_stage(w), 1);
	assert_true(word_slot(w) == 0xfffffffe);
	assert_true((w & FAR_WORD_DIRTY) && (w & FAR_WORD_SEQ));
	w = word_with_slot(w, FAR_SLOT_NONE);
	assert_true(word_slot(w) == FAR_SLOT_NONE);
	assert_int_equal(word_state(w), FAR_PAGE_REMOTE);
	w = word_with_slot(w, 0);
	assert_true(word_slot(w) == 0);
	assert_true(w >> FAR_SLOT_SHIFT == 1);
}

static void word_of_nothing_is_absent_without_slot(void **state)
{
	(void)state;
	assert_int_equal(word_state(0), FAR_PAGE_ABSENT);
	assert_true(word_slot(0) == FAR_SLOT_NONE);
	assert_int_equal(word_pins(0), 0);
}

static void flags_lie_between_state_and_stage(void **state)
{
	const far_word_t flags[] = {
		FAR_WORD_DIRTY, FAR_WORD_PARKED, FAR_WORD_DISCARD,
		FAR_WORD_REF,	FAR_WORD_AHEAD,	 FAR_WORD_IOBUSY,
		FAR_WORD_HELD,	FAR_WORD_RANDOM, FAR_WORD_SEQ,
		FAR_WORD_GROUP,
	};
	far_word_t all = 0;

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(flags); i++) {
		assert_true((flags[i] & (flags[i] - 1)) == 0);
		assert_false(flags[i] & all);
		all |= flags[i];
	}
	assert_false(all & (FAR_WORD_STATE | FAR_STAGE_MASK | FAR_SLOT_MASK));
}

static void pins_add_up(void **state)
{
	far_word_t w = word_with_slot(FAR_PAGE_RESIDENT, 77);

	(void)state;
	for (unsigned i = 1; i <= 0xffff; i++) {
		w += FAR_PIN_ONE;
		assert_int_equal(word_pins(w), i);
	}
	assert_true(word_slot(w) == 77);
	assert_int_equal(word_state(w), FAR_PAGE_RESIDENT);
}

/* The diagram of page.h, row by row: '1' where the step may be taken. */
static void only_steps_of_the_diagram_are_legal(void **state)
{
	/* A absent, R resident, T taking, E evicting, S rescuing,
	 * M remote, F fetching, L lost */
	static const char *const table[NR_STATES] = {
		/*                     ARTESMFL */
		[FAR_PAGE_ABSENT] = "11000011",
		[FAR_PAGE_RESIDENT] = "01100000",
		[FAR_PAGE_TAKING] = "11110100",
		[FAR_PAGE_EVICTING] = "10011100",
		[FAR_PAGE_RESCUING] = "11001001",
		[FAR_PAGE_REMOTE] = "10000110",
		[FAR_PAGE_FETCHING] = "11000111",
		[FAR_PAGE_LOST] = "10000001",
	};

	(void)state;
	for (unsigned from = 0; from < NR_STATES; from++)
		for (unsigned to = 0; to < NR_STATES; to++)
			if (far_page_legal((enum far_page_state)from,
					   (enum far_page_state)to) !=
			    (table[from][to] == '1'))
				fail_msg("%u to %u", from, to);
	for (unsigned from = NR_STATES; from < 16; from++)
		assert_false(far_page_legal((enum far_page_state)from,
					    FAR_PAGE_ABSENT));
	/* a page that left memory never comes back without an owner */
	assert_false(far_page_legal(FAR_PAGE_REMOTE, FAR_PAGE_RESIDENT));
	assert_false(far_page_legal(FAR_PAGE_EVICTING, FAR_PAGE_RESIDENT));
	assert_false(far_page_legal(FAR_PAGE_LOST, FAR_PAGE_RESIDENT));
}

static void cas_tells_what_it_found(void **state)
{
	_Atomic far_word_t word = FAR_PAGE_REMOTE;
	far_word_t old = FAR_PAGE_ABSENT;

	(void)state;
	assert_false(far_page_cas(&word, &old, FAR_PAGE_FETCHING));
	assert_true(old == FAR_PAGE_REMOTE);
	assert_true(far_page_cas(&word, &old, FAR_PAGE_FETCHING));
	assert_true(far_page_load(&word) == FAR_PAGE_FETCHING);
}

static void zero_is_seen_and_each_bit_of_a_page_counts(void **state)
{
	unsigned char *page = aligned_alloc(FAR_PAGE_SIZE, FAR_PAGE_SIZE);

	(void)state;
	assert_non_null(page);
	memset(page, 0, FAR_PAGE_SIZE);
	assert_true(far_page_is_zero(page));
	for (size_t i = 0; i < FAR_PAGE_SIZE; i++) {
		page[i] = (unsigned char)(1u << (i % 8));
		if (far_page_is_zero(page))
			fail_msg("byte %zu is not seen", i);
		page[i] = 0;
	}
	assert_true(far_page_is_zero(page));
	free(page);
}

static void copy_copies_a_page_and_no_more(void **state)
{
	unsigned char *src = aligned_alloc(FAR_PAGE_SIZE, FAR_PAGE_SIZE);
	unsigned char *dst = aligned_alloc(FAR_PAGE_SIZE, 3 * FAR_PAGE_SIZE);

	(void)state;
	assert_non_null(src);
	assert_non_null(dst);
	for (size_t i = 0; i < FAR_PAGE_SIZE; i++)
		src[i] = (unsigned char)(i * 31 + i / 256);
	memset(dst, 0xee, 3 * FAR_PAGE_SIZE);
	far_page_copy(dst + FAR_PAGE_SIZE, src);
	assert_memory_equal(dst + FAR_PAGE_SIZE, src, FAR_PAGE_SIZE);
	for (size_t i = 0; i < FAR_PAGE_SIZE; i++) {
		assert_int_equal(dst[i], 0xee);
		assert_int_equal(dst[2 * FAR_PAGE_SIZE + i], 0xee);
	}
	free(src);
	free(dst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_do_not_touch_each_other),
		cmocka_unit_test(word_of_nothing_is_absent_without_slot),
		cmocka_unit_test(flags_lie_between_state_and_stage),
		cmocka_unit_test(pins_add_up),
		cmocka_unit_test(only_steps_of_the_diagram_are_legal),
		cmocka_unit_test(cas_tells_what_it_found),
		cmocka_unit_test(zero_is_seen_and_each_bit_of_a_page_counts),
		cmocka_unit_test(copy_copies_a_page_and_no_more),
	};

	return cmocka_run_group_tests_name("libfar.page", tests, NULL, NULL);
}
