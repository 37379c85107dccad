# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# lib.sh - what the long tests of the mount share, besides ../lib.sh; to be sourced.
#
# A test runs over one transport, which the environment names: TRANSPORT=workers
# (default) or uring. mount_long mounts with it, and the kernel offers FUSE over
# io_uring no longer than a mount takes.

. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
TRANSPORT=${TRANSPORT:-workers}
RINGS=
[ "$TRANSPORT" != uring ] || RINGS=1
# shellcheck disable=SC2034 # suites use it
NOBODY="setpriv --reuid=65534 --regid=65534 --clear-groups"

need_fuse
if [ "$(id -u)" != 0 ]; then
	echo "SKIPPED - all of ${0##*/}: we are not root"
	echo "0 passed, 0 failed"
	exit 0
fi
[ -z "$RINGS" ] || need_rings
echo "# transport=$TRANSPORT"

# mount_long [OPTIONS]
mount_long() {
	local status
	[ -z "$RINGS" ] || offer_rings Y
	mount_db "transport=$TRANSPORT${1:+,$1}"
	status=$?
	offer_as_before
	return $status
}

# lasts NAME...: as try, and prints how long it took
lasts() {
	local began=$SECONDS
	try "$@"
	echo "# $((SECONDS - began)) s"
}

has() { command -v "$1" >/dev/null; }

# Not for a test, which has a shell of its own: begin mounts, again mounts again, end
# unmounts, and the file is sound
begin() { mount_long "$@" || { not_ok_said "mounts" "$T/stderr"; finish; }; }
again() {
	if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
	begin "$@"
}
end() {
	if umount_db; then ok "unmounts"; else not_ok_said "unmounts" "$T/stderr"; fi
	try "$BANYAN" check "$DB"
}

# insert_rows DB ACKS JOURNAL: until it is killed or fails; ACKS has the number of each
# row that is committed
insert_rows() {
	{
		echo "pragma journal_mode=$3; pragma synchronous=full;"
		echo "create table if not exists t(n integer primary key, v text);"
		seq 1000000 | awk '{
			print "insert into t select count(*) + 1, hex(randomblob(300)) from t;"
			print "select max(n) from t;"
		}'
	} | exec stdbuf -oL sqlite3 -bail "$1" >"$2" 2>/dev/null
}

# rows_are_there DB ACKS: the database is sound and has all rows that were committed
rows_are_there() {
	local last
	last=$(sed '$d' "$2" | tail -n 1) # the last line may be cut short
	[[ $last =~ ^[0-9]+$ ]] || last=0
	same ok "$(sqlite3 "$1" 'pragma integrity_check')"
	same 1 "$(sqlite3 "$1" "select count(*) >= $last and count(*) = coalesce(max(n), 0) from t")"
	echo "$last rows were committed"
}
