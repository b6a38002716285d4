#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Installs into an empty folder and builds the examples against it, by CMake
# package and by pkg-config.
#   test_install.sh BUILD-FOLDER SOURCE-FOLDER
set -eu

build=$1
source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

DESTDIR="$dir/root" cmake --install "$build" --prefix /opt/far >/dev/null
prefix=$dir/root/opt/far
libdir=$(dirname "$(find "$prefix" -name libfar.so | head -n 1)")

for f in bin/far bin/fard include/far/far.h share/man/man1/far.1; do
	[ -e "$prefix/$f" ] || { echo "not installed: $f"; exit 1; }
done
[ -e "$libdir/libfar-preload.so" ] || {
	echo "not installed: libfar-preload.so"
	exit 1
}

# The CMake package finds itself wherever it was put.
cmake -S "$source/examples" -B "$dir/cmake" \
	-DCMAKE_PREFIX_PATH="$prefix" >"$dir/log" 2>&1 ||
	{ cat "$dir/log"; exit 1; }
cmake --build "$dir/cmake" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
"$dir/cmake/example-limit"

PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH
# shellcheck disable=SC2046 # a list of flags
cc -o "$dir/array" "$source/examples/array.c" \
	$(pkg-config --cflags --libs libfar)
LD_LIBRARY_PATH=$libdir "$dir/array"

# The installed command finds the installed preload.
"$prefix/bin/far" run --quiet --local 32M -- \
	sh -c 'grep -q libfar-preload /proc/self/maps'
echo "installed tree works"
