/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/uffd/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/base/clock.h"

#define NR 16
#define PG FAR_PAGE_SIZE

static struct far_uffd_info info;
static char page_of_a[FAR_PAGE_SIZE];

/* A fresh range, registered with a fresh descriptor. */
struct range {
	int fd;
	char *mem;
};

static struct range range_open(bool wp)
{
	struct range r;

	r.fd = far_uffd_open(false, &info);
	assert_true(r.fd >= 0);
	r.mem = mmap(NULL, NR * PG, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r.mem, MAP_FAILED);
	(void)madvise(r.mem, NR * PG, MADV_NOHUGEPAGE);
	assert_int_equal(far_uffd_register(r.fd, r.mem, NR * PG, wp), 0);
	return r;
}

static void range_close(struct range *r)
{
	(void)munmap(r->mem, NR * PG);
	(void)close(r->fd);
}

static bool all_are(const char *page, char c)
{
	for (size_t i = 0; i < PG; i++)
		if (page[i] != c)
			return false;
	return true;
}

/* --- a thread that touches a page ------------------------------------------
 */

struct toucher {
	char *at;
	char value; /* written if not 0, else what was read */
	pthread_t thread;
	_Atomic bool is_done;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	/* atomic: the test looks at the byte while this thread is held up */
	if (t->value)
		__atomic_store_n(t->at, t->value, __ATOMIC_RELAXED);
	else
		t->value = __atomic_load_n(t->at, __ATOMIC_RELAXED);
	atomic_store(&t->is_done, true);
	return NULL;
}

static void touch_begin(struct toucher *t, char *at, char value)
{
	memset(t, 0, sizeof(*t));
	t->at = at;
	t->value = value;
	assert_int_equal(pthread_create(&t->thread, NULL, touch, t), 0);
}

static char touch_end(struct toucher *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	return t->value;
}

/* The next message; fails after 5 s without one. */
static struct far_uffd_msg next_msg(int fd)
{
	const struct timespec ts = {.tv_nsec = 1000000};
	struct far_uffd_msg msg;

	for (int i = 0; i < 5000; i++) {
		int n = far_uffd_read(fd, &msg, 1);

		assert_true(n >= 0);
		if (n == 1)
			return msg;
		(void)nanosleep(&ts, NULL);
	}
	fail_msg("no fault message");
	return msg;
}

/* --- tests ------------------------------------------------------------------
 */

static void open_says_how_and_what(void **state)
{
	int fd = far_uffd_open(false, &info);

	(void)state;
	assert_true(fd >= 0);
	assert_true(info.way == FAR_UFFD_DEVICE ||
		    info.way == FAR_UFFD_SYSCALL);
	assert_true(info.features & FAR_UFFD_WP);
	assert_true(info.kernel_features);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	(void)close(fd);
}

static void explanation_names_the_fix(void **state)
{
	struct far_uffd_info bad = {.way = FAR_UFFD_NONE,
				    .device_err = -EACCES,
				    .syscall_err = -EPERM};
	char text[512], small[16];

	(void)state;
	far_uffd_explain(&bad, text, sizeof(text));
	assert_non_null(strstr(text, "; fix: "));
	assert_non_null(strstr(text, "/dev/userfaultfd"));
	assert_non_null(strstr(text, "Permission denied"));
	assert_non_null(strstr(text, "Operation not permitted"));
	memset(small, 'x', sizeof(small));
	far_uffd_explain(&bad, small, sizeof(small));
	assert_int_equal(strlen(small), sizeof(small) - 1);
	bad.way = FAR_UFFD_SYSCALL; /* opened, but no write-protect */
	far_uffd_explain(&bad, text, sizeof(text));
	assert_non_null(strstr(text, "; fix: "));
}

/* Without any right: in a child that has given them up. */
static int open_as_nobody(void)
{
	struct far_uffd_info i;
	char text[512];
	int fd;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 77;
	fd = far_uffd_open(false, &i);
	if (fd >= 0)
		return 77; /* everybody may, here */
	if (fd != -EPERM && fd != -EACCES && fd != -ENOSYS)
		return 1;
	if (i.way != FAR_UFFD_NONE || !i.device_err || !i.syscall_err)
		return 2;
	far_uffd_explain(&i, text, sizeof(text));
	if (!strstr(text, "; fix: "))
		return 3;
	fd = far_uffd_open(true, &i); /* the lesser way is open to all */
	if (fd < 0)
		return fd == i.user_only_err ? 0 : 4;
	return i.way == FAR_UFFD_USER_ONLY ? 0 : 5;
}

static void refusal_is_told_apart(void **state)
{
	int st = -1;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(open_as_nobody());
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st));
	if (WEXITSTATUS(st) == 77) {
		print_message("SKIP: cannot become a user without rights\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(st), 0);
}

static void copy_serves_a_missing_fault(void **state)
{
	struct range r = range_open(true);
	struct far_uffd_msg msg, none;
	struct toucher t;

	(void)state;
	assert_int_equal(far_uffd_read(r.fd, &none, 1), 0); /* nothing yet */
	touch_begin(&t, r.mem + 3 * PG + 100, 0);
	msg = next_msg(r.fd);
	assert_int_equal(msg.kind, FAR_UFFD_FAULT_MISSING);
	assert_false(msg.is_write);
	assert_ptr_equal((char *)(msg.addr & ~FAR_PAGE_MASK), r.mem + 3 * PG);
	assert_false(atomic_load(&t.is_done));
	assert_int_equal(far_uffd_copy(r.fd, r.mem + 3 * PG, page_of_a, 0), 0);
	assert_int_equal(touch_end(&t), 'a');
	assert_true(all_are(r.mem + 3 * PG, 'a'));
	assert_int_equal(far_uffd_copy(r.fd, r.mem + 3 * PG, page_of_a, 0),
			 -EEXIST);
	assert_int_equal(far_uffd_read(r.fd, &none, 1), 0);
	range_close(&r);
}

static void copy_elsewhere_is_refused(void **state)
{
	struct range r = range_open(true);
	char *other = mmap(NULL, PG, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_int_equal(far_uffd_copy(r.fd, other, page_of_a, 0), -ENOENT);
	assert_int_equal(far_uffd_register(r.fd, other + 1, PG, true), -EINVAL);
	(void)munmap(other, PG);
	range_close(&r);
}

static void copy_range_tells_how_far_it_came(void **state)
{
	struct range r = range_open(true);
	char *src = calloc(8, PG);

	(void)state;
	assert_non_null(src);
	memset(src, 'b', 8 * PG);
	assert_int_equal(far_uffd_copy_range(r.fd, r.mem, src, 8, 0), 8);
	for (int i = 0; i < 8; i++)
		assert_true(all_are(r.mem + i * PG, 'b'));
	/* page 12 is there already */
	assert_int_equal(far_uffd_copy(r.fd, r.mem + 12 * PG, page_of_a, 0), 0);
	assert_int_equal(far_uffd_copy_range(r.fd, r.mem + 10 * PG, src, 6, 0),
			 2);
	assert_int_equal(far_uffd_copy_range(r.fd, r.mem + 12 * PG, src, 2, 0),
			 -EEXIST);
	assert_true(all_are(r.mem + 12 * PG, 'a'));
	free(src);
	range_close(&r);
}

static void first_write_to_a_protected_page_is_told(void **state)
{
	struct range r = range_open(true);
	struct far_uffd_msg msg, none;
	struct toucher t;

	(void)state;
	assert_int_equal(
		far_uffd_copy(r.fd, r.mem, page_of_a, FAR_COPY_PROTECT), 0);
	touch_begin(&t, r.mem, 0); /* reading is free */
	assert_int_equal(touch_end(&t), 'a');
	assert_int_equal(far_uffd_read(r.fd, &none, 1), 0);
	touch_begin(&t, r.mem + 5, 'w');
	msg = next_msg(r.fd);
	assert_int_equal(msg.kind, FAR_UFFD_FAULT_WP);
	assert_true(msg.is_write);
	/* not yet */
	assert_int_equal(__atomic_load_n(r.mem + 5, __ATOMIC_RELAXED), 'a');
	assert_int_equal(far_uffd_protect(r.fd, r.mem, PG, false), 0);
	(void)touch_end(&t);
	assert_int_equal(r.mem[5], 'w');
	assert_int_equal(far_uffd_protect(r.fd, r.mem, PG, true), 0);
	touch_begin(&t, r.mem + 6, 'x'); /* once more */
	assert_int_equal(next_msg(r.fd).kind, FAR_UFFD_FAULT_WP);
	assert_int_equal(far_uffd_protect(r.fd, r.mem, PG, false), 0);
	(void)touch_end(&t);
	range_close(&r);
}

static void wake_lets_a_waiter_look_again(void **state)
{
	struct range r = range_open(true);
	struct toucher t;

	(void)state;
	touch_begin(&t, r.mem, 0);
	assert_int_equal(next_msg(r.fd).kind, FAR_UFFD_FAULT_MISSING);
	assert_int_equal(far_uffd_wake(r.fd, r.mem, PG), 0);
	/* it faults again: a second message of the same page */
	assert_int_equal(next_msg(r.fd).kind, FAR_UFFD_FAULT_MISSING);
	assert_int_equal(far_uffd_copy(r.fd, r.mem, page_of_a, 0), 0);
	assert_int_equal(touch_end(&t), 'a');
	range_close(&r);
}

static void need(unsigned feature, const char *what)
{
	if (info.features & feature)
		return;
	print_message("SKIP: this kernel has no %s\n", what);
	skip();
}

static void move_takes_pages_up_to_a_hole(void **state)
{
	struct range r, dst;
	unsigned char vec[NR];
	size_t moved = 99;

	(void)state;
	need(FAR_UFFD_MOVE, "UFFDIO_MOVE");
	r = range_open(true);
	dst.mem = mmap(NULL, NR * PG, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(dst.mem, MAP_FAILED);
	assert_int_equal(far_uffd_register(r.fd, dst.mem, NR * PG, false), 0);
	for (int i = 0; i < NR; i++) {
		if (i == 4 || i == 5)
			continue;
		memset(page_of_a, 'A' + i, PG);
		assert_int_equal(far_uffd_copy(r.fd, r.mem + i * PG, page_of_a,
					       i % 2 != 0),
				 0);
	}
	memset(page_of_a, 'a', PG);
	assert_int_equal(far_uffd_move(r.fd, dst.mem, r.mem, NR * PG, &moved),
			 -EAGAIN); /* some, not all */
	assert_int_equal(moved, 4 * PG);
	assert_int_equal(far_uffd_move(r.fd, dst.mem + 4 * PG, r.mem + 4 * PG,
				       (NR - 4) * PG, &moved),
			 -ENOENT);
	assert_int_equal(moved, 0);
	assert_int_equal(far_uffd_move(r.fd, dst.mem + 6 * PG, r.mem + 6 * PG,
				       (NR - 6) * PG, &moved),
			 0);
	assert_int_equal(moved, (NR - 6) * PG);
	assert_int_equal(mincore(r.mem, NR * PG, vec), 0);
	for (int i = 0; i < NR; i++)
		assert_false(vec[i] & 1);
	for (int i = 0; i < NR; i++)
		if (i != 4 && i != 5)
			assert_true(all_are(dst.mem + i * PG, (char)('A' + i)));
	/* and one of them back; its place is empty, the next one is taken */
	assert_int_equal(far_uffd_copy(r.fd, r.mem + PG, page_of_a, 0), 0);
	assert_int_equal(far_uffd_move(r.fd, r.mem, dst.mem, 2 * PG, &moved),
			 -EAGAIN);
	assert_int_equal(moved, PG);
	assert_int_equal(
		far_uffd_move(r.fd, r.mem + PG, dst.mem + PG, PG, &moved),
		-EEXIST);
	assert_int_equal(moved, 0);
	assert_true(all_are(r.mem, 'A'));
	assert_true(all_are(r.mem + PG, 'a'));
	assert_true(all_are(dst.mem + PG, 'B'));
	(void)munmap(dst.mem, NR * PG);
	range_close(&r);
}

static void poisoned_page_kills_who_touches_it(void **state)
{
	struct range r;
	int st = -1;
	pid_t pid;

	(void)state;
	need(FAR_UFFD_POISON, "UFFDIO_POISON");
	pid = fork();
	if (pid == 0) {
		/* the child's own: registration is not inherited */
		r = range_open(true);
		(void)signal(SIGBUS, SIG_DFL);
		(void)alarm(10);
		if (far_uffd_poison(r.fd, r.mem + PG) != 0)
			_exit(1);
		if (far_uffd_copy(r.fd, r.mem, page_of_a, 0) != 0 ||
		    r.mem[0] != 'a') /* its neighbour is well */
			_exit(2);
		_exit(*(volatile char *)(r.mem + PG) + 10);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFSIGNALED(st));
	assert_int_equal(WTERMSIG(st), SIGBUS);
}

static void poison_wakes_and_discarding_heals(void **state)
{
	struct range r;
	int fds[2];

	(void)state;
	need(FAR_UFFD_POISON, "UFFDIO_POISON");
	r = range_open(true);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(far_uffd_poison(r.fd, r.mem), 0);
	errno = 0; /* the kernel's own access: an error, no signal */
	assert_int_equal(write(fds[1], r.mem, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(madvise(r.mem, PG, MADV_DONTNEED), 0);
	assert_int_equal(far_uffd_copy(r.fd, r.mem, page_of_a, 0), 0);
	assert_int_equal(write(fds[1], r.mem, 1), 1);
	(void)close(fds[0]);
	(void)close(fds[1]);
	range_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_says_how_and_what),
		cmocka_unit_test(refusal_is_told_apart),
		cmocka_unit_test(copy_serves_a_missing_fault),
		cmocka_unit_test(copy_elsewhere_is_refused),
		cmocka_unit_test(copy_range_tells_how_far_it_came),
		cmocka_unit_test(first_write_to_a_protected_page_is_told),
		cmocka_unit_test(wake_lets_a_waiter_look_again),
		cmocka_unit_test(move_takes_pages_up_to_a_hole),
		cmocka_unit_test(poisoned_page_kills_who_touches_it),
		cmocka_unit_test(poison_wakes_and_discarding_heals),
	};
	const struct CMUnitTest always[] = {
		cmocka_unit_test(explanation_names_the_fix),
	};
	char why[512];
	int fd, r;

	memset(page_of_a, 'a', sizeof(page_of_a));
	r = cmocka_run_group_tests_name("libfar.uffd.text", always, NULL, NULL);
	fd = far_uffd_open(false, &info);
	if (fd < 0) {
		far_uffd_explain(&info, why, sizeof(why));
		(void)fprintf(stderr, "SKIP: %s\n", why);
		return r ? r : 77;
	}
	(void)close(fd);
	r += cmocka_run_group_tests_name("libfar.uffd", tests, NULL, NULL);
	return r;
}
