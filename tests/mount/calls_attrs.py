# SPDX-License-Identifier: MIT
"""Attributes: modes, owners, times, extended ones, and who may"""
import errno
import fcntl
import os
import stat
import struct
import subprocess
import tempfile
import time

from calls_lib import *


def modes_and_times_are_kept(d, root):
    write(d + "/f", b"x")
    for mode in (0o000, 0o644, 0o7777, 0o1750):
        os.chmod(d + "/f", mode)
        assert stat.S_IMODE(os.stat(d + "/f").st_mode) == mode
    for t in (0, 1, 999999999, 1700000000123456789, 4102444800000000001, -1500000000):
        os.utime(d + "/f", ns=(t, t + 5))
        st = os.stat(d + "/f")
        assert (st.st_atime_ns, st.st_mtime_ns) == (t, t + 5), t
    os.utime(d + "/f")
    assert abs(os.stat(d + "/f").st_mtime - time.time()) < 60
    os.utime(d, ns=(7, 8))
    assert os.stat(d).st_mtime_ns == 8


# The first and the last time that can be kept, in nanoseconds
FIRST = -(1 << 31) * 10**9
LAST = FIRST + (1 << 64) - 1


def times_of(path):
    st = os.stat(path)
    return st.st_atime_ns, st.st_mtime_ns


def times_from_1901_to_2486_are_kept_as_a_tmpfs_keeps_them(d, root):
    write(d + "/f")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as other:
        for t in (FIRST, FIRST + 1, -10**9, -1, 0, 2**63 - 1, 2**63, 2**63 + 1, (1 << 34) * 10**9 + FIRST, LAST - 1, LAST):
            for path in (d + "/f", d, other.name):
                os.utime(path, ns=(t, FIRST + LAST - t))
                assert times_of(path) == (t, FIRST + LAST - t), (path, t, times_of(path))
        for day in ("1901-12-14", "1969-12-31 23:59:59.999999999", "2262-04-12", "2446-05-11", "2486-07-02 20:20:25.5"):
            for path in (d + "/f", other.name):
                subprocess.run(["touch", "-d", day + " UTC", path], check=True)
            assert times_of(d + "/f") == times_of(other.name), day


def earlier_and_later_times_become_the_nearest(d, root):
    write(d + "/f")
    os.mkdir(d + "/s")
    os.symlink("f", d + "/l")
    for day, kept in (("1600-01-01", FIRST), ("1901-12-13 20:45:51.999999999", FIRST),
                      ("2486-07-02 20:20:25.709551616", LAST), ("2500-01-01", LAST), ("99999-01-01", LAST)):
        for path in ("/f", "/s", "/l"):
            subprocess.run(["touch", "-h", "-d", day + " UTC", d + path], check=True)
            st = os.lstat(d + path)
            assert (st.st_atime_ns, st.st_mtime_ns) == (kept, kept), (path, day, st.st_mtime_ns)
    for t, kept in ((-(1 << 63), FIRST), ((1 << 62) * 10, LAST)):
        os.utime(d + "/f", ns=(t, t))
        assert times_of(d + "/f") == (kept, kept), t


def one_time_can_be_set_without_the_other(d, root):
    write(d + "/f")
    os.utime(d + "/f", ns=(FIRST, LAST))
    ctime = os.stat(d + "/f").st_ctime_ns
    for option, now in (("-a", 0), ("-m", 1)):
        before = times_of(d + "/f")
        subprocess.run(["touch", option, "-d", "2400-01-01 UTC", d + "/f"], check=True)
        after = times_of(d + "/f")
        assert after[now] == 13569465600 * 10**9 and after[1 - now] == before[1 - now], option
        subprocess.run(["touch", option, d + "/f"], check=True)
        after = times_of(d + "/f")
        assert abs(after[now] / 1e9 - time.time()) < 60 and after[1 - now] == before[1 - now], option
        os.utime(d + "/f", ns=(FIRST, LAST))
    assert ctime < os.stat(d + "/f").st_ctime_ns < (time.time() + 60) * 1e9


def make_quickly(path, how):
    """As a shell's redirection or touch does: no stat, after which the kernel
    takes the fine clock for the next stamp"""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    if how == "touch":
        os.utime(fd)
    for _ in range(how if isinstance(how, int) else 0):
        os.write(fd, b"x")
    os.close(fd)


def a_file_made_later_does_not_look_older(d, root):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        for how in (0, 1, 5, "touch"):
            for i in range(50):
                first, second, third = f"{d}/a{how}{i}", f"{elsewhere}/b{how}{i}", f"{d}/c{how}{i}"
                make_quickly(first, how)
                make_quickly(second, how)
                assert os.stat(second).st_mtime_ns >= os.stat(first).st_mtime_ns, ("elsewhere", how, i)
                make_quickly(third, how and 1)
                assert os.stat(third).st_mtime_ns >= os.stat(first).st_mtime_ns, ("here", how, i)


def the_time_of_birth_is_told_and_stays(d, root):
    before = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    write(d + "/f", b"x")
    os.mkdir(d + "/s")
    os.symlink("f", d + "/l")
    after = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    births = {}
    for name in ("f", "s", "l"):
        st = Statx(d + "/" + name)
        assert st.mask & (STATX_BTIME | STATX_BASIC_STATS) == STATX_BTIME | STATX_BASIC_STATS, hex(st.mask)
        assert before <= st.btime <= after, (before, st.btime, after)
        births[name] = st.btime
    tick()
    write(d + "/f", b"more")
    os.utime(d + "/f", ns=(1, 2))
    os.rename(d + "/f", d + "/g")
    os.link(d + "/g", d + "/f")
    drop_caches()
    assert Statx(d + "/f").btime == Statx(d + "/g").btime == births["f"]
    for name in ("f", "s", "l"):
        path, st = d + "/" + name, Statx(d + "/" + name)
        plain = os.lstat(path)
        assert (st.ino, st.mode, st.nlink, st.uid, st.gid, st.size, st.blocks, st.blksize) == (
            plain.st_ino, plain.st_mode, plain.st_nlink, plain.st_uid, plain.st_gid, plain.st_size,
            plain.st_blocks, plain.st_blksize), name
        assert (st.atime, st.mtime, st.ctime) == (plain.st_atime_ns, plain.st_mtime_ns, plain.st_ctime_ns), name
    assert Statx(root).mask & STATX_BTIME
    st = Statx(root + "/.banyan/status")
    assert not st.mask & STATX_BTIME and stat.S_ISREG(st.mode)


def the_numbers_of_a_device_are_told(d, root):
    need_root()
    os.mknod(d + "/c", 0o600 | stat.S_IFCHR, os.makedev(250, 1000))
    drop_caches()
    assert Statx(d + "/c").rdev == (250, 1000)
    assert os.stat(d + "/c").st_rdev == os.makedev(250, 1000)


def changes_move_the_right_times(d, root):
    write(d + "/f", b"x")
    os.utime(d + "/f", ns=(10, 10))
    os.utime(d, ns=(10, 10))

    def moved(action, mtime, ctime, path="/f"):
        before = os.stat(d + path)
        tick()
        action()
        after = os.stat(d + path)
        assert (after.st_mtime_ns != before.st_mtime_ns) == mtime, "mtime"
        assert (after.st_ctime_ns > before.st_ctime_ns) == ctime, "ctime"

    moved(lambda: os.chmod(d + "/f", 0o600), False, True)
    moved(lambda: os.link(d + "/f", d + "/g"), False, True)
    moved(lambda: os.unlink(d + "/g"), False, True)
    moved(lambda: os.setxattr(d + "/f", "user.a", b"1"), False, True)
    moved(lambda: write(d + "/f", b"y", "ab"), True, True)
    moved(lambda: os.truncate(d + "/f", 0), True, True)
    moved(lambda: read(d + "/f"), False, False)
    moved(lambda: os.rename(d + "/f", d + "/h") or os.rename(d + "/h", d + "/f"), False, True)
    moved(lambda: write(d + "/new"), True, True, "")
    moved(lambda: os.mkdir(d + "/sub"), True, True, "")
    moved(lambda: os.rename(d + "/new", d + "/sub/new"), True, True, "")
    moved(lambda: os.unlink(d + "/sub/new"), True, True, "/sub")
    moved(lambda: os.rmdir(d + "/sub"), True, True, "")


def a_file_made_on_the_host_after_one_here_is_not_older(d, root):
    """What make and rsync go by. (On Linux 6.13 and later the host's clock may be ahead
    of all that a program can read, by a tick: a file made here can look older.)"""
    def new(path):
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, b"x")
        os.close(fd)  # asked for its times earlier, the kernel makes finer ones
        return os.stat(path).st_mtime_ns

    with tempfile.TemporaryDirectory(dir=os.path.dirname(root)) as host:
        for i in range(2000):
            here = new(f"{d}/{i}")
            there = new(f"{host}/{i}")
            assert there >= here, f"{here - there} ns older"


def set_group_id_directories_pass_it_on(d, root):
    need_root()
    os.chown(d, 0, 4242)
    os.chmod(d, 0o2775)
    write(d + "/f")
    os.mkdir(d + "/s")
    os.mkdir(d + "/s/t")
    os.symlink("x", d + "/l")
    os.mkfifo(d + "/p")
    for name in ("f", "s", "s/t", "l", "p"):
        assert os.lstat(d + "/" + name).st_gid == 4242, name
    assert os.stat(d + "/s/t").st_mode & stat.S_ISGID
    assert not os.stat(d + "/f").st_mode & stat.S_ISGID


def new_files_belong_to_who_made_them_less_the_umask(d, root):
    need_root()
    os.chmod(d, 0o777)

    def action():
        os.umask(0o027)
        write(d + "/f")
        os.mkdir(d + "/s")
        os.open(d + "/x", os.O_CREAT | os.O_WRONLY, 0o777)

    as_nobody(action)
    for name, mode in (("f", 0o640), ("s", 0o750), ("x", 0o750)):
        st = os.stat(d + "/" + name)
        assert (st.st_uid, st.st_gid) == (65534, 65534), name
        assert stat.S_IMODE(st.st_mode) == mode, (name, oct(st.st_mode))


def permissions_are_checked(d, root):
    need_root()
    write(d + "/secret", b"x")
    os.chmod(d + "/secret", 0o600)
    os.chmod(d, 0o755)
    os.mkdir(d + "/sticky")
    os.chmod(d + "/sticky", 0o1777)
    write(d + "/sticky/mine")
    read(d + "/secret")
    fails(errno.EACCES, as_nobody, lambda: read(d + "/secret"))
    fails(errno.EACCES, as_nobody, lambda: write(d + "/new"))
    fails(errno.EACCES, as_nobody, lambda: os.unlink(d + "/secret"))
    fails(errno.EPERM, as_nobody, lambda: os.chmod(d + "/secret", 0o777))
    fails(errno.EPERM, as_nobody, lambda: os.unlink(d + "/sticky/mine"))
    os.chmod(d, 0o700)
    fails(errno.EACCES, as_nobody, lambda: os.stat(d + "/secret"))


def a_write_by_another_takes_set_id_bits_away(d, root):
    need_root()
    os.chmod(d, 0o777)
    for how in ("write", "truncate", "again"):
        path = d + "/" + how
        write(path, b"#!")
        os.chmod(path, 0o6777)
        assert os.stat(path).st_mode & 0o6000 == 0o6000
        if how == "again":
            write(path, b"x", "r+b")
            assert os.stat(path).st_mode & 0o6000 == 0o6000, "root keeps them"
        as_nobody(lambda: os.truncate(path, 1) if how == "truncate" else write(path, b"x", "r+b"))
        assert os.stat(path).st_mode & 0o6000 == 0, (how, oct(os.stat(path).st_mode))


def space_and_copies_by_another_take_set_id_bits_away(d, root):
    need_root()
    os.chmod(d, 0o777)
    write(d + "/from", b"z" * 5000)

    def allocate(mode):
        with open(d + "/f", "r+b") as f:
            fallocate(f.fileno(), mode, 0, 100)

    def copy():
        with open(d + "/from", "rb") as a, open(d + "/f", "r+b") as b:
            assert os.copy_file_range(a.fileno(), b.fileno(), 100) == 100

    ways = [lambda m=m: allocate(m) for m in (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE)]
    for n, change in enumerate(ways + [copy]):
        write(d + "/f", b"#!" * 1000)
        os.chmod(d + "/f", 0o6777)
        change()
        assert os.stat(d + "/f").st_mode & 0o6000 == 0o6000, "root keeps them"
        as_nobody(change)
        assert os.stat(d + "/f").st_mode & 0o7777 == 0o777, (n, oct(os.stat(d + "/f").st_mode))


def cached_mode(path):
    """What the kernel runs a file by: stat -c %a asks for the mode only"""
    return int(subprocess.run(["stat", "-c", "%a", path], capture_output=True, check=True).stdout, 8)


def changes_of(path, source):
    def allocate(mode):
        with open(path, "r+b") as f:
            fallocate(f.fileno(), mode, 0, 100)

    def copy():
        with open(source, "rb") as a, open(path, "r+b") as b:
            assert os.copy_file_range(a.fileno(), b.fileno(), 100) == 100

    def write_at_once():
        fd = os.open(path, os.O_WRONLY)
        assert os.write(fd, b"#!" * 65536) == 131072
        os.close(fd)

    return ([write_at_once, copy, lambda: os.truncate(path, 10)] +
            [lambda m=m: allocate(m) for m in (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE)])


def set_id_bits_go_from_the_cache_too(d, root):
    need_root()
    os.chmod(d, 0o777)
    path, source = d + "/f", d + "/from"
    write(source, b"z" * 5000)
    for n, change in enumerate(changes_of(path, source)):
        write(path, b"#!" * 65536)
        os.chmod(path, 0o6777)
        assert cached_mode(path) == 0o6777
        as_nobody(change)
        assert cached_mode(path) == 0o777, (n, oct(cached_mode(path)))
        as_nobody(change)
        os.chmod(path, 0o4777)
        as_nobody(change)
        assert cached_mode(path) == 0o777, (n, "again")
        os.unlink(path)


def set_group_id_without_execution_stays_for_the_group(d, root):
    need_root()
    os.chmod(d, 0o777)
    path, source = d + "/f", d + "/from"
    write(source, b"z" * 5000)
    many = tuple(range(1000, 1080)) + (77,)
    for n, change in enumerate(changes_of(path, source)):
        for gid, groups, mode in ((0, (), 0o666), (65534, (), 0o2666), (77, (), 0o666),
                                  (77, (77,), 0o2666), (77, many, 0o2666)):
            write(path, b"#!" * 1000)
            os.chown(path, 0, gid)
            os.chmod(path, 0o6666)
            change()
            assert os.stat(path).st_mode & 0o7777 == 0o6666, "root keeps them"
            as_nobody(change, groups)
            assert os.stat(path).st_mode & 0o7777 == mode, (n, gid, groups, oct(os.stat(path).st_mode))


def a_new_owner_takes_set_id_bits_away(d, root):
    need_root()
    write(d + "/f")
    os.chmod(d + "/f", 0o6755)
    os.chown(d + "/f", 12, -1)
    st = os.stat(d + "/f")
    assert st.st_uid == 12 and st.st_gid == 0 and st.st_mode & 0o6000 == 0
    os.chmod(d, 0o2755)
    os.chown(d, 0, 7)
    assert os.stat(d).st_mode & 0o2000, "directories keep them"


def a_write_takes_file_capabilities_away(d, root):
    need_root()
    cap = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    for change in (lambda: write(d + "/f", b"y", "r+b"), lambda: os.truncate(d + "/f", 0),
                   lambda: os.chown(d + "/f", 5, 5)):
        write(d + "/f", b"x")
        write(d + "/f", b"x", "r+b")
        os.setxattr(d + "/f", "security.capability", cap)
        assert os.getxattr(d + "/f", "security.capability") == cap
        change()
        fails(errno.ENODATA, os.getxattr, d + "/f", "security.capability")


def extended_attributes_are_kept(d, root):
    write(d + "/f")
    fails(errno.ENODATA, os.getxattr, d + "/f", "user.a")
    assert os.listxattr(d + "/f") == []
    os.setxattr(d + "/f", "user.a", b"1")
    os.setxattr(d + "/f", "user.empty", b"")
    os.setxattr(d + "/f", "user.big", b"z" * 60000)
    os.setxattr(d, "user.dir", b"d")
    fails(errno.EEXIST, os.setxattr, d + "/f", "user.a", b"2", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, d + "/f", "user.b", b"2", os.XATTR_REPLACE)
    os.setxattr(d + "/f", "user.a", b"22", os.XATTR_REPLACE)
    assert os.getxattr(d + "/f", "user.a") == b"22"
    assert os.getxattr(d + "/f", "user.big") == b"z" * 60000
    assert os.getxattr(d + "/f", "user.empty") == b""
    assert sorted(os.listxattr(d + "/f")) == ["user.a", "user.big", "user.empty"]
    os.removexattr(d + "/f", "user.a")
    fails(errno.ENODATA, os.removexattr, d + "/f", "user.a")
    os.link(d + "/f", d + "/g")
    assert os.getxattr(d + "/g", "user.empty") == b""
    fails(errno.EOPNOTSUPP, os.setxattr, d + "/f", "system.posix_acl_access", b"x" * 28)


def attributes_of_no_kind_are_refused(d, root):
    write(d + "/f")
    for name, error in (("bogus", errno.EOPNOTSUPP), ("user", errno.EOPNOTSUPP), ("user.", errno.EINVAL)):
        fails(error, os.setxattr, d + "/f", name, b"x")
        fails(error, os.getxattr, d + "/f", name)
        fails(error, os.removexattr, d + "/f", name)
    assert os.listxattr(d + "/f") == []


def attributes_of_root_are_hidden_from_others(d, root):
    need_root()
    write(d + "/f")
    os.chmod(d + "/f", 0o644)
    os.setxattr(d + "/f", "trusted.t", b"1")
    os.setxattr(d + "/f", "user.u", b"1")
    assert sorted(os.listxattr(d + "/f")) == ["trusted.t", "user.u"]

    def action():
        assert os.listxattr(d + "/f") == ["user.u"]

    as_nobody(action)


def space_is_that_of_the_host(d, root):
    v = os.statvfs(root)
    assert v.f_namemax == 255 and v.f_blocks > 0 and v.f_files > 0




def trim_is_understood_and_only_for_its_owner(d, root):
    fd = os.open(root, os.O_RDONLY)
    arg = struct.pack("QQQ", 0, 2 ** 64 - 1, 0)
    start, trimmed, least = struct.unpack("QQQ", fcntl.ioctl(fd, FITRIM, arg))
    assert start == 0 and trimmed < 2 ** 40 and least == 0
    fails(errno.ENOTTY, fcntl.ioctl, fd, 0x5413, b"\0" * 8)
    os.close(fd)
    if os.geteuid() == 0:
        def action():
            fd = os.open(root, os.O_RDONLY)
            fcntl.ioctl(fd, FITRIM, arg)
        fails(errno.EPERM, as_nobody, action)
