# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# lib.sh - what the mount tests share, besides ../support/lib.sh; to be sourced.
#
# A test is a function whose name is a sentence; `try name` runs it with set -e
# in a shell of its own and prints ok or not ok, and what it printed if it
# failed. Everything happens below one new directory, $T, which is unmounted and
# removed at the end, whatever happens.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
BANYANFS=${BANYANFS:-$top/build/banyanfs}
BANYAN=${BANYAN:-$top/build/banyan}
. "$top/tests/support/lib.sh"
. "$top/tests/support/rings.sh"

T=$(new_work) || exit 1
DB=$T/test.banyan
DIR=$T/dir
mkdir "$DIR"
chmod 755 "$T" # other users are to reach the mount
daemon=

# As in DIR, so below T only
is_mounted() { grep -qF " $1 " /proc/self/mountinfo; }

end_daemon() {
	[ -n "$daemon" ] || return 0
	kill_daemon "$daemon" 2>/dev/null
	{ wait "$daemon"; } 2>/dev/null || true
	daemon=
}

cleanup() {
	offer_as_before
	unmount_below "$T"
	end_daemon
	remove_work "$T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- FUSE over io_uring -------------------------------------------------------
# RINGS=1: the kernel offers it during the whole run, and each mount is to use it

came_by_rings() {
	[ -z "${RINGS-}" ] || grep -q '^transport  *io_uring$' "$DIR/.banyan/status"
}

need_rings() {
	if ! [ -w $OFFER ]; then
		echo "SKIPPED - all of ${0##*/}: this kernel has no FUSE over io_uring, or we are not root"
		echo "0 passed, 0 failed"
		exit 0
	fi
}

# await COMMAND...: until it succeeds. A machine that is busy may take its time.
await() {
	local until=$((SECONDS + 30))
	until "$@"; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.02
	done
}

serves() { is_mounted "$DIR" && stat "$DIR" >/dev/null && came_by_rings; }
serves_or_ended() { serves || ! kill -0 "$daemon" 2>/dev/null; }

# A daemon that dies before it has told its start takes the mount with it
is_lasting() { grep -q '^if it dies  *goes on$' "$DIR/.banyan/status"; }

# Mount in the foreground, so that the daemon's end can be waited for
mount_db() {
	# Over /dev/fuse otherwise
	[[ -z ${RINGS-} || ,${1-}, != *,survive,* ]] || set -- "$1,transport=uring"
	"$BANYANFS" "$DB" "$DIR" -f -o create${1:+,$1} 2>>"$T/stderr" &
	daemon=$!
	if await serves_or_ended && serves; then
		[[ ,${1-}, != *,survive,* ]] || await is_lasting
		return
	fi
	echo "# cannot mount: $(cat "$T/stderr")"
	return 1
}

# Returns the daemon's exit status: all is in the file then
umount_db() {
	local status
	umount "$DIR" 2>/dev/null || fusermount3 -u "$DIR" || return 1
	wait "$daemon"
	status=$?
	daemon=
	[ $status = 0 ] || echo "# the daemon ended with $status: $(cat "$T/stderr")"
	return $status
}

# An unmount returns before the daemon has closed the file
wait_closed() { "$BANYAN" freeze --wait=30 "$DB"; }

remount_db() { umount_db && mount_db "$@"; }

# not_ok_said SENTENCE FILE: with the beginning of what was said
not_ok_said() { not_ok "$1" "$(head -n 40 "$2")"; }

try() {
	local status
	(set -e; "$@") >"$T/output" 2>&1
	status=$?
	if [ $status = 0 ]; then ok "${*//_/ }"; else not_ok_said "${*//_/ }" "$T/output"; fi
}

# As try, for what counts requests: another process may make the kernel drop its caches
# meanwhile
try_thrice() {
	local i status
	for i in 1 2 3; do
		(set -e; "$1") >"$T/output.$i" 2>&1
		status=$?
		[ $status != 0 ] || break
	done
	if [ $status = 0 ]; then ok "${1//_/ }"; else not_ok_said "${1//_/ }" "$T/output.$i"; fi
}

# In a test: say what is wrong and end it
fail() { echo "$*"; exit 1; }
same() { [ "$1" = "$2" ] || fail "expected: $1, found: $2"; }
refuses() { if "$@"; then fail "was let through: $*"; fi; }

# Not if a sanitizer needs more than any limit, of which it need not report
can_be_limited() {
	{ (ulimit -v 60000 && ASAN_OPTIONS='' TSAN_OPTIONS='' "$BANYANFS" --version); } >/dev/null 2>&1
}

# four_copies_fit TREE: as many writers at a time bring it into the mount, whole
four_copies_fit() {
	local i pids=()
	for i in 1 2 3 4; do
		cp -a "$1" "$DIR/copy$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	for i in 1 2 3 4; do diff -r "$1" "$DIR/copy$i"; done
}

# All that can be seen of a tree but its contents. Names of links are counted by
# their group: the smallest name with the same inode.
listing() {
	(cd "$1" && find . -mindepth 1 -printf '%i\t%P\t%y %m %U %G %n %T@ %l\t%s %y\n') |
		sort -t "$(printf '\t')" -k1,1 -k2,2 |
		awk -F '\t' '{
			if ($1 != inode) { inode = $1; first = $2 }
			size = $4; if (size ~ / d$/) size = "-"
			print $2 "\t" $3 "\t" size "\t" first
		}' | sort
}

# No more in the kernel's caches: what is seen now comes from the daemon
drop_caches() {
	sync
	echo 3 2>/dev/null >/proc/sys/vm/drop_caches || return 1
}

need_fuse() {
	if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
		echo "SKIPPED - all of ${0##*/}: no access to /dev/fuse"
		echo "0 passed, 0 failed"
		exit 0
	fi
}
