/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/store.h"

#include <errno.h>
#include <string.h>

#include "libfar/base/arena.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"

#define WORD_BITS FAR_STORE_RUN
#define NR_MAPS 3u
#define RUN_FREE_MAX 32

int far_store_init(struct far_store *st, uint64_t capacity)
{
	char *maps;
	void *mem;
	int rc;

	memset(st, 0, sizeof(*st));
	st->nr_pages = capacity >> FAR_PAGE_SHIFT;
	if (st->nr_pages == 0)
		return -EINVAL;
	st->map_len = (size_t)((st->nr_pages + WORD_BITS - 1) / WORD_BITS) * 8;
	rc = far_near_map(NR_MAPS * st->map_len, &mem);
	if (rc)
		return rc;
	maps = mem;
	st->mem = mem;
	st->reserved = (void *)maps;
	st->written = (void *)(maps + st->map_len);
	st->occupied = (void *)(maps + 2 * st->map_len);
	far_store_after_fork(st);
	return 0;
}

void far_store_fini(struct far_store *st)
{
	far_near_unmap(st->mem, NR_MAPS * st->map_len);
	st->mem = NULL;
}

void far_store_after_fork(struct far_store *st)
{
	unsigned i;

	/* Default attributes: cannot fail. */
	(void)pthread_mutex_init(&st->lock, NULL);
	for (i = 0; i < FAR_STORE_LOCKS; i++)
		(void)pthread_mutex_init(&st->run_locks[i].mutex, NULL);
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

/* First page >= @page whose bit, xor'ed with @flip, is set; or nr_pages. */
static uint64_t next_page(struct far_store *st, uint64_t page, uint64_t flip)
{
	uint64_t word;

	while (page < st->nr_pages) {
		word = (map_word(st->written, page) ^ flip) >>
		       (page % WORD_BITS);
		if (word)
			return far_min_u64(
				page + (uint64_t)__builtin_ctzll(word),
				st->nr_pages);
		page += WORD_BITS - page % WORD_BITS;
	}
	return st->nr_pages;
}

uint64_t far_store_next_written(struct far_store *st, uint64_t page)
{
	return next_page(st, page, 0);
}

uint64_t far_store_next_free(struct far_store *st, uint64_t page)
{
	return next_page(st, page, ~UINT64_C(0));
}

static pthread_mutex_t *run_lock(struct far_store *st, uint64_t run)
{
	return &st->run_locks[run % FAR_STORE_LOCKS].mutex;
}

static void claim_page(struct far_store *st, uint64_t page)
{
	uint64_t run = page / WORD_BITS, old;

	(void)pthread_mutex_lock(run_lock(st, run));
	(void)far_store_mark(st, page);
	old = atomic_fetch_or_explicit(&st->occupied[run], bit_of(page),
				       memory_order_relaxed);
	if (!(old & bit_of(page)))
		(void)atomic_fetch_add_explicit(&st->occupied_pages, 1,
						memory_order_relaxed);
	(void)pthread_mutex_unlock(run_lock(st, run));
}

void far_store_claim(struct far_store *st, uint64_t off, uint64_t len)
{
	uint64_t page = off >> FAR_PAGE_SHIFT;
	uint64_t end = (off + len) >> FAR_PAGE_SHIFT;

	for (; page < end; page++) {
		if (!(map_word(st->written, page) & bit_of(page)))
			claim_page(st, page);
	}
}

/* Gives the pages of @mask in @run back, one call per stretch. */
static void drop_locked(struct far_store *st, uint64_t run, uint64_t mask,
			far_store_drop_fn drop, void *ctx)
{
	uint64_t rest = mask, stretch;
	unsigned start, nr;

	while (rest) {
		start = (unsigned)__builtin_ctzll(rest);
		stretch = ~(rest >> start);
		nr = stretch ? (unsigned)__builtin_ctzll(stretch) : WORD_BITS;
		drop(ctx, run * WORD_BITS + start, nr);
		if (start + nr >= WORD_BITS)
			break;
		rest &= ~UINT64_C(0) << (start + nr);
	}
	(void)atomic_fetch_and_explicit(&st->occupied[run], ~mask,
					memory_order_relaxed);
	(void)atomic_fetch_sub_explicit(&st->occupied_pages,
					(uint64_t)__builtin_popcountll(mask),
					memory_order_relaxed);
}

static uint64_t idle_pages(struct far_store *st, uint64_t run)
{
	uint64_t written = map_word(st->written, run * WORD_BITS);

	return atomic_load_explicit(&st->occupied[run], memory_order_relaxed) &
	       ~written;
}

/* Gives the free pages of @run back if there are @min, or all are free. */
static void trim_run(struct far_store *st, uint64_t run, int min,
		     far_store_drop_fn drop, void *ctx)
{
	uint64_t idle = idle_pages(st, run);

	if (!idle || (__builtin_popcountll(idle) < min &&
		      map_word(st->written, run * WORD_BITS) != 0))
		return;
	(void)pthread_mutex_lock(run_lock(st, run));
	idle = idle_pages(st, run);
	if (idle)
		drop_locked(st, run, idle, drop, ctx);
	(void)pthread_mutex_unlock(run_lock(st, run));
}

void far_store_discard(struct far_store *st, uint64_t off, uint64_t len,
		       far_store_drop_fn drop, void *ctx)
{
	uint64_t page = off >> FAR_PAGE_SHIFT;
	uint64_t end = (off + len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT;

	for (; page < end; page++) {
		(void)far_store_clear(st, page);
		if (page + 1 == end || (page + 1) % WORD_BITS == 0)
			trim_run(st, page / WORD_BITS, RUN_FREE_MAX, drop, ctx);
	}
}

void far_store_trim(struct far_store *st, far_store_drop_fn drop, void *ctx)
{
	uint64_t run, nr_runs = (st->nr_pages + WORD_BITS - 1) / WORD_BITS;

	for (run = 0; run < nr_runs; run++)
		trim_run(st, run, 1, drop, ctx);
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
	ret->used_bytes =
		atomic_load_explicit(&st->occupied_pages, memory_order_relaxed)
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
