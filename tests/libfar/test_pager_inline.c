/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults served in the thread that has them. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG (4 * TP_LIMIT)
#define NR_THREADS 6
#define CHUNK (2 * MIB)

/* Whatever is faster here: test_pager_service.c has that. */
static struct tp open_inline(const char *conf, size_t len)
{
	char text[256];
	struct tp t;
	void *mem;

	(void)snprintf(text, sizeof(text), "fault=inline;%s", conf);
	t = tp_open(text, 0);
	assert_int_equal(far_map_inline(t.pager, len, 0, &mem), 0);
	t.mem = mem;
	t.len = len;
	return t;
}

/* --- serving ----------------------------------------------------------------
 */

static void serves_without_monitors(void **state)
{
	struct tp t = open_inline("lazy=off", BIG);

	(void)state;
	assert_int_equal(tp_same_all(t.mem, t.len, 0), 0);
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	tp_fill_all(t.mem, t.len, 2);
	assert_int_equal(tp_same_all(t.mem, t.len, 2), 0);
	assert_true(TP_STAT(t.pager, faults_remote) > PAGES(TP_LIMIT));
	assert_int_equal(TP_STAT(t.pager, faults_inline),
			 TP_STAT(t.pager, faults_missing));
	assert_true(TP_STAT(t.pager, faults_write_protect) > 0);
	assert_true(TP_STAT(t.pager, local_peak_bytes) <= TP_LIMIT);
	assert_int_equal(TP_STAT(t.pager, gone_pages), 0);
	tp_close(&t);
}

static void serves_over_lz4(void **state)
{
	struct tp t = open_inline("lazy=off;far=lz4:256M", BIG);

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	assert_true(TP_STAT(t.pager, faults_inline) > PAGES(TP_LIMIT));
	tp_close(&t);
}

/* Mapped, and written to, before anything is intercepted. */
static void arms_with_inline_memory(void **state)
{
	struct tp t = tp_open("local=32M;fault=inline", 0);
	void *a, *b;

	(void)state;
	assert_int_equal(far_map_inline(t.pager, 8 * MIB, 0, &a), 0);
	tp_fill_all(a, 8 * MIB, 1);
	assert_int_equal(TP_STAT(t.pager, is_armed), 0);
	assert_int_equal(far_map_inline(t.pager, BIG, 0, &b), 0);
	assert_int_equal(TP_STAT(t.pager, is_armed), 1);
	tp_fill_all(b, BIG, 2);
	assert_int_equal(tp_same_all(a, 8 * MIB, 1), 0);
	assert_int_equal(tp_same_all(b, BIG, 2), 0);
	assert_int_equal(TP_STAT(t.pager, faults_inline),
			 TP_STAT(t.pager, faults_missing));
	tp_close(&t);
}

struct part {
	struct tp *t;
	unsigned index;
	size_t wrong;
	pthread_t thread;
};

/* All threads work on neighbouring pages: they meet owners of pages. */
static void *work(void *arg)
{
	struct part *p = arg;

	for (uint64_t r = 1; r <= 2; r++)
		for (size_t pg = p->index; pg < PAGES(p->t->len);
		     pg += NR_THREADS) {
			if (r > 1)
				p->wrong += !tp_same(p->t->mem, pg, r - 1 + pg);
			tp_fill(p->t->mem, pg, r + pg);
		}
	return NULL;
}

static void many_threads_serve_themselves(void **state)
{
	struct tp t = open_inline("lazy=off", BIG);
	struct part parts[NR_THREADS];

	(void)state;
	for (unsigned i = 0; i < NR_THREADS; i++) {
		parts[i] = (struct part){.t = &t, .index = i};
		assert_int_equal(
			pthread_create(&parts[i].thread, NULL, work, &parts[i]),
			0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		assert_int_equal(pthread_join(parts[i].thread, NULL), 0);
		assert_int_equal(parts[i].wrong, 0);
	}
	assert_int_equal(tp_same_all(t.mem, t.len, 2), 0);
	assert_true(TP_STAT(t.pager, local_peak_bytes) <= TP_LIMIT);
	tp_close(&t);
}

/* Threads that touch the same page at once: one serves, the others wait. */
static void *read_all(void *arg)
{
	struct part *p = arg;

	p->wrong = tp_same_all(p->t->mem, p->t->len, 1);
	return NULL;
}

static void threads_share_pages(void **state)
{
	struct tp t = open_inline("lazy=off;far=lz4:256M", BIG);
	struct part parts[NR_THREADS];

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		parts[i] = (struct part){.t = &t};
		assert_int_equal(pthread_create(&parts[i].thread, NULL,
						read_all, &parts[i]),
				 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		assert_int_equal(pthread_join(parts[i].thread, NULL), 0);
		assert_int_equal(parts[i].wrong, 0);
	}
	tp_close(&t);
}

static void both_kinds_side_by_side(void **state)
{
	struct tp t = tp_open("lazy=off;fault=inline", 7 * MIB);
	void *in, *more;

	(void)state;
	assert_int_equal(far_map_inline(t.pager, 24 * MIB, 0, &in), 0);
	assert_int_equal(far_map(t.pager, 24 * MIB, 0, &more), 0);
	tp_fill_all(t.mem, t.len, 1);
	tp_fill_all(in, 24 * MIB, 2);
	tp_fill_all(more, 24 * MIB, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
		assert_int_equal(tp_same_all(in, 24 * MIB, 2), 0);
		assert_int_equal(tp_same_all(more, 24 * MIB, 3), 0);
	}
	assert_true(TP_STAT(t.pager, faults_inline) > 0);
	assert_true(TP_STAT(t.pager, faults_inline) <
		    TP_STAT(t.pager, faults_missing));
	tp_close(&t);
}

static void unmapped_chunks_serve_either_kind(void **state)
{
	struct tp t = open_inline("lazy=off", 8 * MIB);
	char *mem = t.mem;
	uint64_t before;
	void *again, *other;

	(void)state;
	tp_fill_all(mem, 8 * MIB, 1);
	assert_int_equal(far_unmap(t.pager, mem + FAR_PAGE_SIZE, CHUNK),
			 -EINVAL);
	/* both kinds at once, and what is not mapped */
	assert_int_equal(far_map(t.pager, 4 * MIB, CHUNK, &other), 0);
	assert_ptr_equal(other, mem + 8 * MIB);
	tp_fill_all(other, 4 * MIB, 3);
	assert_int_equal(far_unmap(t.pager, mem + 6 * MIB, 4 * MIB), -EINVAL);
	assert_int_equal(tp_same_all(mem, 8 * MIB, 1), 0);
	assert_int_equal(tp_same_all(other, 4 * MIB, 3), 0);
	assert_int_equal(far_unmap(t.pager, other, 4 * MIB), 0);
	assert_int_equal(far_unmap(t.pager, mem, 8 * MIB - 1), 0);
	assert_int_equal(far_map(t.pager, 8 * MIB, CHUNK, &again), 0);
	assert_ptr_equal(again, mem);
	before = TP_STAT(t.pager, faults_inline);
	assert_int_equal(tp_same_all(mem, 8 * MIB, 0), 0);
	assert_int_equal(TP_STAT(t.pager, faults_inline), before);
	assert_int_equal(far_unmap(t.pager, mem, 8 * MIB), 0);
	assert_int_equal(far_map_inline(t.pager, 5 * MIB, 0, &again), 0);
	assert_ptr_equal(again, mem);
	assert_int_equal(tp_same_all(mem, 5 * MIB, 0), 0);
	assert_true(TP_STAT(t.pager, faults_inline) > before);
	tp_close(&t);
}

static void program_may_drop_and_discard(void **state)
{
	const size_t len = 64 * FAR_PAGE_SIZE;
	struct tp t = open_inline("lazy=off", BIG);

	(void)state;
	tp_fill_all(t.mem, len, 1);
	assert_int_equal(madvise(t.mem, len, MADV_DONTNEED), 0);
	assert_int_equal(tp_same_all(t.mem, len, 0), 0);
	tp_fill_all(t.mem, len, 2);
	assert_int_equal(far_flush(t.pager, t.mem, len), 0);
	tp_fill_all(t.mem, len, 3);
	assert_true(tp_evict(t.pager, t.mem, len));
	assert_int_equal(tp_same_all(t.mem, len, 3), 0);
	assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_DISCARD), 0);
	assert_int_equal(tp_same_all(t.mem, len, 0), 0);
	tp_close(&t);
}

/* Under the hands of an evictor, which must not touch what is not there. */
static void program_may_drop_what_is_leaving(void **state)
{
	const size_t len = 256 * FAR_PAGE_SIZE;
	struct tp t;

	(void)state;
	t = open_inline("lazy=off", CHUNK);
	for (unsigned i = 0; i < 300; i++) {
		tp_fill_all(t.mem, len, 1 + i);
		assert_int_equal(far_advise(t.pager, t.mem, len, FAR_ADV_COLD),
				 0);
		for (unsigned k = 0; k < i % 64; k++)
			(void)sched_yield();
		assert_int_equal(madvise(t.mem, len, MADV_DONTNEED), 0);
	}
	tp_fill_all(t.mem, len, 7);
	assert_true(tp_evict(t.pager, t.mem, len));
	assert_int_equal(tp_same_all(t.mem, len, 7), 0);
	tp_close(&t);
}

/* --- choosing ---------------------------------------------------------------
 */

static void choice_follows_the_configuration(void **state)
{
	struct tp t = tp_open("lazy=off;fault=monitor", 0);
	void *mem;

	(void)state;
	assert_int_equal(far_map_inline(t.pager, MIB, 0, &mem), 0);
	tp_fill_all(mem, MIB, 1);
	assert_int_equal(TP_STAT(t.pager, faults_inline), 0);
	tp_close(&t);

	/* a filter's queue may not be entered from a handler */
	t = tp_open("lazy=off;far=delay:read=1us|mem:64M", 0);
	assert_int_equal(far_map_inline(t.pager, MIB, 0, &mem), 0);
	tp_fill_all(mem, MIB, 1);
	assert_int_equal(TP_STAT(t.pager, faults_inline), 0);
	tp_close(&t);

	t = tp_open("lazy=off;fault=inline;far=delay:read=1us|mem:64M", 0);
	tp_log_clear();
	assert_int_equal(far_map_inline(t.pager, MIB, 0, &mem), -ENOTSUP);
	TP_WAIT(tp_logged("fix: fault=auto"), 5);
	tp_close(&t);
}

static void more_pagers_than_the_handler_knows(void **state)
{
	struct tp t[20];
	unsigned nr = 0;
	void *mem;
	int r = 0;

	(void)state;
	for (; nr < FAR_ARRAY_SIZE(t) && r == 0; nr++) {
		t[nr] = tp_open("lazy=off;fault=inline", 0);
		r = far_map_inline(t[nr].pager, MIB, 0, &mem);
		if (r == 0)
			tp_fill_all(mem, MIB, nr);
	}
	assert_int_equal(r, -EMFILE);
	assert_true(nr > 10);
	assert_int_equal(far_map_inline(t[nr - 1].pager, MIB, 0, &mem),
			 -EMFILE);
	tp_close(&t[0]);
	assert_int_equal(far_map_inline(t[nr - 1].pager, MIB, 0, &mem), 0);
	tp_fill_all(mem, MIB, 1);
	assert_int_equal(tp_same_all(mem, MIB, 1), 0);
	for (unsigned i = 1; i < nr; i++)
		tp_close(&t[i]);
}

static int map_in_child(void *arg)
{
	struct tp *t = arg;
	void *mem;

	if (far_map_inline(t->pager, MIB, 0, &mem) < 0)
		return 1;
	tp_fill_all(mem, MIB, 1);
	return tp_same_all(mem, MIB, 1) ? 2 : 0;
}

static void idle_child_may_begin(void **state)
{
	struct tp t = tp_open("", MIB);

	(void)state;
	assert_int_equal(tp_in_child(map_in_child, &t), 0);
	tp_close(&t);
}

/* --- system calls -----------------------------------------------------------
 */

static void system_calls_need_preparing(void **state)
{
	const size_t len = 32 * FAR_PAGE_SIZE;
	struct tp t = open_inline("lazy=off", BIG);
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	tp_fill_all(t.mem, len, 1);
	assert_true(tp_evict(t.pager, t.mem, len));
	assert_int_equal(write(fds[1], t.mem, 1), -1);
	assert_int_equal(errno, EFAULT);
	/* odd ends: whole pages are prepared */
	assert_int_equal(far_prepare(t.pager, t.mem + 1, len - 2, 0), 0);
	assert_int_equal(write(fds[1], t.mem, 8 * FAR_PAGE_SIZE),
			 8 * FAR_PAGE_SIZE);
	far_release(t.pager, t.mem + 1, len - 2);
	assert_true(tp_evict(t.pager, t.mem, 8 * FAR_PAGE_SIZE));
	assert_int_equal(far_prepare(t.pager, t.mem, 8 * FAR_PAGE_SIZE, 1), 0);
	/* stays writable for the kernel, whatever else is asked for */
	assert_int_equal(far_flush(t.pager, t.mem, len), 0);
	assert_int_equal(read(fds[0], t.mem, 8 * FAR_PAGE_SIZE),
			 8 * FAR_PAGE_SIZE);
	far_release(t.pager, t.mem, 8 * FAR_PAGE_SIZE);
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	assert_true(tp_evict(t.pager, t.mem, len));
	assert_int_equal(tp_same_all(t.mem, len, 1), 0);
	assert_int_equal(far_prepare(t.pager, fds, 1, 0), -EINVAL);
	assert_int_equal(far_prepare(t.pager, t.mem, t.len, 0), -EDQUOT);
	(void)close(fds[0]);
	(void)close(fds[1]);
	tp_close(&t);
}

/* Moves @len bytes by @out and @in, each as far as it likes. */
static void checked_calls_take_any_buffer(void **state)
{
	const size_t len = 16 * FAR_PAGE_SIZE;
	struct tp t = open_inline("lazy=off", BIG);
	char *src = t.mem, *dst = t.mem + 20 * MIB, near[64] = "near";
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	for (int i = 0; i < 2; i++) {
		tp_fill_all(src, len, 1);
		tp_fill_all(dst, len, 9);
		assert_int_equal(far_flush(t.pager, dst, len), 0);
		assert_true(tp_evict(t.pager, src, len));
		if (i)
			assert_true(tp_evict(t.pager, dst, len));
		assert_int_equal(i ? far_send(t.pager, sv[0], src, len, 0)
				   : far_write(t.pager, sv[0], src, len),
				 (ssize_t)len);
		for (size_t n = 0; n < len;) {
			ssize_t r =
				i ? far_recv(t.pager, sv[1], dst + n, len - n,
					     0)
				  : far_read(t.pager, sv[1], dst + n, len - n);

			assert_true(r > 0);
			n += (size_t)r;
		}
		assert_int_equal(tp_same_all(dst, len, 1), 0);
	}
	assert_int_equal(far_write(t.pager, sv[0], near, 5), 5);
	assert_int_equal(far_read(t.pager, sv[1], near + 8, 5), 5);
	assert_string_equal(near + 8, "near");
	assert_int_equal(far_read(t.pager, -1, dst, 8), -EBADF);
	assert_int_equal(far_write(NULL, sv[0], near, 5), -EINVAL);
	(void)close(sv[0]);
	(void)close(sv[1]);
	tp_close(&t);
}

static void messages_stay_whole(void **state)
{
	struct tp t = open_inline("lazy=off", BIG);
	const size_t len = 100000;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	tp_fill_all(t.mem, MIB, 1);
	assert_int_equal(far_send(t.pager, sv[0], t.mem, len, 0), (ssize_t)len);
	assert_int_equal(far_recv(t.pager, sv[1], t.mem + 4 * MIB, 2 * MIB, 0),
			 (ssize_t)len);
	assert_memory_equal(t.mem, t.mem + 4 * MIB, len);
	assert_int_equal(far_recv(t.pager, sv[1], t.mem, t.len, 0), -EDQUOT);
	(void)close(sv[0]);
	(void)close(sv[1]);
	tp_close(&t);
}

static void files_are_read_and_written(void **state)
{
	const size_t len = 3 * MIB;
	struct tp t = open_inline("lazy=off", BIG);
	char *src = t.mem, *dst = t.mem + 8 * MIB;
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	tp_fill_all(src, len, 1);
	for (size_t n = 0; n < len;) {
		ssize_t r = far_pwrite(t.pager, fd, src + n, len - n, (off_t)n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	for (size_t n = 0; n < len;) {
		ssize_t r = far_pread(t.pager, fd, dst + n, len - n, (off_t)n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_int_equal(tp_same_all(dst, len, 1), 0);
	(void)close(fd);
	tp_close(&t);
}

/* --- the program around it --------------------------------------------------
 */

/* tp_child(), which would take the handler away */
static pid_t child(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)alarm(20);
		_exit(fn(arg));
	}
	return pid;
}

static int close_all(void *arg)
{
	struct tp *t = arg;

	if (close_range(3, UINT_MAX, 0) < 0)
		return 2;
	/* something else has those numbers now */
	for (int i = 0; i < 300; i++)
		(void)dup(1);
	for (uint64_t key = 2; key < 4; key++) {
		tp_fill_all(t->mem, t->len, key);
		if (far_flush(t->pager, t->mem, MIB) < 0 ||
		    tp_same_all(t->mem, t->len, key))
			return 1;
	}
	return 0;
}

static void closed_descriptors_change_nothing(void **state)
{
	struct tp t = open_inline("lazy=off", BIG);

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(tp_status(child(close_all, &t)), 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	tp_close(&t);
}

static int write_in_child(void *arg)
{
	struct tp *t = arg;

	if (tp_same_all(t->mem, t->len, 1))
		return 1;
	tp_fill_all(t->mem, t->len, 2);
	return tp_same_all(t->mem, t->len, 2) ? 2 : 0;
}

static void forked_child_serves_itself(void **state)
{
	struct tp t = open_inline("lazy=off", BIG);
	struct tp u = tp_open("local=32M", 0);
	void *mem;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	for (int i = 0; i < 3; i++) {
		pid_t pid = child(write_in_child, &t);

		assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
		assert_int_equal(tp_status(pid), 0);
	}
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	/* and where nothing is intercepted yet */
	assert_int_equal(far_map_inline(u.pager, 8 * MIB, 0, &mem), 0);
	tp_fill_all(mem, 8 * MIB, 1);
	u.mem = mem;
	u.len = 8 * MIB;
	assert_int_equal(tp_status(child(write_in_child, &u)), 0);
	assert_int_equal(tp_same_all(u.mem, u.len, 1), 0);
	tp_close(&u);
	tp_close(&t);
}

static sigjmp_buf back;
static _Atomic int nr_foreign;

static void foreign(int sig, siginfo_t *si, void *context)
{
	if (far_sigbus(sig, si, context))
		return;
	atomic_fetch_add(&nr_foreign, 1);
	siglongjmp(back, 1);
}

/* Status 0: a SIGBUS that is not ours reached the handler from before. */
static int other_sigbus(void *arg)
{
	const struct sigaction act = {.sa_sigaction = foreign,
				      .sa_flags = SA_SIGINFO};
	int fd = memfd_create("empty", MFD_CLOEXEC);
	volatile char *beyond =
		mmap(NULL, FAR_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	struct tp t;

	(void)arg;
	(void)sigaction(SIGBUS, &act, NULL);
	t = open_inline("lazy=off", BIG);
	tp_fill_all(t.mem, t.len, 1);
	if (sigsetjmp(back, 1) == 0)
		(void)*beyond;
	if (atomic_load(&nr_foreign) != 1)
		return 1;
	/* set again by the program: it asks us */
	(void)sigaction(SIGBUS, &act, NULL);
	return tp_same_all(t.mem, t.len, 1) ? 2 : 0;
}

/* Only ever ours: the default action is what a stranger gets. */
static int default_sigbus(void *arg)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	volatile char *beyond =
		mmap(NULL, FAR_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	struct tp t;

	(void)arg;
	(void)signal(SIGBUS, SIG_DFL);
	t = open_inline("lazy=off", BIG);
	tp_fill_all(t.mem, t.len, 1);
	return *beyond;
}

static int sent_sigbus(void *arg)
{
	struct tp t;

	(void)arg;
	(void)signal(SIGBUS, SIG_IGN);
	t = open_inline("lazy=off", BIG);
	(void)raise(SIGBUS); /* ignored, as the program wants it */
	tp_fill_all(t.mem, t.len, 1);
	return tp_same_all(t.mem, t.len, 1) ? 1 : 0;
}

static void sigbus_of_others_goes_on(void **state)
{
	(void)state;
	assert_int_equal(tp_in_child(other_sigbus, NULL), 0);
	assert_int_equal(tp_in_child(default_sigbus, NULL), TP_SIGNAL(SIGBUS));
	assert_int_equal(tp_in_child(sent_sigbus, NULL), 0);
}

static void *work_on_small_stack(void *arg)
{
	struct part *p = arg;

	if (far_inline_stack() < 0 || far_inline_stack() < 0)
		p->wrong = 1;
	else
		p->wrong = tp_same_all(p->t->mem, p->t->len, 1);
	return NULL;
}

static void handler_has_a_stack_of_its_own(void **state)
{
	struct tp t = open_inline("lazy=off;far=zstd:256M", BIG);
	struct part p = {.t = &t};
	pthread_attr_t attr;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	(void)pthread_attr_init(&attr);
	assert_int_equal(
		pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&p.thread, &attr,
						work_on_small_stack, &p),
				 0);
		assert_int_equal(pthread_join(p.thread, NULL), 0);
		assert_int_equal(p.wrong, 0);
	}
	(void)pthread_attr_destroy(&attr);
	tp_close(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_without_monitors),
		cmocka_unit_test(serves_over_lz4),
		cmocka_unit_test(arms_with_inline_memory),
		cmocka_unit_test(many_threads_serve_themselves),
		cmocka_unit_test(threads_share_pages),
		cmocka_unit_test(both_kinds_side_by_side),
		cmocka_unit_test(unmapped_chunks_serve_either_kind),
		cmocka_unit_test(program_may_drop_and_discard),
		cmocka_unit_test(program_may_drop_what_is_leaving),
		cmocka_unit_test(choice_follows_the_configuration),
		cmocka_unit_test(more_pagers_than_the_handler_knows),
		cmocka_unit_test(idle_child_may_begin),
		cmocka_unit_test(system_calls_need_preparing),
		cmocka_unit_test(checked_calls_take_any_buffer),
		cmocka_unit_test(messages_stay_whole),
		cmocka_unit_test(files_are_read_and_written),
		cmocka_unit_test(closed_descriptors_change_nothing),
		cmocka_unit_test(forked_child_serves_itself),
		cmocka_unit_test(sigbus_of_others_goes_on),
		cmocka_unit_test(handler_has_a_stack_of_its_own),
	};

	return tp_main(argc, argv, "pager.inline", tests);
}
