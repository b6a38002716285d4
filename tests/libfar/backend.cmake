# SPDX-License-Identifier: BSD-3-Clause
# Tests of libfar/backend.
foreach(t spec backend store slab compress filters)
	far_add_test(libfar.${t} SOURCES test_${t}.c
		LABELS unit libfar backend)
endforeach()
far_add_test(libfar.file SOURCES test_file.c LABELS unit libfar backend
	LIBS PkgConfig::URING WRAP io_uring_queue_init)
