/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/uffd/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not in the headers of Linux 6.1; values from the kernel's UAPI. */
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif
#ifndef UFFD_FEATURE_EXACT_ADDRESS
#define UFFD_FEATURE_EXACT_ADDRESS (1 << 11)
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

struct uffdio_move_args {
	uint64_t dst;
	uint64_t src;
	uint64_t len;
	uint64_t mode;
	int64_t move;
};
#define FAR_UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move_args)

struct uffdio_poison_args {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define FAR_UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison_args)

static int sys_ioctl(int fd, unsigned long req, void *arg)
{
	return ioctl(fd, req, arg) < 0 ? -errno : 0;
}

static int new_by_device(void)
{
	int dev, fd;

	dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return -errno;
	fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	(void)close(dev);
	return fd;
}

static int new_by_syscall(int flags)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	return fd < 0 ? -errno : (int)fd;
}

static int new_by(enum far_uffd_way way)
{
	switch (way) {
	case FAR_UFFD_DEVICE:
		return new_by_device();
	case FAR_UFFD_SYSCALL:
		return new_by_syscall(0);
	case FAR_UFFD_USER_ONLY:
		return new_by_syscall(UFFD_USER_MODE_ONLY);
	case FAR_UFFD_NONE:
		break;
	}
	return -EINVAL;
}

static int new_any(bool user_only_ok, struct far_uffd_info *info)
{
	int fd;

	fd = new_by(info->way = FAR_UFFD_DEVICE);
	if (fd >= 0)
		return fd;
	info->device_err = fd;
	fd = new_by(info->way = FAR_UFFD_SYSCALL);
	if (fd >= 0)
		return fd;
	info->syscall_err = fd;
	if (user_only_ok) {
		fd = new_by(info->way = FAR_UFFD_USER_ONLY);
		if (fd >= 0)
			return fd;
		info->user_only_err = fd;
	}
	info->way = FAR_UFFD_NONE;
	return fd;
}

/* The handshake ends a descriptor's probing phase: one to ask, one to use. */
static int handshake(int fd, uint64_t want, uint64_t *ret_features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = want};
	int r = sys_ioctl(fd, UFFDIO_API, &api);

	if (r == 0)
		*ret_features = api.features;
	return r;
}

static unsigned features_of(uint64_t kernel)
{
	unsigned f = 0;

	if (kernel & UFFD_FEATURE_PAGEFAULT_FLAG_WP)
		f |= FAR_UFFD_WP;
	if (kernel & UFFD_FEATURE_MOVE)
		f |= FAR_UFFD_MOVE;
	if (kernel & UFFD_FEATURE_POISON)
		f |= FAR_UFFD_POISON;
	if (kernel & UFFD_FEATURE_THREAD_ID)
		f |= FAR_UFFD_TID;
	return f;
}

static int open_with(bool user_only_ok, uint64_t must,
		     struct far_uffd_info *ret_info)
{
	const uint64_t known = must | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			       UFFD_FEATURE_POISON | UFFD_FEATURE_MOVE |
			       UFFD_FEATURE_THREAD_ID |
			       UFFD_FEATURE_EXACT_ADDRESS;
	uint64_t got;
	int fd, r;

	memset(ret_info, 0, sizeof(*ret_info));
	fd = new_any(user_only_ok, ret_info);
	if (fd < 0)
		return fd;
	r = handshake(fd, 0, &ret_info->kernel_features);
	(void)close(fd);
	if (r < 0)
		return r;
	ret_info->features = features_of(ret_info->kernel_features);
	if (!(ret_info->features & FAR_UFFD_WP) ||
	    (ret_info->kernel_features & must) != must)
		return -ENOTSUP;
	fd = new_by(ret_info->way);
	if (fd < 0)
		return fd;
	r = handshake(fd, ret_info->kernel_features & known, &got);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

int far_uffd_open(bool user_only_ok, struct far_uffd_info *ret_info)
{
	return open_with(user_only_ok, 0, ret_info);
}

int far_uffd_open_signal(struct far_uffd_info *ret_info)
{
	return open_with(true, UFFD_FEATURE_SIGBUS, ret_info);
}

void far_uffd_explain(const struct far_uffd_info *info, char *buf, size_t len)
{
	if (info->way != FAR_UFFD_NONE) {
		(void)snprintf(
			buf, len,
			"cannot use userfaultfd: this kernel has no "
			"write-protect faults; fix: Linux 5.10 or newer");
		return;
	}
	(void)snprintf(buf, len,
		       "cannot open userfaultfd: /dev/userfaultfd: %s; "
		       "system call: %s; fix: as root, " FAR_UFFD_ALLOW
		       ", or run as root (in a container: pass --device "
		       "/dev/userfaultfd)",
		       strerrordesc_np(-info->device_err),
		       strerrordesc_np(-info->syscall_err));
}

int far_uffd_register(int fd, void *addr, size_t len, bool wp)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)addr, .len = len},
		.mode = UFFDIO_REGISTER_MODE_MISSING |
			(wp ? UFFDIO_REGISTER_MODE_WP : 0),
	};

	return sys_ioctl(fd, UFFDIO_REGISTER, &reg);
}

int far_uffd_unregister(int fd, void *addr, size_t len)
{
	struct uffdio_range range = {.start = (uintptr_t)addr, .len = len};

	return sys_ioctl(fd, UFFDIO_UNREGISTER, &range);
}

int far_uffd_set_blocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int far_uffd_read(int fd, struct far_uffd_msg *ret_msgs, unsigned max)
{
	struct uffd_msg raw[16];
	unsigned nr = 0;
	ssize_t n;

	if (max > FAR_ARRAY_SIZE(raw))
		max = FAR_ARRAY_SIZE(raw);
	n = read(fd, raw, max * sizeof(raw[0]));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < (size_t)n / sizeof(raw[0]); i++) {
		uint64_t flags = raw[i].arg.pagefault.flags;

		if (raw[i].event != UFFD_EVENT_PAGEFAULT)
			continue; /* no other event is enabled */
		ret_msgs[nr].addr = (uintptr_t)raw[i].arg.pagefault.address;
		ret_msgs[nr].kind = (flags & UFFD_PAGEFAULT_FLAG_WP) != 0
					    ? FAR_UFFD_FAULT_WP
					    : FAR_UFFD_FAULT_MISSING;
		ret_msgs[nr].is_write =
			(flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
		ret_msgs[nr].tid = raw[i].arg.pagefault.feat.ptid;
		nr++;
	}
	return (int)nr;
}

int far_uffd_copy_range(int fd, void *dst, const void *src, unsigned nr_pages,
			unsigned how)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)dst,
		.src = (uintptr_t)src,
		.len = (uint64_t)nr_pages * FAR_PAGE_SIZE,
		.mode = (how & FAR_COPY_PROTECT ? UFFDIO_COPY_MODE_WP : 0) |
			(how & FAR_COPY_QUIET ? UFFDIO_COPY_MODE_DONTWAKE : 0),
	};
	int r = sys_ioctl(fd, UFFDIO_COPY, &copy);

	if (r == 0)
		return (int)nr_pages;
	/* A partial copy says so in .copy and as EAGAIN. */
	if (copy.copy > 0)
		return (int)(copy.copy / (int64_t)FAR_PAGE_SIZE);
	return r;
}

int far_uffd_copy(int fd, void *dst, const void *src, unsigned how)
{
	int r = far_uffd_copy_range(fd, dst, src, 1, how);

	return r < 0 ? r : 0;
}

int far_uffd_protect(int fd, void *addr, size_t len, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = (uintptr_t)addr, .len = len},
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return sys_ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
}

int far_uffd_wake(int fd, void *addr, size_t len)
{
	struct uffdio_range range = {.start = (uintptr_t)addr, .len = len};

	return sys_ioctl(fd, UFFDIO_WAKE, &range);
}

int far_uffd_move(int fd, void *dst, void *src, size_t len, size_t *ret_moved)
{
	struct uffdio_move_args move = {
		.dst = (uintptr_t)dst, .src = (uintptr_t)src, .len = len,
		/* No mode: stepping over holes, Linux 6.18 does for ever once
		 * an entry changed under it. */
	};
	int r = sys_ioctl(fd, FAR_UFFDIO_MOVE, &move);

	*ret_moved = r == 0 ? len : move.move > 0 ? (size_t)move.move : 0;
	return r;
}

int far_uffd_poison(int fd, void *addr)
{
	struct uffdio_poison_args p = {
		.range = {.start = (uintptr_t)addr, .len = FAR_PAGE_SIZE},
	};
	int r = sys_ioctl(fd, FAR_UFFDIO_POISON, &p);

	return r == -EINVAL || r == -ENOTTY ? -ENOSYS : r;
}
