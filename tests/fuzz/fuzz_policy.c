/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: bytes are what a pager does, the first one names the policy.
 * With libFuzzer (FAR_LIBFUZZER defined) it searches; otherwise it plays the
 * files it is given:
 *	fuzz_policy FILE...
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/evictor/policy_model.h"

#define INPUT_MAX (1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"clock", "fifo", "s3fifo",
					    "refault"};
	char why[200];

	if (!len || len > INPUT_MAX)
		return 0;
	if (policy_model_run(far_evict_policy_find(names[data[0] % 3]),
			     data + 1, len - 1, why, sizeof(why)) < 0) {
		(void)fprintf(stderr, "policy: %s\n", why);
		abort();
	}
	return 0;
}

#ifndef FAR_LIBFUZZER
static int replay(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "rbe");
	size_t len;

	if (!f) {
		perror(path);
		return -1;
	}
	len = fread(data, 1, sizeof(data), f);
	(void)fclose(f);
	if (!len) {
		(void)fprintf(stderr, "%s: nothing to play: it is empty\n",
			      path);
		return -1;
	}
	return LLVMFuzzerTestOneInput(data, len);
}

int main(int argc, char **argv)
{
	int nr_bad = argc < 2;

	if (argc < 2)
		(void)fprintf(stderr, "usage: %s FILE...\n", argv[0]);
	for (int i = 1; i < argc; i++)
		nr_bad += replay(argv[i]) < 0;
	return nr_bad != 0;
}
#endif
