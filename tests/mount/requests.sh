#!/bin/bash
# SPDX-License-Identifier: MIT
# How many requests the kernel makes for what people do: a change that makes it ask
# more often makes everything slower. Counted in what libfuse says of each (-d).
# FORGET and INTERRUPT, for which nobody waits, do not count.
#
# GETATTR of the directory: the kernel drops its attributes at each change, and
# checks permissions. GETXATTR of a file that is written: the kernel asks whether it
# has capabilities, once for each time that it has fetched or set the attributes.
. "$(dirname "$0")/lib.sh"
need_fuse

LOG=$T/stderr # of the daemon, see mount_db

# requests COMMAND...: what the kernel asks meanwhile, sorted, a word each
requests() {
	local before
	before=$(stat -c %s "$LOG")
	"$@" >"$T/output" 2>&1 || fail "$(cat "$T/output")"
	tail -c +$((before + 1)) "$LOG" |
		sed -n 's/^unique: [0-9]*, opcode: \([A-Z0-9_]*\) .*/\1/p' |
		grep -vE '^(BATCH_)?FORGET$|^INTERRUPT$' | sort
}

# asks WANTED COMMAND...: no other requests than those WANTED, and no more of each;
# "LOOKUP*2" are two
asks() {
	local wanted=$1 asked
	shift
	asked=$(requests "$@" | uniq -c | awk '{ printf "%s%s", sep, $1 == 1 ? $2 : $2 "*" $1; sep = " " }')
	awk -v wanted="$wanted" -v asked="$asked" 'BEGIN {
		for (n = split(wanted, w, " "); n; n--) {
			split(w[n], part, "[*]")
			most[part[1]] = part[2] ? part[2] : 1
		}
		for (n = split(asked, a, " "); n; n--) {
			split(a[n], part, "[*]")
			if ((part[2] ? part[2] : 1) > most[part[1]])
				exit 1
		}
	}' || fail "$*: asked $asked, wanted at most ${wanted:-nothing}"
}

# Programs ask more than they need: a program for each system call
calls() {
	python3 -B -c '
import os, sys
d = sys.argv[1]
def write(name, flags, data):
    fd = os.open(name, os.O_WRONLY | flags, 0o644)
    os.write(fd, data)
    os.close(fd)
'"$1" "$DIR/dir"
}

# What the kernel asks once a mount, such as whether FLUSH is needed, has been asked
start() {
	unmount_below "$T"
	rm -f "$DB"
	mount_db debug
	mkdir "$DIR/dir"
	echo >"$DIR/first"
	ls -l "$DIR" >"$T/output"
	cp "$DIR/first" "$DIR/second"
	rm "$DIR/first" "$DIR/second"
	stat "$DIR/dir" >"$T/output"
}

files_are_made_and_written() {
	start
	asks "LOOKUP CREATE WRITE GETATTR GETXATTR" calls 'write(d + "/a", os.O_CREAT, bytes(4096))'
	# nothing was here: that is known
	calls 'os.path.exists(d + "/b")'
	asks "CREATE WRITE GETATTR GETXATTR" calls 'write(d + "/b", os.O_CREAT, bytes(4096))'
	calls 'os.stat(d + "/a")'
	asks "WRITE GETXATTR" calls 'write(d + "/a", os.O_APPEND, bytes(100))'
	asks "WRITE" calls 'write(d + "/a", 0, bytes(100))'
	asks "SETATTR WRITE GETXATTR" calls 'write(d + "/a", os.O_TRUNC, bytes(100))'
	umount_db
}

what_is_known_is_not_asked_again() {
	start
	calls 'write(d + "/a", os.O_CREAT, bytes(100))
os.stat(d)'
	asks "GETATTR" calls 'os.stat(d + "/a")'
	asks "" calls 'os.stat(d + "/a")'
	drop_caches || fail "needs root"
	asks "LOOKUP*2 READ" calls 'os.read(os.open(d + "/a", 0), 100)'
	asks "" calls 'os.read(os.open(d + "/a", 0), 100)'
	drop_caches
	asks "LOOKUP*2" calls 'os.stat(d + "/a")'
	asks "LOOKUP" calls 'os.path.exists(d + "/none")'
	asks "" calls 'os.path.exists(d + "/none")'
	umount_db
}

keys_move_and_go() {
	start
	calls 'write(d + "/a", os.O_CREAT, b"x")
os.stat(d)'
	asks "LOOKUP LINK GETATTR" calls 'os.link(d + "/a", d + "/b")'
	asks "LOOKUP RENAME2 RENAME GETATTR" calls 'os.rename(d + "/b", d + "/c")'
	asks "UNLINK GETATTR" calls 'os.unlink(d + "/c")'
	asks "LOOKUP MKDIR GETATTR" calls 'os.mkdir(d + "/s")'
	asks "RMDIR GETATTR" calls 'os.rmdir(d + "/s")'
	asks "LOOKUP SYMLINK GETATTR" calls 'os.symlink("t", d + "/l")'
	umount_db
}

listings_bring_the_attributes() {
	start
	(cd "$DIR/dir" && seq -f "file-%06g" 1000 | xargs touch)
	drop_caches
	asks "LOOKUP OPENDIR READDIRPLUS*7 RELEASEDIR GETXATTR*4" ls -l "$DIR/dir"
	asks "OPENDIR RELEASEDIR GETATTR GETXATTR*3" ls -l "$DIR/dir"
	drop_caches
	asks "LOOKUP OPENDIR READDIRPLUS*7 RELEASEDIR STATFS" find "$DIR/dir" -size +0
	umount_db
}

# When files have been read or written the kernel does not know all of their attributes.
# The daemon then has it list the directory again, rather than ask of each file.
listings_come_again_when_they_help() {
	start
	(cd "$DIR/dir" && for i in $(seq 100); do echo "$i" >"$i"; done)
	du "$DIR/dir" >"$T/output"
	asks "OPENDIR RELEASEDIR STATFS GETATTR" du "$DIR/dir"
	drop_caches
	du "$DIR/dir" >"$T/output"
	cat "$DIR/dir"/* >"$T/output"
	asks "OPENDIR READDIRPLUS*3 RELEASEDIR STATFS GETATTR" du "$DIR/dir"
	asks "OPENDIR RELEASEDIR STATFS GETATTR" du "$DIR/dir"
	for i in $(seq 30); do echo >>"$DIR/dir/$i"; done
	asks "OPENDIR READDIRPLUS*3 RELEASEDIR STATFS GETATTR" du "$DIR/dir"
	# a few of many: not worth it
	for i in $(seq 5); do echo >>"$DIR/dir/$i"; done
	asks "OPENDIR RELEASEDIR STATFS GETATTR*6" du "$DIR/dir"
	umount_db
}

large_files_take_large_requests() {
	start
	asks "LOOKUP CREATE WRITE*32 GETATTR GETXATTR" dd if=/dev/zero of="$DIR/dir/large" bs=1M count=32 status=none
	drop_caches
	# the first request of a reader is a small one
	asks "LOOKUP*2 READ*34" cat "$DIR/dir/large"
	asks "LOOKUP*2 CREATE COPY_FILE_RANGE GETATTR GETXATTR" cp "$DIR/dir/large" "$DIR/dir/copy"
	umount_db
}

archives_come_in() {
	start
	mkdir "$T/source"
	for i in $(seq 100); do echo "$i" >"$T/source/$i"; done
	tar -C "$T/source" -cf "$T/archive" .
	asks "LOOKUP*101 CREATE*100 WRITE*100 SETATTR*302 GETATTR*202 GETXATTR*200 OPENDIR RELEASEDIR" tar -C "$DIR/dir" -xf "$T/archive"
	asks "LOOKUP*103 MKDIR CREATE*100 WRITE*100 SETATTR*102 SETXATTR*101 REMOVEXATTR GETATTR*101 GETXATTR*101" cp -a "$T/source" "$DIR/dir/"
	drop_caches
	asks "LOOKUP*3 OPENDIR*2 READDIRPLUS*4 RELEASEDIR*2 UNLINK*200 RMDIR GETATTR*202 STATFS" find "$DIR/dir" -mindepth 1 -delete
	umount_db
}

try_thrice files_are_made_and_written
try_thrice what_is_known_is_not_asked_again
try_thrice keys_move_and_go
try_thrice listings_bring_the_attributes
try_thrice listings_come_again_when_they_help
try_thrice large_files_take_large_requests
try_thrice archives_come_in
finish
