/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/elfcheck.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_SCRIPTS 5 /* interpreters of interpreters; the kernel's bound */
#define MAX_HEADERS 1024
#define MAX_LINE 256 /* of "#!", as in the kernel */

/** struct refusal - where the reason goes */
struct refusal {
	char *why;
	size_t len;
};

static int refuse(const struct refusal *r, const char *why)
{
	(void)snprintf(r->why, r->len, "%s", why);
	return -ENOEXEC;
}

static bool read_at(int fd, void *buf, size_t len, uint64_t off)
{
	return off <= INT64_MAX &&
	       pread(fd, buf, len, (off_t)off) == (ssize_t)len;
}

static int check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return -EACCES;
	return 0;
}

int program_find(const char *name, char *buf, size_t len)
{
	const char *path = getenv("PATH");
	int ret = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		int n = snprintf(buf, len, "%s", name);

		return n < 0 || (size_t)n >= len ? -ENAMETOOLONG
						 : check_file(name);
	}
	if (!path)
		path = "/bin:/usr/bin";
	for (;;) {
		size_t dir = strcspn(path, ":");
		int n = snprintf(buf, len, "%.*s%s%s", (int)dir, path,
				 dir ? "/" : "./", name);

		if (n > 0 && (size_t)n < len) {
			int err = check_file(buf);

			if (err == 0)
				return 0;
			if (err == -EACCES)
				ret = err;
		}
		if (!path[dir])
			return ret;
		path += dir + 1;
	}
}

static int check_privileges(int fd, const struct refusal *r)
{
	struct stat st;
	bool setgid;

	if (fstat(fd, &st) < 0)
		return 0;
	setgid = (st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP);
	if ((st.st_mode & S_ISUID) || setgid)
		return refuse(r, "it is setuid or setgid, and the loader "
				 "ignores preloads there; fix: run a copy "
				 "without that bit, as the user it needs");
	if (fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return refuse(r, "it has file capabilities, and the loader "
				 "ignores preloads there; fix: run a copy of "
				 "it, which has none");
	return 0;
}

/* A note named "Go" with the build id: in binaries without sections too. */
static bool is_go_note(int fd, const Elf64_Phdr *ph)
{
	Elf64_Nhdr note;
	char name[4];

	return read_at(fd, &note, sizeof(note), ph->p_offset) &&
	       note.n_namesz == sizeof(name) && note.n_type == 4 &&
	       read_at(fd, name, sizeof(name), ph->p_offset + sizeof(note)) &&
	       memcmp(name, "Go\0", sizeof(name)) == 0;
}

static bool has_go_section(int fd, const Elf64_Ehdr *eh)
{
	static const char *const go[] = {".note.go.buildid", ".go.buildinfo"};
	Elf64_Shdr names, sh;
	char name[32];
	unsigned i, j;

	if (eh->e_shentsize != sizeof(sh) || eh->e_shnum > MAX_HEADERS ||
	    eh->e_shstrndx >= eh->e_shnum ||
	    !read_at(fd, &names, sizeof(names),
		     eh->e_shoff + eh->e_shstrndx * sizeof(sh)))
		return false;
	for (i = 0; i < eh->e_shnum; i++) {
		if (!read_at(fd, &sh, sizeof(sh), eh->e_shoff + i * sizeof(sh)))
			return false;
		for (j = 0; j < FAR_ARRAY_SIZE(go); j++) {
			size_t len = strlen(go[j]) + 1;

			if (read_at(fd, name, len,
				    names.sh_offset + sh.sh_name) &&
			    memcmp(name, go[j], len) == 0)
				return true;
		}
	}
	return false;
}

/* What the program headers tell. */
struct program {
	bool is_go;
	bool has_interp;
	char interp[128];
};

static bool read_program(int fd, const Elf64_Ehdr *eh, struct program *p)
{
	Elf64_Phdr ph;
	unsigned i;

	memset(p, 0, sizeof(*p));
	if (eh->e_phentsize != sizeof(ph) || eh->e_phnum > MAX_HEADERS)
		return false;
	for (i = 0; i < eh->e_phnum; i++) {
		if (!read_at(fd, &ph, sizeof(ph), eh->e_phoff + i * sizeof(ph)))
			return false;
		if (ph.p_type == PT_NOTE)
			p->is_go |= is_go_note(fd, &ph);
		if (ph.p_type != PT_INTERP)
			continue;
		p->has_interp = true;
		if (ph.p_filesz < sizeof(p->interp) &&
		    !read_at(fd, p->interp, ph.p_filesz, ph.p_offset))
			return false;
	}
	p->is_go |= has_go_section(fd, eh);
	return true;
}

static int check_elf(int fd, const struct refusal *r)
{
	struct program p;
	Elf64_Ehdr eh;

	if (!read_at(fd, &eh, sizeof(eh), 0) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_machine != EM_X86_64)
		return refuse(r, "it is not a 64-bit x86-64 program; fix: "
				 "use a build of it for x86-64");
	if (!read_program(fd, &eh, &p))
		return refuse(r, "its ELF headers are damaged; "
				 "fix: install the program again");
	if (p.is_go)
		return refuse(r, "it is a Go program: the Go runtime takes "
				 "memory from the kernel without malloc; "
				 "fix: none yet, run it without far");
	if (!p.has_interp)
		return refuse(r, "it is a static binary: there is no loader "
				 "that could preload anything; fix: use a "
				 "dynamically linked build");
	if (strstr(p.interp, "ld-musl"))
		return refuse(r, "it uses the musl C library, the preload "
				 "needs glibc; fix: use a glibc build");
	return 0;
}

/*
 * The interpreter that "#!..." names, into @path; env(1) is looked through
 * when it is given a plain name.  False if there is none to be followed.
 */
static bool script_interpreter(char *line, char *path, size_t len)
{
	char *save = NULL, *base;
	char *interp = strtok_r(line + 2, " \t", &save);
	char *arg = interp ? strtok_r(NULL, " \t", &save) : NULL;

	if (!interp)
		return false;
	base = strrchr(interp, '/');
	base = base ? base + 1 : interp;
	if (strcmp(base, "env") == 0 && arg && strcmp(arg, "-S") == 0)
		arg = strtok_r(NULL, " \t", &save);
	if (strcmp(base, "env") == 0 && arg && *arg != '-' && !strchr(arg, '='))
		return program_find(arg, path, len) == 0;
	(void)snprintf(path, len, "%s", interp);
	return true;
}

/* 1: a script, its interpreter replaces @path; 0: fine; -ENOEXEC. */
static int check_one(char *path, size_t len, const struct refusal *r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char line[MAX_LINE + 1];
	ssize_t n;
	int ret;

	if (fd < 0)
		return 0; /* may be executed without being readable */
	ret = check_privileges(fd, r);
	n = pread(fd, line, MAX_LINE, 0);
	if (ret == 0 && n >= 4 && memcmp(line, ELFMAG, SELFMAG) == 0) {
		ret = check_elf(fd, r);
	} else if (ret == 0 && n >= 2 && memcmp(line, "#!", 2) == 0) {
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		ret = script_interpreter(line, path, len);
	} else if (ret == 0 && n >= 0) {
		ret = refuse(r, "it is neither an ELF program nor a script "
				"that begins with #!; fix: run it through "
				"its interpreter, like sh FILE");
	}
	(void)close(fd);
	return ret;
}

int program_check(const char *path, char *why, size_t len)
{
	char cur[PATH_MAX], reason[512];
	const struct refusal r = {reason, sizeof(reason)};
	unsigned depth;
	int ret = 1;

	(void)snprintf(cur, sizeof(cur), "%s", path);
	for (depth = 0; ret == 1 && depth < MAX_SCRIPTS; depth++)
		ret = check_one(cur, sizeof(cur), &r);
	if (ret >= 0)
		return 0;
	if (strcmp(cur, path) == 0)
		(void)snprintf(why, len, "%s", reason);
	else
		(void)snprintf(why, len, "its interpreter %.256s: %s", cur,
			       reason);
	return ret;
}
