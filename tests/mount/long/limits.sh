#!/bin/bash
# SPDX-License-Identifier: MIT
# What runs out: the disk, the limits of who calls and of the daemon (RLIMIT_FSIZE, NOFILE,
# AS); and another user, whose limits are permissions.
. "$(dirname "$0")/lib.sh"

# ---- the disk -----------------------------------------------------------------

# In two directories: what was synced stays, whatever failed afterwards
fill() {
	local n
	mkdir -p "$DIR/$1"
	for n in $(seq 1000); do
		head -c 300000 /dev/urandom >"$DIR/$1/$n" || break
		sync "$DIR/$1/$n" || break
		cp "$DIR/$1/$n" "$T/synced/$1.$n"
	done 2>"$T/said"
	[ "$n" -lt 1000 ] || fail "the disk was never full"
	grep -q 'No space left' "$T/said" || fail "$(cat "$T/said")"
	echo "$n files of 300 000 bytes"
	rm -f "$DIR/$1/$n"
}

what_was_synced_is_there() {
	local file name
	for file in "$T/synced"/*; do
		name=${file##*/}
		cmp "$file" "$DIR/${name/.//}"
	done
}

# In fill it may be a new file for which there is no room, or an fsync: here a write
a_full_disk_says_so() {
	: >"$DIR/more"
	fill a
	refuses dd if=/dev/urandom of="$DIR/more" bs=100k count=300 status=none 2>"$T/said"
	grep -q "writing.*: No space left" "$T/said" || fail "$(cat "$T/said")"
	what_was_synced_is_there
}

room_comes_back_by_deleting_and_a_punch() {
	rm -rf "$DIR/a"
	rm -f "$T/synced/a".*
	"$BANYAN" vacuum --punch "$DB"
	fill b
	what_was_synced_is_there
}

# ---- who calls ----------------------------------------------------------------

a_caller_may_have_a_limit_of_file_size() {
	(ulimit -f 100; head -c 1000000 /dev/zero >"$DIR/f") && fail "no limit"
	[ "$(stat -c %s "$DIR/f")" -le 102400 ] || fail "too large"
	(ulimit -f 100; truncate -s 200000 "$DIR/f") && fail "no limit"
	head -c 1000000 /dev/zero >"$DIR/f"
}

a_caller_may_have_few_files_and_little_memory() {
	python3 - "$DIR" <<-'END'
		import errno, os, resource, sys
		resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
		held = []
		try:
		    while True:
		        held.append(open(f"{sys.argv[1]}/few{len(held)}", "w"))
		except OSError as e:
		    assert e.errno == errno.EMFILE, e
		for f in held:
		    f.write("x")
		    f.close()
		resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
		with open(f"{sys.argv[1]}/much", "wb") as f:
		    for _ in range(100):
		        f.write(bytes(1 << 20))
	END
	same 100M "$(stat -c %s "$DIR/much" | numfmt --to=iec)"
}

another_user_may_do_what_the_modes_say() {
	mkdir -m 1777 "$DIR/tmp"
	mkdir -m 700 "$DIR/closed"
	install -m 600 /dev/null "$DIR/secret"
	install -m 644 /dev/null "$DIR/tmp/roots"
	refuses $NOBODY cat "$DIR/secret" 2>/dev/null
	refuses $NOBODY ls "$DIR/closed" 2>/dev/null
	refuses $NOBODY touch "$DIR/not" 2>/dev/null
	refuses $NOBODY rm -f "$DIR/tmp/roots" 2>/dev/null
	refuses $NOBODY chown 0 "$DIR/tmp" 2>/dev/null
	$NOBODY cp -a /usr/include/linux "$DIR/tmp/linux" 2>/dev/null || :
	diff -r /usr/include/linux "$DIR/tmp/linux"
	same "65534 65534" "$(find "$DIR/tmp/linux" -printf '%U %G\n' | sort -u)"
	$NOBODY rm -rf "$DIR/tmp/linux"
	[ ! -e "$DIR/tmp/linux" ] || fail "still there"
}

# ---- the daemon ---------------------------------------------------------------

many_files_are_open_at_once() {
	python3 - "$DIR" <<-'END'
		import sys
		files = [open(f"{sys.argv[1]}/open{n}", "w+") for n in range(1000)]
		for n, f in enumerate(files):
		    f.write(str(n)); f.flush(); f.seek(0)
		    assert f.read() == str(n)
	END
}

it_has_no_larger_a_file_than_it_may() {
	head -c 100000 /dev/urandom >"$T/before"
	cp "$T/before" "$DIR/before"
	refuses head -c 90000000 /dev/zero 2>/dev/null >"$DIR/large"
	kill -0 "$daemon"
	cmp "$T/before" "$DIR/before"
	rm -f "$DIR/large"
}

it_does_with_little_memory() {
	cp -a /usr/include/linux "$DIR/linux"
	diff -r /usr/include/linux "$DIR/linux"
	kill -0 "$daemon"
}

# limited ULIMIT... TEST: the daemon has the limit, not this shell for ever
limited() {
	ulimit -S "$1" "$2"
	begin "cache=16M"
	ulimit -S "$1" unlimited 2>/dev/null || ulimit -S "$1" "$(ulimit -H "$1")"
	lasts "$3"
	end
}

mkdir "$T/small" "$T/synced"
mount -t tmpfs -o size=48m none "$T/small"
DB=$T/small/full.banyan
begin
lasts a_full_disk_says_so
lasts room_comes_back_by_deleting_and_a_punch
again
lasts what_was_synced_is_there
end
DB=$T/limits.banyan
begin
lasts a_caller_may_have_a_limit_of_file_size
lasts a_caller_may_have_few_files_and_little_memory
lasts another_user_may_do_what_the_modes_say
end
limited -n 64 many_files_are_open_at_once
DB=$T/size.banyan
limited -f 40000 it_has_no_larger_a_file_than_it_may
DB=$T/memory.banyan
limited -v 120000 it_does_with_little_memory # KiB
finish
