/* SPDX-License-Identifier: BSD-3-Clause */
/* bench-fault: the floors, without libfar's pager. */
#include "bench/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/lib/content.h"
#include "bench/lib/env.h"
#include "bench/lib/zram.h"
#include "libfar/uffd/uffd.h"

#define ZRAM_EXTRA (UINT64_C(16) << 20)

int fault_region(uint64_t nr_pages, void **ret_base)
{
	size_t len = nr_pages * FAR_PAGE_SIZE;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	/* Refused by kernels without huge pages, which is as good. */
	(void)madvise(p, len, MADV_NOHUGEPAGE);
	*ret_base = p;
	return 0;
}

void fault_touch(void *base, uint64_t pg, struct bench_lat *lat)
{
	_Atomic uint64_t *word = bench_page(base, pg);
	uint64_t before = far_now_ns();

	atomic_store_explicit(word, pg + 1, memory_order_relaxed);
	bench_lat_add(lat, far_now_ns() - before);
}

int fault_zero_fill(const struct fault_opts *o, struct bench_lat *lat)
{
	uint64_t pg;
	void *base;
	int err;

	err = fault_region(o->nr_samples, &base);
	if (err)
		return err;
	for (pg = 0; pg < o->nr_samples; pg++)
		fault_touch(base, pg, lat);
	(void)munmap(base, o->nr_samples * FAR_PAGE_SIZE);
	return FAULT_DONE;
}

static int read_back(const struct fault_opts *o, void *base,
		     struct bench_lat *lat)
{
	struct bench_rng rng;
	uint64_t i;

	bench_rng_init(&rng, o->seed);
	for (i = 0; i < o->nr_samples; i++) {
		uint64_t pg = bench_rng_below(&rng, o->nr_samples);
		char *page = (char *)base + pg * FAR_PAGE_SIZE;
		unsigned char here;
		uint64_t before;
		bool is_good;

		if (mincore(page, FAR_PAGE_SIZE, &here))
			return -errno;
		if (here & 1)
			continue;
		before = far_now_ns();
		is_good = bench_word_ok(bench_page(base, pg), o->seed, pg,
					BENCH_FIRST_WORD);
		bench_lat_add(lat, far_now_ns() - before);
		if (!is_good)
			return -EBADMSG;
	}
	return FAULT_DONE;
}

int fault_zram(const struct fault_opts *o, struct bench_lat *lat)
{
	size_t len = o->nr_samples * FAR_PAGE_SIZE;
	struct bench_zram zram;
	uint64_t pg;
	void *base;
	int err;

	err = fault_region(o->nr_samples, &base);
	if (err)
		return err;
	for (pg = 0; pg < o->nr_samples; pg++)
		bench_page_fill(bench_page(base, pg), o->seed, pg);
	if (bench_zram_up(&zram, len + ZRAM_EXTRA, "lz4")) {
		err = FAULT_SKIPPED;
		goto out;
	}
	if (madvise(base, len, MADV_PAGEOUT))
		err = -errno;
	else
		err = read_back(o, base, lat);
	bench_zram_down(&zram);
out:
	(void)munmap(base, len);
	return err;
}

/* A region whose faults go to a userfaultfd. */
static int uffd_region(uint64_t nr_pages, void **ret_base)
{
	struct far_uffd_info info;
	char why[512];
	int fd, err;

	fd = far_uffd_open(true, &info);
	if (fd < 0) {
		far_uffd_explain(&info, why, sizeof(why));
		(void)fprintf(stderr, "bench-fault: %s\n", why);
		return fd;
	}
	err = fault_region(nr_pages, ret_base);
	if (err)
		goto err_close;
	err = far_uffd_register(fd, *ret_base, nr_pages * FAR_PAGE_SIZE, false);
	if (!err)
		return fd;
	(void)munmap(*ret_base, nr_pages * FAR_PAGE_SIZE);
err_close:
	(void)close(fd);
	return err;
}

int fault_copy(const struct fault_opts *o, struct bench_lat *lat)
{
	static _Alignas(4096) const char page[4096] = {1};
	uint64_t pg;
	void *base;
	int fd, err = 0;

	fd = uffd_region(o->nr_samples, &base);
	if (fd < 0)
		return fd;
	for (pg = 0; pg < o->nr_samples && !err; pg++) {
		uint64_t before = far_now_ns();

		err = far_uffd_copy(fd, (char *)base + pg * FAR_PAGE_SIZE, page,
				    0);
		bench_lat_add(lat, far_now_ns() - before);
	}
	(void)munmap(base, o->nr_samples * FAR_PAGE_SIZE);
	(void)close(fd);
	return err;
}

/* The thread that serves faults: as many as will be raised. */
struct monitor {
	pthread_t thread;
	int uffd;
	unsigned cpu;
	uint64_t nr_faults;
	int err;
};

static int serve(const struct monitor *m)
{
	static _Alignas(4096) const char page[4096] = {1};
	struct far_uffd_msg msg;
	int n, err;

	n = far_uffd_read(m->uffd, &msg, 1);
	if (n <= 0)
		return n;
	do
		err = far_uffd_copy(
			m->uffd, (char *)(msg.addr & ~(uintptr_t)FAR_PAGE_MASK),
			page, 0);
	while (err == -EAGAIN);
	return err ? err : 1;
}

static void *monitor_main(void *arg)
{
	struct monitor *m = arg;
	uint64_t nr = 0;

	m->err = bench_pin(m->cpu);
	while (!m->err && nr < m->nr_faults) {
		int n = serve(m);

		if (n < 0)
			m->err = n;
		else
			nr += (uint64_t)n;
	}
	/* With nobody to serve them, faults must not hang: they see zeros. */
	(void)close(m->uffd);
	return NULL;
}

/* Takes m->uffd. */
static int touch_all(void *base, struct monitor *m, struct bench_lat *lat)
{
	uint64_t pg;
	int err;

	/* A thread that blocks in read() is woken with the fewest steps. */
	if (fcntl(m->uffd, F_SETFL, 0) < 0) {
		err = -errno;
		goto err_close;
	}
	err = -pthread_create(&m->thread, NULL, monitor_main, m);
	if (err)
		goto err_close;
	for (pg = 0; pg < m->nr_faults; pg++)
		fault_touch(base, pg, lat);
	(void)pthread_join(m->thread, NULL);
	return m->err;
err_close:
	(void)close(m->uffd);
	return err;
}

int fault_monitor(const struct fault_opts *o, bool same_core,
		  struct bench_lat *lat)
{
	struct monitor m = {.cpu = same_core ? 0 : 1,
			    .nr_faults = o->nr_samples};
	cpu_set_t old;
	void *base;
	int err;

	if (!same_core && sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		(void)fprintf(stderr, "bench-fault: one core only\n");
		return FAULT_SKIPPED;
	}
	if (sched_getaffinity(0, sizeof(old), &old))
		return -errno;
	m.uffd = uffd_region(o->nr_samples, &base);
	if (m.uffd < 0)
		return m.uffd;
	err = bench_pin(0);
	if (err)
		(void)close(m.uffd);
	else
		err = touch_all(base, &m, lat);
	(void)sched_setaffinity(0, sizeof(old), &old); /* worked before */
	(void)munmap(base, o->nr_samples * FAR_PAGE_SIZE);
	return err;
}
