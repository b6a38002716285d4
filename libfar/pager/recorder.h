/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happened to a page lately, kept in debug builds: when a page is found
 * gone or wrong, it is too late to ask.  Nothing of it is in a release build.
 *
 * Threads: any.  Who reads while others write may read a torn line.
 */
#ifndef LIBFAR_PAGER_RECORDER_H
#define LIBFAR_PAGER_RECORDER_H

#include <stdatomic.h>

#include "libfar/pager/page.h"

#if !defined(NDEBUG) && !defined(__SANITIZE_THREAD__)
#define FAR_HAS_RECORDER 1
#else
#define FAR_HAS_RECORDER 0
#endif

#define FAR_HISTORY 16

struct far_event {
	uint64_t ns;
	const char *what;
	far_word_t word;
	int64_t aux;
};

struct far_history {
	_Atomic uint32_t nr; /* ever */
	struct far_event e[FAR_HISTORY];
};

#if FAR_HAS_RECORDER
/** recorder_note() - @what happened to page @pg, whose word was @word
 * @h: the histories of all pages, or NULL
 * @aux: a result, or a staging page */
void recorder_note(struct far_history *h, far_pgno_t pg, const char *what,
		   far_word_t word, int64_t aux);
#else
static inline void recorder_note(struct far_history *h, far_pgno_t pg,
				 const char *what, far_word_t word, int64_t aux)
{
	(void)h;
	(void)pg;
	(void)what;
	(void)word;
	(void)aux;
}
#endif

/** recorder_print() - the history of @pg, to descriptor @fd */
void recorder_print(const struct far_history *h, far_pgno_t pg, int fd);

#endif
