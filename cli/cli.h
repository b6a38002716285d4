/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the far command share: exit statuses, the tables of
 * verbs and flags from which parsing and --help are made, messages.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "libfar/base/compiler.h"

/* Exit statuses; 64 to 77 are those of sysexits.h, 126 and 127 a shell's. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAIL = 1,
	CLI_USAGE = 64,	      /* arguments or configuration */
	CLI_DATA = 65,	      /* a file is not what it should be */
	CLI_NO_INPUT = 66,    /* a file cannot be read */
	CLI_UNAVAILABLE = 69, /* backend or preload cannot be used */
	CLI_OS = 71,	      /* the system refused a fork or a file */
	CLI_NO_UFFD = 77,     /* userfaultfd cannot be used */
	CLI_NO_EXEC = 126,    /* program cannot run under the preload */
	CLI_NOT_FOUND = 127,
};

/** struct cli_flag - one flag of a verb; a table ends with a NULL name */
struct cli_flag {
	const char *name; /* without the dashes */
	char letter;	  /* short form, or 0 */
	const char *arg;  /* name of its value in the help, or NULL */
	const char *help;
};

/** struct cli_verb - one verb of the command */
struct cli_verb {
	const char *name;
	const char *args;    /* what follows the flags, for the help */
	const char *summary; /* one line */
	const struct cli_flag *flags;
	bool takes_options; /* all of far_opt_descs() are flags too */
	/* argv[0] is the verb; returns the exit status */
	int (*run)(const struct cli_verb *verb, int argc, char **argv);
};

extern const struct cli_verb cli_verb_doctor, cli_verb_run, cli_verb_stat,
	cli_verb_trace, cli_verb_version;

/** cli_run_before() - what far run calls when all is checked, just before it
 * starts the program; if that is not 0, it is the status instead */
void cli_run_before(int (*fn)(void *), void *ctx);

/** cli_flag_fn - one flag was given; returns 0 or an exit status */
typedef int (*cli_flag_fn)(void *ctx, const char *name, const char *value);

/** CLI_DONE - cli_parse() has printed the help: leave with status 0 */
#define CLI_DONE (-1)

/**
 * cli_parse() - flags of @verb up to the first operand or "--"
 * @ret_first: index in @argv of the first operand
 *
 * Unknown flags are named, the nearest one suggested.
 * Return: 0; CLI_DONE; an exit status, everything printed.
 */
int cli_parse(const struct cli_verb *verb, int argc, char **argv,
	      cli_flag_fn fn, void *ctx, int *ret_first);

/** cli_status() - the exit status of what cli_parse() returned */
int cli_status(int parsed);

/** cli_print_help() - usage and flags of @verb on standard output */
void cli_print_help(const struct cli_verb *verb);

/** cli_error() - "far: what: why; fix: how" on standard error */
void cli_error(const char *fmt, ...) FAR_PRINTF(1, 2);

/** cli_flush() - standard output is written; CLI_OK, or CLI_OS and told */
int cli_flush(void);

/**
 * cli_find_preload() - absolute path of libfar-preload.so
 * $FAR_PRELOAD_LIB, else beside this program, else where it was installed.
 * Return: 0; -ENOENT, and the first place that was searched is in @buf.
 */
int cli_find_preload(char *buf, size_t len);

#endif
