/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a measurement was made with and on, and whether it may be made at all.
 */
#ifndef BENCH_LIB_ENV_H
#define BENCH_LIB_ENV_H

#include <sys/types.h>

#include "libfar/base/compiler.h"

/* Exit status of a program that cannot measure here, as ctest knows it. */
#define BENCH_EXIT_SKIP 77

/** struct bench_env - everything a reader needs to judge a figure */
struct bench_env {
	const char *commit;
	const char *compiler;
	const char *flags;
	const char *build_type;
	char kernel[128];
	char cpu[128];
	char thp[64];
	unsigned nr_cpus;
	bool is_swap_on;
	double load1; /* run queue, one minute: was the machine idle? */
};

/** bench_env_read() - fill @env; what cannot be found is "unknown" or 0 */
void bench_env_read(struct bench_env *env);

/** bench_swap_is_on() - the kernel may swap anonymous memory out */
bool bench_swap_is_on(void);

/**
 * bench_is_measurable() - this build is one that may be measured
 * Says why not on standard error: no optimisation, or sanitizers.
 */
bool bench_is_measurable(void);

/**
 * bench_read_line() - first line of @path, without its newline
 * Return: 0; -errno; -ENODATA empty.
 */
int bench_read_line(const char *path, char *buf, size_t len);

/** bench_write_text() - write @text to the existing file @path; 0 or -errno */
int bench_write_text(const char *path, const char *text);

/** bench_cpu_ns() - user and system time of this process so far */
uint64_t bench_cpu_ns(void);

/** bench_pin() - keep the calling thread on @cpu; 0 or -errno */
int bench_pin(unsigned cpu);

#endif
