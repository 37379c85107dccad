# SPDX-License-Identifier: MIT
"""What the checks of system calls share; see calls.py"""
import ctypes
import errno
import os
import struct
import time
import traceback

libc = ctypes.CDLL(None, use_errno=True)
libc.telldir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.argtypes = [ctypes.c_void_p]
libc.readdir.restype = ctypes.c_void_p
libc.closedir.argtypes = [ctypes.c_void_p]
libc.rewinddir.argtypes = [ctypes.c_void_p]
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW = -100, 0x100, 0x400
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE = 1, 2, 8, 16
FITRIM = 0xC0185879
CLOCK_REALTIME_COARSE = 5
SEED = int(os.environ.get("BANYAN_SEED", time.time_ns() % 1000000))


class Skip(Exception):
    pass


def renameat2(a, b, flags):
    if libc.renameat2(AT_FDCWD, a.encode(), AT_FDCWD, b.encode(), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


STATX_BASIC_STATS, STATX_BTIME = 0x7FF, 0x800


class Statx:
    """statx(2), as struct statx has it"""

    def __init__(self, path, mask=STATX_BASIC_STATS | STATX_BTIME):
        buffer = ctypes.create_string_buffer(256)
        if libc.statx(AT_FDCWD, path.encode(), AT_SYMLINK_NOFOLLOW, mask, buffer):
            raise OSError(ctypes.get_errno(), "statx")
        (self.mask, self.blksize, self.attributes, self.nlink, self.uid, self.gid, self.mode,
         self.ino, self.size, self.blocks, self.attributes_mask) = struct.unpack_from("=IIQIIIH2xQQQQ", buffer)
        times = [struct.unpack_from("=qI", buffer, 64 + 16 * i) for i in range(4)]
        self.atime, self.btime, self.ctime, self.mtime = (sec * 10**9 + ns for sec, ns in times)
        self.rdev = struct.unpack_from("=II", buffer, 128)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def fails(error, function, *args):
    try:
        function(*args)
    except OSError as e:
        assert e.errno == error, f"{errno.errorcode.get(e.errno)} instead of {errno.errorcode[error]}"
        return
    raise AssertionError(f"let through, instead of {errno.errorcode[error]}")


def tick():
    """Until the clock that mtimes are taken from has gone on"""
    before = time.clock_gettime(CLOCK_REALTIME_COARSE)
    while time.clock_gettime(CLOCK_REALTIME_COARSE) == before:
        time.sleep(0.001)


def write(path, data=b"", mode="wb"):
    with open(path, mode) as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def drop_caches():
    """What is seen next comes from the daemon, if we are root"""
    if os.geteuid() == 0:
        write("/proc/sys/vm/drop_caches", b"2")


def as_nobody(function, groups=()):
    """Run function as another user in a child; its result or exception"""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setgid(65534)
            os.setuid(65534)
            function()
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
        except BaseException:
            traceback.print_exc()
            os._exit(255)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 255:
        raise AssertionError("failed as another user")
    if status:
        raise OSError(status, os.strerror(status))


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


class Dir:
    """A listing as C programs read it"""

    def __init__(self, path):
        self.p = libc.opendir(path.encode())
        assert self.p

    def next(self):
        e = libc.readdir(self.p)
        if not e:
            return None
        ino, off, length, kind = struct.unpack("QqHB", ctypes.string_at(e, 19))
        return ctypes.string_at(e + 19).decode(errors="surrogateescape"), ino

    def tell(self):
        return libc.telldir(self.p)

    def seek(self, at):
        libc.seekdir(self.p, at)

    def rewind(self):
        libc.rewinddir(self.p)

    def close(self):
        libc.closedir(self.p)

    def rest(self):
        names = []
        while e := self.next():
            names.append(e[0])
        return names


def raw_entries(path):
    l = Dir(path)
    entries = []
    while e := l.next():
        entries.append(e)
    l.close()
    return entries
