/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page traces, synthetic or from a file, and two exact references for what a
 * cache of a given size makes of them: LRU and Belady's MIN.  A program of its own checks the
 * generators and LRU against counts from elsewhere (vectors/mrc_lru.txt).
 */
#ifndef TESTS_EVICTOR_TRACE_H
#define TESTS_EVICTOR_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct trace {
	uint32_t nr;	   /* accesses */
	uint32_t nr_pages; /* distinct pages */
	uint32_t *pg;	   /* the pages, numbered densely in address order */
	uint32_t *raw;	   /* the pages as generated, or read */
};

/**
 * trace_make() - the trace called @name, of @nr accesses
 * Return: 0; -ENOENT no such trace; -ENOMEM.
 */
int trace_make(struct trace *t, const char *name, uint32_t nr);

/**
 * trace_read() - from the file @path: a page number a line, as far trace export
 * prints them; lines that begin with # do not count
 * Return: 0; -EINVAL a line is no page number, or there is none; -errno.
 */
int trace_read(struct trace *t, const char *path);

/** trace_free() - also after a failed trace_make() of a zeroed @t */
void trace_free(struct trace *t);

/**
 * trace_lru_hits() - exact LRU stack distances, Mattson et al. 1970
 * @ret_hits: t->nr + 1 counts; [c] becomes the hits in a cache of c pages
 * Return: 0 or -ENOMEM.
 */
int trace_lru_hits(const struct trace *t, uint32_t *ret_hits);

/**
 * trace_min_misses() - misses of Belady's MIN in a cache of @size pages
 * Evicts the page whose next use is farthest away, no cache that has to take
 * in what is used can do better.
 * Return: 0 or -ENOMEM.
 */
int trace_min_misses(const struct trace *t, uint32_t size,
		     uint32_t *ret_misses);

#endif
