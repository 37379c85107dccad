#!/bin/bash
# SPDX-License-Identifier: MIT
# The mount outlives its daemon: programs do not notice that it dies. BANYAN_SECONDS
# (2): how long they are at work while it is killed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/survive_lib.sh"
need_fuse
need_survival
build_helpers || { not_ok "builds its helpers"; finish; }
PLAY_SECONDS=${BANYAN_SECONDS:-2}

# ---- at random -------------------------------------------------------------------

it_says_so() {
	fresh
	grep -q '^if it dies  *goes on$' "$DIR/.banyan/status" || cat "$DIR/.banyan/status"
	kill_worker ABRT
	same 1 "$(status_of 'died so often')"
	grep -q '^of  *Aborted' "$DIR/.banyan/status"
	grep -q 'the daemon died: Aborted; another one goes on' "$T/stderr"
	umount_db
}

play() {
	timeout 60 "$T/player" "$DIR" 8 "$PLAY_SECONDS" "$SEED" ||
		fail "$(grep -v 'another one goes on' "$T/stderr")"
	echo "# $(status_of 'died so often') deaths: $(deaths_by_point)" >>"$T/figures"
}

programs_notice_nothing_when_it_is_killed() {
	fresh
	kill_for "$PLAY_SECONDS" 10 300 &
	play
	wait $!
	it_ends_as_if_nothing_had_been
}

programs_notice_nothing_when_it_dies_at_any_point() {
	fresh
	die_at all 100000 1000
	play
	die_no_more
	it_ends_as_if_nothing_had_been
}

# ---- each operation once ---------------------------------------------------------

each_operation_is_made_once() {
	local least=20
	# With rings an answer is given before the point at which it is said to be
	[ -z "${RINGS-}" ] || least=5
	fresh
	timeout 100 "$T/once" "$DIR" "$T/killer"
	[ "$(status_of 'answered again')" -gt $least ] || fail "$(status_of 'answered again') were found"
	umount_db
	nothing_is_left_behind
}

# Where a FORGET is read and not dealt with
no_forget_is_lost() {
	fresh
	mkdir "$DIR/many"
	(cd "$DIR/many" && seq 3000 | xargs touch)
	ls -l "$DIR/many" >"$T/listing"
	[ "$(status_of inodes)" -gt 3000 ]
	die_at read 40 200000
	drop_caches
	(cd "$DIR/many" && seq 1 3 3000 | xargs rm)
	die_no_more
	nothing_is_held
	rm -r "$DIR/many"
	nothing_is_held
	umount_db
}

# Nor where it is read by a daemon that makes way for another program
no_forget_is_lost_by_a_restart() {
	fresh
	mkdir "$DIR/many"
	(cd "$DIR/many" && seq 3000 | xargs touch)
	for _ in $(seq 10); do
		ls -l "$DIR/many" >"$T/listing"
		drop_caches &
		"$BANYAN" restart "$DIR"
		wait $!
	done
	nothing_is_held
	umount_db
}

# /dev/fuse has two threads even then, where requests come by rings
with_one_thread_no_forget_is_lost_either() {
	fresh survive,threads=1
	mkdir "$DIR/many"
	(cd "$DIR/many" && seq 1000 | xargs touch)
	die_at read 20 200000
	drop_caches
	(cd "$DIR/many" && seq 1 3 1000 | xargs rm)
	die_no_more
	nothing_is_held
	rm -r "$DIR/many"
	umount_db
}

# Rings would take a larger file in memory
with_a_limit_of_file_sizes_it_goes_on() {
	ulimit -f 100000
	fresh
	echo one >"$DIR/key"
	kill_worker
	echo two >"$DIR/key"
	"$BANYAN" restart "$DIR"
	same two "$(cat "$DIR/key")"
	umount_db
}

# list_on HOW: a listing goes on behind a name that was deleted
list_on() {
	python3 -B - "$DIR/names" "$(worker)" "$1" "'$BANYAN' restart '$DIR'" <<-'END'
		import ctypes, os, signal, sys
		libc = ctypes.CDLL(None, use_errno=True)
		path, worker, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
		os.mkdir(path)
		for i in range(1000):
		    os.mknod(f"{path}/{i}")
		def some(fd, size):
		    buffer = ctypes.create_string_buffer(size)
		    n = libc.syscall(217, fd, buffer, size) # getdents64
		    at, names = 0, []
		    while at < n:
		        length = int.from_bytes(buffer.raw[at + 16:at + 18], "little")
		        names.append(buffer.raw[at + 19:at + length].split(b"\0")[0].decode())
		        at += length
		    return names
		if how == "another": # which the kernel keeps
		    other = os.open(path, os.O_RDONLY)
		    while some(other, 32768):
		        pass
		fd = os.open(path, os.O_RDONLY)
		names = []
		while len(names) < 300:
		    names += some(fd, 2000)
		for name in names[3::2] + names[-1:]:
		    if os.path.exists(f"{path}/{name}") and name[0] != ".":
		        os.unlink(f"{path}/{name}")
		if how == "restart":
		    os.system(sys.argv[4])
		if how == "death":
		    os.kill(worker, signal.SIGKILL)
		while more := some(fd, 2000):
		    names += more
		names.sort()
		twice = [n for n, m in zip(names, names[1:]) if n == m]
		if twice or len(names) != 1002:
		    sys.exit(f"{len(names)} names, twice: {twice}")
	END
	rm -r "$DIR/names"
}

a_listing_goes_on_behind_a_deleted_name() {
	fresh
	list_on death
	list_on another
	list_on restart
	umount_db
}

# ---- who dies, and who else wants the file ---------------------------------------

# ended PID...: they end in time
ended() {
	local pid
	for pid; do
		for _ in $(seq 200); do
			[ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || continue 2
			sleep 0.05
		done
		fail "process $pid has not ended"
	done
}

is_durable() {
	! is_mounted "$DIR" || fail "is mounted"
	is_sound
	same "$1" "$("$BANYAN" get "$DB" key)"
}

without_the_supervisor_the_worker_ends_cleanly() {
	local pid
	fresh
	echo "value $RANDOM" >"$DIR/key"
	cp "$DIR/key" "$T/value"
	pid=$(worker)
	kill -9 "$daemon"
	{ wait "$daemon"; } 2>/dev/null || true
	daemon=
	ended "$pid"
	is_durable "$(cat "$T/value")"
}

# Of which nobody fetches requests any more
without_the_process_that_has_the_rings_it_ends() {
	local pid status=0
	fresh
	echo "value $RANDOM" >"$DIR/key"
	cp "$DIR/key" "$T/value"
	pid=$(pgrep -P "$daemon" -x banyanfs-rings)
	same "" "$(find "/proc/$pid/fd" -lname "$DB")"
	kill -9 "$pid"
	wait "$daemon" || status=$?
	daemon=
	same 0 $status
	grep -q "the process that holds the rings died" "$T/stderr" || fail "$(cat "$T/stderr")"
	is_durable "$(cat "$T/value")"
}

# It is said, in one line
where_there_can_be_no_rings_it_is_refused() {
	local said
	unmount_below "$T"
	rm -f "$DB"
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -e trace=io_uring_setup \
		-e inject=io_uring_setup:error=ENOMEM -o "$T/trace" \
		"$BANYANFS" "$DB" "$DIR" -f -o create,survive,transport=uring 2>"$T/stderr" &&
		fail "has mounted"
	said=$(cat "$T/stderr")
	[[ $said == *"io_uring cannot be used: Cannot allocate memory; leave transport=uring out" ]] || fail "$said"
	same 1 "$(wc -l <"$T/stderr")"
	! is_mounted "$DIR"
	"$BANYAN" check "$DB"
}

a_signal_ends_both() {
	local pid status=0
	fresh
	kill_worker
	echo "value $RANDOM" >"$DIR/key"
	cp "$DIR/key" "$T/value"
	pid=$(worker)
	kill "$daemon"
	wait "$daemon" || status=$?
	daemon=
	same 0 $status
	ended "$pid"
	is_durable "$(cat "$T/value")"
}

in_the_background_it_goes_on_too() {
	local supervisor
	rm -f "$DB"
	new_killer
	"$BANYANFS" "$DB" "$DIR" -o create,survive
	daemon=$(fuser "$DB" 2>/dev/null | tr ' ' '\n' | grep . | while read -r p; do
		[ -z "$(pgrep -P "$p")" ] || echo "$p"
	done)
	supervisor=$daemon
	echo one >"$DIR/key"
	kill_worker
	echo two >"$DIR/key"
	kill_worker
	same two "$(cat "$DIR/key")"
	daemon=
	"$BANYAN" umount "$DIR"
	ended "$supervisor"
	is_durable two
}

# Without the mount, through which a command would work
nobody_else_gets_the_file_in_between() {
	fresh
	echo value >"$DIR/key"
	kill -STOP "$daemon"
	kill_worker
	ended "$(worker)"
	unshare -m sh -ec "umount -l '$DIR'; '$BANYAN' put --wait=0 '$DB' other x" 2>"$T/said" &&
		fail "another has written to it"
	grep -q "open by another process\|$DB" "$T/said" || fail "$(cat "$T/said")"
	(sleep 0.2; kill -CONT "$daemon") &
	same value "$(cat "$DIR/key")"
	wait $!
	drop_caches
	same key "$(ls "$DIR")"
	umount_db
	nothing_is_left_behind
}

without_it_the_mount_dies_as_before() {
	local status=0
	fresh nosurvive
	same "" "$(worker)"
	grep -q '^if it dies  *ends$' "$DIR/.banyan/status"
	echo value >"$DIR/key"
	kill -9 "$daemon"
	{ wait "$daemon"; } 2>/dev/null || status=$?
	daemon=
	same 137 $status
	# at first in other words
	stat "$DIR" 2>&1 | grep -qE "not connected|connection abort|canceled"
	umount "$DIR"
	same value "$("$BANYAN" get "$DB" key)"
}

# The daemon tells the kernel of the name that has come back, for which the directory
# must be locked: who has locked it waits for the daemon
an_undelete_among_others_does_not_hang() {
	local end=$((SECONDS + 3)) others=() i n=0
	fresh
	mkdir "$DIR/dir"
	for i in 1 2 3 4; do
		(while [ $SECONDS -lt $end ]; do mkdir "$DIR/dir/$i" && rmdir "$DIR/dir/$i"; done) &
		others+=($!)
	done
	(
		while [ $SECONDS -lt $end ]; do
			n=$((n + 1))
			echo x >"$DIR/dir/u$n"
			rm "$DIR/dir/u$n"
			setfattr -n system.banyan.undelete -v "dir/u$n" "$DIR"
			[ -e "$DIR/dir/u$n" ] || fail "u$n is not there"
		done
	) >"$T/said" 2>&1 &
	others+=($!)
	if ! kill_for 3 10 100; then
		umount -f "$DIR"
		fail "it hangs"
	fi
	for i in "${others[@]}"; do wait "$i" || fail "$(cat "$T/said")"; done
	nothing_is_held
	umount_db
	nothing_is_left_behind
}

# ---- in the middle of more --------------------------------------------------------

# 40 MB that live, and 120 that can be given back
fill() {
	head -c 40000000 /dev/urandom >"$DIR/data"
	sha256sum "$DIR/data" >"$T/sum"
	for _ in 1 2 3; do cp "$DIR/data" "$DIR/old"; cat "$DIR/data" >"$DIR/old"; done
	rm "$DIR/old"
}

is_vacuumed() {
	[ "$(stat -c %s "$DB")" -lt 60000000 ] || fail "$(stat -c %s "$DB") bytes"
	sha256sum -c --quiet "$T/sum"
	umount_db
	nothing_is_left_behind
}

# What it copies into is given up, and it begins again
a_trim_goes_on() {
	fresh
	fill
	fstrim -v "$DIR" >"$T/said" 2>&1 &
	for _ in 1 2 3 4 5 6; do
		sleep 0.0$((RANDOM % 10))
		kill_worker
	done
	wait $! || fail "$(cat "$T/said")"
	# 0 bytes if one that died had put the new file in its place, and not answered yet
	grep -q ' trimmed' "$T/said" || fail "$(cat "$T/said")"
	is_vacuumed
}

an_ordered_vacuum_goes_on() {
	fresh
	fill
	"$BANYAN" vacuum --rate 100M "$DIR" >"$T/said" 2>&1 &
	for _ in 1 2 3; do
		sleep 0.1
		kill_worker
	done
	wait $! || fail "$(cat "$T/said")"
	is_vacuumed
	# nor is it cancelled in vain
	fresh
	fill
	setfattr -n system.banyan.vacuum -v 'start 1000000' "$DIR"
	setfattr -n system.banyan.vacuum -v cancel "$DIR"
	kill_worker
	[[ $(getfattr --only-values -n system.banyan.vacuum "$DIR") =~ ^"failed 125 " ]] ||
		fail "$(getfattr --only-values -n system.banyan.vacuum "$DIR")"
	umount_db
}

try it_says_so
try programs_notice_nothing_when_it_is_killed
try programs_notice_nothing_when_it_dies_at_any_point
try each_operation_is_made_once
try no_forget_is_lost
try with_one_thread_no_forget_is_lost_either
[ -n "${RINGS-}" ] || try with_a_limit_of_file_sizes_it_goes_on
try no_forget_is_lost_by_a_restart
try a_listing_goes_on_behind_a_deleted_name
try without_the_supervisor_the_worker_ends_cleanly
if [ -n "${RINGS-}" ]; then
	try without_the_process_that_has_the_rings_it_ends
	try where_there_can_be_no_rings_it_is_refused
fi
try a_signal_ends_both
try in_the_background_it_goes_on_too
try nobody_else_gets_the_file_in_between
try without_it_the_mount_dies_as_before
try an_undelete_among_others_does_not_hang
try a_trim_goes_on
try an_ordered_vacuum_goes_on
[ ! -e "$T/figures" ] || cat "$T/figures"
finish
