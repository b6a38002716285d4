/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <far/far.h>

#include "libfar/base/clock.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"
#include "libfar/pager/preload.h"
#include "libfar/preload/je.h"

/*
 * Chunks grow with what is there already: the pager counts what is mapped
 * against the limit until it intercepts, and most processes stay small.
 */
#define CHUNK_SHARE 4
#define CHUNK_MIN ((size_t)2 << 20)
#define CHUNK_MAX ((size_t)64 << 20)
#define CHUNK_ALIGN ((size_t)2 << 20) /* a huge page */
#define NR_CHUNKS 64
/* A shorter rest of a chunk is not worth a place in the table. */
#define CHUNK_REST_MIN ((size_t)64 << 10)
/* No address space holds more: not our limit, not worth a message. */
#define SIZE_ABSURD ((size_t)1 << 47)

/** struct chunk - what is left of a piece of far memory */
struct chunk {
	uintptr_t next; /* 0: free place in the table */
	uintptr_t end;
};

static pthread_mutex_t chunk_lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk chunks[NR_CHUNKS]; /* under chunk_lock */
static size_t mapped;		       /* likewise: bytes got so far */

static struct far_pager *the_pager; /* written before hooks are in place */
static extent_hooks_t *near_hooks;  /* jemalloc's own, likewise */
static _Atomic int last_error;	    /* of far_map(), not yet complained about */
static _Atomic uint64_t last_complaint_s;

FAR_COLD void far_extent_complain(size_t size)
{
	int err = atomic_exchange(&last_error, 0);
	uint64_t now_s = far_now_ns() / FAR_NS_PER_S + 1;
	uint64_t seen = atomic_load(&last_complaint_s);
	const char *why;
	char text[32];

	if (!err || seen == now_s ||
	    !atomic_compare_exchange_strong(&last_complaint_s, &seen, now_s))
		return;
	if (err == -ENOSPC)
		why = "no room where far pages live; fix: a larger size in "
		      "far= of FAR_CONF, or a larger pool";
	else if (err == -ENOMEM)
		why = "no address space; fix: a larger va= in FAR_CONF, or a "
		      "higher limit (ulimit -v)";
	else
		why = "far memory could not be started; fix: see the messages "
		      "above";
	far_log_to(far_log_stderr, NULL, FAR_LOG_ERR,
		   "malloc of %s failed: %s (error %d)",
		   far_size_format(size, text, sizeof(text)), why, -err);
}

/* Keeps [@start, @end) for later; the smallest rest makes way. */
static void chunk_keep(uintptr_t start, uintptr_t end)
{
	struct chunk *c, *least = &chunks[0];

	if (start >= end || end - start < CHUNK_REST_MIN)
		return;
	for (c = chunks; c < chunks + NR_CHUNKS; c++) {
		if (c->end - c->next < least->end - least->next)
			least = c;
	}
	if (end - start <= least->end - least->next)
		return;
	least->next = start;
	least->end = end;
}

/* From the front of @c, exactly at @fixed unless that is 0; 0 if not. */
static uintptr_t chunk_carve(struct chunk *c, uintptr_t fixed, size_t size,
			     size_t align)
{
	uintptr_t old = c->next;
	uintptr_t at = far_round_up(old, align);

	if (!old || (fixed && at != fixed) || at < old || at > c->end ||
	    c->end - at < size)
		return 0;
	c->next = at + size;
	if (c->end - c->next < CHUNK_REST_MIN)
		*c = (struct chunk){0};
	chunk_keep(old, at);
	return at;
}

static uintptr_t take_locked(uintptr_t fixed, size_t size, size_t align)
{
	uintptr_t at = 0;
	unsigned i;

	for (i = 0; i < NR_CHUNKS && !at; i++)
		at = chunk_carve(&chunks[i], fixed, size, align);
	return at;
}

static size_t chunk_size(void)
{
	size_t len = far_round_up(mapped / CHUNK_SHARE, CHUNK_ALIGN);

	if (len < CHUNK_MIN)
		return CHUNK_MIN;
	return len < CHUNK_MAX ? len : CHUNK_MAX;
}

/* From a whole new chunk, or if there is no room for that from just enough. */
static int take_new_locked(size_t size, size_t align, uintptr_t *ret_at)
{
	size_t len = far_max_u64(size, chunk_size());
	void *addr;
	int err;

	if (align < CHUNK_ALIGN)
		align = CHUNK_ALIGN;
	err = far_map(the_pager, len, align, &addr);
	if (err && len > size) {
		len = size;
		err = far_map(the_pager, len, align, &addr);
	}
	if (err)
		return err;
	mapped += len;
	*ret_at = (uintptr_t)addr;
	chunk_keep(*ret_at + size, *ret_at + len);
	return 0;
}

static void *hook_alloc(extent_hooks_t *hooks, void *new_addr, size_t size,
			size_t align, bool *zero, bool *commit, unsigned ind)
{
	uintptr_t at;
	int saved = errno;
	int err = 0;

	(void)hooks;
	(void)ind;
	far_near_enter();
	pthread_mutex_lock(&chunk_lock);
	at = take_locked((uintptr_t)new_addr, size, align);
	if (!at && !new_addr)
		err = take_new_locked(size, align, &at);
	pthread_mutex_unlock(&chunk_lock);
	if (err && size < SIZE_ABSURD)
		atomic_store(&last_error, err);
	far_near_leave();
	errno = saved;
	if (!at)
		return NULL;
	*zero = true; /* never handed out before */
	*commit = true;
	return (void *)at;
}

/* Refused: jemalloc keeps the addresses, purged, and uses them again. */
static bool hook_dalloc(extent_hooks_t *hooks, void *addr, size_t size,
			bool committed, unsigned ind)
{
	(void)hooks;
	if (far_pager_contains(the_pager, addr))
		return true;
	return near_hooks->dalloc(near_hooks, addr, size, committed, ind);
}

static void hook_destroy(extent_hooks_t *hooks, void *addr, size_t size,
			 bool committed, unsigned ind)
{
	int saved = errno;

	(void)hooks;
	if (!far_pager_contains(the_pager, addr)) {
		near_hooks->destroy(near_hooks, addr, size, committed, ind);
		return;
	}
	far_near_enter();
	(void)far_unmap(the_pager, addr, size); /* nobody to tell */
	far_near_leave();
	errno = saved;
}

static bool hook_commit(extent_hooks_t *hooks, void *addr, size_t size,
			size_t offset, size_t length, unsigned ind)
{
	(void)hooks;
	if (far_pager_contains(the_pager, addr))
		return false;
	return near_hooks->commit(near_hooks, addr, size, offset, length, ind);
}

static bool hook_decommit(extent_hooks_t *hooks, void *addr, size_t size,
			  size_t offset, size_t length, unsigned ind)
{
	(void)hooks;
	if (far_pager_contains(the_pager, addr))
		return true;
	return near_hooks->decommit(near_hooks, addr, size, offset, length,
				    ind);
}

/* The pages are gone here and in the backend. */
static int discard(void *addr, size_t length)
{
	int saved = errno;
	int err;

	far_near_enter();
	err = far_advise(the_pager, addr, length, FAR_ADV_DISCARD);
	far_near_leave();
	errno = saved;
	return err;
}

int far_extent_discard(void *addr, size_t len)
{
	size_t whole = far_round_up(len, FAR_PAGE_SIZE);

	if ((uintptr_t)addr % FAR_PAGE_SIZE != 0 || whole < len || !len ||
	    !the_pager || !far_pager_contains(the_pager, addr) ||
	    !far_pager_contains(the_pager, (char *)addr + whole - 1))
		return 1;
	return discard(addr, whole);
}

static bool hook_purge_lazy(extent_hooks_t *hooks, void *addr, size_t size,
			    size_t offset, size_t length, unsigned ind)
{
	(void)hooks;
	if (far_pager_contains(the_pager, addr))
		return discard((char *)addr + offset, length) != 0;
	return near_hooks->purge_lazy(near_hooks, addr, size, offset, length,
				      ind);
}

static bool hook_purge_forced(extent_hooks_t *hooks, void *addr, size_t size,
			      size_t offset, size_t length, unsigned ind)
{
	(void)hooks;
	if (far_pager_contains(the_pager, addr))
		return discard((char *)addr + offset, length) != 0;
	return near_hooks->purge_forced(near_hooks, addr, size, offset, length,
					ind);
}

static bool hook_split(extent_hooks_t *hooks, void *addr, size_t size,
		       size_t size_a, size_t size_b, bool committed,
		       unsigned ind)
{
	(void)hooks;
	if (far_pager_contains(the_pager, addr))
		return false;
	return near_hooks->split(near_hooks, addr, size, size_a, size_b,
				 committed, ind);
}

static bool hook_merge(extent_hooks_t *hooks, void *addr_a, size_t size_a,
		       void *addr_b, size_t size_b, bool committed,
		       unsigned ind)
{
	bool is_far = far_pager_contains(the_pager, addr_a);

	(void)hooks;
	if (is_far != far_pager_contains(the_pager, addr_b))
		return true;
	if (is_far)
		return false;
	return near_hooks->merge(near_hooks, addr_a, size_a, addr_b, size_b,
				 committed, ind);
}

static extent_hooks_t far_hooks = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.destroy = hook_destroy,
	.commit = hook_commit,
	.decommit = hook_decommit,
	.purge_lazy = hook_purge_lazy,
	.purge_forced = hook_purge_forced,
	.split = hook_split,
	.merge = hook_merge,
};

int far_extent_setup(struct far_pager *pager, unsigned ind)
{
	extent_hooks_t *mine = &far_hooks;
	size_t old_len = sizeof(near_hooks);
	size_t grow = CHUNK_MAX;
	char name[64];
	int err;

	the_pager = pager;
	/* Without this jemalloc doubles what it asks for without end; ENOENT:
	 * it does not, with retain:false in the user's MALLOC_CONF. */
	(void)snprintf(name, sizeof(name), "arena.%u.retain_grow_limit", ind);
	err = far_je_mallctl(name, NULL, NULL, &grow, sizeof(grow));
	if (err && err != ENOENT)
		return -err;
	(void)snprintf(name, sizeof(name), "arena.%u.extent_hooks", ind);
	err = 0;
	if (!near_hooks)
		err = far_je_mallctl(name, &near_hooks, &old_len, NULL, 0);
	if (err)
		return -err;
	return -far_je_mallctl(name, NULL, NULL, &mine, sizeof(mine));
}

void far_extent_fork_lock(void)
{
	pthread_mutex_lock(&chunk_lock);
}

void far_extent_fork_unlock(void)
{
	pthread_mutex_unlock(&chunk_lock);
}
