/* SPDX-License-Identifier: BSD-3-Clause */
/* The backends tcp and unix against a real fard. */
#include "tests/pool/fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* Each test runs over both transports: *state says which. */
static bool is_over_unix;
static struct fard daemon_;

static const char *spec(void)
{
	return is_over_unix ? daemon_.unix_spec : daemon_.tcp;
}

static int setup(void **state)
{
	(void)state;
	fard_start(&daemon_, "64M", "--log=err");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fard_stop(&daemon_);
	return 0;
}

static void open_all(struct far_backend **ret_be, struct far_queue **ret_q,
		     uint64_t bytes, uint64_t *ret_off)
{
	*ret_be = open_backend(spec());
	assert_int_equal(far_backend_reserve(*ret_be, bytes, ret_off), 0);
	assert_int_equal(far_queue_open(*ret_be, 256, ret_q), 0);
}

static void caps_and_usage_tell_what_is(void **state)
{
	const struct far_backend_caps *caps;
	struct far_backend_usage usage;
	static char page[PAGE];
	struct far_backend *be;
	struct far_queue *q;
	uint64_t off;

	(void)state;
	open_all(&be, &q, MIB, &off);
	caps = far_backend_caps(be);
	assert_int_equal(caps->capacity, 64 * MIB);
	assert_int_equal(caps->align, PAGE);
	assert_int_equal(caps->max_len, WIRE_MAX_LEN);
	assert_int_equal(caps->max_depth, 256);
	fill_page(page, 1);
	assert_int_equal(run_io(q, FAR_IO_WRITE, off, page, PAGE), 0);
	assert_int_equal(far_backend_usage(be, &usage), 0);
	assert_int_equal(usage.reserved_bytes, MIB);
	assert_int_equal(usage.stored_bytes, PAGE);
	assert_int_equal(far_backend_release(be, off, MIB), 0);
	assert_int_equal(far_backend_usage(be, &usage), 0);
	assert_int_equal(usage.reserved_bytes, 0);
	assert_int_equal(usage.stored_bytes, 0);
	far_queue_close(q);
	far_backend_close(be);
}

static void what_was_written_comes_back(void **state)
{
	enum { NR = 256, LEN = WIRE_MAX_LEN };
	char *out = malloc((size_t)NR * LEN), *in = calloc(NR, LEN);
	struct far_io *ios = calloc(NR, sizeof(*ios));
	struct far_backend *be;
	struct far_queue *q;
	uint64_t off;
	size_t i;

	(void)state;
	assert_true(out && in && ios);
	open_all(&be, &q, (uint64_t)NR * LEN, &off);
	for (i = 0; i < (size_t)NR * LEN / PAGE; i++)
		fill_page(out + i * PAGE, i);
	for (i = 0; i < NR; i++)
		ios[i] = (struct far_io){.off = off + i * LEN,
					 .buf = out + i * LEN,
					 .len = LEN,
					 .op = FAR_IO_WRITE};
	run_ios(q, ios, NR);
	for (i = 0; i < NR; i++) {
		assert_int_equal(ios[i].res, 0);
		ios[i].op = FAR_IO_READ;
		ios[i].buf = in + i * LEN;
	}
	run_ios(q, ios, NR);
	for (i = 0; i < NR; i++)
		assert_int_equal(ios[i].res, 0);
	assert_memory_equal(out, in, (size_t)NR * LEN);
	far_queue_close(q);
	far_backend_close(be);
	free(out);
	free(in);
	free(ios);
}

/*
 * Reads of every length, of pages that are there and of such that are not, so
 * that a reply is often not the one the client laid its receive out for.
 */
static void mixed_requests_complete_once_each(void **state)
{
	enum { NR = 300, PAGES = 512 };
	static struct far_io ios[NR];
	static char buf[NR][8 * PAGE], want[PAGE];
	static bool has[PAGES], is_target[PAGES];
	struct far_backend *be;
	struct far_queue *q;
	unsigned round, i, j, at, len, op;
	uint64_t off;

	(void)state;
	srand(4711);
	memset(has, 0, sizeof(has));
	open_all(&be, &q, PAGES * PAGE, &off);
	for (round = 0; round < 30; round++) {
		unsigned nr = 0;

		memset(is_target, 0, sizeof(is_target));
		for (i = 0; i < NR; i++) {
			bool clash = false;

			at = (unsigned)rand() % PAGES;
			len = 1 + (unsigned)rand() % 8;
			op = (unsigned)rand() % 3;
			for (j = at; j < at + len; j++)
				clash |= j >= PAGES || is_target[j];
			if (clash)
				continue;
			for (j = at; j < at + len; j++) {
				is_target[j] = true;
				fill_page(buf[nr] + (j - at) * PAGE, j);
			}
			if (op == FAR_IO_READ)
				memset(buf[nr], 0x55, len * PAGE);
			ios[nr] = (struct far_io){.off = off + at * PAGE,
						  .buf = buf[nr],
						  .len = len * PAGE,
						  .op = op};
			nr++;
		}
		run_ios(q, ios, nr);
		for (i = 0; i < nr; i++) {
			bool all = true;

			at = (unsigned)((ios[i].off - off) / PAGE);
			len = ios[i].len / PAGE;
			for (j = at; j < at + len; j++) {
				all &= has[j];
				if (ios[i].op == FAR_IO_WRITE)
					has[j] = true;
				else if (ios[i].op == FAR_IO_DISCARD)
					has[j] = false;
			}
			if (ios[i].op != FAR_IO_READ) {
				assert_int_equal(ios[i].res, 0);
				continue;
			}
			assert_int_equal(ios[i].res, all ? 0 : -ENODATA);
			for (j = at; all && j < at + len; j++) {
				fill_page(want, j);
				assert_memory_equal(buf[i] + (j - at) * PAGE,
						    want, PAGE);
			}
		}
	}
	far_queue_close(q);
	far_backend_close(be);
}

static void a_bad_discard_fails_alone(void **state)
{
	static struct far_io ios[40];
	static char page[PAGE];
	struct far_backend *be;
	struct far_queue *q;
	uint64_t off;
	unsigned i;

	(void)state;
	open_all(&be, &q, 40 * PAGE, &off);
	fill_page(page, 3);
	for (i = 0; i < 40; i++) {
		assert_int_equal(
			run_io(q, FAR_IO_WRITE, off + i * PAGE, page, PAGE), 0);
		ios[i] = (struct far_io){.off = off + i * PAGE,
					 .len = PAGE,
					 .op = FAR_IO_DISCARD};
	}
	ios[5].off = off + MIB; /* not reserved */
	run_ios(q, ios, 40);
	for (i = 0; i < 40; i++) {
		assert_int_equal(ios[i].res, i == 5 ? -EINVAL : 0);
		assert_int_equal(
			run_io(q, FAR_IO_READ, off + i * PAGE, page, PAGE),
			i == 5 ? 0 : -ENODATA);
	}
	far_queue_close(q);
	far_backend_close(be);
}

static void event_fd_is_readable_only_with_work(void **state)
{
	static struct far_io ios[4];
	static char page[PAGE];
	struct far_io *done[4];
	struct far_backend *be;
	struct far_queue *q;
	struct pollfd pfd;
	unsigned i;
	uint64_t off;

	(void)state;
	open_all(&be, &q, 4 * PAGE, &off);
	pfd = (struct pollfd){.fd = far_queue_event_fd(q), .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, 0), 0);
	for (i = 0; i < 4; i++)
		ios[i] = (struct far_io){.off = off + i * PAGE,
					 .buf = page,
					 .len = PAGE,
					 .op = FAR_IO_WRITE,
					 .next = i < 3 ? &ios[i + 1] : NULL};
	assert_int_equal(far_queue_submit(q, ios, 4), 4);
	for (i = 0; i < 4; i++) {
		int n;

		/* taken one by one: what is left keeps it readable */
		do {
			assert_int_equal(poll(&pfd, 1, 20000), 1);
			n = far_queue_poll(q, done, 1);
		} while (!n);
		assert_int_equal(n, 1);
	}
	assert_int_equal(poll(&pfd, 1, 0), 0);
	far_queue_close(q);
	far_backend_close(be);
}

static void size_bounds_what_is_reserved(void **state)
{
	struct far_backend *be;
	uint64_t off, more;
	char text[200];

	(void)state;
	(void)snprintf(text, sizeof(text), "%s?size=1M", spec());
	be = open_backend(text);
	assert_int_equal(far_backend_caps(be)->capacity, MIB);
	assert_int_equal(far_backend_reserve(be, MIB, &off), 0);
	assert_int_equal(far_backend_reserve(be, PAGE, &more), -ENOSPC);
	assert_int_equal(far_backend_release(be, off + PAGE, PAGE), 0);
	assert_int_equal(far_backend_reserve(be, PAGE, &more), 0);
	assert_int_equal(more, off + PAGE);
	assert_int_equal(far_backend_release(be, off, 2 * MIB), -EINVAL);
	far_backend_close(be);
}

static void a_full_pool_says_enospc(void **state)
{
	struct far_backend *a, *b;
	struct far_clone clone;
	uint64_t off;

	(void)state;
	a = open_backend(spec());
	b = open_backend(spec());
	assert_int_equal(far_backend_reserve(a, 40 * MIB, &off), 0);
	assert_int_equal(far_backend_reserve(b, 40 * MIB, &off), -ENOSPC);
	assert_int_equal(far_backend_clone(a, &clone), -ENOSPC);
	assert_int_equal(far_backend_reserve(b, 24 * MIB, &off), 0);
	far_backend_close(a);
	/* the server may still be busy with the end of that connection */
	while (far_backend_reserve(b, 40 * MIB, &off) == -ENOSPC)
		;
	far_backend_close(b);
}

static _Noreturn void child_of_clone(struct far_backend *be,
				     const struct far_clone *clone,
				     uint64_t off)
{
	static char page[PAGE], want[PAGE];
	struct far_queue *q;
	uint64_t more;
	int bad = 0;

	if (far_backend_adopt(be, clone) || far_queue_open(be, 8, &q))
		_exit(1);
	bad |= run_io(q, FAR_IO_READ, off, page, PAGE);
	fill_page(want, 1);
	bad |= memcmp(page, want, PAGE);
	fill_page(page, 100);
	bad |= run_io(q, FAR_IO_WRITE, off, page, PAGE);
	bad |= run_io(q, FAR_IO_DISCARD, off + PAGE, NULL, PAGE);
	bad |= run_io(q, FAR_IO_READ, off + PAGE, page, PAGE) != -ENODATA;
	bad |= run_io(q, FAR_IO_READ, off, want, PAGE);
	fill_page(page, 100);
	bad |= memcmp(page, want, PAGE);
	bad |= far_backend_reserve(be, PAGE, &more) || more == off;
	far_queue_close(q);
	far_backend_close(be);
	_exit(bad ? 2 : 0);
}

static void a_forked_child_works_on_its_clone(void **state)
{
	static char page[PAGE], want[PAGE];
	struct far_backend *be;
	struct far_clone clone;
	struct far_queue *q;
	int status;
	uint64_t off;
	pid_t pid;

	(void)state;
	open_all(&be, &q, 2 * PAGE, &off);
	fill_page(page, 1);
	assert_int_equal(run_io(q, FAR_IO_WRITE, off, page, PAGE), 0);
	assert_int_equal(run_io(q, FAR_IO_WRITE, off + PAGE, page, PAGE), 0);
	assert_int_equal(far_backend_clone(be, &clone), 0);
	/* after the clone, before the child looks: not seen there */
	fill_page(want, 2);
	assert_int_equal(run_io(q, FAR_IO_WRITE, off, want, PAGE), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		child_of_clone(be, &clone, off);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* nor does the parent see the child's, and its sockets work */
	assert_int_equal(run_io(q, FAR_IO_READ, off, page, PAGE), 0);
	assert_memory_equal(page, want, PAGE);
	assert_int_equal(run_io(q, FAR_IO_READ, off + PAGE, page, PAGE), 0);
	far_queue_close(q);
	far_backend_close(be);
}

static void two_queues_see_one_contents(void **state)
{
	static char page[PAGE], got[PAGE];
	struct far_backend *be;
	struct far_queue *a, *b;
	unsigned i;
	uint64_t off;

	(void)state;
	open_all(&be, &a, PAGE, &off);
	assert_int_equal(far_queue_open(be, 1, &b), 0);
	for (i = 0; i < 200; i++) {
		fill_page(page, i);
		assert_int_equal(
			run_io(i & 1 ? a : b, FAR_IO_WRITE, off, page, PAGE),
			0);
		assert_int_equal(
			run_io(i & 1 ? b : a, FAR_IO_READ, off, got, PAGE), 0);
		assert_memory_equal(page, got, PAGE);
	}
	far_queue_close(a);
	far_queue_close(b);
	far_backend_close(be);
}

static void a_dead_server_ends_all_in_flight(void **state)
{
	static struct far_io ios[64];
	static char bufs[64][PAGE];
	struct far_io *done[64];
	struct far_backend *be;
	struct far_queue *q;
	struct fard own;
	unsigned i, got = 0;
	uint64_t off;
	int rc;

	(void)state;
	fard_start(&own, "8M", "--log=err");
	be = open_backend(is_over_unix ? own.unix_spec : own.tcp);
	assert_int_equal(far_backend_reserve(be, MIB, &off), 0);
	assert_int_equal(far_queue_open(be, 64, &q), 0);
	assert_int_equal(kill(own.pid, SIGSTOP), 0);
	for (i = 0; i < 64; i++)
		ios[i] = (struct far_io){.off = off + i * PAGE,
					 .buf = bufs[i],
					 .len = PAGE,
					 .op = i & 1 ? FAR_IO_READ
						     : FAR_IO_WRITE,
					 .next = i < 63 ? &ios[i + 1] : NULL};
	assert_int_equal(far_queue_submit(q, ios, 64), 64);
	fard_kill(&own);
	while (got < 64) {
		assert_int_equal(far_queue_wait(q, TEST_WAIT_NS), 0);
		rc = far_queue_poll(q, done, 10);
		assert_true(rc >= 0);
		got += (unsigned)rc;
	}
	for (i = 0; i < 64; i++)
		assert_int_equal(ios[i].res, -EHOSTDOWN);
	ios[0].next = NULL;
	assert_int_equal(far_queue_submit(q, ios, 1), -EHOSTDOWN);
	far_queue_close(q);
	assert_int_equal(far_queue_open(be, 8, &q), -EHOSTDOWN);
	assert_int_equal(far_backend_reserve(be, PAGE, &off), -EHOSTDOWN);
	far_backend_close(be);
}

struct heard {
	char text[512];
};

static void hear(void *ctx, enum far_log_level level, const char *msg)
{
	struct heard *heard = ctx;

	(void)level;
	(void)snprintf(heard->text, sizeof(heard->text), "%s", msg);
}

static void refusals_say_how_to_fix_it(void **state)
{
	static const struct {
		const char *spec, *says;
		int err;
	} cases[] = {
		{"tcp://127.0.0.1:1", "is fard running? start: fard --listen",
		 -ECONNREFUSED},
		{"unix:/nowhere/at/all", "is fard running?", -ENOENT},
		{"tcp://127.0.0.1", "write tcp://HOST:PORT", -EINVAL},
		{"tcp://127.0.0.1:99999", "write tcp://HOST:PORT", -EINVAL},
		{"tcp://127.0.0.1:1?sise=1M", "did you mean 'size'", -EINVAL},
		{"tcp://127.0.0.1:1?size=x", "give a size", -EINVAL},
		{"tcp://127.0.0.1:1?size=12", "less than a page", -EINVAL},
		{"unix:", "not an address", -EINVAL},
	};
	struct far_backend *be;
	struct heard heard;
	size_t i;

	(void)state;
	for (i = 0; i < FAR_ARRAY_SIZE(cases); i++) {
		heard.text[0] = '\0';
		assert_int_equal(
			far_backend_open(cases[i].spec, hear, &heard, &be),
			cases[i].err);
		if (!strstr(heard.text, cases[i].says))
			fail_msg("%s: '%s' lacks '%s'", cases[i].spec,
				 heard.text, cases[i].says);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caps_and_usage_tell_what_is),
		cmocka_unit_test(what_was_written_comes_back),
		cmocka_unit_test(mixed_requests_complete_once_each),
		cmocka_unit_test(a_bad_discard_fails_alone),
		cmocka_unit_test(event_fd_is_readable_only_with_work),
		cmocka_unit_test(size_bounds_what_is_reserved),
		cmocka_unit_test(a_full_pool_says_enospc),
		cmocka_unit_test(a_forked_child_works_on_its_clone),
		cmocka_unit_test(two_queues_see_one_contents),
		cmocka_unit_test(a_dead_server_ends_all_in_flight),
		cmocka_unit_test(refusals_say_how_to_fix_it),
	};

	if (argc != 3)
		return 2;
	fard_path = argv[1];
	is_over_unix = !strcmp(argv[2], "unix");
	return cmocka_run_group_tests(tests, setup, teardown);
}
