/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spec strings: SPEC := filter[:k=v,...]|...|scheme:rest
 * One parsed element is a struct far_spec.  Pure: no I/O, no allocation.
 */
#ifndef LIBFAR_BACKEND_SPEC_H
#define LIBFAR_BACKEND_SPEC_H

#include <far/log.h>

#include "libfar/base/compiler.h"

#define FAR_SPEC_MAX_PARAMS 16
#define FAR_SPEC_MAX_STACK 8
#define FAR_SPEC_MAX_TEXT 1024

/** struct far_spec - one element; strings point into @text */
struct far_spec {
	const char *name;   /* scheme or filter name */
	const char *target; /* what follows the scheme: path, host:port, size;
			     * "" if there is none */
	unsigned nr_params;
	struct {
		const char *key;
		const char *value; /* "" if there was no '=' */
	} params[FAR_SPEC_MAX_PARAMS];
	char text[FAR_SPEC_MAX_TEXT];
};

/**
 * far_spec_parse() - split @str into its elements, outermost filter first
 * @ret_specs: array of FAR_SPEC_MAX_STACK elements
 * @ret_nr: elements written
 *
 * Return: 0; -EINVAL, and the reason in @errbuf (names the column).
 */
int far_spec_parse(const char *str, struct far_spec *ret_specs,
		   unsigned *ret_nr, char *errbuf, size_t errlen);

/** far_spec_get() - value of @key, or NULL */
const char *far_spec_get(const struct far_spec *spec, const char *key);

/**
 * far_spec_size(), far_spec_ns(), far_spec_rate() - typed parameters
 * @def: used when @key is absent
 *
 * Return: 0; -EINVAL not a size / duration / probability from 0 to 1, with a
 * message through @log.
 */
int far_spec_size(const struct far_spec *spec, const char *key, uint64_t def,
		  uint64_t *ret, far_log_fn log, void *log_ctx);
int far_spec_ns(const struct far_spec *spec, const char *key, uint64_t def,
		uint64_t *ret, far_log_fn log, void *log_ctx);
int far_spec_rate(const struct far_spec *spec, const char *key, double def,
		  double *ret, far_log_fn log, void *log_ctx);

/**
 * far_spec_allow() - refuse parameters that are not in @keys (NULL-ended)
 * Return: 0; -EINVAL, naming the unknown key and the nearest known one.
 */
int far_spec_allow(const struct far_spec *spec, const char *const *keys,
		   far_log_fn log, void *log_ctx);

#endif
