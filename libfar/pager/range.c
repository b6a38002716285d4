/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/range.h"

#include <errno.h>
#include <string.h>

#include "libfar/base/arena.h"

#define MAX_RANGES 65536u

/*
 * A reader's loads acquire and a writer's stores release, so that between two
 * equal, even values of seq nothing was half-written.
 */
static far_pgno_t start_of(const struct far_ranges *rs, uint32_t i)
{
	return atomic_load_explicit(&rs->r[i].start, memory_order_acquire);
}

static far_pgno_t end_of(const struct far_ranges *rs, uint32_t i)
{
	return atomic_load_explicit(&rs->r[i].end, memory_order_acquire);
}

static void set(struct far_ranges *rs, uint32_t i, far_pgno_t start,
		far_pgno_t end)
{
	atomic_store_explicit(&rs->r[i].start, start, memory_order_release);
	atomic_store_explicit(&rs->r[i].end, end, memory_order_release);
}

/* Readers between begin and end retry: seq is odd meanwhile. */
static void change_begin(struct far_ranges *rs)
{
	atomic_fetch_add(&rs->seq, 1);
}

static void change_end(struct far_ranges *rs)
{
	atomic_fetch_add_explicit(&rs->seq, 1, memory_order_release);
}

int far_ranges_init(struct far_ranges *rs, far_pgno_t max_pages, uintptr_t base)
{
	void *p;
	int r;

	memset(rs, 0, sizeof(*rs));
	r = far_near_map(MAX_RANGES * sizeof(rs->r[0]), &p);
	if (r < 0)
		return r;
	rs->r = p;
	rs->max = MAX_RANGES;
	rs->max_pages = max_pages;
	rs->base_pg = base >> FAR_PAGE_SHIFT;
	return 0;
}

void far_ranges_fini(struct far_ranges *rs)
{
	far_near_unmap(rs->r, MAX_RANGES * sizeof(rs->r[0]));
	memset(rs, 0, sizeof(*rs));
}

static void insert_at(struct far_ranges *rs, uint32_t at, uint32_t nr)
{
	for (uint32_t i = nr; i > at; i--)
		set(rs, i, start_of(rs, i - 1), end_of(rs, i - 1));
}

static void remove_at(struct far_ranges *rs, uint32_t at, uint32_t nr)
{
	for (uint32_t i = at; i + 1 < nr; i++)
		set(rs, i, start_of(rs, i + 1), end_of(rs, i + 1));
}

static void add(struct far_ranges *rs, uint32_t at, far_pgno_t start,
		far_pgno_t end)
{
	uint32_t nr = atomic_load(&rs->nr);
	bool joins_prev = at > 0 && end_of(rs, at - 1) == start;
	bool joins_next = at < nr && start_of(rs, at) == end;

	if (joins_prev && joins_next) {
		set(rs, at - 1, start_of(rs, at - 1), end_of(rs, at));
		remove_at(rs, at, nr);
		atomic_store(&rs->nr, nr - 1);
	} else if (joins_prev) {
		set(rs, at - 1, start_of(rs, at - 1), end);
	} else if (joins_next) {
		set(rs, at, start, end_of(rs, at));
	} else {
		insert_at(rs, at, nr);
		set(rs, at, start, end);
		atomic_store(&rs->nr, nr + 1);
	}
}

/* The first page from @start on whose address is aligned. */
static uint64_t aligned(const struct far_ranges *rs, uint64_t start,
			far_pgno_t align)
{
	return far_round_up(start + rs->base_pg, align) - rs->base_pg;
}

int far_ranges_alloc(struct far_ranges *rs, far_pgno_t nr, far_pgno_t align,
		     far_pgno_t *ret_start)
{
	uint32_t n = atomic_load(&rs->nr), at;
	uint64_t start = 0;

	if (n + 1 >= rs->max)
		return -ENOMEM;
	for (at = 0; at < n; at++) {
		start = aligned(rs, start, align);
		if (start + nr <= start_of(rs, at))
			break;
		start = end_of(rs, at);
	}
	start = aligned(rs, start, align);
	if (start + nr > rs->max_pages)
		return -ENOMEM;
	/* alignment may have skipped into a later gap only at the end */
	change_begin(rs);
	add(rs, at, (far_pgno_t)start, (far_pgno_t)(start + nr));
	change_end(rs);
	atomic_fetch_add(&rs->mapped_pages, nr);
	if (start + nr > atomic_load(&rs->top))
		atomic_store(&rs->top, (far_pgno_t)(start + nr));
	*ret_start = (far_pgno_t)start;
	return 0;
}

/* Index of the range that holds @pg, or nr if none does. */
static uint32_t find(const struct far_ranges *rs, uint32_t nr, far_pgno_t pg)
{
	uint32_t lo = 0, hi = nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (end_of(rs, mid) <= pg)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nr && start_of(rs, lo) <= pg ? lo : nr;
}

int far_ranges_free(struct far_ranges *rs, far_pgno_t start, far_pgno_t nr)
{
	uint32_t n = atomic_load(&rs->nr), at = find(rs, n, start);
	uint64_t end = (uint64_t)start + nr;
	far_pgno_t s, e;

	if (at == n || end > end_of(rs, at))
		return -EINVAL;
	s = start_of(rs, at);
	e = end_of(rs, at);
	if (s < start && end < e && n + 1 >= rs->max)
		return -ENOMEM;
	change_begin(rs);
	if (s == start && end == e) {
		remove_at(rs, at, n);
		atomic_store(&rs->nr, n - 1);
	} else if (s == start) {
		set(rs, at, (far_pgno_t)end, e);
	} else if (end == e) {
		set(rs, at, s, start);
	} else {
		insert_at(rs, at, n);
		set(rs, at, s, start);
		set(rs, at + 1, (far_pgno_t)end, e);
		atomic_store(&rs->nr, n + 1);
	}
	change_end(rs);
	atomic_fetch_sub(&rs->mapped_pages, nr);
	return 0;
}

bool far_ranges_contains(const struct far_ranges *rs, far_pgno_t start,
			 far_pgno_t nr)
{
	for (;;) {
		uint32_t seq =
			atomic_load_explicit(&rs->seq, memory_order_acquire);
		uint32_t n = atomic_load(&rs->nr), at;
		bool found;

		if (seq & 1) {
			far_cpu_relax(); /* a change takes microseconds */
			continue;
		}
		at = find(rs, n, start);
		found = at < n && (uint64_t)start + nr <= end_of(rs, at);
		if (atomic_load_explicit(&rs->seq, memory_order_relaxed) == seq)
			return found;
	}
}
