/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * futex(2), the form that also works in memory shared between processes.
 */
#ifndef LIBFAR_BASE_FUTEX_H
#define LIBFAR_BASE_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libfar/base/compiler.h"

/** far_futex_wait() - sleep while *@word is @seen, at most @timeout_ns */
static inline void far_futex_wait(_Atomic uint32_t *word, uint32_t seen,
				  uint64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(timeout_ns / 1000000000u),
		.tv_nsec = (long)(timeout_ns % 1000000000u),
	};

	/* Spurious returns are allowed; the caller looks again. */
	(void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &ts, NULL, 0);
}

/** far_futex_wake() - wake at most @nr sleepers on @word */
static inline void far_futex_wake(_Atomic uint32_t *word, int nr)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, nr, NULL, NULL, 0);
}

#endif
