/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * jemalloc under the names that jemalloc.syms gives it inside this object:
 * malloc() is ours, far_je_malloc() is the one behind it.
 */
#ifndef LIBFAR_PRELOAD_JE_H
#define LIBFAR_PRELOAD_JE_H

#define JEMALLOC_NO_RENAME
#define je_malloc far_je_malloc
#define je_calloc far_je_calloc
#define je_realloc far_je_realloc
#define je_free far_je_free
#define je_posix_memalign far_je_posix_memalign
#define je_aligned_alloc far_je_aligned_alloc
#define je_memalign far_je_memalign
#define je_valloc far_je_valloc
#define je_malloc_usable_size far_je_malloc_usable_size
#define je_mallocx far_je_mallocx
#define je_rallocx far_je_rallocx
#define je_xallocx far_je_xallocx
#define je_sallocx far_je_sallocx
#define je_dallocx far_je_dallocx
#define je_sdallocx far_je_sdallocx
#define je_nallocx far_je_nallocx
#define je_mallctl far_je_mallctl
#define je_mallctlnametomib far_je_mallctlnametomib
#define je_mallctlbymib far_je_mallctlbymib
#define je_malloc_stats_print far_je_malloc_stats_print
#define je_malloc_conf far_je_malloc_conf

#define je_malloc_message malloc_message

#include <jemalloc/jemalloc.h>

#endif
