/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/statpage.h"

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

static bool same_process(const struct far_stat_page *a,
			 const struct far_stat_page *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

static struct far_stat_page *find(const struct samples *s,
				  const struct far_stat_page *like)
{
	size_t i;

	for (i = 0; i < s->nr; i++)
		if (same_process(&s->pages[i], like))
			return &s->pages[i];
	return NULL;
}

static struct far_stat_page *grow(struct samples *s)
{
	struct far_stat_page *more;
	size_t cap = s->cap ? 2 * s->cap : 16;

	if (s->nr < s->cap)
		return &s->pages[s->nr++];
	if (s->cap >= SAMPLES_MAX)
		return NULL;
	more = realloc(s->pages, cap * sizeof(*more));
	if (!more)
		return NULL;
	s->pages = more;
	s->cap = cap;
	return &s->pages[s->nr++];
}

void samples_take(struct samples *s, pid_t root)
{
	struct far_stat_page page, *known;
	pid_t *pids = NULL;
	int nr = statpage_list(&pids), i;

	for (i = 0; i < nr; i++) {
		if (statpage_read(pids[i], &page) < 0)
			continue;
		known = find(s, &page);
		if (!known && statpage_is_live(&page) &&
		    descends_from(pids[i], root))
			known = grow(s);
		if (known)
			*known = page;
	}
	if (nr >= 0)
		free(pids);
}

int samples_write(const struct samples *s, int exit_status, const char *path)
{
	FILE *f = fopen(path, "we");
	size_t i;
	int err = 0;

	if (!f)
		return -errno;
	(void)fprintf(f,
		      "{\"schema\":\"far.run/1\",\"exit\":%d,\"processes\":[",
		      exit_status);
	for (i = 0; err == 0 && i < s->nr; i++) {
		char *text;

		err = statpage_json(&s->pages[i], &text);
		if (err < 0)
			break;
		(void)fprintf(f, "%s%s", i ? "," : "", text);
		free(text);
	}
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

	for (i = 0; i < s->nr; i++)
		if (!statpage_is_live(&s->pages[i]))
			statpage_remove((pid_t)s->pages[i].pid);
	free(s->pages);
	memset(s, 0, sizeof(*s));
}
