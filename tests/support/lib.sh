# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# lib.sh - what the suites in bash share; to be sourced.
#
# A suite prints "ok" or "not ok" and a sentence for each test and at last how
# many passed and failed; it exits 1 if any failed.

passed=0
failed=0
skipped=0

# What is told of a test, its sentence aside: a line or more each
details()
{
	(($# == 0)) || printf '%s\n' "$@" | sed 's/^/    /'
}

# ok SENTENCE [DETAIL...]
ok()
{
	passed=$((passed + 1))
	echo "ok $1"
	details "${@:2}"
}

# not_ok SENTENCE [DETAIL...]
not_ok()
{
	failed=$((failed + 1))
	echo "not ok $1"
	details "${@:2}"
}

# skip SENTENCE WHY
skip()
{
	skipped=$((skipped + 1))
	echo "SKIPPED - $1: $2"
}

# stop_process PID: a thread that the signal has not reached yet may still take up
# work, so return when none is left
stop_process()
{
	kill -STOP "$1" || return 1
	while grep -q '^State:[[:space:]]*[^[:space:]Tt]' /proc/"$1"/task/*/status; do
		sleep 0.01
	done
}

# worker_of PID: the process that serves the mount, where PID is that banyanfs which
# outlives it (or serves itself)
worker_of()
{
	local child children=
	read -r children 2>/dev/null <"/proc/$1/task/$1/children" || true
	for child in $children; do
		grep -qsx banyanfs-rings "/proc/$child/comm" || { echo "$child"; return; }
	done
	echo "$1"
}

# supervisor_of PID: the reverse
supervisor_of()
{
	local parent
	parent=$(ps -o ppid= -p "$1" | tr -d ' ')
	if [ "$(cat "/proc/$parent/comm" 2>/dev/null)" = banyanfs ]; then
		echo "$parent"
	else
		echo "$1"
	fi
}

# kill_daemon PID: any of its processes is given, and all die at once
kill_daemon()
{
	local supervisor worker
	supervisor=$(supervisor_of "$1")
	kill -STOP "$supervisor" || return 1
	worker=$(worker_of "$supervisor")
	kill -9 "$worker"
	[ "$worker" = "$supervisor" ] || kill -9 "$supervisor"
}

# is SENTENCE EXPECTED GOT
is()
{
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		not_ok "$1" "expected: ${2:0:1000}" "got: ${3:0:1000}"
	fi
}

# like SENTENCE PATTERN GOT: an extended regular expression, for all of it
like()
{
	if [[ $3 =~ ^($2)$ ]]; then
		ok "$1"
	else
		not_ok "$1" "pattern: $2" "got: $3"
	fi
}

# holds SENTENCE COMMAND...: it succeeds; what it prints is shown if not
holds()
{
	local sentence=$1
	shift
	if "$@" >out 2>&1; then
		ok "$sentence"
	else
		not_ok "$sentence" "$* failed with $?" "$(tail -n 5 out)"
	fi
}

# So many bytes that nothing makes smaller
noise() { head -c "$1" /dev/urandom; }

# sound SENTENCE FILE [OPTION...]: banyan check says so, and nothing else
sound()
{
	local sentence=$1 file=$2 got
	shift 2
	got=$("$BANYAN" check "$@" "$file" 2>&1; echo "status $?")
	like "$sentence" \
		"${file//./\\.}: sound (up to|at) freeze [^"$'\n'"]*"$'\n'"status 0" \
		"$got"
}

# The last line of a suite, and its end
finish()
{
	((skipped == 0)) || echo "# $skipped skipped"
	echo "$passed passed, $failed failed"
	exit $((failed > 0))
}

can_mount() { [[ -r /dev/fuse && -w /dev/fuse && -x $BANYANFS ]]; }

# daemon_of FILE: prints the id of a process that has the file open
daemon_of()
{
	local pid
	pid=$(find /proc/[0-9]*/fd -lname "$1" -printf '%h\n' 2>/dev/null |
		sed -n '1s|^/proc/\([0-9]*\)/fd$|\1|p')
	[ -z "$pid" ] || worker_of "$pid"
}

# Prints a new directory; its name tells which suite has made it
new_work()
{
	local name=${0##*/}
	realpath "$(mktemp -d "${TMPDIR:-/tmp}/banyan-${name%.sh}.XXXXXX")"
}

# unmount_below DIRECTORY: whatever is mounted there, in use or not
unmount_below()
{
	local point
	# In the form of the list of mounts; the last one first, as it may lie in
	# another
	while read -r point; do
		point=$(printf '%b' "${point//\\/\\0}") # of \040 it makes a blank
		umount -l "$point" 2>/dev/null || fusermount3 -u -z "$point"
	done < <(top=${1// /\\040}/ awk \
		'index($5, ENVIRON["top"]) == 1 { print $5 }' \
		/proc/self/mountinfo | tac)
}

remove_work()
{
	unmount_below "$1"
	rm -rf --one-file-system "$1"
}

# Work in a directory $work of the suite's own; it goes when the suite ends,
# however it does
enter_work()
{
	work=$(new_work) && cd "$work" || exit 1
	trap 'cd /; remove_work "$work"' EXIT
}
