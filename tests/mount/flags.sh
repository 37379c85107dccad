#!/bin/bash
# SPDX-License-Identifier: MIT
# chattr and lsattr: immutable, append-only and no dump; who may set them, what they
# forbid, and that they stay.
. "$(dirname "$0")/lib.sh"
need_fuse

NOBODY="setpriv --reuid=65534 --regid=65534 --clear-groups"
WITHOUT="setpriv --bounding-set=-linux_immutable --inh-caps=-linux_immutable"

flags() { lsattr -d "$1" | cut -d' ' -f1 | tr -d -; }
says() {
	local said
	said=$("${@:2}" 2>&1) && fail "was let through: ${*:2}"
	case $said in *"$1"*) ;; *) fail "says: $said" ;; esac
}
forbidden() { says "Operation not permitted" "$@"; }

nothing_of_an_immutable_file_changes() {
	cd "$DIR"
	echo x >file
	setfattr -n user.a -v 1 file
	chattr +i file
	same i "$(flags file)"
	before=$(stat -c '%n %a %u %g %s %h %x %y %z' file)
	for command in 'echo y >file' 'echo y >>file' 'truncate -s 0 file' \
		'fallocate -l 100 file' 'fallocate -nl 100 file' 'fallocate -pl 1 file' \
		'chmod 600 file' 'chown 5 file' 'touch file' 'touch -d 2020-01-01 file' \
		'rm -f file' 'mv file other' 'ln file other' 'setfattr -n user.b -v 1 file' \
		'setfattr -x user.a file' 'setfacl -m u:1:r file' 'cp /etc/passwd file' \
		'dd if=/etc/passwd of=file conv=notrunc'; do
		forbidden bash -c "$command"
	done
	touch other
	forbidden mv -f other file
	same "$before" "$(stat -c '%n %a %u %g %s %h %x %y %z' file)"
	same x "$(cat file)"
	chattr -i file
	echo y >>file
	rm file other
}

an_append_only_file_grows() {
	cd "$DIR"
	echo one >log
	chattr +a log
	same a "$(flags log)"
	echo two >>log
	touch log
	forbidden bash -c 'echo three >log'
	forbidden dd if=/etc/passwd of=log conv=notrunc
	for command in 'truncate -s 0 log' 'chmod 600 log' 'touch -d 2020-01-01 log' \
		'rm -f log' 'mv log other' 'ln log other' 'fallocate -pl 1 log'; do
		forbidden bash -c "$command"
	done
	same "one two" "$(xargs <log)"
	chattr -a log
	rm log
}

directories_have_them_too() {
	cd "$DIR"
	mkdir dir
	echo x >dir/in
	chattr +i dir
	forbidden touch dir/new
	forbidden mkdir dir/new
	forbidden rm -f dir/in
	forbidden mv dir/in in
	forbidden mv dir dir2
	forbidden rmdir dir
	echo y >>dir/in
	chattr '=' dir
	chattr +a dir
	touch dir/new
	forbidden rm -f dir/new
	forbidden mv dir/in dir/in2
	chattr '=' dir
	rm -r dir
}

only_the_capability_sets_them() {
	cd "$DIR"
	echo x >mine
	chattr +d mine
	same d "$(flags mine)"
	[ "$(id -u)" = 0 ] || return 0
	chown 65534 mine
	chmod 755 "$DIR"
	forbidden $NOBODY chattr +i mine
	forbidden $NOBODY chattr +a mine
	$NOBODY chattr -d mine
	same "" "$(flags mine)"
	touch others
	forbidden $NOBODY chattr +d others
	forbidden $WITHOUT chattr +i others
	chattr +i others
	forbidden $WITHOUT chattr -i others
	chattr -i others
}

other_flags_are_refused() {
	says "not supported" chattr +A "$DIR/mine"
	says "not supported" chattr +c "$DIR/mine"
	if command -v xfs_io >/dev/null; then
		xfs_io -c 'chattr +d' "$DIR/mine"
		same d "$(flags "$DIR/mine")"
	fi
}

make_kept() {
	cd "$DIR"
	mkdir kept
	for flag in i a d; do
		echo x >kept/$flag
		chattr +$flag kept/$flag
	done
	echo x >kept/plain
	chattr +a kept
	mkdir .banyan/snapshots/then
}

they_are_as_they_were_made() {
	local flag
	for flag in i a d; do same "$flag" "$(flags "$1/kept/$flag")"; done
	same "" "$(flags "$1/kept/plain")"
	same a "$(flags "$1/kept")"
	forbidden rm -f "$DIR/kept/plain"
}

a_snapshot_shows_them_and_does_not_let_them_be_set() {
	they_are_as_they_were_made "$DIR/.banyan/snapshots/then"
	says "Read-only" chattr -i "$DIR/.banyan/snapshots/then/kept/i"
}

a_vacuum_keeps_them() {
	"$BANYAN" vacuum "$DIR" >/dev/null
	drop_caches || :
	they_are_as_they_were_made "$DIR"
	they_are_as_they_were_made "$DIR/.banyan/snapshots/then"
}

nor_does_undelete() {
	mkdir "$DIR/still"
	echo x >"$DIR/still/gone"
	rm "$DIR/still/gone"
	chattr +i "$DIR/still"
	says "key 'still/gone': not permitted" "$BANYAN" undelete "$DB" still/gone
	chattr -i "$DIR/still"
	"$BANYAN" undelete "$DB" still/gone
	same x "$(cat "$DIR/still/gone")"
}

the_command_does_not_pass_them_by() {
	says "key 'kept/i': not permitted" "$BANYAN" rm "$DB" kept/i
	says "key 'kept/i': not permitted" "$BANYAN" put "$DB" kept/i new
}

mount_db || { not_ok_said "mounts" "$T/stderr"; finish; }
if [ "$(id -u)" = 0 ]; then
	try nothing_of_an_immutable_file_changes
	try an_append_only_file_grows
	try directories_have_them_too
else
	skip "immutable and append-only" "needs root"
fi
try only_the_capability_sets_them
try other_flags_are_refused
if [ "$(id -u)" = 0 ]; then
	try make_kept
	try a_snapshot_shows_them_and_does_not_let_them_be_set
	try nor_does_undelete
	try a_vacuum_keeps_them
	if remount_db; then ok "remounts"; else not_ok_said "remounts" "$T/stderr"; fi
	try they_are_as_they_were_made "$DIR"
fi
if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
[ "$(id -u)" != 0 ] || try the_command_does_not_pass_them_by
try "$BANYAN" check "$DB"
finish
