/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory whose faults are served by the thread that has them.
 *
 *   inline ["local=32M;far=lz4:"]
 *
 * Reads 128 MiB of records from a file into far memory of which 32 MiB are
 * local, and looks up a million of them at random.  Such memory is faster, but
 * a system call needs far_pread() and its kin, or far_prepare().
 */
#include <far/far.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS ((size_t)2 << 20)
#define LOOKUPS 1000000u

struct record {
	uint64_t key, value[7];
};

static int fail(const char *what, long err)
{
	fprintf(stderr, "inline: %s: %s\n", what, strerror((int)-err));
	return 1;
}

/* Any data will do: record i says i. */
static FILE *make_file(void)
{
	FILE *f = tmpfile();

	for (size_t i = 0; f && i < RECORDS; i++) {
		struct record r = {.key = i, .value = {i * i}};

		if (fwrite(&r, sizeof(r), 1, f) != 1)
			return NULL;
	}
	return f && fflush(f) == 0 ? f : NULL;
}

static int load(struct far_pager *pager, FILE *f, char *to, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = far_pread(pager, fileno(f), to + at, len - at,
				      (off_t)at);

		if (n <= 0)
			return fail("far_pread", n ? n : -5);
		at += (size_t)n;
	}
	return 0;
}

static int look_up(const struct record *table)
{
	uint64_t rng = 1;

	for (unsigned n = 0; n < LOOKUPS; n++) {
		size_t i;

		rng = rng * UINT64_C(6364136223846793005) + 1;
		i = (size_t)(rng >> 33) % RECORDS;
		if (table[i].key != i || table[i].value[0] != i * i) {
			fprintf(stderr, "inline: record %zu is wrong\n", i);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *conf = argc > 1 ? argv[1] : "local=32M;far=lz4:";
	const size_t len = RECORDS * sizeof(struct record);
	struct far_stats st = {.size = sizeof(st)};
	struct far_pager *pager;
	void *table;
	FILE *f;
	int r;

	r = far_open(conf, NULL, &pager);
	if (r < 0)
		return fail("far_open", r);
	r = far_map_inline(pager, len, 0, &table);
	if (r < 0) {
		far_close(pager);
		return fail("far_map_inline", r);
	}
	f = make_file();
	if (!f) {
		perror("inline: temporary file");
		far_close(pager);
		return 1;
	}
	r = load(pager, f, table, len) || look_up(table);
	(void)fclose(f);
	(void)far_stats_read(pager, &st);
	printf("%u lookups; %llu of %llu faults served inline, half of them "
	       "within %llu ns\n",
	       LOOKUPS, (unsigned long long)st.faults_inline,
	       (unsigned long long)st.faults_missing,
	       (unsigned long long)st.fault_p50_ns);
	far_close(pager);
	return r;
}
