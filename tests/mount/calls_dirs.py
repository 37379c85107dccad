# SPDX-License-Identifier: MIT
"""Listings"""
import os
import random
import subprocess
import threading

from calls_lib import *


def fill(d, n):
    for i in range(n):
        os.close(os.open(f"{d}/name-{i:05}", os.O_CREAT | os.O_WRONLY))


def listings_are_whole_and_sorted_and_have_dots(d, root):
    fill(d, 3000)
    for _ in range(2):  # the second one from the kernel's cache
        entries = raw_entries(d)
        names = [e[0] for e in entries]
        assert names[:2] == [".", ".."] and names[2:] == [f"name-{i:05}" for i in range(3000)]
        assert entries[0][1] == os.stat(d).st_ino
        assert entries[1][1] == os.stat(os.path.dirname(d)).st_ino
        assert all(e[1] == os.stat(f"{d}/{e[0]}").st_ino for e in entries[2::100])
    write(d + "/name-00500x")
    os.unlink(d + "/name-00501")
    names = [e[0] for e in raw_entries(d)]
    assert len(names) == 3002 and "name-00500x" in names and "name-00501" not in names


def places_in_a_listing_can_be_returned_to(d, root):
    fill(d, 2500)
    l = Dir(d)
    places, names = [], []
    while True:
        places.append(l.tell())
        e = l.next()
        if not e:
            break
        names.append(e[0])
    assert len(set(places)) == len(places)
    r = random.Random(SEED)
    for _ in range(40):
        i = r.randrange(len(names))
        l.seek(places[i])
        assert l.next()[0] == names[i], f"seed {SEED}"
    l.rewind()
    assert l.rest() == names
    # a place whose key is gone, and keys that come in behind it
    l.seek(places[1000])
    os.unlink(d + "/" + names[999])
    os.unlink(d + "/" + names[1000])
    write(d + "/" + names[1000] + "x")
    l.rewind()
    assert len(l.rest()) == len(names) - 1
    l.close()


def a_listing_goes_on_behind_what_was_deleted(d, root):
    fill(d, 3000)
    l, seen = Dir(d), []
    while e := l.next():
        if e[0] not in (".", ".."):
            seen.append(e[0])
            os.unlink(d + "/" + e[0])
            if len(seen) % 500 == 0:  # somebody else lists, and resets the cache
                os.listdir(d)
    l.close()
    assert seen == [f"name-{i:05}" for i in range(3000)]
    os.rmdir(d)
    os.mkdir(d)


def two_listings_at_once_do_not_mix(d, root):
    fill(d, 3000)
    a, b = Dir(d), Dir(d)
    first, second = [], []
    for i in range(3002):
        first.append(a.next()[0])
        if i % 3 == 0:
            write(f"{d}/name-{i:05}-{i}")  # resets the kernel's cache
            second.append(b.next()[0])
            if i % 300 == 0:
                os.listdir(d)
    second += b.rest()
    assert a.next() is None or True
    for names in (first, second):
        old = [n for n in names if n.count("-") == 1]
        assert len(old) == len(set(old)), "twice"
    assert {f"name-{i:05}" for i in range(3000)} <= set(second)
    a.close()
    b.close()


def a_directory_can_be_removed_while_it_is_listed(d, root):
    os.mkdir(d + "/s")
    fill(d + "/s", 2000)
    stop = threading.Event()

    def lister():
        while not stop.is_set():
            try:
                names = os.listdir(d + "/s")
                assert len(names) == len(set(names))
            except FileNotFoundError:
                return

    threads = [threading.Thread(target=lister) for _ in range(2)]
    for t in threads:
        t.start()
    rm = subprocess.run(["rm", "-r", d + "/s"], capture_output=True)
    stop.set()
    for t in threads:
        t.join()
    assert rm.returncode == 0, rm.stderr
    assert os.listdir(d) == []
