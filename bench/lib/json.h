/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One result is one JSON object on one line ("far.bench/1"): what was
 * measured, every option, and on what.  Written in one piece, so that lines
 * of several processes do not mix.
 */
#ifndef BENCH_LIB_JSON_H
#define BENCH_LIB_JSON_H

#include <stdio.h>

#include "bench/lib/lat.h"

#define BENCH_JSON_MAX 8192

/** struct bench_json - a line in the making */
struct bench_json {
	size_t len;
	bool is_full; /* did not fit: end() reports it */
	char buf[BENCH_JSON_MAX];
};

/** bench_json_begin() - start a line of the program @bench */
void bench_json_begin(struct bench_json *j, const char *bench);

void bench_json_str(struct bench_json *j, const char *key, const char *val);
void bench_json_u64(struct bench_json *j, const char *key, uint64_t val);
void bench_json_f64(struct bench_json *j, const char *key, double val);
void bench_json_bool(struct bench_json *j, const char *key, bool val);

/** bench_json_lat() - n, min_ns, p50_ns, p99_ns, p999_ns, max_ns, mean_ns */
void bench_json_lat(struct bench_json *j, const struct bench_lat *lat);

/** bench_json_env() - commit, compiler, flags, build type, kernel, CPU ... */
void bench_json_env(struct bench_json *j);

/**
 * bench_json_end() - close the line and write it to @out
 * Return: 0; -EIO; -EMSGSIZE the line was longer than BENCH_JSON_MAX.
 */
int bench_json_end(struct bench_json *j, FILE *out);

#endif
