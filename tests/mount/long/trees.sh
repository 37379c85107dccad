#!/bin/bash
# SPDX-License-Identifier: MIT
# A tree of FILES (20 000) files that has everything odd goes in, within and out by cp,
# rsync, tar and borg, and is compared with what it was: odd_tree.py tells what is in it.
. "$(dirname "$0")/lib.sh"
FILES=${BANYAN_FILES:-20000}
SEED=${BANYAN_SEED:-$RANDOM}
SRC=$T/src

tree() { python3 -B "$here/long/odd_tree.py" "$@"; }

# compare TREE...: with the list of the source
compare() { compare_as cat "$@"; }
# Of a fifo or a device that has hard links tar makes as many files
compare_tar() { compare_as without_links_of_special_files "$@"; }
without_links_of_special_files() {
	awk -F '\t' -v OFS='\t' 'length($2) == 5 && $2 !~ /^4/ { $5 = $9 = "-" } { print }'
}

# borg keeps times from 1970 to 2038, no hard links of symlinks, and nothing of the top
compare_borg() { compare_as as_borg_keeps_it "$@"; }
as_borg_keeps_it() {
	sed 1d | awk -F '\t' -v OFS='\t' -v most=2147310847000000000 '
		$2 ~ /^12/ { $5 = $9 = "-" }
		$7 ~ /^-/ { $7 = 0 }
		$7 > most + 0 { $7 = most }
		{ print }'
}

compare_as() {
	local where
	for where in "${@:2}"; do
		"$1" <"$T/want" >"$T/left"
		tree list "$where" | "$1" >"$T/right"
		tree differ "$T/left" "$T/right" || fail "$where is not as it was"
	done
}

archive() { tar -C "$1" --format=posix --acls --xattrs --xattrs-include='*' -cf - .; }
# It finds times before 1970 and far from now odd
unpack() { tar -C "$1" --acls --xattrs --xattrs-include='*' -xpf - 2>"$T/tar"; }
sync_tree() { rsync -aHAX --delete "$1/" "$2"; }
nothing_is_left_to_sync() { same "" "$(rsync -aHAXni --delete "$1/" "$2")"; }

a_tree_is_made() {
	mkdir "$SRC"
	tree make "$SRC" "$FILES" "$SEED"
	tree list "$SRC" >"$T/want"
}

cp_puts_it_in() {
	cp -a "$SRC" "$DIR/cp"
	compare "$DIR/cp"
}

rsync_puts_it_in() {
	sync_tree "$SRC" "$DIR/rsync"
	compare "$DIR/rsync"
	nothing_is_left_to_sync "$SRC" "$DIR/rsync"
}

tar_puts_it_in() {
	mkdir "$DIR/tar"
	archive "$SRC" | unpack "$DIR/tar"
	compare_tar "$DIR/tar"
}

cp_within_the_mount_copies_it() {
	cp -a "$DIR/rsync" "$DIR/again"
	compare "$DIR/again"
	rm -rf "$DIR/again"
}

it_is_the_same_from_the_daemon() {
	drop_caches
	compare "$DIR/cp"
}

all_are_the_same_after_a_remount() {
	compare "$DIR"/{cp,rsync}
	compare_tar "$DIR/tar"
	nothing_is_left_to_sync "$SRC" "$DIR/cp"
}

it_comes_out_by_cp_rsync_and_tar() {
	cp -a "$DIR/rsync" "$T/out"
	compare "$T/out"
	rm -rf "$T/out"
	sync_tree "$DIR/tar" "$T/out"
	compare_tar "$T/out"
	nothing_is_left_to_sync "$DIR/tar" "$T/out"
	rm -rf "$T/out"
	mkdir "$T/out"
	archive "$DIR/cp" | unpack "$T/out"
	compare_tar "$T/out"
	rm -rf "$T/out"
}

# ---- borg ---------------------------------------------------------------------

backup() {
	(cd "$DIR/cp" && borg create --list "$@" "$T/repository::{now:%s.%f}" .) 2>&1
}

borg_backs_it_up() {
	borg init -e none "$T/repository"
	backup >"$T/first"
	mkdir "$T/out"
	(cd "$T/out" && borg extract "$T/repository::$(borg list --short "$T/repository")")
	compare_borg "$T/out"
	rm -rf "$T/out"
	mkdir "$DIR/borg"
	(cd "$DIR/borg" && borg extract "$T/repository::$(borg list --short "$T/repository")")
	compare_borg "$DIR/borg"
	rm -rf "$DIR/borg"
}

# By inode number, ctime and size. It always reads what has the latest ctime of all.
borg_reads_no_unchanged_file() {
	grep -c '^[AM] ' "$T/first"
	backup --filter AM >"$T/second"
	[ "$(wc -l <"$T/second")" -le 3 ] || fail "$(head "$T/second")"
}

# As on the disk: rsync leaves a fifo as it is that had another name before
rsync_follows_changes() {
	sync_tree "$SRC" "$T/out"
	tree change "$SRC" "$SEED"
	sync_tree "$SRC" "$T/out"
	tree list "$T/out" >"$T/want"
	sync_tree "$SRC" "$DIR/rsync"
	compare "$DIR/rsync"
	sync_tree "$DIR/rsync" "$DIR/cp"
	sync_tree "$DIR/rsync" "$T/out"
	compare "$DIR/cp" "$T/out"
}

it_can_be_removed() {
	rm -rf "${DIR:?}"/*
	same "" "$(ls -A "$DIR")"
}

begin
lasts a_tree_is_made
lasts cp_puts_it_in
lasts rsync_puts_it_in
lasts tar_puts_it_in
lasts cp_within_the_mount_copies_it
lasts it_is_the_same_from_the_daemon
again
lasts all_are_the_same_after_a_remount
lasts it_comes_out_by_cp_rsync_and_tar
if command -v borg >/dev/null; then
	export BORG_BASE_DIR=$T/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
	lasts borg_backs_it_up
	lasts borg_reads_no_unchanged_file
	again
	lasts borg_reads_no_unchanged_file
else
	skip "borg backs it up" "there is no borg"
fi
lasts rsync_follows_changes
lasts it_can_be_removed
end
finish
