/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Can a program run under the preload?  The loader ignores LD_PRELOAD
 * silently for static and privileged programs, and programs with an
 * allocator of their own would get nothing of it: they are refused by name.
 */
#ifndef CLI_ELFCHECK_H
#define CLI_ELFCHECK_H

#include "libfar/base/compiler.h"

/**
 * program_find() - the file that execvp(3) would run for @name
 * Return: 0; -ENOENT; -EACCES found, but not executable; -ENAMETOOLONG.
 */
int program_find(const char *name, char *buf, size_t len);

/**
 * program_check() - may the preload go into @path
 * Scripts are followed to their interpreter, through env(1) too.
 * @why: the reason of a refusal, "why; fix: how"
 *
 * What cannot be read is not refused: the system decides when it runs.
 * Return: 0; -ENOEXEC, @why is written.
 */
int program_check(const char *path, char *why, size_t len);

#endif
