/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfar/base/log.h"
#include "libfar/pager/preload.h"
#include "libfar/preload/je.h"
#include "libfar/uffd/uffd.h"

#define MAX_FAR_ARENAS 4
#define EXIT_REFUSED 77 /* the machine does not let us */
#define EXIT_CONFIG 78	/* EX_CONFIG of sysexits.h */
#define EXIT_OS 71	/* EX_OSERR */

_Thread_local uint32_t far_mode;

/*
 * retain: addresses of far memory are never given back.  muzzy_decay_ms:0: a
 * purge is final, there is no cheaper kind.  oversize_threshold:0: large
 * blocks stay in the thread's arena, that is in far memory.  narenas:1: the
 * automatic arenas serve little.  background_thread:false: a thread of
 * jemalloc's would not be known to the pager.
 */
const char *je_malloc_conf =
	"retain:true,muzzy_decay_ms:0,oversize_threshold:0,narenas:1,"
	"background_thread:false,abort_conf:false";

static pthread_once_t once_allocator = PTHREAD_ONCE_INIT;
static pthread_once_t once_pager = PTHREAD_ONCE_INIT;
static unsigned arenas[MAX_FAR_ARENAS]; /* this and the next: once_pager */
static unsigned nr_arenas;
static _Atomic unsigned next_arena;
static size_t bind_mib[2];	    /* of "thread.arena" */
static struct far_pager *the_pager; /* likewise once_pager */

/*
 * The order of the fork handlers.  "Last" is registered before jemalloc's,
 * "first" after them:
 *   prepare: first (gate of near memory), jemalloc takes its locks, last
 *   parent:  last, jemalloc gives its locks back, first
 *   child:   jemalloc, first: malloc() works when the child's pager starts
 */
static void fork_prepare_last(void)
{
	far_mode += FAR_MODE_DEPTH;
	far_extent_fork_lock();
	far_fork_prepare();
	/* Nothing is evicted from here on. */
	far_libc_touch_streams();
}

static void fork_parent_last(void)
{
	far_fork_parent();
	far_extent_fork_unlock();
	far_mode -= FAR_MODE_DEPTH;
}

static void fork_prepare_first(void)
{
	far_near_fork_begin();
}

static void fork_parent_first(void)
{
	far_near_fork_end(false);
}

static void fork_child_first(void)
{
	far_near_fork_end(true);
	far_extent_fork_unlock();
	far_fork_child();
	far_mode -= FAR_MODE_DEPTH;
}

static void mark_pager_thread(void)
{
	far_mode = FAR_MODE_PAGER;
}

static FAR_COLD _Noreturn void refuse(int status, const char *what, int err)
{
	if (what)
		far_log_to(far_log_stderr, NULL, FAR_LOG_ERR,
			   "libfar-preload: %s: error %d; fix: run without "
			   "LD_PRELOAD, or see the lines above",
			   what, -err);
	_exit(status);
}

/* Stage one: runs inside the first malloc() of the process. */
static void start_allocator(void)
{
	int err;

	far_mode |= FAR_MODE_START;
	err = pthread_atfork(fork_prepare_last, fork_parent_last, NULL);
	far_je_free(far_je_malloc(1)); /* jemalloc registers its handlers */
	if (!err)
		err = pthread_atfork(fork_prepare_first, fork_parent_first,
				     fork_child_first);
	if (err)
		refuse(EXIT_OS, "fork handlers", -err);
	far_mode &= ~(uint32_t)FAR_MODE_START;
}

/* A process that cannot have its faults served is told so before main(). */
static void check_uffd(void)
{
	struct far_uffd_info info = {0};
	char why[FAR_LOG_MAX];
	int fd = far_uffd_open(false, &info);

	if (fd >= 0) {
		close(fd);
		return;
	}
	if (fd != -EPERM && fd != -EACCES && fd != -ENOSYS && fd != -ENOTSUP)
		return; /* of the moment (descriptors, memory) */
	far_uffd_explain(&info, why, sizeof(why));
	far_log_to(far_log_stderr, NULL, FAR_LOG_ERR, "%s", why);
	refuse(EXIT_REFUSED, NULL, fd);
}

static void open_pager(struct far_pager **ret_pager)
{
	int err;

	far_set_thread_hook(mark_pager_thread);
	far_set_near_hooks(far_near_enter, far_near_leave);
	far_fork_external();
	err = far_preload_open(secure_getenv("FAR_CONF"), ret_pager);
	if (err == -EPERM || err == -ENOSYS)
		refuse(EXIT_REFUSED, NULL, err);
	if (err == -EINVAL)
		refuse(EXIT_CONFIG, NULL, err);
	if (err)
		refuse(EXIT_OS, "far_preload_open", err);
}

static int create_arenas(struct far_pager *pager)
{
	size_t len = sizeof(arenas[0]), miblen = FAR_ARRAY_SIZE(bind_mib);
	unsigned i, wanted = MAX_FAR_ARENAS;
	cpu_set_t cpus;
	int err;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 &&
	    CPU_COUNT(&cpus) < MAX_FAR_ARENAS)
		wanted = (unsigned)CPU_COUNT(&cpus);
	err = far_near_arena_create();
	if (err)
		return err;
	for (i = 0; i < wanted; i++) {
		err = far_je_mallctl("arenas.create", &arenas[i], &len, NULL,
				     0);
		if (err)
			return -err;
		err = far_extent_setup(pager, arenas[i]);
		if (err)
			return err;
	}
	nr_arenas = wanted;
	return -far_je_mallctlnametomib("thread.arena", bind_mib, &miblen);
}

static void leave_figures(void)
{
	far_preload_exit(the_pager);
}

/* Stage two: as soon as there is an environment. */
static void start_pager(void)
{
	int err;

	far_mode |= FAR_MODE_START;
	check_uffd();
	open_pager(&the_pager);
	err = create_arenas(the_pager);
	if (err)
		refuse(EXIT_OS, "jemalloc arenas", err);
	(void)atexit(leave_figures); /* figures are a courtesy */
	far_mode &= ~(uint32_t)FAR_MODE_START;
}

/*
 * Failure leaves the thread on an automatic arena, whose memory is near;
 * trying again in each malloc() would not help.
 */
static void bind_thread(void)
{
	unsigned turn =
		atomic_fetch_add_explicit(&next_arena, 1, memory_order_relaxed);
	unsigned ind = arenas[turn % nr_arenas];

	far_mode |= FAR_MODE_START;
	(void)far_je_mallctlbymib(bind_mib, FAR_ARRAY_SIZE(bind_mib), NULL,
				  NULL, &ind, sizeof(ind));
	far_mode &= ~(uint32_t)FAR_MODE_START;
	far_mode |= FAR_MODE_FAR;
}

FAR_COLD void *far_alloc_elsewhere(size_t size, int flags)
{
	void *ptr = NULL;
	unsigned i;

	if (size == 0)
		size = 1;
	for (i = 0; i < nr_arenas && !ptr; i++)
		ptr = far_je_mallocx(size, flags | MALLOCX_ARENA(arenas[i]) |
						   MALLOCX_TCACHE_NONE);
	if (!ptr) {
		far_extent_complain(size);
		errno = ENOMEM;
	}
	return ptr;
}

bool far_start(void)
{
	if (far_mode_is_near())
		return false;
	pthread_once(&once_allocator, start_allocator);
	if (!environ)
		return false;
	pthread_once(&once_pager, start_pager);
	bind_thread();
	return true;
}

static FAR_CONSTRUCTOR void start_at_the_latest(void)
{
	(void)far_start();
	far_mode |= FAR_MODE_START;
	far_libc_find();
	far_mode &= ~(uint32_t)FAR_MODE_START;
}
