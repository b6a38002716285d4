/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public functions: application threads come in here.
 */
#include <far/far.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/pager/pager.h"
#include "libfar/pager/preload.h"

#define DISCARD_MAX 1024 /* pages in one madvise(2) */
#define BATCH_PART 128	 /* of the limit */
#define BATCH_MIN 32
#define EVICTOR_PAGES 65536 /* 256 MiB of the limit, one evictor by default */

const char *far_version(void)
{
	return FAR_VERSION_STRING;
}

/* --- open and close --- */

static uint64_t choose_va(const struct far_config *cfg)
{
	uint64_t ram;

	if (cfg->va)
		return far_round_up(cfg->va, FAR_PAGE_SIZE);
	ram = (uint64_t)sysconf(_SC_PHYS_PAGES) << FAR_PAGE_SHIFT;
	return far_max_u64(16 * far_round_up(ram, UINT64_C(1) << 30),
			   UINT64_C(64) << 30);
}

/* As much address space as can be had, but room for the limit twice. */
static int reserve_va(struct far_pager *p)
{
	uint64_t va = choose_va(&p->cfg);
	int r;

	va = far_min_u64(va, (uint64_t)UINT32_MAX << FAR_PAGE_SHIFT);
	while ((r = space_reserve(&p->space, va)) == -ENOMEM && !p->cfg.va &&
	       va / 2 > 2 * p->cfg.local)
		va /= 2;
	if (r < 0) {
		far_log(&p->log, FAR_LOG_ERR,
			"cannot reserve %llu MiB of address space: %s; fix: "
			"raise ulimit -v, or set va= to less",
			(unsigned long long)(va >> 20), strerrordesc_np(-r));
		return r;
	}
	p->base = p->space.base;
	p->max_pages = (far_pgno_t)(va >> FAR_PAGE_SHIFT);
	return 0;
}

/* What is on its way out, and the frames kept free for that, is to be a small
 * part of the limit. */
static void limit_batch(struct far_pager *p)
{
	uint64_t limit = atomic_load(&p->budget.sh->limit_pages);

	p->cfg.batch = far_min_u64(p->cfg.batch,
				   far_max_u64(limit / BATCH_PART, BATCH_MIN));
}

/* Each has staging pages, and may take a batch: a small part of the limit. */
static void choose_evictors(struct far_pager *p)
{
	uint64_t part = atomic_load(&p->budget.sh->limit_pages) / EVICTOR_PAGES;

	if (!p->cfg.evictors)
		p->cfg.evictors =
			far_max_u64(1, far_min_u64(part, pager_by_cores()));
}

static int init_parts(struct far_pager *p)
{
	void *mem;
	int r;

	r = reserve_va(p);
	if (r < 0)
		return r;
	r = far_near_map(p->max_pages * sizeof(*p->words), &mem);
	if (r < 0)
		return r;
	p->words = mem;
	if (FAR_HAS_RECORDER) {
		r = far_near_map(p->max_pages * sizeof(*p->history), &mem);
		p->history = r == 0 ? mem : NULL; /* or without */
	}
	r = far_near_map(FAR_NR_SHARDS * sizeof(*p->shards), &mem);
	if (r < 0)
		return r;
	p->shards = mem;
	p->nr_shards = FAR_NR_THREAD_SHARDS;
	r = far_ranges_init(&p->ranges, p->max_pages, (uintptr_t)p->base);
	if (r < 0)
		return r;
	r = far_budget_open(&p->budget, p->cfg.budget,
			    p->cfg.local >> FAR_PAGE_SHIFT);
	if (r < 0) {
		far_log(&p->log, FAR_LOG_ERR, "cannot join budget '%s': %s",
			p->cfg.budget, strerrordesc_np(-r));
		return r;
	}
	limit_batch(p);
	choose_evictors(p);
	return writeback_init(p);
}

static void destroy(struct far_pager *p)
{
	inline_close(p);
	stat_page_close(p);
	writeback_fini(p);
	replay_fini(p);
	far_budget_close(&p->budget);
	far_slots_fini(&p->slots);
	if (p->ranges.r)
		far_ranges_fini(&p->ranges);
	far_near_unmap((void *)(uintptr_t)p->words,
		       p->max_pages * sizeof(*p->words));
	far_near_unmap(p->history, p->max_pages * sizeof(*p->history));
	far_near_unmap(p->shards, FAR_NR_SHARDS * sizeof(*p->shards));
	space_release(&p->space);
	far_near_unmap(p, sizeof(*p));
}

static int configure(struct far_pager *p, const char *conf)
{
	int r;

	far_config_defaults(&p->cfg);
	r = far_config_parse(&p->cfg, conf ? conf : "", far_log_relay, &p->log);
	if (r < 0)
		return r;
	p->log.level = (enum far_log_level)p->cfg.log;
	r = far_on_loss_ns(p->cfg.on_loss, &p->on_loss_ns);
	if (r < 0) {
		far_log(&p->log, FAR_LOG_ERR,
			"on_loss=%s: not understood; fix: wait:TIME, such as "
			"wait:30s",
			p->cfg.on_loss);
		return r;
	}
	return far_backend_check(p->cfg.far, far_log_relay, &p->log);
}

/* A pager with nothing opened and no threads. */
static int create(const char *conf, const struct far_open_attr *attr,
		  bool is_preload, struct far_pager **ret_pager)
{
	struct far_pager *p;
	void *mem;
	int r;

	if (sysconf(_SC_PAGESIZE) != (long)FAR_PAGE_SIZE)
		return -ENOTSUP;
	r = far_near_map(sizeof(*p), &mem);
	if (r < 0)
		return r;
	p = mem;
	p->is_preload = is_preload;
	p->stop_fd = p->space.fd = -1;
	p->space.inline_fd = -1;
	p->space.program_fd = -1;
	p->space.pagemap_fd = p->space.lost_fd = -1;
	(void)pthread_mutex_init(&p->control, NULL);
	(void)pthread_mutex_init(&p->request_lock, NULL);
	(void)pthread_mutex_init(&p->prefetch_lock, NULL);
	(void)pthread_mutex_init(&p->stat_lock, NULL);
	(void)pthread_mutex_init(&p->lost_lock, NULL);
	logger_init(&p->logger, attr ? attr->log : NULL,
		    attr ? attr->log_ctx : NULL);
	far_log_init(&p->log, logger_log, &p->logger, FAR_LOG_WARN);
	r = configure(p, conf);
	if (r == 0)
		r = init_parts(p);
	if (r < 0) {
		destroy(p);
		return r;
	}
	stat_page_open(p);
	stat_page_write(p);
	fork_register(p);
	*ret_pager = p;
	return 0;
}

int far_preload_open(const char *conf, struct far_pager **ret_pager)
{
	return create(conf, NULL, true, ret_pager);
}

int far_open(const char *conf, const struct far_open_attr *attr,
	     struct far_pager **ret_pager)
{
	struct far_pager *p;
	int r;

	if (attr && attr->size < sizeof(*attr))
		return -EINVAL;
	r = create(conf, attr, false, &p);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&p->control);
	r = pager_start(p);
	if (r == 0 && !p->cfg.lazy)
		r = pager_arm(p);
	(void)pthread_mutex_unlock(&p->control);
	if (r < 0) {
		far_close(p);
		return r;
	}
	*ret_pager = p;
	return 0;
}

void far_close(struct far_pager *pager)
{
	if (!pager)
		return;
	fork_unregister(pager);
	(void)pthread_mutex_lock(&pager->control);
	pager_stop(pager);
	(void)pthread_mutex_unlock(&pager->control);
	destroy(pager);
}

void far_preload_exit(struct far_pager *pager)
{
	trace_flush(pager);
	stat_page_write(pager);
	/* `far run` reads the page after the end, and removes it. */
	if (!pager->cfg.budget[0])
		stat_page_close(pager);
}

bool far_pager_contains(const struct far_pager *pager, const void *addr)
{
	return (uintptr_t)addr - (uintptr_t)pager->base < pager->space.len;
}

/* --- map and unmap --- */

/* Page words that @nr more mapped pages take at the most, beyond what is
 * charged. */
static int64_t more_words(const struct far_pager *p, far_pgno_t nr)
{
	uint64_t top = (uint64_t)atomic_load(&p->ranges.top) + nr;
	uint64_t pages =
		far_round_up(top * sizeof(far_word_t), FAR_PAGE_SIZE) >>
		FAR_PAGE_SHIFT;

	return pages > p->words_pages ? (int64_t)(pages - p->words_pages) : 0;
}

/* One frame for page words; evictors make room, faults compete for it. */
static void charge_word_page(struct far_pager *p)
{
	uint64_t t0 = far_now_ns();
	struct far_budget *b = &p->budget;

	atomic_fetch_add(&b->sh->waiters, 1);
	for (;;) {
		uint32_t seen = atomic_load(&b->sh->freed);

		if (far_budget_try(b, 1))
			break;
		if (!pager_is_armed(p) || far_now_ns() - t0 > p->on_loss_ns) {
			far_budget_force(b, 1);
			break;
		}
		far_budget_press(b);
		far_budget_wait(b, seen, FAR_NS_PER_MS);
	}
	atomic_fetch_sub(&b->sh->waiters, 1);
	p->words_pages++;
}

static void charge_words(struct far_pager *p)
{
	for (int64_t n = more_words(p, 0); n > 0; n--)
		charge_word_page(p);
}

/* Threads and backend are there, or why they are not; under control. */
static int need_started(struct far_pager *p)
{
	switch (atomic_load(&p->state)) {
	case FAR_PAGER_IDLE:
		return pager_start(p);
	case FAR_PAGER_FAILED:
		return p->start_error;
	default:
		return 0;
	}
}

/* Charges @nr pages if that leaves @spare; else once more without what
 * processes hold that have ended. */
static bool fits(struct far_pager *p, far_pgno_t nr, int64_t spare)
{
	struct far_budget *b = &p->budget;

	do {
		if (far_budget_free(b) >= (int64_t)nr + spare &&
		    far_budget_try(b, nr))
			return true;
	} while (far_budget_sweep(b) > 0);
	return false;
}

/*
 * Room for @nr more pages: all local while they fit (charged as if touched),
 * else intercepted and backed.  Under control.
 */
static int make_room(struct far_pager *p, far_pgno_t nr)
{
	struct far_request req = {.kind = FAR_REQ_RESERVE};
	uint32_t s = atomic_load(&p->state);
	int64_t spare;
	int r = 0;

	/* Leave room for what arming will take. */
	spare = more_words(p, nr);
	if (!p->overhead_pages)
		spare += (int64_t)pager_overhead_pages(p);
	if (s < FAR_PAGER_ARMED && fits(p, nr, spare))
		return 0;
	r = need_started(p);
	if (r < 0)
		return r;
	req.arg = atomic_load(&p->ranges.mapped_pages) + nr;
	r = pager_request(p, &req);
	if (r == 0 && s != FAR_PAGER_ARMED)
		r = pager_arm(p);
	return r;
}

/* Pages of the range that were lost, or touched while they were unmapped. */
static void clear_lost(struct far_pager *p, far_pgno_t start, far_pgno_t nr)
{
	if (!atomic_load(&p->has_lost))
		return;
	for (far_pgno_t pg = start; pg < start + nr; pg++)
		if (word_state(far_page_load(&p->words[pg])) == FAR_PAGE_LOST)
			pager_discard(p, pg, 1);
}

/* Faults of this mapping can be, and are to be, served inline. */
static int choose_inline(struct far_pager *p, bool *ret_inline)
{
	int r;

	*ret_inline = false;
	if (p->cfg.fault == FAR_FAULT_MONITOR) {
		atomic_store(&p->service, FAR_SERVICE_OPTION);
		return 0;
	}
	r = need_started(p);
	if (r == 0)
		r = inline_open(p);
	*ret_inline = r == 0;
	if (p->cfg.fault == FAR_FAULT_AUTO && r == -ENOTSUP)
		return 0;
	if (r == -ENOTSUP)
		far_log(&p->log, FAR_LOG_ERR,
			"fault=inline: '%s' may not be called from a signal "
			"handler, or the kernel has none for faults; fix: "
			"fault=auto, or far=mem: or lz4:, and Linux 5.10",
			p->cfg.far);
	return r;
}

/* The inside of far_map(); under control. */
static int map_pages(struct far_pager *p, far_pgno_t nr, far_pgno_t align,
		     bool is_inline, far_pgno_t *ret_start)
{
	struct far_request req = {.kind = FAR_REQ_KIND, .nr = nr, .arg = 1};
	bool was_armed;
	int r;

	r = make_room(p, nr);
	if (r < 0)
		return r;
	was_armed = pager_is_armed(p);
	r = far_ranges_alloc(&p->ranges, nr, align, ret_start);
	if (r < 0) {
		if (!was_armed)
			far_budget_put(&p->budget, (int64_t)nr);
		return r;
	}
	charge_words(p);
	clear_lost(p, *ret_start, nr);
	if (!is_inline)
		return 0;
	req.start = *ret_start;
	r = pager_request(p, &req);
	if (r < 0 && far_ranges_free(&p->ranges, *ret_start, nr) == 0 &&
	    !was_armed)
		far_budget_put(&p->budget, (int64_t)nr);
	return r;
}

static int map(struct far_pager *p, size_t len, size_t align, bool may_inline,
	       void **ret_addr)
{
	uint64_t pages, al = align ? align : FAR_PAGE_SIZE;
	bool is_inline = false;
	far_pgno_t start;
	int r = 0;

	if (!p || !len || !ret_addr || (al & (al - 1)) || al < FAR_PAGE_SIZE)
		return -EINVAL;
	if (len > SIZE_MAX - FAR_INLINE_CHUNK)
		return -ENOMEM;
	(void)pthread_mutex_lock(&p->control);
	if (may_inline)
		r = choose_inline(p, &is_inline);
	if (is_inline) {
		al = far_max_u64(al, FAR_INLINE_CHUNK);
		len = far_round_up(len, FAR_INLINE_CHUNK);
	}
	pages = (len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT;
	if (r == 0)
		r = pages > p->max_pages
			    ? -ENOMEM
			    : map_pages(p, (far_pgno_t)pages,
					(far_pgno_t)(al >> FAR_PAGE_SHIFT),
					is_inline, &start);
	(void)pthread_mutex_unlock(&p->control);
	if (r < 0)
		return r;
	*ret_addr = pager_addr(p, start);
	return 0;
}

int far_map(struct far_pager *pager, size_t len, size_t align, void **ret_addr)
{
	return map(pager, len, align, false, ret_addr);
}

int far_map_inline(struct far_pager *pager, size_t len, size_t align,
		   void **ret_addr)
{
	return map(pager, len, align, true, ret_addr);
}

static int to_pages(struct far_pager *p, const void *addr, size_t len,
		    far_pgno_t *ret_start, far_pgno_t *ret_nr)
{
	uintptr_t off;

	if (!p)
		return -EINVAL;
	off = (uintptr_t)addr - (uintptr_t)p->base;
	if (!len || (off & FAR_PAGE_MASK) || off >= p->space.len ||
	    len > p->space.len - off)
		return -EINVAL;
	*ret_start = pager_page(p, addr);
	*ret_nr = (far_pgno_t)((len + FAR_PAGE_MASK) >> FAR_PAGE_SHIFT);
	return far_ranges_contains(&p->ranges, *ret_start, *ret_nr) ? 0
								    : -EINVAL;
}

static void set_pattern(struct far_pager *p, far_pgno_t start, far_pgno_t nr,
			far_word_t pattern)
{
	if (pattern)
		atomic_store(&p->has_patterns, 1);
	for (far_pgno_t pg = start; pg < start + nr; pg++) {
		atomic_fetch_and(&p->words[pg], ~FAR_WORD_PATTERN);
		if (pattern)
			atomic_fetch_or(&p->words[pg], pattern);
	}
}

/* The userfaultfd is in the pager threads' descriptor table, not in ours. */
static int ask(struct far_pager *p, enum far_request_kind kind, far_pgno_t pg,
	       far_pgno_t nr)
{
	struct far_request req = {.kind = kind, .start = pg, .nr = nr};

	return pager_request(p, &req);
}

/* Inline memory is mapped, and so unmapped, by the chunk. */
static int whole_chunks(struct far_pager *p, far_pgno_t start, far_pgno_t *nr)
{
	const far_pgno_t chunk = FAR_INLINE_CHUNK >> FAR_PAGE_SHIFT;
	bool is_inline = space_is_inline(&p->space, pager_addr(p, start));
	far_pgno_t last = start + *nr - 1;

	for (far_pgno_t pg = start; pg < last; pg += chunk)
		if (space_is_inline(&p->space, pager_addr(p, pg)) != is_inline)
			return -EINVAL;
	if (space_is_inline(&p->space, pager_addr(p, last)) != is_inline)
		return -EINVAL;
	if (!is_inline)
		return 0;
	*nr = (far_pgno_t)far_round_up(*nr, chunk);
	return (uintptr_t)pager_addr(p, start) % FAR_INLINE_CHUNK ||
			       !far_ranges_contains(&p->ranges, start, *nr)
		       ? -EINVAL
		       : 0;
}

int far_unmap(struct far_pager *pager, void *addr, size_t len)
{
	far_pgno_t start, nr;
	int r = to_pages(pager, addr, len, &start, &nr);

	if (r < 0)
		return r;
	r = whole_chunks(pager, start, &nr);
	if (r < 0)
		return r;
	pager_discard(pager, start, nr);
	if (atomic_load(&pager->has_patterns))
		set_pattern(pager, start, nr, 0);
	(void)pthread_mutex_lock(&pager->control);
	if (space_is_inline(&pager->space, addr))
		r = ask(pager, FAR_REQ_KIND, start, nr);
	if (r == 0)
		r = far_ranges_free(&pager->ranges, start, nr);
	if (r == 0 && !pager_is_armed(pager))
		far_budget_put(&pager->budget, nr);
	(void)pthread_mutex_unlock(&pager->control);
	return r;
}

/* --- discard --- */

/* Claims a resident page for being dropped; false if it is not resident, or
 * its owner was told to drop it. */
static bool discard_claim(struct far_pager *p, far_pgno_t pg)
{
	far_word_t w, to;
	enum far_page_state s;

	do {
		w = far_page_await(&p->words[pg]);
		FAR_HOOK(DISCARD, pager_addr(p, pg));
		s = word_state(w);
		if (s == FAR_PAGE_ABSENT)
			return false;
		if (s == FAR_PAGE_RESIDENT)
			to = word_with_stage(word_with(w, FAR_PAGE_TAKING), 0);
		else if (s == FAR_PAGE_EVICTING)
			to = w | FAR_WORD_DISCARD;
		else
			to = word_with_slot(word_with(w, FAR_PAGE_ABSENT),
					    FAR_SLOT_NONE) &
			     ~FAR_WORD_DIRTY;
	} while (!far_page_cas(&p->words[pg], &w, to));
	if (s == FAR_PAGE_RESIDENT && word_pins(w))
		atomic_fetch_sub(&p->nr_pinned, 1);
	if ((s == FAR_PAGE_REMOTE || s == FAR_PAGE_LOST) &&
	    word_slot(w) != FAR_SLOT_NONE)
		far_slots_put(&p->slots, word_slot(w));
	if (s == FAR_PAGE_LOST)
		(void)ask(p, FAR_REQ_HEAL, pg, 1);
	return s == FAR_PAGE_RESIDENT;
}

/* [start, start + nr) are TAKING by us: drop them, then let faults in. */
static void discard_run(struct far_pager *p, far_pgno_t start, unsigned nr)
{
	bool is_parked = false;

	if (!nr)
		return;
	FAR_HOOK(DISCARD_CLAIMED, pager_addr(p, start));
	(void)madvise(pager_addr(p, start), (size_t)nr << FAR_PAGE_SHIFT,
		      MADV_DONTNEED);
	FAR_HOOK(DISCARD_DROPPED, pager_addr(p, start));
	for (far_pgno_t pg = start; pg < start + nr; pg++) {
		far_word_t w = far_page_load(&p->words[pg]), to;
		uint64_t slot;

		recorder_note(p->history, pg, "discarded", w, nr);

		do {
			/* a slot that is being written is its writer's to
			 * free */
			slot = w & FAR_WORD_IOBUSY ? FAR_SLOT_NONE
						   : word_slot(w);
			to = word_with(w, FAR_PAGE_ABSENT) &
			     (FAR_WORD_STATE | FAR_WORD_STICKY | FAR_SLOT_MASK);
			if (slot != FAR_SLOT_NONE)
				to = word_with_slot(to, FAR_SLOT_NONE);
		} while (!far_page_cas(&p->words[pg], &w, to));
		if (slot != FAR_SLOT_NONE)
			far_slots_put(&p->slots, slot);
		is_parked |= (w & FAR_WORD_PARKED) != 0;
		far_evictor_page_out(p->evictor, pg);
	}
	far_budget_put(&p->budget, nr);
	if (is_parked) /* no page is ours any more: far-ctl may want one */
		(void)ask(p, FAR_REQ_WAKE, start, nr);
}

void pager_discard(struct far_pager *p, far_pgno_t start, far_pgno_t nr)
{
	far_pgno_t run = start, pg;
	unsigned len = 0;

	if (!pager_is_armed(p)) {
		(void)madvise(pager_addr(p, start),
			      (size_t)nr << FAR_PAGE_SHIFT, MADV_DONTNEED);
		if (!pager_is_armed(p))
			return;
		/* armed meanwhile: its pages may have been adopted */
	}
	for (pg = start; pg < start + nr; pg++) {
		if (len == DISCARD_MAX) {
			discard_run(p, run, len);
			len = 0;
		}
		if (discard_claim(p, pg)) {
			if (!len)
				run = pg;
			len++;
			continue;
		}
		discard_run(p, run, len);
		len = 0;
	}
	discard_run(p, run, len);
	atomic_fetch_add(&pager_shard_app(p)->discarded_pages, nr);
}

/* --- advice --- */

static int pin_one(struct far_pager *p, far_pgno_t pg)
{
	const volatile _Atomic char *touch = (const void *)pager_addr(p, pg);
	uint64_t limit = atomic_load(&p->budget.sh->limit_pages);
	uint64_t t0 = far_now_ns();
	far_word_t w = far_page_load(&p->words[pg]);

	/* A page that has a pin already takes nothing more. */
	while (word_state(w) == FAR_PAGE_RESIDENT && word_pins(w) &&
	       word_pins(w) < 0xffff)
		if (far_page_cas(&p->words[pg], &w, w + FAR_PIN_ONE))
			return 0;
	if (atomic_fetch_add(&p->nr_pinned, 1) >= limit / 2) {
		atomic_fetch_sub(&p->nr_pinned, 1);
		return -EDQUOT;
	}
	do {
		/* atomic: others may be writing to it */
		(void)atomic_load_explicit(touch, memory_order_relaxed);
		w = far_page_await(&p->words[pg]);
		FAR_HOOK(PIN, pager_addr(p, pg));
		while (word_state(w) == FAR_PAGE_RESIDENT &&
		       word_pins(w) < 0xffff) {
			if (!far_page_cas(&p->words[pg], &w, w + FAR_PIN_ONE))
				continue;
			if (word_pins(w)) /* counted by its first pin */
				atomic_fetch_sub(&p->nr_pinned, 1);
			return 0;
		}
	} while (far_now_ns() - t0 < p->on_loss_ns + FAR_NS_PER_S);
	atomic_fetch_sub(&p->nr_pinned, 1);
	return -EAGAIN;
}

static void unpin_one(struct far_pager *p, far_pgno_t pg)
{
	far_word_t w;

	do {
		w = far_page_await(&p->words[pg]); /* a flush may have it */
		if (word_state(w) != FAR_PAGE_RESIDENT || !word_pins(w))
			return;
	} while (!far_page_cas(&p->words[pg], &w, w - FAR_PIN_ONE));
	if (word_pins(w) == 1)
		atomic_fetch_sub(&p->nr_pinned, 1);
}

static int pin(struct far_pager *p, far_pgno_t start, far_pgno_t nr)
{
	for (far_pgno_t i = 0; i < nr; i++) {
		int r = pin_one(p, start + i);

		if (r < 0) {
			while (i--)
				unpin_one(p, start + i);
			return r;
		}
	}
	return 0;
}

/* Pins live in page words: they need them to be in use. */
static int need_armed(struct far_pager *p)
{
	int r = 0;

	(void)pthread_mutex_lock(&p->control);
	if (atomic_load(&p->state) == FAR_PAGER_IDLE)
		r = pager_start(p);
	if (r == 0 && atomic_load(&p->state) == FAR_PAGER_READY)
		r = pager_arm(p);
	(void)pthread_mutex_unlock(&p->control);
	return r;
}

int far_advise(struct far_pager *pager, void *addr, size_t len,
	       enum far_advice advice)
{
	far_pgno_t start, nr;
	int r = to_pages(pager, addr, len, &start, &nr);

	if (r < 0)
		return r;
	switch (advice) {
	case FAR_ADV_NORMAL:
		set_pattern(pager, start, nr, 0);
		return 0;
	case FAR_ADV_RANDOM:
		set_pattern(pager, start, nr, FAR_WORD_RANDOM);
		return 0;
	case FAR_ADV_SEQUENTIAL:
		set_pattern(pager, start, nr, FAR_WORD_SEQ);
		return 0;
	case FAR_ADV_GROUP_16K:
		set_pattern(pager, start, nr, FAR_WORD_GROUP | FAR_WORD_SEQ);
		return 0;
	case FAR_ADV_GROUP_64K:
		set_pattern(pager, start, nr, FAR_WORD_GROUP);
		return 0;
	case FAR_ADV_WILLNEED:
		if (pager_is_armed(pager))
			pager_prefetch(pager, start, nr);
		return 0;
	case FAR_ADV_COLD:
		if (pager_is_armed(pager))
			(void)far_evictor_cold(pager->evictor, start, nr);
		return 0;
	case FAR_ADV_PIN:
		r = need_armed(pager);
		return r < 0 ? r : pin(pager, start, nr);
	case FAR_ADV_UNPIN:
		for (far_pgno_t i = 0; i < nr; i++)
			unpin_one(pager, start + i);
		return 0;
	case FAR_ADV_DISCARD:
		pager_discard(pager, start, nr);
		return 0;
	}
	return -EINVAL;
}

int far_flush(struct far_pager *pager, void *addr, size_t len)
{
	struct far_request room = {.kind = FAR_REQ_RESERVE};
	struct far_request req = {.kind = FAR_REQ_FLUSH};
	int r = to_pages(pager, addr, len, &req.start, &req.nr);

	if (r == 0)
		r = need_armed(pager);
	if (r < 0)
		return r;
	/* Not during a fork: slots would change hands under the child. */
	(void)pthread_mutex_lock(&pager->control);
	room.arg = atomic_load(&pager->ranges.mapped_pages);
	r = pager_request(pager, &room);
	if (r == 0)
		r = pager_request(pager, &req);
	(void)pthread_mutex_unlock(&pager->control);
	return r;
}

int far_set_limit(struct far_pager *pager, uint64_t bytes)
{
	uint64_t pages = bytes >> FAR_PAGE_SHIFT;
	int r = 0;

	if (!pager || pages < FAR_LIMIT_MIN_PAGES)
		return -EINVAL;
	(void)pthread_mutex_lock(&pager->control);
	atomic_store(&pager->budget.sh->limit_pages, pages);
	FAR_HOOK(LIMIT, NULL);
	if (!pager_is_armed(pager) && far_budget_free(&pager->budget) < 0) {
		struct far_request req = {.kind = FAR_REQ_RESERVE};

		if (atomic_load(&pager->state) == FAR_PAGER_IDLE)
			r = pager_start(pager);
		req.arg = atomic_load(&pager->ranges.mapped_pages);
		if (r == 0)
			r = pager_request(pager, &req);
		if (r == 0)
			r = pager_arm(pager);
	}
	far_budget_press(&pager->budget);
	(void)pthread_mutex_unlock(&pager->control);
	return r;
}

/* --- statistics --- */

static void fill_gauges(struct far_pager *p, struct far_stats *st)
{
	struct far_budget_shared *sh = p->budget.sh;
	int64_t mine = atomic_load(&p->budget.me->used_pages);
	uint64_t granted = atomic_load(&p->slots.nr_granted);
	int64_t unused = atomic_load(&p->slots.nr_free) +
			 atomic_load(&p->slots.nr_stale);
	uint64_t over = p->overhead_pages + p->words_pages;
	uint64_t mapped = atomic_load(&p->ranges.mapped_pages);

	st->limit_bytes = atomic_load(&sh->limit_pages) << FAR_PAGE_SHIFT;
	st->local_bytes = (uint64_t)(mine > 0 ? mine : 0) << FAR_PAGE_SHIFT;
	st->local_peak_bytes = (uint64_t)atomic_load(&sh->peak_pages)
			       << FAR_PAGE_SHIFT;
	st->overhead_bytes = over << FAR_PAGE_SHIFT;
	st->mapped_bytes = mapped << FAR_PAGE_SHIFT;
	st->store_reserved_bytes = granted << FAR_PAGE_SHIFT;
	st->is_armed = pager_is_armed(p);
	st->remote_bytes = granted > (uint64_t)unused
				   ? (granted - (uint64_t)unused)
					     << FAR_PAGE_SHIFT
				   : 0;
	st->monitor_threads = st->is_armed ? p->nr_monitors : 0;
	st->evictor_threads = st->is_armed ? p->cfg.evictors : 0;
	st->evictors_working =
		st->is_armed ? far_evictor_working(p->evictor) : 0;
	st->forks = atomic_load(&p->forks);
	st->deliver_ns = atomic_load(&p->deliver_ns);
	st->inline_ns = atomic_load(&p->inline_ns);
	st->fault_service = atomic_load(&p->service);
	st->lost_pages = atomic_load(&p->nr_lost) + atomic_load(&p->nr_unsaid);
}

void pager_stats(struct far_pager *p, struct far_stats *st,
		 uint64_t *ret_octaves)
{
	struct far_hist sum;
	struct far_backend_usage usage;

	memset((char *)st + sizeof(st->size), 0,
	       sizeof(*st) - sizeof(st->size));
	memset(&sum, 0, sizeof(sum));
	st->version = FAR_STATS_VERSION;
	for (unsigned i = 0; i < p->nr_shards; i++) {
		far_stats_add(st, &p->shards[i]);
		far_hist_merge(&sum, &p->shards[i].fault_ns);
	}
	fill_gauges(p, st);
	if (ret_octaves)
		far_hist_octaves(&sum, ret_octaves, FAR_STAT_OCTAVES);
	st->fault_p50_ns = far_hist_quantile(&sum, 0.50);
	st->fault_p99_ns = far_hist_quantile(&sum, 0.99);
	st->fault_p999_ns = far_hist_quantile(&sum, 0.999);
	if (p->be && (far_backend_caps(p->be)->flags & FAR_CAP_PRIVATE) &&
	    far_backend_usage(p->be, &usage) == 0)
		st->store_used_bytes = usage.used_bytes;
}

int far_stats_read(struct far_pager *pager, struct far_stats *stats)
{
	struct far_stats st = {.size = sizeof(st)};
	uint64_t size;

	if (!pager || !stats || stats->size < 2 * sizeof(uint64_t))
		return -EINVAL;
	size = far_min_u64(stats->size, sizeof(st));
	pager_stats(pager, &st, NULL);
	st.size = stats->size;
	memcpy(stats, &st, size);
	return 0;
}

int far_stats_json(struct far_pager *pager, char *buf, size_t len)
{
	struct far_stats st = {.size = sizeof(st)};

	if (!pager || (!buf && len))
		return -EINVAL;
	pager_stats(pager, &st, NULL);
	return far_stats_print_json(&st, "", buf, len);
}
