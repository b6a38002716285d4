/* SPDX-License-Identifier: BSD-3-Clause */
/* Flags of a verb and the options of far(7), parsed and explained. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "libfar/base/options.h"
#include "libfar/base/size.h"

#define MAX_FLAGS 64
#define FIRST_VALUE 256 /* getopt results above any letter */

static const struct cli_flag help_flag = {"help", 'h', NULL, "print this text"};

/** struct flag_set - the flags of a verb in getopt's form */
struct flag_set {
	struct option longs[MAX_FLAGS + 1];
	const struct cli_flag *flags[MAX_FLAGS];
	const struct far_opt_desc *opts[MAX_FLAGS]; /* or an option */
	char spelled[MAX_FLAGS][32]; /* options with '-' for '_' */
	const char *names[MAX_FLAGS + 1];
	char letters[2 * MAX_FLAGS + 3];
	int nr;
};

static void set_add(struct flag_set *set, const char *name, bool has_arg)
{
	struct option *o = &set->longs[set->nr];

	o->name = name;
	o->has_arg = has_arg ? required_argument : no_argument;
	o->flag = NULL;
	o->val = FIRST_VALUE + set->nr;
	set->names[set->nr++] = name;
}

static void set_add_flag(struct flag_set *set, const struct cli_flag *f)
{
	char *end = set->letters + strlen(set->letters);

	if (f->letter) {
		*end++ = f->letter;
		if (f->arg)
			*end++ = ':';
		*end = '\0';
	}
	set->flags[set->nr] = f;
	set_add(set, f->name, f->arg != NULL);
}

static void spell(const char *name, char *buf, size_t len)
{
	size_t i;

	for (i = 0; name[i] && i + 1 < len; i++)
		buf[i] = name[i] == '_' ? '-' : name[i];
	buf[i] = '\0';
}

static void set_make(struct flag_set *set, const struct cli_verb *verb)
{
	const struct far_opt_desc *d = far_opt_descs();
	const struct cli_flag *f;

	memset(set, 0, sizeof(*set));
	/* What follows the program's name is the program's. */
	strcpy(set->letters, verb->takes_options ? "+:" : ":");
	for (f = verb->flags; f->name && set->nr < MAX_FLAGS - 1; f++)
		set_add_flag(set, f);
	set_add_flag(set, &help_flag);
	for (; verb->takes_options && d->name && set->nr < MAX_FLAGS - 1; d++) {
		char *name = set->spelled[set->nr];

		spell(d->name, name, sizeof(set->spelled[0]));
		set->opts[set->nr] = d;
		set_add(set, name, true);
		if (strcmp(name, d->name) == 0)
			continue;
		set->opts[set->nr] = d; /* --on_loss as well */
		set_add(set, d->name, true);
	}
}

static int unknown_flag(const struct flag_set *set, const struct cli_verb *verb,
			const char *arg)
{
	char name[64];
	const char *near;

	(void)snprintf(name, sizeof(name), "%s", arg + strspn(arg, "-"));
	name[strcspn(name, "=")] = '\0';
	near = far_nearest(name, set->names);
	if (near)
		cli_error("%s: unknown flag '%s'; fix: did you mean '--%s'?",
			  verb->name, arg, near);
	else
		cli_error("%s: unknown flag '%s'; fix: far %s --help lists "
			  "them",
			  verb->name, arg, verb->name);
	return CLI_USAGE;
}

/* Index into the set of what getopt returned, or -1. */
static int set_find(const struct flag_set *set, int c)
{
	int i;

	if (c >= FIRST_VALUE)
		return c - FIRST_VALUE;
	for (i = 0; i < set->nr; i++)
		if (set->flags[i] && set->flags[i]->letter == c)
			return i;
	return -1;
}

static int refuse(const struct flag_set *set, const struct cli_verb *verb,
		  int c, char **argv)
{
	char letter[3] = {'-', (char)optopt, '\0'};
	const char *arg = argv[optind - 1];

	if (c == ':') {
		cli_error("%s: flag '%s' needs a value; fix: far %s --help",
			  verb->name, arg, verb->name);
		return CLI_USAGE;
	}
	if (optopt >= FIRST_VALUE) {
		cli_error("%s: flag '%s' takes no value; fix: far %s --help",
			  verb->name, arg, verb->name);
		return CLI_USAGE;
	}
	return unknown_flag(set, verb, optopt ? letter : arg);
}

int cli_parse(const struct cli_verb *verb, int argc, char **argv,
	      cli_flag_fn fn, void *ctx, int *ret_first)
{
	struct flag_set set;
	int c, i, err;

	set_make(&set, verb);
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, set.letters, set.longs, NULL)) !=
	       -1) {
		i = c == '?' || c == ':' ? -1 : set_find(&set, c);
		if (i < 0)
			return refuse(&set, verb, c, argv);
		if (set.flags[i] == &help_flag) {
			cli_print_help(verb);
			err = cli_flush();
			return err ? err : CLI_DONE;
		}
		err = fn(ctx, set.opts[i] ? set.opts[i]->name : set.names[i],
			 optarg);
		if (err)
			return err;
	}
	*ret_first = optind;
	return 0;
}

int cli_status(int parsed)
{
	return parsed == CLI_DONE ? CLI_OK : parsed;
}

static void print_flag(const struct cli_flag *f)
{
	char left[40];
	char letter[5] = "    ";

	if (f->letter)
		(void)snprintf(letter, sizeof(letter), "-%c, ", f->letter);
	(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, f->name,
		       f->arg ? " " : "", f->arg ? f->arg : "");
	printf("  %-24s %s\n", left, f->help);
}

static const char *value_name(const struct far_opt_desc *d)
{
	switch (d->type) {
	case FAR_OPT_SIZE:
		return "SIZE";
	case FAR_OPT_LOCAL:
		return "SIZE|PERCENT";
	case FAR_OPT_COUNT:
		return "N";
	case FAR_OPT_TIME:
		return "TIME";
	case FAR_OPT_TEXT:
		return "TEXT";
	case FAR_OPT_WORD:
		return d->max;
	}
	return "";
}

static void print_option(const struct far_opt_desc *d)
{
	char name[32];

	spell(d->name, name, sizeof(name));
	printf("      --%s %s\n          %s", name, value_name(d), d->help);
	/* "" and "0" bound nothing */
	if (d->type != FAR_OPT_WORD && *d->min && strcmp(d->min, "0") != 0)
		printf("; at least %s", d->min);
	if (d->type != FAR_OPT_WORD && *d->max)
		printf("; at most %s", d->max);
	if (*d->def)
		printf(" (default: %s)", d->def);
	printf("\n");
}

void cli_print_help(const struct cli_verb *verb)
{
	const struct far_opt_desc *d;
	const struct cli_flag *f;

	printf("Usage: far %s [FLAG...]%s%s\n%s.\n\nFlags:\n", verb->name,
	       *verb->args ? " " : "", verb->args, verb->summary);
	for (f = verb->flags; f->name; f++)
		print_flag(f);
	print_flag(&help_flag);
	if (!verb->takes_options)
		return;
	printf("\nOptions, also in $FAR_CONF as name=value;... (far(7)):\n");
	for (d = far_opt_descs(); d->name; d++)
		print_option(d);
}
