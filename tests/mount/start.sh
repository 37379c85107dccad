#!/bin/bash
# SPDX-License-Identifier: MIT
# How the daemon starts and ends: options, messages, exit statuses, refusals.
. "$(dirname "$0")/lib.sh"
need_fuse

# says STATUS TEXT COMMAND...: one line with TEXT, and that exit status
says() {
	local status=$1 text=$2 found=0
	shift 2
	"$@" >"$T/said" 2>&1 || found=$?
	[ $found = "$status" ] || fail "$*: ended with $found, not $status: $(cat "$T/said")"
	[ "$(wc -l <"$T/said")" = 1 ] || fail "$*: not one line: $(cat "$T/said")"
	grep -qF -- "$text" "$T/said" || fail "$*: says $(cat "$T/said")"
	! is_mounted "$DIR" || fail "$*: mounted"
}

new_db() { rm -f "$DB"; "$BANYAN" create "$DB"; }

it_starts_in_the_background_and_serves_at_once() {
	new_db
	"$BANYANFS" "$DB" "$DIR"
	echo hi >"$DIR/a"
	same hi "$(cat "$DIR/a")"
	grep -F " $DIR " /proc/self/mountinfo | grep -qF " fuse.banyanfs $(realpath "$DB") "
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'nosuid,nodev,noatime'
	umount "$DIR"
	wait_closed
	same hi "$("$BANYAN" get "$DB" a)"
}

it_starts_with_closed_streams_too() {
	new_db
	timeout 20 "$BANYANFS" "$DB" "$DIR" <&- >&- 2>&- || fail "ended with $?"
	echo hi >"$DIR/a"
	umount "$DIR"
	wait_closed
	same hi "$("$BANYAN" get "$DB" a)"
}

# A lock that the caller has goes with the caller, and a pipe of his ends
it_keeps_no_files_of_its_caller() {
	new_db
	(
		exec 9>"$T/lock"
		flock 9
		"$BANYAN" mount "$DB" "$DIR"
	)
	flock -n "$T/lock" true || fail "the lock is held"
	"$BANYAN" umount "$DIR"
	("$BANYAN" mount "$DB" "$DIR" 5>&1) | timeout 20 cat || fail "the pipe is open"
	"$BANYAN" umount "$DIR"
	# in the foreground, too; a file may be named by its number all the same
	exec 8<>"$DB" 9>"$T/lock"
	flock 9
	"$BANYANFS" /dev/fd/8 "$DIR" -f &
	local pid=$!
	exec 8>&- 9>&-
	await is_mounted "$DIR"
	flock -n "$T/lock" true || fail "the lock is held in the foreground"
	umount "$DIR"
	wait $pid
}

# A thread that waits for an answer of its own process cannot be killed
it_asks_nothing_of_its_own_mount() {
	new_db
	"$BANYANFS" "$DB" "$DIR" -d 2>"$T/requests" &
	local pid=$!
	await is_mounted "$DIR"
	sleep 0.3
	same INIT "$(grep -ao 'opcode: [A-Z]*' "$T/requests" | cut -d ' ' -f 2 | xargs)"
	umount "$DIR"
	wait $pid
}

# With a limit on the size of files, a write beyond it fails and the daemon lives
a_limit_of_the_file_size_is_an_error() {
	new_db
	(ulimit -f 20000; "$BANYANFS" "$DB" "$DIR")
	echo data >"$DIR/a"
	head -c 30000000 /dev/urandom >"$T/large"
	refuses cp "$T/large" "$DIR/large" 2>"$T/said"
	grep -q "File too large" "$T/said" || fail "$(cat "$T/said")"
	same data "$(cat "$DIR/a")"
	umount "$DIR"
	wait_closed
	same data "$("$BANYAN" get "$DB" a)"
	"$BANYAN" check "$DB"
}

# A limit that is too small is told before anything is mounted. With one that is not, the
# daemon has fewer threads, a smaller cache, and memory for all that is asked of it.
a_limit_of_memory_is_kept_or_refused() {
	new_db
	local limit
	for limit in v d; do
		(ulimit -$limit 40000 && exec "$BANYANFS" "$DB" "$DIR" 2>"$T/said") && fail "mounted"
		same 1 "$(wc -l <"$T/said")"
		grep -q "too little memory: .* KiB are needed with cache=1024K" "$T/said" || fail "$(cat "$T/said")"
		! is_mounted "$DIR" || fail "mounted"
		(ulimit -$limit 100000 && exec "$BANYANFS" "$DB" "$DIR" -o cache=100M 2>"$T/said") && fail "mounted"
		grep -q "with cache=102400K" "$T/said" || fail "$(cat "$T/said")"
	done
	(ulimit -v 80000 && exec "$BANYANFS" "$DB" "$DIR")
	four_copies_fit /usr/include/linux
	umount "$DIR"
	wait_closed
	# a small stack, too; the kernel itself needs some for the arguments
	(ulimit -s 128 && exec "$BANYANFS" "$DB" "$DIR")
	touch "$DIR/a"
	umount "$DIR"
	wait_closed
}

help_and_version_go_to_standard_output() {
	"$BANYANFS" --help 2>&1 >/dev/null | diff /dev/null -
	"$BANYANFS" --help | grep -q 'commit=N'
	"$BANYANFS" --version | grep -q '^banyanfs [0-9]'
}

misuse_is_said_in_one_line() {
	new_db
	says 2 "give FILE and DIR" "$BANYANFS"
	says 2 "give FILE and DIR" "$BANYANFS" "$DB"
	says 2 "one argument too many" "$BANYANFS" "$DB" "$DIR" more
	says 2 "nonsense" "$BANYANFS" "$DB" "$DIR" -o nonsense
	says 2 "writeback" "$BANYANFS" "$DB" "$DIR" -o writeback
	says 2 "cache=12Q" "$BANYANFS" "$DB" "$DIR" -o cache=12Q
	says 2 "threads=0" "$BANYANFS" "$DB" "$DIR" -o threads=0
	says 2 "commit=" "$BANYANFS" "$DB" "$DIR" -o commit=
	says 2 "uid=root" "$BANYANFS" "$DB" "$DIR" -o uid=root
	says 2 "--what" "$BANYANFS" "$DB" "$DIR" --what
}

bad_files_are_refused_in_one_line() {
	echo "not a database" >"$T/text"
	: >"$T/nothing"
	says 1 "$T/none: no such file" "$BANYANFS" "$T/none" "$DIR"
	says 1 "$T/text: not a Banyan database" "$BANYANFS" "$T/text" "$DIR"
	says 1 "$T/nothing: not a Banyan database" "$BANYANFS" "$T/nothing" "$DIR"
	says 1 "$T: not a regular file" "$BANYANFS" "$T" "$DIR"
	says 1 "no such directory" "$BANYANFS" "$T/none/x" "$DIR" -o create
	same "not a database" "$(cat "$T/text")"
	same 0 "$(stat -c %s "$T/nothing")"
}

bad_mountpoints_are_refused_in_one_line() {
	new_db
	says 1 "$T/none: no such directory" "$BANYANFS" "$DB" "$T/none"
	says 1 "$DB: not a directory" "$BANYANFS" "$DB" "$DB"
	says 1 "would hide itself" "$BANYANFS" "$DB" "$T"
	says 1 "would hide itself" "$BANYANFS" "$DB" /
}

a_second_mount_is_refused_and_says_where_the_first_is() {
	new_db
	mkdir -p "$T/dir2"
	"$BANYANFS" "$DB" "$DIR"
	refused() {
		"$BANYANFS" "$DB" "$T/dir2" 2>"$T/said" && fail "mounted twice"
		grep -qF "already mounted on $DIR;" "$T/said" || fail "$(cat "$T/said")"
		same 1 "$(wc -l <"$T/said")"
	}
	refused
	# a read-only one beside it is not the one to be named
	mkdir -p "$T/full"
	"$BANYANFS" "$DB" "$T/full" -o ro
	refused
	umount "$T/full"
	rmdir "$T/full"
	umount "$DIR"
	wait_closed
}

# What hangs elsewhere is not asked whether it is the mount that is looked for
a_daemon_that_hangs_holds_up_no_other() {
	mkdir -p "$T/dir2" "$T/full"
	"$BANYANFS" "$T/other.banyan" "$T/full" -o create -f &
	daemon=$!
	await is_mounted "$T/full"
	local worker
	worker=$(worker_of "$daemon")
	stop_process "$worker"
	new_db
	timeout 20 "$BANYANFS" "$DB" "$DIR" || fail "ended with $?"
	local status=0
	timeout 20 "$BANYANFS" "$DB" "$T/dir2" 2>"$T/said" || status=$?
	same 1 $status
	grep -qF "already mounted on $DIR;" "$T/said" || fail "$(cat "$T/said")"
	umount "$DIR"
	wait_closed
	kill -CONT "$worker"
	umount "$T/full"
	rmdir "$T/full"
	wait "$daemon"
	daemon=
}

# An unmount returns before the daemon has closed the file
a_daemon_that_still_closes_is_waited_for() {
	new_db
	mount_db
	local worker
	worker=$(worker_of "$daemon")
	# With a request that it has taken and not answered it stays in use
	for _ in $(seq 50); do
		stop_process "$worker"
		refuses "$BANYAN" umount --timeout=0 "$DIR" 2>/dev/null
		is_mounted "$DIR" || break
		kill -CONT "$worker"
		sleep 0.2
	done
	! is_mounted "$DIR" || fail "still mounted"
	# an interrupt ends the wait, and nothing is mounted later
	local status=0 pid waits="banyanfs: $DB: waiting for process $worker to close it"
	: >"$T/said" # of an earlier test
	timeout 20 "$BANYANFS" "$DB" "$DIR" 2>>"$T/said" &
	pid=$!
	await test -s "$T/said"
	kill -INT $pid
	wait $pid || status=$?
	same 130 $status
	same "$waits" "$(cat "$T/said")"
	# what takes no second is not told, but closing may take one
	(sleep 0.5; kill -CONT "$worker") &
	"$BANYAN" mount "$DB" "$DIR" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
	same "" "$(grep -vxF "$waits" "$T/said")"
	wait "$daemon"
	daemon=
	touch "$DIR/a"
	same 1 "$(grep -cF " $DIR " /proc/self/mountinfo)"
	"$BANYAN" umount "$DIR"
	# so is what was killed: it has the file until it is gone
	"$BANYANFS" "$DB" "$DIR" -f &
	daemon=$!
	await is_mounted "$DIR"
	touch "$DIR/b"
	kill_daemon "$daemon"
	"$BANYAN" mount "$DB" "$DIR" 2>"$T/said" || fail "$(cat "$T/said")"
	grep -q "detached the mount of a daemon that died" "$T/said" || fail "$(cat "$T/said")"
	touch "$DIR/b"
	"$BANYAN" umount "$DIR"
}

a_file_that_is_moved_while_mounted_is_found() {
	new_db
	mkdir -p "$T/dir2"
	"$BANYANFS" "$DB" "$DIR"
	same "$DB" "$(getfattr --only-values -n system.banyan.file "$DIR")"
	mv "$DB" "$T/moved.banyan"
	same "$T/moved.banyan" "$(getfattr --only-values -n system.banyan.file "$DIR")"
	touch "$DIR/a"
	refuses getfattr -n system.banyan.file "$DIR/a" 2>/dev/null
	same "" "$(getfattr -m - "$DIR")"
	refuses timeout 20 "$BANYANFS" "$T/moved.banyan" "$T/dir2" 2>"$T/said"
	grep -qF "already mounted on $DIR;" "$T/said" || fail "$(cat "$T/said")"
	umount "$DIR"
	mv "$T/moved.banyan" "$DB"
	wait_closed
}

the_options_of_mount_and_fstab_are_accepted() {
	new_db
	"$BANYANFS" "$DB" "$DIR" -o rw,defaults,auto,nofail,_netdev,x-systemd.automount,comment=a,user,exec,relatime,dev,suid,,async
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'nosuid,nodev'
	umount "$DIR"
	wait_closed
	"$BANYANFS" "$DB" "$DIR" -o noexec,noatime
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'nosuid,nodev,noexec,noatime'
	umount "$DIR"
	wait_closed
}

what_is_not_allowed_wins_over_what_is() {
	new_db
	"$BANYANFS" "$DB" "$DIR" -o nosuid,nodev,allow_suid,allow_dev
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'nosuid,nodev'
	umount "$DIR"
	wait_closed
}

# remount OPTIONS: as mount(8) has it done, with what the kernel's list says
remount() {
	"$BANYANFS" "$DB" "$DIR" -o "$1,noatime,remount,user_id=0,group_id=0,default_permissions,allow_other,dev,suid"
}

a_remount_changes_the_flags_of_a_mount() {
	new_db
	refuses "$BANYANFS" "$DB" "$DIR" -o user_id=0 2>"$T/said"
	refuses remount ro 2>"$T/said"
	grep -qF "no database is mounted here" "$T/said" || fail "$(cat "$T/said")"
	"$BANYANFS" "$DB" "$DIR" -o allow_suid
	echo one >"$DIR/a"
	remount ro
	refuses touch "$DIR/b" 2>/dev/null
	same one "$(cat "$DIR/a")"
	# the daemon still has the file
	mkdir -p "$T/dir2"
	refuses timeout 10 "$BANYANFS" "$DB" "$T/dir2" 2>"$T/said"
	grep -qF "already mounted on $DIR;" "$T/said" || fail "$(cat "$T/said")"
	remount rw,noexec
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'rw,nodev,noexec,noatime'
	(
		exec 9>"$DIR/b" # as with any other file system
		refuses remount ro 2>"$T/said"
	)
	grep -q "cannot remount: .* busy" "$T/said" || fail "$(cat "$T/said")"
	remount ro,nosuid
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'ro,nosuid,nodev,noexec,noatime'
	"$BANYAN" umount "$DIR"
	"$BANYAN" freeze --wait=0 "$DB"
	"$BANYANFS" "$DB" "$DIR" -o ro
	refuses remount rw 2>"$T/said"
	grep -qF "it was mounted with -o ro" "$T/said" || fail "$(cat "$T/said")"
	umount "$DIR"
}

# libfuse takes these, and each would be ignored or stop the mount from working
options_that_cannot_be_had_are_refused_in_one_line() {
	new_db
	local option
	for option in max_read=4096 blkdev blksize=4096 auto_unmount allow_root \
		sync dirsync strictatime norelatime mand \
		iversion io_uring clone_fd fd=5 user_id=5 rootmode=40000; do
		says 2 "$option: not supported" timeout 20 "$BANYANFS" "$DB" "$DIR" -o ro,$option
		says 2 "$option: not supported" timeout 20 "$BANYAN" mount "$DB" "$DIR" -o "$option"
	done
	[ -e /sys/fs/selinux ] || for option in context fscontext defcontext rootcontext; do
		says 2 "$option=a: not supported" "$BANYANFS" "$DB" "$DIR" -o $option=a
	done
	says 2 "-n: not supported" "$BANYANFS" "$DB" "$DIR" -n
}

a_mount_can_be_given_another_name() {
	new_db
	says 2 "option fsname=/x: give a name" "$BANYANFS" "$DB" "$DIR" -o fsname=/x
	"$BANYANFS" "$DB" "$DIR" -o "fsname=scratch"
	same scratch "$(df --output=source "$DIR" | tail -n 1)"
	echo misleading >"$T/scratch"
	(
		cd "$T"
		"$BANYAN" put "$DB" key value
		same value "$(cat "$DIR/key")"
		same value "$("$BANYAN" get "$DB" key)"
		same value "$("$BANYAN" get "$DIR" key)"
		mkdir other
		refuses "$BANYANFS" "$DB" "$T/other" 2>"$T/said"
		grep -qF "already mounted on $DIR;" "$T/said" || fail "$(cat "$T/said")"
	)
	"$BANYAN" umount "$DB"
	wait_closed
	"$BANYANFS" "$DB" "$DIR" -o "ro,fsname=scratch"
	same value "$("$BANYAN" get "$DIR" key)"
	"$BANYAN" umount "$DIR"
}

a_mount_can_be_given_another_type() {
	new_db
	says 2 "option subtype=: give a name" "$BANYANFS" "$DB" "$DIR" -o subtype=
	"$BANYANFS" "$DB" "$DIR" -o "subtype=scratch"
	same fuse.scratch "$(df --output=fstype "$DIR" | tail -n 1)"
	same fuse.scratch "$(findmnt -n -o FSTYPE "$DIR")"
	"$BANYAN" put "$DB" key value
	same value "$(cat "$DIR/key")"
	mkdir -p "$T/other"
	refuses timeout 20 "$BANYANFS" "$DB" "$T/other" 2>"$T/said"
	grep -qF "already mounted on $DIR;" "$T/said" || fail "$(cat "$T/said")"
	"$BANYAN" umount "$DB"
	"$BANYANFS" "$DB" "$DIR" -o "subtype=a,ro,fsname=b"
	same "fuse.a b" "$(findmnt -n -o FSTYPE,SOURCE "$DIR" | tr -s " ")"
	same value "$("$BANYAN" get "$DIR" key)"
	"$BANYAN" umount "$DIR"
}

read_only_mounts_refuse_changes() {
	new_db
	"$BANYAN" put "$DB" a value
	"$BANYANFS" "$DB" "$DIR" -o ro
	same value "$(cat "$DIR/a")"
	refuses touch "$DIR/b"
	refuses rm -f "$DIR/a"
	sync -d "$DIR" || true
	umount "$DIR"
	wait_closed
}

# Elsewhere the kernel may have data where the database has a hole
read_only_mounts_tell_of_holes() {
	new_db
	"$BANYANFS" "$DB" "$DIR"
	truncate -s 1G "$DIR/sparse"
	echo data | dd of="$DIR/sparse" bs=1M seek=500 conv=notrunc status=none
	"$BANYAN" umount "$DIR"
	"$BANYANFS" "$DB" "$DIR" -o ro
	python3 -B - "$DIR/sparse" <<-'END'
		import os, sys
		f = os.open(sys.argv[1], os.O_RDONLY)
		at = os.lseek(f, 0, os.SEEK_DATA)
		assert 499 << 20 <= at <= 500 << 20, at
		at = os.lseek(f, 500 << 20, os.SEEK_HOLE)
		assert (500 << 20) + 5 <= at <= 501 << 20, at
		try:
		    sys.exit(os.lseek(f, 502 << 20, os.SEEK_DATA))
		except OSError as e:
		    assert e.errno == 6, e
	END
	umount "$DIR"
	wait_closed
}

one_owner_can_be_shown() {
	new_db
	"$BANYAN" put "$DB" a value
	"$BANYANFS" "$DB" "$DIR" -o uid=123,gid=456
	same "123 456" "$(stat -c '%u %g' "$DIR/a")"
	touch "$DIR/b"
	same "123 456" "$(stat -c '%u %g' "$DIR/b")"
	refuses chown 5 "$DIR/b"
	chown 123:456 "$DIR/b"
	umount "$DIR"
	wait_closed
}

an_odd_name_of_the_file_is_no_matter() {
	local odd="$T/a b,c\\d.banyan"
	"$BANYAN" create "$odd"
	"$BANYANFS" "$odd" "$DIR"
	same "$odd" "$(findmnt -n -o SOURCE "$DIR")"
	touch "$DIR/x"
	umount "$DIR"
	"$BANYAN" freeze "$odd" 2>/dev/null || { sleep 0.2; "$BANYAN" freeze "$odd"; }
}

a_mountpoint_that_is_not_empty_comes_back() {
	new_db
	mkdir "$T/full"
	touch "$T/full/below"
	"$BANYANFS" "$DB" "$T/full"
	same "" "$(ls -A "$T/full")"
	umount "$T/full"
	same below "$(ls -A "$T/full")"
	wait_closed
}

# Those that end a daemon of their own
a_signal_makes_durable_and_unmounts() {
	new_db
	mount_db
	echo data >"$DIR/a"
	exec 7<"$DIR/a"
	kill -"$1" "$daemon"
	wait "$daemon" || fail "ended with $?"
	daemon=
	exec 7<&-
	! is_mounted "$DIR" || fail "still mounted"
	same data "$("$BANYAN" get "$DB" a)"
}

a_dead_mount_is_detached_first() {
	new_db
	mount_db
	echo data >"$DIR/a"
	end_daemon
	refuses stat "$DIR"
	"$BANYANFS" "$DB" "$DIR" 2>"$T/said"
	grep -q "detached the mount of a daemon that died" "$T/said" || fail "$(cat "$T/said")"
	same data "$(cat "$DIR/a")"
	umount "$DIR"
	wait_closed
}

an_unmount_freezes() {
	new_db
	mount_db
	echo data >"$DIR/a"
	umount_db
	"$BANYAN" check "$DB"
}

# traced COMMAND...: how often the daemon syncs meanwhile
traced() {
	rm -f "$T/trace"
	strace -f -qq -e trace=fdatasync,fsync -o "$T/trace" -p "$(worker_of "$daemon")" &
	local tracer=$!
	sleep 0.5
	"$@"
	kill "$tracer"
	wait "$tracer" || true
	grep -c 'sync(' "$T/trace" || true
}

append() { echo data >>"$DIR/a"; }
append_and_wait() { append; sleep 1.8; }
append_and_sync() { append; sync "$DIR/a"; }

changes_are_committed_by_a_timer() {
	new_db
	mount_db commit=1
	[ "$(traced append_and_wait)" != 0 ] || fail "no sync in time"
	umount_db
}

fsync_is_answered_after_a_sync() {
	new_db
	mount_db commit=0
	same 0 "$(traced append)"
	[ "$(traced append_and_sync)" != 0 ] || fail "no sync"
	umount_db
}

newer_and_damaged_files_are_refused_in_one_line() {
	new_db
	cp "$DB" "$T/cut"
	truncate -s 3000 "$T/cut"
	says 1 "$T/cut: " "$BANYANFS" "$T/cut" "$DIR"
	head -c 100000 /dev/urandom >"$T/noise"
	says 1 "$T/noise: not a Banyan database" "$BANYANFS" "$T/noise" "$DIR"
	cp "$DB" "$T/bad"
	printf 'XXXX' | dd of="$T/bad" bs=1 seek=4100 conv=notrunc status=none
	says 1 "$T/bad: damaged" "$BANYANFS" "$T/bad" "$DIR"
}

files_of_others_are_refused_in_one_line() {
	new_db
	chmod 600 "$DB"
	local user="setpriv --reuid 65534 --regid 65534 --clear-groups"
	says 1 "$DB: permission denied" $user "$BANYANFS" "$DB" "$DIR"
}

# Of a user who has no other processes
a_limit_of_threads_is_said_in_one_line() {
	new_db
	chmod 666 "$DB"
	ulimit -u 2
	says 1 "cannot start: no more threads can be started (ulimit -u or -v)" \
		setpriv --reuid 64321 --clear-groups "$BANYANFS" "$DB" "$DIR" -f
}

# On a file system of 40 MB: writing ends with an error, nothing is lost of what
# had been written, and things can be deleted
a_full_disk_is_an_error_and_no_loss() {
	mkdir -p "$T/small"
	mount -t tmpfs -o size=40M none "$T/small"
	DB=$T/small/db
	mount_db
	local n=0
	while head -c 1000000 /dev/urandom >"$T/piece" &&
		cp "$T/piece" "$DIR/$n" 2>"$T/said" && [ $n -lt 100 ]; do
		sha256sum <"$T/piece" >"$T/sum.$n"
		n=$((n + 1))
	done
	[ $n -gt 5 ] && [ $n -lt 45 ] || fail "$n files fit"
	grep -q "No space left" "$T/said" || fail "$(cat "$T/said")"
	local i
	for i in $(seq 0 $((n - 1))); do
		sha256sum <"$DIR/$i" | diff "$T/sum.$i" - || fail "file $i"
	done
	rm "$DIR/0" "$DIR/1"
	refuses stat "$DIR/0"
	umount_db
	"$BANYAN" check "$DB"
	mount_db
	refuses stat "$DIR/0"
	for i in $(seq 2 $((n - 1))); do
		sha256sum <"$DIR/$i" | diff "$T/sum.$i" - || fail "file $i"
	done
	umount_db
	umount "$T/small"
}

# As other file systems do, by what they would allocate: the holes in the range
space_is_promised_only_if_it_is_there() {
	mkdir -p "$T/small"
	mount -t tmpfs -o size=40M none "$T/small"
	DB=$T/small/db
	mount_db
	dd if=/dev/urandom of="$DIR/data" bs=1M count=10 status=none
	truncate -s 1T "$DIR/sparse"
	local how free
	for how in "" -n -z "-z -n"; do
		: >"$DIR/new"
		refuses fallocate $how -l 1T "$DIR/new" 2>"$T/said"
		grep -q "No space left" "$T/said" || fail "$(cat "$T/said")"
		refuses fallocate $how -l 1T "$DIR/sparse" 2>"$T/said"
		grep -q "No space left" "$T/said" || fail "$(cat "$T/said")"
		free=$(($(stat -f -c '%a * %S' "$DIR")))
		refuses fallocate $how -l $((free + 1)) "$DIR/new" 2>"$T/said"
		fallocate $how -l "$free" "$DIR/new"
		rm "$DIR/new"
	done
	same 0 "$(du -k "$DIR/sparse" | cut -f 1)"
	fallocate -p -l 1T "$DIR/sparse"
	dd if=/dev/urandom of="$DIR/more" bs=1M count=14 status=none
	free=$(($(stat -f -c '%a * %S' "$DIR")))
	[ $free -lt 10000000 ] || fail "$free bytes are free"
	fallocate -l 10M "$DIR/data"
	umount_db
	"$BANYAN" check "$DB"
	umount "$T/small"
}

# In a mount namespace with a device that everybody may use, as another user
private_mount() {
	local user="setpriv --reuid 65534 --regid 65534 --clear-groups"
	# The copies of mounts of other suites would keep their daemons
	umount -a -l -t fuse.banyanfs
	mkdir "$T/user" "$T/user/dir"
	mknod -m 666 "$T/fuse" c 10 229
	mount --bind "$T/fuse" /dev/fuse
	chown -R 65534:65534 "$T/user"
	$user "$BANYANFS" "$T/user/db" "$T/user/dir" -o create,noatime,noexec
	grep -F " $T/user/dir " /proc/self/mountinfo | grep -q 'nosuid,nodev,noexec,noatime'
	$user sh -c "echo mine >$T/user/dir/a; mkfifo $T/user/dir/p"
	same "65534 mine" "$($user stat -c %u "$T/user/dir/a") $($user cat "$T/user/dir/a")"
	refuses cat "$T/user/dir/a" # not even root
	# nobody else may unmount it, and is told who may
	setpriv --reuid 65533 --clear-groups "$BANYAN" umount "$T/user/dir" 2>"$T/said" && fail "unmounted"
	same "banyan: $T/user/dir: cannot be unmounted: not permitted; user nobody has mounted it" "$(cat "$T/said")"
	$user fusermount3 -u "$T/user/dir"
	$user "$BANYAN" umount "$T/user/dir" 2>/dev/null || true
	sleep 0.3
	# and a signal
	$user "$BANYANFS" "$T/user/db" "$T/user/dir" -f &
	local pid=$!
	await is_mounted "$T/user/dir"
	same mine "$($user cat "$T/user/dir/a")"
	kill -TERM $pid
	wait $pid || fail "ended with $?"
	! is_mounted "$T/user/dir" || fail "still mounted"
	umount /dev/fuse
	chmod 600 "$T/fuse"
	mount --bind "$T/fuse" /dev/fuse
	DIR=$T/user/dir says 1 "you may not use FUSE here" $user "$BANYANFS" "$T/user/db" "$T/user/dir"
	umount /dev/fuse
}

a_user_mounts_for_himself_only() {
	export -f private_mount says same fail refuses is_mounted await
	export T BANYANFS BANYAN
	unshare -m --propagation private bash -c 'set -e; private_mount'
}

# A test that failed half way leaves its mount: the next shall not mind
alone() {
	try "$@"
	for dir in "$DIR" "$T/full" "$T/dir2" "$T/small"; do
		while is_mounted "$dir"; do umount -l "$dir" || break; done
	done
}

alone help_and_version_go_to_standard_output
alone misuse_is_said_in_one_line
alone it_starts_in_the_background_and_serves_at_once
alone it_starts_with_closed_streams_too
alone it_keeps_no_files_of_its_caller
alone it_asks_nothing_of_its_own_mount
alone a_limit_of_the_file_size_is_an_error
if can_be_limited; then
	alone a_limit_of_memory_is_kept_or_refused
else
	skip "a limit of memory is kept or refused" "a sanitizer needs more"
fi
alone bad_files_are_refused_in_one_line
alone newer_and_damaged_files_are_refused_in_one_line
alone bad_mountpoints_are_refused_in_one_line
alone a_second_mount_is_refused_and_says_where_the_first_is
alone a_daemon_that_hangs_holds_up_no_other
alone a_daemon_that_still_closes_is_waited_for
alone a_file_that_is_moved_while_mounted_is_found
alone the_options_of_mount_and_fstab_are_accepted
alone what_is_not_allowed_wins_over_what_is
alone options_that_cannot_be_had_are_refused_in_one_line
alone a_mount_can_be_given_another_name
alone a_mount_can_be_given_another_type
alone read_only_mounts_refuse_changes
alone read_only_mounts_tell_of_holes
alone one_owner_can_be_shown
alone an_odd_name_of_the_file_is_no_matter
alone a_mountpoint_that_is_not_empty_comes_back
alone a_signal_makes_durable_and_unmounts TERM
alone a_signal_makes_durable_and_unmounts INT
alone a_signal_makes_durable_and_unmounts HUP
alone a_dead_mount_is_detached_first
alone an_unmount_freezes
if command -v strace >/dev/null; then
	alone changes_are_committed_by_a_timer
	alone fsync_is_answered_after_a_sync
else
	skip "changes are committed by a timer" "there is no strace"
	skip "fsync is answered after a sync" "there is no strace"
fi
if [ "$(id -u)" = 0 ]; then
	alone a_user_mounts_for_himself_only
	alone files_of_others_are_refused_in_one_line
	alone a_limit_of_threads_is_said_in_one_line
	alone a_remount_changes_the_flags_of_a_mount
	alone a_full_disk_is_an_error_and_no_loss
	alone space_is_promised_only_if_it_is_there
else
	skip "a user mounts for himself only" "needs root to make a device"
	skip "files of others are refused in one line" "needs root to be another"
	skip "a limit of threads is said in one line" "needs root to be another"
	skip "a remount changes the flags of a mount" "needs root"
	skip "a full disk is an error and no loss" "needs root to make a small one"
	skip "space is promised only if it is there" "needs root to make a small disk"
fi
finish
