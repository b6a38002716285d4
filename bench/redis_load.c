/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/redis_load.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/lib/rng.h"
#include "libfar/base/size.h"

#define WAIT_NAP_NS (20 * FAR_NS_PER_MS)

void load_key(uint64_t key, char *buf)
{
	(void)snprintf(buf, LOAD_KEY_LEN + 1, "key:%010" PRIu64,
		       key % UINT64_C(10000000000));
}

void load_value(const struct load_opts *o, uint64_t key, char *buf)
{
	size_t half = o->size / 2, i, n;
	struct bench_rng rng;
	char text[64];

	bench_rng_init(&rng, o->seed ^ bench_mix64(key));
	for (i = 0; i < half; i += n) {
		uint64_t r = bench_rng_next(&rng);

		n = half - i < sizeof(r) ? half - i : sizeof(r);
		memcpy(buf + i, &r, n);
	}
	n = (size_t)snprintf(text, sizeof(text),
			     "value %" PRIu64 " lies in far memory; ", key);
	for (i = half; i < o->size; i += n) {
		if (n > o->size - i)
			n = o->size - i;
		memcpy(buf + i, text, n);
	}
}

uint64_t load_hash(uint64_t key, const char *value, size_t len)
{
	uint64_t h = bench_mix64(key) ^ len;
	size_t i;

	for (i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t w = 0;

		memcpy(&w, value + i,
		       len - i < sizeof(w) ? len - i : sizeof(w));
		h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
		h ^= h >> 29;
	}
	return bench_mix64(h);
}

size_t load_buffer_size(const struct load_opts *o, unsigned nr)
{
	return nr * (o->size + 256) + 4096;
}

void load_explain(const struct load_opts *o, uint64_t key,
		  const struct bench_reply *reply, char *buf)
{
	size_t first = 0, last = 0, differ = 0, zero = 0;

	(void)fprintf(stderr, "redis-load: key %" PRIu64 ": ", key);
	if (reply->type == BENCH_REPLY_NIL) {
		(void)fprintf(stderr, "missing\n");
		return;
	}
	if (reply->type == BENCH_REPLY_ERROR) {
		(void)fprintf(stderr, "error %.*s\n", (int)reply->len,
			      reply->data);
		return;
	}
	load_value(o, key, buf);
	for (size_t i = 0; i < reply->len && i < o->size; i++) {
		if (reply->data[i] == buf[i])
			continue;
		first = differ ? first : i;
		last = i;
		differ++;
		zero += !reply->data[i];
	}
	(void)fprintf(stderr,
		      "wrong value: %zu bytes for %" PRIu64 ", %zu of them "
		      "differ, from %zu to %zu, %zu of these are zero\n",
		      reply->len, o->size, differ, first, last, zero);
}

int load_conn_failed(const struct load_opts *o, int err)
{
	char where[128];

	if (o->socket)
		(void)snprintf(where, sizeof(where), "%.100s", o->socket);
	else
		(void)snprintf(where, sizeof(where), "127.0.0.1:%u", o->port);
	(void)fprintf(stderr,
		      "redis-load: %s: %s; fix: is the server still running?\n",
		      where, strerror(-err));
	return LOAD_EXIT_CONN;
}

void load_options_json(const struct load_opts *o, struct bench_json *j)
{
	bench_json_u64(j, "keys", o->nr_keys);
	bench_json_u64(j, "size", o->size);
	bench_json_u64(j, "seed", o->seed);
	bench_json_u64(j, "clients", o->nr_clients);
	bench_json_u64(j, "pipeline", o->pipeline);
	bench_json_u64(j, "verify_every", o->verify_every);
	bench_json_f64(j, "asked_s", (double)o->duration_ns / 1e9);
	bench_json_bool(j, "is_unix", o->socket != NULL);
}

void load_progress(const struct load_opts *o, const char *what, uint64_t done,
		   uint64_t total, uint64_t *last_ns)
{
	uint64_t now = far_now_ns();

	if (o->is_quiet || (done < total && now - *last_ns < FAR_NS_PER_S / 2))
		return;
	*last_ns = now;
	(void)fprintf(stderr, "%s%s: %3.0f %%%s", isatty(2) ? "\r" : "", what,
		      total ? 100.0 * (double)done / (double)total : 100.0,
		      isatty(2) && done < total ? "" : "\n");
}

/* "wait": until the server answers, at most duration_ns. */
static int cmd_wait(const struct load_opts *o)
{
	const char *const ping[] = {"PING"};
	const size_t len[] = {4};
	const struct timespec nap = {.tv_nsec = WAIT_NAP_NS};
	uint64_t end = far_now_ns() + o->duration_ns;
	int err;

	do {
		struct bench_reply r;
		struct bench_conn c;

		err = bench_conn_open(&c, o->socket, o->port, 4096);
		if (!err) {
			err = bench_conn_add(&c, 1, ping, len);
			if (!err)
				err = bench_conn_send(&c);
			if (!err)
				err = bench_conn_reply(&c, &r);
			if (!err && r.type != BENCH_REPLY_STATUS)
				err = -EBUSY; /* -LOADING */
			bench_conn_close(&c);
		}
		if (!err)
			return EXIT_SUCCESS;
		(void)nanosleep(&nap, NULL);
	} while (far_now_ns() < end);
	return load_conn_failed(o, err);
}

static const struct {
	const char *name;
	int (*run)(const struct load_opts *o);
	unsigned pipeline; /* unless asked otherwise */
	const char *help;
} commands[] = {
	{"wait", cmd_wait, 1, "until the server answers, at most --seconds"},
	{"load", load_cmd_load, 64, "SET all keys"},
	{"get", load_cmd_get, 1, "random GETs for --seconds, a sample checked"},
	{"verify", load_cmd_verify, 64,
	 "GET every key once, check, print a digest"},
};

static void usage(FILE *f)
{
	unsigned i;

	(void)fprintf(
		f,
		"usage: redis-load --socket PATH | --port N [options] COMMAND\n"
		"  --keys N          keys (default 600000)\n"
		"  --size BYTES      bytes in a value (default 1024)\n"
		"  --seed S          seed of the values (default 1)\n"
		"  --seconds S       duration of get and wait (default 5)\n"
		"  --clients C       connections of get (default 8)\n"
		"  --pipeline P      requests in flight on each (default: get "
		"1,\n"
		"                    load and verify 64)\n"
		"  --verify-every K  compare every K-th reply of get whole\n"
		"                    (default 16)\n"
		"  --quiet           no progress, no text: JSON only\n");
	for (i = 0; i < FAR_ARRAY_SIZE(commands); i++)
		(void)fprintf(f, "  %-17s %s\n", commands[i].name,
			      commands[i].help);
	(void)fprintf(f,
		      "Exit status: 0; 1 bad or missing values; 2 no server; "
		      "64 wrong use.\n");
}

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"port", required_argument, NULL, 'p'},
	{"keys", required_argument, NULL, 'k'},
	{"size", required_argument, NULL, 'z'},
	{"seed", required_argument, NULL, 'e'},
	{"seconds", required_argument, NULL, 't'},
	{"clients", required_argument, NULL, 'c'},
	{"pipeline", required_argument, NULL, 'P'},
	{"verify-every", required_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* Numbers of options, checked: from @min to @max. */
static int number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	int err = far_size_parse(text, &n);

	if (err || n < min || n > max) {
		(void)fprintf(stderr,
			      "redis-load: '%s' is not a number from %" PRIu64
			      " to %" PRIu64 "; fix: see --help\n",
			      text, min, max);
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

static int set_option(struct load_opts *o, int opt, const char *arg)
{
	uint64_t n = 0;
	int err = 0;

	switch (opt) {
	case 's':
		o->socket = arg;
		break;
	case 'p':
		err = number(arg, 1, 65535, &n);
		o->port = (unsigned)n;
		break;
	case 'k':
		err = number(arg, 1, UINT32_MAX, &o->nr_keys);
		break;
	case 'z':
		err = number(arg, 16, 16 << 20, &o->size);
		break;
	case 'e':
		err = number(arg, 0, UINT64_MAX, &o->seed);
		break;
	case 't':
		err = far_duration_parse(arg, &o->duration_ns);
		break;
	case 'c':
		err = number(arg, 1, 1000, &n);
		o->nr_clients = (unsigned)n;
		break;
	case 'P':
		err = number(arg, 1, 1024, &n);
		o->pipeline = (unsigned)n;
		break;
	case 'v':
		err = number(arg, 1, UINT32_MAX, &n);
		o->verify_every = (unsigned)n;
		break;
	case 'q':
		o->is_quiet = true;
		break;
	default:
		err = -EINVAL;
		break;
	}
	return err;
}

int main(int argc, char **argv)
{
	struct load_opts o = {
		.nr_keys = 600000,
		.size = 1024,
		.seed = 1,
		.duration_ns = 5 * FAR_NS_PER_S,
		.nr_clients = 8,
		.verify_every = 16,
	};
	unsigned i;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		if (set_option(&o, opt, optarg)) {
			usage(stderr);
			return LOAD_EXIT_USAGE;
		}
	}
	if (optind + 1 != argc || !o.socket == !o.port) {
		usage(stderr);
		return LOAD_EXIT_USAGE;
	}
	for (i = 0; i < FAR_ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[optind], commands[i].name))
			continue;
		if (!o.pipeline)
			o.pipeline = commands[i].pipeline;
		return commands[i].run(&o);
	}
	usage(stderr);
	return LOAD_EXIT_USAGE;
}
