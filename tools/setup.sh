#!/bin/sh
# SPDX-License-Identifier: MIT
#
# setup.sh PURPOSE... - install what is missing for: build, check, long, bench,
# valgrind, lint, fuzz. What is there is found by looking for it, not by asking
# apt: with nothing missing this is quick and silent, and right where programs
# came another way. Without apt-get it prints the Debian names and ends with 1.

set -u
PATH=$PATH:/usr/sbin:/sbin
missing=

# what PACKAGE TEST... : PACKAGE is missing if the test fails
what()
{
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_program() { command -v "$1"; }
has_file() { [ -e "$1" ]; }
has_library() { "${PKG_CONFIG:-pkg-config}" --exists "$1"; }

# An override of CC names a compiler that is there, or the build will say so
has_compiler() { [ -n "${CC:-}" ] || command -v cc; }

for_build()
{
	what gcc has_compiler
	what libc6-dev has_file /usr/include/stdio.h
	what pkg-config has_program "${PKG_CONFIG:-pkg-config}"
	what libfuse3-dev has_library fuse3
	what liburing-dev has_library liburing
	what fuse3 has_program fusermount3
	if grep -qs '<jansson\.h>' tools/*.c; then
		what libjansson-dev has_file /usr/include/jansson.h
	fi
	if grep -qs '<csv\.h>' tools/*.c; then
		what libcsv-dev has_file /usr/include/csv.h
	fi
}

for_check()
{
	what libcmocka-dev has_library cmocka
	what python3 has_program python3
	what rsync has_program rsync
	what attr has_program setfattr
	what acl has_program setfacl
	what util-linux has_program mountpoint
	what jq has_program jq
	what strace has_program strace
}

# Whom check-mount-long lets work in a mount; what is missing all the same is skipped
for_long()
{
	what borgbackup has_program borg
	what e2fsprogs has_program mkfs.ext4
	what fio has_program fio
	what git has_program git
	what python3-venv python3 -c 'import ensurepip'
	what sqlite3 has_program sqlite3
	what stress-ng has_program stress-ng
	what vim has_program vim
}

for_bench()
{
	what liblmdb-dev has_file /usr/include/lmdb.h
	what libsqlite3-dev has_library sqlite3
	what librocksdb-dev has_file /usr/include/rocksdb/c.h
	what libdb5.3-dev has_file /usr/include/db.h
	what fuse2fs has_program fuse2fs
	what bc has_program bc
}

for_valgrind()
{
	what valgrind has_program valgrind
}

for_lint()
{
	what clang-format has_program "${CLANG_FORMAT:-clang-format}"
	what clang-tidy has_program "${CLANG_TIDY:-clang-tidy}"
	what shellcheck has_program shellcheck
}

# Of clang's runtime libraries the name has a version; this one follows clang
has_fuzzer()
{
	echo 'int LLVMFuzzerTestOneInput(void){return 0;}' |
		clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null -
}

for_fuzz()
{
	what clang has_program clang
	what libclang-rt-dev has_fuzzer
}

look()
{
	missing=
	for purpose in "$@"; do
		"for_$purpose"
	done
}

# Without a terminal sudo must fail rather than wait for a password
sudo="sudo"
[ -t 0 ] || sudo="sudo -n"

as_root()
{
	[ "$(id -u)" != 0 ] || sudo=
	$sudo env DEBIAN_FRONTEND=noninteractive "$@"
}

can_install()
{
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null
}

cd "$(dirname "$0")/.." || exit 1
[ $# -gt 0 ] || set -- build
look "$@"
[ -n "$missing" ] || exit 0

if ! can_install; then
	echo "setup: please install (Debian names):$missing" >&2
	exit 1
fi
echo "setup: installing$missing"

# The lists of packages may be old, or, on a new machine, not there yet
# shellcheck disable=SC2086 # a list of words
install_missing()
{
	as_root apt-get -qq -y --no-install-recommends install $missing && return
	as_root apt-get -qq update
	as_root apt-get -qq -y --no-install-recommends install $missing
}

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if ! install_missing >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log" >&2
	echo "setup: apt-get failed" >&2
fi

look "$@"
if [ -n "$missing" ]; then
	echo "setup: still missing:$missing" >&2
	exit 1
fi
