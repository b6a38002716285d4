/* SPDX-License-Identifier: BSD-3-Clause */
/* The far command: finds the verb and runs it. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <far/version.h>

#include "cli/cli.h"
#include "libfar/base/log.h"
#include "libfar/base/size.h"

static int help_run(const struct cli_verb *verb, int argc, char **argv);

static const struct cli_flag no_flags[] = {{NULL, 0, NULL, NULL}};

static const struct cli_verb verb_help = {
	.name = "help",
	.args = "[VERB]",
	.summary = "Explain the command, or one verb of it",
	.flags = no_flags,
	.run = help_run,
};

static const struct cli_verb *const verbs[] = {
	&cli_verb_run,	  &cli_verb_stat,    &cli_verb_trace,
	&cli_verb_doctor, &cli_verb_version, &verb_help,
};

void cli_error(const char *fmt, ...)
{
	char msg[FAR_LOG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	far_log_stderr(NULL, FAR_LOG_ERR, msg);
}

int cli_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CLI_OK;
	cli_error("standard output: %s; fix: see where it goes",
		  strerror(errno));
	return CLI_OS;
}

/* "@dir/@rest/libfar-preload.so", if it is there. */
static bool try_preload(const char *dir, const char *rest, char *buf,
			size_t len)
{
	char path[PATH_MAX + 64], real[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s/libfar-preload.so", dir,
			 rest);

	if (n < 0 || (size_t)n >= sizeof(path) || access(path, R_OK) < 0 ||
	    !realpath(path, real) || strlen(real) >= len)
		return false;
	strcpy(buf, real);
	return true;
}

int cli_find_preload(char *buf, size_t len)
{
	const char *env = secure_getenv("FAR_PRELOAD_LIB");
	char exe[PATH_MAX], real[PATH_MAX];
	ssize_t n;
	char *slash;

	if (env && *env) {
		bool ok = access(env, R_OK) == 0 && realpath(env, real);

		(void)snprintf(buf, len, "%s", ok ? real : env);
		return ok ? 0 : -ENOENT;
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash)
			*slash = '\0';
		if (try_preload(exe, "../lib", buf, len) ||
		    try_preload(exe, "../" FAR_LIBDIR, buf, len))
			return 0;
	}
	if (try_preload(FAR_FULL_LIBDIR, "", buf, len))
		return 0;
	(void)snprintf(buf, len, "%s", FAR_FULL_LIBDIR "/libfar-preload.so");
	return -ENOENT;
}

static void print_usage(FILE *to)
{
	size_t i;

	(void)fprintf(to, "Usage: far VERB [FLAG...] [ARG...]\n"
			  "Far memory: run programs that need more memory "
			  "than the machine has.\n\nVerbs:\n");
	for (i = 0; i < FAR_ARRAY_SIZE(verbs); i++)
		(void)fprintf(to, "  %-8s  %s\n", verbs[i]->name,
			      verbs[i]->summary);
	(void)fprintf(to, "\nfar VERB --help explains one; "
			  "far(1) and far(7) are the manual.\n");
}

static const struct cli_verb *find_verb(const char *name)
{
	const char *names[FAR_ARRAY_SIZE(verbs) + 1];
	const char *near;
	size_t i;

	for (i = 0; i < FAR_ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
		names[i] = verbs[i]->name;
	}
	names[i] = NULL;
	near = far_nearest(name, names);
	if (near)
		cli_error("unknown verb '%s'; fix: did you mean 'far %s'?",
			  name, near);
	else
		cli_error("unknown verb '%s'; fix: far help lists them", name);
	return NULL;
}

static int no_flag(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	(void)name;
	(void)value;
	return CLI_USAGE; /* there is none to come here */
}

static int help_run(const struct cli_verb *verb, int argc, char **argv)
{
	const struct cli_verb *about;
	int first, err;

	err = cli_parse(verb, argc, argv, no_flag, NULL, &first);
	if (err)
		return cli_status(err);
	if (first == argc) {
		print_usage(stdout);
		return cli_flush();
	}
	about = find_verb(argv[first]);
	if (!about)
		return CLI_USAGE;
	cli_print_help(about);
	return cli_flush();
}

int main(int argc, char **argv)
{
	const struct cli_verb *verb;

	if (argc < 2) {
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_usage(stdout);
		return cli_flush();
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("far %s\n", FAR_VERSION_STRING);
		return cli_flush();
	}
	verb = find_verb(argv[1]);
	if (!verb)
		return CLI_USAGE;
	return verb->run(verb, argc - 1, argv + 1);
}
