#!/bin/bash
# SPDX-License-Identifier: MIT
# The past through the mount: .banyan/at, .banyan/snapshots, .banyan/status.
. "$(dirname "$0")/lib.sh"
need_fuse

AT=$DIR/.banyan/at
STATUS=$DIR/.banyan/status.json
NOBODY="setpriv --reuid 65534 --regid 65534 --clear-groups"

# A test that has failed may have left its mount behind
new_db() {
	unmount_below "$T"
	end_daemon
	rm -f "$DB"
	"$BANYAN" create "$DB"
}

# A freeze, as each end of a mount makes one
freeze() { remount_db; }
newest() { "$BANYAN" freezes "$DB" | awk 'NR == 2 { print $1 }'; }
now() { date +%FT%T.%N; }
fact() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$STATUS" "$1"; }
says() { # ERROR COMMAND...
	local error=$1
	shift
	if "$@" 2>"$T/said"; then fail "was let through: $*"; fi
	grep -q "$error" "$T/said" || fail "$* said: $(cat "$T/said")"
}

make_tree() {
	echo one >"$DIR/f"
	mkdir -m 2751 "$DIR/d"
	echo g >"$DIR/d/g"
	ln "$DIR/f" "$DIR/d/alias"
	ln -s f "$DIR/link"
	mkfifo -m 640 "$DIR/fifo"
	mknod -m 600 "$DIR/null" c 1 3
	head -c 3000000 /dev/urandom >"$DIR/large"
	setfattr -n user.note -v then "$DIR/f"
	chown 12:34 "$DIR/d/g"
	chmod 4711 "$DIR/d/g"
	mkdir "$DIR/many"
	(cd "$DIR/many" && seq "${many:-300}" | xargs touch)
	# rsync 3.5 takes times of the same second for equal
	find "$DIR" -mindepth 1 -exec touch -h -d '2020-01-02 03:04:05.678901234 UTC' {} +
	touch -d '2001-02-03 04:05:06.123456789 UTC' "$DIR/d/g"
}

# A freeze with make_tree's, of which $T/then is a copy, and other things since
old_tree() {
	new_db
	mount_db
	make_tree
	rm -rf "$T/then"
	cp -a "$DIR/." "$T/then"
	freeze
	F=$(newest)
	echo two >"$DIR/f"
	setfattr -n user.note -v now "$DIR/f"
	rm "$DIR/d/g" "$DIR/link"
	echo new >"$DIR/new"
	rm -r "$DIR/many"
}

# As listing() has it, but what goes by inode numbers
compare() {
	diff -r --no-dereference -x fifo -x null "$1" "$2"
	listing "$1" >"$T/left"
	listing "$2" >"$T/right"
	diff "$T/left" "$T/right"
}

# ---- the directory -------------------------------------------------------------

it_is_there_and_not_listed() {
	old_tree
	same "drwx------ root root" "$(stat -c '%A %U %G' "$DIR/.banyan")"
	ls -A "$DIR" | refuses grep -qx .banyan
	find "$DIR" -name .banyan | refuses grep -q .
	same "at snapshots status status.json" "$(ls -A "$DIR/.banyan" | xargs)"
	same "$(stat -c %i "$DIR")" "$(stat -c %i "$DIR/.banyan/..")"
	rm -rf "${DIR:?}"/*
	test -f "$AT/$F/f"
	umount_db
}

it_cannot_be_made_removed_or_renamed() {
	old_tree
	says "File exists" mkdir "$DIR/.banyan"
	says "Operation not permitted" rmdir "$DIR/.banyan"
	says "Operation not permitted" mv "$DIR/.banyan" "$DIR/x"
	says "Operation not permitted" mv -T "$DIR/d" "$DIR/.banyan"
	says "Operation not permitted" touch "$DIR/.banyan/x"
	says "Operation not permitted" mkdir "$DIR/.banyan/x"
	says "Operation not permitted" ln -s x "$DIR/.banyan/x"
	says "Operation not permitted" rmdir "$AT"
	says "Operation not permitted" mv "$AT" "$DIR/.banyan/x"
	says "Operation not permitted" rm "$STATUS"
	says "Operation not permitted" chmod 755 "$DIR/.banyan"
	says "Operation not permitted" mv "$DIR/f" "$DIR/.banyan/"
	says "Operation not permitted" ln "$DIR/f" "$DIR/.banyan/f"
	says "Read-only file system" mkdir "$AT/x"
	says "Read-only file system" mv "$DIR/d" "$AT/"
	rm -rf "$DIR/.banyan" 2>/dev/null && fail "rm -rf .banyan says that it did it"
	test -f "$AT/$F/d/g"
	test -f "$DIR/f"
	umount_db
	# nor does the database have a key of that name
	"$BANYAN" ls "$DB" | refuses grep -q banyan
}

others_cannot_enter_it() {
	[ "$(id -u)" = 0 ] || { echo "not root"; return 0; }
	old_tree
	cat "$AT/$F/f" "$STATUS" >/dev/null
	says "Permission denied" $NOBODY ls "$DIR/.banyan"
	says "Permission denied" $NOBODY cat "$AT/$F/f"
	says "Permission denied" $NOBODY cat "$STATUS"
	umount_db
	mount_db uid=65534,gid=65534
	$NOBODY cat "$AT/$F/f" >/dev/null
	same "65534 65534" "$(stat -c '%u %g' "$DIR/.banyan")"
	same "65534 65534" "$(stat -c '%u %g' "$AT/$F/f")"
	umount_db
}

# ---- at ------------------------------------------------------------------------

a_freeze_is_the_tree_as_of_then() {
	local many=3000
	old_tree
	drop_caches || true
	compare "$T/then" "$AT/$F"
	same then "$(getfattr --only-values -n user.note "$AT/$F/f")"
	same user.note "$(getfattr --absolute-names "$AT/$F/f" | sed -n 2p)"
	same f "$(readlink "$AT/$F/link")"
	same 2 "$(stat -c %h "$AT/$F/f")"
	same "$(stat -c %i "$AT/$F/f")" "$(stat -c %i "$AT/$F/d/alias")"
	same "1,3" "$(stat -c '%t,%T' "$AT/$F/null")"
	same 3000 "$(ls "$AT/$F/many" | wc -l)"
	cmp "$T/then/large" "$AT/$F/large"
	stat -f "$AT/$F" >/dev/null
	same "$(df --output=target "$DIR" | tail -n 1)" \
		"$(df --output=target "$AT/$F/d" | tail -n 1)"
	umount_db
}

nothing_there_can_be_changed() {
	old_tree
	local v=$AT/$F
	says "Read-only file system" touch "$v/f"
	says "Read-only file system" touch "$v/x"
	says "Read-only file system" mkdir "$v/x"
	says "Read-only file system" ln -s x "$v/x"
	says "Read-only file system" mkfifo "$v/x"
	says "Read-only file system" rm "$v/f"
	says "Read-only file system" rmdir "$v/d"
	says "Read-only file system" rmdir "$v"
	says "Read-only file system" mv "$v/f" "$v/x"
	says "Read-only file system" mv "$v/f" "$DIR/x"
	says "Read-only file system" mv "$DIR/f" "$v/x"
	says "Read-only file system" mv "$DIR/f" "$v/f"
	says "Read-only file system" ln "$DIR/f" "$v/x"
	says "Read-only file system" ln "$v/f" "$v/x"
	says "cross-device" ln "$v/f" "$DIR/x"
	says "Read-only file system" chmod 600 "$v/f"
	says "Read-only file system" chown 1 "$v/f"
	says "Read-only file system" truncate -s 0 "$v/f"
	says "Read-only file system" setfattr -n user.x -v x "$v/f"
	says "Read-only file system" setfattr -x user.note "$v/f"
	says "Read-only file system" fallocate -l 100000 "$v/f"
	says "Read-only file system" dd if=/dev/zero of="$v/f" bs=10 count=1 conv=notrunc
	says "Read-only file system" cp "$DIR/new" "$v/f"
	same one "$(cat "$v/f")"
	compare "$T/then" "$v"
	test ! -e "$DIR/x"
	umount_db
}

a_time_is_the_state_of_that_moment() {
	old_tree
	local i
	for i in $(seq 5); do
		echo "$i" >"$DIR/f"
		sleep 0.03
		now >"$T/time$i"
		sleep 0.03
	done
	for i in $(seq 5); do
		same "$i" "$(cat "$AT/$(cat "$T/time$i")/f")"
	done
	# other forms of one moment
	same 3 "$(cat "$AT/$(date -d "$(cat "$T/time3")" -u +%FT%T.%NZ)/f")"
	same 3 "$(cat "$AT/$(sed 's/T/ /' "$T/time3")/f")"
	same 3 "$(cat "$AT/$(sed 's/\./,/' "$T/time3")/f")"
	umount_db
}

an_operation_more_or_less() {
	new_db
	mount_db
	: >"$DIR/f"
	umount_db
	mount_db
	python3 - "$DIR" <<-'END'
		import os, sys, time
		d = sys.argv[1]
		clock = time.CLOCK_REALTIME
		seen = []
		for i in range(40):
		    with open(d + "/f", "w") as f:
		        f.write(str(i))
		    time.sleep(0.012)
		    seen.append(time.clock_gettime_ns(clock))
		    time.sleep(0.012)
		for i, ns in enumerate(seen):
		    name = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9))
		    with open(f"{d}/.banyan/at/{name}.{ns % 10**9:09}Z/f") as f:
		        assert f.read() == str(i), i
	END
	umount_db
}

# Nothing that comes later gets the time, although the clocks differ by a tick
a_time_is_the_same_when_it_is_opened_again() {
	[ "$(id -u)" = 0 ] || { echo "not root"; return 0; }
	new_db
	mount_db
	echo 0 >"$DIR/f"
	python3 - "$DIR" <<-'END'
		import os, sys, time
		d = sys.argv[1]
		seen = {}
		for i in range(60):
		    ns = time.time_ns()
		    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9))
		    at = f"{d}/.banyan/at/{at}.{ns % 10**9:09}Z/f"
		    with open(at) as f:
		        seen[at] = f.read()
		    with open(d + "/f", "w") as f:
		        f.write(str(i))
		with open("/proc/sys/vm/drop_caches", "w") as f:
		    f.write("3")
		for at, text in seen.items():
		    with open(at) as f:
		        now = f.read()
		    assert now == text, (at, text, now)
	END
	umount_db
}

what_never_was_is_not_there() {
	old_tree
	local name
	for name in 0 $((F + 1)) 99999999999999999999999 -1 x '' 1.5 2099-01-01 \
		1999-01-01 1901-01-01 9999-12-31T23:59:59 2020 "$(date -d '1 hour' +%FT%T)"; do
		[ -n "$name" ] || continue
		says "No such file" stat "$AT/$name"
	done
	says "No such file" stat "$DIR/.banyan/nothing"
	says "too long" stat "$AT/$F/$(printf 'x%.0s' $(seq 256))"
	umount_db
}

freezes_are_listed() {
	old_tree
	freeze
	"$BANYAN" freezes "$DB" | awk 'NR > 1 { print $1 }' | sort -n >"$T/left"
	ls "$AT" | sort -n >"$T/right"
	diff "$T/left" "$T/right"
	stat "$AT/$(now)" >/dev/null
	ls "$AT" | sort -n | diff "$T/left" -
	umount_db
}

# ---- inode numbers ---------------------------------------------------------------

inode_numbers_are_never_those_of_now() {
	old_tree
	find "$DIR" -printf '%i\n' | sort -u >"$T/live"
	find "$DIR/.banyan" -printf '%i\n' | sort -u >"$T/past"
	same "" "$(comm -12 "$T/live" "$T/past")"
	# so these do what they say
	cp "$AT/$F/f" "$DIR/f"
	same one "$(cat "$DIR/f")"
	cat "$AT/$F/f" >"$DIR/f"
	same one "$(cat "$DIR/f")"
	(cd "$DIR" && tar cf "$T/tar" f .banyan/at/"$F"/f)
	tar tvf "$T/tar" | refuses grep -q "link to f"
	umount_db
}

the_same_in_two_trees_has_one_number() {
	old_tree
	local first=$F a b
	freeze
	a=$AT/$first b=$AT/$(newest)
	same "$(stat -c %i "$a/large")" "$(stat -c %i "$b/large")"
	[ "$(stat -c %i "$a/f")" != "$(stat -c %i "$b/f")" ] || fail "f has changed"
	umount_db
}

listings_and_stat_have_the_same_numbers() {
	local many=3000
	old_tree
	python3 -B - "$here" "$DIR" "$F" <<-'END'
		import os, sys
		sys.path.insert(0, sys.argv[1])
		from calls_lib import raw_entries
		top = sys.argv[2] + "/.banyan"
		seen = 0
		def walk(d):
		    global seen
		    for name, ino in raw_entries(d):
		        st = os.lstat(d + "/" + name)
		        assert st.st_ino == ino, (d, name, st.st_ino, ino)
		        seen += 1
		    for e in os.scandir(d):
		        if e.is_dir(follow_symlinks=False):
		            walk(e.path)
		walk(top)
		assert seen > 3000, seen
		# a listing can be gone on with anywhere
		from calls_lib import Dir
		many = f"{top}/at/{sys.argv[3]}/many"
		l = Dir(many)
		for _ in range(1234):
		    l.next()
		at = l.tell()
		rest = l.rest()
		m = Dir(many)
		m.seek(at)
		assert m.rest() == rest and len(rest) == 3002 - 1234
	END
	umount_db
}

# ---- use ---------------------------------------------------------------------------

the_past_is_copied_back() {
	old_tree
	cp -a "$AT/$F/." "$DIR"
	rm "$DIR/new"
	compare "$T/then" "$DIR"
	umount_db
}

programs_can_use_it_while_writers_run() {
	old_tree
	local v=$AT/$F writer
	mkdir "$DIR/busy"
	(while :; do for i in 1 2 3 4 5; do echo $RANDOM >"$DIR/busy/$i"; done; done) &
	writer=$!
	rm -rf "$T/out" && mkdir "$T/out" "$T/out/tar"
	cp -a "$v" "$T/out/cp"
	rsync -aHX "$v/" "$T/out/rsync"
	tar -C "$v" --format=posix -cf - . | tar -C "$T/out/tar" -xpf -
	compare "$v" "$T/then"
	rsync -aHXni --checksum "$v/" "$T/then" >"$T/changes"
	kill $writer
	wait $writer 2>/dev/null || true
	same "" "$(cat "$T/changes")"
	for how in cp rsync tar; do
		compare "$T/then" "$T/out/$how"
	done
	diff -r "$AT/$F/d" "$T/then/d"
	diff "$v/f" "$DIR/f" >"$T/diff" && fail "no difference"
	same "< one" "$(grep '^<' "$T/diff")"
	umount_db
}

copies_into_the_present_are_whole() {
	old_tree
	cp --reflink=auto "$AT/$F/large" "$DIR/copy"
	cmp "$T/then/large" "$DIR/copy"
	python3 - "$AT/$F/large" "$DIR/range" <<-'END'
		import os, sys
		a = os.open(sys.argv[1], os.O_RDONLY)
		b = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
		left = os.fstat(a).st_size
		while left:
		    left -= os.copy_file_range(a, b, left)
	END
	cmp "$T/then/large" "$DIR/range"
	umount_db
}

editors_can_look_at_it() {
	command -v vimdiff >/dev/null || { echo "no vimdiff"; return 0; }
	old_tree
	timeout 20 vimdiff -es -u NONE -c 'windo set noreadonly' -c qa "$AT/$F/f" "$DIR/f" </dev/null ||
		fail "vimdiff ended with $?"
	umount_db
}

it_can_be_read_in_a_read_only_mount() {
	old_tree
	umount_db
	mount_db ro
	compare "$T/then" "$AT/$F"
	says "Read-only file system" mkdir "$DIR/.banyan/snapshots/x"
	says "Read-only file system" rmdir "$DIR/.banyan"
	says "Read-only file system" touch "$AT/$F/f"
	same read-only "$(fact vacuum)"
	umount_db
}

many_trees_can_be_open() {
	new_db
	local i
	for i in $(seq 60); do
		"$BANYAN" put "$DB" n "$i"
		"$BANYAN" freeze "$DB"
	done
	mount_db
	F=$(newest)
	# each is held open by a process, more than there are views at a time
	python3 - "$AT" "$F" <<-'END'
		import os, sys
		at, last = sys.argv[1], int(sys.argv[2])
		names = [n for n in sorted(map(int, os.listdir(at))) if os.path.exists(f"{at}/{n}/n")]
		assert len(names) >= 60
		fds = [os.open(f"{at}/{n}", os.O_RDONLY) for n in names]
		for _ in range(2):
		    found = []
		    for fd in fds:
		        f = os.open("n", os.O_RDONLY, dir_fd=fd)
		        found.append(os.pread(f, 100, 0))
		        os.close(f)
		    assert len(set(found)) >= 60, found
		    with open("/proc/sys/vm/drop_caches", "w") as f:
		        f.write("3")
	END
	[ "$(fact open_views)" -le 36 ] || fail "$(fact open_views) views"
	umount_db
	is_sound
}

what_the_kernel_forgets_is_closed() {
	old_tree
	# Open, as another suite may drop the kernel's caches meanwhile
	exec 8<"$AT/$F/f" 9<"$AT/$(now)/f"
	cat <&8 >/dev/null
	cat <&9 >/dev/null
	[ "$(fact open_views)" = 2 ] || fail "$(fact open_views) views"
	exec 8<&- 9<&-
	drop_caches || { echo "not root"; return 0; }
	same 0 "$(fact open_views)"
	umount_db
}

is_sound() { "$BANYAN" check "$DB" >"$T/check" 2>&1 || fail "$(cat "$T/check")"; }

# ---- snapshots -----------------------------------------------------------------------

mkdir_takes_one_and_rmdir_drops_it() {
	new_db
	mount_db
	make_tree
	local s=$DIR/.banyan/snapshots
	same "" "$(ls "$s")"
	rm -rf "$T/then"
	cp -a "$DIR/." "$T/then"
	mkdir "$s/x"
	same x "$(ls "$s")"
	"$BANYAN" snapshots "$DB" | grep -qw x
	rm -rf "$DIR/d" "$DIR/many"
	echo two >"$DIR/f"
	compare "$T/then" "$s/x"
	says "File exists" mkdir "$s/x"
	# the command goes through the mount
	"$BANYAN" snapshot "$DB" y
	same two "$(cat "$s/y/f")"
	same "x y" "$(ls "$s" | xargs)"
	"$BANYAN" snapshot "$DIR" z
	same "x y z" "$(ls "$s" | xargs)"
	rmdir "$s/x"
	same "y z" "$(ls "$s" | xargs)"
	says "No such file" ls "$s/x"
	says "No such file" rmdir "$s/x"
	mkdir "$s/x"
	same two "$(cat "$s/x/f")"
	refuses test -e "$s/x/d"
	umount_db
	is_sound
}

mv_renames_one() {
	new_db
	mount_db
	echo one >"$DIR/f"
	local s=$DIR/.banyan/snapshots
	mkdir "$s/a"
	echo two >"$DIR/f"
	mkdir "$s/b"
	cd "$s/a"
	mv "$s/a" "$s/c"
	same one "$(cat "$s/c/f")"
	same one "$(cat f)"
	same "$s/c" "$(pwd -P)"
	says "No such file" ls "$s/a"
	says "File exists" mv -T "$s/c" "$s/b"
	says "Read-only" mv "$s/c" "$s/b"
	says "Read-only" mv "$s/c" "$DIR/x"
	says "Read-only" mv "$s/c" "$DIR/.banyan/at/"
	says "Read-only" mv "$DIR/f" "$s/"
	says "not permitted" touch "$s/x"
	same "b c" "$(ls "$s" | xargs)"
	mv "$s/b" "$s/a"
	same two "$(cat "$s/a/f")"
	"$BANYAN" snapshot --rename=d "$DB" c
	same "a d" "$(ls "$s" | xargs)"
	"$BANYAN" snapshot --drop "$DB" d
	same a "$(ls "$s")"
	cd /
	umount_db
	is_sound
}

a_dropped_one_stays_for_who_is_in_it() {
	new_db
	mount_db
	echo one >"$DIR/f"
	local s=$DIR/.banyan/snapshots
	mkdir "$s/a"
	exec 5<"$s/a/f"
	rmdir "$s/a"
	echo two >"$DIR/f"
	mkdir "$s/a"
	drop_caches || true
	same one "$(cat <&5)"
	exec 5<&-
	same two "$(cat "$s/a/f")"
	umount_db
}

a_snapshot_outlives_vacuums() {
	new_db
	mount_db
	make_tree
	local s=$DIR/.banyan/snapshots
	rm -rf "$T/then"
	cp -a "$DIR/." "$T/then"
	mkdir "$s/x"
	rm -rf "${DIR:?}"/*
	cd "$s/x/d"
	exec 5<"$s/x/large"
	for _ in 1 2; do
		"$BANYAN" vacuum "$DB" >/dev/null
		drop_caches || true
		cmp "$T/then/large" - <&5
		same g "$(cat g)"
		exec 5<"$s/x/large"
		compare "$T/then" "$s/x"
	done
	exec 5<&-
	cd /
	# everything is back
	cp -a "$s/x/." "$DIR"
	compare "$T/then" "$DIR"
	umount_db
	is_sound
}

many_snapshots_are_listed() {
	new_db
	mount_db
	local s=$DIR/.banyan/snapshots i
	for i in $(seq 300); do
		echo "$i" >"$DIR/f"
		mkdir "$s/$i"
	done
	same 300 "$(ls -l "$s" | grep -c ^d)"
	for i in $(seq 1 7 300); do
		same "$i" "$(cat "$s/$i/f")"
	done
	ls "$s" | while read -r i; do rmdir "$s/$i"; done
	same "" "$(ls "$s")"
	umount_db
	is_sound
}

rm_does_not_drop_what_has_files() {
	new_db
	mount_db
	echo one >"$DIR/f"
	mkdir "$DIR/.banyan/snapshots/x"
	rm -rf "$DIR/.banyan" 2>/dev/null || true
	rm -rf "${DIR:?}"/* "$DIR/.banyan/snapshots/x" 2>/dev/null || true
	same one "$(cat "$DIR/.banyan/snapshots/x/f")"
	umount_db
}

# ---- vacuum --------------------------------------------------------------------------

a_vacuum_ends_it_and_lets_the_old_file_go() {
	new_db
	unmount_below "$T"
	mkdir -p "$T/small"
	mount -t tmpfs -o size=64M tmpfs "$T/small"
	DB=$T/small/db.banyan
	"$BANYAN" create "$DB"
	mount_db
	head -c 12000000 /dev/urandom >"$DIR/large"
	freeze
	F=$(newest)
	head -c 1000 /dev/urandom >"$DIR/large"
	now >"$T/time"
	sleep 0.05
	cd "$AT/$F"
	exec 5<"$AT/$(cat "$T/time")/large"
	head -c 100 large >/dev/null
	[ "$(du -k "$DB" | cut -f1)" -gt 10000 ] || fail "$(du -k "$DB")"
	"$BANYAN" vacuum "$DB" >/dev/null
	# neither cwd nor descriptor keep it
	[ "$(df -k --output=used "$T/small" | tail -n 1)" -lt 6000 ] ||
		fail "$(df -k "$T/small")"
	drop_caches || true
	says "Stale" cat large
	says "Stale" ls
	cat <&5 >/dev/null 2>"$T/said" && fail "the descriptor reads on"
	grep -q Stale "$T/said" || fail "$(cat "$T/said")"
	exec 5<&-
	says "No such file" ls "$AT/$F"
	says "No such file" cat "$AT/$(cat "$T/time")/large"
	ls "$AT" | refuses grep -qx "$F"
	cd /
	same 1000 "$(stat -c %s "$DIR/large")"
	same 1000 "$(stat -c %s "$AT/$(newest)/large")"
	umount_db
	is_sound
	umount "$T/small"
	DB=$T/test.banyan
}

a_punch_ends_the_past_but_for_snapshots() {
	new_db
	mount_db
	head -c 8000000 /dev/urandom >"$DIR/large"
	mkdir "$DIR/.banyan/snapshots/x"
	cp "$DIR/large" "$T/large"
	F=$(newest)
	now >"$T/time"
	head -c 30000000 /dev/urandom >"$DIR/large"
	sleep 0.05
	exec 5<"$AT/$(now)/large" 6<"$DIR/.banyan/snapshots/x/large"
	# the last one says ESTALE if the punch comes in between
	(while :; do cat "$DIR/.banyan/snapshots/x/large" "$AT/$(now)/large" || true; done) >/dev/null 2>&1 &
	local reader=$!
	head -c 1000 /dev/urandom >"$DIR/large"
	sleep 0.2
	"$BANYAN" vacuum --punch "$DB" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
	kill $reader
	wait $reader 2>/dev/null || true
	[ "$(du -k "$DB" | cut -f1)" -lt 26000 ] || fail "$(du -k "$DB")"
	drop_caches || true
	cmp "$T/large" - <&6
	cmp "$T/large" "$DIR/.banyan/snapshots/x/large"
	cat <&5 >/dev/null 2>"$T/said" && fail "the descriptor reads on"
	grep -q Stale "$T/said" || fail "$(cat "$T/said")"
	exec 5<&- 6<&-
	says "No such file" cat "$AT/$(cat "$T/time")/large"
	same 1000 "$(stat -c %s "$DIR/large")"
	umount_db
	is_sound
}

# ---- status ---------------------------------------------------------------------------

status_is_read_whole_by_everything() {
	old_tree
	local s=$DIR/.banyan/status
	cat "$s" >"$T/status"
	grep -q '^live  *3[0-9]* bytes$' "$T/status" || fail "$(cat "$T/status")"
	same "$(wc -l <"$T/status")" "$(cp "$s" "$T/copy" && wc -l <"$T/copy")"
	same "$(wc -l <"$T/status")" "$(tar -C "$DIR/.banyan" -cf - status 2>/dev/null | tar -xOf - | wc -l)"
	rsync "$s" "$T/synced"
	same "$(wc -l <"$T/status")" "$(wc -l <"$T/synced")"
	for how in cat "head -c 100000" "dd status=none bs=7 if=/dev/stdin"; do
		$how <"$STATUS" | python3 -m json.tool >/dev/null
	done
	# of this moment each time
	local before after
	before=$(fact requests)
	stat "$DIR/$RANDOM" 2>/dev/null || true
	after=$(fact requests)
	[ "$after" -gt "$before" ] || fail "$before requests, then $after"
	umount_db
}

status_tells_of_vacuums() {
	old_tree
	same idle "$(fact vacuum)"
	refuses fact fstrim 2>/dev/null
	head -c 3000000 /dev/urandom >"$DIR/large"
	"$BANYAN" vacuum "$DB" >/dev/null
	same done "$(fact vacuum)"
	[ "$(fact vacuum_bytes_before)" -gt "$(fact vacuum_bytes_after)" ]
	same "$(fact file_bytes)" "$(stat -c %s "$DB")"
	fstrim "$DIR"
	same nothing-reclaimable "$(fact fstrim)"
	same 2 "$(fact generation)"
	same "$(newest)" "$(fact last_freeze)"
	[[ $(fact transport) == /dev/fuse || $(fact transport) == io_uring ]]
	umount_db
}

# ---- the daemon dies ---------------------------------------------------------------------

killed_while_it_is_in_use() {
	old_tree
	local reader
	(while cat "$AT/$F/large" "$AT/$(now)/f"; do :; done) >/dev/null 2>&1 &
	reader=$!
	exec 5<"$AT/$F/large"
	sleep 0.3
	end_daemon
	wait $reader || true
	exec 5<&-
	umount -l "$DIR"
	is_sound
	mount_db
	compare "$T/then" "$AT/$F"
	umount_db
}

for test in \
	it_is_there_and_not_listed \
	it_cannot_be_made_removed_or_renamed \
	others_cannot_enter_it \
	a_freeze_is_the_tree_as_of_then \
	nothing_there_can_be_changed \
	a_time_is_the_state_of_that_moment \
	an_operation_more_or_less \
	a_time_is_the_same_when_it_is_opened_again \
	what_never_was_is_not_there \
	freezes_are_listed \
	inode_numbers_are_never_those_of_now \
	the_same_in_two_trees_has_one_number \
	listings_and_stat_have_the_same_numbers \
	the_past_is_copied_back \
	programs_can_use_it_while_writers_run \
	copies_into_the_present_are_whole \
	editors_can_look_at_it \
	it_can_be_read_in_a_read_only_mount \
	many_trees_can_be_open \
	what_the_kernel_forgets_is_closed \
	mkdir_takes_one_and_rmdir_drops_it \
	mv_renames_one \
	a_dropped_one_stays_for_who_is_in_it \
	a_snapshot_outlives_vacuums \
	many_snapshots_are_listed \
	rm_does_not_drop_what_has_files \
	a_vacuum_ends_it_and_lets_the_old_file_go \
	a_punch_ends_the_past_but_for_snapshots \
	status_is_read_whole_by_everything \
	status_tells_of_vacuums \
	killed_while_it_is_in_use; do
	if [ $# = 0 ] || [[ " $* " == *" $test "* ]]; then try "$test"; fi
done
finish
