/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/statpage.h"
#include "libfar/base/process.h"

#define MAX_DEPTH 64

/* Field 4 of /proc/PID/stat; the command before it may hold anything. */
static pid_t parent_of(pid_t pid)
{
	char path[40], text[1024];
	const char *end;
	int ppid, fd;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %d", &ppid) == 1 ? ppid : 0;
}

static bool descends_from(pid_t pid, pid_t root)
{
	unsigned depth;

	for (depth = 0; pid > 1 && depth < MAX_DEPTH; depth++) {
		if (pid == root)
			return true;
		pid = parent_of(pid);
	}
	return false;
}

static bool is_live(const struct sample *p)
{
	uint64_t start;

	return far_process_start(p->id.pid, &start) == 0 &&
	       start == p->start_ticks;
}

static bool is_known(const struct samples *s, struct statpage_id id,
		     uint64_t start)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (s->list[i].id.pid == id.pid &&
		    s->list[i].id.serial == id.serial &&
		    s->list[i].start_ticks == start)
			return true;
	return false;
}

static struct sample *grow(struct samples *s)
{
	size_t cap = s->cap ? 2 * s->cap : 16;
	struct sample *more;

	if (s->nr < s->cap)
		return &s->list[s->nr++];
	if (s->cap >= SAMPLES_MAX)
		return NULL;
	more = realloc(s->list, cap * sizeof(*more));
	if (!more)
		return NULL;
	s->list = more;
	s->cap = cap;
	return &s->list[s->nr++];
}

/* Opens page @id if it is new and its process is below @root. */
static void consider(struct samples *s, struct statpage_id id, pid_t root)
{
	struct sample *p;
	uint64_t start;
	int fd;

	if (far_process_start(id.pid, &start) < 0 || is_known(s, id, start) ||
	    !descends_from(id.pid, root))
		return;
	fd = statpage_open(id);
	p = fd < 0 ? NULL : grow(s);
	if (!p) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	memset(p, 0, sizeof(*p));
	p->id = id;
	p->start_ticks = start;
	p->fd = fd;
}

/*
 * A program that replaces itself keeps its pid and start time but begins a
 * new page: the one that was opened is then removed, the new one is opened.
 */
static void follow(struct sample *p)
{
	struct stat st;
	int fd;

	if (fstat(p->fd, &st) < 0 || st.st_nlink > 0)
		return;
	fd = statpage_open(p->id);
	if (fd < 0)
		return;
	(void)close(p->fd);
	p->fd = fd;
}

static void refresh(struct sample *p)
{
	bool lives = is_live(p);
	struct far_stat_page page;

	if (lives)
		follow(p);
	/* Dead or alive was asked first: a dead one has written its last. */
	if (statpage_read_fd(p->fd, p->id.pid, &page) == 0 &&
	    page.start_ticks == p->start_ticks && page.updated_ns) {
		p->page = page;
		p->has_page = true;
	}
	if (!lives) {
		(void)close(p->fd);
		p->fd = -1;
	}
}

void samples_init(struct samples *s)
{
	char dir[PATH_MAX];

	memset(s, 0, sizeof(*s));
	s->watch_fd = -1;
	if (far_runtime_subdir("stat", dir, sizeof(dir)) < 0)
		return; /* then there are no pages either */
	s->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch_fd >= 0)
		(void)inotify_add_watch(s->watch_fd, dir, IN_CREATE);
}

void samples_take(struct samples *s, pid_t root)
{
	char events[4096];
	struct statpage_id *ids = NULL;
	size_t i;
	int nr, k;

	while (s->watch_fd >= 0 &&
	       read(s->watch_fd, events, sizeof(events)) > 0)
		; /* which one it was is seen below */
	nr = statpage_list(0, &ids);
	for (k = 0; k < nr; k++)
		consider(s, ids[k], root);
	if (nr >= 0)
		free(ids);
	for (i = 0; i < s->nr; i++)
		if (s->list[i].fd >= 0)
			refresh(&s->list[i]);
}

/* Counts those that were written, for the commas. */
static int write_process(FILE *f, const struct sample *p, unsigned *nr)
{
	char *text;
	int err;

	if (!p->has_page)
		return 0;
	err = statpage_json(&p->page, &text);
	if (err < 0)
		return err;
	(void)fprintf(f, "%s%s", (*nr)++ ? "," : "", text);
	free(text);
	return 0;
}

int samples_write(const struct samples *s, int exit_status, const char *path)
{
	FILE *f = fopen(path, "we");
	unsigned nr = 0;
	size_t i;
	int err = 0;

	if (!f)
		return -errno;
	(void)fprintf(f,
		      "{\"schema\":\"far.run/1\",\"exit\":%d,"
		      "\"processes\":[",
		      exit_status);
	for (i = 0; err == 0 && i < s->nr; i++)
		err = write_process(f, &s->list[i], &nr);
	(void)fprintf(f, "]}\n");
	if (ferror(f) && err == 0)
		err = -EIO;
	if (fclose(f) != 0 && err == 0)
		err = -errno;
	return err;
}

void samples_fini(struct samples *s)
{
	size_t i;

	for (i = 0; i < s->nr; i++) {
		if (s->list[i].fd >= 0)
			(void)close(s->list[i].fd);
		if (!is_live(&s->list[i]))
			statpage_remove(s->list[i].id);
	}
	if (s->watch_fd >= 0)
		(void)close(s->watch_fd);
	free(s->list);
	memset(s, 0, sizeof(*s));
	s->watch_fd = -1;
}
