/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocking transfers and pages with known contents, for tests of backends. */
#ifndef TESTS_LIBFAR_BACKEND_IO_H
#define TESTS_LIBFAR_BACKEND_IO_H

#include <errno.h>
#include <string.h>

#include "libfar/backend/backend.h"
#include "libfar/base/compiler.h"

#define PAGE ((uint32_t)FAR_PAGE_SIZE)
#define IO_WAIT_NS INT64_C(10000000000)

/** io_wait() - polls until a completion came; 1, or a negative errno */
static inline int io_wait(struct far_queue *q, struct far_io **ret_io)
{
	int n = far_queue_poll(q, ret_io, 1);

	while (n == 0) {
		n = far_queue_wait(q, IO_WAIT_NS);
		if (n == 0)
			n = far_queue_poll(q, ret_io, 1);
	}
	return n;
}

/** io_do() - one transfer of a page, waited for; its result */
static inline int io_do(struct far_queue *q, enum far_io_op op, uint64_t off,
			void *buf)
{
	struct far_io io = {.off = off, .buf = buf, .len = PAGE, .op = op};
	struct far_io *done;
	int n = far_queue_submit(q, &io, 1);

	if (n == 1)
		n = io_wait(q, &done);
	return n == 1 ? io.res : n;
}

/** io_fill() - a page that compresses about fourfold, different by @seed */
static inline void io_fill(void *page, uint64_t seed)
{
	uint64_t words[FAR_PAGE_SIZE / 8], x = seed * 2 + 1;
	unsigned i;

	for (i = 0; i < FAR_ARRAY_SIZE(words); i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		words[i] = i % 8 == 0 ? x : seed;
	}
	memcpy(page, words, sizeof(words));
}

/** io_noise() - a page that does not compress */
static inline void io_noise(void *page, uint64_t seed)
{
	uint64_t words[FAR_PAGE_SIZE / 8], x = seed * 2 + 1;
	unsigned i;

	for (i = 0; i < FAR_ARRAY_SIZE(words); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		words[i] = x;
	}
	memcpy(page, words, sizeof(words));
}

#endif
