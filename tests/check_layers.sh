#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check_layers.sh [TOP] - dependencies point downwards only.
#
# Every module of store/ has a level in the table below; a file includes
# headers of its own level or of lower ones. banyan.h is the public header: any
# file may include it, and it includes none of ours. fs/ and tools/ include
# banyan.h, headers of their own and those of the system.

set -u
export LC_ALL=C
cd "${1:-$(dirname "$0")/..}" || exit 1

table='
0 bytes buf crc32c umask row_limits pages arena pool epoch id_set
1 file file_posix file_memory format file_over
2 log log_scan log_recover log_walk
3 node builder cache
4 btree merge cursor row_index redo_table gap layers redo
5 rows data held change names extents contents coalesce xattr
6 view db budget freeze freezes replay open
7 handles values scan path stat check check_rows record row_tools draft salvage salvage_source salvage_copy salvage_names salvage_spaces
'

declare -A levels
while read -r level modules; do
	for module in $modules; do
		levels[$module]=$level
	done
done <<<"$table"

failed=0
files=0
# say FILE:LINE SENTENCE
say()
{
	echo "$1: $2"
	failed=$((failed + 1))
}

# Prints LINE and NAME of every include "NAME" in FILE
includes()
{
	sed -nE '/^[ \t]*#[ \t]*include[ \t]*"/{=;s/^[^"]*"([^"]*)".*/\1/p}' \
		"$1" | paste - -
}

check_store()
{
	local file=$1 module level line name needed
	module=${file##*/}
	module=${module%.*}
	if [[ $module == banyan ]]; then
		level=-1
	elif [[ -v levels[$module] ]]; then
		level=${levels[$module]}
	else
		say "$file" "has no level in tests/check_layers.sh"
		return
	fi
	while read -r line name; do
		[[ $name == banyan.h ]] && continue
		needed=${levels[${name%.h}]-}
		if [[ ! -e store/$name || -z $needed ]]; then
			say "$file:$line" "$name is no header of store/"
		elif ((needed > level)); then
			say "$file:$line" \
				"level $level includes $name of level $needed"
		fi
	done < <(includes "$file")
}

check_outside()
{
	local file=$1 dir=${1%/*} line name
	while read -r line name; do
		case $name in
		banyan.h | ../store/banyan.h) ;;
		*/*)
			say "$file:$line" "$name is none of $dir/'s headers"
			;;
		*)
			[[ -e $dir/$name ]] || say "$file:$line" \
				"$name is none of $dir/'s headers"
			;;
		esac
	done < <(includes "$file")
}

shopt -s nullglob
for file in store/*.[ch]; do
	check_store "$file"
	files=$((files + 1))
done
for file in fs/*.[ch] tools/*.[ch]; do
	check_outside "$file"
	files=$((files + 1))
done

# Found here, not by the include path: <banyan.h> would hide from the above
while IFS= read -r found; do
	name=${found#*<}
	name=${name%%>*}
	[[ -e store/$name ]] && say "${found%%:#*}" "write \"$name\", not <$name>"
done < <(grep -nE '^[ \t]*#[ \t]*include[ \t]*<' /dev/null \
	store/*.[ch] fs/*.[ch] tools/*.[ch])

if ((files == 0)); then
	say "$PWD" "there are no sources here"
fi
((failed == 0)) || { echo "$failed includes break the layers"; exit 1; }
