/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages in this process's own memory, compressed.  One atomic word a page
 * says in which form it is held and where; zram's zram_drv.c keeps the same
 * table.  The caller never has overlapping requests in flight, so a word and
 * the object behind it have one user at a time; only the slab needs locks.
 */
#include "libfar/backend/compress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/backend/codec.h"
#include "libfar/base/arena.h"
#include "libfar/base/log.h"
#include "libfar/base/options.h"

/* SIZE bounds real bytes; so many times that may be reserved. */
#define LOGICAL_FACTOR 8u
#define MIN_SIZE (UINT64_C(1) << 20)
#define ZSTD_LEVEL_DEFAULT 3

/* A slot's word: state in 2 bits, length in 13, the slab's handle above. */
#define SLOT_STATE UINT64_C(3)
#define SLOT_EMPTY UINT64_C(0)
#define SLOT_SAME UINT64_C(1)	/* all words equal: in patterns[] */
#define SLOT_PACKED UINT64_C(2) /* compressed */
#define SLOT_RAW UINT64_C(3)	/* as it is */
#define SLOT_LEN_SHIFT 2
#define SLOT_LEN_MASK UINT64_C(0x1fff)
#define SLOT_HANDLE_SHIFT 15

struct comp_backend {
	struct far_backend be;
	const struct far_codec *codec;
	int level;
	struct far_store store;
	_Atomic uint64_t *slots; /* word of each page; its one user writes */
	uint64_t *patterns;	 /* of SLOT_SAME pages */
	size_t slots_len;
	_Atomic uint64_t nr_same;
	struct far_slab slab;
};

struct comp_queue {
	struct far_store_queue sq;
	struct far_codec_ctx ctx;
};

static struct comp_backend *to_comp(struct far_backend *be)
{
	return FAR_CONTAINER_OF(be, struct comp_backend, be);
}

struct far_slab *far_compress_slab(struct far_backend *be)
{
	return &to_comp(be)->slab;
}

static uint64_t load_slot(struct comp_backend *cb, uint64_t page)
{
	/* Pairs with the release in store_slot(). */
	return atomic_load_explicit(&cb->slots[page], memory_order_acquire);
}

static bool has_object(uint64_t word)
{
	return (word & SLOT_STATE) >= SLOT_PACKED;
}

/* Makes @word the page's, and frees what @old named unless it is kept. */
static void store_slot(struct comp_backend *cb, uint64_t page, uint64_t old,
		       uint64_t word)
{
	atomic_store_explicit(&cb->slots[page], word, memory_order_release);
	if ((old & SLOT_STATE) == SLOT_SAME)
		(void)atomic_fetch_sub_explicit(&cb->nr_same, 1,
						memory_order_relaxed);
	if (has_object(old) &&
	    !(has_object(word) &&
	      old >> SLOT_HANDLE_SHIFT == word >> SLOT_HANDLE_SHIFT))
		far_slab_free(&cb->slab, old >> SLOT_HANDLE_SHIFT);
	if ((word & SLOT_STATE) == SLOT_SAME)
		(void)atomic_fetch_add_explicit(&cb->nr_same, 1,
						memory_order_relaxed);
	if (word == SLOT_EMPTY)
		(void)far_store_clear(&cb->store, page);
	else if (old == SLOT_EMPTY)
		(void)far_store_mark(&cb->store, page);
}

static bool is_same_filled(const void *page, uint64_t *ret_pattern)
{
	uint64_t first, word;
	size_t at;

	memcpy(&first, page, sizeof(first));
	for (at = sizeof(word); at < FAR_PAGE_SIZE; at += sizeof(word)) {
		memcpy(&word, (const char *)page + at, sizeof(word));
		if (word != first)
			return false;
	}
	*ret_pattern = first;
	return true;
}

static void fill_page(void *page, uint64_t pattern)
{
	size_t at;

	for (at = 0; at < FAR_PAGE_SIZE; at += sizeof(pattern))
		memcpy((char *)page + at, &pattern, sizeof(pattern));
}

static int write_page(struct comp_backend *cb, struct comp_queue *cq,
		      uint64_t page, const void *buf)
{
	uint64_t old = load_slot(cb, page), state = SLOT_PACKED;
	uint64_t handle = old >> SLOT_HANDLE_SHIFT;
	const void *src = cq->ctx.out;
	uint64_t pattern;
	uint32_t len;
	int rc;

	if (is_same_filled(buf, &pattern)) {
		cb->patterns[page] = pattern;
		store_slot(cb, page, old, SLOT_SAME);
		return 0;
	}
	len = cb->codec->pack(&cq->ctx, buf);
	if (len == 0) {
		state = SLOT_RAW;
		src = buf;
		len = FAR_PAGE_SIZE;
	}
	/* Its present object serves again if it is of the same class. */
	if (!has_object(old) || far_slab_room(&cb->slab, handle) !=
					far_round_up(len, FAR_SLAB_STEP)) {
		rc = far_slab_alloc(&cb->slab, len, &handle);
		if (rc)
			return rc;
	}
	memcpy(far_slab_addr(&cb->slab, handle), src, len);
	store_slot(cb, page, old,
		   state | (uint64_t)len << SLOT_LEN_SHIFT |
			   handle << SLOT_HANDLE_SHIFT);
	return 0;
}

static int read_page(struct comp_backend *cb, struct comp_queue *cq,
		     uint64_t page, void *buf)
{
	uint64_t word = load_slot(cb, page);
	uint32_t len = (uint32_t)(word >> SLOT_LEN_SHIFT & SLOT_LEN_MASK);
	const void *src;

	switch (word & SLOT_STATE) {
	case SLOT_EMPTY:
		return -ENODATA;
	case SLOT_SAME:
		fill_page(buf, cb->patterns[page]);
		return 0;
	default:
		break;
	}
	src = far_slab_addr(&cb->slab, word >> SLOT_HANDLE_SHIFT);
	if ((word & SLOT_STATE) == SLOT_RAW) {
		memcpy(buf, src, FAR_PAGE_SIZE);
		return 0;
	}
	return cb->codec->unpack(&cq->ctx, src, len, buf) ? 0 : -EBADMSG;
}

static void discard_page(struct comp_backend *cb, uint64_t page)
{
	uint64_t old = load_slot(cb, page);

	if (old != SLOT_EMPTY)
		store_slot(cb, page, old, SLOT_EMPTY);
}

static int comp_do(struct comp_backend *cb, struct comp_queue *cq,
		   const struct far_io *io)
{
	uint64_t page = io->off >> FAR_PAGE_SHIFT;
	char *buf = io->buf;
	uint32_t at;
	int rc = 0;

	if (!far_store_is_reserved(&cb->store, io->off, io->len))
		return -EINVAL;
	for (at = 0; at < io->len && rc == 0; at += FAR_PAGE_SIZE, page++) {
		if (io->op == FAR_IO_READ)
			rc = read_page(cb, cq, page, buf + at);
		else if (io->op == FAR_IO_WRITE)
			rc = write_page(cb, cq, page, buf + at);
		else
			discard_page(cb, page);
	}
	return rc;
}

static int comp_submit(struct far_queue *q, struct far_io *list, unsigned nr)
{
	struct comp_queue *cq = (struct comp_queue *)q;
	struct far_io *next;
	unsigned n;

	for (n = 0; n < nr && list; n++, list = next) {
		next = list->next;
		far_store_done(&cq->sq, list,
			       comp_do(to_comp(q->be), cq, list));
	}
	return (int)n;
}

static int comp_queue_open(struct far_backend *be, unsigned depth,
			   struct far_queue **ret_q)
{
	struct comp_backend *cb = to_comp(be);
	struct comp_queue *cq = calloc(1, sizeof(*cq));
	int rc;

	if (!cq)
		return -ENOMEM;
	far_store_queue_init(&cq->sq, be, depth);
	rc = far_codec_ctx_init(&cq->ctx, cb->codec, cb->level);
	if (rc) {
		free(cq);
		return rc;
	}
	*ret_q = &cq->sq.q;
	return 0;
}

static void comp_queue_close(struct far_queue *q)
{
	struct comp_queue *cq = (struct comp_queue *)q;

	far_codec_ctx_fini(&cq->ctx);
	free(cq);
}

static void comp_close(struct far_backend *be)
{
	struct comp_backend *cb = to_comp(be);

	far_near_unmap(cb->patterns, cb->slots_len);
	far_near_unmap(cb->slots, cb->slots_len);
	far_slab_fini(&cb->slab);
	far_store_fini(&cb->store);
	free(cb);
}

static int comp_map(struct comp_backend *cb, uint64_t size)
{
	void *slots, *patterns;
	uint64_t logical;
	int rc;

	if (far_mul_overflow(size, LOGICAL_FACTOR, &logical))
		return -EINVAL;
	rc = far_store_init(&cb->store, logical);
	if (rc)
		return rc;
	cb->slots_len = (size_t)cb->store.nr_pages * sizeof(uint64_t);
	rc = far_slab_init(&cb->slab, size);
	if (rc)
		goto err_store;
	rc = far_near_map(cb->slots_len, &slots);
	if (rc)
		goto err_slab;
	rc = far_near_map(cb->slots_len, &patterns);
	if (rc)
		goto err_slots;
	cb->slots = slots;
	cb->patterns = patterns;
	return 0;

err_slots:
	far_near_unmap(slots, cb->slots_len);
err_slab:
	far_slab_fini(&cb->slab);
err_store:
	far_store_fini(&cb->store);
	return rc;
}

static int parse_level(const struct far_spec *spec, int *ret_level,
		       far_log_fn log, void *log_ctx)
{
	const char *text = far_spec_get(spec, "level");
	char *end;
	long level = ZSTD_LEVEL_DEFAULT;

	if (text) {
		level = strtol(text, &end, 10);
		if (end == text || *end != '\0' || level < 1 ||
		    level > FAR_CODEC_ZSTD_LEVEL_MAX) {
			far_log_to(log, log_ctx, FAR_LOG_ERR,
				   "%s: bad value level=%s; fix: give a number "
				   "from 1 to %d",
				   spec->name, text, FAR_CODEC_ZSTD_LEVEL_MAX);
			return -EINVAL;
		}
	}
	*ret_level = (int)level;
	return 0;
}

static int comp_open(const struct far_spec *spec,
		     const struct far_backend_ops *ops,
		     const struct far_codec *codec, int level, far_log_fn log,
		     void *log_ctx, struct far_backend **ret_be)
{
	struct comp_backend *cb;
	uint64_t size;
	int rc;

	rc = far_store_size(spec, far_memory_total() / 5 * 2, MIN_SIZE, &size,
			    log, log_ctx);
	if (rc)
		return rc;
	cb = aligned_alloc(FAR_CACHE_LINE, sizeof(*cb));
	if (!cb)
		return -ENOMEM;
	memset(cb, 0, sizeof(*cb));
	far_backend_init(&cb->be, ops, NULL);
	cb->codec = codec;
	cb->level = level;
	rc = comp_map(cb, size);
	if (rc) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "%s: cannot map the store: no address space; fix: "
			   "give a smaller size",
			   spec->name);
		free(cb);
		return rc;
	}
	*ret_be = &cb->be;
	return 0;
}

static int lz4_open(const struct far_spec *spec, struct far_backend *next,
		    far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	static const char *const keys[] = {"size", NULL};
	int rc = far_spec_allow(spec, keys, log, log_ctx);

	(void)next; /* not a filter */
	return rc ? rc
		  : comp_open(spec, &far_backend_lz4_ops, &far_codec_lz4, 0,
			      log, log_ctx, ret_be);
}

static int zstd_open(const struct far_spec *spec, struct far_backend *next,
		     far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	static const char *const keys[] = {"size", "level", NULL};
	int level, rc = far_spec_allow(spec, keys, log, log_ctx);

	(void)next; /* not a filter */
	if (rc == 0)
		rc = parse_level(spec, &level, log, log_ctx);
	return rc ? rc
		  : comp_open(spec, &far_backend_zstd_ops, &far_codec_zstd,
			      level, log, log_ctx, ret_be);
}

static int comp_caps(struct far_backend *be, struct far_backend_caps *ret_caps)
{
	ret_caps->capacity = far_store_capacity(&to_comp(be)->store);
	ret_caps->align = FAR_PAGE_SIZE;
	ret_caps->max_len = FAR_STORE_MAX_LEN;
	ret_caps->max_depth = FAR_STORE_MAX_DEPTH;
	ret_caps->flags = FAR_CAP_SYNC | FAR_CAP_SIGNAL_SAFE | FAR_CAP_PRIVATE;
	return 0;
}

static int comp_usage(struct far_backend *be, struct far_backend_usage *ret)
{
	struct comp_backend *cb = to_comp(be);

	far_store_usage(&cb->store, ret);
	ret->used_bytes = far_slab_used(&cb->slab);
	ret->same_filled_pages =
		atomic_load_explicit(&cb->nr_same, memory_order_relaxed);
	return 0;
}

static int comp_reserve(struct far_backend *be, uint64_t len, uint64_t *ret_off)
{
	return far_store_reserve(&to_comp(be)->store, len, ret_off);
}

static int comp_release(struct far_backend *be, uint64_t off, uint64_t len)
{
	struct comp_backend *cb = to_comp(be);
	uint64_t page = off >> FAR_PAGE_SHIFT;
	uint64_t end = (off + len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT;

	if (!far_store_is_reserved(&cb->store, off, len))
		return -EINVAL;
	for (; page < end; page++)
		discard_page(cb, page);
	return far_store_release(&cb->store, off, len);
}

/* fork() itself makes the copy. */
static int comp_clone(struct far_backend *be, struct far_clone *ret_clone)
{
	(void)be;
	(void)ret_clone;
	return 0;
}

static int comp_adopt(struct far_backend *be, const struct far_clone *clone)
{
	(void)clone;
	far_slab_after_fork(&to_comp(be)->slab);
	far_store_after_fork(&to_comp(be)->store);
	return 0;
}

#define COMP_OPS                                                               \
	.size = sizeof(struct far_backend_ops), .close = comp_close,           \
	.caps = comp_caps, .usage = comp_usage, .reserve = comp_reserve,       \
	.release = comp_release, .clone = comp_clone, .adopt = comp_adopt,     \
	.queue_open = comp_queue_open, .queue_close = comp_queue_close,        \
	.submit = comp_submit, .poll = far_store_poll

const struct far_backend_ops far_backend_lz4_ops = {
	COMP_OPS,
	.name = "lz4",
	.help = "lz4:[SIZE] - this process's memory, compressed fast",
	.open = lz4_open,
};

const struct far_backend_ops far_backend_zstd_ops = {
	COMP_OPS,
	.name = "zstd",
	.help = "zstd:[SIZE][,level=3] - this process's memory, compressed "
		"well",
	.open = zstd_open,
};
