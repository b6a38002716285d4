/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/cli.h"
#include "cli/statpage.h"
#include "libfar/backend/backend.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"
#include "libfar/base/stats.h"

void check_set(struct check_result *r, enum check_status status,
	       const char *fix, const char *fmt, ...)
{
	va_list ap;

	r->status = status;
	(void)snprintf(r->fix, sizeof(r->fix), "%s", fix ? fix : "");
	va_start(ap, fmt);
	(void)vsnprintf(r->finding, sizeof(r->finding), fmt, ap);
	va_end(ap);
}

static void check_runtime(const char *spec, struct check_result *r)
{
	char dir[PATH_MAX - 32] = "", path[PATH_MAX];
	int err = far_runtime_subdir("stat", dir, sizeof(dir));
	int fd = -1;

	(void)spec;
	if (err == 0) {
		(void)snprintf(path, sizeof(path), "%s/.doctor.%d", dir,
			       (int)getpid());
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		err = fd < 0 ? -errno : 0;
	}
	if (fd >= 0) {
		(void)close(fd);
		(void)unlink(path);
	}
	if (err < 0)
		check_set(r, CHECK_FAIL,
			  "make it a directory of your own that only you "
			  "may write, or set XDG_RUNTIME_DIR",
			  "%s: %s", *dir ? dir : "the runtime directory",
			  strerror(-err));
	else
		check_set(r, CHECK_OK, NULL, "%s can be written", dir);
}

/* The child's side of try_preload(). */
static void exec_true(const char *lib, int err_fd)
{
	char *const argv[] = {(char[]){"true"}, NULL};

	if (setenv("LD_PRELOAD", lib, 1) < 0 || unsetenv("FAR_CONF") < 0 ||
	    dup2(err_fd, STDERR_FILENO) < 0)
		_exit(126);
	(void)execv("/bin/true", argv);
	_exit(127);
}

/*
 * Runs /bin/true under @lib.  The loader only complains when it cannot
 * preload something, so its complaint is read.
 * Return: the exit status, or 128 + signal; -errno.
 */
static int try_preload(const char *lib, char *said, size_t len)
{
	int fds[2], status;
	size_t at = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		exec_true(lib, fds[1]);
	(void)close(fds[1]);
	while (pid > 0 && at < len - 1 &&
	       (n = read(fds[0], said + at, len - 1 - at)) > 0)
		at += (size_t)n;
	said[at] = '\0';
	said[strcspn(said, "\n")] = '\0';
	(void)close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static void check_preload(const char *spec, struct check_result *r)
{
	static const char fix[] = "install libfar again, or set "
				  "FAR_PRELOAD_LIB to its libfar-preload.so";
	char lib[PATH_MAX], said[256];
	int status;

	(void)spec;
	if (cli_find_preload(lib, sizeof(lib)) < 0) {
		check_set(r, CHECK_FAIL, fix, "%.400s: not there", lib);
		return;
	}
	status = try_preload(lib, said, sizeof(said));
	statpage_clean(said);
	if (status < 0)
		check_set(r, CHECK_FAIL, "see the limits of this user",
			  "cannot start a process: %s", strerror(-status));
	else if (strstr(said, "cannot open userfaultfd"))
		check_set(r, CHECK_FAIL, "the same as for userfaultfd above",
			  "%.200s: needs userfaultfd", lib);
	else if (status != 0 || strstr(said, "cannot be preloaded"))
		check_set(r, CHECK_FAIL, fix,
			  "%.200s: /bin/true under it ends with %d: %s", lib,
			  status, said);
	else
		check_set(r, CHECK_OK, NULL, "%.400s can be loaded", lib);
}

/* A far_log_fn that keeps the first message; the rest follows from it. */
static void keep_message(void *ctx, enum far_log_level level, const char *msg)
{
	char *text = ctx;

	if (level == FAR_LOG_ERR && !*text)
		(void)snprintf(text, FAR_LOG_MAX, "%s", msg);
}

static void check_backend(const char *spec, struct check_result *r)
{
	char why[FAR_LOG_MAX] = "", text[16];
	struct far_backend *be;
	char *fix;
	int err;

	if (!spec) {
		check_set(r, CHECK_NONE, NULL,
			  "not asked for; --far SPEC tries a backend");
		return;
	}
	err = far_backend_open(spec, keep_message, why, &be);
	if (err == 0) {
		(void)far_size_format(far_backend_caps(be)->capacity, text,
				      sizeof(text));
		far_backend_close(be);
		check_set(r, CHECK_OK, NULL, "%.400s can be opened, up to %s",
			  spec, text);
		return;
	}
	fix = strstr(why, "; fix: ");
	if (fix)
		*fix = '\0';
	check_set(r, CHECK_FAIL, fix ? fix + strlen("; fix: ") : NULL,
		  "%.200s: %s", spec, *why ? why : strerror(-err));
}

static const struct {
	const char *name;
	check_fn fn;
} checks[] = {
	{"kernel", check_kernel},
	{"uffd-device", check_uffd_device},
	{"uffd-syscall", check_uffd_syscall},
	{"uffd-faults", check_uffd_faults},
	{"uffd-write-protect", check_uffd_protect},
	{"uffd-move", check_uffd_move},
	{"uffd-poison", check_uffd_poison},
	{"uffd-sigbus", check_uffd_sigbus},
	{"fault-service", check_fault_service},
	{"io_uring", check_uring},
	{"memlock", check_memlock},
	{"scheduling", check_scheduling},
	{"overcommit", check_overcommit},
	{"huge-pages", check_huge_pages},
	{"memory", check_memory},
	{"swap", check_swap},
	{"runtime", check_runtime},
	{"preload", check_preload},
	{"backend", check_backend},
};

#define NR_CHECKS FAR_ARRAY_SIZE(checks)

static const char *const words[] = {
	[CHECK_OK] = "ok",
	[CHECK_WARN] = "warn",
	[CHECK_FAIL] = "fail",
	[CHECK_NONE] = "--",
};

static void print_text(const struct check_result *results)
{
	size_t i;

	for (i = 0; i < NR_CHECKS; i++) {
		const struct check_result *r = &results[i];

		printf("%-4s  %-18s  %s\n", words[r->status], checks[i].name,
		       r->finding);
		if (*r->fix && r->status != CHECK_NONE)
			printf("%26sfix: %s\n", "", r->fix);
	}
}

/* The texts hold what others wrote, a spec or the loader's complaint. */
static json_t *result_json(const char *name, struct check_result *r)
{
	statpage_clean(r->finding);
	statpage_clean(r->fix);
	return json_pack("{s:s, s:s, s:s, s:s}", "name", name, "status",
			 words[r->status], "finding", r->finding, "fix",
			 r->fix);
}

static int print_json(struct check_result *results)
{
	json_t *list = json_array();
	json_t *top;
	int err = 0;
	size_t i;

	for (i = 0; i < NR_CHECKS; i++)
		err |= json_array_append_new(
			list, result_json(checks[i].name, &results[i]));
	top = json_pack("{s:s, s:o}", "schema", "far.doctor/1", "checks", list);
	if (!top || json_dumpf(top, stdout, JSON_COMPACT) < 0)
		err = -1;
	json_decref(top);
	if (err) {
		cli_error("doctor: out of memory; fix: free some");
		return CLI_OS;
	}
	printf("\n");
	return 0;
}

/** struct args - the command line */
struct args {
	const char *spec;
	bool is_json;
};

static int on_flag(void *ctx, const char *name, const char *value)
{
	struct args *a = ctx;

	if (strcmp(name, "json") == 0)
		a->is_json = true;
	else
		a->spec = value;
	return 0;
}

static int doctor_run(const struct cli_verb *verb, int argc, char **argv)
{
	static struct check_result results[NR_CHECKS];
	struct args a = {0};
	int first, err, ret = 0;
	size_t i;

	err = cli_parse(verb, argc, argv, on_flag, &a, &first);
	if (err)
		return cli_status(err);
	if (first != argc) {
		cli_error("doctor: unexpected '%s'; fix: far doctor --help",
			  argv[first]);
		return CLI_USAGE;
	}
	for (i = 0; i < NR_CHECKS; i++) {
		checks[i].fn(a.spec, &results[i]);
		if (results[i].status == CHECK_FAIL)
			ret = 2;
		else if (results[i].status == CHECK_WARN && ret == 0)
			ret = 1;
	}
	if (a.is_json)
		err = print_json(results);
	else
		print_text(results);
	if (!err)
		err = cli_flush();
	return err ? err : ret;
}

static const struct cli_flag flags[] = {
	{"far", 0, "SPEC", "also try to open this backend"},
	{"json", 0, NULL, "print one JSON object, far.doctor/1"},
	{NULL, 0, NULL, NULL},
};

const struct cli_verb cli_verb_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "Check whether far memory can work here, and say what to "
		   "do",
	.flags = flags,
	.run = doctor_run,
};
