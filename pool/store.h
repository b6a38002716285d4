/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of a pool: a fixed number of pages in one mapping, and exports,
 * each a sparse array of pages.  Pages are shared between an export and its
 * clones until one of them writes.
 *
 * What an export reserves is charged in full against the pool, shared or not;
 * so a write into a reserved page never fails for want of space.
 *
 * Context: one thread at a time for a store and all its exports.  Times are
 * CLOCK_MONOTONIC, passed in.  Offsets and lengths are in bytes.
 */
#ifndef POOL_STORE_H
#define POOL_STORE_H

#include "libfar/base/compiler.h"

#define POOL_TOKEN_LEN 16
#define POOL_CLONE_LIFE_NS UINT64_C(10000000000) /* until it is attached to */
#define POOL_MAX_UNCLAIMED                                                     \
	256 /* clones of one export nobody has attached to                     \
	     */

struct pool_store;
struct pool_export;

/** struct pool_store_attr - how large, and where secrets come from */
struct pool_store_attr {
	uint64_t size;	      /* bytes; rounded down to pages */
	unsigned max_exports; /* clones included */
	/* fills @buf with random bytes; NULL for getrandom(2); 0 or -errno */
	int (*random)(void *ctx, void *buf, size_t len);
	void *ctx;
};

struct pool_store_usage {
	uint64_t size, reserved, used; /* bytes */
	uint64_t nr_exports;
};

struct pool_export_usage {
	uint64_t reserved, stored; /* bytes */
};

/**
 * pool_store_create() - map the memory; it is touched only as pages are used
 * Return: 0; -EINVAL less than a page or more than 15 TiB; -ENOMEM.
 */
int pool_store_create(const struct pool_store_attr *attr,
		      struct pool_store **ret_store);

/** pool_store_destroy() - with all exports in it; NULL is fine */
void pool_store_destroy(struct pool_store *store);

void pool_store_usage(const struct pool_store *store,
		      struct pool_store_usage *ret_usage);

/**
 * pool_store_expire() - drop the clones nobody attached to in time
 * Return: when the next one is due; UINT64_MAX if there is none.
 */
uint64_t pool_store_expire(struct pool_store *store, uint64_t now_ns);

/**
 * pool_export_create() - an empty export; release with pool_export_put()
 * @limit: bytes it may reserve; 0, or more than the pool, is all of the pool
 *
 * Return: 0; -ENOMEM; -ENFILE max_exports; what random() said.
 */
int pool_export_create(struct pool_store *store, uint64_t limit,
		       struct pool_export **ret_export);

/**
 * pool_export_attach() - one more holder of the export @token names
 * Return: 0; -ESTALE there is none.  Takes the same time for every wrong
 * token.
 */
int pool_export_attach(struct pool_store *store, const uint8_t *token,
		       struct pool_export **ret_export);

/** pool_export_put() - the last holder frees the export; NULL is fine */
void pool_export_put(struct pool_export *ex);

/** pool_export_capacity() - bytes; no offset lies beyond */
uint64_t pool_export_capacity(const struct pool_export *ex);

/** pool_export_token() - POOL_TOKEN_LEN bytes, as long as the export lives */
const uint8_t *pool_export_token(const struct pool_export *ex);

void pool_export_usage(const struct pool_export *ex,
		       struct pool_export_usage *ret_usage);

/**
 * pool_export_reserve() - @len bytes in a row, all unwritten
 * Return: 0; -EINVAL not whole pages, or none; -ENOSPC; -ENOMEM.
 */
int pool_export_reserve(struct pool_export *ex, uint64_t len,
			uint64_t *ret_off);

/** pool_export_release() - 0; -EINVAL not all of it is reserved; -ENOMEM */
int pool_export_release(struct pool_export *ex, uint64_t off, uint64_t len);

/**
 * pool_export_read() - copy out
 * Return: 0; -EINVAL not reserved; -ENODATA a page of it is unwritten.
 */
int pool_export_read(const struct pool_export *ex, uint64_t off, uint64_t len,
		     void *dst);

/** pool_export_write() - copy in; 0; -EINVAL not reserved */
int pool_export_write(struct pool_export *ex, uint64_t off, uint64_t len,
		      const void *src);

/** pool_export_discard() - becomes unwritten; 0; -EINVAL not reserved */
int pool_export_discard(struct pool_export *ex, uint64_t off, uint64_t len);

/**
 * pool_export_clone() - a second export with the same contents
 * It has no holder; pool_export_attach() with @ret_token within
 * POOL_CLONE_LIFE_NS, or it is gone.
 *
 * Return: 0; -ENOSPC it does not fit; -ENOMEM; -ENFILE too many; what
 * random() said.
 */
int pool_export_clone(struct pool_export *ex, uint64_t now_ns,
		      uint8_t *ret_token);

#endif
