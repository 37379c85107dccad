#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [KIND...] - run the tests of the kinds unit, tools, mount, layers; all
# of these if none is named. There is one more kind: planted, see planted.sh.
#
# A line a suite, the ends of the logs of those that failed, and at last
# "N passed, N failed" in single tests. A suite that dies, runs out of time or
# tells no result counts as one failed test more. The environment:
#   BUILD       where the binaries are (build); logs go to $BUILD/logs
#   TIME_LIMIT  seconds a suite may take (120)
#   UNDER       a command that runs the unit tests: valgrind and its options
#   V           1: print the logs, too

set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1

BUILD=${BUILD:-build}
TIME_LIMIT=${TIME_LIMIT:-120}
UNDER=${UNDER:-}
V=${V:-}
export BANYAN=$PWD/$BUILD/banyan BANYANFS=$PWD/$BUILD/banyanfs
unset CMOCKA_MESSAGE_OUTPUT CMOCKA_XML_FILE CMOCKA_TEST_FILTER

logs=$BUILD/logs
# Daemons have nobody to read what they print, and some are not waited for: what
# a sanitizer finds, in any process, goes to files
found=$PWD/$logs/found
export ASAN_OPTIONS=detect_leaks=1:log_path=$found
export TSAN_OPTIONS=log_path=$found
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$found
tail_lines=40
passed=0
failed=0
skipped=0
failed_logs=()

# Each sets suite_passed, suite_failed, suite_skipped from a log. They are sums:
# a program may run more than one group of tests.
sum()
{
	sed -nE "s/$1/\\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

count_cmocka()
{
	local log=$1 ok
	suite_passed=$(sum '^\[  PASSED  \] ([0-9]+) test\(s\)\.$' "$log")
	suite_failed=$(sum \
		'^\[  FAILED  \] .*\b([0-9]+) test\(s\), listed below:$' "$log")
	suite_skipped=$(sum \
		'^\[  SKIPPED \] .*\b([0-9]+) test\(s\), listed below:$' "$log")
	# One that died in a group has not summed that group up
	ok=$(grep -c '\[       OK \]' "$log")
	((ok <= suite_passed)) || suite_passed=$ok
	suite_begun=$(sum '^\[==========\] .*Running ([0-9]+) test\(s\)\.$' \
		"$log")
}

count_shell()
{
	local log=$1 last
	last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	suite_passed=0
	suite_failed=0
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
		suite_passed=${BASH_REMATCH[1]}
		suite_failed=${BASH_REMATCH[2]}
	else
		suite_silent=1
	fi
	suite_skipped=$(grep -ac '^SKIPPED' "$log")
}

# What says no number is one test: its exit status
count_status()
{
	suite_passed=$(($2 == 0))
	suite_failed=$(($2 != 0))
	suite_skipped=0
}

# Why the numbers alone do not tell: nothing printed if they do
trouble()
{
	local status=$1 seconds=$2
	local told=$((suite_passed + suite_failed + suite_skipped))
	if ((status == 124 || (status == 137 && seconds >= TIME_LIMIT))); then
		echo "ran out of time ($TIME_LIMIT s)"
	elif ((status == 126 || status == 127)); then
		echo "cannot be run"
	elif ((status != 0 && suite_failed == 0)); then
		echo "died with status $status"
	elif ((suite_silent || told == 0)); then
		echo "told no result"
	elif ((told < suite_begun)); then
		echo "ended before its tests did"
	elif ((suite_found)); then
		echo "a sanitizer found something"
	fi
}

# suite NAME COUNT COMMAND...
suite()
{
	local name=$1 count=$2 log status began=$SECONDS why result report
	log=$logs/${name//\//_}.log
	shift 2
	# The braces: bash need not say that one was killed, the line below does
	{ timeout -k 10 "$TIME_LIMIT" "$@" >"$log" 2>&1 </dev/null; } 2>/dev/null
	status=$?
	suite_silent=0
	suite_begun=0
	suite_found=0
	for report in "$found".*; do
		cat "$report" >>"$log" && rm "$report"
		suite_found=1
	done
	[[ -z $V ]] || cat "$log"
	"$count" "$log" $status
	why=$(trouble $status $((SECONDS - began)))
	[[ -z $why ]] || suite_failed=$((suite_failed + 1))

	passed=$((passed + suite_passed))
	failed=$((failed + suite_failed))
	skipped=$((skipped + suite_skipped))
	result=ok
	if ((suite_failed)); then
		result=FAILED
		failed_logs+=("$log")
	fi
	printf '%-6s %-28s %4d passed, %d failed%s %3d s%s\n' $result "$name" \
		"$suite_passed" "$suite_failed" "$(and_skipped "$suite_skipped")" \
		$((SECONDS - began)) "${why:+: $why}"
}

and_skipped()
{
	(($1 == 0)) || echo ", $1 skipped"
}

skip()
{
	skipped=$((skipped + 1))
	printf '%-6s %-28s NOT RUN: %s\n' SKIP "$1" "$2"
}

# ---- the kinds --------------------------------------------------------------

# By the sources: a binary that was not built fails, one whose source has gone
# is not run
run_unit()
{
	local source name
	for source in tests/*/test_*.c tests/unit/*/test_*.c; do
		name=${source#tests/}
		name=${name%.c}
		# shellcheck disable=SC2086 # a command and its options
		suite "$name" count_cmocka $UNDER "$BUILD/tests/$name"
	done
}

run_tools()
{
	local script name
	for script in tests/tools/*.sh; do
		name=${script#tests/}
		name=${name%.sh}
		if [[ $name != tools/test_reader ]] ||
			command -v python3 >/dev/null; then
			suite "$name" count_shell bash "$script"
		else
			skip "$name" "there is no python3"
		fi
	done
}

has_fuse()
{
	{ : <>/dev/fuse; } 2>/dev/null
}

run_mount()
{
	local script name
	for script in tests/mount/*.sh; do
		name=${script##*/}
		name=mount/${name%.sh}
		[[ $name == mount/lib ]] && continue
		if has_fuse; then
			suite "$name" count_shell bash "$script"
		else
			skip "$name" "/dev/fuse cannot be opened"
		fi
	done
}

run_planted()
{
	suite planted count_shell bash tests/planted.sh
}

run_layers()
{
	suite check_layers count_status bash tests/check_layers.sh
}

# -----------------------------------------------------------------------------

shopt -s nullglob
rm -rf "$logs"
mkdir -p "$logs" || exit 1
[[ $# -gt 0 ]] || set -- layers unit tools mount
for kind in "$@"; do
	"run_$kind"
done

for log in "${failed_logs[@]}"; do
	printf '\n---- the end of %s\n' "$log"
	tail -n $tail_lines "$log"
done
((${#failed_logs[@]} == 0)) || echo
if ((passed + failed == 0)); then
	echo "no test was run"
	failed=1
fi
echo "$passed passed, $failed failed$(and_skipped $skipped)"
((failed == 0))
