/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file of a fault trace: what happened to the pages of one process, as the
 * option trace= has it recorded and far-trace(1) reads it.  Little endian; a
 * header, then records up to the end of the file.
 *
 *  header, offset and size in bytes	record
 *   0  8  "FARTRACE"			 0  8  us since the trace began
 *   8  4  version			 8  4  page, from the start of the
 *  12  4  size of this header			range; of DROPPED: how many
 *  16  4  size of a record		12  1  kind, enum far_trace_kind
 *  20  4  size of a page		13  1  flags
 *  24  8  pages of the address range	14  2  thread: tells some apart; of
 *  32  8  local limit, in pages		OUT: which evictor; or 0
 *  40  8  when it began, ns since 1970
 *  48 16  name of the program, then zeros
 *
 * Records are nearly in the order of their times.  A page's records are in the
 * order of what happened to it.  The last record may be cut short.
 */
#ifndef FAR_TRACE_H
#define FAR_TRACE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAR_TRACE_MAGIC "FARTRACE"
#define FAR_TRACE_VERSION 1
#define FAR_TRACE_HEADER_BYTES 64
#define FAR_TRACE_RECORD_BYTES 16
#define FAR_TRACE_PAGE_BYTES 4096
#define FAR_TRACE_NAME_BYTES 16

/* FAR_TRACE_KIND(KIND, name, what happened) */
#define FAR_TRACE_KINDS(FAR_TRACE_KIND)                                        \
	FAR_TRACE_KIND(ZERO, zero, "first touches: filled with zeros")         \
	FAR_TRACE_KIND(REMOTE, remote, "faults on far pages: fetched")         \
	FAR_TRACE_KIND(RESCUED, rescued, "faults on pages on their way out")   \
	FAR_TRACE_KIND(WRITE, write, "first writes to clean pages")            \
	FAR_TRACE_KIND(AHEAD, ahead, "pages that came before a fault")         \
	FAR_TRACE_KIND(OUT, out, "pages taken out")                            \
	FAR_TRACE_KIND(DROPPED, dropped, "records that found no room")

enum far_trace_kind {
	FAR_TRACE_NONE, /* not in a file */
#define FAR_TRACE_KIND(KIND, name, what) FAR_TRACE_##KIND,
	FAR_TRACE_KINDS(FAR_TRACE_KIND)
#undef FAR_TRACE_KIND
	FAR_TRACE_NR_KINDS
};

enum {
	FAR_TRACE_IS_WRITE = 1, /* the access was a write */
	FAR_TRACE_IS_ZEROS = 2, /* AHEAD: filled with zeros, not fetched */
	FAR_TRACE_FLAGS = 3
};

struct far_trace_header {
	uint64_t nr_pages;
	uint64_t limit_pages;
	uint64_t start_ns;
	char name[FAR_TRACE_NAME_BYTES + 1];
};

struct far_trace_record {
	uint64_t us;
	uint32_t page;
	uint8_t kind;
	uint8_t flags;
	uint16_t thread;
};

static inline void far_trace_put(unsigned char *at, unsigned bytes,
				 uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

static inline uint64_t far_trace_get(const unsigned char *at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

/** far_trace_header_put() - @h as FAR_TRACE_HEADER_BYTES at @at */
static inline void far_trace_header_put(unsigned char *at,
					const struct far_trace_header *h)
{
	memset(at, 0, FAR_TRACE_HEADER_BYTES);
	memcpy(at, FAR_TRACE_MAGIC, 8);
	far_trace_put(at + 8, 4, FAR_TRACE_VERSION);
	far_trace_put(at + 12, 4, FAR_TRACE_HEADER_BYTES);
	far_trace_put(at + 16, 4, FAR_TRACE_RECORD_BYTES);
	far_trace_put(at + 20, 4, FAR_TRACE_PAGE_BYTES);
	far_trace_put(at + 24, 8, h->nr_pages);
	far_trace_put(at + 32, 8, h->limit_pages);
	far_trace_put(at + 40, 8, h->start_ns);
	memcpy(at + 48, h->name, FAR_TRACE_NAME_BYTES);
}

/**
 * far_trace_header_get() - the header of a file that begins with @len bytes @at
 * Return: 0; -ENODATA it ends before; -EBADMSG it is none; -ENOTSUP another
 * version; -EINVAL its values cannot be right.  far_trace_error() says it.
 */
static inline int far_trace_header_get(const unsigned char *at, size_t len,
				       struct far_trace_header *ret)
{
	if (len < 8 || memcmp(at, FAR_TRACE_MAGIC, 8) != 0)
		return -EBADMSG;
	if (len < FAR_TRACE_HEADER_BYTES)
		return -ENODATA;
	if (far_trace_get(at + 8, 4) != FAR_TRACE_VERSION)
		return -ENOTSUP;
	ret->nr_pages = far_trace_get(at + 24, 8);
	ret->limit_pages = far_trace_get(at + 32, 8);
	ret->start_ns = far_trace_get(at + 40, 8);
	memcpy(ret->name, at + 48, FAR_TRACE_NAME_BYTES);
	ret->name[FAR_TRACE_NAME_BYTES] = '\0';
	return far_trace_get(at + 12, 4) != FAR_TRACE_HEADER_BYTES ||
			       far_trace_get(at + 16, 4) !=
				       FAR_TRACE_RECORD_BYTES ||
			       far_trace_get(at + 20, 4) !=
				       FAR_TRACE_PAGE_BYTES ||
			       ret->nr_pages == 0 ||
			       ret->nr_pages > UINT32_MAX ||
			       ret->limit_pages == 0 ||
			       ret->limit_pages > UINT64_MAX >> 12
		       ? -EINVAL
		       : 0;
}

/** far_trace_record_put() - @r as FAR_TRACE_RECORD_BYTES at @at */
static inline void far_trace_record_put(unsigned char *at,
					const struct far_trace_record *r)
{
	far_trace_put(at, 8, r->us);
	far_trace_put(at + 8, 4, r->page);
	at[12] = r->kind;
	at[13] = r->flags;
	far_trace_put(at + 14, 2, r->thread);
}

/**
 * far_trace_record_get() - the record at @at, of a file with header @h
 * Return: 0; -EILSEQ no such kind, flag or page.
 */
static inline int far_trace_record_get(const unsigned char *at,
				       const struct far_trace_header *h,
				       struct far_trace_record *ret)
{
	ret->us = far_trace_get(at, 8);
	ret->page = (uint32_t)far_trace_get(at + 8, 4);
	ret->kind = at[12];
	ret->flags = at[13];
	ret->thread = (uint16_t)far_trace_get(at + 14, 2);
	return ret->kind == FAR_TRACE_NONE ||
			       ret->kind >= FAR_TRACE_NR_KINDS ||
			       (ret->flags & ~FAR_TRACE_FLAGS) != 0 ||
			       (ret->kind != FAR_TRACE_DROPPED &&
				ret->page >= h->nr_pages)
		       ? -EILSEQ
		       : 0;
}

/** far_trace_is_fetch() - was the page of @r far, and came? */
static inline int far_trace_is_fetch(const struct far_trace_record *r)
{
	return r->kind == FAR_TRACE_REMOTE || r->kind == FAR_TRACE_RESCUED ||
	       (r->kind == FAR_TRACE_AHEAD && !(r->flags & FAR_TRACE_IS_ZEROS));
}

/** far_trace_error() - what is wrong, as the functions above returned it; NULL
 * for any other error */
static inline const char *far_trace_error(int err)
{
	switch (err) {
	case -EBADMSG:
		return "it is not a fault trace";
	case -ENODATA:
		return "it ends within its header";
	case -ENOTSUP:
		return "it is a fault trace of another version";
	case -EINVAL:
		return "its header is damaged";
	case -EILSEQ:
		return "a record is damaged";
	default:
		return NULL;
	}
}

#ifdef __cplusplus
}
#endif

#endif
