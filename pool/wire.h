/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool's wire protocol, version 1: what a client (pool/client.c) and the
 * daemon (pool/session.c) say to each other over a stream socket.
 *
 * Every message is a frame: a header of 48 bytes, then `length` bytes of
 * payload.  Numbers are little-endian.
 *
 *	at  bytes  field
 *	 0      4  magic        "FARW"
 *	 4      1  version      1
 *	 5      1  type         enum wire_type; replies have bit 7 set
 *	 6      2  flags        0 in version 1
 *	 8      4  length       bytes of payload
 *	12      4  status       0 in requests; 0 or a negative errno, as Linux
 *	                        numbers it on x86-64, in replies
 *	16      8  id           chosen by the client, repeated in the reply
 *	24      8  off          bytes from the start of the export
 *	32      8  len          bytes the request is about
 *	40      4  payload_crc  CRC-32C of the payload
 *	44      4  header_crc   CRC-32C of the 44 bytes before
 *
 *	request   payload                      reply's payload
 *	HELLO     versions, tenant, token      WELCOME: limits, token
 *	RESERVE   none; len                    none; off granted
 *	RELEASE   none; off, len               none
 *	READ      none; off, len               len bytes, or none on failure
 *	WRITE     len bytes for off            none
 *	DISCARD   n times { off, len }         none; on failure n statuses
 *	CLONE     none                         token of the copy
 *	USAGE     none                         struct wire_usage
 *	PING      none                         none
 *	ERROR     text; either side says why it closes the connection
 *
 * A connection begins with HELLO and WELCOME.  HELLO asks for a new export
 * (the client's array of pages) or, with a token, for one that exists: every
 * further connection of a client attaches to the client's export, a forked
 * child attaches to the clone its parent made.  The export is gone when its
 * last connection is.  Tokens are secrets of 128 random bits.
 *
 * Requests of one connection take effect, and are answered, in order.  A frame
 *that cannot be decoded ends the connection, after an ERROR frame.  A payload
 *of READ or WRITE with a wrong checksum ends only that request, with -EBADMSG.
 *
 * The magic, the version and the ERROR message stay where they are in later
 * versions.  Who meets a version it does not speak says so in an ERROR frame
 * with -EPROTONOSUPPORT and closes.
 */
#ifndef POOL_WIRE_H
#define POOL_WIRE_H

#include "libfar/base/compiler.h"

#define WIRE_MAGIC 0x57524146u /* "FARW" */
#define WIRE_VERSION 1
#define WIRE_HEADER_LEN 48
#define WIRE_TOKEN_LEN 16
#define WIRE_TENANT_MAX 64		    /* bytes, with the NUL */
#define WIRE_TEXT_MAX 256		    /* bytes, with the NUL */
#define WIRE_PAGE ((uint64_t)FAR_PAGE_SIZE) /* off and len are multiples */
#define WIRE_MAX_LEN 65536u		    /* bytes of one READ or WRITE */
#define WIRE_MAX_DEPTH 256  /* requests a client has in flight */
#define WIRE_MAX_RANGES 256 /* in one DISCARD */
#define WIRE_RANGE_LEN 16
#define WIRE_MAX_FRAME (WIRE_HEADER_LEN + WIRE_MAX_LEN)

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_RESERVE = 2,
	WIRE_RELEASE = 3,
	WIRE_READ = 4,
	WIRE_WRITE = 5,
	WIRE_DISCARD = 6,
	WIRE_CLONE = 7,
	WIRE_USAGE = 8,
	WIRE_PING = 9,
	WIRE_ERROR = 10,
	WIRE_REPLY = 0x80, /* HELLO | REPLY is called WELCOME above */
};

enum wire_attach {
	WIRE_NEW_EXPORT = 0,
	WIRE_ATTACH = 1, /* to the export or clone that token names */
};

/** struct wire_hello - who connects and to what */
struct wire_hello {
	uint16_t min_version, max_version; /* spoken by the client */
	uint32_t features; /* none are defined; unknown ones are ignored */
	uint32_t attach;   /* enum wire_attach */
	uint64_t limit;	   /* bytes a new export may reserve; 0: no limit */
	uint8_t token[WIRE_TOKEN_LEN]; /* zeros for WIRE_NEW_EXPORT */
	char tenant[WIRE_TENANT_MAX];  /* printable ASCII, NUL-padded */
};

/** struct wire_welcome - what the server grants */
struct wire_welcome {
	uint16_t version;  /* spoken from now on */
	uint32_t features; /* those of the client's the server knows */
	uint32_t max_len, max_depth;
	uint64_t session;	       /* for logs */
	uint64_t capacity;	       /* bytes of the whole pool */
	uint8_t token[WIRE_TOKEN_LEN]; /* of the export */
};

/** struct wire_usage - bytes of this export and of the whole pool */
struct wire_usage {
	uint64_t reserved, stored; /* the export's */
	uint64_t pool_size, pool_reserved, pool_used;
	uint64_t nr_exports; /* in the pool, clones included */
};

/** struct wire_msg - one message; which of the union holds goes by type */
struct wire_msg {
	uint8_t type;	 /* enum wire_type, maybe with WIRE_REPLY */
	uint32_t length; /* of the payload; wire_encode() sets it */
	int32_t status;
	uint64_t id, off, len;
	uint32_t payload_crc;	/* as sent */
	bool is_payload_bad;	/* out, READ replies and WRITE: crc differs */
	const uint8_t *payload; /* out: in the buffer; NULL if not all there */
	union {
		struct wire_hello hello;       /* HELLO */
		struct wire_welcome welcome;   /* HELLO | REPLY, status 0 */
		struct wire_usage usage;       /* USAGE | REPLY, status 0 */
		uint8_t token[WIRE_TOKEN_LEN]; /* CLONE | REPLY, status 0 */
		char text[WIRE_TEXT_MAX];      /* ERROR, printable ASCII */
	};
};

/* What wire_decode() found at the start of the bytes. */
enum wire_got {
	WIRE_GOT_PART = 0,   /* less than a header; all fine so far */
	WIRE_GOT_HEADER = 1, /* header checked, payload not all there */
	WIRE_GOT_FRAME = 2,  /* all of it */
};

/**
 * wire_decode() - the first message in @buf
 * @len: bytes in @buf; fewer than a frame is fine
 * @ret_msg: written when a header or a frame was found; ->payload points into
 *	@buf
 *
 * The only decoder.  Checks everything that can be checked without knowing
 * the connection: checksums, types, each type's length, padding.  A frame is
 * never longer than WIRE_MAX_FRAME.
 *
 * Context: pure; any thread; bounded stack, no allocation.
 * Return: enum wire_got; -EBADMSG not this protocol or checksum wrong;
 * -EPROTONOSUPPORT version; -EMSGSIZE payload too long for the type; -EPROTO
 * breaks another rule.
 */
int wire_decode(const uint8_t *buf, size_t len, struct wire_msg *ret_msg);

/**
 * wire_encode() - a whole message without bulk payload
 * @buf: at least WIRE_HEADER_LEN + 128 + WIRE_TEXT_MAX bytes
 *
 * For all but READ replies with data, WRITE and DISCARD.
 * Return: bytes written to @buf; never fails.
 */
size_t wire_encode(const struct wire_msg *msg, uint8_t *buf);
#define WIRE_ENCODE_MAX (WIRE_HEADER_LEN + 128 + WIRE_TEXT_MAX)

/**
 * wire_encode_header() - only the header, for a payload that lies elsewhere
 * @msg: ->length and ->payload_crc describe the payload
 * @buf: WIRE_HEADER_LEN bytes
 */
void wire_encode_header(const struct wire_msg *msg, uint8_t *buf);

/** wire_put_range(), wire_get_range() - entry of a DISCARD's payload */
void wire_put_range(uint8_t *buf, uint64_t off, uint64_t len);
void wire_get_range(const uint8_t *buf, uint64_t *ret_off, uint64_t *ret_len);

/** wire_put_status(), wire_get_status() - entry of a DISCARD's reply */
void wire_put_status(uint8_t *buf, int32_t status);
int32_t wire_get_status(const uint8_t *buf);

/** wire_error() - an ERROR message with @text, cut and made printable */
void wire_error(struct wire_msg *ret_msg, int status, const char *text);

#endif
