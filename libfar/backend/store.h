/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every local backend needs: which pages are handed out and which hold
 * data (two bitmaps in near memory), and the queue of a backend that finishes
 * in submit().
 */
#ifndef LIBFAR_BACKEND_STORE_H
#define LIBFAR_BACKEND_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libfar/backend/backend.h"
#include "libfar/backend/spec.h"
#include "libfar/base/compiler.h"

/* Largest transfer and queue of the local backends. */
#define FAR_STORE_MAX_LEN (1u << 20)
#define FAR_STORE_MAX_DEPTH 4096u

/* Pages of one bitmap word: what goes back to the system together. */
#define FAR_STORE_RUN 64u
#define FAR_STORE_LOCKS 64u

struct far_store_lock {
	pthread_mutex_t mutex;
} FAR_CACHE_ALIGNED;

/**
 * far_store_drop_fn - the space of @nr pages from @page is not needed
 * Context: data plane, under the run's lock.
 */
typedef void (*far_store_drop_fn)(void *ctx, uint64_t page, unsigned nr);

/**
 * struct far_store - page maps of one backend
 *
 * A backend whose pages lie at their own offsets also tracks which of them
 * occupy space: from far_store_claim() until the space went back, which
 * happens for the free pages of a run once half of the run is free, in one
 * call per stretch, so that a discard costs no system call of its own.
 * Giving back must not hit a page that is just being written for the first
 * time: both happen under the run's lock.  A page that holds data is never
 * given back, so overwriting and reading take no lock.
 */
struct far_store {
	uint64_t nr_pages;
	_Atomic uint64_t *reserved; /* one bit a page; written under lock */
	_Atomic uint64_t *written;  /* one bit a page; any queue */
	_Atomic uint64_t *occupied; /* one bit a page; under the run's lock */
	_Atomic uint64_t occupied_pages;
	_Atomic uint64_t reserved_pages; /* written under lock */
	_Atomic uint64_t written_pages;	 /* any queue */
	void *mem;			 /* the mapping of all maps */
	size_t map_len;			 /* bytes of each map */
	uint64_t hint;			 /* under lock: where to look next */
	pthread_mutex_t lock;		 /* control plane only */
	struct far_store_lock run_locks[FAR_STORE_LOCKS];
};

/** struct far_store_queue - a queue whose requests are done in submit() */
struct far_store_queue {
	struct far_queue q;
	struct far_io *head, *tail; /* done, not yet polled */
};

/* The built-in ops of this folder, as builtin.c finds them. */
extern const struct far_backend_ops far_backend_mem_ops;
extern const struct far_backend_ops far_backend_lz4_ops;
extern const struct far_backend_ops far_backend_zstd_ops;
extern const struct far_backend_ops far_backend_file_ops;

/**
 * far_store_init() - maps for @capacity bytes, rounded down to pages
 * Return: 0; -EINVAL less than a page; -ENOMEM.
 */
int far_store_init(struct far_store *st, uint64_t capacity);

/** far_store_fini() - frees the maps; fine on a zeroed struct */
void far_store_fini(struct far_store *st);

/** far_store_after_fork() - locks of the parent's threads are forgotten */
void far_store_after_fork(struct far_store *st);

/** far_store_capacity() - bytes */
uint64_t far_store_capacity(const struct far_store *st);

/** far_store_reserve() - first fit of whole pages; 0 or -ENOSPC */
int far_store_reserve(struct far_store *st, uint64_t len, uint64_t *ret_off);

/** far_store_release() - 0; -EINVAL if any page is not reserved.
 * The caller has discarded the pages. */
int far_store_release(struct far_store *st, uint64_t off, uint64_t len);

/** far_store_is_reserved() - data plane: the whole range is handed out */
bool far_store_is_reserved(struct far_store *st, uint64_t off, uint64_t len);

/** far_store_is_written() - data plane: every page of the range holds data */
bool far_store_is_written(struct far_store *st, uint64_t off, uint64_t len);

/** far_store_mark() - data plane: page @page holds data; true: it did already
 */
bool far_store_mark(struct far_store *st, uint64_t page);

/** far_store_clear() - data plane: @page holds none; true: it did before */
bool far_store_clear(struct far_store *st, uint64_t page);

/** far_store_next_written() - first page >= @page with data, or nr_pages */
uint64_t far_store_next_written(struct far_store *st, uint64_t page);

/** far_store_next_free() - first page >= @page without data, or nr_pages */
uint64_t far_store_next_free(struct far_store *st, uint64_t page);

/** far_store_claim() - data plane: before a write, the range holds data */
void far_store_claim(struct far_store *st, uint64_t off, uint64_t len);

/**
 * far_store_discard() - data plane: the range holds no data any more
 * @drop: called for stretches whose space may go
 */
void far_store_discard(struct far_store *st, uint64_t off, uint64_t len,
		       far_store_drop_fn drop, void *ctx);

/** far_store_trim() - give the space of all free pages back at once */
void far_store_trim(struct far_store *st, far_store_drop_fn drop, void *ctx);

/** far_store_usage() - reserved, stored and occupied bytes */
void far_store_usage(struct far_store *st, struct far_backend_usage *ret);

/**
 * far_store_size() - the SIZE of "mem:2G" or "mem:size=2G"
 * @def: used when there is none
 * @min: smaller is refused
 * Return: 0; -EINVAL, logged.
 */
int far_store_size(const struct far_spec *spec, uint64_t def, uint64_t min,
		   uint64_t *ret_size, far_log_fn log, void *log_ctx);

/**
 * far_store_drop() - give whole pages of near memory back to the system
 * Not madvise(): under the preload that may be a wrapper of ours.  Fails only
 * for a range that is not mapped.
 */
static inline void far_store_drop(void *addr, size_t len)
{
	(void)syscall(SYS_madvise, addr, len, MADV_DONTNEED);
}

/** far_store_queue_init() - as far_queue_init() */
void far_store_queue_init(struct far_store_queue *sq, struct far_backend *be,
			  unsigned depth);

/** far_store_done() - @io is finished with @res */
static inline void far_store_done(struct far_store_queue *sq, struct far_io *io,
				  int res)
{
	io->res = res;
	io->next = NULL;
	if (sq->head)
		sq->tail->next = io;
	else
		sq->head = io;
	sq->tail = io;
}

/** far_store_poll() - the poll op of a far_store_queue */
int far_store_poll(struct far_queue *q, struct far_io **ret_done, unsigned max);

#endif
