/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/space.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void pool_space_init(struct pool_space *sp, uint64_t max_pages)
{
	memset(sp, 0, sizeof(*sp));
	sp->max = max_pages;
}

void pool_space_fini(struct pool_space *sp)
{
	free(sp->holes);
	memset(sp, 0, sizeof(*sp));
}

int pool_space_copy(struct pool_space *dst, const struct pool_space *src)
{
	*dst = *src;
	dst->holes = NULL;
	dst->cap = src->nr_holes;
	if (!src->nr_holes)
		return 0;
	dst->holes = calloc(src->nr_holes, sizeof(*dst->holes));
	if (!dst->holes)
		return -ENOMEM;
	memcpy(dst->holes, src->holes, src->nr_holes * sizeof(*dst->holes));
	return 0;
}

static int make_room(struct pool_space *sp)
{
	size_t cap = sp->cap ? 2 * sp->cap : 16;
	struct pool_hole *holes;

	if (sp->nr_holes < sp->cap)
		return 0;
	holes = reallocarray(sp->holes, cap, sizeof(*holes));
	if (!holes)
		return -ENOMEM;
	sp->holes = holes;
	sp->cap = cap;
	return 0;
}

static void remove_hole(struct pool_space *sp, size_t i)
{
	sp->nr_holes--;
	memmove(&sp->holes[i], &sp->holes[i + 1],
		(sp->nr_holes - i) * sizeof(sp->holes[0]));
}

/* Index of the first hole that begins behind @start. */
static size_t hole_after(const struct pool_space *sp, uint64_t start)
{
	size_t lo = 0, hi = sp->nr_holes;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sp->holes[mid].start > start)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

int pool_space_alloc(struct pool_space *sp, uint64_t nr_pages,
		     uint64_t *ret_start)
{
	size_t i;

	assert(nr_pages);
	for (i = 0; i < sp->nr_holes; i++) {
		struct pool_hole *hole = &sp->holes[i];

		if (hole->nr_pages < nr_pages)
			continue;
		*ret_start = hole->start;
		hole->start += nr_pages;
		hole->nr_pages -= nr_pages;
		if (!hole->nr_pages)
			remove_hole(sp, i);
		return 0;
	}
	if (nr_pages > sp->max - sp->top)
		return -ENOSPC;
	*ret_start = sp->top;
	sp->top += nr_pages;
	return 0;
}

int pool_space_free(struct pool_space *sp, uint64_t start, uint64_t nr_pages)
{
	size_t i = hole_after(sp, start);
	struct pool_hole *prev = i ? &sp->holes[i - 1] : NULL;
	uint64_t end = start + nr_pages;
	int err;

	assert(nr_pages && end > start && end <= sp->top);
	assert(!prev || prev->start + prev->nr_pages <= start);
	assert(i == sp->nr_holes || end <= sp->holes[i].start);
	if (prev && prev->start + prev->nr_pages == start) {
		prev->nr_pages += nr_pages;
		if (i < sp->nr_holes && sp->holes[i].start == end) {
			prev->nr_pages += sp->holes[i].nr_pages;
			remove_hole(sp, i);
		}
	} else if (i < sp->nr_holes && sp->holes[i].start == end) {
		sp->holes[i].start = start;
		sp->holes[i].nr_pages += nr_pages;
	} else if (end == sp->top) {
		sp->top = start;
		return 0;
	} else {
		err = make_room(sp);
		if (err)
			return err;
		memmove(&sp->holes[i + 1], &sp->holes[i],
			(sp->nr_holes - i) * sizeof(sp->holes[0]));
		sp->holes[i].start = start;
		sp->holes[i].nr_pages = nr_pages;
		sp->nr_holes++;
	}
	i = sp->nr_holes - 1;
	if (sp->holes[i].start + sp->holes[i].nr_pages == sp->top) {
		sp->top = sp->holes[i].start;
		sp->nr_holes--;
	}
	return 0;
}
