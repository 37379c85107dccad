#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check system calls in a directory of a mount: calls.py DIR [test...]

Each test is a function whose name is a sentence. It gets a directory of its
own, and the root of the mount. Random ones take their seed from BANYAN_SEED.
"""
import os
import sys
import traceback

import calls_attrs
import calls_data
import calls_dirs
import calls_handles
import calls_names
from calls_lib import Skip


def tests():
    for module in (calls_names, calls_attrs, calls_data, calls_dirs, calls_handles):
        for f in list(vars(module).values()):
            code = getattr(f, "__code__", None)
            if code and code.co_varnames[:code.co_argcount] == ("d", "root"):
                yield f


def main():
    root = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    passed = failed = 0
    for test in tests():
        if wanted and test.__name__ not in wanted:
            continue
        name = test.__name__.replace("_", " ")
        d = f"{root}/{test.__name__}"
        try:
            os.mkdir(d)
            test(d, root)
            print("ok -", name)
            passed += 1
        except Skip as e:
            print(f"SKIPPED - {name}: {e}")
        except Exception:
            print("not ok -", name)
            for line in traceback.format_exc().splitlines():
                print("#  ", line)
            failed += 1
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
