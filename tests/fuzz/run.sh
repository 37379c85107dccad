#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh [TARGET...] - run the fuzzers, one after another; all if none is named.
#
# A line a target, and the ends of the logs of those that found something. What
# they have learnt is kept in $BUILD/corpus; inputs that crash go to
# $BUILD/crashes: mend what they show, then give them a telling name below
# tests/fuzz/corpus/TARGET, where `make check` runs them for ever. The environment:
#   BUILD         where the fuzzers are (build/fuzz)
#   FUZZ_SECONDS  how long each runs (60)

set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1

BUILD=${BUILD:-build/fuzz}
FUZZ_SECONDS=${FUZZ_SECONDS:-60}
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

number()
{
	sed -nE "s/^stat::$1: *([0-9]+).*/\1/p" "$2" | tail -n 1
}

# The last "cov:" that it printed: edges of code that were seen
coverage()
{
	sed -nE 's/.* cov: ([0-9]+).*/\1/p' "$1" | tail -n 1
}

# Leaves the log, says 1 if something was found
fuzz()
{
	local name=$1 log=$BUILD/$1.log
	local learnt=$BUILD/corpus/$1 seeds=$BUILD/seeds/$1
	mkdir -p "$learnt" "$seeds" "$BUILD/crashes" "tests/fuzz/corpus/$1"
	nice -n 5 "$BUILD/tests/fuzz/fuzz_$name" -max_total_time="$FUZZ_SECONDS" \
		-print_final_stats=1 -timeout=20 -rss_limit_mb=4096 \
		-max_len=8192 -artifact_prefix="$BUILD/crashes/$name-" \
		"$learnt" "tests/fuzz/corpus/$name" "$seeds" >"$log" 2>&1
}

result=0
# Seeds of today's format go beside those that are kept
"$BUILD/tests/fuzz/make_seeds" "$BUILD/seeds" || exit 1
if (($# == 0)); then
	for source in tests/fuzz/target_*.c; do
		name=${source##*/target_}
		set -- "$@" "${name%.c}"
	done
fi
for name in "$@"; do
	if [[ ! -x $BUILD/tests/fuzz/fuzz_$name ]]; then
		echo "there is no target $name" >&2
		exit 1
	fi
	verdict=ok
	fuzz "$name" || verdict=FOUND
	printf '%-6s %-8s %9s inputs, %6s a second, %6s edges seen, %5s MiB\n' \
		$verdict "$name" "$(number number_of_executed_units "$BUILD/$name.log")" \
		"$(number average_exec_per_sec "$BUILD/$name.log")" \
		"$(coverage "$BUILD/$name.log")" \
		"$(number peak_rss_mb "$BUILD/$name.log")"
	if [[ $verdict != ok ]]; then
		result=1
		tail -n 40 "$BUILD/$name.log"
	fi
done
exit $result
