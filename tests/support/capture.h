/* SPDX-License-Identifier: BSD-3-Clause */
/* A far_log_fn that keeps the last message and counts them all. */
#ifndef TESTS_SUPPORT_CAPTURE_H
#define TESTS_SUPPORT_CAPTURE_H

#include <stdio.h>
#include <string.h>

#include <far/log.h>

struct capture {
	unsigned nr;
	enum far_log_level level;
	char msg[2048];
};

static inline void capture_log(void *ctx, enum far_log_level level,
			       const char *msg)
{
	struct capture *c = ctx;

	c->nr++;
	c->level = level;
	(void)snprintf(c->msg, sizeof(c->msg), "%s", msg);
}

/** capture_has() - was @text in the last message? prints it if not */
static inline int capture_has(const struct capture *c, const char *text)
{
	if (strstr(c->msg, text))
		return 1;
	(void)fprintf(stderr, "'%s' is not in '%s'\n", text, c->msg);
	return 0;
}

#endif
