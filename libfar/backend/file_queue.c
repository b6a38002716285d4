/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data plane of the "file" backend.  With a ring, what needs no transfer (a
 * discard, a refusal) goes through it as a no-op, so that the ring's own
 * descriptor, readable while completions wait, is all a caller has to watch.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "libfar/backend/file.h"

struct file_queue {
	struct far_store_queue sq; /* its list is used without a ring only */
	struct io_uring ring;
};

static struct file_queue *to_file_queue(struct far_queue *q)
{
	struct far_store_queue *sq =
		FAR_CONTAINER_OF(q, struct far_store_queue, q);

	return FAR_CONTAINER_OF(sq, struct file_queue, sq);
}

/* What goes before a transfer; true if one has to follow. */
static bool prepare(struct far_file *file, struct far_io *io)
{
	io->res = 0;
	if (!far_store_is_reserved(&file->store, io->off, io->len)) {
		io->res = -EINVAL;
		return false;
	}
	switch (io->op) {
	case FAR_IO_READ:
		if (far_store_is_written(&file->store, io->off, io->len))
			return true;
		io->res = -ENODATA;
		return false;
	case FAR_IO_WRITE:
		far_store_claim(&file->store, io->off, io->len);
		return true;
	default:
		far_store_discard(&file->store, io->off, io->len, far_file_drop,
				  file);
		return false;
	}
}

/* What comes after it; @n: bytes transferred or -errno. */
static int conclude(struct far_file *file, const struct far_io *io, long n)
{
	if (n == (long)io->len)
		return 0;
	/* Half a page is no page: from now on it reads as -ENODATA. */
	if (io->op == FAR_IO_WRITE)
		far_store_discard(&file->store, io->off, io->len, far_file_drop,
				  file);
	return n < 0 ? (int)n : -EIO;
}

/* O_DIRECT wants aligned buffers; page-aligned ones suit every device. */
static int choose_fd(const struct far_file *file, const struct far_io *io)
{
	if (file->direct_fd >= 0 && ((uintptr_t)io->buf & FAR_PAGE_MASK) == 0)
		return file->direct_fd;
	return file->fd;
}

static long transfer(struct far_file *file, struct far_io *io)
{
	int fd = choose_fd(file, io);
	size_t done = 0;
	ssize_t n;

	while (done < io->len) {
		char *buf = (char *)io->buf + done;
		off_t at = (off_t)(io->off + done);

		n = io->op == FAR_IO_READ ? pread(fd, buf, io->len - done, at)
					  : pwrite(fd, buf, io->len - done, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (long)done;
}

static int submit_plain(struct file_queue *fq, struct far_file *file,
			struct far_io *list, unsigned nr)
{
	struct far_io *next;
	unsigned n;

	for (n = 0; n < nr && list; n++, list = next) {
		next = list->next;
		if (prepare(file, list))
			list->res = conclude(file, list, transfer(file, list));
		far_store_done(&fq->sq, list, list->res);
	}
	return (int)n;
}

static void fill_sqe(struct io_uring_sqe *sqe, struct far_file *file,
		     struct far_io *io)
{
	/* priv: whether the completion brings the result of a transfer. */
	io->priv = prepare(file, io) ? io : NULL;
	if (!io->priv)
		io_uring_prep_nop(sqe);
	else if (io->op == FAR_IO_READ)
		io_uring_prep_read(sqe, choose_fd(file, io), io->buf, io->len,
				   io->off);
	else
		io_uring_prep_write(sqe, choose_fd(file, io), io->buf, io->len,
				    io->off);
	io_uring_sqe_set_data(sqe, io);
}

int far_file_submit(struct far_queue *q, struct far_io *list, unsigned nr)
{
	struct file_queue *fq = to_file_queue(q);
	struct far_file *file = far_file_of(q->be);
	struct io_uring_sqe *sqe;
	struct far_io *next;
	unsigned n;

	if (!file->has_uring)
		return submit_plain(fq, file, list, nr);
	for (n = 0; n < nr && list; n++, list = next) {
		sqe = io_uring_get_sqe(&fq->ring);
		if (!sqe)
			break;
		next = list->next;
		fill_sqe(sqe, file, list);
	}
	/* What the kernel did not take now stays in the ring; see poll. */
	(void)io_uring_submit(&fq->ring);
	return n > 0 ? (int)n : -EAGAIN;
}

int far_file_poll(struct far_queue *q, struct far_io **ret_done, unsigned max)
{
	struct file_queue *fq = to_file_queue(q);
	struct far_file *file = far_file_of(q->be);
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	if (!file->has_uring)
		return far_store_poll(q, ret_done, max);
	if (io_uring_sq_ready(&fq->ring) > 0)
		(void)io_uring_submit(&fq->ring); /* again at the next poll */
	while (n < max && io_uring_peek_cqe(&fq->ring, &cqe) == 0) {
		struct far_io *io = io_uring_cqe_get_data(cqe);

		if (io->priv)
			io->res = conclude(file, io, cqe->res);
		io_uring_cqe_seen(&fq->ring, cqe);
		ret_done[n++] = io;
	}
	return (int)n;
}

int far_file_event_fd(struct far_queue *q)
{
	return to_file_queue(q)->ring.ring_fd;
}

int far_file_queue_open(struct far_backend *be, unsigned depth,
			struct far_queue **ret_q)
{
	struct file_queue *fq = calloc(1, sizeof(*fq));
	int rc;

	if (!fq)
		return -ENOMEM;
	far_store_queue_init(&fq->sq, be, depth);
	if (far_file_of(be)->has_uring) {
		rc = io_uring_queue_init(depth, &fq->ring, 0);
		if (rc) {
			free(fq);
			return rc;
		}
		/* A child must not see, or keep, the parent's rings. */
		(void)io_uring_ring_dontfork(&fq->ring);
	}
	*ret_q = &fq->sq.q;
	return 0;
}

void far_file_queue_close(struct far_queue *q)
{
	struct file_queue *fq = to_file_queue(q);

	if (far_file_of(q->be)->has_uring)
		io_uring_queue_exit(&fq->ring);
	free(fq);
}
