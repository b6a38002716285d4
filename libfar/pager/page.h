/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page word: all that is known of one far page, in one atomic.
 *
 *   63           32 31       15 14                4 3    0
 *  +---------------+-----------+-------------------+------+
 *  |   slot + 1    |stage / pin|       flags       | state|
 *  +---------------+-----------+-------------------+------+
 *
 * slot: where the page lies in the backend, in pages; 0 means none.
 * stage: index of its staging page while EVICTING or RESCUING; otherwise the
 * number of pins.
 *
 *  ABSENT ----first touch----> FETCHING ------> RESIDENT
 *    ^                           ^                 | claimed by an evictor
 *    |                           | fault           v
 *    +--- all zeros              REMOTE <------- TAKING -> EVICTING
 *    +-------------------------------------------------------'  |  fault
 *                                       RESIDENT <-- RESCUING <-'
 *  FETCHING -- unrecoverable --> LOST (SIGBUS); so does an ABSENT page that is
 *  touched while it is not mapped
 *
 * A page is mapped in the program's address space only in RESIDENT and,
 * partly, in TAKING.  Who moves a page into a transient state (FETCHING,
 * TAKING, EVICTING, RESCUING) owns it until it leaves that state; the one
 * exception is EVICTING -> RESCUING, which a fault may do at any time.
 * A fault that meets TAKING or a HELD page sets PARKED and goes away; the
 * owner wakes its thread when it clears the state.  A fault of the owner itself
 * is served (serve_taker()).  A discard waits for the
 * owner wherever the page is, or may come to be, mapped (TAKING, FETCHING,
 * RESCUING): what the program writes after it must stay.
 */
#ifndef LIBFAR_PAGER_PAGE_H
#define LIBFAR_PAGER_PAGE_H

#include <assert.h>
#include <stdatomic.h>

#include <far/evict.h>

#include "libfar/base/compiler.h"

typedef uint64_t far_word_t;

enum far_page_state {
	FAR_PAGE_ABSENT = 0,   /* reads as zeros, takes no memory */
	FAR_PAGE_RESIDENT = 1, /* local */
	FAR_PAGE_TAKING = 2,   /* evictor is unmapping it */
	FAR_PAGE_EVICTING = 3, /* in a staging page, being written back */
	FAR_PAGE_RESCUING = 4, /* a fault copies it back from staging */
	FAR_PAGE_REMOTE = 5,   /* in its slot only */
	FAR_PAGE_FETCHING = 6, /* being read, or being filled with zeros */
	FAR_PAGE_LOST = 7,     /* nobody has it: SIGBUS */
};

#define FAR_WORD_STATE UINT64_C(0xf)
#define FAR_WORD_DIRTY (UINT64_C(1) << 4)    /* differs from its slot */
#define FAR_WORD_PARKED (UINT64_C(1) << 5)   /* a fault waits for the owner */
#define FAR_WORD_DISCARD (UINT64_C(1) << 6)  /* EVICTING: ends in ABSENT;
					      * TAKING: it was gone */
#define FAR_WORD_REF (UINT64_C(1) << 7)	     /* seen used: second chance */
#define FAR_WORD_AHEAD (UINT64_C(1) << 8)    /* came, or comes, by prefetch */
#define FAR_WORD_IOBUSY (UINT64_C(1) << 9)   /* its slot is being written */
#define FAR_WORD_HELD (UINT64_C(1) << 10)    /* ABSENT/REMOTE: do not install */
#define FAR_WORD_RANDOM (UINT64_C(1) << 11)  /* random: never fetch ahead */
#define FAR_WORD_SEQ (UINT64_C(1) << 12)     /* sequential: fetch ahead */
#define FAR_WORD_WRITTEN (UINT64_C(1) << 13) /* was read, then written */
#define FAR_WORD_GROUP                                                         \
	(UINT64_C(1) << 14) /* comes in groups of 64 KiB; of                   \
			     * 16 with FAR_WORD_SEQ */

#define FAR_STAGE_SHIFT 15
#define FAR_STAGE_MASK (UINT64_C(0x1ffff) << FAR_STAGE_SHIFT)
#define FAR_PIN_ONE (UINT64_C(1) << FAR_STAGE_SHIFT)
#define FAR_SLOT_SHIFT 32
#define FAR_SLOT_NONE UINT64_MAX
#define FAR_SLOT_MASK (UINT64_C(0xffffffff) << FAR_SLOT_SHIFT)

/* Flags that stay with a page whatever happens to it. */
#define FAR_WORD_PATTERN (FAR_WORD_SEQ | FAR_WORD_RANDOM | FAR_WORD_GROUP)
#define FAR_WORD_STICKY (FAR_WORD_PATTERN | FAR_WORD_IOBUSY)

static inline enum far_page_state word_state(far_word_t w)
{
	return (enum far_page_state)(w & FAR_WORD_STATE);
}

static inline far_word_t word_with(far_word_t w, enum far_page_state s)
{
	return (w & ~FAR_WORD_STATE) | (far_word_t)s;
}

/** word_slot() - slot number, or FAR_SLOT_NONE */
static inline uint64_t word_slot(far_word_t w)
{
	uint64_t s = w >> FAR_SLOT_SHIFT;

	return s ? s - 1 : FAR_SLOT_NONE;
}

static inline far_word_t word_with_slot(far_word_t w, uint64_t slot)
{
	w &= ~FAR_SLOT_MASK;
	if (slot != FAR_SLOT_NONE)
		w |= (slot + 1) << FAR_SLOT_SHIFT;
	return w;
}

static inline unsigned word_stage(far_word_t w)
{
	return (unsigned)((w & FAR_STAGE_MASK) >> FAR_STAGE_SHIFT);
}

static inline far_word_t word_with_stage(far_word_t w, unsigned stage)
{
	return (w & ~FAR_STAGE_MASK) | ((far_word_t)stage << FAR_STAGE_SHIFT);
}

/** word_pins() - number of pins; meaningful outside EVICTING and RESCUING */
static inline unsigned word_pins(far_word_t w)
{
	return word_stage(w);
}

/** far_page_legal() - may a page go from @from to @to; for assertions */
bool far_page_legal(enum far_page_state from, enum far_page_state to);

/** far_page_load() - the word now; pairs with every successful far_page_cas */
static inline far_word_t far_page_load(const _Atomic far_word_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

/**
 * far_page_cas() - replace *@old by @to if it is still there
 * On failure *@old is what is there now.  The only way a page word changes.
 */
static inline bool far_page_cas(_Atomic far_word_t *p, far_word_t *old,
				far_word_t to)
{
	assert(far_page_legal(word_state(*old), word_state(to)));
	return atomic_compare_exchange_strong_explicit(
		p, old, to, memory_order_acq_rel, memory_order_acquire);
}

/** far_page_await() - wait while @p is TAKING, FETCHING or RESCUING
 * Context: application threads; owners of pages never wait for pages. */
far_word_t far_page_await(const _Atomic far_word_t *p);

/** far_page_is_zero() - all @FAR_PAGE_SIZE bytes are zero */
bool far_page_is_zero(const void *page);

/**
 * far_page_copy() - copy a page that its program may be writing to
 * The race is by design: a writer that got in makes the copy worthless and
 * is noticed by its write-protect fault.
 */
void far_page_copy(void *dst, const void *src);

#endif
