/* SPDX-License-Identifier: BSD-3-Clause */
/* far stat: what the processes that use far memory are doing. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/stat_faults.h"
#include "cli/statpage.h"
#include "libfar/base/clock.h"
#include "libfar/base/size.h"

/* Without -i: rates are over the time until every page changed. */
#define SETTLE_MAX_NS (2 * FAR_NS_PER_S)
#define SETTLE_MIN_NS (250 * FAR_NS_PER_MS)
#define SETTLE_STEP_NS (50 * FAR_NS_PER_MS)

/** struct args - the command line */
struct args {
	bool all, is_json, is_faults;
	uint64_t interval_ns; /* 0: not given */
	uint64_t count;	      /* 0: not given */
	pid_t pid;
};

/** struct shown - one page and where it is from */
struct shown {
	struct statpage_id id;
	struct far_stat_page page;
};

/** struct view - the pages of live processes at one moment */
struct view {
	struct shown *list;
	int nr;
};

static int parse_positive(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno || *ret == 0
		       ? -EINVAL
		       : 0;
}

static int on_flag(void *ctx, const char *name, const char *value)
{
	struct args *a = ctx;
	int err = 0;

	if (strcmp(name, "all") == 0)
		a->all = true;
	else if (strcmp(name, "json") == 0)
		a->is_json = true;
	else if (strcmp(name, "faults") == 0)
		a->is_faults = true;
	else if (strcmp(name, "interval") == 0)
		err = far_duration_parse(value, &a->interval_ns);
	else
		err = parse_positive(value, &a->count);
	if (err < 0 || (strcmp(name, "interval") == 0 &&
			(a->interval_ns < 10 * FAR_NS_PER_MS ||
			 a->interval_ns > 86400 * FAR_NS_PER_S))) {
		cli_error("stat: --%s: '%s' is not understood; fix: give %s",
			  name, value,
			  strcmp(name, "count") == 0
				  ? "a number from 1 on"
				  : "a time from 10ms to 24h");
		return CLI_USAGE;
	}
	return 0;
}

static int parse_args(const struct cli_verb *verb, int argc, char **argv,
		      struct args *a)
{
	int first, err;
	uint64_t pid;

	err = cli_parse(verb, argc, argv, on_flag, a, &first);
	if (err)
		return err;
	if (a->all ? first != argc : first + 1 != argc) {
		cli_error("stat: needs one PID, or --all; "
			  "fix: far stat --help");
		return CLI_USAGE;
	}
	if (a->all)
		return 0;
	if (parse_positive(argv[first], &pid) < 0 || pid > INT_MAX) {
		cli_error("stat: '%s' is not a process number; "
			  "fix: give a PID, or --all",
			  argv[first]);
		return CLI_USAGE;
	}
	a->pid = (pid_t)pid;
	return 0;
}

static void view_free(struct view *v)
{
	free(v->list);
	v->list = NULL;
	v->nr = 0;
}

/* Adds page @id; a stale one is removed instead. */
static void view_add(struct view *v, struct statpage_id id)
{
	struct shown *s = &v->list[v->nr];

	if (statpage_read(id, &s->page) < 0)
		return;
	s->id = id;
	if (statpage_is_live(id, &s->page))
		v->nr++;
	else
		statpage_remove(id);
}

static int view_take(const struct args *a, struct view *v)
{
	struct statpage_id *ids = NULL;
	int nr = statpage_list(a->pid, &ids), i;

	if (nr < 0)
		return nr;
	v->nr = 0;
	v->list = calloc((size_t)nr + 1, sizeof(*v->list));
	if (!v->list) {
		free(ids);
		return -ENOMEM;
	}
	for (i = 0; i < nr; i++)
		view_add(v, ids[i]);
	free(ids);
	return 0;
}

static const struct far_stat_page *view_find(const struct view *v,
					     const struct shown *like)
{
	int i;

	for (i = 0; i < v->nr; i++)
		if (v->list[i].id.pid == like->id.pid &&
		    v->list[i].id.serial == like->id.serial &&
		    v->list[i].page.start_ticks == like->page.start_ticks)
			return &v->list[i].page;
	return NULL;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec ts = {(time_t)(ns / FAR_NS_PER_S),
				    (long)(ns % FAR_NS_PER_S)};

	(void)nanosleep(&ts, NULL); /* a signal ends it early: fine */
}

static bool all_changed(const struct view *before, const struct view *now)
{
	int i;

	for (i = 0; i < now->nr; i++) {
		const struct far_stat_page *old =
			view_find(before, &now->list[i]);

		if (old && old->updated_ns == now->list[i].page.updated_ns)
			return false;
	}
	return true;
}

/* The second look that rates need, as soon as it tells something. */
static int view_settle(const struct args *a, const struct view *before,
		       struct view *now)
{
	uint64_t waited = SETTLE_MIN_NS;
	int err;

	sleep_ns(SETTLE_MIN_NS);
	for (;;) {
		err = view_take(a, now);
		if (err < 0 || all_changed(before, now) ||
		    waited >= SETTLE_MAX_NS)
			return err;
		view_free(now);
		sleep_ns(SETTLE_STEP_NS);
		waited += SETTLE_STEP_NS;
	}
}

static void format_rate(uint64_t before, uint64_t now, uint64_t ns, char *buf,
			size_t len)
{
	if (ns == 0)
		(void)snprintf(buf, len, "-");
	else
		(void)snprintf(buf, len, "%.0f",
			       now < before ? 0.0
					    : (double)(now - before) *
						      (double)FAR_NS_PER_S /
						      (double)ns);
}

/* The program's name without its folders, ended at the first blank. */
static const char *program_of(const char *command, char *buf, size_t len)
{
	size_t end = strcspn(command, " ");
	size_t start = end;

	while (start > 0 && command[start - 1] != '/')
		start--;
	(void)snprintf(buf, len, "%.*s", (int)(end - start), command + start);
	return buf;
}

static void print_row(const struct far_stat_page *old,
		      const struct far_stat_page *p)
{
	char local[16], limit[16], far[16], p50[16], p99[16];
	char name[16], faults[24] = "-", evictions[24] = "-", both[40];
	uint64_t ns;

	if (old) {
		ns = p->updated_ns - old->updated_ns;
		format_rate(old->stats.faults_missing, p->stats.faults_missing,
			    ns, faults, sizeof(faults));
		format_rate(old->stats.evicted_pages, p->stats.evicted_pages,
			    ns, evictions, sizeof(evictions));
	}
	(void)snprintf(
		both, sizeof(both), "%s/%s",
		far_size_format(p->stats.local_bytes, local, sizeof(local)),
		far_size_format(p->stats.limit_bytes, limit, sizeof(limit)));
	printf("%7llu %-15s %25s %11s %8s %9s %9s %8s %s\n",
	       (unsigned long long)p->pid,
	       program_of(p->command, name, sizeof(name)), both,
	       far_size_format(p->stats.remote_bytes, far, sizeof(far)), faults,
	       far_duration_format(p->stats.fault_p50_ns, p50, sizeof(p50)),
	       far_duration_format(p->stats.fault_p99_ns, p99, sizeof(p99)),
	       evictions, *p->state ? p->state : "idle");
}

static int print_view(const struct args *a, const struct view *before,
		      const struct view *now)
{
	int i, err;

	if (!a->is_json)
		printf("%7s %-15s %25s %11s %8s %9s %9s %8s %s\n", "PID",
		       "COMMAND", "LOCAL/LIMIT", "FAR", "FAULTS/S", "P50",
		       "P99", "EVICT/S", "STATE");
	for (i = 0; i < now->nr; i++) {
		char *text;

		if (!a->is_json) {
			print_row(view_find(before, &now->list[i]),
				  &now->list[i].page);
			if (a->is_faults)
				stat_print_faults(&now->list[i].page);
			continue;
		}
		err = statpage_json(&now->list[i].page, &text);
		if (err < 0)
			return err;
		printf("%s\n", text);
		free(text);
	}
	return 0;
}

static int none_found(const struct args *a)
{
	char dir[PATH_MAX] = "";

	(void)far_runtime_dir(dir, sizeof(dir));
	if (a->all)
		cli_error("stat: no process uses far memory (no live page in "
			  "%s/stat); fix: start one with far run, as the "
			  "same user",
			  dir);
	else
		cli_error("stat: process %d does not use far memory (no live "
			  "page in %s/stat); fix: far stat --all lists those "
			  "that do",
			  (int)a->pid, dir);
	return CLI_FAIL;
}

static int os_error(int err)
{
	cli_error("stat: %s; fix: see that the runtime directory can be read",
		  strerror(-err));
	return CLI_OS;
}

static int show(const struct args *a)
{
	bool is_once = a->interval_ns == 0 && a->count == 0;
	uint64_t interval = a->interval_ns ? a->interval_ns : FAR_NS_PER_S;
	struct view before = {0}, now = {0};
	uint64_t round = 0;
	int err, ret = CLI_OK;

	err = view_take(a, &before);
	if (err == 0 && before.nr == 0)
		ret = none_found(a);
	while (err == 0 && ret == CLI_OK) {
		if (a->is_json && round == 0) {
			/* counters need no second look */
			now = before;
			before = (struct view){0};
		} else if (is_once) {
			err = view_settle(a, &before, &now);
		} else {
			sleep_ns(interval);
			err = view_take(a, &now);
		}
		if (err == 0)
			err = print_view(a, &before, &now);
		ret = cli_flush();
		round++;
		if (is_once || now.nr == 0 || (a->count && round >= a->count))
			break;
		view_free(&before);
		before = now;
		now = (struct view){0};
	}
	view_free(&before);
	view_free(&now);
	return err < 0 ? os_error(err) : ret;
}

static int stat_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct args a = {0};
	int err = parse_args(verb, argc, argv, &a);

	return err ? cli_status(err) : show(&a);
}

static const struct cli_flag flags[] = {
	{"all", 'a', NULL, "every process of this user"},
	{"interval", 'i', "SECONDS", "again and again, so long apart"},
	{"count", 'n', "COUNT", "so many times"},
	{"faults", 'f', NULL, "how long faults take, and in which stage"},
	{"json", 0, NULL, "one far.stat/1 object a line"},
	{NULL, 0, NULL, NULL},
};

const struct cli_verb cli_verb_stat = {
	.name = "stat",
	.args = "PID|--all",
	.summary = "Show what processes with far memory are doing",
	.flags = flags,
	.run = stat_run,
};
