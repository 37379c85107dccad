#!/bin/bash
# SPDX-License-Identifier: MIT
# Vacuum of a mounted database: fstrim, banyan vacuum, and what it leaves alone.
. "$(dirname "$0")/lib.sh"
need_fuse

STATE=system.banyan.vacuum
MIB=1048576

# A test that has failed may have left its mount behind
new_db() {
	unmount_below "$T"
	rm -f "$DB"
	"$BANYAN" create "$DB"
}

# The next database lies on a file system that nobody else writes to
small_disk() {
	unmount_below "$T"
	mkdir -p "$T/small"
	mount -t tmpfs -o size="$1" tmpfs "$T/small"
	DB=$T/small/db.banyan
}

size_of() { stat -c %s "$1"; }
state() { getfattr --only-values -n $STATE "$DIR"; }
order() { setfattr -n $STATE -v "$1" "$DIR"; }
generation() { "$BANYAN" stat "$DB" | sed -n 's/^generation *//p'; }
no_temporary() { same "" "$(find "$T" -maxdepth 1 -name '.*banyan-*')"; }
is_sound() { "$BANYAN" check "$1" >"$T/check" 2>&1 || fail "$(cat "$T/check")"; }

# An old value is dead when a new one of as many MiB has been written over it
fill() {
	local name=$1 mib=$2 times=$3
	for _ in $(seq "$times"); do
		dd if=/dev/urandom of="$DIR/$name" bs=1M count="$mib" iflag=fullblock status=none
	done
}

# await_state PATTERN
await_state() {
	for _ in $(seq 500); do
		# shellcheck disable=SC2053 # a pattern
		[[ $(state) == $1 ]] && return 0
		sleep 0.02
	done
	fail "state: $(state), expected: $1"
}

# trim [MINLEN [USER [START [LEN]]]]: by ioctl, as fstrim(8) is not for users; prints
# the bytes or the error's name
trim() {
	python3 -B - "$DIR" "${1:-0}" "${2:-0}" "${3:-0}" "${4:-$((-1))}" <<-'END'
		import errno, fcntl, os, struct, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		if int(sys.argv[3]):
		    os.setgroups([])
		    os.setgid(int(sys.argv[3]))
		    os.setuid(int(sys.argv[3]))
		try:
		    arg = struct.pack("QQQ", int(sys.argv[4]), int(sys.argv[5]) % 2 ** 64, int(sys.argv[2]))
		    print(struct.unpack("QQQ", fcntl.ioctl(fd, 0xC0185879, arg))[1])
		except OSError as e:
		    print(errno.errorcode[e.errno])
	END
}

# ---- fstrim ------------------------------------------------------------------

fstrim_gives_back_what_is_dead_and_says_how_much() {
	new_db
	mount_db
	fill a 4 5
	local before after said dropped
	before=$(size_of "$DB")
	sha256sum "$DIR/a" >"$T/sum"
	said=$(fstrim -v "$DIR")
	after=$(size_of "$DB")
	[ "$after" -lt $((8 * MIB)) ] || fail "$before, then $after"
	# a vacuum freezes the old file: some more bytes
	[[ $(state) =~ ^"done "([0-9]+)" $after "[1-9][0-9]*" 0"$ ]] || fail "$(state)"
	[ "${BASH_REMATCH[1]}" -ge "$before" ] || fail "$before, $(state)"
	[ "${BASH_REMATCH[1]}" -lt $((before + MIB)) ] || fail "$before, $(state)"
	before=${BASH_REMATCH[1]}
	[[ $said == *"($((before - after)) bytes) trimmed" ]] || fail "$said"
	drop_caches || true
	sha256sum -c --quiet "$T/sum"
	# there is nothing more to do, and nothing is done
	same "$DIR: 0 B (0 bytes) trimmed" "$(fstrim -v "$DIR")"
	[[ $(state) == "done $before $after "* ]] || fail "$(state)"
	dropped=$(sed -n 's/^ *"vacuum_freezes_dropped": \([0-9]*\),$/\1/p' "$DIR/.banyan/status.json")
	same "done $before $after $dropped 0" "$(state)"
	same "$dropped" "$(awk '/^freezes dropped/ { print $3 }' "$DIR/.banyan/status")"
	umount_db
	is_sound "$DB"
	no_temporary
}

a_trim_of_a_range_that_is_none_is_refused() {
	new_db
	mount_db
	fill a 4 2
	same EINVAL "$(trim 0 0 0 0)"
	same EINVAL "$(trim 0 0 0 100)"
	same EINVAL "$(trim 0 0 $((1 << 60)))"
	same EINVAL "$(trim 0 0 $((1 << 60)) $MIB)"
	same idle "$(state)"
	[ "$(trim 0 0 0 $MIB)" -gt $MIB ] || fail "$(state)"
	umount_db
}

a_trim_may_ask_for_a_least_size() {
	new_db
	mount_db
	fill a 4 2
	same 0 "$(trim $((100 * MIB)))"
	same idle "$(state)"
	same 0 "$(fstrim -v -m 100M "$DIR" | sed 's/.*(\(.*\) bytes.*/\1/')"
	[ "$(trim $((2 * MIB)))" -gt $((2 * MIB)) ] || fail "$(state)"
	umount_db
}

fstrim_finds_the_mount_in_fstab() {
	new_db
	"$BANYANFS" "$DB" "$DIR" # in the background, as mount(8) has it
	fill a 4 3
	echo "$DB $DIR fuse.banyanfs defaults 0 0" >"$T/fstab"
	fstrim -v -I "$T/fstab" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
	grep -q "^$DIR: .* trimmed" "$T/said" || fail "$(cat "$T/said")"
	[[ $(state) == "done "* ]] || fail "$(state)"
	"$BANYAN" umount "$DIR"
}

only_its_owner_may_vacuum() {
	new_db
	mount_db
	fill a 4 2
	same EPERM "$(trim 0 65534)"
	setpriv --reuid 65534 --clear-groups \
		getfattr -n $STATE "$DIR" 2>"$T/said" && fail "was told"
	grep -q "not permitted" "$T/said" || fail "$(cat "$T/said")"
	setpriv --reuid 65534 --clear-groups \
		setfattr -n $STATE -v start "$DIR" 2>"$T/said" && fail "was done"
	same idle "$(state)"
	refuses order "start 0" 2>/dev/null
	refuses order "start 12x" 2>/dev/null
	refuses order "start keep=" 2>/dev/null
	refuses order "start keep=1y" 2>/dev/null
	refuses order "start keep=1h 5" 2>/dev/null
	refuses order begin 2>/dev/null
	same "" "$(getfattr -m - "$DIR")"
	refuses setfattr -n $STATE -v start "$DIR/a" 2>/dev/null
	same idle "$(state)"
	umount_db
	mount_db ro
	same EROFS "$(trim)"
	umount_db
}

percentages_are_checked() {
	new_db
	local option
	for option in trim=0 trim=101 trim=few autovacuum=0 autovacuum=101 autovacuum=5%; do
		refuses timeout 20 "$BANYANFS" "$DB" "$DIR" -o $option 2>"$T/said"
		local or=
		[[ $option != trim* ]] || or=", or punch"
		same "banyanfs: option $option: give a percentage from 1 to 100$or" "$(cat "$T/said")"
	done
}

freezes_of() {
	"$BANYAN" freezes "$DB" | sed 1d | awk '{ print $1 }'
}

what_is_young_enough_is_kept() {
	new_db
	local option freeze
	for option in keep= keep=1y keep=-1s keep=week; do
		refuses timeout 20 "$BANYANFS" "$DB" "$DIR" -o $option 2>"$T/said"
		same "banyanfs: option $option: give a duration such as 30s, 5m, 2h, 7d or 1w" "$(cat "$T/said")"
	done
	echo one | "$BANYAN" put "$DB" a
	freeze=$(freezes_of | head -n 1)
	echo two | "$BANYAN" put "$DB" a
	# enough to be worth a vacuum
	mount_db keep=1h
	fill b 1 2
	fstrim "$DIR"
	same 2 "$(generation)"
	same one "$("$BANYAN" get --at="$freeze" "$DB" a)"
	"$BANYAN" vacuum "$DIR" >/dev/null
	same one "$("$BANYAN" get --at="$freeze" "$DB" a)"
	"$BANYAN" vacuum --keep=2h --rate=100M "$DIR" >/dev/null
	same one "$("$BANYAN" get --at="$freeze" "$DB" a)"
	order "start keep=0"
	await_state "done *"
	refuses "$BANYAN" get --at="$freeze" "$DB" a 2>/dev/null
	umount_db
	freeze=$(freezes_of | head -n 1)
	"$BANYAN" vacuum --keep 1w "$DB" >/dev/null
	same two "$("$BANYAN" get --at="$freeze" "$DB" a)"
	refuses "$BANYAN" vacuum --keep=soon "$DB" 2>"$T/said"
	same "banyan: vacuum: 'soon' is not a duration such as 30s, 5m, 2h, 7d or 1w" "$(cat "$T/said")"
	"$BANYAN" vacuum "$DB" >/dev/null
	refuses "$BANYAN" get --at="$freeze" "$DB" a 2>/dev/null
	is_sound "$DB"
}

a_signal_ends_the_wait_and_not_the_vacuum() {
	new_db
	mount_db
	fill a 8 2
	order "start 4000000"
	local status=0
	timeout -s INT 0.5 fstrim "$DIR" || status=$?
	same 124 $status
	[[ $(state) == "running "* ]] || fail "$(state)"
	# another joins it, and is told the result
	[ "$(trim)" -gt $((6 * MIB)) ] || fail "$(state)"
	[[ $(state) == "done "* ]] || fail "$(state)"
	same 2 "$(generation)"
	umount_db
}

# The one that runs has begun before the deletion
what_is_deleted_while_one_runs_goes_with_the_next() {
	new_db
	mount_db
	fill a 8 2
	echo "marker-$$-of-what-is-secret" >"$DIR/b"
	order "start 8000000"
	await_state "running [1-9]*"
	rm "$DIR/b"
	refuses order start 2>"$T/said"
	grep -q "busy" "$T/said" || fail "$(cat "$T/said")"
	"$BANYAN" vacuum "$DIR" >"$T/said"
	refuses grep -q "marker-$$-of-what" "$DB"
	same 3 "$(generation)"
	# a punch and a copy are no substitutes for each other
	order "start 8000000"
	await_state "running [1-9]*"
	"$BANYAN" vacuum --punch "$DIR" >"$T/said"
	grep -q "^Its size stays" "$T/said" || fail "$(cat "$T/said")"
	same 5 "$(generation)"
	# Ctrl-C ends the wait, and not what somebody else has begun
	order "start 8000000"
	await_state "running [1-9]*"
	timeout -s INT 0.3 "$BANYAN" vacuum "$DIR" 2>"$T/said" && fail "$(cat "$T/said")"
	grep -q "interrupted; nothing was changed" "$T/said" || fail "$(cat "$T/said")"
	await_state "done *"
	same 6 "$(generation)"
	umount_db
	is_sound "$DB"
}

a_share_that_is_dead_is_vacuumed_by_itself() {
	new_db
	mount_db
	fill a 8 9
	remount_db autovacuum=95
	sleep 7
	same idle "$(state)"
	remount_db autovacuum=50
	await_state "done *"
	[ "$(size_of "$DB")" -lt $((20 * MIB)) ] || fail "$(size_of "$DB")"
	umount_db
	is_sound "$DB"
}

# ---- meanwhile ---------------------------------------------------------------

# What is free by statfs of the mount and not on the disk, in bytes
reclaimable_here() {
	echo $((($(stat -f -c %f "$DIR") - $(stat -f -c %f "$T/small")) * 4096))
}

df_says_what_a_vacuum_would_give_back() {
	local DB
	small_disk 100m
	"$BANYAN" create "$DB"
	mount_db
	fill a 8 4
	local before after disk
	before=$(reclaimable_here)
	same "$(stat -f -c %a "$T/small")" "$(stat -f -c %a "$DIR")"
	disk=$(stat -f -c %f "$T/small")
	fstrim -v "$DIR" >"$T/said"
	# nobody keeps the old file
	disk=$((($(stat -f -c %f "$T/small") - disk) * 4096))
	[ $disk -gt $((16 * MIB)) ] || fail "$disk bytes more are free"
	after=$(sed 's/.*(\(.*\) bytes.*/\1/' "$T/said")
	[ "$after" -gt $((20 * MIB)) ] || fail "$(cat "$T/said")"
	[ $((before - after)) -lt $((2 * MIB)) ] || fail "$before, trimmed $after"
	[ $((after - before)) -lt $((2 * MIB)) ] || fail "$before, trimmed $after"
	[ "$(reclaimable_here)" -lt $MIB ] || fail "then: $(reclaimable_here)"
	umount_db
}

the_mount_goes_on_meanwhile() {
	new_db
	mount_db
	fill a 8 2
	echo gone >"$DIR/unlinked"
	python3 -B - "$DIR" >"$T/found" 2>&1 <<-'END'
		import mmap, os, subprocess, sys, time
		d = sys.argv[1]
		state = lambda: os.getxattr(d, "system.banyan.vacuum").decode()
		gone = os.open(d + "/unlinked", os.O_RDWR)
		os.unlink(d + "/unlinked")
		with open(d + "/mapped", "wb") as f:
		    f.write(b"m" * 65536)
		m = os.open(d + "/mapped", os.O_RDWR)
		mapped = mmap.mmap(m, 65536)
		a = open(d + "/a", "rb").read()
		os.setxattr(d, "system.banyan.vacuum", b"start 6000000")
		n = 0
		while state().startswith("running"):
		    with open(f"{d}/new{n}", "w") as f:
		        f.write(str(n) * 100)
		    os.rename(f"{d}/new{n}", f"{d}/key{n}")
		    os.pwrite(gone, b"%09d" % n, n % 7 * 9)
		    mapped[n % 65536] = n % 256
		    if n % 20 == 0:
		        mapped.flush()
		        os.posix_fadvise(m, 0, 0, os.POSIX_FADV_DONTNEED)
		        assert open(d + "/a", "rb").read() == a
		    n += 1
		assert state().startswith("done"), state()
		assert n > 20, n
		mapped.flush()
		for i in range(n):
		    assert open(f"{d}/key{i}").read() == str(i) * 100, i
		assert os.pread(gone, 9, (n - 1) % 7 * 9) == b"%09d" % (n - 1)
		os.posix_fadvise(m, 0, 0, os.POSIX_FADV_DONTNEED)
		now = os.pread(m, 65536, 0)
		assert all(now[i] == i % 256 for i in range(min(n, 65536)))
		print("ok")
	END
	same ok "$(cat "$T/found")"
	same "$DB" "$(getfattr --only-values -n system.banyan.file "$DIR")"
	umount_db
	is_sound "$DB"
	no_temporary
}

every_copy_of_the_file_is_good_meanwhile() {
	new_db
	mount_db
	fill a 2 1
	(
		n=0
		while [ ! -e "$T/enough" ]; do
			n=$((n + 1))
			echo "$n $n $n" >"$DIR/k$((n % 50))"
			[ $((n % 25)) != 0 ] || head -c $((2 * MIB)) /dev/urandom >"$DIR/a"
			[ $((n % 40)) != 0 ] || fstrim "$DIR" || echo fstrim >>"$T/wrong"
		done
	) &
	local writer=$! i
	mkdir -p "$T/copies"
	for i in $(seq 12); do
		cp "$DB" "$T/copies/cp" || echo cp >>"$T/wrong"
		tar -C "$T" -cf - "${DB##*/}" 2>/dev/null | tar -C "$T/copies" -xf -
		rsync "$DB" "$T/copies/rsync" || echo rsync >>"$T/wrong"
		for copy in cp rsync "${DB##*/}"; do
			"$BANYAN" check "$T/copies/$copy" >"$T/check" 2>&1 ||
				cat "$T/check" >>"$T/wrong"
		done
		rm -f "$T/copies/"*
	done
	touch "$T/enough"
	wait $writer
	[ ! -e "$T/wrong" ] || fail "$(cat "$T/wrong")"
	[ "$(generation)" -gt 3 ] || fail "only $(generation) generations"
	umount_db
	rm -rf "$T/copies" "$T/enough"
	is_sound "$DB"
}

# ---- what becomes of the file ------------------------------------------------

a_file_that_is_moved_meanwhile_stays_as_it_is() {
	new_db
	mount_db
	fill a 8 2
	order "start 8000000"
	await_state "running [1-9]*"
	mv "$DB" "$T/moved.banyan"
	await_state "failed 116 *"
	echo b >"$DIR/b"
	same "$T/moved.banyan" "$(getfattr --only-values -n system.banyan.file "$DIR")"
	mv "$T/moved.banyan" "$DB"
	# back again it can be vacuumed
	fstrim "$DIR"
	same b "$(cat "$DIR/b")"
	umount_db
	is_sound "$DB"
	no_temporary
}

a_moved_file_and_its_mount_find_each_other_after_a_vacuum() {
	new_db
	mount_db
	fill a 4 2
	fstrim "$DIR"
	mv "$DB" "$T/moved.banyan"
	same "$T/moved.banyan" "$(getfattr --only-values -n system.banyan.file "$DIR")"
	"$BANYAN" put "$T/moved.banyan" c through
	same through "$(cat "$DIR/c")"
	mv "$T/moved.banyan" "$DB"
	fill a 4 2
	fstrim "$DIR"
	# the new file is locked, and names the daemon
	setpriv --reuid 0 "$BANYAN" umount "$DIR"
	wait "$daemon"
	daemon=
	is_sound "$DB"
}

an_unmount_ends_a_vacuum_and_keeps_the_old_file() {
	new_db
	mount_db
	fill a 8 3
	sha256sum "$DIR/a" >"$T/sum"
	local inode began
	inode=$(stat -c %i "$DB")
	order "start 300000"
	await_state "running [1-9]*"
	began=$SECONDS
	umount_db
	[ $((SECONDS - began)) -lt 15 ] || fail "took $((SECONDS - began)) s"
	same "$inode" "$(stat -c %i "$DB")"
	no_temporary
	is_sound "$DB"
	mount_db
	sha256sum -c --quiet "$T/sum"
	# likewise a signal to the daemon, while somebody waits for the vacuum
	order "start 300000"
	fstrim "$DIR" 2>"$T/said" &
	local waiter=$!
	await_state "running [1-9]*"
	sleep 0.5 # for fstrim to ask
	began=$SECONDS
	kill "$daemon"
	wait "$daemon"
	daemon=
	[ $((SECONDS - began)) -lt 15 ] || fail "took $((SECONDS - began)) s"
	wait $waiter && fail "fstrim was told that all is well"
	same "$inode" "$(stat -c %i "$DB")"
	no_temporary
	is_sound "$DB"
}

a_killed_daemon_leaves_no_temporary_behind() {
	new_db
	mount_db
	fill a 8 3
	sha256sum "$DIR/a" >"$T/sum"
	order "start 300000"
	await_state "running [1-9]*"
	end_daemon
	umount -l "$DIR"
	[ -n "$(find "$T" -maxdepth 1 -name '.*banyan-*')" ] || fail "was not at work"
	mount_db
	no_temporary
	sha256sum -c --quiet "$T/sum"
	umount_db
	is_sound "$DB"
}

a_full_disk_is_seen_before_anything_is_copied() {
	local DB
	small_disk 38m
	"$BANYAN" create "$DB"
	mount_db
	fill a 16 1
	fill b 8 1
	rm "$DIR/b"
	fstrim "$DIR" 2>"$T/said" && fail "there was room"
	grep -q "No space" "$T/said" || fail "$(cat "$T/said")"
	order "start 300000" # to copy 16 MiB would take a minute
	await_state "failed 28 *"
	"$BANYAN" vacuum "$DIR" 2>"$T/said" && fail "there was room"
	grep -q "db.banyan: no room for the new file: it needs about 1[89].* bytes (18.. MiB), and .* are free; --punch gives space back in place$" "$T/said" ||
		fail "$(cat "$T/said")"
	umount_db
	"$BANYAN" vacuum "$DB" 2>"$T/said" && fail "there was room"
	grep -q "db.banyan: no room for the new file: it needs about" "$T/said" || fail "$(cat "$T/said")"
	refuses "$BANYAN" backup "$DB" "$T/small/copy" 2>"$T/said"
	grep -q "small/copy: no room for the new file: it needs about 1[89].* bytes (18.. MiB), and .* are free; nothing is left of it$" "$T/said" ||
		fail "$(cat "$T/said")"
	[ ! -e "$T/small/copy" ] || fail "a copy is left"
	is_sound "$DB"
	umount "$T/small"
}

# With few live bytes, of which the estimate for statfs knows nothing: it would say
# that there is no room
what_was_between_snapshots_needs_no_room() {
	local DB i
	small_disk 48m
	"$BANYAN" create "$DB"
	mount_db
	for i in 1 2 3 4 5; do
		fill a 1 6
		mkdir "$DIR/.banyan/snapshots/$i"
	done
	fstrim "$DIR" || fail "$(state)"
	[[ $(state) == "done "*" 5" ]] || fail "$(state)"
	[ "$(size_of "$DB")" -lt $((7 * MIB)) ] || fail "$(size_of "$DB")"
	umount_db
	is_sound "$DB"
	umount "$T/small"
}

a_bind_mount_is_refused_before_anything_is_copied() {
	new_db
	: >"$T/bound"
	mount --bind "$DB" "$T/bound" || return 0
	DB=$T/bound mount_db
	fill a 8 1
	order "start 300000" # to copy 8 MiB would take half a minute
	await_state "failed 16 *"
	refuses "$BANYAN" vacuum "$DIR" 2>"$T/said"
	grep -q "it is a mount point (a bind mount) and cannot be replaced" "$T/said" || fail "$(cat "$T/said")"
	umount_db
	umount "$T/bound"
	rm "$T/bound"
	no_temporary
	is_sound "$DB"
}

# ---- in place --------------------------------------------------------------

# Values until the disk is full, half of them deleted again
fill_and_delete_half() {
	local n=0
	while head -c 1000000 /dev/urandom >"$T/piece" &&
		cp "$T/piece" "$DIR/$n" 2>"$T/said" && [ $n -lt 100 ]; do
		n=$((n + 1))
	done
	grep -q "No space left" "$T/said" || fail "$(cat "$T/said")"
	rm -f "$DIR/$n"
	seq 0 2 $((n - 1)) | (cd "$DIR" && xargs rm)
	(cd "$DIR" && sha256sum -- *) >"$T/sums"
}

a_full_disk_is_emptied_in_place() {
	local DB
	small_disk 64M
	mount_db
	fill_and_delete_half
	refuses "$BANYAN" vacuum "$DB" >"$T/said" 2>&1
	grep -q "no room for the new file: .*--punch gives space back in place" "$T/said" ||
		fail "$(cat "$T/said")"
	refuses cp "$T/piece" "$DIR/more" 2>/dev/null
	rm -f "$DIR/more"
	"$BANYAN" vacuum --punch "$DB" >"$T/said" || fail "$(cat "$T/said")"
	grep -q "reclaimed" "$T/said" || fail "$(cat "$T/said")"
	local _
	for _ in 1 2; do
		(cd "$DIR" && sha256sum -c --quiet "$T/sums")
		drop_caches || break
	done
	for _ in $(seq 20); do cp "$T/piece" "$DIR/new$_"; done
	(cd "$DIR" && sha256sum -- *) >"$T/sums"
	umount_db
	is_sound "$DB"
	mount_db
	(cd "$DIR" && sha256sum -c --quiet "$T/sums")
	umount_db
	umount "$T/small"
}

fstrim_punches_if_it_is_told_to() {
	local DB
	small_disk 64M
	mount_db trim=punch
	fill_and_delete_half
	[ "$(trim)" -gt $((20 * MIB)) ] || fail "$(state)"
	(cd "$DIR" && sha256sum -c --quiet "$T/sums")
	same 0 "$(trim)"
	umount_db
	is_sound "$DB"
	umount "$T/small"
}

a_look_ahead_at_a_punch_sees_what_was_just_removed() {
	new_db
	mount_db
	local i told
	# in small pieces: what refers to them is more than one operation removes
	for i in $(seq 7); do head -c 4M /dev/urandom >"$DIR/$i"; done
	rm "$DIR"/*
	told=$("$BANYAN" vacuum --punch --dry-run "$DIR" | sed -n 's/^reclaimable *\([0-9]*\) bytes.*/\1/p')
	[ "${told:-0}" -gt $((28 * MIB)) ] || fail "told ${told:-nothing}"
	umount_db
}

nothing_is_punched_under_a_reader() {
	new_db
	mount_db
	fill a 4 3
	local before
	before=$(du -k "$DB" | cut -f 1)
	mkdir -p "$T/view"
	"$BANYANFS" "$DB" "$T/view" -o ro
	refuses "$BANYAN" vacuum --punch "$DIR" 2>"$T/said"
	grep -qE "being read: in use by process [0-9]+ \(banyanfs\); nothing was punched" "$T/said" ||
		fail "$(cat "$T/said")"
	[ "$(du -k "$DB" | cut -f 1)" -ge "$before" ] || fail "punched"
	umount "$T/view"
	rmdir "$T/view"
	for _ in $(seq 50); do "$BANYAN" vacuum --punch "$DIR" >/dev/null 2>&1 && break; sleep 0.1; done
	[ "$(du -k "$DB" | cut -f 1)" -lt $((before - 7000)) ] || fail "not punched"
	umount_db
	is_sound "$DB"
}

try fstrim_gives_back_what_is_dead_and_says_how_much
try a_trim_of_a_range_that_is_none_is_refused
try a_trim_may_ask_for_a_least_size
try fstrim_finds_the_mount_in_fstab
try only_its_owner_may_vacuum
try percentages_are_checked
try what_is_young_enough_is_kept
try a_signal_ends_the_wait_and_not_the_vacuum
try what_is_deleted_while_one_runs_goes_with_the_next
try a_share_that_is_dead_is_vacuumed_by_itself
try df_says_what_a_vacuum_would_give_back
try the_mount_goes_on_meanwhile
try every_copy_of_the_file_is_good_meanwhile
try a_file_that_is_moved_meanwhile_stays_as_it_is
try a_moved_file_and_its_mount_find_each_other_after_a_vacuum
try an_unmount_ends_a_vacuum_and_keeps_the_old_file
try a_killed_daemon_leaves_no_temporary_behind
try a_full_disk_is_seen_before_anything_is_copied
try what_was_between_snapshots_needs_no_room
try a_bind_mount_is_refused_before_anything_is_copied
try a_full_disk_is_emptied_in_place
try fstrim_punches_if_it_is_told_to
try a_look_ahead_at_a_punch_sees_what_was_just_removed
try nothing_is_punched_under_a_reader
finish
