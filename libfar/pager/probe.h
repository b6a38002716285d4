/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it takes a thread to serve a fault itself: some on a page of our own,
 * which nobody else sees.
 */
#ifndef LIBFAR_PAGER_PROBE_H
#define LIBFAR_PAGER_PROBE_H

#include "libfar/base/compiler.h"

/**
 * probe_inline() - the median of some faults that have nothing to fetch, ns
 * @fd: a far_uffd_open_signal() of the calling thread's descriptor table; SIGBUS
 * goes to far_sigbus()
 *
 * Return: 0 it could not be told: this thread blocks SIGBUS, or no memory.
 */
uint64_t probe_inline(int fd);

/** probe_serve() - in the handler: was @addr the page of a probe? Then it is
 * there now. */
bool probe_serve(const void *addr);

#endif
