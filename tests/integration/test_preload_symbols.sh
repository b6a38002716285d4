#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# libfar-preload.so shows what preload.map lists and nothing else, and needs
# no library but the C library's.
#	test_preload_symbols.sh PRELOAD MAP
set -eu
preload=$1
map=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -e 's@/\*.*\*/@@' -n -e 's/^[[:space:]]*\([A-Za-z_][A-Za-z0-9_]*\);$/\1/p' \
	"$map" | sort >"$work/listed"
nm -D --defined-only "$preload" | awk '{ print $NF }' | sort >"$work/shown"
[ "$(wc -l <"$work/listed")" -ge 40 ] || {
	echo "preload.map could not be read" >&2
	exit 1
}
diff -u "$work/listed" "$work/shown" || {
	echo "exported symbols differ from preload.map (< listed, > shown)" >&2
	exit 1
}
readelf -d "$preload" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
if grep -vE '^(libc|libm|ld-linux-x86-64)\.so\.[0-9]+$' "$work/needed"; then
	echo "libfar-preload.so needs more than the C library" >&2
	exit 1
fi
