/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int far_process_start(pid_t pid, uint64_t *ret_ticks)
{
	char path[32], buf[1024], *p;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, buf, sizeof(buf) - 1);
	(void)close(fd);
	if (n <= 0)
		return -ESRCH;
	buf[n] = '\0';
	p = strrchr(buf, ')'); /* the name may hold anything */
	if (p && p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X'))
		return -ESRCH; /* dead, not yet waited for */
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EPROTO;
	*ret_ticks = strtoull(p + 1, NULL, 10);
	return 0;
}

void far_close_inherited(unsigned first)
{
	struct rlimit lim = {.rlim_cur = 1024};

#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
#endif
	(void)getrlimit(RLIMIT_NOFILE, &lim);
	for (unsigned fd = first; fd < far_min_u64(lim.rlim_cur, 1u << 20);
	     fd++)
		(void)close((int)fd);
}
