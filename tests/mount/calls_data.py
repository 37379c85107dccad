# SPDX-License-Identifier: MIT
"""Contents"""
import ctypes
import errno
import fcntl
import mmap
import os
import platform
import random
import struct
import subprocess
import threading
import time

from calls_lib import *


def random_writes_match_a_model(d, root):
    r = random.Random(SEED)
    model = bytearray()
    with open(d + "/f", "w+b", buffering=0) as f:
        for _ in range(300):
            at = r.randrange(0, 200000)
            n = r.choice((1, 10, 511, 4096, 5000, 70000))
            what = r.random()
            if what < 0.6:
                data = r.randbytes(n)
                os.pwrite(f.fileno(), data, at)
                if at > len(model):
                    model.extend(bytes(at - len(model)))
                model[at:at + n] = data
            elif what < 0.7:
                os.ftruncate(f.fileno(), at)
                model = model[:at] + bytes(max(0, at - len(model)))
            elif what < 0.8:
                fallocate(f.fileno(), PUNCH_HOLE | KEEP_SIZE, at, n)
                end = min(len(model), at + n)
                if at < end:
                    model[at:end] = bytes(end - at)
            else:
                assert os.pread(f.fileno(), n, at) == model[at:at + n], f"seed {SEED}"
            assert os.fstat(f.fileno()).st_size == len(model)
    assert read(d + "/f") == model, f"seed {SEED}"


def appends_go_to_the_end_through_every_alias(d, root):
    write(d + "/a", b"")
    os.link(d + "/a", d + "/b")
    handles = [os.open(d + "/" + n, os.O_WRONLY | os.O_APPEND) for n in "abab"]

    def append(i):
        for k in range(100):
            os.write(handles[i], b"%d:%03d\n" % (i, k))

    threads = [threading.Thread(target=append, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for h in handles:
        os.close(h)
    lines = read(d + "/a").split()
    assert len(lines) == 400 and len(set(lines)) == 400
    assert [x for x in lines if x.startswith(b"2:")] == [b"2:%03d" % k for k in range(100)]


def opening_with_truncation_empties(d, root):
    write(d + "/f", b"contents")
    os.close(os.open(d + "/f", os.O_WRONLY | os.O_TRUNC))
    assert os.stat(d + "/f").st_size == 0 and read(d + "/f") == b""
    write(d + "/f", b"abc")
    assert read(d + "/f") == b"abc"
    fails(errno.EEXIST, os.open, d + "/f", os.O_CREAT | os.O_EXCL)


def sparse_files_take_no_space(d, root):
    with open(d + "/f", "w+b", buffering=0) as f:
        fd = f.fileno()
        os.ftruncate(fd, 1 << 40)
        os.pwrite(fd, b"data", 1 << 30)
        assert os.fstat(fd).st_size == 1 << 40 and os.fstat(fd).st_blocks < 10000
        assert os.pread(fd, 8, (1 << 30) - 2) == b"\0\0data\0\0"
        assert os.pread(fd, 4096, (1 << 40) - 10) == bytes(10)


def space_can_be_allocated_punched_and_zeroed(d, root):
    with open(d + "/f", "w+b", buffering=0) as f:
        fd = f.fileno()
        os.write(fd, b"x" * 10000)
        fallocate(fd, 0, 0, 20000)
        assert os.fstat(fd).st_size == 20000
        fallocate(fd, 0, 5, 10)
        assert os.fstat(fd).st_size == 20000
        fallocate(fd, KEEP_SIZE, 0, 90000)
        assert os.fstat(fd).st_size == 20000
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 100, 1000)
        fallocate(fd, ZERO_RANGE, 19000, 3000)
        assert os.fstat(fd).st_size == 22000
        fallocate(fd, ZERO_RANGE | KEEP_SIZE, 3000, 50000)
        assert os.fstat(fd).st_size == 22000
        fails(errno.EOPNOTSUPP, fallocate, fd, COLLAPSE, 0, 4096)
        for mode in (0, KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE):
            fails(errno.ENOSPC, fallocate, fd, mode, 0, 1 << 60)
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 30000, 1 << 60)
        assert os.fstat(fd).st_size == 22000
        f.seek(0)
        assert f.read() == b"x" * 100 + bytes(1000) + b"x" * 1900 + bytes(19000)


def copies_within_the_mount_share_and_stay_apart(d, root):
    data = random.Random(SEED).randbytes(3000000)
    write(d + "/a", data)
    a, b = os.open(d + "/a", os.O_RDWR), os.open(d + "/b", os.O_RDWR | os.O_CREAT)
    assert os.copy_file_range(a, b, 1 << 40, 0, 0) == 3000000
    assert os.fstat(b).st_size == 3000000 and read(d + "/b") == data
    os.pwrite(a, b"changed", 1000)
    assert read(d + "/b") == data
    assert os.copy_file_range(a, b, 10, 995, 3000005) == 10
    assert read(d + "/b")[3000000:] == bytes(5) + data[995:1000] + b"chang"
    assert os.copy_file_range(a, b, 10, 3000000, 0) == 0
    assert os.copy_file_range(b, b, 5, 0, 100) == 5
    fails(errno.EINVAL, os.copy_file_range, b, b, 10, 0, 5)
    os.close(a)
    os.close(b)


def more_than_4_gib_are_copied_in_one_call(d, root):
    size = 5 << 30
    with open(d + "/a", "w+b", buffering=0) as f:
        os.ftruncate(f.fileno(), size)
        for at in (0, 1 << 32, size - 4):
            os.pwrite(f.fileno(), b"data", at)
    a, b = os.open(d + "/a", os.O_RDONLY), os.open(d + "/b", os.O_RDWR | os.O_CREAT)
    copied = os.copy_file_range(a, b, 1 << 40)
    if copied == 0x7ffff000 and tuple(map(int, platform.release().split(".")[:2])) < (6, 18):
        raise Skip("this kernel copies at most 2 GiB in one call")
    assert copied == size, copied
    for at in (0, 1 << 32, size - 4):
        assert os.pread(b, 4, at) == b"data", at
    os.close(a)
    os.close(b)


def mapped_memory_reaches_the_file(d, root):
    write(d + "/f", b"-" * 10000)
    with open(d + "/f", "r+b") as f:
        with mmap.mmap(f.fileno(), 0) as m:
            m[5000:5005] = b"hello"
            m.flush()
            assert os.pread(f.fileno(), 5, 5000) == b"hello"
            m[0:2] = b"ab"
    assert read(d + "/f")[:3] == b"ab-"
    with open(d + "/f", "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
        os.truncate(d + "/f", 20000)
        write(d + "/f", b"Z", "r+b")
        assert m[0:1] == b"Z"


def no_hole_is_seen_over_what_is_mapped(d, root):
    """The kernel has bytes of a mapping that it has not passed on yet"""
    size, at, end = 1 << 20, 1 << 16, (1 << 20) - 4096
    with open(d + "/f", "w+b") as f:
        os.ftruncate(f.fileno(), size)
        with mmap.mmap(f.fileno(), size) as m:
            m[at:at + 5] = m[end:end + 5] = b"hello"
            with open(d + "/f", "rb") as other:
                assert os.lseek(other.fileno(), 0, os.SEEK_DATA) <= at
                hole = os.lseek(other.fileno(), end, os.SEEK_HOLE)
                assert hole >= end + 5, hole
            for copy in (["cp", d + "/f", d + "/cp"],
                         ["cp", "--sparse=always", d + "/f", "/dev/stdout"],
                         ["tar", "-C", d, "-ScO", "f"]):
                m[at:at + 5] = b"again"
                got = subprocess.run(copy, stdout=subprocess.PIPE, check=True).stdout
                assert b"again" in (got or read(d + "/cp")), copy


def syncs_succeed(d, root):
    with open(d + "/f", "wb") as f:
        f.write(b"x")
        f.flush()
        os.fsync(f.fileno())
        os.fdatasync(f.fileno())
    fd = os.open(d, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    with open(d + "/s", "wb", opener=lambda p, f: os.open(p, f | os.O_SYNC)) as f:
        f.write(b"x")


def many_syncs_do_not_stop_others(d, root):
    def work(i):
        with open(f"{d}/{i}", "wb") as f:
            for _ in range(5):
                f.write(b"x" * 1000)
                f.flush()
                os.fsync(f.fileno())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(24)]
    for t in threads:
        t.start()
    for i in range(100):
        write(f"{d}/other{i}", b"y")
    for t in threads:
        t.join()
    assert len(os.listdir(d)) == 124


def locks_work_within_the_mount(d, root):
    write(d + "/f")
    a, b = open(d + "/f", "r+b"), open(d + "/f", "r+b")
    fcntl.flock(a, fcntl.LOCK_EX)
    fails(errno.EAGAIN, fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    a.close()
    fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    b.close()


# io_setup, io_submit, io_getevents
AIO_CALLS = {"x86_64": (206, 209, 208)}.get(platform.machine(), (0, 2, 4))
IOCB_CMD_PWRITE = 1


class Aio:
    """Asynchronous writes, one at a time, by the system calls themselves"""

    def __init__(self):
        self.context = ctypes.c_ulong()
        self.call(AIO_CALLS[0], 8, ctypes.byref(self.context))

    def call(self, number, *args):
        if libc.syscall(ctypes.c_long(number), *args) < 0:
            raise OSError(ctypes.get_errno(), "asynchronous I/O")

    def write(self, fd, address, size):
        iocb = ctypes.create_string_buffer(struct.pack(
            "=QIiHhIQQqQII", 0, 0, 0, IOCB_CMD_PWRITE, 0, fd, address, size, 0, 0, 0, 0), 64)
        one = (ctypes.c_void_p * 1)(ctypes.addressof(iocb))
        event = ctypes.create_string_buffer(32)
        self.call(AIO_CALLS[1], self.context, ctypes.c_long(1), one)
        self.call(AIO_CALLS[2], self.context, ctypes.c_long(1), ctypes.c_long(1), event, None)
        assert struct.unpack("=QQqq", event.raw)[2] == size


def what_was_written_without_the_cache_is_read_with_it(d, root):
    size = 640 << 10
    write(d + "/f", b"\0" * size)
    block, shown = mmap.mmap(-1, size), mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    aio, fd = Aio(), os.open(d + "/f", os.O_WRONLY | os.O_DIRECT)
    reader = os.fork()
    if reader == 0:
        try:
            f = os.open(d + "/f", os.O_RDONLY)
            until = time.monotonic() + 2
            while time.monotonic() < until:
                least = struct.unpack_from("=I", shown)[0]
                got = os.pread(f, size, 0)
                oldest = min(struct.unpack_from("=I", got, at)[0] for at in range(0, size, 4096))
                assert oldest >= least, (oldest, least)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    n, ended = 0, (0, 0)
    while ended == (0, 0):
        n += 1
        block[:] = struct.pack("=I", n) * (size // 4)
        aio.write(fd, address, size)
        struct.pack_into("=I", shown, 0, n)
        time.sleep(0.0003)
        ended = os.waitpid(reader, os.WNOHANG)
    assert ended == (reader, 0)
    os.close(fd)
    f = os.open(d + "/f", os.O_RDONLY)
    assert os.pread(f, size, 0) == struct.pack("=I", n) * (size // 4)
    assert n > 50
