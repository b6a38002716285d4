#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# symbols.sh LIBFAR.A: what serves faults and evicts calls no allocator and
# prints to no stream, since it could fault on itself.
set -eu
command -v nm >/dev/null || {
	echo "SKIP: no nm" >&2
	exit 77
}
objects='uffd fault trace guide space writeback flush placement page slots range budget evictor policy team reserve
policy_clock policy_fifo policy_refault policy_s3fifo'
forbidden='malloc calloc realloc free aligned_alloc posix_memalign memalign
strdup strndup asprintf vasprintf printf fprintf vprintf vfprintf dprintf
vdprintf sprintf puts fputs fputc putchar fwrite perror fopen fdopen fclose
getline __printf_chk __fprintf_chk __vfprintf_chk __sprintf_chk
__asprintf_chk __dprintf_chk'
list=$(mktemp "${TMPDIR:-/tmp}/far-test.XXXXXX")
trap 'rm -f "$list"' EXIT
nm -u "$1" >"$list" 2>/dev/null
bad=0

for object in $objects; do
	# the part of the listing that is about this member
	calls=$(awk -v want="$object.c.o:" '
		/:$/ { in_it = ($0 == want); found = found || in_it }
		in_it && $1 == "U" { sub(/@.*/, "", $2); print $2 }
		END { if (!found) exit 1 }' "$list") || {
		echo "$object.c.o is not in $1" >&2
		bad=$((bad + 1))
		continue
	}
	for call in $calls; do
		for name in $forbidden; do
			if [ "$call" = "$name" ]; then
				echo "$object.c calls $name" >&2
				bad=$((bad + 1))
			fi
		done
	done
done
[ $bad = 0 ]
