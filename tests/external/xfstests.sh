#!/bin/bash
# SPDX-License-Identifier: MIT
#
# xfstests.sh [-o OPTION[,OPTION...]] [-g GROUP] [-r RESULTS] DIRECTORY [TEST...]
#
# Run tests of xfstests on mounts of Banyan. DIRECTORY is where you have built xfstests;
# nothing of it is here. TEST is a name such as generic/001, or 001; without one the
# tests of GROUP (generic/quick) run. OPTIONs are those of banyanfs: transport=uring,
# threads=1 ... RESULTS (build/xfstests) is a directory, in which there are at last
#
#   table.tsv       a line for each test: its name; passed, failed or not run; seconds;
#                   and why it was not run
#   check.out       what ./check printed
#   generic/        what failed tests left: NNN.out.bad, NNN.full
#
# Tests that xfstests does not run count neither as passed nor as failed. It has to be
# root. xfstests wants users fsgqa and fsgqa2. The databases are made below $TMPDIR, on
# which 8 GiB should be free: a tmpfs makes this much faster.

set -u
export LC_ALL=C
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/support/lib.sh"
. "$top/tests/support/rings.sh"
build=$top/${BUILD:-build}
BANYANFS=${BANYANFS:-$build/banyanfs}

die()
{
	echo "xfstests.sh: $*" >&2
	exit 2
}

arguments=("$@")
options=
group=generic/quick
results=$build/xfstests
while getopts o:g:r: option; do
	case $option in
	o) options=$OPTARG ;;
	g) group=$OPTARG ;;
	r) results=$OPTARG ;;
	*) die "see the head of this file" ;;
	esac
done
shift $((OPTIND - 1))
(($# > 0)) || die "say where xfstests is"
suite=$(realpath "$1")
shift
[ "$(id -u)" = 0 ] || die "xfstests has to be root"
[ -x "$suite/check" ] || die "$suite/check is not there"
[ -x "$suite/ltp/fsstress" ] || die "$suite has not been built"
can_mount || die "/dev/fuse cannot be opened, or $BANYANFS is not there"

# xfstests often asks all that is mounted (df), and what does not answer would stop it
if [ -z "${XFSTESTS_PRIVATE-}" ]; then
	XFSTESTS_PRIVATE=1 exec unshare --mount "$0" "${arguments[@]}"
fi
while read -r other; do
	umount -l "$(printf '%b' "${other//\\/\\0}")"
done < <(awk '/ - fuse/ { print $5 }' /proc/self/mountinfo)

# mount(8) and filters of xfstests take what is behind a dot for something else
T=$(mktemp -d "$(realpath "${TMPDIR:-/tmp}")/banyan-xfstests-XXXXXX") || exit 1
[[ $T != *.* ]] || die "choose a TMPDIR without a dot in its name"
chmod 755 "$T"
keeper=
cleanup()
{
	cd /
	[ -z "$keeper" ] || { kill "$keeper" && wait "$keeper"; } 2>/dev/null
	remove_work "$T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir -p "$T/bin" "$T/test" "$T/scratch" "$T/tmp" "$results" || exit 1
chmod 1777 "$T/tmp"
results=$(realpath "$results")

# What mount(8) runs: root may not have allowed rings for all mounts
mount_helper()
{
	cat <<-END
		#!/bin/bash
		. "$top/tests/support/rings.sh"
		case \$4 in *transport=uring*) offer_rings Y ;; esac
		"$BANYANFS" "\$@" 8>&-
		status=\$?
		offer_as_before
		exit \$status
	END
}

# xfstests deletes the files of a file system instead of making it anew, and some tests
# overwrite a file as often as they can. So order a vacuum when a database has 1 GiB; by
# its attribute, since `banyan vacuum` would keep a test from unmounting meanwhile.
vacuum_when_large()
{
	local name
	while sleep 1; do
		for name in test scratch; do
			[ ! -e "$T/$name.banyan" ] ||
				(($(du -k "$T/$name.banyan" | cut -f 1) < 1024 * 1024)) ||
				setfattr -n system.banyan.vacuum -v start "$T/$name" 2>/dev/null
		done
	done
}

# xfstests takes the type that df shows for FSTYP
df_helper()
{
	cat <<-END
		#!/bin/bash
		set -o pipefail
		"$(type -P df)" "\$@" | sed 's/ fuse\.banyanfs / fuse          /'
	END
}

mount_helper >"$T/bin/banyanfs"
df_helper >"$T/bin/df"
chmod 755 "$T"/bin/*

# mount(8) has a PATH of its own, so the type contains the path of the program. mount(8)
# adds suid and dev, too, which banyanfs passes over.
cat >"$T/config" <<END
export FSTYP=fuse
export FUSE_SUBTYP=.$T/bin/banyanfs
export TEST_DEV=$T/test.banyan
export TEST_DIR=$T/test
export SCRATCH_DEV=$T/scratch.banyan
export SCRATCH_MNT=$T/scratch
export RESULT_BASE=$results
export MOUNT_OPTIONS="-o create,allow_suid,allow_dev${options:+,$options}"
export TEST_FS_MOUNT_OPTS="\$MOUNT_OPTIONS"
END

tests=()
for name in "$@"; do
	tests+=("generic/${name#generic/}")
done
((${#tests[@]} > 0)) || tests=(-g "$group")

rm -rf "$results/generic" "$results"/check.*
vacuum_when_large &
keeper=$!
cd "$suite" || exit 1
PATH=$T/bin:$PATH TMPDIR=$T/tmp HOST_OPTIONS=$T/config \
	./check "${tests[@]}" 2>&1 | tee "$results/check.out"

# named WORD: the tests of which check has said so at last
named() { sed -n "s/^$1: //p" "$results/check.log" | tail -n 1; }

[ -e "$results/check.log" ] || exit 1 # ./check has said why

# print_row TEST RESULT
print_row()
{
	local seconds why=
	seconds=$(awk -v test="$1" '$1 == test { print $2 }' "$results/check.time")
	[ "$2" != "not run" ] || why=$(tr -s '\n\t' '  ' <"$results/$1.notrun")
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "${seconds:--}" "${why% }"
}

not_run=" $(named 'Not run') "
bad=" $(named Failures) "
for name in $(named Ran); do
	if [[ $bad == *" $name "* ]]; then
		failed=$((failed + 1))
		print_row "$name" failed
	elif [[ $not_run == *" $name "* ]]; then
		skipped=$((skipped + 1))
		print_row "$name" "not run"
	else
		passed=$((passed + 1))
		print_row "$name" passed
	fi
done >"$results/table.tsv"

echo
echo "Failed:${bad% }"
((skipped == 0)) || {
	echo "Not run:"
	awk -F '\t' '$2 == "not run" { print $4 }' "$results/table.tsv" |
		sort | uniq -c | sort -rn
}
echo "The table is $results/table.tsv"
finish
