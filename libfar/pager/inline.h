/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults served in the thread that has them: userfaultfd raises SIGBUS, and the
 * handler fills the page and returns.  No other thread runs, nothing is woken.
 * The price: a system call on a page that is not there fails with EFAULT, which
 * is why a program asks for it, mapping by mapping (far_map_inline()).
 *
 * The handler runs on an application thread, between any two instructions that
 * touch far memory: libfar does not while it holds a lock that the handler may
 * take.  It allocates nothing and uses backends that say FAR_CAP_SIGNAL_SAFE.
 */
#ifndef LIBFAR_PAGER_INLINE_H
#define LIBFAR_PAGER_INLINE_H

#include "libfar/pager/serve.h"

/* Faults in service at a time; who finds none free waits for one. */
#define FAR_INLINE_SERVERS 16

struct far_inline_server {
	struct far_server server;
	_Atomic uint32_t is_busy;
	bool is_charged; /* its buffers: only who serves has touched them */
} FAR_CACHE_ALIGNED;

/**
 * inline_open() - be able to serve inline, if @p is not yet; under control, by
 * a thread of the program
 * Return: 0; -ENOTSUP monitors do it: why is in @p->service (service.h), once
 * and for all with fault=auto; -errno.
 */
int inline_open(struct far_pager *p);

/** inline_close() - by a thread of the program, after the pager's threads */
void inline_close(struct far_pager *p);

/** inline_start() - far-ctl's part of inline_open() */
int inline_start(struct far_pager *p, int program_fd);

/** inline_stop() - undo inline_start(); far-ctl */
void inline_stop(struct far_pager *p);

/** inline_forked() - in the child: open again what was the parent's */
int inline_forked(struct far_pager *p);

#endif
