# SPDX-License-Identifier: BSD-3-Clause
# Writes OUT with the commit that is being built; touches it on change only.
cmake_minimum_required(VERSION 3.25)
execute_process(
	COMMAND git --no-optional-locks -C ${SRC} describe
		--always --dirty --abbrev=12
	OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
	ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR NOT commit)
	set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
	"#define FAR_BENCH_COMMIT \"@commit@\"\n")
