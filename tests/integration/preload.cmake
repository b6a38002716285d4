# SPDX-License-Identifier: BSD-3-Clause
# Tests of libfar-preload.so with real programs.  Each runs a program under a
# limit below what it needs and compares with a run without us.
if(NOT TARGET far_preload)
	return()
endif()

add_executable(test_preload_guest test_preload_guest.c)
set_target_properties(test_preload_guest PROPERTIES
	RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
target_link_libraries(test_preload_guest PRIVATE far_flags)
target_compile_options(test_preload_guest PRIVATE -fno-builtin)

add_executable(test_preload_stat test_preload_stat.c)
set_target_properties(test_preload_stat PROPERTIES
	RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
target_link_libraries(test_preload_stat PRIVATE far_flags far_static)

far_add_test(preload.memory SOURCES test_preload.c TIMEOUT 60
	ARGS $<TARGET_FILE:far_preload> $<TARGET_FILE:test_preload_guest>
	memory LABELS integration preload)
add_dependencies(test_preload_memory far_preload test_preload_guest)
foreach(group fork edges)
	add_test(NAME preload.${group} COMMAND test_preload_memory
		$<TARGET_FILE:far_preload> $<TARGET_FILE:test_preload_guest>
		${group})
	set_tests_properties(preload.${group} PROPERTIES
		LABELS "integration;preload" TIMEOUT 60)
endforeach()

add_test(NAME preload.symbols COMMAND
	${CMAKE_CURRENT_SOURCE_DIR}/test_preload_symbols.sh
	$<TARGET_FILE:far_preload>
	${PROJECT_SOURCE_DIR}/libfar/preload/preload.map)
set_tests_properties(preload.symbols PROPERTIES LABELS "integration;preload"
	TIMEOUT 30)

foreach(program redis memcached sqlite sort python git)
	add_test(NAME preload.${program} COMMAND
		${CMAKE_CURRENT_SOURCE_DIR}/test_preload_programs.sh
		${program} $<TARGET_FILE:far_preload>
		$<TARGET_FILE:test_preload_stat>)
	set_tests_properties(preload.${program} PROPERTIES
		LABELS "integration;preload" TIMEOUT 60 SKIP_RETURN_CODE 77)
endforeach()
