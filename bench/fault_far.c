/* SPDX-License-Identifier: BSD-3-Clause */
/* bench-fault: faults that libfar serves. */
#include "bench/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include <far/far.h>

#include "bench/lib/content.h"

#define LOCAL_MIN (UINT64_C(16) << 20)
/* A draw that finds its page local is no sample; so many draws at most. */
#define DRAWS_PER_SAMPLE 16

static int open_far(const struct fault_opts *o, const char *spec,
		    uint64_t local, uint64_t nr_pages, const char *more,
		    bool is_inline, struct far_pager **ret_pager,
		    void **ret_base)
{
	struct far_open_attr attr = {.size = sizeof(attr)};
	char conf[2048];
	int err;

	err = snprintf(conf, sizeof(conf), "local=%" PRIu64 ";far=%s%s%s%s%s",
		       local, spec, is_inline ? ";fault=inline" : "", more,
		       o->conf.text[0] ? ";" : "", o->conf.text);
	if (err < 0 || (size_t)err >= sizeof(conf))
		return -ENAMETOOLONG;
	err = far_open(conf, &attr, ret_pager);
	if (err)
		return err;
	err = is_inline ? far_map_inline(*ret_pager, nr_pages * FAR_PAGE_SIZE,
					 0, ret_base)
			: far_map(*ret_pager, nr_pages * FAR_PAGE_SIZE, 0,
				  ret_base);
	if (err)
		far_close(*ret_pager);
	return is_inline && err == -ENOTSUP ? FAULT_SKIPPED : err;
}

int fault_far_first_touch(const struct fault_opts *o, const char *spec,
			  bool is_inline, struct bench_lat *lat)
{
	uint64_t local = LOCAL_MIN + 2 * o->nr_samples * FAR_PAGE_SIZE;
	struct far_pager *pager;
	uint64_t pg;
	void *base;
	int err;

	err = open_far(o, spec, local, o->nr_samples, ";lazy=off", is_inline,
		       &pager, &base);
	if (err)
		return err;
	for (pg = 0; pg < o->nr_samples; pg++)
		fault_touch(base, pg, lat);
	far_close(pager);
	return FAULT_DONE;
}

static int sample_remote(const struct fault_opts *o, void *base,
			 uint64_t nr_pages, struct bench_lat *lat)
{
	uint64_t i, nr = 0;
	struct bench_rng rng;

	bench_rng_init(&rng, o->seed);
	for (i = 0; i < o->nr_samples * DRAWS_PER_SAMPLE; i++) {
		uint64_t pg = bench_rng_below(&rng, nr_pages);
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
		if (++nr == o->nr_samples)
			break;
	}
	return FAULT_DONE;
}

int fault_far_remote_read(const struct fault_opts *o, const char *spec,
			  bool is_inline, struct bench_lat *lat)
{
	uint64_t nr_pages = 4 * LOCAL_MIN / FAR_PAGE_SIZE;
	struct far_pager *pager;
	uint64_t pg;
	void *base;
	int err;

	err = open_far(o, spec, LOCAL_MIN, nr_pages, "", is_inline, &pager,
		       &base);
	if (err)
		return err;
	/* Read-ahead would take faults away from the pages behind. */
	err = far_advise(pager, base, nr_pages * FAR_PAGE_SIZE, FAR_ADV_RANDOM);
	for (pg = 0; pg < nr_pages && !err; pg++)
		bench_page_fill(bench_page(base, pg), o->seed, pg);
	if (!err)
		err = sample_remote(o, base, nr_pages, lat);
	far_close(pager);
	return err;
}
