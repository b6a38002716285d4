/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/stress/stress.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfar/pager/pager.h"

#define WORDS (FAR_PAGE_SIZE / sizeof(uint64_t))
#define CHILD_SECONDS 60

void stress_fail(struct stress *s, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (atomic_fetch_add(&s->failures, 1) < 20)
		(void)dprintf(2, "FAILED: %s\n", text);
	atomic_store(&s->stop, true);
}

/* --- pages ------------------------------------------------------------------
 */

static uint64_t word_of(const struct stress *s, const struct chunk *c,
			unsigned pg, uint32_t version, size_t i)
{
	uint64_t id = (uint64_t)(c - s->chunks) * CHUNK_PAGES + pg;

	if (!version)
		return 0;
	/* half of the words repeat: pages compress, but not to nothing */
	return (id << 32 | version) * UINT64_C(0x9e3779b97f4a7c15) + (i / 2);
}

static uint64_t *page_at(const struct chunk *c, unsigned pg)
{
	return (uint64_t *)(void *)(c->mem + (size_t)pg * FAR_PAGE_SIZE);
}

static void page_write(struct stress *s, struct chunk *c, unsigned pg,
		       uint32_t version)
{
	uint64_t *w = page_at(c, pg);

	for (size_t i = 0; i < WORDS; i++)
		w[i] = word_of(s, c, pg, version, i);
	c->version[pg] = version;
}

/* What is known of a page that is wrong; @i: its first wrong word. */
static void page_explain(struct stress *s, const struct chunk *c, unsigned pg,
			 size_t i)
{
	const uint64_t *w = page_at(c, pg);
	far_word_t word =
		far_page_load(&s->pager->words[pager_page(s->pager, w)]);
	unsigned nr_wrong = 0, nr_zero = 0;

	for (size_t k = i; k < WORDS; k++) {
		nr_wrong += w[k] != word_of(s, c, pg, c->version[pg], k);
		nr_zero += w[k] == 0;
	}
	stress_fail(s,
		    "process %d, chunk %zu page %u version %u: %u words wrong, "
		    "%u zero from word %zu on, which is %#llx; page word %#llx",
		    (int)getpid(), (size_t)(c - s->chunks), pg, c->version[pg],
		    nr_wrong, nr_zero, i, (unsigned long long)w[i],
		    (unsigned long long)word);
	recorder_print(s->pager->history, pager_page(s->pager, w), 2);
}

static bool page_check(struct stress *s, struct chunk *c, unsigned pg)
{
	const uint64_t *w = page_at(c, pg);

	for (size_t i = 0; i < WORDS; i++) {
		if (w[i] == word_of(s, c, pg, c->version[pg], i))
			continue;
		page_explain(s, c, pg, i);
		return false;
	}
	return true;
}

unsigned chunk_check(struct stress *s, struct chunk *c)
{
	unsigned wrong = 0;

	for (unsigned pg = 0; c->mem && pg < CHUNK_PAGES; pg++)
		wrong += !page_check(s, c, pg);
	return wrong;
}

/* --- operations on a locked chunk -------------------------------------------
 */

static void op_write(struct worker *w, struct chunk *c)
{
	unsigned first = stress_random(&w->rng, CHUNK_PAGES);
	unsigned nr = 1 + stress_random(&w->rng, CHUNK_PAGES - first);

	for (unsigned pg = first; pg < first + nr; pg++) {
		if (stress_random(&w->rng, 4) == 0 && !page_check(w->s, c, pg))
			return;
		page_write(w->s, c, pg,
			   stress_random(&w->rng, 16) ? (uint32_t)w->rng | 1
						      : 0);
	}
}

static void op_read(struct worker *w, struct chunk *c)
{
	unsigned first = stress_random(&w->rng, CHUNK_PAGES);
	unsigned nr = 1 + stress_random(&w->rng, CHUNK_PAGES - first);

	for (unsigned pg = first; pg < first + nr; pg++)
		if (!page_check(w->s, c, pg))
			return;
}

static void op_discard(struct worker *w, struct chunk *c)
{
	unsigned first = stress_random(&w->rng, CHUNK_PAGES);
	unsigned nr = 1 + stress_random(&w->rng, CHUNK_PAGES - first);
	int r = far_advise(w->s->pager, page_at(c, first), nr * FAR_PAGE_SIZE,
			   FAR_ADV_DISCARD);

	if (r < 0)
		stress_fail(w->s, "discard: %s", strerror(-r));
	memset(&c->version[first], 0, nr * sizeof(c->version[0]));
	/* used again at once, as an allocator would */
	for (unsigned pg = first; pg < first + nr; pg += 3)
		page_write(w->s, c, pg, (uint32_t)w->rng | 1);
}

static void op_advise(struct worker *w, struct chunk *c)
{
	static const enum far_advice advice[] = {
		FAR_ADV_NORMAL,	   FAR_ADV_SEQUENTIAL, FAR_ADV_RANDOM,
		FAR_ADV_WILLNEED,  FAR_ADV_COLD,       FAR_ADV_GROUP_16K,
		FAR_ADV_GROUP_64K,
	};
	unsigned first = stress_random(&w->rng, CHUNK_PAGES);
	unsigned nr = 1 + stress_random(&w->rng, CHUNK_PAGES - first);
	enum far_advice a =
		advice[stress_random(&w->rng, FAR_ARRAY_SIZE(advice))];
	int r = far_advise(w->s->pager, page_at(c, first), nr * FAR_PAGE_SIZE,
			   a);

	if (r < 0)
		stress_fail(w->s, "advice %d: %s", (int)a, strerror(-r));
}

static void unpin(struct worker *w, struct chunk *c)
{
	int r = 0;

	if (c->pinned_pages)
		r = far_advise(w->s->pager, c->mem,
			       c->pinned_pages * FAR_PAGE_SIZE, FAR_ADV_UNPIN);
	if (r < 0)
		stress_fail(w->s, "unpin: %s", strerror(-r));
	c->pinned_pages = 0;
}

static void op_pin(struct worker *w, struct chunk *c)
{
	unsigned nr = 1 + stress_random(&w->rng, 16);
	int r;

	if (c->pinned_pages) {
		unpin(w, c);
		return;
	}
	r = far_advise(w->s->pager, c->mem, nr * FAR_PAGE_SIZE, FAR_ADV_PIN);
	if (r == 0)
		c->pinned_pages = nr;
	else if (r != -EDQUOT)
		stress_fail(w->s, "pin: %s", strerror(-r));
}

static void op_flush(struct worker *w, struct chunk *c)
{
	int r = far_flush(w->s->pager, c->mem,
			  (size_t)CHUNK_PAGES * FAR_PAGE_SIZE);

	if (r < 0)
		stress_fail(w->s, "flush: %s", strerror(-r));
}

static void chunk_map(struct worker *w, struct chunk *c)
{
	void *mem;
	size_t len = (size_t)CHUNK_PAGES * FAR_PAGE_SIZE;
	int r = stress_random(&w->rng, 2)
			? far_map(w->s->pager, len, 0, &mem)
			: far_map_inline(w->s->pager, len, 0, &mem);

	if (r < 0) {
		stress_fail(w->s, "map: %s", strerror(-r));
		return;
	}
	c->mem = mem;
	memset(c->version, 0, sizeof(c->version));
}

static void op_unmap(struct worker *w, struct chunk *c)
{
	int r;

	unpin(w, c);
	r = far_unmap(w->s->pager, c->mem, (size_t)CHUNK_PAGES * FAR_PAGE_SIZE);
	if (r < 0)
		stress_fail(w->s, "unmap: %s", strerror(-r));
	c->mem = NULL;
}

static void op_limit(struct worker *w)
{
	struct stress *s = w->s;
	uint64_t mib = (s->limit_hi - s->limit_lo) >> 20;
	uint64_t to =
		s->limit_lo +
		((uint64_t)stress_random(&w->rng, (uint32_t)mib + 1) << 20);
	int r = far_set_limit(s->pager, to);

	if (r < 0)
		stress_fail(s, "limit %llu: %s", (unsigned long long)to,
			    strerror(-r));
}

/* The child sees the chunk as it was, whatever the parent does meanwhile, and
 * changes a copy of its own. */
static int in_child(struct worker *w, struct chunk *c)
{
	(void)alarm(CHILD_SECONDS);
	if (chunk_check(w->s, c))
		return 1;
	for (unsigned pg = 0; pg < CHUNK_PAGES; pg += 2)
		page_write(w->s, c, pg, 12345);
	return chunk_check(w->s, c) ? 2 : 0;
}

static void op_fork(struct worker *w, struct chunk *c)
{
	pid_t pid = fork();
	int st;

	if (pid == 0)
		_exit(in_child(w, c));
	if (pid < 0) {
		stress_fail(w->s, "fork: %s", strerror(errno));
		return;
	}
	w->s->nr_forks++;
	for (unsigned pg = 0; pg < CHUNK_PAGES; pg++)
		page_write(w->s, c, pg, (uint32_t)w->rng | 1);
	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(st) || WEXITSTATUS(st))
		stress_fail(w->s, "child ended with status %#x", st);
}

static void one_step(struct worker *w)
{
	struct stress *s = w->s;
	struct chunk *c = &s->chunks[stress_random(&w->rng, s->nr_chunks)];
	unsigned what = stress_random(&w->rng, 1000);

	if (pthread_mutex_trylock(&c->lock))
		return;
	if (!c->mem)
		chunk_map(w, c);
	if (!c->mem)
		;
	else if (what < 350)
		op_write(w, c);
	else if (what < 700)
		op_read(w, c);
	else if (what < 800)
		op_discard(w, c);
	else if (what < 900)
		op_advise(w, c);
	else if (what < 930)
		op_pin(w, c);
	else if (what < 940)
		op_flush(w, c);
	else if (what < 980)
		op_unmap(w, c);
	else if (what < 995)
		op_limit(w);
	else if (s->may_fork)
		op_fork(w, c);
	(void)pthread_mutex_unlock(&c->lock);
	s->nr_ops++;
}

void *stress_work(void *arg)
{
	struct worker *w = arg;

	(void)pthread_barrier_wait(&w->s->all_there);
	while (!atomic_load(&w->s->stop))
		one_step(w);
	return NULL;
}
