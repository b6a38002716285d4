/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/lib/env.h"

#define V1_ROOT "/sys/fs/cgroup/memory"
#define V2_ROOT "/sys/fs/cgroup"
#define DESTROY_TRIES 100

static int write_in(const struct bench_cgroup *cg, const char *file,
		    const char *text)
{
	char path[640];

	(void)snprintf(path, sizeof(path), "%s/%s", cg->path, file);
	return bench_write_text(path, text);
}

/* Our own group of the controller; v1 "N:memory:/path", v2 "0::/path". */
static void own_group(bool is_v2, char *buf, size_t len)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[512];

	buf[0] = '\0';
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *ctrl = strchr(line, ':');
		char *path = ctrl ? strchr(ctrl + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (strcmp(ctrl + 1, is_v2 ? "" : "memory"))
			continue;
		(void)snprintf(buf, len, "%.*s", (int)len - 1, path);
		break;
	}
	(void)fclose(f); /* read only */
}

static int find_controller(bool *ret_is_v2)
{
	char line[256];

	if (!access(V1_ROOT "/memory.limit_in_bytes", F_OK)) {
		*ret_is_v2 = false;
		return 0;
	}
	if (!bench_read_line(V2_ROOT "/cgroup.controllers", line,
			     sizeof(line)) &&
	    strstr(line, "memory")) {
		*ret_is_v2 = true;
		return 0;
	}
	return -ENOENT;
}

/* In version 2 a group's children have a limit only if it passes memory on. */
static bool may_have_limits(const char *dir)
{
	char path[512], line[256];

	(void)snprintf(path, sizeof(path), "%.400s/cgroup.subtree_control",
		       dir);
	return !bench_read_line(path, line, sizeof(line)) &&
	       strstr(line, "memory");
}

static int make_dir(struct bench_cgroup *cg, const char *name)
{
	const char *root = cg->is_v2 ? V2_ROOT : V1_ROOT;
	char own[256], dir[384];

	own_group(cg->is_v2, own, sizeof(own));
	for (;;) {
		char *slash;

		(void)snprintf(dir, sizeof(dir), "%s%s", root,
			       strcmp(own, "/") ? own : "");
		(void)snprintf(cg->path, sizeof(cg->path), "%s/%.40s-%ld", dir,
			       name, (long)getpid());
		if ((!cg->is_v2 || may_have_limits(dir)) &&
		    !mkdir(cg->path, 0755))
			return 0;
		slash = strrchr(own, '/');
		if (!slash)
			break;
		*slash = '\0'; /* next: the parent, at last the root */
	}
	cg->path[0] = '\0';
	return errno == ENOENT ? -EPERM : -errno;
}

static int set_limit(struct bench_cgroup *cg, uint64_t limit)
{
	char text[32];
	int err;

	(void)snprintf(text, sizeof(text), "%" PRIu64, limit);
	if (!cg->is_v2)
		return write_in(cg, "memory.limit_in_bytes", text);
	err = write_in(cg, "memory.max", text);
	if (!err)
		err = write_in(cg, "memory.swap.max", "max");
	return err == -ENOENT ? 0 : err; /* no swap controller: no limit */
}

int bench_cgroup_create(struct bench_cgroup *cg, const char *name,
			uint64_t limit_bytes)
{
	int err;

	cg->path[0] = '\0';
	err = find_controller(&cg->is_v2);
	if (err) {
		(void)fprintf(stderr,
			      "bench: no memory limit: no cgroup memory "
			      "controller under /sys/fs/cgroup; fix: run on a "
			      "host that mounts it\n");
		return err;
	}
	err = make_dir(cg, name);
	if (!err) {
		err = set_limit(cg, limit_bytes);
		if (err)
			bench_cgroup_destroy(cg);
	}
	if (err)
		(void)fprintf(stderr,
			      "bench: no memory limit: cannot make a cgroup: "
			      "%s; fix: run as root\n",
			      strerror(-err));
	return err;
}

int bench_cgroup_join(const struct bench_cgroup *cg)
{
	return write_in(cg, "cgroup.procs", "0");
}

void bench_cgroup_destroy(struct bench_cgroup *cg)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	int i;

	/* The group is busy until the kernel has buried its last process. */
	for (i = 0; cg->path[0] && i < DESTROY_TRIES; i++) {
		if (!rmdir(cg->path) || errno == ENOENT) {
			cg->path[0] = '\0';
			return;
		}
		(void)nanosleep(&pause, NULL);
	}
	if (cg->path[0])
		(void)fprintf(stderr, "bench: %s stays: %s; fix: rmdir it\n",
			      cg->path, strerror(errno));
	cg->path[0] = '\0';
}

uint64_t bench_cgroup_peak(const struct bench_cgroup *cg)
{
	char path[640], line[64];

	(void)snprintf(path, sizeof(path), "%s/%s", cg->path,
		       cg->is_v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	if (bench_read_line(path, line, sizeof(line)))
		return 0;
	return strtoull(line, NULL, 10);
}
