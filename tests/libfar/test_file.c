/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/backend/file.h"
#include "tests/libfar/backend_io.h"
#include "tests/support/capture.h"

/* io_uring as a container forbids it, while is_forbidden. */
static bool is_forbidden;

int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring,
			       unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring,
			       unsigned flags);

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring,
			       unsigned flags)
{
	if (is_forbidden)
		return -EPERM;
	return __real_io_uring_queue_init(entries, ring, flags);
}

static char dir[64];
static char *buf;

static int make_dir(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "./test_file-XXXXXX");
	buf = aligned_alloc(PAGE, 64 * PAGE);
	return mkdtemp(dir) && buf ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	(void)unlink(path); /* a test that failed may have left it */
	free(buf);
	return rmdir(dir); /* fails if anything else is left */
}

/* Opens "file:DIR@rest"; @rest is e.g. "/store?size=1M". */
static int open_at(const char *rest, struct capture *cap,
		   struct far_backend **ret_be)
{
	char spec[256];

	memset(cap, 0, sizeof(*cap));
	(void)snprintf(spec, sizeof(spec), "file:%s%s", dir, rest);
	return far_backend_open(spec, capture_log, cap, ret_be);
}

static uint64_t disk_bytes(struct far_backend *be)
{
	struct stat st;

	assert_int_equal(fstat(far_file_of(be)->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* However its process ends; and another may have one there meanwhile. */
static void a_named_file_keeps_no_name(void **state)
{
	struct far_backend *be, *other;
	struct capture cap;
	struct stat st;
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	assert_int_equal(open_at("/store?size=1M", &cap, &be), 0);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fstat(far_file_of(be)->fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 1 << 20);
	assert_int_equal(open_at("/store?size=1M", &cap, &other), 0);
	far_backend_close(other);
	far_backend_close(be);
}

static void a_file_that_exists_is_left_alone(void **state)
{
	struct far_backend *be;
	struct capture cap;
	struct stat st;
	char path[96];
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/store", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "precious", 8), 8);
	(void)close(fd);
	assert_int_equal(open_at("/store?size=1M", &cap, &be), -EEXIST);
	assert_true(capture_has(&cap, "fix: give a directory"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8);
	assert_int_equal(unlink(path), 0);
}

static void a_directory_gets_a_file_without_a_name(void **state)
{
	struct far_backend *be;
	struct capture cap;

	(void)state;
	assert_int_equal(open_at("?size=1M", &cap, &be), 0);
	assert_int_equal(rmdir(dir), 0); /* it is empty */
	far_backend_close(be);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void bad_parameters_are_refused(void **state)
{
	static const struct {
		const char *rest, *message;
		int rc;
	} rows[] = {
		{"", "no path or no size", -EINVAL},
		{"?size=1", "no path or no size", -EINVAL},
		{"?size=x", "size=x", -EINVAL},
		{"?size=1M,io=fast", "io=fast; fix: give one of auto", -EINVAL},
		{"?size=1M,direct=2", "direct=2", -EINVAL},
		{"?size=1M,drect=1", "did you mean 'direct'?", -EINVAL},
		{"/no/such/dir?size=1M", "cannot create a store", -ENOENT},
	};
	struct far_backend *be;
	struct capture cap;
	unsigned i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(rows); i++) {
		assert_int_equal(open_at(rows[i].rest, &cap, &be), rows[i].rc);
		assert_true(capture_has(&cap, rows[i].message));
	}
}

/* Writes 64 pages, discards all but the first two, in one stretch of time. */
static void write_and_discard(struct far_backend *be)
{
	struct far_queue *q;
	uint64_t off, i;

	assert_int_equal(far_backend_reserve(be, 64 * PAGE, &off), 0);
	assert_int_equal(far_queue_open(be, 8, &q), 0);
	for (i = 0; i < 64; i++) {
		io_noise(buf, i);
		assert_int_equal(io_do(q, FAR_IO_WRITE, off + i * PAGE, buf),
				 0);
	}
	assert_int_equal(fsync(far_file_of(be)->fd), 0);
	assert_true(disk_bytes(be) >= 64 * PAGE);
	for (i = 2; i < 64; i++)
		assert_int_equal(io_do(q, FAR_IO_DISCARD, off + i * PAGE, NULL),
				 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(io_do(q, FAR_IO_READ, off + i * PAGE, buf), 0);
		io_noise(buf + PAGE, i);
		assert_memory_equal(buf, buf + PAGE, PAGE);
	}
	far_queue_close(q);
}

static void discards_give_disk_space_back(void **state)
{
	struct far_backend_usage u;
	struct far_backend *be;
	struct capture cap;

	(void)state;
	assert_int_equal(open_at("?size=1M", &cap, &be), 0);
	write_and_discard(be);
	/* At most half of a run of 64 waits to be given back. */
	assert_true(disk_bytes(be) <= 34 * PAGE);
	assert_int_equal(far_backend_usage(be, &u), 0);
	assert_int_equal(u.stored_bytes, 2 * PAGE);
	assert_true(u.used_bytes >= 2 * PAGE && u.used_bytes <= 34 * PAGE);
	assert_int_equal(far_backend_release(be, 0, 64 * PAGE), 0);
	assert_int_equal(disk_bytes(be), 0);
	far_backend_close(be);
}

static void a_refused_write_is_reported_and_reads_as_enodata(void **state)
{
	struct rlimit old, lim;
	struct far_backend *be;
	struct far_queue *q;
	struct capture cap;
	uint64_t off;

	(void)state;
	assert_int_equal(open_at("?size=1M,io=plain", &cap, &be), 0);
	assert_int_equal(far_backend_reserve(be, 1 << 20, &off), 0);
	assert_int_equal(far_queue_open(be, 8, &q), 0);
	/* The file size limit stands for a disk that is full. */
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = 8 * PAGE;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	io_noise(buf, 1);
	assert_int_equal(io_do(q, FAR_IO_WRITE, off + 7 * PAGE, buf), 0);
	assert_int_equal(io_do(q, FAR_IO_WRITE, off + 8 * PAGE, buf), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(io_do(q, FAR_IO_READ, off + 8 * PAGE, buf), -ENODATA);
	assert_int_equal(io_do(q, FAR_IO_READ, off + 7 * PAGE, buf), 0);
	far_queue_close(q);
	far_backend_close(be);
}

static void short_transfers_are_eio(const char *rest)
{
	struct far_backend *be;
	struct far_queue *q;
	struct capture cap;
	uint64_t off;

	assert_int_equal(open_at(rest, &cap, &be), 0);
	assert_int_equal(far_backend_reserve(be, 64 * PAGE, &off), 0);
	assert_int_equal(far_queue_open(be, 8, &q), 0);
	io_noise(buf, 1);
	assert_int_equal(io_do(q, FAR_IO_WRITE, off + 9 * PAGE, buf), 0);
	/* Somebody cuts the file short behind our back. */
	assert_int_equal(ftruncate(far_file_of(be)->fd, 9 * PAGE + 512), 0);
	assert_int_equal(io_do(q, FAR_IO_READ, off + 9 * PAGE, buf), -EIO);
	far_queue_close(q);
	far_backend_close(be);
}

static void a_short_read_is_eio(void **state)
{
	(void)state;
	short_transfers_are_eio("?size=1M");
	short_transfers_are_eio("?size=1M,io=plain");
	short_transfers_are_eio("?size=1M,direct=0");
}

static void direct_io_is_used_or_its_lack_is_said(void **state)
{
	struct far_backend *be;
	struct capture cap;

	(void)state;
	assert_int_equal(open_at("?size=1M,direct=0", &cap, &be), 0);
	assert_int_equal(far_file_of(be)->direct_fd, -1);
	assert_int_equal(cap.nr, 0);
	far_backend_close(be);
	assert_int_equal(open_at("?size=1M", &cap, &be), 0);
	if (far_file_of(be)->direct_fd < 0)
		assert_true(capture_has(&cap, "cannot do O_DIRECT"));
	else
		assert_true(fcntl(far_file_of(be)->direct_fd, F_GETFL) &
			    O_DIRECT);
	far_backend_close(be);
}

static void without_io_uring_it_says_so_and_works(void **state)
{
	struct far_backend *be;
	struct far_queue *q;
	struct capture cap;
	uint64_t off;

	(void)state;
	is_forbidden = true;
	assert_int_equal(open_at("?size=1M,io=uring", &cap, &be), -EPERM);
	assert_true(capture_has(&cap, "no io_uring"));
	assert_true(capture_has(&cap, "fix: allow it, or write io=plain"));
	assert_int_equal(open_at("?size=1M,direct=0", &cap, &be), 0);
	assert_true(capture_has(&cap, "one transfer at a time"));
	is_forbidden = false;
	assert_int_equal(far_backend_caps(be)->flags, FAR_CAP_SYNC);
	assert_int_equal(far_backend_reserve(be, PAGE, &off), 0);
	assert_int_equal(far_queue_open(be, 8, &q), 0);
	io_noise(buf, 1);
	assert_int_equal(io_do(q, FAR_IO_WRITE, off, buf), 0);
	assert_int_equal(io_do(q, FAR_IO_READ, off, buf), 0);
	far_queue_close(q);
	far_backend_close(be);
}

/* In a thread-like child whose table has none of the parent's descriptors. */
static int adopt_without_descriptors(struct far_backend *be,
				     const struct far_clone *clone,
				     uint64_t off)
{
	struct far_queue *q;
	struct stat st;
	int fd;

	for (fd = 3; fd < 1024; fd++)
		(void)close(fd);
	/* Numbers the parent's store had now mean something else. */
	for (fd = 3; fd < 12; fd++)
		(void)open("/dev/null", O_RDWR | O_CLOEXEC);
	if (far_backend_adopt(be, clone) || far_queue_open(be, 8, &q))
		return 1;
	for (fd = 3; fd < 12; fd++) {
		/* It closes none that is not its own, nor takes its place. */
		if (fstat(fd, &st) || !S_ISCHR(st.st_mode))
			return 2;
	}
	if (io_do(q, FAR_IO_READ, off, buf))
		return 3;
	io_noise(buf + PAGE, 5);
	if (memcmp(buf, buf + PAGE, PAGE) != 0)
		return 4;
	far_queue_close(q);
	far_backend_close(be);
	return 0;
}

static void a_child_without_our_descriptors_adopts(void **state)
{
	struct far_backend *be;
	struct far_clone clone;
	struct far_queue *q;
	struct capture cap;
	uint64_t off;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(open_at("/store?size=1M", &cap, &be), 0);
	assert_int_equal(far_backend_reserve(be, 4 * PAGE, &off), 0);
	assert_int_equal(far_queue_open(be, 8, &q), 0);
	io_noise(buf, 5);
	assert_int_equal(io_do(q, FAR_IO_WRITE, off, buf), 0);
	assert_int_equal(far_backend_clone(be, &clone), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(30);
		_exit(adopt_without_descriptors(be, &clone, off));
	}
	io_noise(buf, 6);
	assert_int_equal(io_do(q, FAR_IO_WRITE, off, buf), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The child's close left the parent's file as it is. */
	io_noise(buf + PAGE, 6);
	assert_int_equal(io_do(q, FAR_IO_READ, off, buf), 0);
	assert_memory_equal(buf, buf + PAGE, PAGE);
	far_queue_close(q);
	far_backend_close(be);
}

static void a_clone_that_is_gone_is_estale(void **state)
{
	struct far_backend *be;
	struct far_clone clone, newer, garbage = {0};
	struct capture cap;

	(void)state;
	assert_int_equal(open_at("?size=1M", &cap, &be), 0);
	assert_int_equal(far_backend_adopt(be, &garbage), -EINVAL);
	assert_int_equal(far_backend_clone(be, &clone), 0);
	(void)close(far_file_of(be)->clone_fd);
	far_file_of(be)->clone_fd = -1;
	assert_int_equal(far_backend_adopt(be, &clone), -ESTALE);
	/* The next clone() is not disturbed by it. */
	assert_int_equal(far_backend_clone(be, &newer), 0);
	assert_int_equal(far_backend_adopt(be, &newer), 0);
	far_backend_close(be);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_named_file_keeps_no_name),
		CASE(a_file_that_exists_is_left_alone),
		CASE(a_directory_gets_a_file_without_a_name),
		CASE(bad_parameters_are_refused),
		CASE(discards_give_disk_space_back),
		CASE(a_refused_write_is_reported_and_reads_as_enodata),
		CASE(a_short_read_is_eio),
		CASE(direct_io_is_used_or_its_lack_is_said),
		CASE(without_io_uring_it_says_so_and_works),
		CASE(a_child_without_our_descriptors_adopts),
		CASE(a_clone_that_is_gone_is_estale),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
