#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench_vacuum.sh [-d DIVISOR] [-r ROUNDS] [PART...] - what a vacuum, a punch, a diff
# and snapshots take, beside what they are to take. The parts, all unless some are
# named:
#
#   large      2 GiB live and 2 GiB dead in values of 1 MiB: a vacuum beside cp, reads
#              after it, a punch, and the calls of a program in a mount meanwhile
#   small      a vacuum of 10 million keys of 16 and 100 bytes, half of them overwritten
#   diff       of a million keys, 10 000 of which were changed between two freezes
#   snapshots  1000 of a million keys, each after 100 changes, and a vacuum of them
#
# Figures are medians of ROUNDS (5) where more than one was taken; these follow in
# parentheses. With -d there is so much less of everything, to try it: the figures mean
# little then. A target that is missed is no error.
#
# BENCH_DIR says where to work; it is to be on a real disk. For "cold" it has to be root.

set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/${BUILD:-build}
load=$build/tests/bench/vacuum_load
banyan=$build/banyan
divisor=1
rounds=5
while getopts d:r: option; do
	case $option in
	d) divisor=$OPTARG ;;
	r) rounds=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[[ $divisor =~ ^[1-9][0-9]?$|^100$ && $rounds =~ ^[1-9][0-9]*$ ]] || {
	echo "bench_vacuum: -d is for 1 to 100, -r for 1 or more" >&2
	exit 2
}
parts=("$@")
((${#parts[@]} > 0)) || parts=(large small diff snapshots)

cache=64 # MiB, of what is measured
load_cache=1024 # MiB, while keys come in scattered order
mib=$((1 << 20))

. "$top/tests/support/lib.sh"

work=$(mktemp -d "${BENCH_DIR:-$build}/bench.XXXXXX") || exit 1
mount=$work/mount
daemon=
caller=

fail()
{
	echo "bench_vacuum: $*" >&2
	exit 1
}

cleanup()
{
	cd /
	[ -z "$caller" ] || kill "$caller"
	unmount_below "$work"
	wait
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- what is measured, and told ---------------------------------------------

# The body of the table is told line by line, as it takes minutes
line()
{
	local text
	printf -v text '%-47s %10s %-4s %-15s %-6s %s' "$@"
	echo "${text%"${text##*[! ]}"}"
}

# row WHAT FIGURE UNIT [least|most TARGET [SINGLE...]]; without a target "" ""
row()
{
	local met="" target=""
	if [ -n "${4-}" ]; then
		target="at $4 $5"
		met=$(awk -v f="$2" -v t="$5" -v how="$4" 'BEGIN {
			print (how == "most" ? f <= t : f >= t) ? "met" : "missed" }')
	fi
	line "$1" "$2" "$3" "$target" "$met" "${*:6}"
}

# singles NAME FIGURE: one more of them
singles()
{
	echo "$2" >>"$work/$1.singles"
}

# medians NAME WHAT UNIT [least|most TARGET]: of what was noted
medians()
{
	local median
	median=$(sort -g "$work/$1.singles" | awk '{ v[NR] = $1 } END {
		printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
	}')
	row "$2" "$median" "$3" "${4-}" "${5-}" "($(xargs <"$work/$1.singles"))"
}

# quotient DIVIDEND DIVISOR
quotient()
{
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", a / b }'
}

# must COMMAND...: its output goes to a file
must()
{
	"$@" >"$work/output" 2>&1 || fail "$*: $(tail -n 3 "$work/output")"
}

took= # seconds
timed()
{
	local began=$EPOCHREALTIME
	must "$@"
	took=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }')
}

# What was written before is not to be written while something is timed
settle()
{
	sync -f "$work"
	[ -z "$cold" ] || echo 3 >/proc/sys/vm/drop_caches
}

# Only the database is to be cold, not the program
settle_cold()
{
	settle
	must "$banyan" --version
	must "$load" -o read "$tiny" 1 100
}

cp_synced()
{
	cp --reflink=never "$1" "$2" && sync "$2"
}

say()
{
	echo "$*" >&2
}

# ---- large ------------------------------------------------------------------

# Even
large_keys=$((2048 / divisor * 2))
large_live=$((large_keys / 2 * mib))
full=$work/full.banyan # with all that is dead
large=$work/large.banyan

vacuums_and_copies()
{
	local round vacuum
	for ((round = 1; round <= rounds; round++)); do
		say "large: vacuum and cp, $round of $rounds"
		must cp "$full" "$large"
		settle_cold
		timed "$banyan" vacuum "$large"
		vacuum=$took
		singles vacuum "$vacuum"
		settle_cold
		# Of the new file, which is the live bytes
		timed cp_synced "$large" "$work/copy"
		rm "$work/copy"
		singles cp "$took"
		singles rate "$(quotient "$took" "$vacuum")"
	done
	medians cp "cp and sync of $((large_live / mib)) MiB${cold:+, cold}" s
	medians vacuum "vacuum of so much, and as much dead${cold:+, cold}" s
	medians rate "its rate, that of cp being 1" "" least 0.7
}

reads()
{
	local round fresh=$work/fresh.banyan
	must "$load" -o -s 2 load "$fresh" $large_keys $mib
	for ((round = 1; round <= rounds; round++)); do
		say "large: reads, $round of $rounds"
		settle_cold
		must "$load" -o read "$large" $large_keys $mib
		singles read "$(cat "$work/output")"
		settle_cold
		must "$load" -o read "$fresh" $large_keys $mib
		singles fresh "$(cat "$work/output")"
	done
	medians read "ordered read after the vacuum${cold:+, cold}" s
	medians fresh "likewise of a fresh load" s
	must "$load" -o -s 2 verify "$large" $large_keys $mib
	rm "$fresh" "$large"
}

blocks_of()
{
	stat -c %b "$1"
}

punch()
{
	local before freed
	say "large: punch"
	must cp "$full" "$large"
	before=$(blocks_of "$large")
	settle_cold
	timed "$banyan" vacuum --punch "$large"
	freed=$(((before - $(blocks_of "$large")) * 512))
	row "punch of the same file${cold:+, cold}" "$took" s
	row "bytes freed, dead ones being 1" "$(quotient $freed "$large_live")" "" least 0.95
	must "$banyan" check "$large"
	must "$load" -o -s 2 verify "$large" $large_keys $mib
	row "damages that check finds then" 0 "" most 0
	rm "$large"
}

wait_mounted()
{
	local _
	for _ in {1..200}; do
		! mountpoint -q "$mount" || ! ls -d "$mount/." >/dev/null || return 0
		sleep 0.05
	done
	fail "not mounted: $(cat "$work/log")"
}

# beside NAME COMMAND...: note the longest call of a program that uses files meanwhile
beside()
{
	local name=$1 longest
	shift
	"$load" calls "$mount/calls" >"$work/calls" &
	caller=$!
	sleep 0.5
	timed "$@"
	kill "$caller"
	wait "$caller" || fail "a program that uses files in the mount failed"
	caller=
	read -r longest _ <"$work/calls"
	singles "$name" "$longest"
	say "large: longest call $name: $(cat "$work/calls")"
}

calls_in_mount()
{
	local round worker peak transport
	mkdir "$mount" || exit 1
	"$build/banyanfs" "$full" "$mount" -f -o cache=${cache}M 2>"$work/log" &
	daemon=$!
	wait_mounted
	worker=$(worker_of "$daemon")
	transport=$(awk '$1 == "transport" { print $2 }' "$mount/.banyan/status")
	mkdir "$mount/calls" || exit 1
	for ((round = 1; round <= rounds; round++)); do
		((round == 1)) || must "$load" -o -s 2 rewrite "$mount" $large_keys $mib
		settle
		beside with "$banyan" vacuum "$mount"
		singles mounted "$took"
		settle
		beside without sleep "$took"
	done
	[ "$(worker_of "$daemon")" = "$worker" ] || fail "the daemon died"
	peak=$(awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/$worker/status")
	medians mounted "vacuum in a mount ($transport), beside a program" s
	medians with "longest call of the program meanwhile" ms most 50
	medians without "likewise without a vacuum" ms
	row "peak memory of the daemon, with cache=${cache}M" "$peak" MiB most $((cache + 32))
	must rmdir "$mount/calls"
	must "$banyan" umount "$mount"
	wait "$daemon" || fail "the daemon failed: $(cat "$work/log")"
	daemon=
	must "$load" -o -s 2 verify "$full" $large_keys $mib
	rm "$full"
}

part_large()
{
	say "large: load"
	must "$load" -o load "$full" $large_keys $mib
	must "$load" -o delete "$full" $large_keys $mib
	vacuums_and_copies
	reads
	punch
	calls_in_mount
}

# ---- small ------------------------------------------------------------------

# vacuum_cold FILE WHAT KEPT: seconds and memory of a vacuum with little cache
vacuum_cold()
{
	local seconds peak kept
	settle_cold
	must "$load" -c $cache vacuum "$1"
	read -r seconds peak _ kept <"$work/output"
	[ "$kept" = "$3" ] || fail "a vacuum has kept $kept freezes, not $3"
	row "$2${cold:+, cold}" "$seconds" s
	row "its peak memory, with ${cache} MiB of cache" "$(quotient "$peak" $mib)" MiB
}

part_small()
{
	local keys=$((10000000 / divisor)) file=$work/small.banyan
	say "small: load"
	must "$load" -c $load_cache load "$file" $keys 100
	must "$load" -c $load_cache overwrite "$file" $keys 100
	say "small: vacuum of $(du -m "$file" | cut -f 1) MiB"
	vacuum_cold "$file" "vacuum of $keys keys of 16 + 100 bytes" 0
	row "the new file, keys and values being 1" \
		"$(quotient "$(stat -c %s "$file")" $((keys * 116)))" "" most 1.25
	must "$load" verify "$file" $keys 100
	rm "$file"
}

# ---- diff -------------------------------------------------------------------

diff_of()
{
	must "$banyan" diff "$@"
	[ "$(wc -l <"$work/output")" = "$changed" ] ||
		fail "a diff has $(wc -l <"$work/output") changes, not $changed"
}

part_diff()
{
	local keys=$((1000000 / divisor)) file=$work/diff.banyan before after round
	changed=$((10000 / divisor))
	say "diff: load"
	must "$load" -c $load_cache load "$file" $keys 100
	must "$load" change "$file" $keys 100 $changed
	read -r before after <"$work/output"
	diff_of "$file" "$before" "$after"
	say "diff: $rounds rounds"
	for ((round = 1; round <= rounds; round++)); do
		timed "$banyan" diff "$file" "$before" "$after"
		singles warm "$took"
	done
	medians warm "diff of $changed of $keys keys, warm" s most 0.2
	for ((round = 1; round <= rounds && ${#cold} > 0; round++)); do
		settle_cold
		timed "$banyan" diff "$file" "$before" "$after"
		singles cold "$took"
	done
	[ -z "$cold" ] || medians cold "likewise, cold" s most 0.2
	rm "$file"
}

# ---- snapshots --------------------------------------------------------------

part_snapshots()
{
	local keys=$((1000000 / divisor)) count=$((1000 / divisor)) changes=100
	local file=$work/snapshots.banyan round
	say "snapshots: load"
	must "$load" -c $load_cache load "$file" $keys 100
	must "$load" snapshots "$file" $keys 100 $count $changes
	row "snapshot of $keys keys after $changes changes" "$(cat "$work/output")" ms
	for ((round = 1; round <= rounds; round++)); do
		timed "$banyan" snapshots "$file"
		singles list "$took"
	done
	# Below a line with headings
	[ "$(wc -l <"$work/output")" = $((count + 1)) ] || fail "they are not all listed"
	medians list "list of $count snapshots" s
	say "snapshots: vacuum of $(du -m "$file" | cut -f 1) MiB"
	vacuum_cold "$file" "vacuum that keeps them" "$count"
	row "the new file" "$(quotient "$(stat -c %s "$file")" $mib)" MiB
	must "$load" look "$file" $keys 100 $count $changes
	row "wrong values among a sample through them" 0 "" most 0
	rm "$file"
}

# ---- all --------------------------------------------------------------------

# MiB on the disk at a time
needed()
{
	case $1 in
	large) echo 10500 ;;  # with the dead twice, and a new file
	small) echo 12500 ;;  # a tree more with each freeze
	diff) echo 700 ;;
	snapshots) echo 2500 ;;
	*) return 1 ;;
	esac
}

most=0
for part in "${parts[@]}"; do
	need=$(needed "$part") || fail "$part: no such part; see the head of this script"
	((need <= most)) || most=$need
done
most=$((most / divisor + 100))
room=$(df --output=avail -B $mib "$work" | tail -n 1)
say "needs $most MiB on the disk of $work, which has $((room)) MiB"
((room >= most)) || fail "not enough: name parts that need less, or set BENCH_DIR"
[ -e /dev/fuse ] || [[ " ${parts[*]} " != *" large "* ]] || fail "there is no /dev/fuse"

cold=
! { echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null || cold=1
tiny=$work/tiny.banyan
must "$load" -o load "$tiny" 1 100

echo "${parts[*]}; medians of $rounds; sizes divided by $divisor;" \
	"$(findmnt -n -o FSTYPE -T "$work" | tail -n 1), Linux $(uname -r), $(nproc) CPUs"
[ -n "$cold" ] || echo "(nothing cold: only root can drop caches)"
line what figure "" target met ""
for part in "${parts[@]}"; do
	"part_$part"
done
