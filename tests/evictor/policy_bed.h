/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy on a test bed: it sees what the test says of BED_PAGES pages. */
#ifndef TESTS_EVICTOR_POLICY_BED_H
#define TESTS_EVICTOR_POLICY_BED_H

#include <far/evict.h>

#define BED_PAGES 1024

/** struct bed - a policy and the pages it sees; all are gone at first */
struct bed {
	const struct far_evict_policy_ops *ops;
	struct far_policy *p;
	void *mem;
	struct far_policy_view view;
	bool is_evictable[BED_PAGES];
	bool is_used[BED_PAGES];
	unsigned nr_visits;
};

/** bed_make() - a fresh policy called @name; end it with bed_free() */
void bed_make(struct bed *b, const char *name);
void bed_free(struct bed *b);

/** bed_come() - the @nr pages from @first on become resident */
void bed_come(struct bed *b, far_pgno_t first, far_pgno_t nr);

/** bed_leave() - @pg is resident no more, or never was */
void bed_leave(struct bed *b, far_pgno_t pg);

/** bed_pick() - as far_evict_policy_ops.pick */
unsigned bed_pick(struct bed *b, uint64_t local, far_pgno_t *ret_pg,
		  unsigned max);

/** bed_expect() - pick and evict one page, which has to be @pg; pages in use
 * may delay it by as many picks as it takes to look at all */
void bed_expect(struct bed *b, uint64_t local, far_pgno_t pg);

/** bed_expect_run() - the same for the @nr pages from @first on, in order */
void bed_expect_run(struct bed *b, uint64_t local, far_pgno_t first,
		    far_pgno_t nr);

#endif
