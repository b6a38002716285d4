/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libfar/base/clock.h"

static char dir[] = "/tmp/far-test-budget.XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/budget", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static int wait_exit(pid_t pid)
{
	int st = -1;

	if (waitpid(pid, &st, 0) != pid)
		return -1;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

/* --- one process ------------------------------------------------------------
 */

static void charge_fits_or_changes_nothing(void **state)
{
	struct far_budget b;

	(void)state;
	assert_int_equal(far_budget_open(&b, "", 100), 0);
	assert_true(far_budget_try(&b, 60));
	assert_true(far_budget_try(&b, 40));
	assert_false(far_budget_try(&b, 1));
	assert_int_equal(far_budget_free(&b), 0);
	far_budget_put(&b, 30);
	assert_int_equal(far_budget_free(&b), 30);
	assert_false(far_budget_try(&b, 31));
	assert_int_equal(b.me->used_pages, 70);
	assert_int_equal(b.sh->used_pages, 70);
	far_budget_close(&b);
	far_budget_close(&b); /* harmless */
}

static void peak_is_the_highest_charge(void **state)
{
	struct far_budget b;

	(void)state;
	assert_int_equal(far_budget_open(&b, "", 100), 0);
	assert_true(far_budget_try(&b, 90));
	assert_false(far_budget_try(&b, 20)); /* does not count */
	far_budget_put(&b, 80);
	assert_true(far_budget_try(&b, 5));
	assert_int_equal(b.sh->peak_pages, 90);
	far_budget_force(&b, 100); /* may pass the limit */
	assert_int_equal(far_budget_free(&b), -15);
	assert_int_equal(b.sh->peak_pages, 115);
	far_budget_close(&b);
}

static void lower_limit_refuses_until_frames_are_back(void **state)
{
	struct far_budget b;

	(void)state;
	assert_int_equal(far_budget_open(&b, "", 100), 0);
	assert_true(far_budget_try(&b, 80));
	atomic_store(&b.sh->limit_pages, 50);
	assert_int_equal(far_budget_free(&b), -30);
	assert_false(far_budget_try(&b, 1));
	far_budget_put(&b, 31);
	assert_true(far_budget_try(&b, 1));
	atomic_store(&b.sh->limit_pages, 200);
	assert_true(far_budget_try(&b, 150));
	far_budget_close(&b);
}

struct crowd {
	struct far_budget b;
	_Atomic uint64_t granted, refused, wrong;
};

static void *charge_and_put(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; i < 100000; i++) {
		unsigned n = 1 + i % 7;

		if (!far_budget_try(&c->b, n)) {
			c->refused++;
			continue;
		}
		c->granted++;
		c->wrong += atomic_load(&c->b.sh->peak_pages) > 20;
		far_budget_put(&c->b, n);
	}
	return NULL;
}

static void threads_never_pass_the_limit(void **state)
{
	static struct crowd c;
	pthread_t th[4];

	(void)state;
	assert_int_equal(far_budget_open(&c.b, "", 20), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&th[i], NULL, charge_and_put, &c), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(th[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	assert_true(c.granted > 0);
	assert_int_equal(c.b.sh->used_pages, 0);
	assert_int_equal(c.b.me->used_pages, 0);
	far_budget_close(&c.b);
}

static void *wait_for_a_frame(void *arg)
{
	struct far_budget *b = arg;
	uint64_t end = far_now_ns() + 10 * FAR_NS_PER_S;
	bool ok;

	atomic_fetch_add(&b->sh->waiters, 1);
	for (;;) {
		uint32_t seen = atomic_load(&b->sh->freed);

		ok = far_budget_try(b, 1);
		if (ok || far_now_ns() > end)
			break;
		far_budget_wait(b, seen, 10 * FAR_NS_PER_S);
	}
	atomic_fetch_sub(&b->sh->waiters, 1);
	return ok ? NULL : b;
}

/* The wait is 10 s: only a wake-up lets it end in time. */
static void putting_wakes_who_waits(void **state)
{
	struct far_budget b;

	(void)state;
	assert_int_equal(far_budget_open(&b, "", 1), 0);
	for (int i = 0; i < 200; i++) {
		uint64_t t0 = far_now_ns();
		void *result = &b;
		pthread_t th;

		assert_true(far_budget_try(&b, 1));
		assert_int_equal(
			pthread_create(&th, NULL, wait_for_a_frame, &b), 0);
		while (!atomic_load(&b.sh->waiters))
			far_cpu_relax();
		far_budget_put(&b, 1);
		assert_int_equal(pthread_join(th, &result), 0);
		assert_null(result);
		assert_true(far_now_ns() - t0 < 5 * FAR_NS_PER_S);
		far_budget_put(&b, 1);
	}
	far_budget_close(&b);
}

/* --- several processes ------------------------------------------------------
 */

static void file_is_checked(void **state)
{
	struct far_budget b;
	int fd;

	(void)state;
	(void)unlink(path);
	assert_int_equal(far_budget_open(&b, path, 1), -ENOENT);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(far_budget_open(&b, path, 1), -EINVAL); /* empty */
	assert_int_equal(ftruncate(fd, (off_t)sizeof(struct far_budget_shared)),
			 0);
	(void)close(fd);
	assert_int_equal(far_budget_open(&b, path, 1), -EINVAL); /* magic */
	assert_int_equal(far_budget_create(path, 77), 0); /* replaces it */
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	assert_int_equal(b.sh->limit_pages, 77); /* the file's, not 1 */
	far_budget_close(&b);
}

/* Joins, charges @pages, says so through @fd and waits to be killed. */
static void member_that_stays(int fd, unsigned pages)
{
	struct far_budget b;
	char ok = far_budget_open(&b, path, 1) == 0 && far_budget_try(&b, pages)
			  ? 'y'
			  : 'n';

	(void)alarm(30);
	if (write(fd, &ok, 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
}

static pid_t start_member(unsigned pages)
{
	char ok = '?';
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		member_that_stays(fds[1], pages);
	assert_true(pid > 0);
	assert_int_equal(read(fds[0], &ok, 1), 1);
	assert_int_equal(ok, 'y');
	(void)close(fds[0]);
	(void)close(fds[1]);
	return pid;
}

static void limit_is_shared_between_processes(void **state)
{
	struct far_budget b;
	pid_t pid;

	(void)state;
	assert_int_equal(far_budget_create(path, 100), 0);
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	pid = start_member(60);
	assert_int_equal(far_budget_free(&b), 40);
	assert_int_equal(b.me->used_pages, 0); /* its charge is its own */
	assert_false(far_budget_try(&b, 41));
	assert_true(far_budget_try(&b, 40));
	assert_int_equal(far_budget_sweep(&b), 0); /* it lives */
	(void)kill(pid, SIGKILL);
	assert_int_equal(wait_exit(pid), 1000 + SIGKILL);
	assert_false(far_budget_try(&b, 1));
	assert_int_equal(far_budget_sweep(&b), 60);
	assert_int_equal(far_budget_sweep(&b), 0);
	assert_true(far_budget_try(&b, 60));
	far_budget_close(&b);
}

static void sweep_of_several_wakes_who_waits(void **state)
{
	void *result = &result;
	struct far_budget b;
	pid_t pid[3];
	pthread_t th;

	(void)state;
	assert_int_equal(far_budget_create(path, 90), 0);
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	for (int i = 0; i < 3; i++)
		pid[i] = start_member(30);
	assert_int_equal(pthread_create(&th, NULL, wait_for_a_frame, &b), 0);
	while (!atomic_load(&b.sh->waiters))
		far_cpu_relax();
	for (int i = 0; i < 3; i++) {
		(void)kill(pid[i], SIGKILL);
		assert_int_equal(wait_exit(pid[i]), 1000 + SIGKILL);
	}
	assert_int_equal(far_budget_sweep(&b), 90);
	assert_int_equal(pthread_join(th, &result), 0);
	assert_null(result);
	assert_int_equal(b.sh->used_pages, 1);
	far_budget_close(&b);
}

/* Killed, and its parent does not look after it. */
static void zombie_is_swept(void **state)
{
	siginfo_t info;
	struct far_budget b;
	pid_t pid;

	(void)state;
	assert_int_equal(far_budget_create(path, 100), 0);
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	pid = start_member(60);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(far_budget_sweep(&b), 60);
	assert_int_equal(wait_exit(pid), 1000 + SIGKILL);
	far_budget_close(&b);
}

/* A pid that was used again is not the member that had it. */
static void member_with_another_start_time_is_dead(void **state)
{
	struct far_budget b;
	pid_t pid;

	(void)state;
	assert_int_equal(far_budget_create(path, 100), 0);
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	pid = start_member(10);
	for (uint32_t i = 0; i < b.sh->nr_members; i++)
		if (b.sh->member[i].pid == (uint32_t)pid)
			atomic_fetch_add(&b.sh->member[i].start, 1);
	assert_int_equal(far_budget_sweep(&b), 10);
	(void)kill(pid, SIGKILL);
	assert_int_equal(wait_exit(pid), 1000 + SIGKILL);
	far_budget_close(&b);
}

static void leaving_gives_all_back(void **state)
{
	struct far_budget a, b;

	(void)state;
	assert_int_equal(far_budget_create(path, 100), 0);
	assert_int_equal(far_budget_open(&a, path, 1), 0);
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	assert_true(far_budget_try(&b, 100));
	assert_false(far_budget_try(&a, 1));
	far_budget_close(&b);
	assert_int_equal(far_budget_free(&a), 100);
	far_budget_close(&a);
}

static void members_have_a_bound(void **state)
{
	static struct far_budget many[FAR_BUDGET_MEMBERS];
	struct far_budget one;

	(void)state;
	assert_int_equal(far_budget_create(path, 100), 0);
	for (int i = 0; i < FAR_BUDGET_MEMBERS; i++)
		assert_int_equal(far_budget_open(&many[i], path, 1), 0);
	assert_int_equal(far_budget_open(&one, path, 1), -EUSERS);
	far_budget_close(&many[5]);
	assert_int_equal(far_budget_open(&one, path, 1), 0);
	far_budget_close(&one);
	for (int i = 0; i < FAR_BUDGET_MEMBERS; i++)
		if (i != 5)
			far_budget_close(&many[i]);
}

/* --- fork ------------------------------------------------------------------
 */

static int forked_member(struct far_budget *b, int64_t sum)
{
	struct far_budget_member *parent = b->me;

	if (far_budget_fork(b, 25) < 0 || b->me == parent)
		return 1;
	if (b->me->used_pages != 25 || b->me->pid != (uint32_t)getpid())
		return 2;
	if (b->sh->used_pages != sum)
		return 3;
	far_budget_close(b);
	return 0;
}

static void child_of_a_shared_budget_is_a_member_of_its_own(void **state)
{
	struct far_budget b;
	pid_t pid;

	(void)state;
	assert_int_equal(far_budget_create(path, 100), 0);
	assert_int_equal(far_budget_open(&b, path, 1), 0);
	assert_true(far_budget_try(&b, 90));
	pid = fork();
	if (pid == 0) /* passes the limit, which fork may */
		_exit(forked_member(&b, 115));
	assert_int_equal(wait_exit(pid), 0);
	assert_int_equal(b.sh->used_pages, 90);
	assert_int_equal(b.me->used_pages, 90);
	far_budget_close(&b);
}

static void child_of_a_private_budget_has_one_of_its_own(void **state)
{
	struct far_budget b;
	pid_t pid;

	(void)state;
	assert_int_equal(far_budget_open(&b, "", 100), 0);
	assert_true(far_budget_try(&b, 90));
	pid = fork();
	if (pid == 0)
		_exit(forked_member(&b, 25));
	assert_int_equal(wait_exit(pid), 0);
	assert_int_equal(b.sh->used_pages, 90);
	far_budget_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(charge_fits_or_changes_nothing),
		cmocka_unit_test(peak_is_the_highest_charge),
		cmocka_unit_test(lower_limit_refuses_until_frames_are_back),
		cmocka_unit_test(threads_never_pass_the_limit),
		cmocka_unit_test(putting_wakes_who_waits),
		cmocka_unit_test(file_is_checked),
		cmocka_unit_test(limit_is_shared_between_processes),
		cmocka_unit_test(sweep_of_several_wakes_who_waits),
		cmocka_unit_test(zombie_is_swept),
		cmocka_unit_test(member_with_another_start_time_is_dead),
		cmocka_unit_test(leaving_gives_all_back),
		cmocka_unit_test(members_have_a_bound),
		cmocka_unit_test(
			child_of_a_shared_budget_is_a_member_of_its_own),
		cmocka_unit_test(child_of_a_private_budget_has_one_of_its_own),
	};

	return cmocka_run_group_tests_name("libfar.budget", tests, make_dir,
					   remove_dir);
}
