/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of compiled-in backends; the build writes far_builtins.h. */
#include "libfar/backend/backend.h"

#define FAR_BUILTIN(x)                                                         \
	extern const struct far_backend_ops far_backend_##x##_ops;
#include "far_builtins.h"
#undef FAR_BUILTIN

static const struct far_backend_ops *const builtins[] = {
#define FAR_BUILTIN(x) &far_backend_##x##_ops,
#include "far_builtins.h"
#undef FAR_BUILTIN
	NULL,
};

const struct far_backend_ops *const *far_backend_builtins(void)
{
	return builtins;
}
