/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/logger.h"

#include <signal.h>
#include <limits.h>
#include <string.h>

#include "libfar/base/clock.h"
#include "libfar/base/futex.h"
#include "libfar/pager/pager.h"

#define FLUSH_NS FAR_NS_PER_S
#define WAIT_NS (10 * FAR_NS_PER_S)

void logger_init(struct far_logger *l, far_log_fn fn, void *ctx)
{
	l->fn = fn ? fn : far_log_stderr;
	l->ctx = ctx;
	(void)pthread_mutex_init(&l->lock, NULL);
}

void logger_log(void *ctx, enum far_log_level level, const char *msg)
{
	struct far_logger *l = ctx;
	uint32_t at;

	if (!pager_is_own_thread()) {
		l->fn(l->ctx, level, msg);
		return;
	}
	(void)pthread_mutex_lock(&l->lock);
	at = atomic_load(&l->pushed);
	if (at - atomic_load(&l->printed) < FAR_LOGGER_LINES) {
		l->level[at % FAR_LOGGER_LINES] = level;
		(void)strncpy(l->line[at % FAR_LOGGER_LINES], msg,
			      FAR_LOG_MAX - 1);
		atomic_store(&l->pushed, at + 1);
	}
	(void)pthread_mutex_unlock(&l->lock);
	atomic_fetch_add(&l->kick, 1);
	far_futex_wake(&l->kick, INT_MAX);
}

static void print_all(struct far_logger *l)
{
	uint32_t at = atomic_load(&l->printed);

	for (; at != atomic_load(&l->pushed); at++) {
		uint32_t i = at % FAR_LOGGER_LINES;

		l->fn(l->ctx, l->level[i], l->line[i]);
		atomic_store(&l->printed, at + 1);
		far_futex_wake(&l->printed, INT_MAX);
	}
}

static void *logger_main(void *arg)
{
	struct far_logger *l = arg;
	sigset_t bus;

	pager_thread_begin("far-log", 0);
	pager_thread_is_programs();
	/* The program's function may touch memory that is served inline. */
	(void)sigemptyset(&bus);
	(void)sigaddset(&bus, SIGBUS);
	(void)pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
	for (;;) {
		uint32_t seen = atomic_load(&l->kick);
		bool is_last = atomic_load(&l->stopping) != 0;

		print_all(l);
		if (is_last)
			return NULL;
		far_futex_wait(&l->kick, seen, WAIT_NS);
	}
}

int logger_start(struct far_logger *l)
{
	int r;

	if (l->is_started)
		return 0;
	atomic_store(&l->stopping, 0);
	r = pager_thread(&l->thread, logger_main, l);
	l->is_started = r == 0;
	return r;
}

void logger_flush(struct far_logger *l)
{
	uint32_t end = atomic_load(&l->pushed), seen;
	uint64_t t0 = far_now_ns();

	if (!l->is_started)
		return;
	while ((int32_t)(end - (seen = atomic_load(&l->printed))) > 0 &&
	       far_now_ns() - t0 < FLUSH_NS)
		far_futex_wait(&l->printed, seen, FLUSH_NS);
}

void logger_stop(struct far_logger *l)
{
	if (!l->is_started)
		return;
	atomic_store(&l->stopping, 1);
	atomic_fetch_add(&l->kick, 1);
	far_futex_wake(&l->kick, INT_MAX);
	(void)pthread_join(l->thread, NULL);
	l->is_started = false;
}

void logger_forked(struct far_logger *l)
{
	(void)pthread_mutex_init(&l->lock, NULL);
	l->is_started = false;
	atomic_store(&l->printed, atomic_load(&l->pushed));
}
