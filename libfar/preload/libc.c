/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/preload/preload.h"

#include <gnu/libc-version.h>
#include <link.h>
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
