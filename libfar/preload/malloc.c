/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions that the program calls instead of its C library's and
 * jemalloc's.  Each asks one question: may this thread have far memory?
 */
#include "libfar/preload/malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "libfar/preload/je.h"
#include "libfar/preload/preload.h"

/* Bits of jemalloc's flags (jemalloc.h: MALLOCX_TCACHE, MALLOCX_ARENA) */
#define FLAG_TCACHE_BITS 0xfff00
#define FLAG_ARENA_SHIFT 20

/* Is this thread bound to a far arena, or can it be now? */
static inline bool may_far(void)
{
	return FAR_LIKELY(far_mode == FAR_MODE_FAR) || far_start();
}

static void *set_enomem(void)
{
	errno = ENOMEM;
	return NULL;
}

void *malloc(size_t size)
{
	void *ptr;

	if (!may_far())
		return far_near_alloc(size, 0);
	ptr = far_je_malloc(size);
	return FAR_LIKELY(ptr) ? ptr : far_alloc_elsewhere(size, 0);
}

void *calloc(size_t nmemb, size_t size)
{
	uint64_t len;
	void *ptr;

	if (far_mul_overflow(nmemb, size, &len))
		return set_enomem();
	if (!may_far() ||
	    far_libc_wants_near(nmemb, size, __builtin_return_address(0)))
		return far_near_alloc(len, MALLOCX_ZERO);
	ptr = far_je_calloc(nmemb, size);
	return FAR_LIKELY(ptr) ? ptr : far_alloc_elsewhere(len, MALLOCX_ZERO);
}

/* Copies the @old bytes at @ptr to @new, if there is one, and frees them. */
static void *move_block(void *ptr, size_t old, void *new, size_t size)
{
	if (!new)
		return NULL;
	memcpy(new, ptr, old < size ? old : size);
	free(ptr);
	return new;
}

void *realloc(void *ptr, size_t size)
{
	void *new;

	if (!may_far())
		return far_near_realloc(ptr, size);
	if (FAR_LIKELY(!far_window_owns(ptr))) {
		new = far_je_realloc(ptr, size);
		if (FAR_LIKELY(new) || (ptr && size == 0))
			return new;
		new = far_alloc_elsewhere(size, 0);
		return ptr ? move_block(ptr, malloc_usable_size(ptr), new, size)
			   : new;
	}
	if (size)
		return move_block(ptr, far_window_size(ptr), malloc(size),
				  size);
	free(ptr);
	return NULL;
}

void *reallocarray(void *ptr, size_t nmemb, size_t size)
{
	uint64_t len;

	if (far_mul_overflow(nmemb, size, &len))
		return set_enomem();
	return realloc(ptr, len);
}

void free(void *ptr)
{
	if (FAR_UNLIKELY(far_mode_is_near()))
		far_near_free(ptr);
	else if (FAR_UNLIKELY(far_window_owns(ptr)))
		far_window_free(ptr);
	else
		far_je_free(ptr);
}

static bool is_power_of_2(size_t x)
{
	return x && !(x & (x - 1));
}

void *memalign(size_t align, size_t size)
{
	void *ptr;

	if (!is_power_of_2(align)) {
		errno = EINVAL;
		return NULL;
	}
	if (!may_far())
		return far_near_alloc(size, MALLOCX_ALIGN(align));
	ptr = far_je_memalign(align, size);
	return FAR_LIKELY(ptr)
		       ? ptr
		       : far_alloc_elsewhere(size, MALLOCX_ALIGN(align));
}

int posix_memalign(void **memptr, size_t align, size_t size)
{
	int saved = errno;
	void *ptr;

	if (align < sizeof(void *) || !is_power_of_2(align))
		return EINVAL;
	ptr = memalign(align, size);
	errno = saved; /* the status is the only report */
	if (!ptr)
		return ENOMEM;
	*memptr = ptr;
	return 0;
}

void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

void *valloc(size_t size)
{
	return memalign(FAR_PAGE_SIZE, size);
}

void *pvalloc(size_t size)
{
	uint64_t len;

	if (far_add_overflow(size, FAR_PAGE_MASK, &len))
		return set_enomem();
	len &= ~(uint64_t)FAR_PAGE_MASK;
	return memalign(FAR_PAGE_SIZE, len ? len : FAR_PAGE_SIZE);
}

size_t malloc_usable_size(void *ptr)
{
	if (FAR_UNLIKELY(far_window_owns(ptr)))
		return far_window_size(ptr);
	return far_je_malloc_usable_size(ptr);
}

int malloc_trim(size_t pad)
{
	int saved = errno;
	int err;

	(void)pad;
	(void)may_far();
	/* 4096 is MALLCTL_ARENAS_ALL */
	err = far_je_mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	errno = saved;
	return err == 0;
}

/*
 * glibc's own names: code that uses them to get around a replaced malloc()
 * would otherwise hand us blocks of another heap to free.
 */
void *__libc_malloc(size_t size)
{
	return malloc(size);
}

void *__libc_calloc(size_t nmemb, size_t size)
{
	return calloc(nmemb, size);
}

void *__libc_realloc(void *ptr, size_t size)
{
	return realloc(ptr, size);
}

void __libc_free(void *ptr)
{
	free(ptr);
}

void *__libc_memalign(size_t align, size_t size)
{
	return memalign(align, size);
}

void *__libc_valloc(size_t size)
{
	return valloc(size);
}

void *__libc_pvalloc(size_t size)
{
	return pvalloc(size);
}

/* jemalloc's interface: the caller's choice of arena and cache is kept. */
static bool names_arena(int flags)
{
	return ((unsigned)flags >> FLAG_ARENA_SHIFT) != 0;
}

void *mallocx(size_t size, int flags)
{
	if (may_far() || names_arena(flags))
		return far_je_mallocx(size, flags);
	return far_near_alloc(size, flags & ~FLAG_TCACHE_BITS);
}

void *rallocx(void *ptr, size_t size, int flags)
{
	if (may_far() || names_arena(flags))
		return far_je_rallocx(ptr, size, flags);
	return far_near_realloc(ptr, size);
}

size_t xallocx(void *ptr, size_t size, size_t extra, int flags)
{
	return far_je_xallocx(ptr, size, extra, flags);
}

size_t sallocx(const void *ptr, int flags)
{
	return far_je_sallocx(ptr, flags);
}

void dallocx(void *ptr, int flags)
{
	if (FAR_UNLIKELY(far_mode_is_near()) || far_window_owns(ptr))
		free(ptr);
	else
		far_je_dallocx(ptr, flags);
}

void sdallocx(void *ptr, size_t size, int flags)
{
	if (FAR_UNLIKELY(far_mode_is_near()) || far_window_owns(ptr))
		free(ptr);
	else
		far_je_sdallocx(ptr, size, flags);
}

size_t nallocx(size_t size, int flags)
{
	(void)may_far(); /* jemalloc must start from our first call */
	return far_je_nallocx(size, flags);
}

int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp,
	    size_t newlen)
{
	(void)may_far();
	return far_je_mallctl(name, oldp, oldlenp, newp, newlen);
}

int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp)
{
	(void)may_far();
	return far_je_mallctlnametomib(name, mibp, miblenp);
}

int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp,
		 void *newp, size_t newlen)
{
	(void)may_far();
	return far_je_mallctlbymib(mib, miblen, oldp, oldlenp, newp, newlen);
}

void malloc_stats_print(void (*write_cb)(void *, const char *), void *cbopaque,
			const char *opts)
{
	(void)may_far();
	far_je_malloc_stats_print(write_cb, cbopaque, opts);
}
