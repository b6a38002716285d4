/* SPDX-License-Identifier: BSD-3-Clause */
/* Exports: which page of the store is at which offset. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool/store_impl.h"

/*
 * A slot says what an export has at one page: nothing, room, or the number of
 * a page in the store plus SLOT_FIRST.
 */
#define SLOT_FREE 0u
#define SLOT_EMPTY 1u
#define SLOT_FIRST 2u
#define LEAF_SLOTS 1024u

struct pool_leaf {
	uint32_t nr_taken; /* slots that are not SLOT_FREE */
	uint32_t slots[LEAF_SLOTS];
};

/* ---- slots ---- */

static uint32_t *slot_find(const struct pool_export *ex, uint64_t pg)
{
	uint64_t i = pg / LEAF_SLOTS;

	if (i >= ex->nr_leaves || !ex->leaves[i])
		return NULL;
	return &ex->leaves[i]->slots[pg % LEAF_SLOTS];
}

static void slot_empty(struct pool_export *ex, uint32_t *slot)
{
	if (*slot >= SLOT_FIRST) {
		pool_page_put(ex->store, *slot - SLOT_FIRST);
		ex->nr_stored--;
	}
	*slot = SLOT_EMPTY;
}

/* The page to write to: one that nobody else sees. */
static char *slot_own_page(struct pool_export *ex, uint32_t *slot)
{
	struct pool_store *st = ex->store;

	if (*slot >= SLOT_FIRST && st->refs[*slot - SLOT_FIRST] == 1)
		return pool_page_mem(st, *slot - SLOT_FIRST);
	slot_empty(ex, slot); /* first: it may be what makes the room */
	*slot = pool_page_alloc(st) + SLOT_FIRST;
	ex->nr_stored++;
	return pool_page_mem(st, *slot - SLOT_FIRST);
}

/* Leaves for pages [@start, @start + @nr), so that nothing can fail later. */
static int leaves_prepare(struct pool_export *ex, uint64_t start, uint64_t nr)
{
	uint64_t i, need = (start + nr - 1) / LEAF_SLOTS + 1;

	if (need > ex->nr_leaves) {
		uint64_t cap = far_max_u64(need, 2 * ex->nr_leaves);
		struct pool_leaf **leaves =
			reallocarray(ex->leaves, cap, sizeof(*leaves));

		if (!leaves)
			return -ENOMEM;
		memset(leaves + ex->nr_leaves, 0,
		       (cap - ex->nr_leaves) * sizeof(*leaves));
		ex->leaves = leaves;
		ex->nr_leaves = cap;
	}
	for (i = start / LEAF_SLOTS; i < need; i++) {
		if (ex->leaves[i])
			continue;
		ex->leaves[i] = calloc(1, sizeof(struct pool_leaf));
		if (!ex->leaves[i])
			return -ENOMEM;
	}
	return 0;
}

/* Frees the leaves that touch the range and hold nothing. */
static void leaves_trim(struct pool_export *ex, uint64_t start, uint64_t nr)
{
	uint64_t i, end = (start + nr - 1) / LEAF_SLOTS + 1;

	for (i = start / LEAF_SLOTS; i < far_min_u64(end, ex->nr_leaves); i++) {
		if (!ex->leaves[i] || ex->leaves[i]->nr_taken)
			continue;
		free(ex->leaves[i]);
		ex->leaves[i] = NULL;
	}
}

/* ---- exports ---- */

static void leaf_destroy(struct pool_export *ex, struct pool_leaf *leaf)
{
	unsigned i;

	for (i = 0; leaf && i < LEAF_SLOTS; i++)
		if (leaf->slots[i] >= SLOT_FIRST)
			slot_empty(ex, &leaf->slots[i]);
	free(leaf);
}

void pool_export_destroy(struct pool_export *ex)
{
	struct pool_store *st = ex->store;
	uint64_t i;

	for (i = 0; i < ex->nr_leaves; i++)
		leaf_destroy(ex, ex->leaves[i]);
	free(ex->leaves);
	pool_space_fini(&ex->space);
	st->nr_reserved -= ex->nr_reserved;
	st->nr_exports--;
	*ex->link = ex->next;
	if (ex->next)
		ex->next->link = ex->link;
	free(ex);
}

int pool_export_create(struct pool_store *st, uint64_t limit,
		       struct pool_export **ret_export)
{
	struct pool_export *ex;
	int err;

	if (st->nr_exports >= st->max_exports)
		return -ENFILE;
	ex = calloc(1, sizeof(*ex));
	if (!ex)
		return -ENOMEM;
	err = st->random(st->random_ctx, ex->token, sizeof(ex->token));
	if (err) {
		free(ex);
		return err;
	}
	ex->store = st;
	ex->serial = ++st->last_serial;
	ex->nr_holders = 1;
	if (!limit || limit > st->nr_pages << FAR_PAGE_SHIFT)
		limit = st->nr_pages << FAR_PAGE_SHIFT;
	pool_space_init(&ex->space, limit >> FAR_PAGE_SHIFT);
	ex->next = st->exports;
	ex->link = &st->exports;
	if (ex->next)
		ex->next->link = &ex->next;
	st->exports = ex;
	st->nr_exports++;
	*ret_export = ex;
	return 0;
}

static bool is_same_token(const uint8_t *a, const uint8_t *b)
{
	unsigned i, diff = 0;

	for (i = 0; i < POOL_TOKEN_LEN; i++)
		diff |= (unsigned)(a[i] ^ b[i]);
	return !diff;
}

int pool_export_attach(struct pool_store *st, const uint8_t *token,
		       struct pool_export **ret_export)
{
	struct pool_export *ex, *found = NULL;

	for (ex = st->exports; ex; ex = ex->next)
		if (is_same_token(ex->token, token))
			found = ex;
	if (!found)
		return -ESTALE;
	found->nr_holders++;
	*ret_export = found;
	return 0;
}

void pool_export_put(struct pool_export *ex)
{
	if (!ex)
		return;
	assert(ex->nr_holders > 0);
	if (!--ex->nr_holders)
		pool_export_destroy(ex);
}

uint64_t pool_export_capacity(const struct pool_export *ex)
{
	return ex->space.max << FAR_PAGE_SHIFT;
}

const uint8_t *pool_export_token(const struct pool_export *ex)
{
	return ex->token;
}

void pool_export_usage(const struct pool_export *ex,
		       struct pool_export_usage *ret_usage)
{
	ret_usage->reserved = ex->nr_reserved << FAR_PAGE_SHIFT;
	ret_usage->stored = ex->nr_stored << FAR_PAGE_SHIFT;
}

int pool_export_reserve(struct pool_export *ex, uint64_t len, uint64_t *ret_off)
{
	struct pool_store *st = ex->store;
	uint64_t i, start, nr = len >> FAR_PAGE_SHIFT;
	int err;

	if (!len || len & FAR_PAGE_MASK)
		return -EINVAL;
	if (nr > st->nr_pages - st->nr_reserved)
		return -ENOSPC;
	err = pool_space_alloc(&ex->space, nr, &start);
	if (err)
		return err;
	err = leaves_prepare(ex, start, nr);
	if (err) {
		leaves_trim(ex, start, nr);
		/* fails only by leaving the offsets unused for ever */
		(void)pool_space_free(&ex->space, start, nr);
		return err;
	}
	for (i = start; i < start + nr; i++) {
		*slot_find(ex, i) = SLOT_EMPTY;
		ex->leaves[i / LEAF_SLOTS]->nr_taken++;
	}
	ex->nr_reserved += nr;
	st->nr_reserved += nr;
	*ret_off = start << FAR_PAGE_SHIFT;
	return 0;
}

/* Pages of a range that is wholly reserved: 0, or -EINVAL. */
static int range_check(const struct pool_export *ex, uint64_t off, uint64_t len,
		       uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t pg, end;

	if (!len || (off | len) & FAR_PAGE_MASK ||
	    far_add_overflow(off, len, &end) ||
	    end > ex->space.top << FAR_PAGE_SHIFT)
		return -EINVAL;
	for (pg = off >> FAR_PAGE_SHIFT; pg < end >> FAR_PAGE_SHIFT; pg++) {
		const uint32_t *slot = slot_find(ex, pg);

		if (!slot || *slot == SLOT_FREE)
			return -EINVAL;
	}
	*ret_start = off >> FAR_PAGE_SHIFT;
	*ret_end = end >> FAR_PAGE_SHIFT;
	return 0;
}

int pool_export_release(struct pool_export *ex, uint64_t off, uint64_t len)
{
	uint64_t pg, start, end;
	int err;

	err = range_check(ex, off, len, &start, &end);
	if (err)
		return err;
	err = pool_space_free(&ex->space, start, end - start);
	if (err)
		return err;
	for (pg = start; pg < end; pg++) {
		uint32_t *slot = slot_find(ex, pg);

		slot_empty(ex, slot);
		*slot = SLOT_FREE;
		ex->leaves[pg / LEAF_SLOTS]->nr_taken--;
	}
	leaves_trim(ex, start, end - start);
	ex->nr_reserved -= end - start;
	ex->store->nr_reserved -= end - start;
	return 0;
}

int pool_export_read(const struct pool_export *ex, uint64_t off, uint64_t len,
		     void *dst)
{
	uint64_t pg, start, end;
	char *to = dst;
	int err;

	err = range_check(ex, off, len, &start, &end);
	if (err)
		return err;
	for (pg = start; pg < end; pg++)
		if (*slot_find(ex, pg) < SLOT_FIRST)
			return -ENODATA;
	for (pg = start; pg < end; pg++) {
		memcpy(to,
		       pool_page_mem(ex->store,
				     *slot_find(ex, pg) - SLOT_FIRST),
		       FAR_PAGE_SIZE);
		to += FAR_PAGE_SIZE;
	}
	return 0;
}

int pool_export_write(struct pool_export *ex, uint64_t off, uint64_t len,
		      const void *src)
{
	uint64_t pg, start, end;
	const char *from = src;
	int err;

	err = range_check(ex, off, len, &start, &end);
	if (err)
		return err;
	for (pg = start; pg < end; pg++) {
		memcpy(slot_own_page(ex, slot_find(ex, pg)), from,
		       FAR_PAGE_SIZE);
		from += FAR_PAGE_SIZE;
	}
	return 0;
}

int pool_export_discard(struct pool_export *ex, uint64_t off, uint64_t len)
{
	uint64_t pg, start, end;
	int err;

	err = range_check(ex, off, len, &start, &end);
	if (err)
		return err;
	for (pg = start; pg < end; pg++)
		slot_empty(ex, slot_find(ex, pg));
	return 0;
}

/* ---- clones ---- */

static int clone_leaf(struct pool_export *to, const struct pool_leaf *from,
		      struct pool_leaf **ret_leaf)
{
	struct pool_leaf *leaf = malloc(sizeof(*leaf));
	unsigned i;

	if (!leaf)
		return -ENOMEM;
	memcpy(leaf, from, sizeof(*leaf));
	for (i = 0; i < LEAF_SLOTS; i++) {
		if (leaf->slots[i] < SLOT_FIRST)
			continue;
		to->store->refs[leaf->slots[i] - SLOT_FIRST]++;
		to->nr_stored++;
	}
	*ret_leaf = leaf;
	return 0;
}

static int clone_contents(struct pool_export *to,
			  const struct pool_export *from)
{
	uint64_t i;
	int err;

	pool_space_fini(&to->space);
	err = pool_space_copy(&to->space, &from->space);
	if (err)
		return err;
	if (!from->nr_leaves)
		return 0;
	to->leaves = calloc(from->nr_leaves, sizeof(*to->leaves));
	if (!to->leaves)
		return -ENOMEM;
	to->nr_leaves = from->nr_leaves;
	for (i = 0; i < from->nr_leaves; i++) {
		if (!from->leaves[i])
			continue;
		err = clone_leaf(to, from->leaves[i], &to->leaves[i]);
		if (err)
			return err;
	}
	to->nr_reserved = from->nr_reserved;
	to->store->nr_reserved += from->nr_reserved;
	return 0;
}

static unsigned nr_unclaimed(const struct pool_export *of)
{
	const struct pool_export *ex;
	unsigned nr = 0;

	for (ex = of->store->exports; ex; ex = ex->next)
		nr += ex->parent == of->serial && !ex->nr_holders;
	return nr;
}

int pool_export_clone(struct pool_export *ex, uint64_t now_ns,
		      uint8_t *ret_token)
{
	struct pool_store *st = ex->store;
	struct pool_export *copy;
	int err;

	if (ex->nr_reserved > st->nr_pages - st->nr_reserved)
		return -ENOSPC;
	if (nr_unclaimed(ex) >= POOL_MAX_UNCLAIMED)
		return -ENFILE;
	err = pool_export_create(st, 0, &copy);
	if (err)
		return err;
	err = clone_contents(copy, ex);
	if (err) {
		pool_export_put(copy);
		return err;
	}
	copy->parent = ex->serial;
	copy->nr_holders = 0;
	copy->expires_ns = now_ns + POOL_CLONE_LIFE_NS;
	memcpy(ret_token, copy->token, POOL_TOKEN_LEN);
	return 0;
}
