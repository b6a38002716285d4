# SPDX-License-Identifier: BSD-3-Clause
# Tests of libfar/backend.
foreach(t spec backend store slab compress file filters)
	far_add_test(libfar.${t} SOURCES test_${t}.c
		LABELS unit libfar backend)
endforeach()
