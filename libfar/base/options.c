/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/options.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "libfar/base/log.h"
#include "libfar/base/size.h"

static const struct far_opt_desc descs[] = {
#define ROW(type, name, def, min, max, help)                                   \
	{#name,                                                                \
	 FAR_OPT_##type,                                                       \
	 def,                                                                  \
	 min,                                                                  \
	 max,                                                                  \
	 help,                                                                 \
	 offsetof(struct far_config, name)},
	FAR_OPTIONS(ROW)
#undef ROW
		{NULL, FAR_OPT_TEXT, NULL, NULL, NULL, NULL, 0},
};

static const char *const names[] = {
#define ROW(type, name, def, min, max, help) #name,
	FAR_OPTIONS(ROW)
#undef ROW
		NULL,
};

#define MAX_WORDS 8
#define MAX_WORD 32

/** struct words - the words of a WORD option, taken apart */
struct words {
	char text[MAX_WORDS][MAX_WORD];
	const char *list[MAX_WORDS + 1]; /* NULL-ended */
};

/** struct sink - where the reason of a refusal goes */
struct sink {
	far_log_fn fn;
	void *ctx;
};

#define REFUSE(sink, ...)                                                      \
	far_log_to((sink)->fn, (sink)->ctx, FAR_LOG_ERR, __VA_ARGS__)

const struct far_opt_desc *far_opt_descs(void)
{
	return descs;
}

static void split_words(const char *bar_list, struct words *w)
{
	unsigned nr = 0;

	while (*bar_list) {
		size_t len = strcspn(bar_list, "|");

		assert(nr < MAX_WORDS && len < MAX_WORD);
		memcpy(w->text[nr], bar_list, len);
		w->text[nr][len] = '\0';
		w->list[nr] = w->text[nr];
		nr++;
		bar_list += len;
		bar_list += *bar_list == '|';
	}
	w->list[nr] = NULL;
}

static int parse_word(const struct far_opt_desc *d, const char *value,
		      const struct sink *sink, uint64_t *ret)
{
	const char *near;
	struct words w;
	uint64_t i;

	split_words(d->max, &w);
	for (i = 0; w.list[i]; i++) {
		if (strcmp(value, w.list[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	near = far_nearest(value, w.list);
	if (near)
		REFUSE(sink,
		       "option %s: '%.64s' is not one of %s; "
		       "fix: did you mean '%s'?",
		       d->name, value, d->max, near);
	else
		REFUSE(sink,
		       "option %s: '%.64s' is not one of them; "
		       "fix: use one of %s",
		       d->name, value, d->max);
	return -EINVAL;
}

static int parse_count(const char *value, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*value)
		return -EINVAL;
	for (; *value; value++) {
		if (*value < '0' || *value > '9')
			return -EINVAL;
		if (far_mul_overflow(v, 10, &v) ||
		    far_add_overflow(v, (uint64_t)(*value - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

static int parse_local(const char *value, uint64_t *ret)
{
	double share;
	int err = far_percent_parse(value, &share);

	if (err == -EINVAL)
		return far_size_parse(value, ret);
	if (err < 0 || share > 1)
		return -ERANGE;
	*ret = (uint64_t)(share * (double)far_memory_total()) &
	       ~(uint64_t)FAR_PAGE_MASK;
	return 0;
}

static int parse_number(enum far_opt_type type, const char *value,
			uint64_t *ret)
{
	switch (type) {
	case FAR_OPT_LOCAL:
		return parse_local(value, ret);
	case FAR_OPT_SIZE:
		return far_size_parse(value, ret);
	case FAR_OPT_TIME:
		return far_duration_parse(value, ret);
	case FAR_OPT_COUNT:
		return parse_count(value, ret);
	case FAR_OPT_TEXT:
	case FAR_OPT_WORD:
		break;
	}
	assert(!"not a number");
	return -EINVAL;
}

static const char *example_of(enum far_opt_type type)
{
	switch (type) {
	case FAR_OPT_LOCAL:
		return "a size like 200M or 1.5G, or a share like 25%";
	case FAR_OPT_SIZE:
		return "a size like 200M or 1.5G";
	case FAR_OPT_TIME:
		return "a time like 10us, 1.5s or 30s";
	case FAR_OPT_COUNT:
		return "a whole number like 4";
	case FAR_OPT_TEXT:
	case FAR_OPT_WORD:
		break;
	}
	return "a text";
}

/* The bound @text of the table; @def if the table sets none. */
static uint64_t bound(const struct far_opt_desc *d, const char *text,
		      uint64_t def)
{
	uint64_t v = def;
	int err;

	if (!*text)
		return def;
	err = parse_number(d->type, text, &v);
	assert(err == 0);
	(void)err; /* used by the assertion only */
	return v;
}

static int set_number(const struct far_opt_desc *d, const char *value,
		      const struct sink *sink, uint64_t *ret)
{
	uint64_t v, min = bound(d, d->min, 0);
	uint64_t max = bound(d, d->max, UINT64_MAX);
	int err = parse_number(d->type, value, &v);

	if (err == -EINVAL) {
		REFUSE(sink,
		       "option %s: '%.64s' is not understood; fix: give %s",
		       d->name, value, example_of(d->type));
		return -EINVAL;
	}
	if (err == 0 && v < min) {
		REFUSE(sink,
		       "option %s: %.64s is below the minimum %s; "
		       "fix: give at least %s",
		       d->name, value, d->min, d->min);
		return -EINVAL;
	}
	if (err < 0 || v > max) {
		const char *most = d->type == FAR_OPT_LOCAL ? "100%" : d->max;

		REFUSE(sink, "option %s: %.64s is too large; fix: give %s%s",
		       d->name, value, *most ? "at most " : "less", most);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int set_text(const struct far_opt_desc *d, const char *value,
		    const struct sink *sink, char *ret)
{
	size_t len = strnlen(value, FAR_TEXT_MAX);
	uint64_t ns;

	if (len == FAR_TEXT_MAX) {
		REFUSE(sink,
		       "option %s: text is too long; fix: give at most %d "
		       "bytes",
		       d->name, FAR_TEXT_MAX - 1);
		return -EINVAL;
	}
	if (strpbrk(value, ";\n")) {
		REFUSE(sink,
		       "option %s: '%.64s' holds ';' or a newline, which "
		       "separate options; fix: use names without them",
		       d->name, value);
		return -EINVAL;
	}
	if (d->offset == offsetof(struct far_config, on_loss) &&
	    far_on_loss_ns(value, &ns) < 0) {
		REFUSE(sink,
		       "option %s: '%.64s' is not understood; "
		       "fix: give wait:TIME, like wait:30s",
		       d->name, value);
		return -EINVAL;
	}
	memcpy(ret, value, len + 1);
	return 0;
}

static const struct far_opt_desc *find_desc(const char *name)
{
	const struct far_opt_desc *d;

	for (d = descs; d->name; d++)
		if (strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

static int set_option(struct far_config *cfg, const char *name,
		      const char *value, const struct sink *sink)
{
	const struct far_opt_desc *d = find_desc(name);
	const char *near;
	char *field;

	if (!d) {
		near = far_nearest(name, names);
		if (near)
			REFUSE(sink,
			       "option %.64s: unknown; "
			       "fix: did you mean '%s'?",
			       name, near);
		else
			REFUSE(sink,
			       "option %.64s: unknown; "
			       "fix: see far(7) for the options",
			       name);
		return -EINVAL;
	}
	field = (char *)cfg + d->offset;
	if (d->type == FAR_OPT_TEXT)
		return set_text(d, value, sink, field);
	if (d->type == FAR_OPT_WORD)
		return parse_word(d, value, sink, (uint64_t *)(void *)field);
	return set_number(d, value, sink, (uint64_t *)(void *)field);
}

int far_config_set(struct far_config *cfg, const char *name, const char *value,
		   far_log_fn log, void *log_ctx)
{
	struct sink sink = {log, log_ctx};

	return set_option(cfg, name, value, &sink);
}

void far_config_defaults(struct far_config *cfg)
{
	const struct sink quiet = {NULL, NULL};
	const struct far_opt_desc *d;

	memset(cfg, 0, sizeof(*cfg));
	for (d = descs; d->name; d++) {
		int err = set_option(cfg, d->name, d->def, &quiet);

		/*
		 * A share of a very small machine may be below the minimum;
		 * the minimum then is the default.
		 */
		if (err < 0 && d->type == FAR_OPT_LOCAL)
			err = set_option(cfg, d->name, d->min, &quiet);
		assert(err == 0);
		(void)err; /* used by the assertion only */
	}
}

/** struct column_log - adds the place in the string to a message */
struct column_log {
	const struct sink *sink;
	size_t column; /* from 1 */
};

static void column_log(void *ctx, enum far_log_level level, const char *msg)
{
	const struct column_log *c = ctx;

	far_log_to(c->sink->fn, c->sink->ctx, level,
		   "configuration, column %zu: %s", c->column, msg);
}

/* One "name=value" of @len bytes. */
static int parse_one(struct far_config *cfg, const char *str, size_t len,
		     const struct sink *sink)
{
	const char *eq = memchr(str, '=', len);
	char name[65], value[FAR_TEXT_MAX + 1];
	size_t name_len, value_len;

	if (!eq) {
		REFUSE(sink, "'%.*s': no '='; fix: write name=value",
		       (int)far_min_u64(len, 64), str);
		return -EINVAL;
	}
	/* What is cut here is too long in any case, and is refused as such. */
	name_len = far_min_u64((uint64_t)(eq - str), sizeof(name) - 1);
	value_len =
		far_min_u64(len - (size_t)(eq - str) - 1, sizeof(value) - 1);
	memcpy(name, str, name_len);
	name[name_len] = '\0';
	memcpy(value, eq + 1, value_len);
	value[value_len] = '\0';
	return set_option(cfg, name, value, sink);
}

int far_config_parse(struct far_config *cfg, const char *str, far_log_fn log,
		     void *log_ctx)
{
	const struct sink outer = {log, log_ctx};
	struct column_log column = {&outer, 0};
	const struct sink sink = {column_log, &column};
	const char *s = str;

	while (*s) {
		size_t len;
		int err;

		s += strspn(s, " \t\n;");
		len = strcspn(s, ";");
		if (len == 0)
			break;
		column.column = (size_t)(s - str) + 1;
		err = parse_one(cfg, s, len, &sink);
		if (err < 0)
			return err;
		s += len;
	}
	return 0;
}

int far_on_loss_ns(const char *text, uint64_t *ret_ns)
{
	static const char prefix[] = "wait:";
	uint64_t ns;

	if (strncmp(text, prefix, sizeof(prefix) - 1) != 0 ||
	    far_duration_parse(text + sizeof(prefix) - 1, &ns) < 0)
		return -EINVAL;
	*ret_ns = ns;
	return 0;
}
