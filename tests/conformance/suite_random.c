/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/conformance/suite.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conformance/harness.h"

#define NR_REQUESTS 6000u
#define NOTHING UINT64_MAX

/*
 * A model of one range: which version each slot holds, and which slots have a
 * request under way (those are left alone, as the contract asks).
 */
struct model {
	struct far_queue *q;
	uint64_t off;
	unsigned nr_slots;
	uint64_t version[NR_SLOTS];
	bool is_busy[NR_SLOTS];
	struct far_io io[DEPTH];
	bool is_used[DEPTH];
	char *buf;
	uint64_t rng;
	unsigned nr_wrong; /* asserting in a thread would end the wrong one */
	unsigned nr_done;
};

static int model_init(struct model *m, struct far_queue *q, uint64_t off,
		      unsigned nr_slots, uint64_t seed)
{
	unsigned i;

	memset(m, 0, sizeof(*m));
	m->q = q;
	m->off = off;
	m->nr_slots = nr_slots;
	m->rng = seed;
	for (i = 0; i < nr_slots; i++)
		m->version[i] = NOTHING;
	m->buf = aligned_alloc(FAR_PAGE_SIZE, DEPTH * FAR_PAGE_SIZE);
	return m->buf ? 0 : -1;
}

/* Fills request @k in, for a slot that is not busy; false if it found none. */
static bool make_request(struct model *m, unsigned k)
{
	unsigned slot = (unsigned)(next_random(&m->rng) % m->nr_slots);
	unsigned kind = (unsigned)(next_random(&m->rng) % 16);
	struct far_io *io = &m->io[k];

	if (m->is_busy[slot])
		return false;
	memset(io, 0, sizeof(*io));
	io->off = m->off + slot * PAGE;
	io->buf = m->buf + k * PAGE;
	io->len = (uint32_t)PAGE;
	io->op = kind < 8    ? FAR_IO_WRITE
		 : kind < 14 ? FAR_IO_READ
			     : FAR_IO_DISCARD;
	if (io->op == FAR_IO_WRITE) {
		m->version[slot] = next_random(&m->rng) >> 32;
		fill_page(io->buf, io->off, m->version[slot]);
	} else if (io->op == FAR_IO_DISCARD) {
		m->version[slot] = NOTHING;
	}
	m->is_busy[slot] = true;
	m->is_used[k] = true;
	return true;
}

static void check_request(struct model *m, struct far_io *io)
{
	unsigned k = (unsigned)(io - m->io);
	unsigned slot = (unsigned)((io->off - m->off) / PAGE);
	uint64_t version = m->version[slot];

	if (k >= DEPTH || !m->is_used[k]) {
		m->nr_wrong++;
		return;
	}
	if (io->op != FAR_IO_READ)
		m->nr_wrong += io->res != 0;
	else if (version == NOTHING)
		m->nr_wrong += io->res != -ENODATA;
	else
		m->nr_wrong +=
			io->res != 0 || !is_page(io->buf, io->off, version);
	m->is_busy[slot] = false;
	m->is_used[k] = false;
	m->nr_done++;
}

static void wait_some(struct model *m)
{
	struct far_io *done[DEPTH];
	int i, n = poll_some(m->q, done, DEPTH);

	if (n < 0) {
		m->nr_wrong++;
		m->nr_done = NR_REQUESTS; /* it is stuck: end here */
	}
	for (i = 0; i < n; i++)
		check_request(m, done[i]);
}

/* Builds a list of up to eight requests and submits all of it. */
static void send_some(struct model *m)
{
	struct far_io *list[8];
	unsigned nr = 0, k, sent = 0;
	int n;

	for (k = 0; k < DEPTH && nr < FAR_ARRAY_SIZE(list); k++) {
		if (!m->is_used[k] && make_request(m, k))
			list[nr++] = &m->io[k];
	}
	for (k = 0; k + 1 < nr; k++)
		list[k]->next = list[k + 1];
	while (sent < nr) {
		n = far_queue_submit(m->q, list[sent], nr - sent);
		if (n > 0)
			sent += (unsigned)n;
		else if (n == -EAGAIN)
			wait_some(m);
		else
			m->nr_wrong++;
		if (m->nr_wrong > 100)
			return;
	}
}

static void *model_run(void *arg)
{
	struct model *m = arg;

	while (m->nr_done < NR_REQUESTS && m->nr_wrong == 0) {
		send_some(m);
		wait_some(m);
	}
	while (m->q->in_flight > 0 && m->nr_wrong == 0)
		wait_some(m);
	return NULL;
}

/* Reads everything once more, on @q. */
static void model_verify(struct model *m, struct far_queue *q)
{
	unsigned i;
	int rc;

	for (i = 0; i < m->nr_slots; i++) {
		uint64_t off = m->off + i * PAGE;

		rc = do_io(q, FAR_IO_READ, off, m->buf, (uint32_t)PAGE);
		if (m->version[i] == NOTHING) {
			assert_int_equal(rc, -ENODATA);
			continue;
		}
		assert_int_equal(rc, 0);
		assert_true(is_page(m->buf, off, m->version[i]));
	}
}

void random_requests_agree_with_a_model(void **state)
{
	struct suite *s = *state;
	struct model *m = malloc(sizeof(*m));
	uint64_t off;

	assert_non_null(m);
	assert_int_equal(far_backend_reserve(s->be, NR_SLOTS * PAGE, &off), 0);
	assert_int_equal(model_init(m, s->q, off, NR_SLOTS, 1), 0);
	(void)model_run(m);
	assert_int_equal(m->nr_wrong, 0);
	assert_true(m->nr_done >= NR_REQUESTS);
	model_verify(m, s->q);
	free(m->buf);
	free(m);
}

void two_threads_with_a_queue_each(void **state)
{
	struct suite *s = *state;
	struct model *m = malloc(2 * sizeof(*m));
	struct far_queue *q2;
	pthread_t thread;
	uint64_t off;

	assert_non_null(m);
	assert_int_equal(far_backend_reserve(s->be, NR_SLOTS * PAGE, &off), 0);
	assert_int_equal(far_queue_open(s->be, DEPTH, &q2), 0);
	assert_int_equal(model_init(&m[0], s->q, off, NR_SLOTS / 2, 2), 0);
	assert_int_equal(model_init(&m[1], q2, off + NR_SLOTS / 2 * PAGE,
				    NR_SLOTS / 2, 3),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, model_run, &m[1]), 0);
	(void)model_run(&m[0]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m[0].nr_wrong, 0);
	assert_int_equal(m[1].nr_wrong, 0);
	/* What one queue wrote, the other sees. */
	model_verify(&m[0], q2);
	model_verify(&m[1], s->q);
	far_queue_close(q2);
	free(m[0].buf);
	free(m[1].buf);
	free(m);
}
