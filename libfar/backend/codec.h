/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compressing one page.  A context belongs to one queue; its memory is near
 * memory taken when the queue opens, nothing is allocated afterwards.
 */
#ifndef LIBFAR_BACKEND_CODEC_H
#define LIBFAR_BACKEND_CODEC_H

#include "libfar/backend/slab.h"
#include "libfar/base/compiler.h"

/* A page that does not shrink to this is kept as it is. */
#define FAR_CODEC_MAX (FAR_PAGE_SIZE - FAR_SLAB_STEP)

struct far_codec;

/** struct far_codec_ctx - work memory of one thread */
struct far_codec_ctx {
	const struct far_codec *codec;
	int level;
	char *out;   /* FAR_CODEC_MAX bytes: what pack() made */
	void *state; /* the codec's own */
	void *cctx, *dctx;
	void *mem; /* near memory of out and state */
	size_t mem_len;
};

/** struct far_codec - one way to compress a page */
struct far_codec {
	/* bytes of state at @level */
	size_t (*state_size)(int level);
	/* prepares ctx->state; 0 or -EIO */
	int (*init)(struct far_codec_ctx *ctx);
	/* page to ctx->out; its length, or 0 if it does not fit into that */
	uint32_t (*pack)(struct far_codec_ctx *ctx, const void *page);
	/* @src to page; false if it is damaged */
	bool (*unpack)(struct far_codec_ctx *ctx, const void *src, uint32_t len,
		       void *page);
};

extern const struct far_codec far_codec_lz4;
extern const struct far_codec far_codec_zstd;

#define FAR_CODEC_ZSTD_LEVEL_MAX 19

/**
 * far_codec_ctx_init() - take and prepare the memory of one thread
 * @level: 1 to FAR_CODEC_ZSTD_LEVEL_MAX; lz4 has none
 *
 * Context: control plane.
 * Return: 0; -ENOMEM; -EIO the library refused its memory.
 */
int far_codec_ctx_init(struct far_codec_ctx *ctx, const struct far_codec *codec,
		       int level);

/** far_codec_ctx_fini() - give it back */
void far_codec_ctx_fini(struct far_codec_ctx *ctx);

#endif
