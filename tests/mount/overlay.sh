#!/bin/bash
# SPDX-License-Identifier: MIT
# The upper directory of an overlay lies in a mount: whiteouts, extended attributes
# (trusted.overlay), files without names, types in listings.
. "$(dirname "$0")/lib.sh"
need_fuse

LOWER=$T/lower
UPPER=$DIR/upper
OVER=$T/over

make_lower() {
	mkdir -p "$LOWER/dir/sub" "$LOWER/gone" "$OVER"
	echo lower >"$LOWER/file"
	echo kept >"$LOWER/kept"
	echo in >"$LOWER/dir/in"
	echo x >"$LOWER/dir/sub/x"
	echo x >"$LOWER/gone/x"
	setfattr -n user.note -v hello "$LOWER/file"
	chmod 4750 "$LOWER/kept"
	for name in given capable; do
		echo x >"$LOWER/$name"
		chown 12:34 "$LOWER/$name"
	done
	chmod 6755 "$LOWER/given"
	setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$LOWER/capable"
}

mount_overlay() {
	mount -t overlay overlay "$OVER" \
		-o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$DIR/work"
}

it_can_be_mounted_to_write_with_all_that_it_wants() {
	mkdir "$UPPER" "$DIR/work"
	dmesg >"$T/before" 2>/dev/null || true
	mount_overlay
	findmnt -no OPTIONS "$OVER" | grep -q '^rw' || fail "read-only"
	dmesg 2>/dev/null >"$T/after" || true
	if diff "$T/before" "$T/after" | grep '^>.*overlayfs:'; then
		fail "the kernel complains of the upper directory"
	fi
}

capability() { getfattr -e hex -n security.capability "$1" 2>/dev/null | grep '='; }

changes_go_to_the_upper_directory() {
	echo new >"$OVER/new"
	echo more >>"$OVER/file"
	same "lower
more" "$(cat "$OVER/file")"
	same lower "$(cat "$LOWER/file")"
	same "lower
more" "$(cat "$UPPER/file")"
	same hello "$(getfattr --only-values -n user.note "$UPPER/file" 2>/dev/null)"
	touch "$OVER"/{kept,given,capable}
	same "4750 0 0" "$(stat -c '%a %u %g' "$UPPER/kept")"
	same "6755 12 34" "$(stat -c '%a %u %g' "$UPPER/given")"
	same "644 12 34" "$(stat -c '%a %u %g' "$UPPER/capable")"
	same "$(capability "$LOWER/capable")" "$(capability "$UPPER/capable")"
}

is_whiteout() { same "character special file 0 0" "$(stat -c '%F %t %T' "$1")"; }

what_is_removed_becomes_a_whiteout() {
	rm "$OVER/dir/in"
	rm -r "$OVER/gone"
	[ ! -e "$OVER/dir/in" ] && [ ! -e "$OVER/gone" ] || fail "still there"
	same sub "$(ls "$OVER/dir")"
	is_whiteout "$UPPER/dir/in"
	is_whiteout "$UPPER/gone"
	mkdir "$OVER/gone"
	same "" "$(ls "$OVER/gone")"
	same y "$(getfattr --only-values -n trusted.overlay.opaque "$UPPER/gone" 2>/dev/null)"
}

what_is_renamed_leaves_a_whiteout() {
	mv "$OVER/file" "$OVER/dir/moved"
	is_whiteout "$UPPER/file"
	[ ! -e "$OVER/file" ] || fail "still there"
	mv "$OVER/dir/moved" "$OVER/kept"
	same "lower
more" "$(cat "$OVER/kept")"
	same "capable dir given gone kept new" "$(ls "$OVER" | tr '\n' ' ' | sed 's/ $//')"
}

a_tree_goes_in_and_out() {
	cp -a /usr/include/linux "$OVER/linux"
	diff -r /usr/include/linux "$OVER/linux"
	rm -r "$OVER/linux"
}

all_is_there_when_it_is_mounted_again() {
	listing "$OVER" >"$T/first"
	umount "$OVER"
	drop_caches
	mount_overlay
	listing "$OVER" | diff "$T/first" -
	umount "$OVER"
}

if [ "$(id -u)" != 0 ] || ! grep -qw overlay /proc/filesystems; then
	echo "SKIPPED - all of ${0##*/}: needs root and overlayfs"
	echo "0 passed, 0 failed"
	exit 0
fi
make_lower
mount_db || { not_ok_said "mounts" "$T/stderr"; finish; }
try it_can_be_mounted_to_write_with_all_that_it_wants
try changes_go_to_the_upper_directory
try what_is_removed_becomes_a_whiteout
try what_is_renamed_leaves_a_whiteout
try a_tree_goes_in_and_out
try all_is_there_when_it_is_mounted_again
if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
try "$BANYAN" check "$DB"
finish
