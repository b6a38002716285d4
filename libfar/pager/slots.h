/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slots: page-sized places in the backend that this pager may use.  Capacity
 * comes from far_backend_reserve() in large pieces; single slots are handed
 * out and taken back without a lock and without asking the backend.
 *
 * A freed slot is first "stale": the backend still holds its old page.  The
 * control thread discards stale slots there and makes them free; an evictor
 * that finds no free slot takes a stale one and overwrites it.
 */
#ifndef LIBFAR_PAGER_SLOTS_H
#define LIBFAR_PAGER_SLOTS_H

#include <stdatomic.h>

#include "libfar/base/compiler.h"

struct far_slots {
	_Atomic uint64_t *free;	 /* bitmap: may be allocated */
	_Atomic uint64_t *stale; /* bitmap: freed, not discarded yet */
	uint64_t *granted;	 /* bitmap: ever granted; control thread */
	uint64_t max;		 /* slots the bitmaps can hold */
	_Atomic uint64_t top;	 /* no slot at or above is granted */
	_Atomic uint64_t nr_granted;
	_Atomic int64_t nr_free;
	_Atomic int64_t nr_stale;
	_Atomic uint64_t hint; /* where the last search ended */
};

/** far_slots_init() - for at most @max slots; 0 or -ENOMEM */
int far_slots_init(struct far_slots *s, uint64_t max);
void far_slots_fini(struct far_slots *s);

/** far_slots_grant() - [first, first + nr) may be used from now on */
int far_slots_grant(struct far_slots *s, uint64_t first, uint64_t nr);

/**
 * far_slots_rebuild() - in a forked child, whose copy was taken while threads
 * of the parent were at work: all granted slots are stale, but those that are
 * named by far_slots_in_use() afterwards
 * Nothing else may use @s meanwhile.
 */
void far_slots_rebuild(struct far_slots *s);
void far_slots_in_use(struct far_slots *s, uint64_t slot);

/** far_slots_alloc() - one slot, or FAR_SLOT_NONE; any thread */
uint64_t far_slots_alloc(struct far_slots *s);

/** far_slots_put() - the page in @slot is not needed any more; any thread */
void far_slots_put(struct far_slots *s, uint64_t slot);

/**
 * far_slots_take_stale() - a run of at most @max stale slots, to discard
 * Control thread.  Give them back with far_slots_discarded().
 * @pos: where to go on; start with 0
 * Return: length of the run from *@ret_first, 0 at the end.
 */
unsigned far_slots_take_stale(struct far_slots *s, uint64_t *pos, unsigned max,
			      uint64_t *ret_first);
void far_slots_discarded(struct far_slots *s, uint64_t first, unsigned nr);

#endif
