/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/shared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libfar/base/process.h"
#include "libfar/base/stats.h"
#include "libfar/pager/budget.h"

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

/* The low bits of the start time tell a process from a later one. */
static bool is_member_alive(struct far_budget_member *m)
{
	pid_t pid = (pid_t)atomic_load(&m->pid);
	uint32_t start = atomic_load(&m->start);
	uint64_t ticks;

	if (pid <= 0)
		return false;
	if (far_process_start(pid, &ticks) < 0)
		return false;
	return start == 0 || start == (uint32_t)ticks;
}

/* Does a living process share the budget in @path? */
static bool is_used(const char *path)
{
	struct far_budget_shared *sh = calloc(1, sizeof(*sh));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool used = false;
	unsigned i;
	ssize_t n = 0;

	if (sh && fd >= 0)
		n = pread(fd, sh, sizeof(*sh), 0);
	for (i = 0; n == (ssize_t)sizeof(*sh) && i < FAR_BUDGET_MEMBERS; i++)
		used |= is_member_alive(&sh->member[i]);
	if (fd >= 0)
		(void)close(fd);
	free(sh);
	return used;
}

void shared_budget_drop(const char *path)
{
	if (!is_used(path))
		(void)unlink(path); /* lies in our own directory */
}

/* What runs left behind that were killed, or whose programs outlived them. */
static void drop_old(const char *dir)
{
	char path[PATH_MAX], *end;
	const struct dirent *entry;
	DIR *d = opendir(dir);
	long pid;

	while (d && (entry = readdir(d))) {
		pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0 || pid > INT_MAX || is_alive((pid_t)pid))
			continue;
		if (snprintf(path, sizeof(path), "%s/%ld", dir, pid) <
		    (int)sizeof(path))
			shared_budget_drop(path);
	}
	if (d)
		(void)closedir(d);
}

int shared_budget_make(uint64_t limit_pages, char *buf, size_t len)
{
	char dir[PATH_MAX - 32];
	int err, n;

	err = far_runtime_subdir("budget", dir, sizeof(dir));
	if (err < 0)
		return err;
	drop_old(dir);
	n = snprintf(buf, len, "%s/%d", dir, (int)getpid());
	if (n < 0 || (size_t)n >= len)
		return -ENAMETOOLONG;
	(void)unlink(buf); /* of a dead far run of this pid */
	return far_budget_create(buf, limit_pages);
}
