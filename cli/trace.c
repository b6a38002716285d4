/* SPDX-License-Identifier: BSD-3-Clause */
/* far trace: finds its verb and runs it. */
#include "cli/trace.h"

#include <stdio.h>
#include <string.h>

#include "libfar/base/size.h"

static const struct cli_verb *const verbs[] = {
	&cli_verb_trace_record,
	&cli_verb_trace_report,
	&cli_verb_trace_export,
};

static int no_flag(void *ctx, const char *name, const char *value)
{
	(void)ctx;
	(void)name;
	(void)value;
	return CLI_USAGE; /* there is none to come here */
}

/* The last word of "trace record". */
static const char *own_name(const struct cli_verb *v)
{
	return strrchr(v->name, ' ') + 1;
}

static int unknown(const char *name)
{
	const char *names[FAR_ARRAY_SIZE(verbs) + 1] = {NULL};
	const char *near;

	for (size_t i = 0; i < FAR_ARRAY_SIZE(verbs); i++)
		names[i] = own_name(verbs[i]);
	near = far_nearest(name, names);
	cli_error("trace: unknown '%s'; fix: far trace %s", name,
		  near ? near : "record, report or export");
	return CLI_USAGE;
}

static int trace_run(const struct cli_verb *verb, int argc, char **argv)
{
	int first, err;

	if (argc > 1 && argv[1][0] != '-') {
		for (size_t i = 0; i < FAR_ARRAY_SIZE(verbs); i++)
			if (strcmp(argv[1], own_name(verbs[i])) == 0)
				return verbs[i]->run(verbs[i], argc - 1,
						     argv + 1);
		return unknown(argv[1]);
	}
	err = cli_parse(verb, argc, argv, no_flag, NULL, &first);
	if (err)
		return cli_status(err);
	cli_error("trace: nothing to do; fix: far trace record, report or "
		  "export");
	return CLI_USAGE;
}

static const struct cli_flag no_flags[] = {{NULL, 0, NULL, NULL}};

const struct cli_verb cli_verb_trace = {
	.name = "trace",
	.args = "record|report|export [FLAG...] [ARG...]",
	.summary = "Record the faults of a program, and show what they tell",
	.flags = no_flags,
	.run = trace_run,
};
