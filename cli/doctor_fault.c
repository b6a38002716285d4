/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include <far/far.h>

#include "cli/doctor.h"
#include "libfar/base/size.h"
#include "libfar/base/stats.h"

/* The smallest pager there is, over memory. */
#define CONF "far=mem:32M;local=16M;va=64M;fault=auto"
#define LEN ((size_t)2 << 20)

static void drop_message(void *ctx, enum far_log_level level, const char *msg)
{
	(void)ctx;
	(void)level;
	(void)msg;
}

/* What a program sees that maps such memory; 0 or -errno. */
static int try_service(struct far_stats *st)
{
	const struct far_open_attr attr = {.size = sizeof(attr),
					   .log = drop_message};
	struct far_pager *pager;
	void *mem;
	int err = far_open(CONF, &attr, &pager);

	if (err < 0)
		return err;
	err = far_map_inline(pager, LEN, 0, &mem);
	if (err == 0)
		err = far_stats_read(pager, st);
	far_close(pager);
	return err;
}

void check_fault_service(const char *spec, struct check_result *r)
{
	struct far_stats st = {.size = sizeof(st)};
	char there[16], back[16];
	int err = try_service(&st);

	(void)spec; /* the same for all that can be served inline */
	if (err < 0) {
		check_set(r, CHECK_NONE, NULL, "cannot be tried: %s",
			  strerror(-err));
		return;
	}
	if (st.fault_service == FAR_SERVICE_KERNEL) {
		check_set(r, CHECK_WARN,
			  "Linux 5.10 or newer; in a container allow "
			  "pidfd_getfd in its seccomp profile",
			  "memory of far_map_inline() is served by %s",
			  far_service_words(st.fault_service));
		return;
	}
	check_set(r, CHECK_OK, NULL,
		  "memory of far_map_inline() over mem:, lz4:, zstd: is served "
		  "by %s (in its thread %s, by a monitor %s, with nothing to "
		  "fetch)",
		  far_service_words(st.fault_service),
		  far_duration_format(st.inline_ns, there, sizeof(there)),
		  far_duration_format(st.deliver_ns, back, sizeof(back)));
}
