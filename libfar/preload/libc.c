/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/preload/malloc.h"
#include "libfar/preload/preload.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <locale.h>
#include <stdatomic.h>
#include <stdio.h>

/* calloc() arguments of pthread_setspecific() for keys from 32 on: one block
 * of struct pthread_key_data (glibc, nptl/pthread_setspecific.c) */
#define TSD_BLOCK_NMEMB 32
#define TSD_BLOCK_SIZE 16

/*
 * glibc's iterator over all streams; in its ABI (GLIBC_2.2.5), in no header.
 */
extern FILE *_IO_iter_begin(void);
extern FILE *_IO_iter_end(void);
extern FILE *_IO_iter_next(FILE *iter);
extern FILE *_IO_iter_file(FILE *iter);
extern void _IO_list_lock(void);
extern void _IO_list_unlock(void);

static uintptr_t text_start, text_end; /* written once, by the constructor */

static int find_text(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uintptr_t wanted = *(uintptr_t *)ctx;
	const ElfW(Phdr) * ph;
	uintptr_t start;
	unsigned i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		ph = &info->dlpi_phdr[i];
		start = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type != PT_LOAD || wanted < start ||
		    wanted - start >= ph->p_memsz)
			continue;
		text_start = start;
		text_end = start + ph->p_memsz;
		return 1;
	}
	return 0;
}

void far_libc_find(void)
{
	uintptr_t wanted = (uintptr_t)&gnu_get_libc_version;

	(void)dl_iterate_phdr(find_text, &wanted);
}

bool far_libc_wants_near(size_t nmemb, size_t size, const void *caller)
{
	return nmemb == TSD_BLOCK_NMEMB && size == TSD_BLOCK_SIZE &&
	       (uintptr_t)caller - text_start < text_end - text_start;
}

/*
 * glibc reads the data of the process's locale at the start of every thread
 * (__ctype_init): also of those that serve faults, and nobody could serve
 * theirs.  Hence locales are near.
 */
static void *next_of(_Atomic(void *) *cache, const char *name)
{
	void *fn = atomic_load_explicit(cache, memory_order_relaxed);

	if (!fn) {
		fn = dlsym(RTLD_NEXT, name);
		atomic_store_explicit(cache, fn, memory_order_relaxed);
	}
	return fn;
}

char *setlocale(int category, const char *locale)
{
	static _Atomic(void *) cache;
	char *(*next)(int, const char *);
	char *r;

	far_near_enter();
	*(void **)(&next) = next_of(&cache, "setlocale");
	r = next(category, locale);
	far_near_leave();
	return r;
}

locale_t newlocale(int mask, const char *name, locale_t base)
{
	static _Atomic(void *) cache;
	locale_t (*next)(int, const char *, locale_t);
	locale_t r;

	far_near_enter();
	*(void **)(&next) = next_of(&cache, "newlocale");
	r = next(mask, name, base);
	far_near_leave();
	return r;
}

/* libstdc++ calls it by this name. */
locale_t __newlocale(int mask, const char *name, locale_t base)
{
	return newlocale(mask, name, base);
}

static void touch(const void *addr)
{
	(void)*(const volatile char *)addr;
}

void far_libc_touch_streams(void)
{
	FILE *it, *fp;

	_IO_list_lock();
	for (it = _IO_iter_begin(); it != _IO_iter_end();
	     it = _IO_iter_next(it)) {
		fp = _IO_iter_file(it);
		touch(fp);
		touch((const char *)(fp + 1) - 1);
		if (fp->_lock)
			touch(fp->_lock);
	}
	_IO_list_unlock();
}
