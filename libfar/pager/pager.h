/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of struct far_pager, shared by the files of this folder.
 *
 * Threads: application threads call api.c; far-ctl (control.c) opens the
 * backend and everything else that may block, and owns a descriptor table of
 * its own which the other pager threads share; far-fault/N (fault.c) serve
 * faults, watched by far-guard (yield.c); far-evict/N (evictor/evictor.c,
 * through writeback.c) take pages out.
 *
 * Locks, by rank: registry (fork.c) < control < request.  Everything about
 * pages is in their words (page.h).
 */
#ifndef LIBFAR_PAGER_PAGER_H
#define LIBFAR_PAGER_PAGER_H

#include <pthread.h>
#include <stdatomic.h>

#include <far/evict.h>
#include <far/far.h>

#include "evictor/evictor.h"
#include "libfar/backend/backend.h"
#include "libfar/base/log.h"
#include "libfar/base/options.h"
#include "libfar/base/stats.h"
#include "libfar/pager/budget.h"
#include "libfar/pager/fetch.h"
#include "libfar/pager/hook.h"
#include "libfar/pager/inline.h"
#include "libfar/pager/logger.h"
#include "libfar/pager/page.h"
#include "libfar/pager/placement.h"
#include "libfar/pager/predict.h"
#include "libfar/pager/range.h"
#include "libfar/pager/recorder.h"
#include "libfar/pager/replay.h"
#include "libfar/pager/reserve.h"
#include "libfar/pager/serve.h"
#include "libfar/pager/service.h"
#include "libfar/pager/slots.h"
#include "libfar/pager/space.h"
#include "libfar/pager/trace.h"
#include "libfar/pager/yield.h"

#define FAR_MAX_MONITORS 16
#define FAR_MAX_EVICTORS 16
_Static_assert(FAR_MAX_EVICTORS < FAR_TAKERS, "far-ctl is one, too");
#define FAR_LIMIT_MIN_PAGES 4096 /* 16 MiB */
#define FAR_RESERVE_BYTES (UINT64_C(64) << 20)
#define FAR_PREFETCH_RING 256
#define FAR_LOST_RING 64
/* Stated parts of the limit that nothing is charged to: stacks and queues;
 * the batches of each evictor. */
#define FAR_OVERHEAD_FIXED (UINT64_C(768) << 10)
#define FAR_OVERHEAD_EVICTOR (UINT64_C(256) << 10)

struct far_monitor {
	struct far_server server;
	struct far_placement place;
	struct far_yield yield;
	pthread_t thread;
	unsigned index;
	unsigned spin_misses, spin_skips;
	int epfd;	  /* -1: waits in the read itself */
	int queue_fd;	  /* in epfd; negative: answers come at once */
	bool is_blocking; /* the userfaultfd is, just now */
	bool is_started;
};

/* Work that another thread asks of far-ctl, and waits for. */
enum far_request_kind {
	FAR_REQ_NONE,
	FAR_REQ_RESERVE, /* arg: slots that must be granted */
	FAR_REQ_ARM,
	FAR_REQ_REARM, /* in a forked child */
	FAR_REQ_FLUSH, /* start, nr */
	FAR_REQ_CLONE,
	FAR_REQ_WAKE,	/* start, nr: let waiters try again */
	FAR_REQ_HEAL,	/* start: was LOST, is ABSENT */
	FAR_REQ_INLINE, /* arg: descriptor in the program's table */
	FAR_REQ_KIND,	/* start, nr: whole chunks; arg: 1 inline, 0 monitors */
	FAR_REQ_INSTALL, /* start: page; arg: its content, or 0 to lift its
			  * protection; nr: protected */
	FAR_REQ_STOP,
};

struct far_request {
	enum far_request_kind kind;
	uint64_t arg;
	far_pgno_t start, nr;
	_Atomic uint32_t is_done; /* futex */
	int result;
	struct far_request *next;
};

enum far_pager_state {
	FAR_PAGER_IDLE,	  /* no threads, nothing opened */
	FAR_PAGER_READY,  /* threads, userfaultfd and backend are there */
	FAR_PAGER_ARMED,  /* faults are intercepted */
	FAR_PAGER_FAILED, /* could not start: nothing may exceed the limit */
};

struct far_lost {
	far_pgno_t pg;
	int err;
};

struct far_pager {
	struct far_config cfg;
	struct far_log log; /* to logger, and that to the program */
	struct far_logger logger;
	uint64_t on_loss_ns;
	bool is_preload; /* the program does not know which memory is far */
	struct far_backend *be;
	struct far_budget budget;
	struct far_space space;
	struct far_slots slots;
	struct far_ranges ranges;
	_Atomic far_word_t *words;	 /* one per page of the address range */
	struct far_history *history;	 /* likewise; NULL in release builds */
	struct far_trace *_Atomic trace; /* far-ctl sets it; or NULL */
	struct far_replay *_Atomic replay; /* likewise */
	char *base;
	far_pgno_t max_pages;
	_Atomic uint64_t overhead_pages; /* charged for staging and metadata */

	pthread_mutex_t control; /* map, unmap, limit, state changes */
	_Atomic uint32_t state;	 /* enum far_pager_state; under control */
	int start_error;	 /* why FAILED */

	pthread_t ctl;
	_Atomic uint32_t ctl_kick; /* futex: far-ctl should look */
	_Atomic uint32_t ctl_up;   /* futex: 1 running, 2 failed, 3 ended */
	pthread_mutex_t request_lock;
	struct far_request *requests; /* under request_lock */
	struct far_fetcher *ctl_fetch;
	int stop_fd; /* eventfd: monitors leave */
	_Atomic uint32_t stopping;

	struct far_monitor *monitors;
	unsigned nr_monitors;
	struct far_inline_server *inline_servers; /* NULL: there are none */
	bool has_inline; /* some memory is served inline, or was; a forked
			  * child opens again what that takes */
	struct far_yield_guard guard; /* of their standing back */
	_Atomic int home_cpu; /* where the program and its monitor run, if that
			       * is one core, else -1; the monitor writes */
	struct far_reserve reserve;
	struct far_evictor *evictor;
	struct far_evict_host *evict_host;
	struct far_evict_wb *wb; /* one per evictor thread */
	/* faults wait for frames of a shared budget: since when, and freed at
	 * the last look; until when we give although others hold more */
	_Atomic uint64_t waiting_ns, giving_until_ns;
	_Atomic uint32_t waiting_freed;

	struct far_stat_shard *shards; /* monitors, evictors, ctl, app */
	_Atomic unsigned nr_shards;    /* in use: the inline ones come last */
	pthread_mutex_t stat_lock;     /* writers of stat_page */
	struct far_stat_page *stat_page;
	char stat_path[128];
	_Atomic uint64_t nr_pinned;
	_Atomic uint32_t has_patterns; /* some were advised, ever */
	_Atomic uint64_t forks;
	_Atomic uint64_t deliver_ns; /* monitors_time(), once it is known */
	_Atomic uint64_t inline_ns;  /* probe_inline(), likewise */
	_Atomic uint32_t service;    /* enum far_service; under control */

	/* ranges to fetch ahead; any thread pushes, far-ctl pops */
	pthread_mutex_t prefetch_lock;
	struct {
		far_pgno_t start, nr;
	} prefetch[FAR_PREFETCH_RING];
	uint32_t prefetch_head, prefetch_tail;

	pthread_mutex_t lost_lock; /* the ring below; short, fault path only
				    * when a page is lost */
	/* pages nobody has; monitors push, far-ctl logs and poisons */
	_Atomic int write_error;   /* of the last write that failed; far-ctl
				    * logs it and sets it to 0 */
	uint64_t write_error_ns;   /* when it logged one; far-ctl only */
	uint64_t gone_seen;	   /* gone_pages; far-ctl only */
	_Atomic uint32_t has_lost; /* some word is LOST */
	_Atomic uint32_t nr_lost;
	_Atomic uint32_t lost_seen;
	_Atomic uint32_t nr_unsaid; /* lost, but the ring was full */
	struct far_lost lost[FAR_LOST_RING];

	/* fork (fork.c); written by prepare, read by the child */
	struct far_clone clone;
	int clone_error;
	_Atomic uint32_t is_forking;  /* evictors stand still */
	_Atomic uint64_t words_pages; /* charged for page words */
	struct far_pager *next;	      /* registry */
};

static inline char *pager_addr(const struct far_pager *p, far_pgno_t pg)
{
	return p->base + ((size_t)pg << FAR_PAGE_SHIFT);
}

/** pager_page() - the page that holds @addr, which is in the range */
static inline far_pgno_t pager_page(const struct far_pager *p, const void *addr)
{
	return (far_pgno_t)(((uintptr_t)addr - (uintptr_t)p->base) >>
			    FAR_PAGE_SHIFT);
}

static inline bool pager_is_armed(const struct far_pager *p)
{
	return atomic_load(&p->state) == FAR_PAGER_ARMED;
}

/** pager_reserve_pages() - frames that evictors keep free for faults */
static inline int64_t pager_reserve_pages(const struct far_pager *p)
{
	uint64_t limit = atomic_load_explicit(&p->budget.sh->limit_pages,
					      memory_order_relaxed);

	return reserve_pages(&p->reserve, limit, p->cfg.batch);
}

/* Shards: one per pager thread, one for application threads (shared: it counts
 * with atomic additions), one per inline server. */
#define FAR_NR_THREAD_SHARDS (FAR_MAX_MONITORS + FAR_MAX_EVICTORS + 2)
#define FAR_NR_SHARDS (FAR_NR_THREAD_SHARDS + FAR_INLINE_SERVERS)

static inline struct far_stat_shard *pager_shard_monitor(struct far_pager *p,
							 unsigned i)
{
	return &p->shards[i];
}

static inline struct far_stat_shard *pager_shard_evictor(struct far_pager *p,
							 unsigned i)
{
	return &p->shards[FAR_MAX_MONITORS + i];
}

static inline struct far_stat_shard *pager_shard_ctl(struct far_pager *p)
{
	return &p->shards[FAR_MAX_MONITORS + FAR_MAX_EVICTORS];
}

static inline struct far_stat_shard *pager_shard_app(struct far_pager *p)
{
	return &p->shards[FAR_MAX_MONITORS + FAR_MAX_EVICTORS + 1];
}

static inline struct far_stat_shard *pager_shard_inline(struct far_pager *p,
							unsigned i)
{
	return &p->shards[FAR_NR_THREAD_SHARDS + i];
}

/** wake_parked() - if @w says so, let the waiters of @pg look again; pager
 * threads only */
static inline void wake_parked(struct far_pager *p, far_word_t w, far_pgno_t pg)
{
	if (w & FAR_WORD_PARKED)
		pager_wake(p, pg);
}

/* --- control.c: the far-ctl thread --- */

/** pager_by_cores() - threads of a kind that this machine has a use for: one
 * for every four cores, up to four */
unsigned pager_by_cores(void);

/** pager_overhead_pages() - what starting will charge: staging, fetch buffers
 * and fixed costs; page words are charged by use */
uint64_t pager_overhead_pages(struct far_pager *p);

/** pager_charge() - charge @pages to the budget; waits a little for others, or
 * our evictors, to make room, then does it all the same; not in a handler */
void pager_charge(struct far_pager *p, uint64_t pages);

/** pager_start() - IDLE to READY; under control; 0 or -errno (logged) */
int pager_start(struct far_pager *p);

/** pager_arm() - READY to ARMED; under control */
int pager_arm(struct far_pager *p);

/** pager_stop() - end all threads, close the backend; under control */
void pager_stop(struct far_pager *p);

/** pager_request() - have far-ctl do @req and wait for it */
int pager_request(struct far_pager *p, struct far_request *req);

/** pager_serve_urgent() - do what owners of pages wait for; far-ctl, while it
 * waits for a page */
void pager_serve_urgent(struct far_pager *p);

/** pager_kick() - have far-ctl look at its rings now */
void pager_kick(struct far_pager *p);

/** pager_prefetch() - ask for [start, start + nr); drops if busy */
void pager_prefetch(struct far_pager *p, far_pgno_t start, far_pgno_t nr);

/** pager_lost() - page @pg, FETCHING, can be had nowhere */
void pager_lost(struct far_pager *p, far_pgno_t pg, int err);

/* --- statpage.c: the file that far-stat(1) reads --- */

/** stat_page_open(), stat_page_write(), stat_page_close() - any thread */
void stat_page_open(struct far_pager *p);
void stat_page_write(struct far_pager *p);
void stat_page_close(struct far_pager *p);

/** pager_thread() - create a marked, named thread with near stack and TLS */
int pager_thread(pthread_t *ret_thread, void *(*fn)(void *), void *arg);

/** pager_thread_begin() - first thing on such a thread */
void pager_thread_begin(const char *name, unsigned index);

/** pager_is_own_thread() - runs in the pager's descriptor table */
bool pager_is_own_thread(void);

/** pager_thread_is_programs() - this one does not */
void pager_thread_is_programs(void);

/* --- fault.c: far-fault threads --- */

int monitors_start(struct far_pager *p);

/** monitors_time() - what it takes a fault of this thread to reach a monitor,
 * which has nothing to fetch, and to be answered: the median of some, ns; not
 * on a monitor */
uint64_t monitors_time(struct far_pager *p);
void monitors_stop(struct far_pager *p);

/* --- writeback.c: the hands the evictor borrows --- */

int writeback_init(struct far_pager *p);
void writeback_fini(struct far_pager *p);

/* --- flush.c --- */

/** writeback_flush() - far_flush() on far-ctl; 0 or first -errno */
int writeback_flush(struct far_pager *p, struct far_queue *q,
		    struct far_stat_shard *stats, far_pgno_t start,
		    far_pgno_t nr);

/* --- api.c --- */

/** pager_discard() - [start, start + nr) reads as zeros from now on */
void pager_discard(struct far_pager *p, far_pgno_t start, far_pgno_t nr);

/** pager_stats() - fill in @st and, unless NULL, what fault_octaves of the
 * statistics page holds; any thread */
void pager_stats(struct far_pager *p, struct far_stats *st,
		 uint64_t *ret_octaves);

/* --- fork.c --- */

/** fork_register() - @p takes part in forks from now on */
void fork_register(struct far_pager *p);
void fork_unregister(struct far_pager *p);

#endif
