#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench_mount.sh [-f FILES] [-r ROUNDS] [-s MIB] [-c CSV] [PLACE...] - what people do
# with files, on the mount over each transport, on the file system below it (disk),
# and on others that go through FUSE:
#
#   uring, workers   Banyan over io_uring, over threads that read /dev/fuse
#   uring-survive, workers-nosurvive  likewise, where the mount outlives its daemon, and
#                    where it does not; only if they are named
#   disk             the file system below
#   memory-uring, memory  a daemon that keeps files in memory, over the same two
#                    transports: the bound of each
#   passthrough      libfuse's example of a daemon that hands every call on to that
#   fuse2fs          ext4 in an image, served by a daemon
#
# All in turns, in one run; the figures are medians of ROUNDS (3). First FILES (10000)
# files of 4 KiB are made, looked at and changed one by one; then whole trees go in and
# out; at last one file of MIB (512). The CSV has every single figure.
#
# Nothing is synced in between but where it says fsync: on all but fuse2fs a file
# survives the death of the process that wrote it, and on none a power loss. BENCH_DIR
# says where to work; it is to be on a real disk. For "cold" and io_uring it has to be
# root; what the kernel offers is put back at the end.

set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/${BUILD:-build}
files=10000
rounds=3
mib=512
csv=
while getopts f:r:s:c: option; do
	case $option in
	f) files=$OPTARG ;;
	r) rounds=$OPTARG ;;
	s) mib=$OPTARG ;;
	c) csv=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
directories=20
size=4096
. "$top/tests/support/rings.sh"
examples=/usr/share/doc/libfuse3-dev/examples

places=("$@")
if ((${#places[@]} == 0)); then
	places=(workers disk memory passthrough)
	[ ! -w $OFFER ] || places=(uring memory-uring "${places[@]}")
	! command -v fuse2fs >/dev/null || places+=(fuse2fs)
fi

work=$(mktemp -d "${BENCH_DIR:-$build}/bench.XXXXXX") || exit 1
daemon=

fail()
{
	echo "bench_mount: $*" >&2
	exit 1
}

cleanup()
{
	cd /
	offer_as_before
	for place in "${places[@]}"; do
		! mountpoint -q "$work/$place" || fusermount3 -u -z "$work/$place"
	done
	[ -z "$daemon" ] || wait "$daemon"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

build_passthrough()
{
	[ -e $examples/passthrough_ll.c ] ||
		fail "$examples/passthrough_ll.c is not there (of libfuse3-dev)"
	# shellcheck disable=SC2046 # pkg-config prints words
	${CC:-cc} -O2 -w -o "$work/passthrough_ll" $examples/passthrough_ll.c \
		$(pkg-config --cflags --libs fuse3) ||
		fail "passthrough_ll does not compile"
}

# mountpoint(1) asks the daemon for nothing: only a request that is answered says that
# the rings are there
wait_mounted()
{
	for _ in {1..100}; do
		! mountpoint -q "$1" || ! ls -d "$1/." >/dev/null || return 0
		sleep 0.05
	done
	cat "$work/log" >&2
	fail "$1 is not mounted"
}

# A new, empty place to work in
begin()
{
	case $1 in
	uring | workers | uring-survive | workers-nosurvive)
		rm -f "$work/bench.banyan"
		[[ $1 != uring* ]] || offer_rings Y
		"$build/banyanfs" "$work/bench.banyan" "$work/$1" -f \
			-o "create,transport=${1/-/,}" &
		;;
	memory) "$build/tests/bench/memory_fs" workers "$work/$1" 2>"$work/log" & ;;
	memory-uring)
		offer_rings Y
		"$build/tests/bench/memory_fs" uring "$work/$1" 2>"$work/log" &
		;;
	passthrough)
		"$work/passthrough_ll" -f -o "source=$work/below" \
			"$work/passthrough" 2>"$work/log" &
		;;
	fuse2fs)
		rm -f "$work/image"
		truncate -s $((mib * 4 + 2048))M "$work/image"
		mkfs.ext4 -q -N 200000 "$work/image"
		fuse2fs -f "$work/image" "$work/fuse2fs" -o rw >"$work/log" 2>&1 &
		;;
	*) return ;;
	esac
	daemon=$!
	wait_mounted "$work/$1"
	offer_as_before
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

# passthrough_ll keeps a descriptor of every file that the kernel knows: where no
# more are allowed all are measured with fewer files
ulimit -n "$(ulimit -Hn)"
few=$(ulimit -n)
[ "$few" = unlimited ] || [ "$few" -ge $((files + 10000)) ] ||
	fail "give fewer files with -f: only $few may be open"

round=0
tasks=() # in the order in which they are first measured

# took TASK PLACE SECONDS
took()
{
	local task known
	for task in "${tasks[@]}"; do
		[ "$task" != "$1" ] || known=1
	done
	[ -n "${known-}" ] || tasks+=("$1")
	echo "$3" >>"$work/$1.$2.times"
	[ -z "$csv" ] || echo "$round,$1,$2,$3" >>"$csv"
}

# files_task TASK PLACE: for each file; TASK is that of bench_files, and words behind
files_task()
{
	local seconds
	seconds=$("$build/tests/bench/bench_files" "${1%% *}" "$work/$2/files" \
		"$files" "$size" "$directories") || exit 1
	took "$1" "$2" "$seconds"
}

# tree_task TASK PLACE COMMAND...: in the place
tree_task()
{
	local task=$1 place=$2 began ended
	shift 2
	began=$(date +%s.%N)
	(cd "$work/$place" && "$@") >"$work/output" 2>&1 ||
		fail "$task on $place: $(tail -n 3 "$work/output")"
	ended=$(date +%s.%N)
	took "$task" "$place" "$(echo "$ended - $began" | bc)"
}

measure()
{
	local place=$1 cold=1
	begin "$place"
	mkdir "$work/$place/files"
	files_task create "$place"
	files_task "stat first" "$place"
	files_task stat "$place"
	files_task read "$place"
	drop_caches || cold=
	if [ -n "$cold" ]; then
		files_task "stat cold" "$place"
		drop_caches
		tree_task "ls -lR cold" "$place" ls -lR files
		files_task "read cold" "$place"
		files_task "read again" "$place"
	fi
	for task in append link rename unlink remove; do
		files_task $task "$place"
	done
	mkdir "$work/$place/tree"
	tree_task "tar x" "$place" tar -xf "$work/tree.tar" -C tree
	tree_task "cp -a inside" "$place" cp -a tree copy
	[ -z "$cold" ] || drop_caches
	tree_task "find" "$place" find . -type f -size +1M
	tree_task "grep -r" "$place" bash -c "! grep -r no-such-word-at-all ."
	tree_task "du" "$place" du -s .
	tree_task "rm -rf" "$place" rm -rf tree copy
	tree_task "write+fsync" "$place" dd if=/dev/zero of=files/large bs=1M \
		count="$mib" conv=fsync
	if [ -n "$cold" ]; then
		drop_caches
		tree_task "sequential cold" "$place" dd if=files/large of=/dev/null bs=1M
		drop_caches
		files_task "random cold" "$place"
	fi
	tree_task "cp of it" "$place" cp files/large files/copy
	rm -rf "$work/$place/files"
	end "$place"
	sync # what is left to write is not the next one's
}

median()
{
	sort -g "$1" | awk '{ v[NR] = $1 } END {
		print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
	}'
}

# Behind each figure of another: how many times faster the first place is
report()
{
	local task place first seconds
	echo "$files files of $size bytes in $directories directories; a tree of" \
		"$entries entries; a file of $mib MiB; seconds, median of $rounds;" \
		"(how many times as long as on ${places[0]});" \
		"$(findmnt -n -o FSTYPE -T "$work"), Linux $(uname -r), $(nproc) CPUs"
	printf '\n%-16s' task
	printf ' %16s' "${places[@]}"
	echo
	for task in "${tasks[@]}"; do
		printf '%-16s' "$task"
		first=
		for place in "${places[@]}"; do
			seconds=$(median "$work/$task.$place.times")
			: "${first:=$seconds}"
			awk -v s="$seconds" -v f="$first" 'BEGIN {
				printf " %9.3f (%4.2f)", s, s / f }'
		done
		echo
	done
	[[ " ${tasks[*]} " == *cold* ]] ||
		echo "(nothing cold: only root can drop caches)"
}

[ -e /dev/fuse ] || fail "there is no /dev/fuse"
mkdir "$work/below" || exit 1
for place in "${places[@]}"; do
	case $place in
	uring | uring-survive | memory-uring) [ -w $OFFER ] || fail "no FUSE over io_uring here, or not root" ;;
	passthrough) build_passthrough ;;
	fuse2fs) command -v fuse2fs >/dev/null || fail "fuse2fs is not installed" ;;
	workers | workers-nosurvive | disk | memory) ;;
	*) fail "$place: no such place; see the head of this script" ;;
	esac
	mkdir "$work/$place"
done
tar -C /usr/include -cf "$work/tree.tar" . || exit 1
entries=$(tar -tf "$work/tree.tar" | wc -l)
: >"$work/log"
[ -z "$csv" ] || echo "round,task,place,seconds" >"$csv"
for ((round = 1; round <= rounds; round++)); do
	echo "round $round of $rounds" >&2
	for ((i = 0; i < ${#places[@]}; i++)); do
		measure "${places[(round + i) % ${#places[@]}]}"
	done
done
report
