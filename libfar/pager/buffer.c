/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers for system calls: far memory that the kernel may touch by itself.
 * A page that is pinned stays where it is; one that was written to since it was
 * pinned stays writable, too.
 */
#include <far/far.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libfar/pager/pager.h"
#include "libfar/pager/preload.h"

#define PIECE_BYTES ((size_t)1 << 20) /* prepared at a time */
#define PIECE_MIN ((size_t)64 << 10)

static char *page_of(const void *addr)
{
	return (char *)((uintptr_t)addr & ~(uintptr_t)FAR_PAGE_MASK);
}

static size_t span_of(const void *addr, size_t len)
{
	return far_round_up((uintptr_t)addr + len, FAR_PAGE_SIZE) -
	       (uintptr_t)page_of(addr);
}

/* A write that changes nothing, whoever else writes at the same time. */
static void touch_for_write(char *page)
{
	(void)atomic_fetch_or((_Atomic char *)page, 0);
}

int far_prepare(struct far_pager *pager, void *addr, size_t len, int is_write)
{
	size_t span = span_of(addr, len);
	char *page = page_of(addr);
	int r;

	if (!len)
		return 0;
	if (len > SIZE_MAX - 2 * FAR_PAGE_SIZE)
		return -EINVAL;
	r = far_advise(pager, page, span, FAR_ADV_PIN);
	if (r < 0 || !is_write)
		return r;
	for (size_t at = 0; at < span; at += FAR_PAGE_SIZE)
		touch_for_write(page + at);
	return 0;
}

void far_release(struct far_pager *pager, void *addr, size_t len)
{
	if (len)
		(void)!far_advise(pager, page_of(addr), span_of(addr, len),
				  FAR_ADV_UNPIN);
}

/* --- checked system calls --- */

enum call { READ, WRITE, PREAD, PWRITE, RECV, SEND };

struct args {
	enum call call;
	int fd, flags;
	off_t off;
};

static ssize_t call(const struct args *a, void *buf, size_t len)
{
	ssize_t n = -1;

	switch (a->call) {
	case READ:
		n = read(a->fd, buf, len);
		break;
	case WRITE:
		n = write(a->fd, buf, len);
		break;
	case PREAD:
		n = pread(a->fd, buf, len, a->off);
		break;
	case PWRITE:
		n = pwrite(a->fd, buf, len, a->off);
		break;
	case RECV:
		n = recv(a->fd, buf, len, a->flags);
		break;
	case SEND:
		n = send(a->fd, buf, len, a->flags);
		break;
	}
	return n < 0 ? -errno : n;
}

static bool fills(enum call c)
{
	return c == READ || c == PREAD || c == RECV;
}

/* May it end early without anything being lost? Not a message, or who waits for
 * all of it. */
static bool may_be_short(const struct args *a)
{
	socklen_t len = sizeof(int);
	int type;

	if (a->call != RECV && a->call != SEND)
		return true;
	return !(a->flags & MSG_WAITALL) &&
	       getsockopt(a->fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM;
}

static ssize_t checked(struct far_pager *p, const struct args *a, void *buf,
		       size_t len)
{
	bool is_short = may_be_short(a);
	size_t piece = len < PIECE_BYTES || !is_short ? len : PIECE_BYTES;
	ssize_t n;
	int r;

	if (!p)
		return -EINVAL;
	if (!len || !far_pager_contains(p, buf))
		return call(a, buf, len);
	/* others may have pinned most of what can be */
	while ((r = far_prepare(p, buf, piece, fills(a->call))) == -EDQUOT &&
	       is_short && piece / 2 >= PIECE_MIN)
		piece /= 2;
	if (r < 0)
		return r;
	n = call(a, buf, piece);
	far_release(p, buf, piece);
	return n;
}

ssize_t far_read(struct far_pager *pager, int fd, void *buf, size_t len)
{
	return checked(pager, &(struct args){.call = READ, .fd = fd}, buf, len);
}

ssize_t far_write(struct far_pager *pager, int fd, const void *buf, size_t len)
{
	return checked(pager, &(struct args){.call = WRITE, .fd = fd},
		       (void *)(uintptr_t)buf, len);
}

ssize_t far_pread(struct far_pager *pager, int fd, void *buf, size_t len,
		  off_t off)
{
	return checked(pager,
		       &(struct args){.call = PREAD, .fd = fd, .off = off}, buf,
		       len);
}

ssize_t far_pwrite(struct far_pager *pager, int fd, const void *buf, size_t len,
		   off_t off)
{
	return checked(pager,
		       &(struct args){.call = PWRITE, .fd = fd, .off = off},
		       (void *)(uintptr_t)buf, len);
}

ssize_t far_recv(struct far_pager *pager, int fd, void *buf, size_t len,
		 int flags)
{
	return checked(pager,
		       &(struct args){.call = RECV, .fd = fd, .flags = flags},
		       buf, len);
}

ssize_t far_send(struct far_pager *pager, int fd, const void *buf, size_t len,
		 int flags)
{
	return checked(pager,
		       &(struct args){.call = SEND, .fd = fd, .flags = flags},
		       (void *)(uintptr_t)buf, len);
}
