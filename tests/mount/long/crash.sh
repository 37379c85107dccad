#!/bin/bash
# SPDX-License-Identifier: MIT
# ROUNDS (50) of kill -9 of the daemon while two writers, sqlite3, cp and rm are at work,
# every fifth time during a vacuum, too. After each the file is sound, and all is there
# for which write, rename, unlink, or a commit of sqlite3 had returned.
. "$(dirname "$0")/lib.sh"
ROUNDS=${BANYAN_ROUNDS:-50}
SEED=${BANYAN_SEED:-$RANDOM}
RANDOM=$SEED

# load ROUND: starts what works; their ids are in jobs
load() {
	local i
	jobs=()
	rm -f "$T/log1" "$T/log2"
	for i in 1 2; do
		mkdir "$DIR/$1.$i"
		python3 -B "$here/writer.py" write "$DIR/$1.$i" "$T/log$i" "$SEED$i" &
		jobs+=($!)
	done
	cp -a /usr/include/linux "$DIR/$1.tree" 2>/dev/null &
	jobs+=($!)
	(rm -rf "$DIR/$(($1 - 1)).tree" 2>/dev/null) &
	jobs+=($!)
	if command -v sqlite3 >/dev/null; then
		insert_rows "$DIR/sqlite" "$T/acks" "$([ $(($1 % 2)) = 0 ] && echo wal || echo delete)" &
		jobs+=($!)
	fi
	[ $(($1 % 5)) != 0 ] || "$BANYAN" vacuum "$DB" >/dev/null 2>&1 &
	jobs+=($!)
}

nothing_that_had_returned_is_lost() {
	local i
	for i in 1 2; do
		python3 -B "$here/writer.py" check "$DIR/$1.$i" "$T/log$i" "$SEED$i"
	done
	[ ! -e "$DIR/sqlite" ] || rows_are_there "$DIR/sqlite" "$T/acks"
	rm -rf "$DIR/$1".[12]
}

for round in $(seq "$ROUNDS"); do
	begin
	load "$round"
	await test -s "$T/log2" || not_ok "the writers write in round $round"
	sleep 0.$((RANDOM % 8 + 1))
	end_daemon
	wait "${jobs[@]}"
	umount -l "$DIR"
	try "$BANYAN" check "$DB"
	begin
	try nothing_that_had_returned_is_lost "$round"
	umount_db || not_ok "unmounts in round $round (seed $SEED)"
	[ "$(stat -c %s "$DB")" -lt 300000000 ] || "$BANYAN" vacuum "$DB" >/dev/null
done
finish
