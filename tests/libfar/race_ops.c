/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done to the page, and what may come of it. */
#include "tests/libfar/race_cell.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#if FAR_HAS_HOOKS

#define OTHER 300 /* a page of the mapping that nobody touches */
#define CHILD_SECONDS 20

const char *const race_op_names[] = {
#define RACE_NAME(name, what) #name,
	RACE_OPS(RACE_NAME)
#undef RACE_NAME
};

/* --- what may be in the page ------------------------------------------------
 */

/* All words are of one of the contents there ever were. */
static bool was_ever(const struct cell *c, const uint64_t *w)
{
	bool may_zero = !race_first_key(c) || is_zeroing(c->row->cause) ||
			is_zeroing(c->action);

	for (size_t i = 0; i < RACE_WORDS; i++) {
		if (w[i] == tp_word(race_first_key(c), i) ||
		    (may_zero && !w[i]) ||
		    (has_op(c, RACE_WRITE) && w[i] == tp_word(RACE_NEW, i)))
			continue;
		return false;
	}
	return true;
}

/* What is there when both are done. */
bool race_may_be_left(const struct cell *c, const uint64_t *w)
{
	bool is_zeroed = is_zeroing(c->row->cause) || is_zeroing(c->action);
	bool is_written = has_op(c, RACE_WRITE);
	/* To drop what is on its way out, or far, has no effect. */
	bool may_stay = !is_written && !has_op(c, RACE_DISCARD) &&
			!has_op(c, RACE_UNMAP);
	bool may_zero = is_zeroed || (!is_written && !race_first_key(c));

	for (size_t i = 0; i < RACE_WORDS; i++) {
		if ((may_stay && w[i] == tp_word(race_first_key(c), i)) ||
		    (may_zero && !w[i]) ||
		    (is_written && w[i] == tp_word(RACE_NEW, i)))
			continue;
		(void)dprintf(2, "word %zu is %#llx\n", i,
			      (unsigned long long)w[i]);
		return false;
	}
	return true;
}

/* --- the operations ---------------------------------------------------------
 */

static void do_read(struct actor *a)
{
	const _Atomic uint64_t *w = (const void *)a->c->page;

	for (size_t i = 0; i < RACE_WORDS; i++)
		a->seen[i] = atomic_load_explicit(&w[i], memory_order_relaxed);
}

static void do_write(struct actor *a)
{
	_Atomic uint64_t *w = (void *)a->c->page;

	for (size_t i = 0; i < RACE_WORDS; i++)
		atomic_store_explicit(&w[i], tp_word(RACE_NEW, i),
				      memory_order_relaxed);
}

static int do_fork(struct actor *a)
{
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : tp_status(pid);
	(void)alarm(CHILD_SECONDS);
	do_read(a);
	_exit(was_ever(a->c, a->seen) ? 0 : 1);
}

static bool has_prefetch(struct far_pager *p)
{
	bool has;

	(void)pthread_mutex_lock(&p->prefetch_lock);
	has = p->prefetch_head != p->prefetch_tail;
	(void)pthread_mutex_unlock(&p->prefetch_lock);
	return has;
}

/* far-ctl does one thing at a time: what is asked of it after it has taken the
 * prefetch comes after that. */
static int do_prefetch(struct cell *c)
{
	int r = far_advise(c->p, c->page, FAR_PAGE_SIZE, FAR_ADV_WILLNEED);

	if (r < 0)
		return r;
	RACE_WAIT(c, !has_prefetch(c->p));
	return far_flush(c->p, c->t.mem + OTHER * FAR_PAGE_SIZE, FAR_PAGE_SIZE);
}

int race_evict(struct cell *c)
{
	size_t n = c->row->between ? 3 : 1;

	return far_advise(c->p, c->page - (n / 2) * FAR_PAGE_SIZE,
			  n * FAR_PAGE_SIZE, FAR_ADV_COLD);
}

static int do_limit(struct cell *c)
{
	int r = far_set_limit(c->p, 2 * TP_LIMIT);

	return r < 0 ? r : far_set_limit(c->p, TP_LIMIT);
}

static int perform(struct actor *a)
{
	struct cell *c = a->c;

	switch (a->op) {
	case RACE_READ:
		do_read(a);
		return 0;
	case RACE_WRITE:
		do_write(a);
		return 0;
	case RACE_DISCARD:
		return far_advise(c->p, c->page, FAR_PAGE_SIZE,
				  FAR_ADV_DISCARD);
	case RACE_PIN:
		return far_advise(c->p, c->page, FAR_PAGE_SIZE, FAR_ADV_PIN);
	case RACE_FLUSH:
		return far_flush(c->p, c->page, FAR_PAGE_SIZE);
	case RACE_UNMAP:
		return far_unmap(c->p, c->t.mem, RACE_LEN);
	case RACE_FORK:
		return do_fork(a);
	case RACE_LIMIT:
		return do_limit(c);
	case RACE_PREFETCH:
		return do_prefetch(c);
	case RACE_EVICT:
		return race_evict(c);
	case RACE_DROP:
		return madvise(c->page, FAR_PAGE_SIZE, MADV_DONTNEED);
	case RACE_NR_OPS:
		break;
	}
	return -EINVAL;
}

static void *act(void *arg)
{
	struct actor *a = arg;

	atomic_store(&a->state, 1);
	a->result = perform(a);
	atomic_store(&a->state, 2);
	return NULL;
}

void race_begin(struct cell *c, unsigned i, enum race_op op)
{
	struct actor *a = &c->actors[i];

	a->c = c;
	a->op = op;
	assert_int_equal(pthread_create(&a->thread, NULL, act, a), 0);
}

bool race_is_done(struct actor *a)
{
	return atomic_load(&a->state) == 2;
}

void race_end(struct cell *c, unsigned i)
{
	struct actor *a = &c->actors[i];

	RACE_WAIT(c, race_is_done(a));
	(void)pthread_join(a->thread, NULL);
	if (a->op == RACE_READ)
		RACE_CHECK(c, was_ever(c, a->seen));
	/* what is unmapped meanwhile is no page any more */
	if (a->result == -EINVAL && has_op(c, RACE_UNMAP))
		a->result = 0;
	if (a->result)
		(void)dprintf(2, "%s: %d\n", race_op_names[a->op], a->result);
	RACE_CHECK(c, a->result == 0);
}

#endif
