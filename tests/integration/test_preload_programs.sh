#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Programs people use, with less local memory than they need: the same result
# as without us, and memory that really came and went.
#	test_preload_programs.sh PROGRAM PRELOAD RUNNER
# RUNNER is test_preload_stat.  Status 77: the program is not installed.
set -eu
program=$1
preload=$2
runner=$3

work=$(mktemp -d)
server=
finish() {
	status=$?
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	[ -z "$server" ] || wait "$server" 2>/dev/null || true
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null || {
			echo "$tool is not installed" >&2
			exit 77
		}
	done
}

fail() {
	echo "not true: $*" >&2
	exit 1
}

# far FILE PROGRAM...: under the limit; statistics go to FILE
far() {
	FAR_CONF="local=${local_size:-24M};far=lz4:" "$runner" "$preload" "$@"
}

# far_server FILE PROGRAM...: the same, left running as $server
far_server() {
	FAR_CONF="local=${local_size:-24M};far=lz4:" \
		"$runner" "$preload" "$@" >"$work/log" 2>&1 &
	server=$!
}

stat_of() {
	sed -n "s/^$2 //p" "$1"
}

# The program was made to page, nothing was lost.
check_paged() {
	[ -s "$1" ] || fail "there are statistics"
	[ "$(stat_of "$1" evicted_pages)" -gt "${2:-1000}" ] ||
		fail "pages were evicted: $(grep -c . "$1") figures, $(
			stat_of "$1" evicted_pages) pages"
	[ "$(stat_of "$1" faults_remote)" -gt 100 ] ||
		fail "pages came back"
	[ "$(stat_of "$1" lost_pages)" = 0 ] || fail "no page was lost"
}

# until_true COMMAND...: up to ten seconds
until_true() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || fail "in time: $*"
		sleep 0.02
	done
}

cli() {
	redis-cli -s "$work/sock" "$@"
}

saved() {
	cli info persistence | tr -d '\r' >"$work/persistence"
	grep -qx rdb_bgsave_in_progress:0 "$work/persistence"
}

redis() {
	need redis-server redis-cli redis-benchmark
	far_server "$work/stats" redis-server --port 0 \
		--unixsocket "$work/sock" --save '' --dir "$work" \
		--enable-debug-command yes
	until_true cli ping
	# 60000 values of 1000 bytes, and lists, beside 24 MiB
	redis-benchmark -s "$work/sock" -q -P 16 -n 60000 -r 60000 -d 1000 \
		-t set,get,lpush >/dev/null
	cli set key "$(head -c 3000 /dev/zero | tr '\0' x)" >/dev/null
	digest=$(cli debug digest)
	[ "${#digest}" = 40 ] || fail "redis has a digest: $digest"
	cli info memory | grep -q '^used_memory:' || fail "INFO memory works"
	cli memory doctor | grep -qi 'sam' || fail "MEMORY DOCTOR works"
	cli memory malloc-stats | grep -q jemalloc ||
		fail "MEMORY MALLOC-STATS works"
	cli memory purge | grep -q OK || fail "MEMORY PURGE works"
	# a child writes the dump while the parent changes what it writes
	cli bgsave >/dev/null
	redis-benchmark -s "$work/sock" -q -P 16 -n 30000 -r 60000 -d 900 \
		-t set >/dev/null
	until_true saved
	grep -q '^rdb_last_bgsave_status:ok' "$work/persistence" ||
		fail "BGSAVE works: $(tail -5 "$work/log")"
	changed=$(cli debug digest)
	[ "$changed" != "$digest" ] || fail "the digest sees changes"
	redis-check-rdb "$work/dump.rdb" >"$work/check" 2>&1 ||
		fail "the child's dump is sound: $(tail -3 "$work/check")"
	cp "$work/dump.rdb" "$work/forked.rdb"
	cli debug reload >/dev/null
	[ "$(cli debug digest)" = "$changed" ] ||
		fail "a reload gives the same data"
	cli shutdown nosave 2>/dev/null || true
	wait "$server" || fail "redis ends well: $(tail -5 "$work/log")"
	server=
	check_paged "$work/stats"
	redis_reads_dump
}

# The forked child's dump, read without us, is the state of its moment.
redis_reads_dump() {
	redis-server --port 0 --unixsocket "$work/sock" --save '' \
		--dir "$work" --dbfilename forked.rdb \
		--enable-debug-command yes >"$work/log" 2>&1 &
	server=$!
	until_true cli ping
	until_true sh -c "redis-cli -s '$work/sock' info persistence |
		grep -q '^loading:0'"
	[ "$(cli debug digest)" = "$digest" ] ||
		fail "the dump holds what the parent had at the fork"
	cli shutdown nosave 2>/dev/null || true
	wait "$server" || true
	server=
}

memcached() {
	need memcached python3
	far_server "$work/stats" memcached -u root -m 256 -s "$work/sock" -t 4
	until_true test -S "$work/sock"
	python3 - "$work/sock" <<'EOF' || fail "memcached keeps 60000 values"
import hashlib, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rwb", 1 << 16)
def value(i):
    return (hashlib.sha256(b"%d" % i).hexdigest() * 16).encode()[:1000]
N = 60000
for start in range(0, N, 500):
    for i in range(start, start + 500):
        v = value(i)
        f.write(b"set k%d 0 0 %d\r\n%s\r\n" % (i, len(v), v))
    f.flush()
    for i in range(start, start + 500):
        assert f.readline() == b"STORED\r\n"
for start in range(0, N, 500):
    for i in range(start, start + 500):
        f.write(b"get k%d\r\n" % i)
    f.flush()
    for i in range(start, start + 500):
        v = value(i)
        assert f.readline() == b"VALUE k%d 0 %d\r\n" % (i, len(v)), i
        assert f.readline() == v + b"\r\n", i
        assert f.readline() == b"END\r\n", i
EOF
	kill -TERM "$server"
	wait "$server" || fail "memcached ends well: $(cat "$work/log")"
	server=
	check_paged "$work/stats"
}

sqlite() {
	need sqlite3
	cat >"$work/sql" <<'EOF'
PRAGMA temp_store=MEMORY;
PRAGMA cache_size=-200000;
CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO t SELECT i, (i * 7919) % 250007, hex(i * 31337) || substr(
	'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz'
	|| 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz'
	|| 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz', 1 + i % 50) FROM n;
CREATE INDEX tv ON t(v);
SELECT count(*), sum(k), min(v), max(v) FROM t;
SELECT sum(pos * id) FROM (SELECT id, row_number() OVER (ORDER BY v, k) % 1000
	AS pos FROM t);
DELETE FROM t WHERE k % 3 = 0;
PRAGMA integrity_check;
SELECT count(*), sum(length(v)) FROM t;
EOF
	sqlite3 :memory: <"$work/sql" >"$work/want"
	grep -qx ok "$work/want" || fail "sqlite3 works without us"
	far "$work/stats" sqlite3 :memory: <"$work/sql" >"$work/got"
	cmp "$work/want" "$work/got" || fail "the same rows"
	check_paged "$work/stats"
}

sort_lines() {
	need sort awk
	awk 'BEGIN { x = 42; for (i = 0; i < 400000; i++) {
		x = (x * 1103515245 + 12345) % 2147483648
		printf "%010d %010d the quick brown fox jumps over it\n", x, i
	} }' >"$work/lines"
	LC_ALL=C sort --parallel=2 -S 256M "$work/lines" >"$work/want"
	LC_ALL=C far "$work/stats" sort --parallel=2 -S 256M "$work/lines" \
		>"$work/got"
	cmp "$work/want" "$work/got" || fail "the same order"
	check_paged "$work/stats"
}

python() {
	need python3
	real=$(python3 -c 'import sys; print(sys.executable)')
	cat >"$work/work.py" <<'EOF'
import hashlib, multiprocessing, random

random.seed(7)
table = {i: "value %d %d" % (i, random.getrandbits(60)) for i in range(300000)}
for i in random.sample(range(300000), 100000):
    del table[i]
for i in range(300000, 380000):
    table[i] = str(i) * 5

def digest(part):
    h = hashlib.sha256()
    for k in sorted(table)[part::3]:
        h.update(b"%d" % k)
        h.update(table[k].encode())
    return h.hexdigest()

# Children inherit the table, most of which is not local.
with multiprocessing.get_context("fork").Pool(2) as pool:
    children = pool.map(digest, range(3))
assert children == [digest(i) for i in range(3)]
print(children, len(table))
EOF
	"$real" "$work/work.py" >"$work/want"
	far "$work/stats" "$real" "$work/work.py" >"$work/got"
	cmp "$work/want" "$work/got" || fail "the same digests"
	check_paged "$work/stats"
}

git_repository() {
	need git awk
	export GIT_CONFIG_NOSYSTEM=1 HOME="$work" \
		GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com \
		GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com
	git init -q "$work/a"
	cd "$work/a"
	for round in 1 2 3; do
		awk -v r=$round 'BEGIN { x = r; for (f = 0; f < 10; f++) {
			name = "file" f
			for (i = 0; i < 15000; i++) {
				x = (x * 1103515245 + 12345) % 2147483648
				printf "%d line %d of %d, %d\n",
					i % 7 ? i : x, i, f, r >name
			}
			close(name)
		} }'
		git add .
		git commit -q -m "round $round"
	done
	cd "$work"
	local_size=16M
	far "$work/stats.clone" git clone -q --no-local "$work/a" "$work/b" \
		2>"$work/log" || fail "git clone: $(cat "$work/log")"
	far "$work/stats.gc" git -C "$work/b" -c pack.threads=2 \
		-c pack.window=50 gc -q --prune=now \
		2>"$work/log" || fail "git gc: $(cat "$work/log")"
	far "$work/stats.fsck" git -C "$work/b" fsck --full --strict \
		>"$work/log" 2>&1 || fail "git fsck: $(cat "$work/log")"
	git -C "$work/b" fsck --full --strict >"$work/log" 2>&1 ||
		fail "what git wrote is sound: $(cat "$work/log")"
	[ "$(git -C "$work/a" rev-parse "HEAD^{tree}")" = \
		"$(git -C "$work/b" rev-parse "HEAD^{tree}")" ] ||
		fail "the same tree"
	git -C "$work/a" rev-list --objects --all >"$work/objects"
	far "$work/stats" git -C "$work/b" pack-objects -q --no-reuse-delta \
		--window=50 --threads=2 "$work/pack" <"$work/objects" \
		>"$work/name" || fail "git pack-objects"
	check_paged "$work/stats"
	git -C "$work/a" verify-pack "$work"/pack-*.pack ||
		fail "the pack is sound"
	far "$work/stats.log" git -C "$work/b" -c core.packedGitLimit=1m \
		log -p --stat >"$work/got"
	git -C "$work/a" log -p --stat >"$work/want"
	cmp "$work/want" "$work/got" || fail "the same history"
}

case $program in
redis) redis ;;
memcached) memcached ;;
sqlite) sqlite ;;
sort) sort_lines ;;
python) python ;;
git) git_repository ;;
*) fail "a known program: $program" ;;
esac
