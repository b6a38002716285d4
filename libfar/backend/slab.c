/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/slab.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "libfar/backend/store.h"
#include "libfar/base/arena.h"

/* A handle is the span's number and the object's place in it. */
#define OBJECT_BITS 9u
#define MAX_SPANS (UINT64_C(1) << 31)

_Static_assert(FAR_SLAB_OBJECTS == 1u << OBJECT_BITS, "handle layout");
_Static_assert(FAR_SLAB_STEP *FAR_SLAB_CLASSES == FAR_PAGE_SIZE,
	       "the largest class is a page");

static uint32_t class_size(unsigned idx)
{
	return (idx + 1) * FAR_SLAB_STEP;
}

static unsigned objects_of(unsigned idx)
{
	return (unsigned)(FAR_SLAB_SPAN / class_size(idx));
}

void far_slab_after_fork(struct far_slab *slab)
{
	unsigned i;

	/* Default attributes: cannot fail. */
	(void)pthread_mutex_init(&slab->lock, NULL);
	for (i = 0; i < FAR_SLAB_CLASSES; i++)
		(void)pthread_mutex_init(&slab->classes[i].lock, NULL);
}

int far_slab_init(struct far_slab *slab, uint64_t size)
{
	void *base, *spans;
	int rc;

	memset(slab, 0, sizeof(*slab));
	if (size < FAR_SLAB_SPAN || size / FAR_SLAB_SPAN > MAX_SPANS)
		return -EINVAL;
	slab->nr_spans = (size_t)(size / FAR_SLAB_SPAN);
	rc = far_near_map(slab->nr_spans * FAR_SLAB_SPAN, &base);
	if (rc)
		return rc;
	rc = far_near_map(slab->nr_spans * sizeof(*slab->spans), &spans);
	if (rc) {
		far_near_unmap(base, slab->nr_spans * FAR_SLAB_SPAN);
		return rc;
	}
	slab->base = base;
	slab->spans = spans;
	far_slab_after_fork(slab);
	return 0;
}

void far_slab_fini(struct far_slab *slab)
{
	if (!slab->base)
		return;
	far_near_unmap(slab->spans, slab->nr_spans * sizeof(*slab->spans));
	far_near_unmap(slab->base, slab->nr_spans * FAR_SLAB_SPAN);
	slab->base = NULL;
	slab->spans = NULL;
}

static void *span_addr(const struct far_slab *slab, uint32_t span)
{
	return slab->base + (size_t)span * FAR_SLAB_SPAN;
}

/* Takes the first span off the list at @head. */
static uint32_t pop_span(struct far_slab *slab, uint32_t *head)
{
	uint32_t span = *head - 1;

	*head = slab->spans[span].next;
	return span;
}

static void push_span(struct far_slab *slab, uint32_t *head, uint32_t span)
{
	slab->spans[span].next = *head;
	*head = span + 1;
}

/*
 * Objects are read at random: small pages cost a TLB miss each.  @span, a new
 * one, may be the first to reach into a huge page's worth of the slab.
 */
static void begin_huge(struct far_slab *slab, uint32_t span)
{
	char *at = span_addr(slab, span), *huge;
	size_t skip = -(uintptr_t)at % FAR_HUGE_SIZE;

	huge = at + skip;
	if (skip < FAR_SLAB_SPAN &&
	    huge + FAR_HUGE_SIZE <= slab->base + slab->nr_spans * FAR_SLAB_SPAN)
		far_near_huge(huge);
}

/* An empty span for a class, or -ENOSPC. */
static int acquire_span(struct far_slab *slab, uint32_t *ret_span)
{
	bool is_new = false;
	int rc = 0;

	(void)pthread_mutex_lock(&slab->lock);
	if (slab->warm) {
		*ret_span = pop_span(slab, &slab->warm);
		slab->nr_warm--;
	} else if (slab->cold) {
		*ret_span = pop_span(slab, &slab->cold);
	} else if (slab->top < slab->nr_spans) {
		*ret_span = slab->top++;
		is_new = true;
	} else {
		rc = -ENOSPC;
	}
	if (rc == 0)
		slab->nr_used++;
	(void)pthread_mutex_unlock(&slab->lock);
	if (is_new)
		begin_huge(slab, *ret_span);
	return rc;
}

static void cool_span_locked(struct far_slab *slab, uint32_t span)
{
	far_store_drop(span_addr(slab, span), FAR_SLAB_SPAN);
	push_span(slab, &slab->cold, span);
}

/* Takes an empty span back; the last one to leave takes the warm ones along. */
static void release_span(struct far_slab *slab, uint32_t span)
{
	(void)pthread_mutex_lock(&slab->lock);
	slab->nr_used--;
	if (slab->nr_warm < FAR_SLAB_WARM) {
		push_span(slab, &slab->warm, span);
		slab->nr_warm++;
	} else {
		cool_span_locked(slab, span);
	}
	if (slab->nr_used == 0) {
		while (slab->warm)
			cool_span_locked(slab, pop_span(slab, &slab->warm));
		slab->nr_warm = 0;
	}
	(void)pthread_mutex_unlock(&slab->lock);
}

static void link_partial(struct far_slab *slab, struct far_slab_class *cls,
			 uint32_t span)
{
	struct far_slab_span *s = &slab->spans[span];

	s->prev = 0;
	s->next = cls->partial;
	if (s->next)
		slab->spans[s->next - 1].prev = span + 1;
	cls->partial = span + 1;
}

static void unlink_partial(struct far_slab *slab, struct far_slab_class *cls,
			   uint32_t span)
{
	struct far_slab_span *s = &slab->spans[span];

	if (s->prev)
		slab->spans[s->prev - 1].next = s->next;
	else
		cls->partial = s->next;
	if (s->next)
		slab->spans[s->next - 1].prev = s->prev;
	s->prev = 0;
	s->next = 0;
}

static void format_span(struct far_slab_span *s, unsigned idx)
{
	unsigned nr = objects_of(idx), i;

	for (i = 0; i < FAR_ARRAY_SIZE(s->free_map); i++) {
		s->free_map[i] = 0;
		if (nr >= (i + 1) * 64)
			s->free_map[i] = ~UINT64_C(0);
		else if (nr > i * 64)
			s->free_map[i] = (UINT64_C(1) << (nr % 64)) - 1;
	}
	s->nr_free = (uint16_t)nr;
	s->class_idx = (uint16_t)idx;
}

static unsigned take_object(struct far_slab_span *s)
{
	unsigned i = 0, bit;

	while (s->free_map[i] == 0)
		i++;
	bit = (unsigned)__builtin_ctzll(s->free_map[i]);
	s->free_map[i] &= s->free_map[i] - 1;
	s->nr_free--;
	return i * 64 + bit;
}

int far_slab_alloc(struct far_slab *slab, uint32_t len, uint64_t *ret_handle)
{
	unsigned idx = (len - 1) / FAR_SLAB_STEP;
	struct far_slab_class *cls;
	uint32_t span;
	int rc = 0;

	assert(len > 0 && len <= FAR_PAGE_SIZE);
	cls = &slab->classes[idx];
	(void)pthread_mutex_lock(&cls->lock);
	if (cls->partial) {
		span = cls->partial - 1;
	} else {
		rc = acquire_span(slab, &span);
		if (rc)
			goto out;
		format_span(&slab->spans[span], idx);
		link_partial(slab, cls, span);
	}
	*ret_handle = ((uint64_t)span << OBJECT_BITS) |
		      take_object(&slab->spans[span]);
	if (slab->spans[span].nr_free == 0)
		unlink_partial(slab, cls, span);
out:
	(void)pthread_mutex_unlock(&cls->lock);
	return rc;
}

void far_slab_free(struct far_slab *slab, uint64_t handle)
{
	uint32_t span = (uint32_t)(handle >> OBJECT_BITS);
	unsigned obj = (unsigned)(handle & (FAR_SLAB_OBJECTS - 1));
	struct far_slab_span *s = &slab->spans[span];
	unsigned idx = s->class_idx; /* fixed while @handle is allocated */
	struct far_slab_class *cls = &slab->classes[idx];

	(void)pthread_mutex_lock(&cls->lock);
	assert(!(s->free_map[obj / 64] >> (obj % 64) & 1));
	s->free_map[obj / 64] |= UINT64_C(1) << (obj % 64);
	if (s->nr_free++ == 0)
		link_partial(slab, cls, span);
	if (s->nr_free == objects_of(idx)) {
		unlink_partial(slab, cls, span);
		release_span(slab, span);
	}
	(void)pthread_mutex_unlock(&cls->lock);
}

void *far_slab_addr(const struct far_slab *slab, uint64_t handle)
{
	uint32_t span = (uint32_t)(handle >> OBJECT_BITS);
	uint64_t obj = handle & (FAR_SLAB_OBJECTS - 1);

	return (char *)span_addr(slab, span) +
	       obj * class_size(slab->spans[span].class_idx);
}

uint32_t far_slab_room(const struct far_slab *slab, uint64_t handle)
{
	return class_size(slab->spans[handle >> OBJECT_BITS].class_idx);
}

uint64_t far_slab_used(struct far_slab *slab)
{
	uint64_t nr;

	(void)pthread_mutex_lock(&slab->lock);
	nr = (uint64_t)slab->nr_warm + slab->nr_used;
	(void)pthread_mutex_unlock(&slab->lock);
	return nr * FAR_SLAB_SPAN;
}
