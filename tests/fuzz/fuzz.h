/* SPDX-License-Identifier: BSD-3-Clause */
/* What every fuzz target has in common. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** FUZZ_CHECK() - like assert(), but never compiled out */
#define FUZZ_CHECK(claim)                                                      \
	do {                                                                   \
		if (!(claim)) {                                                \
			(void)fprintf(stderr, "%s:%d: not true: %s\n",         \
				      __FILE__, __LINE__, #claim);             \
			abort();                                               \
		}                                                              \
	} while (0)

/** struct fuzz_bytes - input that is taken from the front */
struct fuzz_bytes {
	const uint8_t *p;
	size_t len;
};

/** fuzz_u8(), fuzz_u64() - the next byte(s), little-endian; 0 at the end */
static inline uint8_t fuzz_u8(struct fuzz_bytes *in)
{
	if (!in->len)
		return 0;
	in->len--;
	return *in->p++;
}

static inline uint64_t fuzz_u64(struct fuzz_bytes *in)
{
	uint64_t v = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		v |= (uint64_t)fuzz_u8(in) << (8 * i);
	return v;
}

/** LLVMFuzzerTestOneInput() - the target; returns 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
