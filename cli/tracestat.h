/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a trace tells: how often, how much, and how much more local memory would
 * have helped.
 *
 * The last is from refault distances, as in the kernel's mm/workingset.c: let d
 * be how many different pages left from one page's own leaving on, itself
 * included, until it was wanted again.  Had there been d more frames, to keep
 * those in that left last, it would still have been there.  (The kernel counts
 * a page that leaves twice twice, for it cannot know.)  It says nothing about
 * less memory: uses of pages that are local are not seen.
 */
#ifndef CLI_TRACESTAT_H
#define CLI_TRACESTAT_H

#include "cli/tracefile.h"

#define TRACESTAT_ROWS 20
#define TRACESTAT_SIZES 16
#define TRACESTAT_CHUNKS 10
#define TRACESTAT_CHUNK_SHIFT 9 /* 512 pages: 2 MiB */

/** struct tracestat_row - a part of the time */
struct tracestat_row {
	uint64_t us; /* its beginning */
	uint64_t faults;
	uint64_t pages; /* different ones that were wanted */
	uint64_t fresh; /* of these: for the first time */
	uint64_t ahead; /* that came before a fault, wanted or not */
};

/** struct tracestat_size - if the local limit had been @pages */
struct tracestat_size {
	uint64_t pages;
	uint64_t faults;  /* on far pages */
	uint64_t fetched; /* these, and what would come ahead */
};

struct tracestat_chunk {
	uint32_t chunk;
	uint32_t faults;
};

struct tracestat {
	uint64_t kinds[FAR_TRACE_NR_KINDS]; /* DROPPED: records, not there */
	uint64_t first_us, last_us;
	double seconds;	  /* between them, or a microsecond */
	uint64_t faults;  /* on pages that were not there */
	uint64_t pages;	  /* different ones */
	uint64_t unknown; /* fetched; when they left is not in the trace */
	uint64_t row_us;
	unsigned nr_rows, nr_sizes, nr_chunks;
	struct tracestat_row rows[TRACESTAT_ROWS];
	struct tracestat_size sizes[TRACESTAT_SIZES];
	struct tracestat_chunk chunks[TRACESTAT_CHUNKS];
};

/** tracestat_make() - 0; -ENOMEM; -EFBIG too many records */
int tracestat_make(const struct tracefile *t, struct tracestat *ret);

#endif
