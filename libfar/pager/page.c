/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/page.h"

#include <sched.h>
#include <string.h>
#include <time.h>

/* Row: from; bit: to.  A word may change without changing its state. */
static const uint16_t legal[] = {
#define TO(s) (1u << FAR_PAGE_##s)
	[FAR_PAGE_ABSENT] = TO(ABSENT) | TO(FETCHING) | TO(RESIDENT) | TO(LOST),
	[FAR_PAGE_RESIDENT] = TO(RESIDENT) | TO(TAKING),
	[FAR_PAGE_TAKING] = TO(TAKING) | TO(EVICTING) | TO(RESIDENT) |
			    TO(REMOTE) | TO(ABSENT),
	[FAR_PAGE_EVICTING] =
		TO(EVICTING) | TO(REMOTE) | TO(ABSENT) | TO(RESCUING),
	[FAR_PAGE_RESCUING] =
		TO(RESCUING) | TO(RESIDENT) | TO(ABSENT) | TO(LOST),
	[FAR_PAGE_REMOTE] = TO(REMOTE) | TO(FETCHING) | TO(ABSENT),
	[FAR_PAGE_FETCHING] = TO(FETCHING) | TO(RESIDENT) | TO(ABSENT) |
			      TO(REMOTE) | TO(LOST),
	[FAR_PAGE_LOST] = TO(LOST) | TO(ABSENT),
#undef TO
};

bool far_page_legal(enum far_page_state from, enum far_page_state to)
{
	return (unsigned)from < FAR_ARRAY_SIZE(legal) &&
	       (legal[from] & (1u << to)) != 0;
}

far_word_t far_page_await(const _Atomic far_word_t *p)
{
	const struct timespec pause = {.tv_nsec = 50000};

	for (unsigned i = 0;; i++) {
		far_word_t w = far_page_load(p);
		enum far_page_state s = word_state(w);

		if (s != FAR_PAGE_TAKING && s != FAR_PAGE_FETCHING &&
		    s != FAR_PAGE_RESCUING)
			return w;
		if (i < 50)
			(void)sched_yield();
		else
			(void)nanosleep(&pause, NULL);
	}
}

bool far_page_is_zero(const void *page)
{
	const uint64_t *w = page;

	/* Most pages that are not zero show it in their first words. */
	for (size_t i = 0; i < 8; i++)
		if (w[i])
			return false;
	return memcmp(page, (const char *)page + 64, FAR_PAGE_SIZE - 64) == 0;
}

FAR_NO_TSAN void far_page_copy(void *dst, const void *src)
{
	const volatile uint64_t *s = src;
	uint64_t *d = dst;

	/* volatile: no call to an intercepted memcpy, no assumption that the
	 * source stands still */
	for (size_t i = 0; i < FAR_PAGE_SIZE / sizeof(*d); i++)
		d[i] = s[i];
}
