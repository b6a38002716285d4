/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target over saved inputs: each argument is a file or a folder of
 * files.  Also over every input cut short at the front and at the end, and
 * with single bits turned over, so that a corpus goes further than its files.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define MAX_BYTES (1 << 20)

static unsigned nr_inputs;

static void run(const uint8_t *data, size_t len)
{
	/* a block of its own size: reading beyond it is seen by sanitizers */
	uint8_t *copy = malloc(len ? len : 1);

	FUZZ_CHECK(copy);
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_around(uint8_t *data, size_t len)
{
	size_t i, step = len / 16 + 1;

	run(data, len);
	for (i = 0; i < len; i += step) {
		run(data, i);
		run(data + i, len - i);
		data[i] ^= (uint8_t)(1u << i % 8);
		run(data, len);
		data[i] ^= (uint8_t)(1u << i % 8);
	}
}

static void run_file(const char *path)
{
	static uint8_t buf[MAX_BYTES];
	FILE *f = fopen(path, "rbe");
	size_t len;

	if (!f) {
		perror(path);
		exit(1);
	}
	len = fread(buf, 1, sizeof(buf), f);
	FUZZ_CHECK(!ferror(f) && feof(f));
	(void)fclose(f); /* only read */
	run_around(buf, len);
	nr_inputs++;
}

static void run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	char name[4096];

	if (!dir) {
		perror(path);
		exit(1);
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		run_file(name);
	}
	(void)closedir(dir);
}

int main(int argc, char **argv)
{
	struct stat st;
	int i;

	for (i = 1; i < argc; i++) {
		if (stat(argv[i], &st)) {
			perror(argv[i]);
			return 1;
		}
		if (S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	(void)printf("%u inputs\n", nr_inputs);
	return nr_inputs ? 0 : 1; /* nothing to replay is a failure */
}
