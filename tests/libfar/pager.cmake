# SPDX-License-Identifier: BSD-3-Clause
foreach(t guide page predict range reserve service slots trace yield)
	far_add_test(libfar.${t} SOURCES test_${t}.c LABELS unit libfar pager)
endforeach()
far_add_test(libfar.budget SOURCES test_budget.c LABELS unit libfar pager)
far_add_test(libfar.uffd SOURCES test_uffd.c
	LABELS unit libfar pager needs-uffd)

# Each program once per way of taking pages out.
foreach(t limit advice ahead api fork inline service system team loss trace)
	far_add_test(pager.${t} SOURCES test_pager_${t}.c test_pager_support.c
		ARGS move TIMEOUT 60 LABELS integration pager needs-uffd
		LIBS PkgConfig::URING)
	add_test(NAME pager.${t}.dontneed COMMAND test_pager_${t} dontneed)
	set_tests_properties(pager.${t}.dontneed PROPERTIES TIMEOUT 60
		LABELS "integration;pager;needs-uffd" SKIP_RETURN_CODE 77)
endforeach()
add_test(NAME pager.inline.auto COMMAND test_pager_inline auto)
set_tests_properties(pager.inline.auto PROPERTIES TIMEOUT 60
	LABELS "integration;pager;needs-uffd" SKIP_RETURN_CODE 77)

# The same, with threads that are stopped on the way; not in release builds.
foreach(t evict fault call)
	far_add_test(pager.race_${t} SOURCES test_pager_race_${t}.c race.c race_ops.c
		test_pager_support.c ARGS move TIMEOUT 120
		LABELS integration pager needs-uffd LIBS PkgConfig::URING)
	foreach(takeout dontneed auto)
		add_test(NAME pager.race_${t}.${takeout}
			COMMAND test_pager_race_${t} ${takeout})
		set_tests_properties(pager.race_${t}.${takeout} PROPERTIES
			TIMEOUT 120 LABELS "integration;pager;needs-uffd"
			SKIP_RETURN_CODE 77)
	endforeach()
endforeach()
