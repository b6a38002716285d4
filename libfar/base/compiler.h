/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes and small helpers every other file may use.  The only place
 * where compiler extensions are spelled.
 */
#ifndef LIBFAR_BASE_COMPILER_H
#define LIBFAR_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAR_LIKELY(x) __builtin_expect(!!(x), 1)
#define FAR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FAR_COLD __attribute__((cold, noinline))
#define FAR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define FAR_CONSTRUCTOR __attribute__((constructor))
#define FAR_HIDDEN __attribute__((visibility("hidden")))
/* compiled for more than the base instruction set; ask the processor first */
#define FAR_TARGET(isa) __attribute__((target(isa)))
#define FAR_CACHE_LINE 64
#define FAR_CACHE_ALIGNED __attribute__((aligned(FAR_CACHE_LINE)))
#define FAR_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FAR_CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Names a function TSan must not instrument; only far_page_copy() has one. */
#define FAR_NO_TSAN __attribute__((no_sanitize("thread")))

/* Pages are the OS page of x86-64; the pager refuses to start on another. */
#define FAR_PAGE_SHIFT 12
#define FAR_PAGE_SIZE ((size_t)1 << FAR_PAGE_SHIFT)
#define FAR_PAGE_MASK (FAR_PAGE_SIZE - 1)

/** far_add_overflow() - true if @a + @b does not fit; else *@ret is the sum */
static inline bool far_add_overflow(uint64_t a, uint64_t b, uint64_t *ret)
{
	return __builtin_add_overflow(a, b, ret);
}

/** far_mul_overflow() - true if @a * @b does not fit; else *@ret is the product */
static inline bool far_mul_overflow(uint64_t a, uint64_t b, uint64_t *ret)
{
	return __builtin_mul_overflow(a, b, ret);
}

static inline uint64_t far_round_up(uint64_t x, uint64_t pow2)
{
	return (x + pow2 - 1) & ~(pow2 - 1);
}

static inline uint64_t far_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t far_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/** far_cpu_relax() - tell the core that this is a bounded spin */
static inline void far_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif
