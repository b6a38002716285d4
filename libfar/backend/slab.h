/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Space for compressed pages: a size-class allocator in near memory.
 *
 * Classes are the multiples of 64 bytes up to a page.  A span of 32 KiB holds
 * objects of one class; a span whose last object is freed leaves its class,
 * and its memory goes back to the system (a few stay warm for the next user).
 * So the bytes occupied are spans, never more than the size given, and other
 * classes can use what one class gave up.  Spans lie in huge pages where there
 * are any; of one that was given back in part the kernel takes the rest when
 * it is short of memory.
 *
 * Threads: any number; one lock a class, held for some tens of instructions
 * (and while a huge page is zeroed, once for each), and one for whole spans,
 * taken inside it.
 */
#ifndef LIBFAR_BACKEND_SLAB_H
#define LIBFAR_BACKEND_SLAB_H

#include <pthread.h>

#include "libfar/base/compiler.h"

#define FAR_SLAB_STEP 64u
#define FAR_SLAB_CLASSES 64u
#define FAR_SLAB_SPAN ((size_t)32768)
#define FAR_SLAB_OBJECTS (FAR_SLAB_SPAN / FAR_SLAB_STEP)
#define FAR_SLAB_WARM 8u

/** struct far_slab_span - one span; under its class's lock while in use */
struct far_slab_span {
	uint64_t free_map[FAR_SLAB_OBJECTS / 64]; /* set: object is free */
	uint32_t prev, next; /* span number + 1; 0 ends the list */
	uint16_t nr_free;
	uint16_t class_idx;
};

struct far_slab_class {
	pthread_mutex_t lock;
	uint32_t partial; /* spans with free objects: number + 1 */
} FAR_CACHE_ALIGNED;

struct far_slab {
	char *base;
	struct far_slab_span *spans;
	size_t nr_spans;
	pthread_mutex_t lock; /* guards what follows, to nr_used */
	uint32_t cold;	      /* empty spans without memory: number + 1 */
	uint32_t warm;	      /* empty spans that kept it */
	uint32_t nr_warm;
	uint32_t top;	  /* spans from here on were never used */
	uint32_t nr_used; /* spans in classes */
	struct far_slab_class classes[FAR_SLAB_CLASSES];
};

/**
 * far_slab_init() - a slab of @size bytes, rounded down to spans
 * @slab: aligned to a cache line
 * Return: 0; -EINVAL less than a span, or too large; -ENOMEM.
 */
int far_slab_init(struct far_slab *slab, uint64_t size);

/** far_slab_fini() - frees all; fine on a zeroed struct */
void far_slab_fini(struct far_slab *slab);

/** far_slab_after_fork() - in the child: no lock is held by anyone */
void far_slab_after_fork(struct far_slab *slab);

/**
 * far_slab_alloc() - an object of @len bytes
 * @len: 1 to 4096
 * @ret_handle: below 2^40; free with far_slab_free()
 *
 * Context: data plane; short locks, no allocation.
 * Return: 0; -ENOSPC.
 */
int far_slab_alloc(struct far_slab *slab, uint32_t len, uint64_t *ret_handle);

/** far_slab_free() - gives @handle back; it must be allocated */
void far_slab_free(struct far_slab *slab, uint64_t handle);

/** far_slab_addr() - where object @handle lies; no lock */
void *far_slab_addr(const struct far_slab *slab, uint64_t handle);

/** far_slab_room() - bytes that fit into @handle's object without moving */
uint32_t far_slab_room(const struct far_slab *slab, uint64_t handle);

/** far_slab_used() - bytes occupied now: spans with objects, and warm ones */
uint64_t far_slab_used(struct far_slab *slab);

#endif
