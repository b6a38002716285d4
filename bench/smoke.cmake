# SPDX-License-Identifier: BSD-3-Clause
# bench-smoke: every benchmark runs to its end and finds its data whole, on
# any machine and any build.  Nothing here looks at a time.
function(bench_smoke name timeout)
	add_test(NAME bench.${name} COMMAND ${ARGN})
	set_tests_properties(bench.${name} PROPERTIES
		LABELS bench-smoke TIMEOUT ${timeout} SKIP_RETURN_CODE 77
		ENVIRONMENT FAR_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
		# one memory-hungry benchmark at a time, and none beside zram
		RESOURCE_LOCK swap)
endfunction()

set(smoke --smoke --region 64M --local 50% --ops 20000 --warmup 0.05)
foreach(backend mem: lz4:)
	string(REPLACE ":" "" name ${backend})
	bench_smoke(pages.${name} 60 bench-pages ${smoke} --backend ${backend})
	bench_smoke(pages.${name}.threads 60
		bench-pages ${smoke} --backend ${backend} --threads 3)
endforeach()
bench_smoke(pages.none 60 bench-pages ${smoke} --backend none)
bench_smoke(pages.zram 60 bench-pages ${smoke} --backend zram)
# The kernel's own out-of-memory killer takes the peer now and then.
set_tests_properties(bench.pages.zram PROPERTIES
	SKIP_REGULAR_EXPRESSION "out of memory at this limit")
foreach(kernel pagerank bfs lookup)
	bench_smoke(kernels.${kernel} 60
		bench-kernels --scale 12 --trials 1 ${kernel})
endforeach()
bench_smoke(fault 60 bench-fault --smoke)
if(FAR_PRELOAD)
	bench_smoke(demo 120 ${CMAKE_CURRENT_SOURCE_DIR}/demo --quick)
	bench_smoke(run 120 ${CMAKE_CURRENT_SOURCE_DIR}/run --quick)
	bench_smoke(redis_peers 180
		${CMAKE_CURRENT_SOURCE_DIR}/redis_peers --quick)
	bench_smoke(kernel_peers 180
		${CMAKE_CURRENT_SOURCE_DIR}/kernel_peers --quick)
	set_tests_properties(bench.run bench.redis_peers bench.kernel_peers
		PROPERTIES
		LABELS "bench-smoke;long")
endif()
