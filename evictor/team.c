/* SPDX-License-Identifier: BSD-3-Clause */
#include "evictor/team.h"

void team_init(struct far_team *t, unsigned max)
{
	t->max = max;
	t->was_waiting = false;
	t->look_ns = t->wait_ns = t->behind_ns = 0;
	atomic_store(&t->nr, 1); /* it may be read already */
}

/* Who waits at two looks is taken to have waited between, though it may have
 * been served and be waiting again: that, too, is not keeping up. */
static void account(struct far_team *t, bool is_waiting, uint64_t ns)
{
	if (is_waiting && t->was_waiting)
		t->behind_ns += ns;
	else
		t->behind_ns -= far_min_u64(t->behind_ns, ns);
}

static bool step(struct far_team *t, bool is_waiting, uint64_t now_ns)
{
	unsigned nr = team_nr(t);

	if (is_waiting)
		t->wait_ns = now_ns;
	if (t->behind_ns >= FAR_TEAM_JOIN_NS) {
		t->behind_ns = 0; /* what this one does has to come first */
		if (nr >= t->max)
			return false;
		atomic_store(&t->nr, nr + 1);
		return true;
	}
	if (nr == 1 || now_ns - t->wait_ns < FAR_TEAM_LEAVE_NS)
		return false;
	t->wait_ns = now_ns;
	atomic_store(&t->nr, nr - 1);
	return true;
}

bool team_look(struct far_team *t, bool is_waiting, uint64_t now_ns)
{
	if (t->look_ns)
		account(t, is_waiting, now_ns - t->look_ns);
	t->look_ns = now_ns;
	t->was_waiting = is_waiting;
	return step(t, is_waiting, now_ns);
}
