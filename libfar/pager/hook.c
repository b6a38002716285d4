/* SPDX-License-Identifier: BSD-3-Clause */
#include "libfar/pager/hook.h"

#if FAR_HAS_HOOKS
_Atomic(far_hook_fn) far_hook;
#endif
