#!/bin/bash
# SPDX-License-Identifier: MIT
#
# minimise.sh - add to tests/fuzz/corpus/ the few inputs that together lead to all
# code that `make fuzz` has come to and that the corpus does not lead to yet.
#
# New files are called after their contents. Files with other names are there
# for a reason and stay. ANEW=1 drops the former first: after the format has
# changed, when the old inputs lead nowhere.

set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build/fuzz}
export ASAN_OPTIONS=allocator_may_return_null=1

for source in tests/fuzz/target_*.c; do
	name=${source##*/target_}
	name=${name%.c}
	kept=tests/fuzz/corpus/$name
	mkdir -p "$kept" "$BUILD/corpus/$name" "$BUILD/seeds/$name"
	if [[ ${ANEW:-} ]]; then
		find "$kept" -type f -regextype egrep \
			-regex '.*/[0-9a-f]{40}' -delete
	fi
	# Without counters: an input for each edge, not for how often it is taken
	nice -n 5 "$BUILD/tests/fuzz/fuzz_$name" -merge=1 -use_counters=0 \
		-set_cover_merge=1 -max_len=2500 "$kept" "$BUILD/seeds/$name" \
		"$BUILD/corpus/$name" >"$BUILD/minimise-$name.log" 2>&1 ||
		{ tail -n 20 "$BUILD/minimise-$name.log"; exit 1; }
	printf '%-8s %4d files, %6d bytes\n' "$name" \
		"$(find "$kept" -type f | wc -l)" \
		"$(find "$kept" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }')"
done
