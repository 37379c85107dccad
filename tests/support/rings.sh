# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# rings.sh - whether the kernel offers FUSE over io_uring to mounts; to be sourced.
#
# It is one switch for the whole machine: those who turn it take a lock, which is not in
# $TMPDIR, and put it back when they are done.

OFFER=/sys/module/fuse/parameters/enable_uring
offered=

# offer_rings Y|N: until offer_as_before
offer_rings()
{
	exec 8>/tmp/banyan-tests-rings.lock
	flock 8
	offered=$(cat $OFFER)
	echo "$1" >$OFFER
}

offer_as_before()
{
	[ -n "$offered" ] || return 0
	echo "$offered" >$OFFER
	offered=
	exec 8>&-
}
