/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/tracefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define CHUNK 4096 /* records read at a time */

static const char *why(int err)
{
	const char *text = far_trace_error(err);

	return text ? text : strerror(-err);
}

static int read_header(FILE *f, struct far_trace_header *ret)
{
	unsigned char buf[FAR_TRACE_HEADER_BYTES];
	size_t n;

	errno = 0;
	n = fread(buf, 1, sizeof(buf), f);
	if (ferror(f))
		return errno ? -errno : -EIO;
	return far_trace_header_get(buf, n, ret);
}

/* Room for @nr more records. */
static int grow(struct tracefile *t, size_t nr, size_t *room)
{
	struct far_trace_record *r;
	size_t want = *room ? *room : CHUNK;

	while (want < t->nr + nr)
		want *= 2;
	if (want == *room)
		return 0;
	r = realloc(t->r, want * sizeof(*r));
	if (!r)
		return -ENOMEM;
	t->r = r;
	*room = want;
	return 0;
}

static int read_records(FILE *f, struct tracefile *t)
{
	static unsigned char buf[CHUNK * FAR_TRACE_RECORD_BYTES];
	size_t room = 0, n;
	int err;

	do {
		errno = 0;
		n = fread(buf, 1, sizeof(buf), f);
		if (ferror(f))
			return errno ? -errno : -EIO;
		err = grow(t, n / FAR_TRACE_RECORD_BYTES, &room);
		if (err < 0)
			return err;
		for (size_t i = 0; i < n / FAR_TRACE_RECORD_BYTES; i++) {
			err = far_trace_record_get(
				buf + i * FAR_TRACE_RECORD_BYTES, &t->header,
				&t->r[t->nr]);
			if (err < 0)
				return err;
			t->nr++;
		}
		t->is_cut = n % FAR_TRACE_RECORD_BYTES != 0;
	} while (n == sizeof(buf));
	return 0;
}

static int status_of(int err)
{
	return far_trace_error(err) ? CLI_DATA
	       : err == -ENOMEM	    ? CLI_OS
				    : CLI_NO_INPUT;
}

int tracefile_read(const char *path, struct tracefile *ret)
{
	FILE *f = fopen(path, "re");
	int err;

	memset(ret, 0, sizeof(*ret));
	err = f ? read_header(f, &ret->header) : -errno;
	if (err == 0)
		err = read_records(f, ret);
	if (f)
		(void)fclose(f);
	if (err == 0)
		return 0;
	if (err == -EILSEQ)
		cli_error("trace: %s: record %zu is damaged; fix: copy or "
			  "record it again",
			  path, ret->nr + 1);
	else
		cli_error("trace: %s: %s; fix: name a file that far trace "
			  "record made",
			  path, why(err));
	tracefile_free(ret);
	return status_of(err);
}

void tracefile_free(struct tracefile *t)
{
	free(t->r);
	memset(t, 0, sizeof(*t));
}

int tracefile_probe(const char *path)
{
	struct far_trace_header h;
	FILE *f = fopen(path, "re");
	int err = f ? read_header(f, &h) : -errno;

	if (f)
		(void)fclose(f);
	return err;
}
