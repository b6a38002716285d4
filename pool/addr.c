/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define HOST_MAX 256

/* Views of ->sa; the storage is made to be looked at in these ways. */
static const struct sockaddr_un *as_un(const struct pool_addr *addr)
{
	return (const void *)&addr->sa;
}

static const struct sockaddr_in *as_in(const struct pool_addr *addr)
{
	return (const void *)&addr->sa;
}

static const struct sockaddr_in6 *as_in6(const struct pool_addr *addr)
{
	return (const void *)&addr->sa;
}

bool pool_addr_is_unix(const struct pool_addr *addr)
{
	return addr->sa.ss_family == AF_UNIX;
}

const char *pool_addr_path(const struct pool_addr *addr)
{
	return as_un(addr)->sun_path;
}

bool pool_addr_is_local(const struct pool_addr *addr)
{
	switch (addr->sa.ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(as_in(addr)->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&as_in6(addr)->sin6_addr);
	default:
		return false;
	}
}

void pool_addr_format(struct pool_addr *addr)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (pool_addr_is_unix(addr)) {
		(void)snprintf(addr->text, sizeof(addr->text), "unix:%s",
			       pool_addr_path(addr));
	} else if (addr->sa.ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &as_in(addr)->sin_addr, host,
				sizeof(host)); /* large enough */
		(void)snprintf(addr->text, sizeof(addr->text), "tcp://%s:%u",
			       host, ntohs(as_in(addr)->sin_port));
	} else {
		(void)inet_ntop(AF_INET6, &as_in6(addr)->sin6_addr, host,
				sizeof(host));
		(void)snprintf(addr->text, sizeof(addr->text), "tcp://[%s]:%u",
			       host, ntohs(as_in6(addr)->sin6_port));
	}
}

int pool_addr_unix(const char *path, struct pool_addr *ret_addr)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (!len)
		return -EINVAL;
	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, len);
	memset(ret_addr, 0, sizeof(*ret_addr));
	memcpy(&ret_addr->sa, &un, sizeof(un));
	ret_addr->len = sizeof(un);
	pool_addr_format(ret_addr);
	return 0;
}

/* "host:port" or "[v6]:port" into its parts; the port is all digits. */
static int split(const char *text, char *host, const char **ret_port)
{
	const char *colon = strrchr(text, ':');
	size_t len;

	if (!colon)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (text[0] == '[' && len > 2 && colon[-1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL;
	}
	if (!len || len >= HOST_MAX || !colon[1] || strlen(colon + 1) > 5 ||
	    colon[1 + strspn(colon + 1, "0123456789")])
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static unsigned long port_number(const char *digits)
{
	unsigned long port = 0;

	for (; *digits; digits++)
		port = 10 * port + (unsigned long)(*digits - '0');
	return port;
}

int pool_addr_tcp(const char *host_port, struct pool_addr *ret_addr)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	char host[HOST_MAX];
	const char *port;
	int err;

	err = split(host_port, host, &port);
	if (err)
		return err;
	if (port_number(port) > 65535)
		return -EINVAL;
	err = getaddrinfo(host, port, &hints, &found);
	if (err == EAI_NONAME) {
		hints.ai_flags = AI_NUMERICSERV;
		err = getaddrinfo(host, port, &hints, &found);
	}
	if (err)
		return -EADDRNOTAVAIL;
	memset(ret_addr, 0, sizeof(*ret_addr));
	memcpy(&ret_addr->sa, found->ai_addr, found->ai_addrlen);
	ret_addr->len = found->ai_addrlen;
	freeaddrinfo(found);
	pool_addr_format(ret_addr);
	return 0;
}

int pool_addr_parse(const char *text, struct pool_addr *ret_addr)
{
	if (!strncmp(text, "tcp://", 6))
		return pool_addr_tcp(text + 6, ret_addr);
	if (!strncmp(text, "unix://", 7))
		return pool_addr_unix(text + 7, ret_addr);
	if (!strncmp(text, "unix:", 5))
		return pool_addr_unix(text + 5, ret_addr);
	return -EINVAL;
}

const char *pool_addr_explain(int err)
{
	switch (err) {
	case -ENAMETOOLONG:
		return "the path is too long for a socket; fix: use one below "
		       "108 bytes";
	case -EADDRNOTAVAIL:
		return "the host name is not known; fix: check it, or write "
		       "the address in numbers";
	default:
		return "not an address; fix: write tcp://HOST:PORT or "
		       "unix:PATH";
	}
}
