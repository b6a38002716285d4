/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers as people write them: sizes "200M", "1.5G", "4096"; durations
 * "10us", "1.5s", "30s"; shares "25%".  Suffixes of sizes are powers of 1024
 * (K M G T, also KiB, KB...).  Pure.
 */
#ifndef LIBFAR_BASE_SIZE_H
#define LIBFAR_BASE_SIZE_H

#include "libfar/base/compiler.h"

/** far_size_parse() - bytes of @str; 0, -EINVAL or -ERANGE */
int far_size_parse(const char *str, uint64_t *ret_bytes);

/** far_duration_parse() - nanoseconds of @str; a bare number is seconds */
int far_duration_parse(const char *str, uint64_t *ret_ns);

/** far_percent_parse() - "25%" to 0.25; -EINVAL if there is no '%' */
int far_percent_parse(const char *str, double *ret_share);

/** far_size_format() - "1.50 GiB" into @buf (at least 16 bytes); returns @buf */
const char *far_size_format(uint64_t bytes, char *buf, size_t len);

/** far_duration_format() - "12.3 us" into @buf; returns @buf */
const char *far_duration_format(uint64_t ns, char *buf, size_t len);

/**
 * far_nearest() - the word of @words (NULL-ended) nearest to @word
 * Return: it, or NULL if none is near enough to be worth suggesting.
 */
const char *far_nearest(const char *word, const char *const *words);

#endif
