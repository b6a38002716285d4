/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * C++ operator new and delete.  A program that links libjemalloc.so would
 * otherwise get jemalloc's own operators, and with them a second heap that
 * free() here does not know.
 *
 * C cannot throw.  When memory is out, the C++ library's operator new is
 * called: it tries malloc() again, which fails again, calls the new-handler
 * and throws std::bad_alloc.
 */
#include "libfar/preload/malloc.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include "libfar/base/log.h"
#include "libfar/preload/preload.h"

typedef void *(*new_fn)(size_t size);
typedef void *(*new_align_fn)(size_t size, size_t align);

/* @name in the C++ library of this process, wherever it was loaded from */
static FAR_COLD void *in_cxx_library(const char *name)
{
	static const char *const libs[] = {"libstdc++.so.6", "libc++abi.so.1",
					   "libc++.so.1"};
	void *handle, *fn = NULL;
	unsigned i;

	far_near_enter(); /* there is no far memory left */
	for (i = 0; i < FAR_ARRAY_SIZE(libs) && !fn; i++) {
		handle = dlopen(libs[i], RTLD_LAZY | RTLD_NOLOAD);
		if (!handle)
			continue;
		fn = dlsym(handle, name);
		dlclose(handle); /* stays loaded: its users are */
	}
	far_near_leave();
	if (fn)
		return fn;
	far_log_to(far_log_stderr, NULL, FAR_LOG_ERR,
		   "operator new: out of memory and no C++ library to throw "
		   "std::bad_alloc; fix: link libstdc++ dynamically");
	abort(); /* operator new must not return NULL; std::terminate() */
}

static FAR_COLD void *throw_new(size_t size)
{
	void *fn = in_cxx_library("_Znwm");

	return (*(new_fn *)(void *)&fn)(size);
}

static FAR_COLD void *throw_new_align(size_t size, size_t align)
{
	void *fn = in_cxx_library("_ZnwmSt11align_val_t");

	return (*(new_align_fn *)(void *)&fn)(size, align);
}

void *_Znwm(size_t size)
{
	void *ptr = malloc(size);

	return FAR_LIKELY(ptr != NULL) ? ptr : throw_new(size);
}

void *_Znam(size_t size)
{
	return _Znwm(size);
}

void *_ZnwmRKSt9nothrow_t(size_t size, const void *nothrow)
{
	(void)nothrow;
	return malloc(size);
}

void *_ZnamRKSt9nothrow_t(size_t size, const void *nothrow)
{
	(void)nothrow;
	return malloc(size);
}

void *_ZnwmSt11align_val_t(size_t size, size_t align)
{
	void *ptr = memalign(align, size);

	return FAR_LIKELY(ptr != NULL) ? ptr : throw_new_align(size, align);
}

void *_ZnamSt11align_val_t(size_t size, size_t align)
{
	return _ZnwmSt11align_val_t(size, align);
}

void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
					 const void *nothrow)
{
	(void)nothrow;
	return memalign(align, size);
}

void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align,
					 const void *nothrow)
{
	(void)nothrow;
	return memalign(align, size);
}

void _ZdlPv(void *ptr)
{
	free(ptr);
}

void _ZdaPv(void *ptr)
{
	free(ptr);
}

void _ZdlPvm(void *ptr, size_t size)
{
	(void)size;
	free(ptr);
}

void _ZdaPvm(void *ptr, size_t size)
{
	(void)size;
	free(ptr);
}

void _ZdlPvRKSt9nothrow_t(void *ptr, const void *nothrow)
{
	(void)nothrow;
	free(ptr);
}

void _ZdaPvRKSt9nothrow_t(void *ptr, const void *nothrow)
{
	(void)nothrow;
	free(ptr);
}

void _ZdlPvSt11align_val_t(void *ptr, size_t align)
{
	(void)align;
	free(ptr);
}

void _ZdaPvSt11align_val_t(void *ptr, size_t align)
{
	(void)align;
	free(ptr);
}

void _ZdlPvmSt11align_val_t(void *ptr, size_t size, size_t align)
{
	(void)size;
	(void)align;
	free(ptr);
}

void _ZdaPvmSt11align_val_t(void *ptr, size_t size, size_t align)
{
	(void)size;
	(void)align;
	free(ptr);
}

void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align,
					 const void *nothrow)
{
	(void)align;
	(void)nothrow;
	free(ptr);
}

void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *ptr, size_t align,
					 const void *nothrow)
{
	(void)align;
	(void)nothrow;
	free(ptr);
}
