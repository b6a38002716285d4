/* SPDX-License-Identifier: BSD-3-Clause */
/* far trace report and export: what is in a trace, for people and programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "cli/trace.h"
#include "cli/tracestat.h"
#include "libfar/base/clock.h"
#include "libfar/base/size.h"

struct args {
	bool is_json;
	const char *file;
};

static const struct {
	const char *name, *what;
} kinds[] = {
#define FAR_TRACE_KIND(KIND, name, what) {#name, what},
	FAR_TRACE_KINDS(FAR_TRACE_KIND)
#undef FAR_TRACE_KIND
};

static int on_flag(void *ctx, const char *name, const char *value)
{
	(void)name;
	(void)value;
	((struct args *)ctx)->is_json = true;
	return 0;
}

/* Reads the one file that is named. */
static int open_file(const struct cli_verb *verb, int argc, char **argv,
		     struct args *a, struct tracefile *ret)
{
	int first, err = cli_parse(verb, argc, argv, on_flag, a, &first);

	if (err)
		return err;
	if (first + 1 != argc) {
		cli_error("%s: needs one FILE; fix: far %s --help", verb->name,
			  verb->name);
		return CLI_USAGE;
	}
	a->file = argv[first];
	err = tracefile_read(a->file, ret);
	if (err == 0 && ret->is_cut)
		cli_error("trace: %s: its end is missing; fix: none needed, "
			  "%zu records are whole",
			  a->file, ret->nr);
	return err;
}

static double mib(uint64_t pages)
{
	return (double)pages / 256;
}

static double since(const struct tracestat *st, uint64_t us)
{
	return (double)(us - st->first_us) / 1e6;
}

static double part(uint64_t nr, uint64_t of)
{
	return of ? 100.0 * (double)nr / (double)of : 0;
}

/* --- text --- */

/* A program may call itself anything. */
static const char *printable(const char *name, char *buf)
{
	size_t i;

	for (i = 0; name[i]; i++)
		buf[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
	buf[i] = '\0';
	return buf;
}

static void print_head(const struct tracefile *t, const struct tracestat *st)
{
	char name[FAR_TRACE_NAME_BYTES + 1], when[32] = "?";
	time_t s = (time_t)(t->header.start_ns / FAR_NS_PER_S);
	struct tm tm;

	if (localtime_r(&s, &tm))
		(void)strftime(when, sizeof(when), "%F %T", &tm);
	printf("%s, %s, local limit %.2f MiB\n",
	       printable(t->header.name, name), when,
	       mib(t->header.limit_pages));
	printf("%zu records over %.3f s; %llu pages, %.2f MiB; %.0f faults/s\n"
	       "\n",
	       t->nr, st->seconds, (unsigned long long)st->pages,
	       mib(st->pages), (double)st->faults / st->seconds);
	for (size_t i = 0; i < FAR_ARRAY_SIZE(kinds); i++)
		printf("%12llu  %-8s %s\n",
		       (unsigned long long)st->kinds[i + 1], kinds[i].name,
		       kinds[i].what);
	if (st->kinds[FAR_TRACE_DROPPED])
		printf("Records are missing: counts are too low; figures for "
		       "larger limits may be too high.\n");
}

static void print_rows(const struct tracestat *st)
{
	printf("\nPages that were wanted and not there, or written first, part "
	       "by part; those\nthat stayed local are not seen, and those that "
	       "came ahead of a fault, wanted or\nnot, are counted apart.\n"
	       "%10s %12s %14s %14s %14s\n",
	       "from", "faults/s", "touched", "of them new", "came ahead");
	for (unsigned i = 0; i < st->nr_rows; i++) {
		const struct tracestat_row *r = &st->rows[i];

		printf("%8.3f s %12.0f %10.2f MiB %10.2f MiB %10.2f MiB\n",
		       since(st, r->us),
		       (double)r->faults * 1e6 / (double)st->row_us,
		       mib(r->pages), mib(r->fresh), mib(r->ahead));
	}
}

static void print_sizes(const struct tracestat *st)
{
	printf("\nFaults on far pages with a larger local limit.  Assumes that "
	       "the program does\nthe same at the same speed, and that what "
	       "leaves is kept in the frames there are\nmore: with d of them a "
	       "page stays if it is wanted before d different ones left.\n"
	       "Pages that were freed while they were far are not seen, nor "
	       "what other processes\nof a shared limit do: it is for one "
	       "alone.  A smaller limit cannot be told:\nuses of local pages "
	       "are "
	       "not seen.\n"
	       "%16s %12s %10s %12s\n",
	       "local", "faults/s", "of these", "fetched/s");
	for (unsigned i = 0; i < st->nr_sizes; i++) {
		const struct tracestat_size *s = &st->sizes[i];

		printf("%12.2f MiB %12.0f %8.1f %% %12.0f\n", mib(s->pages),
		       (double)s->faults / st->seconds,
		       part(s->faults, st->sizes[0].faults),
		       (double)s->fetched / st->seconds);
	}
	if (st->unknown)
		printf("%llu fetched pages count everywhere: when they left "
		       "is not in the trace.\n",
		       (unsigned long long)st->unknown);
	printf("First touches, %.0f/s, stay at any limit.\n",
	       (double)st->kinds[FAR_TRACE_ZERO] / st->seconds);
}

static void print_chunks(const struct tracestat *st)
{
	if (!st->nr_chunks)
		return;
	printf("\nWhere the most faults were, by 2 MiB from the start of the "
	       "range\n%16s %12s %10s\n",
	       "at", "faults", "of all");
	for (unsigned i = 0; i < st->nr_chunks; i++)
		printf("%12llu MiB %12u %8.1f %%\n",
		       (unsigned long long)st->chunks[i].chunk * 2,
		       st->chunks[i].faults,
		       part(st->chunks[i].faults, st->faults));
}

/* --- JSON --- */

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *json_kinds(const struct tracestat *st)
{
	json_t *o = json_object();

	for (size_t i = 0; i < FAR_ARRAY_SIZE(kinds); i++)
		(void)json_object_set_new(o, kinds[i].name,
					  number(st->kinds[i + 1]));
	return o;
}

static json_t *json_rows(const struct tracestat *st)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < st->nr_rows; i++) {
		const struct tracestat_row *r = &st->rows[i];

		(void)json_array_append_new(
			a,
			json_pack("{s:f, s:o, s:o, s:o, s:o}", "from_s",
				  since(st, r->us), "faults", number(r->faults),
				  "touched_pages", number(r->pages),
				  "new_pages", number(r->fresh), "ahead_pages",
				  number(r->ahead)));
	}
	return a;
}

static json_t *json_sizes(const struct tracestat *st)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < st->nr_sizes; i++) {
		const struct tracestat_size *s = &st->sizes[i];

		(void)json_array_append_new(
			a, json_pack("{s:o, s:o, s:o, s:f}", "local_pages",
				     number(s->pages), "remote_faults",
				     number(s->faults), "fetched_pages",
				     number(s->fetched), "remote_faults_per_s",
				     (double)s->faults / st->seconds));
	}
	return a;
}

static json_t *json_chunks(const struct tracestat *st)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < st->nr_chunks; i++)
		(void)json_array_append_new(
			a, json_pack("{s:o, s:o}", "page",
				     number((uint64_t)st->chunks[i].chunk
					    << TRACESTAT_CHUNK_SHIFT),
				     "faults", number(st->chunks[i].faults)));
	return a;
}

static int print_json(const struct tracefile *t, const struct tracestat *st)
{
	char name[FAR_TRACE_NAME_BYTES + 1];
	/* takes all objects, also when it fails */
	json_t *top = json_pack(
		"{s:s, s:s, s:o, s:o, s:o, s:f, s:o, s:f, s:o, s:f, s:o, s:o, "
		"s:o, s:o}",
		"schema", "far.trace/1", "program",
		printable(t->header.name, name), "start_ns",
		number(t->header.start_ns), "local_pages",
		number(t->header.limit_pages), "records", json_kinds(st),
		"seconds", st->seconds, "faults", number(st->faults),
		"faults_per_s", (double)st->faults / st->seconds, "pages",
		number(st->pages), "part_s", (double)st->row_us / 1e6, "parts",
		json_rows(st), "sizes", json_sizes(st), "unknown_pages",
		number(st->unknown), "chunks", json_chunks(st));
	int err = top ? json_dumpf(top, stdout,
				   JSON_COMPACT | JSON_REAL_PRECISION(9))
		      : -1;

	json_decref(top);
	if (err) {
		cli_error("trace report: out of memory; fix: free some");
		return CLI_OS;
	}
	printf("\n");
	return CLI_OK;
}

/* --- the verbs --- */

static int report(const struct args *a, const struct tracefile *t)
{
	struct tracestat *st = calloc(1, sizeof(*st));
	int err = st ? tracestat_make(t, st) : -ENOMEM;
	int status = CLI_OK;

	if (err < 0) {
		cli_error("trace report: %s: %s; fix: a shorter trace, or more "
			  "memory",
			  a->file, strerror(-err));
		free(st);
		return CLI_OS;
	}
	if (a->is_json) {
		status = print_json(t, st);
	} else {
		print_head(t, st);
		print_rows(st);
		print_sizes(st);
		print_chunks(st);
	}
	free(st);
	return status ? status : cli_flush();
}

static int report_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct args a = {0};
	struct tracefile t = {.nr = 0};
	int err = open_file(verb, argc, argv, &a, &t);

	if (err)
		return cli_status(err);
	err = report(&a, &t);
	tracefile_free(&t);
	return err;
}

static int export_run(const struct cli_verb *verb, int argc, char **argv)
{
	char name[FAR_TRACE_NAME_BYTES + 1];
	struct args a = {0};
	struct tracefile t = {.nr = 0};
	int err = open_file(verb, argc, argv, &a, &t);

	if (err)
		return cli_status(err);
	printf("# pages in the order in which %s wanted them\n",
	       printable(t.header.name, name));
	for (size_t i = 0; i < t.nr; i++)
		if (t.r[i].kind != FAR_TRACE_OUT &&
		    t.r[i].kind != FAR_TRACE_DROPPED)
			printf("%u\n", t.r[i].page);
	tracefile_free(&t);
	return cli_flush();
}

static const struct cli_flag report_flags[] = {
	{"json", 0, NULL, "print one JSON object, far.trace/1"},
	{NULL, 0, NULL, NULL},
};

static const struct cli_flag no_flags[] = {{NULL, 0, NULL, NULL}};

const struct cli_verb cli_verb_trace_report = {
	.name = "trace report",
	.args = "FILE",
	.summary = "Tell from a trace how much is touched, and what more local "
		   "memory would help",
	.flags = report_flags,
	.run = report_run,
};

const struct cli_verb cli_verb_trace_export = {
	.name = "trace export",
	.args = "FILE",
	.summary = "Print the pages of a trace, one a line",
	.flags = no_flags,
	.run = export_run,
};
