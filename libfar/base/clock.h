/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIBFAR_BASE_CLOCK_H
#define LIBFAR_BASE_CLOCK_H

#include <time.h>

#include "libfar/base/compiler.h"

#define FAR_NS_PER_S UINT64_C(1000000000)
#define FAR_NS_PER_MS UINT64_C(1000000)
#define FAR_NS_PER_US UINT64_C(1000)

/** far_now_ns() - CLOCK_MONOTONIC; any thread, signal-safe (vDSO) */
static inline uint64_t far_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail here */
	return (uint64_t)ts.tv_sec * FAR_NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
