/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/backend/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libfar/base/log.h"
#include "libfar/base/size.h"

/* Where a message goes, and the place in the input it speaks of. */
struct spec_err {
	char *buf;
	size_t len;
	size_t column; /* of the element's first character, from 1 */
};

static int FAR_COLD spec_fail(const struct spec_err *err, size_t offset,
			      const char *what, const char *fix)
{
	if (err->len > 0)
		(void)snprintf(err->buf, err->len, "column %zu: %s; fix: %s",
			       err->column + offset, what, fix);
	return -EINVAL;
}

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Length of the word at @s; 0 if there is none. */
static size_t word_len(const char *s)
{
	size_t n = 0;

	while (is_word_char(s[n]))
		n++;
	return n;
}

static int add_param(struct far_spec *spec, char *item,
		     const struct spec_err *err)
{
	size_t at = (size_t)(item - spec->text);
	size_t n = word_len(item);
	unsigned i;

	if (n == 0)
		return spec_fail(err, at, "a parameter's name is missing",
				 "write key=value, separated by ','");
	if (item[n] != '\0' && item[n] != '=')
		return spec_fail(err, at + n,
				 "a parameter's name ends in a character that "
				 "is not a-z, 0-9 or _",
				 "write key=value, separated by ','");
	if (spec->nr_params == FAR_SPEC_MAX_PARAMS)
		return spec_fail(err, at, "too many parameters",
				 "give at most 16");
	spec->params[spec->nr_params].key = item;
	spec->params[spec->nr_params].value =
		item[n] == '=' ? item + n + 1 : item + n;
	item[n] = '\0';
	for (i = 0; i < spec->nr_params; i++) {
		if (strcmp(spec->params[i].key, item) == 0)
			return spec_fail(err, at, "a parameter is given twice",
					 "leave one of them out");
	}
	spec->nr_params++;
	return 0;
}

/* Splits "k=v,k=v" in place. */
static int parse_params(struct far_spec *spec, char *list,
			const struct spec_err *err)
{
	char *comma;
	int rc;

	do {
		comma = strchr(list, ',');
		if (comma)
			*comma = '\0';
		rc = add_param(spec, list, err);
		if (rc)
			return rc;
		list = comma ? comma + 1 : NULL;
	} while (list);
	return 0;
}

/*
 * The rest of a scheme: "//host:port?k=v", "/path?k=v", "size,k=v", "k=v".
 * A path or an address may hold commas; parameters follow its '?'.
 */
static int parse_target(struct far_spec *spec, char *rest,
			const struct spec_err *err)
{
	char *params = strchr(rest, '?');

	if (params) {
		*params++ = '\0';
	} else if (rest[0] != '/' && rest[0] != '.') {
		params = strchr(rest, ',');
		if (rest[word_len(rest)] == '=') {
			params = rest;
			rest = &spec->text[strlen(spec->text)];
		} else if (params) {
			*params++ = '\0';
		}
	}
	if (rest[0] == '/' && rest[1] == '/')
		rest += 2;
	spec->target = rest;
	return params ? parse_params(spec, params, err) : 0;
}

static int parse_element(struct far_spec *spec, bool is_last,
			 const struct spec_err *err)
{
	size_t n = word_len(spec->text);
	char *rest = spec->text + n;

	spec->name = spec->text;
	spec->target = spec->text + strlen(spec->text);
	spec->nr_params = 0;
	if (n == 0)
		return spec_fail(err, 0,
				 "a backend's or filter's name is missing",
				 "write filter:k=v|...|scheme:rest, e.g. "
				 "'lz4:' or 'crc|file:/tmp?size=8G'");
	if (*rest == '\0' && is_last)
		return spec_fail(err, n, "a backend's name ends in ':'",
				 "write e.g. 'mem:' instead of 'mem'");
	if (*rest != '\0' && *rest != ':')
		return spec_fail(err, n,
				 "a name holds a character that is not a-z, "
				 "0-9 or _",
				 "write filter:k=v|...|scheme:rest");
	if (*rest == ':')
		*rest++ = '\0';
	if (is_last)
		return parse_target(spec, rest, err);
	return *rest ? parse_params(spec, rest, err) : 0;
}

int far_spec_parse(const char *str, struct far_spec *ret_specs,
		   unsigned *ret_nr, char *errbuf, size_t errlen)
{
	struct spec_err err = {.buf = errbuf, .len = errlen, .column = 1};
	const char *at = str;
	unsigned nr = 0;
	size_t n;
	int rc;

	for (;;) {
		n = strcspn(at, "|");
		if (nr == FAR_SPEC_MAX_STACK)
			return spec_fail(&err, 0, "too many filters",
					 "give at most 7 and a backend");
		if (n >= FAR_SPEC_MAX_TEXT)
			return spec_fail(&err, 0, "too long an element",
					 "shorten it below 1024 characters");
		memcpy(ret_specs[nr].text, at, n);
		ret_specs[nr].text[n] = '\0';
		rc = parse_element(&ret_specs[nr], at[n] == '\0', &err);
		if (rc)
			return rc;
		nr++;
		if (at[n] == '\0')
			break;
		at += n + 1;
		err.column = (size_t)(at - str) + 1;
	}
	*ret_nr = nr;
	return 0;
}

const char *far_spec_get(const struct far_spec *spec, const char *key)
{
	unsigned i;

	for (i = 0; i < spec->nr_params; i++) {
		if (strcmp(spec->params[i].key, key) == 0)
			return spec->params[i].value;
	}
	return NULL;
}

static int FAR_COLD bad_value(const struct far_spec *spec, const char *key,
			      const char *value, const char *fix,
			      far_log_fn log, void *log_ctx)
{
	far_log_to(log, log_ctx, FAR_LOG_ERR, "%s: bad value %s=%s; fix: %s",
		   spec->name, key, value, fix);
	return -EINVAL;
}

int far_spec_size(const struct far_spec *spec, const char *key, uint64_t def,
		  uint64_t *ret, far_log_fn log, void *log_ctx)
{
	const char *value = far_spec_get(spec, key);
	uint64_t size = def;

	if (value && far_size_parse(value, &size))
		return bad_value(spec, key, value, "give a size like 200M", log,
				 log_ctx);
	*ret = size;
	return 0;
}

int far_spec_ns(const struct far_spec *spec, const char *key, uint64_t def,
		uint64_t *ret, far_log_fn log, void *log_ctx)
{
	const char *value = far_spec_get(spec, key);
	uint64_t ns = def;

	if (value && far_duration_parse(value, &ns))
		return bad_value(spec, key, value, "give a time like 10us", log,
				 log_ctx);
	*ret = ns;
	return 0;
}

/* Digits of @s into *@ret, *@scale counting their decimal places. */
static const char *parse_digits(const char *s, double *ret, int *scale)
{
	int places = 0;

	for (; *s >= '0' && *s <= '9'; s++, places++)
		*ret = *ret * 10.0 + (*s - '0');
	*scale = places;
	return s;
}

/* "0.001", "1e-3", ".5", "5%"; not strtod(), which follows the locale. */
static int parse_share(const char *s, double *ret)
{
	double value = 0.0;
	int whole, places = 0, exponent = 0;

	s = parse_digits(s, &value, &whole);
	if (*s == '.')
		s = parse_digits(s + 1, &value, &places);
	if (whole + places == 0 || whole + places > 18)
		return -EINVAL;
	if (s[0] == 'e' && s[1] == '-' && s[2] >= '0' && s[2] <= '9') {
		exponent = s[2] - '0';
		s += 3;
		if (*s >= '0' && *s <= '9')
			exponent = exponent * 10 + (*s++ - '0');
	}
	if (*s == '%') {
		exponent += 2;
		s++;
	}
	for (places += exponent; places > 0; places--)
		value /= 10.0;
	if (*s != '\0' || value > 1.0)
		return -EINVAL;
	*ret = value;
	return 0;
}

int far_spec_rate(const struct far_spec *spec, const char *key, double def,
		  double *ret, far_log_fn log, void *log_ctx)
{
	const char *value = far_spec_get(spec, key);
	double share = def;

	if (value && parse_share(value, &share))
		return bad_value(spec, key, value,
				 "give a share from 0 to 1, like 0.001 or 5%",
				 log, log_ctx);
	*ret = share;
	return 0;
}

int far_spec_allow(const struct far_spec *spec, const char *const *keys,
		   far_log_fn log, void *log_ctx)
{
	const char *near;
	unsigned i, k;

	for (i = 0; i < spec->nr_params; i++) {
		for (k = 0; keys[k]; k++) {
			if (strcmp(keys[k], spec->params[i].key) == 0)
				break;
		}
		if (keys[k])
			continue;
		near = far_nearest(spec->params[i].key, keys);
		if (near)
			far_log_to(log, log_ctx, FAR_LOG_ERR,
				   "%s: unknown parameter '%s'; fix: did you "
				   "mean '%s'?",
				   spec->name, spec->params[i].key, near);
		else
			far_log_to(log, log_ctx, FAR_LOG_ERR,
				   "%s: unknown parameter '%s'; fix: leave it "
				   "out",
				   spec->name, spec->params[i].key);
		return -EINVAL;
	}
	return 0;
}
