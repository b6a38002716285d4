/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the shell tests know of a process that ran under libfar-preload.so:
 * the statistics page that it left.
 *	test_preload_stat PID	prints "name value" lines
 * Status 1: no such page.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfar/base/stats.h"

static int read_page(const char *pid, struct far_stat_page *ret_page)
{
	char dir[256], path[300];
	ssize_t n;
	int fd;

	if (far_runtime_dir(dir, sizeof(dir)) < 0)
		return -ENAMETOOLONG;
	snprintf(path, sizeof(path), "%s/stat/%s", dir, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, ret_page, sizeof(*ret_page));
	close(fd);
	return n == (ssize_t)sizeof(*ret_page) &&
			       ret_page->magic == FAR_STAT_PAGE_MAGIC
		       ? 0
		       : -EIO;
}

int main(int argc, char **argv)
{
	const struct far_stat_desc *d;
	struct far_stat_page page;
	uint64_t value;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: test_preload_stat PID\n");
		return 2;
	}
	err = read_page(argv[1], &page);
	if (err) {
		fprintf(stderr, "statistics of %s: %s\n", argv[1],
			strerror(-err));
		return 1;
	}
	for (d = far_stat_descs(); d->name; d++) {
		memcpy(&value, (const char *)&page.stats + d->offset,
		       sizeof(value));
		printf("%s %" PRIu64 "\n", d->name, value);
	}
	return 0;
}
