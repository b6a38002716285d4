/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libfar/base/clock.h"

/* More digits of a fraction are read and ignored. */
#define FRACTION_SCALE UINT64_C(1000000)

/** struct decimal - an unsigned decimal number, exact to FRACTION_SCALE */
struct decimal {
	uint64_t whole;
	uint64_t millionths;
	bool has_point;
};

struct unit {
	const char *name;
	uint64_t scale;
};

/*
 * strtod() is not used: its decimal point follows the locale of the program
 * we live in.
 */
static int decimal_parse(const char **str, struct decimal *ret)
{
	struct decimal d = {0};
	uint64_t place = FRACTION_SCALE;
	const char *s = *str;
	unsigned nr_digits = 0;

	for (; *s >= '0' && *s <= '9'; s++, nr_digits++)
		if (far_mul_overflow(d.whole, 10, &d.whole) ||
		    far_add_overflow(d.whole, (uint64_t)(*s - '0'), &d.whole))
			return -ERANGE;
	if (*s == '.') {
		d.has_point = true;
		for (s++; *s >= '0' && *s <= '9'; s++, nr_digits++) {
			place /= 10;
			d.millionths += place * (uint64_t)(*s - '0');
		}
	}
	if (nr_digits == 0)
		return -EINVAL;
	*str = s;
	*ret = d;
	return 0;
}

/* millionths * scale fits: scale stays below 2^43. */
static int decimal_scale(const struct decimal *d, uint64_t scale, uint64_t *ret)
{
	uint64_t v;

	if (far_mul_overflow(d->whole, scale, &v) ||
	    far_add_overflow(v, d->millionths * scale / FRACTION_SCALE, &v))
		return -ERANGE;
	*ret = v;
	return 0;
}

static int parse_with_units(const char *str, const struct unit *units,
			    uint64_t *ret)
{
	struct decimal d;
	int err = decimal_parse(&str, &d);

	if (err < 0)
		return err;
	if (str[0] == ' ' && str[1])
		str++;
	for (; units->name; units++) {
		if (strcasecmp(str, units->name) != 0)
			continue;
		/* A part of the smallest unit is a mistake: "1.5" bytes. */
		if (d.has_point && units->scale == 1)
			return -EINVAL;
		return decimal_scale(&d, units->scale, ret);
	}
	return -EINVAL;
}

int far_size_parse(const char *str, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"B", 1},
		{"K", UINT64_C(1) << 10},
		{"KB", UINT64_C(1) << 10},
		{"KiB", UINT64_C(1) << 10},
		{"M", UINT64_C(1) << 20},
		{"MB", UINT64_C(1) << 20},
		{"MiB", UINT64_C(1) << 20},
		{"G", UINT64_C(1) << 30},
		{"GB", UINT64_C(1) << 30},
		{"GiB", UINT64_C(1) << 30},
		{"T", UINT64_C(1) << 40},
		{"TB", UINT64_C(1) << 40},
		{"TiB", UINT64_C(1) << 40},
		{NULL, 0},
	};

	return parse_with_units(str, units, ret_bytes);
}

int far_duration_parse(const char *str, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"ns", 1},
		{"us", FAR_NS_PER_US},
		{"ms", FAR_NS_PER_MS},
		{"s", FAR_NS_PER_S},
		{"", FAR_NS_PER_S},
		{"min", 60 * FAR_NS_PER_S},
		{"h", 3600 * FAR_NS_PER_S},
		{NULL, 0},
	};

	return parse_with_units(str, units, ret_ns);
}

int far_percent_parse(const char *str, double *ret_share)
{
	struct decimal d;
	int err = decimal_parse(&str, &d);

	if (err < 0)
		return err;
	if (strcmp(str, "%") != 0)
		return -EINVAL;
	*ret_share = ((double)d.whole +
		      (double)d.millionths / (double)FRACTION_SCALE) /
		     100;
	return 0;
}

const char *far_size_format(uint64_t bytes, char *buf, size_t len)
{
	static const char units[][4] = {"B",   "KiB", "MiB", "GiB",
					"TiB", "PiB", "EiB"};
	const unsigned last = FAR_ARRAY_SIZE(units) - 1;
	uint64_t whole, hundredths;
	unsigned u = 0, shift;

	if (bytes < 1024) {
		(void)snprintf(buf, len, "%u B", (unsigned)bytes);
		return buf;
	}
	while (u < last && bytes >> (10 * (u + 1)))
		u++;
	shift = 10 * u;
	whole = bytes >> shift;
	/* the ten bits after the point, to the nearest hundredth */
	hundredths = (((bytes >> (shift - 10)) & 1023) * 100 + 512) >> 10;
	if (hundredths == 100) {
		hundredths = 0;
		whole++;
	}
	if (whole == 1024 && u < last) {
		whole = 1;
		u++;
	}
	(void)snprintf(buf, len, "%u.%02u %s", (unsigned)whole,
		       (unsigned)hundredths, units[u]);
	return buf;
}

const char *far_duration_format(uint64_t ns, char *buf, size_t len)
{
	static const struct unit units[] = {
		{"s", FAR_NS_PER_S},
		{"ms", FAR_NS_PER_MS},
		{"us", FAR_NS_PER_US},
	};
	uint64_t tenths;
	unsigned u;

	for (u = 0; u < FAR_ARRAY_SIZE(units); u++) {
		/* rounds up to 1.0 of this unit rather than 1000.0 below it */
		if (ns < units[u].scale - units[u].scale / 20000)
			continue;
		tenths = ns / (units[u].scale / 10);
		if (ns % (units[u].scale / 10) >= units[u].scale / 20)
			tenths++;
		(void)snprintf(buf, len, "%llu.%llu %s",
			       (unsigned long long)tenths / 10,
			       (unsigned long long)tenths % 10, units[u].name);
		return buf;
	}
	(void)snprintf(buf, len, "%u ns", (unsigned)ns);
	return buf;
}

#define WORD_MAX 32

/* Case does not count, and people mix '-' and '_'. */
static bool same_char(char a, char b)
{
	if (a >= 'A' && a <= 'Z')
		a = (char)(a - 'A' + 'a');
	if (b >= 'A' && b <= 'Z')
		b = (char)(b - 'A' + 'a');
	return (a == '-' ? '_' : a) == (b == '-' ? '_' : b);
}

/*
 * Edits (insert, delete, replace, swap of neighbours) that make @a into @b;
 * the "optimal string alignment" recurrence, three rows at a time.
 */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= lb; j++)
		rows[0][j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		unsigned *cur = rows[i % 3], *prev = rows[(i + 2) % 3];
		const unsigned *prev2 = rows[(i + 1) % 3];

		cur[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			bool same = same_char(a[i - 1], b[j - 1]);
			unsigned best = prev[j - 1] + (same ? 0 : 1);

			if (prev[j] + 1 < best)
				best = prev[j] + 1;
			if (cur[j - 1] + 1 < best)
				best = cur[j - 1] + 1;
			if (i > 1 && j > 1 && same_char(a[i - 1], b[j - 2]) &&
			    same_char(a[i - 2], b[j - 1]) &&
			    prev2[j - 2] + 1 < best)
				best = prev2[j - 2] + 1;
			cur[j] = best;
		}
	}
	return rows[la % 3][lb];
}

const char *far_nearest(const char *word, const char *const *words)
{
	size_t len = strlen(word);
	unsigned limit = len < 6 ? 1 : (unsigned)(len > 12 ? 4 : len / 3);
	unsigned best = limit + 1;
	const char *nearest = NULL;

	/* A word of one letter is near to everything. */
	if (len < 2)
		return NULL;
	for (; *words; words++) {
		unsigned d = edit_distance(word, *words);

		if (d < best) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}
