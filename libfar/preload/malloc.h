/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What preload.map exports and no C header makes visible: the malloc family,
 * calls about memory and locales (memory.c, libc.c),
 * jemalloc's interface under its own names, glibc's second names of the malloc
 * family, and the mangled names of C++ operator new and delete.  See
 * jemalloc(3), malloc(3).
 */
#ifndef LIBFAR_PRELOAD_MALLOC_H
#define LIBFAR_PRELOAD_MALLOC_H

#include <locale.h>

#include <far/far.h>

#include "libfar/base/compiler.h"

/* The C headers declare these; here they become visible. */
FAR_EXPORT void *malloc(size_t size);
FAR_EXPORT void *calloc(size_t nmemb, size_t size);
FAR_EXPORT void *realloc(void *ptr, size_t size);
FAR_EXPORT void *reallocarray(void *ptr, size_t nmemb, size_t size);
FAR_EXPORT void free(void *ptr);
FAR_EXPORT int posix_memalign(void **memptr, size_t align, size_t size);
FAR_EXPORT void *memalign(size_t align, size_t size);
FAR_EXPORT void *aligned_alloc(size_t align, size_t size);
FAR_EXPORT void *valloc(size_t size);
FAR_EXPORT void *pvalloc(size_t size);
FAR_EXPORT size_t malloc_usable_size(void *ptr);
FAR_EXPORT int malloc_trim(size_t pad);

FAR_EXPORT int madvise(void *addr, size_t len, int advice);
FAR_EXPORT char *setlocale(int category, const char *locale);
FAR_EXPORT locale_t newlocale(int mask, const char *name, locale_t base);
FAR_EXPORT locale_t __newlocale(int mask, const char *name, locale_t base);

FAR_EXPORT void *__libc_malloc(size_t size);
FAR_EXPORT void *__libc_calloc(size_t nmemb, size_t size);
FAR_EXPORT void *__libc_realloc(void *ptr, size_t size);
FAR_EXPORT void __libc_free(void *ptr);
FAR_EXPORT void *__libc_memalign(size_t align, size_t size);
FAR_EXPORT void *__libc_valloc(size_t size);
FAR_EXPORT void *__libc_pvalloc(size_t size);

FAR_EXPORT void *mallocx(size_t size, int flags);
FAR_EXPORT void *rallocx(void *ptr, size_t size, int flags);
FAR_EXPORT size_t xallocx(void *ptr, size_t size, size_t extra, int flags);
FAR_EXPORT size_t sallocx(const void *ptr, int flags);
FAR_EXPORT void dallocx(void *ptr, int flags);
FAR_EXPORT void sdallocx(void *ptr, size_t size, int flags);
FAR_EXPORT size_t nallocx(size_t size, int flags);
FAR_EXPORT int mallctl(const char *name, void *oldp, size_t *oldlenp,
		       void *newp, size_t newlen);
FAR_EXPORT int mallctlnametomib(const char *name, size_t *mibp,
				size_t *miblenp);
FAR_EXPORT int mallctlbymib(const size_t *mib, size_t miblen, void *oldp,
			    size_t *oldlenp, void *newp, size_t newlen);
FAR_EXPORT void malloc_stats_print(void (*write_cb)(void *, const char *),
				   void *cbopaque, const char *opts);

/* operator new, new[]: size, then alignment (At), nothrow (RKSt9nothrow_t) */
FAR_EXPORT void *_Znwm(size_t size);
FAR_EXPORT void *_Znam(size_t size);
FAR_EXPORT void *_ZnwmRKSt9nothrow_t(size_t size, const void *nothrow);
FAR_EXPORT void *_ZnamRKSt9nothrow_t(size_t size, const void *nothrow);
FAR_EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t align);
FAR_EXPORT void *_ZnamSt11align_val_t(size_t size, size_t align);
FAR_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
						    const void *nothrow);
FAR_EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
						    const void *nothrow);

/* operator delete, delete[]: pointer, then size (m), alignment, nothrow */
FAR_EXPORT void _ZdlPv(void *ptr);
FAR_EXPORT void _ZdaPv(void *ptr);
FAR_EXPORT void _ZdlPvm(void *ptr, size_t size);
FAR_EXPORT void _ZdaPvm(void *ptr, size_t size);
FAR_EXPORT void _ZdlPvRKSt9nothrow_t(void *ptr, const void *nothrow);
FAR_EXPORT void _ZdaPvRKSt9nothrow_t(void *ptr, const void *nothrow);
FAR_EXPORT void _ZdlPvSt11align_val_t(void *ptr, size_t align);
FAR_EXPORT void _ZdaPvSt11align_val_t(void *ptr, size_t align);
FAR_EXPORT void _ZdlPvmSt11align_val_t(void *ptr, size_t size, size_t align);
FAR_EXPORT void _ZdaPvmSt11align_val_t(void *ptr, size_t size, size_t align);
FAR_EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align,
						    const void *nothrow);
FAR_EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align,
						    const void *nothrow);

#endif
