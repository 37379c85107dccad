#!/bin/bash
# SPDX-License-Identifier: MIT
# A mount whose daemon is replaced by another program, or dies of a request. (survive.sh
# kills it at any time.)
. "$(dirname "$0")/lib.sh"
need_fuse

status_of() { sed -n "s/^$1  *//p" "$DIR/.banyan/status"; }

# What has to go on: a file, one that is deleted and open, a lock, a listing
open_some() {
	echo hello >"$DIR/a"
	exec 7>"$DIR/deleted"
	echo before >&7
	rm "$DIR/deleted"
}

goes_on() {
	same hello "$(cat "$DIR/a")"
	echo after >&7
	same 0 "$(stat -L -c %h "/proc/$BASHPID/fd/7")"
	same "before after" "$(tr '\n' ' ' <"/proc/$BASHPID/fd/7" | sed 's/ $//')"
	exec 7>&-
}

the_program_is_replaced_and_the_mount_goes_on() {
	rm -f "$DB"
	mount_db survive
	open_some
	local i worker
	for i in 1 2 3; do
		worker=$(worker_of "$daemon")
		"$BANYAN" restart "$DIR"
		[ "$worker" != "$(worker_of "$daemon")" ] || fail "the same daemon"
	done
	same 3 "$(status_of replaced)"
	# nor does one of them keep a file that a vacuum has replaced
	"$BANYAN" vacuum "$DIR" >"$T/said"
	same "" "$(find "/proc/$daemon/fd" "/proc/$(worker_of "$daemon")/fd" \
		-lname '*test.banyan (deleted)')"
	goes_on
	umount_db
	"$BANYAN" check "$DB"
	[ -z "$(find "$T" -maxdepth 1 -name '.*banyan-*')" ]
}

one_in_the_background_is_replaced_too() {
	(cd "$T" && "$BANYANFS" test.banyan dir -o survive)
	open_some
	"$BANYAN" restart "$DIR"
	goes_on
	"$BANYAN" umount "$DIR"
	! is_mounted "$DIR"
}

callers_do_not_notice() {
	mount_db survive
	local writer i
	(i=0; while echo "$i" >"$DIR/f$((i % 50))" && mv "$DIR/f$((i % 50))" "$DIR/g$((i % 50))" &&
		[ "$(cat "$DIR/g$((i % 50))")" = "$i" ]; do i=$((i + 1)); done) 2>"$T/said" &
	writer=$!
	for i in $(seq "${BANYAN_ROUNDS:-5}"); do
		"$BANYAN" restart "$DIR"
		sleep 0.1
	done
	kill -0 $writer || fail "the writer has failed: $(cat "$T/said")"
	kill $writer
	wait $writer || true
	# a child of its may still be at work
	for _ in $(seq 100); do umount "$DIR" 2>/dev/null && break; sleep 0.1; done
	wait "$daemon"
	daemon=
	"$BANYAN" check "$DB"
}

a_program_that_cannot_be_run_is_not_begun() {
	cp "$BANYANFS" "$T/banyanfs"
	local BANYANFS=$T/banyanfs
	mount_db survive
	open_some
	echo "no program" >"$T/new"
	chmod +x "$T/new"
	mv "$T/new" "$T/banyanfs"
	refuses "$BANYAN" restart "$DIR" 2>"$T/said"
	grep -q "cannot be run; the old one goes on" "$T/said" || fail "$(cat "$T/said")"
	goes_on
	umount_db
}

where_it_cannot_be_it_is_said() {
	mount_db nosurvive
	refuses "$BANYAN" restart "$DIR" 2>"$T/said"
	grep -q "this mount ends with its daemon" "$T/said" || fail "$(cat "$T/said")"
	same ends "$(status_of "if it dies")"
	umount_db
	refuses "$BANYAN" restart "$DB" 2>"$T/said"
	grep -q "is not mounted" "$T/said" || fail "$(cat "$T/said")"
}

# mount_injecting FAULT [OPTIONS]: into the system call that only statfs makes
mount_injecting() {
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -e trace=fstatfs -e "inject=fstatfs:$1" -o "$T/trace" \
		"$BANYANFS" "$DB" "$DIR" -f -o "create,survive${2:+,$2}" 2>"$T/stderr" &
	daemon=$!
	await is_mounted "$DIR"
	await is_lasting
}

a_request_that_kills_each_daemon_is_refused() {
	mount_injecting signal=SIGABRT # a sanitizer has a handler for SIGSEGV
	open_some
	refuses timeout 30 stat -f "$DIR" 2>"$T/said"
	grep -q "Input/output error" "$T/said" || fail "$(cat "$T/said")"
	grep -q "3 daemons died of one request" "$T/stderr" || fail "$(cat "$T/stderr")"
	same 3 "$(status_of "died so often")"
	same Aborted "$(status_of of)"
	goes_on
	umount_db
}

a_daemon_that_hangs_is_ended_if_somebody_watches() {
	mount_injecting signal=SIGSTOP watchdog=1
	open_some
	refuses timeout 30 stat -f "$DIR" 2>"$T/said"
	grep -q "Input/output error" "$T/said" || fail "$(cat "$T/said")"
	grep -q "a request takes longer than 1 s" "$T/stderr" || fail "$(cat "$T/stderr")"
	goes_on
	umount_db
}

try the_program_is_replaced_and_the_mount_goes_on
try one_in_the_background_is_replaced_too
try callers_do_not_notice
try a_program_that_cannot_be_run_is_not_begun
try where_it_cannot_be_it_is_said
try a_request_that_kills_each_daemon_is_refused
try a_daemon_that_hangs_is_ended_if_somebody_watches
finish
