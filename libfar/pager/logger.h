/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of pager threads.  Those threads have a descriptor table of their
 * own, in which the program's standard error is not what it was; and a log
 * function may be slow, or touch what a pager thread must not.  So they hand
 * their lines to a thread that shares the program's table, far-log.
 */
#ifndef LIBFAR_PAGER_LOGGER_H
#define LIBFAR_PAGER_LOGGER_H

#include <pthread.h>
#include <stdatomic.h>

#include "libfar/base/log.h"

#define FAR_LOGGER_LINES 32

struct far_logger {
	far_log_fn fn; /* the program's */
	void *ctx;
	pthread_mutex_t lock;	  /* the ring */
	_Atomic uint32_t kick;	  /* futex: far-log should look */
	_Atomic uint32_t pushed;  /* lines so far; under lock */
	_Atomic uint32_t printed; /* of these; far-log writes; futex */
	_Atomic uint32_t stopping;
	pthread_t thread;
	bool is_started;
	enum far_log_level level[FAR_LOGGER_LINES];
	char line[FAR_LOGGER_LINES][FAR_LOG_MAX];
};

/** logger_init() - @fn NULL is standard error */
void logger_init(struct far_logger *l, far_log_fn fn, void *ctx);

/** logger_log() - a far_log_fn whose ctx is a struct far_logger; any thread */
void logger_log(void *ctx, enum far_log_level level, const char *msg);

/** logger_start() - from a thread of the program; 0 or -errno */
int logger_start(struct far_logger *l);

/** logger_flush() - return when what was logged so far is out, or after 1 s */
void logger_flush(struct far_logger *l);

void logger_stop(struct far_logger *l);

/** logger_forked() - in a child: the thread is the parent's */
void logger_forked(struct far_logger *l);

#endif
