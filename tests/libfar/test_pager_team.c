/* SPDX-License-Identifier: BSD-3-Clause */
/* How many evictors work. */
#include "libfar/pager/pager.h"
#include "tests/libfar/test_pager_support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BIG (2 * TP_LIMIT)
#define NR_WRITERS 2

struct writer {
	struct tp *t;
	_Atomic bool *stop;
	unsigned index;
	pthread_t thread;
};

/* Each its half, again and again. */
static void *write_all(void *arg)
{
	struct writer *w = arg;
	size_t len = w->t->len / NR_WRITERS;

	for (uint64_t key = 1; !atomic_load(w->stop); key++)
		for (size_t pg = 0; pg < PAGES(len) && !atomic_load(w->stop);
		     pg++)
			tp_fill(w->t->mem + w->index * len, pg, key + pg);
	return NULL;
}

static void start(struct writer *w, struct tp *t, _Atomic bool *stop)
{
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		w[i] = (struct writer){.t = t, .stop = stop, .index = i};
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, write_all, &w[i]),
			0);
	}
}

static void join(struct writer *w)
{
	for (unsigned i = 0; i < NR_WRITERS; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
}

static void more_work_while_faults_wait(void **state)
{
	struct tp t = tp_open("lazy=off;evictors=4;"
			      "far=delay:write=20ms|mem:256M",
			      BIG);
	struct writer w[NR_WRITERS];
	_Atomic bool stop = false;

	(void)state;
	TP_WAIT(TP_STAT(t.pager, evictors_working) == 1, 5);
	for (int i = 0; i < 2; i++) {
		atomic_store(&stop, false);
		start(w, &t, &stop);
		TP_WAIT(TP_STAT(t.pager, evictors_working) > 1, 20);
		atomic_store(&stop, true);
		join(w);
		TP_WAIT(TP_STAT(t.pager, evictors_working) == 1, 20);
	}
	assert_true(TP_STAT(t.pager, frame_waits) > 0);
	assert_int_equal(TP_STAT(t.pager, evictor_threads), 4);
	/* and the second found something to do */
	assert_true(
		atomic_load(&pager_shard_evictor(t.pager, 1)->evict_batches) >
		NR_WRITERS);
	tp_fill_all(t.mem, t.len, 7);
	assert_int_equal(tp_same_all(t.mem, t.len, 7), 0);
	assert_true(TP_STAT(t.pager, local_peak_bytes) <= TP_LIMIT);
	tp_close(&t);
}

static void one_that_keeps_up_is_enough(void **state)
{
	struct tp t = tp_open("lazy=off;evictors=4", BIG);

	(void)state;
	tp_fill_all(t.mem, 2 * TP_LIMIT, 1);
	assert_int_equal(tp_same_all(t.mem, 2 * TP_LIMIT, 1), 0);
	assert_true(TP_STAT(t.pager, evicted_pages) >= PAGES(TP_LIMIT));
	TP_WAIT(TP_STAT(t.pager, evictors_working) == 1, 5);
	tp_close(&t);
}

/* How often the evictors but the first were switched out because they slept. */
static unsigned long sleeps_of_the_others(void)
{
	char path[300], line[128], name[64];
	unsigned long sum = 0, nr;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status",
			       e->d_name);
		f = fopen(path, "re");
		name[0] = '\0';
		while (f && fgets(line, sizeof(line), f)) {
			(void)sscanf(line, "Name: %63s", name);
			if (sscanf(line, "voluntary_ctxt_switches: %lu", &nr) ==
				    1 &&
			    strncmp(name, "far-evict/", 10) == 0 &&
			    strcmp(name, "far-evict/0") != 0)
				sum += nr;
		}
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return sum;
}

static void pressure_wakes_none_of_those_who_rest(void **state)
{
	struct tp t = tp_open("lazy=off;evictors=4", MIB);
	unsigned long before, batches;
	unsigned presses = 0;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	before = sleeps_of_the_others();
	assert_true(before > 0); /* they were found */
	/* each call presses, and the first evictor goes to sleep between */
	for (batches = TP_STAT(t.pager, evict_batches);
	     TP_STAT(t.pager, evict_batches) < batches + 200; presses++) {
		assert_int_equal(
			far_advise(t.pager, t.mem, t.len, FAR_ADV_COLD), 0);
		(void)tp_touch(t.mem + presses % PAGES(t.len) * FAR_PAGE_SIZE);
		tp_pause();
	}
	/* but for a look once a second each */
	assert_true(sleeps_of_the_others() - before < presses / 4 + 50);
	tp_close(&t);
}

static int write_in_child(void *arg)
{
	struct tp *t = arg;
	struct writer w[NR_WRITERS];
	_Atomic bool stop = false;

	if (TP_STAT(t->pager, evictors_working) != 1)
		return 1;
	if (tp_same_all(t->mem, t->len, 3))
		return 2;
	start(w, t, &stop);
	for (int i = 0; TP_STAT(t->pager, evictors_working) == 1; i++) {
		if (i == 10000)
			return 3;
		tp_pause();
	}
	atomic_store(&stop, true);
	join(w);
	return 0;
}

/* Those who rest must not keep a fork waiting, nor the end. */
static void forks_meet_those_who_rest(void **state)
{
	struct tp t = tp_open("lazy=off;evictors=4;"
			      "far=delay:write=20ms|mem:256M",
			      BIG);

	(void)state;
	tp_fill_all(t.mem, t.len, 3);
	assert_int_equal(tp_in_child(write_in_child, &t), 0);
	assert_int_equal(tp_same_all(t.mem, t.len, 3), 0);
	tp_close(&t);
}

static void default_bound_follows_the_machine(void **state)
{
	struct tp t = tp_open("lazy=off", MIB);

	(void)state;
	/* whatever the machine, for a limit as small as this */
	assert_int_equal(TP_STAT(t.pager, evictor_threads), 1);
	tp_close(&t);
	t = tp_open("lazy=off;local=1G;va=2G", MIB);
	assert_true(TP_STAT(t.pager, evictor_threads) >= 1);
	assert_true(TP_STAT(t.pager, evictor_threads) <= 4);
	tp_close(&t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_work_while_faults_wait),
		cmocka_unit_test(one_that_keeps_up_is_enough),
		cmocka_unit_test(pressure_wakes_none_of_those_who_rest),
		cmocka_unit_test(forks_meet_those_who_rest),
		cmocka_unit_test(default_bound_follows_the_machine),
	};

	return tp_main(argc, argv, "pager.team", tests);
}
