/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A log is a level, a function and its context.  far_log() formats into a
 * stack buffer without allocating, preserves errno, and drops repeats above
 * FAR_LOG_BURST messages per second.
 */
#ifndef LIBFAR_BASE_LOG_H
#define LIBFAR_BASE_LOG_H

#include <stdatomic.h>

#include <far/log.h>

#include "libfar/base/compiler.h"

#define FAR_LOG_MAX 1024
#define FAR_LOG_BURST 20

struct far_log {
	far_log_fn fn; /* NULL: far_log_stderr */
	void *ctx;
	enum far_log_level level; /* messages above it are dropped */
	_Atomic uint64_t window_s; /* any thread: second being counted */
	_Atomic uint32_t in_window; /* any thread: messages in that second */
};

/** far_log_init() - level from @level, or from $FAR_LOG if that is set */
void far_log_init(struct far_log *log, far_log_fn fn, void *ctx,
		  enum far_log_level level);

void far_log(struct far_log *log, enum far_log_level level, const char *fmt,
	     ...) FAR_PRINTF(3, 4);

/** far_log_to() - format and pass to a bare far_log_fn; fn NULL: nothing */
void far_log_to(far_log_fn fn, void *ctx, enum far_log_level level,
		const char *fmt, ...) FAR_PRINTF(4, 5);

/** far_log_stderr() - "far: msg\n" in one write(2) to descriptor 2 */
void far_log_stderr(void *ctx, enum far_log_level level, const char *msg);

/** far_log_relay() - a far_log_fn whose @ctx is a struct far_log */
void far_log_relay(void *ctx, enum far_log_level level, const char *msg);

#endif
