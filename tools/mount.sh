#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mount.sh [--early] DB DIR - what 'make mount' does beside building: mount the
# database on the directory, both made if they do not exist, and say what to do
# next. --early only looks whether that can work at all.

set -u
top=$(dirname "$0")/..

say()
{
	echo "mount: $*" >&2
	exit 1
}

# As a shell takes it, to be copied from the screen
quoted()
{
	case $1 in
	*[!A-Za-z0-9_./+@%,:=-]*)
		printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
		;;
	*)
		printf %s "$1"
		;;
	esac
}

early=
if [ "$1" = --early ]; then
	early=1
	shift
fi
DB=$1
DIR=$2
if [ -z "$DB" ] || [ -z "$DIR" ]; then
	say "say what and where: make mount DB=notes.banyan DIR=notes"
fi
[ -e /dev/fuse ] ||
	say "there is no /dev/fuse: load the kernel's fuse module, or give it to the container (--device /dev/fuse)"
[ -z "$early" ] || exit 0

mkdir -p -- "$DIR" || exit 1
"$top/build/banyan" mount -o create -- "$DB" "$DIR" || exit

db=$(quoted "$DB")
dir=$(quoted "$DIR")
cat <<END
$DB is mounted on $DIR. Keys are files now; try

    echo hi > $dir/a
    ln $dir/a $dir/b
    ls -li $dir
    build/banyan get $db b
    cp -a /usr/include $dir/

and when you are done

    build/banyan umount $dir
END
