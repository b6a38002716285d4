/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/store.h"

#include <errno.h>
#include <string.h>

#include "libfar/base/arena.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"

#define WORD_BITS 64u

int far_store_init(struct far_store *st, uint64_t capacity)
{
	void *reserved, *written;
	int rc;

	memset(st, 0, sizeof(*st));
	st->nr_pages = capacity >> FAR_PAGE_SHIFT;
	if (st->nr_pages == 0)
		return -EINVAL;
	st->map_len = (size_t)((st->nr_pages + WORD_BITS - 1) / WORD_BITS) * 8;
	rc = far_near_map(st->map_len, &reserved);
	if (rc)
		return rc;
	rc = far_near_map(st->map_len, &written);
	if (rc) {
		far_near_unmap(reserved, st->map_len);
		return rc;
	}
	st->reserved = reserved;
	st->written = written;
	far_store_after_fork(st);
	return 0;
}

void far_store_fini(struct far_store *st)
{
	if (!st->reserved)
		return;
	far_near_unmap(st->reserved, st->map_len);
	far_near_unmap(st->written, st->map_len);
	(void)pthread_mutex_destroy(&st->lock); /* cannot fail: not held */
	st->reserved = NULL;
	st->written = NULL;
}

void far_store_after_fork(struct far_store *st)
{
	(void)pthread_mutex_init(&st->lock, NULL); /* default: cannot fail */
}

uint64_t far_store_capacity(const struct far_store *st)
{
	return st->nr_pages << FAR_PAGE_SHIFT;
}

static uint64_t bit_of(uint64_t page)
{
	return UINT64_C(1) << (page % WORD_BITS);
}

static uint64_t map_word(_Atomic uint64_t *map, uint64_t page)
{
	/* Pairs with the release of far_store_mark() and reserve_run(). */
	return atomic_load_explicit(&map[page / WORD_BITS],
				    memory_order_acquire);
}

/* Bits of [@page, @end) that lie in @page's word; *@ret_n: how many. */
static uint64_t word_mask(uint64_t page, uint64_t end, uint64_t *ret_n)
{
	uint64_t at = page % WORD_BITS;
	uint64_t n = far_min_u64(WORD_BITS - at, end - page);

	*ret_n = n;
	return (n == WORD_BITS ? ~UINT64_C(0) : bit_of(n) - 1) << at;
}

static bool map_is_set(_Atomic uint64_t *map, uint64_t off, uint64_t len)
{
	uint64_t page = off >> FAR_PAGE_SHIFT;
	uint64_t end = (off + len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT;
	uint64_t mask, n;

	for (; page < end; page += n) {
		mask = word_mask(page, end, &n);
		if ((map_word(map, page) & mask) != mask)
			return false;
	}
	return true;
}

/* First page >= @from and < @to of @nr free pages in a row, or @to. */
static uint64_t find_run(struct far_store *st, uint64_t from, uint64_t to,
			 uint64_t nr)
{
	uint64_t page = from, start = from, word;

	while (page < to && page - start < nr) {
		word = map_word(st->reserved, page);
		if (page % WORD_BITS == 0 && word == 0 &&
		    to - page >= WORD_BITS) {
			page += WORD_BITS;
			continue;
		}
		if (page % WORD_BITS == 0 && word == ~UINT64_C(0)) {
			page += WORD_BITS;
			start = page;
			continue;
		}
		page++;
		if (word & bit_of(page - 1))
			start = page;
	}
	return start < to && page - start >= nr ? start : to;
}

static void reserve_run(struct far_store *st, uint64_t page, uint64_t nr)
{
	uint64_t end = page + nr, mask, n;

	for (; page < end; page += n) {
		mask = word_mask(page, end, &n);
		(void)atomic_fetch_or_explicit(&st->reserved[page / WORD_BITS],
					       mask, memory_order_release);
	}
	(void)atomic_fetch_add_explicit(&st->reserved_pages, nr,
					memory_order_relaxed);
}

int far_store_reserve(struct far_store *st, uint64_t len, uint64_t *ret_off)
{
	uint64_t nr = (len >> FAR_PAGE_SHIFT) + ((len & FAR_PAGE_MASK) != 0);
	uint64_t page;
	int rc = -ENOSPC;

	if (nr > st->nr_pages)
		return -ENOSPC;
	(void)pthread_mutex_lock(&st->lock);
	page = find_run(st, st->hint, st->nr_pages, nr);
	if (page == st->nr_pages && st->hint > 0)
		page = find_run(st, 0, st->nr_pages, nr);
	if (page < st->nr_pages) {
		reserve_run(st, page, nr);
		st->hint = page + nr;
		*ret_off = page << FAR_PAGE_SHIFT;
		rc = 0;
	}
	(void)pthread_mutex_unlock(&st->lock);
	return rc;
}

int far_store_release(struct far_store *st, uint64_t off, uint64_t len)
{
	uint64_t page = off >> FAR_PAGE_SHIFT;
	uint64_t end = (off + len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT;
	uint64_t nr = end - page, mask, n;

	(void)pthread_mutex_lock(&st->lock);
	if (end > st->nr_pages || !map_is_set(st->reserved, off, len)) {
		(void)pthread_mutex_unlock(&st->lock);
		return -EINVAL;
	}
	if (page < st->hint)
		st->hint = page;
	for (; page < end; page += n) {
		mask = word_mask(page, end, &n);
		(void)atomic_fetch_and_explicit(&st->reserved[page / WORD_BITS],
						~mask, memory_order_release);
	}
	(void)atomic_fetch_sub_explicit(&st->reserved_pages, nr,
					memory_order_relaxed);
	(void)pthread_mutex_unlock(&st->lock);
	return 0;
}

bool far_store_is_reserved(struct far_store *st, uint64_t off, uint64_t len)
{
	return map_is_set(st->reserved, off, len);
}

bool far_store_is_written(struct far_store *st, uint64_t off, uint64_t len)
{
	return map_is_set(st->written, off, len);
}

bool far_store_mark(struct far_store *st, uint64_t page)
{
	uint64_t bit = bit_of(page), old;

	old = atomic_fetch_or_explicit(&st->written[page / WORD_BITS], bit,
				       memory_order_acq_rel);
	if (old & bit)
		return true;
	(void)atomic_fetch_add_explicit(&st->written_pages, 1,
					memory_order_relaxed);
	return false;
}

bool far_store_clear(struct far_store *st, uint64_t page)
{
	uint64_t bit = bit_of(page), old;

	old = atomic_fetch_and_explicit(&st->written[page / WORD_BITS], ~bit,
					memory_order_acq_rel);
	if (!(old & bit))
		return false;
	(void)atomic_fetch_sub_explicit(&st->written_pages, 1,
					memory_order_relaxed);
	return true;
}

void far_store_usage(struct far_store *st, struct far_backend_usage *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->reserved_bytes =
		atomic_load_explicit(&st->reserved_pages, memory_order_relaxed)
		<< FAR_PAGE_SHIFT;
	ret->stored_bytes =
		atomic_load_explicit(&st->written_pages, memory_order_relaxed)
		<< FAR_PAGE_SHIFT;
}

int far_store_size(const struct far_spec *spec, uint64_t def, uint64_t min,
		   uint64_t *ret_size, far_log_fn log, void *log_ctx)
{
	const char *text = far_spec_get(spec, "size");
	char need[32];
	uint64_t size = def;

	if (spec->target[0] != '\0') {
		if (text) {
			far_log_to(log, log_ctx, FAR_LOG_ERR,
				   "%s: size is given twice ('%s' and '%s'); "
				   "fix: leave one out",
				   spec->name, spec->target, text);
			return -EINVAL;
		}
		text = spec->target;
	}
	if (text && far_size_parse(text, &size)) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: '%s' is not a size; fix: write e.g. %s:2G",
			   spec->name, text, spec->name);
		return -EINVAL;
	}
	if (size < min) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: size '%s' is too small; fix: give at least %s",
			   spec->name, text ? text : "",
			   far_size_format(min, need, sizeof(need)));
		return -EINVAL;
	}
	*ret_size = size;
	return 0;
}

void far_store_queue_init(struct far_store_queue *sq, struct far_backend *be,
			  unsigned depth)
{
	memset(sq, 0, sizeof(*sq));
	far_queue_init(&sq->q, be, depth);
}

int far_store_poll(struct far_queue *q, struct far_io **ret_done, unsigned max)
{
	struct far_store_queue *sq = (struct far_store_queue *)q;
	unsigned n = 0;

	while (n < max && sq->head) {
		ret_done[n++] = sq->head;
		sq->head = sq->head->next;
	}
	return (int)n;
}
