/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/file.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfar/base/log.h"

#define MAX_DEPTH 1024u

/* What the spec asks for. */
struct file_opts {
	uint64_t size;
	bool is_direct;
	bool may_uring, may_plain;
};

void far_file_drop(void *ctx, uint64_t page, unsigned nr)
{
	struct far_file *file = ctx;

	/* Where holes are not supported the space stays; nothing is lost. */
	(void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(page << FAR_PAGE_SHIFT),
			(off_t)nr << FAR_PAGE_SHIFT);
}

/* For file systems without O_TMPFILE. */
static int create_and_unlink(const char *dir, int *ret_fd)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/.far-XXXXXX", dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path); /* it exists: we have just made it */
	*ret_fd = fd;
	return 0;
}

int far_file_create_unnamed(const char *dir, int *ret_fd)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return create_and_unlink(dir, ret_fd);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int far_file_set_fd(struct far_file *file, int fd)
{
	char path[64];
	struct stat st;
	int direct_fd = -1;

	if (ftruncate(fd, (off_t)far_store_capacity(&file->store)) ||
	    fstat(fd, &st))
		return -errno;
	if (file->is_direct) {
		/* thread-self: pager threads have a table of their own. */
		(void)snprintf(path, sizeof(path), "/proc/thread-self/fd/%d",
			       fd);
		direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
		file->is_direct = direct_fd >= 0;
	}
	file->fd = fd;
	file->direct_fd = direct_fd;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	return 0;
}

static int parse_choice(const struct far_spec *spec, const char *key,
			const char *const *words, unsigned *ret_choice,
			far_log_fn log, void *log_ctx)
{
	const char *text = far_spec_get(spec, key);
	unsigned i;

	*ret_choice = 0;
	if (!text)
		return 0;
	for (i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret_choice = i;
			return 0;
		}
	}
	far_log_to(log, log_ctx, FAR_LOG_ERR,
		   "file: bad value %s=%s; fix: give one of %s %s %s", key,
		   text, words[0], words[1], words[2] ? words[2] : "");
	return -EINVAL;
}

static int parse_opts(const struct far_spec *spec, struct file_opts *opts,
		      far_log_fn log, void *log_ctx)
{
	static const char *const keys[] = {"size", "direct", "io", NULL};
	static const char *const io_words[] = {"auto", "uring", "plain", NULL};
	static const char *const direct_words[] = {"1", "0", NULL};
	unsigned io, direct;
	int rc;

	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc == 0)
		rc = far_spec_size(spec, "size", 0, &opts->size, log, log_ctx);
	if (rc == 0)
		rc = parse_choice(spec, "io", io_words, &io, log, log_ctx);
	if (rc == 0)
		rc = parse_choice(spec, "direct", direct_words, &direct, log,
				  log_ctx);
	if (rc)
		return rc;
	if (spec->target[0] == '\0' || opts->size < FAR_PAGE_SIZE ||
	    opts->size > INT64_MAX) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "file: no path or no size; fix: write e.g. "
			   "file:/var/tmp?size=8G");
		return -EINVAL;
	}
	opts->is_direct = direct == 0;
	opts->may_uring = io != 2;
	opts->may_plain = io != 1;
	return 0;
}

/* Can this process have a ring at all?  Containers often forbid it. */
static int choose_engine(struct far_file *file, const struct file_opts *opts,
			 far_log_fn log, void *log_ctx)
{
	struct io_uring ring;
	int rc = -ENOSYS;

	if (opts->may_uring)
		rc = io_uring_queue_init(2, &ring, 0);
	if (rc == 0) {
		io_uring_queue_exit(&ring);
		file->has_uring = true;
		return 0;
	}
	if (!opts->may_plain) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "file: no io_uring: %s; fix: allow it, or write "
			   "io=plain",
			   strerror(-rc));
		return rc;
	}
	if (opts->may_uring)
		far_log_to(log, log_ctx, FAR_LOG_WARN,
			   "file: no io_uring: %s, one transfer at a time; "
			   "fix: allow it, or write io=plain",
			   strerror(-rc));
	return 0;
}

/* Where clones go: the directory, or the one the file is in. */
static int find_dir(struct far_file *file, const char *path, bool is_dir)
{
	char *real = realpath(path, NULL), *slash;

	if (!real)
		return -errno;
	if (strlen(real) >= sizeof(file->dir)) {
		free(real);
		return -ENAMETOOLONG;
	}
	slash = strrchr(real, '/');
	if (is_dir) {
		memcpy(file->dir, real, strlen(real) + 1);
		free(real);
		return 0;
	}
	memcpy(file->dir, real, (size_t)(slash - real));
	memcpy(file->dir + (slash - real), "/", 2);
	free(real);
	return 0;
}

static int create_store(struct far_file *file, const char *path)
{
	struct stat st;
	bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	int fd, rc = 0;

	if (is_dir)
		rc = far_file_create_unnamed(path, &fd);
	else
		fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (rc == 0 && fd < 0)
		rc = -errno;
	if (rc)
		return rc;
	rc = find_dir(file, path, is_dir);
	if (rc == 0)
		rc = far_file_set_fd(file, fd);
	if (rc)
		(void)close(fd); /* nothing was written to it */
	/* Its contents are of no use to anybody else, however we end. */
	if (!is_dir)
		(void)unlink(path);
	return rc;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd); /* the contents are of no use any more */
}

static void file_close(struct far_backend *be)
{
	struct far_file *file = far_file_of(be);

	close_fd(file->clone_fd);
	close_fd(file->direct_fd);
	close_fd(file->fd);
	far_store_fini(&file->store);
	free(file);
}

static int file_new(const struct file_opts *opts, struct far_file **ret_file)
{
	struct far_file *file = aligned_alloc(FAR_CACHE_LINE, sizeof(*file));
	int rc;

	if (!file)
		return -ENOMEM;
	memset(file, 0, sizeof(*file));
	far_backend_init(&file->be, &far_backend_file_ops, NULL);
	file->fd = -1;
	file->direct_fd = -1;
	file->clone_fd = -1;
	file->is_direct = opts->is_direct;
	rc = far_store_init(&file->store, opts->size);
	if (rc) {
		free(file);
		return rc;
	}
	*ret_file = file;
	return 0;
}

static int file_open(const struct far_spec *spec, struct far_backend *next,
		     far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	struct file_opts opts;
	struct far_file *file;
	int rc;

	(void)next; /* not a filter */
	rc = parse_opts(spec, &opts, log, log_ctx);
	if (rc)
		return rc;
	rc = file_new(&opts, &file);
	if (rc)
		return rc;
	rc = choose_engine(file, &opts, log, log_ctx);
	if (rc)
		goto err_close;
	rc = create_store(file, spec->target);
	if (rc) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "file: cannot create a store at '%s': %s; fix: give "
			   "a directory, or a file that does not exist",
			   spec->target, strerror(-rc));
		goto err_close;
	}
	if (opts.is_direct && !file->is_direct)
		far_log_to(log, log_ctx, FAR_LOG_WARN,
			   "file: '%s' cannot do O_DIRECT, its pages stay in "
			   "the page cache; fix: use a disk file system, or "
			   "write direct=0",
			   spec->target);
	*ret_be = &file->be;
	return 0;

err_close:
	file_close(&file->be);
	return rc;
}

static int file_caps(struct far_backend *be, struct far_backend_caps *ret_caps)
{
	struct far_file *file = far_file_of(be);

	ret_caps->capacity = far_store_capacity(&file->store);
	ret_caps->align = FAR_PAGE_SIZE;
	ret_caps->max_len = FAR_STORE_MAX_LEN;
	ret_caps->max_depth = MAX_DEPTH;
	ret_caps->flags = file->has_uring ? 0 : FAR_CAP_SYNC;
	return 0;
}

static int file_usage(struct far_backend *be, struct far_backend_usage *ret)
{
	far_store_usage(&far_file_of(be)->store, ret);
	return 0;
}

static int file_reserve(struct far_backend *be, uint64_t len, uint64_t *ret_off)
{
	return far_store_reserve(&far_file_of(be)->store, len, ret_off);
}

static int file_release(struct far_backend *be, uint64_t off, uint64_t len)
{
	struct far_file *file = far_file_of(be);

	if (!far_store_is_reserved(&file->store, off, len))
		return -EINVAL;
	far_store_discard(&file->store, off, len, far_file_drop, file);
	return far_store_release(&file->store, off, len);
}

const struct far_backend_ops far_backend_file_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "file",
	.help = "file:PATH?size=SIZE,direct=1|0,io=auto|uring|plain - a new "
		"file, or an unnamed one in a directory",
	.open = file_open,
	.close = file_close,
	.caps = file_caps,
	.usage = file_usage,
	.reserve = file_reserve,
	.release = file_release,
	.clone = far_file_clone,
	.adopt = far_file_adopt,
	.queue_open = far_file_queue_open,
	.queue_close = far_file_queue_close,
	.submit = far_file_submit,
	.poll = far_file_poll,
	.event_fd = far_file_event_fd,
};
