/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork(): the child sees far memory as it was.
 *
 * prepare: evictors stand still with nothing in flight, the backend clones
 * its contents, far memory may be inherited.  Faults go on being served: the
 * forking thread may yet have to wait for a lock whose holder is in a fault.
 * child: resident pages are there by copy-on-write, the others are in the
 * clone; a new far-ctl opens a userfaultfd of the child's own, adopts the
 * clone and repairs the page words.  See docs/decisions/0011.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/pager/pager.h"
#include "libfar/pager/preload.h"

/* The one piece of global state that fork handlers need. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct far_pager *registry; /* under registry_lock */
static bool is_external;	   /* set before the first far_open() */
static pthread_once_t once = PTHREAD_ONCE_INIT;

void far_fork_external(void)
{
	is_external = true;
}

static void register_handlers(void)
{
	if (!is_external)
		(void)pthread_atfork(far_fork_prepare, far_fork_parent,
				     far_fork_child);
}

void fork_register(struct far_pager *p)
{
	(void)pthread_once(&once, register_handlers);
	(void)pthread_mutex_lock(&registry_lock);
	p->next = registry;
	registry = p;
	(void)pthread_mutex_unlock(&registry_lock);
}

void fork_unregister(struct far_pager *p)
{
	struct far_pager **at;

	(void)pthread_mutex_lock(&registry_lock);
	for (at = &registry; *at && *at != p; at = &(*at)->next)
		;
	if (*at)
		*at = p->next;
	(void)pthread_mutex_unlock(&registry_lock);
}

void far_fork_prepare(void)
{
	struct far_request req = {.kind = FAR_REQ_CLONE};

	(void)pthread_mutex_lock(&registry_lock);
	for (struct far_pager *p = registry; p; p = p->next) {
		(void)pthread_mutex_lock(&p->control);
		if (!pager_is_armed(p))
			continue;
		atomic_store(&p->is_forking, 1);
		FAR_HOOK(FORK_BEGUN, NULL);
		far_evictor_pause(p->evictor);
		p->clone_error = pager_request(p, &req);
		FAR_HOOK(FORK_CLONED, NULL);
		if (madvise(p->base, p->space.len, MADV_DOFORK) < 0 &&
		    p->clone_error == 0)
			p->clone_error = -errno;
		atomic_fetch_add(&p->forks, 1);
	}
}

void far_fork_parent(void)
{
	for (struct far_pager *p = registry; p; p = p->next) {
		if (pager_is_armed(p)) {
			/* cannot fail: it was so before */
			(void)madvise(p->base, p->space.len, MADV_DONTFORK);
			far_evictor_resume(p->evictor);
			atomic_store(&p->is_forking, 0);
		}
		(void)pthread_mutex_unlock(&p->control);
	}
	(void)pthread_mutex_unlock(&registry_lock);
}

static FAR_COLD void die(struct far_pager *p, int err)
{
	far_log(&p->log, FAR_LOG_ERR,
		"forked child %d cannot serve far memory: %s; it ends here, "
		"before a page could be wrong; fix: %s",
		(int)getpid(), strerrordesc_np(-err),
		err == -ENOSPC ? "a backend with room for what the child has "
				 "there, too"
			       : "see the messages above");
	logger_flush(&p->logger);
	_exit(77);
}

static int forget_threads(struct far_pager *p)
{
	(void)pthread_mutex_init(&p->control, NULL);
	(void)pthread_mutex_init(&p->request_lock, NULL);
	(void)pthread_mutex_init(&p->prefetch_lock, NULL);
	(void)pthread_mutex_init(&p->stat_lock, NULL);
	(void)pthread_mutex_init(&p->lost_lock, NULL);
	logger_forked(&p->logger);
	p->requests = NULL;
	p->prefetch_head = p->prefetch_tail = 0;
	p->monitors = NULL; /* the parent's; a few pages stay behind */
	p->ctl_fetch = NULL;
	p->inline_servers = NULL; /* likewise */
	p->guard.is_started = false;
	p->stop_fd = -1;
	trace_forked(p);
	p->stat_page = NULL; /* not inherited */
	p->stat_path[0] = '\0';
	atomic_store(&p->is_forking, 0);
	memset(p->shards, 0, sizeof(*p->shards) * p->nr_shards);
	space_forget_fds(&p->space);
	return far_evictor_forked(p->evictor);
}

static int start_in_child(struct far_pager *p)
{
	int r = pager_start(p);

	return r < 0 ? r : inline_forked(p);
}

/* No page is anywhere but in the child's own memory. */
static void child_unarmed(struct far_pager *p)
{
	int r;

	p->be = NULL; /* the parent's connection; opened again when needed */
	far_slots_fini(&p->slots);
	atomic_store(&p->state, FAR_PAGER_IDLE);
	if (!p->has_inline)
		return;
	r = start_in_child(p); /* inline chunks need it */
	if (r < 0)
		die(p, r);
}

static void child_armed(struct far_pager *p)
{
	struct far_request req = {.kind = FAR_REQ_REARM};
	int r = p->clone_error;

	/* Until the words are repaired nobody may act on them. */
	atomic_store(&p->state, FAR_PAGER_IDLE);

	if (r == 0)
		r = start_in_child(p);
	if (r == 0)
		r = pager_request(p, &req);
	if (r < 0)
		die(p, r);
}

void far_fork_child(void)
{
	(void)pthread_mutex_init(&registry_lock, NULL);
	for (struct far_pager *p = registry; p; p = p->next) {
		bool was_armed = pager_is_armed(p);
		int64_t pages = (int64_t)(p->overhead_pages + p->words_pages);
		int r;

		if (!was_armed)
			pages += (int64_t)atomic_load(&p->ranges.mapped_pages);
		r = forget_threads(p);
		if (r == 0)
			r = far_budget_fork(&p->budget, pages);
		if (r < 0)
			die(p, r);
		if (was_armed)
			child_armed(p);
		else
			child_unarmed(p);
		stat_page_open(p);
		stat_page_write(p);
	}
}
