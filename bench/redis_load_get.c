/* SPDX-License-Identifier: BSD-3-Clause */
/* redis-load get: random GETs over many connections, closed loop. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/lib/rng.h"
#include "bench/redis_load.h"

#define MAX_EVENTS 64

struct client {
	struct bench_conn conn;
	uint64_t *keys; /* asked for and not answered, in order */
	unsigned nr_asked, nr_answered;
	uint64_t sent_ns;
};

struct run {
	const struct load_opts *o;
	unsigned pipeline;
	int epfd;
	struct client *clients;
	struct bench_rng rng;
	struct bench_lat lat;
	uint64_t nr_replies, nr_checked, nr_bad;
	char *value;
};

static int ask(struct run *r, struct client *c)
{
	char name[LOAD_KEY_LEN + 1];
	const char *args[] = {"GET", name};
	const size_t lens[] = {3, LOAD_KEY_LEN};
	unsigned i;
	int err = 0;

	for (i = 0; i < r->pipeline && !err; i++) {
		c->keys[i] = bench_rng_below(&r->rng, r->o->nr_keys);
		load_key(c->keys[i], name);
		err = bench_conn_add(&c->conn, 2, args, lens);
	}
	c->nr_asked = r->pipeline;
	c->nr_answered = 0;
	c->sent_ns = far_now_ns();
	return err ? err : bench_conn_send(&c->conn);
}

static void check(struct run *r, uint64_t key, const struct bench_reply *reply)
{
	bool is_good =
		reply->type == BENCH_REPLY_BULK && reply->len == r->o->size;

	r->nr_replies++;
	if (is_good && r->nr_replies % r->o->verify_every == 0) {
		load_value(r->o, key, r->value);
		is_good = !memcmp(reply->data, r->value, reply->len);
		r->nr_checked++;
	}
	if (!is_good && r->nr_bad++ < 5)
		load_explain(r->o, key, reply, r->value);
}

static int client_readable(struct run *r, struct client *c, uint64_t end_ns)
{
	struct bench_reply reply;
	int err;

	err = bench_conn_recv(&c->conn);
	if (err)
		return err;
	while (!(err = bench_conn_next(&c->conn, &reply))) {
		uint64_t now = far_now_ns();

		if (c->nr_answered == c->nr_asked)
			return -EPROTO;
		bench_lat_add(&r->lat, now - c->sent_ns);
		check(r, c->keys[c->nr_answered++], &reply);
		if (c->nr_answered < c->nr_asked)
			continue;
		if (now >= end_ns)
			return 0;
		err = ask(r, c);
		if (err)
			return err;
	}
	return err == -EAGAIN ? 0 : err;
}

static int client_open(struct run *r, struct client *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int err;

	err = bench_conn_open(&c->conn, r->o->socket, r->o->port,
			      load_buffer_size(r->o, r->pipeline));
	if (err)
		return err;
	c->keys = calloc(r->pipeline, sizeof(*c->keys));
	if (!c->keys)
		return -ENOMEM;
	return epoll_ctl(r->epfd, EPOLL_CTL_ADD, c->conn.fd, &ev) ? -errno : 0;
}

static int run_open(struct run *r, const struct load_opts *o)
{
	unsigned i;
	int err = 0;

	memset(r, 0, sizeof(*r));
	r->o = o;
	r->pipeline = o->pipeline;
	bench_rng_init(&r->rng, o->seed ^ UINT64_C(0x676574));
	bench_lat_init(&r->lat);
	r->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epfd < 0)
		return -errno;
	r->value = malloc(o->size);
	r->clients = calloc(o->nr_clients, sizeof(*r->clients));
	if (!r->value || !r->clients)
		return -ENOMEM;
	for (i = 0; i < o->nr_clients; i++)
		r->clients[i].conn.fd = -1;
	for (i = 0; i < o->nr_clients && !err; i++)
		err = client_open(r, &r->clients[i]);
	return err;
}

static void run_close(struct run *r)
{
	unsigned i;

	for (i = 0; r->clients && i < r->o->nr_clients; i++) {
		bench_conn_close(&r->clients[i].conn);
		free(r->clients[i].keys);
	}
	free(r->clients);
	free(r->value);
	if (r->epfd >= 0)
		(void)close(r->epfd);
}

static bool is_idle(const struct run *r)
{
	unsigned i;

	for (i = 0; i < r->o->nr_clients; i++) {
		if (r->clients[i].nr_answered < r->clients[i].nr_asked)
			return false;
	}
	return true;
}

static int run_loop(struct run *r, uint64_t start)
{
	uint64_t end = start + r->o->duration_ns, last = start;
	struct epoll_event ev[MAX_EVENTS];
	unsigned i;
	int err = 0;

	for (i = 0; i < r->o->nr_clients && !err; i++)
		err = ask(r, &r->clients[i]);
	while (!err && !is_idle(r)) {
		int n = epoll_wait(r->epfd, ev, MAX_EVENTS, 60 * 1000);
		int k;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ETIMEDOUT;
		for (k = 0; k < n && !err; k++)
			err = client_readable(r, ev[k].data.ptr, end);
		load_progress(r->o, "get",
			      far_min_u64(far_now_ns(), end - 1) - start,
			      r->o->duration_ns, &last);
	}
	load_progress(r->o, "get", 1, 1, &last);
	return err;
}

static int report(const struct run *r, uint64_t ns)
{
	double s = (double)ns / 1e9;
	double per_s = (double)r->nr_replies / s;
	struct bench_json j;

	bench_json_begin(&j, "redis-load");
	bench_json_str(&j, "command", "get");
	bench_json_f64(&j, "value", per_s);
	bench_json_str(&j, "unit", "GET/s");
	bench_json_lat(&j, &r->lat);
	bench_json_f64(&j, "seconds", s);
	bench_json_u64(&j, "bad", r->nr_bad);
	bench_json_u64(&j, "compared", r->nr_checked);
	load_options_json(r->o, &j);
	bench_json_env(&j);
	if (!r->o->is_quiet)
		(void)fprintf(stderr,
			      "get: %.0f GET/s, p50 %.0f us, p99 %.0f us, "
			      "p99.9 %.0f us, max %.1f ms; %" PRIu64
			      " compared, %" PRIu64 " bad\n",
			      per_s, (double)bench_lat_ns(&r->lat, 0.5) / 1e3,
			      (double)bench_lat_ns(&r->lat, 0.99) / 1e3,
			      (double)bench_lat_ns(&r->lat, 0.999) / 1e3,
			      (double)r->lat.max_ns / 1e6, r->nr_checked,
			      r->nr_bad);
	if (bench_json_end(&j, stdout))
		return EXIT_FAILURE;
	return r->nr_bad ? LOAD_EXIT_BAD : EXIT_SUCCESS;
}

int load_cmd_get(const struct load_opts *o)
{
	struct run *r = malloc(sizeof(*r));
	uint64_t start;
	int err, status;

	if (!r)
		return EXIT_FAILURE;
	err = run_open(r, o);
	start = far_now_ns();
	if (!err)
		err = run_loop(r, start);
	status = err ? load_conn_failed(o, err)
		     : report(r, far_now_ns() - start);
	run_close(r);
	free(r);
	return status;
}
