/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LIBFAR_BACKEND_COMPRESS_H
#define LIBFAR_BACKEND_COMPRESS_H

#include "libfar/backend/slab.h"
#include "libfar/backend/store.h"

/**
 * far_compress_slab() - the space of an lz4 or zstd backend, for tests that
 * damage what is stored
 * @be: opened from far_backend_lz4_ops or far_backend_zstd_ops
 */
struct far_slab *far_compress_slab(struct far_backend *be);

#endif
