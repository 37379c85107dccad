#!/bin/bash
# SPDX-License-Identifier: MIT
# System calls one by one, with each kind of cache; and that the kernel's cache,
# the daemon, and the file all say the same afterwards.
. "$(dirname "$0")/lib.sh"
need_fuse

# The calls' own lines count as tests of this script
calls() {
	python3 -B "$here/calls.py" "$DIR" >"$T/calls" 2>&1
	grep -v ' passed, ' "$T/calls" | sed "s/^\(ok\|not ok\) - /&$1: /"
	passed=$((passed + $(grep -c '^ok' "$T/calls")))
	failed=$((failed + $(grep -c '^not ok' "$T/calls")))
	skipped=$((skipped + $(grep -c '^SKIPPED' "$T/calls")))
	grep -q ' passed, ' "$T/calls" || not_ok_said "$1: calls.py ended early" "$T/calls"
}

caches_say_what_the_daemon_says() {
	listing "$DIR" >"$T/cached"
	drop_caches || { echo "not root: nothing to compare"; return 0; }
	listing "$DIR" >"$T/fresh"
	diff "$T/cached" "$T/fresh"
}

# Handles of all that is there: only root may open them
save_handles() {
	[ "$(id -u)" != 0 ] || python3 -B "$here/calls_handles.py" save "$DIR" "$T/handles"
}

file_handles_survive() {
	[ "$(id -u)" != 0 ] || python3 -B "$here/calls_handles.py" check "$DIR" "$T/handles"
}

a_remount_shows_the_same() {
	remount_db "$1"
	listing "$DIR" >"$T/again"
	diff "$T/cached" "$T/again"
}

the_file_is_sound() {
	umount_db
	"$BANYAN" check "$DB"
}

# options; runs everything on a new database
round() {
	rm -f "$DB"
	mount_db "$2" || { not_ok "$1: mounts"; return; }
	calls "$1"
	save_handles
	try caches_say_what_the_daemon_says
	# not in a shell of its own: it changes $daemon
	if a_remount_shows_the_same "$2" >"$T/output" 2>&1; then
		ok "$1: a remount shows the same"
	else
		not_ok_said "$1: a remount shows the same" "$T/output"
	fi
	try file_handles_survive
	if the_file_is_sound >"$T/output" 2>&1; then
		ok "$1: the file is sound"
	else
		not_ok_said "$1: the file is sound" "$T/output"
	fi
}

round plain ""
round "one thread" threads=1,cache=1M
finish
