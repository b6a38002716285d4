#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# format.sh SOURCE: all .c files are as .clang-format has them.  Headers are
# left out: some hold tables that are aligned by hand.
set -eu
command -v clang-format >/dev/null || {
	echo "SKIP: no clang-format" >&2
	exit 77
}
cd "$1"
files=$(find libfar evictor pool cli bench tests examples -name "*.c" |
	sort)
if [ -z "$files" ]; then
	echo "no sources below $1" >&2
	exit 1
fi
bad=0
for file in $files; do
	clang-format --dry-run -Werror "$file" 2>/dev/null || {
		echo "$file: run clang-format -i" >&2
		bad=$((bad + 1))
	}
done
[ $bad = 0 ]
