#!/bin/bash
# SPDX-License-Identifier: MIT
#
# coverage.sh BUILD - how much of each source file the tests have run, the least
# covered first, from what a build with COVERAGE=1 has counted. What a killed
# process ran is not in it.

set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
build=$1

shopt -s nullglob
counts=("$build"/{store/*,fs,tools}/*.gcda)
if ((${#counts[@]} == 0)); then
	echo "coverage: nothing was counted in $build" >&2
	exit 1
fi

gcov -n "${counts[@]}" 2>/dev/null | awk '
	/^File / { file = substr($2, 2, length($2) - 2) }
	/^Lines executed:/ && file ~ /^(store|fs|tools)\/.*\.c$/ {
		split($2, part, /[:%]/)
		printf "%6.2f %% of %4d lines  %s\n", part[2], $4, file
		all += $4
		run += part[2] * $4 / 100
		file = ""
	}
	END { printf "%6.2f %% of %4d lines  altogether\n", run / all * 100, all }
' | sort -g
