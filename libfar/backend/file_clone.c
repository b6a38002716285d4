/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contents of a "file" backend for a forked child: a second, unnamed file
 * beside the first.  The parent holds it open; the child opens it through
 * /proc, because the parent's thread may have a descriptor table that the
 * child did not inherit.  Which pages hold data is in memory that fork()
 * copies.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfar/backend/file.h"

#define CLONE_MAGIC UINT32_C(0x46434c4e)

/* What struct far_clone holds. */
struct file_clone {
	uint32_t magic;
	int32_t pid, tid, fd;
	uint64_t dev, ino;
};

_Static_assert(sizeof(struct file_clone) <= sizeof(struct far_clone),
	       "a clone's name has room");

/* For file systems that cannot copy inside the kernel. */
static int copy_by_hand(int from, int to, uint64_t off, uint64_t len)
{
	char buf[16384];
	ssize_t n, done;

	while (len > 0) {
		n = pread(from, buf, far_min_u64(len, sizeof(buf)), (off_t)off);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done = pwrite(to, buf, (size_t)n, (off_t)off);
		if (done != n)
			return done < 0 ? -errno : -EIO;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int copy_range(int from, int to, uint64_t off, uint64_t len)
{
	off_t in = (off_t)off, out = (off_t)off;
	ssize_t n;

	while (len > 0) {
		n = copy_file_range(from, &in, to, &out, (size_t)len, 0);
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			return -errno;
		if (n <= 0)
			return copy_by_hand(from, to, (uint64_t)in, len);
		len -= (uint64_t)n;
	}
	return 0;
}

/* Copies stretches of written pages, each as long as possible. */
static int copy_written(struct far_file *file, int to)
{
	uint64_t nr = file->store.nr_pages, page = 0, end;
	int rc;

	if (ioctl(to, FICLONE, file->fd) == 0)
		return 0;
	while (page < nr) {
		end = far_store_next_written(&file->store, page);
		if (end >= nr)
			break;
		page = end;
		end = far_store_next_free(&file->store, page);
		rc = copy_range(file->fd, to, page << FAR_PAGE_SHIFT,
				(end - page) << FAR_PAGE_SHIFT);
		if (rc)
			return rc;
		page = end;
	}
	return 0;
}

static int describe(int fd, struct far_clone *ret_clone)
{
	struct file_clone name = {.magic = CLONE_MAGIC};
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	name.pid = (int32_t)getpid();
	name.tid = (int32_t)gettid();
	name.fd = fd;
	name.dev = st.st_dev;
	name.ino = st.st_ino;
	memcpy(ret_clone->bytes, &name, sizeof(name));
	return 0;
}

int far_file_clone(struct far_backend *be, struct far_clone *ret_clone)
{
	struct far_file *file = far_file_of(be);
	int fd = -1, rc;

	if (file->clone_fd >= 0)
		(void)close(file->clone_fd); /* whoever wanted it has it */
	file->clone_fd = -1;
	/* Occupied is then the same as written, in the copy as well. */
	far_store_trim(&file->store, far_file_drop, file);
	rc = far_file_create_unnamed(file->dir, &fd);
	if (rc)
		return rc;
	if (ftruncate(fd, (off_t)far_store_capacity(&file->store)))
		rc = -errno;
	if (rc == 0)
		rc = copy_written(file, fd);
	if (rc == 0)
		rc = describe(fd, ret_clone);
	if (rc) {
		(void)close(fd); /* unnamed: nothing is left of it */
		return rc;
	}
	file->clone_fd = fd;
	return 0;
}

/* Is descriptor @fd of this process the file (@dev, @ino)? */
static bool is_file(int fd, uint64_t dev, uint64_t ino)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == dev &&
	       st.st_ino == ino;
}

static int open_clone(const struct file_clone *name, int *ret_fd)
{
	char path[96];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d", name->pid,
		       name->tid, name->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (is_file(fd, name->dev, name->ino)) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		(void)close(fd); /* another file: the number was reused */
	/* /proc is closed to us, or the parent is gone: was it inherited? */
	if (!is_file(name->fd, name->dev, name->ino))
		return -ESTALE;
	fd = fcntl(name->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Closes @fd if it came over from the parent as this file. */
static void close_inherited(int fd, uint64_t dev, uint64_t ino)
{
	if (is_file(fd, dev, ino))
		(void)close(fd); /* the parent's goes on */
}

int far_file_adopt(struct far_backend *be, const struct far_clone *clone)
{
	struct far_file *file = far_file_of(be);
	int old_fd = file->fd, old_direct_fd = file->direct_fd;
	uint64_t old_dev = file->dev, old_ino = file->ino;
	struct file_clone name;
	int fd = -1, rc;

	memcpy(&name, clone->bytes, sizeof(name));
	if (name.magic != CLONE_MAGIC)
		return -EINVAL;
	rc = open_clone(&name, &fd);
	if (rc)
		return rc;
	far_store_after_fork(&file->store);
	rc = far_file_set_fd(file, fd);
	if (rc) {
		(void)close(fd);
		return rc;
	}
	close_inherited(old_fd, old_dev, old_ino);
	close_inherited(old_direct_fd, old_dev, old_ino);
	close_inherited(file->clone_fd, name.dev, name.ino);
	file->clone_fd = -1;
	return 0;
}
