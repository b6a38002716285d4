/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 256

static const struct sockaddr *as_sockaddr(const struct pool_addr *addr)
{
	return (const void *)&addr->sa;
}

/* 0: nothing answers at that path. */
static int probe(const struct pool_addr *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (!connect(fd, as_sockaddr(addr), addr->len) || errno == EAGAIN)
		err = -EADDRINUSE;
	else if (errno != ECONNREFUSED && errno != ENOENT)
		err = -errno;
	(void)close(fd);
	return err;
}

/* Takes away a socket file that a server left behind. */
static int clear_path(const struct pool_addr *addr)
{
	const char *path = pool_addr_path(addr);
	struct stat st;
	int err;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	err = probe(addr);
	if (err)
		return err;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int bind_unix(struct pool_listener *ls, const struct pool_addr *addr)
{
	int err = clear_path(addr);

	if (err)
		return err;
	/* The file gets the mode of the socket: never open to others. */
	if (fchmod(ls->fd, 0600) ||
	    bind(ls->fd, as_sockaddr(addr), addr->len) ||
	    lstat(pool_addr_path(addr), &ls->file))
		return -errno;
	return 0;
}

static int bind_tcp(struct pool_listener *ls, const struct pool_addr *addr)
{
	int on = 1;

	if (setsockopt(ls->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(ls->fd, as_sockaddr(addr), addr->len))
		return -errno;
	return 0;
}

static int start(struct pool_listener *ls, struct pool_addr *addr)
{
	int err = pool_addr_is_unix(addr) ? bind_unix(ls, addr)
					  : bind_tcp(ls, addr);

	if (err)
		return err;
	if (!pool_addr_is_unix(addr)) {
		addr->len = sizeof(addr->sa);
		if (getsockname(ls->fd, (void *)&addr->sa, &addr->len))
			return -errno;
		pool_addr_format(addr);
	}
	return listen(ls->fd, BACKLOG) ? -errno : 0;
}

static void say_why(struct far_log *log, const struct pool_addr *addr, int err)
{
	const char *fix = "check the address";

	if (err == -EADDRINUSE)
		fix = "stop the server that answers there, or listen elsewhere";
	else if (err == -EEXIST)
		fix = "that file is not a socket: remove it, or listen "
		      "elsewhere";
	else if (err == -EACCES)
		fix = "listen where this user may, e.g. a port above 1023 or a "
		      "directory of the user";
	else if (err == -ENOENT)
		fix = "make the directory first";
	far_log(log, FAR_LOG_ERR, "cannot listen on %s: %s; fix: %s",
		addr->text, strerror(-err), fix);
}

int pool_listener_open(struct pool_listener *ls, struct pool_addr *addr,
		       struct far_log *log)
{
	int err;

	if (!pool_addr_is_local(addr)) {
		far_log(log, FAR_LOG_ERR,
			"refused to listen on %s: others could reach it and "
			"there are no keys yet; fix: keys come with the pool's "
			"security, until then listen on 127.0.0.1 and bring "
			"clients there through a tunnel (ssh -L)",
			addr->text);
		return -EPERM;
	}
	memset(ls, 0, sizeof(*ls));
	ls->fd = socket(addr->sa.ss_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = ls->fd < 0 ? -errno : start(ls, addr);
	if (err) {
		say_why(log, addr, err);
		ls->addr = *addr;
		pool_listener_close(ls);
		return err;
	}
	ls->addr = *addr;
	return 0;
}

void pool_listener_close(struct pool_listener *ls)
{
	struct stat st;

	if (ls->file.st_ino && !lstat(pool_addr_path(&ls->addr), &st) &&
	    st.st_ino == ls->file.st_ino && st.st_dev == ls->file.st_dev)
		(void)unlink(pool_addr_path(&ls->addr)); /* ours, or gone */
	if (ls->fd >= 0)
		(void)close(ls->fd); /* no data in it */
	ls->fd = -1;
	memset(&ls->file, 0, sizeof(ls->file));
}
