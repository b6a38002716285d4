/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/predict.h"

#include <string.h>

#define GAIN_SHIFT 3 /* a score moves an eighth of the way each time */
#define LIKELY 112   /* fetching in vain costs less than a second fault */
#define DEPTH_FIRST 4
#define SPARSE_MAX 8	/* pages between faults of a scan with some resident */
#define WRITE_SAMPLE 8	/* guesses of which one is checked */
#define WRITE_WINDOW 64 /* pages remembered */

/* --- the next page --- */

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

/* --- streams --- */

static int64_t distance(far_pgno_t from, far_pgno_t to)
{
	return (int64_t)to - (int64_t)from;
}

/* How far @pg is from where the stream was, or is expected. */
static uint64_t far_off(const struct far_stream *s, far_pgno_t pg)
{
	int64_t d = distance(s->last, pg);
	int64_t e = d - (int64_t)s->stride * (s->window + 1);
	uint64_t a = (uint64_t)(d < 0 ? -d : d);
	uint64_t b = (uint64_t)(e < 0 ? -e : e);

	return a < b ? a : b;
}

/* The stream @pg belongs to; else the one not used for longest, and empty. */
static struct far_stream *stream_of(struct far_predict *pr, uint32_t tid,
				    far_pgno_t pg, unsigned *ret_wasted)
{
	struct far_stream *near = NULL, *oldest = &pr->streams[0];
	uint64_t nearest = PREDICT_NEAR + 1;

	for (unsigned i = 0; i < PREDICT_STREAMS; i++) {
		struct far_stream *s = &pr->streams[i];

		if (pr->nr_faults - s->used > pr->nr_faults - oldest->used)
			oldest = s;
		if (s->used && s->tid == tid && far_off(s, pg) < nearest) {
			nearest = far_off(s, pg);
			near = s;
		}
	}
	if (near)
		return near;
	*ret_wasted = oldest->pages;
	memset(oldest, 0, sizeof(*oldest));
	oldest->tid = tid;
	oldest->last = pg;
	return oldest;
}

/* What most of the last distances were; or one page, if all are small, of one
 * sign, and differ: a scan over pages of which some are there. */
static int32_t stride_of(const struct far_stream *s)
{
	bool is_up = true, is_down = true;

	if (s->nr_deltas < PREDICT_DELTAS)
		return 0;
	for (unsigned i = 0; i < PREDICT_DELTAS; i++) {
		unsigned nr = 0;

		for (unsigned k = 0; k < PREDICT_DELTAS; k++)
			nr += s->delta[k] == s->delta[i];
		if (nr > PREDICT_DELTAS / 2)
			return s->delta[i];
		is_up &= s->delta[i] > 0 && s->delta[i] <= SPARSE_MAX;
		is_down &= s->delta[i] < 0 && s->delta[i] >= -SPARSE_MAX;
	}
	return is_up ? 1 : is_down ? -1 : 0;
}

/* Behind the window, in step: all of it has been walked over. */
static bool is_confirmed(const struct far_stream *s, int64_t d)
{
	int64_t steps = s->stride ? d / s->stride : 0;

	return s->stride && d % s->stride == 0 && steps > s->window &&
	       steps <= s->window + PREDICT_NEAR;
}

/* In it: the thread got there before the page did. */
static bool is_inside(const struct far_stream *s, int64_t d)
{
	int64_t steps = s->stride ? d / s->stride : 0;

	return s->stride && d % s->stride == 0 && steps > 0 &&
	       steps <= s->window;
}

void predict_stream(struct far_predict *pr, uint32_t tid, far_pgno_t pg,
		    unsigned max, struct far_window *ret)
{
	struct far_stream *s;
	unsigned skip = 0;
	int64_t d;

	memset(ret, 0, sizeof(*ret));
	pr->nr_faults++;
	s = stream_of(pr, tid, pg, &ret->nr_wasted);
	s->used = pr->nr_faults;
	d = distance(s->last, pg);
	if (d == 0)
		return; /* its first fault, or once more */
	if (s->window && is_confirmed(s, d)) {
		ret->nr_useful = s->pages;
		s->depth = s->depth * 2 < max ? s->depth * 2 : max;
	} else if (s->window && is_inside(s, d)) {
		ret->nr_useful = s->pages;
		skip = s->window - (unsigned)(d / s->stride);
		s->depth = s->depth * 2 < max ? s->depth * 2 : max;
	} else {
		if (s->window) {
			ret->nr_wasted = s->pages;
			s->depth /= 2;
			if (!s->depth) /* it has to show itself again */
				s->nr_deltas = 0;
		}
		s->delta[s->nr_deltas++ % PREDICT_DELTAS] = (int32_t)d;
		s->stride = stride_of(s);
		if (!s->stride)
			s->depth = 0;
		else if (!s->depth)
			s->depth = DEPTH_FIRST < max ? DEPTH_FIRST : max;
	}
	s->last = pg;
	s->window = s->pages = 0;
	if (!s->stride)
		return;
	/* What is under way already is part of the window. */
	s->window = skip + s->depth;
	ret->start = pg + (far_pgno_t)((int64_t)s->stride * (skip + 1));
	ret->stride = s->stride;
	ret->nr = s->depth;
	ret->stream = s;
}

void predict_fetched(struct far_window *w, unsigned walked, unsigned nr)
{
	w->stream->window -= w->nr - walked;
	w->stream->pages = nr;
}

/* --- writes --- */

bool predict_write(struct far_predict *pr, bool has_been)
{
	bool is_usual = pr->nr_read >= WRITE_WINDOW / 2 &&
			pr->nr_written >= pr->nr_read / 8 * 7;

	if ((has_been || is_usual) && ++pr->nr_trusted % WRITE_SAMPLE != 0)
		return true;
	if (++pr->nr_read >= WRITE_WINDOW) {
		pr->nr_read /= 2;
		pr->nr_written /= 2;
	}
	return false;
}

void predict_written(struct far_predict *pr)
{
	if (pr->nr_written < pr->nr_read)
		pr->nr_written++;
}
