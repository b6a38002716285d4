/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Around the conformance suite: the backend under test, a server if it needs
 * one, a directory that goes away again, and blocking transfers.
 *
 *   test_backend SPEC [--server COMMAND ARG...]
 *
 * In SPEC and ARG, %T is a fresh directory.  The server gets "--ready-fd N"
 * added and writes its address there; %A in SPEC is that address.
 */
#ifndef TESTS_CONFORMANCE_HARNESS_H
#define TESTS_CONFORMANCE_HARNESS_H

#include <sys/types.h>

#include "libfar/backend/backend.h"

#define PAGE ((uint64_t)FAR_PAGE_SIZE)
#define WAIT_NS                                                                \
	INT64_C(10000000000) /* a backend that takes longer is stuck           \
			      */

struct harness {
	char dir[64];	/* "" if there is none */
	char spec[512]; /* with everything put in */
	pid_t server;	/* 0 if there is none */
	char addr[256];
};

/** harness_start() - 0, or -1 with the reason on standard error */
int harness_start(struct harness *h, int argc, char **argv);

/** harness_stop() - ends the server, removes the directory */
void harness_stop(struct harness *h);

/** do_io() - one transfer, waited for; its result, -ETIME if it never ends */
int do_io(struct far_queue *q, enum far_io_op op, uint64_t off, void *buf,
	  uint32_t len);

/** poll_some() - waits until at least one completion came; their number */
int poll_some(struct far_queue *q, struct far_io **ret_done, unsigned max);

/**
 * fill_page() - contents of version @version of the page at @off
 * Every third version is random, the others compress or are one word again
 * and again, so that every form of storage is met.
 */
void fill_page(void *page, uint64_t off, uint64_t version);

/** is_page() - does @page hold that version? */
int is_page(const void *page, uint64_t off, uint64_t version);

/** next_random() - xorshift64; *@state is not 0 */
uint64_t next_random(uint64_t *state);

#endif
