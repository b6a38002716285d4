/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfar/base/stats.h"

int far_runtime_dir(char *buf, size_t len)
{
	const char *xdg = secure_getenv("XDG_RUNTIME_DIR");
	uid_t uid = geteuid();
	int n;

	if (uid == 0)
		n = snprintf(buf, len, "/run/far");
	else if (xdg && xdg[0] == '/')
		n = snprintf(buf, len, "%s/far", xdg);
	else
		n = snprintf(buf, len, "/tmp/far-%u", (unsigned)uid);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

/*
 * Makes one directory, or checks the one that is there.  /tmp is everybody's:
 * a symbolic link or another user's directory must not be trusted.
 */
static int ensure_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	return 0;
}

int far_runtime_subdir(const char *sub, char *buf, size_t len)
{
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	char dir[256];
	int ret, n;

	ret = far_runtime_dir(dir, sizeof(dir));
	if (ret < 0)
		return ret;
	n = snprintf(buf, len, "%s/%s", dir, sub);
	if (n < 0 || (size_t)n >= len)
		return -ENAMETOOLONG;
	ret = ensure_dir(dir, mode);
	if (ret < 0)
		return ret;
	return ensure_dir(buf, mode);
}
