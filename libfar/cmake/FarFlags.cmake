# SPDX-License-Identifier: BSD-3-Clause
# far_flags: warnings and defines of every target; never exported.
include(CheckCCompilerFlag)

add_library(far_flags INTERFACE)
target_include_directories(far_flags INTERFACE
	${PROJECT_SOURCE_DIR}
	${PROJECT_SOURCE_DIR}/libfar/include
	${PROJECT_BINARY_DIR}/libfar/include)
target_compile_definitions(far_flags INTERFACE _GNU_SOURCE)
target_link_libraries(far_flags INTERFACE Threads::Threads)
target_compile_options(far_flags INTERFACE
	-Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wstrict-prototypes
	-Wmissing-prototypes -Wmissing-declarations -Wwrite-strings
	-Wpointer-arith -Wcast-qual -Wdouble-promotion -Wimplicit-fallthrough
	-fno-strict-aliasing)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	target_compile_options(far_flags INTERFACE
		-Wlogical-op -Wduplicated-cond -Wduplicated-branches)
else()
	target_compile_options(far_flags INTERFACE -Wcomma)
endif()
if(FAR_SANITIZE)
	target_compile_options(far_flags INTERFACE
		-fsanitize=${FAR_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	target_link_options(far_flags INTERFACE -fsanitize=${FAR_SANITIZE})
endif()
