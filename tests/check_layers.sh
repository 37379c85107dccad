#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check_layers.sh [TOP] - dependencies point downwards only.
#
# A file in store/FOLDER/ includes headers of its own folder and of folders that
# are below it in the list here, each with the folder: "log/format.h". Inside a
# folder includes do not form a circle. banyan.h is the public header: any file
# may include it, and it includes none of ours. common/, fs/, tools/ and examples/
# include banyan.h, headers of their own and those of the system; all but the
# examples include those of common/, too: "common/iso_time.h".

set -u
export LC_ALL=C
cd "${1:-$(dirname "$0")/..}" || exit 1

# From the bottom to the top; folders on one line do not include each other
layers='
base
file
log
tree
table
model
engine
vacuum
api record
repair
'

declare -A levels
level=0
while read -r line; do
	for folder in $line; do
		levels[$folder]=$level
	done
	level=$((level + 1))
done <<<"$layers"

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

edges= # a line "A B" for each module A that includes a header of module B

# FILE includes store/NAME, in line LINE
check_include()
{
	local file=$1 line=$2 name=$3 from to module
	from=${file#store/}
	from=${from%/*}
	to=${name%/*}
	if [[ $name != */* || $to == */* || ! -e store/$name ]]; then
		say "$file:$line" "$name is no FOLDER/HEADER of store/"
	elif [[ $from == "$to" ]]; then
		module=${file#store/}
		edges+="${module%.*} ${name%.*}"$'\n'
	elif ((levels[$to] >= levels[$from])); then
		say "$file:$line" "$name is not below $from/"
	fi
}

check_store()
{
	local file=$1 line name
	while read -r line name; do
		if [[ $file == store/banyan.h ]]; then
			say "$file:$line" "includes $name"
		elif [[ $name != banyan.h ]]; then
			check_include "$file" "$line" "$name"
		fi
	done < <(includes "$file")
}

# tsort prints each circle, a line for each of its modules. It takes "A A", a
# source that includes its own header, for none.
check_circles()
{
	local circle
	while read -r circle; do
		say store "includes form a circle: $circle"
	done < <(sort -u <<<"$edges" | tsort 2>&1 >/dev/null | awk '
		/contains a loop/ { if (n++) print ""; next }
		{ printf "%s ", $2 }
		END { if (n) print "" }')
}

check_outside()
{
	local file=$1 dir=${1%/*} line name
	while read -r line name; do
		case $name in
		banyan.h) ;;
		common/*)
			[[ $dir != examples && -e $name ]] || say \
				"$file:$line" "$name is none of $dir/'s headers"
			;;
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
for folder in store/*/; do
	folder=${folder#store/}
	folder=${folder%/}
	if [[ ! -v levels[$folder] ]]; then
		say "store/$folder" "is not in the list of tests/check_layers.sh"
		levels[$folder]=$level
	fi
done
for file in store/*.[ch] store/*/*.[ch]; do
	[[ $file == store/*/* || $file == store/banyan.h ]] ||
		say "$file" "is in no folder"
	check_store "$file"
	files=$((files + 1))
done
check_circles
for file in common/*.[ch] fs/*.[ch] tools/*.[ch] examples/*.[ch]; do
	check_outside "$file"
	files=$((files + 1))
done

# Found here, not by the include path: <banyan.h> would hide from the above
while IFS= read -r found; do
	name=${found#*<}
	name=${name%%>*}
	[[ -e store/$name ]] && say "${found%%:#*}" "write \"$name\", not <$name>"
done < <(grep -nE '^[ \t]*#[ \t]*include[ \t]*<' /dev/null \
	store/*.[ch] store/*/*.[ch] common/*.[ch] fs/*.[ch] tools/*.[ch])

for file in tests/*.[ch]; do
	say "$file" "is in no folder: it is not built"
done

if ((files == 0)); then
	say "$PWD" "there are no sources here"
fi
((failed == 0)) || { echo "$failed includes break the layers"; exit 1; }
