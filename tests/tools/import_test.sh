#!/bin/bash
# SPDX-License-Identifier: MIT
#
# import_test.sh - banyan import and export from outside: rows that come back
# as they were, and input that leaves nothing behind.
#
# BANYAN and BANYANFS name the binaries. Prints "ok" or "not ok" and a sentence for each test
# and at last how many passed and failed; exits 1 if any failed.

set -u
export LC_ALL=C TZ=UTC
unset ARGP_HELP_FMT

BANYAN=$(realpath "${BANYAN:-build/banyan}")
BANYANFS=$(realpath "${BANYANFS:-build/banyanfs}")
export PATH=${BANYANFS%/*}:$PATH
. "${0%/*}/../support/lib.sh"
enter_work

# ---- helpers ----------------------------------------------------------------

banyan() { "$BANYAN" "$@"; }

# The directory that fresh mounts the database on; empty: it does not
through=

fresh()
{
	[[ -z $through ]] || banyan umount rows.banyan 2>/dev/null
	rm -f rows.banyan
	banyan create rows.banyan
	[[ -z $through ]] || banyan mount rows.banyan $through
}

# same SENTENCE FORMAT KEY: an import of the file `in`, whose rows are in the
# order of their keys, and an export give the same bytes
same()
{
	fresh
	if banyan import -f "$2" -k "$3" -i t rows.banyan in >out 2>err &&
		banyan export -f "$2" rows.banyan t >out 2>err &&
		cmp in out >>err 2>&1 && [[ ! -s err ]]; then
		ok "$1"
	else
		not_ok "$1" "$(<err)" "$(diff in out | head -n 5)"
	fi
}

# refuses SENTENCE PATTERN FORMAT KEY TEXT: an import of this text, with the
# escapes of printf, into the root prints one line that matches, and changes
# nothing, in a key space that is to be made either
refuses()
{
	local sentence=$1 pattern="banyan: in: $2" before status
	printf '%b' "$5" >in
	before=$(banyan ls -R rows.banyan)
	banyan import -f "$3" -k "$4" -i new rows.banyan in >out 2>err
	status=$?
	if [[ $status != 1 || $(wc -l <err) != 1 || -s out ||
		! $(<err) =~ ^($pattern)$ ]]; then
		not_ok "$sentence" "pattern: $pattern" "got $status: $(<err)"
		return
	fi
	banyan import -f "$3" -k "$4" rows.banyan in >out 2>err
	is "$sentence" "1 1 $before" \
		"$? $(wc -l <err) $(banyan ls -R rows.banyan)"
}

# rows COUNT: CSV in a random order of keys
rows()
{
	awk -v n="$1" 'BEGIN {
		print "id,number,text"
		for (i = 0; i < n; i++)
			printf "k%06d,%d,text of %d\n", i * 7919 % n, i, i
	}'
}

# ---- rows come back ---------------------------------------------------------

test_csv()
{
	printf '%s\n' 'id,name,note' '007,"a, ""b""' 'c",' '1,  Bob ,x' \
		'2,Çelik,x' >in
	fresh
	banyan import --format csv --key id --into people rows.banyan in
	is "a row is a JSON object and a newline" \
		'{"id":"1","name":"  Bob ","note":"x"}' \
		"$(banyan get rows.banyan people/1)"
	is "with one newline" 1 "$(banyan get rows.banyan people/1 | wc -l)"
	is "jq reads it" $'a, "b"\nc' \
		"$(banyan get rows.banyan people/007 | jq -r .name)"
	is "keys are named by the field" $'007\n1\n2' \
		"$(banyan ls rows.banyan people)"
	is "a single row can be exported" $'id,name,note\n2,Çelik,x' \
		"$(banyan export -f csv rows.banyan people/2)"

	printf 'id,a\n1," x"\n2,"y	"\n3,\n4,"\r"\n5,"\n\n"\n6,"a""b"\n' >in
	same "what has to be in quotes is" csv id
	printf 'a,id\n,1\n,2\n' >in
	same "empty fields stay empty" csv id
	printf 'id\n1\n2\n' >in
	same "one column will do" csv id
	printf 'id,z,y,x,,b\n1,2,3,4,5,6\n' >in
	same "columns keep their order" csv id

	fresh
	printf '\xef\xbb\xbfid,a\r\n1,x\r\n\r\n\n2,y' >in
	banyan import -f csv -k id rows.banyan in
	is "a mark, CRLF, empty lines, no newline at the end do not matter" \
		$'id,a\n1,x\n2,y' "$(banyan export -f csv rows.banyan)"
	fresh
	printf 'id,a\n1,a\0b\n' | banyan import -f csv -k id rows.banyan
	is "a NUL in a field is kept" '{"id":"1","a":"a\u0000b"}' \
		"$(banyan get rows.banyan 1)"
	banyan export -f csv rows.banyan | cmp - <(printf 'id,a\n1,a\0b\n')
	is "and comes back" "0 0" "${PIPESTATUS[*]}"
	fresh
	echo id,a | banyan import -f csv -k id -i none rows.banyan
	is "a header alone makes an empty key space" "0 none" \
		"$? $(banyan ls -R rows.banyan)"
	is "which has no rows to export" "" \
		"$(banyan export -f csv rows.banyan none)"
}

test_ndjson()
{
	printf '%s\n' '{"id":1,"f":0.10,"e":1E5,"big":9007199254740993}' \
		'{ "z": null, "id" : "2", "a": "\u00e9\/", "n": {"b": [1, 2]} }' \
		'{"id":-9223372036854775808}' '{"id":"Çelik","a":"\u0000"}' |
		sort -k1.7 >in
	fresh
	banyan import -f ndjson -k id rows.banyan <in
	is "rows of JSON are kept as they are written" "$(sort in)" \
		"$(banyan export -f ndjson rows.banyan | sort)"
	is "a number names a key too" $'-9223372036854775808\n1\n2\nÇelik' \
		"$(banyan ls rows.banyan)"
	printf '%s\n' '' '  {"id":"x"}  ' '' '{"id":"y"}' >in
	fresh
	banyan import -f ndjson -k id rows.banyan in
	is "empty lines and blanks around do not matter" \
		$'{"id":"x"}\n{"id":"y"}' \
		"$(banyan export -f ndjson rows.banyan)"
	printf '%s\n' '{"id":"a","x":1.5}' '{"y":[1,{"k":"v"}],"id":"b"}' \
		'{"id":"c","x":0.1,"y":true,"z":"t"}' '{"id":"d","x":null}' >in
	fresh
	banyan import -f ndjson -k id rows.banyan in
	is "csv has a column for each field there is" "$(printf '%s\n' \
		'id,x,y,z' 'a,1.5,,' 'b,,"[1,{""k"":""v""}]",' 'c,0.1,true,t' \
		d,,,)" "$(banyan export -f csv rows.banyan)"
	banyan get rows.banyan b | jq . | banyan put rows.banyan b
	is "a row that was spread over lines is one line again" "$(<in)" \
		"$(banyan export -f ndjson rows.banyan |
			sed 's/{"y":\(.*\),"id":"b"}/{"y":\1,"id":"b"}/')"
}

# Numbers are what is written, not what a double or 64 bits can hold
test_numbers()
{
	local numbers=(12345678901234567.89 18446744073709551615 1e400 1e-400
		-0 -0.0 0.10 1E5 1e+05 100000000000000000000000000000000000001
		0.1000000000000000055511151231257827 123456789012345678901234567890e-12)
	{
		printf '%s\n' "${numbers[@]}"
		awk 'BEGIN {
			srand(7)
			for (i = 0; i < 300; i++) {
				text = int(rand() * 1e9) "."
				for (j = 0; j < 12; j++)
					text = text int(rand() * 10)
				print text
			}
		}'
	} | awk '{ printf "%06d\t%s\n", NR, $1 }' >numbers
	awk '{ printf "{\"id\":\"%s\",\"n\":%s,\"l\":[%s, {\"x\": %s}]}\n",
		$1, $2, $2, $2 }' numbers >in
	same "all numbers come back as rows of JSON" ndjson id
	(echo id,n,l; awk '{ printf "%s,%s,\"[%s,{\"\"x\"\":%s}]\"\n",
		$1, $2, $2, $2 }' numbers) >expected
	banyan export -f csv rows.banyan t | cmp - expected
	is "and go to CSV as they are" "0 0" "${PIPESTATUS[*]}"
	mv expected in
	same "and from there back" csv id

	fresh
	printf '%s\n' '{"id":18446744073709551616}' '{"id":-0}' >in
	banyan import -f ndjson -k id rows.banyan in
	is "a large integer names a key" $'-0\n18446744073709551616' \
		"$(banyan ls rows.banyan)"
	fresh
	printf '{\n "id": "a", "n" : [ 1.50 , "\\u00e9 [1, 2]" ],\n"m":-1e400 }\n' |
		banyan put rows.banyan a
	is "a row of several lines keeps them in one" \
		'{"id":"a","n":[1.50,"\u00e9 [1, 2]"],"m":-1e400}' \
		"$(banyan export -f ndjson rows.banyan)"
	is "and has all columns" \
		'a,"[1.50,""\u00e9 [1, 2]""]",-1e400' \
		"$(banyan export -f csv rows.banyan | tail -n 1)"
}

# Wide tables are not slower than long ones
test_wide()
{
	local began=$SECONDS
	(seq -s, 100000; seq -s, 100000) >in
	same "a row may have a hundred thousand fields" csv 1
	is "in little time" 1 $((SECONDS - began < 15))
}

test_large()
{
	rows 60000 >in
	(head -n 1 in; tail -n +2 in | sort) >sorted
	fresh
	banyan import -f csv -k id -i t rows.banyan in
	banyan export -f csv rows.banyan t | cmp - sorted
	is "more rows than a batch holds come back" "0 0" "${PIPESTATUS[*]}"
	is "and there is nothing else" "t" "$(banyan ls rows.banyan)"
	banyan mkdir rows.banyan there
	banyan import -f csv -k id -i there rows.banyan <in
	banyan export -f csv rows.banyan there | cmp - sorted
	is "in a key space that was there, too" "0 0" "${PIPESTATUS[*]}"

	fresh
	for i in 1 2; do
		printf '{"id":%d,"x":"' $i
		head -c 10000000 /dev/zero | tr '\0' x
		printf '"}\n'
	done >in
	same "rows may be megabytes" ndjson id
	sound "check finds nothing wrong" rows.banyan

	fresh
	(echo id,x; printf '1,'
		head -c 40000000 /dev/zero | tr '\0' '\\'; echo) >in
	banyan import -f csv -k id rows.banyan in 2>err
	is "but not longer than export takes, once they are JSON" \
		"1 banyan: in: line 2: the row is longer than 64 MiB as JSON" \
		"$? $(<err)"
	is "of which nothing is imported" "" "$(banyan ls rows.banyan)"
}

# ---- what is refused --------------------------------------------------------

test_refused_csv()
{
	fresh
	banyan put rows.banyan there 1
	refuses "a key that is there twice is refused" \
		"line 4: key 'a' is in line 2 already" \
		csv id 'id,x\na,1\nb,2\na,3\n'
	refuses "an empty key field" "line 3: field 'id' is empty" \
		csv id 'id,x\na,1\n,2\n'
	refuses "bad UTF-8" "line 3: field 'x' is not UTF-8" \
		csv id 'id,x\na,1\nb,\xff\n'
	refuses "bad UTF-8 in the header" "line 1: field name 2 is not UTF-8.*" \
		csv id 'id,\xff\na,1\n'
	refuses "bad UTF-8 in the key" "line 2: field 'id' is not UTF-8" \
		csv id 'id,x\n\xc3,1\n'
	refuses "a row that is too short" \
		"line 3: 1 field where the header has 2" csv id 'id,x\na,1\nb\n'
	refuses "a row that is too long" \
		"line 2: 3 fields where the header has 2" \
		csv id 'id,x\na,1,2\nb,1\n'
	refuses "a header without the key field" \
		"line 1: the header has no field 'id'" csv id 'a,b\n1,2\n'
	refuses "a field name that is there twice" \
		"line 1: field 'x' is there twice" csv id 'id,x,x\n1,2,3\n'
	refuses "no input at all" "line 1: there is no header" csv id ''
	refuses "a quote within a field" "line 3: a quote where .*" \
		csv id 'id,x\na,1\nb,c"d\n'
	refuses "a quote that is not closed" "line 3: begins a row .* closed" \
		csv id 'id,x\na,1\nb,"c\nd,3\n'
	refuses "the line is that of the row's beginning" \
		"line 5: field 'id' is empty" csv id 'id,x\na,"\n\n"\n,1\n'
	refuses "a key with a slash" "line 2: field 'id' has a '/' .*" \
		csv id 'id,x\na/b,1\n'
	refuses "a key that is a dot" "line 2: field 'id' is '\.' .*" \
		csv id 'id,x\n.,1\n'
	refuses "a key that is too long" "line 2: field 'id' is too long .*" \
		csv id "id,x\n$(printf '%0256d' 1),1\n"
	refuses "a key with a NUL" "line 2: field 'id' has a NUL .*" \
		csv id 'id,x\na\0b,1\n'
}

test_refused_json()
{
	local number
	fresh
	refuses "a row of JSON without the key field" \
		"line 2: has no field 'id'" ndjson id '{"id":1}\n{"x":1}\n'
	refuses "a key that is there twice, as text and as a number" \
		"line 3: key '1' is in line 1 already" \
		ndjson id '{"id":1}\n{"id":2}\n{"id":"1"}\n'
	refuses "an empty key of JSON" "line 1: field 'id' is empty" \
		ndjson id '{"id":""}\n'
	refuses "a key that is null" "line 2: field 'id' is neither .*" \
		ndjson id '{"id":1}\n{"id":null}\n'
	refuses "what is not JSON" "line 2: is not JSON: .*" \
		ndjson id '{"id":1}\n{"id":2\n'
	refuses "more than one object a line" "line 1: is not JSON: .*" \
		ndjson id '{"id":1}{"id":2}\n'
	refuses "what is no object" "line 1: is not a JSON object" \
		ndjson id '[1]\n'
	refuses "bad UTF-8 in JSON" "line 1: is not JSON: .*" \
		ndjson id '{"id":"\xff"}\n'
	for number in 01 1. .5 +1 --5 -+5 - 1e 1e+ 1.e5 0x1 NaN -Infinity \
		1.5.2 1-2 00 -01; do
		refuses "what is no number: $number" "line 1: is not JSON: .*" \
			ndjson id "{\"id\":1,\"x\":$number}\n"
	done
	refuses "in an array neither" "line 1: is not JSON: .*" \
		ndjson id '{"id":1,"x":[1,--5]}\n'
	refuses "what is wrong is told in its own words" \
		"line 1: is not JSON: .* near '25', at byte 10" \
		ndjson id '{"id":1 25}\n'
	refuses "a key that is no integer" "line 1: field 'id' is neither .*" \
		ndjson id '{"id":1.0}\n'
	refuses "nor is one a key that looks like one" \
		"line 1: field 'id' is neither .*" ndjson id '{"id":1e5}\n'
	refuses "a field that is there twice" \
		"line 1: is not JSON: duplicate.*" \
		ndjson id '{"id":1,"x":1,"x":2}\n'
}

# complains SENTENCE STATUS PATTERN ARGUMENT...
complains()
{
	local sentence=$1 status=$2 pattern=$3 got
	shift 3
	banyan "$@" >out 2>err </dev/null
	got=$?
	if [[ $got == "$status" && ! -s out && $(<err) =~ ^($pattern)$ ]]; then
		ok "$sentence"
	else
		not_ok "$sentence" "expected $status: $pattern" \
			"got $got: $(<err)"
	fi
}

test_misuse()
{
	fresh
	echo '{"id":1}' >in
	banyan put rows.banyan value 1
	complains "import needs a format" 2 "banyan: import needs --format .*" \
		import -k id rows.banyan in
	complains "and one that there is" 2 "banyan: 'xml' is no format .*" \
		import -f xml -k id rows.banyan in
	complains "and a key" 2 "banyan: import needs --key, .*" \
		import -f csv rows.banyan in
	complains "export needs a format" 2 "banyan: export needs --format .*" \
		export rows.banyan
	complains "input that is not there is named" 1 "banyan: no: No such .*" \
		import -f csv -k id rows.banyan no
	complains "so is a directory" 1 "banyan: \.: Is a directory" \
		import -f csv -k id rows.banyan .
	complains "rows go to key spaces only" 1 \
		"banyan: .*: key 'value': is not a key space" \
		import -f ndjson -k id -i value rows.banyan in
	complains "which lie in one that is there" 1 \
		"banyan: .*: key 'a/b': there is no key space 'a' .*" \
		import -f ndjson -k id -i a/b rows.banyan in
	echo '{"id":"value"}' >in
	complains "a key that exists is not replaced" 1 \
		"banyan: in: line 1: key 'value' exists already" \
		import -f ndjson -k id rows.banyan in
	echo '{"id":".banyan"}' >in
	complains "nor is a reserved name given in the root" 1 \
		"banyan: in: line 1: key '\.banyan' is a reserved name" \
		import -f ndjson -k id rows.banyan in
	complains "what is no row is not exported" 1 \
		"banyan: .*: key 'value' is no row: it is not a JSON object|.*is not JSON.*" \
		export -f csv rows.banyan
	complains "by its key neither" 1 "banyan: .*: key 'value' is no row: .*" \
		export -f ndjson rows.banyan value
	complains "what is not there is said to be so" 1 \
		"banyan: .*: key 'no': not found" export -f csv rows.banyan no
	banyan rm rows.banyan value
	banyan mkdir rows.banyan space
	complains "key spaces within are passed over" 0 "" \
		export -f ndjson rows.banyan
}

# ---- interruptions ----------------------------------------------------------

# interrupt SIGNAL SECONDS ARGUMENT...: import with these, and the signal. Not
# SIGINT, which a shell lets what is in its background ignore.
interrupt()
{
	local signal=$1 seconds=$2 pid
	shift 2
	"$BANYAN" import -f csv -k id "$@" >out 2>err <&0 &
	pid=$!
	sleep "$seconds"
	kill -"$signal" $pid 2>/dev/null
	wait $pid 2>/dev/null
}

# At several moments: which of them is in which part of the work depends on the
# machine. Done or not begun are fine, anything between is not.
test_interrupted()
{
	local seconds into wrong="" cut=0
	rows 100000 >in
	for into in new old; do
		for seconds in 0.1 0.3 0.5 0.7; do
			fresh
			banyan mkdir rows.banyan old
			banyan mkdir rows.banyan old/.x
			interrupt TERM $seconds -i $into rows.banyan in
			[[ $? == 143 ]] && cut=$((cut + 1))
			case $(banyan ls -R rows.banyan | wc -l) in
			2 | 100002 | 100003) ;;
			*) wrong+=" $into after $seconds s;" ;;
			esac
		done
	done
	is "an import that is interrupted leaves nothing behind" "" "$wrong"
	((cut)) && ok "and ends by the signal ($cut of 8 were interrupted)" ||
		not_ok "none was interrupted"
	sound "check finds nothing wrong then" rows.banyan

	fresh
	rm -f slow
	mkfifo slow
	exec 8<>slow
	echo id >&8
	interrupt TERM 0.3 rows.banyan <slow
	is "slow input can be interrupted" 143 $?
	exec 8>&-
	fresh
	for seconds in 0.2 0.4 0.6; do
		interrupt KILL $seconds -i new rows.banyan in
		banyan ls rows.banyan | grep -qx new && break
	done
	case "$(banyan ls -R rows.banyan new 2>/dev/null | wc -l)" in
	0 | 100000) ok "one that is killed makes no part of a key space" ;;
	*) not_ok "one that is killed makes no part of a key space" ;;
	esac
}

# The disk fails, and Ctrl-C is pressed, when a batch has been committed: what it
# holds cannot be deleted again. A batch ends with a write that is shorter than the one before.
test_failed_roll_back()
{
	command -v strace >/dev/null || return
	local ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 nth
	export ASAN_OPTIONS
	rows 60000 >in
	fresh
	banyan mkdir rows.banyan old
	strace -f -qq -o trace -e trace=pwritev \
		"$BANYAN" import -f csv -k id -i old rows.banyan in
	nth=$(awk '$NF + 0 < last { print NR + 3; exit } { last = $NF + 0 }' \
		trace)
	fresh
	banyan mkdir rows.banyan old
	(exec strace -f -qq -o trace -e trace=pwritev \
		-e inject=pwritev:error=EIO:signal=TERM:when=$nth+ \
		"$BANYAN" import -f csv -k id -i old rows.banyan in) 2>err
	like "a roll-back that fails says what is left" \
		"banyan: rows.banyan: key 'old': Input/output error
banyan: rows.banyan: interrupted; [1-9][0-9]* of 60000 rows are in key space \
'old' and could not be deleted again: Input/output error" "$(<err)"
	is "which is there" \
		"$(sed -n 's/.* \([0-9]*\) of 60000 .*/\1/p' err)" \
		"$(banyan ls rows.banyan old | wc -l)"
}

# full_disk SPACE SIZE: an import into this key space ends because the disk, of
# this size, is full. Through a mount a row takes more space to be deleted.
full_disk()
{
	mount -t tmpfs -o size=$2 tmpfs small || return
	banyan create small/rows.banyan
	banyan mkdir small/rows.banyan old
	[[ -z $through ]] || banyan mount small/rows.banyan $through
	banyan import -f csv -k id -i "$1" small/rows.banyan in >out 2>err
	is "a full disk ends an import into $1" \
		"1 banyan: small/rows.banyan: key '$1': no space left on the disk
banyan: small/rows.banyan: nothing was imported" "$? $(<err)"
	is "which is taken back" old "$(banyan ls -R small/rows.banyan)"
	sound "whole" small/rows.banyan
	[[ -z $through ]] || banyan umount $through
	umount small
}

test_full_disk()
{
	mkdir -p small
	mount -t tmpfs -o size=1m tmpfs small 2>/dev/null || return
	umount small
	rows ${2:-300000} >in
	full_disk new ${1:-24m}
	full_disk old ${1:-24m}
}

# Through a mount each row is there by itself, until it is taken back
test_through_mount()
{
	local into i wrong=""
	mkdir -p mnt
	through=mnt
	test_csv
	test_ndjson
	test_refused_csv
	test_refused_json
	test_misuse

	rows 5000 >in
	(head -n 1 in; tail -n +2 in | sort) >sorted
	fresh
	banyan import -f csv -k id -i t rows.banyan in
	banyan export -f csv rows.banyan t | cmp - sorted
	is "many rows come back" "0 0" "${PIPESTATUS[*]}"
	is "and there is nothing else" "t" "$(ls -A mnt)"
	for into in new old; do
		for i in 0.1 0.2 0.4; do
			banyan rm -rf rows.banyan old new
			banyan mkdir rows.banyan old
			interrupt TERM $i -i $into rows.banyan in
			case $(find mnt/$into 2>/dev/null | wc -l) in
			0 | 1 | 5001) ;;
			*) wrong+=" $into after $i s;" ;;
			esac
			[[ $(ls -A mnt | xargs) =~ ^(new )?old\ t$ ]] ||
				wrong+=" other keys after $i s;"
		done
	done
	is "an import that is interrupted leaves nothing behind" "" "$wrong"
	banyan umount mnt
	test_full_disk 9m 12000
	through=
}

test_terminal()
{
	command -v script >/dev/null || return
	rows 200000 >in
	fresh
	script -qec "'$BANYAN' import -f csv -k id -i t rows.banyan in" \
		/dev/null >out 2>&1 </dev/null
	is "a terminal sees a bar, the rate and the time left" 1 \
		"$(tr '\r' '\n' <out | grep -cm1 \
			'^importing \[#* *\]  *[0-9]* %  [0-9]* rows/s  [0-9]*:[0-9]* left')"
	banyan import -f csv -k id -i u rows.banyan in >out 2>&1
	is "a file sees nothing" "" "$(<out)"
	script -qec "timeout -s INT 0.4 '$BANYAN' export -f csv rows.banyan t \
		>rest" /dev/null >out 2>&1 </dev/null
	like "an export that is interrupted clears its line" \
		$'.*looking for fields .*\r\e\\[K' "$(<out)"
}

# -----------------------------------------------------------------------------

test_csv
test_ndjson
test_numbers
test_wide
test_large
test_refused_csv
test_refused_json
test_misuse
test_interrupted
test_failed_roll_back
test_full_disk
test_terminal
if can_mount; then
	echo "# the same through a mount"
	test_through_mount
else
	echo "# no use of /dev/fuse: the tests that mount are left out"
fi

finish
