/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "crc": remembers a CRC-32C of every page written and compares it on read.
 * The sums live in near memory, not with the data, so a backend that returns
 * an old or another page is caught as well as one that damages it.
 */
#include <errno.h>
#include <stdlib.h>

#include "libfar/backend/filter.h"
#include "libfar/base/arena.h"
#include "libfar/base/crc32c.h"
#include "libfar/base/log.h"

struct crc_filter {
	struct far_filter f;
	/* of each page; written by the one user of the page at a time */
	_Atomic uint32_t *sums;
	void *map; /* the mapping of sums */
	size_t len;
};

static void crc_after(struct far_filter_queue *fq, struct far_filter_req *req)
{
	struct crc_filter *crc =
		FAR_CONTAINER_OF(far_filter_of(fq), struct crc_filter, f);
	uint64_t page = req->io.off >> FAR_PAGE_SHIFT;
	const char *buf = req->io.buf;
	uint32_t at, sum;

	if (req->io.res < 0 || req->io.op == FAR_IO_DISCARD)
		return;
	for (at = 0; at < req->io.len; at += FAR_PAGE_SIZE, page++) {
		sum = far_crc32c(0, buf + at, FAR_PAGE_SIZE);
		if (req->io.op == FAR_IO_WRITE)
			atomic_store_explicit(&crc->sums[page], sum,
					      memory_order_relaxed);
		else if (atomic_load_explicit(&crc->sums[page],
					      memory_order_relaxed) != sum)
			req->io.res = -EBADMSG;
	}
}

static const struct far_filter_hooks crc_hooks = {
	.after = crc_after,
};

static void crc_close(struct far_backend *be)
{
	struct far_filter *f = FAR_CONTAINER_OF(be, struct far_filter, be);
	struct crc_filter *crc = FAR_CONTAINER_OF(f, struct crc_filter, f);

	far_near_unmap(crc->map, crc->len);
	far_filter_close(be);
}

static int crc_open(const struct far_spec *spec, struct far_backend *next,
		    far_log_fn log, void *log_ctx, struct far_backend **ret_be)
{
	static const char *const keys[] = {NULL};
	struct crc_filter *crc;
	int rc;

	rc = far_spec_allow(spec, keys, log, log_ctx);
	if (rc)
		return rc;
	crc = far_filter_new(sizeof(*crc), &far_backend_crc_ops, &crc_hooks,
			     next);
	if (!crc)
		return -ENOMEM;
	crc->len = (size_t)(next->caps.capacity >> FAR_PAGE_SHIFT) *
		   sizeof(*crc->sums);
	rc = far_near_map(crc->len, &crc->map);
	if (rc) {
		far_log_to(log, log_ctx, FAR_LOG_ERR,
			   "crc: cannot map the sums: no address space; fix: "
			   "give a smaller size");
		free(crc);
		return rc;
	}
	crc->sums = crc->map;
	*ret_be = &crc->f.be;
	return 0;
}

static int crc_caps(struct far_backend *be, struct far_backend_caps *ret_caps)
{
	/* The sums are by page, so a smaller transfer cannot be checked. */
	*ret_caps = be->next->caps;
	ret_caps->align = FAR_PAGE_SIZE;
	ret_caps->max_len &= ~(uint32_t)FAR_PAGE_MASK;
	return 0;
}

const struct far_backend_ops far_backend_crc_ops = {
	.size = sizeof(struct far_backend_ops),
	.name = "crc",
	.help = "crc - keep a checksum of every page, -EBADMSG on mismatch",
	.is_filter = 1,
	.open = crc_open,
	.close = crc_close,
	.caps = crc_caps,
	FAR_FILTER_DATA_OPS,
};
