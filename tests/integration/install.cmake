# SPDX-License-Identifier: BSD-3-Clause
if(FAR_PRELOAD)
	add_test(NAME install.consume
		COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/test_install.sh
		${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
	set_tests_properties(install.consume PROPERTIES
		LABELS "integration;install" TIMEOUT 120)
endif()
