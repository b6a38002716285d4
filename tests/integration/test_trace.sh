#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# far trace: a real program is recorded, reported, exported and replayed; what
# is wrong is told.
# In the environment: FAR the command, PRELOAD libfar-preload.so, REPLAY the
# replay of tests/evictor, VECTORS its vectors, SUPPORT the folder of sh.sh.
set -u
# shellcheck source=tests/support/sh.sh
. "$SUPPORT/sh.sh"

: "$FAR" "$PRELOAD" "$REPLAY" "$VECTORS"
export FAR_PRELOAD_LIB="$PRELOAD"
unset FAR_CONF FAR_LOG LD_PRELOAD
export PYTHONMALLOC=malloc
if [ "$(id -u)" != 0 ]; then
	XDG_RUNTIME_DIR=$T
	export XDG_RUNTIME_DIR
fi
RUN_LIMIT=60

# Objects of a page or so, more than the limit, touched in an order without
# streams, three times.
cat >"$T/walk.py" <<'END'
import random, sys
random.seed(3)
n = 8192
a = [bytearray(4000) for i in range(n)]
order = list(range(n))
random.shuffle(order)
for k in range(3):
    for i in order:
        a[i][k] += 1
print(sum(x[0] + x[1] + x[2] for x in a))
END
walk="python3 $T/walk.py"

# json EXPRESSION: holds for the object d in the output of the last run
json() {
	expect "JSON: $1" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(0 if eval("(" + sys.argv[2] + ")") else 1)' "$T/out" "$1"
}

# stat_of FILE NAME: a statistic, summed over the processes of far run --stats
stat_of() {
	python3 -c '
import json, sys
print(sum(p[sys.argv[2]] for p in json.load(open(sys.argv[1]))["processes"]))' \
		"$1" "$2"
}

# bytes FILE OFFSET TEXT: overwrite a part, TEXT as printf has it
bytes() {
	# shellcheck disable=SC2059 # the format is the text
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

arguments() {
	begin "far trace wants a verb it knows"
	run "$FAR" trace
	expect_rc 64
	expect_fix
	run "$FAR" trace reprot
	expect_rc 64
	expect_err "far trace report"
	for verb in record report export; do
		run "$FAR" trace $verb --help
		expect_rc 0
		expect_out "Usage: far trace $verb"
		run "$FAR" trace $verb --hlep
		expect_rc 64
		expect_err "trace $verb: unknown flag '--hlep'"
		run "$FAR" trace $verb
		expect_rc 64
		expect_fix
	done
	run "$FAR" trace report a b
	expect_rc 64
}

bad_files() {
	begin "files that are no traces are told apart"
	run "$FAR" trace report "$T/none"
	expect_rc 66
	expect_err "No such file"
	expect_fix
	run "$FAR" trace report "$T"
	expect_rc 66
	expect_fix
	run "$FAR" trace export "$T/walk.py"
	expect_rc 65
	expect_err "not a fault trace"
	expect_fix
	: >"$T/empty"
	run "$FAR" trace report "$T/empty"
	expect_rc 65
	# magic, version 1, the sizes, 1000 pages, a limit of 4096, no date
	printf 'FARTRACE\1\0\0\0\100\0\0\0\20\0\0\0\0\20\0\0' >"$T/h"
	printf '\350\3\0\0\0\0\0\0\0\20\0\0\0\0\0\0' >>"$T/h"
	printf '\0\0\0\0\0\0\0\0na\33me\0\0\0\0\0\0\0\0\0\0\0' >>"$T/h"
	run "$FAR" trace report "$T/h"
	expect_rc 0
	expect_out "na?me"
	expect_out "0 records"
	run "$FAR" trace report --json "$T/h"
	expect_rc 0
	json 'd["faults"] == 0 and d["parts"] == [] and d["local_pages"] == 4096'
	head -c 40 "$T/h" >"$T/bad"
	run "$FAR" trace report "$T/bad"
	expect_rc 65
	expect_err "within its header"
	cp "$T/h" "$T/bad"
	bytes "$T/bad" 8 '\2'
	run "$FAR" trace report "$T/bad"
	expect_rc 65
	expect_err "another version"
	cp "$T/h" "$T/bad"
	bytes "$T/bad" 16 '\0'
	run "$FAR" trace report "$T/bad"
	expect_rc 65
	expect_err "header is damaged"
	cp "$T/h" "$T/bad"
	{ # page 5 is touched first, taken out and fetched, at odd times
		printf '\1\0\0\0\0\0\0\0\5\0\0\0\1\0\0\0'
		printf '\377\377\377\377\377\377\377\377\5\0\0\0\6\0\0\0'
		printf '\0\0\0\0\0\0\0\200\5\0\0\0\2\1\0\0'
	} >>"$T/bad"
	run "$FAR" trace report "$T/bad"
	expect_rc 0
	expect_out "3 records"
	run "$FAR" trace export "$T/bad"
	expect "two pages" test "$(grep -c '^5$' "$T/out")" = 2
	begin "a record that was cut is left out"
	printf 'cut' >>"$T/bad"
	run "$FAR" trace report "$T/bad"
	expect_rc 0
	expect_out "3 records"
	expect_err "its end is missing"
	begin "a damaged record is named"
	cp "$T/h" "$T/bad"
	printf '\1\0\0\0\0\0\0\0\5\0\0\0\1\0\0\0' >>"$T/bad"
	printf '\1\0\0\0\0\0\0\0\5\0\0\0\77\0\0\0' >>"$T/bad"
	run "$FAR" trace report "$T/bad"
	expect_rc 65
	expect_err "record 2 is damaged"
	expect_fix
}

record() {
	begin "what cannot be written is refused before the program runs"
	run "$FAR" trace record -o "$T/none/t" -- touch "$T/ran"
	expect_rc 64
	expect_err "$T/none/t"
	expect_fix
	run "$FAR" trace record -o "$T/a;b" -- touch "$T/ran"
	expect_rc 64
	echo precious >"$T/precious"
	run "$FAR" trace record -o "$T/precious" -- touch "$T/ran"
	expect_rc 64
	expect_fix
	expect "it is still there" grep -q precious "$T/precious"
	: >"$T/empty"
	run "$FAR" trace record -o "$T/empty" -- touch "$T/ran"
	expect_rc 64
	expect "an empty file is no trace, and stays" test -f "$T/empty"
	run "$FAR" trace record -o /dev/stdout -- touch "$T/ran"
	expect_rc 64
	mkfifo "$T/fifo"
	run "$FAR" trace record -o "$T/fifo" -- touch "$T/ran"
	expect_rc 64
	expect_err "no trace"
	run "$FAR" trace record -o "$T/h" --replay "$T/./h" -- touch "$T/ran"
	expect_rc 64
	expect_err "it is what --replay reads"
	run "$FAR" trace record -o "$T/h" -- "$T/no-such-program"
	expect_rc 127
	run "$FAR" trace record -o "$T/h" --local 1M -- touch "$T/ran"
	expect_rc 64
	expect "a run that does not start costs no trace" test -s "$T/h"
	run "$FAR" trace record -o "$T/t" --local 1M -- touch "$T/ran"
	expect_rc 64
	expect "the program was not run" test ! -e "$T/ran"
	begin "record runs the program, and leaves a trace"
	# shellcheck disable=SC2086 # several words
	run "$FAR" trace record -o "$T/t" --local 16M --stats "$T/s" -- $walk
	expect_rc 0
	expect_out 24576
	expect_err "far trace report $T/t shows"
	expect "a trace" test -s "$T/t"
	run "$FAR" trace report --json "$T/t"
	expect_rc 0
	json 'd["schema"] == "far.trace/1" and d["program"] == "python3"'
	json 'd["local_pages"] == 4096 and 0 < len(d["parts"]) <= 20'
	json 'd["pages"] > 8192'
	# what happens while the program ends may be in one of them only, and
	# a busy machine drops some
	near="abs(a - b) <= 64 + d['records']['dropped'])(d['records']"
	json "(lambda a, b: ${near}['remote'], $(stat_of "$T/s" faults_remote))"
	json "(lambda a, b: ${near}['write'],
		$(stat_of "$T/s" faults_write_protect))"
	json 'sum(p["faults"] for p in d["parts"]) == d["faults"]'
	json 'sum(p["new_pages"] for p in d["parts"]) <= d["pages"]'
	json 'd["sizes"][0]["local_pages"] == 4096'
	json 'd["sizes"][0]["remote_faults"] == d["records"]["remote"] +
		d["records"]["rescued"]'
	json 'all(a["remote_faults"] >= b["remote_faults"]
		for a, b in zip(d["sizes"], d["sizes"][1:]))'
	json 'd["sizes"][-1]["remote_faults"] == d["unknown_pages"] == 0 or
		d["records"]["dropped"]'
	json 'len(d["chunks"]) == 10'
	begin "the report is for people, too"
	run "$FAR" trace report "$T/t"
	expect_rc 0
	expect_silent
	expect_out "local limit 16.00 MiB"
	expect_out "Assumes"
	begin "a trace of before is replaced"
	run "$FAR" trace record -q -o "$T/t" -- true
	expect_rc 0
	expect_silent
	expect "the old one is gone" test ! -e "$T/t"
	begin "nothing to record is told, the status is the program's"
	run "$FAR" trace record -o "$T/t" -- sh -c 'exit 3'
	expect_rc 3
	expect_err "no trace was made"
	begin "a name without a folder is one in ours"
	cd "$T" || exit 1
	# shellcheck disable=SC2086 # several words
	run "$FAR" trace record -q --local 16M -- sh -c "cd /; $walk"
	expect_rc 0
	expect "a trace" test -s "$T/far.trace"
}

untraced() {
	begin "a trace that cannot be written does not stop the program"
	# shellcheck disable=SC2086 # several words
	run "$FAR" run -q --local 16M --trace "$T/none/t" -- $walk
	expect_rc 0
	expect_out 24576
	expect_err "cannot make the trace $T/none/t"
	expect_fix
	# shellcheck disable=SC2086 # several words
	run "$FAR" run -q --local 16M --replay "$T/precious" -- $walk
	expect_rc 0
	expect_out 24576
	expect_err "cannot replay $T/precious: it is not a fault trace"
	expect_fix
}

replay() {
	begin "the same program again faults less"
	# shellcheck disable=SC2086 # several words
	run "$FAR" trace record -q -o "$T/t" --local 16M --stats "$T/s" \
		-- $walk
	expect_rc 0
	before=$(stat_of "$T/s" faults_remote)
	# shellcheck disable=SC2086 # several words
	run "$FAR" run -q --replay "$T/t" --local 16M --stats "$T/s" -- $walk
	expect_rc 0
	expect_out 24576
	after=$(stat_of "$T/s" faults_remote)
	echo "$before faults on far pages, then $after"
	expect "$after of $before faults" test $((after * 3)) -lt $((before * 2))
}

policies() {
	begin "an exported trace is replayed to the policies"
	run "$FAR" trace export "$T/t"
	expect_rc 0
	cp "$T/out" "$T/pages"
	expect "pages" test "$(wc -l <"$T/pages")" -gt 16384
	head -n 20000 "$T/pages" >"$T/some"
	run "$REPLAY" "$VECTORS" "$T/some"
	expect_rc 0
	expect "a row for each size" \
		test "$(cat "$T/out" "$T/err" | grep -c '^some ')" = 4
	printf '1\n2\nthree\n' >"$T/bad"
	run "$REPLAY" "$VECTORS" "$T/bad"
	expect "refused" test "$rc" -ne 0
}

if ! python3 -c 'import sys' 2>/dev/null; then
	echo "python3 is missing; fix: packaging/install-deps" >&2
	exit 1
fi
arguments
bad_files
if "$FAR" doctor | grep -q '^ok .*uffd-faults'; then
	record
	untraced
	replay
	policies
else
	echo "not checked: far trace record (userfaultfd cannot be used here)"
fi
finish
