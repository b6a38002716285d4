# SPDX-License-Identifier: BSD-3-Clause
# Forwards to CMake and to the scripts; nothing is built here.
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all release demo check check-long bench install deps clean

all: release

deps:
	./packaging/install-deps

release: deps
	cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build --preset release

demo: release
	./bench/demo

check: deps
	./tests/check

check-long: deps
	./tests/check --long

bench: release
	./bench/run --shares 50,25
	./bench/kernel_peers --rounds 2 --shares 75,50

install: release
	DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)
	[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

clean:
	rm -rf build
