#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tree of files that has everything odd, and a list of all that can be seen of one.

odd_tree.py make DIR FILES [SEED]: a new tree of so many files; prints the seed.
odd_tree.py change DIR [SEED]: delete, replace, add and change some of its files.
odd_tree.py list DIR: a line for each file with its type, mode, owner, size, time,
    links, extended attributes, lists and a digest of what is in it. Two trees are equal
    if their lists are. Of hard links the line has the first one's name.
odd_tree.py differ LIST LIST: in what two lists differ; exits with 1 if they do.
"""
import hashlib
import os
import random
import stat
import struct
import sys

TIMES = (
    (-(2**31) * 10**9, -1),  # before 1970
    (0, 2**31 * 10**9 - 1),
    (2**31 * 10**9, 2**33 * 10**9),  # after 2038
)
WORDS = (b"plain", b"two words", b" blank ", b"new\nline", b"\n", b"tab\there", b"-rf",
         b"--", b"back\\slash", b'"', b"'", b"*?[a]", b"$(x)", b"~", b"#", b".hidden",
         b"...", b"caf\xc3\xa9", b"cafe\xcc\x81", "漢字".encode(), "🌳".encode(),
         b"\xff\xfe", b"\xc3", b"\x01\x7f", b"%s", b":", b"\xe2\x80\xae")
MODES = (0o644, 0o600, 0o755, 0o444, 0, 0o7777, 0o1000, 0o2755, 0o4711, 0o1)
OWNERS = (0, 1, 1000, 65534, 65536, 2**31, 2**32 - 2)
SIZES = (0, 1, 100, 511, 3000, 4095, 4096, 4097, 12345)
# As getcap has it: cap_net_raw=p
CAPABILITY = struct.pack("<IIIII", 0x02000000, 1 << 13, 0, 0, 0)


def acl(r):
    """A list in the kernel's form, with a user and a group of its own. The group may not
    do just what the mask lets it: some of those are changed by rsync 3.5."""
    group, mask = r.sample(range(8), 2)
    entries = ((1, r.randrange(8), 2**32 - 1), (2, r.randrange(8), r.choice(OWNERS)),
               (4, group, 2**32 - 1), (8, r.randrange(8), r.choice(OWNERS)),
               (16, mask, 2**32 - 1), (32, r.randrange(8), 2**32 - 1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


class Tree:
    def __init__(self, top, seed):
        self.top = os.fsencode(top)
        self.r = random.Random(seed)
        self.files = []  # what has contents
        self.all = []  # but directories
        self.directories = [self.top]
        self.deep = []  # directories far below, in which there is little
        self.number = 0

    def new_name(self, directory):
        r = self.r
        name = r.choice(WORDS) + b"%x" % self.number
        self.number += 1
        if r.random() < 0.02:
            name += b"x" * (255 - len(name))
        return directory + b"/" + name

    def make_directory(self):
        r = self.r
        # Some are deep: the kernel takes paths of 4095 bytes
        under = self.directories[-1] if r.random() < 0.3 else r.choice(self.directories)
        path = self.new_name(under)
        if len(path) > 1000:
            path = self.new_name(self.top)
        os.mkdir(path, 0o700)
        self.directories.append(path)

    def make_deep(self):
        """One directory in another, and so on: 255 bytes each, then a byte each"""
        path = self.top
        for i in range(120):
            path += b"/" + (b"%d" % i).ljust(255, b"d") if i < 8 else b"/d"
            os.mkdir(path, 0o700)
            self.deep.append(path)
        self.write(path + b"/file")
        self.all.append(path + b"/file")

    def write(self, path):
        r = self.r
        what = r.random()
        with open(path, "wb") as f:
            if what < 0.003:  # large
                f.write(r.randbytes(r.randrange(200000, 3000000)))
            elif what < 0.01:  # sparse: holes in front, in the middle, at the end
                for _ in range(r.randrange(3)):
                    f.seek(r.randrange(1000000))
                    f.write(r.randbytes(r.randrange(1, 9000)))
                f.truncate(r.randrange(1000000, 2000000))
            elif what < 0.5:
                f.write(r.randbytes(r.choice(SIZES)))
            else:
                f.write(b"%d\n" % r.randrange(10**9) * r.randrange(400))

    def make_file(self):
        r = self.r
        path = self.new_name(r.choice(self.directories))
        what = r.random()
        if what < 0.05 and self.all:
            os.link(r.choice(self.all), path, follow_symlinks=False)
        elif what < 0.10:
            target = r.choice((
                b"nowhere", b"../" * 50 + b"nowhere", b"n" * 4000, b"/", b".", b"new\nline",
                os.path.relpath(r.choice(self.files or [self.top]), os.path.dirname(path))))
            os.symlink(target, path)
        elif what < 0.12:
            os.mkfifo(path)
        elif what < 0.122:
            os.mknod(path, 0o600 | r.choice((stat.S_IFCHR, stat.S_IFBLK)),
                     os.makedev(r.choice((1, 7, 511)), r.choice((3, 300, 2**20 - 1))))
        else:
            self.write(path)
            self.files.append(path)
        self.all.append(path)

    def set_attributes(self, path):
        """Owner, mode, extended attributes, list, times: in the order in which one
        takes nothing of another away"""
        r = self.r
        mode = os.lstat(path).st_mode
        os.chown(path, r.choice(OWNERS), r.choice(OWNERS), follow_symlinks=False)
        if not stat.S_ISLNK(mode):
            os.chmod(path, r.choice(MODES) | (0o700 if stat.S_ISDIR(mode) else 0))
        if r.random() < 0.1:
            os.setxattr(path, b"trusted.note", b"t", follow_symlinks=False)
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            for _ in range(r.choice((0, 0, 0, 0, 0, 1, 5))):
                name = b"user." + r.choice((b"a", "ü".encode(), b"n" * 200, b"with blank"))
                value = r.randbytes(r.choice((0, 1, 30, 900)))
                try:
                    os.setxattr(path, name, value)
                except OSError:  # ext4 has a block for all of a file's
                    os.setxattr(path, b"user.a", b"")
            if r.random() < 0.1:
                os.setxattr(path, b"system.posix_acl_access", acl(r))
        if stat.S_ISDIR(mode) and r.random() < 0.1:
            os.setxattr(path, b"system.posix_acl_default", acl(r))
        if stat.S_ISREG(mode) and r.random() < 0.01:
            os.setxattr(path, b"security.capability", CAPABILITY)
        self.set_time(path)

    def set_time(self, path):
        # None of now: rsync 3.5 leaves the time of a directory, a fifo or a symlink as it
        # is if it differs by less than a second
        r = self.r
        span = r.choice(TIMES)
        os.utime(path, ns=(r.randrange(*span), r.randrange(*span)), follow_symlinks=False)

    def make(self, count):
        self.make_deep()
        while self.number < count:
            if self.number % 20 == 0:
                self.make_directory()
            else:
                self.make_file()
        for path in self.all:
            self.set_attributes(path)
        for path in reversed(self.directories + self.deep):
            self.set_attributes(path)

    def read(self):
        """Of a tree that is there"""
        self.directories = []
        for path, directories, names in os.walk(self.top):
            directories.sort()
            self.directories.append(path)
            for name in sorted(names):
                path_of = path + b"/" + name
                self.all.append(path_of)
                if stat.S_ISREG(os.lstat(path_of).st_mode):
                    self.files.append(path_of)
        self.number = 10**9  # names that are not there

    def change(self):
        r = self.r
        self.read()
        some = len(self.all) // 20
        r.shuffle(self.all)
        gone, other, kept = self.all[:some], self.all[some:2 * some], self.all[2 * some:]
        for path in gone:
            os.unlink(path)
        for path in other:  # by something of another kind
            os.unlink(path)
            r.choice((os.mkdir, os.mkfifo, self.write, lambda p: os.symlink("other", p)))(path)
        self.files = [path for path in kept if stat.S_ISREG(os.lstat(path).st_mode)]
        for path in self.files[:some]:
            with open(path, "ab") as f:
                f.write(b"more")
        for path in self.files[some:2 * some]:
            self.set_attributes(path)
        self.all = list(kept)
        for _ in range(some):
            self.make_file()
        # None has a time of this second, see set_time()
        for path in other + self.files[:some] + self.all[len(kept):]:
            self.set_attributes(path)
        for path in reversed(self.directories):
            self.set_time(path)


def digest(path, info):
    if stat.S_ISLNK(info.st_mode):
        return repr(os.readlink(path))
    if not stat.S_ISREG(info.st_mode):
        return "-"
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "blake2s").hexdigest() if sys.version_info >= (3, 11) \
            else hashlib.blake2s(f.read()).hexdigest()


def attributes(path):
    return ",".join(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}"
                    for name in sorted(os.listxattr(path, follow_symlinks=False)))


def list_tree(top):
    first = {}  # by inode: the name and what is in it
    paths = []
    for path, directories, names in os.walk(os.fsencode(top)):
        paths.append(path)
        paths += (path + b"/" + name for name in names)
        paths += (path + b"/" + name for name in directories
                  if os.path.islink(path + b"/" + name))
    for path in sorted(paths):
        info = os.lstat(path)
        name = repr(os.path.relpath(path, os.fsencode(top)))
        if info.st_ino not in first:
            first[info.st_ino] = (name, digest(path, info))
        mode = info.st_mode
        is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        size = "-" if stat.S_ISDIR(mode) else info.st_rdev if is_device else info.st_size
        print(name, f"{mode:o}", info.st_uid, info.st_gid, info.st_nlink, size,
              info.st_mtime_ns, attributes(path), *first[info.st_ino], sep="\t")


COLUMNS = ("mode", "uid", "gid", "links", "size", "mtime", "attributes", "first name",
           "contents")


def read_list(path):
    with open(path) as f:
        lines = (line.rstrip("\n").split("\t") for line in f)
        return {words[0]: words[1:] for words in lines}


def differ(old_path, new_path):
    old, new = read_list(old_path), read_list(new_path)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    for name in names[:20]:
        print(name if len(name) < 200 else name[:20] + "..." + name[-100:])
        if name not in old or name not in new:
            print("  not there before" if name not in old else "  missing")
            continue
        for what, a, b in zip(COLUMNS, old[name], new[name]):
            if a != b:
                print(f"  {what}: {a[:300]} is now {b[:300]}")
    if names:
        print(f"{len(names)} of {len(old)} differ")
    return bool(names)


def main():
    what, top = sys.argv[1:3]
    if what == "differ":
        sys.exit(differ(top, sys.argv[3]))
    if what == "list":
        list_tree(top)
        return
    arguments = sys.argv[3:]
    count = int(arguments.pop(0)) if what == "make" else 0
    seed = int(arguments[0]) if arguments else random.randrange(10**9)
    print(f"# odd_tree.py {what}: seed {seed}")
    tree = Tree(top, seed)
    if what == "make":
        tree.make(count)
    else:
        tree.change()


if __name__ == "__main__":
    main()
