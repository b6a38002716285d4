/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/slots.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libfar/pager/page.h"

#define NR 1000u

static void check_counts(const struct far_slots *s, uint64_t granted,
			 int64_t nr_free, int64_t nr_stale)
{
	assert_int_equal(s->nr_granted, granted);
	assert_int_equal(s->nr_free, nr_free);
	assert_int_equal(s->nr_stale, nr_stale);
}

static void nothing_is_handed_out_before_it_is_granted(void **state)
{
	struct far_slots s;

	(void)state;
	assert_int_equal(far_slots_init(&s, NR), 0);
	assert_true(far_slots_alloc(&s) == FAR_SLOT_NONE);
	assert_int_equal(far_slots_grant(&s, NR - 10, 11), -ENOSPC);
	check_counts(&s, 0, 0, 0);
	assert_int_equal(far_slots_grant(&s, 130, 3), 0);
	for (uint64_t want = 130; want < 133; want++)
		assert_true(far_slots_alloc(&s) == want);
	assert_true(far_slots_alloc(&s) == FAR_SLOT_NONE);
	check_counts(&s, 3, 0, 0);
	far_slots_fini(&s);
	far_slots_fini(&s); /* harmless */
}

static void each_slot_is_handed_out_once(void **state)
{
	unsigned char seen[NR] = {0};
	struct far_slots s;

	(void)state;
	assert_int_equal(far_slots_init(&s, NR), 0);
	/* two pieces that share a word of the bitmap, and a gap */
	assert_int_equal(far_slots_grant(&s, 0, 100), 0);
	assert_int_equal(far_slots_grant(&s, 110, NR - 110), 0);
	for (unsigned i = 0; i < NR - 10; i++) {
		uint64_t slot = far_slots_alloc(&s);

		assert_true(slot < NR && (slot < 100 || slot >= 110));
		assert_false(seen[slot]);
		seen[slot] = 1;
	}
	assert_true(far_slots_alloc(&s) == FAR_SLOT_NONE);
	far_slots_fini(&s);
}

static void freed_slot_is_stale_and_used_only_when_none_is_free(void **state)
{
	struct far_slots s;

	(void)state;
	assert_int_equal(far_slots_init(&s, NR), 0);
	assert_int_equal(far_slots_grant(&s, 0, 3), 0);
	assert_true(far_slots_alloc(&s) == 0);
	far_slots_put(&s, 0);
	check_counts(&s, 3, 2, 1);
	/* the ones that hold nothing go first */
	assert_true(far_slots_alloc(&s) != 0);
	assert_true(far_slots_alloc(&s) != 0);
	check_counts(&s, 3, 0, 1);
	assert_true(far_slots_alloc(&s) == 0);
	check_counts(&s, 3, 0, 0);
	assert_true(far_slots_alloc(&s) == FAR_SLOT_NONE);
	far_slots_fini(&s);
}

static void discarded_slots_are_free_again(void **state)
{
	unsigned char stale[NR] = {0};
	uint64_t pos = 0, first;
	unsigned nr, total = 0;
	struct far_slots s;

	(void)state;
	assert_int_equal(far_slots_init(&s, NR), 0);
	assert_int_equal(far_slots_grant(&s, 0, NR), 0);
	for (unsigned i = 0; i < NR; i++)
		(void)far_slots_alloc(&s);
	for (unsigned i = 0; i < NR; i++)
		if (i % 7 && i / 64 != 3) {
			stale[i] = 1;
			far_slots_put(&s, i);
			total++;
		}
	check_counts(&s, NR, 0, total);
	while ((nr = far_slots_take_stale(&s, &pos, 4, &first)) > 0) {
		assert_true(nr <= 4);
		for (unsigned i = 0; i < nr; i++) {
			assert_true(stale[first + i]);
			stale[first + i] = 0;
		}
		far_slots_discarded(&s, first, nr);
		total -= nr;
	}
	assert_int_equal(total, 0);
	check_counts(&s, NR, NR - (NR + 6) / 7 - 64 + 9, 0);
	pos = 0;
	assert_int_equal(far_slots_take_stale(&s, &pos, 64, &first), 0);
	far_slots_fini(&s);
}

static void stale_run_of_a_whole_word_is_one_piece(void **state)
{
	uint64_t pos = 0, first = 0;
	struct far_slots s;

	(void)state;
	assert_int_equal(far_slots_init(&s, NR), 0);
	assert_int_equal(far_slots_grant(&s, 0, 192), 0);
	for (unsigned i = 0; i < 192; i++)
		(void)far_slots_alloc(&s);
	for (unsigned i = 64; i < 128; i++)
		far_slots_put(&s, i);
	assert_int_equal(far_slots_take_stale(&s, &pos, 64, &first), 64);
	assert_true(first == 64);
	check_counts(&s, 192, 0, 0);
	far_slots_discarded(&s, first, 64);
	check_counts(&s, 192, 64, 0);
	far_slots_fini(&s);
}

/* --- threads ---------------------------------------------------------------
 */

struct shared {
	struct far_slots s;
	_Atomic unsigned char owner[NR]; /* 1 while someone holds the slot */
	_Atomic bool stop;
	_Atomic uint64_t wrong, taken;
};

static void *alloc_and_put(void *arg)
{
	struct shared *sh = arg;
	uint64_t held[64];
	unsigned nr = 0;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t slot = far_slots_alloc(&sh->s);

		if (slot != FAR_SLOT_NONE) {
			sh->wrong += atomic_exchange(&sh->owner[slot], 1) != 0;
			held[nr++] = slot;
			sh->taken++;
		}
		if (nr == FAR_ARRAY_SIZE(held) || slot == FAR_SLOT_NONE)
			while (nr > 8) {
				slot = held[--nr];
				atomic_store(&sh->owner[slot], 0);
				far_slots_put(&sh->s, slot);
			}
	}
	while (nr) {
		atomic_store(&sh->owner[held[--nr]], 0);
		far_slots_put(&sh->s, held[nr]);
	}
	return NULL;
}

static void *discard(void *arg)
{
	struct shared *sh = arg;

	while (!atomic_load(&sh->stop)) {
		uint64_t pos = 0, first;
		unsigned nr;

		while ((nr = far_slots_take_stale(&sh->s, &pos, 8, &first)) >
		       0) {
			for (unsigned i = 0; i < nr; i++)
				sh->wrong += atomic_load(&sh->owner[first + i]);
			far_slots_discarded(&sh->s, first, nr);
		}
	}
	return NULL;
}

static void threads_never_hold_the_same_slot(void **state)
{
	static struct shared sh;
	pthread_t a, b, c;

	(void)state;
	/* few slots: allocation from stale ones happens too */
	assert_int_equal(far_slots_init(&sh.s, NR), 0);
	assert_int_equal(far_slots_grant(&sh.s, 5, 100), 0);
	assert_int_equal(pthread_create(&c, NULL, discard, &sh), 0);
	assert_int_equal(pthread_create(&a, NULL, alloc_and_put, &sh), 0);
	assert_int_equal(pthread_create(&b, NULL, alloc_and_put, &sh), 0);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_join(b, NULL), 0);
	atomic_store(&sh.stop, true);
	assert_int_equal(pthread_join(c, NULL), 0);
	assert_int_equal(sh.wrong, 0);
	assert_true(sh.taken > 100000);
	/* all are back, each counted once */
	assert_int_equal(sh.s.nr_free + sh.s.nr_stale, 100);
	for (int i = 0; i < 100; i++)
		assert_true(far_slots_alloc(&sh.s) != FAR_SLOT_NONE);
	assert_true(far_slots_alloc(&sh.s) == FAR_SLOT_NONE);
	check_counts(&sh.s, 100, 0, 0);
	far_slots_fini(&sh.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_handed_out_before_it_is_granted),
		cmocka_unit_test(each_slot_is_handed_out_once),
		cmocka_unit_test(
			freed_slot_is_stale_and_used_only_when_none_is_free),
		cmocka_unit_test(discarded_slots_are_free_again),
		cmocka_unit_test(stale_run_of_a_whole_word_is_one_piece),
		cmocka_unit_test(threads_never_hold_the_same_slot),
	};

	return cmocka_run_group_tests_name("libfar.slots", tests, NULL, NULL);
}
