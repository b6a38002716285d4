/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages in this process's own memory, uncompressed: one flat, lazily populated
 * mapping, a page at its own offset.
 *
 * A page is "resident" from its first write until its memory went back to the
 * system; that happens for the free pages of a run of 64 (one bitmap word)
 * once half of the run is free, in one system call per stretch, so that a
 * discard costs no system call of its own.  Giving memory back must not hit a
 * page that is just being written for the first time: both happen under the
 * run's lock.  A page that holds data is never given back, so overwriting and
 * reading take no lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/backend/store.h"
#include "libfar/base/arena.h"
#include "libfar/base/log.h"
#include "libfar/base/options.h"

#define RUN_PAGES 64u
#define RUN_FREE_MAX 32
#define NR_LOCKS 64u

struct mem_lock {
	pthread_mutex_t mutex;
} FAR_CACHE_ALIGNED;

struct mem_backend {
	struct far_backend be;
	struct far_store store;
	char *base;
	size_t len;
	_Atomic uint64_t *resident; /* one bit a page; under the run's lock */
	_Atomic uint64_t resident_pages;
	struct mem_lock locks[NR_LOCKS];
};

static struct mem_backend *to_mem(struct far_backend *be)
{
	return FAR_CONTAINER_OF(be, struct mem_backend, be);
}

static pthread_mutex_t *run_lock(struct mem_backend *mem, uint64_t run)
{
	return &mem->locks[run % NR_LOCKS].mutex;
}

static void init_locks(struct mem_backend *mem)
{
	unsigned i;

	for (i = 0; i < NR_LOCKS; i++) /* defaults: cannot fail */
		(void)pthread_mutex_init(&mem->locks[i].mutex, NULL);
}

/* Before the first write to a page: from now on it is not given back. */
static void claim_page(struct mem_backend *mem, uint64_t page)
{
	uint64_t run = page / RUN_PAGES;
	uint64_t bit = UINT64_C(1) << (page % RUN_PAGES), old;

	(void)pthread_mutex_lock(run_lock(mem, run));
	(void)far_store_mark(&mem->store, page);
	old = atomic_fetch_or_explicit(&mem->resident[run], bit,
				       memory_order_relaxed);
	if (!(old & bit))
		(void)atomic_fetch_add_explicit(&mem->resident_pages, 1,
						memory_order_relaxed);
	(void)pthread_mutex_unlock(run_lock(mem, run));
}

/* Gives the pages of @mask in @run back, one system call per stretch. */
static void drop_pages(struct mem_backend *mem, uint64_t run, uint64_t mask)
{
	char *base = mem->base + run * RUN_PAGES * FAR_PAGE_SIZE;
	unsigned start, nr;
	uint64_t dropped = 0;

	while (mask) {
		start = (unsigned)__builtin_ctzll(mask);
		nr = ~(mask >> start)
			     ? (unsigned)__builtin_ctzll(~(mask >> start))
			     : RUN_PAGES;
		far_store_drop(base + start * FAR_PAGE_SIZE,
			       nr * FAR_PAGE_SIZE);
		dropped += nr;
		if (start + nr >= RUN_PAGES)
			break;
		mask &= ~UINT64_C(0) << (start + nr);
	}
	(void)atomic_fetch_sub_explicit(&mem->resident_pages, dropped,
					memory_order_relaxed);
}

static uint64_t idle_pages(struct mem_backend *mem, uint64_t run)
{
	uint64_t written = atomic_load_explicit(&mem->store.written[run],
						memory_order_acquire);

	return atomic_load_explicit(&mem->resident[run], memory_order_relaxed) &
	       ~written;
}

/* After discards in @run: gives its free pages back if there are enough. */
static void trim_run(struct mem_backend *mem, uint64_t run)
{
	uint64_t idle = idle_pages(mem, run);

	if (!idle || (__builtin_popcountll(idle) < RUN_FREE_MAX &&
		      atomic_load_explicit(&mem->store.written[run],
					   memory_order_relaxed) != 0))
		return;
	(void)pthread_mutex_lock(run_lock(mem, run));
	idle = idle_pages(mem, run);
	if (idle) {
		drop_pages(mem, run, idle);
		(void)atomic_fetch_and_explicit(&mem->resident[run], ~idle,
						memory_order_relaxed);
	}
	(void)pthread_mutex_unlock(run_lock(mem, run));
}

static void discard(struct mem_backend *mem, uint64_t off, uint64_t len)
{
	uint64_t page = off >> FAR_PAGE_SHIFT;
	uint64_t end = (off + len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT;

	for (; page < end; page++) {
		(void)far_store_clear(&mem->store, page);
		if (page + 1 == end || (page + 1) % RUN_PAGES == 0)
			trim_run(mem, page / RUN_PAGES);
	}
}

static void mem_write(struct mem_backend *mem, const struct far_io *io)
{
	uint64_t page = io->off >> FAR_PAGE_SHIFT;
	uint64_t end = (io->off + io->len) >> FAR_PAGE_SHIFT;

	for (; page < end; page++) {
		if (!far_store_is_written(&mem->store, page << FAR_PAGE_SHIFT,
					  FAR_PAGE_SIZE))
			claim_page(mem, page);
	}
	memcpy(mem->base + io->off, io->buf, io->len);
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
		mem_write(mem, io);
		return 0;
	default:
		discard(mem, io->off, io->len);
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

	far_near_unmap(mem->resident, mem->store.map_len);
	far_near_unmap(mem->base, mem->len);
	far_store_fini(&mem->store);
	free(mem);
}

static int mem_map(struct mem_backend *mem, uint64_t size)
{
	void *base, *resident;
	int rc;

	rc = far_store_init(&mem->store, size);
	if (rc)
		return rc;
	mem->len = (size_t)far_store_capacity(&mem->store);
	rc = far_near_map(mem->len, &base);
	if (rc)
		goto err_store;
	rc = far_near_map(mem->store.map_len, &resident);
	if (rc)
		goto err_base;
	mem->base = base;
	mem->resident = resident;
	return 0;

err_base:
	far_near_unmap(base, mem->len);
err_store:
	far_store_fini(&mem->store);
	return rc;
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
	rc = far_store_size(spec, far_memory_total() / 2, FAR_PAGE_SIZE, &size,
			    log, log_ctx);
	if (rc)
		return rc;
	mem = aligned_alloc(FAR_CACHE_LINE, sizeof(*mem));
	if (!mem)
		return -ENOMEM;
	memset(mem, 0, sizeof(*mem));
	far_backend_init(&mem->be, &far_backend_mem_ops, NULL);
	init_locks(mem);
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
	struct mem_backend *mem = to_mem(be);

	far_store_usage(&mem->store, ret);
	ret->used_bytes =
		atomic_load_explicit(&mem->resident_pages, memory_order_relaxed)
		<< FAR_PAGE_SHIFT;
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
	discard(mem, off, len);
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
	init_locks(to_mem(be));
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
};
