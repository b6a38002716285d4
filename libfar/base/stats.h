/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the statistics: each thread of the pager counts into a shard of
 * its own (single writer, relaxed), readers add the shards up.  Gauges are
 * filled in by the reader's owner (the pager).
 */
#ifndef LIBFAR_BASE_STATS_H
#define LIBFAR_BASE_STATS_H

#include <stdatomic.h>

#include <far/stats.h>

#include "libfar/base/compiler.h"
#include "libfar/base/hist.h"

/** struct far_stat_shard - counters of one thread; that thread writes */
struct far_stat_shard {
#define FAR_STAT_FIELD(kind, name, help) _Atomic uint64_t name;
	FAR_STATS(FAR_STAT_FIELD)
#undef FAR_STAT_FIELD
	struct far_hist fault_ns;
} FAR_CACHE_ALIGNED;

#define FAR_COUNT_N(shard, name, n)                                            \
	atomic_store_explicit(                                                 \
		&(shard)->name,                                                \
		atomic_load_explicit(&(shard)->name, memory_order_relaxed) +   \
			(uint64_t)(n),                                         \
		memory_order_relaxed)
#define FAR_COUNT(shard, name) FAR_COUNT_N(shard, name, 1)

/** far_stats_add() - add the counters (not the gauges) of @shard to @st */
void far_stats_add(struct far_stats *st, const struct far_stat_shard *shard);

/** far_stats_print_json() - @st as one JSON object "far.stat/1"
 * @extra: further members, each ",\"k\":v", or ""
 * Return: length as snprintf() would.
 */
int far_stats_print_json(const struct far_stats *st, const char *extra,
			 char *buf, size_t len);

/** struct far_stat_desc - one row of the table, for printers */
struct far_stat_desc {
	const char *name;
	const char *help;
	int is_gauge;
	size_t offset; /* in struct far_stats */
};

/** far_stat_descs() - the table; ends with a NULL name */
const struct far_stat_desc *far_stat_descs(void);

/** far_service_words() - what enum far_service means, of the statistic
 * fault_service; never NULL */
const char *far_service_words(uint64_t service);

/*
 * The statistics page: a file of one page in the runtime directory
 * (far_runtime_dir()), named stat/<pid>, written by the process, read by
 * far-stat(1).  A reader retries while seq is odd or changes.
 */
#define FAR_STAT_PAGE_MAGIC UINT64_C(0x3254415453524146) /* "FARSTAT2" */

#define FAR_STAT_OCTAVES 36 /* up to a minute */

struct far_stat_page {
	uint64_t magic;
	_Atomic uint64_t seq; /* odd while being written */
	uint64_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat: tells reuse */
	uint64_t updated_ns;  /* CLOCK_MONOTONIC */
	char command[64];
	char far_spec[256];
	char fault_mode[32];
	char takeout_mode[32];
	char state[64]; /* "local", "armed", or what is wrong */
	struct far_stats stats;
	/* faults that took from 2^i ns on, below twice that */
	uint64_t fault_octaves[FAR_STAT_OCTAVES];
};

/**
 * far_runtime_dir() - where sockets and statistics pages live: /run/far for
 * root, $XDG_RUNTIME_DIR/far, else /tmp/far-UID
 * Return: 0; -ENAMETOOLONG.
 */
int far_runtime_dir(char *buf, size_t len);

/**
 * far_runtime_subdir() - the path of @sub ("stat", "budget") in the runtime
 * directory, both made if they are missing
 * Return: 0; -ENAMETOOLONG; -EPERM it is another user's or writable by
 * others; -ENOTDIR; what mkdir(2) said.
 */
int far_runtime_subdir(const char *sub, char *buf, size_t len);

#endif
