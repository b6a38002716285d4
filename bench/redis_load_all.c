/* SPDX-License-Identifier: BSD-3-Clause */
/* redis-load load and verify: every key once, in order, pipelined. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lib/rng.h"
#include "bench/redis_load.h"

/* A pass over all keys. */
struct pass {
	const struct load_opts *o;
	struct bench_conn conn;
	char *value;
	unsigned pipeline;
	uint64_t nr_bad;
	uint64_t sum, xor; /* digest of what the server holds */
};

static int pass_open(struct pass *p, const struct load_opts *o)
{
	int err;

	memset(p, 0, sizeof(*p));
	p->o = o;
	p->pipeline = o->pipeline;
	err = bench_conn_open(&p->conn, o->socket, o->port,
			      load_buffer_size(o, p->pipeline));
	if (err)
		return err;
	p->value = malloc(o->size);
	if (!p->value) {
		bench_conn_close(&p->conn);
		return -ENOMEM;
	}
	return 0;
}

static void pass_close(struct pass *p)
{
	bench_conn_close(&p->conn);
	free(p->value);
}

/* The first few of what is wrong are shown. */
static void bad(struct pass *p, uint64_t key, const struct bench_reply *r)
{
	if (p->nr_bad++ >= 5)
		return;
	load_explain(p->o, key, r, p->value);
}

static int add_set(struct pass *p, uint64_t key)
{
	char name[LOAD_KEY_LEN + 1];
	const char *args[] = {"SET", name, p->value};
	const size_t lens[] = {3, LOAD_KEY_LEN, p->o->size};

	load_key(key, name);
	load_value(p->o, key, p->value);
	return bench_conn_add(&p->conn, 3, args, lens);
}

static void check_set(struct pass *p, uint64_t key, const struct bench_reply *r)
{
	if (r->type != BENCH_REPLY_STATUS || r->len != 2 ||
	    memcmp(r->data, "OK", 2))
		bad(p, key, r);
}

static int add_get(struct pass *p, uint64_t key)
{
	char name[LOAD_KEY_LEN + 1];
	const char *args[] = {"GET", name};
	const size_t lens[] = {3, LOAD_KEY_LEN};

	load_key(key, name);
	return bench_conn_add(&p->conn, 2, args, lens);
}

static void check_get(struct pass *p, uint64_t key, const struct bench_reply *r)
{
	uint64_t h;

	if (r->type != BENCH_REPLY_BULK) {
		bad(p, key, r);
		return;
	}
	load_value(p->o, key, p->value);
	if (r->len != p->o->size || memcmp(r->data, p->value, r->len))
		bad(p, key, r);
	h = load_hash(key, r->data, r->len);
	p->sum += h;
	p->xor ^= bench_mix64(h);
}

static int pass_run(struct pass *p, const char *what,
		    int (*add)(struct pass *p, uint64_t key),
		    void (*check)(struct pass *p, uint64_t key,
				  const struct bench_reply *r))
{
	uint64_t last = far_now_ns();
	uint64_t key, i, n;
	int err = 0;

	for (key = 0; key < p->o->nr_keys && !err; key += n) {
		n = far_min_u64(p->pipeline, p->o->nr_keys - key);
		for (i = 0; i < n && !err; i++)
			err = add(p, key + i);
		if (!err)
			err = bench_conn_send(&p->conn);
		for (i = 0; i < n && !err; i++) {
			struct bench_reply r;

			err = bench_conn_reply(&p->conn, &r);
			if (!err)
				check(p, key + i, &r);
		}
		load_progress(p->o, what, key + n, p->o->nr_keys, &last);
	}
	return err;
}

static int report(struct pass *p, const char *what, uint64_t ns)
{
	double s = (double)ns / 1e9;
	struct bench_json j;
	char digest[40];

	(void)snprintf(digest, sizeof(digest), "%016" PRIx64 "%016" PRIx64,
		       p->sum, p->xor);
	bench_json_begin(&j, "redis-load");
	bench_json_str(&j, "command", what);
	bench_json_f64(&j, "value", (double)p->o->nr_keys / s);
	bench_json_str(&j, "unit", "keys/s");
	bench_json_f64(&j, "seconds", s);
	bench_json_u64(&j, "bad", p->nr_bad);
	if (p->sum || p->xor)
		bench_json_str(&j, "digest", digest);
	load_options_json(p->o, &j);
	bench_json_env(&j);
	if (!p->o->is_quiet)
		(void)fprintf(stderr,
			      "%s: %" PRIu64 " keys in %.1f s, %.0f keys/s, "
			      "%" PRIu64 " bad%s%s\n",
			      what, p->o->nr_keys, s, (double)p->o->nr_keys / s,
			      p->nr_bad, p->sum ? ", digest " : "",
			      p->sum ? digest : "");
	if (bench_json_end(&j, stdout))
		return EXIT_FAILURE;
	return p->nr_bad ? LOAD_EXIT_BAD : EXIT_SUCCESS;
}

static int whole_pass(const struct load_opts *o, const char *what,
		      int (*add)(struct pass *p, uint64_t key),
		      void (*check)(struct pass *p, uint64_t key,
				    const struct bench_reply *r))
{
	uint64_t start = far_now_ns();
	struct pass p;
	int err, status;

	err = pass_open(&p, o);
	if (err)
		return load_conn_failed(o, err);
	err = pass_run(&p, what, add, check);
	status = err ? load_conn_failed(o, err)
		     : report(&p, what, far_now_ns() - start);
	pass_close(&p);
	return status;
}

int load_cmd_load(const struct load_opts *o)
{
	return whole_pass(o, "load", add_set, check_set);
}

int load_cmd_verify(const struct load_opts *o)
{
	return whole_pass(o, "verify", add_get, check_get);
}
