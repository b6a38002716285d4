/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cases of the conformance suite share, and the longer ones. */
#ifndef TESTS_CONFORMANCE_SUITE_H
#define TESTS_CONFORMANCE_SUITE_H

#include "libfar/backend/backend.h"

#define DEPTH 32u
#define NR_SLOTS 512u

/** struct suite - a fresh backend for each case */
struct suite {
	struct far_backend *be;
	struct far_queue *q; /* DEPTH deep, if the backend can */
	char *buf;	     /* DEPTH pages */
	const struct far_backend_caps *caps;
};

void random_requests_agree_with_a_model(void **state);
void two_threads_with_a_queue_each(void **state);
void a_forked_child_sees_frozen_contents(void **state);

#endif
