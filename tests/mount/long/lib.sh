# SPDX-License-Identifier: MIT
# lib.sh - what the long tests of the mount share, besides ../lib.sh; to be sourced.
#
# A test runs over one transport, which the environment names: TRANSPORT=workers
# (default) or uring. mount_long mounts with it, and the kernel offers FUSE over
# io_uring no longer than a mount takes.

. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
long=$here/long
TRANSPORT=${TRANSPORT:-workers}
RINGS=
[ "$TRANSPORT" != uring ] || RINGS=1
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
