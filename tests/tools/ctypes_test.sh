#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ctypes_test.sh - the library from another language: ctypes_test.py.

set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/support/lib.sh

library=${BUILD:-build}/libbanyan.so
# Python itself would have to be built with a sanitizer
if ! command -v python3 >/dev/null; then
	skip "libbanyan from Python" "there is no python3"
elif nm -D "$library" | grep -qE ' U __(asan|tsan)_'; then
	skip "libbanyan from Python" "it is built with a sanitizer"
else
	exec python3 tests/tools/ctypes_test.py "$library"
fi
finish
