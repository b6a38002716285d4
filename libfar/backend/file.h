/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the "file" backend: file.c opens and closes it, file_queue.c
 * moves the pages, file_clone.c copies the contents for a forked child.
 *
 * Descriptors belong to the table of the thread that opened the backend; a
 * forked child has other files, or none, under the same numbers.
 */
#ifndef LIBFAR_BACKEND_FILE_H
#define LIBFAR_BACKEND_FILE_H

#include <limits.h>
#include <sys/types.h>

#include "libfar/backend/store.h"

struct far_file {
	struct far_backend be;
	struct far_store store;
	int fd;		/* buffered; for buffers that are not page-aligned */
	int direct_fd;	/* O_DIRECT, or -1 */
	int clone_fd;	/* copy made by the last clone(), or -1 */
	bool has_uring; /* false: pread() and pwrite() */
	bool is_direct; /* wanted, and the file system can */
	char dir[PATH_MAX]; /* where clones are made */
	dev_t dev;	    /* of fd: tells whether a number is still ours */
	ino_t ino;
};

static inline struct far_file *far_file_of(struct far_backend *be)
{
	return FAR_CONTAINER_OF(be, struct far_file, be);
}

/**
 * far_file_create_unnamed() - a file without a name in @dir
 * @ret_fd: readable and writable, close-on-exec
 * Return: 0, -errno.
 */
int far_file_create_unnamed(const char *dir, int *ret_fd);

/**
 * far_file_set_fd() - make @fd the store: sets its size, opens it O_DIRECT
 * Takes @fd on success.  Return: 0, -errno; without O_DIRECT file->is_direct
 * becomes false.
 */
int far_file_set_fd(struct far_file *file, int fd);

/** far_file_drop() - far_store_drop_fn: punches a hole; @ctx: the file */
void far_file_drop(void *ctx, uint64_t page, unsigned nr);

/* Ops; see struct far_backend_ops. */
int far_file_queue_open(struct far_backend *be, unsigned depth,
			struct far_queue **ret_q);
void far_file_queue_close(struct far_queue *q);
int far_file_submit(struct far_queue *q, struct far_io *list, unsigned nr);
int far_file_poll(struct far_queue *q, struct far_io **ret_done, unsigned max);
int far_file_event_fd(struct far_queue *q);
int far_file_clone(struct far_backend *be, struct far_clone *ret_clone);
int far_file_adopt(struct far_backend *be, const struct far_clone *clone);

#endif
