/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one option table.  struct far_config, FAR_CONF parsing, the flags of
 * far-run(1), --help and the manual are made from it.
 *   FAR_OPTION(type, name, default, min, max, help)
 * type: SIZE (uint64 bytes, "200M"), LOCAL (like SIZE, or "25%" of the memory
 * this process may use), COUNT (uint64), TIME (uint64 ns), TEXT (string),
 * WORD (enum; the words are in max, separated by '|', value = position).
 * Defaults are text, parsed like user input.
 */
#ifndef LIBFAR_BASE_OPTIONS_H
#define LIBFAR_BASE_OPTIONS_H

#include <far/log.h>

#include "libfar/base/compiler.h"

#define FAR_OPTIONS(FAR_OPTION)                                               \
	FAR_OPTION(LOCAL, local, "40%", "16M", "",                            \
		   "local memory the far mappings may use, e.g. 200M or 25%") \
	FAR_OPTION(TEXT, far, "lz4:", "", "",                                 \
		   "where the other pages live: a backend spec")              \
	FAR_OPTION(TEXT, tenant, "", "", "",                                  \
		   "name to account to (default: the user)")                  \
	FAR_OPTION(WORD, fault, "auto", "", "auto|monitor|inline",            \
		   "who serves faults of memory that may be served inline")   \
	FAR_OPTION(TEXT, on_loss, "wait:30s", "", "",                         \
		   "wait:TIME for a lost backend, then SIGBUS")               \
	FAR_OPTION(WORD, takeout, "auto", "", "auto|move|dontneed",           \
		   "how pages leave: MOVE respects DMA pins")                 \
	FAR_OPTION(WORD, policy, "auto", "",                                  \
		   "auto|clock|fifo|s3fifo|refault",                          \
		   "which pages leave first")                                 \
	FAR_OPTION(WORD, ahead, "on", "", "off|on",                           \
		   "guess from faults what will be touched, and written")     \
	FAR_OPTION(COUNT, evictors, "0", "0", "16",                           \
		   "upper bound on evictor threads; 0 chooses by the machine") \
	FAR_OPTION(COUNT, monitors, "0", "0", "16",                           \
		   "fault threads; 0 chooses by the machine")                 \
	FAR_OPTION(COUNT, batch, "256", "8", "512",                           \
		   "pages in one eviction batch, at most")                    \
	FAR_OPTION(SIZE, va, "0", "0", "64T",                                 \
		   "address space to reserve; 0 chooses by the machine")      \
	FAR_OPTION(WORD, lazy, "on", "", "off|on",                            \
		   "intercept nothing while all fits locally")                \
	FAR_OPTION(TEXT, budget, "", "", "",                                  \
		   "file that shares one limit between processes")            \
	FAR_OPTION(TEXT, trace, "", "", "",                                   \
		   "file to record faults and evictions into")                \
	FAR_OPTION(TEXT, replay, "", "", "",                                  \
		   "such a file: fetch ahead in the order of its faults")     \
	FAR_OPTION(WORD, log, "warn", "", "err|warn|info|debug",              \
		   "how much is logged")

enum far_opt_fault { FAR_FAULT_AUTO, FAR_FAULT_MONITOR, FAR_FAULT_INLINE };
enum far_opt_takeout { FAR_TAKEOUT_AUTO, FAR_TAKEOUT_MOVE, FAR_TAKEOUT_DONTNEED };
enum far_opt_policy {
	FAR_POLICY_AUTO,
	FAR_POLICY_CLOCK,
	FAR_POLICY_FIFO,
	FAR_POLICY_S3FIFO,
	FAR_POLICY_REFAULT,
};

#define FAR_TEXT_MAX 1024

#define FAR_OPT_FIELD_SIZE(name) uint64_t name;
#define FAR_OPT_FIELD_LOCAL(name) uint64_t name;
#define FAR_OPT_FIELD_COUNT(name) uint64_t name;
#define FAR_OPT_FIELD_TIME(name) uint64_t name;
#define FAR_OPT_FIELD_TEXT(name) char name[FAR_TEXT_MAX];
#define FAR_OPT_FIELD_WORD(name) uint64_t name;

/** struct far_config - a parsed configuration */
struct far_config {
#define FAR_OPT_FIELD(type, name, def, min, max, help) \
	FAR_OPT_FIELD_##type(name)
	FAR_OPTIONS(FAR_OPT_FIELD)
#undef FAR_OPT_FIELD
};

enum far_opt_type {
	FAR_OPT_SIZE,
	FAR_OPT_LOCAL,
	FAR_OPT_COUNT,
	FAR_OPT_TIME,
	FAR_OPT_TEXT,
	FAR_OPT_WORD,
};

/** struct far_opt_desc - one row of the table */
struct far_opt_desc {
	const char *name;
	enum far_opt_type type;
	const char *def, *min, *max, *help;
	size_t offset; /* in struct far_config */
};

/** far_opt_descs() - the table; ends with a NULL name */
const struct far_opt_desc *far_opt_descs(void);

/** far_config_defaults() - every option at its default; "40%" is of
 * far_memory_total() */
void far_config_defaults(struct far_config *cfg);

/**
 * far_config_set() - one option from text
 * Return: 0; -EINVAL unknown (nearest named) or bad value, logged.
 */
int far_config_set(struct far_config *cfg, const char *name,
		   const char *value, far_log_fn log, void *log_ctx);

/**
 * far_config_parse() - "name=value;name=value" over what @cfg holds
 * The separator is ';' (values hold commas, colons and bars).
 * Return: 0; -EINVAL, logged with the column.
 */
int far_config_parse(struct far_config *cfg, const char *str, far_log_fn log,
		     void *log_ctx);

/** far_on_loss_ns() - the time in "wait:30s"; 0 or -EINVAL */
int far_on_loss_ns(const char *text, uint64_t *ret_ns);

/**
 * far_memory_total() - bytes this process may use: the smallest limit of its
 * cgroups (v1 and v2, all ancestors), else the machine's MemTotal
 */
uint64_t far_memory_total(void);

#endif
