#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The manual says what the tables say, and the completion what the command
# says.  In the environment: FAR, FARD, SOURCE the source tree, SUPPORT.
set -u
# shellcheck source=tests/support/sh.sh
. "$SUPPORT/sh.sh"

: "$FAR" "$FARD" "$SOURCE"
man=$SOURCE/libfar/man

flags_of() {
	"$1" "$2" --help | grep -o -- '^ *\(-., \)\?--[a-z_-]*' |
		grep -o -- '--[a-z_-]*'
}

# names PAGE FLAG: roff writes a flag's dashes as \-
# shellcheck disable=SC2317 # called by expect
names() {
	grep -qF -- "$(printf '%s' "$2" | sed 's/-/\\-/g')" "$1"
}

begin "far(7) has every option, its default and its bounds"
options=0
"$FAR" run --help | sed '1,/^Options/d' >"$T/options"
# shellcheck disable=SC2013 # the lines are words
for flag in $(grep -o '^ *--[a-z-]*' "$T/options"); do
	name=$(printf '%s' "${flag#--}" | tr - _)
	options=$((options + 1))
	sed -n "/^\.B[IR] $name /,/^\.TP/p" "$man/far.7" >"$T/entry"
	expect "$name is in far.7" test -s "$T/entry"
	grep -A1 -- "^ *$flag " "$T/options" >"$T/help"
	default=$(sed -n 's/.*(default: \(.*\))$/\1/p' "$T/help")
	expect "$name: default $default" \
		grep -qF "Default: $default" "$T/entry"
	words=$(sed -n "s/^ *$flag \([a-z0-9]*|[a-z0-9|]*\)$/\1/p" "$T/help")
	[ -z "$words" ] || expect "$name: $words" \
		grep -qF "$words" "$T/entry"
	most=$(sed -n 's/.*at most \([0-9A-Z]*\).*/\1/p' "$T/help")
	[ -z "$most" ] || expect "$name: at most $most" \
		grep -qw "$most" "$T/entry"
done
expect "there are options" test $options -gt 10

begin "far(7) has every backend and filter"
backends=$("$FAR" version | sed -n 's/^backends: //p')
filters=$("$FAR" version | sed -n 's/^filters: //p')
expect "there are backends" test -n "$backends"
expect "there are filters" test -n "$filters"
for b in $backends; do
	expect "$b: is in far.7" grep -q "^\.B $b:" "$man/far.7"
done
for f in $filters; do
	expect "$f is in far.7" grep -q "^\.B $f\(:\|\$\)" "$man/far.7"
done

begin "each verb's page has its flags"
for verb in run stat doctor; do
	page=$man/far-$verb.1
	expect "far-$verb.1 is there" test -s "$page"
	flags_of "$FAR" $verb >"$T/flags"
	expect "there are flags" test -s "$T/flags"
	while read -r flag; do
		# options of far(7) are not repeated
		grep -q -- "^ *$flag " "$T/options" ||
			expect "$flag is in far-$verb.1" names "$page" "$flag"
	done <"$T/flags"
done
for verb in record report export; do
	"$FAR" trace $verb --help | sed '/^Options/,$d' |
		grep -o -- '^ *\(-., \)\?--[a-z_-]*' |
		grep -o -- '--[a-z_-]*' >"$T/flags"
	expect "there are flags" test -s "$T/flags"
	while read -r flag; do
		expect "$flag is in far-trace.1" \
			names "$man/far-trace.1" "$flag"
	done <"$T/flags"
	expect "$verb is in far-trace.1" grep -q "^\.SS $verb" \
		"$man/far-trace.1"
done
for verb in $("$FAR" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
	expect "$verb is in far.1" grep -q "^\.B[R]* $verb" "$man/far.1"
done

begin "fard(8) has its flags"
"$FARD" --help | grep -o -- '^  --[a-z-]*' >"$T/flags"
expect "there are flags" test -s "$T/flags"
while read -r flag; do
	expect "$flag is in fard.8" names "$man/fard.8" "$flag"
done <"$T/flags"

begin "the pages are valid roff"
for page in "$man"/*.[178]; do
	if command -v groff >/dev/null; then
		groff -man -ww -z -Tutf8 "$page" 2>"$T/err"
		[ ! -s "$T/err" ]
		check $? "$page: $(head -n 3 "$T/err")"
	fi
	expect "$page has a name" grep -q '^\.SH NAME' "$page"
done

# offer WORD...: what bash would offer for the last one, one a line
offer() {
	bash -c '
		. "$1" || exit 1
		shift
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_far
		printf "%s\n" "${COMPREPLY[@]}"' - \
		"$SOURCE/packaging/far.bash" "$FAR" "$@" >"$T/out" 2>"$T/err"
}

begin "completion offers what there is"
offer ""
for verb in run stat trace doctor version help; do
	expect_out $verb
done
offer "do"
expect "only what fits" test "$(cat "$T/out")" = doctor
offer run --po
expect_out --policy
offer run --policy ""
expect_out clock
expect_out s3fifo
offer run --far l
expect_out lz4:
offer run --on
expect_out --on-loss
offer stat --
expect_out --interval
offer run --local 64M -- tru
expect_out true
expect_silent
touch "$T/file.json"
offer run --stats "$T/fil"
expect_out "$T/file.json"
offer trace re
expect_out record
expect_out report
offer trace report --js
expect_out --json
offer trace report "$T/fil"
expect_out "$T/file.json"
offer run --replay "$T/fil"
expect_out "$T/file.json"
offer help ver
expect_out version
finish
