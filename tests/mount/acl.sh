#!/bin/bash
# SPDX-License-Identifier: MIT
# Access control lists: the same is done on another file system of the kernel's and in
# the mount, and getfacl must say the same of both. Who may do what; copies by cp,
# rsync and tar; the past; what it costs.
. "$(dirname "$0")/lib.sh"
need_fuse

NOBODY="setpriv --reuid=65534 --regid=65534 --clear-groups"
SEED=${BANYAN_SEED:-$RANDOM}

skip_all() {
	echo "SKIPPED - all of ${0##*/}: $1"
	echo "0 passed, 0 failed"
	exit 0
}

command -v setfacl >/dev/null && command -v getfacl >/dev/null ||
	skip_all "needs setfacl and getfacl"
MODEL=$(mktemp -d /dev/shm/banyan-acl.XXXXXX) || exit 1
trap 'rm -rf "$MODEL"; cleanup' EXIT
setfacl -m u:1:r "$MODEL" 2>/dev/null || skip_all "there is no other file system that has them"
setfacl -b "$MODEL"

lists() { (cd "$1" && find . ! -type l | sort | xargs -d "\n" getfacl -pn); }
compare_lists() {
	lists "$1" >"$T/left"
	lists "$2" >"$T/right"
	diff "$T/left" "$T/right"
}

# In both places
both() {
	local where
	for where in "$MODEL" "$DIR/model"; do
		(cd "$where" && eval "$*")
	done
}

requests() { sed -n 's/.*"requests": *\([0-9]*\).*/\1/p' "$DIR/.banyan/status.json"; }

lists_are_kept_and_modes_follow() {
	mkdir -m 700 "$DIR/model"
	both 'touch a; chmod 640 a; setfacl -m u:1000:rwx,g:100:r a'
	same 670 "$(stat -c %a "$DIR/model/a")"
	same "-rw-rwx---+" "$(ls -l "$DIR/model/a" | cut -d' ' -f1)"
	both 'chmod 600 a'
	both 'setfacl -m m::r a'
	both 'touch b; setfacl -m u:5:r b; chmod 4751 b; setfacl -x u:5,m b'
	both 'mkdir d; setfacl -dm u:1000:rx,g::rwx,o::- d; chmod g+s d'
	both 'umask 077; touch d/f; mkdir d/s d/s/t; mkfifo d/p; ln -s x d/l; mknod d/n c 1 3'
	both 'umask 022; echo x >d/g; mkdir -m 700 d/m; touch c; mkdir e'
	both 'mkdir g; chown :100 g; touch g/a; chmod g+s g; touch g/b; mkdir g/s; touch g/s/c; chmod g-s g; touch g/d'
	both 'setfacl -b a; setfacl -k d/s; setfacl -b d/m; setfacl -b c; setfacl -k c || :'
	compare_lists "$MODEL" "$DIR/model"
}

what_says_no_more_than_a_mode_is_none() {
	touch "$DIR/plain"
	setfacl -m u::rw,g::r,o::x "$DIR/plain"
	same 641 "$(stat -c %a "$DIR/plain")"
	same "" "$(getfattr -dm- "$DIR/plain" 2>/dev/null)"
	setfacl -m u:1:r "$DIR/plain"
	setfacl -b "$DIR/plain"
	same "" "$(getfattr -dm- "$DIR/plain" 2>/dev/null)"
}

random_changes_match_those_elsewhere() {
	local names=(. a a/b a/c a/b/d e e/f g h) masks=(000 022 027 077)
	local modes=(000 400 640 664 711 755 770 777 2750 2775)
	local entries=(u:1000:rwx u:1000:r u:7:- g:100:rw g:8:x m::r m::rwx m::- u::rw g::rx o::- o::r)
	local name
	echo "BANYAN_SEED=$SEED"
	RANDOM=$SEED
	mkdir "$MODEL/random" "$DIR/model/random"
	for _ in $(seq "${BANYAN_ROUNDS:-1}00"); do
		name=random/${names[RANDOM % ${#names[@]}]}
		case $((RANDOM % 12)) in
		0 | 1) both "umask ${masks[RANDOM % 4]}; mkdir $name 2>/dev/null || :" ;;
		2 | 3) both "umask ${masks[RANDOM % 4]}; touch $name 2>/dev/null || :" ;;
		4) both "mkfifo -m ${modes[RANDOM % 10]} $name 2>/dev/null || :" ;;
		5 | 6) both "chmod ${modes[RANDOM % 10]} $name 2>/dev/null || :" ;;
		7 | 8) both "setfacl -m ${entries[RANDOM % 12]} $name 2>/dev/null || :" ;;
		9 | 10) both "setfacl -dm ${entries[RANDOM % 12]} $name 2>/dev/null || :" ;;
		*) both "setfacl -$( ((RANDOM % 2)) && echo b || echo k) $name 2>/dev/null || :" ;;
		esac
	done
	compare_lists "$MODEL" "$DIR/model"
}

files_without_a_name_inherit() {
	mkdir "$DIR/unnamed" "$MODEL/unnamed"
	for where in "$DIR" "$MODEL"; do
		setfacl -dm u:1000:rwx,o::- "$where/unnamed"
		python3 - "$where/unnamed" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.umask(0o077)
fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR, 0o664)
assert libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100, sys.argv[1].encode() + b"/f", 0x400) == 0
END
	done
	compare_lists "$MODEL/unnamed" "$DIR/unnamed"
}

who_is_named_may_and_others_may_not() {
	[ "$(id -u)" = 0 ] || { echo "not root"; return 0; }
	mkdir "$DIR/who"
	echo x >"$DIR/who/f"
	chmod 700 "$DIR/who"
	chmod 600 "$DIR/who/f"
	refuses $NOBODY cat "$DIR/who/f" 2>/dev/null
	setfacl -m u:65534:x "$DIR/who"
	refuses $NOBODY cat "$DIR/who/f" 2>/dev/null
	setfacl -m u:65534:r "$DIR/who/f"
	$NOBODY cat "$DIR/who/f" >/dev/null
	refuses $NOBODY sh -c "echo y >$DIR/who/f" 2>/dev/null
	refuses $NOBODY touch "$DIR/who/new" 2>/dev/null
	refuses $NOBODY setfacl -m u:65534:rwx "$DIR/who/f" 2>/dev/null
	chmod g-r "$DIR/who/f" # the mask
	refuses $NOBODY cat "$DIR/who/f" 2>/dev/null
	chmod 644 "$DIR/who/f"
	$NOBODY cat "$DIR/who/f" >/dev/null
	setfacl -m u:65534:-,g::r "$DIR/who/f"
	refuses $NOBODY cat "$DIR/who/f" 2>/dev/null
	setfacl -m u:65534:rwx "$DIR/who"
	$NOBODY touch "$DIR/who/new"
}

set_group_id_goes_unless_the_caller_is_in_the_group() {
	[ "$(id -u)" = 0 ] || { echo "not root"; return 0; }
	for where in "$DIR" "$MODEL"; do
		chmod 755 "$where"
		for group in 77 65534; do
			touch "$where/sgid$group"
			chown 65534:$group "$where/sgid$group"
			chmod 2755 "$where/sgid$group"
			$NOBODY setfacl -m u:1:r "$where/sgid$group"
		done
		same "sgid65534 2755 sgid77 755" \
			"$(cd "$where" && stat -c '%n %a' sgid* | xargs)"
	done
}

make_source() {
	mkdir -p "$T/src/dir/sub"
	echo x >"$T/src/f"
	echo x >"$T/src/dir/g"
	echo x >"$T/src/plain"
	cp -a "$T/src" "$MODEL/src"
	setfacl -m u:1000:rwx,g:7:r "$MODEL/src/f" "$MODEL/src/dir/g"
	setfacl -m u:9:rx "$MODEL/src/dir"
	setfacl -dm u:1000:rx,o::- "$MODEL/src/dir"
	chmod 751 "$MODEL/src/dir/sub"
	touch -d 2020-02-02 "$MODEL/src/dir"
}

cp_rsync_and_tar_carry_them_in_and_out() {
	make_source
	cp -a "$MODEL/src" "$DIR/cp"
	compare_lists "$MODEL/src" "$DIR/cp"
	same "$(stat -c %Y "$MODEL/src/dir")" "$(stat -c %Y "$DIR/cp/dir")"
	rsync -aAX "$MODEL/src/" "$DIR/rsync"
	compare_lists "$MODEL/src" "$DIR/rsync"
	same "" "$(rsync -aAXnic "$MODEL/src/" "$DIR/rsync")"
	mkdir "$DIR/tar"
	tar -C "$MODEL/src" --acls -cf - . | tar -C "$DIR/tar" --acls -xpf -
	compare_lists "$MODEL/src" "$DIR/tar"
	cp -a "$DIR/cp" "$DIR/again"
	compare_lists "$MODEL/src" "$DIR/again"
	for how in cp rsync tar; do
		cp -a "$DIR/$how" "$MODEL/$how"
		compare_lists "$MODEL/src" "$MODEL/$how"
	done
	rsync -aAX "$DIR/cp/" "$MODEL/out.rsync"
	compare_lists "$MODEL/src" "$MODEL/out.rsync"
	mkdir "$MODEL/out.tar"
	tar -C "$DIR/cp" --acls -cf - . | tar -C "$MODEL/out.tar" --acls -xpf -
	compare_lists "$MODEL/src" "$MODEL/out.tar"
	getfacl -Rp "$DIR/cp" >"$T/saved"
	setfacl -Rb "$DIR/cp"
	setfacl --restore="$T/saved"
	compare_lists "$MODEL/src" "$DIR/cp"
}

a_snapshot_shows_those_of_then() {
	mkdir "$DIR/.banyan/snapshots/then"
	setfacl -Rb "$DIR/cp"
	compare_lists "$MODEL/src" "$DIR/.banyan/snapshots/then/cp"
	cp -a "$DIR/.banyan/snapshots/then/cp" "$DIR/back"
	compare_lists "$MODEL/src" "$DIR/back"
	if [ "$(id -u)" = 0 ]; then
		refuses $NOBODY cat "$DIR/.banyan/snapshots/then/cp/f" 2>/dev/null
	fi
}

they_survive_a_vacuum_and_a_remount() {
	lists "$DIR" >"$T/before"
	"$BANYAN" vacuum "$DIR" >/dev/null
	drop_caches || :
	lists "$DIR" | diff "$T/before" -
}

they_are_there_after_a_remount() { lists "$DIR" | diff "$T/before" -; }

the_mark_of_their_presence_is_not_seen() {
	same "" "$(getfattr -dm- "$DIR" 2>/dev/null)"
	refuses getfattr -n system.banyan.acls "$DIR" 2>/dev/null
	refuses setfattr -n system.banyan.acls -v x "$DIR" 2>/dev/null
}

# so_many MOST COMMAND...: so many requests at the most
so_many() {
	local before between after
	requests >/dev/null
	before=$(requests)
	between=$(requests)
	"${@:2}" >/dev/null
	after=$(requests)
	[ $((after - between - (between - before))) -le "$1" ] ||
		fail "$((after - between)) requests: ${*:2}"
}

owners_cause_no_more_requests_where_there_are_none() {
	for i in $(seq 100); do echo x >"$DIR/f$i"; done
	chmod -R g-w "$DIR"
	drop_caches || { echo "not root: the kernel has all in its caches"; return 0; }
	so_many 20 ls -l "$DIR"
	so_many 20 ls -l "$DIR"
	so_many 105 chmod -R g+w "$DIR"
	so_many 105 sh -c "cat $DIR/f*"
}

a_mount_without_them_has_none() {
	refuses setfacl -m u:1:r "$DIR/f1" 2>/dev/null
	(umask 027; touch "$DIR/new")
	same 640 "$(stat -c %a "$DIR/new")"
	same "" "$(getfattr -dm- "$DIR/cp/f" 2>/dev/null)"
}

mount_db || { not_ok_said "mounts" "$T/stderr"; finish; }
try_thrice owners_cause_no_more_requests_where_there_are_none
try lists_are_kept_and_modes_follow
try what_says_no_more_than_a_mode_is_none
try random_changes_match_those_elsewhere
try files_without_a_name_inherit
try who_is_named_may_and_others_may_not
try set_group_id_goes_unless_the_caller_is_in_the_group
try cp_rsync_and_tar_carry_them_in_and_out
try a_snapshot_shows_those_of_then
try they_survive_a_vacuum_and_a_remount
if remount_db; then ok "remounts"; else not_ok_said "remounts" "$T/stderr"; fi
try they_are_there_after_a_remount
try the_mark_of_their_presence_is_not_seen
if remount_db noacl; then ok "remounts with noacl"; else not_ok_said "remounts" "$T/stderr"; fi
try a_mount_without_them_has_none
if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
try "$BANYAN" check "$DB"
finish
