# SPDX-License-Identifier: MIT
"""Names: aliases, renames, kinds of files, what names may be"""
import ctypes
import errno
import os
import random
import socket
import stat
import struct
import time
import traceback

from calls_lib import *


def aliases_are_one_inode_with_one_content(d, root):
    write(d + "/a", b"one")
    os.link(d + "/a", d + "/b")
    a, b = os.stat(d + "/a"), os.stat(d + "/b")
    assert a.st_ino == b.st_ino and a.st_nlink == b.st_nlink == 2
    before = b.st_ctime_ns
    write(d + "/b", b"longer than one")
    assert read(d + "/a") == b"longer than one"
    assert os.stat(d + "/a").st_size == 15
    assert os.stat(d + "/a").st_ctime_ns > before
    os.unlink(d + "/a")
    b = os.stat(d + "/b")
    assert b.st_nlink == 1 and read(d + "/b") == b"longer than one"


def an_unlinked_open_file_lives_on(d, root):
    with open(d + "/f", "w+b") as f:
        f.write(b"still here")
        f.flush()
        os.unlink(d + "/f")
        assert os.fstat(f.fileno()).st_nlink == 0
        f.write(b" and growing")
        f.flush()
        os.fsync(f.fileno())
        os.fchmod(f.fileno(), 0o600)
        os.ftruncate(f.fileno(), 15)
        f.seek(0)
        assert f.read() == b"still here and "
        fails(errno.ENOENT, os.stat, d + "/f")
        write(d + "/f", b"another")
        f.seek(0)
        assert f.read() == b"still here and "
        assert os.fstat(f.fileno()).st_ino != os.stat(d + "/f").st_ino


def a_file_replaced_by_rename_lives_on_while_open(d, root):
    write(d + "/old", b"old")
    write(d + "/new", b"new!")
    os.link(d + "/old", d + "/alias")
    with open(d + "/old", "rb") as f:
        os.rename(d + "/new", d + "/old")
        assert f.read() == b"old"
        assert os.fstat(f.fileno()).st_nlink == 1
    assert read(d + "/old") == b"new!" and read(d + "/alias") == b"old"
    assert os.stat(d + "/alias").st_nlink == 1
    fails(errno.ENOENT, os.stat, d + "/new")


def rename_changes_the_ctime_and_keeps_the_rest(d, root):
    write(d + "/a", b"x")
    before = os.stat(d + "/a")
    os.rename(d + "/a", d + "/b")
    after = os.stat(d + "/b")
    assert after.st_ino == before.st_ino and after.st_mtime_ns == before.st_mtime_ns
    assert after.st_ctime_ns > before.st_ctime_ns


def rename_between_aliases_does_nothing(d, root):
    write(d + "/a", b"x")
    os.link(d + "/a", d + "/b")
    os.rename(d + "/a", d + "/b")
    assert sorted(os.listdir(d)) == ["a", "b"] and os.stat(d + "/a").st_nlink == 2


def rename_flags_are_honoured_or_refused(d, root):
    write(d + "/a", b"A")
    write(d + "/b", b"B")
    os.mkdir(d + "/s")
    write(d + "/s/in", b"in")
    fails(errno.EEXIST, renameat2, d + "/a", d + "/b", RENAME_NOREPLACE)
    assert read(d + "/a") == b"A" and read(d + "/b") == b"B"
    renameat2(d + "/a", d + "/b", RENAME_EXCHANGE)
    assert read(d + "/a") == b"B" and read(d + "/b") == b"A"
    renameat2(d + "/a", d + "/s", RENAME_EXCHANGE)
    assert read(d + "/s") == b"B" and read(d + "/a/in") == b"in"
    fails(errno.ENOENT, renameat2, d + "/a", d + "/none", RENAME_EXCHANGE)
    renameat2(d + "/b", d + "/c", RENAME_NOREPLACE)
    assert read(d + "/c") == b"A"


def a_rename_can_leave_a_whiteout(d, root):
    need_root()
    write(d + "/a", b"A")
    os.mkdir(d + "/s")
    os.mkdir(d + "/s/in")
    os.mkdir(d + "/t")

    def is_whiteout(path):
        st = os.lstat(path)
        return st.st_mode == stat.S_IFCHR and st.st_rdev == 0 and st.st_nlink == 1

    inode = os.stat(d + "/a").st_ino
    renameat2(d + "/a", d + "/b", RENAME_WHITEOUT)
    assert is_whiteout(d + "/a") and read(d + "/b") == b"A" and os.stat(d + "/b").st_ino == inode
    fails(errno.EEXIST, renameat2, d + "/b", d + "/a", RENAME_WHITEOUT | RENAME_NOREPLACE)
    renameat2(d + "/b", d + "/a", RENAME_WHITEOUT)
    assert is_whiteout(d + "/b") and read(d + "/a") == b"A"
    os.link(d + "/a", d + "/alias")
    renameat2(d + "/a", d + "/t/a", RENAME_WHITEOUT)
    assert is_whiteout(d + "/a") and os.stat(d + "/alias").st_ino == os.stat(d + "/t/a").st_ino == inode
    renameat2(d + "/s", d + "/t/s", RENAME_WHITEOUT)
    assert is_whiteout(d + "/s") and os.stat(d).st_nlink == 3 and os.stat(d + "/t").st_nlink == 3
    fails(errno.ENOENT, renameat2, d + "/none", d + "/x", RENAME_WHITEOUT)
    fails(errno.EINVAL, renameat2, d + "/t", d + "/t/s/x", RENAME_WHITEOUT)
    fails(errno.EINVAL, renameat2, d + "/a", d + "/b", RENAME_WHITEOUT | RENAME_EXCHANGE)
    drop_caches()
    assert sorted(os.listdir(d)) == ["a", "alias", "b", "s", "t"] and sorted(os.listdir(d + "/t")) == ["a", "s"]
    assert all(is_whiteout(d + "/" + n) for n in "abs") and os.path.isdir(d + "/t/s/in")


def renames_of_directories_follow_the_rules(d, root):
    for name in ("a", "a/b", "a/b/c", "full", "full/x", "empty"):
        os.mkdir(d + "/" + name)
    write(d + "/file")
    fails(errno.EINVAL, os.rename, d + "/a", d + "/a/b/c/under")
    fails(errno.ENOTEMPTY, os.rename, d + "/a", d + "/full")
    fails(errno.ENOTDIR, os.rename, d + "/a", d + "/file")
    fails(errno.EISDIR, os.rename, d + "/file", d + "/empty")
    assert os.stat(d).st_nlink == 5
    os.rename(d + "/a", d + "/empty")
    assert os.path.isdir(d + "/empty/b/c") and os.stat(d).st_nlink == 4
    os.rename(d + "/empty/b", d + "/full/b")
    assert os.stat(d + "/empty").st_nlink == 2 and os.stat(d + "/full").st_nlink == 4
    same = os.stat(d + "/full").st_ino
    assert os.stat(d + "/full/b/..").st_ino == same
    fd = os.open(d + "/full/b", os.O_RDONLY)
    inodes = dict(raw_entries(d + "/full/b"))
    os.close(fd)
    assert inodes[".."] == same, (inodes, same)


def directories_are_removed_only_when_empty(d, root):
    os.mkdir(d + "/s")
    write(d + "/s/f")
    fails(errno.ENOTEMPTY, os.rmdir, d + "/s")
    fails(errno.EISDIR, os.unlink, d + "/s")
    fails(errno.ENOTDIR, os.rmdir, d + "/s/f")
    fails(errno.EEXIST, os.mkdir, d + "/s")
    os.unlink(d + "/s/f")
    fd = os.open(d + "/s", os.O_RDONLY)
    os.rmdir(d + "/s")
    assert os.listdir(fd) == []
    os.close(fd)
    fails(errno.ENOENT, os.stat, d + "/s")


def directories_have_no_aliases(d, root):
    os.mkdir(d + "/s")
    fails(errno.EPERM, os.link, d + "/s", d + "/t")


def names_reach_255_bytes_and_not_more(d, root):
    for name in ("x" * 255, "ü" * 127, "\u20ac" * 85, " ", "a b\tc\nd", "\\", "*", "...", "-rf"):
        write(d + "/" + name, name.encode())
        assert read(d + "/" + name) == name.encode()
    assert len(os.listdir(d)) == 9
    for call in (os.stat, os.mkdir, os.unlink, os.rmdir, os.mkfifo):
        fails(errno.ENAMETOOLONG, call, d + "/" + "x" * 256)
    fails(errno.ENAMETOOLONG, os.rename, d + "/ ", d + "/" + "y" * 256)
    fails(errno.ENAMETOOLONG, os.link, d + "/ ", d + "/" + "y" * 256)
    fails(errno.ENAMETOOLONG, os.symlink, "t", d + "/" + "y" * 256)
    fails(errno.ENAMETOOLONG, open, d + "/" + "y" * 256, "w")


def names_that_are_not_utf8_are_kept(d, root):
    name = d.encode() + b"/\xff\xfe\x01"
    write(name, b"bytes")
    assert os.listdir(d.encode()) == [b"\xff\xfe\x01"] and read(name) == b"bytes"


def absent_names_are_remembered_until_they_exist(d, root):
    for make in (write, os.mkdir, os.mkfifo, lambda p: os.symlink("t", p),
                 lambda p: os.rename(d + "/from", p), lambda p: os.link(d + "/other", p)):
        write(d + "/from")
        write(d + "/other")
        for _ in range(2):
            fails(errno.ENOENT, os.lstat, d + "/n")
        make(d + "/n")
        kind = os.lstat(d + "/n").st_mode
        (os.rmdir if stat.S_ISDIR(kind) else os.unlink)(d + "/n")
        fails(errno.ENOENT, os.lstat, d + "/n")


def the_reserved_name_is_refused_in_the_root_only(d, root):
    name = root + "/.banyan"
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o700
    fails(errno.ENOENT, os.stat, name + "/nothing")
    write(d + "/f", b"x")
    os.mkdir(d + "/s")
    for call in (lambda: os.mkdir(name), lambda: os.mkfifo(name), lambda: os.symlink("t", name),
                 lambda: os.open(name, os.O_CREAT | os.O_EXCL),
                 lambda: os.mknod(name, 0o600 | stat.S_IFREG), lambda: os.link(d + "/f", name),
                 lambda: renameat2(d + "/s", name, RENAME_NOREPLACE)):
        fails(errno.EEXIST, call)
    for call in (lambda: open(name, "w"), lambda: os.rename(d + "/f", name),
                 lambda: os.unlink(name)):
        fails(errno.EISDIR, call)
    for call in (lambda: os.rename(d + "/s", name), lambda: os.rmdir(name),
                 lambda: renameat2(d + "/s", name, RENAME_EXCHANGE),
                 lambda: os.rename(name, d + "/n"), lambda: os.chmod(name, 0o755),
                 lambda: os.chown(name, 1, 1), lambda: os.utime(name),
                 lambda: os.setxattr(name, "user.x", b"x"),
                 lambda: write(name + "/status", b"x"), lambda: write(name + "/n", b"x")):
        fails(errno.EPERM, call)
    assert ".banyan" not in os.listdir(root)
    os.mkdir(d + "/.banyan")
    os.rename(d + "/.banyan", d + "/s/.banyan")


def symlinks_hold_their_target(d, root):
    for target in ("x", "../../some where", "/" + "y" * 4000):
        os.symlink(target, d + "/s")
        assert os.readlink(d + "/s") == target
        st = os.lstat(d + "/s")
        assert st.st_size == len(target) and stat.S_ISLNK(st.st_mode)
        os.link(d + "/s", d + "/alias", follow_symlinks=False)
        assert os.readlink(d + "/alias") == target
        os.unlink(d + "/s")
        os.unlink(d + "/alias")


def special_files_keep_their_kind(d, root):
    os.mkfifo(d + "/fifo", 0o640)
    assert stat.S_ISFIFO(os.stat(d + "/fifo").st_mode)
    here = os.getcwd()
    os.chdir(d)
    s = socket.socket(socket.AF_UNIX)
    s.bind("sock")
    os.chdir(here)
    s.close()
    assert stat.S_ISSOCK(os.stat(d + "/sock").st_mode)
    os.mknod(d + "/plain", 0o600 | stat.S_IFREG)
    assert stat.S_ISREG(os.stat(d + "/plain").st_mode)
    kinds = {e.name: e for e in os.scandir(d)}
    assert kinds["fifo"].is_file() is False and kinds["plain"].is_file()
    if os.geteuid() == 0:
        os.mknod(d + "/char", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(d + "/block", 0o600 | stat.S_IFBLK, os.makedev(250, 1000))
        assert os.stat(d + "/char").st_rdev == os.makedev(1, 3)
        assert os.stat(d + "/block").st_rdev == os.makedev(250, 1000)
        fails(errno.EACCES, open, d + "/char", "rb")  # nodev


def play(d, seed, seconds):
    """Random operations on few names; errors that others' doing explains are fine"""
    r = random.Random(seed)
    fine = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR,
            errno.EINVAL, errno.EPERM, errno.ELOOP, errno.ESTALE}
    end = time.monotonic() + seconds

    def some():
        name = d
        for _ in range(r.randrange(1, 4)):
            name += "/" + r.choice("abcde")
        return name

    while time.monotonic() < end:
        what = r.randrange(12)
        try:
            if what < 3:
                with open(some(), r.choice(("wb", "ab"))) as f:
                    f.write(bytes(r.randrange(9000)))
            elif what < 5:
                os.mkdir(some())
            elif what == 5:
                os.rename(some(), some())
            elif what == 6:
                renameat2(some(), some(), RENAME_EXCHANGE)
            elif what == 7:
                os.link(some(), some())
            elif what == 8:
                os.unlink(some())
            elif what == 9:
                os.rmdir(some())
            elif what == 10:
                [e.stat(follow_symlinks=False) for e in os.scandir(some())]
            else:
                os.truncate(some(), r.randrange(20000))
        except OSError as e:
            if e.errno not in fine:
                raise


def many_at_once_leave_a_sound_tree(d, root):
    def child(i):
        pid = os.fork()
        if pid == 0:
            try:
                play(d, SEED + i, 1.5)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        return pid

    for pid in [child(i) for i in range(4)]:
        assert os.waitpid(pid, 0)[1] == 0, f"seed {SEED}"
    names = {}
    for top, dirs, files in os.walk(d):
        assert os.stat(top).st_nlink == 2 + len(dirs), top
        for f in files:
            st = os.stat(top + "/" + f)
            names.setdefault(st.st_ino, []).append(st.st_nlink)
            assert len(read(top + "/" + f)) == st.st_size
    for links in names.values():
        assert set(links) == {len(links)}, f"seed {SEED}: {links}"


def link_open_file(fd, path):
    if libc.linkat(AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, path.encode(), AT_SYMLINK_FOLLOW):
        raise OSError(ctypes.get_errno(), "linkat")


def a_file_without_a_name_can_get_one(d, root):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o640)
    st = os.fstat(fd)
    assert st.st_nlink == 0 and stat.S_ISREG(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o640
    assert os.write(fd, b"contents") == 8
    os.setxattr(fd, "user.a", b"1")
    assert os.listdir(d) == []
    link_open_file(fd, d + "/f")
    link_open_file(fd, d + "/g")
    assert os.fstat(fd).st_nlink == 2 and os.stat(d + "/f").st_ino == st.st_ino
    os.close(fd)
    assert read(d + "/g") == b"contents" and os.getxattr(d + "/g", "user.a") == b"1"
    fd = os.open(d, os.O_TMPFILE | os.O_WRONLY)
    fails(errno.EEXIST, link_open_file, fd, d + "/f")
    os.close(fd)
    fd = os.open(d, os.O_TMPFILE | os.O_WRONLY | os.O_EXCL)
    fails(errno.ENOENT, link_open_file, fd, d + "/h")
    os.close(fd)
    assert sorted(os.listdir(d)) == ["f", "g"]


def a_file_without_a_name_belongs_where_it_was_made(d, root):
    need_root()
    os.chown(d, 0, 4242)
    os.chmod(d, 0o2777)
    def action():
        os.umask(0o027)
        fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o666)
        st = os.fstat(fd)
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (65534, 4242, 0o640)
        link_open_file(fd, d + "/f")

    as_nobody(action)
    assert os.stat(d + "/f").st_gid == 4242
    os.chmod(d, 0o755)
    fails(errno.EACCES, as_nobody, lambda: os.open(d, os.O_TMPFILE | os.O_RDWR))
    fails(errno.EPERM, os.open, root + "/.banyan", os.O_TMPFILE | os.O_RDWR)


def many_files_without_names_go_when_they_are_closed(d, root):
    inodes = set()
    for _ in range(3):
        fds = [os.open(d, os.O_TMPFILE | os.O_RDWR) for _ in range(100)]
        for i, fd in enumerate(fds):
            os.write(fd, b"%d" % i)
        for i, fd in enumerate(fds):
            assert os.pread(fd, 10, 0) == b"%d" % i
            inodes.add(os.fstat(fd).st_ino)
            os.close(fd)
    assert len(inodes) == 300 and os.listdir(d) == []
