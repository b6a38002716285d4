/* SPDX-License-Identifier: BSD-3-Clause */
/* A forked child sees far memory as it was; one made behind our back dies. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG (2 * TP_LIMIT)

/* Children report through a shared page; asserts are the parent's. */
struct board {
	_Atomic uint32_t step; /* what the parent has done */
	_Atomic uint32_t nr_started;
};

static struct board *board_new(void)
{
	void *p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void board_free(struct board *b)
{
	(void)munmap(b, sizeof(*b));
}

struct job {
	struct tp t;
	struct board *board;
	uint64_t key;
	int depth;
};

static void await_step(struct board *b, uint32_t step)
{
	while (atomic_load(&b->step) < step) /* the child's alarm bounds it */
		tp_pause();
}

/* Waits until the parent has overwritten everything; then looks. */
static int look_later(void *arg)
{
	struct job *j = arg;

	atomic_fetch_add(&j->board->nr_started, 1);
	await_step(j->board, 1);
	if (tp_same_all(j->t.mem, j->t.len, j->key))
		return 1;
	return tp_same_all(j->t.mem, j->t.len, j->key) ? 2 : 0;
}

static void child_sees_memory_as_it_was(void **state)
{
	struct job j = {.t = tp_open("", BIG), .board = board_new(), .key = 1};
	pid_t pid;

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 1);
	assert_true(tp_resident(j.t.mem, j.t.len) < PAGES(BIG));
	pid = tp_child(look_later, &j);
	assert_true(pid > 0);
	assert_int_equal(TP_STAT(j.t.pager, forks), 1);
	tp_fill_all(j.t.mem, j.t.len, 1000000);
	tp_fill_all(j.t.mem, j.t.len, 2000000);
	atomic_store(&j.board->step, 1);
	assert_int_equal(tp_status(pid), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 2000000), 0);
	tp_close(&j.t);
	board_free(j.board);
}

/* Discards of the parent are not the child's either. */
static void child_keeps_what_its_parent_discards(void **state)
{
	struct job j = {.t = tp_open("", BIG), .board = board_new(), .key = 1};
	pid_t pid;

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 1);
	pid = tp_child(look_later, &j);
	assert_int_equal(
		far_advise(j.t.pager, j.t.mem, j.t.len, FAR_ADV_DISCARD), 0);
	/* so that freed slots are handed out again */
	tp_fill_all(j.t.mem, j.t.len, 5000000);
	atomic_store(&j.board->step, 1);
	assert_int_equal(tp_status(pid), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 5000000), 0);
	tp_close(&j.t);
	board_free(j.board);
}

static int write_all(void *arg)
{
	struct job *j = arg;
	struct far_stats st = {.size = sizeof(st)};

	if (tp_same_all(j->t.mem, j->t.len, j->key))
		return 1;
	tp_fill_all(j->t.mem, j->t.len, 77);
	if (tp_same_all(j->t.mem, j->t.len, 77))
		return 2;
	if (far_stats_read(j->t.pager, &st) < 0)
		return 3;
	/* the child has a limit, and evicts for itself */
	if (st.limit_bytes != TP_LIMIT || !st.evicted_pages)
		return 4;
	return tp_footprint(j->t.mem) <= TP_LIMIT + 2 * MIB ? 0 : 5;
}

static void writes_of_the_child_are_its_own(void **state)
{
	struct job j = {.t = tp_open("", BIG), .key = 1};

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 1);
	assert_int_equal(tp_in_child(write_all, &j), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 1), 0);
	tp_close(&j.t);
}

/* All of far memory's functions work in a child. */
static int use_everything(void *arg)
{
	struct job *j = arg;
	void *mem;

	if (far_map(j->t.pager, 8 * MIB, 0, &mem) < 0)
		return 1;
	if (tp_same_all(mem, 8 * MIB, 0))
		return 2;
	tp_fill_all(mem, 8 * MIB, 3);
	if (far_flush(j->t.pager, j->t.mem, j->t.len) < 0)
		return 3;
	if (far_advise(j->t.pager, j->t.mem, MIB, FAR_ADV_PIN) < 0 ||
	    far_advise(j->t.pager, j->t.mem, MIB, FAR_ADV_UNPIN) < 0 ||
	    far_advise(j->t.pager, j->t.mem, MIB, FAR_ADV_WILLNEED) < 0)
		return 4;
	if (far_unmap(j->t.pager, j->t.mem, MIB) < 0)
		return 5;
	if (tp_same_all(mem, 8 * MIB, 3))
		return 6;
	for (size_t pg = PAGES(MIB); pg < PAGES(j->t.len); pg++)
		if (!tp_same(j->t.mem, pg, j->key + pg))
			return 7;
	far_close(j->t.pager);
	return 0;
}

static void everything_works_in_a_child(void **state)
{
	struct job j = {.t = tp_open("", BIG), .key = 1};

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 1);
	assert_int_equal(tp_in_child(use_everything, &j), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 1), 0);
	tp_close(&j.t);
}

static int line_of_descent(void *arg)
{
	struct job *j = arg, next = *j;

	if (tp_same_all(j->t.mem, j->t.len, j->key))
		return 1;
	if (!j->depth)
		return 0;
	next.depth--;
	next.key = j->key + (UINT64_C(1) << 32);
	tp_fill_all(j->t.mem, j->t.len, next.key);
	if (tp_in_child(line_of_descent, &next))
		return 2;
	return tp_same_all(j->t.mem, j->t.len, next.key) ? 3 : 0;
}

static void grandchildren_see_their_parent_s(void **state)
{
	struct job j = {.t = tp_open("", BIG), .key = 1, .depth = 3};

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 1);
	assert_int_equal(tp_in_child(line_of_descent, &j), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 1), 0);
	tp_close(&j.t);
}

static int look_at_some(void *arg)
{
	struct job *j = arg;
	size_t nr = PAGES(j->t.len);

	for (size_t i = 0; i < 512; i++) {
		size_t pg = (i * 7919 + (size_t)getpid()) % nr;

		if (!tp_same(j->t.mem, pg, j->key + pg))
			return 1;
		tp_fill(j->t.mem, pg, 1);
		if (!tp_same(j->t.mem, pg, 1))
			return 2;
	}
	return 0;
}

static void storm_of_fifty_children(void **state)
{
	struct job j = {.t = tp_open("far=mem:64M", 24 * MIB), .key = 9};
	pid_t pids[50];

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 9);
	for (int i = 0; i < 50; i++) {
		size_t pg = (size_t)i * 100;

		pids[i] = tp_child(look_at_some, &j);
		assert_true(pids[i] > 0);
		tp_fill(j.t.mem, pg, 9 + pg); /* the parent goes on writing */
	}
	for (int i = 0; i < 50; i++)
		assert_int_equal(tp_status(pids[i]), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 9), 0);
	assert_int_equal(TP_STAT(j.t.pager, forks), 50);
	tp_close(&j.t);
}

/* --- fork among writers -----------------------------------------------------
 */

struct writer {
	char *mem;
	size_t first, nr;
	_Atomic bool stop;
	_Atomic uint64_t wrong;
	pthread_t thread;
};

/* The first word of a page says which key is being written, the last which
 * key was: at any moment at most one step lies between any of its words. */
static void *write_versions(void *arg)
{
	struct writer *w = arg;

	for (uint64_t v = 1; !atomic_load(&w->stop); v++)
		for (size_t pg = w->first; pg < w->first + w->nr; pg++) {
			_Atomic uint64_t *at =
				(void *)(w->mem + pg * FAR_PAGE_SIZE);

			for (size_t i = 0; i < 512; i++) {
				uint64_t was = atomic_exchange_explicit(
					&at[i], (v << 32) + pg,
					memory_order_relaxed);

				if (was != (v > 1 ? ((v - 1) << 32) + pg : 0))
					w->wrong++;
			}
		}
	return NULL;
}

static int look_at_snapshot(void *arg)
{
	struct writer *w = arg;

	for (size_t pg = w->first; pg < w->first + w->nr; pg++) {
		const uint64_t *at =
			(const void *)(w->mem + pg * FAR_PAGE_SIZE);
		uint64_t first = at[0], last = at[511];

		for (size_t i = 0; i < 512; i++) {
			if (at[i] != first && at[i] != last)
				return 1; /* torn */
			if (i && at[i] > at[i - 1])
				return 2; /* later before earlier */
			if (at[i] && (at[i] & 0xffffffff) != pg)
				return 3; /* of another page */
		}
		if (first - last > UINT64_C(1) << 32 && last)
			return 4; /* an old page */
	}
	return 0;
}

static int look_at_all_snapshots(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < 4; i++) {
		int r = look_at_snapshot(&w[i]);

		if (r)
			return r;
	}
	return 0;
}

static void fork_while_threads_write(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	struct writer w[4];

	(void)state;
	memset(w, 0, sizeof(w));
	for (size_t i = 0; i < 4; i++) {
		w[i].mem = t.mem;
		w[i].nr = PAGES(BIG) / 4;
		w[i].first = i * w[i].nr;
		assert_int_equal(pthread_create(&w[i].thread, NULL,
						write_versions, &w[i]),
				 0);
	}
	TP_WAIT(TP_STAT(t.pager, evicted_pages) > 1000, 10);
	for (int i = 0; i < 8; i++)
		assert_int_equal(tp_in_child(look_at_all_snapshots, w), 0);
	for (int i = 0; i < 4; i++)
		atomic_store(&w[i].stop, true);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		assert_int_equal(w[i].wrong, 0);
	}
	tp_close(&t);
}

/* --- before anything is intercepted ----------------------------------------
 */

static int grow(void *arg)
{
	struct job *j = arg;
	void *mem;

	if (tp_same_all(j->t.mem, j->t.len, j->key))
		return 1;
	tp_fill_all(j->t.mem, j->t.len, 4);
	if (far_map(j->t.pager, BIG, 0, &mem) < 0)
		return 2;
	tp_fill_all(mem, BIG, 5);
	if (tp_same_all(j->t.mem, j->t.len, 4))
		return 3;
	if (tp_same_all(mem, BIG, 5))
		return 4;
	far_close(j->t.pager);
	return 0;
}

static void child_of_an_unarmed_pager_arms_its_own(void **state)
{
	struct job j = {.t = tp_open("", 8 * MIB), .key = 1};

	(void)state;
	tp_fill_all(j.t.mem, j.t.len, 1);
	assert_int_equal(TP_STAT(j.t.pager, is_armed), 0);
	assert_int_equal(tp_in_child(grow, &j), 0);
	assert_int_equal(TP_STAT(j.t.pager, is_armed), 0);
	assert_int_equal(tp_same_all(j.t.mem, j.t.len, 1), 0);
	assert_int_equal(grow(&j), 0); /* closes it, too */
}

static void fork_with_several_pagers(void **state)
{
	struct job a = {.t = tp_open("far=lz4:64M", BIG), .key = 1};
	struct job b = {.t = tp_open("", BIG), .key = 2};

	(void)state;
	tp_fill_all(a.t.mem, a.t.len, 1);
	tp_fill_all(b.t.mem, b.t.len, 2);
	assert_int_equal(tp_in_child(write_all, &a), 0);
	assert_int_equal(tp_in_child(write_all, &b), 0);
	assert_int_equal(tp_same_all(a.t.mem, a.t.len, 1), 0);
	assert_int_equal(tp_same_all(b.t.mem, b.t.len, 2), 0);
	tp_close(&a.t);
	tp_close(&b.t);
}

/* --- without the handlers ---------------------------------------------------
 */

static void raw_child_dies_when_it_touches_far_memory(void **state)
{
	struct tp t = tp_open("", BIG);
	size_t at[3] = {0, PAGES(BIG) / 2, PAGES(BIG) - 1};

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	for (int i = 0; i < 3; i++) {
		const char *page = t.mem + at[i] * FAR_PAGE_SIZE;
		long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		int st;

		if (pid == 0) {
			struct sigaction sa = {.sa_handler = SIG_DFL};

			/* system calls only: nothing else is right here */
			(void)sigaction(SIGSEGV, &sa, NULL);
			(void)sigaction(SIGBUS, &sa, NULL);
			(void)alarm(10);
			_exit(tp_touch(page) ? 1 : 2);
		}
		assert_true(pid > 0);
		st = tp_status((pid_t)pid);
		assert_true(st == TP_SIGNAL(SIGSEGV) ||
			    st == TP_SIGNAL(SIGBUS));
	}
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	/* one that goes on to exec is not disturbed */
	assert_int_equal(system("exit 7") >> 8, 7);
	tp_close(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_sees_memory_as_it_was),
		cmocka_unit_test(child_keeps_what_its_parent_discards),
		cmocka_unit_test(writes_of_the_child_are_its_own),
		cmocka_unit_test(everything_works_in_a_child),
		cmocka_unit_test(grandchildren_see_their_parent_s),
		cmocka_unit_test(storm_of_fifty_children),
		cmocka_unit_test(fork_while_threads_write),
		cmocka_unit_test(child_of_an_unarmed_pager_arms_its_own),
		cmocka_unit_test(fork_with_several_pagers),
		cmocka_unit_test(raw_child_dies_when_it_touches_far_memory),
	};

	return tp_main(argc, argv, "pager.fork", tests);
}
