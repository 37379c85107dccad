#!/bin/bash
# SPDX-License-Identifier: MIT
# FUSE over io_uring: when it is used, late answers, and what can go wrong. That
# all else works over it is seen by `make check-rings`.
. "$(dirname "$0")/lib.sh"
need_fuse
need_rings

STATE=system.banyan.vacuum
CPUSETS=/sys/fs/cgroup/cpuset

new_db() {
	unmount_below "$T"
	rm -f "$DB"
	"$BANYAN" create "$DB"
}

# The kernel looks at the parameter when a file system is mounted
mount_offered() {
	local offer=$1 status=0
	shift
	offer_rings "$offer"
	mount_db "$@" || status=$?
	offer_as_before
	return $status
}

transport() { sed -n 's/^transport  *//p' "$DIR/.banyan/status"; }
order() { setfattr -n $STATE -v "$1" "$DIR"; }

# ends PID [SECONDS]: it does, within so many (4)
ends() {
	timeout "${2:-4}" tail -s 0.02 --pid="$1" -f /dev/null || fail "process $1 goes on"
}

on_cpu_0() { taskset -c 0 "$@"; }

a_kernel_that_does_not_offer_it() {
	new_db
	offer_rings N
	local status=0
	"$BANYANFS" "$DB" "$DIR" -o transport=uring 2>"$T/said" || status=$?
	offer_as_before
	same 1 $status
	same 1 "$(wc -l <"$T/said")"
	grep -q "does not offer io_uring.*enable_uring" "$T/said" || fail "$(cat "$T/said")"
	refuses is_mounted "$DIR"
	mount_offered N
	same /dev/fuse "$(transport)"
	umount_db
}

it_is_used_where_it_is_offered() {
	new_db
	mount_offered Y
	same io_uring "$(transport)"
	echo text >"$DIR/a"
	same text "$(cat "$DIR/a")"
	[ "$(sed -n 's/^requests  *//p' "$DIR/.banyan/status")" -gt 3 ]
	umount_db
	mount_offered Y transport=workers
	same /dev/fuse "$(transport)"
	same text "$(cat "$DIR/a")"
	umount_db
	refuses "$BANYANFS" "$DB" "$DIR" -o transport=pigeons 2>"$T/said"
	grep -qF "option transport=pigeons: give uring or workers" "$T/said"
}

requests_of_all_sizes() {
	new_db
	mount_offered Y transport=uring
	local name
	name=$(printf 'n%.0s' {1..255})
	for size in 1 4095 4096 65537 1048575 1048576 1048577 9000000; do
		head -c $size /dev/urandom >"$T/source"
		dd if="$T/source" of="$DIR/$name" bs=4M status=none
		drop_caches
		cmp "$T/source" "$DIR/$name"
	done
	head -c 48000 /dev/urandom | base64 -w 0 | head -c 64000 >"$T/value"
	python3 -B - "$DIR/$name" "$T/value" <<-'END'
		import os, sys
		value = open(sys.argv[2], "rb").read()
		os.setxattr(sys.argv[1], "user.large", value)
		assert os.getxattr(sys.argv[1], "user.large") == value
		os.symlink("t" * 4095, os.path.dirname(sys.argv[1]) + "/link")
		assert os.readlink(os.path.dirname(sys.argv[1]) + "/link") == "t" * 4095
	END
	mkdir "$DIR/many"
	(cd "$DIR/many" && seq -f "%04g$(printf 'x%.0s' {1..200})" 3000 | xargs touch)
	drop_caches
	same 3000 "$(find "$DIR/many" -type f -size 0 | wc -l)"
	umount_db
	"$BANYAN" check "$DB" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
}

# Sixty, 20 times each
many_sync_at_once() {
	taskset -c "${1:-0}" python3 -B - "$DIR" <<-'END'
		import os, sys
		children = []
		for i in range(60):
		    child = os.fork()
		    if not child:
		        fd = os.open("%s/f%d" % (sys.argv[1], i), os.O_WRONLY | os.O_CREAT)
		        for j in range(20):
		            os.pwrite(fd, b"%d %d" % (i, j), 0)
		            os.fsync(fd)
		        os._exit(0)
		    children.append(child)
		for child in children:
		    assert os.waitpid(child, 0)[1] == 0
	END
}

# More of them than a CPU has threads
many_callers_of_one_cpu_wait_for_fsync() {
	new_db
	mount_offered Y transport=uring
	many_sync_at_once
	for i in 0 31 59; do same "$i 19" "$(cat "$DIR/f$i")"; done
	umount_db
}

# On a disk where each read takes 0.1 s, one reads and one asks for something else, both on
# one CPU. Before, many have called fsync at once: each of them needed an entry.
a_read_of_a_slow_disk_stops_no_other_caller() {
	new_db
	mount_db
	head -c 30000000 /dev/urandom >"$DIR/large"
	umount_db
	mount_failing pread64:delay_enter=100000 transport=uring
	on_cpu_0 python3 -B - "$DIR" <<-'END'
		import os, sys, threading, time
		dir = sys.argv[1]
		def sync(i):
		    fd = os.open("%s/f%d" % (dir, i), os.O_WRONLY | os.O_CREAT)
		    for j in range(3):
		        os.pwrite(fd, b"text", 0)
		        os.fsync(fd)
		def read():
		    fd = os.open(dir + "/large", os.O_RDONLY)
		    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
		    for j in range(30):
		        os.pread(fd, 4096, j * 65536)
		burst = [threading.Thread(target=sync, args=(i,)) for i in range(60)]
		for thread in burst:
		    thread.start()
		for thread in burst:
		    thread.join()
		reader = threading.Thread(target=read)
		reader.start()
		slow = asked = 0
		while reader.is_alive():
		    began = time.monotonic()
		    try:
		        os.getxattr(dir, "user.none")
		    except OSError:
		        pass
		    slow += time.monotonic() - began > 0.08
		    asked += 1
		    time.sleep(0.001)
		print("%d of %d waited" % (slow, asked))
		assert asked > 200 and slow < 3
	END
	[ "$(grep -c DELAYED "$T/strace")" -ge 30 ]
	umount_db
}

# Of the daemon, in KiB
memory() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(worker_of "$daemon")/status"; }

memory_of_large_requests_is_given_back() {
	new_db
	mount_offered Y transport=uring,cache=1M
	on_cpu_0 python3 -B - "$DIR" <<-'END'
		import os, sys, threading
		def write(i):
		    fd = os.open("%s/f%d" % (sys.argv[1], i), os.O_WRONLY | os.O_CREAT)
		    for j in range(4):
		        os.pwrite(fd, bytes(1 << 20), 0)
		        os.fsync(fd)
		for i in range(60):
		    threading.Thread(target=write, args=(i,)).start()
	END
	local most
	most=$(memory)
	for _ in $(seq 40); do
		[ "$(memory)" -lt $((most - 20000)) ] && break
		sleep 0.1
	done
	echo "$most KiB, then $(memory) KiB"
	[ "$(memory)" -lt $((most - 20000)) ]
	umount_db
}

# Those who wait for a vacuum stop nobody, and can be interrupted
callers_of_one_cpu_wait_for_a_vacuum() {
	new_db
	mount_offered Y transport=uring
	for _ in 1 2; do head -c 8000000 /dev/urandom >"$DIR/large"; done
	order "start 200000"
	local waiting=() pid
	# of so many at once some are told that the daemon is busy
	for _ in $(seq 80); do
		on_cpu_0 fstrim "$DIR" 2>/dev/null &
		waiting+=($!)
	done
	sleep 1
	echo text >"$DIR/a"
	for _ in $(seq 20); do
		drop_caches
		same text "$(on_cpu_0 timeout 10 cat "$DIR/a")"
		on_cpu_0 timeout 10 sync "$DIR/a"
	done
	# one of them by itself
	for pid in "${waiting[@]}"; do kill "$pid" 2>/dev/null && break; done
	ends "$pid"
	[[ $(getfattr --only-values -n $STATE "$DIR") == running* ]]
	order cancel
	for pid in "${waiting[@]}"; do wait "$pid" || true; done
	umount_db
}

# When it comes, all threads of its CPU wait for the disk. It is not told to come again, and
# stops nobody while the vacuum runs.
a_single_trim_on_a_busy_cpu_waits_for_the_vacuum() {
	new_db
	mount_db
	for _ in 1 2; do head -c 8000000 /dev/urandom >"$DIR/large"; done
	umount_db
	mount_offered Y transport=uring
	order "start 200000"
	strace -f -qq -o "$T/strace" -e trace=pread64 -e inject=pread64:delay_enter=100000 \
		-p "$daemon" &
	local tracer=$! caller
	for _ in $(seq 200); do
		grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$daemon/status" && break
		sleep 0.02
	done
	sleep 0.1
	on_cpu_0 python3 -B - "$DIR" 2>"$T/refused" <<-'END' &
		import fcntl, os, struct, sys, threading, time
		def read(i):
		    fd = os.open(sys.argv[1] + "/large", os.O_RDONLY)
		    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
		    for j in range(5):
		        os.pread(fd, 4096, (i * 5 + j) * 65536)
		root = os.open(sys.argv[1], os.O_RDONLY)
		for i in range(20):
		    threading.Thread(target=read, args=(i,)).start()
		time.sleep(0.02)
		fcntl.ioctl(root, 0xC0185879, struct.pack("QQQ", 0, 2 ** 64 - 1, 0))
	END
	caller=$!
	sleep 1.5
	kill $tracer
	wait $tracer || true
	for _ in $(seq 5); do on_cpu_0 timeout 10 sync "$DIR"; done
	[[ $(getfattr --only-values -n $STATE "$DIR") == running* ]]
	kill -0 $caller || fail "$(cat "$T/refused")"
	order cancel
	refuses wait $caller
	grep -q "Operation canceled" "$T/refused" || fail "$(cat "$T/refused")"
	umount_db
}

an_end_while_callers_wait() {
	new_db
	mount_offered Y transport=uring
	local writers=() pid
	for i in $(seq 8); do
		python3 -B - "$DIR/f$i" <<-'END' 2>/dev/null &
			import os, sys
			fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
			while True:
			    os.pwrite(fd, b"text", 0)
			    os.fsync(fd)
		END
		writers+=($!)
	done
	# Else they write below the mountpoint
	for _ in $(seq 500); do
		[ "$(find "$DIR" -name 'f*' -size +0 | wc -l)" = 8 ] && break
		sleep 0.02
	done
	trap 'kill -9 "${writers[@]}" 2>/dev/null || true' EXIT
	kill -TERM "$daemon"
	ends "$daemon" 10
	wait "$daemon"
	daemon=
	for pid in "${writers[@]}"; do
		ends "$pid"
	done
	"$BANYAN" check "$DB" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
}

a_daemon_that_is_killed_leaves_nobody_waiting() {
	new_db
	mount_offered Y transport=uring
	local writers=() pid
	for i in $(seq 8); do
		(while echo text >"$DIR/g$i"; do :; done 2>/dev/null) &
		writers+=($!)
	done
	sleep 0.3
	kill_daemon "$daemon"
	{ wait "$daemon"; } 2>/dev/null || true
	daemon=
	for pid in "${writers[@]}"; do
		ends "$pid"
	done
	umount -l "$DIR"
	mount_offered Y transport=uring
	[ -e "$DIR/g1" ]
	umount_db
}

# mount_failing INJECTION OPTIONS: with system calls that fail, or take long
mount_failing() {
	local injection=$1
	shift
	offer_rings Y
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$T/strace" -e trace="${injection%%:*}" \
		-e inject="$injection" "$BANYANFS" "$DB" "$DIR" -f ${1:+-o "$1"} 2>"$T/said" &
	daemon=$!
	for _ in $(seq 500); do
		kill -0 "$daemon" 2>/dev/null || break
		[ -e "$DIR/.banyan/status" ] && break
		sleep 0.02
	done
	offer_as_before
}

rings_that_cannot_be_made() {
	new_db
	mount_failing io_uring_setup:error=EPERM
	same /dev/fuse "$(transport)"
	same "" "$(cat "$T/said")"
	umount_db
	mount_failing io_uring_setup:error=EPERM transport=uring
	refuses wait "$daemon"
	daemon=
	same "banyanfs: $DB: io_uring cannot be used: Operation not permitted; leave transport=uring out" "$(cat "$T/said")"
	mount_limited -n 19 # too few descriptors
	same /dev/fuse "$(transport)"
	umount "$DIR"
	wait_closed
}

# mount_limited ULIMIT...
mount_limited() {
	offer_rings Y
	(ulimit "$@" && exec "$BANYANFS" "$DB" "$DIR")
	offer_as_before
}

# In a mount namespace with a device that everybody may use, as nobody. What rings lock in
# memory counts for a user.
a_user_mounts_over_rings() {
	new_db
	mknod -m 666 "$T/fuse" c 10 229
	mkdir -p "$T/user/dir"
	chown -R 65534:65534 "$T/user"
	export T BANYANFS
	offer_rings Y
	unshare -m --propagation private bash -c '
		as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
		mount --bind "$T/fuse" /dev/fuse
		for limit in 8192 0; do
			(ulimit -l $limit; as_user "$BANYANFS" "$T/user/db" "$T/user/dir" -o create)
			as_user touch "$T/user/dir/a"
			as_user sed -n "s/^transport  *//p" "$T/user/dir/.banyan/status"
			as_user fusermount3 -u "$T/user/dir"
		done' >"$T/said" 2>&1
	offer_as_before
	same "io_uring /dev/fuse" "$(xargs <"$T/said")"
}

serve_in_a_container() {
	"$BANYANFS" "$DB" "$DIR" -f -o transport=uring &
	local daemon=$!
	for _ in $(seq 200); do [ -e "$DIR/.banyan/status" ] && break; sleep 0.02; done
	cp -a /usr/include/linux/can "$DIR"
	diff -r /usr/include/linux/can "$DIR/can"
	same io_uring "$(transport)"
	umount "$DIR"
	wait $daemon
}

# With users, processes and mounts of its own
a_container_has_rings() {
	new_db
	chmod 666 "$DB"
	export DB DIR BANYANFS
	export -f serve_in_a_container fail same transport
	offer_rings Y
	unshare --user --map-root-user --mount --pid --fork --mount-proc \
		bash -c "set -e; serve_in_a_container"
	offer_as_before
}

# There are rings if they leave enough for all else
a_limit_of_memory_counts_threads() {
	new_db
	mount_limited -v 60000
	same /dev/fuse "$(transport)"
	umount "$DIR"
	wait_closed
	mount_limited -v 300000
	same io_uring "$(transport)"
	four_copies_fit /usr/include/linux
	umount "$DIR"
	wait_closed
	mount_limited -l 0
	same io_uring "$(transport)"
	umount "$DIR"
	wait_closed
}

# When they have been promised to the kernel, which then waits for them
rings_that_cannot_be_registered() {
	new_db
	mount_failing io_uring_enter:error=ENOMEM
	same /dev/fuse "$(transport)"
	same "banyanfs: $DB: io_uring failed: Cannot allocate memory; going on by /dev/fuse" "$(cat "$T/said")"
	echo text >"$DIR/a"
	same text "$(cat "$DIR/a")"
	umount_db
	mount_failing io_uring_enter:error=ENOMEM transport=uring
	refuses wait "$daemon"
	daemon=
	same "banyanfs: $DB: io_uring failed: Cannot allocate memory; leave transport=uring out" "$(cat "$T/said")"
	refuses is_mounted "$DIR"
}

# Below another list of CPUs, which the mount does not leave
in_a_machine_of() {
	echo "$1" >"$T/possible"
	shift
	export T DB DIR BANYANFS
	export -f mount_half_registered mount_by_workers ends fail same transport
	unshare -m --propagation private bash -c "set -e
		mount --bind '$T/possible' /sys/devices/system/cpu/possible
		$1"
}

mount_half_registered() {
	"$BANYANFS" "$DB" "$DIR" -o transport=uring 2>"$T/refused" && fail "mounted"
	(while [ ! -e "$T/enough" ]; do stat "$DIR/a"; done >"$T/stat" 2>&1) &
	local caller=$!
	"$BANYANFS" "$DB" "$DIR" -f 2>"$T/said" &
	local daemon=$!
	for _ in $(seq 200); do [ -e "$DIR/.banyan/status" ] && break; sleep 0.02; done
	touch "$T/enough"
	ends $caller
	same /dev/fuse "$(transport)"
	same 1 "$(grep -cF " $DIR " /proc/self/mountinfo)"
	echo text >"$DIR/a"
	same text "$(cat "$DIR/a")"
	umount "$DIR"
	wait $daemon
}

# Those of the real queues are registered, and the kernel refuses the one of a CPU that it
# does not have. A caller may be at work on the mount that is given up.
rings_of_which_one_cannot_be_registered() {
	new_db
	offer_rings Y
	in_a_machine_of "0-$(nproc --all)" mount_half_registered
	offer_as_before
	same "banyanfs: $DB: io_uring failed: Invalid argument; leave transport=uring out" "$(cat "$T/refused")"
	same "banyanfs: $DB: io_uring failed: Invalid argument; going on by /dev/fuse" "$(cat "$T/said")"
}

# It is not undone by mounting again
an_unmount_while_rings_are_registered() {
	new_db
	offer_rings Y
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$T/strace" -e trace=io_uring_enter \
		-e inject=io_uring_enter:delay_enter=1000000:when=1 \
		"$BANYANFS" "$DB" "$DIR" -f 2>"$T/said" &
	daemon=$!
	for _ in $(seq 500); do is_mounted "$DIR" && break; sleep 0.01; done
	sleep 0.3
	offer_as_before
	# umount(8) asks the file system something first, and would wait
	python3 -B -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).umount2(sys.argv[1].encode(), 0))' "$DIR"
	ends "$daemon" 20
	wait "$daemon"
	daemon=
	same "" "$(cat "$T/said")"
	refuses is_mounted "$DIR"
}

# For lack of memory, say
a_ring_that_fails_for_a_while() {
	new_db
	mount_failing io_uring_enter:error=ENOMEM:when=3..100
	same io_uring "$(transport)"
	for i in $(seq 100); do echo "$i" >"$DIR/f$i"; done
	same 100 "$(cat "$DIR/f100")"
	grep -q INJECTED "$T/strace"
	umount_db
}

a_ring_that_fails_for_good_ends_the_mount() {
	new_db
	mount_failing io_uring_enter:error=ENOMEM:when=6+
	for i in $(seq 20); do timeout 20 touch "$DIR/f$i" 2>/dev/null || break; done
	ends "$daemon" 20
	wait "$daemon"
	daemon=
	grep -q "io_uring failed: Cannot allocate memory" "$T/said"
	refuses is_mounted "$DIR"
	"$BANYAN" check "$DB" >"$T/said" 2>&1 || fail "$(cat "$T/said")"
}

mount_by_workers() {
	"$BANYANFS" "$DB" "$DIR" -o transport=uring 2>"$T/refused" && fail "mounted"
	"$BANYANFS" "$DB" "$DIR"
	same /dev/fuse "$(transport)"
	umount "$DIR"
}

# More than a set of CPUs has: each queue would have to be served
more_cpus_than_can_be_told_apart() {
	new_db
	offer_rings Y
	in_a_machine_of 0-1500 mount_by_workers
	offer_as_before
	grep -q "io_uring cannot be used: " "$T/refused" || fail "$(cat "$T/refused")"
	wait_closed
}

each_cpu_is_served() {
	for cpu in $(seq 0 $(($(nproc) - 1))); do
		taskset -c "$cpu" timeout 10 bash -c 'echo "$1" >"$2/f$1"' - "$cpu" "$DIR"
		same "$cpu" "$(cat "$DIR/f$cpu")"
	done
}

# From the beginning, or from some time on, when threads are bound to them
a_daemon_that_may_not_use_all_cpus() {
	local set=$CPUSETS/banyan.$$
	mkdir "$set"
	cat $CPUSETS/cpuset.mems >"$set/cpuset.mems"
	echo 0 >"$set/cpuset.cpus"
	new_db
	offer_rings Y
	(echo $BASHPID >"$set/tasks" && "$BANYANFS" "$DB" "$DIR" -o transport=uring)
	offer_as_before
	each_cpu_is_served
	umount "$DIR"
	wait_closed
	mount_offered Y transport=uring
	echo "$daemon" >"$set/cgroup.procs"
	each_cpu_is_served
	many_sync_at_once $(($(nproc) - 1))
	umount_db
	for _ in $(seq 100); do rmdir "$set" 2>/dev/null && break; sleep 0.02; done
}

# Its CPU goes away and comes back
a_cpu_that_goes_offline() {
	local last=$(($(nproc --all) - 1)) i
	local switch=/sys/devices/system/cpu/cpu$last/online
	new_db
	mount_offered Y transport=uring
	(while [ ! -e "$T/enough" ]; do echo text >"$DIR/a" && cat "$DIR/a"; done >"$T/said") &
	for _ in $(seq 10); do
		echo 0 >"$switch"
		sleep 0.1
		for i in $(seq 50); do timeout 10 stat "$DIR/a" >"$T/stat"; done
		echo 1 >"$switch"
		taskset -c "$last" timeout 10 cat "$DIR/a" >"$T/stat"
	done
	touch "$T/enough"
	wait $!
	same text "$(sort -u "$T/said")"
	umount_db
	# offline from the beginning
	echo 0 >"$switch"
	mount_offered Y transport=uring || { echo 1 >"$switch"; fail "not mounted"; }
	echo 1 >"$switch"
	taskset -c "$last" timeout 10 cat "$DIR/a" >"$T/stat"
	same text "$(cat "$T/stat")"
	umount_db
}

try a_kernel_that_does_not_offer_it
try it_is_used_where_it_is_offered
try requests_of_all_sizes
try many_callers_of_one_cpu_wait_for_fsync
try callers_of_one_cpu_wait_for_a_vacuum
try a_single_trim_on_a_busy_cpu_waits_for_the_vacuum
try a_read_of_a_slow_disk_stops_no_other_caller
try memory_of_large_requests_is_given_back
try an_end_while_callers_wait
try a_daemon_that_is_killed_leaves_nobody_waiting
try rings_that_cannot_be_made
if can_be_limited; then
	try a_limit_of_memory_counts_threads
else
	skip "a limit of memory counts threads" "a sanitizer needs more"
fi
try a_user_mounts_over_rings
try a_container_has_rings
try rings_that_cannot_be_registered
try rings_of_which_one_cannot_be_registered
try an_unmount_while_rings_are_registered
try more_cpus_than_can_be_told_apart
try a_ring_that_fails_for_a_while
try a_ring_that_fails_for_good_ends_the_mount
if [ -w $CPUSETS/cpuset.cpus ]; then
	try a_daemon_that_may_not_use_all_cpus
else
	skip "a daemon that may not use all CPUs" "no cgroup of CPU sets here"
fi
# It takes a CPU from all else that runs
if [ -z "${BANYAN_LONG-}" ]; then
	skip "a CPU that goes offline" "only in make check-long"
elif [ -w "/sys/devices/system/cpu/cpu$(($(nproc --all) - 1))/online" ]; then
	try a_cpu_that_goes_offline
else
	skip "a CPU that goes offline" "it cannot be switched here"
fi
finish
