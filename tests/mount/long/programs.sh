#!/bin/bash
# SPDX-License-Identifier: MIT
# What people run in a directory runs in a mount: git, sqlite3, fio, stress-ng, vim, npm,
# python's venv, an overlay above it, a file system in a file of it, many at once.
# BANYAN_SECONDS (1): how long each stressor runs.
. "$(dirname "$0")/lib.sh"
STRESS_SECONDS=${BANYAN_SECONDS:-1}
TREE=/usr/include/linux

# needs PROGRAM TEST...: skips what cannot be run here
needs() {
	if command -v "$1" >/dev/null; then lasts "${@:2}"; else skip "${*:2}" "there is no $1"; fi
}

# ---- git ----------------------------------------------------------------------

git_in() {
	git -C "$1" -c user.name=a -c user.email=a@b -c gc.auto=0 -c init.defaultBranch=main \
		"${@:2}"
}

git_works() {
	local n
	mkdir "$DIR/git"
	cp -a "$TREE" "$DIR/git/linux"
	git_in "$DIR/git" init -q
	git_in "$DIR/git" add .
	git_in "$DIR/git" commit -qm first
	git clone -q "$DIR/git" "$DIR/clone"
	for n in 1 2 3 4 5; do
		find "$DIR/clone/linux" -name "*$n*.h" -exec sed -i "1i // $n" {} +
		git_in "$DIR/clone" mv linux/fuse.h "linux/fuse.$n"
		git_in "$DIR/clone" commit -qam "change $n"
		git_in "$DIR/clone" checkout -q -b "branch$n"
		git_in "$DIR/clone" mv "linux/fuse.$n" linux/fuse.h
		git_in "$DIR/clone" commit -qam "back $n"
	done
	git_in "$DIR/clone" push -q origin branch5
	git_in "$DIR/git" gc -q --prune=now
	git_in "$DIR/clone" repack -qad
	git_in "$DIR/clone" checkout -q main
	for n in git clone; do
		git_in "$DIR/$n" fsck --full --strict 2>&1
		same "" "$(git_in "$DIR/$n" status --porcelain)"
	done
	diff -r "$TREE" "$DIR/git/linux"
}

# By inode numbers and times: what it reads again it would tell
git_finds_all_as_it_was() {
	same "" "$(git_in "$DIR/git" diff-files --name-only)"
	same "" "$(git_in "$DIR/clone" diff-files --name-only)"
	git_in "$DIR/clone" fsck --full 2>&1
}

# ---- sqlite3 ------------------------------------------------------------------

sqlite_survives_that_its_writer_is_killed() {
	local round writer db=$DIR/$1.sqlite
	for round in 1 2 3; do
		insert_rows "$db" "$T/acks" "$1" &
		writer=$!
		sleep 1
		kill -9 "$(pgrep -P $writer -x sqlite3 || echo $writer)"
		wait $writer || :
		rows_are_there "$db" "$T/acks"
	done
}

# ---- fio ----------------------------------------------------------------------

fio_verifies_what_it_wrote_with() {
	local engine=$1 direct
	for direct in 0 1; do
		[ "$engine$direct" != mmap1 ] || continue
		fio --name="$engine" --directory="$DIR" --ioengine="$engine" --direct=$direct \
			--rw=randwrite --bsrange=4k-64k --size=32m --iodepth=8 --numjobs=2 \
			--verify=crc32c --verify_fatal=1 --verify_backlog=64 \
			--verify_state_save=0 --fsync=200 --group_reporting --output="$T/fio"
	done
	rm -f "$DIR/$engine".*
}

# ---- stress-ng ----------------------------------------------------------------

STRESSORS="access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify
dup eventfd fallocate fanotify fcntl fiemap file-ioctl filename flock fpunch
fsize fstat getdent handle hdd inode-flags inotify iomix lease link locka lockf lockofd
mknod mmap open readahead rename revio seek sendfile splice symlink
sync-file touch utime verity xattr"

# stress NAME: not a test by itself, as one that cannot run here (status 3: lack of
# something, 4: not implemented, or 0 and it says so) is skipped
stress() {
	local status=0 why
	rm -rf "$DIR/stress"
	mkdir "$DIR/stress"
	stress-ng --"$1" 2 --timeout "$STRESS_SECONDS" --verify --temp-path "$DIR/stress" \
		--hdd-bytes 8m --iomix-bytes 8m --seek-size 8m \
		--fallocate-bytes 64m --readahead-bytes 8m --mmap-bytes 8m --mmap-file \
		--revio-bytes 8m --log-brief >"$T/output" 2>&1 || status=$?
	why=$(grep -iE -m 1 'skipping stress|not implemented|skipped: [1-9]' "$T/output")
	if [ $status = 3 ] || [ $status = 4 ] || { [ $status = 0 ] && [ -n "$why" ]; }; then
		skip "stress $1" "status $status: ${why:-$(tail -n 1 "$T/output")}"
	elif [ $status = 0 ]; then
		ok "stress $1"
	else
		not_ok_said "stress $1: ended with $status" "$T/output"
	fi
	rm -rf "$DIR/stress"
	# All that was written is in the file
	[ "$(stat -c %s "$DB")" -lt 400000000 ] || "$BANYAN" vacuum "$DB" >/dev/null
}

# ---- vim, npm, venv -----------------------------------------------------------

vim_writes_with_backup_and_swap() {
	local copy
	for copy in yes no auto; do
		seq 1000 >"$DIR/text"
		chmod 640 "$DIR/text"
		chown 12:34 "$DIR/text"
		ln -f "$DIR/text" "$DIR/text.link"
		vim -Nu NONE -es "$DIR/text" \
			-c "set backup writebackup backupcopy=$copy backupskip= swapfile undofile" \
			-c "set backupdir=. directory=. undodir=." \
			-c "cd $DIR" -c '%s/^5/five/' -c 'normal Golast' -c 'preserve' -c 'wq' </dev/null
		same "$(seq 1000 | sed 's/^5/five/'; echo last)" "$(cat "$DIR/text")"
		same "$(seq 1000)" "$(cat "$DIR/text~")"
		same "640 12 34" "$(stat -c '%a %u %g' "$DIR/text")"
		[ -e "$DIR/.text.un~" ] || fail "no undo file"
		[ ! -e "$DIR/.text.swp" ] || fail "the swap file is left"
		rm -f "$DIR"/text* "$DIR"/.text*
	done
}

npm_installs_a_package() {
	local n package=$DIR/package
	export HOME=$DIR npm_config_cache=$DIR/.npm npm_config_update_notifier=false
	mkdir -p "$package/lib" "$DIR/app"
	echo '{"name":"many","version":"1.0.0","main":"lib/1.js","bin":{"many":"lib/1.js"}}' \
		>"$package/package.json"
	for n in $(seq 1000); do echo "module.exports = $n;" >"$package/lib/$n.js"; done
	sed -i '1i #!/usr/bin/env node' "$package/lib/1.js"
	(cd "$package" && npm pack --silent >/dev/null)
	echo '{"name":"app","version":"1.0.0"}' >"$DIR/app/package.json"
	cd "$DIR/app"
	npm install --offline --no-audit --no-fund --silent ../package/many-1.0.0.tgz
	same 1 "$(node -p "require('many')")"
	node_modules/.bin/many
	diff -r "$package/lib" node_modules/many/lib
	npm ls --offline
	npm uninstall --offline --no-audit --no-fund --silent many
	[ ! -e node_modules/many ] || fail "still there"
}

a_venv_works() {
	python3 -m venv "$DIR/venv"
	same "$(realpath "$DIR/venv")" "$("$DIR/venv/bin/python" -c 'import sys; print(sys.prefix)')"
	"$DIR/venv/bin/pip" --version
	mkdir -p "$DIR/module/it"
	echo 'from setuptools import setup; setup(name="it", version="1", packages=["it"])' \
		>"$DIR/module/setup.py"
	echo 'said = "hello"' >"$DIR/module/it/__init__.py"
	"$DIR/venv/bin/python" -m compileall -q "$DIR/module"
	"$DIR/venv/bin/pip" uninstall -qy pip
}

# ---- file systems on it -------------------------------------------------------

change_tree() {
	rm -rf "$1/netfilter" "$1/fuse.h"
	mv "$1/usb" "$1/usb2"
	mv "$1/fs.h" "$1/android"
	mkdir "$1/netfilter" "$1/new"
	sed -i '1i // changed' "$1"/a*.h
	echo more >>"$1/btrfs.h"
	ln "$1/btrfs.h" "$1/new/link"
	ln -s ../btrfs.h "$1/new/symlink"
	chmod 600 "$1"/c*.h
	chown 12:34 "$1/dvb"
	truncate -s 100 "$1/bpf.h"
	cp -a "$1/dvb" "$1/dvb2"
}

an_overlay_has_its_upper_directory_here() {
	mkdir "$DIR/upper" "$DIR/work" "$T/over" "$T/model"
	cp -a "$TREE/." "$T/model"
	mount -t overlay overlay "$T/over" \
		-o "lowerdir=$TREE,upperdir=$DIR/upper,workdir=$DIR/work"
	change_tree "$T/over"
	change_tree "$T/model"
	diff -r --no-dereference "$T/model" "$T/over"
	umount "$T/over"
	mount -t overlay overlay "$T/over" \
		-o "lowerdir=$TREE,upperdir=$DIR/upper,workdir=$DIR/work"
	diff -r --no-dereference "$T/model" "$T/over"
	(cd "$T/model" && find . ! -type d -printf '%P %y %m %U %G %n %s\n' | sort) >"$T/left"
	(cd "$T/over" && find . ! -type d -printf '%P %y %m %U %G %n %s\n' | sort) >"$T/right"
	diff "$T/left" "$T/right"
	# By the name that was seen last: when the other one goes first, overlayfs asks FUSE
	# whether that is still there, and says ESTALE of the file that is
	rm "$T/over/new/link"
	rm -rf "$T/over"/*
	same "" "$(ls -A "$T/over")"
	umount "$T/over"
}

ext4_lies_in_a_file_of_it() {
	local round
	truncate -s 300M "$DIR/ext4"
	mkfs.ext4 -qF "$DIR/ext4"
	mkdir -p "$T/loop"
	for round in 1 2 3; do
		mount -o loop "$DIR/ext4" "$T/loop"
		[ $round = 1 ] || diff -r "$TREE" "$T/loop/$((round - 1))"
		cp -a "$TREE" "$T/loop/$round"
		[ $round = 1 ] || rm -rf "$T/loop/$((round - 1))"
		fstrim "$T/loop"
		umount "$T/loop"
		e2fsck -fn "$DIR/ext4"
		drop_caches
	done
	rm "$DIR/ext4"
}

# ---- many at once -------------------------------------------------------------

# A tree of its own, files in a directory that all use, lines in a file that all use
writer() {
	local n
	for n in 1 2 3; do
		cp -a "$TREE" "$DIR/eight/$1"
		diff -r "$TREE" "$DIR/eight/$1"
		[ $n = 3 ] || rm -rf "$DIR/eight/$1"
	done
	for n in $(seq 500); do
		echo "$1 $n" >>"$DIR/eight/lines"
		echo "$1" >"$DIR/eight/shared/$1.$n"
		ln "$DIR/eight/shared/$1.$n" "$DIR/eight/shared/link.$1.$n"
		mv "$DIR/eight/shared/$1.$n" "$DIR/eight/shared/same.$((n % 50))"
	done
}

eight_write_at_once() {
	local i writers=()
	mkdir -p "$DIR/eight/shared"
	for i in 1 2 3 4 5 6 7 8; do
		(set -e; writer $i) &
		writers+=($!)
	done
	for i in "${writers[@]}"; do wait "$i"; done
	same 4000 "$(wc -l <"$DIR/eight/lines")"
	for i in 1 2 3 4 5 6 7 8; do
		same "$(seq 500)" "$(awk -v i=$i '$1 == i { print $2 }' "$DIR/eight/lines")"
		same 500 "$(find "$DIR/eight/shared" -name "link.$i.*" -size 2c | wc -l)"
		same "$i" "$(sort -u "$DIR/eight/shared/link.$i."*)"
	done
	same 50 "$(find "$DIR/eight/shared" -name 'same.*' | wc -l)"
	# 500 links each, of which the last of each name has one more
	same 4000 "$(find "$DIR/eight/shared" -name 'link.*' | wc -l)"
	same 50 "$(find "$DIR/eight/shared" -name 'link.*' -links 2 | wc -l)"
}

begin
needs git git_works
needs sqlite3 sqlite_survives_that_its_writer_is_killed wal
needs sqlite3 sqlite_survives_that_its_writer_is_killed delete
for engine in sync libaio mmap io_uring; do
	needs fio fio_verifies_what_it_wrote_with $engine
done
known=$(stress-ng --help 2>/dev/null)
for stressor in $STRESSORS; do
	if [[ $known == *"--$stressor N"* ]]; then
		stress "$stressor"
	else
		skip "stress $stressor" "stress-ng is missing or does not have it"
	fi
done
needs vim vim_writes_with_backup_and_swap
needs npm npm_installs_a_package
needs python3 a_venv_works
lasts an_overlay_has_its_upper_directory_here
umount -l "$T/over" 2>/dev/null # if it failed
lasts ext4_lies_in_a_file_of_it
! umount "$T/loop" 2>/dev/null # if it failed
lasts eight_write_at_once
again
needs git git_finds_all_as_it_was
end
finish
