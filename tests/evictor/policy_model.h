/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reference model of the pages of a pager, driven by bytes: it does to an
 * eviction policy what a pager may do, in any order, and checks every victim.
 */
#ifndef TESTS_EVICTOR_POLICY_MODEL_H
#define TESTS_EVICTOR_POLICY_MODEL_H

#include <far/evict.h>

#define POLICY_MODEL_PAGES 320 /* more than one pick of one may look at */

/**
 * policy_model_run() - play @data against a fresh object of @ops
 * @data: any bytes; one operation takes two or three of them
 * @why: what the policy did wrong, if it did
 *
 * Checks that a victim is in use and evictable, was asked for in this pick,
 * was not just seen used and comes once; that a pick asks for the mark of
 * evictable pages only, looks at each page once and at no more than 64 for
 * every victim, and writes no further than told.  In the end everything is
 * made evictable and the policy has to give every resident page, and then none.
 *
 * Return: 0, or -1 with @why.
 */
int policy_model_run(const struct far_evict_policy_ops *ops,
		     const uint8_t *data, size_t len, char *why,
		     size_t why_len);

#endif
