/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside of the page store: store.c has the pages, export.c the exports. */
#ifndef POOL_STORE_IMPL_H
#define POOL_STORE_IMPL_H

#include "pool/space.h"
#include "pool/store.h"

#define POOL_NO_PAGE UINT32_MAX

struct pool_leaf; /* export.c */

struct pool_store {
	char *mem;
	uint32_t *refs; /* per page: slots that name it; free: next free page */
	uint64_t nr_pages;
	uint64_t nr_reserved; /* <= nr_pages */
	uint64_t nr_used;     /* pages that a slot names, <= nr_reserved */
	uint64_t nr_touched;  /* pages below it have been used before */
	uint32_t free_page;   /* head of the list; POOL_NO_PAGE */
	unsigned nr_exports, max_exports;
	uint64_t last_serial;
	struct pool_export *exports;
	int (*random)(void *ctx, void *buf, size_t len);
	void *random_ctx;
};

struct pool_export {
	struct pool_store *store;
	struct pool_export *next, **link; /* list of the store */
	unsigned nr_holders;
	uint64_t expires_ns; /* while nobody holds it */
	uint64_t serial;     /* unique in the store's life */
	uint64_t parent;     /* serial of the export this is a clone of; 0 */
	uint8_t token[POOL_TOKEN_LEN];
	struct pool_space space;
	uint64_t nr_reserved, nr_stored;
	struct pool_leaf **leaves; /* [nr_leaves]; NULL: all slots are free */
	uint64_t nr_leaves;
};

/** pool_page_alloc() - a page with one reference; there is one, see there */
uint32_t pool_page_alloc(struct pool_store *st);

/** pool_page_put() - one reference less */
void pool_page_put(struct pool_store *st, uint32_t page);

/** pool_page_mem() - its FAR_PAGE_SIZE bytes */
static inline char *pool_page_mem(const struct pool_store *st, uint32_t page)
{
	return st->mem + ((size_t)page << FAR_PAGE_SHIFT);
}

/** pool_export_destroy() - whoever holds it */
void pool_export_destroy(struct pool_export *ex);

#endif
