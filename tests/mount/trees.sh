#!/bin/bash
# SPDX-License-Identifier: MIT
# A real tree goes in and out by cp, rsync and tar, and is compared: contents,
# modes, owners, times, links. BANYAN_TREE names the tree; with BANYAN_LONG it
# is all of /usr/include.
. "$(dirname "$0")/lib.sh"
need_fuse
TREE=${BANYAN_TREE:-/usr/include/linux}
[ -n "${BANYAN_TREE:-}" ] || [ -z "${BANYAN_LONG:-}" ] || TREE=/usr/include

# A tree of ours beside it, with what a tree of headers lacks
make_odd_tree() {
	mkdir -p "$1/empty" "$1/deep/a/b/c/d/e/f/g"
	echo one >"$1/one"
	ln "$1/one" "$1/two"
	ln "$1/one" "$1/deep/a/three"
	ln -s ../nowhere "$1/dangling"
	ln -s one "$1/symlink"
	mkfifo -m 600 "$1/fifo"
	: >"$1/nothing"
	head -c 3000000 /dev/urandom >"$1/large"
	truncate -s 5M "$1/sparse"
	echo end >>"$1/sparse"
	echo x >"$1/$(printf 'odd \t"name\\\n')"
	chmod 7711 "$1/one"
	chmod 2750 "$1/deep"
	chmod 000 "$1/nothing"
	# rsync 3.5 does not set the time of a directory, a fifo or a symlink that
	# differs by less than a second: let none be of this second
	find "$1" -exec touch -h -d '2020-01-02 03:04:05.678901234 UTC' {} +
	touch -d '1969-12-31 12:00:00.123456789 UTC' "$1/large"
	touch -d '2040-01-01 00:00:00.000000001 UTC' "$1/deep/a"
	touch -h -d '2001-02-03 04:05:06.7 UTC' "$1/dangling"
	[ "$(id -u)" != 0 ] || chown 12:34 "$1/two" "$1/deep/a/b"
	! setfattr -n user.note -v hello "$1/large" 2>/dev/null || true
}

# What links there are to files outside of a tree does not matter
compare() {
	diff -r --no-dereference -x fifo "$1" "$2"
	listing "$1" >"$T/left"
	listing "$2" >"$T/right"
	diff "$T/left" "$T/right"
}

source_is_compared_with_itself() {
	cp -a "$TREE" "$T/src/include"
	make_odd_tree "$T/src/odd"
	touch -r "$TREE" "$T/src/include"
	listing "$T/src" >/dev/null
}

cp_puts_it_in() {
	cp -a "$T/src" "$DIR/cp"
	compare "$T/src" "$DIR/cp"
}

rsync_puts_it_in() {
	rsync -aHX "$T/src/" "$DIR/rsync"
	compare "$T/src" "$DIR/rsync"
	rsync -aHXnic "$T/src/" "$DIR/rsync" >"$T/changes"
	same "" "$(cat "$T/changes")"
}

tar_puts_it_in() {
	mkdir "$DIR/tar"
	tar -C "$T/src" --format=posix -cf - . | tar -C "$DIR/tar" -xpf - 2>/dev/null # it finds 1969 and 2040 odd
	compare "$T/src" "$DIR/tar"
}

cp_within_the_mount_copies_it() {
	cp -a "$DIR/cp" "$DIR/again"
	compare "$T/src" "$DIR/again"
}

it_is_the_same_from_the_daemon() {
	drop_caches || echo "not root: as the kernel has it"
	compare "$T/src" "$DIR/cp"
	same hello "$(getfattr --only-values -n user.note "$DIR/rsync/odd/large")"
}

all_are_the_same_after_a_remount() {
	for how in cp rsync tar again; do
		compare "$T/src" "$DIR/$how"
	done
}

inode_numbers_are_the_same_after_a_remount() {
	(cd "$DIR" && find . -printf '%i %P\n' | sort) | diff "$T/inodes" -
}

it_comes_out_by_cp_rsync_and_tar() {
	mkdir "$T/out" "$T/out/tar"
	cp -a "$DIR/cp" "$T/out/cp"
	compare "$T/src" "$T/out/cp"
	rsync -aHX "$DIR/rsync/" "$T/out/rsync"
	compare "$T/src" "$T/out/rsync"
	tar -C "$DIR/tar" --format=posix -cf - . | tar -C "$T/out/tar" -xpf - 2>/dev/null # it finds 1969 and 2040 odd
	compare "$T/src" "$T/out/tar"
}

it_can_be_removed() {
	rm -rf "$DIR/again" "$DIR/tar" "$DIR/rsync"
	same cp "$(ls -A "$DIR")"
	compare "$T/src" "$DIR/cp"
}

# Anonymous memory of the daemon in KiB
memory() { awk '$1 == "RssAnon:" { print $2 }' "/proc/$(worker_of "$daemon")/status"; }

# 128 bytes for each inode that the kernel remembers, and few when it has forgotten
# them. One thread, and a small cache: these are not what is measured.
inodes_take_little_memory() {
	local inodes=200000 before with after
	if grep -qE '__(asan|tsan)_init' "$BANYANFS"; then
		echo "not measured: a sanitizer has memory of its own"
		return 0
	fi
	seq -f 'key%07g' $inodes | sed '1i name' >"$T/keys.csv"
	"$BANYAN" create "$T/many.banyan"
	"$BANYAN" import -f csv -k name -i many "$T/many.banyan" "$T/keys.csv"
	DB=$T/many.banyan
	mount_db threads=1,cache=1M || return 1
	ls "$DIR" >/dev/null
	before=$(memory)
	same $inodes "$(find "$DIR/many" -type f -size -100k | wc -l)"
	with=$(memory)
	grep "^inodes" "$DIR/.banyan/status"
	drop_caches || { umount_db; return 0; } # not root
	sleep 1
	after=$(memory)
	umount_db
	echo "$before KiB, with the inodes $with, after they were forgotten $after"
	# The cache and the room for a request come to 3 MiB
	[ $((with - before)) -le $((inodes / 8 + 3072)) ] || fail "too much for an inode"
	[ $((after - before)) -le 12288 ] || fail "it does not give memory back"
}

mkdir "$T/src"
mount_db || { not_ok_said "mounts" "$T/stderr"; finish; }
try source_is_compared_with_itself
try cp_puts_it_in
try rsync_puts_it_in
try tar_puts_it_in
try cp_within_the_mount_copies_it
try it_is_the_same_from_the_daemon
(cd "$DIR" && find . -printf '%i %P\n' | sort) >"$T/inodes"
if remount_db; then ok "remounts"; else not_ok_said "remounts" "$T/stderr"; fi
try all_are_the_same_after_a_remount
try inode_numbers_are_the_same_after_a_remount
try it_comes_out_by_cp_rsync_and_tar
try it_can_be_removed
if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
try "$BANYAN" check "$DB"
try inodes_take_little_memory
sed "s/^/# /" "$T/output"
finish
