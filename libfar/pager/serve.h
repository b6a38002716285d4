/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serving one fault: the page's word is moved along (page.h) and the page
 * filled, with zeros, from staging, or from the backend.  Never evicts; when no
 * frame is free it waits for one, and goes on completing fetches meanwhile.
 *
 * Threads: a server has one at a time.
 */
#ifndef LIBFAR_PAGER_SERVE_H
#define LIBFAR_PAGER_SERVE_H

#include "libfar/pager/fetch.h"
#include "libfar/pager/guide.h"
#include "libfar/pager/predict.h"
#include "libfar/uffd/uffd.h"

/** struct far_server - what it takes to serve faults */
struct far_server {
	struct far_fetcher fetch;
	struct far_predict predict;
	struct far_guide guide;
	unsigned nr_faults; /* which of them to time */
	uint64_t waited_ns; /* for a frame, the last one */
};

enum far_served {
	FAR_SERVED_DONE, /* filled, or being fetched */
	FAR_SERVED_WAIT, /* somebody owns the page, and will wake who waits */
	FAR_SERVED_LOST, /* SIGBUS for who touches it */
	FAR_SERVED_AGAIN,
};

/**
 * server_serve() - deal with the fault @msg on page @pg, which is mapped
 * @start_ns: when it was read
 * Return: never FAR_SERVED_AGAIN.
 */
enum far_served server_serve(struct far_server *v, far_pgno_t pg,
			     const struct far_uffd_msg *msg, uint64_t start_ns);

#endif
