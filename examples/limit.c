/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local limit can be moved while the program runs.
 *
 *   limit ["local=128M;far=lz4:"]
 *
 * Fills 128 MiB, lowers the limit to 32 MiB, and shows local memory go down;
 * then reads everything back.
 */
#include <far/far.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BYTES ((size_t)128 << 20)
#define PAGE 4096

static unsigned long long local_mib(struct far_pager *pager)
{
	struct far_stats st = {.size = sizeof(st)};

	(void)far_stats_read(pager, &st);
	return (unsigned long long)st.local_bytes >> 20;
}

static int run(struct far_pager *pager)
{
	const struct timespec tick = {.tv_nsec = 20 * 1000 * 1000};
	void *mem;
	char *p;
	int err = far_map(pager, BYTES, 0, &mem);

	if (err < 0)
		return err;
	p = mem;
	for (size_t i = 0; i < BYTES; i += PAGE)
		snprintf(p + i, PAGE, "page %zu", i / PAGE);
	printf("filled: %llu MiB local\n", local_mib(pager));

	err = far_set_limit(pager, (uint64_t)32 << 20);
	if (err < 0)
		return err;
	for (int i = 0; i < 500 && local_mib(pager) > 32; i++)
		(void)nanosleep(&tick, NULL);
	printf("limit 32 MiB: %llu MiB local\n", local_mib(pager));

	for (size_t i = 0; i < BYTES; i += PAGE) {
		char want[32];

		snprintf(want, sizeof(want), "page %zu", i / PAGE);
		if (strcmp(p + i, want) != 0) {
			fprintf(stderr, "page %zu is wrong\n", i / PAGE);
			return -1;
		}
	}
	printf("all pages are as they were\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *conf = argc > 1 ? argv[1] : "local=128M;far=lz4:";
	struct far_pager *pager;
	int err = far_open(conf, NULL, &pager);

	if (err < 0) {
		fprintf(stderr, "limit: far_open: %s\n", strerror(-err));
		return 1;
	}
	err = run(pager);
	far_close(pager);
	return err < 0;
}
