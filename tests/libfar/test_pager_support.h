/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the pager share: a pager with a captured log, pages whose
 * content is known from a key, the kernel's view of what is resident, waiting
 * for conditions, and children that report by their status.
 *
 * A test program is run once per way of taking pages out; its first argument
 * is "move", "dontneed" or "auto".  The name of a test may be given as the
 * second.
 */
#ifndef TESTS_LIBFAR_TEST_PAGER_SUPPORT_H
#define TESTS_LIBFAR_TEST_PAGER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <far/far.h>

#include "libfar/base/clock.h"
#include "libfar/base/compiler.h"

#define MIB ((size_t)1 << 20)
#define PAGES(bytes) ((bytes) >> FAR_PAGE_SHIFT)
/* The smallest limit there is; tests fill several times as much. */
#define TP_LIMIT (16 * MIB)

/** struct tp - a pager under test */
struct tp {
	struct far_pager *pager;
	char *mem; /* tp_map()'s, or NULL */
	size_t len;
};

/** tp_takeout - as the program was asked */
extern const char *tp_takeout;

/**
 * tp_main() - run @tests as a group named @name
 * Return: for main(); 77, aloud, where userfaultfd or MOVE is not to be had.
 */
int tp_run(int argc, char **argv, const char *name,
	   const struct CMUnitTest *tests, size_t nr);
#define tp_main(argc, argv, name, tests)                                       \
	tp_run(argc, argv, name, tests, sizeof(tests) / sizeof((tests)[0]))

/** tp_try() - far_open() with the program's takeout, 1 GiB of addresses, a
 * 16 MiB limit, 256 MiB of mem: and then @conf; its result */
int tp_try(const char *conf, struct far_pager **ret_pager);

/** tp_open() - tp_try() that must work, and @len bytes mapped if @len */
struct tp tp_open(const char *conf, size_t len);
void tp_close(struct tp *t);

/** tp_stats() - statistics, asserted to be readable */
struct far_stats tp_stats(struct far_pager *pager);
#define TP_STAT(pager, name) (tp_stats(pager).name)

/** tp_logged() - is @text in what was logged since tp_log_clear() */
bool tp_logged(const char *text);
void tp_log_clear(void);

/** tp_word() - word @i of a page that tp_fill() wrote with @key */
uint64_t tp_word(uint64_t key, size_t i);

/** tp_fill() - write page @pg of @mem so that it depends on @key; key 0 is
 * a page of zeros */
void tp_fill(char *mem, size_t pg, uint64_t key);

/** tp_same() - does page @pg hold what tp_fill() wrote? says so if not */
bool tp_same(const char *mem, size_t pg, uint64_t key);

/** tp_fill_all(), tp_same_all() - all pages of @len bytes, key @key + page;
 * tp_same_all() counts the pages that are wrong */
void tp_fill_all(char *mem, size_t len, uint64_t key);
size_t tp_same_all(const char *mem, size_t len, uint64_t key);

/** tp_resident() - pages of the range that the kernel has mapped */
size_t tp_resident(const char *addr, size_t len);

/** tp_evict() - advise that the range is cold until all of it has left; false
 * after 10 s.  Again and again: a page just being served is passed over. */
bool tp_evict(struct far_pager *pager, char *addr, size_t len);

/** tp_footprint() - bytes Rss + Swap of the mapping that holds @addr and of
 * staging areas; what is not far memory is not counted */
uint64_t tp_footprint(const void *addr);

/** tp_pause() - a millisecond, between two looks at a condition */
void tp_pause(void);

/** TP_WAIT() - until @cond holds; fails the test after @s seconds */
#define TP_WAIT(cond, s)                                                       \
	do {                                                                   \
		uint64_t tp_end = far_now_ns() + (s)*FAR_NS_PER_S;             \
		while (!(cond)) {                                              \
			if (far_now_ns() > tp_end)                             \
				fail_msg("waited %u s for %s", (unsigned)(s),  \
					 #cond);                               \
			tp_pause();                                            \
		}                                                              \
	} while (0)

/** tp_child() - fork(), run @fn(@arg) there, _exit() with what it returns; the
 * child is killed after 20 s.  -errno of fork */
pid_t tp_child(int (*fn)(void *arg), void *arg);

/** tp_status() - wait for @pid; its exit status, or 1000 + signal */
int tp_status(pid_t pid);
#define TP_SIGNAL(sig) (1000 + (sig))

/** tp_in_child() - tp_child() and tp_status() */
int tp_in_child(int (*fn)(void *arg), void *arg);

/** tp_entries() - entries of a folder of /proc/self: "fd", "task"; lines of
 * the file "maps" */
size_t tp_entries(const char *name);

/** tp_touch() - read a byte, which the compiler must not leave out */
static inline char tp_touch(const char *p)
{
	return *(const volatile char *)p;
}

#endif
