#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench_mount.sh [FILES [ROUNDS [SIZE [DIRECTORIES]]]] - make, read and remove
# small files on the mount, on the file system below it, and on passthrough_ll,
# libfuse's example of a daemon that hands every call on to that file system:
# what FUSE costs with no store behind. All in turns, in one run; the figures
# are medians.
#
# Nothing is synced in between: on all three a file survives the death of the
# process that wrote it, and on none a power loss. BENCH_DIR says where to work;
# it is to be on a real disk.

set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/${BUILD:-build}
files=${1:-20000}
rounds=${2:-5}
size=${3:-4096}
directories=${4:-20}
places=(banyan disk passthrough)
tasks=(create "read, cached" stat "read, cold" "stat, cold" remove)

work=$(mktemp -d "${BENCH_DIR:-$build}/bench.XXXXXX") || exit 1
daemon=

cleanup()
{
	cd /
	for point in "$work"/banyan "$work"/passthrough; do
		! mountpoint -q "$point" || fusermount3 -u -z "$point"
	done
	[ -z "$daemon" ] || wait "$daemon"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail()
{
	echo "bench_mount: $*" >&2
	exit 1
}

examples=/usr/share/doc/libfuse3-dev/examples

build_passthrough()
{
	[ -e $examples/passthrough_ll.c ] ||
		fail "$examples/passthrough_ll.c is not there (of libfuse3-dev)"
	# shellcheck disable=SC2046 # pkg-config prints words
	${CC:-cc} -O2 -w -o "$work/passthrough_ll" $examples/passthrough_ll.c \
		$(pkg-config --cflags --libs fuse3) ||
		fail "passthrough_ll does not compile"
}

wait_mounted()
{
	for _ in {1..100}; do
		! mountpoint -q "$1" || return 0
		sleep 0.05
	done
	cat "$work/passthrough.log" >&2
	fail "$1 is not mounted"
}

# A new, empty place to work in
begin()
{
	case $1 in
	banyan)
		rm -f "$work/bench.banyan"
		"$build/banyanfs" "$work/bench.banyan" "$work/banyan" -f \
			-o create &
		;;
	passthrough)
		"$work/passthrough_ll" -f -o "source=$work/below" \
			"$work/passthrough" 2>"$work/passthrough.log" &
		;;
	disk) return ;;
	esac
	daemon=$!
	wait_mounted "$work/$1"
}

end()
{
	[ "$1" = disk ] && return
	umount "$work/$1" 2>/dev/null || fusermount3 -u "$work/$1" || exit 1
	wait "$daemon"
	daemon=
}

drop_caches()
{
	sync
	{ echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null
}

# passthrough_ll keeps a descriptor of every file that the kernel knows: where
# no more are allowed it is measured with fewer files
ulimit -n "$(ulimit -Hn)"
few=$(ulimit -n)
if [ "$few" = unlimited ] || [ "$few" -ge $((files + 1000)) ]; then
	few=$files
else
	few=$((few - 1000))
fi

files_at() { if [ "$1" = passthrough ]; then echo "$few"; else echo "$files"; fi; }

# time_task TASK PLACE: appends microseconds a file to the times of the two
time_task()
{
	local seconds name=$1
	seconds=$("$build/tests/bench/bench_files" "${1%%,*}" "$work/$2" \
		"$(files_at "$2")" "$size" "$directories") || exit 1
	awk -v s="$seconds" -v n="$(files_at "$2")" \
		'BEGIN { print s / n * 1e6 }' >>"$work/${name// /_}.$2.times"
}

measure()
{
	begin "$1"
	time_task create "$1"
	time_task "read, cached" "$1"
	time_task stat "$1"
	if drop_caches; then
		time_task "read, cold" "$1"
		drop_caches
		time_task "stat, cold" "$1"
	fi
	time_task remove "$1"
	end "$1"
	sync # what is left to write is not the next one's
}

median()
{
	sort -g "$1" | awk '{ v[NR] = $1 } END {
		print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
	}'
}

report()
{
	local task name of=()
	echo "$files files of $size bytes in $directories directories," \
		"median of $rounds, microseconds a file;" \
		"disk: $(findmnt -n -o FSTYPE -T "$work"), Linux $(uname -r)," \
		"$(nproc) CPUs"
	printf '\n%-14s %9s %9s %12s %13s %20s\n' task "${places[@]}" \
		banyan/disk banyan/passthrough
	for task in "${tasks[@]}"; do
		name=$work/${task// /_}
		[ -e "$name.disk.times" ] || continue
		of=()
		for place in "${places[@]}"; do
			of+=("$(median "$name.$place.times")")
		done
		awk -v task="$task" -v a="${of[0]}" -v b="${of[1]}" \
			-v c="${of[2]}" 'BEGIN {
			printf "%-14s %9.1f %9.1f %12.1f %13.2f %20.2f\n", task,
				a, b, c, a / b, a / c
		}'
	done
	[ "$few" = "$files" ] || echo "(passthrough with $few files: it keeps" \
		"each open, and no more are allowed here)"
	[ -e "$work/read,_cold.disk.times" ] ||
		echo "(nothing cold: only root can drop caches)"
}

[ -e /dev/fuse ] || fail "there is no /dev/fuse"
mkdir "$work"/{banyan,disk,passthrough,below}
: >"$work/passthrough.log"
build_passthrough
for ((round = 0; round < rounds; round++)); do
	echo "round $((round + 1)) of $rounds" >&2
	for ((i = 0; i < 3; i++)); do
		measure "${places[(round + i) % 3]}"
	done
done
report
