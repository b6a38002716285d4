/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/base/hist.h"

static uint64_t load_count(const struct far_hist *h, unsigned i)
{
	return atomic_load_explicit(&h->count[i], memory_order_relaxed);
}

/* The largest value that far_hist_bucket() puts into bucket @idx. */
static uint64_t bucket_upper(unsigned idx)
{
	unsigned shift, sub;

	if (idx < (1u << FAR_HIST_SUB_BITS))
		return idx;
	shift = (idx >> FAR_HIST_SUB_BITS) - 1;
	sub = idx & ((1u << FAR_HIST_SUB_BITS) - 1);
	return ((UINT64_C(1) << FAR_HIST_SUB_BITS) + sub + 1) *
		       (UINT64_C(1) << shift) -
	       1;
}

void far_hist_merge(struct far_hist *dst, const struct far_hist *src)
{
	unsigned i;

	for (i = 0; i < FAR_HIST_BUCKETS; i++) {
		uint64_t sum = load_count(dst, i) + load_count(src, i);

		atomic_store_explicit(&dst->count[i], sum,
				      memory_order_relaxed);
	}
}

void far_hist_octaves(const struct far_hist *h, uint64_t *ret, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		ret[i] = 0;
	for (unsigned i = 0; i < FAR_HIST_BUCKETS; i++) {
		uint64_t upper = bucket_upper(i);
		unsigned at = upper ? 63 - (unsigned)__builtin_clzll(upper) : 0;

		ret[at < nr ? at : nr - 1] += load_count(h, i);
	}
}

uint64_t far_hist_total(const struct far_hist *h)
{
	uint64_t total = 0;
	unsigned i;

	for (i = 0; i < FAR_HIST_BUCKETS; i++)
		total += load_count(h, i);
	return total;
}

uint64_t far_hist_quantile(const struct far_hist *h, double q)
{
	uint64_t total = far_hist_total(h), seen = 0, rank;
	unsigned i, last = 0;
	double want;

	if (total == 0)
		return 0;
	want = q <= 0 ? 0 : q >= 1 ? (double)total : q * (double)total;
	rank = (uint64_t)want;
	if ((double)rank < want || rank == 0)
		rank++;
	for (i = 0; i < FAR_HIST_BUCKETS; i++) {
		uint64_t n = load_count(h, i);

		seen += n;
		if (seen >= rank)
			return bucket_upper(i);
		if (n)
			last = i;
	}
	/* total rounded up as a double, or a writer raced with the two sums */
	return bucket_upper(last);
}
