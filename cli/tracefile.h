/* SPDX-License-Identifier: BSD-3-Clause */
/* A file of the format of <far/trace.h>, checked and in memory. */
#ifndef CLI_TRACEFILE_H
#define CLI_TRACEFILE_H

#include <far/trace.h>

#include "libfar/base/compiler.h"

struct tracefile {
	struct far_trace_header header;
	struct far_trace_record *r;
	size_t nr;
	bool is_cut; /* the file ends within a record, which is not here */
};

/**
 * tracefile_read() - all of the file @path
 * Return: 0; CLI_NO_INPUT, CLI_DATA or CLI_OS, told.
 */
int tracefile_read(const char *path, struct tracefile *ret);

void tracefile_free(struct tracefile *t);

/** tracefile_probe() - is @path a trace? 0; -errno, far_trace_error() */
int tracefile_probe(const char *path);

#endif
