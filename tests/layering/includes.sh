#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# includes.sh SOURCE: who may include whom.  A name in quotes is a file of the
# tree, spelled from its root; <far/...> is the contract all may use.
set -eu
cd "$1"
bad=0
seen=0

# rule FOLDER PATTERN...: files of FOLDER may include, in quotes, names that
# match one of the shell patterns; in angle brackets everything but siblings
rule() {
	folder=$1
	shift
	for file in $(find "$folder" -name '*.[ch]' | sort); do
		names=$(sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' \
			"$file")
		for name in $names; do
			seen=$((seen + 1))
			ok=no
			for pattern in "$@"; do
				# shellcheck disable=SC2254
				case $name in
				$pattern) ok=yes ;;
				esac
			done
			if [ $ok = no ]; then
				echo "$file: may not include \"$name\"" >&2
				bad=$((bad + 1))
			elif [ ! -e "$name" ] && [ "$name" != far_builtins.h ]; then
				echo "$file: no such file: \"$name\"" >&2
				bad=$((bad + 1))
			fi
		done
	done
}

# far_only FOLDER HEADER...: <far/...> headers that FOLDER may use
far_only() {
	folder=$1
	shift
	for file in $(find "$folder" -name '*.[ch]' | sort); do
		names=$(sed -n 's/^[ \t]*#[ \t]*include[ \t]*<far\/\([^>]*\)>.*/\1/p' \
			"$file")
		for name in $names; do
			case " $* " in
			*" $name "*) ;;
			*)
				echo "$file: may not include <far/$name>" >&2
				bad=$((bad + 1))
				;;
			esac
		done
	done
}

rule libfar/include
rule libfar/base 'libfar/base/*'
far_only libfar/base log.h stats.h
rule libfar/uffd 'libfar/base/*' 'libfar/uffd/*'
rule libfar/backend 'libfar/base/*' 'libfar/backend/*' far_builtins.h
rule libfar/pager 'libfar/base/*' 'libfar/uffd/*' 'libfar/backend/*' \
	'libfar/pager/*' evictor/evictor.h
rule libfar/preload 'libfar/*'
rule evictor 'libfar/base/*' 'evictor/*'
far_only evictor evict.h
rule pool 'libfar/base/*' libfar/backend/backend.h libfar/backend/spec.h \
	'pool/*'
rule examples

if [ $seen = 0 ]; then
	echo "no includes were found below $1" >&2
	exit 1
fi
echo "$seen includes, $bad against the rules"
[ $bad = 0 ]
