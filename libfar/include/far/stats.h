/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Statistics of one pager.  FAR_STATS is the one table from which the
 * struct, the JSON, far-stat(1) and the manual are made:
 *   FAR_STAT(kind, name, help)
 * kind: COUNTER only grows; GAUGE is a value of the moment.
 * Names end in their unit.
 */
#ifndef FAR_STATS_H
#define FAR_STATS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAR_STATS_VERSION 1

#define FAR_STATS(FAR_STAT)                                                    \
	FAR_STAT(GAUGE, limit_bytes, "local limit in force")                   \
	FAR_STAT(GAUGE, local_bytes,                                           \
		 "local memory charged: resident, in transit, overhead")       \
	FAR_STAT(GAUGE, local_peak_bytes, "highest local_bytes so far")        \
	FAR_STAT(GAUGE, overhead_bytes,                                        \
		 "part of local_bytes that is staging and metadata")           \
	FAR_STAT(GAUGE, mapped_bytes, "far memory mapped by the program")      \
	FAR_STAT(GAUGE, remote_bytes, "pages that live in the backend only")   \
	FAR_STAT(GAUGE, store_reserved_bytes, "capacity granted by backend")   \
	FAR_STAT(GAUGE, store_used_bytes,                                      \
		 "what the stored pages really occupy there")                  \
	FAR_STAT(GAUGE, is_armed, "1 once faults are intercepted")             \
	FAR_STAT(GAUGE, evictor_threads, "evictor threads running")            \
	FAR_STAT(GAUGE, monitor_threads, "fault threads running")              \
	FAR_STAT(COUNTER, faults_missing, "faults on pages not present")       \
	FAR_STAT(COUNTER, faults_zero, "of these: first touches")              \
	FAR_STAT(COUNTER, faults_remote, "of these: fetched from backend")     \
	FAR_STAT(COUNTER, faults_rescued,                                      \
		 "of these: page was on its way out and was kept")             \
	FAR_STAT(COUNTER, faults_raced, "of these: already served")            \
	FAR_STAT(COUNTER, faults_write_protect, "first writes to clean pages") \
	FAR_STAT(COUNTER, frame_waits, "faults that waited for a frame")       \
	FAR_STAT(COUNTER, frame_wait_ns, "time they waited")                   \
	FAR_STAT(COUNTER, evicted_pages, "pages that left local memory")       \
	FAR_STAT(COUNTER, evicted_clean_pages, "of these: dropped unwritten")  \
	FAR_STAT(COUNTER, evicted_zero_pages, "of these: all zeros, not sent") \
	FAR_STAT(COUNTER, evict_batches, "batches taken out")                  \
	FAR_STAT(COUNTER, evict_aborted_pages, "refaulted while going out")    \
	FAR_STAT(COUNTER, evict_pinned_pages, "skipped: pinned by the kernel") \
	FAR_STAT(COUNTER, evict_busy_ns, "evictor time not spent waiting")     \
	FAR_STAT(COUNTER, written_bytes, "bytes of pages sent to backend")     \
	FAR_STAT(COUNTER, fetched_bytes, "bytes of pages read from backend")   \
	FAR_STAT(COUNTER, prefetched_pages, "pages fetched before a fault")    \
	FAR_STAT(COUNTER, discarded_pages, "pages given up by the program")    \
	FAR_STAT(COUNTER, read_errors, "failed reads of the backend")          \
	FAR_STAT(COUNTER, write_errors, "failed writes of the backend")        \
	FAR_STAT(COUNTER, lost_pages, "pages that ended in SIGBUS")            \
	FAR_STAT(COUNTER, forks, "forks served")                               \
	FAR_STAT(GAUGE, fault_p50_ns,                                          \
		 "median missing fault, its message read to page mapped")      \
	FAR_STAT(GAUGE, fault_p99_ns, "99th percentile of the same")           \
	FAR_STAT(GAUGE, fault_p999_ns, "99.9th percentile of the same")        \
	FAR_STAT(COUNTER, gone_pages,                                          \
		 "resident pages found gone, dropped behind libfar's back: "   \
		 "zeros")                                                      \
	FAR_STAT(COUNTER, faults_inline,                                       \
		 "missing faults served in the thread that had them")          \
	FAR_STAT(COUNTER, prefetch_useful_pages,                               \
		 "prefetched pages that their stream came past")               \
	FAR_STAT(COUNTER, prefetch_wasted_pages,                               \
		 "prefetched pages that it did not come past")                 \
	FAR_STAT(COUNTER, prefetch_late_pages,                                 \
		 "faults on pages that were being prefetched")                 \
	FAR_STAT(COUNTER, sampled_faults,                                      \
		 "faults on far pages whose stages were timed, about 1 in 16") \
	FAR_STAT(COUNTER, sampled_lookup_ns,                                   \
		 "in these: to find the page and take it over")                \
	FAR_STAT(COUNTER, sampled_frame_ns, "in these: to wait for a frame")   \
	FAR_STAT(COUNTER, sampled_fetch_ns,                                    \
		 "in these: until the backend had answered")                   \
	FAR_STAT(COUNTER, sampled_install_ns, "in these: to map the page")     \
	FAR_STAT(GAUGE, deliver_ns,                                            \
		 "median round trip to a monitor that has nothing to fetch, "  \
		 "at start")                                                   \
	FAR_STAT(GAUGE, inline_ns,                                             \
		 "the same of a fault served in its thread, when inline "      \
		 "memory was first mapped")                                    \
	FAR_STAT(GAUGE, fault_service,                                         \
		 "who serves inline memory and why: enum far_service")         \
	FAR_STAT(GAUGE, evictors_working,                                      \
		 "of evictor_threads: at work now; the others sleep")          \
	FAR_STAT(COUNTER, trace_dropped_records,                               \
		 "records of the trace that found no room")

/*
 * Who serves the memory of far_map_inline(), and why:
 *   FAR_SERVICE(name, words)
 */
#define FAR_SERVICES(FAR_SERVICE)                                              \
	FAR_SERVICE(NONE, "nobody has mapped any")                             \
	FAR_SERVICE(INLINE, "the thread that faults: measured, monitors are "  \
			    "not clearly faster")                              \
	FAR_SERVICE(BACKEND, "monitors: the backend may not be called from a " \
			     "signal handler")                                 \
	FAR_SERVICE(KERNEL, "monitors: the kernel, or a sandbox, does not "    \
			    "let the threads of a program serve faults")       \
	FAR_SERVICE(MONITOR, "monitors: measured, they are faster")            \
	FAR_SERVICE(OPTION, "as the option fault= says")                       \
	FAR_SERVICE(UNTIMED, "the thread that faults: could not be measured")

enum far_service {
#define FAR_SERVICE_NAME(name, words) FAR_SERVICE_##name,
	FAR_SERVICES(FAR_SERVICE_NAME)
#undef FAR_SERVICE_NAME
};

/** struct far_stats - set size before far_stats_read(); grows at the end */
struct far_stats {
	uint64_t size;	  /* in: sizeof(struct far_stats) of the caller */
	uint64_t version; /* out: FAR_STATS_VERSION of the library */
#define FAR_STAT_FIELD(kind, name, help) uint64_t name;
	FAR_STATS(FAR_STAT_FIELD)
#undef FAR_STAT_FIELD
};

#ifdef __cplusplus
}
#endif

#endif
