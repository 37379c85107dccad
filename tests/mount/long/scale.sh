#!/bin/bash
# SPDX-License-Identifier: MIT
# KEYS (1 000 000) keys in one directory: listed, looked up, made, deleted in bounded
# time; rm -rf of a tenth as many in a tree; the daemon's memory meanwhile is at most its
# cache, 64 MiB and 128 bytes for each inode that the kernel remembers, and without those
# once they are forgotten. The bounds are some four times what it takes here.
. "$(dirname "$0")/lib.sh"
KEYS=${BANYAN_KEYS:-1000000}
CACHE=64

# within SECONDS COMMAND...: for a million keys
within() {
	local began=$EPOCHREALTIME
	"${@:2}"
	awk -v b="$began" -v e="$EPOCHREALTIME" -v most="$(($1 * KEYS / 1000000 + 3))" \
		-v what="${*:2:2}" 'BEGIN {
		printf "%.1f s of %d: %s\n", e - b, most, what; exit e - b > most }'
}

memory() { awk '$1 == "RssAnon:" || $1 == "RssShmem:" { n += $2 } END { print n }' "/proc/$(worker_of "$daemon")/status"; }

# So many inodes the kernel remembers, as the daemon has counted them
remembered() { awk '$1 == "inodes" { print $2 }' "$DIR/.banyan/status"; }

memory_is_right() {
	local is most inodes
	inodes=$(remembered)
	is=$(memory)
	most=$(((CACHE + 64) * 1024 + inodes / 8))
	echo "memory $is KiB of $most, $inodes inodes"
	[ "$is" -le $most ] || fail "too much memory"
}

list() { same "$KEYS" "$(find "$1" -mindepth 1 -printf . | wc -c)"; }
stat_all() { same "$KEYS" "$(find "$1" -mindepth 1 -type f -size -2 | wc -l)"; }
some() {
	python3 -B - "$1" "$2" "$KEYS" <<-'END'
		import os, random, sys
		what, top, keys = sys.argv[1], sys.argv[2], int(sys.argv[3])
		for n in range(keys // 50):
		    if what == "lookup":
		        os.stat(f"{top}/key{random.randrange(1, keys + 1):07}")
		    elif what == "create":
		        open(f"{top}/new{n}", "x").close()
		    else:
		        os.unlink(f"{top}/new{n}")
	END
}

all_are_listed_and_looked_up() {
	within 20 list "$DIR/many"
	within 60 stat_all "$DIR/many"
	memory_is_right
	drop_caches
	within 30 some lookup "$DIR/many"
	within 30 some create "$DIR/many"
	within 30 some delete "$DIR/many"
}

memory_comes_back() {
	drop_caches
	sleep 2
	memory_is_right
	[ "$(remembered)" -lt 1000 ] || fail "$(remembered) inodes are remembered"
}

all_are_deleted() {
	within 400 rm -rf "$DIR/many"
	mkdir "$DIR/many"
	within 5 some create "$DIR/many"
	within 5 some delete "$DIR/many"
	same "" "$(ls -A "$DIR/many")"
	memory_is_right
}

what_was_deleted_does_not_slow_a_directory() {
	seq -f "$DIR/many/key%07g" "$((KEYS / 10))" | xargs touch
	find "$DIR/many" -mindepth 1 -delete
	within 5 some create "$DIR/many"
	within 2 ls "$DIR/many" >/dev/null
	within 5 some delete "$DIR/many"
}

a_large_tree_is_removed() {
	python3 -B - "$DIR/tree" "$((KEYS / 10))" <<-'END'
		import os, sys
		top, count = sys.argv[1], int(sys.argv[2])
		for n in range(count):
		    if n % 100 == 0:
		        os.makedirs(f"{top}/{n // 10000}/{n // 100}")
		    with open(f"{top}/{n // 10000}/{n // 100}/{n}", "w") as f:
		        f.write("x")
	END
	drop_caches
	within 100 rm -rf "$DIR/tree"
	[ ! -e "$DIR/tree" ] || fail "still there"
}

seq -f 'key%07g' "$KEYS" | sed '1i name' >"$T/keys.csv"
"$BANYAN" create "$DB"
"$BANYAN" import -f csv -k name -i many "$DB" "$T/keys.csv" >/dev/null
rm "$T/keys.csv"
begin "cache=${CACHE}M"
for test in all_are_listed_and_looked_up memory_comes_back all_are_deleted \
	what_was_deleted_does_not_slow_a_directory a_large_tree_is_removed memory_comes_back; do
	lasts $test
	sed 's/^/# /' "$T/output"
done
end
finish
