/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of far_open() given on a benchmark's command line, one by one:
 * --option takeout=move --option policy=fifo.
 */
#ifndef BENCH_LIB_CONF_H
#define BENCH_LIB_CONF_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

/** struct bench_conf - "name=value;name=value" */
struct bench_conf {
	char text[1024];
};

/** bench_conf_add() - one more "name=value"; 0; -EINVAL; -ENOSPC too long */
static inline int bench_conf_add(struct bench_conf *c, const char *option)
{
	size_t len = strlen(c->text);
	int n;

	if (!strchr(option, '='))
		return -EINVAL;
	n = snprintf(c->text + len, sizeof(c->text) - len, "%s%s",
		     len ? ";" : "", option);
	return n < 0 || (size_t)n >= sizeof(c->text) - len ? -ENOSPC : 0;
}

#endif
