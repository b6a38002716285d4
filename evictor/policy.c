/* SPDX-License-Identifier: BSD-3-Clause */
#include "evictor/policy.h"

#include <string.h>

static const struct far_evict_policy_ops *const policies[] = {
	&far_policy_clock,
	&far_policy_fifo,
	&far_policy_s3fifo,
	&far_policy_refault,
};

const struct far_evict_policy_ops *far_evict_policy_find(const char *name)
{
	if (!name)
		return NULL;
	for (size_t i = 0; i < FAR_ARRAY_SIZE(policies); i++)
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	return NULL;
}
