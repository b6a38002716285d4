/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/inline.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "libfar/base/arena.h"
#include "libfar/base/clock.h"
#include "libfar/base/futex.h"
#include "libfar/base/size.h"
#include "libfar/pager/pager.h"
#include "libfar/pager/probe.h"

#define DEPTH_MIN 8    /* the page of a fault, and some behind it */
#define DEPTH_PART 512 /* of the limit; for all servers a thirty-second */
#define MAX_PAGERS 16
#define FD_FROM 200 /* out of the way of small numbers that programs use */
#define WAIT_NS (1 * FAR_NS_PER_MS)
#define LOG_WAIT_NS (1 * FAR_NS_PER_S)
#define STACK_BYTES ((size_t)64 << 10)

/* Pagers that serve inline, and where: another's may be closed while the
 * handler looks, without a lock, for its own. */
static struct {
	struct far_pager *_Atomic p;
	_Atomic uintptr_t base, len;
} pagers[MAX_PAGERS];
static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before; /* whose handler we replaced; under it */
static bool is_installed;	/* ever; under it */
/* The handler we replaced was set after ours, and may pass on to it what we
 * pass on; this thread does.  TLS that a handler need not allocate. */
static bool may_loop;
static _Thread_local __attribute__((tls_model("initial-exec"))) bool is_passing;

/* --- in the handler --- */

static struct far_pager *pager_of(const char *addr)
{
	for (unsigned i = 0; i < MAX_PAGERS; i++) {
		struct far_pager *p = atomic_load(&pagers[i].p);
		bool is_here = (uintptr_t)addr - atomic_load(&pagers[i].base) <
			       atomic_load(&pagers[i].len);

		if (p && is_here && atomic_load(&pagers[i].p) == p)
			return space_is_inline(&p->space, addr) ? p : NULL;
	}
	return NULL;
}

/* What it fetches ahead needs buffers, which count from then on; if there is
 * no room for them now, it serves what is asked for, and evictors make some. */
static void charge_buffers(struct far_pager *p, struct far_inline_server *v)
{
	struct far_fetcher *f = &v->server.fetch;

	if (far_budget_free(&p->budget) >= (int64_t)f->depth)
		v->is_charged = far_budget_try(&p->budget, f->depth);
	f->max_ahead = v->is_charged ? f->depth / 2 : 0;
	if (!v->is_charged)
		pager_short(p);
}

/* One of the servers; threads that come back find their own, and its caches. */
static struct far_inline_server *acquire(struct far_pager *p)
{
	uintptr_t self = (uintptr_t)pthread_self() >> 12;

	for (unsigned i = 0;; i++) {
		struct far_inline_server *v =
			&p->inline_servers[(self + i) % FAR_INLINE_SERVERS];
		uint32_t idle = 0;

		if (atomic_compare_exchange_strong(&v->is_busy, &idle, 1)) {
			if (FAR_UNLIKELY(!v->is_charged))
				charge_buffers(p, v);
			return v;
		}
		if (i % FAR_INLINE_SERVERS == FAR_INLINE_SERVERS - 1)
			(void)sched_yield();
	}
}

/* What kind of access it was, where the machine says so. */
static void describe(struct far_uffd_msg *msg, const void *context,
		     bool is_resident)
{
#if defined(__x86_64__)
	const ucontext_t *uc = context;
	unsigned long err = (unsigned long)uc->uc_mcontext.gregs[REG_ERR];

	(void)is_resident;
	msg->is_write = (err & 2) != 0;
	msg->kind = err & 1 ? FAR_UFFD_FAULT_WP : FAR_UFFD_FAULT_MISSING;
#else
	(void)context;
	msg->is_write = true; /* at worst a page is written in vain */
	msg->kind = is_resident ? FAR_UFFD_FAULT_WP : FAR_UFFD_FAULT_MISSING;
#endif
}

/* The lower half of a word, with its state and flags, is what they sleep on. */
static _Atomic uint32_t *futex_of(struct far_pager *p, far_pgno_t pg)
{
	return (_Atomic uint32_t *)(uintptr_t)&p->words[pg];
}

void pager_wake(struct far_pager *p, far_pgno_t pg)
{
	if (space_is_inline(&p->space, pager_addr(p, pg)))
		far_futex_wake(futex_of(p, pg), INT32_MAX);
	else
		(void)far_uffd_wake(p->space.fd, pager_addr(p, pg),
				    FAR_PAGE_SIZE);
}

static void await_owner(struct far_pager *p, far_pgno_t pg)
{
	far_word_t w = far_page_load(&p->words[pg]);

	if (w & FAR_WORD_PARKED)
		far_futex_wait(futex_of(p, pg), (uint32_t)w, WAIT_NS);
}

/* No cancellation point: the page must not stay in our hands. */
static void pause_briefly(void)
{
	static _Atomic uint32_t never;

	far_futex_wait(&never, 0, WAIT_NS);
}

/* SIGBUS may be the end: what is to be said first has been said then. */
static void await_log(const struct far_pager *p)
{
	uint64_t t0 = far_now_ns();

	while (atomic_load(&p->lost_seen) != atomic_load(&p->nr_lost) &&
	       far_now_ns() - t0 < LOG_WAIT_NS)
		pause_briefly();
}

/* False: it is a SIGBUS that the program should see. */
static bool serve(struct far_pager *p, const char *addr, const void *context)
{
	far_pgno_t pg = pager_page(p, addr);
	struct far_uffd_msg msg = {.addr = (uintptr_t)addr};
	struct far_inline_server *v;
	struct far_fetcher *f;
	enum far_served r;

	if (!far_ranges_contains(&p->ranges, pg, 1))
		return false;
	v = acquire(p);
	f = &v->server.fetch;
	msg.tid = (uint32_t)((uintptr_t)pthread_self() >> 12);
	describe(&msg, context,
		 word_state(far_page_load(&p->words[pg])) == FAR_PAGE_RESIDENT);
	if (msg.kind == FAR_UFFD_FAULT_MISSING) {
		FAR_COUNT(f->stats, faults_missing);
		FAR_COUNT(f->stats, faults_inline);
	}
	r = server_serve(&v->server, pg, &msg, far_now_ns());
	while (f->nr_busy > f->nr_abandoned)
		if (!fetcher_poll(f))
			pause_briefly();
	atomic_store(&v->is_busy, 0);
	if (r == FAR_SERVED_WAIT)
		await_owner(p, pg);
	if (r == FAR_SERVED_LOST)
		await_log(p);
	return r != FAR_SERVED_LOST;
}

int far_sigbus(int sig, void *info, void *context)
{
	const siginfo_t *si = info;
	struct far_pager *p;
	int saved = errno, r;

	/* others are sent by somebody, or tell of broken memory */
	if (sig != SIGBUS || !si || si->si_code != BUS_ADRERR)
		return 0;
	p = pager_of(si->si_addr);
	r = p ? serve(p, si->si_addr, context) : probe_serve(si->si_addr);
	errno = saved;
	return r;
}

static void act_default(siginfo_t *si)
{
	const struct sigaction dfl = {.sa_handler = SIG_DFL};

	(void)sigaction(SIGBUS, &dfl, NULL);
	if (si->si_code <= 0) /* sent: it does not come again by itself */
		(void)raise(SIGBUS);
}

/* As if we were not there. */
static void pass_on(int sig, siginfo_t *si, void *context)
{
	bool is_info = (before.sa_flags & SA_SIGINFO) != 0;

	if (!is_info && before.sa_handler == SIG_IGN && si->si_code <= 0)
		return;
	if ((!is_info &&
	     (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)) ||
	    is_passing) {
		act_default(si);
		return;
	}
	is_passing = may_loop;
	if (is_info)
		before.sa_sigaction(sig, si, context);
	else
		before.sa_handler(sig);
	is_passing = false;
}

static void on_sigbus(int sig, siginfo_t *si, void *context)
{
	if (far_sigbus(sig, si, context))
		is_passing = false; /* whoever jumped out of a handler */
	else
		pass_on(sig, si, context);
}

static int install_handler(void)
{
	struct sigaction act = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};
	struct sigaction now;
	int r;

	/* Nothing of the program's may run while a page is in our hands. */
	(void)sigfillset(&act.sa_mask);
	(void)pthread_mutex_lock(&handler_lock);
	r = sigaction(SIGBUS, NULL, &now);
	if (r == 0 &&
	    !(now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_sigbus)) {
		before = now;
		may_loop = is_installed;
		r = sigaction(SIGBUS, &act, NULL);
		is_installed = r == 0;
	}
	r = r < 0 ? -errno : 0;
	(void)pthread_mutex_unlock(&handler_lock);
	return r;
}

/* --- a stack for it --- */

static pthread_key_t stack_key;
static pthread_once_t stack_once = PTHREAD_ONCE_INIT;
static int stack_error;

static void free_stack(void *stack)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	(void)sigaltstack(&none, NULL);
	(void)munmap((char *)stack - FAR_PAGE_SIZE,
		     STACK_BYTES + FAR_PAGE_SIZE);
}

static void make_stack_key(void)
{
	stack_error = -pthread_key_create(&stack_key, free_stack);
}

int far_inline_stack(void)
{
	stack_t old, ours = {.ss_size = STACK_BYTES};
	char *mem;

	if (sigaltstack(NULL, &old) < 0)
		return -errno;
	if (!(old.ss_flags & SS_DISABLE))
		return 0; /* the program's will do */
	(void)pthread_once(&stack_once, make_stack_key);
	if (stack_error)
		return stack_error;
	mem = mmap(NULL, STACK_BYTES + FAR_PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	(void)mprotect(mem, FAR_PAGE_SIZE, PROT_NONE);
	ours.ss_sp = mem + FAR_PAGE_SIZE;
	if (pthread_setspecific(stack_key, ours.ss_sp) != 0 ||
	    sigaltstack(&ours, NULL) < 0) {
		(void)pthread_setspecific(stack_key, NULL);
		(void)munmap(mem, STACK_BYTES + FAR_PAGE_SIZE);
		return -ENOMEM;
	}
	return 0;
}

/* --- open and close --- */

/* The program has closed our descriptor: far-ctl has its own. */
static int ask_ctl(void *ctx, char *addr, const void *src, bool protect)
{
	struct far_pager *p = ctx;
	struct far_request req = {
		.kind = FAR_REQ_INSTALL,
		.start = pager_page(p, addr),
		.nr = protect,
		.arg = (uintptr_t)src,
	};

	return pager_request(p, &req);
}

static int open_fd(struct far_pager *p)
{
	struct far_uffd_info info;
	char why[512];
	int fd = far_uffd_open_signal(&info), high;

	if (fd == -ENOTSUP) /* who needs it says so */
		return fd;
	if (fd < 0) {
		far_uffd_explain(&info, why, sizeof(why));
		far_log(&p->log, FAR_LOG_ERR, "%s", why);
		return fd;
	}
	high = fcntl(fd, F_DUPFD_CLOEXEC, FD_FROM);
	if (high < 0)
		return fd;
	(void)close(fd);
	return high;
}

static int announce(struct far_pager *p)
{
	int r = -EMFILE;

	(void)pthread_mutex_lock(&handler_lock);
	for (unsigned i = 0; r < 0 && i < MAX_PAGERS; i++) {
		if (atomic_load(&pagers[i].p))
			continue;
		atomic_store(&pagers[i].base, (uintptr_t)p->base);
		atomic_store(&pagers[i].len, p->space.len);
		atomic_store(&pagers[i].p, p);
		r = 0;
	}
	(void)pthread_mutex_unlock(&handler_lock);
	return r;
}

static void withdraw(struct far_pager *p)
{
	(void)pthread_mutex_lock(&handler_lock);
	for (unsigned i = 0; i < MAX_PAGERS; i++)
		if (atomic_load(&pagers[i].p) == p)
			atomic_store(&pagers[i].p, NULL);
	(void)pthread_mutex_unlock(&handler_lock);
}

/* Takes @fd over. */
static int open_parts(struct far_pager *p, int fd)
{
	struct far_request req = {.kind = FAR_REQ_INLINE};
	int r;

	if (fd < 0)
		return fd;
	p->space.ask = ask_ctl;
	p->space.ask_ctx = p;
	req.arg = (uint64_t)fd;
	r = pager_request(p, &req);
	if (r < 0)
		(void)close(fd);
	return r;
}

/* Both round trips.  A monitor that waits for a frame has none to tell. */
static void measure(struct far_pager *p, int fd, struct far_service_facts *f)
{
	if (!atomic_load(&p->inline_ns))
		atomic_store(&p->inline_ns, probe_inline(fd));
	if (!atomic_load(&p->deliver_ns) && f->asked == FAR_FAULT_AUTO &&
	    !atomic_load(&p->budget.sh->waiters))
		atomic_store(&p->deliver_ns, monitors_time(p));
	f->inline_ns = atomic_load(&p->inline_ns);
	f->monitor_ns = atomic_load(&p->deliver_ns);
}

/* The handler is there; -ENOTSUP also where monitors are faster. */
static int open_chosen(struct far_pager *p, struct far_service_facts *f)
{
	int fd = open_fd(p), r;

	if (fd >= 0)
		measure(p, fd, f);
	if (fd >= 0 && !service_is_inline(service_choose(f), f->asked)) {
		(void)close(fd);
		return -ENOTSUP;
	}
	r = open_parts(p, fd);
	f->can_share = r != -ENOTSUP;
	return r;
}

static int try_open(struct far_pager *p, struct far_service_facts *f)
{
	int r = install_handler();

	if (r == 0)
		r = announce(p);
	if (r < 0)
		return r;
	r = open_chosen(p, f);
	if (r < 0)
		withdraw(p);
	return r;
}

/* Once: what was mapped as the first says so stays as it is. */
static void settle(struct far_pager *p, const struct far_service_facts *f)
{
	enum far_service s = service_choose(f);
	char there[16], back[16];

	if (atomic_exchange(&p->service, s) == s)
		return;
	far_log(&p->log, FAR_LOG_INFO,
		"inline memory is served by %s (a fault in its thread: %s; to "
		"a monitor and back: %s)",
		far_service_words(s),
		far_duration_format(f->inline_ns, there, sizeof(there)),
		far_duration_format(f->monitor_ns, back, sizeof(back)));
}

int inline_open(struct far_pager *p)
{
	struct far_service_facts f = {
		.asked = (enum far_opt_fault)p->cfg.fault,
		.is_signal_safe = (far_backend_caps(p->be)->flags &
				   FAR_CAP_SIGNAL_SAFE) != 0,
		.can_share = true,
	};
	int r = -ENOTSUP;

	if (p->inline_servers)
		return 0;
	if (f.asked == FAR_FAULT_AUTO && atomic_load(&p->service))
		return -ENOTSUP; /* monitors */
	if (f.is_signal_safe)
		r = try_open(p, &f);
	if (r == 0 || r == -ENOTSUP)
		settle(p, &f);
	return r;
}

/* Unless the program has closed it, and something else has its number. */
static void close_program_fd(int fd)
{
	static const char want[] = "anon_inode:[userfaultfd]";
	char path[32], is[sizeof(want)];

	if (fd < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, is, sizeof(is)) == (ssize_t)sizeof(want) - 1 &&
	    memcmp(is, want, sizeof(want) - 1) == 0)
		(void)close(fd);
}

void inline_close(struct far_pager *p)
{
	withdraw(p);
	close_program_fd(atomic_exchange(&p->space.program_fd, -1));
}

int inline_start(struct far_pager *p, int program_fd)
{
	uint64_t part = atomic_load(&p->budget.sh->limit_pages) / DEPTH_PART;
	unsigned depth = (unsigned)far_min_u64(far_max_u64(part, DEPTH_MIN),
					       FAR_FAULT_DEPTH);
	struct far_inline_server *v;
	void *mem;
	int r;

	r = far_near_map(FAR_INLINE_SERVERS * sizeof(*v), &mem);
	if (r < 0)
		return r;
	v = mem;
	for (unsigned i = 0; r == 0 && i < FAR_INLINE_SERVERS; i++) {
		r = fetcher_init(&v[i].server.fetch, p, depth,
				 pager_shard_inline(p, i));
	}
	if (r == 0)
		r = space_open_inline(&p->space, program_fd);
	p->inline_servers = v;
	p->nr_shards = FAR_NR_SHARDS;
	p->has_inline = r == 0;
	if (r < 0) {
		inline_stop(p);
		return r;
	}
	/* A synchronous backend has one batch at a time; and each server has
	 * one buffer in any case. */
	pager_charge(p, p->cfg.batch * p->cfg.evictors + FAR_INLINE_SERVERS);
	return 0;
}

void inline_stop(struct far_pager *p)
{
	if (!p->inline_servers)
		return;
	for (unsigned i = 0; i < FAR_INLINE_SERVERS; i++)
		fetcher_fini(&p->inline_servers[i].server.fetch);
	far_near_unmap(p->inline_servers,
		       FAR_INLINE_SERVERS * sizeof(*p->inline_servers));
	p->inline_servers = NULL;
}

int inline_forked(struct far_pager *p)
{
	if (!p->has_inline)
		return 0;
	/* it speaks to the parent's memory */
	close_program_fd(atomic_exchange(&p->space.program_fd, -1));
	return open_parts(p, open_fd(p));
}
