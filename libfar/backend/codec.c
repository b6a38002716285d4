/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/codec.h"

#include <errno.h>
#include <lz4.h>
#include <string.h>

/* ZSTD_initStatic*() keep libzstd from allocating on the data plane. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "libfar/base/arena.h"

static size_t lz4_state_size(int level)
{
	(void)level;
	return (size_t)LZ4_sizeofState();
}

static int lz4_init(struct far_codec_ctx *ctx)
{
	(void)ctx; /* each compression sets the state up */
	return 0;
}

static uint32_t lz4_pack(struct far_codec_ctx *ctx, const void *page)
{
	int n = LZ4_compress_fast_extState(ctx->state, page, ctx->out,
					   (int)FAR_PAGE_SIZE,
					   (int)FAR_CODEC_MAX, 1);

	return n > 0 ? (uint32_t)n : 0;
}

static bool lz4_unpack(struct far_codec_ctx *ctx, const void *src, uint32_t len,
		       void *page)
{
	(void)ctx;
	return LZ4_decompress_safe(src, page, (int)len, (int)FAR_PAGE_SIZE) ==
	       (int)FAR_PAGE_SIZE;
}

static size_t cctx_size(int level)
{
	return far_round_up(ZSTD_estimateCCtxSize(level), FAR_CACHE_LINE);
}

static size_t zstd_state_size(int level)
{
	return cctx_size(level) + ZSTD_estimateDCtxSize();
}

static int zstd_init(struct far_codec_ctx *ctx)
{
	size_t len = cctx_size(ctx->level);

	ctx->cctx = ZSTD_initStaticCCtx(ctx->state, len);
	ctx->dctx = ZSTD_initStaticDCtx((char *)ctx->state + len,
					ZSTD_estimateDCtxSize());
	return ctx->cctx && ctx->dctx ? 0 : -EIO;
}

static uint32_t zstd_pack(struct far_codec_ctx *ctx, const void *page)
{
	size_t n = ZSTD_compressCCtx(ctx->cctx, ctx->out, FAR_CODEC_MAX, page,
				     FAR_PAGE_SIZE, ctx->level);

	return ZSTD_isError(n) ? 0 : (uint32_t)n;
}

static bool zstd_unpack(struct far_codec_ctx *ctx, const void *src,
			uint32_t len, void *page)
{
	return ZSTD_decompressDCtx(ctx->dctx, page, FAR_PAGE_SIZE, src, len) ==
	       FAR_PAGE_SIZE;
}

int far_codec_ctx_init(struct far_codec_ctx *ctx, const struct far_codec *codec,
		       int level)
{
	int rc;

	memset(ctx, 0, sizeof(*ctx));
	ctx->codec = codec;
	ctx->level = level;
	ctx->mem_len = FAR_PAGE_SIZE + codec->state_size(level);
	rc = far_near_map(ctx->mem_len, &ctx->mem);
	if (rc)
		return rc;
	ctx->out = ctx->mem;
	ctx->state = (char *)ctx->mem + FAR_PAGE_SIZE;
	rc = codec->init(ctx);
	if (rc)
		far_codec_ctx_fini(ctx);
	return rc;
}

void far_codec_ctx_fini(struct far_codec_ctx *ctx)
{
	far_near_unmap(ctx->mem, ctx->mem_len);
	ctx->mem = NULL;
}

const struct far_codec far_codec_lz4 = {
	.state_size = lz4_state_size,
	.init = lz4_init,
	.pack = lz4_pack,
	.unpack = lz4_unpack,
};

const struct far_codec far_codec_zstd = {
	.state_size = zstd_state_size,
	.init = zstd_init,
	.pack = zstd_pack,
	.unpack = zstd_unpack,
};
