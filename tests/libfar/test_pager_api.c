/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments, several pagers, and what opening and closing leaves behind. */
#include "tests/libfar/test_pager_support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIG (4 * TP_LIMIT)

/* --- arguments ------------------------------------------------------------ */

static void bad_configuration_is_refused(void **state)
{
	static const char *const bad[] = {
		"local=1M",	    "local=x",	    "no_such_option=1",
		"takeout=sideways", "far=nowhere:", "far=mem:1G,x=y",
		"evictors=17",	    "batch=7",	    "on_loss=forever",
		"va=65T",
	};
	struct far_pager *p = (struct far_pager *)(void *)&p;
	const struct far_open_attr small = {.size = 1};
	struct far_pager *const before = p;

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(bad); i++) {
		tp_log_clear();
		assert_int_equal(tp_try(bad[i], &p), -EINVAL);
		assert_ptr_equal(p, before); /* untouched */
		if (!tp_logged("fix:"))
			print_message("%s: logged without a fix\n", bad[i]);
	}
	assert_int_equal(far_open("", &small, &p), -EINVAL);
	assert_ptr_equal(p, before);
	far_close(NULL);
}

static void backend_that_cannot_open_says_so(void **state)
{
	struct far_pager *p;

	(void)state;
	tp_log_clear();
	assert_int_equal(tp_try("far=file:/no/such/folder/x?size=64M", &p),
			 -ENOENT);
	assert_true(tp_logged("/no/such/folder"));
}

static int open_without_log(void *arg)
{
	struct far_pager *p;
	const int *fds = arg;

	if (dup2(fds[1], 2) < 0)
		return 1;
	return far_open("far=file:/no/such/folder/x?size=64M", NULL, &p) ==
			       -ENOENT
		       ? 0
		       : 2;
}

static void default_log_reaches_standard_error(void **state)
{
	char text[2048];
	ssize_t n;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(tp_in_child(open_without_log, fds), 0);
	(void)close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	(void)close(fds[0]);
	text[n > 0 ? n : 0] = '\0';
	assert_memory_equal(text, "far: ", 5);
	assert_non_null(strstr(text, "/no/such/folder"));
}

static void bad_arguments_change_nothing(void **state)
{
	struct tp t = tp_open("lazy=off", 4 * MIB);
	struct far_stats st = {.size = 0};
	char here[4096];
	void *mem = here;

	(void)state;
	tp_fill_all(t.mem, t.len, 1);
	assert_int_equal(far_map(NULL, 4096, 0, &mem), -EINVAL);
	assert_int_equal(far_map(t.pager, 0, 0, &mem), -EINVAL);
	assert_int_equal(far_map(t.pager, 4096, 0, NULL), -EINVAL);
	assert_int_equal(far_map(t.pager, 4096, 2048, &mem), -EINVAL);
	assert_int_equal(far_map(t.pager, 4096, 3 * 4096, &mem), -EINVAL);
	assert_int_equal(far_map(t.pager, SIZE_MAX, 0, &mem), -ENOMEM);
	assert_int_equal(far_map(t.pager, SIZE_MAX - 8192, 0, &mem), -ENOMEM);
	assert_int_equal(far_map(t.pager, (size_t)2 << 30, 0, &mem), -ENOMEM);
	assert_ptr_equal(mem, here);

	assert_int_equal(far_unmap(NULL, t.mem, 4096), -EINVAL);
	assert_int_equal(far_unmap(t.pager, here, 4096), -EINVAL);
	assert_int_equal(far_unmap(t.pager, t.mem + 1, 4096), -EINVAL);
	assert_int_equal(far_unmap(t.pager, t.mem, 0), -EINVAL);
	assert_int_equal(far_unmap(t.pager, t.mem, t.len + 4096), -EINVAL);
	assert_int_equal(far_unmap(t.pager, t.mem, SIZE_MAX), -EINVAL);
	assert_int_equal(far_unmap(t.pager, t.mem - 4096, 8192), -EINVAL);

	for (int a = FAR_ADV_NORMAL; a <= FAR_ADV_GROUP_64K; a++) {
		enum far_advice adv = (enum far_advice)a;

		assert_int_equal(far_advise(NULL, t.mem, 4096, adv), -EINVAL);
		assert_int_equal(far_advise(t.pager, here, 4096, adv), -EINVAL);
		assert_int_equal(far_advise(t.pager, t.mem + 8, 4096, adv),
				 -EINVAL);
		assert_int_equal(far_advise(t.pager, t.mem, t.len + 1, adv),
				 -EINVAL);
	}
	assert_int_equal(far_advise(t.pager, t.mem, 4096, (enum far_advice)99),
			 -EINVAL);
	assert_int_equal(far_flush(t.pager, here, 4096), -EINVAL);
	assert_int_equal(far_flush(NULL, t.mem, 4096), -EINVAL);
	assert_int_equal(far_set_limit(NULL, TP_LIMIT), -EINVAL);
	assert_int_equal(far_set_limit(t.pager, TP_LIMIT - 1), -EINVAL);
	assert_int_equal(far_stats_read(t.pager, NULL), -EINVAL);
	assert_int_equal(far_stats_read(t.pager, &st), -EINVAL);
	assert_int_equal(far_stats_json(NULL, here, sizeof(here)), -EINVAL);
	assert_int_equal(far_stats_json(t.pager, NULL, 1), -EINVAL);

	assert_int_equal(TP_STAT(t.pager, mapped_bytes), t.len);
	assert_int_equal(tp_same_all(t.mem, t.len, 1), 0);
	tp_close(&t);
}

static void alignment_is_kept(void **state)
{
	struct tp t = tp_open("lazy=off", 4096);
	void *mem;

	(void)state;
	for (size_t al = 4096; al <= 64 * MIB; al *= 4) {
		assert_int_equal(far_map(t.pager, 4096, al, &mem), 0);
		assert_int_equal((uintptr_t)mem % al, 0);
		assert_true(tp_same(mem, 0, 0));
	}
	tp_close(&t);
}

static void length_is_rounded_up(void **state)
{
	struct tp t = tp_open("", 1);

	(void)state;
	tp_fill(t.mem, 0, 5);
	assert_int_equal(TP_STAT(t.pager, mapped_bytes), 4096);
	assert_int_equal(far_unmap(t.pager, t.mem, 1), 0);
	assert_int_equal(TP_STAT(t.pager, mapped_bytes), 0);
	tp_close(&t);
}

static void statistics_respect_the_size_of_the_caller(void **state)
{
	struct tp t = tp_open("lazy=off", BIG);
	struct far_stats full = tp_stats(t.pager);
	union {
		struct far_stats st;
		unsigned char bytes[2 * sizeof(struct far_stats)];
	} big, old;
	char json[8192], cut[8];
	int n;

	(void)state;
	memset(&big, 0xee, sizeof(big)); /* a caller newer than the library */
	big.st.size = sizeof(big);
	assert_int_equal(far_stats_read(t.pager, &big.st), 0);
	assert_int_equal(big.st.limit_bytes, full.limit_bytes);
	assert_int_equal(big.bytes[sizeof(struct far_stats)], 0xee);
	memset(&old, 0xee, sizeof(old)); /* and one older */
	old.st.size = 3 * sizeof(uint64_t);
	assert_int_equal(far_stats_read(t.pager, &old.st), 0);
	assert_int_equal(old.st.limit_bytes, full.limit_bytes);
	assert_int_equal(old.bytes[3 * sizeof(uint64_t)], 0xee);

	n = far_stats_json(t.pager, NULL, 0);
	assert_true(n > 0 && n < (int)sizeof(json));
	assert_true(far_stats_json(t.pager, json, sizeof(json)) > 0);
	assert_int_equal(json[0], '{');
	assert_non_null(strstr(json, "\"limit_bytes\":16777216"));
	assert_true(far_stats_json(t.pager, cut, sizeof(cut)) > 8);
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
	tp_close(&t);
}

static void version_is_the_header_s(void **state)
{
	(void)state;
	assert_string_equal(far_version(), FAR_VERSION_STRING);
}

/* --- capacity --------------------------------------------------------------
 */

static void store_that_is_too_small_refuses_to_map(void **state)
{
	struct tp t = tp_open("far=mem:32M", 0);
	void *mem, *more;

	(void)state;
	assert_int_equal(far_map(t.pager, 256 * MIB, 0, &mem), -ENOSPC);
	assert_int_equal(TP_STAT(t.pager, mapped_bytes), 0);
	/* limit and store together hold it */
	assert_int_equal(far_map(t.pager, 40 * MIB, 0, &mem), 0);
	tp_fill_all(mem, 40 * MIB, 1);
	assert_int_equal(tp_same_all(mem, 40 * MIB, 1), 0);
	assert_int_equal(far_map(t.pager, 64 * MIB, 0, &more), -ENOSPC);
	assert_int_equal(tp_same_all(mem, 40 * MIB, 1), 0);
	/* what is given back can be had again */
	assert_int_equal(far_unmap(t.pager, mem, 40 * MIB), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(far_map(t.pager, 40 * MIB, 0, &mem), 0);
		tp_fill_all(mem, 40 * MIB, 7);
		assert_int_equal(tp_same_all(mem, 40 * MIB, 7), 0);
		assert_int_equal(far_unmap(t.pager, mem, 40 * MIB), 0);
	}
	tp_close(&t);
}

static void address_range_can_be_full(void **state)
{
	struct tp t = tp_open("va=64M;lazy=off", 48 * MIB);
	void *mem;

	(void)state;
	assert_int_equal(far_map(t.pager, 32 * MIB, 0, &mem), -ENOMEM);
	assert_int_equal(far_map(t.pager, 16 * MIB, 0, &mem), 0);
	assert_int_equal(far_map(t.pager, 4096, 0, &mem), -ENOMEM);
	assert_int_equal(far_unmap(t.pager, t.mem, 4096), 0);
	assert_int_equal(far_map(t.pager, 4096, 0, &mem), 0);
	assert_ptr_equal(mem, t.mem);
	tp_close(&t);
}

/* --- several pagers ---------------------------------------------------------
 */

struct one {
	struct tp t;
	uint64_t key;
	size_t wrong;
	pthread_t thread;
};

static void *use_pager(void *arg)
{
	struct one *o = arg;

	for (uint64_t r = 0; r < 2; r++) {
		tp_fill_all(o->t.mem, o->t.len, o->key + (r << 32));
		o->wrong += tp_same_all(o->t.mem, o->t.len, o->key + (r << 32));
	}
	return NULL;
}

static void several_pagers_live_in_one_process(void **state)
{
	static const char *const conf[] = {"far=mem:64M", "far=lz4:64M",
					   "far=crc|zstd:64M", "policy=s3fifo"};
	struct one ones[FAR_ARRAY_SIZE(conf)];

	(void)state;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(conf); i++) {
		ones[i] = (struct one){.t = tp_open(conf[i], 2 * TP_LIMIT),
				       .key = (i + 1) << 40};
		assert_int_equal(pthread_create(&ones[i].thread, NULL,
						use_pager, &ones[i]),
				 0);
	}
	for (size_t i = 0; i < FAR_ARRAY_SIZE(conf); i++) {
		assert_int_equal(pthread_join(ones[i].thread, NULL), 0);
		assert_int_equal(ones[i].wrong, 0);
		assert_true(TP_STAT(ones[i].t.pager, evicted_pages) > 0);
		assert_true(TP_STAT(ones[i].t.pager, local_peak_bytes) <=
			    TP_LIMIT);
	}
	/* the memory of one is not the other's */
	assert_int_equal(far_unmap(ones[0].t.pager, ones[1].t.mem, 4096),
			 -EINVAL);
	for (size_t i = 0; i < FAR_ARRAY_SIZE(conf); i += 2)
		tp_close(&ones[i].t);
	for (size_t i = 1; i < FAR_ARRAY_SIZE(conf); i += 2) {
		assert_int_equal(tp_same_all(ones[i].t.mem, ones[i].t.len,
					     ones[i].key + (UINT64_C(1) << 32)),
				 0);
		tp_close(&ones[i].t);
	}
}

/* --- nothing stays behind ---------------------------------------------------
 */

static void open_use_close(unsigned i)
{
	struct tp t = tp_open(i % 2 ? "lazy=off" : "", MIB);

	tp_fill_all(t.mem, t.len, i + 1);
	if (i % 4 == 1) {
		assert_int_equal(
			far_advise(t.pager, t.mem, t.len, FAR_ADV_COLD), 0);
		assert_int_equal(tp_same_all(t.mem, t.len, i + 1), 0);
	}
	tp_close(&t);
}

static void opening_and_closing_leaks_nothing(void **state)
{
	size_t fds, threads, maps;

	(void)state;
	for (unsigned i = 0; i < 8; i++) /* caches of the C library */
		open_use_close(i);
	fds = tp_entries("fd");
	threads = tp_entries("task");
	maps = tp_entries("maps");
	for (unsigned i = 0; i < 200; i++)
		open_use_close(i);
	assert_int_equal(tp_entries("fd"), fds);
	/* a joined thread may still be on its way out */
	TP_WAIT(tp_entries("task") == threads, 5);
	/* stacks that the C library keeps may split or join mappings */
	assert_in_range(tp_entries("maps"), 1, maps + 4);
}

static void failing_to_open_leaks_nothing(void **state)
{
	static const char *const bad[] = {"far=file:/no/such/folder/x?size=64M",
					  "local=1M", "far=mem:1G,x=y",
					  "budget=/no/such/file"};
	size_t fds, threads, maps;
	struct far_pager *p;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_true(tp_try(bad[i % FAR_ARRAY_SIZE(bad)], &p) < 0);
	fds = tp_entries("fd");
	threads = tp_entries("task");
	maps = tp_entries("maps");
	for (unsigned i = 0; i < 60; i++)
		assert_true(tp_try(bad[i % FAR_ARRAY_SIZE(bad)], &p) < 0);
	assert_int_equal(tp_entries("fd"), fds);
	/* a joined thread may still be on its way out */
	TP_WAIT(tp_entries("task") == threads, 5);
	assert_in_range(tp_entries("maps"), 1, maps + 4);
}

/* Closing while pages are under way in both directions. */
static void close_in_the_middle_of_work(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		struct tp t = tp_open("far=delay:read=2ms,write=2ms|mem:128M",
				      64 * MIB);

		tp_fill_all(t.mem, 24 * MIB, 1);
		assert_int_equal(
			far_advise(t.pager, t.mem, t.len, FAR_ADV_WILLNEED), 0);
		assert_int_equal(far_advise(t.pager, t.mem + 8 * MIB, 8 * MIB,
					    FAR_ADV_COLD),
				 0);
		tp_close(&t);
	}
}

/* An ordinary user: faults of user mode are served, and it is said that
 * those of system calls are not. */
static int work_as_nobody(void *arg)
{
	const char *msg = "faults of user mode only";
	struct tp t;
	int fd;

	(void)arg;
	if (setgid(65534) < 0 || setuid(65534) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1) < 0) /* or /proc/self is root's */
		return 1;
	fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (fd >= 0 || syscall(SYS_userfaultfd, O_CLOEXEC) >= 0)
		return 77;
	t = tp_open("lazy=off", BIG);
	if (!tp_logged(msg) || !tp_logged("fix:"))
		return 2;
	tp_fill_all(t.mem, t.len, 1);
	if (tp_same_all(t.mem, t.len, 1) || !TP_STAT(t.pager, faults_remote))
		return 3;
	if (!tp_evict(t.pager, t.mem, MIB))
		return 4;
	/* loud, not wrong */
	if (getcwd(t.mem, MIB) || errno != EFAULT)
		return 5;
	tp_close(&t);
	return 0;
}

static void user_mode_only_pager_serves_and_says_so(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to become another user\n");
		skip();
	}
	status = tp_in_child(work_as_nobody, NULL);
	if (status == 77) {
		print_message("skipped: any user may use userfaultfd here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_configuration_is_refused),
		cmocka_unit_test(backend_that_cannot_open_says_so),
		cmocka_unit_test(default_log_reaches_standard_error),
		cmocka_unit_test(bad_arguments_change_nothing),
		cmocka_unit_test(alignment_is_kept),
		cmocka_unit_test(length_is_rounded_up),
		cmocka_unit_test(statistics_respect_the_size_of_the_caller),
		cmocka_unit_test(version_is_the_header_s),
		cmocka_unit_test(store_that_is_too_small_refuses_to_map),
		cmocka_unit_test(address_range_can_be_full),
		cmocka_unit_test(several_pagers_live_in_one_process),
		cmocka_unit_test(opening_and_closing_leaks_nothing),
		cmocka_unit_test(failing_to_open_leaks_nothing),
		cmocka_unit_test(close_in_the_middle_of_work),
		cmocka_unit_test(user_mode_only_pager_serves_and_says_so),
	};

	return tp_main(argc, argv, "pager.api", tests);
}
