/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only code that talks to userfaultfd(2).  Everything else sees page
 * faults as struct far_uffd_msg and pages as addresses.  Carries its own
 * definitions of what Debian 12's kernel headers (6.1) lack; what the running
 * kernel can do is probed when the descriptor is opened.
 */
#ifndef LIBFAR_UFFD_UFFD_H
#define LIBFAR_UFFD_UFFD_H

#include <stdbool.h>

#include "libfar/base/compiler.h"

enum far_uffd_feature {
	FAR_UFFD_WP = 1u << 0,	   /* write-protect anonymous memory, 5.7 */
	FAR_UFFD_MOVE = 1u << 1,   /* UFFDIO_MOVE, 6.8 */
	FAR_UFFD_POISON = 1u << 2, /* UFFDIO_POISON, 6.6 */
	FAR_UFFD_TID = 1u << 3,	   /* messages name the thread, 4.14 */
};

enum far_uffd_way {
	FAR_UFFD_NONE,
	FAR_UFFD_DEVICE,    /* /dev/userfaultfd */
	FAR_UFFD_SYSCALL,   /* userfaultfd(2), privileged or sysctl */
	FAR_UFFD_USER_ONLY, /* faults of system calls are not delivered */
};

/** struct far_uffd_info - how a descriptor was opened and what it can do */
struct far_uffd_info {
	enum far_uffd_way way;
	unsigned features;	  /* enum far_uffd_feature */
	uint64_t kernel_features; /* as the kernel reported them */
	int device_err, syscall_err, user_only_err; /* -errno of ways tried */
};

/**
 * far_uffd_open() - a descriptor, by the first way that works
 * @user_only_ok: accept one that sees faults of user mode only
 * @ret_info: written also on failure, for the message
 *
 * Return: descriptor (close-on-exec, non-blocking); -EPERM, -EACCES, -ENOSYS
 * of the last way; -ENOTSUP write-protect is missing.
 */
int far_uffd_open(bool user_only_ok, struct far_uffd_info *ret_info);

/**
 * far_uffd_open_signal() - one that raises SIGBUS in the thread that faults,
 * by the first way that works; there is nothing to read from it
 * Return: as far_uffd_open(); -ENOTSUP too where the kernel has no such mode.
 */
int far_uffd_open_signal(struct far_uffd_info *ret_info);

/* What root does for an ordinary user. */
#define FAR_UFFD_ALLOW                                                         \
	"chown USER /dev/userfaultfd (until the next boot; README.md has a "   \
	"udev rule)"

/** far_uffd_explain() - "what: why; fix: how" of a failed open, into @buf */
void far_uffd_explain(const struct far_uffd_info *info, char *buf, size_t len);

/** far_uffd_register() - missing faults, and write-protect faults if @wp */
int far_uffd_register(int fd, void *addr, size_t len, bool wp);

/** far_uffd_unregister() - intercept nothing there; pages that are not there
 * read as zeros from then on */
int far_uffd_unregister(int fd, void *addr, size_t len);

enum far_uffd_fault_kind { FAR_UFFD_FAULT_MISSING, FAR_UFFD_FAULT_WP };

struct far_uffd_msg {
	uintptr_t addr; /* of the touch; of its page before 5.18 */
	enum far_uffd_fault_kind kind;
	bool is_write;
	uint32_t tid; /* who faulted; 0 where the kernel does not say */
};

/** far_uffd_set_blocking() - whether far_uffd_read() waits for a message */
int far_uffd_set_blocking(int fd, bool on);

/**
 * far_uffd_read() - up to @max fault messages; waits for the first only after
 * far_uffd_set_blocking()
 * Return: how many, 0 if none are there; -errno.
 */
int far_uffd_read(int fd, struct far_uffd_msg *ret_msgs, unsigned max);

/* How a page is filled. */
#define FAR_COPY_PROTECT 1u /* it arrives write-protected */
#define FAR_COPY_QUIET 2u   /* nobody is woken: far_uffd_wake() */

/**
 * far_uffd_copy() - fill one page and wake who waits for it
 * @how: FAR_COPY_*
 * Return: 0; -EEXIST already there (nobody woken); -EAGAIN address space is
 * changing, try again; -ENOENT not registered; -errno.
 */
int far_uffd_copy(int fd, void *dst, const void *src, unsigned how);

/**
 * far_uffd_copy_range() - the same for @nr_pages contiguous pages
 * Return: pages filled from the first on; -errno if none.
 */
int far_uffd_copy_range(int fd, void *dst, const void *src, unsigned nr_pages,
			unsigned how);

/** far_uffd_protect() - set or clear write protection; clearing wakes */
int far_uffd_protect(int fd, void *addr, size_t len, bool on);

/** far_uffd_wake() - let the waiters of the range try again */
int far_uffd_wake(int fd, void *addr, size_t len);

/**
 * far_uffd_move() - move pages from @src to @dst, up to the first hole
 * @ret_moved: bytes known to be moved from the start; also written on failure,
 *	the page behind it is the one that failed
 * Return: 0 all; -EAGAIN try again, or some of them; -ENOENT a hole; -EBUSY
 *	pinned or shared by a fork; -EEXIST @dst has a page: of Linux 6.18 it
 *	may be the one to move, which has arrived; -errno.
 */
int far_uffd_move(int fd, void *dst, void *src, size_t len, size_t *ret_moved);

/** far_uffd_poison() - touching the page raises SIGBUS; wakes; -ENOSYS */
int far_uffd_poison(int fd, void *addr);

#endif
