/* SPDX-License-Identifier: BSD-3-Clause */
/* The budget files of far run: one for each tree of processes. */
#ifndef CLI_SHARED_H
#define CLI_SHARED_H

#include "libfar/base/compiler.h"

/**
 * shared_budget_make() - the file for the tree of this process
 * Files that runs before left for processes that outlived them are removed
 * when those are gone.
 * @limit_pages: for all its processes together
 *
 * Return: 0; -ENAMETOOLONG; -errno.
 */
int shared_budget_make(uint64_t limit_pages, char *buf, size_t len);

/**
 * shared_budget_drop() - remove @path, unless processes still use it: what
 * they execute has to find it
 */
void shared_budget_drop(const char *path);

#endif
