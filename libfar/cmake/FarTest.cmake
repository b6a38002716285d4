# SPDX-License-Identifier: BSD-3-Clause
# far_add_test(<name> SOURCES ... [LIBS ...] [LABELS ...] [ARGS ...]
#              [TIMEOUT seconds] [WRAP fn ...])
# One CMocka program, one ctest entry; exit status 77 is a skip.
function(far_add_test name)
	cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS;ARGS;WRAP" ${ARGN})
	if(NOT T_TIMEOUT)
		set(T_TIMEOUT 60)
	endif()
	string(REPLACE "." "_" target "test_${name}")
	add_executable(${target} ${T_SOURCES})
	set_target_properties(${target} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	target_link_libraries(${target} PRIVATE far_flags far_static
		PkgConfig::CMOCKA ${T_LIBS})
	foreach(fn ${T_WRAP})
		target_link_options(${target} PRIVATE -Wl,--wrap=${fn})
	endforeach()
	add_test(NAME ${name} COMMAND ${target} ${T_ARGS})
	set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}"
		TIMEOUT ${T_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()
