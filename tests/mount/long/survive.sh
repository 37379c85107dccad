#!/bin/bash
# SPDX-License-Identifier: MIT
# What people run in a directory runs in a mount whose daemon is killed every 10 to 1000
# ms, and kills itself at its own points: git, sqlite3, cp, tar and rsync, a build, fio,
# and programs that know what each call has to say (player.c); while the database is
# vacuumed. BANYAN_SECONDS (60): how long those, and sqlite3 in each mode, are at work.
# BANYAN_KEYS (1 000 000): inodes that the kernel remembers over deaths.
. "$(dirname "$0")/lib.sh"
. "$here/survive_lib.sh"
need_survival
build_helpers || { not_ok "builds its helpers"; finish; }
WORK_SECONDS=${BANYAN_SECONDS:-60}
KEYS=${BANYAN_KEYS:-1000000}
TREE=/usr/include
background=()

end_background() {
	local pid
	for pid in "${background[@]}"; do kill "$pid" 2>/dev/null; done
	{ wait "${background[@]}"; } 2>/dev/null
	background=()
	die_no_more
}

# From now on until end_background
begin_deaths() {
	die_at all $((1 << 40)) 50
	kill_for 100000 10 1000 &
	background+=($!)
}

begin_vacuums() {
	(
		while sleep 5; do
			fstrim -v "$DIR" || echo "fstrim: $?"
		done >"$T/trims" 2>&1
	) &
	background+=($!)
}

fstrim_has_worked() {
	grep -c trimmed "$T/trims"
	! grep -v trimmed "$T/trims"
}

# ---- programs --------------------------------------------------------------------

git_in() { git -C "$1" -c user.name=test -c user.email=test@example.org -c init.defaultBranch=main "${@:2}"; }

git_works() {
	local n
	mkdir "$DIR/git"
	cp -a "$TREE/linux" "$DIR/git/"
	git_in "$DIR/git" init -q
	git_in "$DIR/git" add .
	git_in "$DIR/git" commit -qm first
	git clone -q "file://$DIR/git" "$DIR/clone"
	for n in 1 2 3; do
		find "$DIR/clone/linux" -name "*$n*.h" -exec sed -i "1i // $n" {} +
		git_in "$DIR/clone" commit -qam "change $n"
	done
	git_in "$DIR/clone" push -q origin HEAD:changed
	git_in "$DIR/git" gc -q --prune=now
	git_in "$DIR/clone" repack -qad
	for n in git clone; do
		git_in "$DIR/$n" fsck --full --strict 2>&1
		same "" "$(git_in "$DIR/$n" status --porcelain)"
	done
	diff -r "$TREE/linux" "$DIR/git/linux"
	rm -rf "$DIR/git" "$DIR/clone"
}

# It goes on to write until it is told to stop
sqlite_works() {
	local pid
	insert_rows "$DIR/sqlite.$1" "$T/acks" "$1" &
	pid=$!
	sleep "$WORK_SECONDS"
	kill -0 $pid || fail "it has ended"
	kill $(pgrep -P $pid)
	{ wait $pid; } 2>/dev/null || true
	rows_are_there "$DIR/sqlite.$1" "$T/acks"
	rm -f "$DIR/sqlite.$1"*
}

trees_are_copied_in_and_out() {
	mkdir "$DIR/in" "$T/out"
	cp -a "$TREE" "$DIR/in/cp"
	diff -r --no-dereference "$TREE" "$DIR/in/cp"
	mkdir "$DIR/in/tar"
	tar -C "$TREE" -cf - . | tar -C "$DIR/in/tar" -xf -
	rsync -aH "$TREE/" "$DIR/in/rsync/"
	tar -C "$DIR/in/tar" -cf - . | tar -C "$T/out" -xf -
	diff -r --no-dereference "$TREE" "$T/out"
	rsync -acH --delete "$DIR/in/rsync/" "$T/out/"
	cp -a "$DIR/in/rsync" "$DIR/in/again"
	diff -r --no-dereference "$DIR/in/tar" "$DIR/in/again"
	diff -r --no-dereference "$TREE" "$T/out"
	diff <(listing "$TREE" | cut -f 1-3) <(listing "$DIR/in/rsync" | cut -f 1-3)
	rm -rf "$DIR/in" "$T/out"
}

it_is_built() {
	mkdir "$DIR/build"
	cp -a "$top"/{Makefile,common,fs,store,tools} "$DIR/build/"
	make -C "$DIR/build" -j2 LTO= CFLAGS=-O0 BUILD=out out/banyan >/dev/null
	"$DIR/build/out/banyan" check "$DB.other" 2>&1 | grep -q "no such file\|No such file"
	rm -rf "$DIR/build"
}

fio_verifies_what_it_wrote() {
	mkdir -p "$DIR/fio"
	fio --directory="$DIR/fio" --ioengine="$1" --rw=randrw --bs=4k-64k --size=16m \
		--numjobs=2 --verify=crc32c --verify_fatal=1 --do_verify=1 --runtime=20 --fsync=200 \
		--verify_state_save=0 --name=job --minimal >"$T/fio" 2>&1 || fail "$(cat "$T/fio")"
	rm -rf "$DIR/fio"
}

fsx_works() { (cd "$DIR" && fsx -q -N 100000 -S "$SEED" fsx.file); }

# needs PROGRAM NAME...
needs() {
	if has "$1"; then lasts "${@:2}"; else skip "${*:2}" "no $1"; fi
}

players_notice_nothing() {
	mkdir "$DIR/play"
	"$T/player" "$DIR/play" 8 "$WORK_SECONDS" "$SEED" | tee -a "$T/calls"
	rm -rf "$DIR/play"
}

# ---- many inodes -----------------------------------------------------------------

hold_all() { same "$KEYS" "$(find "$DIR/many" -type f -size -2 | wc -l)"; }

# Others may make the kernel drop its caches meanwhile
many_inodes_are_held_over_deaths() {
	local held=0
	for _ in 1 2 3 4 5 6 7 8; do
		[ "$(status_of inodes)" -ge "$KEYS" ] || hold_all
		kill_worker
		stat "$DIR/many/key0000001" "$DIR/new" >/dev/null 2>&1 || true
		[ "$(status_of inodes)" -lt "$KEYS" ] || held=$((held + 1))
		echo "pause $(status_of pause) ns, $(status_of inodes) inodes"
	done
	[ $held -gt 0 ] || fail "too few"
	# from any of them
	kill_for 10 300 2000 &
	python3 -B - "$DIR/many" "$KEYS" <<-'END'
		import os, random, sys
		top, keys = sys.argv[1], int(sys.argv[2])
		for n in range(20000):
		    path = f"{top}/key{random.randrange(keys) + 1:07}"
		    with open(path, "a") as f:
		        f.write("x")
		    assert os.stat(path).st_nlink == 1
	END
	wait $!
	hold_all
}

end_it() {
	try nothing_is_held
	if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
	try nothing_is_left_behind
}

# ---- all -------------------------------------------------------------------------

new_killer
mount_long survive || { not_ok_said "mounts" "$T/stderr"; finish; }
begin_deaths
begin_vacuums
lasts players_notice_nothing
needs git git_works
needs sqlite3 sqlite_works wal
needs sqlite3 sqlite_works delete
lasts trees_are_copied_in_and_out
lasts it_is_built
for engine in sync mmap libaio io_uring; do
	needs fio fio_verifies_what_it_wrote $engine
done
needs fsx fsx_works
end_background
try fstrim_has_worked
echo "# $(status_of 'died so often') deaths; at its points: $(deaths_by_point)"
echo "# programs that know made $(cat "$T/calls")"
end_it

rm "$DB"
seq -f 'key%07g' "$KEYS" | sed '1i name' >"$T/keys.csv"
"$BANYAN" create "$DB"
"$BANYAN" import -f csv -k name -i many "$DB" "$T/keys.csv" >/dev/null
rm "$T/keys.csv"
new_killer
mount_long survive || { not_ok_said "mounts" "$T/stderr"; finish; }
lasts many_inodes_are_held_over_deaths
sed 's/^/# /' "$T/output"
end_it
finish
