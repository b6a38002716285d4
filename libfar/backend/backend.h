/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checked dispatch over the backend seam: callers use these, never the ops
 * table.  Each wrapper asserts our side of the contract in far/backend.h and
 * turns a backend's breach of it into -EIO instead of damage.
 */
#ifndef LIBFAR_BACKEND_BACKEND_H
#define LIBFAR_BACKEND_BACKEND_H

#include <far/backend.h>

#include "libfar/base/compiler.h"

/**
 * far_backend_open() - open the stack of backends that @spec names
 * @spec: "filter[:k=v,...]|...|scheme:rest", see far(7); e.g.
 *	"crc|delay:read=10us|tcp://127.0.0.1:7470"
 * @log: receives the reason of a failure, in the form what/why/fix
 * @ret_be: outermost backend; release with far_backend_close()
 *
 * Context: control plane.
 * Return: 0; -EINVAL malformed or unknown (the message names the nearest
 * known word); else what the backend's open() returned.
 */
int far_backend_open(const char *spec, far_log_fn log, void *log_ctx,
		     struct far_backend **ret_be);

/** far_backend_check() - parse @spec without opening; same errors, logged */
int far_backend_check(const char *spec, far_log_fn log, void *log_ctx);

/** far_backend_close() - close the whole stack; NULL is fine */
void far_backend_close(struct far_backend *be);

/** far_backend_builtins() - NULL-terminated table of compiled-in backends */
const struct far_backend_ops *const *far_backend_builtins(void);

/** far_backend_caps() - capabilities, cached at open; never fails */
const struct far_backend_caps *far_backend_caps(const struct far_backend *be);

int far_backend_usage(struct far_backend *be, struct far_backend_usage *ret);
int far_backend_reserve(struct far_backend *be, uint64_t len,
			uint64_t *ret_off);
int far_backend_release(struct far_backend *be, uint64_t off, uint64_t len);
int far_backend_register_buf(struct far_backend *be, void *addr, size_t len);
int far_backend_unregister_buf(struct far_backend *be, void *addr,
			       size_t len);
int far_backend_clone(struct far_backend *be, struct far_clone *ret_clone);
int far_backend_adopt(struct far_backend *be, const struct far_clone *clone);

/**
 * far_queue_open() - one thread's path into @be
 * @depth: requests in flight at once, clipped to caps.max_depth
 */
int far_queue_open(struct far_backend *be, unsigned depth,
		   struct far_queue **ret_q);
void far_queue_close(struct far_queue *q);

/** far_queue_submit() - accepted prefix of @list, or -errno (see the seam) */
int far_queue_submit(struct far_queue *q, struct far_io *list, unsigned nr);

/** far_queue_poll() - up to @max completions into @ret_done[]; never blocks */
int far_queue_poll(struct far_queue *q, struct far_io **ret_done,
		   unsigned max);

/**
 * far_backend_peek() - where stored bytes lie in readable memory, or NULL
 * Saves a copy, where the backend is memory and nothing stands before it.
 * Valid until somebody writes or discards them.  Context: data plane.
 */
const void *far_backend_peek(struct far_backend *be, uint64_t off,
			     uint32_t len);

/** far_queue_event_fd() - descriptor to wait on, or -EOPNOTSUPP when SYNC */
int far_queue_event_fd(struct far_queue *q);

/**
 * far_queue_wait() - block until poll() may return something
 * @timeout_ns: at most so long; negative waits for ever
 *
 * Return: 0 something may be there (always so for SYNC); -ETIMEDOUT.
 */
int far_queue_wait(struct far_queue *q, int64_t timeout_ns);

/* For implementations: fill in the common head of a handle. */
void far_backend_init(struct far_backend *be,
		      const struct far_backend_ops *ops,
		      struct far_backend *next);
void far_queue_init(struct far_queue *q, struct far_backend *be,
		    unsigned depth);

#endif
