#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write in DIR until it fails, noting in LOG what has returned; then check it.

writer.py write DIR LOG SEED: random operations. After each that has returned,
a line in LOG says what the file in question is now. The one in progress when
the end came is noted before it begins, so that either outcome passes.
writer.py check DIR LOG SEED
"""
import hashlib
import os
import random
import sys

FILES = 400


def content(r):
    return r.randbytes(r.choice((0, 10, 200, 4096, 20000, 300000)))


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def put(path, data, sync):
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    try:
        at = 0
        while at < len(data):
            at += os.write(fd, data[at:])
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def write(top, log, seed):
    r = random.Random(seed)

    def note(*words):
        log.write(" ".join(words) + "\n")
        log.flush()

    while True:
        name = f"f{r.randrange(FILES)}"
        path = f"{top}/{name}"
        what = r.random()
        try:
            if what < 0.6:
                data = content(r)
                note("begin", name, "?")  # truncated, or written in part
                put(path, data, r.random() < 0.02)
                note("is", name, digest(data))
            elif what < 0.8:
                new = f"n{r.randrange(FILES)}"
                data = content(r)
                put(f"{top}/temporary", data, False)
                note("begin", new, digest(data))
                os.rename(f"{top}/temporary", f"{top}/{new}")
                note("is", new, digest(data))
            elif what < 0.9:
                note("begin", name, "-")
                os.unlink(path)
                note("is", name, "-")
            else:
                os.mkdir(f"{top}/d{r.randrange(10 ** 9)}")
        except FileNotFoundError:
            note("is", name, "-")
        except OSError:
            return


def check(top, log):
    sure, maybe = {}, {}
    for line in log:
        words = line.split()
        if len(words) != 3 or not line.endswith("\n"):
            continue
        kind, name, value = words
        if kind == "is":
            sure[name] = value
            maybe.pop(name, None)
        else:
            maybe[name] = value
    wrong = 0
    for name in {**sure, **maybe}:
        try:
            with open(f"{top}/{name}", "rb") as f:
                found = digest(f.read())
        except FileNotFoundError:
            found = "-"
        allowed = {sure.get(name, "-"), maybe.get(name)}
        if "?" not in allowed and found not in allowed:
            print(f"{name}: is {found}, should be one of {allowed}")
            wrong += 1
    print(f"# {len(sure)} names compared, {len(maybe)} were in progress")
    return 1 if wrong else 0


def main():
    what, top, log, seed = sys.argv[1:]
    if what == "write":
        with open(log, "w") as f:
            write(top, f, int(seed))
        return 0
    with open(log) as f:
        return check(top, f)


if __name__ == "__main__":
    sys.exit(main())
