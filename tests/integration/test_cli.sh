#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The far command: every error and exit status of its verbs.
# In the environment: FAR the command, CHILD cli_child, STATIC a static
# program, PRELOAD the library that stands for libfar-preload.so, SUPPORT
# the folder of sh.sh.
set -u
# shellcheck source=tests/support/sh.sh
. "$SUPPORT/sh.sh"

# shellcheck disable=SC2153 # from the environment
: "$FAR" "$CHILD" "$STATIC" "$PRELOAD"
export FAR_PRELOAD_LIB="$PRELOAD"
unset FAR_CONF FAR_LOG LD_PRELOAD
if [ "$(id -u)" = 0 ]; then
	runtime=/run/far
else
	XDG_RUNTIME_DIR=$T
	export XDG_RUNTIME_DIR
	runtime=$T/far
fi

# json EXPRESSION: holds for the object d in the output of the last run
json() {
	expect "JSON: $1" python3 -c '
import json, sys
d = [json.loads(l) for l in open(sys.argv[1])]
d = d[0] if len(d) == 1 else d
sys.exit(0 if eval("(" + sys.argv[2] + ")") else 1)' "$T/out" "$1"
}

# grep in a file that may not be there yet
# shellcheck disable=SC2317 # called by wait_for
has() {
	grep -qs -- "$1" "$2"
}

verbs_and_help() {
	begin "far without a verb explains itself"
	run "$FAR"
	expect_rc 64
	expect_err "Usage: far VERB"
	begin "far help lists the verbs"
	run "$FAR" help
	expect_rc 0
	for verb in run stat trace doctor version help; do
		expect_out "  $verb "
		run "$FAR" "$verb" --help
		expect_rc 0
		expect_out "Usage: far $verb"
		run "$FAR" help "$verb"
		expect_rc 0
		expect_out "Usage: far $verb"
		run "$FAR" help
	done
	begin "an unknown verb is named, the nearest suggested"
	run "$FAR" dcotor
	expect_rc 64
	expect_err "unknown verb 'dcotor'"
	expect_err "'far doctor'"
	expect_fix
	run "$FAR" help zzzzzzz
	expect_rc 64
	expect_fix
	begin "an unknown flag is named, the nearest suggested"
	for verb in run stat trace doctor version help; do
		run "$FAR" $verb --hlep
		expect_rc 64
		expect_err "$verb: unknown flag '--hlep'; fix: did you mean '--help'?"
		run "$FAR" $verb -Z
		expect_rc 64
		expect_err "$verb: unknown flag '-Z'"
	done
	begin "output that cannot be written is an error"
	rc=0
	"$FAR" help >/dev/full 2>"$T/err" || rc=$?
	expect_rc 71
	expect_fix
}

version() {
	begin "version prints the backends"
	run "$FAR" version
	expect_rc 0
	expect_out "far "
	expect_out "lz4"
	run "$FAR" version --json
	expect_rc 0
	json 'd["schema"] == "far.version/1" and "lz4" in d["backends"]
		and "crc" in d["filters"] and "crc" not in d["backends"]'
	run "$FAR" version now
	expect_rc 64
	expect_fix
}

run_arguments() {
	begin "run without a program"
	run "$FAR" run
	expect_rc 64
	expect_fix
	run "$FAR" run --local 64M --
	expect_rc 64
	begin "run with bad options"
	run "$FAR" run --locl 64M -- "$CHILD" exit 0
	expect_rc 64
	expect_err "unknown flag '--locl'; fix: did you mean '--local'?"
	run "$FAR" run --local
	expect_rc 64
	expect_err "needs a value"
	run "$FAR" run --quiet=yes -- "$CHILD" exit 0
	expect_rc 64
	expect_err "takes no value"
	run "$FAR" run --local 1M -- "$CHILD" exit 0
	expect_rc 64
	expect_err "below the minimum 16M"
	expect_fix
	run "$FAR" run --local lots -- "$CHILD" exit 0
	expect_rc 64
	expect_fix
	run "$FAR" run --policy clok -- "$CHILD" exit 0
	expect_rc 64
	expect_err "did you mean 'clock'?"
	run "$FAR" run --on-loss 30s -- "$CHILD" exit 0
	expect_rc 64
	expect_err "wait:TIME"
	begin "run with a bad backend"
	run "$FAR" run --far lz5: -- "$CHILD" exit 0
	expect_rc 64
	expect_err "lz4"
	run "$FAR" run --far '' -- "$CHILD" exit 0
	expect_rc 64
	begin "run with a bad environment"
	run env FAR_CONF='local=64M;batsh=9' "$FAR" run -- "$CHILD" exit 0
	expect_rc 64
	expect_err "column 11: option batsh: unknown; fix: did you mean 'batch'?"
	expect_err "FAR_CONF"
	begin "run with an unwritable statistics file"
	run "$FAR" run --stats "$T/none/s.json" -- "$CHILD" exit 0
	expect_rc 64
	expect_err "$T/none/s.json"
	expect_fix
}

run_backend_absent() {
	begin "an absent daemon is found out before the program runs"
	run "$FAR" run --far "unix:$T/absent.sock" -- touch "$T/ran"
	expect_rc 69
	expect_fix
	expect "the program was not run" test ! -e "$T/ran"
	begin "a missing preload is found out"
	run env FAR_PRELOAD_LIB="$T/none.so" "$FAR" run -- touch "$T/ran"
	expect_rc 69
	expect_err "$T/none.so"
	expect_fix
	mkdir "$T/a b"
	cp "$PRELOAD" "$T/a b/p.so"
	run env FAR_PRELOAD_LIB="$T/a b/p.so" "$FAR" run -- touch "$T/ran"
	expect_rc 69
	expect_fix
	expect "the program was not run" test ! -e "$T/ran"
}

# refused FILE TEXT: far run does not put memory under it, and says why
refused() {
	run "$FAR" run -- "$1" exit 0
	expect_rc 126
	expect_err "$2"
	expect_fix
}

run_programs() {
	begin "programs that are not there"
	run "$FAR" run -- no-such-program-here
	expect_rc 127
	expect_fix
	run "$FAR" run -- "$T/none"
	expect_rc 127
	run "$FAR" run -- ""
	expect_rc 127
	begin "programs that cannot be executed"
	echo text >"$T/text"
	run "$FAR" run -- "$T/text"
	expect_rc 126
	expect_fix
	run "$FAR" run -- "$T"
	expect_rc 126
	chmod +x "$T/text"
	refused "$T/text" "neither an ELF program nor a script"
	begin "programs that no preload reaches"
	refused "$STATIC" "static"
	cp "$CHILD" "$T/suid"
	chmod u+s "$T/suid"
	refused "$T/suid" "setuid"
	cp "$CHILD" "$T/sgid"
	chmod g+xs "$T/sgid"
	refused "$T/sgid" "setgid"
	printf 'Go build id' >"$T/note"
	objcopy --add-section .note.go.buildid="$T/note" "$CHILD" "$T/go"
	refused "$T/go" "Go program"
	objcopy --add-section .go.buildinfo="$T/note" "$CHILD" "$T/go"
	refused "$T/go" "Go program"
	LC_ALL=C sed 's|/lib64/ld-linux-x86-64.so.2|/lib/ld-musl-x86_64.so.1\x00\x00\x00|' \
		"$CHILD" >"$T/musl"
	chmod +x "$T/musl"
	refused "$T/musl" "musl"
	{ printf '\177ELF\001\001\001' && head -c 100 /dev/zero; } >"$T/elf32"
	chmod +x "$T/elf32"
	refused "$T/elf32" "64-bit"
	head -c 100 "$CHILD" >"$T/cut"
	chmod +x "$T/cut"
	refused "$T/cut" "damaged"
	begin "scripts are followed"
	printf '#!%s\n' "$STATIC" >"$T/script"
	chmod +x "$T/script"
	refused "$T/script" "its interpreter $STATIC"
	printf '#! %s arg\n' "$T/script" >"$T/script2"
	chmod +x "$T/script2"
	refused "$T/script2" "its interpreter $STATIC"
	ln -s "$STATIC" "$T/static-by-name"
	printf '#!/usr/bin/env static-by-name\n' >"$T/script"
	run env PATH="$T:$PATH" "$FAR" run -- "$T/script"
	expect_rc 126
	expect_err "static"
	printf '#!/bin/sh\nexit 9\n' >"$T/script"
	run "$FAR" run -- "$T/script"
	expect_rc 9
	printf '#!%s\n' "$T/loop" >"$T/loop"
	chmod +x "$T/loop"
	run "$FAR" run -- "$T/loop"
	expect_rc 126
}

# File capabilities need root, and a file system that keeps them.
run_capabilities() {
	begin "programs with file capabilities"
	cp "$CHILD" "$T/caps"
	if python3 -c '
import os, struct, sys
os.setxattr(sys.argv[1], "security.capability",
	struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))' \
		"$T/caps" 2>/dev/null; then
		refused "$T/caps" "file capabilities"
	else
		echo "not checked: file capabilities (cannot be set here)"
	fi
}

run_environment() {
	begin "the program runs with the preload and the configuration"
	run "$FAR" run --local 200M --far lz4:64M --batch 128 --on-loss wait:5s \
		-- env
	expect_rc 0
	expect_out "LD_PRELOAD=$PRELOAD"
	expect_out "CLI_PRELOAD=loaded"
	expect_out "far=lz4:64M;"
	expect_out "batch=128;"
	expect_out "on_loss=wait:5s;"
	expect_out "local=209715200"
	expect_out "budget=$runtime/budget/"
	expect_err "far: local 200.00 MiB, far lz4:64M (up to "
	begin "an existing preload stays"
	cp "$PRELOAD" "$T/other.so"
	run env LD_PRELOAD="$T/other.so" "$FAR" run -q -- env
	expect_out "LD_PRELOAD=$PRELOAD:$T/other.so"
	expect_silent
	run "$FAR" run -q -- "$FAR" run -q -- env
	expect "ours is there once" grep -qx "LD_PRELOAD=$PRELOAD" "$T/out"
	begin "flags win over the environment"
	run env FAR_CONF='local=64M;batch=32' "$FAR" run --quiet --batch 64 \
		-- env
	expect_rc 0
	expect_out "FAR_CONF=local=64M;batch=32;batch=64;"
	expect_out "local=67108864"
	expect_silent
	begin "the budget file lives as long as the run"
	# shellcheck disable=SC2016 # for the inner shell
	run "$FAR" run -q -- sh -c 'f=${FAR_CONF##*budget=}
		f=${f%%;*}; echo "$f"; test -s "$f"'
	expect_rc 0
	expect "the file is gone" test ! -e "$(cat "$T/out")"
	expect "there was one" grep -q budget/ "$T/out"
	begin "budgets that dead runs left are removed"
	true &
	wait $!
	echo old >"$runtime/budget/$!"
	echo live >"$runtime/budget/$$"
	run "$FAR" run -q -- "$CHILD" exit 0
	expect_rc 0
	expect "that of a dead run is gone" test ! -e "$runtime/budget/$!"
	expect "that of a live one is not" test -e "$runtime/budget/$$"
	rm -f "$runtime/budget/$$"
	begin "a budget of the caller's is used and kept"
	cp /dev/null "$T/budget"
	run "$FAR" run -q --budget "$T/budget" -- env
	expect_rc 0
	expect_out "budget=$T/budget;"
	expect "it is still there" test -e "$T/budget"
	begin "arguments arrive as they are"
	run "$FAR" run -q -- printf '%s|' a 'b c' --local ''
	expect_out "a|b c|--local||"
	run "$FAR" run -q printf '%s|' --quiet
	expect_out "--quiet|"
}

run_status() {
	begin "the program's exit status is ours"
	for n in 0 1 7 255; do
		run "$FAR" run -q -- "$CHILD" exit $n
		expect_rc $n
	done
	begin "a program that a signal ends"
	# shellcheck disable=SC2016 # for the inner shell
	run "$FAR" run -q -- sh -c 'kill -SEGV $$'
	expect_rc 139
	# shellcheck disable=SC2016 # for the inner shell
	run "$FAR" run -q -- sh -c 'kill -KILL $$'
	expect_rc 137
	begin "who ignores SIGCHLD can still be waited for"
	run sh -c "trap '' CHLD; exec \"\$@\"" - "$FAR" run -q -- \
		"$CHILD" exit 3
	expect_rc 3
}

# shellcheck disable=SC2317 # called by wait_for
is_stopped() {
	grep -q '^State:.T' "/proc/$1/status"
}
# shellcheck disable=SC2317 # called by wait_for
is_running() {
	grep -q '^State:.[RS]' "/proc/$1/status"
}

run_signals() {
	begin "signals reach the program"
	"$FAR" run -q -- "$CHILD" signals >"$T/signals" 2>&1 &
	far=$!
	own $far
	expect "it starts" wait_for 10 has ready "$T/signals"
	child=$(sed -n 's/ready //p' "$T/signals")
	own "$child"
	for sig in INT HUP QUIT USR1 USR2 ALRM WINCH; do
		kill -$sig $far
		expect "SIG$sig arrives" wait_for 5 has "got $sig" "$T/signals"
	done
	begin "stopping stops both, continuing continues both"
	# The kernel stops nobody in an orphaned process group.
	sleep 60 &
	probe=$!
	kill -TSTP $probe
	if wait_for 2 is_stopped $probe; then
		kill -TSTP $far
		expect "far stops" wait_for 5 is_stopped $far
		expect "the program stops" wait_for 5 is_stopped "$child"
		kill -CONT $far
		expect "far continues" wait_for 5 is_running $far
		expect "the program continues" wait_for 5 is_running "$child"
	else
		echo "not checked: stopping (orphaned process group)"
	fi
	kill -KILL $probe
	wait $probe 2>/dev/null || :
	begin "the end is passed on"
	kill -TERM $far
	rc=0
	wait $far || rc=$?
	expect_rc 5
	expect "SIGTERM arrived" has "got TERM" "$T/signals"
}

# Not every machine lets an ordinary user be one: says so and goes on.
run_unprivileged() {
	begin "without userfaultfd far run refuses"
	as="setpriv --reuid=65534 --regid=65534 --clear-groups"
	if [ "$(id -u)" != 0 ]; then
		as=
	elif ! $as test -x "$FAR" 2>/dev/null; then
		echo "not checked: unprivileged run (cannot become nobody)"
		return
	fi
	if $as test -w /dev/userfaultfd ||
		[ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 1 ]; then
		echo "not checked: unprivileged run (userfaultfd is open)"
		return
	fi
	# shellcheck disable=SC2086 # several words, or none
	run $as env -u XDG_RUNTIME_DIR "$FAR" run -q -- "$(command -v true)"
	expect_rc 77
	expect_err "/dev/userfaultfd"
	expect_fix
	# shellcheck disable=SC2086 # several words, or none
	run $as env -u XDG_RUNTIME_DIR "$FAR" doctor
	expect_rc 2
	expect_out "fail  uffd-faults"
	expect_out "fix: as root: chown"
}

doctor() {
	begin "doctor says what it looked at"
	run "$FAR" doctor
	expect "status 0, 1 or 2" test $rc -le 2
	worst=0
	grep -q '^warn' "$T/out" && worst=1
	grep -q '^fail' "$T/out" && worst=2
	expect_rc $worst
	nr=$(grep -c '^\(ok\|warn\|fail\|--\) ' "$T/out")
	for name in kernel uffd-device uffd-syscall uffd-faults uffd-move \
		uffd-poison uffd-sigbus fault-service uffd-write-protect \
		io_uring memlock scheduling overcommit huge-pages memory swap runtime preload backend; do
		expect_out " $name "
	done
	begin "doctor says who would serve inline memory, with figures"
	if grep -q '^ok .* uffd-sigbus ' "$T/out"; then
		expect "words and figures" grep -Eq '^(ok|warn)  .*fault-service  .*(by the thread that faults: .* \(in its thread [0-9.]+ [mnu]?s, by a monitor [0-9.]+ [mnu]?s|by monitors: )' "$T/out"
	else
		expect_out "fault-service"
	fi
	begin "doctor's JSON is the same"
	run "$FAR" doctor --json
	expect_rc $worst
	json 'd["schema"] == "far.doctor/1"'
	json "len(d['checks']) == $nr"
	json 'all(set(c) == {"name", "status", "finding", "fix"}
		for c in d["checks"])'
	json 'all(c["fix"] for c in d["checks"]
		if c["status"] in ("warn", "fail"))'
	begin "doctor tries a backend"
	run "$FAR" doctor --json --far mem:64M
	json '[c["status"] for c in d["checks"]
		if c["name"] == "backend"] == ["ok"]'
	run "$FAR" doctor --far "unix:$T/absent.sock"
	expect_rc 2
	expect_out "fail  backend"
	run "$FAR" doctor --far lz5:
	expect_rc 2
	expect_out "fail  backend"
	begin "doctor tries the preload"
	run env FAR_PRELOAD_LIB="$T/none.so" "$FAR" doctor
	expect_rc 2
	expect_out "fail  preload"
	echo nonsense >"$T/bad.so"
	run env FAR_PRELOAD_LIB="$T/bad.so" "$FAR" doctor
	expect_rc 2
	expect_out "fail  preload"
	run "$FAR" doctor now
	expect_rc 64
	expect_fix
}

stat_arguments() {
	begin "stat with bad arguments"
	for args in "" "1 2" "abc" "0" "-1" "--all 1" "99999999999" \
		"-i 0 1" "-i x 1" "-n 0 1" "-n x 1"; do
		# shellcheck disable=SC2086 # several words, or none
		run "$FAR" stat $args
		expect_rc 64
		expect_err "far: stat: "
	done
	begin "stat of a process without far memory"
	run "$FAR" stat $$
	expect_rc 1
	expect_err "process $$ does not use far memory"
	expect_fix
}

# start_page NAME: a process with a statistics page; its pid in $page_pid
start_page() {
	[ -p "$T/in" ] || mkfifo "$T/in"
	"$CHILD" page "$1" <"$T/in" &
	page_pid=$!
	own $page_pid
	exec 9>"$T/in"
	expect "a page appears" wait_for 5 test -s "$runtime/stat/$page_pid"
}

stat_pages() {
	start_page "/opt/alpha beta"
	begin "stat prints a table"
	run "$FAR" stat $page_pid
	expect_rc 0
	expect_silent
	expect_out "PID COMMAND"
	expect_out "150.00 MiB/200.00 MiB"
	expect_out "1.50 GiB"
	expect_out "12.3 us"
	expect_out "1.5 ms"
	expect_out "armed"
	# shellcheck disable=SC2016 # awk's
	expect "rates are rates" awk '$2 == "alpha" {
		ok = $8 > 800 && $8 < 1200 && $13 > 1600 && $13 < 2400
	} END { exit !ok }' "$T/out"
	begin "stat --faults shows the histogram and the stages"
	run "$FAR" stat --faults $page_pid
	expect_rc 0
	expect_out "8.2 us .. 16.4 us"
	expect_out "200 ########################################"
	expect_out "50 ##########"
	expect "what lies between is there" test "$(grep -c ' \.\. ' "$T/out")" = 3
	expect_out "mean of 10: look up 250 ns"
	expect_out "wait for a frame 0 ns, fetch 3.1 us, map 4.2 us"
	expect_out "answers in 7.7 us"
	expect_out "inline memory is served by the thread that faults: measured"
	expect_out "in its thread in 4.9 us"
	begin "stat --all finds it, -n repeats"
	run "$FAR" stat --all -i 0.1 -n 3
	expect_rc 0
	expect "three times" test "$(grep -c alpha "$T/out")" = 3
	begin "stat --json prints objects"
	run "$FAR" stat --json $page_pid
	expect_rc 0
	json "d['schema'] == 'far.stat/1' and d['pid'] == $page_pid"
	json 'd["command"] == "/opt/alpha beta" and d["state"] == "armed"'
	json 'd["limit_bytes"] == 200 << 20 and d["far"] == "lz4:"'
	json 'd["fault_octaves"][13:16] == [200, 0, 50]'
	begin "a process that is gone leaves no page behind"
	exec 9>&-
	wait $page_pid
	expect "its page is stale" test -e "$runtime/stat/$page_pid"
	run "$FAR" stat $page_pid
	expect_rc 1
	expect "it was removed" test ! -e "$runtime/stat/$page_pid"
	begin "further pagers of a process have pages too"
	"$CHILD" page second 7 <"$T/in" &
	page_pid=$!
	own $page_pid
	exec 9>"$T/in"
	expect "a page appears" wait_for 5 test -s "$runtime/stat/$page_pid.7"
	run "$FAR" stat $page_pid
	expect_rc 0
	expect_out second
	exec 9>&-
	wait $page_pid
	run "$FAR" stat --all
	expect "it was removed" test ! -e "$runtime/stat/$page_pid.7"
	begin "pages that exec leaves behind are not shown"
	start_page before
	ln "$runtime/stat/$page_pid" "$runtime/stat/$page_pid.5"
	run "$FAR" stat $page_pid
	expect_rc 0
	expect "one row" test "$(grep -c before "$T/out")" = 1
	expect "the unmapped one was removed" \
		test ! -e "$runtime/stat/$page_pid.5"
	exec 9>&-
	wait $page_pid
	rm -f "$runtime/stat/$page_pid"
	begin "damaged pages are passed over"
	"$CHILD" torn &
	torn=$!
	own $torn
	expect "a page appears" wait_for 5 test -s "$runtime/stat/$torn"
	run "$FAR" stat $torn
	expect_rc 1
	kill -KILL $torn
	wait $torn 2>/dev/null
	echo garbage >"$runtime/stat/$torn"
	run "$FAR" stat $torn
	expect_rc 1
	rm -f "$runtime/stat/$torn"
}

run_stats() {
	begin "run --stats collects the pages of the tree"
	mkfifo "$T/hold"
	# shellcheck disable=SC2016 # for the inner shell
	"$FAR" run -q --stats "$T/s.json" -- sh -c '
		"$1" page one 3 <"$2" & "$1" last two <"$2" & wait; exit 6' \
		- "$CHILD" "$T/hold" &
	far=$!
	own $far
	start_page stranger
	exec 8>"$T/hold"
	sleep 0.5 # a few of the samples that are taken every 100 ms
	exec 8>&- 9>&-
	rc=0
	wait $far || rc=$?
	cp "$T/s.json" "$T/out"
	: >"$T/err"
	expect_rc 6
	json 'd["schema"] == "far.run/1" and d["exit"] == 6'
	json 'sorted(p["command"] for p in d["processes"]) == ["one", "two"]'
	json '[p["forks"] for p in d["processes"] if p["command"] == "two"]
		== [77]'
	json 'all(p["faults_missing"] > 100 for p in d["processes"])'
	wait $page_pid
	rm -f "$runtime/stat/$page_pid"
	# shellcheck disable=SC2013 # the lines are words
	for pid in $(grep -o '"pid":[0-9]*' "$T/s.json" | cut -d: -f2); do
		expect "its page is removed" test ! -e "$runtime/stat/$pid"
		expect "its page is removed" test ! -e "$runtime/stat/$pid.3"
	done
	begin "run --stats of a program without pages"
	run "$FAR" run -q --stats "$T/s.json" -- "$CHILD" exit 4
	expect_rc 4
	cp "$T/s.json" "$T/out"
	json 'd["exit"] == 4 and d["processes"] == []'
}

if ! python3 -c 'import sys' 2>/dev/null; then
	echo "python3 is missing; fix: packaging/install-deps" >&2
	exit 1
fi
verbs_and_help
version
run_arguments
stat_arguments
stat_pages
doctor
if "$FAR" doctor | grep -q '^ok .*uffd-faults'; then
	run_programs
	run_capabilities
	run_backend_absent
	run_environment
	run_status
	run_signals
	run_stats
else
	echo "not checked: far run (userfaultfd cannot be used here)"
fi
run_unprivileged
finish
