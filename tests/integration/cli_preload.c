/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands for libfar-preload.so where the command is tested and not the
 * library: shows that it was loaded.
 */
#include <stdlib.h>

__attribute__((constructor)) static void loaded(void)
{
	(void)setenv("CLI_PRELOAD", "loaded", 1);
}
