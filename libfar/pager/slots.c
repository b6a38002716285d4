/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/slots.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "libfar/base/arena.h"
#include "libfar/pager/page.h"

static size_t bitmap_bytes(uint64_t max)
{
	return (size_t)(far_round_up(max, 64) / 8);
}

int far_slots_init(struct far_slots *s, uint64_t max)
{
	char *mem;
	void *p;
	int r;

	memset(s, 0, sizeof(*s));
	max = far_min_u64(max, UINT32_MAX - 1); /* 32 bits in a page word */
	r = far_near_map(3 * bitmap_bytes(max), &p);
	if (r < 0)
		return r;
	mem = p;
	s->free = (void *)mem;
	s->stale = (void *)(mem + bitmap_bytes(max));
	s->granted = (void *)(mem + 2 * bitmap_bytes(max));
	s->max = max;
	return 0;
}

void far_slots_fini(struct far_slots *s)
{
	if (!s->free)
		return;
	far_near_unmap((void *)(uintptr_t)s->free, 3 * bitmap_bytes(s->max));
	memset(s, 0, sizeof(*s));
}

static void set_bit(_Atomic uint64_t *map, uint64_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot % 64);
	uint64_t old = atomic_fetch_or_explicit(&map[slot / 64], bit,
						memory_order_acq_rel);

	assert(!(old & bit)); /* freed twice */
	(void)old;
}

int far_slots_grant(struct far_slots *s, uint64_t first, uint64_t nr)
{
	if (first + nr > s->max)
		return -ENOSPC;
	for (uint64_t i = first; i < first + nr; i++) {
		set_bit(s->free, i);
		s->granted[i / 64] |= UINT64_C(1) << (i % 64);
	}
	if (first + nr > atomic_load(&s->top))
		atomic_store(&s->top, first + nr);
	atomic_fetch_add(&s->nr_granted, nr);
	atomic_fetch_add(&s->nr_free, (int64_t)nr);
	return 0;
}

void far_slots_rebuild(struct far_slots *s)
{
	uint64_t words = (atomic_load(&s->top) + 63) / 64;

	for (uint64_t i = 0; i < words; i++) {
		atomic_store(&s->free[i], 0);
		atomic_store(&s->stale[i], s->granted[i]);
	}
	atomic_store(&s->nr_free, 0);
	atomic_store(&s->nr_stale, (int64_t)atomic_load(&s->nr_granted));
}

void far_slots_in_use(struct far_slots *s, uint64_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot % 64);
	uint64_t old = atomic_fetch_and(&s->stale[slot / 64], ~bit);

	assert(old & bit); /* named twice, or never granted */
	(void)old;
	atomic_fetch_sub(&s->nr_stale, 1);
}

/* Takes the lowest set bit at or after the hint, going round once. */
static uint64_t take_from(struct far_slots *s, _Atomic uint64_t *map)
{
	uint64_t words = (atomic_load(&s->top) + 63) / 64;
	uint64_t at = atomic_load_explicit(&s->hint, memory_order_relaxed);

	for (uint64_t n = 0; n < words; n++, at++) {
		uint64_t w;

		if (at >= words)
			at = 0;
		w = atomic_load_explicit(&map[at], memory_order_relaxed);
		while (w) {
			uint64_t bit = w & (~w + 1);

			if (!atomic_compare_exchange_weak_explicit(
				    &map[at], &w, w & ~bit,
				    memory_order_acq_rel, memory_order_relaxed))
				continue;
			atomic_store_explicit(&s->hint, at,
					      memory_order_relaxed);
			return at * 64 + (uint64_t)__builtin_ctzll(bit);
		}
	}
	return FAR_SLOT_NONE;
}

uint64_t far_slots_alloc(struct far_slots *s)
{
	uint64_t slot = FAR_SLOT_NONE;

	if (atomic_load_explicit(&s->nr_free, memory_order_relaxed) > 0) {
		slot = take_from(s, s->free);
		if (slot != FAR_SLOT_NONE)
			atomic_fetch_sub(&s->nr_free, 1);
	}
	if (slot == FAR_SLOT_NONE &&
	    atomic_load_explicit(&s->nr_stale, memory_order_relaxed) > 0) {
		slot = take_from(s, s->stale);
		if (slot != FAR_SLOT_NONE)
			atomic_fetch_sub(&s->nr_stale, 1);
	}
	return slot;
}

void far_slots_put(struct far_slots *s, uint64_t slot)
{
	set_bit(s->stale, slot);
	atomic_fetch_add(&s->nr_stale, 1);
}

unsigned far_slots_take_stale(struct far_slots *s, uint64_t *pos, unsigned max,
			      uint64_t *ret_first)
{
	uint64_t words = (atomic_load(&s->top) + 63) / 64;

	while (*pos / 64 < words) {
		_Atomic uint64_t *word = &s->stale[*pos / 64];
		uint64_t w = atomic_load(word) & (UINT64_MAX << (*pos % 64));
		uint64_t run;
		unsigned first, nr;

		if (!w) {
			*pos = (*pos / 64 + 1) * 64;
			continue;
		}
		first = (unsigned)__builtin_ctzll(w);
		nr = ~(w >> first) ? (unsigned)__builtin_ctzll(~(w >> first))
				   : 64 - first;
		nr = nr > max ? max : nr;
		run = (nr == 64 ? UINT64_MAX : (UINT64_C(1) << nr) - 1)
		      << first;
		/* An evictor may have taken one meanwhile: look again. */
		w = atomic_load(word);
		if ((w & run) != run ||
		    !atomic_compare_exchange_strong(word, &w, w & ~run))
			continue;
		atomic_fetch_sub(&s->nr_stale, (int64_t)nr);
		*ret_first = *pos / 64 * 64 + first;
		*pos = *ret_first + nr;
		return nr;
	}
	return 0;
}

void far_slots_discarded(struct far_slots *s, uint64_t first, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		set_bit(s->free, first + i);
	atomic_fetch_add(&s->nr_free, (int64_t)nr);
}
