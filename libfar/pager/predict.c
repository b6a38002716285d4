/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/predict.h"

#define GAIN_SHIFT 3 /* a score moves an eighth of the way each time */
#define LIKELY 112   /* fetching in vain costs less than a second fault */

static void learn(struct far_predict *pr, bool followed)
{
	uint8_t *s = &pr->score[pr->at];

	if (followed)
		*s = (uint8_t)(*s + ((255 - *s + 7) >> GAIN_SHIFT));
	else
		*s = (uint8_t)(*s - ((*s + 7) >> GAIN_SHIFT));
}

bool predict_next(struct far_predict *pr, uint32_t tid, far_pgno_t pg,
		  unsigned offset, bool is_next_far)
{
	unsigned at =
		offset / (FAR_PAGE_SIZE / PREDICT_OFFSETS) % PREDICT_OFFSETS;
	bool act;

	if (pr->is_open && pr->tid == tid)
		learn(pr, pg == pr->pg + 1);
	act = is_next_far && pr->score[at] >= LIKELY &&
	      ++pr->nr_acted % PREDICT_SAMPLE != 0;
	pr->is_open = is_next_far && !act;
	pr->at = at;
	pr->tid = tid;
	pr->pg = pg;
	return act;
}
