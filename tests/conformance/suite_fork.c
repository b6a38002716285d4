/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/conformance/suite.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/conformance/harness.h"

#define NR_PAGES 96u
#define CHILD_SECONDS 40u

/* In the child: no assertion of CMocka's, the exit status tells the line. */
#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond)) {                                                 \
			(void)fprintf(stderr, "child: line %d: %s\n",          \
				      __LINE__, #cond);                        \
			return 1;                                              \
		}                                                              \
	} while (0)

struct fork_case {
	struct suite *s;
	uint64_t off;
	struct far_clone clone;
	int to_child[2], to_parent[2];
};

/* The version that page @i had at the fork; every seventh had none. */
static bool has_page(unsigned i)
{
	return i % 7 != 0;
}

static int check_frozen(struct fork_case *c, struct far_queue *q)
{
	unsigned i;
	int rc;

	for (i = 0; i < NR_PAGES; i++) {
		uint64_t off = c->off + i * PAGE;

		rc = do_io(q, FAR_IO_READ, off, c->s->buf, (uint32_t)PAGE);
		CHECK(rc == (has_page(i) ? 0 : -ENODATA));
		CHECK(rc != 0 || is_page(c->s->buf, off, i));
	}
	return 0;
}

/* Writes, discards and reads of the child's own. */
static int change_in_child(struct fork_case *c, struct far_queue *q)
{
	unsigned i;

	for (i = 0; i < NR_PAGES; i++) {
		uint64_t off = c->off + i * PAGE;

		fill_page(c->s->buf, off, 3000 + i);
		CHECK(do_io(q, i % 4 ? FAR_IO_WRITE : FAR_IO_DISCARD, off,
			    c->s->buf, (uint32_t)PAGE) == 0);
	}
	for (i = 0; i < NR_PAGES; i++) {
		uint64_t off = c->off + i * PAGE;
		int rc = do_io(q, FAR_IO_READ, off, c->s->buf, (uint32_t)PAGE);

		CHECK(rc == (i % 4 ? 0 : -ENODATA));
		CHECK(rc != 0 || is_page(c->s->buf, off, 3000 + i));
	}
	return 0;
}

static int child(struct fork_case *c)
{
	struct far_queue *q;
	uint64_t off;
	char byte;

	(void)alarm(CHILD_SECONDS);
	CHECK(far_backend_adopt(c->s->be, &c->clone) == 0);
	CHECK(far_queue_open(c->s->be, DEPTH, &q) == 0);
	CHECK(check_frozen(c, q) == 0);
	CHECK(write(c->to_parent[1], "a", 1) == 1);
	CHECK(read(c->to_child[0], &byte, 1) == 1);
	/* The parent has changed everything. */
	CHECK(check_frozen(c, q) == 0);
	CHECK(change_in_child(c, q) == 0);
	CHECK(far_backend_reserve(c->s->be, 4 * PAGE, &off) == 0);
	CHECK(write(c->to_parent[1], "b", 1) == 1);
	CHECK(read(c->to_child[0], &byte, 1) == 1);
	far_queue_close(q);
	far_backend_close(c->s->be);
	return 0;
}

static void parent_writes(struct fork_case *c, unsigned version)
{
	unsigned i;

	for (i = 0; i < NR_PAGES; i++) {
		uint64_t off = c->off + i * PAGE;

		fill_page(c->s->buf, off, version + i);
		assert_int_equal(do_io(c->s->q,
				       i % 5 ? FAR_IO_WRITE : FAR_IO_DISCARD,
				       off, c->s->buf, (uint32_t)PAGE),
				 0);
	}
}

static void parent_reads(struct fork_case *c, unsigned version)
{
	unsigned i;
	int rc;

	for (i = 0; i < NR_PAGES; i++) {
		uint64_t off = c->off + i * PAGE;

		rc = do_io(c->s->q, FAR_IO_READ, off, c->s->buf,
			   (uint32_t)PAGE);
		assert_int_equal(rc, i % 5 ? 0 : -ENODATA);
		if (i % 5)
			assert_true(is_page(c->s->buf, off, version + i));
	}
}

static void parent(struct fork_case *c)
{
	char byte;

	/* Already while the child is still opening its copy. */
	parent_writes(c, 1000);
	assert_int_equal(read(c->to_parent[0], &byte, 1), 1);
	parent_writes(c, 2000);
	assert_int_equal(write(c->to_child[1], "x", 1), 1);
	assert_int_equal(read(c->to_parent[0], &byte, 1), 1);
	/* The child has changed everything. */
	parent_reads(c, 2000);
	assert_int_equal(write(c->to_child[1], "y", 1), 1);
}

void a_forked_child_sees_frozen_contents(void **state)
{
	struct fork_case c = {.s = *state};
	unsigned i;
	int status;
	pid_t pid;

	assert_int_equal(far_backend_reserve(c.s->be, NR_PAGES * PAGE, &c.off),
			 0);
	for (i = 0; i < NR_PAGES; i++) {
		if (!has_page(i))
			continue;
		fill_page(c.s->buf, c.off + i * PAGE, i);
		assert_int_equal(do_io(c.s->q, FAR_IO_WRITE, c.off + i * PAGE,
				       c.s->buf, (uint32_t)PAGE),
				 0);
	}
	assert_int_equal(pipe(c.to_child), 0);
	assert_int_equal(pipe(c.to_parent), 0);
	assert_int_equal(far_backend_clone(c.s->be, &c.clone), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(c.to_child[1]);
		(void)close(c.to_parent[0]);
		_exit(child(&c));
	}
	(void)close(c.to_child[0]);
	(void)close(c.to_parent[1]);
	parent(&c);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)close(c.to_child[1]);
	(void)close(c.to_parent[0]);
	/* The child's end took nothing of ours away. */
	parent_reads(&c, 2000);
	/* A clone nobody adopts does no harm. */
	assert_int_equal(far_backend_clone(c.s->be, &c.clone), 0);
	parent_reads(&c, 2000);
}
