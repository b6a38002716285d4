/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache of pages that plays a trace to an eviction policy. */
#ifndef TESTS_EVICTOR_SIM_H
#define TESTS_EVICTOR_SIM_H

#include <far/evict.h>

#include "tests/evictor/trace.h"

/** enum sim_sight - what take_ref() knows */
enum sim_sight {
	/* every use after the one that brought the page in */
	SIM_SEES_ALL,
	/*
	 * What a pager sees without an accessed bit: a page that was wanted
	 * while it was still being written back, that is one of the last two
	 * batches of victims, comes back marked.
	 */
	SIM_SEES_RESCUES,
	/* nothing, ever */
	SIM_SEES_NOTHING,
};

struct sim_result {
	uint32_t misses;
	uint32_t rescues; /* misses that cost no transfer */
	uint32_t picks;	  /* calls */
};

/**
 * sim_run() - play @t to @ops in a cache of @size pages
 * @batch: victims asked for when the cache is full; all of them leave
 *
 * Return: 0; -ENOMEM; -EPROTO the policy gave what it must not, or nothing
 * although there were pages to give.
 */
int sim_run(const struct trace *t, const struct far_evict_policy_ops *ops,
	    uint32_t size, unsigned batch, enum sim_sight sight,
	    struct sim_result *ret);

/** sim_plain_fifo() - misses of first in, first out, without any policy */
int sim_plain_fifo(const struct trace *t, uint32_t size, uint32_t *ret_misses);

#endif
