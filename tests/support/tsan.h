/* SPDX-License-Identifier: BSD-3-Clause */
/* For programs that run under ThreadSanitizer, too: included in one .c file. */
#ifndef TESTS_SUPPORT_TSAN_H
#define TESTS_SUPPORT_TSAN_H

#include "libfar/base/compiler.h"

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifndef HAS_TSAN
#define HAS_TSAN 0
#endif

/* Pager threads have a descriptor table of their own: the same numbers there
 * are other descriptors, which ThreadSanitizer does not know. */
FAR_EXPORT const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "race:far_uffd_open_signal\n"
	       "race:open_fd\n";
}

#endif
