#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tools_test.sh - the banyan command from outside: what it prints, where, and
# with which exit status.
#
# BANYAN and BANYANFS name the binaries. Prints "ok" or "not ok" and a sentence
# for each test and at last how many passed and failed; exits 1 if any failed.
# The tests that mount are left out, saying so, where /dev/fuse cannot be used.

set -u
export LC_ALL=C TZ=UTC
unset ARGP_HELP_FMT

BANYAN=$(realpath "${BANYAN:-build/banyan}")
BANYANFS=$(realpath "${BANYANFS:-build/banyanfs}")
export PATH=${BANYANFS%/*}:$PATH
top=$(realpath "${0%/*}/../..")

. "$top/tests/support/lib.sh"
enter_work

# ---- helpers ----------------------------------------------------------------

banyan() { "$BANYAN" "$@"; }

# gives SENTENCE STATUS OUTPUT ARGUMENT...: banyan prints this and nothing on
# standard error
gives()
{
	local sentence=$1 status=$2 output=$3 got got_status
	shift 3
	got=$("$BANYAN" "$@" 2>err </dev/null; echo "status $?")
	got_status=${got##*status }
	got=${got%status *}
	got=${got%$'\n'}
	if [[ $got == "$output" && $got_status == "$status" && ! -s err ]]; then
		ok "$sentence"
	else
		not_ok "$sentence" "banyan $*" "expected $status: $output" \
			"got $got_status: $got" "stderr: $(<err)"
	fi
}

# refuses SENTENCE STATUS PATTERN ARGUMENT...: banyan prints nothing but one
# line on standard error, all of which matches
refuses()
{
	local sentence=$1 status=$2 pattern=$3 got_status lines
	shift 3
	"$BANYAN" "$@" >out 2>err </dev/null
	got_status=$?
	lines=$(wc -l <err)
	if [[ $got_status == "$status" && ! -s out && $lines == 1 &&
		$(<err) =~ ^($pattern)$ ]]; then
		ok "$sentence"
	else
		not_ok "$sentence" "banyan $*" "expected $status: $pattern" \
			"got $got_status: $(<err)" "stdout: $(head -c 200 out)"
	fi
}

# The directory that fresh mounts the database on; empty: it does not
through=

fresh()
{
	[[ -z $through ]] || banyan umount notes.banyan 2>/dev/null
	rm -f notes.banyan
	banyan create notes.banyan
	[[ -z $through ]] || banyan mount notes.banyan $through
}

# ---- help and misuse --------------------------------------------------------

test_help()
{
	local command all

	gives "version is told" 0 "banyan $(banyan --version | cut -d' ' -f2)" \
		--version
	banyan >out 2>err
	is "no arguments are misuse" "2 0" "$? $(wc -c <out)"
	like "and get the help on standard error" 'Usage: banyan .*' "$(<err)"
	like "help goes to standard output" 'Usage: banyan .*' "$(banyan help)"
	is "--help is the same" "$(banyan help)" "$(banyan --help)"
	is "help help, too" "$(banyan help)" "$(banyan help help)"
	all=$(banyan help)
	for command in create put get ls ln mv rm mkdir import export stat \
		freeze freezes snapshot snapshots diff log deleted undelete \
		check vacuum backup mount umount; do
		like "help lists $command" ".*  $command .*" "$all"
		like "$command has help of its own" \
			"Usage: banyan $command .*" "$(banyan $command --help)"
		is "help $command is the same" "$(banyan $command --help)" \
			"$(banyan help $command)"
		refuses "$command without arguments is misuse" 2 \
			"banyan $command: too few arguments.*" $command
		refuses "$command with an unknown option is misuse" 2 \
			"banyan $command: .*'--whatever'; 'banyan $command --help' .*" \
			$command --whatever
	done
	is "no line of help is wider than 80" "" \
		"$( (banyan help; for command in put ls stat mount check get \
			export freezes snapshot snapshots diff vacuum backup \
			log deleted undelete; do
			banyan help $command; done) | grep -E '.{81}')"
	refuses "an unknown command is misuse" 2 \
		"banyan: 'cut' is not a command.*" cut
	refuses "a surplus argument is misuse" 2 \
		"banyan get: 'c' is one argument too many.*" get a b c
	refuses "so is an option without its argument" 2 \
		"banyan ls: .*'--from' .*; 'banyan ls --help' .*" ls --from
	refuses "a timeout that is no number is misuse" 2 \
		"banyan: .*'soon'.*" umount --timeout=soon notes
}

# ---- values -----------------------------------------------------------------

test_values()
{
	fresh
	gives "put sets a value" 0 "" put notes.banyan colour green
	gives "get shows it" 0 "green" get notes.banyan colour
	gives "put replaces it" 0 "" put notes.banyan colour blue
	gives "get shows the new one" 0 "blue" get notes.banyan colour
	refuses "put -n refuses a key that exists" 1 \
		"banyan: notes.banyan: key 'colour': exists already" \
		put -n notes.banyan colour red
	gives "and leaves it alone" 0 "blue" get notes.banyan colour
	gives "put -n makes a new one" 0 "" put -n notes.banyan size 7

	printf 'a\0b\n' | banyan put notes.banyan bytes
	is "standard input is taken byte by byte" "61 00 62 0a" \
		"$(banyan get notes.banyan bytes | od -An -tx1 | xargs)"
	gives "an empty value is one" 0 "" put notes.banyan empty ""
	gives "and comes back empty" 0 "" get notes.banyan empty
	gives "-- ends options" 0 "" put notes.banyan -- -key -value
	gives "for get too" 0 "-value" get -- notes.banyan -key

	refuses "a missing key space is named" 1 \
		"banyan: notes.banyan: key 'x/y/z': .*no key space 'x' .*" \
		put notes.banyan x/y/z 1
	gives "put -p makes it" 0 "" put -p notes.banyan x/y/z 1
	gives "and the value is there" 0 "1" get notes.banyan x/y/z
	gives "slashes more or less do not matter" 0 "1" \
		get notes.banyan //x//y/z/
	refuses "a value is no key space" 1 \
		"banyan: .* key 'colour/x': 'colour' is not a key space" \
		put notes.banyan colour/x 1
	refuses "a key space has no value to set" 1 \
		"banyan: notes.banyan: key 'x': is a key space" \
		put notes.banyan x 1
	refuses "nor to get" 1 \
		"banyan: notes.banyan: key 'x': is a key space" \
		get notes.banyan x
	refuses "a key that is not there is said to be so" 1 \
		"banyan: notes.banyan: key 'a/b': not found" \
		get notes.banyan a/b
}

test_large_values()
{
	fresh
	head -c 5000000 /dev/urandom >large
	banyan put notes.banyan large <large
	is "a large value is put" 0 $?
	banyan get notes.banyan large | cmp - large
	is "and comes back equal" "0 0" "${PIPESTATUS[*]}"
	for size in 1048575 1048576 1048577; do
		head -c $size large >part
		banyan put notes.banyan part <part
		banyan get notes.banyan part | cmp - part
		is "$size bytes too" "0 0" "${PIPESTATUS[*]}"
	done
	banyan ln notes.banyan large alias
	head -c 3000000 /dev/urandom >large
	banyan put notes.banyan alias <large
	banyan get notes.banyan large | cmp - large
	is "a large put writes through to aliases" "0 0" "${PIPESTATUS[*]}"

	banyan put -n notes.banyan large <large 2>err
	is "put -n refuses a large value too" \
		"1 banyan: notes.banyan: key 'large': exists already" \
		"$? $(<err)"
	banyan put -p notes.banyan d/e/large <large
	banyan get notes.banyan d/e/large | cmp - large
	is "put -p makes key spaces for a large value" "0 0" "${PIPESTATUS[*]}"
	banyan put notes.banyan no/large <large 2>err
	like "and without it names the missing one" \
		"1 banyan: .*there is no key space 'no'.*" "$? $(<err)"

	banyan get notes.banyan large 2>err | head -c 1 >/dev/null
	is "a reader that goes away is no complaint" "" "$(<err)"
	(trap '' PIPE; banyan get notes.banyan large 2>err | head -c 1) \
		>/dev/null
	is "nor with SIGPIPE ignored" "" "$(<err)"
	banyan get notes.banyan large >/dev/full 2>err
	is "a full disk is" \
		"1 banyan: standard output: No space left on device" \
		"$? $(<err)"
	banyan get notes.banyan large >&- 2>err
	is "a closed output is" \
		"1 banyan: standard output: Bad file descriptor" "$? $(<err)"
	banyan ls notes.banyan >/dev/full 2>err
	is "a full disk is one for ls, too" \
		"1 banyan: standard output: No space left on device" \
		"$? $(<err)"
	banyan put notes.banyan large <&- 2>err
	is "a closed input is" \
		"1 banyan: standard input: Bad file descriptor" "$? $(<err)"
	banyan put notes.banyan large <. 2>err
	is "a directory is no input" \
		"1 banyan: standard input: Is a directory" "$? $(<err)"
	banyan get notes.banyan large | cmp - large
	is "and the value is what it was" "0 0" "${PIPESTATUS[*]}"
}

# ---- names ------------------------------------------------------------------

test_names()
{
	local long
	fresh
	long=$(printf '%0255d' 7)
	gives "a name of 255 bytes is fine" 0 "" put notes.banyan "$long" v
	gives "and found" 0 "v" get notes.banyan "$long"
	refuses "one of 256 is too long, and named" 1 \
		"banyan: notes.banyan: the name '0000.*' is too long: 256 .*" \
		put -p notes.banyan "a/0$long/b" v
	refuses "an empty key is refused" 1 \
		"banyan: notes.banyan: key '': the key is empty" \
		put notes.banyan "" v
	refuses "a key of slashes is the root" 1 \
		"banyan: notes.banyan: key '//': is the root key space" \
		rm -r notes.banyan //
	refuses "'.' is no name" 1 \
		"banyan: notes.banyan: key './a': '.' is not a name" \
		get notes.banyan ./a
	refuses "'..' is no name" 1 \
		"banyan: notes.banyan: key 'a/..': '..' is not a name" \
		mkdir notes.banyan a/..
	refuses "'.banyan' is reserved in the root" 1 \
		"banyan: notes.banyan: key '.banyan': the name is reserved" \
		mkdir notes.banyan .banyan
	gives "but not elsewhere" 0 "" put -p notes.banyan a/.banyan v
	refuses "a message is one line whatever the name" 1 \
		"banyan: notes.banyan: key 'a\\\\nb\\\\033': not found" \
		get notes.banyan $'a\nb\033'
}

# ---- listings ---------------------------------------------------------------

fill()
{
	local key
	fresh
	for key in apple banana cherry dir/one dir/two dir/sub/x elder; do
		banyan put -p notes.banyan $key "value of $key"
	done
}

lines() { printf '%s\n' "$@"; }

test_ls()
{
	fill
	gives "ls lists the root" 0 "$(lines apple banana cherry dir elder)" \
		ls notes.banyan
	gives "ls of / too" 0 "$(lines apple banana cherry dir elder)" \
		ls notes.banyan /
	gives "ls lists a key space" 0 "$(lines one sub two)" \
		ls notes.banyan dir
	gives "ls of a value lists it" 0 "dir/one" ls notes.banyan dir/one
	gives "ls -r goes backwards" 0 \
		"$(lines elder dir cherry banana apple)" ls -r notes.banyan
	gives "ls -R goes into key spaces" 0 "$(lines apple banana cherry \
		dir dir/one dir/sub dir/sub/x dir/two elder)" \
		ls -R notes.banyan
	gives "ls -R of a key space gives paths from there" 0 \
		"$(lines one sub sub/x two)" ls -R notes.banyan dir
	gives "--from is inclusive, --to exclusive" 0 \
		"$(lines banana cherry)" ls --from banana --to dir notes.banyan
	gives "--from need not exist" 0 "$(lines cherry dir elder)" \
		ls --from=bb notes.banyan
	gives "--prefix chooses" 0 "banana" ls --prefix=b notes.banyan
	gives "--prefix may find nothing" 0 "" ls --prefix=zz notes.banyan
	gives "options go after operands, too" 0 "$(lines two sub one)" \
		ls notes.banyan dir -r
	is "-0 ends names with NUL" "apple|banana|cherry|dir|elder|" \
		"$(banyan ls -0 notes.banyan | tr '\0' '|')"
	refuses "a missing key space is an error" 1 \
		"banyan: notes.banyan: key 'none': not found" \
		ls notes.banyan none
	gives "an empty database lists nothing" 0 "" ls empty.banyan
}

test_ls_long()
{
	local owner group line
	fill
	banyan ln notes.banyan apple apfel
	owner=$(id -un) group=$(id -gn)
	line=$(banyan ls -l notes.banyan apple)
	like "ls -l shows it all" \
		"-rw-r--r-- +2 $owner +$group +14 [0-9-]{10} [0-9:]{5} apple" \
		"$line"
	like "and of a key space" \
		"drwxr-xr-x +3 $owner +$group +0 [0-9-]{10} [0-9:]{5} dir" \
		"$(banyan ls -l --prefix=d notes.banyan)"
	is "ls -lR has a line for each key" 10 \
		"$(banyan ls -lR notes.banyan | wc -l)"
}

# As deep as mkdir -p and rm -r go
test_ls_deep()
{
	local deep
	fresh
	deep=$(printf '%05000d' 0 | sed 's/0/d\//g')
	banyan mkdir -p notes.banyan "$deep"
	is "ls -R goes to any depth" "5000 $deep" \
		"$(banyan ls -R notes.banyan 2>err | wc -l) \
$(banyan ls -R notes.banyan 2>err | tail -n 1)/"
}

on_terminal()
{
	script -qec "$1" /dev/null </dev/null | tr -d '\r'
}

test_quoting()
{
	fresh
	banyan put notes.banyan $'new\nline' 1
	banyan put notes.banyan $'tab\there' 1
	banyan put notes.banyan $'\033[31mred' 1
	banyan put notes.banyan $'back\\slash' 1
	is "names are raw when a program reads" \
		$'\033[31mred\nback\\slash\nnew\nline\ntab\there' \
		"$(banyan ls notes.banyan)"
	command -v script >/dev/null || return
	is "and quoted on a terminal" \
		"$(lines '\033[31mred' 'back\\slash' 'new\nline' 'tab\there')" \
		"$(on_terminal "'$BANYAN' ls notes.banyan")"
}

# ---- changes ----------------------------------------------------------------

test_ln()
{
	fill
	gives "ln makes an alias" 0 "" ln notes.banyan apple apfel
	gives "that shows the value" 0 "value of apple" get notes.banyan apfel
	banyan put notes.banyan apfel changed
	gives "put writes through to all aliases" 0 "changed" \
		get notes.banyan apple
	is "both have one id" "$(banyan stat --json notes.banyan apple)" \
		"$(banyan stat --json notes.banyan apfel)"
	banyan rm notes.banyan apple
	gives "the alias survives the first key" 0 "changed" \
		get notes.banyan apfel
	refuses "ln refuses an alias that exists" 1 \
		"banyan: notes.banyan: key 'banana': exists already" \
		ln notes.banyan apfel banana
	refuses "ln refuses key spaces" 1 \
		"banyan: notes.banyan: key 'dir': a key space cannot .*" \
		ln notes.banyan dir dir2
	refuses "ln names a key that is not there" 1 \
		"banyan: notes.banyan: key 'none': not found" \
		ln notes.banyan none some
	refuses "ln names a key space that is not there" 1 \
		"banyan: notes.banyan: key 'no/a': there is no key space 'no'" \
		ln notes.banyan apfel no/a
}

test_mv()
{
	fill
	gives "mv renames" 0 "" mv notes.banyan apple apfel
	gives "the value comes along" 0 "value of apple" get notes.banyan apfel
	refuses "the old key is gone" 1 ".*not found" get notes.banyan apple
	gives "mv replaces a key" 0 "" mv notes.banyan apfel banana
	gives "by the moved one" 0 "value of apple" get notes.banyan banana
	gives "mv moves into a key space" 0 "" mv notes.banyan cherry dir
	gives "under the same name" 0 "value of cherry" \
		get notes.banyan dir/cherry
	gives "and into the root" 0 "" mv notes.banyan dir/cherry /
	gives "where it is found" 0 "value of cherry" get notes.banyan cherry
	gives "mv moves a key space" 0 "" mv notes.banyan dir place
	gives "with what is in it" 0 "value of dir/sub/x" \
		get notes.banyan place/sub/x
	refuses "mv below itself is refused" 1 \
		"banyan: notes.banyan: 'place' cannot move below itself.*" \
		mv notes.banyan place place/sub
	refuses "mv onto itself is refused" 1 \
		"banyan: notes.banyan: 'elder' is the same key as '/elder'" \
		mv notes.banyan elder /elder
	banyan ln notes.banyan elder older
	gives "mv onto an alias removes the old key" 0 "" \
		mv notes.banyan elder older
	refuses "as mv(1) does" 1 ".*not found" get notes.banyan elder
	refuses "a key space cannot replace a value" 1 \
		"banyan: notes.banyan: 'place' is a key space and .*'older'" \
		mv notes.banyan place older
	banyan mkdir -p notes.banyan box/older
	refuses "a value cannot replace a key space" 1 \
		"banyan: notes.banyan: 'older' cannot replace .*'box/older'" \
		mv notes.banyan older box
	refuses "mv names a key that is not there" 1 \
		"banyan: notes.banyan: key 'none': not found" \
		mv notes.banyan none some
	refuses "mv to a missing key space names it" 1 \
		"banyan: notes.banyan: key 'no/a': there is no key space 'no'" \
		mv notes.banyan older no/a
	refuses "a slash behind NEW asks for a key space" 1 \
		"banyan: notes.banyan: there is no key space 'no/'" \
		mv notes.banyan older no/
}

test_rm()
{
	fill
	gives "rm removes keys" 0 "" rm notes.banyan apple banana
	gives "and no others" 0 "$(lines cherry dir elder)" ls notes.banyan
	refuses "rm refuses a key space without -r" 1 \
		"banyan: notes.banyan: key 'dir': is a key space \(use -r\)" \
		rm notes.banyan dir
	refuses "rm goes on after an error and exits 1" 1 \
		"banyan: notes.banyan: key 'none': not found" \
		rm notes.banyan none cherry
	gives "the others are gone" 0 "$(lines dir elder)" ls notes.banyan
	gives "rm -f takes missing keys well" 0 "" \
		rm -f notes.banyan none elder
	gives "rm -r removes a tree" 0 "" rm -r notes.banyan dir
	gives "and all is gone" 0 "" ls -R notes.banyan
	banyan put -p notes.banyan "$(printf 'd/%.0s' {1..300})x" deep
	gives "rm -r removes a deep tree" 0 "" rm -r notes.banyan d
	gives "and all is gone again" 0 "" ls -R notes.banyan
	sound "the file is sound after all that" notes.banyan
}

test_mkdir()
{
	fresh
	gives "mkdir makes a key space" 0 "" mkdir notes.banyan a
	refuses "but not twice" 1 \
		"banyan: notes.banyan: key 'a': exists already" \
		mkdir notes.banyan a
	gives "-p takes that well" 0 "" mkdir -p notes.banyan a
	gives "-p makes those on the way" 0 "" mkdir -p notes.banyan a/b/c
	gives "all of them" 0 "$(lines a a/b a/b/c)" ls -R notes.banyan
	refuses "without it the missing one is named" 1 \
		"banyan: notes.banyan: key 'x/y': .*no key space 'x' .*" \
		mkdir notes.banyan x/y
	banyan put notes.banyan v 1
	refuses "-p does not take a value for one" 1 \
		"banyan: notes.banyan: key 'v': .*" mkdir -p notes.banyan v
}

# ---- figures ----------------------------------------------------------------

field() { sed -n "s/^ *\"$1\": \(.*[^,]\),*$/\1/p"; }

test_stat()
{
	fill
	banyan stat --json notes.banyan >json
	is "stat --json counts keys" 9 "$(field keys <json)"
	is "and knows the size of the file" "$(wc -c <notes.banyan)" \
		"$(field file_bytes <json)"
	like "uuids are strings" '"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"' \
		"$(field uuid <json)"
	is "the file is not mounted" false "$(field mounted <json)"
	is "names stay as they are" "mounted uuid file_uuid generation format \
file_bytes live_bytes reclaimable_bytes keys next_id tree_height freezes redo_rows redo_bytes \
durable_to" "$(sed -n 's/^ *"\(.*\)":.*/\1/p' json | xargs)"
	banyan stat --json notes.banyan apple >json
	is "stat of a key knows its size" 14 "$(field size <json)"
	is "and its type" '"file"' "$(field type <json)"
	is "and its mode" "$((0644))" "$(field mode <json)"
	is "and its keys" 1 "$(field nlink <json)"
	is "stat of / is the root key space" '1 "key_space"' \
		"$(banyan stat --json notes.banyan / |
			sed -n 's/.*"\(id\|type\)": \(.*\),/\2/p' | xargs -0 |
			tr '\n' ' ' | sed 's/ *$//')"
	like "stat is readable" \
		".*mode +-rw-r--r-- \(0644\).*size +14 bytes.*" \
		"$(banyan stat notes.banyan apple | tr '\n' ' ')"
	like "for the database too" ".*keys +9 .*" \
		"$(banyan stat notes.banyan | tr '\n' ' ')"
	refuses "stat names a key that is not there" 1 \
		"banyan: notes.banyan: key 'none': not found" \
		stat notes.banyan none
}

test_freezes()
{
	fill
	gives "freeze takes it well if all is frozen already" 0 "" \
		freeze notes.banyan
	like "freezes has a heading" \
		"NUMBER +TIME +KEYS +LIVE BYTES +FILE BYTES +KIND" \
		"$(banyan freezes notes.banyan | head -n 1)"
	# A mark of 24 bytes lies behind its record
	like "the newest is the first, with figures" \
		" +[0-9]+ +[-0-9]{10} [0-9:.]{18} \+0000 +9 +[0-9]+ +$((
			$(wc -c <notes.banyan) - 24)) +asked for" \
		"$(banyan freezes notes.banyan | sed -n 2p)"
	is "and so on down" \
		"$(banyan freezes notes.banyan | sed 1d | sort -rn)" \
		"$(banyan freezes notes.banyan | sed 1d)"
}

test_past()
{
	local now
	fresh
	banyan put notes.banyan rows/1 '{"a":1}' -p
	banyan put notes.banyan old value
	now=$(banyan freezes notes.banyan | awk 'NR == 2 { print $1 }')
	banyan rm notes.banyan old
	banyan put notes.banyan new value
	banyan put notes.banyan rows/1 '{"a":2}'

	gives "get shows the present" 0 '{"a":2}' get notes.banyan rows/1
	gives "get --at shows a freeze" 0 '{"a":1}' \
		get --at="$now" notes.banyan rows/1
	gives "so does ls" 0 "$(lines old rows)" ls --at "$now" notes.banyan
	gives "and export" 0 "$(lines a 1)" \
		export -f csv --at "$now" notes.banyan rows
	is "and stat" "3 $now" "$(banyan stat --json --at "$now" notes.banyan |
		tee json | field keys) $(field freezes <json)"
	is "and stat of a key" 7 "$(banyan stat -j --at "$now" notes.banyan \
		rows/1 | field size)"
	sound "and check" notes.banyan --at "$now"
	is "the first freeze is the empty database" "" \
		"$(banyan ls --at 1 notes.banyan)"
	refuses "what is new has not always been there" 1 \
		"banyan: notes.banyan: key 'new': not found" \
		get --at "$now" notes.banyan new
	refuses "a freeze that there is not is named" 1 \
		"banyan: notes.banyan: has no freeze 99 .*" \
		ls --at=99 notes.banyan
	refuses "also by check, which could not run then" 3 \
		"banyan: notes.banyan: has no freeze 99 .*" \
		check --at=99 notes.banyan
	refuses "a missing file is still one" 1 \
		"banyan: none.banyan: no such file .*" ls --at=1 none.banyan
	for now in 0 '' 99999999999999999999; do
		refuses "'$now' is not the number of a freeze" 2 \
			"banyan: ls: '.*' is (not|neither) the number .*" \
			ls --at="$now" notes.banyan
	done
	refuses "a salvage takes what it can get" 2 \
		"banyan: check: --at does not go with --salvage" \
		check --at=1 --salvage saved.banyan notes.banyan
}

test_snapshots()
{
	local name
	fresh
	echo one | banyan put notes.banyan a
	gives "a snapshot is taken" 0 "" snapshot notes.banyan monday
	echo two | banyan put notes.banyan a
	gives "and one with the name of a day" 0 "" \
		snapshot notes.banyan 2026-01-01
	banyan rm notes.banyan a
	like "snapshots has a heading" "FREEZE  TIME +KEYS +LIVE BYTES  NAME" \
		"$(banyan snapshots notes.banyan | head -n 1)"
	is "and lists them by name" "$(lines 2026-01-01 monday)" \
		"$(banyan snapshots notes.banyan | sed 1d | awk '{ print $NF }')"
	gives "get --at takes a name" 0 one get --at=monday notes.banyan a
	gives "@ makes a name of it" 0 two get --at=@2026-01-01 notes.banyan a
	gives "the number of the freeze is the same" 0 one get notes.banyan a \
		--at="$(banyan snapshots notes.banyan | awk '/monday/ { print $1 }')"
	gives "diff takes two" 0 "~ a" diff notes.banyan monday @2026-01-01
	gives "ls takes one" 0 a ls --at=@monday notes.banyan
	gives "check takes its name" 0 \
		"notes.banyan: sound at snapshot 'monday'" \
		check --at monday notes.banyan
	like "and a time" "notes.banyan: sound at 2.*" \
		"$(banyan check --at "$(date +%FT%T.%N)" notes.banyan)"
	refuses "but no name that there is not" 3 \
		"banyan: notes.banyan: has no snapshot 'tuesday' .*" \
		check --at @tuesday notes.banyan
	gives "it can be renamed" 0 "" snapshot -r 'week 1' notes.banyan monday
	gives "and is read under its new name" 0 one \
		get --at='week 1' notes.banyan a
	refuses "not under its old one" 1 \
		"banyan: notes.banyan: has no snapshot 'monday' .*" \
		get --at=monday notes.banyan a
	refuses "what exists is not taken again" 1 \
		"banyan: notes.banyan: there is a snapshot 'week 1' already" \
		snapshot notes.banyan 'week 1'
	refuses "nor renamed onto" 1 \
		"banyan: notes.banyan: there is a snapshot 'week 1' already" \
		snapshot --rename='week 1' notes.banyan 2026-01-01
	for name in '' . .. a/b "$(printf 'n%.0s' {1..256})"; do
		refuses "no name is taken (${#name})" 1 \
			"banyan: notes.banyan: '.*' is no name for a snapshot: .*" \
			snapshot notes.banyan "$name"
	done
	refuses "drop and rename are two things" 2 \
		"banyan: snapshot: --drop and --rename do not go together" \
		snapshot -d -r b notes.banyan a
	gives "it can be dropped" 0 "" snapshot --drop notes.banyan 'week 1'
	refuses "once" 1 "banyan: notes.banyan: has no snapshot 'week 1' .*" \
		snapshot --drop notes.banyan 'week 1'
	like "the file is sound" "notes.banyan: sound .*" \
		"$(banyan check notes.banyan 2>&1)"
}

# Moments between freezes
test_times()
{
	local seconds then zone
	fresh
	sleep 0.01
	then=$(date +%Y-%m-%dT%H:%M:%S.%N)
	is "the past has a beginning" "" "$(banyan ls --at="$then" notes.banyan)"
	banyan put notes.banyan a 1
	banyan mkdir notes.banyan s
	sleep 0.01
	seconds=$(date +%s.%N)
	then=$(date -d "@$seconds" +%Y-%m-%dT%H:%M:%S.%N)
	sleep 0.01
	banyan put notes.banyan a 2
	banyan put notes.banyan s/b 3
	banyan rm notes.banyan a
	gives "get --at takes a time" 0 1 get --at="$then" notes.banyan a
	gives "so does ls" 0 "$(lines a s)" ls --at="${then/T/ }" notes.banyan
	for zone in UTC Asia/Kolkata America/St_Johns; do
		then=$(TZ=$zone date -d "@$seconds" '+%Y-%m-%d %H:%M:%S.%N')
		is "in local time ($zone)" 1 \
			"$(TZ=$zone banyan get --at="$then" notes.banyan a)"
		then+=$(TZ=$zone date -d "@$seconds" +%:z)
		is "or with its zone" 1 "$(banyan get --at="$then" notes.banyan a)"
	done
	gives "what has changed since" 0 "$(lines '- a' '+ s/b')" \
		diff notes.banyan "$then"
	gives "up to another moment" 0 "" diff notes.banyan "$then" "$then"
	is "as a list of files" "s/b" \
		"$(banyan diff -0 notes.banyan "$then" | tr '\0' '\n')"
	refuses "before the first freeze there is nothing" 1 \
		"banyan: notes.banyan: has nothing of that time .*" \
		diff notes.banyan 2001-01-01
	refuses "a freeze that there is not" 1 \
		"banyan: notes.banyan: has no freeze 99 .*" diff notes.banyan 99
	refuses "the future is not known" 2 \
		"banyan: get: '2100-01-01' is in the future" \
		get --at=2100-01-01 notes.banyan a
	for then in 2026-13-01 2026-01-01x 12:00 yesterday \
		'2026-01-01T10:00 MOON' -1 +1 ' 1' 1x; do
		refuses "'$then' is no time, but might be a snapshot" 1 \
			"banyan: notes.banyan: has no snapshot '.*" \
			ls --at="$then" notes.banyan
	done
	for then in '' . .. a/b @ @.; do
		refuses "'$then' is no name either" 2 \
			"banyan: ls: '.*' is neither .*" ls --at="$then" notes.banyan
	done
}

# Versions of keys, and what can be had back; through a mount, too
test_history()
{
	local when
	fresh
	banyan put notes.banyan k one
	banyan put notes.banyan k three
	banyan put notes.banyan tmp 22
	banyan mv notes.banyan tmp k
	banyan rm notes.banyan k
	like "log has a heading" "TIME +EVENT +SIZE +ID" \
		"$(banyan log notes.banyan k | head -n 1)"
	# Through the mount a put is more than one operation
	is "the versions of a key" "deleted 2 replaced 2" "$(banyan log \
		notes.banyan k | sed 1d | awk 'NR < 3 { print $4, $5 }' | xargs)"
	when=$(banyan log notes.banyan k | awk '$4 == "changed"' | head -n 1)
	gives "one is read with its time" 0 three \
		get --at "${when:0:35}" notes.banyan k
	refuses "a key that never was" 1 \
		"banyan: notes.banyan: none: never existed, .*" \
		log notes.banyan none
	refuses "a name that no key has" 1 \
		"banyan: notes.banyan: key 'a/../b': .*" log notes.banyan a/../b
	refuses "log does not make a file" 1 \
		"banyan: none.banyan: no such file .*" log none.banyan k

	banyan mkdir notes.banyan d
	banyan put notes.banyan d/a 'a value'
	banyan put notes.banyan $'d/new\nline' x
	banyan mkdir notes.banyan d/sub
	banyan put notes.banyan d/sub/b x
	banyan ln notes.banyan d/a alias
	banyan rm -r notes.banyan d
	like "what was deleted, the newest first" \
		'[-0-9]{10} [0-9:.]{18} \+0000 +0  d/' \
		"$(banyan deleted notes.banyan | head -n 1)"
	is "all of it, but for what lives on" \
		"$(lines d/ 'd/new\nline' d/sub/ d/sub/b k | sort)" \
		"$(banyan deleted notes.banyan | cut -c53- | sort)"
	is "as a list" "$(lines d/sub d/sub/b)" "$(banyan deleted -0 \
		notes.banyan d | tr '\0' '\n' | grep sub | sort)"
	is "below a key space" "d/sub/b" "$(banyan deleted -0 notes.banyan \
		d/sub | tr -d '\0')"
	refuses "undelete wants a key space" 1 \
		"banyan: notes.banyan: key 'd/sub': its key space does not exist; undelete that first, or give --to KEY" \
		undelete notes.banyan d/sub
	gives "or another place" 0 "" undelete --to sub notes.banyan d/sub
	gives "which has it then" 0 x get notes.banyan sub/b
	gives "a key space comes back" 0 "" undelete notes.banyan d
	gives "with all that was in it" 0 x get notes.banyan d/sub/b
	gives "and its aliases" 0 'a value' get notes.banyan d/a
	is "which are aliases again" 2 \
		"$(banyan stat --json notes.banyan d/a | field nlink)"
	gives "a key comes back" 0 "" undelete notes.banyan k
	gives "as it was" 0 22 get notes.banyan k
	gives "nothing is deleted any more" 0 "" deleted notes.banyan
	refuses "what exists stays" 1 \
		"banyan: notes.banyan: key 'k': exists; give --to KEY .*" \
		undelete notes.banyan k
	gives "its deleted one can be had elsewhere" 0 "" \
		undelete --to old notes.banyan k
	refuses "if nothing is there" 1 \
		"banyan: notes.banyan: key 'old': exists" \
		undelete --to old notes.banyan k
	refuses "and there is a key space" 1 \
		"banyan: notes.banyan: key 'no/k': .*'no'.*" \
		undelete --to no/k notes.banyan k
	refuses "what never was cannot come back" 1 \
		"banyan: notes.banyan: key 'none': was not deleted since .*" \
		undelete notes.banyan none
	banyan rm notes.banyan k
	banyan rm notes.banyan 'd/new\nline'
	banyan rm -r notes.banyan d/sub
	gives "several come back at once" 0 "" \
		undelete notes.banyan k old d/sub d/sub/b
	gives "each as it was" 0 22 get notes.banyan k
	gives "key spaces, too" 0 x get notes.banyan d/sub/b
	banyan rm -r notes.banyan d/sub
	refuses "what was deleted from a key space is said how" 1 \
		"banyan: notes.banyan: key 'd': exists; .*: banyan deleted -0 notes.banyan d . xargs -0 .*" \
		undelete notes.banyan d
	banyan deleted -0 notes.banyan d | xargs -0 "$BANYAN" undelete \
		notes.banyan
	gives "and comes back so" 0 x get notes.banyan d/sub/b
	banyan rm notes.banyan k
	refuses "of several those that cannot are named" 1 \
		"banyan: notes.banyan: key 'none': was not deleted since .*" \
		undelete notes.banyan none k
	gives "and the others are there" 0 22 get notes.banyan k
	banyan rm notes.banyan k
	refuses "so are those that are no keys" 1 \
		"banyan: notes.banyan: key '.banyan/x': the name is reserved" \
		undelete notes.banyan .banyan/x k
	gives "and the others are there, too" 0 22 get notes.banyan k
	refuses "to is for one key" 2 \
		"banyan: undelete: --to goes with one key only" \
		undelete --to x notes.banyan a b
	banyan rm notes.banyan old
	banyan vacuum notes.banyan >out
	gives "nor after a vacuum" 0 "" deleted notes.banyan
	refuses "nor what was deleted before it" 1 \
		"banyan: notes.banyan: key 'old': was not deleted since .*" \
		undelete notes.banyan old
	is "what was there then is where its log begins" "kept 2" \
		"$(banyan log notes.banyan k | awk 'NR > 1 { print $4, $5 }')"
}

# What the kernel knows as absent
test_undelete_mounted()
{
	local i got
	fresh
	mkdir -p mnt
	banyan mount notes.banyan mnt
	mkdir -p mnt/d/sub
	echo 1 >mnt/k
	echo 2 >mnt/d/sub/k
	setfattr -n user.x -v value mnt/k
	touch -d 2001-02-03T04:05:06.123456789Z mnt/k
	got=
	for ((i = 0; i < 10; i++)); do
		rm -r mnt/k mnt/d
		stat mnt/k mnt/d/sub/k >/dev/null 2>&1 && got+="there "
		ls mnt >/dev/null
		banyan undelete mnt k && banyan undelete notes.banyan d
		got+=$(cat mnt/k mnt/d/sub/k | xargs)$(ls mnt | xargs)
		rm mnt/d/sub/k
		stat mnt/d/sub/k >/dev/null 2>&1 && got+="there "
		ls mnt/d/sub
		banyan undelete mnt d/sub/k
		got+=$(cat mnt/d/sub/k)$(ls mnt/d/sub)
	done 2>err
	is "what comes back is seen at once" \
		"$(for ((i = 0; i < 10; i++)); do printf '1 2d k2k'; done)" "$got"
	is "without a word" "" "$(<err)"
	is "with its time" "2001-02-03 04:05:06.123456789 +0000" \
		"$(stat -c %y mnt/k)"
	is "and its attributes" value \
		"$(getfattr --only-values -n user.x mnt/k)"
	ln mnt/k mnt/l
	rm mnt/k
	stat -c %h mnt/l mnt/k >/dev/null 2>&1
	banyan undelete mnt k
	is "an alias of what lives on" "2 2" "$(stat -c %h mnt/k mnt/l | xargs)"
	mkdir mnt/many
	for ((i = 0; i < 3000; i++)); do
		echo $i >mnt/many/file-with-a-name-that-is-rather-long-$i
	done
	rm mnt/many/*
	ls mnt/many
	banyan deleted -0 mnt many | xargs -0 "$BANYAN" undelete mnt
	is "many at once" "3000 $((2999 * 1500))" \
		"$(ls mnt/many | wc -l) $(cat mnt/many/* | awk '{ n += $1 } END { print n }')"
	is "the daemon is idle" idle \
		"$(getfattr --only-values -n system.banyan.undelete mnt)"
	for got in '' 'k\000' 'k\000a\000b'; do
		is "an order that is none ($got)" "Invalid argument" "$(
			setfattr -n system.banyan.undelete -v "\"$got\"" mnt \
				2>&1 | sed 's/.*: //')"
	done
	if ((EUID == 0)); then
		mkdir mnt/locked
		for got in locked/first locked/last free other; do
			echo $got >mnt/$got
			rm mnt/$got
		done
		chattr +i mnt/locked
		got=$(banyan undelete mnt locked/first free locked/last 2>&1)
		is "of several each that may not come back is named" "1 2" \
			"$? $(grep -c "key 'locked/.*': .*not permitted" <<<"$got")"
		gives "and the others are there" 0 free get notes.banyan free
		banyan umount mnt
		got=$(banyan undelete notes.banyan locked/first other 2>&1)
		is "without a mount, too" "1 1 other" "$? $(grep -c \
			"key 'locked/.*': .*not permitted" <<<"$got") $(
			banyan get notes.banyan other)"
		banyan mount notes.banyan mnt
		chattr -i mnt/locked
		chmod 0755 .
		chmod 0666 notes.banyan
		got=$(setpriv --reuid 65534 --clear-groups \
			"$BANYAN" undelete mnt k 2>&1)
		like "not by others" "banyan: .*: only root and the user .*" \
			"$got"
	fi
	banyan umount mnt
	banyan mount -o ro notes.banyan mnt
	refuses "nor where it is mounted read-only" 1 \
		"banyan: notes.banyan is mounted read-only on mnt: .*" \
		undelete mnt k
	banyan umount mnt
	sound "the file is sound" notes.banyan
}

# complete WORD...: what bash is told for the last one
complete_words()
{
	bash -c 'compopt() { :; }; complete() { :; }; banyan() { "$BANYAN" "$@"; }
		. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_banyan; printf "%s\n" "${COMPREPLY[@]}"' - \
		"$top/tools/banyan.bash" "$@"
}

test_completion()
{
	fresh
	banyan put -p notes.banyan plans/old x
	banyan mv notes.banyan plans/old plans/new
	is "commands are completed" "$(lines freeze freezes)" \
		"$(complete_words banyan fre)"
	is "options are" "--at" "$(complete_words banyan get --a)"
	is "that of all commands that write, too" "--wait" \
		"$(complete_words banyan ln --w)"
	is "its argument is no operand" plans \
		"$(complete_words banyan ln --wait 3 notes.banyan p)"
	is "files are" notes.banyan "$(complete_words banyan get notes.b)"
	is "keys are" plans/new \
		"$(complete_words banyan get notes.banyan plans/)"
	is "of the past, too" plans/old \
		"$(complete_words banyan get --at = 2 notes.banyan plans/)"
	is "an argument of an option is no operand" plans \
		"$(complete_words banyan export -f csv notes.banyan p)"
}

# ---- bad files --------------------------------------------------------------

test_files()
{
	rm -f notes.banyan
	refuses "a missing file is said to be so" 1 \
		"banyan: notes.banyan: no such file .*" get notes.banyan a
	refuses "also for put" 1 \
		"banyan: notes.banyan: no such file .*" put notes.banyan a b
	is "and is not made" "" "$(ls notes.banyan 2>/dev/null)"
	gives "put -c makes it" 0 "" put -c notes.banyan a b
	gives "and leaves it alone the next time" 0 "" put -c notes.banyan c d
	gives "both are there" 0 "$(lines a c)" ls notes.banyan
	refuses "create refuses a file that exists" 1 \
		"banyan: notes.banyan: exists already" create notes.banyan
	gives "and leaves it alone" 0 "b" get notes.banyan a
	refuses "create needs the directory" 1 \
		"banyan: no/notes.banyan: the directory .* does not exist" \
		create no/notes.banyan
	refuses "an empty file name is refused" 1 \
		"banyan: the name of the database is empty" ls ""

	mkdir -p directory
	refuses "a directory is no database" 1 \
		"banyan: directory is a directory, not a database .*" \
		ls directory
	refuses "not for check either, which could not run" 3 \
		"banyan: directory is a directory, not a database .*" \
		check directory
	echo "Dear diary, this is a text file" >text
	refuses "a text is no database" 1 \
		"banyan: text: not a Banyan database" ls text
	refuses "a device is none, and that is said" 1 \
		"banyan: /dev/null: not a regular file" ls /dev/null
	refuses "by check, too, which could not run" 3 \
		"banyan: /dev/null: not a regular file" check /dev/null
	: >empty
	refuses "nor is an empty file" 1 \
		"banyan: empty: not a Banyan database" ls empty
	refuses "create does not replace it" 1 \
		"banyan: empty: exists already" create empty
	gives "a file called :memory: is a file" 0 "" create :memory:
	is "on the disk" ":memory:" "$(ls :memory:)"

	if ((EUID != 0)); then
		chmod 0 notes.banyan
		refuses "no permission is said to be so" 1 \
			"banyan: notes.banyan: permission denied" \
			ls notes.banyan
		chmod 0444 notes.banyan
		gives "reading needs only that permission" 0 "$(lines a c)" \
			ls notes.banyan
		refuses "writing needs the other" 1 \
			"banyan: notes.banyan: permission denied" \
			put notes.banyan a b
		chmod 0644 notes.banyan
	fi
}

# ---- vacuum -----------------------------------------------------------------

# put_random KEY MIB
put_random() { head -c $(($2 << 20)) /dev/urandom | banyan put notes.banyan "$1"; }

# A database of which 4 MiB are live and 8 dead
fresh_dead()
{
	fresh
	put_random big 4
	put_random big 4
	put_random big 4
}

BYTES='([0-9]+) bytes( \([0-9.]+ [KMG]iB\))?'

test_vacuum()
{
	local before after got

	fresh_dead
	before=$(stat -c %s notes.banyan)
	got=$(banyan vacuum --dry-run notes.banyan)
	like "vacuum -n tells the size" "size +$before bytes .*" "$(sed -n 1p <<<"$got")"
	like "and what is live" "live +4194304 bytes \(4\.0 MiB\)" \
		"$(sed -n 2p <<<"$got")"
	like "and what could be reclaimed" "reclaimable +about 8[0-9]{6} bytes .*" \
		"$(sed -n 3p <<<"$got")"
	is "as stat does" "$(sed -n 's/^reclaimable *about *//p' <<<"$got")" \
		"$(banyan stat notes.banyan | sed -n 's/^reclaimable *//p')"
	like "and how large the new file would be" \
		"new file +about 4[0-9]{6} bytes .*" "$(sed -n 4p <<<"$got")"
	like "of how much room" "free for it +[0-9]+ bytes .*" \
		"$(sed -n 5p <<<"$got")"
	like "and which freezes there would be" "freezes +[1-9] dropped, 0 kept" \
		"$(sed -n 6p <<<"$got")"
	is "and does no more" "$before" "$(stat -c %s notes.banyan)"
	banyan get notes.banyan big >expected
	chmod 0640 notes.banyan
	got=$(banyan vacuum notes.banyan 2>err)
	after=$(stat -c %s notes.banyan)
	like "vacuum tells what it did" \
		"notes\.banyan: $BYTES before, $BYTES after, $BYTES reclaimed; freezes: [4-9] dropped, 0 kept" "$got"
	is "and says nothing else" "" "$(<err)"
	[[ $got =~ $BYTES.before,.$BYTES.after,.$BYTES ]]
	is "which is true" "$before $after $((before - after))" \
		"${BASH_REMATCH[1]} ${BASH_REMATCH[3]} ${BASH_REMATCH[5]}"
	like "the file is as large as what is live" "4[0-9]{6}|5[0-9]{6}" "$after"
	is "and has its mode" 640 "$(stat -c %a notes.banyan)"
	banyan get notes.banyan big | cmp -s - expected
	is "the value is there" 0 $?
	sound "and the file sound" notes.banyan
	like "nothing is left to reclaim" "reclaimable +about [0-9]{1,5} bytes.*" \
		"$(banyan vacuum -n notes.banyan | sed -n 3p)"
	is "generation has grown" 2 \
		"$(banyan stat notes.banyan | sed -n 's/^generation *//p')"

	fresh_dead
	(
		trap - INT
		exec "$BANYAN" vacuum --rate 500K notes.banyan
	) >out 2>err &
	sleep 1
	kill -TERM $!
	wait $!
	is "a signal ends it" 143 $?
	is "it says that nothing was changed" \
		"banyan: notes.banyan: interrupted; nothing was changed" "$(<err)"
	is "and nothing else" "" "$(<out)"
	sound "which is so" notes.banyan
	like "nothing is reclaimed" "reclaimable +about 8[0-9]{6} bytes .*" \
		"$(banyan vacuum -n notes.banyan | sed -n 3p)"
	is "and no temporary is left" "" "$(find . -name '.*banyan-*')"

	fresh_dead
	ln -s notes.banyan link
	banyan vacuum link >out 2>err
	is "a link is followed" "0 link" "$? $(find . -maxdepth 1 -type l -printf %f)"
	like "and its file replaced" "4[0-9]{6}|5[0-9]{6}" \
		"$(stat -c %s notes.banyan)"
	rm link
}

test_punch()
{
	local size blocks
	fresh
	mkdir -p notes
	noise 6000000 >value
	banyan put notes.banyan gone <value
	banyan put notes.banyan kept <value
	banyan rm notes.banyan gone
	size=$(stat -c %s notes.banyan)
	blocks=$(stat -c %b notes.banyan)
	banyan vacuum --punch notes.banyan >out
	is "a punch succeeds" 0 $?
	like "and tells what it did" \
		"notes.banyan: .* before, .* after, .* reclaimed; freezes: 4 dropped, 0 kept" \
		"$(head -n 1 out)"
	holds "the disk has less for the file" \
		test "$(stat -c %b notes.banyan)" -lt $((blocks - 10000))
	holds "which is no smaller" test "$(stat -c %s notes.banyan)" -ge "$size"
	holds "the value is there" cmp value <(banyan get notes.banyan kept)
	sound "what was punched is sound" notes.banyan
	mkfifo pipe
	"$BANYAN" get notes.banyan kept >pipe &
	exec 7<pipe
	for _ in $(seq 500); do
		banyan vacuum --punch notes.banyan 2>&1 | grep -q "being read" && break
		sleep 0.01
	done
	ln -s notes.banyan link
	refuses "nothing is punched under a reader, who is named" 1 \
		"banyan: link: an earlier state of it is being read: in use by process $! \(banyan\); nothing was punched" \
		vacuum --punch link
	exec 7<&-
	wait $!
	rm link pipe
	refuses "a punch copies nothing, so it has no rate" 2 \
		"banyan: vacuum: --punch copies nothing: .*" \
		vacuum --punch --rate 1M notes.banyan
	banyan mount notes.banyan notes
	rm notes/kept
	banyan vacuum --punch notes >out 2>err
	is "a daemon punches" "0 " "$? $(<err)"
	banyan umount notes
	is "nothing is left of the value" "" "$(banyan ls notes.banyan)"
	holds "nor on the disk" test "$(stat -c %b notes.banyan)" -lt 1000
	sound "it is sound afterwards" notes.banyan
	rmdir notes
}

test_backup()
{
	fresh
	mkdir -p notes
	rm -f copy.banyan
	noise 3000000 | banyan put notes.banyan a
	noise 3000000 >value
	banyan put notes.banyan a <value
	banyan snapshot notes.banyan then
	echo now | banyan put notes.banyan a
	banyan mount notes.banyan notes
	like "a mounted database can be backed up" \
		"copy.banyan: .* bytes .*, of a file of .*" \
		"$(banyan backup notes.banyan copy.banyan 2>&1)"
	is "the copy has what was there" now "$(banyan get copy.banyan a)"
	holds "and the snapshot" cmp value <(banyan get --at then copy.banyan a)
	holds "and nothing else" test "$(stat -c %s copy.banyan)" -lt 3100000
	sound "it is sound" copy.banyan
	refuses "no file is written over" 1 \
		"banyan: copy.banyan exists already; .*" \
		backup notes copy.banyan
	rm copy.banyan
	like "the past can be backed up" "copy.banyan: .*" \
		"$(banyan backup --at then notes copy.banyan 2>&1)"
	holds "as it was" cmp value <(banyan get copy.banyan a)
	rm copy.banyan
	like "vacuum --into does the same" "copy.banyan: .*" \
		"$(banyan vacuum --into copy.banyan notes 2>&1)"
	is "and leaves the database alone" 1 \
		"$(banyan stat notes | sed -n 's/^generation *//p')"
	banyan umount notes
	refuses "the file itself exists" 1 "banyan: notes.banyan exists .*" \
		vacuum --into notes.banyan notes.banyan
	refuses "where there is no directory nothing is left" 1 \
		"banyan: none/x: the directory to write it to does not exist" \
		backup notes.banyan none/x
	rmdir notes
}

# losses [OPTION...]: what would be gone, without times
losses()
{
	banyan vacuum --dry-run --list "$@" | awk '{ print $1, $5, $6, $7 }'
}

test_vacuum_list()
{
	local said

	fresh
	mkdir -p notes
	echo one | banyan put notes.banyan a
	echo four | banyan put notes.banyan a
	echo gone | banyan put -p notes.banyan $'d/new\nline'
	banyan rm notes.banyan $'d/new\nline'
	is "what a vacuum would drop is listed" "$(printf '%s\n' \
		"freeze - - 5" "freeze - - 4" "freeze - - 3" "freeze - - 2" \
		"freeze - - 1" 'key 5 deleted d/new\nline' "version 4 made a")" \
		"$(losses notes.banyan)"
	is "with the time that 'deleted' has" \
		"$(banyan deleted notes.banyan | awk '{ print $1, $2, $3 }')" \
		"$(banyan vacuum -nl notes.banyan | awk '$1 == "key" { print $2, $3, $4 }')"
	is "and at which the version can be had" one "$(banyan get --at \
		"$(banyan vacuum -nl notes.banyan |
			awk '$1 == "version" { print $2, $3, $4 }')" notes.banyan a)"
	is "names can be had as they are" $'d/new\nline' \
		"$(banyan vacuum -nl0 notes.banyan | grep -z ^key | cut -zc 74- | tr -d '\0')"
	banyan snapshot notes.banyan then
	echo last | banyan put notes.banyan a
	is "what a snapshot has is not listed" \
		"key:5 version:4" "$(losses notes.banyan | sed -n '/^freeze/!s/ /:/p' | cut -d ' ' -f 1 | paste -sd ' ')"
	is "nor what --keep retains" "" "$(losses --keep 1h notes.banyan)"
	banyan mount -o keep=1h notes.banyan notes
	is "nor what the mount keeps" "" "$(losses notes)"
	is "which can be left out" "freeze key version" \
		"$(losses --keep 0s notes | cut -d ' ' -f 1 | uniq | paste -sd ' ')"
	like "a look ahead says so, too" "freezes +0 dropped, [5-9] kept" \
		"$(banyan vacuum -n notes | tail -n 1)"
	like "and tells what a punch does" "freezes +[5-9] dropped, 1 kept" \
		"$(banyan vacuum -n --punch notes | tail -n 1)"
	banyan umount notes
	rmdir notes
	is "nothing was done" 1 "$(banyan stat notes.banyan | sed -n 's/^generation *//p')"
	banyan vacuum notes.banyan >out
	is "after a vacuum there is its freeze" "freeze" \
		"$(losses notes.banyan | cut -d ' ' -f 1)"
	refuses "a list is of a look ahead" 2 \
		"banyan: vacuum: --list goes with --dry-run only" vacuum -l notes.banyan
	refuses "a NUL is of a list" 2 \
		"banyan: vacuum: --null goes with --list only" vacuum -n0 notes.banyan
}

# A punch reads all keys to look ahead, and knows what it will do
test_punch_ahead()
{
	local said done

	fresh
	noise 3000000 >value
	for done in 1 2 3; do banyan put notes.banyan a <value; done
	banyan snapshot notes.banyan then
	for done in 1 2 3; do banyan put notes.banyan a <value; done
	rm value
	said=$(banyan vacuum -n --punch notes.banyan | sed -nE 's/^reclaimable +([0-9]+) .*/\1/p')
	done=$(banyan vacuum --punch notes.banyan | sed -nE 's/.*, ([0-9]+) bytes .*reclaimed.*/\1/p')
	holds "a punch gives back what was said" test $((said - done)) -lt 100000
	holds "and no more" test $((done - said)) -lt 100000
	holds "which is what neither has" test "$done" -gt 11500000
}

test_vacuum_refused()
{
	local rate got holder status

	fresh_dead
	for rate in 0 0K 5X -1 "" 1.5M 99999999999999G; do
		refuses "a rate of '$rate' is none" 2 \
			"banyan: vacuum: '$rate' is not a rate: bytes a second, such as 50M" \
			vacuum --rate="$rate" notes.banyan
	done
	refuses "there has to be a file" 1 "banyan: none.banyan: no such file .*" \
		vacuum none.banyan
	ln notes.banyan other
	refuses "one with hard links is refused" 1 \
		"banyan: notes.banyan: it has further names \(hard links\).*" \
		vacuum notes.banyan
	refuses "which a look ahead says, too" 1 \
		"banyan: notes.banyan: it has further names \(hard links\).*" \
		vacuum --dry-run notes.banyan
	like "a punch would be possible" "freezes .*" \
		"$(banyan vacuum --dry-run --punch notes.banyan | tail -n 1)"
	rm other
	ln -s nowhere dangling
	refuses "a link to nothing is no file" 1 \
		"banyan: dangling: a symbolic link that leads to no file" \
		vacuum dangling
	rm dangling
	refuses "a look ahead sees what is in the way of a copy" 1 \
		"banyan: notes.banyan exists already; .*" \
		vacuum -n --into notes.banyan notes.banyan
	refuses "and that there is no place for it" 1 \
		"banyan: none/x: the directory to write it to does not exist" \
		vacuum -n --into none/x notes.banyan
	if ((EUID == 0)); then
		mkdir locked
		chmod 0755 .
		cp notes.banyan locked/
		chown -R 65534 locked/notes.banyan
		chmod 0755 locked
		got=$(setpriv --reuid 65534 --clear-groups "$BANYAN" vacuum \
			locked/notes.banyan 2>&1)
		is "so is one whose directory cannot be written" \
			"banyan: locked/notes.banyan: no new file can be made in its directory: permission denied" \
			"$got"
		rm -r locked
		: >bound
		if mount --bind notes.banyan bound 2>/dev/null; then
			refuses "so is a bind mount" 1 \
				"banyan: bound: it is a mount point \(a bind mount\) .*" \
				vacuum bound
			refuses "and its look ahead" 1 \
				"banyan: bound: it is a mount point \(a bind mount\) .*" \
				vacuum --dry-run bound
			umount bound
		fi
		rm bound
	fi
	hold_open
	refuses "one that is open elsewhere is refused, naming the process" 1 \
		"banyan: notes.banyan: is open in process $holder \(banyan\)" \
		vacuum --wait=0 notes.banyan
	let_go
	rm pipe
}

# opens COMMAND...: how often it opens the database
opens()
{
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 strace -f -qq -o trace \
		-e trace=open,openat "$BANYAN" "$@" >/dev/null
	grep -c 'notes\.banyan"' trace
}

test_vacuum_mounted()
{
	local got

	fresh_dead
	mkdir -p mnt
	banyan mount notes.banyan mnt
	put_random big 4
	got=$(banyan vacuum mnt 2>err)
	like "a mounted database is vacuumed by its daemon" \
		"notes\.banyan: $BYTES before, $BYTES after, $BYTES reclaimed; freezes: [4-9] dropped, 0 kept" "$got"
	is "without a word" "" "$(<err)"
	like "the file is small" "4[0-9]{6}|5[0-9]{6}" "$(stat -c %s notes.banyan)"
	like "by its file as well" "notes\.banyan: .* reclaimed; freezes: .*" \
		"$(banyan vacuum notes.banyan 2>&1)"
	put_random big 4
	! command -v strace >/dev/null ||
		is "a look ahead opens it as often as stat" \
			"$(opens stat notes.banyan)" \
			"$(opens vacuum --dry-run notes.banyan)"
	(
		trap - INT
		exec "$BANYAN" vacuum --rate 500K mnt
	) >out 2>err &
	sleep 1
	like "its daemon tells how far it is" "running [0-9]+ [0-9]+" \
		"$(getfattr --only-values -n system.banyan.vacuum mnt 2>/dev/null)"
	kill -TERM $!
	wait $!
	is "a signal ends it" 143 $?
	is "it says that nothing was changed" \
		"banyan: notes.banyan: interrupted; nothing was changed" "$(<err)"
	like "in the daemon, too" "failed 125 .*" \
		"$(getfattr --only-values -n system.banyan.vacuum mnt 2>/dev/null)"
	banyan vacuum mnt >out 2>err
	is "it can be done again" "0 " "$? $(<err)"
	banyan snapshot mnt same
	gives "a snapshot may be renamed to its own name" 0 "" \
		snapshot --rename=same mnt same
	refuses "but not one that there is not" 1 \
		"banyan: notes.banyan: has no snapshot 'other' .*" \
		snapshot --rename=other mnt other
	banyan snapshot --drop mnt same
	ln notes.banyan other
	refuses "hard links are refused there" 1 \
		"banyan: notes.banyan: it has further names \(hard links\).*" \
		vacuum mnt
	rm other
	if ((EUID == 0)); then
		chmod 0755 .
		chmod 0666 notes.banyan
		got=$(setpriv --reuid 65534 --clear-groups "$BANYAN" vacuum mnt 2>&1)
		is "others may not" \
			"banyan: notes.banyan is mounted on mnt: only root and the user who has mounted it can vacuum it" \
			"$got"
	fi
	gives "it unmounts" 0 "" umount mnt
	sound "and is sound" notes.banyan
	banyan mount -o ro notes.banyan mnt
	refuses "a read-only mount is in the way" 1 \
		"banyan: notes.banyan is mounted read-only on mnt: .*" vacuum mnt
	banyan umount mnt
}

test_damage()
{
	local size
	fresh
	head -c 300000 /dev/urandom >large
	banyan put notes.banyan large <large
	banyan put notes.banyan small value
	sound "check finds a sound file sound" notes.banyan

	size=$(wc -c <notes.banyan)
	cp notes.banyan torn.banyan
	head -c 100000 /dev/zero | tr '\0' x >>torn.banyan
	like "check says up to where, and when that was" \
		"notes.banyan: sound up to freeze 3 of $(date +%Y)-[-0-9: .+]+" \
		"$(banyan check notes.banyan)"
	like "a part behind the end is told, and is no damage" \
		"torn.banyan: note: 100000 bytes behind offset $size, where \
the log ends, are not a whole record: this is a copy of an open database, its \
writer was killed, or the file was cut short.torn.banyan: sound up to freeze .*" \
		"$(banyan check torn.banyan)"
	head -c $((size - 136)) notes.banyan >torn.banyan # its last freeze
	like "so is a part that is missing at the end" \
		"torn.banyan: note: the log ends at offset .* cut short.\
torn.banyan: sound up to freeze 2 of .* and 1 operation after it, .*" \
		"$(banyan check torn.banyan)"
	like "a salvage tells it as well" \
		"torn.banyan: note: the log ends at offset .* cut short.\
torn.banyan: nothing is lost, all is in rescued.banyan" \
		"$(banyan check -s rescued.banyan torn.banyan)"
	rm rescued.banyan

	cp notes.banyan hurt.banyan
	printf 'XXXX' | dd of=hurt.banyan bs=1 seek=150000 conv=notrunc \
		status=none
	banyan check hurt.banyan >out 2>err
	is "check finds damage: exit 1" 1 $?
	like "one line each, and how many" "hurt.banyan: .*damaged in .*" \
		"$(tr '\n' ' ' <out)"
	banyan get hurt.banyan large >got 2>err
	like "get does not pass it on" "1 .*damaged.*" "$? $(tr '\n' ' ' <err)"
	is "the undamaged start is equal" "" \
		"$(cmp -n "$(wc -c <got)" got large 2>&1)"
	gives "other values are fine" 0 "value" get hurt.banyan small

	size=$(wc -c <notes.banyan)
	head -c 100 notes.banyan >short.banyan
	banyan ls short.banyan >out 2>err
	is "a file cut in its head is refused" "1 0" "$? $(wc -c <out)"
	banyan check short.banyan >out 2>err
	is "check says so" 1 "$(($? == 1 || $? == 3))"
	head -c $((size / 2)) notes.banyan >short.banyan
	banyan check short.banyan >out 2>err
	is "check runs on a file cut in the middle" 1 "$(($? <= 1))"

	refuses "check of a missing file could not run" 3 \
		"banyan: none: no such file.*" check none
	refuses "nor of a text" 3 "banyan: text: not a Banyan database" \
		check text
	banyan check notes.banyan >/dev/full 2>err
	is "a check that cannot tell has not run" 3 $?
}

# No file of a salvage that came to nothing, hidden ones included
leftovers()
{
	find . -maxdepth 1 -name '*rescued*' | tr '\n' ' '
}

test_salvage()
{
	fresh
	rm -f rescued.banyan
	head -c 300000 /dev/urandom >large
	banyan put notes.banyan large <large
	banyan put notes.banyan small value
	banyan mkdir notes.banyan space
	banyan ln notes.banyan small space/alias
	gives "a sound file is salvaged whole" 0 \
		"notes.banyan: nothing is lost, all is in rescued.banyan" \
		check --salvage rescued.banyan notes.banyan
	sound "the copy is sound" rescued.banyan
	is "and equal" "$(banyan ls -lR notes.banyan)" \
		"$(banyan ls -lR rescued.banyan)"
	banyan get rescued.banyan large | cmp - large &&
		ok "its values too" || not_ok "its values too"
	refuses "what exists is not overwritten" 3 \
		"banyan: rescued.banyan: .*exists.*" \
		check -s rescued.banyan notes.banyan
	rm rescued.banyan

	cp notes.banyan hurt.banyan
	printf 'XXXX' | dd of=hurt.banyan bs=1 seek=150000 conv=notrunc \
		status=none
	cp hurt.banyan before
	gives "what is lost is listed, by key and bytes: exit 1" 1 \
		"hurt.banyan: lost: key large: bytes 143360 to 147455 of \
300000 are damaged
hurt.banyan: 1 loss, the rest is in rescued.banyan" \
		check -s rescued.banyan hurt.banyan
	is "the damaged file is not changed" "" "$(cmp before hurt.banyan 2>&1)"
	is "all the rest is there" "small space space/alias" \
		"$(banyan ls -R rescued.banyan | xargs)"
	sound "and sound" rescued.banyan
	rm rescued.banyan
	banyan check --zeros --salvage rescued.banyan hurt.banyan >out
	banyan get rescued.banyan large >got
	is "or the rest of the value, too" "143360 147456 300000" \
		"$(cmp -l large got | awk 'NR == 1 { a = $1 - 1 }
			{ b = $1 } END { print a - a % 4096,
			b + (4096 - b % 4096) % 4096 }') $(wc -c <got)"
	rm rescued.banyan

	dd if=/dev/zero of=hurt.banyan bs=4096 count=1 conv=notrunc status=none
	banyan check hurt.banyan >out 2>err
	is "check goes on without a superblock" \
		"1 hurt.banyan: damaged superblock at offset 0" \
		"$? $(head -n 1 out)"
	banyan check -s rescued.banyan hurt.banyan >out 2>err
	is "and so does a salvage" "1 hurt.banyan: note: damaged superblock at \
offset 0" "$? $(head -n 1 out)"
	gives "from what is left" 0 "value" get rescued.banyan small
	rm rescued.banyan

	refuses "a text cannot be salvaged" 3 \
		"banyan: text: not a Banyan database" \
		check -s rescued.banyan text
	refuses "nor what is not there" 3 "banyan: none: no such file.*" \
		check -s rescued.banyan none
	refuses "nor to where there is no directory" 3 \
		"banyan: none/rescued.banyan: the directory .* does not exist" \
		check -s none/rescued.banyan notes.banyan
	refuses "nor to a file without a name" 2 \
		"banyan: check: the name after --salvage is empty" \
		check -s "" notes.banyan
	refuses "--zeros alone is misuse" 2 "banyan: check: --zeros .*" \
		check -z notes.banyan
	banyan check -s rescued.banyan notes.banyan >/dev/full 2>err
	is "a salvage that cannot tell has not run" 3 $?
	rm -f rescued.banyan
	is "nothing is left of any of these" "" "$(leftovers)"
}

# interrupt_check ARGUMENT...: by SIGTERM, somewhere in the middle: tries until
# one was neither too early nor too late. Sets status.
interrupt_check()
{
	local seconds
	for seconds in 0.02 0.05 0.1 0.2 0.03 0.07 0.15 0.3 0.01 0.5; do
		rm -f rescued.banyan
		timeout -s TERM --preserve-status $seconds "$BANYAN" check \
			"$@" >out 2>err
		status=$?
		[[ -s err ]] && return
	done
}

# see_bar: 1 if the check of notes.banyan shows one on a terminal. What is done in
# a tenth of a second needs none: on a machine that fast there is more to check.
see_bar()
{
	local more
	for more in 1 2 3 4 5; do
		script -qec "'$BANYAN' check notes.banyan" /dev/null \
			</dev/null | tr '\r' '\n' >shown
		grep -cm1 '^checking \[#* *\]  *[0-9]* %  [0-9]* MB/s  [0-9]*:[0-9]* left' \
			shown >seen && break
		head -c 500000000 /dev/zero | banyan put notes.banyan more$more
	done
	cat seen
}

test_interrupted_check()
{
	local status
	fresh
	head -c 250000000 /dev/zero | banyan put notes.banyan large
	interrupt_check notes.banyan
	is "an interrupted check says so" "143 banyan: notes.banyan: \
interrupted; the rest was not checked" "$status $(<err)"
	interrupt_check -s rescued.banyan notes.banyan
	is "so does a salvage" "143 banyan: notes.banyan: interrupted; nothing \
was written" "$status $(<err)"
	is "and leaves nothing behind" "" "$(leftovers)"
	command -v script >/dev/null || return
	is "a terminal sees a bar, the rate and the time left" 1 "$(see_bar)"
	script -qec "'$BANYAN' check -s rescued.banyan notes.banyan" /dev/null \
		</dev/null >out
	is "of a salvage, too, and of no rows" "1 0" \
		"$(grep -cm1 'salvaging \[.* MB/s .* left' out) $(grep -c rows out)"
	rm rescued.banyan
}

# A disk that is too small for what is to be salvaged
test_salvage_full_disk()
{
	((EUID == 0)) || return
	fresh
	head -c 3000000 /dev/urandom | banyan put notes.banyan large
	mkdir -p small
	mount -t tmpfs -o size=2m tmpfs small 2>/dev/null || return
	banyan check -s small/rescued notes.banyan >out 2>err
	like "a full disk ends a salvage" \
		"3 banyan: small/rescued: [Nn]o space left.*" "$? $(<err)"
	is "and nothing is left on it" "" "$(ls -A small)"
	umount small
}

# ---- limits -----------------------------------------------------------------

# A limit on the size of files is an error, not the end of the process
test_file_limit()
{
	fresh
	banyan put notes.banyan small value
	head -c 3000000 /dev/urandom >large
	local limited="ulimit -f 200; exec \"\$@\""
	bash -c "$limited" - "$BANYAN" put notes.banyan large <large 2>err
	is "a limit on the size of files is an error of put" \
		"1 banyan: notes.banyan: key 'large': the file may not become \
so large (see 'ulimit -f')" "$? $(<err)"
	bash -c "$limited" - "$BANYAN" rm notes.banyan small 2>err
	bash -c "ulimit -f 1; exec \"\$@\"" - "$BANYAN" create new.banyan 2>err
	is "and of create" "1 banyan: new.banyan: the file may not become so \
large (see 'ulimit -f')" "$? $(<err)"
	is "of which nothing is left" "" "$(find . -name '*new.banyan*')"
	banyan put notes.banyan large <large
	bash -c "$limited" - "$BANYAN" get notes.banyan large >out 2>err
	is "and of output" "1 banyan: standard output: File too large" \
		"$? $(<err)"
	sound "the file is sound" notes.banyan
}

# ---- beside another process -------------------------------------------------

# hold_open: a put that has the database open until descriptor 9 is closed. Sets
# holder.
hold_open()
{
	[[ -p pipe ]] || mkfifo pipe
	"$BANYAN" put notes.banyan large <pipe &
	holder=$!
	exec 9>pipe
	head -c 3000000 /dev/zero >&9
	while banyan put --wait=0 notes.banyan b 2 2>/dev/null; do
		sleep 0.05
	done
}

# let_go: and now it ends. Sets status.
let_go()
{
	exec 9>&-
	wait $holder 2>/dev/null
	status=$?
}

test_holder()
{
	local holder status
	fresh
	banyan put notes.banyan a 1
	hold_open
	refuses "an open database is refused, naming the process" 1 \
		"banyan: notes.banyan: is open in process $holder \(banyan\)" \
		put --wait=0 notes.banyan b 2
	gives "reading works beside it" 0 "1" get notes.banyan a
	refuses "what is not put yet is not seen" 1 ".*not found" \
		get notes.banyan large
	let_go
	is "the put ends well" 0 $status
	is "and is whole" 3000000 "$(banyan get notes.banyan large | wc -c)"

	hold_open
	kill -TERM $holder
	let_go
	is "an interrupted put ends by the signal" 143 $status
	is "and leaves the old value" 3000000 \
		"$(banyan get notes.banyan large | wc -c)"
	like "in a sound file" "(.*: note: [^"$'\n'"]*.)?notes.banyan: sound .*" \
		"$(banyan check notes.banyan)"
	rm pipe
}

test_wait()
{
	local holder status i pids=() done=0 began
	fresh
	for i in {1..16}; do
		banyan put notes.banyan k$i $i 2>>err &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait $i && done=$((done + 1))
	done
	is "of 16 puts at once all succeed" "16 16" \
		"$done $(banyan ls notes.banyan | wc -l)"

	hold_open
	(sleep 0.7; kill $holder) &
	gives "who writes waits for another to end" 0 "" \
		mkdir notes.banyan waited
	let_go
	hold_open
	began=$SECONDS
	refuses "for as long as it is told, and says so" 1 \
		"banyan: notes.banyan: is open in process $holder \(banyan\), \
still after 1 s \(see --wait\)" rm --wait=1 notes.banyan waited
	is "and no longer" 1 $((SECONDS - began < 4))
	timeout -s INT 0.3 "$BANYAN" ln notes.banyan k1 k0 2>err
	is "a wait can be interrupted" "124 " "$? $(<err)"
	echo '{"id":1}' >in
	timeout -s TERM --preserve-status 0.3 "$BANYAN" import -f ndjson -k id \
		notes.banyan in 2>err
	is "that of an import, too" "143 " "$? $(<err)"
	kill $holder
	let_go
	for i in create freeze import ln mkdir mv put rm; do
		like "$i can wait" ".* --wait=SECONDS .*" "$(banyan $i --help)"
	done
	refuses "what is no number of seconds is misuse" 2 \
		"banyan: put: 'soon' is not a number of seconds" \
		put --wait=soon notes.banyan a 1
	rm pipe
}

# ---- mounts -----------------------------------------------------------------

test_mount()
{
	fresh
	mkdir notes
	banyan put notes.banyan before 1
	gives "mount returns when it serves" 0 "" mount notes.banyan notes
	is "what was put is there" 1 "$(<notes/before)"
	echo -n 2 >notes/now
	mkdir notes/dir

	gives "get reads beside the mount" 0 "2" get notes.banyan now
	gives "also by the directory" 0 "2" get notes now
	gives "also with a slash" 0 "$(lines before dir now)" ls notes/
	gives "also by its absolute path" 0 "2" get "$work/notes" now
	is "stat knows it is mounted" true \
		"$(banyan stat --json notes | field mounted)"
	like "and where" ".*mounted on +notes .*" \
		"$(banyan stat notes.banyan | tr '\n' ' ')"
	sound "check runs beside it" notes.banyan
	is "freezes does" 0 "$(banyan freezes notes >/dev/null; echo $?)"

	gives "put works through the mount" 0 "" put notes.banyan a b
	is "and shows there" b "$(<notes/a)"
	gives "put by the directory, too" 0 "" put notes a c
	is "and shows there again" c "$(<notes/a)"
	refuses "freeze is left to the daemon" 1 \
		"banyan: notes.banyan is mounted on notes: 'banyan umount .*" \
		freeze notes.banyan
	refuses "create finds the file" 1 \
		"banyan: notes.banyan: exists already" create notes.banyan
	refuses "a second mount is refused" 1 \
		"banyanfs: .*notes.banyan: already mounted on .*/notes; .*" \
		mount notes.banyan directory
	ln notes.banyan hard.banyan
	gives "a hardlink of the file is the same" 0 "" put hard.banyan a d
	is "and leads to the mount" d "$(<notes/a)"
	refuses "a directory in the mount is no database" 1 \
		"banyan: notes/dir is a directory, not a database .*" \
		ls notes/dir

	# shellcheck disable=SC2217 # not to read it, but to have it open
	sleep 100 <notes/now &
	until [ "$(cat /proc/$!/comm 2>/dev/null)" = sleep ]; do
		sleep 0.01
	done
	refuses "umount of a busy mount names who uses it" 1 \
		"banyan: notes is busy: in use by process $! \(sleep\)" \
		umount notes
	kill $!
	wait $! 2>/dev/null
	gives "umount unmounts" 0 "" umount notes
	is "nothing is mounted any more" "" "$(ls notes)"
	gives "and the file is closed: put works" 0 "" put notes.banyan a b
	refuses "umount of what is not mounted is refused" 1 \
		"banyan: notes is a directory, .*" umount notes
	refuses "also of the file" 1 "banyan: notes.banyan is not mounted" \
		umount notes.banyan
	rm hard.banyan
}

test_odd_mount()
{
	mkdir -p "other notes"
	refuses "a missing file cannot be mounted" 1 "banyan.*none.*" \
		mount none notes
	gives "-o create makes it; odd names are fine" 0 "" \
		mount -o create $'odd, \\ name.banyan' "other notes"
	echo -n hi >"other notes/a"
	gives "also for others" 0 "hi" get "other notes" a
	gives "umount takes the file, too" 0 "" \
		umount --timeout=30 $'odd, \\ name.banyan'
	gives "all is there" 0 "hi" get $'odd, \\ name.banyan' a
	refuses "a missing mountpoint is named" 1 "banyan.*nowhere.*" \
		mount notes.banyan nowhere
	mount_status=$(banyan mount -o whatever notes.banyan notes 2>/dev/null
		echo $?)
	is "an unknown option is misuse" 2 "$mount_status"
}

# What another user may do there is for the mount to say
test_other_user()
{
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	((EUID == 0)) || return
	fresh
	chmod 755 .
	banyan put -p notes.banyan theirs/a 1
	banyan mount -o allow_other notes.banyan notes
	chmod 777 notes/theirs
	"${nobody[@]}" "$BANYAN" put notes.banyan a 2 2>err
	is "another user is not let into a mount where he may not write" \
		"1 banyan: notes.banyan: key 'a': permission denied" \
		"$? $(<err)"
	"${nobody[@]}" "$BANYAN" put notes.banyan theirs/a 2 2>err
	is "nor does he change what is not his" \
		"1 banyan: notes.banyan: key 'theirs/a': permission denied" \
		"$? $(<err)"
	"${nobody[@]}" "$BANYAN" put notes.banyan theirs/b 2
	is "but makes what is" "65534 2" \
		"$(stat -c %u notes/theirs/b) $(<notes/theirs/b)"
	banyan umount notes
	banyan mount -o noallow_other notes.banyan notes
	"${nobody[@]}" "$BANYAN" put notes.banyan theirs/b 3 2>err
	is "a mount of another user is closed to him" \
		"1 banyan: notes.banyan is mounted on notes: permission denied" \
		"$? $(<err)"
	banyan umount notes
	chmod 700 .
}

# Readers of a value that is replaced through the mount see the old one or the
# new one; only the rest of a longer one may be there for a moment
test_replaced()
{
	local seen odd=0 end i
	fresh
	head -c 900000 /dev/zero | tr '\0' a >all_a
	tr a b <all_a >all_b
	banyan put notes.banyan value <all_a
	banyan mount notes.banyan notes
	for i in {1..30}; do
		banyan put notes.banyan value <all_b
		banyan put notes.banyan value <all_a
	done &
	end=$!
	while kill -0 $end 2>/dev/null; do
		# What the daemon has, not what the kernel remembers
		seen=$(banyan get notes.banyan value | tr -s ab)
		[[ $seen == [ab] ]] || odd=$((odd + 1))
	done
	is "no reader sees a value that is half of each" 0 $odd

	mkfifo pipe
	"$BANYAN" put notes.banyan new <pipe &
	end=$!
	exec 9>pipe
	head -c 3000000 /dev/zero >&9
	is "a long value has no key before it is there" 0 \
		"$(ls notes | grep -cvx 'value\|.put-.*')"
	kill -TERM $end
	exec 9>&-
	wait $end
	is "one that is interrupted leaves nothing behind" "143 value" \
		"$? $(ls -A notes)"
	rm pipe
	head -c 3000000 /dev/urandom >large
	banyan put notes.banyan value <large
	ln notes/value notes/alias
	ls -i notes/value >before
	head -c 2500000 /dev/urandom >large
	banyan put notes.banyan value <large
	cmp notes/alias large
	is "a long one keeps its Data and aliases" "0 $(<before)" \
		"$? $(ls -i notes/value)"
	banyan umount notes
}

# Deeper than a process may have files open, and than a path may be long
test_deep()
{
	local deep long name
	fresh
	banyan mount notes.banyan notes
	deep=$(printf '%05000d' 0 | sed 's/0/d\//g')
	name=$(printf '%0250d' 7)
	long=$(for _ in {1..50}; do echo -n "$name/"; done)
	gives "key spaces may be deep" 0 "" mkdir -p notes.banyan "$deep"
	gives "and keys long" 0 "" put -p notes.banyan "$long/key" value
	gives "they are found" 0 value get notes.banyan "$long/key"
	gives "and moved" 0 "" mv notes.banyan "$long/key" "$deep"
	gives "to where they are to be" 0 value get notes.banyan "$deep/key"
	(ulimit -n 32; banyan rm -r notes.banyan d "$name" 2>err)
	is "and all is removed" "0||" "$?|$(<err)|$(ls notes)"
	sound "with nothing wrong" notes.banyan
	banyan umount notes
}

# The file is cut while it is mounted
test_cut()
{
	fresh
	banyan mount notes.banyan notes
	echo 1 >notes/a
	truncate -s 0 notes.banyan
	refuses "umount says that not all was written" 1 \
		"banyan: notes.banyan: could not be closed .*" umount notes
	mountpoint -q notes
	is "and unmounts" 32 $?
}

# The file is moved while it is mounted, and another comes in its place
test_moved()
{
	fresh
	mkdir -p other
	rm -f moved.banyan
	banyan put notes.banyan key old
	banyan mount notes.banyan notes
	mv notes.banyan moved.banyan
	gives "a mount is read when its file was moved" 0 key ls notes
	gives "so is the file" 0 key ls moved.banyan
	like "they still belong together" \
		"file +moved.banyan mounted on +notes .*" \
		"$(banyan stat moved.banyan | tr '\n' ' ')"
	gives "put works through the mount" 0 "" put notes a 1
	gives "also by the file" 0 "" put moved.banyan b 2
	is "and all is there" "a b key" "$(ls notes | xargs)"
	banyan create notes.banyan
	gives "another file in its place is another" 0 "" ls notes.banyan
	gives "it is not written through that mount" 0 "" \
		put notes.banyan key new
	gives "which stays as it is" 0 old get notes key
	gives "it has a mount of its own" 0 "" mount notes.banyan other
	gives "which is used" 0 "" put notes.banyan mine 3
	is "and no other" "key mine|a b key" \
		"$(ls other | xargs)|$(banyan ls notes | xargs)"
	refuses "what was moved is not mounted twice" 1 \
		"banyanfs: .*moved.banyan: already mounted on .*/notes; .*" \
		mount moved.banyan directory
	rm moved.banyan
	refuses "when the file is gone that is said" 1 \
		"banyan: notes: the database that is mounted there was \
notes.banyan, and has been moved or removed" ls notes
	refuses "by check, too, which could not run" 3 \
		"banyan: notes: .* has been moved or removed" check notes
	is "the mount can still be read" "a b key" "$(ls notes | xargs)"
	refuses "but not written, as nothing would be left of it" 1 \
		"banyan: notes.banyan: .*the last changes may be lost: .*" \
		put notes c 3
	refuses "which is said when it is unmounted" 1 \
		"banyan: notes.banyan: could not be closed .*" umount notes
	gives "and the other by its file" 0 "" umount notes.banyan
}

# A mount whose daemon does not answer holds up nobody who works elsewhere; and a
# daemon may have another name, as below valgrind
test_other_daemons()
{
	local pid
	fresh
	mkdir -p other
	cp "$BANYANFS" renamed
	./renamed notes.banyan notes
	gives "a daemon of any name is found" 0 "" put notes.banyan a 1
	is "and does the work" 1 "$(<notes/a)"
	banyan umount notes
	banyan create other.banyan
	./renamed other.banyan other
	banyan mount notes.banyan notes
	pid=$(daemon_of "$work/other.banyan")
	stop_process "$pid"
	timeout 10 "$BANYAN" put notes.banyan a 2
	is "none that is stuck elsewhere is asked" "0 2" "$? $(<notes/a)"
	timeout 10 "$BANYAN" umount notes.banyan
	timeout 10 "$BANYAN" put notes.banyan a 3
	is "nor without a mount" 0 $?
	kill -CONT "$pid"
	banyan umount other
	rm renamed other.banyan
}

# What is mounted on a directory of the mount is not the database
test_mount_within()
{
	((EUID == 0)) || return
	fresh
	banyan mount notes.banyan notes
	mkdir notes/within
	mount -t tmpfs tmpfs notes/within || return
	refuses "nothing is put into what is mounted within" 1 \
		"banyan: .* 'within/a': another file system is mounted there" \
		put notes.banyan within/a 1
	refuses "or removed" 1 \
		"banyan: .* 'within': another file system is mounted there" \
		rm -r notes.banyan within
	umount notes/within
	mount -t tmpfs tmpfs notes
	refuses "or put into what is mounted over it" 1 \
		"banyan: notes.banyan is mounted on notes, below another .*" \
		put --wait=0 notes.banyan a 1
	umount notes
	banyan umount notes
}

# A read-only mount beside another: the lock is the other's
test_two_mounts()
{
	fresh
	mkdir -p view
	banyan mount notes.banyan notes
	echo -n 1 >notes/a
	gives "a read-only mount can be beside another" 0 "" \
		mount -o ro notes.banyan view
	is "and shows what was there" 1 "$(<view/a)"
	refuses "where nothing can be written" 1 \
		"banyan: notes.banyan is mounted read-only on view: .*" \
		put view a 2
	gives "writers use the one that can be written" 0 "" \
		put notes.banyan a 2
	is "so it shows there" 2 "$(<notes/a)"
	gives "umount of the read-only one does not wait for the other" 0 "" \
		umount --timeout=1 view
	is "which goes on" 2 "$(<notes/a)"
	banyan mount -o ro notes.banyan view
	gives "umount of the file takes the other first" 0 "" \
		umount notes.banyan
	gives "beside a read-only one the file can be mounted again" 0 "" \
		mount notes.banyan notes
	banyan umount notes.banyan
	gives "then the read-only one" 0 "" umount notes.banyan
	rmdir view
}

# The daemon dies: the mount stays, and answers nothing
test_dead_mount()
{
	local pid
	fresh
	banyan mount notes.banyan notes
	echo -n 1 >notes/a
	pid=$(daemon_of "$work/notes.banyan")
	kill_daemon "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	gives "a dead mount can be read by its directory" 0 "1" get notes a
	refuses "writing says that the daemon has died" 1 \
		"banyan: notes.banyan is mounted on notes, but its daemon .*" \
		put notes.banyan a 2
	gives "umount clears it away" 0 "" umount notes
	gives "then the file can be frozen" 0 "" freeze notes.banyan
	like "which is listed as asked for" ".*asked for" \
		"$(banyan freezes notes.banyan | sed -n 2p)"
	gives "and written" 0 "" put notes.banyan a 2
}

# A daemon that does not get to closing the database
test_slow_daemon()
{
	local pid
	fresh
	banyan mount notes.banyan notes
	echo -n 1 >notes/a
	pid=$(daemon_of "$work/notes.banyan")
	stop_process "$pid"
	refuses "umount names who still has the file open" 1 \
		"banyan: notes.banyan: unmounted, .* process $pid .* 1 s" \
		umount --timeout=1 notes
	refuses "so does whoever wants to write" 1 \
		"banyan: notes.banyan: is open in process $pid \(banyanfs\)" \
		put --wait=0 notes.banyan a 2
	gives "while reading works" 0 "1" get notes.banyan a
	kill -CONT "$pid"
	gives "who waits writes when it is closed" 0 "" put notes.banyan a 2
}

# -----------------------------------------------------------------------------

"$BANYAN" create empty.banyan
test_help
test_values
test_large_values
test_names
test_ls
test_ls_long
test_ls_deep
test_quoting
test_ln
test_mv
test_rm
test_mkdir
test_stat
test_freezes
test_snapshots
test_past
test_times
test_history
test_completion
test_files
test_vacuum
test_vacuum_list
test_punch_ahead
test_punch
test_backup
test_vacuum_refused
test_damage
test_salvage
test_interrupted_check
test_salvage_full_disk
test_file_limit
test_holder
test_wait
if can_mount; then
	echo "# the same through a mount"
	mkdir through
	through=through
	test_values
	test_large_values
	test_names
	test_ln
	test_mv
	test_rm
	test_mkdir
	test_history
	banyan umount through
	through=
	test_mount
	test_odd_mount
	test_other_user
	test_vacuum_mounted
	test_undelete_mounted
	test_replaced
	test_deep
	test_cut
	test_moved
	test_other_daemons
	test_mount_within
	test_two_mounts
	test_dead_mount
	test_slow_daemon
else
	echo "# no use of /dev/fuse: the tests that mount are left out"
fi

finish
