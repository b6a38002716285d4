# SPDX-License-Identifier: BSD-3-Clause
# The far command: its errors and statuses, its manual and its completion.
add_executable(cli_child cli_child.c)
target_link_libraries(cli_child PRIVATE far_flags far_static)
add_executable(cli_static cli_static.c)
target_link_options(cli_static PRIVATE -static)
add_library(cli_preload MODULE cli_preload.c)
target_link_libraries(cli_preload PRIVATE far_flags)
set_target_properties(cli_child cli_static cli_preload PROPERTIES
	RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests
	LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

foreach(t cli manual)
	add_test(NAME integration.${t}
		COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/test_${t}.sh)
	set_tests_properties(integration.${t} PROPERTIES
		LABELS "integration;cli" TIMEOUT 120 SKIP_RETURN_CODE 77)
	set_property(TEST integration.${t} PROPERTY ENVIRONMENT
		FAR=$<TARGET_FILE:far-cli>
		FARD=$<TARGET_FILE:fard>
		CHILD=$<TARGET_FILE:cli_child>
		STATIC=$<TARGET_FILE:cli_static>
		PRELOAD=$<TARGET_FILE:cli_preload>
		SUPPORT=${PROJECT_SOURCE_DIR}/tests/support
		SOURCE=${PROJECT_SOURCE_DIR})
endforeach()

far_add_test(cli.tracestat SOURCES test_tracestat.c
	${PROJECT_SOURCE_DIR}/cli/tracestat.c LABELS unit cli)

if(TARGET far_preload)
	add_test(NAME integration.trace
		COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/test_trace.sh)
	set_tests_properties(integration.trace PROPERTIES
		LABELS "integration;cli;preload" TIMEOUT 120)
	set_property(TEST integration.trace PROPERTY ENVIRONMENT
		FAR=$<TARGET_FILE:far-cli>
		PRELOAD=$<TARGET_FILE:far_preload>
		REPLAY=$<TARGET_FILE:test_evictor_replay>
		VECTORS=${PROJECT_SOURCE_DIR}/tests/evictor/vectors/mrc_lru.txt
		SUPPORT=${PROJECT_SOURCE_DIR}/tests/support)
endif()
