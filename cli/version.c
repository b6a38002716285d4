/* SPDX-License-Identifier: BSD-3-Clause */
/* far version: what this build is and which backends are in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <far/version.h>

#include "cli/cli.h"
#include "libfar/backend/backend.h"

static int on_flag(void *ctx, const char *name, const char *value)
{
	bool *is_json = ctx;

	(void)value;
	*is_json |= strcmp(name, "json") == 0;
	return 0;
}

static void print_text(void)
{
	const struct far_backend_ops *const *b = far_backend_builtins();

	printf("far %s\nbackends:", FAR_VERSION_STRING);
	for (; *b; b++)
		if (!(*b)->is_filter)
			printf(" %s", (*b)->name);
	printf("\nfilters:");
	for (b = far_backend_builtins(); *b; b++)
		if ((*b)->is_filter)
			printf(" %s", (*b)->name);
	printf("\n");
}

static int print_json(void)
{
	const struct far_backend_ops *const *b = far_backend_builtins();
	json_t *backends = json_array(), *filters = json_array();
	json_t *top;
	int err;

	for (; *b; b++)
		(void)json_array_append_new((*b)->is_filter ? filters
							    : backends,
					    json_string((*b)->name));
	/* takes both arrays, also when it fails */
	top = json_pack("{s:s, s:s, s:o, s:o}", "schema", "far.version/1",
			"version", FAR_VERSION_STRING, "backends", backends,
			"filters", filters);
	err = top ? json_dumpf(top, stdout, JSON_COMPACT) : -1;
	json_decref(top);
	if (err) {
		cli_error("version: out of memory; fix: free some");
		return CLI_OS;
	}
	printf("\n");
	return CLI_OK;
}

static int version_run(const struct cli_verb *verb, int argc, char **argv)
{
	bool is_json = false;
	int first, err;

	err = cli_parse(verb, argc, argv, on_flag, &is_json, &first);
	if (err)
		return cli_status(err);
	if (first != argc) {
		cli_error("version: unexpected '%s'; fix: far version --help",
			  argv[first]);
		return CLI_USAGE;
	}
	if (is_json)
		err = print_json();
	else
		print_text();
	return err ? err : cli_flush();
}

static const struct cli_flag flags[] = {
	{"json", 0, NULL, "print one JSON object, far.version/1"},
	{NULL, 0, NULL, NULL},
};

const struct cli_verb cli_verb_version = {
	.name = "version",
	.args = "",
	.summary = "Print the version and the backends that are built in",
	.flags = flags,
	.run = version_run,
};
