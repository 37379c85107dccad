#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_check_layers.sh - check_layers.sh finds what it is for: each kind of
# forbidden include, put into a small tree of sources that is otherwise right.

set -u
export LC_ALL=C
top=$(realpath "${0%/*}/..")
. "$top/tests/support/lib.sh"
enter_work

# file NAME INCLUDED...
file()
{
	mkdir -p "${1%/*}"
	printf '#include %s\n' "${@:2}" >"$1"
}

# Forms that are allowed: a header's own file, a folder below, a file that
# includes two headers of its folder, of which one includes the other
fresh()
{
	rm -rf store fs tests
	file store/banyan.h '<stdint.h>'
	file store/base/buf.h '<stddef.h>'
	file store/base/buf.c '"base/buf.h"' '<string.h>'
	file store/log/format.h '"base/buf.h"'
	file store/log/log.h '"log/format.h"' '"banyan.h"'
	file store/log/log.c '"log/log.h"' '"log/format.h"'
	file store/log/log_scan.c '"log/log.h"'
	file store/api/values.c '"banyan.h"' '"log/log.h"'
	file store/record/record.h '"base/buf.h"'
	file fs/node.h '"banyan.h"'
	file fs/main.c '"node.h"' '<fuse.h>'
}

check() { bash "$top/tests/check_layers.sh" "$work"; }

# finds SENTENCE LINE FILE INCLUDED...: with that file this line is printed, and
# no other
finds()
{
	local status
	fresh
	file "${@:3}"
	check >out 2>&1
	status=$?
	is "$1" "1 $2"$'\n'"1 includes break the layers" "$status $(<out)"
}

fresh
is "what is allowed passes" 0 "$(check; echo $?)"
finds "an include of a folder above" \
	"store/base/buf.c:2: log/log.h is not below base/" \
	store/base/buf.c '"base/buf.h"' '"log/log.h"'
finds "of a folder beside" \
	"store/api/path.c:1: record/record.h is not below api/" \
	store/api/path.c '"record/record.h"'
finds "a circle of headers" \
	"store: includes form a circle: log/format log/log" \
	store/log/format.h '"log/log.h"'
finds "a circle by way of a source" \
	"store: includes form a circle: log/format log/log" \
	store/log/format.c '"log/format.h"' '"log/log.h"'
finds "an include without its folder" \
	"store/log/log.c:1: log.h is no FOLDER/HEADER of store/" \
	store/log/log.c '"log.h"'
finds "an include of what is not there" \
	"store/log/log.c:1: log/none.h is no FOLDER/HEADER of store/" \
	store/log/log.c '"log/none.h"'
finds "a folder that has no layer" \
	"store/odd: is not in the list of tests/check_layers.sh" \
	store/odd/odd.c '"banyan.h"'
finds "a file outside of the folders" "store/odd.c: is in no folder" \
	store/odd.c '"banyan.h"'
finds "banyan.h with an include of ours" \
	"store/banyan.h:1: includes base/buf.h" \
	store/banyan.h '"base/buf.h"'
finds "the inside of the store in fs/" \
	"fs/main.c:1: log/log.h is none of fs/'s headers" \
	fs/main.c '"log/log.h"'
finds "the same by way of .." \
	"fs/main.c:1: ../store/log/log.h is none of fs/'s headers" \
	fs/main.c '"../store/log/log.h"'
finds "banyan.h in angle brackets" \
	"fs/main.c:1: write \"banyan.h\", not <banyan.h>" \
	fs/main.c '<banyan.h>'
finds "an include with a comment behind it" \
	"store/base/buf.c:1: log/log.h is not below base/" \
	store/base/buf.c '"log/log.h" /* as if that were allowed */'
finds "a test that the Makefile does not find" \
	"tests/test_odd.c: is in no folder: it is not built" \
	tests/test_odd.c '"banyan.h"'
rm -r store fs tests
is "no sources are no success" 1 "$(check >out; echo $?)"

finish
