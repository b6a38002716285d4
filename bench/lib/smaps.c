/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/lib/smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* One mapping as smaps shows it. */
struct vma {
	uint64_t lo, hi;
	bool is_anonymous;
	bool is_named;
	bool is_uffd;
	struct bench_smaps sum;
};

struct parser {
	uint64_t lo, hi; /* a range is asked for when hi is not 0 */
	struct bench_smaps by[BENCH_SMAPS_NAMED + 1];
};

static void add(struct bench_smaps *to, const struct bench_smaps *from)
{
	to->size += from->size;
	to->rss += from->rss;
	to->swap += from->swap;
	to->pss += from->pss;
	to->swap_pss += from->swap_pss;
}

static void vma_done(struct parser *p, struct vma *v)
{
	if (v->hi)
		v->sum.size = v->hi - v->lo;
	if (!v->hi) {
		/* before the first mapping */
	} else if (p->hi) {
		if (v->lo < p->hi && v->hi > p->lo) {
			add(&p->by[BENCH_SMAPS_NAMED], &v->sum);
			p->by[BENCH_SMAPS_NAMED].how = BENCH_SMAPS_NAMED;
		}
	} else if (v->is_named) {
		add(&p->by[BENCH_SMAPS_NAMED], &v->sum);
		p->by[BENCH_SMAPS_NAMED].how = BENCH_SMAPS_NAMED;
	} else if (v->is_uffd) {
		add(&p->by[BENCH_SMAPS_UFFD], &v->sum);
		p->by[BENCH_SMAPS_UFFD].how = BENCH_SMAPS_UFFD;
	} else if (v->is_anonymous &&
		   v->sum.size > p->by[BENCH_SMAPS_LARGEST].size) {
		p->by[BENCH_SMAPS_LARGEST] = v->sum;
		p->by[BENCH_SMAPS_LARGEST].how = BENCH_SMAPS_LARGEST;
	}
	memset(v, 0, sizeof(*v));
}

/* "7f00-7f01 rw-p 00000000 00:00 0    [anon:far]" */
static bool parse_heading(const char *line, struct vma *v)
{
	uint64_t lo, hi;
	unsigned long inode;
	int end = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %*x %*x:%*x %lu%n", &lo,
		   &hi, &inode, &end) != 3 ||
	    !end)
		return false;
	v->lo = lo;
	v->hi = hi;
	line += end;
	line += strspn(line, " ");
	v->is_anonymous = inode == 0 && (*line == '\n' || *line == '\0');
	v->is_named = !strncmp(line, "[anon:far", 9);
	return true;
}

static void parse_field(const char *line, struct vma *v)
{
	uint64_t kib;

	if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
		v->sum.rss = kib << 10;
	else if (sscanf(line, "Pss: %" SCNu64 " kB", &kib) == 1)
		v->sum.pss = kib << 10;
	else if (sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1)
		v->sum.swap = kib << 10;
	else if (sscanf(line, "SwapPss: %" SCNu64 " kB", &kib) == 1)
		v->sum.swap_pss = kib << 10;
	else if (!strncmp(line, "VmFlags:", 8))
		v->is_uffd = strstr(line, " um") || strstr(line, " uw");
}

static void parse(FILE *f, struct parser *p, struct bench_smaps *ret_sum)
{
	struct vma v = {0};
	char line[512];
	int how;

	while (fgets(line, sizeof(line), f)) {
		struct vma next = {0};

		/* Headings begin with an address, fields with a capital. */
		if ((line[0] < 'A' || line[0] > 'Z') &&
		    parse_heading(line, &next)) {
			vma_done(p, &v);
			v = next;
		} else {
			parse_field(line, &v);
		}
	}
	vma_done(p, &v);
	for (how = BENCH_SMAPS_NAMED; how > BENCH_SMAPS_NONE; how--) {
		if (p->by[how].how != BENCH_SMAPS_NONE)
			break;
	}
	*ret_sum = p->by[how];
}

void bench_smaps_parse(FILE *f, struct bench_smaps *ret_sum)
{
	struct parser p = {0};

	parse(f, &p, ret_sum);
}

void bench_smaps_range(FILE *f, uint64_t lo, uint64_t hi,
		       struct bench_smaps *ret_sum)
{
	struct parser p = {.lo = lo, .hi = hi};

	parse(f, &p, ret_sum);
}

int bench_smaps_read(pid_t pid, struct bench_smaps *ret_sum)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/smaps", (long)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	bench_smaps_parse(f, ret_sum);
	(void)fclose(f); /* read only */
	return 0;
}

int bench_smaps_self(const void *addr, size_t len, struct bench_smaps *ret_sum)
{
	FILE *f = fopen("/proc/self/smaps", "re");

	if (!f)
		return -errno;
	bench_smaps_range(f, (uintptr_t)addr, (uintptr_t)addr + len, ret_sum);
	(void)fclose(f); /* read only */
	return 0;
}
