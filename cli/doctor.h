/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far doctor: a table of checks.  A check looks at one thing, changes
 * nothing that stays, and says what it found and what to do.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "libfar/base/compiler.h"

enum check_status {
	CHECK_OK,
	CHECK_WARN, /* works, less well */
	CHECK_FAIL, /* far run would refuse, or go wrong */
	CHECK_NONE, /* does not apply here */
};

/** struct check_result - what a check found */
struct check_result {
	enum check_status status;
	char finding[512];
	char fix[512]; /* "" if there is nothing to do */
};

/** check_fn - one check; @spec is that of --far, or NULL */
typedef void (*check_fn)(const char *spec, struct check_result *ret);

/** check_set() - fill in @r; @fix NULL for none */
void check_set(struct check_result *r, enum check_status status,
	       const char *fix, const char *fmt, ...) FAR_PRINTF(4, 5);

/* doctor_kernel.c: what the kernel offers */
void check_kernel(const char *spec, struct check_result *r);
void check_uffd_device(const char *spec, struct check_result *r);
void check_uffd_syscall(const char *spec, struct check_result *r);
void check_uffd_faults(const char *spec, struct check_result *r);
void check_uffd_protect(const char *spec, struct check_result *r);
void check_uffd_move(const char *spec, struct check_result *r);
void check_uffd_poison(const char *spec, struct check_result *r);
void check_uffd_sigbus(const char *spec, struct check_result *r);
void check_uring(const char *spec, struct check_result *r);
void check_memlock(const char *spec, struct check_result *r);
void check_scheduling(const char *spec, struct check_result *r);
void check_overcommit(const char *spec, struct check_result *r);
void check_huge_pages(const char *spec, struct check_result *r);
void check_memory(const char *spec, struct check_result *r);
void check_swap(const char *spec, struct check_result *r);

/* doctor_fault.c: who would serve memory that may be served inline */
void check_fault_service(const char *spec, struct check_result *r);

#endif
