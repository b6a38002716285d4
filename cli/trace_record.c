/* SPDX-License-Identifier: BSD-3-Clause */
/* far trace record: far run with the option trace. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/trace.h"
#include "cli/tracefile.h"

#define OUTPUT "far.trace"

/** struct record - what is given to far run */
struct record {
	char **argv;
	int argc;
	bool is_quiet;
	bool is_started; /* the program, or nearly */
	const char *output;
	const char *replay;	  /* or NULL */
	char path[PATH_MAX + 16]; /* the same, from the root */
};

static int add(struct record *r, char *arg)
{
	r->argv[r->argc] = arg;
	if (!arg) {
		cli_error("trace record: out of memory; fix: free some");
		return CLI_OS;
	}
	r->argc++;
	return 0;
}

static int on_flag(void *ctx, const char *name, const char *value)
{
	struct record *r = ctx;
	char *arg = NULL;

	if (strcmp(name, "output") == 0 || strcmp(name, "trace") == 0) {
		r->output = value;
		return 0;
	}
	if (strcmp(name, "replay") == 0)
		r->replay = value;
	r->is_quiet |= strcmp(name, "quiet") == 0;
	if (asprintf(&arg, value ? "--%s=%s" : "--%s", name, value) < 0)
		arg = NULL;
	return add(r, arg);
}

static int refuse_output(const struct record *r, const char *why)
{
	cli_error("trace record: -o %s: %s; fix: name a file that can be "
		  "written, without ';'",
		  r->output, why);
	return CLI_USAGE;
}

/* The program may go elsewhere before there is anything to record. */
static int make_path(struct record *r)
{
	char cwd[PATH_MAX] = "";
	int n;

	if (r->output[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return refuse_output(r, strerror(errno));
	n = snprintf(r->path, sizeof(r->path), "%s%s%s", cwd, *cwd ? "/" : "",
		     r->output);
	if (!*r->output || strchr(r->path, ';') || n < 0 ||
	    (size_t)n >= sizeof(r->path))
		return refuse_output(r, "no such name can be used");
	return 0;
}

static bool is_same_file(const struct stat *st, const char *path)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

/* A trace of before will make way, nothing else; and the new one can be made:
 * an hour later is too late to fail. */
static int check_output(const struct record *r)
{
	struct stat st;
	int fd;

	if (strstr(r->path, "%p"))
		return 0;
	if (lstat(r->path, &st) == 0) {
		if (!S_ISREG(st.st_mode) || tracefile_probe(r->path) < 0)
			return refuse_output(r, "it is there, and no trace");
		if (r->replay && is_same_file(&st, r->replay))
			return refuse_output(r, "it is what --replay reads");
		return 0;
	}
	fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return refuse_output(r, strerror(errno));
	(void)close(fd);
	(void)unlink(r->path);
	return 0;
}

/* Not before: a program that does not start costs no trace. */
static int on_start(void *ctx)
{
	struct record *r = ctx;

	r->is_started = true;
	if (strstr(r->path, "%p") || unlink(r->path) == 0 || errno == ENOENT)
		return 0;
	r->is_started = false;
	return refuse_output(r, strerror(errno));
}

static void say_end(const struct record *r)
{
	struct stat st;

	if (r->is_quiet || strstr(r->path, "%p"))
		return;
	if (stat(r->path, &st) < 0 || st.st_size < FAR_TRACE_HEADER_BYTES)
		(void)fprintf(
			stderr,
			"far: no trace was made: nothing was intercepted, "
			"for all fitted locally (less --local changes "
			"that), or see the messages above\n");
	else
		(void)fprintf(stderr,
			      "far: far trace report %s shows %llu records\n",
			      r->output,
			      (unsigned long long)(st.st_size -
						   FAR_TRACE_HEADER_BYTES) /
				      FAR_TRACE_RECORD_BYTES);
}

static int record_with(struct record *r, const struct cli_verb *verb, int argc,
		       char **argv)
{
	static char end_of_flags[] = "--";
	char trace[sizeof("--trace=") + sizeof(r->path)];
	int first, err, own, status;

	r->argv[r->argc++] = argv[0];
	err = cli_parse(verb, argc, argv, on_flag, r, &first);
	own = r->argc;
	if (err == 0 && first < argc)
		err = make_path(r);
	if (err == 0 && first < argc)
		err = check_output(r);
	if (err) {
		status = cli_status(err);
	} else {
		(void)snprintf(trace, sizeof(trace), "--trace=%s", r->path);
		r->argv[r->argc++] = trace;
		r->argv[r->argc++] = end_of_flags;
		for (; first < argc; first++)
			r->argv[r->argc++] = argv[first];
		r->argv[r->argc] = NULL;
		cli_run_before(on_start, r);
		status = cli_verb_run.run(&cli_verb_run, r->argc, r->argv);
		if (r->is_started)
			say_end(r);
	}
	for (int i = 1; i < own; i++)
		free(r->argv[i]);
	return status;
}

static int record_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct record r = {.output = OUTPUT};
	int status;

	/* no more than there were, and three */
	r.argv = calloc((size_t)argc + 4, sizeof(*r.argv));
	if (!r.argv) {
		cli_error("trace record: out of memory; fix: free some");
		return CLI_OS;
	}
	status = record_with(&r, verb, argc, argv);
	free(r.argv);
	return status;
}

static const struct cli_flag flags[] = {
	{"output", 'o', "FILE", "the trace (default: " OUTPUT ")"},
	{"stats", 0, "FILE", "as far run has it"},
	{"quiet", 'q', NULL, "print nothing at the start and the end"},
	{NULL, 0, NULL, NULL},
};

const struct cli_verb cli_verb_trace_record = {
	.name = "trace record",
	.args = "-- PROGRAM [ARG...]",
	.summary = "Run a program as far run does, and record its faults",
	.flags = flags,
	.takes_options = true,
	.run = record_run,
};
