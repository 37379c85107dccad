#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test_reader.sh - what the library writes, read by read_banyan.py, which was
# written from docs/FORMAT.md alone and shares no code with it: the file is as
# the document says.
#
# BANYAN and BANYANFS name the binaries, BANYAN_SEED chooses the bytes that are
# damaged. Prints "ok" or "not ok" and a sentence for each test and at last how
# many passed and failed; exits 1 if any failed. The tests that mount are left
# out, saying so, where /dev/fuse cannot be used.

set -u
export LC_ALL=C TZ=UTC PYTHONDONTWRITEBYTECODE=1

here=$(realpath "${0%/*}")
BANYAN=$(realpath "${BANYAN:-$here/../../build/banyan}")
BANYANFS=$(realpath "${BANYANFS:-$here/../../build/banyanfs}")
export PATH=${BANYANFS%/*}:$PATH
RANDOM=${BANYAN_SEED:-$$}
seed=${BANYAN_SEED:-$$}

. "$here/../support/lib.sh"
enter_work
mkdir mnt

# ---- helpers ----------------------------------------------------------------

banyan() { "$BANYAN" "$@"; }

# -S: what others have installed is not needed, and takes longer than the file
reader() { python3 -S "$here/read_banyan.py" "$@"; }

# The long list of banyan in the form of the reader's
banyan_list()
{
	banyan ls -l0R "$1" | sed -z -E '
		s/^(.)\S+ +([0-9]+) +\S+ +\S+ +([0-9]+) +\S+ \S+ /\1 \3 \2 /
		s/^-/f/
		/^l/s/ -> .*//'
}

# Both list the same, with types, sizes and numbers of keys
same_list()
{
	banyan_list "$1" >list.banyan && reader list -0 "$1" >list.reader &&
		cmp list.banyan list.reader
}

# Each value that banyan has is what the reader has: all in one export
same_values()
{
	local path
	rm -rf values
	reader export "$1" values || return
	while read -r -d '' path; do
		cmp <(banyan get "$1" "$path") "values/$path" || return
	done < <(cd values && find . -type f -printf '%P\0')
}

# agree WHAT FILE: list and verify say what banyan says
agree()
{
	holds "$1: the lists are the same" same_list "$2"
	holds "$1: banyan finds it sound" banyan check "$2"
	holds "$1: the reader does as well" reader verify "$2"
}

# Types, modes, numbers of links, times, targets and sums of all files below a
# directory; directories have no size that is ours, and the disk cannot have the
# times of "far"
describe()
{
	(
		cd "$1" || exit
		find . ! -name far -printf '%P\t%y %m %n %T@ %l\n' | sort
		find . -type f -print0 | sort -z | xargs -0 -r cksum
		find . -type f -printf '%P\t%s\n' | sort
	)
}

# ---- without a mount --------------------------------------------------------

test_checksums()
{
	is "CRC-32C is as the document's examples say" \
		"00000000 e3069283 8a9136aa 62a8ab43 46dd794e bc3eeb86" \
		"$(cd "$here" && python3 -c '
from read_banyan import crc32c
seed = (0x0123456789abcdef).to_bytes(8, "little")
at = (4096).to_bytes(8, "little")
print(*("%08x" % crc32c(b) for b in (b"", b"123456789", bytes(32),
    b"\xff" * 32, bytes(range(32)), seed + at + b"abc")))')"
}

test_small()
{
	local f=small.banyan size
	banyan create $f
	agree "an empty database" $f
	is "nothing is in it" "" "$(reader list $f)"
	printf hello | banyan put $f greeting
	is "a value comes out" hello "$(reader get $f greeting)"
	is "a list has type, size, nlink, path" "f 5 1 greeting" \
		"$(reader list $f)"
	for size in 0 1 256 257 4096 16384 16385 40000; do
		noise $size | banyan put $f "size $size"
	done
	banyan mkdir -p $f "a/b/c"
	banyan put $f $'a/b/odd \n\\ name' x
	banyan ln $f greeting a/alias
	banyan ln $f greeting gone
	banyan rm $f gone
	banyan mv $f "size 257" a/b/moved
	banyan put $f lost x
	banyan rm $f lost
	printf 'hello again' | banyan put $f a/alias
	agree "values, aliases, key spaces, moves" $f
	holds "all values are the same" same_values $f
	is "names are quoted" 'f 1 1 a/b/odd\040\012\134\040name' \
		"$(reader list $f | grep odd)"
	is "an alias has the value" "hello again" "$(reader get $f greeting)"
	banyan freeze $f
	agree "behind a freeze" $f
	reader get $f lost >out 2>&1
	is "a removed key is not found" \
		"1 read_banyan.py: $f: there is no key lost" "$? $(<out)"
	reader get $f a/b >out 2>&1
	is "a key space has no value" 1 $?
}

# More than two segments, and a tree of more than one level
test_large()
{
	local f=large.banyan
	banyan create $f
	noise 6000000 >value
	banyan put $f long <value
	noise 3000000 | banyan put $f other
	holds "a value over three segments comes out" \
		cmp value <(reader get $f long)
	agree "segments" $f
}

# Holes, and records that were cut by them, before the oldest freeze
test_punched()
{
	local f=punched.banyan
	banyan create $f
	noise 6000000 >value
	banyan put $f gone <value
	banyan put $f kept <value
	noise 3000 | banyan put $f small
	banyan freeze $f
	banyan snapshot $f then
	banyan rm $f gone
	noise 3000 | banyan put $f small
	banyan snapshot --drop $f then
	holds "a file can be punched" banyan vacuum --punch $f
	holds "the disk has less for it" test "$(du -k $f | cut -f 1)" -lt 9000
	agree "punched" $f
	is "its past begins with the punch" 1 "$(banyan freezes $f | tail -n +2 | wc -l)"
	holds "the value that stayed comes out" cmp value <(reader get $f kept)
	banyan put $f more <value
	agree "punched and written to" $f
	banyan check --salvage saved.banyan $f >out 2>&1
	is "salvage loses nothing of it" 0 $?
	holds "as the copy shows" cmp <(banyan ls -R $f) <(banyan ls -R saved.banyan)
}

test_export()
{
	holds "export succeeds" reader export small.banyan exported
	is "it has all keys" "$(banyan ls -0R small.banyan | sort -z | cksum)" \
		"$(cd exported && find . -mindepth 1 -printf '%P\0' | sort -z |
			cksum)"
	is "and the values" "hello again" "$(<exported/a/alias)"
	is "aliases are links" 2 "$(stat -c %h exported/greeting)"
	reader export small.banyan exported >out 2>&1
	is "it writes into no directory that exists" 1 $?
}

# ---- damage -----------------------------------------------------------------

# torn FILE LENGTH: cut off there, both see the same, or neither sees anything
torn()
{
	head -c "$2" "$1" >torn.banyan
	if banyan ls torn.banyan >/dev/null 2>&1; then
		same_list torn.banyan && same_values torn.banyan &&
			reader verify torn.banyan
	else
		! reader list torn.banyan
	fi
}

test_torn()
{
	local f=$1 size length i
	size=$(stat -c %s "$f")
	for length in 0 4095 4159 4300; do
		holds "$f cut off at $length" torn "$f" $length
	done
	for i in {1..8}; do
		length=$((size - 1 - (RANDOM << 15 | RANDOM) % (size - 4300)))
		holds "$f cut off at $length (seed $seed)" torn "$f" $length
	done
}

flip()
{
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\x$(printf %x $((byte ^ 1 << RANDOM % 8)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

refusals="not a Banyan file|format version"

# finds FILE OFFSET: a bit there is flipped, verify says so and where
finds()
{
	cp "$1" flipped.banyan
	flip flipped.banyan "$2"
	! reader verify flipped.banyan >out 2>err && [[ ! -s out ]] &&
		grep -Eq "^read_banyan.py: .*: (damaged at [0-9]+:|$refusals)" err
}

# Up to the last freeze, in a file of one segment: bytes of the tail may well
# be taken for what a crash has torn
test_flips()
{
	local f=small.banyan size at i
	size=$(stat -c %s $f)
	for at in 0 8 12 40 80 2000 4092 4096 4100 4140; do
		holds "a flipped bit at $at is found" finds $f $at
	done
	for i in {1..20}; do
		at=$((4160 + (RANDOM << 15 | RANDOM) % (size - 136 - 4160)))
		holds "a flipped bit at $at is found (seed $seed)" finds $f $at
	done
}

# Garbage ends in a message, not in a traceback
test_garbage()
{
	local f=small.banyan size i j bad=0
	size=$(stat -c %s $f)
	for i in {1..8}; do
		cp $f garbage.banyan
		for j in 1 2 3 4; do
			noise 16 | dd of=garbage.banyan bs=1 conv=notrunc \
				status=none seek=$(((RANDOM << 15 | RANDOM) %
				(size - 4096) + 4096 * (j > 1)))
		done
		reader verify garbage.banyan >/dev/null 2>err
		! grep -q Traceback err || bad=$((bad + 1))
	done
	is "no garbage breaks the reader (seed $seed)" 0 $bad
}

# ---- with a mount -----------------------------------------------------------

fill_mount()
{
	local i
	mkdir -p mnt/d/e
	for i in {1..200}; do echo "$i" >"mnt/d/file $i"; done
	rm mnt/d/file\ 1*
	noise 100000 >mnt/rewritten
	noise 3000 | dd of=mnt/rewritten bs=1000 seek=33 conv=notrunc status=none
	noise 70000 | dd of=mnt/rewritten bs=1000 seek=7 conv=notrunc status=none
	truncate -s 90001 mnt/rewritten
	noise 10 | dd of=mnt/sparse bs=1 seek=5000000 status=none
	truncate -s 9000000 mnt/sparse
	for i in {1..20}; do
		noise 5000 | dd of=mnt/rows bs=9000 seek="$i" conv=notrunc \
			status=none
	done
	cp mnt/rewritten mnt/copy
	ln mnt/copy mnt/d/alias
	ln -s "to nowhere" mnt/d/symlink
	mkfifo mnt/d/e/fifo
	chmod 4710 mnt/copy
	chmod 750 mnt/d
	touch -d '1999-12-31 23:59:59.123456789' mnt/d/symlink -h
	touch -d '1969-07-20 20:17:40.5' mnt/copy
	touch -d '2038-02-01 00:00:00' mnt/d
	touch -d '1901-12-13 20:45:52' mnt/d/e/fifo
	touch -d '2446-05-10 22:38:54.999999999' mnt/sparse
	touch -a -d '1600-01-01' mnt/far
	touch -m -d '2500-01-01' mnt/far
	setfattr -n user.small -v value mnt/copy
	setfattr -n user.long -v "0x$(noise 3000 | od -An -v -tx1 |
		tr -d ' \n')" mnt/copy
	setfattr -n user.space -v 1 mnt/d
}

# What a snapshot has, before a vacuum and after it
test_snapshots()
{
	local f=snapshots.banyan vacuum
	banyan create $f
	head -c 300000 /dev/urandom >value
	banyan put $f long <value
	banyan put $f short one
	banyan ln $f short alias
	banyan snapshot $f first
	banyan put $f short two
	banyan put $f new three
	banyan snapshot $f 'second of two'
	banyan rm $f long new alias
	for vacuum in 0 1 2; do
		like "both are listed ($vacuum vacuums)" \
			"[0-9]+ 3 first [0-9]+ 4 second.040of.040two" \
			"$(reader snapshots $f | tr '\n' ' ' | sed 's/ $//')"
		is "the first has its keys" "$(printf "alias\nlong\nshort")" \
			"$(reader --at first list $f | awk '{ print $4 }')"
		is "and values" one "$(reader --at first get $f alias)"
		holds "long ones, too" \
			cmp value <(reader --at first get $f long)
		holds "which both have" \
			cmp value <(reader --at 'second of two' get $f long)
		is "the second has what was new" three \
			"$(reader --at 'second of two' get $f new)"
		is "the present has none of it" short \
			"$(reader list $f | awk '{ print $4 }')"
		holds "the file is sound" reader verify $f
		banyan vacuum $f >/dev/null
	done
}

# mtime and atime in nanoseconds: as stat(1) says, as the reader does, and as
# banyan does
stat_times() { stat -c '%.9Y %.9X' "$@" | tr -d .; }

reader_times()
{
	reader times "$1" "$2" | awk '{ t[$1] = $2 } END {
		print t["mtime"], t["atime"] }'
}

banyan_times()
{
	banyan stat --json "$1" "$2" | python3 -c '
import json, sys
d = json.load(sys.stdin)
print(*(d[t + "_sec"] * 10**9 + d[t + "_nsec"] for t in ("mtime", "atime")))'
}

same_times()
{
	local path
	for path in d d/e/fifo d/symlink copy sparse far; do
		is "times of $path are the same" "$(sed "s|^$path ||;t;d" moments)" \
			"$(reader_times "$1" "$path")"
		is "banyan stat has them as well" "$(reader_times "$1" "$path")" \
			"$(banyan_times "$1" "$path")"
	done
}

test_mount()
{
	local f=mounted.banyan path
	banyan create $f
	banyan mount $f mnt
	fill_mount
	describe mnt >described
	for path in d d/e/fifo d/symlink copy sparse far; do
		echo "$path $(stat_times "mnt/$path")"
	done >moments
	getfattr -d -e hex mnt/copy | sed -n 's/=0x/ /p' >attributes
	holds "beside a mount: the lists are the same" same_list $f
	banyan umount mnt
	agree "a file system" $f
	same_times $f
	is "times out of range became the nearest" \
		"far 16299260425709551615 -2147483648000000000" \
		"$(grep ^far moments)"
	is "ls and stat show them" "2486-07-02 20:20 1901-12-13 20:45:52.000000000" \
		"$(banyan ls -l $f | sed -n 's/ far$//p' |
			grep -o '[^ ]* [^ ]*$') $(banyan stat $f far |
			sed -n 's/^read *//p' | cut -d ' ' -f 1,2)"
	holds "attributes are the same" \
		cmp attributes <(reader attrs $f copy)
	is "of a key space as well" "user.space 31" "$(reader attrs $f d)"
	holds "export succeeds" reader export $f unmounted
	describe unmounted >described.reader
	holds "it is what was on the mount" diff described described.reader
}

# What a crash leaves of a long value at the end: its record, not its bytes
test_torn_payload()
{
	cp "$1" payload.banyan
	flip payload.banyan $(($(stat -c %s "$1") - 5000))
	agree "a torn payload" payload.banyan
	is "the log ends in front of it" "" \
		"$(reader verify payload.banyan | grep 'ignored 0')"
}

# The daemon dies: behind the freeze there are operations only
test_killed()
{
	local f=killed.banyan pid
	cp small.banyan $f
	banyan mount $f mnt
	noise 40000 >mnt/new
	setfattr -n user.a -v b mnt/new
	sync mnt/new
	rm mnt/greeting
	mv mnt/a/b mnt/b
	echo changed >mnt/a/alias
	noise 9000 >mnt/later
	pid=$(daemon_of "$work/$f")
	kill_daemon "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	banyan umount mnt 2>/dev/null
	agree "a killed mount" $f
	is "it has operations to replay" "" \
		"$(reader verify $f | grep 'redo 0')"
	is "what was removed is gone" "" "$(reader list $f | grep greeting)"
	is "what was written is there" changed "$(reader get $f a/alias)"
	holds "all values are the same" same_values $f
	test_torn $f
	test_torn_payload $f
	head -c $(($(stat -c %s $f) - 5000)) $f >again.banyan
	banyan put again.banyan behind "the tear" 2>/dev/null
	agree "a torn file that was written again" again.banyan
	is "the new value comes out" "the tear" "$(reader get again.banyan behind)"
}

# -----------------------------------------------------------------------------

test_checksums
test_small
test_large
test_punched
test_export
test_torn small.banyan
test_snapshots
test_flips
test_garbage
if can_mount; then
	test_mount
	test_killed
else
	echo "# no use of /dev/fuse: the tests that mount are left out"
fi

finish
