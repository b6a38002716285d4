/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define IS_GAUGE_COUNTER 0
#define IS_GAUGE_GAUGE 1

static const struct far_stat_desc descs[] = {
#define ROW(kind, name, help)                                                  \
	{#name, help, IS_GAUGE_##kind, offsetof(struct far_stats, name)},
	FAR_STATS(ROW)
#undef ROW
		{NULL, NULL, 0, 0},
};

#define ADD_GAUGE(name)
#define ADD_COUNTER(name)                                                      \
	st->name += atomic_load_explicit(&shard->name, memory_order_relaxed);

void far_stats_add(struct far_stats *st, const struct far_stat_shard *shard){
#define ADD(kind, name, help) ADD_##kind(name)
	FAR_STATS(ADD)
#undef ADD
}

/* Appends at *at, which counts on past the end of @buf like snprintf(). */
FAR_PRINTF(4, 5) static void append(char *buf, size_t len, size_t *at,
				    const char *fmt, ...)
{
	bool fits = *at < len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(fits ? buf + *at : NULL, fits ? len - *at : 0, fmt, ap);
	va_end(ap);
	if (n > 0)
		*at += (size_t)n;
}

int far_stats_print_json(const struct far_stats *st, const char *extra,
			 char *buf, size_t len)
{
	size_t at = 0;

	append(buf, len, &at, "{\"schema\":\"far.stat/1\",\"version\":%" PRIu64,
	       st->version);
#define PRINT(kind, name, help)                                                \
	append(buf, len, &at, ",\"" #name "\":%" PRIu64, st->name);
	FAR_STATS(PRINT)
#undef PRINT
	append(buf, len, &at, "%s}", extra ? extra : "");
	return (int)at;
}

const struct far_stat_desc *far_stat_descs(void)
{
	return descs;
}

const char *far_service_words(uint64_t service)
{
	static const char *const words[] = {
#define WORDS(name, text) [FAR_SERVICE_##name] = text,
		FAR_SERVICES(WORDS)
#undef WORDS
	};

	return service < FAR_ARRAY_SIZE(words) ? words[service] : "unknown";
}
