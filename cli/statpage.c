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

#include "libfar/base/clock.h"
#include "libfar/base/process.h"

#define MAX_TRIES 200
#define TRY_NS 500000L
#define SWEEP_NS (60 * FAR_NS_PER_S)

static int page_path(struct statpage_id id, char *buf, size_t len)
{
	char dir[PATH_MAX];
	int err = far_runtime_dir(dir, sizeof(dir));
	int n;

	if (err < 0)
		return err;
	if (id.serial)
		n = snprintf(buf, len, "%s/stat/%d.%u", dir, (int)id.pid,
			     id.serial);
	else
		n = snprintf(buf, len, "%s/stat/%d", dir, (int)id.pid);
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
	uint64_t before = 0, after = 0;
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

int statpage_open(struct statpage_id id)
{
	char path[PATH_MAX];
	int err, fd;

	err = page_path(id, path, sizeof(path));
	if (err < 0)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int statpage_read_fd(int fd, pid_t pid, struct far_stat_page *ret_page)
{
	const struct timespec pause = {0, TRY_NS};
	struct far_stat_page page;
	int err, tries;

	err = try_read(fd, &page);
	for (tries = 1; err == -EAGAIN && tries < MAX_TRIES; tries++) {
		(void)nanosleep(&pause, NULL);
		err = try_read(fd, &page);
	}
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

int statpage_read(struct statpage_id id, struct far_stat_page *ret_page)
{
	int fd = statpage_open(id);
	int err;

	if (fd < 0)
		return fd;
	err = statpage_read_fd(fd, id.pid, ret_page);
	(void)close(fd);
	return err;
}

/* Is @path mapped by @pid?  True as well if we may not know. */
static bool is_mapped(pid_t pid, const char *path)
{
	char maps[40], *line = NULL;
	size_t cap = 0, len = strlen(path);
	bool found = false;
	ssize_t n;
	FILE *f;

	(void)snprintf(maps, sizeof(maps), "/proc/%d/maps", (int)pid);
	f = fopen(maps, "re");
	if (!f)
		return true;
	while (!found && (n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] == '\n')
			line[--n] = '\0';
		/* "(deleted)" behind it would be another file's end */
		found = (size_t)n > len && line[(size_t)n - len - 1] == ' ' &&
			strcmp(line + (size_t)n - len, path) == 0;
	}
	free(line);
	(void)fclose(f);
	return found;
}

bool statpage_is_live(struct statpage_id id, const struct far_stat_page *page)
{
	char path[PATH_MAX], real[PATH_MAX];
	uint64_t start;

	if (far_process_start(id.pid, &start) < 0 || start != page->start_ticks)
		return false;
	/* the kernel prints the path without symbolic links */
	if (page_path(id, path, sizeof(path)) < 0 || !realpath(path, real))
		return true;
	return is_mapped(id.pid, real);
}

void statpage_remove(struct statpage_id id)
{
	char path[PATH_MAX];

	if (page_path(id, path, sizeof(path)) == 0)
		(void)unlink(path); /* another reader may have done it */
}

static int compare_ids(const void *a, const void *b)
{
	const struct statpage_id *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->serial > y->serial) - (x->serial < y->serial);
}

/* "PID" or "PID.SERIAL" and nothing else */
static bool parse_id(const char *name, struct statpage_id *ret)
{
	unsigned long pid, serial = 0;
	char *end;

	if (*name < '1' || *name > '9')
		return false;
	pid = strtoul(name, &end, 10);
	if (*end == '.' && end[1] >= '1' && end[1] <= '9')
		serial = strtoul(end + 1, &end, 10);
	if (*end || pid > INT_MAX || serial > UINT_MAX)
		return false;
	ret->pid = (pid_t)pid;
	ret->serial = (unsigned)serial;
	return true;
}

static int add_id(struct statpage_id **ids, int nr, struct statpage_id id)
{
	struct statpage_id *more;
	size_t cap = nr ? 2 * (size_t)nr : 1;

	if ((nr & (nr - 1)) == 0) { /* full at every power of two */
		more = realloc(*ids, cap * sizeof(**ids));
		if (!more)
			return -ENOMEM;
		*ids = more;
	}
	(*ids)[nr] = id;
	return nr + 1;
}

int statpage_list(pid_t pid, struct statpage_id **ret_ids)
{
	char dir[PATH_MAX - 8], path[PATH_MAX];
	struct statpage_id *ids = NULL, id;
	const struct dirent *entry;
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
		if (parse_id(entry->d_name, &id) && (!pid || id.pid == pid))
			nr = add_id(&ids, nr, id);
	if (d)
		(void)closedir(d);
	if (nr < 0) {
		free(ids);
		return nr;
	}
	if (nr)
		qsort(ids, (size_t)nr, sizeof(*ids), compare_ids);
	*ret_ids = ids;
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
	json_t *octaves = json_array();
	char *text;

	for (unsigned i = 0; i < FAR_STAT_OCTAVES; i++)
		(void)json_array_append_new(
			octaves, json_integer((json_int_t)p->fault_octaves[i]));
	(void)json_object_set_new(o, "fault_octaves", octaves);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
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

void statpage_sweep(void)
{
	struct statpage_id *ids = NULL;
	int nr = statpage_list(0, &ids);
	uint64_t now = far_now_ns();

	for (int i = 0; i < nr; i++) {
		struct far_stat_page page;

		if (statpage_read(ids[i], &page) == 0 &&
		    now - page.updated_ns > SWEEP_NS &&
		    !statpage_is_live(ids[i], &page))
			statpage_remove(ids[i]);
	}
	free(ids);
}
