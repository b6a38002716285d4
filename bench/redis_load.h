/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * redis-load: fills a Redis server with values that can be made again from
 * their key, reads them at random, and checks every byte.
 */
#ifndef BENCH_REDIS_LOAD_H
#define BENCH_REDIS_LOAD_H

#include "bench/lib/json.h"
#include "bench/lib/resp.h"

/* Exit status: bad or missing values; no server; wrong use. */
#define LOAD_EXIT_BAD 1
#define LOAD_EXIT_CONN 2
#define LOAD_EXIT_USAGE 64

#define LOAD_KEY_LEN 14 /* "key:0123456789" */

/** struct load_opts - the command line */
struct load_opts {
	const char *socket; /* NULL: TCP */
	unsigned port;
	uint64_t nr_keys;
	uint64_t size;
	uint64_t seed;
	uint64_t duration_ns;
	unsigned nr_clients;
	unsigned pipeline;
	unsigned verify_every;
	bool is_quiet;
};

/** load_key() - name of key @key into @buf (LOAD_KEY_LEN + 1 bytes) */
void load_key(uint64_t key, char *buf);

/**
 * load_value() - the value of @key: random bytes in the first half, text that
 * repeats and differs from key to key in the second
 */
void load_value(const struct load_opts *o, uint64_t key, char *buf);

/** load_hash() - 64 bits of a key and its value; order of keys is up to you */
uint64_t load_hash(uint64_t key, const char *value, size_t len);

/** load_buffer_size() - bytes of a connection's buffers for @nr requests */
size_t load_buffer_size(const struct load_opts *o, unsigned nr);

/**
 * load_explain() - say on standard error what is wrong with the reply for @key:
 * all that will be known of it later
 * @buf: @o->size bytes to make the right value in
 */
void load_explain(const struct load_opts *o, uint64_t key,
		  const struct bench_reply *reply, char *buf);

/** load_conn_failed() - say what went wrong with the server */
int load_conn_failed(const struct load_opts *o, int err);

/** load_options_json() - the options, as members of a result */
void load_options_json(const struct load_opts *o, struct bench_json *j);

/** load_progress() - "what: 12 % ..." on standard error, every 0.5 s */
void load_progress(const struct load_opts *o, const char *what, uint64_t done,
		   uint64_t total, uint64_t *last_ns);

/* The commands; each returns an exit status. */
int load_cmd_load(const struct load_opts *o);
int load_cmd_get(const struct load_opts *o);
int load_cmd_verify(const struct load_opts *o);

#endif
