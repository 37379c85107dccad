#!/bin/bash
# SPDX-License-Identifier: MIT
#
# examples_test.sh - the programs in examples/ print what they promise.

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/support/lib.sh

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# prints NAME LINES
prints()
{
	is "examples/$1.c" "$2" "$("$BUILD/examples/$1" "$dir/$1.banyan" 2>&1)"
	is "the database of examples/$1.c is sound" 0 \
		"$("$BANYAN" check "$dir/$1.banyan" >/dev/null 2>&1; echo $?)"
}

prints records 'Ada Lovelace, born 1815
Ada Lovelace, born 1815
Grace Hopper, born 1906'
prints batches 'ada cannot pay 70 again
ada 30, grace 70'
prints views "then: a=1 b=1
now: a=2 c=1
put 'd': opened for reading only"
prints scans 'all: ash banyan beech birch elm oak
with b: banyan beech birch
two down from f: elm birch
one up from c: elm'

finish
