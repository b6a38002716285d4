/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libfar: memory larger than the machine's, without changing the program.
 *
 * A pager holds a budget of local memory, the threads that serve it and one
 * backend where the other pages live.  Memory from far_map() is ordinary
 * memory: any thread may read, write and pass it to system calls.
 *
 * Functions return 0 (or a count) on success and a negative errno on failure;
 * out-parameters are written on success only.  All functions may be called
 * from any thread unless said otherwise.
 */
#ifndef FAR_FAR_H
#define FAR_FAR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <far/log.h>
#include <far/stats.h>
#include <far/version.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAR_EXPORT __attribute__((visibility("default")))
#define FAR_MUST_CHECK __attribute__((warn_unused_result))

struct far_pager;

/** struct far_open_attr - set size; zero the rest for defaults */
struct far_open_attr {
	size_t size;	/* sizeof(struct far_open_attr) */
	far_log_fn log; /* NULL: standard error */
	void *log_ctx;
};

/**
 * far_open() - start a pager
 * @conf: "name=value;..." as in far(7), e.g. "local=1G;far=lz4:"; NULL or ""
 *	takes the defaults
 * @attr: NULL for defaults
 * @ret_pager: release with far_close()
 *
 * Where only faults of user mode can be had (an ordinary user without access to
 * /dev/userfaultfd), a system call on an evicted page fails with EFAULT; that
 * is logged as a warning.
 *
 * Return: 0; -EINVAL configuration (logged, naming the nearest option);
 * -ENOMEM; -EPERM or -ENOSYS no userfaultfd (logged with the fix); else what
 * the backend said.
 */
FAR_EXPORT FAR_MUST_CHECK int far_open(const char *conf,
				       const struct far_open_attr *attr,
				       struct far_pager **ret_pager);

/**
 * far_close() - unmap all far memory of @pager and stop it; NULL is fine
 * No thread may be using that memory.
 */
FAR_EXPORT void far_close(struct far_pager *pager);

/**
 * far_map() - @len bytes of zeroed far memory
 * @len: bytes, rounded up to whole pages
 * @align: power of two, at least the page size; 0 for the page size
 * @ret_addr: release with far_unmap()
 *
 * Return: 0; -EINVAL; -ENOMEM no address space; -ENOSPC the backend cannot
 * hold it.
 */
FAR_EXPORT FAR_MUST_CHECK int far_map(struct far_pager *pager, size_t len,
				      size_t align, void **ret_addr);

/**
 * far_map_inline() - far_map() of memory whose faults the faulting thread serves
 * itself, in a SIGBUS handler of libfar: faster than far_map(), and less of the
 * machine.  The program promises, for this memory:
 *  - system calls get it between far_prepare() and far_release() only, or through
 *    far_read() and its kin; on a page that is not there they fail with EFAULT;
 *  - no thread that touches it blocks SIGBUS, is cancelled asynchronously, or has
 *    its stack in it; on its stack, or the alternate one that it has set, there
 *    are 16 KiB for the handler;
 *  - handlers of other signals do not touch it, unless no call of libfar can be
 *    interrupted by them;
 *  - who installs a handler of SIGBUS later calls far_sigbus() in it first.
 * Whole chunks of 2 MiB are mapped, and given back by far_unmap().
 *
 * With fault=auto (the default) it is served like far_map() where the backend
 * may not be called from a signal handler, or the kernel or a sandbox does not let
 * libfar share its descriptor (pidfd_getfd(2), Linux 5.6), or monitors are clearly
 * faster: the first call for a pager measures both, which takes some milliseconds,
 * for this pager and its forked children.  With fault=monitor always.  The
 * statistic fault_service says what was chosen, and why.
 *
 * Return: as far_map(); -ENOTSUP fault=inline where that cannot be (logged);
 * -EMFILE more than 16 pagers do so.
 */
FAR_EXPORT FAR_MUST_CHECK int far_map_inline(struct far_pager *pager,
					     size_t len, size_t align,
					     void **ret_addr);

/**
 * far_inline_stack() - have the handler run on a stack of its own in this
 * thread: for threads whose own is small.  An alternate stack that the thread has
 * set itself is kept.
 * Return: 0; -ENOMEM.
 */
FAR_EXPORT FAR_MUST_CHECK int far_inline_stack(void);

/**
 * far_sigbus() - for a program with a SIGBUS handler of its own: was this a
 * fault of far memory, and is it served?
 * Context: in that handler, with its three arguments; it was installed with
 * SA_SIGINFO and all signals blocked (sigfillset()).  Signal-safe.
 * Return: 1 the handler returns at once; 0 it is another SIGBUS.
 */
FAR_EXPORT int far_sigbus(int sig, void *info, void *context);

/**
 * far_prepare() - make [@addr, @addr + @len) ready for system calls: fetched,
 * kept resident and, if @is_write, writable, until far_release()
 * Needed for far_map_inline() memory; right for any.
 * A page that is lost is SIGBUS, as for any touch.
 *
 * Return: 0; -EINVAL not far memory; -EDQUOT what is prepared and pinned would
 * exceed half the limit: use smaller pieces; -EAGAIN a page did not come for
 * longer than on_loss.
 */
FAR_EXPORT FAR_MUST_CHECK int far_prepare(struct far_pager *pager, void *addr,
					  size_t len, int is_write);
FAR_EXPORT void far_release(struct far_pager *pager, void *addr, size_t len);

/**
 * far_read(), far_write(), far_pread(), far_pwrite(), far_recv(), far_send() -
 * the system calls of these names on a buffer that may be far memory
 * Large buffers are dealt with in part, where that loses nothing: not messages
 * (SOCK_DGRAM and the like), nor with MSG_WAITALL.
 * Return: bytes, as they do; -errno, also of far_prepare().
 */
FAR_EXPORT FAR_MUST_CHECK ssize_t far_read(struct far_pager *pager, int fd,
					   void *buf, size_t len);
FAR_EXPORT FAR_MUST_CHECK ssize_t far_write(struct far_pager *pager, int fd,
					    const void *buf, size_t len);
FAR_EXPORT FAR_MUST_CHECK ssize_t far_pread(struct far_pager *pager, int fd,
					    void *buf, size_t len, off_t off);
FAR_EXPORT FAR_MUST_CHECK ssize_t far_pwrite(struct far_pager *pager, int fd,
					     const void *buf, size_t len,
					     off_t off);
FAR_EXPORT FAR_MUST_CHECK ssize_t far_recv(struct far_pager *pager, int fd,
					   void *buf, size_t len, int flags);
FAR_EXPORT FAR_MUST_CHECK ssize_t far_send(struct far_pager *pager, int fd,
					   const void *buf, size_t len,
					   int flags);

/**
 * far_unmap() - give back [@addr, @addr + @len), whole or part of mappings
 * Of far_map_inline() memory whole chunks go: @addr is at the beginning of one,
 * and @len is rounded up to their end.
 * Return: 0; -EINVAL not (wholly) far memory of this pager, or of both kinds.
 */
FAR_EXPORT int far_unmap(struct far_pager *pager, void *addr, size_t len);

enum far_advice {
	FAR_ADV_NORMAL = 0,	/* fetch ahead where it has paid */
	FAR_ADV_SEQUENTIAL = 1, /* fetch ahead of faults */
	FAR_ADV_RANDOM = 2,	/* never fetch ahead */
	FAR_ADV_WILLNEED = 3,	/* fetch the range in the background */
	FAR_ADV_COLD = 4,	/* will not be needed soon: evict first */
	FAR_ADV_PIN = 5,	/* fetch and keep resident until unpinned; the
				 * call returns when all is resident */
	FAR_ADV_UNPIN = 6,
	FAR_ADV_DISCARD = 7,	/* contents are not needed: reads zeros */
	FAR_ADV_GROUP_16K = 8,	/* objects of about this size: a fault brings */
	FAR_ADV_GROUP_64K = 9,	/* the aligned group that it is in */
};

/**
 * far_advise() - say how [@addr, @addr + @len) will be used
 * Return: 0; -EINVAL not far memory or unknown advice; -EDQUOT pins would
 * exceed half the limit.
 */
FAR_EXPORT FAR_MUST_CHECK int far_advise(struct far_pager *pager, void *addr,
					 size_t len, enum far_advice advice);

/**
 * far_set_limit() - change the local limit while running
 * Takes effect in the background; far_stats_read() shows progress.
 * Return: 0; -EINVAL below the minimum.
 */
FAR_EXPORT FAR_MUST_CHECK int far_set_limit(struct far_pager *pager,
					    uint64_t bytes);

/**
 * far_flush() - write dirty pages of the range to the backend; they stay
 * Return: 0; -EINVAL; -errno of the first write that failed.
 */
FAR_EXPORT FAR_MUST_CHECK int far_flush(struct far_pager *pager, void *addr,
					size_t len);

/**
 * far_stats_read() - a snapshot of the statistics
 * @stats: set ->size; fields beyond what the library knows are left alone
 */
FAR_EXPORT int far_stats_read(struct far_pager *pager,
			      struct far_stats *stats);

/**
 * far_stats_json() - the same as one JSON object
 * Return: bytes it takes without the NUL, as snprintf(); -errno.
 */
FAR_EXPORT int far_stats_json(struct far_pager *pager, char *buf, size_t len);

/** far_version() - "0.1.0", of the library that is loaded */
FAR_EXPORT const char *far_version(void);

#ifdef __cplusplus
}
#endif

#endif
