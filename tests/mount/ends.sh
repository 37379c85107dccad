#!/bin/bash
# SPDX-License-Identifier: MIT
# The ways in which a mount ends while programs write to it, or a program while it waits for
# the mount: no process hangs, and nothing is lost that had returned. Over each transport.
. "$(dirname "$0")/lib.sh"
need_fuse

WRITERS=2

# mount_by TRANSPORT: DB on DIR, in the foreground
mount_by() {
	local status=0
	[ "$1" != uring ] || [ -n "${RINGS-}" ] || offer_rings Y
	"$BANYANFS" "$DB" "$DIR" -f -o "create,transport=$1" 2>"$T/said" &
	daemon=$!
	for _ in $(seq 200); do
		[ -e "$DIR/.banyan/status" ] && break
		kill -0 "$daemon" 2>/dev/null || { status=1; break; }
		sleep 0.02
	done
	offer_as_before
	[ $status = 0 ] || fail "$(cat "$T/said")"
}

# notes N: how many writer N has made
notes() { cat "$T/log$1" 2>/dev/null | wc -l; }

# Each is in a directory of its own, so that it writes nowhere else when the mount has gone
begin_writers() {
	local i
	writers=()
	for i in $(seq $WRITERS); do
		mkdir "$DIR/w$i"
		(cd "$DIR/w$i" && exec python3 -B "$here/writer.py" write . "$T/log$i" "$i") &
		writers+=($!)
	done
	for i in $(seq $WRITERS); do
		for _ in $(seq 200); do
			[ "$(notes "$i")" -gt 20 ] && break
			sleep 0.02
		done
	done
}

begin() {
	unmount_below "$T"
	rm -f "$DB" "$T"/log*
	mount_by "$1"
	begin_writers
}

# ends PID...: they do, within 30 seconds
ends() {
	local pid
	for pid in "$@"; do
		timeout 30 tail -s 0.02 --pid="$pid" -f /dev/null || fail "process $pid goes on"
	done
}

writers_go_on() {
	local i before
	for i in $(seq $WRITERS); do
		before=$(notes "$i")
		for _ in $(seq 200); do
			[ "$(notes "$i")" -gt $((before + 20)) ] && continue 2
			sleep 0.02
		done
		fail "writer $i is stuck"
	done
}

# The writers have ended, the daemon has, with STATUS, and left no mount; what is in the file
# is what they noted
all_has_ended_and_is_there() {
	local status=0 i
	ends "${writers[@]}" "$daemon"
	wait "$daemon" || status=$?
	daemon=
	same "$1" $status
	while is_mounted "$DIR"; do umount "$DIR"; done
	"$BANYAN" check "$DB" >"$T/check" 2>&1 || fail "$(cat "$T/check")"
	mount_by workers
	for i in $(seq $WRITERS); do
		python3 -B "$here/writer.py" check "$DIR/w$i" "$T/log$i" "$i"
	done
	umount_db
}

a_signal_ends_it() {
	begin "$1"
	kill -"$2" "$daemon"
	all_has_ended_and_is_there 0
	! is_mounted "$DIR" || fail "still mounted"
}

# abort DIRECTORY: cut the mount off, as root can
abort() {
	mkdir -p "$T/connections"
	mount -t fusectl fusectl "$T/connections"
	echo 1 >"$T/connections/$(stat -c %d "$1")/abort"
	umount "$T/connections"
}

an_abort_ends_it() {
	begin "$1"
	abort "$DIR"
	all_has_ended_and_is_there 0
}

a_forced_unmount_ends_it() {
	begin "$1"
	umount -f "$DIR" 2>/dev/null || true # it is in use, but then it is cut off
	all_has_ended_and_is_there 0
}

# Those that have files open there go on until they close them
a_lazy_unmount_lets_programs_finish() {
	begin "$1"
	umount -l "$DIR"
	writers_go_on
	kill -0 "$daemon"
	kill "${writers[@]}"
	all_has_ended_and_is_there 0
}

# Killed while it waits for a write or a sync
a_caller_that_is_killed_holds_up_nobody() {
	begin "$1"
	timeout 60 python3 -B - "$DIR/killed" <<-'END'
		import os, random, signal, sys, time
		fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
		for i in range(25):
		    child = os.fork()
		    while not child:
		        os.pwrite(fd, bytes(1 << 20), 0)
		        os.fsync(fd)
		    time.sleep(random.uniform(0.001, 0.03))
		    os.kill(child, signal.SIGKILL)
		    os.waitpid(child, 0)
	END
	echo text >"$DIR/a"
	sync "$DIR/a"
	kill "${writers[@]}"
	ends "${writers[@]}"
	umount "$DIR"
	all_has_ended_and_is_there 0
}

# Several are mounted and written to; one ends by a signal, one by force
others_go_on_when_one_ends() {
	begin "$1"
	local i last=$daemon daemons=()
	for i in 1 2 3; do
		mkdir -p "$T/dir$i"
		DB=$T/db$i DIR=$T/dir$i mount_by "$1"
		daemons+=("$daemon")
		(cd "$T/dir$i" && exec python3 -B "$here/writer.py" write . "$T/others" "$i") &
	done
	kill -TERM "${daemons[0]}"
	abort "$T/dir2"
	kill -9 "${daemons[2]}"
	ends "${daemons[@]}"
	writers_go_on
	kill "${writers[@]}"
	ends "${writers[@]}"
	umount "$DIR"
	daemon=$last
	all_has_ended_and_is_there 0
	unmount_below "$T"
	for i in 1 2 3; do "$BANYAN" check "$T/db$i" >"$T/check" 2>&1 || fail "$(cat "$T/check")"; done
	rm "$T"/db?
}

# Each has the root locked in the kernel until it is answered, and the kernel is told of what
# has come back there
orders_to_undelete_do_not_wait_for_each_other() {
	unmount_below "$T"
	rm -f "$DB"
	mount_by "$1"
	local pids=() i
	for i in $(seq 20); do echo "$i" >"$DIR/f$i"; done
	rm "$DIR"/f*
	refuses stat "$DIR/f1" 2>/dev/null # which the kernel remembers
	for i in $(seq 20); do
		setfattr -n system.banyan.undelete -v "f$i" "$DIR" &
		pids+=($!)
	done
	for i in $(seq 500); do
		[ -n "$(jobs -r | grep setfattr)" ] || break
		sleep 0.02
	done
	[ "$i" -lt 500 ] || { abort "$DIR"; fail "they wait for each other"; }
	for i in "${pids[@]}"; do wait "$i"; done
	for _ in $(seq 500); do
		[ "$(getfattr --only-values -n system.banyan.undelete "$DIR")" = idle ] && break
		sleep 0.02
	done
	for i in $(seq 20); do same "$i" "$(cat "$DIR/f$i")"; done
	umount_db
}

all() {
	try orders_to_undelete_do_not_wait_for_each_other "$1"
	try a_signal_ends_it "$1" TERM
	if [ -n "${BANYAN_LONG-}" ]; then
		try a_signal_ends_it "$1" INT
		try a_forced_unmount_ends_it "$1"
	fi
	try a_lazy_unmount_lets_programs_finish "$1"
	try a_caller_that_is_killed_holds_up_nobody "$1"
	try an_abort_ends_it "$1"
	try others_go_on_when_one_ends "$1"
}

if [ "$(id -u)" != 0 ]; then
	skip "all of ends" "needs root"
	finish
fi
[ -n "${RINGS-}" ] || all workers
if [ -w $OFFER ]; then all uring; else skip "all over io_uring" "no FUSE over io_uring here"; fi
finish
