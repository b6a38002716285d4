/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIBFAR_BASE_PROCESS_H
#define LIBFAR_BASE_PROCESS_H

#include <sys/types.h>

#include "libfar/base/compiler.h"

/**
 * far_process_start() - start time of @pid in clock ticks since boot
 * Together with the pid it names a process for good.  No malloc.
 * Return: 0; -ESRCH no such process, or a zombie; -errno.
 */
int far_process_start(pid_t pid, uint64_t *ret_ticks);

/** far_close_inherited() - close all descriptors of the calling thread's
 * table from @first on; falls back to /proc/self/fd on old kernels */
void far_close_inherited(unsigned first);

#endif
