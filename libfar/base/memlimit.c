/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/memlimit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "libfar/base/options.h"

/** struct lines - a file read line by line through a buffer on the stack */
struct lines {
	int fd;
	size_t start, end; /* unread bytes of buf */
	bool eof;
	char buf[PATH_MAX];
};

/* cgroup paths of this process, as /proc/self/cgroup spells them */
struct membership {
	char v1[PATH_MAX / 2]; /* of the memory controller; "" if none */
	char v2[PATH_MAX / 2];
};

/* "@a@b@c" into @buf; false if it does not fit. */
static bool join(char *buf, size_t len, const char *a, const char *b,
		 const char *c)
{
	size_t la = strlen(a), lb = strlen(b), lc = strlen(c);

	if (la >= len || lb >= len - la || lc >= len - la - lb)
		return false;
	memmove(buf, a, la);
	memcpy(buf + la, b, lb);
	memcpy(buf + la + lb, c, lc + 1);
	return true;
}

static int open_below(const char *root, const char *path)
{
	char full[PATH_MAX];

	if (!join(full, sizeof(full), root, path, ""))
		return -ENAMETOOLONG;
	return open(full, O_RDONLY | O_CLOEXEC);
}

static bool lines_open(struct lines *in, const char *root, const char *path)
{
	in->fd = open_below(root, path);
	in->start = 0;
	in->end = 0;
	in->eof = false;
	return in->fd >= 0;
}

static void lines_fill(struct lines *in)
{
	ssize_t n;

	memmove(in->buf, in->buf + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
	do {
		n = read(in->fd, in->buf + in->end, sizeof(in->buf) - in->end);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		in->eof = true;
	else
		in->end += (size_t)n;
}

/*
 * The next line without its newline, or NULL.  A line longer than the buffer
 * is passed over: no cgroup's is, an overlay mount's may be.
 */
static char *lines_next(struct lines *in)
{
	bool skip = false;

	for (;;) {
		char *line = in->buf + in->start;
		char *nl = memchr(line, '\n', in->end - in->start);

		if (nl) {
			*nl = '\0';
			in->start = (size_t)(nl + 1 - in->buf);
			if (!skip)
				return line;
			skip = false;
			continue;
		}
		if (in->eof)
			return NULL; /* /proc ends every line */
		if (in->end - in->start == sizeof(in->buf)) {
			skip = true;
			in->start = in->end;
		}
		lines_fill(in);
	}
}

/* Leading decimal digits of @s; false if there are none ("max"). */
static bool parse_number(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (far_mul_overflow(v, 10, &v) ||
		    far_add_overflow(v, (uint64_t)(*s - '0'), &v))
			v = UINT64_MAX;
	*ret = v;
	return true;
}

static void set_limit(struct far_memory_limit *limit, uint64_t bytes,
		      int version, const char *path)
{
	size_t len = strnlen(path, sizeof(limit->path) - 1);

	limit->bytes = bytes;
	limit->cgroup_version = version;
	memcpy(limit->path, path, len);
	limit->path[len] = '\0';
}

/* "MemTotal:       16314236 kB" */
static void read_machine(const char *root, struct far_memory_limit *limit)
{
	struct lines in;
	struct sysinfo si;
	uint64_t kib;
	char *line;

	if (lines_open(&in, root, "/proc/meminfo")) {
		while ((line = lines_next(&in))) {
			if (strncmp(line, "MemTotal:", 9) != 0)
				continue;
			line += 9;
			line += strspn(line, " \t");
			if (parse_number(line, &kib) &&
			    kib <= UINT64_MAX / 1024)
				set_limit(limit, kib * 1024, 0,
					  "/proc/meminfo");
			break;
		}
		(void)close(in.fd);
	}
	if (limit->bytes == UINT64_MAX && root[0] == '\0' && sysinfo(&si) == 0)
		set_limit(limit, (uint64_t)si.totalram * si.mem_unit, 0,
			  "sysinfo(2)");
}

/* Is "memory" one of the comma-separated words between @list and @end? */
static bool lists_memory(const char *list, const char *end)
{
	while (list < end) {
		size_t len = strcspn(list, ",:");

		if (len == 6 && memcmp(list, "memory", 6) == 0)
			return true;
		list += len + 1;
	}
	return false;
}

/* Lines are "id:controllers:path"; the one of version 2 is "0::path". */
static void read_membership(const char *root, struct membership *m)
{
	struct lines in;
	char *line;

	m->v1[0] = '\0';
	m->v2[0] = '\0';
	if (!lines_open(&in, root, "/proc/self/cgroup"))
		return;
	while ((line = lines_next(&in))) {
		char *list = strchr(line, ':');
		char *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		list++;
		if (list == path)
			(void)join(m->v2, sizeof(m->v2), path + 1, "", "");
		else if (lists_memory(list, path))
			(void)join(m->v1, sizeof(m->v1), path + 1, "", "");
	}
	(void)close(in.fd);
}

static void read_limit_file(const char *root, const char *dir, const char *name,
			    int version, struct far_memory_limit *limit)
{
	char path[PATH_MAX], text[32];
	uint64_t bytes;
	ssize_t n;
	int fd;

	if (!join(path, sizeof(path), dir, "/", name))
		return;
	fd = open_below(root, path);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	if (parse_number(text, &bytes) && bytes < limit->bytes)
		set_limit(limit, bytes, version, path);
}

/* The limits of @dir and of all its ancestors up to the mount point. */
static void read_ancestors(const char *root, char *dir, size_t mount_len,
			   int version, struct far_memory_limit *limit)
{
	size_t len = strlen(dir);

	for (;;) {
		while (len > mount_len && dir[len - 1] == '/')
			dir[--len] = '\0';
		if (version == 1) {
			read_limit_file(root, dir, "memory.limit_in_bytes", 1,
					limit);
		} else {
			read_limit_file(root, dir, "memory.max", 2, limit);
			read_limit_file(root, dir, "memory.high", 2, limit);
		}
		if (len <= mount_len)
			return;
		while (len > mount_len && dir[len - 1] != '/')
			dir[--len] = '\0';
	}
}

/* Undoes the "\040" of /proc/self/mountinfo, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
				       (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Cuts the word at *@s off and steps behind it; never NULL. */
static char *next_word(char **s)
{
	char *word = *s;
	char *end = word + strcspn(word, " ");

	*s = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

/*
 * What of the cgroup's path @cg lies below a mount whose root is @mroot.
 * A container sees its own group as the root of the mount; if the two do not
 * match (a cgroup namespace from outside) the mount point itself is all we
 * can see.
 */
static const char *below_mount(const char *cg, const char *mroot)
{
	size_t len = strlen(mroot);

	if (strcmp(mroot, "/") == 0)
		return strstr(cg, "/..") ? "" : cg;
	if (strncmp(cg, mroot, len) == 0 && (cg[len] == '/' || !cg[len]))
		return cg + len;
	return "";
}

/*
 * One line of mountinfo(5): "id parent major:minor root mount options
 * [optional...] - type source superoptions".
 */
static void read_mount(const char *root, char *line, const struct membership *m,
		       struct far_memory_limit *limit)
{
	char *sep = strstr(line, " - ");
	char dir[PATH_MAX];
	char *type, *super, *mroot, *mount;
	const char *cg;
	int version;

	if (!sep)
		return;
	*sep = '\0';
	super = sep + 3;
	type = next_word(&super);
	(void)next_word(&super); /* source */
	version = strcmp(type, "cgroup2") == 0 ? 2 : 1;
	if (version == 1 && (strcmp(type, "cgroup") != 0 ||
			     !lists_memory(super, super + strlen(super))))
		return;
	cg = version == 2 ? m->v2 : m->v1;
	if (cg[0] != '/')
		return;
	(void)next_word(&line); /* id */
	(void)next_word(&line); /* parent */
	(void)next_word(&line); /* device */
	mroot = next_word(&line);
	mount = next_word(&line);
	unescape(mroot);
	unescape(mount);
	if (join(dir, sizeof(dir), mount, below_mount(cg, mroot), ""))
		read_ancestors(root, dir, strlen(mount), version, limit);
}

void far_memory_limit(const char *root, struct far_memory_limit *ret_limit)
{
	struct membership m;
	struct lines in;
	char *line;

	set_limit(ret_limit, UINT64_MAX, 0, "");
	read_machine(root, ret_limit);
	read_membership(root, &m);
	if (!lines_open(&in, root, "/proc/self/mountinfo"))
		return;
	while ((line = lines_next(&in)))
		read_mount(root, line, &m, ret_limit);
	(void)close(in.fd);
}

uint64_t far_memory_total(void)
{
	struct far_memory_limit limit;

	far_memory_limit("", &limit);
	return limit.bytes;
}
