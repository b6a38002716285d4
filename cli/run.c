/* SPDX-License-Identifier: BSD-3-Clause */
/* far run: checks everything that can be checked, then runs the program. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/cli.h"
#include "cli/elfcheck.h"
#include "cli/sample.h"
#include "cli/shared.h"
#include "cli/statpage.h"
#include "libfar/backend/backend.h"
#include "libfar/base/log.h"
#include "libfar/base/options.h"
#include "libfar/base/size.h"
#include "libfar/uffd/uffd.h"

#define SAMPLE_MS 100

static int (*before_fn)(void *);
static void *before_ctx;

void cli_run_before(int (*fn)(void *), void *ctx)
{
	before_fn = fn;
	before_ctx = ctx;
}

/** struct run - one far run from its arguments to its end */
struct run {
	struct far_config cfg;
	FILE *conf;	 /* "name=value;" of each option given */
	char *conf_text; /* the same, once conf is closed */
	size_t conf_len;
	const char *stats_path; /* NULL: none wanted */
	bool is_quiet;
	bool has_own_budget; /* we made the file, we remove it */
	char program[PATH_MAX];
	char preload[PATH_MAX];
	char budget[FAR_TEXT_MAX];
	uint64_t capacity; /* of the backend, bytes */
	struct samples samples;
};

static int on_flag(void *ctx, const char *name, const char *value)
{
	struct run *r = ctx;

	if (strcmp(name, "stats") == 0) {
		r->stats_path = value;
		return 0;
	}
	if (strcmp(name, "quiet") == 0) {
		r->is_quiet = true;
		return 0;
	}
	if (far_config_set(&r->cfg, name, value, far_log_stderr, NULL) < 0)
		return CLI_USAGE;
	(void)fprintf(r->conf, "%s=%s;", name, value);
	return 0;
}

/*
 * $FAR_CONF first, the flags over it.  A budget that comes with the
 * environment belongs to a far run around this one.
 */
static int read_environment(struct run *r)
{
	const char *env = getenv("FAR_CONF");

	if (!env || !*env)
		return 0;
	if (far_config_parse(&r->cfg, env, far_log_stderr, NULL) < 0) {
		cli_error("run: $FAR_CONF is not valid; fix: correct or "
			  "unset it");
		return CLI_USAGE;
	}
	r->cfg.budget[0] = '\0';
	(void)fprintf(r->conf, "%s;", env);
	return 0;
}

static int find_program(struct run *r, const char *name)
{
	int err = program_find(name, r->program, sizeof(r->program));
	char why[1024];

	if (err == -EACCES) {
		cli_error("run: %s: not an executable file; fix: chmod +x, "
			  "or name the program itself",
			  name);
		return CLI_NO_EXEC;
	}
	if (err < 0) {
		cli_error("run: %s: no such program; fix: give its path, or "
			  "put it into $PATH",
			  name);
		return CLI_NOT_FOUND;
	}
	if (program_check(r->program, why, sizeof(why)) < 0) {
		cli_error("run: %s: far memory cannot be put under it: %s",
			  r->program, why);
		return CLI_NO_EXEC;
	}
	return 0;
}

static int find_preload(struct run *r)
{
	if (cli_find_preload(r->preload, sizeof(r->preload)) < 0) {
		cli_error("run: %s: not there; fix: install libfar, or set "
			  "FAR_PRELOAD_LIB to its libfar-preload.so",
			  r->preload);
		return CLI_UNAVAILABLE;
	}
	if (strpbrk(r->preload, ": ")) {
		cli_error("run: '%s': the loader splits LD_PRELOAD at colons "
			  "and spaces; fix: install libfar elsewhere",
			  r->preload);
		return CLI_UNAVAILABLE;
	}
	return 0;
}

static int check_uffd(void)
{
	struct far_uffd_info info;
	char why[512];
	int fd = far_uffd_open(false, &info);

	if (fd < 0) {
		far_uffd_explain(&info, why, sizeof(why));
		cli_error("run: %s; far doctor tells more", why);
		return CLI_NO_UFFD;
	}
	(void)close(fd);
	return 0;
}

static int check_backend(struct run *r)
{
	struct far_backend *be;
	int err;

	err = far_backend_open(r->cfg.far, far_log_stderr, NULL, &be);
	if (err < 0) {
		cli_error("run: far %s cannot be used: %s; fix: see above, "
			  "and far doctor --far SPEC",
			  r->cfg.far, strerror(-err));
		return CLI_UNAVAILABLE;
	}
	r->capacity = far_backend_caps(be)->capacity;
	far_backend_close(be);
	return 0;
}

static int make_budget(struct run *r)
{
	int err;

	if (r->cfg.budget[0]) { /* the caller's: it is in the options */
		if (access(r->cfg.budget, R_OK | W_OK) == 0)
			return 0;
		cli_error("run: --budget %s: %s; fix: leave it out, far run "
			  "makes one",
			  r->cfg.budget, strerror(errno));
		return CLI_USAGE;
	}
	err = shared_budget_make(r->cfg.local >> FAR_PAGE_SHIFT, r->budget,
				 sizeof(r->budget));
	if (err < 0) {
		(void)far_runtime_dir(r->budget, sizeof(r->budget));
		cli_error("run: cannot make the shared budget in %s: %s; fix: "
			  "see that it is a directory of yours that nobody "
			  "else can write to, or set XDG_RUNTIME_DIR",
			  r->budget, strerror(-err));
		r->budget[0] = '\0';
		return CLI_OS;
	}
	r->has_own_budget = true;
	(void)fprintf(r->conf, "budget=%s;", r->budget);
	return 0;
}

/* Ours before what is there; a far run around this one put it there too. */
static int set_preload(const struct run *r)
{
	const char *old = getenv("LD_PRELOAD");
	size_t len = strlen(r->preload);
	char *value = NULL;
	int err;

	if (!old || !*old)
		return setenv("LD_PRELOAD", r->preload, 1);
	if (strncmp(old, r->preload, len) == 0 &&
	    (!old[len] || strchr(": ", old[len])))
		return 0;
	if (asprintf(&value, "%s:%s", r->preload, old) < 0)
		return -1;
	err = setenv("LD_PRELOAD", value, 1);
	free(value);
	return err;
}

static int set_environment(struct run *r)
{
	/* In bytes: the program may see another share of the machine. */
	(void)fprintf(r->conf, "local=%llu", (unsigned long long)r->cfg.local);
	if (fflush(r->conf) != 0 || ferror(r->conf) || set_preload(r) < 0 ||
	    setenv("FAR_CONF", r->conf_text, 1) < 0) {
		cli_error("run: out of memory; fix: free some");
		return CLI_OS;
	}
	return 0;
}

static void say_start(const struct run *r, pid_t pid)
{
	char local[16], capacity[16];

	if (r->is_quiet)
		return;
	(void)fprintf(stderr,
		      "far: local %s, far %s (up to %s); far stat %d shows "
		      "it\n",
		      far_size_format(r->cfg.local, local, sizeof(local)),
		      r->cfg.far,
		      far_size_format(r->capacity, capacity, sizeof(capacity)),
		      (int)pid);
}

static void take_samples(void *ctx)
{
	struct run *r = ctx;

	samples_take(&r->samples, getpid());
}

static int write_stats(struct run *r, int status)
{
	int err;

	samples_take(&r->samples, getpid());
	err = samples_write(&r->samples, status, r->stats_path);
	if (err < 0)
		cli_error("run: --stats %s: %s; fix: give a file that can be "
			  "written",
			  r->stats_path, strerror(-err));
	return err;
}

static int exec_failed(const struct run *r, int err)
{
	cli_error("run: %s: %s; fix: see that it runs without far", r->program,
		  strerror(-err));
	return err == -ENOENT ? CLI_NOT_FOUND : CLI_NO_EXEC;
}

static int run_program(struct run *r, char **argv)
{
	struct child c;
	int err, status;

	err = child_fork(&c, r->program, argv, environ);
	if (err < 0) {
		cli_error("run: cannot start a process: %s; fix: see the "
			  "limits of this user",
			  strerror(-err));
		return CLI_OS;
	}
	say_start(r, c.pid);
	err = child_exec(&c);
	if (err < 0)
		return exec_failed(r, err);
	status = child_wait(&c, SAMPLE_MS, r->samples.watch_fd,
			    r->stats_path ? take_samples : NULL, r);
	if (status < 0) {
		cli_error("run: cannot wait for %s: %s; fix: none, please "
			  "report it",
			  r->program, strerror(-status));
		return CLI_OS;
	}
	err = r->stats_path ? write_stats(r, status) : 0;
	statpage_sweep(); /* whose figures have been taken */
	return err < 0 && status == 0 ? CLI_OS : status;
}

/* The statistics file is made now: an hour later is too late to fail. */
static int check_stats_path(struct run *r)
{
	FILE *f;

	if (!r->stats_path)
		return 0;
	f = fopen(r->stats_path, "ae");
	if (!f) {
		cli_error("run: --stats %s: %s; fix: give a file that can be "
			  "written",
			  r->stats_path, strerror(errno));
		return CLI_USAGE;
	}
	(void)fclose(f);
	samples_init(&r->samples);
	/* Processes that leave their parents stay below us, and are seen. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return 0;
}

static int check_all(struct run *r, const char *program)
{
	int err;

	if (far_backend_check(r->cfg.far, far_log_stderr, NULL) < 0)
		return CLI_USAGE;
	err = find_program(r, program);
	if (!err)
		err = check_uffd();
	if (!err)
		err = find_preload(r);
	if (!err)
		err = check_backend(r);
	if (!err)
		err = check_stats_path(r);
	return err;
}

static int run_with(struct run *r, const struct cli_verb *verb, int argc,
		    char **argv)
{
	int first, err;

	far_config_defaults(&r->cfg);
	err = read_environment(r);
	if (!err)
		err = cli_parse(verb, argc, argv, on_flag, r, &first);
	if (err)
		return cli_status(err);
	if (first == argc) {
		cli_error("run: no program given; fix: far run -- PROGRAM "
			  "[ARG...]");
		return CLI_USAGE;
	}
	err = check_all(r, argv[first]);
	if (!err)
		err = make_budget(r);
	if (!err)
		err = set_environment(r);
	if (!err && before_fn)
		err = before_fn(before_ctx);
	if (!err)
		err = run_program(r, argv + first);
	return err;
}

static int run_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	int status = CLI_OS;

	if (r)
		r->samples.watch_fd = -1;
	if (r)
		r->conf = open_memstream(&r->conf_text, &r->conf_len);
	if (!r || !r->conf) {
		cli_error("run: out of memory; fix: free some");
		free(r);
		return CLI_OS;
	}
	status = run_with(r, verb, argc, argv);
	samples_fini(&r->samples);
	if (r->has_own_budget)
		shared_budget_drop(r->budget);
	(void)fclose(r->conf);
	free(r->conf_text);
	free(r);
	return status;
}

static const struct cli_flag flags[] = {
	{"stats", 0, "FILE", "write statistics there at the end (JSON)"},
	{"quiet", 'q', NULL, "do not print the line at the start"},
	{NULL, 0, NULL, NULL},
};

const struct cli_verb cli_verb_run = {
	.name = "run",
	.args = "-- PROGRAM [ARG...]",
	.summary = "Run a program with far memory behind its malloc",
	.flags = flags,
	.takes_options = true,
	.run = run_run,
};
