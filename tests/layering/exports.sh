#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# exports.sh LIBFAR.SO LIBFAR.MAP: the library exports what the map lists, no
# more and no less.
set -eu
command -v nm >/dev/null || {
	echo "SKIP: no nm" >&2
	exit 77
}
dir=$(mktemp -d "${TMPDIR:-/tmp}/far-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT
nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
	sort -u >"$dir/exports"
sed -n '/global:/,/local:/s/^[ \t]*\([A-Za-z_0-9]*\);.*/\1/p' "$2" |
	sort -u >"$dir/map"
if [ ! -s "$dir/map" ]; then
	echo "$2 lists nothing" >&2
	exit 1
fi
diff "$dir/map" "$dir/exports" >&2
