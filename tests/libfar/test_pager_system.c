/* SPDX-License-Identifier: BSD-3-Clause */
/* Far memory and the kernel: descriptors, system calls, DMA, wild pointers. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libfar/pager/pager.h"

#define BIG (4 * TP_LIMIT)

/* Makes the pages of the range leave. */
static void evict(struct tp *t, char *addr, size_t len)
{
	assert_true(tp_evict(t->pager, addr, len));
}

/* --- descriptors ------------------------------------------------------------
 */

static int close_all_and_go_on(void *arg)
{
	struct tp *t = arg;

	for (uint64_t r = 1; r <= 3; r++) {
		if (syscall(SYS_close_range, 0u, ~0u, 0) < 0)
			return 77;
		tp_fill_all(t->mem, t->len, r << 32);
		(void)syscall(SYS_close_range, 0u, ~0u, 0);
		if (tp_same_all(t->mem, t->len, r << 32))
			return (int)r;
	}
	return 0;
}

struct closer {
	_Atomic bool stop;
	_Atomic unsigned rounds;
	pthread_t thread;
};

static void *close_all_the_time(void *arg)
{
	struct closer *c = arg;

	while (!atomic_load(&c->stop)) {
		(void)syscall(SYS_close_range, 3u, ~0u, 0);
		c->rounds++;
	}
	return NULL;
}

/* In a child of its own: descriptors of the test are closed with it. */
static int close_while_others_work(void *arg)
{
	struct closer c = {.rounds = 0};
	struct tp *t = arg;
	size_t wrong = 0;

	if (pthread_create(&c.thread, NULL, close_all_the_time, &c))
		return 1;
	for (uint64_t r = 1; r <= 2; r++) {
		tp_fill_all(t->mem, t->len, r << 32);
		wrong += tp_same_all(t->mem, t->len, r << 32);
	}
	atomic_store(&c.stop, true);
	(void)pthread_join(c.thread, NULL);
	return wrong ? 2 : c.rounds > 10 ? 0 : 3;
}

static int open_then(int (*fn)(void *), const char *conf)
{
	struct far_pager *p;
	struct tp t;
	void *mem;

	if (tp_try(conf, &p) < 0 || far_map(p, BIG, 0, &mem) < 0)
		return 100;
	t = (struct tp){.pager = p, .mem = mem, .len = BIG};
	return fn(&t);
}

static int close_first(void *conf)
{
	return open_then(close_all_and_go_on, conf);
}

static int close_meanwhile(void *conf)
{
	return open_then(close_while_others_work, conf);
}

static void closed_descriptors_change_nothing(void **state)
{
	char mem[] = "lazy=off", lz4[] = "far=lz4:128M";
	int r = tp_in_child(close_first, mem);

	(void)state;
	if (r == 77) {
		print_message("SKIP: no close_range(2)\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(tp_in_child(close_meanwhile, mem), 0);
	assert_int_equal(tp_in_child(close_meanwhile, lz4), 0);
}

/* --- system calls on pages that are elsewhere -------------------------------
 */

static void system_calls_take_evicted_buffers(void **state)
{
	const size_t len = 64 * FAR_PAGE_SIZE;
	struct tp t = tp_open("lazy=off", BIG);
	char *a = t.mem, *b = t.mem + len;
	int fd = memfd_create("far-test", MFD_CLOEXEC), fds[2], sv[2];
	struct iovec iov[2] = {{a, len / 2}, {b, len / 2}};

	(void)state;
	assert_true(fd >= 0);
	tp_fill_all(a, len, 11);
	evict(&t, a, 2 * len);
	assert_int_equal(write(fd, a, len), len);
	evict(&t, a, 2 * len);
	assert_int_equal(pread(fd, b, len, 0), len);
	assert_int_equal(tp_same_all(b, len, 11), 0);

	evict(&t, a, 2 * len);
	assert_int_equal(pwritev(fd, iov, 2, 0), len);
	memset(a, 0, len);
	evict(&t, a, 2 * len);
	assert_int_equal(preadv(fd, iov, 2, 0), len);
	assert_int_equal(tp_same_all(a, len / 2, 11), 0);
	assert_int_equal(tp_same_all(b, len / 2, 11), 0);

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	tp_fill_all(a, len, 12);
	evict(&t, a, 2 * len);
	for (size_t at = 0; at < len; at += 8 * FAR_PAGE_SIZE) {
		assert_int_equal(write(fds[1], a + at, 8 * FAR_PAGE_SIZE),
				 8 * FAR_PAGE_SIZE);
		assert_int_equal(read(fds[0], b + at, 8 * FAR_PAGE_SIZE),
				 8 * FAR_PAGE_SIZE);
	}
	assert_int_equal(tp_same_all(b, len, 12), 0);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
			 0);
	evict(&t, a, 2 * len);
	assert_int_equal(send(sv[0], a, 2 * FAR_PAGE_SIZE, 0),
			 2 * FAR_PAGE_SIZE);
	assert_int_equal(recv(sv[1], b, 2 * FAR_PAGE_SIZE, MSG_WAITALL),
			 2 * FAR_PAGE_SIZE);
	assert_int_equal(tp_same_all(b, 2 * FAR_PAGE_SIZE, 12), 0);

	evict(&t, a, 2 * len);
	memset(b, 0, FAR_PAGE_SIZE);
	assert_int_equal(getrandom(a, FAR_PAGE_SIZE, 0), FAR_PAGE_SIZE);
	assert_memory_not_equal(a, b, FAR_PAGE_SIZE);
	evict(&t, a, 2 * len);
	(void)strcpy(a, "/proc/self/status"); /* path names, too */
	evict(&t, a, 2 * len);
	assert_int_equal(access(a, R_OK), 0);

	for (int i = 0; i < 2; i++) {
		(void)close(fds[i]);
		(void)close(sv[i]);
	}
	(void)close(fd);
	tp_close(&t);
}

/* Far memory first touched by the kernel: zeros, and writes that stay. */
static void kernel_may_touch_a_page_first(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], t.mem, FAR_PAGE_SIZE), FAR_PAGE_SIZE);
	tp_fill(t.mem, 2, 3);
	assert_int_equal(read(fds[0], t.mem + 2 * FAR_PAGE_SIZE, FAR_PAGE_SIZE),
			 FAR_PAGE_SIZE);
	assert_true(tp_same(t.mem, 2, 0));
	tp_fill(t.mem, 2, 3);
	assert_int_equal(
		write(fds[1], t.mem + 2 * FAR_PAGE_SIZE, FAR_PAGE_SIZE),
		FAR_PAGE_SIZE);
	assert_int_equal(read(fds[0], t.mem + 7 * FAR_PAGE_SIZE, FAR_PAGE_SIZE),
			 FAR_PAGE_SIZE);
	evict(&t, t.mem, 16 * FAR_PAGE_SIZE);
	assert_true(tp_same(t.mem, 7, 3));
	(void)close(fds[0]);
	(void)close(fds[1]);
	tp_close(&t);
}

/* A write of the kernel to a clean page makes it dirty. */
static void kernel_writes_to_clean_pages_are_kept(void **state)
{
	const size_t len = 256 * FAR_PAGE_SIZE;
	struct tp t = tp_open("lazy=off", BIG);
	int fd = memfd_create("far-test", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	tp_fill_all(t.mem, len, 21);
	assert_int_equal(write(fd, t.mem, len), len);
	for (uint64_t r = 0; r < 4; r++) {
		tp_fill_all(t.mem, len, 5 + r);
		assert_int_equal(far_flush(t.pager, t.mem, len), 0);
		assert_int_equal(pread(fd, t.mem, len, 0), len);
		evict(&t, t.mem, len);
		assert_int_equal(tp_same_all(t.mem, len, 21), 0);
	}
	(void)close(fd);
	tp_close(&t);
}

/* --- DMA ------------------------------------------------------------------ */

#define DMA_PAGES 64

static int read_fixed(struct io_uring *ring, int fd, char *buf, size_t len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int r;

	if (!sqe)
		return -EBUSY;
	io_uring_prep_read_fixed(sqe, fd, buf, (unsigned)len, 0, 0);
	r = io_uring_submit(ring);
	if (r == 1)
		r = io_uring_wait_cqe(ring, &cqe);
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return r;
}

static void dma_lands_in_the_page_the_program_sees(void **state)
{
	const size_t len = DMA_PAGES * FAR_PAGE_SIZE;
	struct tp t = tp_open("lazy=off", BIG);
	int r, fd = memfd_create("far-test", MFD_CLOEXEC);
	struct iovec iov = {t.mem, len};
	struct io_uring ring;

	(void)state;
	if (strcmp(tp_takeout, "move")) {
		print_message("SKIP: DONTNEED cannot see DMA pins\n");
		tp_close(&t);
		skip();
	}
	assert_true(fd >= 0);
	tp_fill_all(t.mem, len, 31);
	assert_int_equal(write(fd, t.mem, len), len);
	tp_fill_all(t.mem, len, 32);
	/* clean and write-protected: what would be dropped first */
	assert_int_equal(far_flush(t.pager, t.mem, len), 0);
	r = io_uring_queue_init(8, &ring, 0);
	if (r == 0)
		r = io_uring_register_buffers(&ring, &iov, 1);
	if (r < 0) {
		print_message("SKIP: io_uring: %s\n", strerror(-r));
		tp_close(&t);
		skip();
	}
	tp_fill_all(t.mem + len, t.len - len, 1000); /* pressure */
	assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_COLD), 0);
	TP_WAIT(TP_STAT(t.pager, evict_pinned_pages) > 0, 5);
	assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	assert_int_equal(tp_same_all(t.mem, len, 32), 0);

	assert_int_equal(read_fixed(&ring, fd, t.mem, len), len);
	assert_int_equal(tp_same_all(t.mem, len, 31), 0);
	tp_fill_all(t.mem + len, t.len - len, 1000000);
	assert_int_equal(tp_resident(t.mem, len), PAGES(len));
	assert_int_equal(tp_same_all(t.mem, len, 31), 0);

	assert_int_equal(io_uring_unregister_buffers(&ring), 0);
	io_uring_queue_exit(&ring);
	/* and now they may go, with what the device wrote */
	evict(&t, t.mem, len);
	assert_int_equal(tp_same_all(t.mem, len, 31), 0);
	(void)close(fd);
	tp_close(&t);
}

/* --- wild pointers ---------------------------------------------------------
 */

struct wild {
	struct tp t;
	char *at;
};

static int touch_wild(void *arg)
{
	const struct wild *w = arg;

	return tp_touch(w->at) ? 1 : 2;
}

static int write_wild(void *arg)
{
	const struct wild *w = arg;

	*(volatile char *)w->at = 1;
	return 3;
}

static void assert_dies(int (*fn)(void *), struct wild *w)
{
	int st = tp_in_child(fn, w);

	assert_true(st == TP_SIGNAL(SIGBUS) || st == TP_SIGNAL(SIGSEGV));
}

static void wild_pointers_never_read_zeros(void **state)
{
	struct wild w = {.t = tp_open("lazy=off", BIG)};

	(void)state;
	tp_fill_all(w.t.mem, w.t.len, 1);
	w.at = w.t.mem + w.t.len; /* just behind */
	assert_dies(touch_wild, &w);
	assert_dies(write_wild, &w);
	w.at = w.t.mem + 512 * MIB;
	assert_dies(touch_wild, &w);
	w.at = w.t.mem + 20 * MIB; /* given back */
	assert_int_equal(far_unmap(w.t.pager, w.at, MIB), 0);
	assert_dies(touch_wild, &w);
	assert_dies(write_wild, &w);
	for (size_t pg = 0; pg < PAGES(w.t.len); pg++)
		if (pg < PAGES(20 * MIB) || pg >= PAGES(21 * MIB))
			assert_true(tp_same(w.t.mem, pg, 1 + pg));
	tp_close(&w.t);
}

/*
 * Asking the kernel about an address is not a crime: it says EFAULT, and
 * memory that is mapped there later is as good as any.
 */
static void probed_address_can_be_mapped_later(void **state)
{
	struct tp t = tp_open("lazy=off", MIB);
	char *behind = t.mem + t.len;
	void *mem;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	for (size_t pg = 0; pg < 4; pg++) {
		errno = 0;
		assert_int_equal(write(fds[1], behind + pg * FAR_PAGE_SIZE, 1),
				 -1);
		assert_int_equal(errno, EFAULT);
	}
	assert_int_equal(far_map(t.pager, 8 * FAR_PAGE_SIZE, 0, &mem), 0);
	assert_ptr_equal(mem, behind);
	assert_int_equal(write(fds[1], mem, FAR_PAGE_SIZE), FAR_PAGE_SIZE);
	assert_int_equal(tp_same_all(mem, 8 * FAR_PAGE_SIZE, 0), 0);
	tp_fill_all(mem, 8 * FAR_PAGE_SIZE, 1);
	evict(&t, mem, 8 * FAR_PAGE_SIZE);
	assert_int_equal(tp_same_all(mem, 8 * FAR_PAGE_SIZE, 1), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	tp_close(&t);
}

/* Behind libfar's back, and with a copy of every page in its slot. */
static void fill_and_drop(struct tp *t, size_t len)
{
	tp_fill_all(t->mem, len, 1);
	assert_int_equal(far_flush(t->pager, t->mem, len), 0);
	assert_int_equal(madvise(t->mem, len, MADV_DONTNEED), 0);
}

/* Debug builds know what happened to a page. */
static void expect_history(const struct tp *t, const char *what)
{
	int fd = memfd_create("history", MFD_CLOEXEC);
	char text[4096];
	ssize_t n;

	if (!FAR_HAS_RECORDER) {
		(void)close(fd);
		return;
	}
	recorder_print(t->pager->history, pager_page(t->pager, t->mem), fd);
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	assert_non_null(strstr(text, what));
	(void)close(fd);
}

/* The program's own madvise(2): zeros, as the manual says, not old data. */
static void dontneed_of_the_program_reads_zeros(void **state)
{
	const size_t len = 64 * FAR_PAGE_SIZE;
	struct tp t = tp_open("lazy=off", BIG);

	(void)state;
	fill_and_drop(&t, len);
	assert_int_equal(tp_same_all(t.mem, len, 0), 0);
	TP_WAIT(TP_STAT(t.pager, gone_pages) == PAGES(len), 5);
	TP_WAIT(tp_logged("are gone and read as zeros"), 5);
	expect_history(&t, "ms ago: missing, word");
	evict(&t, t.mem, len);
	assert_int_equal(tp_same_all(t.mem, len, 0), 0);
	tp_close(&t);
}

/* The same when an evictor finds the page gone, although a copy lies there. */
static void dontneed_before_eviction_reads_zeros(void **state)
{
	const size_t len = 64 * FAR_PAGE_SIZE;
	struct tp t = tp_open("lazy=off", BIG);

	(void)state;
	fill_and_drop(&t, len);
	TP_WAIT(far_advise(t.pager, t.mem, len, FAR_ADV_COLD) == 0 &&
			TP_STAT(t.pager, gone_pages) == PAGES(len),
		5);
	assert_int_equal(tp_same_all(t.mem, len, 0), 0);
	tp_close(&t);
}

/* --- page tables that change meanwhile -------------------------------------
 */

struct ager {
	const struct tp *t;
	_Atomic bool stop;
	pthread_t thread;
};

/* What DAMON and reclaim do as well: accessed bits go. */
static void *age_all_the_time(void *arg)
{
	struct ager *a = arg;

	for (size_t at = 0; !atomic_load(&a->stop); at += FAR_PAGE_SIZE)
		(void)madvise(a->t->mem + at % a->t->len, FAR_PAGE_SIZE,
			      MADV_COLD);
	return NULL;
}

/* Linux 6.18 moves a page whose entry changes at that moment, and says that it
 * did not: so with the first page of every run, of which there are many here.
 */
static void aged_pages_are_not_lost(void **state)
{
	const size_t nr = 512;
	struct tp t = tp_open("lazy=off", nr * FAR_PAGE_SIZE);
	struct ager a = {.t = &t};

	(void)state;
	assert_int_equal(pthread_create(&a.thread, NULL, age_all_the_time, &a),
			 0);
	for (uint64_t i = 1; i <= 200; i++) {
		for (size_t pg = 0; pg < nr; pg += 2)
			tp_fill(t.mem, pg, i << 32 | pg);
		evict(&t, t.mem, t.len);
		for (size_t pg = 0; pg < nr; pg += 2)
			assert_true(tp_same(t.mem, pg, i << 32 | pg));
	}
	atomic_store(&a.stop, true);
	assert_int_equal(pthread_join(a.thread, NULL), 0);
	assert_int_equal(TP_STAT(t.pager, gone_pages), 0);
	tp_close(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed_descriptors_change_nothing),
		cmocka_unit_test(system_calls_take_evicted_buffers),
		cmocka_unit_test(kernel_may_touch_a_page_first),
		cmocka_unit_test(kernel_writes_to_clean_pages_are_kept),
		cmocka_unit_test(dma_lands_in_the_page_the_program_sees),
		cmocka_unit_test(wild_pointers_never_read_zeros),
		cmocka_unit_test(probed_address_can_be_mapped_later),
		cmocka_unit_test(dontneed_of_the_program_reads_zeros),
		cmocka_unit_test(dontneed_before_eviction_reads_zeros),
		cmocka_unit_test(aged_pages_are_not_lost),
	};

	return tp_main(argc, argv, "pager.system", tests);
}
