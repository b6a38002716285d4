/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfar/base/clock.h"

static const char *const level_words[] = {"err", "warn", "info", "debug"};

void far_log_init(struct far_log *log, far_log_fn fn, void *ctx,
		  enum far_log_level level)
{
	const char *env = secure_getenv("FAR_LOG");
	unsigned i;

	log->fn = fn ? fn : far_log_stderr;
	log->ctx = ctx;
	log->level = level;
	atomic_init(&log->window_s, 0);
	atomic_init(&log->in_window, 0);
	for (i = 0; env && i < FAR_ARRAY_SIZE(level_words); i++)
		if (strcmp(env, level_words[i]) == 0)
			log->level = (enum far_log_level)i;
}

static void deliver(const struct far_log *log, enum far_log_level level,
		    const char *msg)
{
	if (log->fn)
		log->fn(log->ctx, level, msg);
	else
		far_log_stderr(NULL, level, msg);
}

/*
 * Counts one message; true if it is within the burst.  The thread that opens
 * a new second tells how many the last one dropped.  Relaxed: a message
 * counted into the wrong second does no harm.
 */
static bool may_pass(struct far_log *log)
{
	uint64_t now_s = far_now_ns() / FAR_NS_PER_S + 1;
	uint64_t seen =
		atomic_load_explicit(&log->window_s, memory_order_relaxed);
	char text[64];
	uint32_t n;

	if (seen != now_s &&
	    atomic_compare_exchange_strong_explicit(&log->window_s, &seen,
						    now_s, memory_order_relaxed,
						    memory_order_relaxed)) {
		n = atomic_exchange_explicit(&log->in_window, 0,
					     memory_order_relaxed);
		if (n > FAR_LOG_BURST) {
			(void)snprintf(text, sizeof(text),
				       "%u messages dropped: too many",
				       n - FAR_LOG_BURST);
			deliver(log, FAR_LOG_WARN, text);
		}
	}
	n = atomic_fetch_add_explicit(&log->in_window, 1, memory_order_relaxed);
	return n < FAR_LOG_BURST;
}

void far_log(struct far_log *log, enum far_log_level level, const char *fmt,
	     ...)
{
	char msg[FAR_LOG_MAX];
	int saved = errno;
	va_list ap;

	if (level <= log->level && may_pass(log)) {
		errno = saved; /* for %m */
		va_start(ap, fmt);
		(void)vsnprintf(msg, sizeof(msg), fmt, ap);
		va_end(ap);
		deliver(log, level, msg);
	}
	errno = saved;
}

void far_log_to(far_log_fn fn, void *ctx, enum far_log_level level,
		const char *fmt, ...)
{
	char msg[FAR_LOG_MAX];
	int saved = errno;
	va_list ap;

	if (!fn)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	fn(ctx, level, msg);
	errno = saved;
}

void far_log_stderr(void *ctx, enum far_log_level level, const char *msg)
{
	static const char prefix[] = "far: ";
	char line[FAR_LOG_MAX + sizeof(prefix)];
	size_t len = strnlen(msg, FAR_LOG_MAX - 1);
	size_t at = sizeof(prefix) - 1;
	int saved = errno;

	(void)ctx;
	(void)level;
	memcpy(line, prefix, at);
	memcpy(line + at, msg, len);
	line[at + len] = '\n';
	/* There is nowhere to report that standard error is gone. */
	if (write(STDERR_FILENO, line, at + len + 1) < 0)
		errno = saved;
	errno = saved;
}

void far_log_relay(void *ctx, enum far_log_level level, const char *msg)
{
	far_log(ctx, level, "%s", msg);
}
