#!/bin/bash
# SPDX-License-Identifier: MIT
# kill -9 of the daemon in the middle of writing: everything that close(2) and
# others had returned for is there afterwards, and the file is sound.
# Usage: crash.sh [ROUNDS]   (default $BANYAN_ROUNDS, or 3)
. "$(dirname "$0")/lib.sh"
need_fuse
ROUNDS=${1:-${BANYAN_ROUNDS:-3}}
SEED=${BANYAN_SEED:-$RANDOM}
RANDOM=$SEED

# Kill so many seconds after two writers have begun
crash() {
	mkdir -p "$DIR/round$1"
	python3 -B "$here/writer.py" write "$DIR/round$1" "$T/log$1" "$SEED" &
	local writer=$!
	cp -a /usr/include "$DIR/round$1/include" 2>/dev/null &
	local copier=$!
	await test -s "$T/log$1" || not_ok "the writer writes in round $1"
	sleep "$2"
	end_daemon
	wait $writer $copier
	umount -l "$DIR"
}

nothing_that_had_returned_is_lost() {
	python3 -B "$here/writer.py" check "$DIR/round$1" "$T/log$1" "$SEED"
}

check() { "$BANYAN" check "$DB"; }

for round in $(seq "$ROUNDS"); do
	wait_for=0.$((RANDOM % 8 + 1))
	echo "# round $round: killed after $wait_for s (seed $SEED)"
	mount_db || { not_ok_said "mounts after a crash" "$T/stderr"; break; }
	for r in $(seq $((round - 1))); do
		[ "$r" -lt $((round - 2)) ] && continue
		try nothing_that_had_returned_is_lost "$r"
	done
	crash "$round" "$wait_for"
	try check
done
mount_db || not_ok_said "mounts after a crash" "$T/stderr"
for r in $(seq "$ROUNDS"); do
	try nothing_that_had_returned_is_lost "$r"
done
if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
try check
finish
