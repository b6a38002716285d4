/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/env.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench_commit.h"
#include "libfar/base/clock.h"

int bench_read_line(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	err = n < 0 ? -errno : 0;
	(void)close(fd); /* read only */
	if (n <= 0)
		return err ? err : -ENODATA;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

int bench_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;
	int err = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n < 0)
		err = -errno;
	else if ((size_t)n != len)
		err = -EIO;
	if (close(fd) < 0 && !err)
		err = -errno;
	return err;
}

static void read_cpu(char *buf, size_t len)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	(void)snprintf(buf, len, "unknown");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		(void)snprintf(buf, len, "%.*s", (int)len - 1, colon + 2);
		break;
	}
	(void)fclose(f); /* read only */
}

bool bench_swap_is_on(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[256];
	int nr = 0;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		nr++;
	(void)fclose(f); /* read only */
	return nr > 1;	 /* the first line is the heading */
}

void bench_env_read(struct bench_env *env)
{
	struct utsname uts;
	double load[1];

	memset(env, 0, sizeof(*env));
	env->commit = FAR_BENCH_COMMIT;
	env->compiler = FAR_BENCH_COMPILER;
	env->flags = FAR_BENCH_FLAGS;
	env->build_type = FAR_BENCH_BUILD_TYPE;
	(void)snprintf(env->kernel, sizeof(env->kernel), "unknown");
	if (!uname(&uts))
		(void)snprintf(env->kernel, sizeof(env->kernel), "%.60s %.40s",
			       uts.release, uts.machine);
	read_cpu(env->cpu, sizeof(env->cpu));
	if (bench_read_line("/sys/kernel/mm/transparent_hugepage/enabled",
			    env->thp, sizeof(env->thp)))
		(void)snprintf(env->thp, sizeof(env->thp), "unknown");
	env->nr_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	env->is_swap_on = bench_swap_is_on();
	env->load1 = getloadavg(load, 1) == 1 ? load[0] : 0.0;
}

bool bench_is_measurable(void)
{
	static const char *const optimised[] = {"Release", "RelWithDebInfo"};
	const char *type = FAR_BENCH_BUILD_TYPE;
	const char *sanitize = FAR_BENCH_SANITIZE;
	unsigned i;

	if (sanitize[0]) {
		(void)fprintf(
			stderr,
			"bench: not measured: built with sanitizers (%s); "
			"fix: make release, or --smoke\n",
			sanitize);
		return false;
	}
	for (i = 0; i < FAR_ARRAY_SIZE(optimised); i++) {
		if (!strcmp(type, optimised[i]))
			return true;
	}
	(void)fprintf(stderr,
		      "bench: not measured: build type '%s' is not optimised; "
		      "fix: make release, or --smoke\n",
		      type);
	return false;
}

uint64_t bench_cpu_ns(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru))
		return 0;
	return (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) *
		       FAR_NS_PER_S +
	       (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) *
		       FAR_NS_PER_US;
}

int bench_pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}
