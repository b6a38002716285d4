/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/probe.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "libfar/pager/service.h"
#include "libfar/uffd/uffd.h"

/* One probe at a time, which the handler knows by the address. */
static pthread_mutex_t probe_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	_Atomic uintptr_t page; /* 0: there is none */
	int fd;
	bool has_failed;
} probe; /* under it; the handler runs in the thread that has it */
static const char zeros[FAR_PAGE_SIZE] __attribute__((aligned(FAR_PAGE_SIZE)));

bool probe_serve(const void *addr)
{
	uintptr_t page = (uintptr_t)addr & ~(uintptr_t)FAR_PAGE_MASK;

	if (!page || page != atomic_load(&probe.page))
		return false;
	if (far_uffd_copy(probe.fd, (void *)page, zeros, 0) == 0)
		return true;
	/* The thread must go on in any case: there are no faults to time then,
	 * for this replaces the mapping. */
	probe.has_failed = true;
	return mmap((void *)page, FAR_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) != MAP_FAILED;
}

static uint64_t trip(void *ctx)
{
	uint64_t ns = service_trip(ctx);

	return probe.has_failed ? 0 : ns;
}

static uint64_t time_page(int fd, void *page)
{
	uint64_t ns;

	if (far_uffd_register(fd, page, FAR_PAGE_SIZE, true) < 0)
		return 0;
	(void)pthread_mutex_lock(&probe_lock);
	probe.fd = fd;
	probe.has_failed = false;
	atomic_store(&probe.page, (uintptr_t)page);
	ns = service_time(trip, page);
	atomic_store(&probe.page, 0);
	(void)pthread_mutex_unlock(&probe_lock);
	return ns;
}

/* Then the kernel would end the process; and to let it through for a while
 * could let one through that somebody has sent. */
static bool is_blocked(void)
{
	sigset_t set;

	return pthread_sigmask(SIG_BLOCK, NULL, &set) != 0 ||
	       sigismember(&set, SIGBUS) != 0;
}

uint64_t probe_inline(int fd)
{
	uint64_t ns;
	void *page;

	if (is_blocked())
		return 0;
	page = mmap(NULL, FAR_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (page == MAP_FAILED)
		return 0;
	ns = time_page(fd, page);
	(void)munmap(page, FAR_PAGE_SIZE);
	return ns;
}
