/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/space.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/options.h"
#include "libfar/pager/page.h"
#include "libfar/pager/pager.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define MAX_VECTOR 256
#define ZERO_LEN (FAR_ZERO_RUN * FAR_PAGE_SIZE)
#define MAX_EAGAIN 1000

/* A guard page on both sides: no merging with a neighbour's anon_vma, whose
 * lock MOVE takes. */
static int map_guarded(size_t len, char **ret_addr)
{
	char *p = mmap(NULL, len + 2 * FAR_PAGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	if (mprotect(p + FAR_PAGE_SIZE, len, PROT_READ | PROT_WRITE) < 0) {
		int r = -errno;

		(void)munmap(p, len + 2 * FAR_PAGE_SIZE);
		return r;
	}
	*ret_addr = p + FAR_PAGE_SIZE;
	return 0;
}

static void unmap_guarded(char *addr, size_t len)
{
	if (addr)
		(void)munmap(addr - FAR_PAGE_SIZE, len + 2 * FAR_PAGE_SIZE);
}

static size_t inline_map_len(size_t len)
{
	return ((len / FAR_INLINE_CHUNK + 1) / 64 + 1) * sizeof(uint64_t);
}

int space_reserve(struct far_space *s, size_t len)
{
	void *zero, *map = NULL;
	int r;

	memset(s, 0, sizeof(*s));
	s->fd = s->inline_fd = s->pagemap_fd = s->lost_fd = -1;
	s->program_fd = -1;
	r = far_near_map(ZERO_LEN, &zero);
	if (r < 0)
		return r;
	s->zero = zero;
	r = far_near_map(inline_map_len(len), &map);
	if (r == 0)
		r = map_guarded(len, &s->base);
	if (r < 0) {
		far_near_unmap(map, inline_map_len(len));
		far_near_unmap(zero, ZERO_LEN);
		return r;
	}
	s->inline_map = map;
	s->len = len;
	/* Advice: refusal costs speed or a name, not correctness. */
	(void)madvise(s->base, len, MADV_NOHUGEPAGE);
	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, s->base, len, "far");
	return 0;
}

static int map_stage(unsigned nr, const char *name, char **ret_stage)
{
	size_t len = (size_t)nr << FAR_PAGE_SHIFT;
	int r = nr ? map_guarded(len, ret_stage) : 0;

	if (r < 0 || !nr)
		return r;
	(void)madvise(*ret_stage, len, MADV_NOHUGEPAGE);
	(void)madvise(*ret_stage, len, MADV_DONTFORK);
	(void)madvise(*ret_stage, len, MADV_DONTDUMP);
	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, *ret_stage, len, name);
	return 0;
}

int space_stage(struct far_space *s, unsigned nr_stage, unsigned nr_copies)
{
	int r;

	if (!s->use_move)
		nr_stage = 0;
	if (s->stage || s->copies)
		return s->nr_stage >= nr_stage && s->nr_copies >= nr_copies
			       ? 0
			       : -EINVAL;
	r = map_stage(nr_stage, "far-stage", &s->stage);
	if (r < 0)
		return r;
	s->nr_stage = nr_stage;
	r = map_stage(nr_copies, "far-copies", &s->copies);
	if (r == 0)
		s->nr_copies = nr_copies;
	return r;
}

static int open_doorbell(struct far_space *s)
{
	char *page;
	int r = map_guarded(FAR_PAGE_SIZE, &page);

	if (r < 0)
		return r;
	(void)madvise(page, FAR_PAGE_SIZE, MADV_DONTFORK);
	s->doorbell = page;
	return far_uffd_register(s->fd, page, FAR_PAGE_SIZE, false);
}

uint64_t space_ring(struct far_space *s)
{
	return service_trip(s->doorbell);
}

static void close_doorbell(struct far_space *s)
{
	unmap_guarded((char *)(uintptr_t)s->doorbell, FAR_PAGE_SIZE);
	s->doorbell = NULL;
}

int space_open(struct far_space *s, unsigned takeout, bool user_only_ok)
{
	int fd = far_uffd_open(user_only_ok, &s->info);

	if (fd < 0)
		return fd;
	s->fd = fd;
	s->has_poison = (s->info.features & FAR_UFFD_POISON) != 0;
	s->use_move = (s->info.features & FAR_UFFD_MOVE) != 0 &&
		      takeout != FAR_TAKEOUT_DONTNEED;
	s->copies_inline = takeout != FAR_TAKEOUT_MOVE;
	if (takeout == FAR_TAKEOUT_MOVE && !s->use_move)
		return -ENOTSUP;
	s->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (s->pagemap_fd < 0)
		return -errno;
	s->lost_fd = memfd_create("far-lost", MFD_CLOEXEC);
	if (s->lost_fd < 0)
		return -errno;
	return open_doorbell(s);
}

static int to_kind(struct far_space *s, char *addr, size_t len, bool is_inline)
{
	int old = is_inline ? s->fd : s->inline_fd;
	int r = far_uffd_unregister(old, addr, len);

	if (r < 0)
		return r;
	r = far_uffd_register(is_inline ? s->inline_fd : s->fd, addr, len,
			      true);
	if (r < 0) /* too many mappings, perhaps: what was merged fits */
		(void)far_uffd_register(old, addr, len, true);
	return r;
}

/* All of the range, each run of chunks of one kind with its own descriptor. */
static int register_range(struct far_space *s)
{
	size_t at = 0, end;
	int r = 0;

	if (s->inline_fd < 0) /* the usual case, and the range is large */
		return far_uffd_register(s->fd, s->base, s->len, true);
	for (; r == 0 && at < s->len; at = end) {
		bool is_inline = space_is_inline(s, s->base + at);

		end = at;
		do {
			uintptr_t next = (uintptr_t)s->base + end + 1;

			next = far_round_up(next, FAR_INLINE_CHUNK);
			end = next - (uintptr_t)s->base;
		} while (end < s->len &&
			 space_is_inline(s, s->base + end) == is_inline);
		end = end < s->len ? end : s->len;
		r = far_uffd_register(is_inline ? s->inline_fd : s->fd,
				      s->base + at, end - at, true);
	}
	return r;
}

int space_register(struct far_space *s)
{
	size_t stage_len = (size_t)s->nr_stage << FAR_PAGE_SHIFT;
	int r;

	/* Far memory is inherited through the fork handlers only. */
	if (madvise(s->base, s->len, MADV_DONTFORK) < 0)
		return -errno;
	if (s->use_move) {
		r = far_uffd_register(s->fd, s->stage, stage_len, false);
		if (r < 0)
			return r;
	}
	r = register_range(s);
	if (r == 0)
		s->is_registered = true;
	return r;
}

int space_open_inline(struct far_space *s, int program_fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int fd, r;

	if (pidfd < 0)
		return -ENOTSUP;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, program_fd, 0);
	r = errno;
	(void)close(pidfd);
	if (fd < 0) /* refused by a sandbox, or Linux before 5.6 */
		return r == ENOMEM || r == EMFILE ? -r : -ENOTSUP;
	s->inline_fd = fd;
	atomic_store(&s->program_fd, program_fd);
	return 0;
}

int space_set_inline(struct far_space *s, char *addr, size_t len, bool on)
{
	size_t first = space_chunk(s, addr);
	int r = s->is_registered ? to_kind(s, addr, len, on) : 0;

	for (size_t i = first; r == 0 && i < first + len / FAR_INLINE_CHUNK;
	     i++) {
		uint64_t bit = UINT64_C(1) << (i % 64);

		if (on)
			atomic_fetch_or(&s->inline_map[i / 64], bit);
		else
			atomic_fetch_and(&s->inline_map[i / 64], ~bit);
	}
	return r;
}

/* The program's threads have a descriptor table of their own. */
static int fd_of(const struct far_space *s, const char *addr)
{
	if (!space_is_inline(s, addr))
		return s->fd;
	return pager_is_own_thread() ? s->inline_fd
				     : atomic_load(&s->program_fd);
}

/* Closed by the program, and perhaps something else by now. */
static bool is_lost_fd(struct far_space *s, const char *addr, int r)
{
	if ((r != -EBADF && r != -ENOTTY && r != -EINVAL) ||
	    !space_is_inline(s, addr) || pager_is_own_thread())
		return false;
	if (r != -EINVAL)
		atomic_store(&s->program_fd, -1);
	return true;
}

int space_protect(struct far_space *s, char *addr, size_t len, bool on)
{
	int r = far_uffd_protect(fd_of(s, addr), addr, len, on);

	if (is_lost_fd(s, addr, r))
		r = s->ask(s->ask_ctx, addr, NULL, on);
	return r;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void space_close(struct far_space *s)
{
	close_doorbell(s);
	close_fd(&s->fd);
	close_fd(&s->inline_fd);
	close_fd(&s->pagemap_fd);
	close_fd(&s->lost_fd);
}

void space_release(struct far_space *s)
{
	/* A closed userfaultfd turns evicted pages into zeros: unmap first. */
	unmap_guarded(s->base, s->len);
	unmap_guarded(s->stage, (size_t)s->nr_stage << FAR_PAGE_SHIFT);
	unmap_guarded(s->copies, (size_t)s->nr_copies << FAR_PAGE_SHIFT);
	if (s->zero)
		far_near_unmap((void *)(uintptr_t)s->zero, ZERO_LEN);
	if (s->inline_map)
		far_near_unmap((void *)(uintptr_t)s->inline_map,
			       inline_map_len(s->len));
	s->inline_map = NULL;
	s->base = s->stage = s->copies = NULL;
	s->zero = NULL;
	s->is_registered = false;
	space_close(s);
}

void space_forget_fds(struct far_space *s)
{
	s->fd = s->inline_fd = s->pagemap_fd = s->lost_fd = -1;
	s->is_registered = false;
	/* not inherited: MADV_DONTFORK */
	s->stage = s->copies = NULL;
	s->nr_stage = s->nr_copies = 0;
	s->doorbell = NULL;
}

int space_install(struct far_space *s, char *addr, const void *src,
		  unsigned how)
{
	int r = 0;

	for (unsigned i = 0; i < MAX_EAGAIN; i++) {
		r = far_uffd_copy(fd_of(s, addr), addr, src, how);
		if (r != -EAGAIN)
			break;
		(void)sched_yield();
	}
	if (is_lost_fd(s, addr, r))
		r = s->ask(s->ask_ctx, addr, src,
			   (how & FAR_COPY_PROTECT) != 0);
	return r;
}

unsigned space_install_run(struct far_space *s, char *addr, const void *src,
			   unsigned nr, bool protect)
{
	int r = far_uffd_copy_range(fd_of(s, addr), addr, src, nr,
				    protect ? FAR_COPY_PROTECT : 0);

	return r > 0 ? (unsigned)r : 0;
}

int space_poison(struct far_space *s, char *addr)
{
	int r;
	void *p;

	/* Not there, and LOST: that is SIGBUS; far-ctl does the rest. */
	if (space_is_inline(s, addr) && !pager_is_own_thread())
		return 0;
	r = s->has_poison ? far_uffd_poison(fd_of(s, addr), addr) : -ENOSYS;
	if (r != -ENOSYS)
		return r;
	/* Beyond the end of a file: SIGBUS. */
	p = mmap(addr, FAR_PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, s->lost_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	(void)far_uffd_wake(fd_of(s, addr), addr, FAR_PAGE_SIZE);
	return 0;
}

int space_heal(struct far_space *s, char *addr)
{
	void *p;

	if (s->has_poison)
		return madvise(addr, FAR_PAGE_SIZE, MADV_DONTNEED) < 0 ? -errno
								       : 0;
	p = mmap(addr, FAR_PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		 0);
	if (p == MAP_FAILED)
		return -errno;
	(void)madvise(addr, FAR_PAGE_SIZE, MADV_NOHUGEPAGE);
	(void)madvise(addr, FAR_PAGE_SIZE, MADV_DONTFORK);
	return far_uffd_register(fd_of(s, addr), addr, FAR_PAGE_SIZE, true);
}

static int read_pagemap(struct far_space *s, const char *addr, unsigned nr,
			uint64_t *ret)
{
	ssize_t n = pread(
		s->pagemap_fd, ret, nr * sizeof(*ret),
		(off_t)(((uintptr_t)addr >> FAR_PAGE_SHIFT) * sizeof(*ret)));

	return n < 0 ? -errno : (size_t)n != nr * sizeof(*ret) ? -EIO : 0;
}

int space_present(struct far_space *s, const char *addr, unsigned nr,
		  unsigned char *ret_present)
{
	uint64_t pm[512];

	for (unsigned at = 0; at < nr;) {
		unsigned n = nr - at < FAR_ARRAY_SIZE(pm)
				     ? nr - at
				     : (unsigned)FAR_ARRAY_SIZE(pm);
		int r = read_pagemap(s, addr + ((size_t)at << FAR_PAGE_SHIFT),
				     n, pm);

		if (r < 0)
			return r;
		for (unsigned i = 0; i < n; i++)
			ret_present[at + i] =
				(pm[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) !=
				0;
		at += n;
	}
	return 0;
}

/* This thread, if it is one; TLS that need not be allocated. */
static _Thread_local
	__attribute__((tls_model("initial-exec"))) struct far_taker *taker;

void space_taker_begin(struct far_space *s, unsigned i)
{
	taker = &s->takers[i];
	atomic_store(&taker->page, 0);
	atomic_store(&taker->tid, (uint32_t)gettid());
}

static void touches(const char *addr)
{
	if (taker)
		atomic_store(&taker->page, (uintptr_t)addr);
}

bool space_is_taker(const struct far_space *s, const char *addr, uint32_t tid)
{
	for (unsigned i = 0; i < FAR_TAKERS; i++)
		if (atomic_load(&s->takers[i].page) == (uintptr_t)addr &&
		    atomic_load(&s->takers[i].tid) == tid)
			return true;
	return false;
}

uintptr_t space_being_read(const struct far_space *s)
{
	uintptr_t page = 0;

	for (unsigned i = 0; i < FAR_TAKERS && !page; i++)
		page = atomic_load(&s->takers[i].page);
	return page;
}

int space_read(struct far_space *s, void *dst, const char *addr)
{
	unsigned char is_there;
	struct iovec to = {dst, FAR_PAGE_SIZE};
	struct iovec from = {(void *)(uintptr_t)addr, FAR_PAGE_SIZE};

	/* The program may drop the page at this moment by a madvise(2) of its
	 * own, and touching it would be a SIGBUS, which is for its threads. */
	if (space_is_inline(s, addr)) {
		if (syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1,
			    0) == (ssize_t)FAR_PAGE_SIZE)
			return 0;
		if (errno == EFAULT) /* not there, or may not be read */
			return space_present(s, addr, 1, &is_there) == 0 &&
					       !is_there
				       ? -ENOENT
				       : -EIO;
	}
	touches(addr);
	far_page_copy(dst, addr);
	touches(NULL);
	return 0;
}

/* --- taking out by copy and drop --- */

/* Length of the run that begins at @i: neighbours, or held pages between, of
 * one kind that leave in one way. */
static unsigned run_at(const struct far_space *s, const struct far_take *t,
		       unsigned i, unsigned nr)
{
	bool is_inline = space_is_inline(s, t[i].addr);
	bool is_moved = t[i].how == FAR_TAKE_MOVE;
	unsigned n = 1;

	while (i + n < nr &&
	       t[i + n].addr == t[i + n - 1].addr + ((size_t)t[i + n].gap + 1) *
							    FAR_PAGE_SIZE &&
	       (t[i + n].how == FAR_TAKE_MOVE) == is_moved &&
	       space_is_inline(s, t[i + n].addr) == is_inline)
		n++;
	return n;
}

static size_t pages_between(const struct far_take *a, const struct far_take *b)
{
	return (size_t)(b->addr - a->addr) >> FAR_PAGE_SHIFT;
}

static int copy_out(struct far_space *s, const struct far_take *t)
{
	char *dst = space_stage_addr(s, t->stage);
	int r;

	if (t->stage < s->nr_stage) {
		/* That area is registered: fill it the way faults are. */
		r = far_uffd_copy(s->fd, dst, t->addr, 0);
		return r == -EEXIST || r == -ENOENT ? -EIO : r;
	}
	return space_read(s, dst, t->addr);
}

/* In one system call, and one interrupt of the other cores, where the kernel
 * can (6.13); 0 or -errno. */
static int drop_vector(struct iovec *iov, unsigned nr, size_t len)
{
	int r = 0;

#ifdef SYS_process_madvise
	/* PIDFD_SELF_PROCESS, 6.15 */
	if (nr > 1 && syscall(SYS_process_madvise, -10001, iov, nr,
			      MADV_DONTNEED, 0) == (ssize_t)len)
		return 0;
#endif
	(void)len;
	for (unsigned i = 0; i < nr; i++)
		if (madvise(iov[i].iov_base, iov[i].iov_len, MADV_DONTNEED) < 0)
			r = -errno;
	return r;
}

/* Some could not be dropped: locked by mlock(2), for one.  They stay. */
static void drop_each(struct far_take *t, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (t[i].res == 0 &&
		    madvise(t[i].addr, FAR_PAGE_SIZE, MADV_DONTNEED) < 0)
			t[i].res = -errno;
}

static void drop_pages(struct far_take *t, unsigned nr)
{
	struct iovec iov[MAX_VECTOR];
	unsigned n = 0, first = 0;
	size_t len = 0;
	char *end = NULL;

	for (unsigned i = 0; i <= nr; i++) {
		bool is_taken = i < nr && t[i].res == 0;

		if (i == nr ||
		    (is_taken && t[i].addr != end && n == MAX_VECTOR)) {
			if (n && drop_vector(iov, n, len) < 0)
				drop_each(&t[first], i - first);
			n = 0;
			len = 0;
			first = i;
			end = NULL;
		}
		if (!is_taken)
			continue;
		if (t[i].addr != end) {
			iov[n].iov_base = t[i].addr;
			iov[n++].iov_len = 0;
		}
		iov[n - 1].iov_len += FAR_PAGE_SIZE;
		end = t[i].addr + FAR_PAGE_SIZE;
		len += FAR_PAGE_SIZE;
	}
}

/* Which of the @nr pages from @addr, protected from now on, are there. */
static int protect_run(struct far_space *s, char *addr, size_t nr,
		       unsigned char *ret_present)
{
	int r = space_protect(s, addr, nr * FAR_PAGE_SIZE, true);

	if (r == 0)
		r = space_present(s, addr, (unsigned)nr, ret_present);
	/* It is the mapping that is missing, not the page. */
	return r == -ENOENT ? -EIO : r;
}

/* Protects and copies one run; pages that are not there get -ENOENT: reading
 * one would be a fault that waits for the thread that takes it. */
static void copy_run(struct far_space *s, struct far_take *t, unsigned n)
{
	unsigned char present[MAX_VECTOR];
	size_t nr = pages_between(&t[0], &t[n - 1]) + 1;
	int r = protect_run(s, t[0].addr, nr, present);

	if (r < 0 && n > 1) { /* other mappings between: one by one */
		for (unsigned k = 0; k < n; k++)
			copy_run(s, &t[k], 1);
		return;
	}
	for (unsigned k = 0; k < n; k++) {
		FAR_HOOK(EVICT_PROTECTED, t[k].addr);
		if (r < 0)
			t[k].res = r;
		else if (!present[pages_between(&t[0], &t[k])])
			t[k].res = -ENOENT;
		else
			t[k].res = t[k].how == FAR_TAKE_DROP
					   ? 0
					   : copy_out(s, &t[k]);
		FAR_HOOK(EVICT_COPIED, t[k].addr);
	}
}

static void take_by_copy(struct far_space *s, struct far_take *t, unsigned nr)
{
	for (unsigned i = 0; i < nr;) {
		unsigned n = run_at(s, t, i, nr);

		while (pages_between(&t[i], &t[i + n - 1]) >= MAX_VECTOR)
			n--;
		copy_run(s, &t[i], n);
		i += n;
	}
	drop_pages(t, nr);
}

/* --- taking out by MOVE --- */

/*
 * Linux 6.18 (mm/userfaultfd.c, move_pages()) remembers that it has to try a
 * page again, whose entry another processor changed, even when that has gone
 * well: it then finds its own work in the way and says EEXIST.
 */
static bool has_arrived(struct far_space *s, const char *dst, const char *src)
{
	unsigned char is_there, is_here;

	return space_present(s, dst, 1, &is_there) == 0 &&
	       space_present(s, src, 1, &is_here) == 0 && is_there && !is_here;
}

/* Moves at most @nr pages; how many did, and why the next one did not. */
static unsigned move_some(struct far_space *s, char *dst, char *src,
			  unsigned nr, int *ret_why)
{
	size_t moved;
	unsigned n = 0, spins = 0;
	int r;

	do {
		size_t off = (size_t)n << FAR_PAGE_SHIFT;

		r = far_uffd_move(s->fd, dst + off, src + off,
				  ((size_t)nr << FAR_PAGE_SHIFT) - off, &moved);
		n += (unsigned)(moved >> FAR_PAGE_SHIFT);
		off += moved;
		if (r == -EEXIST && has_arrived(s, dst + off, src + off)) {
			n++;
			r = -EAGAIN;
		}
	} while (n < nr && r == -EAGAIN && (moved || spins++ < MAX_EAGAIN));
	*ret_why = n < nr ? r : 0;
	return n;
}

/*
 * MOVE said EBUSY: the page is pinned for DMA, or was shared by a fork.
 * Mapped by another process too: a forked child's; a pinned page is never
 * shared by fork (the kernel copies it then), so it may be copied and dropped.
 * Mapped by us alone: make it ours again by a write that changes nothing and
 * move again; still busy means pinned.
 */
static void take_busy(struct far_space *s, struct far_take *t)
{
	uint64_t pm;

	t->res = read_pagemap(s, t->addr, 1, &pm);
	if (t->res < 0)
		return;
	if (!(pm & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED))) {
		t->res = -ENOENT;
		return;
	}
	if (!(pm & PAGEMAP_EXCLUSIVE)) {
		take_by_copy(s, t, 1);
		return;
	}
	t->was_opened = true;
	t->res = space_protect(s, t->addr, FAR_PAGE_SIZE, false);
	if (t->res < 0)
		return;
	touches(t->addr);
	if (madvise(t->addr, FAR_PAGE_SIZE, MADV_POPULATE_WRITE) < 0)
		t->res = -errno;
	touches(NULL);
	if (t->res == 0)
		(void)move_some(s, space_stage_addr(s, t->stage), t->addr, 1,
				&t->res);
}

static void take_by_move(struct far_space *s, struct far_take *t, unsigned nr)
{
	unsigned i = 0;

	while (i < nr) {
		int why;
		unsigned n = move_some(s, space_stage_addr(s, t[i].stage),
				       t[i].addr, run_at(s, t, i, nr), &why);

		for (; n; n--)
			t[i++].res = 0;
		if (why == 0)
			continue;
		t[i].res = why;
		if (why == -EBUSY)
			take_busy(s, &t[i]);
		i++;
	}
}

void space_take(struct far_space *s, struct far_take *t, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		t[i].res = -EIO;
		t[i].was_opened = false;
	}
	for (unsigned i = 0, n; i < nr; i += n) {
		bool is_moved = t[i].how == FAR_TAKE_MOVE;

		n = 1;
		while (i + n < nr &&
		       (t[i + n].how == FAR_TAKE_MOVE) == is_moved)
			n++;
		if (is_moved)
			take_by_move(s, &t[i], n);
		else
			take_by_copy(s, &t[i], n);
	}
}

int space_untake(struct far_space *s, char *addr, unsigned stage)
{
	char *src = space_stage_addr(s, stage);
	size_t moved;
	int r = -ENOSYS;

	if (stage < s->nr_stage)
		r = far_uffd_move(fd_of(s, addr), addr, src, FAR_PAGE_SIZE,
				  &moved);
	if (r == -EEXIST && has_arrived(s, addr, src))
		r = 0;
	else if (r == -ENOENT) /* reading it would be a fault of our own */
		r = -EIO;
	else if (r < 0)
		r = space_install(s, addr, src, 0);
	return r;
}

void space_stage_clear(struct far_space *s, unsigned first, unsigned nr)
{
	/* The program may have locked all of its memory; the kernels that can
	 * move (6.8) know this advice (5.18). */
	if (nr)
		(void)madvise(space_stage_addr(s, first),
			      (size_t)nr << FAR_PAGE_SHIFT,
			      MADV_DONTNEED_LOCKED);
}
