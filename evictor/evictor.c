/* SPDX-License-Identifier: BSD-3-Clause */
#include "evictor/evictor.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "evictor/team.h"
#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/base/futex.h"

#define MAX_THREADS 16
#define COLD_RING 64
#define COLD_LOOKS 4096 /* pages looked at under the lock */
#define PICK_LOOKS 64	/* pages a policy looks at per page asked for */
#define IDLE_NS (100 * FAR_NS_PER_MS)
#define NOTHING_FOUND_NS (1 * FAR_NS_PER_MS)
#define REAP_NS (10 * FAR_NS_PER_MS)
#define REST_NS (1 * FAR_NS_PER_S)

struct worker {
	struct far_evictor *e;
	pthread_t thread;
	unsigned index;
	bool is_started;
	/* batches in flight are [tail, head), modulo FAR_EVICT_BATCHES */
	unsigned head, tail;
	unsigned nr_taken[FAR_EVICT_BATCHES];
	far_pgno_t pgs[FAR_EVICT_BATCH_MAX];
};

struct far_evictor {
	struct far_evictor_attr attr;
	struct far_policy *policy;
	pthread_mutex_t policy_lock; /* the policy */
	void *policy_mem;
	size_t policy_len;
	_Atomic uint64_t in_flight; /* pages, all workers */
	_Atomic uint32_t is_stopping;
	_Atomic uint32_t pauses;    /* nested far_evictor_pause() */
	_Atomic uint32_t nr_parked; /* futex: workers parked by a pause */
	_Atomic uint32_t resumed;   /* futex */
	struct far_team team;	    /* how many work; the first worker's */
	_Atomic uint32_t stirred;   /* futex: those who rest should look */
	pthread_mutex_t cold_lock;  /* the ring */
	struct {
		far_pgno_t start, nr;
	} cold[COLD_RING];
	unsigned cold_head, cold_tail;
	struct worker workers[MAX_THREADS];
};

int far_evictor_create(const struct far_evictor_attr *attr,
		       struct far_evictor **ret_evictor)
{
	struct far_evictor *e;
	void *mem;
	int r;

	if (!attr->nr_threads || attr->nr_threads > MAX_THREADS ||
	    !attr->batch || attr->batch > FAR_EVICT_BATCH_MAX)
		return -EINVAL;
	r = far_near_map(sizeof(*e), &mem);
	if (r < 0)
		return r;
	e = mem;
	e->attr = *attr;
	e->policy_len = attr->policy->footprint(attr->max_pages);
	r = far_near_map(e->policy_len, &e->policy_mem);
	if (r < 0)
		goto err_unmap;
	r = attr->policy->init(e->policy_mem, attr->max_pages, &e->policy);
	if (r < 0)
		goto err_policy;
	(void)pthread_mutex_init(&e->policy_lock, NULL);
	(void)pthread_mutex_init(&e->cold_lock, NULL);
	for (unsigned i = 0; i < MAX_THREADS; i++) {
		e->workers[i].e = e;
		e->workers[i].index = i;
	}
	*ret_evictor = e;
	return 0;

err_policy:
	far_near_unmap(e->policy_mem, e->policy_len);
err_unmap:
	far_near_unmap(e, sizeof(*e));
	return r;
}

void far_evictor_destroy(struct far_evictor *e)
{
	if (!e)
		return;
	far_near_unmap(e->policy_mem, e->policy_len);
	far_near_unmap(e, sizeof(*e));
}

/* --- victims --- */

/* Up to @max evictable pages of the ranges the program called cold. */
static unsigned pick_cold(struct far_evictor *e, far_pgno_t *ret, unsigned max)
{
	const struct far_policy_view *v = &e->attr.ops->view;
	unsigned n = 0;

	(void)pthread_mutex_lock(&e->cold_lock);
	for (unsigned looks = 0;
	     looks < COLD_LOOKS && n < max && e->cold_tail != e->cold_head;
	     looks++) {
		far_pgno_t pg = e->cold[e->cold_tail % COLD_RING].start;

		if (v->is_evictable(e->attr.host, pg))
			ret[n++] = pg;
		e->cold[e->cold_tail % COLD_RING].start++;
		if (--e->cold[e->cold_tail % COLD_RING].nr == 0)
			e->cold_tail++;
	}
	(void)pthread_mutex_unlock(&e->cold_lock);
	return n;
}

static bool has_cold(struct far_evictor *e)
{
	bool has;

	(void)pthread_mutex_lock(&e->cold_lock);
	has = e->cold_tail != e->cold_head;
	(void)pthread_mutex_unlock(&e->cold_lock);
	return has;
}

bool far_evictor_cold(struct far_evictor *e, far_pgno_t start, far_pgno_t nr)
{
	bool fits;

	(void)pthread_mutex_lock(&e->cold_lock);
	fits = e->cold_head - e->cold_tail < COLD_RING;
	if (fits) {
		e->cold[e->cold_head % COLD_RING].start = start;
		e->cold[e->cold_head % COLD_RING].nr = nr;
		e->cold_head++;
	}
	(void)pthread_mutex_unlock(&e->cold_lock);
	e->attr.ops->kick(e->attr.host);
	return fits;
}

static unsigned pick(struct worker *w, uint64_t want)
{
	struct far_evictor *e = w->e;
	unsigned max = (unsigned)far_min_u64(e->attr.batch, want);
	unsigned n = pick_cold(e, w->pgs, e->attr.batch);
	struct far_policy_view view = e->attr.ops->view;

	if (n || !want)
		return n;
	view.ctx = e->attr.host;
	view.nr_pages = e->attr.ops->nr_pages(e->attr.host);
	if (max < e->attr.batch / 4)
		max = e->attr.batch / 4; /* a call costs too much for less */
	(void)pthread_mutex_lock(&e->policy_lock);
	n = e->attr.policy->pick(e->policy, &view,
				 e->attr.ops->local_pages(e->attr.host), w->pgs,
				 max ? max : 1);
	(void)pthread_mutex_unlock(&e->policy_lock);
	return n;
}

/* What happened to @pg, said to a policy that wants to know. */
static void tell(struct far_evictor *e,
		 void (*what)(struct far_policy *p, far_pgno_t pg),
		 far_pgno_t pg)
{
	bool is_locked = !e->attr.policy->is_lockless;

	if (!e->attr.policy->wants_events)
		return;
	if (is_locked)
		(void)pthread_mutex_lock(&e->policy_lock);
	what(e->policy, pg);
	if (is_locked)
		(void)pthread_mutex_unlock(&e->policy_lock);
}

void far_evictor_page_in(struct far_evictor *e, far_pgno_t pg)
{
	tell(e, e->attr.policy->page_in, pg);
}

void far_evictor_page_out(struct far_evictor *e, far_pgno_t pg)
{
	tell(e, e->attr.policy->page_out, pg);
}

/* --- the pipeline of one worker --- */

static bool is_idle(const struct worker *w)
{
	return w->head == w->tail;
}

static bool is_full(const struct worker *w)
{
	return w->head - w->tail == FAR_EVICT_BATCHES;
}

/* Builds one batch; false if no victim was found. */
static bool build(struct worker *w, uint64_t want)
{
	struct far_evictor *e = w->e;
	unsigned batch = w->head % FAR_EVICT_BATCHES;
	unsigned n = pick(w, want);

	if (!n)
		return false;
	n = e->attr.ops->begin(e->attr.host, w->index, batch, w->pgs, n);
	if (!n)
		return false;
	w->nr_taken[batch] = n;
	atomic_fetch_add(&e->in_flight, n);
	w->head++;
	return true;
}

/* Ends the oldest batches; waits for the first if @wait_ns. */
static void reap(struct worker *w, uint64_t wait_ns)
{
	struct far_evictor *e = w->e;

	while (!is_idle(w)) {
		unsigned batch = w->tail % FAR_EVICT_BATCHES;

		if (!e->attr.ops->reap(e->attr.host, w->index, batch, wait_ns))
			return;
		atomic_fetch_sub(&e->in_flight, w->nr_taken[batch]);
		w->tail++;
		wait_ns = 0;
	}
	w->head = w->tail = 0; /* the same staging pages again, and warm */
}

static void drain(struct worker *w)
{
	while (!is_idle(w))
		reap(w, REAP_NS);
}

static void stir(struct far_evictor *e)
{
	atomic_fetch_add(&e->stirred, 1);
	far_futex_wake(&e->stirred, INT32_MAX);
}

/* The first worker always works, and looks whether that is enough. */
static void lead(struct far_evictor *e)
{
	const struct far_evict_host_ops *ops = e->attr.ops;

	if (e->attr.nr_threads > 1 &&
	    team_look(&e->team, ops->is_waiting(e->attr.host), far_now_ns()))
		stir(e);
}

static bool is_resting(const struct worker *w)
{
	return w->index >= team_nr(&w->e->team);
}

/* Until it is called: pressure does not wake it. */
static void rest(struct worker *w)
{
	struct far_evictor *e = w->e;
	uint32_t seen;

	drain(w);
	/* Pairs with stir(): what it looks at is changed before. */
	seen = atomic_load(&e->stirred);
	if (is_resting(w) && !atomic_load(&e->pauses) &&
	    !atomic_load(&e->is_stopping))
		far_futex_wait(&e->stirred, seen, REST_NS);
}

static void park(struct worker *w)
{
	struct far_evictor *e = w->e;
	uint32_t seen;

	drain(w);
	atomic_fetch_add(&e->nr_parked, 1);
	far_futex_wake(&e->nr_parked, INT32_MAX);
	for (;;) {
		seen = atomic_load(&e->resumed);
		if (!atomic_load(&e->pauses) || atomic_load(&e->is_stopping))
			break;
		far_futex_wait(&e->resumed, seen, IDLE_NS);
	}
	atomic_fetch_sub(&e->nr_parked, 1);
}

static void turn(struct worker *w)
{
	struct far_evictor *e = w->e;
	const struct far_evict_host_ops *ops = e->attr.ops;
	uint64_t want = ops->shortage(e->attr.host, atomic_load(&e->in_flight));
	bool built = false, is_wanted = want || has_cold(e);

	if (is_wanted && !is_full(w))
		built = build(w, want);
	/* Wait only for what cannot be overlapped with building. */
	reap(w, built && !is_full(w) ? 0 : REAP_NS);
	if (!is_wanted && is_idle(w))
		ops->wait(e->attr.host, w->index, IDLE_NS);
	else if (!built && is_idle(w))
		ops->wait(e->attr.host, w->index, NOTHING_FOUND_NS);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct far_evictor *e = w->e;

	bool is_up = e->attr.ops->thread_begin(e->attr.host, w->index) == 0;

	while (!atomic_load(&e->is_stopping)) {
		if (w->index == 0)
			lead(e);
		if (atomic_load(&e->pauses))
			park(w);
		else if (is_resting(w))
			rest(w);
		else if (is_up)
			turn(w);
		else /* the host has said why; keep the roll call right */
			e->attr.ops->wait(e->attr.host, w->index, IDLE_NS);
	}
	drain(w);
	if (is_up)
		e->attr.ops->thread_end(e->attr.host, w->index);
	return NULL;
}

int far_evictor_start(struct far_evictor *e)
{
	atomic_store(&e->is_stopping, 0);
	team_init(&e->team, e->attr.nr_threads);
	for (unsigned i = 0; i < e->attr.nr_threads; i++) {
		struct worker *w = &e->workers[i];
		int r = e->attr.ops->thread_create(&w->thread, worker_main, w);

		if (r < 0) {
			if (i)
				break; /* fewer than asked for will do */
			return r;
		}
		w->is_started = true;
	}
	return 0;
}

void far_evictor_stop(struct far_evictor *e)
{
	atomic_store(&e->is_stopping, 1);
	atomic_fetch_add(&e->resumed, 1);
	far_futex_wake(&e->resumed, INT32_MAX);
	stir(e);
	e->attr.ops->kick(e->attr.host);
	for (unsigned i = 0; i < MAX_THREADS; i++) {
		struct worker *w = &e->workers[i];

		if (w->is_started)
			(void)pthread_join(w->thread, NULL);
		w->is_started = false;
	}
}

unsigned far_evictor_working(const struct far_evictor *e)
{
	return team_nr(&e->team);
}

void far_evictor_pause(struct far_evictor *e)
{
	unsigned nr = 0;
	uint32_t seen;

	for (unsigned i = 0; i < MAX_THREADS; i++)
		nr += e->workers[i].is_started;
	atomic_fetch_add(&e->pauses, 1);
	stir(e);
	e->attr.ops->kick(e->attr.host);
	while ((seen = atomic_load(&e->nr_parked)) < nr)
		far_futex_wait(&e->nr_parked, seen, REAP_NS);
}

void far_evictor_resume(struct far_evictor *e)
{
	atomic_fetch_sub(&e->pauses, 1);
	atomic_fetch_add(&e->resumed, 1);
	far_futex_wake(&e->resumed, INT32_MAX);
}

int far_evictor_forked(struct far_evictor *e)
{
	for (unsigned i = 0; i < MAX_THREADS; i++) {
		e->workers[i].is_started = false;
		e->workers[i].head = e->workers[i].tail = 0;
	}
	e->cold_head = e->cold_tail = 0;
	atomic_store(&e->in_flight, 0);
	atomic_store(&e->pauses, 0);
	atomic_store(&e->nr_parked, 0);
	(void)pthread_mutex_init(&e->policy_lock, NULL);
	(void)pthread_mutex_init(&e->cold_lock, NULL);
	/* A monitor of the parent may have been changing it. */
	far_near_unmap(e->policy_mem, e->policy_len);
	e->policy_mem = NULL;
	if (far_near_map(e->policy_len, &e->policy_mem) < 0)
		return -ENOMEM;
	return e->attr.policy->init(e->policy_mem, e->attr.max_pages,
				    &e->policy);
}
