/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls about memory whose meaning far memory must keep. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libfar/preload/malloc.h"
#include "libfar/preload/preload.h"

/*
 * What libfar and jemalloc mean by madvise(2) is the system call: the linker
 * gives them this one (--wrap), and the program the one below.
 */
int __wrap_madvise(void *addr, size_t len, int advice);

int __wrap_madvise(void *addr, size_t len, int advice)
{
	return (int)syscall(SYS_madvise, addr, len, advice);
}

static bool drops(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE;
}

/* Pages that are far would come back as they were: they go, too. */
int madvise(void *addr, size_t len, int advice)
{
	int err = 1;

	if (drops(advice) && !far_mode_is_near())
		err = far_extent_discard(addr, len);
	if (err > 0)
		return __wrap_madvise(addr, len, advice);
	if (err < 0)
		errno = -err;
	return err < 0 ? -1 : 0;
}
