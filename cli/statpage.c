/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/statpage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "libfar/base/process.h"

#define MAX_TRIES 200
#define TRY_NS 500000L

static int page_path(pid_t pid, char *buf, size_t len)
{
	char dir[PATH_MAX];
	int err = far_runtime_dir(dir, sizeof(dir));
	int n;

	if (err < 0)
		return err;
	n = snprintf(buf, len, "%s/stat/%d", dir, (int)pid);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

static int read_seq(int fd, uint64_t *ret)
{
	uint64_t seq;
	ssize_t n = pread(fd, &seq, sizeof(seq),
			  offsetof(struct far_stat_page, seq));

	if (n != (ssize_t)sizeof(seq))
		return n < 0 ? -errno : -EINVAL;
	*ret = seq;
	return 0;
}

/*
 * One attempt under the sequence lock.  The file is read, not mapped: a page
 * that is cut short must not end in SIGBUS.  System calls on the same pages
 * order the three reads.
 */
static int try_read(int fd, struct far_stat_page *page)
{
	uint64_t before, after;
	ssize_t n;
	int err;

	err = read_seq(fd, &before);
	if (err < 0)
		return err;
	if (before & 1)
		return -EAGAIN;
	memset(page, 0, sizeof(*page));
	n = pread(fd, page, sizeof(*page), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < offsetof(struct far_stat_page, stats))
		return -EINVAL;
	err = read_seq(fd, &after);
	if (err < 0)
		return err;
	return before == after ? 0 : -EAGAIN;
}

void statpage_clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

#define END_TEXT(field)                                                        \
	do {                                                                   \
		(field)[sizeof(field) - 1] = 0;                                \
		statpage_clean(field);                                         \
	} while (0)

/* A library that is older than we are knows fewer fields. */
static void check_stats(struct far_stats *st)
{
	if (st->size < sizeof(*st))
		memset((char *)st + st->size, 0, sizeof(*st) - st->size);
}

int statpage_read(pid_t pid, struct far_stat_page *ret_page)
{
	const struct timespec pause = {0, TRY_NS};
	struct far_stat_page page;
	char path[PATH_MAX];
	int fd, err, tries;

	err = page_path(pid, path, sizeof(path));
	if (err < 0)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = try_read(fd, &page);
	for (tries = 1; err == -EAGAIN && tries < MAX_TRIES; tries++) {
		(void)nanosleep(&pause, NULL);
		err = try_read(fd, &page);
	}
	(void)close(fd);
	if (err < 0)
		return err;
	if (page.magic != FAR_STAT_PAGE_MAGIC || page.pid != (uint64_t)pid)
		return -EINVAL;
	END_TEXT(page.command);
	END_TEXT(page.far_spec);
	END_TEXT(page.fault_mode);
	END_TEXT(page.takeout_mode);
	END_TEXT(page.state);
	check_stats(&page.stats);
	*ret_page = page;
	return 0;
}

bool statpage_is_live(const struct far_stat_page *page)
{
	uint64_t start;

	return far_process_start((pid_t)page->pid, &start) == 0 &&
	       start == page->start_ticks;
}

void statpage_remove(pid_t pid)
{
	char path[PATH_MAX];

	if (page_path(pid, path, sizeof(path)) == 0)
		(void)unlink(path); /* another reader may have done it */
}

static int compare_pids(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int add_pid(pid_t **pids, int nr, const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);
	pid_t *more;

	if (*end || pid <= 0 || pid > INT_MAX)
		return nr;
	if ((nr & (nr - 1)) == 0) { /* full at every power of two */
		more = realloc(*pids,
			       (nr ? 2 * (size_t)nr : 1) * sizeof(**pids));
		if (!more)
			return -ENOMEM;
		*pids = more;
	}
	(*pids)[nr] = (pid_t)pid;
	return nr + 1;
}

int statpage_list(pid_t **ret_pids)
{
	char dir[PATH_MAX - 8], path[PATH_MAX];
	const struct dirent *entry;
	pid_t *pids = NULL;
	int nr = 0, err;
	DIR *d;

	err = far_runtime_dir(dir, sizeof(dir));
	if (err < 0)
		return err;
	(void)snprintf(path, sizeof(path), "%s/stat", dir);
	d = opendir(path);
	if (!d && errno != ENOENT)
		return -errno;
	while (d && nr >= 0 && (entry = readdir(d)))
		nr = add_pid(&pids, nr, entry->d_name);
	if (d)
		(void)closedir(d);
	if (nr < 0) {
		free(pids);
		return nr;
	}
	if (nr)
		qsort(pids, (size_t)nr, sizeof(*pids), compare_pids);
	*ret_pids = pids;
	return nr;
}

/* Members beside the statistics, as ",\"k\":v..."; to be freed. */
static char *extra_members(const struct far_stat_page *p)
{
	json_t *o = json_pack(
		"{s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s}", "pid",
		(json_int_t)p->pid, "start_ticks", (json_int_t)p->start_ticks,
		"updated_ns", (json_int_t)p->updated_ns, "command", p->command,
		"far", p->far_spec, "fault_mode", p->fault_mode, "takeout_mode",
		p->takeout_mode, "state", p->state);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	if (text) {
		text[0] = ',';
		text[strlen(text) - 1] = '\0';
	}
	return text;
}

int statpage_json(const struct far_stat_page *page, char **ret_text)
{
	char *extra = extra_members(page);
	char *text = NULL;
	int len;

	if (!extra)
		return -ENOMEM;
	len = far_stats_print_json(&page->stats, extra, NULL, 0);
	text = malloc((size_t)len + 1);
	if (text)
		(void)far_stats_print_json(&page->stats, extra, text,
					   (size_t)len + 1);
	free(extra);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}
