/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spec strings: what is refused names a column that exists; what is understood
 * says the same when it is written again in the canonical form.
 */
#include <errno.h>
#include <string.h>

#include "libfar/backend/spec.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096u

static bool is_inside(const struct far_spec *spec, const char *s)
{
	return s >= spec->text && s < spec->text + sizeof(spec->text) &&
	       memchr(s, '\0', (size_t)(spec->text + sizeof(spec->text) - s));
}

static void check_refusal(const char *why, size_t len)
{
	unsigned long column;
	char *end;

	FUZZ_CHECK(strncmp(why, "column ", 7) == 0);
	column = strtoul(why + 7, &end, 10);
	FUZZ_CHECK(*end == ':' && column >= 1 && column <= len + 1);
	FUZZ_CHECK(strstr(why, "; fix: "));
}

static void check_values(const struct far_spec *spec, const char *key)
{
	uint64_t n = 0;
	double share = -1.0;

	(void)far_spec_size(spec, key, 1, &n, NULL, NULL);
	(void)far_spec_ns(spec, key, 1, &n, NULL, NULL);
	if (far_spec_rate(spec, key, 0.5, &share, NULL, NULL) == 0)
		FUZZ_CHECK(share >= 0.0 && share <= 1.0);
}

static void check_element(const struct far_spec *spec)
{
	static const char *const keys[] = {"size", "read", NULL};
	unsigned i, k;

	FUZZ_CHECK(is_inside(spec, spec->name) && spec->name[0]);
	FUZZ_CHECK(is_inside(spec, spec->target));
	FUZZ_CHECK(spec->nr_params <= FAR_SPEC_MAX_PARAMS);
	for (i = 0; i < spec->nr_params; i++) {
		FUZZ_CHECK(is_inside(spec, spec->params[i].key));
		FUZZ_CHECK(is_inside(spec, spec->params[i].value));
		FUZZ_CHECK(far_spec_get(spec, spec->params[i].key) ==
			   spec->params[i].value);
		for (k = 0; k < i; k++)
			FUZZ_CHECK(strcmp(spec->params[i].key,
					  spec->params[k].key) != 0);
		check_values(spec, spec->params[i].key);
	}
	(void)far_spec_allow(spec, keys, NULL, NULL);
}

/* "name://target?k=v,k=v", or "name:k=v,k=v" of a filter. */
static size_t write_element(const struct far_spec *spec, bool is_last, char *to,
			    size_t len)
{
	size_t n;
	unsigned i;

	n = (size_t)snprintf(to, len, "%s%s%s", spec->name,
			     is_last ? "://" : "", is_last ? spec->target : "");
	for (i = 0; i < spec->nr_params && n < len; i++)
		n += (size_t)snprintf(to + n, len - n, "%s%s=%s",
				      i		? ","
				      : is_last ? "?"
						: ":",
				      spec->params[i].key,
				      spec->params[i].value);
	FUZZ_CHECK(n < len);
	return n;
}

static void check_same(const struct far_spec *a, const struct far_spec *b)
{
	unsigned i;

	FUZZ_CHECK(strcmp(a->name, b->name) == 0);
	FUZZ_CHECK(strcmp(a->target, b->target) == 0);
	FUZZ_CHECK(a->nr_params == b->nr_params);
	for (i = 0; i < a->nr_params; i++) {
		FUZZ_CHECK(!strcmp(a->params[i].key, b->params[i].key));
		FUZZ_CHECK(!strcmp(a->params[i].value, b->params[i].value));
	}
}

static void check_round_trip(const struct far_spec *specs, unsigned nr)
{
	static struct far_spec again[FAR_SPEC_MAX_STACK];
	static char text[4 * INPUT_MAX];
	size_t at = 0;
	unsigned i, nr_again = 0;
	char why[256];

	for (i = 0; i < nr; i++) {
		if (i > 0)
			text[at++] = '|';
		at += write_element(&specs[i], i + 1 == nr, text + at,
				    sizeof(text) - at - 1);
	}
	text[at] = '\0';
	/* The canonical form is a little longer: it may pass the limit. */
	if (far_spec_parse(text, again, &nr_again, why, sizeof(why))) {
		FUZZ_CHECK(strstr(why, "too long"));
		return;
	}
	FUZZ_CHECK(nr_again == nr);
	for (i = 0; i < nr; i++)
		check_same(&specs[i], &again[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct far_spec specs[FAR_SPEC_MAX_STACK];
	char text[INPUT_MAX + 1], why[256] = "";
	unsigned nr = 0, i;
	int rc;

	if (len > INPUT_MAX)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	rc = far_spec_parse(text, specs, &nr, why, sizeof(why));
	FUZZ_CHECK(rc == 0 || rc == -EINVAL);
	if (rc) {
		check_refusal(why, strlen(text));
		return 0;
	}
	FUZZ_CHECK(nr >= 1 && nr <= FAR_SPEC_MAX_STACK);
	for (i = 0; i < nr; i++)
		check_element(&specs[i]);
	check_round_trip(specs, nr);
	return 0;
}
