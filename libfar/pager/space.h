/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A space: one userfaultfd over one address range, and how pages get in and
 * out of it.  This one serves anonymous memory of the process itself.
 *
 * Pages go out to staging areas, from which they are written back while the
 * program can no longer reach them:
 *  - MOVE (Linux 6.8): the frame itself goes, in runs; refuses pages that a
 *    device may be writing to (DMA pins), which is why it is preferred.  But
 *    the kernel interrupts the other cores once for every run of pages;
 *  - DONTNEED: write-protect the run, holes and all, copy what is dirty, drop
 *    it: two interrupts a batch.  For older kernels, for pages shared with a
 *    forked child, which MOVE refuses too, and for inline chunks, whose
 *    program pins what it hands to devices (far_prepare()).
 */
#ifndef LIBFAR_PAGER_SPACE_H
#define LIBFAR_PAGER_SPACE_H

#include <stdatomic.h>

#include "libfar/base/compiler.h"
#include "libfar/uffd/uffd.h"

#define FAR_ZERO_RUN 32u      /* pages of zeros that are installed in one go */
#define FAR_STAGE_MAX 131072u /* staging pages in all, 17 bits of a word */

/* Parts of the range whose faults are served in the thread that faults: whole
 * chunks, which have a userfaultfd of their own kind. */
#define FAR_INLINE_CHUNK ((size_t)2 << 20)

/** far_space_ask_fn - do it on a pager thread: the program has closed ours */
typedef int (*far_space_ask_fn)(void *ctx, char *addr, const void *src,
				bool protect);

/* Evictors and far-ctl read pages that they have taken; each writes its own. */
#define FAR_TAKERS 17
struct far_taker {
	_Atomic uint32_t tid;
	_Atomic uintptr_t page; /* that it reads, or writes to, just now */
};

struct far_space {
	struct far_taker takers[FAR_TAKERS];
	char *base; /* the program's range */
	size_t len;
	char *stage;  /* nr_stage pages to move to, a mapping of its own */
	char *copies; /* nr_copies pages to copy to; numbered after these */
	unsigned nr_stage, nr_copies;
	const char *zero;	 /* FAR_ZERO_RUN pages of zeros */
	volatile char *doorbell; /* touching it wakes a monitor, once */
	int fd;	       /* userfaultfd, in far-ctl's descriptor table */
	int inline_fd; /* the same for inline chunks; -1: there are none */
	_Atomic int program_fd;	      /* inline_fd in the program's table */
	_Atomic uint64_t *inline_map; /* one bit a chunk */
	far_space_ask_fn ask; /* install (@src) or unprotect (NULL) a page */
	void *ask_ctx;
	int pagemap_fd;
	int lost_fd; /* empty memfd: what lost pages are mapped to where
		      * the kernel cannot poison */
	bool use_move, copies_inline; /* see space_is_moved() */
	bool has_poison;
	bool is_registered;
	struct far_uffd_info info;
};

/**
 * space_reserve() - address range of @len bytes and its staging area
 * Needs no descriptor: before space_open(), or without.
 * Return: 0; -ENOMEM.
 */
int space_reserve(struct far_space *s, size_t len);

/** space_stage() - make staging areas: @nr_stage pages to move to, if that is
 * done, and @nr_copies to copy to; 0 or -ENOMEM */
int space_stage(struct far_space *s, unsigned nr_stage, unsigned nr_copies);

/** space_open() - userfaultfd and helpers, on far-ctl; takeout: options.h */
int space_open(struct far_space *s, unsigned takeout, bool user_only_ok);

/** space_register() - intercept faults from now on */
int space_register(struct far_space *s);

/** space_release() - unmap all, then close the descriptors */
void space_release(struct far_space *s);

/** space_chunk() - number of the chunk that holds @addr; the first may begin
 * before the range */
static inline size_t space_chunk(const struct far_space *s, const char *addr)
{
	return (uintptr_t)addr / FAR_INLINE_CHUNK -
	       (uintptr_t)s->base / FAR_INLINE_CHUNK;
}

/** space_is_inline() - is @addr, in the range, in an inline chunk? */
static inline bool space_is_inline(const struct far_space *s, const char *addr)
{
	size_t i = space_chunk(s, addr);

	return atomic_load_explicit(&s->inline_map[i / 64],
				    memory_order_relaxed) >>
		       (i % 64) &
	       1;
}

/** space_is_moved() - does a page leave by MOVE? */
static inline bool space_is_moved(const struct far_space *s, const char *addr)
{
	return s->use_move && !(s->copies_inline && space_is_inline(s, addr));
}

/**
 * space_open_inline() - take over @program_fd, a far_uffd_open_signal() in the
 * program's descriptor table, which stays there; far-ctl
 */
int space_open_inline(struct far_space *s, int program_fd);

/**
 * space_set_inline() - make the chunks of [@addr, @addr + @len) inline ones, or
 * such as monitors serve; no page of them is there; far-ctl
 */
int space_set_inline(struct far_space *s, char *addr, size_t len, bool on);

/** space_protect() - write-protect pages of one kind, or lift that; any thread
 * may lift it from one page */
int space_protect(struct far_space *s, char *addr, size_t len, bool on);

/** space_ring() - have a monitor wake up and answer; not on a monitor; how long
 * that took, ns */
uint64_t space_ring(struct far_space *s);

/** space_close() - close the descriptors; nothing may be registered */
void space_close(struct far_space *s);

/** space_forget_fds() - in a forked child: they were the parent's */
void space_forget_fds(struct far_space *s);

enum far_take_how {
	FAR_TAKE_MOVE, /* to a page of stage */
	FAR_TAKE_COPY, /* to one of copies */
	FAR_TAKE_DROP, /* nowhere: it is clean */
};

/** struct far_take - one page on its way out */
struct far_take {
	char *addr; /* in the program's range */
	enum far_take_how how;
	unsigned stage;	 /* its staging page */
	unsigned gap;	 /* pages before it, up to the entry before, that the
			  * caller holds: to be worked across, if not moved */
	int res;	 /* out: 0; -EBUSY pinned; -ENOENT no page was there;
			  * other -errno: the page still is */
	bool was_opened; /* out: may have been written to meanwhile: dirty */
};

/**
 * space_take() - take pages out into their staging pages
 * @t: ascending addresses; those moved that follow each other there do so in
 *	stage
 * Afterwards each entry with res 0 is unmapped and its content is in its
 * staging page.  The caller owns the pages (TAKING).
 */
void space_take(struct far_space *s, struct far_take *t, unsigned nr);

/**
 * space_read() - copy the page at @addr, which is TAKING by the caller, to @dst
 * Return: 0; in inline memory also -ENOENT no page is there, -EIO it cannot be
 * read
 */
int space_read(struct far_space *s, void *dst, const char *addr);

/** space_taker_begin() - this thread is taker @i of @s from now on */
void space_taker_begin(struct far_space *s, unsigned i);

/** space_is_taker() - it is a taker that just now reads the page at @addr which
 * has faulted: thread @tid */
bool space_is_taker(const struct far_space *s, const char *addr, uint32_t tid);

/** space_being_read() - a page that some taker reads just now, or 0 */
uintptr_t space_being_read(const struct far_space *s);

/** space_untake() - put a taken page back as it was; 0 or -errno */
int space_untake(struct far_space *s, char *addr, unsigned stage);

/** space_stage_clear() - free what was moved to @nr pages from @first */
void space_stage_clear(struct far_space *s, unsigned first, unsigned nr);

static inline char *space_stage_addr(const struct far_space *s, unsigned i)
{
	return i < s->nr_stage ? s->stage + ((size_t)i << FAR_PAGE_SHIFT)
			       : s->copies + ((size_t)(i - s->nr_stage)
					      << FAR_PAGE_SHIFT);
}

/** space_install() - fill a page; see far_uffd_copy(); retries -EAGAIN */
int space_install(struct far_space *s, char *addr, const void *src,
		  unsigned how);

/** space_install_run() - fill @nr pages of one kind, which follow each other,
 * in one system call; how many, from the first on, are done */
unsigned space_install_run(struct far_space *s, char *addr, const void *src,
			   unsigned nr, bool protect);

/** space_poison() - touching the page raises SIGBUS from now on */
int space_poison(struct far_space *s, char *addr);

/** space_heal() - undo space_poison(): the page is missing again */
int space_heal(struct far_space *s, char *addr);

/**
 * space_present() - which of @nr pages from @addr the kernel holds
 * @ret_present: one byte each, 1 present
 * Return: 0; -errno.
 */
int space_present(struct far_space *s, const char *addr, unsigned nr,
		  unsigned char *ret_present);

#endif
