# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# survive_lib.sh - what the tests of a mount that outlives its daemon share, besides
# lib.sh; to be sourced behind it.
#
# With -f the daemon that mount_db starts is the supervisor; its child is the worker,
# in which killer.c is loaded.

SEED=${BANYAN_SEED:-$RANDOM}
RANDOM=$SEED
echo "# seed $SEED"

need_survival() {
	local major minor
	IFS=. read -r major minor _ < <(uname -r)
	if [ "$(id -u)" != 0 ] ||
		((major < 6 || (major == 6 && ${minor%%[!0-9]*} < 9))); then
		echo "SKIPPED - all of ${0##*/}: deaths are not survived before Linux 6.9, or we are not root"
		echo "0 passed, 0 failed"
		exit 0
	fi
}

# A program with the library in it; a sanitizer's library has to be before it
build_helpers() {
	local sanitizer
	${CC:-cc} -O2 -shared -fPIC -o "$T/killer.so" "$here/killer.c" || return 1
	${CC:-cc} -O2 -o "$T/player" "$here/player.c" || return 1
	${CC:-cc} -O2 -o "$T/once" "$here/once.c" || return 1
	sanitizer=$(ldd "$BANYANFS" | awk '/lib[at]san/ { print $3 }')
	cat >"$T/banyanfs" <<-END
		#!/bin/sh
		ulimit -c 0
		KILLER_FILE='$T/killer' LD_PRELOAD='${sanitizer:+$sanitizer:}$T/killer.so' exec '$BANYANFS' "\$@"
	END
	chmod +x "$T/banyanfs"
	BANYANFS=$T/banyanfs
}

# ---- the library's file ----------------------------------------------------------

POINTS=(read append_part appended answer answered sync synced)

# Numbers of 64 bits in the file, from the first on; not cut first, as it is mapped
put_numbers() {
	local n hex i out=
	for n in "$@"; do
		printf -v hex %016x "$n"
		for ((i = 14; i >= 0; i -= 2)); do out+="\\x${hex:i:2}"; done
	done
	printf "$out" 1<>"$T/killer"
}

# die_at POINT|all [TIMES [PROBABILITY]]: in a million
die_at() {
	local i points=$(((1 << ${#POINTS[@]}) - 1))
	for i in "${!POINTS[@]}"; do
		[ "${POINTS[i]}" != "$1" ] || points=$((1 << i))
	done
	put_numbers "${3:-1000000}" $points "${2:-1}"
}

die_no_more() { put_numbers 0 0 0; }
new_killer() {
	rm -f "$T/killer"
	: >"$T/killer"
	put_numbers 0 0 0 "$SEED" 0 0 0 0 0 0 0 0 0 0 0 0 0 0
}

# Prints how often it died at which point
deaths_by_point() {
	local v i
	read -r -d '' -a v < <(od -An -v -t u8 -w8 "$T/killer")
	for i in "${!POINTS[@]}"; do
		printf '%s %s of %s  ' "${POINTS[i]}" "${v[11 + i]}" "${v[4 + i]}"
	done
	echo
}

# ---- the worker ------------------------------------------------------------------

# Prints nothing while there is none
worker() {
	local pid
	pid=$(worker_of "$daemon")
	[ "$pid" = "$daemon" ] || echo "$pid"
}

# kill_worker [SIGNAL]: if there is one
kill_worker() {
	local pid
	pid=$(worker)
	[ -z "$pid" ] || kill "-${1:-KILL}" $pid 2>/dev/null || true
}

# kill_for SECONDS LEAST MOST: at random, each so many milliseconds. Now and then one is
# let serve: after 20 that have not the mount ends.
kill_for() {
	local end=$(($(date +%s%N) + $1 * 1000000000)) signals=(KILL KILL ABRT) ms n=0
	while [ "$(date +%s%N)" -lt $end ]; do
		ms=$(($2 + RANDOM % ($3 - $2)))
		sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
		kill_worker "${signals[RANDOM % 3]}"
		((++n % 5)) || timeout 20 stat -f "$DIR" >/dev/null || return 1
	done
}

# A number in the status
status_of() { sed -n "s/^$1  *\([0-9]*\).*/\1/p" "$DIR/.banyan/status"; }

# ---- what is left ----------------------------------------------------------------

# All that can be seen of the mount
tell_all() {
	listing "$1"
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
	(cd "$1" && find . ! -type l -print0 | sort -z | xargs -0 -r getfattr -d 2>/dev/null)
}

# The kernel forgets all, and so does the daemon: no FORGET was lost
nothing_is_held() {
	local held
	for _ in $(seq 50); do
		drop_caches
		held=$(status_of inodes)
		[ "$held" -gt 3 ] || return 0
		sleep 0.1
	done
	fail "$held inodes are held"
}

nothing_is_left_behind() {
	is_sound
	same "" "$(find "$T" -maxdepth 1 -name '.*banyan*')"
}

# Nothing is to be done at the next open
is_sound() {
	"$BANYAN" check "$DB" >"$T/check" 2>&1 || fail "$(cat "$T/check")"
	grep -q ': sound' "$T/check" && ! grep -q ' after it' "$T/check" || fail "$(cat "$T/check")"
}

# What is seen is what is in the file
it_ends_as_if_nothing_had_been() {
	nothing_is_held
	tell_all "$DIR" >"$T/before"
	umount_db
	nothing_is_left_behind
	mount_db survive
	tell_all "$DIR" | diff "$T/before" -
	umount_db
	rm -f "$DB"
}

# fresh [OPTIONS]: a new database is mounted; a test that failed may have left its own
fresh() {
	unmount_below "$T"
	rm -f "$DB" "$T/stderr"
	new_killer
	mount_db "${1:-survive}"
}
