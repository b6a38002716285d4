# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# Assertions for tests that are shell scripts.  Sourced; a script calls
# `begin NAME` before the checks of each claim and `finish` at its end.
#
# $T is an empty folder of this test alone; it is removed at the end, and the
# processes named with `own PID` are ended.

T=$(mktemp -d "${TMPDIR:-/tmp}/far-test.XXXXXX") || exit 1
nr_checks=0
nr_failed=0
claim=
owned=

cleanup() {
	for pid in $owned; do
		kill -KILL "$pid" 2>/dev/null
		kill -CONT "$pid" 2>/dev/null
	done
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# begin NAME: the checks that follow are about this claim
begin() {
	claim=$1
}

# own PID: a background process that must not survive the test
own() {
	owned="$owned $1"
}

# check STATUS TEXT: count one check
check() {
	nr_checks=$((nr_checks + 1))
	[ "$1" = 0 ] && return 0
	nr_failed=$((nr_failed + 1))
	echo "FAILED: $claim: $2" >&2
	return 1
}

# run COMMAND...: its output into $T/out and $T/err, its status into $rc
run() {
	rc=0
	timeout "${RUN_LIMIT:-20}" "$@" >"$T/out" 2>"$T/err" </dev/null ||
		rc=$?
}

show() {
	sed 's/^/    out: /' "$T/out" >&2
	sed 's/^/    err: /' "$T/err" >&2
}

# expect_rc STATUS: of the last run
expect_rc() {
	[ "$rc" = "$1" ]
	check $? "status is $rc, not $1" || show
}

# expect_out TEXT, expect_err TEXT: is part of what the last run printed
expect_out() {
	grep -qF -- "$1" "$T/out"
	check $? "'$1' is not in the output" || show
}
expect_err() {
	grep -qF -- "$1" "$T/err"
	check $? "'$1' is not in the error output" || show
}

# expect_silent: the last run printed nothing on standard error
expect_silent() {
	[ ! -s "$T/err" ]
	check $? "there is error output" || show
}

# expect_fix: a message of ours says what to do
expect_fix() {
	grep -q '^far: .*; fix: ..*' "$T/err"
	check $? "no 'what: why; fix: how' in the error output" || show
}

# expect TEXT COMMAND...: the command succeeds
expect() {
	text=$1
	shift
	"$@" >/dev/null 2>&1
	check $? "$text"
}

# wait_for SECONDS COMMAND...: until it succeeds; fails when time is up
wait_for() {
	tries=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

finish() {
	if [ $nr_checks = 0 ]; then
		echo "FAILED: nothing was checked" >&2
		exit 1
	fi
	echo "$((nr_checks - nr_failed)) of $nr_checks checks passed"
	[ $nr_failed = 0 ] || exit 1
	exit 0
}
