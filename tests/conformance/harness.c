/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/conformance/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfar/base/clock.h"

#define READY_MS 10000
#define MAX_ARGS 32

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void fill_page(void *page, uint64_t off, uint64_t version)
{
	uint64_t seed = (off + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
			(version + 1) * UINT64_C(0xd1b54a32d192ed03);
	uint64_t words[FAR_PAGE_SIZE / 8], word = seed | 1;
	unsigned i;

	for (i = 0; i < FAR_ARRAY_SIZE(words); i++) {
		if (version % 3 == 0)
			words[i] = next_random(&word);
		else if (version % 3 == 1)
			words[i] = i % 32 == 0 ? next_random(&word) : i / 64;
		else
			words[i] = seed;
	}
	memcpy(page, words, sizeof(words));
}

int is_page(const void *page, uint64_t off, uint64_t version)
{
	char want[FAR_PAGE_SIZE];

	fill_page(want, off, version);
	return memcmp(page, want, sizeof(want)) == 0;
}

int poll_some(struct far_queue *q, struct far_io **ret_done, unsigned max)
{
	uint64_t end = far_now_ns() + (uint64_t)WAIT_NS;
	int n;

	do {
		n = far_queue_poll(q, ret_done, max);
		if (n != 0)
			return n;
		n = far_queue_wait(q, WAIT_NS);
		if (n < 0)
			return n;
	} while (far_now_ns() < end);
	return -ETIME;
}

int do_io(struct far_queue *q, enum far_io_op op, uint64_t off, void *buf,
	  uint32_t len)
{
	struct far_io io = {.off = off, .buf = buf, .len = len, .op = op};
	struct far_io *done = NULL;
	int n;

	io.res = 1; /* neither success nor an error */
	n = far_queue_submit(q, &io, 1);
	if (n < 0)
		return n;
	n = poll_some(q, &done, 1);
	if (n < 0)
		return n;
	return done == &io ? io.res : -EPROTO;
}

/* Copies @text to @to, with %T and %A put in. */
static int expand(const struct harness *h, const char *text, char *to,
		  size_t len)
{
	const char *piece;
	size_t n = 0, k;

	for (; *text; text++) {
		char one[2] = {*text, '\0'};

		piece = one;
		if (text[0] == '%' && (text[1] == 'T' || text[1] == 'A'))
			piece = *++text == 'T' ? h->dir : h->addr;
		k = strlen(piece);
		if (n + k >= len)
			return -1;
		memcpy(to + n, piece, k);
		n += k;
	}
	to[n] = '\0';
	return 0;
}

static void run_server(const struct harness *h, char **args, int ready_fd)
{
	char *argv[MAX_ARGS + 3], fd_text[16];
	int i;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; args[i] && i < MAX_ARGS; i++) {
		argv[i] = malloc(512);
		if (!argv[i] || expand(h, args[i], argv[i], 512))
			_exit(127);
	}
	(void)snprintf(fd_text, sizeof(fd_text), "%d", ready_fd);
	argv[i++] = strdup("--ready-fd");
	argv[i++] = fd_text;
	argv[i] = NULL;
	(void)execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

/* Reads the one line that the server writes when it answers. */
static int read_address(struct harness *h, int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (n + 1 < sizeof(h->addr) && poll(&pfd, 1, READY_MS) == 1) {
		got = read(fd, h->addr + n, sizeof(h->addr) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		h->addr[n] = '\0';
		if (strchr(h->addr, '\n')) {
			*strchr(h->addr, '\n') = '\0';
			return 0;
		}
	}
	(void)fprintf(stderr, "the server did not get ready\n");
	return -1;
}

static int start_server(struct harness *h, char **args)
{
	int fds[2], rc;

	if (pipe(fds))
		return -1;
	h->server = fork();
	if (h->server < 0)
		return -1;
	if (h->server == 0) {
		(void)close(fds[0]);
		run_server(h, args, fds[1]);
	}
	(void)close(fds[1]);
	rc = read_address(h, fds[0]);
	(void)close(fds[0]);
	return rc;
}

int harness_start(struct harness *h, int argc, char **argv)
{
	memset(h, 0, sizeof(*h));
	if (argc < 2 || (argc > 2 && strcmp(argv[2], "--server") != 0)) {
		(void)fprintf(stderr,
			      "usage: %s SPEC [--server COMMAND ARG...]\n",
			      argv[0]);
		return -1;
	}
	(void)snprintf(h->dir, sizeof(h->dir), "./conformance-XXXXXX");
	if (!mkdtemp(h->dir)) {
		perror("mkdtemp");
		h->dir[0] = '\0';
		return -1;
	}
	if (argc > 3 && start_server(h, argv + 3))
		return -1;
	return expand(h, argv[1], h->spec, sizeof(h->spec));
}

void harness_stop(struct harness *h)
{
	struct dirent *entry;
	DIR *dir;

	if (h->server > 0) {
		(void)kill(h->server, SIGTERM);
		(void)waitpid(h->server, NULL, 0);
	}
	dir = h->dir[0] ? opendir(h->dir) : NULL;
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
	(void)rmdir(h->dir);
}
