#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [KIND...] - run the suites of these kinds, in parallel; of all kinds but
# planted if none is named. A kind is a folder of tests/ (unit, unit/tree, crash,
# mount ...), layers (check_layers.sh) or planted (planted.sh).
#
# It prints a line for each suite when the suite ends, then the tests that failed
# with what they said (or the ends of the logs), and last "N passed, N failed" in
# single tests. A suite that dies, runs out of time or reports no result counts as
# one failed test more. SIGINT and SIGTERM end all suites. The environment:
#   BUILD       where the binaries are (build); logs go to $BUILD/logs
#   JOBS        how many suites run at a time (the number of CPUs)
#   TIME_LIMIT  seconds a suite may take (300)
#   UNDER       a command that runs the tests in C: valgrind and its options
#   V           1: print the logs, too
#   RINGS       1: mounts use FUSE over io_uring, which the kernel is told to offer
#               while this runs. Suites of mount/long ask for one transport each.

set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
. tests/support/rings.sh

BUILD=${BUILD:-build}
JOBS=${JOBS:-$(nproc 2>/dev/null || echo 1)}
TIME_LIMIT=${TIME_LIMIT:-300}
UNDER=${UNDER:-}
V=${V:-}
export RINGS=${RINGS:-}
export BANYAN=$PWD/$BUILD/banyan BANYANFS=$PWD/$BUILD/banyanfs
unset CMOCKA_MESSAGE_OUTPUT CMOCKA_XML_FILE CMOCKA_TEST_FILTER

logs=$PWD/$BUILD/logs
tail_lines=40

# The suites that take longest: they begin first, so that none of them runs by
# itself at the end
longest='tools/test_reader crash/test_powercut tools/import_test
	crash/test_damage mount/past mount/calls tools/tools_test mount/start
	unit/engine/test_replay crash/test_faults crash/test_no_memory
	unit/repair/test_salvage_memory unit/repair/test_salvage'
# Suites that another one can make fail (by dropping the kernel's caches, by taking
# CPU time): they run at the end, one at a time
alone="mount/requests mount/long/scale.workers mount/long/scale.uring"

# ---- one suite --------------------------------------------------------------

# Each count_* sets suite_passed, suite_failed, suite_skipped from a log. They
# are sums: a program may run more than one group of tests.
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

# For a suite that prints no number: it is one test, its exit status tells
count_status()
{
	suite_passed=$(($2 == 0))
	suite_failed=$(($2 != 0))
	suite_skipped=0
}

# Prints what is wrong with a suite beside its failed tests, if anything is
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

# collect FOUND LOG: append the reports of sanitizers to a log; 1 if there is none
collect()
{
	local report found=1
	for report in "$1".*; do
		cat "$report" >>"$2" && rm "$report"
		found=0
	done
	return $found
}

# run_suite NAME COUNT COMMAND...: leaves $logs/NAME.log, and $logs/NAME.result:
# numbers of passed, failed and skipped tests
run_suite()
{
	local name=$1 count=$2 file=$logs/${1//\//.} began=$SECONDS status why
	local log=$file.log result=ok
	shift 2
	# Daemons have nobody to read what they print, and some outlive their
	# suite: sanitizers report to files. `env`: a job in the background
	# ignores SIGINT and SIGQUIT, its tests should not.
	ASAN_OPTIONS=detect_leaks=1:log_path=$file.found \
	TSAN_OPTIONS=log_path=$file.found \
	UBSAN_OPTIONS=print_stacktrace=1:log_path=$file.found \
		env --default-signal=INT,QUIT timeout -k 10 "$TIME_LIMIT" "$@" \
		>"$log" 2>&1 </dev/null &
	running=$!
	# The braces: bash need not say that one was killed, the line below does
	{ wait $running; } 2>/dev/null
	status=$?
	running=
	suite_silent=0
	suite_begun=0
	suite_found=0
	! collect "$file.found" "$log" || suite_found=1
	"$count" "$log" $status
	why=$(trouble $status $((SECONDS - began)))
	[[ -z $why ]] || suite_failed=$((suite_failed + 1))
	((suite_failed == 0)) || result=FAILED
	echo "$suite_passed $suite_failed $suite_skipped" >"$file.result"
	{
		flock 9
		[[ -z $V ]] || cat "$log"
		printf '%-6s %-33s %4d passed, %d failed%s %3d s%s\n' $result \
			"$name" "$suite_passed" "$suite_failed" \
			"$(and_skipped "$suite_skipped")" \
			$((SECONDS - began)) "${why:+: $why}"
	} 9>"$logs/lock"
}

and_skipped()
{
	(($1 == 0)) || echo ", $1 skipped"
}

# ---- which suites there are -------------------------------------------------

declare -A counts commands # of a suite, by its name
names=()
skipped=0

# add NAME COUNT COMMAND
add()
{
	[[ ! -v counts[$1] ]] || return
	names+=("$1")
	counts[$1]=$2
	commands[$1]=$3
}

skip()
{
	skipped=$((skipped + 1))
	printf '%-6s %-33s NOT RUN: %s\n' SKIP "$1" "$2"
}

# Prints why a suite in bash cannot run here, if so
obstacle()
{
	case $1 in
	mount/long/*.uring)
		if [[ ! -w $OFFER ]]; then
			echo "no FUSE over io_uring in this kernel, or not root"
		fi
		;;
	mount/*)
		if ! { : <>/dev/fuse; } 2>/dev/null; then
			echo "/dev/fuse cannot be opened"
		elif [[ -n $RINGS && ! -w $OFFER ]]; then
			echo "no FUSE over io_uring in this kernel, or not root"
		elif [[ -n $RINGS && $1 == mount/uring ]]; then
			echo "it changes what the kernel offers"
		fi
		;;
	tools/test_reader)
		command -v python3 >/dev/null || echo "there is no python3"
		;;
	esac
}

# By the sources: a test that was not built fails, one whose source has gone is
# not run
add_folder()
{
	local source name transport
	for source in tests/"$1"/test_*.c tests/"$1"/*/test_*.c; do
		name=${source#tests/}
		name=${name%.c}
		add "$name" count_cmocka "$UNDER $BUILD/tests/$name"
	done
	[[ $1 == mount || $1 == mount/long || $1 == tools ]] || return
	for source in tests/"$1"/*.sh; do
		name=${source#tests/}
		name=${name%.sh}
		[[ $name != */lib && $name != *_lib ]] || continue
		if [[ $1 == mount/long ]]; then
			for transport in workers uring; do
				add_shell "$name.$transport" \
					"env TRANSPORT=$transport bash $source"
			done
		else
			add_shell "$name" "bash $source"
		fi
	done
}

# add_shell NAME COMMAND: unless it cannot be run here
add_shell()
{
	local why
	why=$(obstacle "$1")
	if [[ -z $why ]]; then
		add "$1" count_shell "$2"
	else
		skip "$1" "$why"
	fi
}

add_kind()
{
	local before=${#names[@]}
	case $1 in
	layers)
		add check_layers count_status "bash tests/check_layers.sh"
		add test_check_layers count_shell "bash tests/test_check_layers.sh"
		# They take an hour; that each still can be planted, seconds
		add planted_look count_shell "bash tests/planted.sh --look"
		;;
	planted) add planted count_shell "bash tests/planted.sh" ;;
	*) add_folder "${1%/}" ;;
	esac
	((${#names[@]} + skipped > before)) || {
		echo "run.sh: there are no suites of kind $1" >&2
		exit 1
	}
}

# ---- all of them ------------------------------------------------------------

# Each worker takes the next suite that no other has taken
work()
{
	local name
	running=
	trap '[[ -z $running ]] || { kill $running; wait $running; }; exit 1' \
		TERM
	for name in "$@"; do
		mkdir "$logs/${name//\//.}.taken" 2>/dev/null || continue
		# shellcheck disable=SC2086 # a command and its arguments
		run_suite "$name" "${counts[$name]}" ${commands[$name]}
	done
}

workers=()

end_workers()
{
	trap '' INT TERM HUP
	((${#workers[@]} == 0)) || kill "${workers[@]}" 2>/dev/null
	wait
	echo "run.sh: interrupted" >&2
	exit 130
}

# run_together JOBS NAME...
run_together()
{
	local i jobs=$1
	shift
	workers=()
	for ((i = 0; i < jobs && i < $#; i++)); do
		work "$@" &
		workers+=($!)
	done
	wait
	workers=()
}

# ordered: sets together and last to the names, in the order in which they run
ordered()
{
	local name
	together=()
	last=()
	for name in $longest "${names[@]}"; do
		[[ -v counts[$name] && " ${together[*]} " != *" $name "* ]] ||
			continue
		if [[ " $alone " == *" $name "* ]]; then
			last+=("$name")
		else
			together+=("$name")
		fi
	done
}

# failures LOG: the tests that failed and what they said, or else the log's end
failures()
{
	grep -aE -A 15 '^not ok ' "$1" | head -n 100
	((PIPESTATUS[0] == 0)) || tail -n $tail_lines "$1"
}

# report: prints the logs of suites that failed and the numbers of tests; 1 if
# any failed
report()
{
	local name file passed=0 failed=0
	for name in "${names[@]}"; do
		file=$logs/${name//\//.}
		if ! read -r suite_passed suite_failed suite_skipped \
			<"$file.result"; then
			echo "FAILED $name was not run to its end"
			suite_passed=0 suite_failed=1 suite_skipped=0
		fi
		# From a daemon that has outlived its suite
		if collect "$file.found" "$file.log"; then
			echo "FAILED $name: a sanitizer found something later"
			suite_failed=$((suite_failed + 1))
		fi
		passed=$((passed + suite_passed))
		failed=$((failed + suite_failed))
		skipped=$((skipped + suite_skipped))
		if ((suite_failed)); then
			printf '\n---- failures in %s\n' "$file.log"
			failures "$file.log"
		fi
	done
	if ((passed + failed == 0)); then
		echo "no test was run"
		failed=1
	fi
	echo "$passed passed, $failed failed$(and_skipped $skipped)"
	((failed == 0))
}

# A function, so that bash has read all of this file before suites run
main()
{
	local kind
	shopt -s nullglob
	rm -rf "$logs"
	mkdir -p "$logs" || exit 1
	for kind in "$@"; do
		add_kind "$kind"
	done
	ordered
	trap end_workers INT TERM HUP
	if [[ -n $RINGS && -w $OFFER ]]; then
		trap offer_as_before EXIT
		offer_rings Y
	fi
	run_together "$JOBS" "${together[@]}"
	run_together 1 "${last[@]}"
	report
}

(($# > 0)) || set -- layers unit model crash support fuzz golden tools mount
main "$@"
exit
