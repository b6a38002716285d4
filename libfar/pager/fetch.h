/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fetching pages: what a monitor, or far-ctl, needs to read pages from the
 * backend and to put them where they belong.  A read that fails is tried again
 * until on_loss has passed.
 *
 * Threads: a fetcher has one.
 */
#ifndef LIBFAR_PAGER_FETCH_H
#define LIBFAR_PAGER_FETCH_H

#include "libfar/backend/backend.h"
#include "libfar/base/stats.h"
#include "libfar/pager/page.h"

#define FAR_FAULT_DEPTH 32 /* fetches in flight per fetcher, at most */

struct far_pager;

/** struct far_fault - one fetch in service; its monitor's */
struct far_fault {
	struct far_io io; /* first: completions come back as far_io */
	far_pgno_t pg;
	bool is_write;	   /* install writable */
	bool is_ahead;	   /* prefetch: nobody waits */
	bool is_abandoned; /* nobody wants it; the backend has the buffer */
	unsigned tries;
	uint64_t start_ns; /* it is timed: its message was read; or 0 */
	uint64_t found_ns; /* page and frame were there */
	uint64_t first_fail_ns;
	uint64_t sent_ns;  /* the backend has it since; 0: it has not */
	uint64_t retry_ns; /* when to submit again; 0: in flight */
	char *buf; /* one page of near memory; those of neighbours are, too */
	struct far_fault *next;
};

/** struct far_fetcher - what it takes to read pages: a monitor's, or ctl's */
struct far_fetcher {
	struct far_pager *pager;
	struct far_queue *q;
	struct far_stat_shard *stats;
	struct far_fault faults[FAR_FAULT_DEPTH];
	uint32_t idle;			       /* one bit for each of faults */
	struct far_fault *waiting;	       /* to be retried, by ->next */
	struct far_io *added[FAR_FAULT_DEPTH]; /* and not sent */
	unsigned nr_added;
	unsigned depth;	    /* how many of faults are in use */
	unsigned max_ahead; /* while fewer are busy, pages come for nobody */
	unsigned nr_busy;
	unsigned nr_abandoned; /* of these: nobody waits for them */
	char *bufs;
};

/** fetcher_init() - buffers and a queue of the backend for @depth fetches at a
 * time, at most FAR_FAULT_DEPTH; 0 or -errno */
int fetcher_init(struct far_fetcher *f, struct far_pager *p, unsigned depth,
		 struct far_stat_shard *stats);

/** fetcher_fini() - keeps what a backend that hangs may still write to */
void fetcher_fini(struct far_fetcher *f);

/** fetcher_wants() - could a page with word @w be fetched? */
bool fetcher_wants(far_word_t w);

/**
 * fetcher_add() - read a page that the caller has moved to FETCHING, its
 * frame charged; needs nr_busy < depth; goes with the next fetcher_send()
 * @is_ahead: nobody waits for it: if it cannot be read it stays REMOTE
 * Return: for those who time it.
 */
struct far_fault *fetcher_add(struct far_fetcher *f, far_pgno_t pg,
			      uint64_t slot, bool is_write, bool is_ahead);

/** fetcher_send() - have the backend begin with what was added, in one call */
void fetcher_send(struct far_fetcher *f);

/** fetcher_poll() - deal with completions and due retries; how many ended */
int fetcher_poll(struct far_fetcher *f);

/**
 * fetcher_add_ahead() - add @pg, which fetcher_wants() by its word @w, for
 * nobody; needs nr_busy < depth
 * Return: 1; 0 the word has changed; -EAGAIN no frame is free.
 */
int fetcher_add_ahead(struct far_fetcher *f, far_pgno_t pg, far_word_t w,
		      bool is_write);

/**
 * fetcher_ahead() - fetch up to @nr pages from @start that are remote, as
 * long as frames are plentiful; returns when all have arrived; far-ctl
 */
void fetcher_ahead(struct far_fetcher *f, far_pgno_t start, far_pgno_t nr);

/**
 * pager_fill() - the owner of a FETCHING or RESCUING page ends it: filled from
 * @src and RESIDENT; or ABSENT, if it was discarded before it was rescued
 * @add: flags of the word
 * The frame was charged.
 */
void pager_fill(struct far_pager *p, far_pgno_t pg, const void *src,
		far_word_t add, bool is_write);

/**
 * fetcher_fill() - pager_fill() for a fault that may be timed
 * @start_ns: when its message was read; 0: it is not timed
 * @found_ns: when page and frame were there; 0: its stages are not timed
 */
void fetcher_fill(struct far_fetcher *f, far_pgno_t pg, const void *src,
		  far_word_t add, bool is_write, uint64_t start_ns,
		  uint64_t found_ns);

/** pager_fill_zeros() - pager_fill() with zeros of @nr FETCHING pages from
 * @first, at most FAR_ZERO_RUN; nobody asked for any but @pg */
void pager_fill_zeros(struct far_pager *p, far_pgno_t pg, far_pgno_t first,
		      unsigned nr);

/** pager_short() - somebody finds no frame: let evictors work farther ahead */
void pager_short(struct far_pager *p);

/** pager_wake() - let the threads that wait for @pg look again (inline.c) */
void pager_wake(struct far_pager *p, far_pgno_t pg);

#endif
