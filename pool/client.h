/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the client backend: client.c is the control plane, client_io.c
 * the data plane.  All of it lies in near memory.
 */
#ifndef POOL_CLIENT_H
#define POOL_CLIENT_H

#include <sys/uio.h>

#include "libfar/backend/backend.h"
#include "pool/addr.h"
#include "pool/sock.h"
#include "pool/wire.h"

#define CLIENT_RING 256	   /* frames in flight; power of two, >= the depth */
#define CLIENT_BATCH 16	   /* ranges in one DISCARD of ours */
#define CLIENT_AHEAD 16384 /* bytes read beyond what is waited for */
#define CLIENT_STAGE (WIRE_HEADER_LEN + WIRE_MAX_LEN + CLIENT_AHEAD)

/** struct pool_client - a backend; control plane only */
struct pool_client {
	struct far_backend be; /* first */
	struct pool_addr addr;
	struct wire_hello hello;  /* with the token of our export */
	struct pool_sock control; /* fd -1: lost */
	uint64_t limit, reserved; /* bytes */
	struct pool_queue *queues;
};

/** struct pool_frame - a request from submit() until its reply */
struct pool_frame {
	struct far_io *ios; /* one; a DISCARD: nr, linked */
	struct far_io **ios_end;
	unsigned nr;
	uint8_t type;
	uint32_t length; /* of the payload */
	uint8_t header[WIRE_HEADER_LEN];
	uint8_t ranges[CLIENT_BATCH * WIRE_RANGE_LEN];
};

/**
 * struct pool_queue - one connection; the owner thread's
 * Frames are numbered; number n lies in ring[n % CLIENT_RING] and n is its id
 * on the wire.  head <= sent <= tail <= head + CLIENT_RING.  The server
 * answers in order, so the next reply is for head.
 */
struct pool_queue {
	struct far_queue q;	 /* first */
	struct pool_queue *next; /* list of the client; control plane */
	struct pool_sock sock;
	int epoll_fd;	 /* what event_fd() gives: the socket and kick_fd */
	int kick_fd;	 /* eventfd: completions wait in done */
	bool is_lost;	 /* the connection is gone */
	bool is_kicked;	 /* kick_fd is readable */
	bool is_blocked; /* epoll watches for room to send */
	unsigned nr_ios; /* accepted, not yet in done */
	uint64_t head, sent, tail;
	size_t sent_bytes; /* of frame `sent` */
	struct far_io *done, **done_end;
	struct far_io *rx_io;	       /* READ whose data is coming, or NULL */
	uint32_t rx_got;	       /* bytes of it that are there */
	uint32_t rx_crc;	       /* what they must add up to */
	size_t stage_head, stage_tail; /* bytes received, not looked at */
	struct iovec iov[2 * CLIENT_RING];
	struct pool_frame ring[CLIENT_RING];
	uint8_t stage[CLIENT_STAGE];
};

/* The data plane's operations. */
int pool_queue_submit(struct far_queue *fq, struct far_io *list, unsigned nr);
int pool_queue_poll(struct far_queue *fq, struct far_io **ret_done,
		    unsigned max);
int pool_queue_event_fd(struct far_queue *fq);

#endif
