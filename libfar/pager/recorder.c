/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/recorder.h"

#include <stdio.h>

#include "libfar/base/clock.h"

#if FAR_HAS_RECORDER
void recorder_note(struct far_history *h, far_pgno_t pg, const char *what,
		   far_word_t word, int64_t aux)
{
	struct far_event *e;

	if (!h)
		return;
	e = &h[pg].e[atomic_fetch_add(&h[pg].nr, 1) % FAR_HISTORY];
	*e = (struct far_event){far_now_ns(), what, word, aux};
}
#endif

void recorder_print(const struct far_history *h, far_pgno_t pg, int fd)
{
	uint32_t nr = h ? atomic_load(&h[pg].nr) : 0;
	uint64_t now = far_now_ns();

	for (uint32_t i = nr > FAR_HISTORY ? nr - FAR_HISTORY : 0; i < nr;
	     i++) {
		const struct far_event *e = &h[pg].e[i % FAR_HISTORY];

		(void)dprintf(fd,
			      "page %u, %.3f ms ago: %s, word %#llx, %lld\n",
			      (unsigned)pg, (double)(now - e->ns) / 1e6,
			      e->what ? e->what : "?",
			      (unsigned long long)e->word, (long long)e->aux);
	}
}
