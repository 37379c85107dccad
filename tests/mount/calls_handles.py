#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""File handles: name_to_handle_at(2), open_by_handle_at(2). See calls.py

Handles that are to survive a remount: calls_handles.py save|check ROOT FILE
"""
import ctypes
import errno
import os
import pickle
import stat
import struct
import sys

from calls_lib import *


def file_handle(path):
    """name_to_handle_at(2): struct file_handle, as bytes"""
    handle, mount_id = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136), ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(mount_id), 0):
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return handle.raw


def open_handle(root, handle, flags=os.O_RDONLY):
    at = os.open(root, os.O_RDONLY)
    fd = libc.open_by_handle_at(at, handle, flags)
    error = ctypes.get_errno()
    os.close(at)
    if fd < 0:
        raise OSError(error, "open_by_handle_at")
    return fd


def made_up(handle, node):
    """The handle with another node id in it: FUSE keeps that in its first 8 bytes, as two numbers"""
    return handle[:8] + struct.pack("II", node >> 32, node & 0xFFFFFFFF) + handle[16:]


def remember(root, top):
    """Of all that is there: a handle, and what it has to lead to"""
    found = []
    for path, dirs, files in os.walk(top):
        for name in dirs + files:
            p = f"{path}/{name}"
            st = os.lstat(p)
            contents = read(p) if stat.S_ISREG(st.st_mode) else None
            found.append((p, file_handle(p), st, contents))
    return found


def check(root, found):
    for path, handle, st, contents in found:
        fd = open_handle(root, handle, os.O_PATH if contents is None else os.O_RDONLY)
        now = os.fstat(fd)
        assert (now.st_ino, now.st_mode, now.st_nlink, now.st_mtime_ns) == \
            (st.st_ino, st.st_mode, st.st_nlink, st.st_mtime_ns), path
        if contents is not None:
            assert os.pread(fd, len(contents) + 1, 0) == contents, path
        if stat.S_ISDIR(st.st_mode):
            # Only of a directory the kernel looks for the path
            assert os.readlink(f"/proc/self/fd/{fd}") == path, path
            assert sorted(os.listdir(f"/proc/self/fd/{fd}")) == sorted(os.listdir(path))
        os.close(fd)


def make_tree(d):
    os.makedirs(d + "/a/b/c")
    for i in range(40):
        write(f"{d}/a/f{i}", b"f%d" % i)
        write(f"{d}/a/b/c/g{i}", b"g%d" % i)
    write(d + "/large", bytes(300000))
    os.link(d + "/a/f1", d + "/a/b/alias")
    os.link(d + "/a/f2", d + "/alias too")
    os.unlink(d + "/a/f2")
    os.rename(d + "/a/f3", d + "/a/b/moved")
    os.mkfifo(d + "/fifo")
    os.symlink("a", d + "/link")


def a_file_handle_finds_its_file(d, root):
    need_root()
    make_tree(d)
    found = remember(root, d)
    check(root, found)
    drop_caches()
    check(root, found)
    # Where the kernel knows of the file by the handle only
    drop_caches()
    fds = [open_handle(root, handle) for path, handle, st, contents in found if contents is not None]
    for fd in fds:
        os.close(fd)
    check(root, found)


def a_file_handle_finds_what_was_moved(d, root):
    need_root()
    make_tree(d)
    handle = file_handle(d + "/a/f7")
    space = file_handle(d + "/a/b/c")
    drop_caches()
    os.rename(d + "/a/f7", d + "/a/b/c/moved")
    os.rename(d + "/a/b/c", d + "/c")
    os.rename(d + "/a", d + "/aa")
    drop_caches()
    fd = open_handle(root, handle)
    assert os.read(fd, 10) == b"f7"
    os.close(fd)
    fd = open_handle(root, space)
    assert os.readlink(f"/proc/self/fd/{fd}") == d + "/c"
    assert "moved" in os.listdir(fd)
    os.close(fd)


def a_file_handle_is_good_for_writing(d, root):
    need_root()
    write(d + "/f", b"old")
    handle = file_handle(d + "/f")
    drop_caches()
    fd = open_handle(root, handle, os.O_RDWR)
    assert os.pwrite(fd, b"new contents", 0) == 12
    os.fchmod(fd, 0o640)
    os.close(fd)
    assert read(d + "/f") == b"new contents" and stat.S_IMODE(os.stat(d + "/f").st_mode) == 0o640


def a_file_handle_opens_no_other_file(d, root):
    need_root()
    old = []
    for i in range(100):
        write(d + f"/old{i}", b"old")
        old.append(file_handle(d + f"/old{i}"))
    os.mkdir(d + "/space")
    old.append(file_handle(d + "/space"))
    os.link(d + "/old50", d + "/alias")
    os.unlink(d + "/alias")
    os.close(open_handle(root, old[7]))
    for i in range(100):
        os.unlink(d + f"/old{i}")
    os.rmdir(d + "/space")
    for drop in range(2):
        drop_caches()
        for i in range(400):
            write(d + f"/new{drop}.{i}", b"new")
        for handle in old:
            fails(errno.ESTALE, open_handle, root, handle)


def a_file_handle_of_an_open_file_without_a_name_opens_it(d, root):
    need_root()
    write(d + "/f", b"contents")
    handle = file_handle(d + "/f")
    fd = os.open(d + "/f", os.O_RDONLY)
    os.unlink(d + "/f")
    drop_caches()
    again = open_handle(root, handle)
    assert os.read(again, 10) == b"contents"
    os.close(again)
    os.close(fd)
    drop_caches()
    fails(errno.ESTALE, open_handle, root, handle)


def a_file_handle_that_was_made_up_opens_nothing(d, root):
    need_root()
    write(d + "/f", b"contents")
    handle = file_handle(d + "/f")
    node = os.stat(d + "/f").st_ino
    os.close(open_handle(root, made_up(handle, node)))
    for n in (0, node + 100000, 2**63 - 1, 2**63, 2**63 + 4096, 2**64 - 1, 0x7FFF00000001):
        fails(errno.ESTALE, open_handle, root, made_up(handle, n))
    # of another generation
    fails(errno.ESTALE, open_handle, root, handle[:16] + bytes(x ^ 1 for x in handle[16:20]) + handle[20:])
    assert read(d + "/f") == b"contents"


def a_file_handle_of_the_past_is_stale_when_forgotten(d, root):
    need_root()
    handles = []
    for path in ("", "/at", "/snapshots", "/status"):
        handles.append(file_handle(root + "/.banyan" + path))
    for name in os.listdir(root + "/.banyan/at")[:3]:
        for path, dirs, files in os.walk(root + "/.banyan/at/" + name):
            handles += [file_handle(f"{path}/{n}") for n in (dirs + files)[:5]]
            if len(handles) > 100:
                break
    drop_caches()
    for handle in handles:
        fails(errno.ESTALE, open_handle, root, handle)
    os.listdir(root + "/.banyan/at")


if __name__ == "__main__":
    what, where, to = sys.argv[1:]
    if what == "save":
        os.mkdir(where + "/remounted")
        make_tree(where + "/remounted")
        write(where + "/remounted/deleted")
        deleted = file_handle(where + "/remounted/deleted")
        os.unlink(where + "/remounted/deleted")
        with open(to, "wb") as f:
            pickle.dump((remember(where, where + "/remounted"), deleted), f)
    else:
        with open(to, "rb") as f:
            saved, deleted = pickle.load(f)
        check(where, saved)
        fails(errno.ESTALE, open_handle, where, deleted)
