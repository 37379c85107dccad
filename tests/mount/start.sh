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

# Wait until the file's lock is free: the daemon of an unmounted one has closed
wait_closed() { "$BANYAN" freeze "$DB" 2>/dev/null || { sleep 0.2; "$BANYAN" freeze "$DB"; }; }

it_starts_in_the_background_and_serves_at_once() {
	new_db
	"$BANYANFS" "$DB" "$DIR"
	echo hi >"$DIR/a"
	same hi "$(cat "$DIR/a")"
	grep -F " $DIR " /proc/self/mountinfo | grep -qF " fuse.banyanfs $(realpath "$DB") "
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'nosuid,nodev'
	umount "$DIR"
	wait_closed
	same hi "$("$BANYAN" get "$DB" a)"
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
	"$BANYANFS" "$DB" "$T/dir2" 2>"$T/said" && fail "mounted twice"
	grep -qF "already mounted on $DIR" "$T/said" || fail "$(cat "$T/said")"
	same 1 "$(wc -l <"$T/said")"
	umount "$DIR"
	wait_closed
}

the_options_of_mount_and_fstab_are_accepted() {
	new_db
	"$BANYANFS" "$DB" "$DIR" -o rw,defaults,auto,nofail,_netdev,x-systemd.automount,comment=a,user,exec,relatime,dev,suid
	grep -F " $DIR " /proc/self/mountinfo | grep -q 'nosuid,nodev'
	umount "$DIR"
	wait_closed
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

changes_are_committed_by_a_timer() {
	new_db
	mount_db commit=1
	command -v strace >/dev/null || { echo "no strace"; umount_db; return 0; }
	strace -f -qq -e trace=fdatasync,fsync -o "$T/trace" -p "$daemon" &
	local tracer=$!
	sleep 0.5
	echo data >"$DIR/a"
	sleep 1.8
	kill "$tracer"
	wait "$tracer" || true
	umount_db
	grep -q 'sync(' "$T/trace" || fail "no sync in time"
}

# A test that failed half way leaves its mount: the next shall not mind
alone() {
	try "$@"
	for dir in "$DIR" "$T/full" "$T/dir2"; do
		while is_mounted "$dir"; do umount -l "$dir" || break; done
	done
}

alone help_and_version_go_to_standard_output
alone misuse_is_said_in_one_line
alone it_starts_in_the_background_and_serves_at_once
alone bad_files_are_refused_in_one_line
alone bad_mountpoints_are_refused_in_one_line
alone a_second_mount_is_refused_and_says_where_the_first_is
alone the_options_of_mount_and_fstab_are_accepted
alone read_only_mounts_refuse_changes
alone one_owner_can_be_shown
alone an_odd_name_of_the_file_is_no_matter
alone a_mountpoint_that_is_not_empty_comes_back
alone a_signal_makes_durable_and_unmounts TERM
alone a_signal_makes_durable_and_unmounts INT
alone a_signal_makes_durable_and_unmounts HUP
alone a_dead_mount_is_detached_first
alone an_unmount_freezes
alone changes_are_committed_by_a_timer
finish
