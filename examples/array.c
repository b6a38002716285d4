/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An array larger than its local memory.
 *
 *   array ["local=64M;far=lz4:"]
 *
 * Sums 256 MiB of numbers kept in (by default) 64 MiB of local memory, the
 * rest compressed, and prints the statistics.
 */
#include <far/far.h>

#include <stdio.h>
#include <string.h>

#define BYTES ((size_t)256 << 20)

static void die(const char *what, int err)
{
	fprintf(stderr, "array: %s: %s\n", what, strerror(-err));
}

int main(int argc, char **argv)
{
	const char *conf = argc > 1 ? argv[1] : "local=64M;far=lz4:";
	struct far_stats st = {.size = sizeof(st)};
	struct far_pager *pager;
	uint64_t *a, sum = 0;
	void *mem;
	int err;

	err = far_open(conf, NULL, &pager);
	if (err < 0) {
		die("far_open", err);
		return 1;
	}
	err = far_map(pager, BYTES, 0, &mem);
	if (err < 0) {
		die("far_map", err);
		far_close(pager);
		return 1;
	}
	a = mem;
	for (size_t i = 0; i < BYTES / sizeof(*a); i++)
		a[i] = i;

	/* It is read from end to end: let pages be fetched ahead. */
	err = far_advise(pager, mem, BYTES, FAR_ADV_SEQUENTIAL);
	if (err < 0)
		die("far_advise", err);
	for (size_t i = 0; i < BYTES / sizeof(*a); i++)
		sum += a[i];

	(void)far_stats_read(pager, &st);
	printf("sum %llu; %llu MiB mapped in %llu MiB local: %llu faults, "
	       "%llu pages fetched ahead\n",
	       (unsigned long long)sum,
	       (unsigned long long)st.mapped_bytes >> 20,
	       (unsigned long long)st.limit_bytes >> 20,
	       (unsigned long long)st.faults_missing,
	       (unsigned long long)st.prefetched_pages);
	far_close(pager);
	return 0;
}
