/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "pool/store_impl.h"

#define MAX_PAGES (UINT64_C(15) << (40 - FAR_PAGE_SHIFT)) /* slots: 32 bits */

static int random_bytes(void *ctx, void *buf, size_t len)
{
	ssize_t ret;

	(void)ctx;
	do
		ret = getrandom(buf, len, 0);
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return (size_t)ret == len ? 0 : -EIO;
}

/* ---- pages ---- */

/* Cannot fail: nr_used < nr_reserved <= nr_pages where it is called. */
uint32_t pool_page_alloc(struct pool_store *st)
{
	uint32_t page = st->free_page;

	assert(st->nr_used < st->nr_pages);
	if (page != POOL_NO_PAGE)
		st->free_page = st->refs[page];
	else
		page = (uint32_t)st->nr_touched++;
	st->refs[page] = 1;
	st->nr_used++;
	return page;
}

void pool_page_put(struct pool_store *st, uint32_t page)
{
	assert(st->refs[page] > 0);
	if (--st->refs[page])
		return;
	st->refs[page] = st->free_page;
	st->free_page = page;
	if (--st->nr_used)
		return;
	/* An empty pool gives its memory back to the host. */
	(void)madvise(st->mem, st->nr_touched << FAR_PAGE_SHIFT,
		      MADV_DONTNEED); /* without it only memory is kept */
	st->free_page = POOL_NO_PAGE;
	st->nr_touched = 0;
}

uint64_t pool_store_expire(struct pool_store *st, uint64_t now_ns)
{
	struct pool_export *ex, *next;
	uint64_t due = UINT64_MAX;

	for (ex = st->exports; ex; ex = next) {
		next = ex->next;
		if (ex->nr_holders)
			continue;
		if (ex->expires_ns <= now_ns)
			pool_export_destroy(ex);
		else
			due = far_min_u64(due, ex->expires_ns);
	}
	return due;
}

/* ---- the store ---- */

void pool_store_usage(const struct pool_store *st,
		      struct pool_store_usage *ret_usage)
{
	ret_usage->size = st->nr_pages << FAR_PAGE_SHIFT;
	ret_usage->reserved = st->nr_reserved << FAR_PAGE_SHIFT;
	ret_usage->used = st->nr_used << FAR_PAGE_SHIFT;
	ret_usage->nr_exports = st->nr_exports;
}

static int map(size_t len, void **ret_addr)
{
	void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == MAP_FAILED)
		return -ENOMEM;
	/* Other people's memory: not into a core dump, not into a child. */
	(void)madvise(addr, len, MADV_DONTDUMP);
	(void)madvise(addr, len, MADV_DONTFORK);
	*ret_addr = addr;
	return 0;
}

int pool_store_create(const struct pool_store_attr *attr,
		      struct pool_store **ret_store)
{
	uint64_t nr_pages = attr->size >> FAR_PAGE_SHIFT;
	struct pool_store *st;
	void *mem, *refs;
	int err;

	if (!nr_pages || nr_pages > MAX_PAGES)
		return -EINVAL;
	st = calloc(1, sizeof(*st));
	if (!st)
		return -ENOMEM;
	err = map(nr_pages << FAR_PAGE_SHIFT, &mem);
	if (err)
		goto err_free;
	err = map(nr_pages * sizeof(*st->refs), &refs);
	if (err)
		goto err_unmap;
	(void)madvise(mem, nr_pages << FAR_PAGE_SHIFT,
		      MADV_HUGEPAGE); /* only speed depends on it */
	st->mem = mem;
	st->refs = refs;
	st->nr_pages = nr_pages;
	st->free_page = POOL_NO_PAGE;
	st->max_exports = attr->max_exports;
	st->random = attr->random ? attr->random : random_bytes;
	st->random_ctx = attr->ctx;
	*ret_store = st;
	return 0;

err_unmap:
	(void)munmap(mem, nr_pages << FAR_PAGE_SHIFT);
err_free:
	free(st);
	return err;
}

void pool_store_destroy(struct pool_store *st)
{
	if (!st)
		return;
	while (st->exports)
		pool_export_destroy(st->exports);
	(void)munmap(st->mem, st->nr_pages << FAR_PAGE_SHIFT);
	(void)munmap(st->refs, st->nr_pages * sizeof(*st->refs));
	free(st);
}
