/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local budget: how many page frames may be in use, shared by all
 * processes of one `far run`.  A frame is charged before it is filled, so the
 * limit is never exceeded; who cannot charge waits for an evictor.
 *
 * The shared part lives in a private mapping, or in a file that `far run`
 * makes (option budget=).  Every field of it is atomic.
 */
#ifndef LIBFAR_PAGER_BUDGET_H
#define LIBFAR_PAGER_BUDGET_H

#include <stdatomic.h>

#include "libfar/base/compiler.h"

#define FAR_BUDGET_MAGIC UINT64_C(0x3144475552414646)
#define FAR_BUDGET_MEMBERS 1024

struct far_budget_member {
	_Atomic uint32_t pid;	    /* 0: free; set by the member */
	_Atomic uint32_t start;	    /* low bits of its start time */
	_Atomic int64_t used_pages; /* the member's charge */
	_Atomic uint32_t image;	    /* tells the program before an exec */
	uint32_t pad;
};

struct far_budget_shared {
	uint64_t magic;
	_Atomic uint64_t limit_pages;
	_Atomic int64_t used_pages; /* sum over members; may pass the limit
				     * only by lowering it, or by fork */
	_Atomic int64_t peak_pages;
	_Atomic uint32_t freed;	     /* futex: frames were given back */
	_Atomic uint32_t waiters;    /* threads on freed */
	_Atomic uint32_t pressure;   /* futex: evictors should look */
	_Atomic uint32_t sleepers;   /* evictors asleep on pressure */
	_Atomic uint32_t nr_members; /* highest member index + 1 */
	struct far_budget_member member[FAR_BUDGET_MEMBERS];
};

struct far_budget {
	struct far_budget_shared *sh;
	struct far_budget_member *me;
	bool is_file; /* shared with other processes */
};

/**
 * far_budget_open() - join the budget in file @path, or make a private one
 * @path: "" for a private budget; else a file made by far_budget_create()
 * @limit_pages: of a private budget; a file has its own
 *
 * Context: control plane, no malloc.
 * Return: 0; -ENOMEM; -EUSERS too many processes; -EINVAL not a budget file;
 * -errno of open.
 */
int far_budget_open(struct far_budget *b, const char *path,
		    uint64_t limit_pages);

/** far_budget_close() - uncharge all of this process and leave */
void far_budget_close(struct far_budget *b);

/** far_budget_create() - make the file for far_budget_open(); 0 or -errno */
int far_budget_create(const char *path, uint64_t limit_pages);

/** far_budget_fork() - in a child: a member of its own, charged @pages */
int far_budget_fork(struct far_budget *b, int64_t pages);

/** far_budget_try() - charge @n frames if they fit; true if charged */
bool far_budget_try(struct far_budget *b, unsigned n);

/** far_budget_force() - charge @n frames in any case */
void far_budget_force(struct far_budget *b, int64_t n);

/** far_budget_put() - give back @n frames and wake who waits for one */
void far_budget_put(struct far_budget *b, int64_t n);

/** far_budget_wait() - sleep until frames were given back, or @timeout_ns
 * @seen: value of sh->freed before the last failed far_budget_try() */
void far_budget_wait(struct far_budget *b, uint32_t seen, uint64_t timeout_ns);

/** far_budget_press() - wake evictors of all processes */
void far_budget_press(struct far_budget *b);

/** far_budget_pressed() - sleep until someone pressed, or @timeout_ns */
void far_budget_pressed(struct far_budget *b, uint32_t seen,
			uint64_t timeout_ns);

/** far_budget_sweep() - return the charge of processes that died; pages */
int64_t far_budget_sweep(struct far_budget *b);

/** far_budget_free() - frames left; negative when over the limit */
static inline int64_t far_budget_free(const struct far_budget *b)
{
	return (int64_t)atomic_load_explicit(&b->sh->limit_pages,
					     memory_order_relaxed) -
	       atomic_load_explicit(&b->sh->used_pages, memory_order_relaxed);
}

#endif
