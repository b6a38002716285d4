/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/stat_faults.h"

#include <inttypes.h>
#include <stdio.h>

#include "libfar/base/size.h"

#define BAR_WIDTH 40

static void print_octave(unsigned i, uint64_t nr, uint64_t most)
{
	char from[16], to[16];
	int width = (int)(nr * BAR_WIDTH / most);

	printf("  %7s .. %7s %12" PRIu64 " %.*s\n",
	       far_duration_format(UINT64_C(1) << i, from, sizeof(from)),
	       far_duration_format(UINT64_C(2) << i, to, sizeof(to)), nr, width,
	       "########################################");
}

static void print_histogram(const struct far_stat_page *p)
{
	unsigned first = 0, last = FAR_STAT_OCTAVES;
	uint64_t most = 0;

	for (unsigned i = 0; i < FAR_STAT_OCTAVES; i++)
		if (p->fault_octaves[i] > most)
			most = p->fault_octaves[i];
	if (!most) {
		printf("  no faults yet\n");
		return;
	}
	while (!p->fault_octaves[first])
		first++;
	while (!p->fault_octaves[last - 1])
		last--;
	for (unsigned i = first; i < last; i++)
		print_octave(i, p->fault_octaves[i], most);
}

static const char *mean(uint64_t sum, uint64_t nr, char *buf, size_t len)
{
	return far_duration_format(nr ? sum / nr : 0, buf, len);
}

static void print_stages(const struct far_stats *st)
{
	uint64_t nr = st->sampled_faults;
	char a[16], b[16], c[16], d[16];

	if (!nr)
		return;
	printf("  a fault on a far page, mean of %" PRIu64
	       ": look up %s, wait for a frame %s, fetch %s, map %s\n",
	       nr, mean(st->sampled_lookup_ns, nr, a, sizeof(a)),
	       mean(st->sampled_frame_ns, nr, b, sizeof(b)),
	       mean(st->sampled_fetch_ns, nr, c, sizeof(c)),
	       mean(st->sampled_install_ns, nr, d, sizeof(d)));
}

static void print_service(const struct far_stats *st)
{
	char trip[16];

	if (!st->fault_service)
		return;
	printf("  inline memory is served by %s\n",
	       far_service_words(st->fault_service));
	if (st->inline_ns)
		printf("  a fault is served in its thread in %s, with nothing "
		       "to fetch\n",
		       far_duration_format(st->inline_ns, trip, sizeof(trip)));
}

void stat_print_faults(const struct far_stat_page *p)
{
	char ring[16];

	print_histogram(p);
	print_stages(&p->stats);
	if (p->stats.deliver_ns)
		printf("  a monitor is reached and answers in %s, with nothing "
		       "to fetch\n",
		       far_duration_format(p->stats.deliver_ns, ring,
					   sizeof(ring)));
	print_service(&p->stats);
}
