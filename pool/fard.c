/* SPDX-License-Identifier: BSD-3-Clause */
/* fard: the pool daemon.  Options and signals; the work is in server.c. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <far/version.h>

#include "libfar/base/clock.h"
#include "libfar/base/log.h"
#include "libfar/base/options.h"
#include "libfar/base/size.h"
#include "pool/server.h"

#define EXIT_USAGE 2
#define HELLO_NS (5 * FAR_NS_PER_S)
#define DEFAULT_MAX_CLIENTS 1024
#define MAX_MAX_CLIENTS 100000
#define SPARE_FDS 128 /* listeners, log, and clients being refused */

struct options {
	struct pool_addr listen[POOL_MAX_LISTENERS];
	unsigned nr_listen;
	uint64_t size;
	uint64_t max_clients;
	enum far_log_level level;
	int ready_fd; /* -1: none */
};

static const char usage_text[] =
	"usage: fard --listen ADDRESS [--listen ADDRESS]... --size SIZE\n"
	"\n"
	"Lends memory of this machine to libfar programs.\n"
	"\n"
	"  --listen ADDRESS   tcp://127.0.0.1:PORT (port 0 chooses one) or\n"
	"                     unix:PATH; may be given up to 16 times\n"
	"  --size SIZE        memory to lend, e.g. 2G\n"
	"  --max-clients N    connections at a time (default 1024)\n"
	"  --log LEVEL        err, warn, info (default) or debug\n"
	"  --ready-fd FD      write the addresses there once they answer\n"
	"  --help             this text\n"
	"  --version          the version\n"
	"\n"
	"SIGTERM and SIGINT end it; what it holds is gone then.\n"
	"A client: FAR_CONF='far=tcp://127.0.0.1:PORT' far run -- PROGRAM\n";

enum option_id {
	OPT_LISTEN = 1,
	OPT_SIZE,
	OPT_MAX_CLIENTS,
	OPT_LOG,
	OPT_READY_FD,
	OPT_HELP,
	OPT_VERSION,
};

static const char *const option_names[] = {
	[OPT_LISTEN] = "--listen",	     [OPT_SIZE] = "--size",
	[OPT_MAX_CLIENTS] = "--max-clients", [OPT_LOG] = "--log",
	[OPT_READY_FD] = "--ready-fd",	     [OPT_HELP] = "--help",
	[OPT_VERSION] = "--version",	     NULL,
};

static void print_log(void *ctx, enum far_log_level level, const char *msg)
{
	(void)ctx;
	(void)level;
	/* standard error is where it would be said that this failed */
	(void)fprintf(stderr, "fard: %s\n", msg);
}

static int complain(const char *what, const char *arg, const char *fix)
{
	(void)fprintf(stderr, "fard: %s '%s'; fix: %s\n", what, arg, fix);
	return -EINVAL;
}

static int unknown_option(const char *arg)
{
	const char *near = far_nearest(arg, option_names + 1);
	char fix[64];

	(void)snprintf(fix, sizeof(fix),
		       near ? "did you mean %s?" : "see fard --help%s",
		       near ? near : "");
	return complain("unknown option", arg, fix);
}

static int parse_count(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value > max)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_level(const char *text, enum far_log_level *ret)
{
	static const char *const words[] = {"err", "warn", "info", "debug"};
	unsigned i;

	for (i = 0; i < FAR_ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = (enum far_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int add_listen(struct options *opt, const char *text)
{
	int err;

	if (opt->nr_listen == POOL_MAX_LISTENERS)
		return complain("one --listen too many:", text,
				"give at most 16");
	err = pool_addr_parse(text, &opt->listen[opt->nr_listen]);
	if (err) {
		(void)fprintf(stderr, "fard: --listen %s: %s\n", text,
			      pool_addr_explain(err));
		return -EINVAL;
	}
	opt->nr_listen++;
	return 0;
}

static int set_option(struct options *opt, enum option_id id, const char *value)
{
	uint64_t n;

	switch (id) {
	case OPT_LISTEN:
		return add_listen(opt, value);
	case OPT_SIZE:
		if (far_size_parse(value, &opt->size) ||
		    opt->size < FAR_PAGE_SIZE)
			return complain("bad --size", value,
					"write at least 4K, e.g. 512M or 2G");
		return 0;
	case OPT_MAX_CLIENTS:
		if (parse_count(value, MAX_MAX_CLIENTS, &opt->max_clients) ||
		    !opt->max_clients)
			return complain("bad --max-clients", value,
					"write a number from 1 to 100000");
		return 0;
	case OPT_LOG:
		if (parse_level(value, &opt->level))
			return complain("bad --log", value,
					"write err, warn, info or debug");
		return 0;
	case OPT_READY_FD:
		if (parse_count(value, 65535, &n))
			return complain("bad --ready-fd", value,
					"write the number of an open file");
		opt->ready_fd = (int)n;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The option that @arg spells; 0: none.  *@ret_value: behind '=', or NULL. */
static unsigned find_option(const char *arg, const char **ret_value)
{
	size_t len = strcspn(arg, "=");
	unsigned i;

	for (i = 1; option_names[i]; i++) {
		if (strlen(option_names[i]) != len ||
		    strncmp(option_names[i], arg, len) != 0)
			continue;
		*ret_value = arg[len] ? arg + len + 1 : NULL;
		return i;
	}
	return 0;
}

/* 0: go on; 1: all is said; -EINVAL. */
static int parse_options(int argc, char **argv, struct options *opt)
{
	const char *value;
	unsigned id;
	int i, err;

	for (i = 1; i < argc; i++) {
		id = find_option(argv[i], &value);
		if (!id)
			return unknown_option(argv[i]);
		if (id == OPT_HELP || id == OPT_VERSION) {
			(void)fputs(id == OPT_HELP ? usage_text
						   : "fard " FAR_VERSION_STRING
						     "\n",
				    stdout);
			return fflush(stdout) ? -EIO : 1;
		}
		if (!value && i + 1 == argc)
			return complain("no value for", argv[i],
					"see fard --help");
		err = set_option(opt, (enum option_id)id,
				 value ? value : argv[++i]);
		if (err)
			return err;
	}
	if (!opt->nr_listen)
		return complain("no address: missing", "--listen",
				"add e.g. --listen tcp://127.0.0.1:7470");
	if (!opt->size)
		return complain("no memory to lend: missing", "--size",
				"add e.g. --size 2G");
	return 0;
}

static void raise_file_limit(uint64_t max_clients, struct far_log *log)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) ||
	    lim.rlim_cur >= max_clients + SPARE_FDS)
		return;
	lim.rlim_cur = lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim) ||
	    lim.rlim_max < max_clients + SPARE_FDS)
		far_log(log, FAR_LOG_WARN,
			"%llu clients need more open files than the limit of "
			"%llu; fix: ulimit -n, or lower --max-clients",
			(unsigned long long)max_clients,
			(unsigned long long)lim.rlim_max);
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set); /* these cannot fail */
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Whoever started us may not be reading: that is no reason to fail. */
static void say_ready(const struct options *opt, struct far_log *log)
{
	char text[POOL_ADDR_TEXT + 1];
	unsigned i;
	int len;

	for (i = 0; i < opt->nr_listen; i++) {
		(void)fprintf(stderr, "fard: listening on %s\n",
			      opt->listen[i].text);
		if (opt->ready_fd < 0)
			continue;
		len = snprintf(text, sizeof(text), "%s\n", opt->listen[i].text);
		if (write(opt->ready_fd, text, (size_t)len) != len)
			far_log(log, FAR_LOG_WARN,
				"--ready-fd: cannot write: %s",
				strerror(errno));
	}
	if (opt->ready_fd > STDERR_FILENO)
		(void)close(opt->ready_fd); /* the end of it is the sign */
}

static int serve(struct options *opt, struct pool_server *sv,
		 struct far_log *log)
{
	unsigned i;
	int err, stop_fd;

	stop_fd = open_signals();
	if (stop_fd < 0)
		return stop_fd;
	for (i = 0; i < opt->nr_listen; i++) {
		err = pool_server_listen(sv, &opt->listen[i]);
		if (err)
			goto out;
	}
	say_ready(opt, log);
	err = pool_server_run(sv, stop_fd);
	if (err)
		far_log(log, FAR_LOG_ERR, "cannot wait for clients: %s",
			strerror(-err));
	else
		far_log(log, FAR_LOG_INFO, "stopped by a signal");
out:
	(void)close(stop_fd); /* no data in it */
	return err;
}

static int run(struct options *opt)
{
	struct pool_store_attr store_attr = {
		.size = opt->size,
		.max_exports =
			(unsigned)opt->max_clients * 2 + POOL_MAX_UNCLAIMED,
	};
	struct pool_server_attr attr = {
		.max_clients = (unsigned)opt->max_clients,
		.hello_ns = HELLO_NS,
	};
	struct pool_server *sv = NULL;
	struct far_log log;
	int err;

	far_log_init(&log, print_log, NULL, opt->level);
	raise_file_limit(opt->max_clients, &log);
	if (opt->size > far_memory_total())
		far_log(&log, FAR_LOG_WARN,
			"--size is more than the memory this process may use: "
			"it may be killed when clients fill it; fix: lower "
			"--size");
	err = pool_store_create(&store_attr, &attr.store);
	if (err) {
		far_log(&log, FAR_LOG_ERR,
			"cannot make a pool of that size: %s; fix: lower "
			"--size",
			strerror(-err));
		return err;
	}
	attr.log = &log;
	err = pool_server_create(&attr, &sv);
	if (!err)
		err = serve(opt, sv, &log);
	pool_server_destroy(sv);
	pool_store_destroy(attr.store);
	return err;
}

int main(int argc, char **argv)
{
	static struct options opt = {
		.max_clients = DEFAULT_MAX_CLIENTS,
		.level = FAR_LOG_INFO,
		.ready_fd = -1,
	};
	int err = parse_options(argc, argv, &opt);

	if (err)
		return err > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	return run(&opt) ? EXIT_FAILURE : EXIT_SUCCESS;
}
