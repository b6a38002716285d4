/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "bench/lib/env.h"

static void put(struct bench_json *j, const char *fmt, ...) FAR_PRINTF(2, 3);

static void put(struct bench_json *j, const char *fmt, ...)
{
	size_t room = sizeof(j->buf) - j->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(j->buf + j->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		j->is_full = true;
	else
		j->len += (size_t)n;
}

static void put_quoted(struct bench_json *j, const char *s)
{
	put(j, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			put(j, "\\%c", c);
		else if (c < 0x20)
			put(j, "\\u%04x", c);
		else
			put(j, "%c", c);
	}
	put(j, "\"");
}

static void put_key(struct bench_json *j, const char *key)
{
	put(j, ",");
	put_quoted(j, key);
	put(j, ":");
}

void bench_json_begin(struct bench_json *j, const char *bench)
{
	j->len = 0;
	j->is_full = false;
	put(j, "{\"schema\":\"far.bench/1\"");
	bench_json_str(j, "bench", bench);
}

void bench_json_str(struct bench_json *j, const char *key, const char *val)
{
	put_key(j, key);
	put_quoted(j, val);
}

void bench_json_u64(struct bench_json *j, const char *key, uint64_t val)
{
	put_key(j, key);
	put(j, "%" PRIu64, val);
}

void bench_json_f64(struct bench_json *j, const char *key, double val)
{
	put_key(j, key);
	if (isfinite(val))
		put(j, "%.6g", val);
	else
		put(j, "null");
}

void bench_json_bool(struct bench_json *j, const char *key, bool val)
{
	put_key(j, key);
	put(j, "%s", val ? "true" : "false");
}

void bench_json_lat(struct bench_json *j, const struct bench_lat *lat)
{
	uint64_t n = far_hist_total(&lat->hist);

	bench_json_u64(j, "n", n);
	bench_json_u64(j, "min_ns", n ? lat->min_ns : 0);
	bench_json_u64(j, "p50_ns", bench_lat_ns(lat, 0.5));
	bench_json_u64(j, "p90_ns", bench_lat_ns(lat, 0.9));
	bench_json_u64(j, "p99_ns", bench_lat_ns(lat, 0.99));
	bench_json_u64(j, "p999_ns", bench_lat_ns(lat, 0.999));
	bench_json_u64(j, "max_ns", lat->max_ns);
	bench_json_f64(j, "mean_ns", n ? (double)lat->sum_ns / (double)n : 0.0);
}

void bench_json_env(struct bench_json *j)
{
	struct bench_env env;

	bench_env_read(&env);
	bench_json_str(j, "commit", env.commit);
	bench_json_str(j, "compiler", env.compiler);
	bench_json_str(j, "flags", env.flags);
	bench_json_str(j, "build", env.build_type);
	bench_json_str(j, "kernel", env.kernel);
	bench_json_str(j, "cpu", env.cpu);
	bench_json_u64(j, "cpus", env.nr_cpus);
	bench_json_str(j, "thp", env.thp);
	bench_json_bool(j, "swap_on", env.is_swap_on);
	bench_json_f64(j, "load1", env.load1);
}

int bench_json_end(struct bench_json *j, FILE *out)
{
	put(j, "}\n");
	if (j->is_full)
		return -EMSGSIZE;
	if (fwrite(j->buf, 1, j->len, out) != j->len || fflush(out))
		return -EIO;
	return 0;
}
