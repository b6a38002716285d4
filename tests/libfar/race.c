/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/libfar/race_cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libfar/base/futex.h"
#include "tests/support/tsan.h"

#define PAGE 64 /* of the mapping: the one that all is about */
#define BESIDE UINT64_C(3)
/* An action that waits for the first cannot say so: this long it may have. */
#define GRACE_NS (2 * FAR_NS_PER_MS)

#if FAR_HAS_HOOKS

static const char *const point_names[FAR_NR_HOOK_POINTS] = {
#define POINT_NAME(name, what) [FAR_AT_##name] = #name,
	FAR_HOOK_POINTS(POINT_NAME)
#undef POINT_NAME
};
static const char *const page_names[] = {"dirty",  "clean",  "zero",
					 "remote", "absent", "gone"};

/* --- stopping a thread ------------------------------------------------------
 */

enum stop_state { STOP_NONE, STOP_ARMED, STOP_REACHED, STOP_OVER };

struct stop {
	_Atomic uint32_t state; /* futex; enum stop_state */
	enum far_hook_point at;
	const char *page;
};

static struct stop stops[2]; /* of an evictor before; of the cause */
static pid_t parent;	     /* a forked child stops nowhere */

/* Any thread, perhaps in a signal handler. */
static void reach(enum far_hook_point at, const char *page)
{
	for (unsigned i = 0; i < FAR_ARRAY_SIZE(stops); i++) {
		struct stop *s = &stops[i];
		uint32_t armed = STOP_ARMED;

		if (atomic_load(&s->state) != STOP_ARMED || s->at != at ||
		    (page && s->page != page) || getpid() != parent ||
		    !atomic_compare_exchange_strong(&s->state, &armed,
						    STOP_REACHED))
			continue;
		while (atomic_load(&s->state) == STOP_REACHED)
			far_futex_wait(&s->state, STOP_REACHED,
				       100 * FAR_NS_PER_MS);
		return;
	}
}

static void stop_at(struct stop *s, enum far_hook_point at, const char *page)
{
	s->at = at;
	s->page = page;
	atomic_store(&s->state, STOP_ARMED);
}

static void let_go(struct stop *s)
{
	atomic_store(&s->state, STOP_OVER);
	far_futex_wake(&s->state, INT32_MAX);
}

/* --- what is said -----------------------------------------------------------
 */

static void name_of(const struct cell *c, char *ret, size_t len)
{
	const struct race_row *r = c->row;

	(void)snprintf(ret, len, "%s/%s: %s page, %s stopped at %s%s%s%s; %s",
		       tp_takeout, c->is_inline ? "inline" : "monitor",
		       page_names[r->page], race_op_names[r->cause],
		       point_names[r->at], r->under ? " under " : "",
		       r->under ? point_names[r->under] : "",
		       r->under_first ? ", which goes on first" : "",
		       race_op_names[c->action]);
}

void race_say(const struct cell *c)
{
	char name[256];

	name_of(c, name, sizeof(name));
	(void)dprintf(2, "%s\n  page word %#llx; used %lld, base %lld\n", name,
		      (unsigned long long)far_page_load(&c->p->words[c->pg]),
		      (long long)atomic_load(&c->p->budget.me->used_pages),
		      (long long)c->base);
	recorder_print(c->p->history, c->pg, 2);
}

void race_hang(const struct cell *c, const char *what)
{
	(void)dprintf(2, "race: %s\n", what);
	race_say(c);
	_exit(1);
}

void race_pause(void)
{
	const struct timespec ts = {.tv_nsec = 100000};

	(void)nanosleep(&ts, NULL);
}

/* --- invariants -------------------------------------------------------------
 */

static const far_word_t passing = FAR_WORD_PARKED | FAR_WORD_DISCARD |
				  FAR_WORD_IOBUSY | FAR_WORD_HELD |
				  FAR_STAGE_MASK;

/* What inline servers have charged for their buffers, lazily. */
static int64_t buffers(const struct far_pager *p)
{
	int64_t n = 0;

	for (unsigned i = 0; p->inline_servers && i < FAR_INLINE_SERVERS; i++)
		if (p->inline_servers[i].is_charged)
			n += p->inline_servers[i].server.fetch.depth;
	return n;
}

/* Counts pages and slots; false if some page is in somebody's hands, or is
 * nowhere and has a slot. */
static bool count(struct far_pager *p, int64_t *ret_resident,
		  int64_t *ret_slots)
{
	far_pgno_t top = atomic_load(&p->ranges.top);

	*ret_resident = *ret_slots = 0;
	for (far_pgno_t pg = 0; pg < top; pg++) {
		far_word_t w = far_page_load(&p->words[pg]);
		enum far_page_state s = word_state(w);

		if (w & passing ||
		    (s != FAR_PAGE_ABSENT && s != FAR_PAGE_RESIDENT &&
		     s != FAR_PAGE_REMOTE) ||
		    (s == FAR_PAGE_ABSENT && word_slot(w) != FAR_SLOT_NONE))
			return false;
		*ret_resident += s == FAR_PAGE_RESIDENT;
		*ret_slots += word_slot(w) != FAR_SLOT_NONE;
	}
	return true;
}

static bool is_at_rest(const struct cell *c)
{
	struct far_pager *p = c->p;
	int64_t resident, slots;

	return count(p, &resident, &slots) &&
	       atomic_load(&p->budget.me->used_pages) ==
		       c->base + buffers(p) + resident &&
	       (int64_t)atomic_load(&p->slots.nr_granted) -
			       atomic_load(&p->slots.nr_free) -
			       atomic_load(&p->slots.nr_stale) ==
		       slots &&
	       !atomic_load(&p->budget.sh->waiters) &&
	       !atomic_load(&p->nr_pinned);
}

/* --- running a cell ---------------------------------------------------------
 */

static void map(struct cell *c)
{
	void *mem;
	int r = c->is_inline ? far_map_inline(c->p, RACE_LEN, RACE_LEN, &mem)
			     : far_map(c->p, RACE_LEN, RACE_LEN, &mem);

	assert_int_equal(r, 0);
	c->t.mem = mem;
	c->t.len = RACE_LEN;
	c->page = c->t.mem + PAGE * FAR_PAGE_SIZE;
	c->pg = pager_page(c->p, c->page);
}

static void prepare(struct cell *c)
{
	c->base = atomic_load(&c->p->budget.me->used_pages) - buffers(c->p);
	if (c->row->page != RACE_IS_ABSENT)
		tp_fill(c->page, 0, race_first_key(c));
	if (c->row->page == RACE_IS_CLEAN)
		RACE_CHECK(c, far_flush(c->p, c->page, FAR_PAGE_SIZE) == 0);
	if (c->row->page == RACE_IS_REMOTE)
		RACE_CHECK(c, tp_evict(c->p, c->page, FAR_PAGE_SIZE));
	if (c->row->page == RACE_IS_GONE)
		(void)madvise(c->page, FAR_PAGE_SIZE, MADV_DONTNEED);
	if (c->row->between) {
		tp_fill(c->page - FAR_PAGE_SIZE, 0, BESIDE);
		tp_fill(c->page + FAR_PAGE_SIZE, 0, BESIDE);
	}
	RACE_WAIT(c, is_at_rest(c));
}

/* Until @s is reached; an evictor is told again and again. */
static void await(struct cell *c, struct stop *s, bool is_evicted)
{
	uint64_t end = far_now_ns() + RACE_PATIENCE_NS, next = 0;

	while (atomic_load(&s->state) == STOP_ARMED) {
		uint64_t now = far_now_ns();

		if (now > end)
			race_hang(c, "the point is not reached");
		if (is_evicted && now > next) {
			(void)race_evict(c);
			next = now + 20 * FAR_NS_PER_MS;
		}
		race_pause();
	}
}

/* As far as it can go while the first stands. */
static void meanwhile(struct cell *c)
{
	struct actor *a = &c->actors[1];
	uint64_t end;

	race_begin(c, 1, c->action);
	RACE_WAIT(c, atomic_load(&a->state) > 0);
	end = far_now_ns() + GRACE_NS;
	while (!race_is_done(a) && far_now_ns() < end) {
		if ((a->op == RACE_READ || a->op == RACE_WRITE) &&
		    far_page_load(&c->p->words[c->pg]) & FAR_WORD_PARKED)
			break;
		race_pause();
	}
}

static void cross(struct cell *c)
{
	const struct race_row *r = c->row;

	if (r->under) {
		stop_at(&stops[0], r->under, c->page);
		await(c, &stops[0], true);
	}
	stop_at(&stops[1], r->at, c->page);
	if (r->cause != RACE_EVICT)
		race_begin(c, 0, r->cause);
	await(c, &stops[1], r->cause == RACE_EVICT);
	meanwhile(c);
	if (r->under_first) {
		let_go(&stops[0]);
		/* so that it gets to where it waits for the page */
		tp_pause();
	}
	let_go(&stops[1]);
	let_go(&stops[0]);
	if (r->cause != RACE_EVICT)
		race_end(c, 0);
	race_end(c, 1);
}

/* Pinned, it stays; unless the page that was pinned is no more. */
static void unpin(struct cell *c)
{
	if (!has_op(c, RACE_PIN))
		return;
	if (!is_zeroing(c->row->cause) && !is_zeroing(c->action)) {
		RACE_CHECK(c, race_evict(c) == 0);
		tp_pause();
		RACE_CHECK(c, tp_resident(c->page, FAR_PAGE_SIZE) == 1);
	}
	for (int i = 0; i < 2; i++) /* both may have pinned it */
		RACE_CHECK(c, far_advise(c->p, c->page, FAR_PAGE_SIZE,
					 FAR_ADV_UNPIN) == 0);
}

static void check(struct cell *c)
{
	unpin(c);
	RACE_WAIT(c, is_at_rest(c));
	if (has_op(c, RACE_UNMAP))
		map(c);
	RACE_CHECK(c, race_may_be_left(c, (const void *)c->page));
	if (c->row->between && !has_op(c, RACE_UNMAP)) {
		RACE_CHECK(c, tp_same(c->page - FAR_PAGE_SIZE, 0, BESIDE));
		RACE_CHECK(c, tp_same(c->page + FAR_PAGE_SIZE, 0, BESIDE));
	}
	RACE_WAIT(c, is_at_rest(c));
	RACE_CHECK(c, TP_STAT(c->p, lost_pages) == 0);
	if (!has_op(c, RACE_DROP) && c->row->page != RACE_IS_GONE)
		RACE_CHECK(c, TP_STAT(c->p, gone_pages) == 0);
}

static void run_cell(struct cell *c)
{
	char conf[256], name[256];

	(void)snprintf(conf, sizeof(conf),
		       "lazy=off;monitors=2;evictors=2;batch=16;ahead=off;%s",
		       c->row->conf ? c->row->conf : "");
	if (getenv("RACE_VERBOSE")) {
		name_of(c, name, sizeof(name));
		(void)dprintf(2, "%s\n", name);
	}
	c->t = tp_open(conf, 0);
	c->p = c->t.pager;
	map(c);
	prepare(c);
	cross(c);
	check(c);
	tp_close(&c->t);
}

/* Why this pair is none; NULL: it is one. */
static const char *why_not(const struct cell *c)
{
	const struct race_row *r = c->row;
	bool is_moved = strcmp(tp_takeout, "move") == 0 ||
			(strcmp(tp_takeout, "auto") == 0 && !c->is_inline);

	if (r->way == RACE_MOVED && !is_moved)
		return "pages are copied here";
	if (r->way == RACE_COPIED && is_moved)
		return "pages are moved here";
	if (has_op(c, RACE_UNMAP) &&
	    (has_op(c, RACE_READ) || has_op(c, RACE_WRITE) ||
	     has_op(c, RACE_PIN)))
		return "a program does not touch what it unmaps";
	if (has_op(c, RACE_FORK) && HAS_TSAN)
		return "ThreadSanitizer does not let children have threads";
	return NULL;
}

void race_run(const struct race_row *rows, size_t nr)
{
	static struct cell c; /* large, and other threads use it */
	unsigned nr_run = 0, nr_not = 0;

	parent = getpid();
	atomic_store(&far_hook, reach);
	for (size_t i = 0; i < nr * 2 * RACE_NR_OPS; i++) {
		memset(&c, 0, sizeof(c));
		c.row = &rows[i / RACE_NR_OPS / 2];
		c.is_inline = i / RACE_NR_OPS % 2;
		c.action = (enum race_op)(i % RACE_NR_OPS);
		if (why_not(&c)) {
			nr_not++;
			continue;
		}
		run_cell(&c);
		nr_run++;
	}
	atomic_store(&far_hook, NULL);
	print_message("%u pairs, %u are none\n", nr_run, nr_not);
	if (!nr_run) {
		print_message("SKIP: no step of these is reached in this way "
			      "of taking pages out\n");
		skip();
	}
}

#else

void race_run(const struct race_row *rows, size_t nr)
{
	(void)rows;
	(void)nr;
	print_message("SKIP: a release build has no hooks\n");
	skip();
}

#endif
