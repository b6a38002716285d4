/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages in this process's own memory, uncompressed: one flat, lazily populated
 * mapping, a page at its own offset.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/backend/store.h"
#include "libfar/base/arena.h"
#include "libfar/base/log.h"
#include "libfar/base/options.h"

struct mem_backend {
	struct far_backend be;
	struct far_store store;
	char *base;
	size_t len;
};

static struct mem_backend *to_mem(struct far_backend *be)
{
	return FAR_CONTAINER_OF(be, struct mem_backend, be);
}

static void drop_pages(void *ctx, uint64_t page, unsigned nr)
{
	struct mem_backend *mem = ctx;

	far_store_drop(mem->base + page * FAR_PAGE_SIZE, nr * FAR_PAGE_SIZE);
}

static int mem_do(struct mem_backend *mem, const struct far_io *io)
{
	if (!far_store_is_reserved(&mem->store, io->off, io->len))
		return -EINVAL;
	switch (io->op) {
	case FAR_IO_READ:
		if (!far_store_is_written(&mem->store, io->off, io->len))
			return -ENODATA;
		memcpy(io->buf, mem->base + io->off, io->len);
		return 0;
	case FAR_IO_WRITE:
		far_store_claim(&mem->store, io->off, io->len);
		memcpy(mem->base + io->off, io->buf, io->len);
		return 0;
	default:
		far_store_discard(&mem->store, io->off, io->len, drop_pages,
				  mem);
		return 0;
	}
}

static int mem_submit(struct far_queue *q, struct far_io *list, unsigned nr)
{
	struct far_store_queue *sq = (struct far_store_queue *)q;
	struct mem_backend *mem = to_mem(q->be);
	struct far_io *next;
	unsigned n;

	for (n = 0; n < nr && list; n++, list = next) {
		next = list->next;
		far_store_done(sq, list, mem_do(mem, list));
	}
	return (int)n;
}

static const void *mem_peek(struct far_backend *be, uint64_t off, uint32_t len)
{
	struct mem_backend *mem = to_mem(be);

	return far_store_is_reserved(&mem->store, off, len) &&
			       far_store_is_written(&mem->store, off, len)
		       ? mem->base + off
		       : NULL;
}

static int mem_queue_open(struct far_backend *be, unsigned depth,
			  struct far_queue **ret_q)
{
	struct far_store_queue *sq = malloc(sizeof(*sq));

	if (!sq)
		return -ENOMEM;
	far_store_queue_init(sq, be, depth);
	*ret_q = &sq->q;
	return 0;
}

static void mem_queue_close(struct far_queue *q)
{
	free(q);
}

static void mem_close(struct far_backend *be)
{
	struct mem_backend *mem = to_mem(be);

	far_near_unmap(mem->base, mem->len);
	far_store_fini(&mem->store);
	free(mem);
}

static int mem_map(struct mem_backend *mem, uint64_t size)
{
	void *base;
	int rc;

	rc = far_store_init(&mem->store, size);
	if (rc)
		return rc;
	mem->len = (size_t)far_store_capacity(&mem->store);
	rc = far_near_map(mem->len, &base);
	if (rc) {
		far_store_fini(&mem->store);
		return rc;
	}
	mem->base = base;
	return 0;
}

static int mem_open(const struct far_spec *spec, struct far_backend *next,
		    far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	static const char *const keys[] = {"size", NULL};
	struct mem_backend *mem;
	uint64_t size;
	int rc;

	(void)next; /* not a filter */
	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc)
		return rc;
	rc = far_store_size(spec, far_memory_total() / 5 * 2, FAR_PAGE_SIZE,
			    &size, log, log_ctx);
	if (rc)
		return rc;
	mem = aligned_alloc(FAR_CACHE_LINE, sizeof(*mem));
	if (!mem)
		return -ENOMEM;
	memset(mem, 0, sizeof(*mem));
	far_backend_init(&mem->be, &far_backend_mem_ops, NULL);
	rc = mem_map(mem, size);
	if (rc) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "mem: cannot map the store: no address space; fix: "
			   "give a smaller size");
		free(mem);
		return rc;
	}
	*ret_be = &mem->be;
	return 0;
}

static int mem_caps(struct far_backend *be, struct far_backend_caps *ret_caps)
{
	ret_caps->capacity = far_store_capacity(&to_mem(be)->store);
	ret_caps->align = FAR_PAGE_SIZE;
	ret_caps->max_len = FAR_STORE_MAX_LEN;
	ret_caps->max_depth = FAR_STORE_MAX_DEPTH;
	ret_caps->flags = FAR_CAP_SYNC | FAR_CAP_SIGNAL_SAFE | FAR_CAP_PRIVATE;
	return 0;
}

static int mem_usage(struct far_backend *be, struct far_backend_usage *ret)
{
	far_store_usage(&to_mem(be)->store, ret);
	return 0;
}

static int mem_reserve(struct far_backend *be, uint64_t len, uint64_t *ret_off)
{
	return far_store_reserve(&to_mem(be)->store, len, ret_off);
}

static int mem_release(struct far_backend *be, uint64_t off, uint64_t len)
{
	struct mem_backend *mem = to_mem(be);

	if (!far_store_is_reserved(&mem->store, off, len))
		return -EINVAL;
	far_store_discard(&mem->store, off, len, drop_pages, mem);
	return far_store_release(&mem->store, off, len);
}

/* fork() itself makes the copy. */
static int mem_clone(struct far_backend *be, struct far_clone *ret_clone)
{
	(void)be;
	(void)ret_clone;
	return 0;
}

static int mem_adopt(struct far_backend *be, const struct far_clone *clone)
{
	(void)clone;
	far_store_after_fork(&to_mem(be)->store);
	return 0;
}

const struct far_backend_ops far_backend_mem_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "mem",
	.help = "mem:[SIZE] - this process's memory (default: half of it)",
	.open = mem_open,
	.close = mem_close,
	.caps = mem_caps,
	.usage = mem_usage,
	.reserve = mem_reserve,
	.release = mem_release,
	.clone = mem_clone,
	.adopt = mem_adopt,
	.queue_open = mem_queue_open,
	.queue_close = mem_queue_close,
	.submit = mem_submit,
	.poll = far_store_poll,
	.peek = mem_peek,
};
