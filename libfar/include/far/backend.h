/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend seam: a backend is a place where pages live when they are not
 * local.  A filter is a backend in front of a backend.  A pool client is a
 * backend that speaks to a server.
 *
 * A backend is an array of bytes from offset 0.  far_backend_reserve() makes a
 * part of it usable; what was never written, or was discarded, reads as
 * -ENODATA, never as zeros.
 *
 * Control-plane calls (open, close, caps, reserve, release, register_buf,
 * clone, adopt, queue_open, queue_close) may block and allocate; they come
 * from one thread at a time.  Data-plane calls (submit, poll, event_fd) take
 * no lock shared with the control plane, do not allocate, do not log.  One
 * queue belongs to one thread; different queues run concurrently.
 *
 * Contract of the data plane, checked by the dispatch layer (backend.c):
 *  - submit() takes a list linked by ->next and returns how many of its first
 *    members it accepted, or a negative errno if none.  -EAGAIN: the queue is
 *    full, poll first.
 *  - every accepted far_io completes exactly once, through poll(), in any
 *    order; also when the queue is closed (-ECANCELED, returned by the
 *    last polls; queue_close() itself needs an idle queue).
 *  - ->res is 0 or a negative errno; a short transfer is -EIO.
 *  - two requests in flight on overlapping ranges, one of them a write, have
 *    no defined order: the caller must not do that.
 *  - a write that completed is seen by every later read, on any queue.
 */
#ifndef FAR_BACKEND_H
#define FAR_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include <far/log.h>

#ifdef __cplusplus
extern "C" {
#endif

enum far_io_op {
	FAR_IO_READ = 0,
	FAR_IO_WRITE = 1,
	FAR_IO_DISCARD = 2, /* contents are gone, buf is not used */
};

/** struct far_io - one transfer; the caller's, except from submit to poll */
struct far_io {
	uint64_t off;	     /* bytes, multiple of caps.align */
	void *buf;	     /* len bytes; readable/writable until completion */
	uint32_t len;	     /* bytes, multiple of caps.align, <= caps.max_len */
	uint32_t op;	     /* enum far_io_op */
	int res;	     /* out: 0 or -errno */
	uint32_t reserved;   /* 0 */
	uint64_t start_ns;   /* scratch of the dispatch layer and filters */
	void *priv;	     /* scratch of the innermost backend */
	struct far_io *next; /* caller's before submit, backend's after */
};

enum far_backend_flags {
	/* submit() completes every request before it returns */
	FAR_CAP_SYNC = 1u << 0,
	/* data plane may run in a signal handler */
	FAR_CAP_SIGNAL_SAFE = 1u << 1,
	/* storage is memory of this process: fork() copies it */
	FAR_CAP_PRIVATE = 1u << 2,
	/* survives the process */
	FAR_CAP_PERSISTENT = 1u << 3,
};

/** struct far_backend_caps - what a backend can do; constant after open */
struct far_backend_caps {
	uint64_t capacity;  /* bytes that reserve() can hand out in total */
	uint32_t align;	    /* bytes, power of two, at most 4096 */
	uint32_t max_len;   /* bytes in one far_io */
	uint32_t max_depth; /* requests in flight on one queue */
	uint32_t flags;	    /* enum far_backend_flags */
};

/** struct far_backend_usage - what it holds now, for statistics */
struct far_backend_usage {
	uint64_t reserved_bytes; /* handed out by reserve() */
	uint64_t stored_bytes;	 /* bytes of pages that hold data */
	uint64_t used_bytes;	 /* what they really occupy (compressed) */
	uint64_t same_filled_pages; /* stored as a pattern, no space */
};

/** struct far_clone - names a copy of a backend's contents; opaque bytes */
struct far_clone {
	uint8_t bytes[192];
};

struct far_backend;
struct far_queue;
struct far_spec; /* parsed "key=value" parameters, libfar/backend/spec.h */

/** struct far_backend_ops - one kind of backend; grows at the end */
struct far_backend_ops {
	size_t size;	     /* sizeof(struct far_backend_ops) */
	const char *name;    /* "mem", "lz4", "file", "tcp", "delay", ... */
	const char *help;    /* one line: parameters and meaning */
	int is_filter;	     /* 1: open() gets the next backend */

	/*
	 * Opens.  @next is the backend behind a filter (taken over on success)
	 * or NULL.  On failure the reason for people goes through @log.
	 */
	int (*open)(const struct far_spec *spec, struct far_backend *next,
		    far_log_fn log, void *log_ctx,
		    struct far_backend **ret_be);
	void (*close)(struct far_backend *be); /* closes the next one too */
	int (*caps)(struct far_backend *be, struct far_backend_caps *ret_caps);
	int (*usage)(struct far_backend *be,
		     struct far_backend_usage *ret_usage);
	/* Grants [*ret_off, *ret_off + len); -ENOSPC when full. */
	int (*reserve)(struct far_backend *be, uint64_t len,
		       uint64_t *ret_off);
	int (*release)(struct far_backend *be, uint64_t off, uint64_t len);
	int (*register_buf)(struct far_backend *be, void *addr, size_t len);
	int (*unregister_buf)(struct far_backend *be, void *addr, size_t len);
	/*
	 * clone(): in the parent, just before fork(), no request in flight:
	 * freeze a copy of the present contents under a name.  Later writes
	 * and discards of the parent are not seen through the clone, nor the
	 * other way round.  adopt(): in the child, on its inherited @be,
	 * makes @be work on the clone; queues of the parent are gone, the
	 * child opens its own.  A clone nobody adopts is dropped by itself.
	 */
	int (*clone)(struct far_backend *be, struct far_clone *ret_clone);
	int (*adopt)(struct far_backend *be, const struct far_clone *clone);

	int (*queue_open)(struct far_backend *be, unsigned depth,
			  struct far_queue **ret_q);
	void (*queue_close)(struct far_queue *q); /* nothing in flight */
	int (*submit)(struct far_queue *q, struct far_io *list, unsigned nr);
	int (*poll)(struct far_queue *q, struct far_io **ret_done,
		    unsigned max);
	/*
	 * A descriptor that is readable while poll() has something to do;
	 * -EOPNOTSUPP for FAR_CAP_SYNC backends.
	 */
	int (*event_fd)(struct far_queue *q);
	/*
	 * Optional: where [off, off + len) lies in memory that this process
	 * can read, until it is next written or discarded; NULL: nowhere, or
	 * it was never written.  Data plane, any thread.
	 */
	const void *(*peek)(struct far_backend *be, uint64_t off, uint32_t len);
};

/*
 * Every implementation's handle begins with these.  The dispatch layer owns
 * them; far_backend_init()/far_queue_init() in libfar/backend/backend.h fill
 * them in.
 */
struct far_backend {
	const struct far_backend_ops *ops;
	struct far_backend *next; /* filters: the one behind, else NULL */
	struct far_backend_caps caps;
};

struct far_queue {
	struct far_backend *be;
	unsigned depth;	    /* requests that may be in flight */
	unsigned in_flight; /* owner thread only */
};

#ifdef __cplusplus
}
#endif

#endif
