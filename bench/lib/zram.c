/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/zram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bench/lib/env.h"

#define CONTROL "/sys/class/zram-control"
#define SWAP_PRIORITY 100

/* A page of swap header. Source: include/linux/swap.h, union swap_header. */
struct swap_header {
	char boot[1024];
	uint32_t version;
	uint32_t last_page;
	uint32_t nr_bad;
	unsigned char rest[4096 - 1024 - 12 - 10];
	char magic[10];
};

static int write_attr(const struct bench_zram *z, const char *attr,
		      const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/block/zram%d/%s", z->id, attr);
	return bench_write_text(path, text);
}

static int is_unused(int id)
{
	char path[128], line[32];
	int err;

	(void)snprintf(path, sizeof(path), "/sys/block/zram%d/initstate", id);
	err = bench_read_line(path, line, sizeof(line));
	if (err)
		return err == -ENOENT ? -ENODEV : err;
	return strcmp(line, "0") ? -EBUSY : 0;
}

static int take_device(struct bench_zram *z)
{
	char line[32];
	int err;

	/* Reading hot_add makes a device and returns its number. */
	if (!bench_read_line(CONTROL "/hot_add", line, sizeof(line))) {
		z->id = atoi(line);
		z->is_added = true;
		return 0;
	}
	err = is_unused(0);
	if (!err)
		z->id = 0;
	return err;
}

/* The node devtmpfs made, or one of our own where nothing does that. */
static int find_node(struct bench_zram *z)
{
	unsigned major_nr, minor_nr;
	char path[128], line[32];
	int err;

	(void)snprintf(z->node, sizeof(z->node), "/dev/zram%d", z->id);
	if (!access(z->node, R_OK | W_OK))
		return 0;
	(void)snprintf(path, sizeof(path), "/sys/block/zram%d/dev", z->id);
	err = bench_read_line(path, line, sizeof(line));
	if (err)
		return err;
	if (sscanf(line, "%u:%u", &major_nr, &minor_nr) != 2)
		return -ENODEV;
	(void)snprintf(z->node, sizeof(z->node), "/tmp/far-bench-zram%d-%ld",
		       z->id, (long)getpid());
	if (mknod(z->node, S_IFBLK | 0600, makedev(major_nr, minor_nr)))
		return -errno;
	z->is_node_made = true;
	return 0;
}

static int make_swap(const char *node, uint64_t bytes)
{
	struct swap_header *h = calloc(1, sizeof(*h));
	int err = 0;
	int fd;

	_Static_assert(sizeof(struct swap_header) == 4096, "one page");
	if (!h)
		return -ENOMEM;
	h->version = 1;
	h->last_page = (uint32_t)(bytes / FAR_PAGE_SIZE - 1);
	memcpy(h->magic, "SWAPSPACE2", sizeof(h->magic));
	fd = open(node, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	if (write(fd, h, sizeof(*h)) != (ssize_t)sizeof(*h) || fsync(fd))
		err = errno ? -errno : -EIO;
	if (close(fd) && !err)
		err = -errno;
out:
	free(h);
	return err;
}

static int set_up(struct bench_zram *z, uint64_t bytes, const char *algorithm)
{
	char text[32];
	int err;

	err = take_device(z);
	if (!err)
		err = find_node(z);
	if (!err)
		err = write_attr(z, "comp_algorithm", algorithm);
	if (err)
		return err;
	(void)snprintf(text, sizeof(text), "%" PRIu64, bytes);
	err = write_attr(z, "disksize", text);
	if (err)
		return err;
	z->is_sized = true;
	err = make_swap(z->node, bytes);
	if (err)
		return err;
	if (swapon(z->node, SWAP_FLAG_PREFER | SWAP_PRIORITY))
		return -errno;
	z->is_swap_on = true;
	return 0;
}

int bench_zram_up(struct bench_zram *z, uint64_t bytes, const char *algorithm)
{
	int err;

	memset(z, 0, sizeof(*z));
	z->id = -1;
	err = geteuid() ? -EPERM
			: set_up(z, far_round_up(bytes, FAR_PAGE_SIZE),
				 algorithm);
	if (!err)
		return 0;
	(void)fprintf(stderr, "bench: no zram swap: %s; fix: %s\n",
		      strerror(-err),
		      err == -EPERM   ? "run as root"
		      : err == -EBUSY ? "free zram0: swapoff and reset it"
				      : "load the zram module with lz4");
	bench_zram_down(z);
	return err;
}

void bench_zram_down(struct bench_zram *z)
{
	char text[16];
	int err = 0;

	if (z->is_swap_on && swapoff(z->node))
		err = -errno;
	if (!err && z->is_sized)
		err = write_attr(z, "reset", "1");
	if (z->is_node_made)
		(void)unlink(z->node); /* ours, in a world-writable folder */
	if (!err && z->is_added) {
		(void)snprintf(text, sizeof(text), "%d", z->id);
		err = bench_write_text(CONTROL "/hot_remove", text);
	}
	if (err)
		(void)fprintf(stderr,
			      "bench: %s stays: %s; fix: swapoff %s and write "
			      "1 to /sys/block/zram%d/reset\n",
			      z->node, strerror(-err), z->node, z->id);
	memset(z, 0, sizeof(*z));
	z->id = -1;
}
