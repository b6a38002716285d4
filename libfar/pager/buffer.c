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

/* The part of a buffer that one call gets. */
struct piece {
	struct far_pager *pager;
	void *buf;
	size_t len;
	bool is_prepared;
};

/* @is_short: the call may get less than @len, and nothing is lost */
static int begin(struct piece *pc, struct far_pager *pager, const void *buf,
		 size_t len, int is_write, bool is_short)
{
	int r;

	if (!pager)
		return -EINVAL;
	*pc = (struct piece){
		.pager = pager, .buf = (void *)(uintptr_t)buf, .len = len};
	if (!len || !far_pager_contains(pager, buf))
		return 0;
	if (is_short && len > PIECE_BYTES)
		pc->len = PIECE_BYTES;
	/* others may have pinned most of what can be */
	while ((r = far_prepare(pager, pc->buf, pc->len, is_write)) ==
		       -EDQUOT &&
	       is_short && pc->len / 2 >= PIECE_MIN)
		pc->len /= 2;
	pc->is_prepared = r == 0;
	return r;
}

/* @n: what the call returned, with errno */
static ssize_t end(const struct piece *pc, ssize_t n)
{
	ssize_t r = n < 0 ? -errno : n;

	if (pc->is_prepared)
		far_release(pc->pager, pc->buf, pc->len);
	return r;
}

/* Not a message, and nobody who waits for all of it. */
static bool is_stream(int fd, int flags)
{
	socklen_t len = sizeof(int);
	int type;

	return !(flags & MSG_WAITALL) &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM;
}

ssize_t far_read(struct far_pager *pager, int fd, void *buf, size_t len)
{
	struct piece pc;
	int r = begin(&pc, pager, buf, len, 1, true);

	return r < 0 ? r : end(&pc, read(fd, buf, pc.len));
}

ssize_t far_write(struct far_pager *pager, int fd, const void *buf, size_t len)
{
	struct piece pc;
	int r = begin(&pc, pager, buf, len, 0, true);

	return r < 0 ? r : end(&pc, write(fd, buf, pc.len));
}

ssize_t far_pread(struct far_pager *pager, int fd, void *buf, size_t len,
		  off_t off)
{
	struct piece pc;
	int r = begin(&pc, pager, buf, len, 1, true);

	return r < 0 ? r : end(&pc, pread(fd, buf, pc.len, off));
}

ssize_t far_pwrite(struct far_pager *pager, int fd, const void *buf, size_t len,
		   off_t off)
{
	struct piece pc;
	int r = begin(&pc, pager, buf, len, 0, true);

	return r < 0 ? r : end(&pc, pwrite(fd, buf, pc.len, off));
}

ssize_t far_recv(struct far_pager *pager, int fd, void *buf, size_t len,
		 int flags)
{
	struct piece pc;
	int r = begin(&pc, pager, buf, len, 1, is_stream(fd, flags));

	return r < 0 ? r : end(&pc, recv(fd, buf, pc.len, flags));
}

ssize_t far_send(struct far_pager *pager, int fd, const void *buf, size_t len,
		 int flags)
{
	struct piece pc;
	int r = begin(&pc, pager, buf, len, 0, is_stream(fd, flags));

	return r < 0 ? r : end(&pc, send(fd, buf, pc.len, flags));
}
