#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An independent reader of Banyan files, written from docs/FORMAT.md alone.

    read_banyan.py list [-0] FILE     every key: type, size, nlink, path
    read_banyan.py get FILE KEY       the value of a key
    read_banyan.py attrs FILE KEY     its extended attributes, as NAME HEX
    read_banyan.py times FILE KEY     its times, in nanoseconds since 1970
    read_banyan.py snapshots FILE     each snapshot: freeze, keys, name
    read_banyan.py verify FILE        read and check everything in the file
    read_banyan.py export FILE DIR    write all keys as files into a new DIR

With --at NAME in front of the command it is what a snapshot has.

It shares no code with the library, so what both say of a file is what the
document says.  It needs Python 3 and its standard library.  Words, rules and
the numbers of steps are those of the document.  Speed is no aim; but nothing
in a file, however hostile, should make it hang or end in a traceback.

Paths in lists are quoted: what does not print, and the backslash, as \\ooo.
Exit status: 0 done, 1 damaged, refused or no such key, 2 misuse.
"""

import errno
import os
import stat
import struct
import sys
from bisect import bisect_left

SEGMENT = 4 << 20
CHUNK_MAX = 16384  # a payload up to this is one chunk
CHUNK = 4096  # of a longer one
BODY_MAX = 3 << 20
PAYLOAD_MAX = 4 << 20
SEGMENTS_MAX = 1 << 20
NODE_MAX = 32768
KEY_MAX = 300
VALUE_MAX = 4096
ID_MAX = (1 << 63) - 1
U64 = (1 << 64) - 1

OPERATION, EXTENT_RECORD, NODES, FREEZE, MARK = 1, 2, 3, 4, 5
NAME, DATA, LINK, XATTR, EXTENT, ORPHAN, SNAPSHOT = \
    (bytes([n]) for n in range(1, 8))

# The types of stat(2), by mode >> 12, with the letters of find(1)
TYPES = {0o01: "p", 0o02: "c", 0o04: "d", 0o06: "b", 0o10: "f", 0o12: "l",
         0o14: "s"}


class Damage(Exception):
    """What the file says cannot be: at which offset, and why."""

    def __init__(self, offset, why):
        super().__init__("damaged at %d: %s" % (offset, why))


class Refused(Exception):
    """A file that is sound perhaps, but not for this reader."""


# ---- numbers and checksums --------------------------------------------------

def make_tables():
    """Entry i of table k: what byte i does to the CRC from k bytes away."""
    first = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
        first.append(i)
    tables = [first]
    for _ in range(7):
        tables.append([first[i & 255] ^ i >> 8 for i in tables[-1]])
    return tables


TABLES = make_tables()


def crc32c(data):
    """Eight bytes at a time: the tables are linear, so their XOR is right."""
    t0, t1, t2, t3, t4, t5, t6, t7 = TABLES
    crc = 0xffffffff
    words = len(data) // 8
    for x in struct.unpack_from("<%dQ" % words, data):
        x ^= crc
        crc = (t7[x & 255] ^ t6[x >> 8 & 255] ^ t5[x >> 16 & 255] ^
               t4[x >> 24 & 255] ^ t3[x >> 32 & 255] ^ t2[x >> 40 & 255] ^
               t1[x >> 48 & 255] ^ t0[x >> 56])
    for byte in data[8 * words:]:
        crc = t0[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


class Parser:
    """Takes fields off the front of some bytes that lie at an offset."""

    def __init__(self, data, offset):
        self.data, self.offset, self.at = data, offset, 0

    def fail(self, why):
        raise Damage(self.offset, why)

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            self.fail("a length leads out of what it lies in")
        self.at += count
        return self.data[self.at - count:self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "little")

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def u64(self):
        return int.from_bytes(self.take(8), "little")

    def big_u64(self):
        return int.from_bytes(self.take(8), "big")

    def varint(self, low=0, high=U64):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift == 70:
                self.fail("a varint has more than ten bytes")
        if value > U64 or (byte == 0 and shift):
            self.fail("a varint is too large or not the shortest")
        if not low <= value <= high:
            self.fail("the number %d is out of its range" % value)
        return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def end(self):
        if self.left():
            self.fail("%d bytes too many" % self.left())


def since_1970(time):
    """A time of the file as Python's functions take it, in nanoseconds."""
    return time - (1 << 31) * 10**9


def be64(value):
    return value.to_bytes(8, "big")


def chunk_size(length):
    """Bytes in the chunks of a payload; the last one may be shorter."""
    return CHUNK if length > CHUNK_MAX else CHUNK_MAX


def segment_of(position):
    """In which the log up to an offset ends: a boundary belongs to the
    segment in front of it."""
    return (position - 1) // SEGMENT


# ---- the log ----------------------------------------------------------------

class Header:
    """Of a segment: position is the (offset, sequence, chain) it continues."""

    def __init__(self, data):
        fields = struct.unpack_from("<QQQI4xQQ", data, 8)
        self.number = fields[0]
        self.position = fields[1:4]
        self.durable_to, self.freeze = fields[4:]


class Record:
    """One of the log; before and after are positions."""

    def __init__(self, before, crc, kind, body, array, length):
        self.before, self.offset = before, before[0]
        self.crc, self.kind, self.body, self.length = crc, kind, body, length
        self.payload = self.offset + 16 + len(body) + len(array)
        self.sums = struct.unpack("<%dI" % (len(array) // 4), array)
        self.after = (self.payload + length + 3 & ~3, before[1] + 1, crc)

    def durable_to(self):
        """What a mark or a freeze notes; 0 if it is neither, or bad."""
        if self.kind == FREEZE and FreezeBody.valid(self):
            return FreezeBody(self).durable_to
        if self.kind == MARK and len(self.body) == 8:
            noted = int.from_bytes(self.body, "little")
            return noted if noted <= self.offset else 0
        return 0


class FreezeBody:
    def __init__(self, record):
        fields = struct.unpack("<QQQQIIQQQI4xQQQQQQ", record.body)
        self.here = record.offset
        self.number = fields[0]
        self.punched = fields[2] & 4 != 0
        self.root, self.root_length, self.root_crc, self.height = fields[3:7]
        self.replay = fields[7:10]
        self.previous, self.durable_to = fields[10:12]
        self.next_id, self.keys, self.live = fields[12:15]

    @classmethod
    def valid(cls, record):
        if record.kind != FREEZE or len(record.body) != 120:
            return False
        it = cls(record)
        here = record.offset
        if it.height == 0:
            tree = it.root == 0 and it.root_length == 0
        else:
            tree = (it.height <= 16 and it.root >= 4096 and
                    0 < it.root_length <= NODE_MAX and
                    it.root + it.root_length <= here)
        return (tree and 0 < it.number < ID_MAX and
                4160 <= it.replay[0] <= here and
                0 < it.replay[1] < ID_MAX and
                it.previous < here and it.durable_to <= here and
                not (it.punched and it.previous) and
                0 < it.next_id <= ID_MAX)


class Log:
    """The file as records, before anybody asks what they mean."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.fd).st_size
        self.sound = set()      # chunks that were right: (offset, length, CRC)
        self.read_superblock()
        self.read_headers()

    def read(self, offset, length):
        """What there is: less at the end of the file."""
        if offset >= self.size:
            return b""
        length = min(length, self.size - offset)
        parts = []
        while length > 0:
            part = os.pread(self.fd, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def read_superblock(self):
        data = self.read(0, 4096)
        if data[:8] != b"\x89BANYAN\n":
            raise Refused("not a Banyan file")
        if len(data) < 4096:
            raise Damage(len(data), "the superblock is cut off")
        version, segment, _, _, incompatible = \
            struct.unpack_from("<IIQQQ", data, 8)
        if version > 1:
            raise Refused("format version %d" % version)
        if crc32c(data[:4092]) != int.from_bytes(data[4092:], "little"):
            raise Damage(0, "checksum of the superblock")
        if version == 0:
            raise Damage(8, "format version 0")
        if incompatible:
            raise Refused("incompatible features %#x" % incompatible)
        if segment != SEGMENT:
            raise Refused("segments of %d bytes" % segment)
        if not any(data[72:80]):
            raise Damage(72, "generation 0")
        self.salt = data[80:88]

    def seeded(self, offset, data):
        place = offset.to_bytes(8, "little")
        return crc32c(b"".join((self.salt, place, data)))

    def read_headers(self):
        """All of them, and for each segment the last that continues it."""
        last = (self.size - 1) // SEGMENT
        if last >= SEGMENTS_MAX:
            raise Refused("more than 2^20 segments")
        self.headers = {}
        self.exits = {}
        for k in range(last + 1):
            header = self.read_header(k)
            if header:
                self.headers[k] = header
                self.exits[segment_of(header.position[0])] = k

    def read_header(self, k):
        offset = k * SEGMENT or 4096
        data = self.read(offset, 64)
        if len(data) < 64 or data[4:8] != b"BSEG" or \
                int.from_bytes(data[:4], "little") != \
                self.seeded(offset, data[4:]):
            return None
        header = Header(data)
        if header.number != k or header.position[0] > offset or \
                header.durable_to > offset or header.freeze >= offset:
            return None
        if k == 0 and header.position != (0, 1, 0):
            return None
        return header

    def record_at(self, offset, position=None):
        """The record there, or None. Without a position any will do."""
        start = self.read(offset, 16)
        if len(start) < 16:
            return None
        crc, chain, sequence, word = struct.unpack("<IIII", start)
        kind, body_length, length = word & 255, word >> 8, 0
        if kind in (EXTENT_RECORD, NODES):
            body_length, length = 0, body_length
        if position:
            if (position[1] & 0xffffffff, position[2]) != (sequence, chain):
                return None
            sequence = position[1]
        chunks = -(-length // chunk_size(length))
        head = 16 + body_length + 4 * chunks
        end = offset + head + length + 3 & ~3
        if not 1 <= kind <= 5 or body_length > BODY_MAX or \
                length > PAYLOAD_MAX or \
                end > (offset // SEGMENT + 1) * SEGMENT or end > self.size:
            return None
        data = self.read(offset, head)
        if len(data) < head or crc != self.seeded(offset, data[4:]):
            return None
        return Record((offset, sequence, chain), crc, kind,
                      data[16:16 + body_length], data[16 + body_length:],
                      length)

    def exit_from(self, position):
        """Where the log goes on by way of a header, or the position itself."""
        while True:
            segment = segment_of(position[0])
            k = self.exits.get(segment)
            if k is None or k <= segment or \
                    self.headers[k].position != position:
                return position
            position = (k * SEGMENT + 64,) + position[1:]

    def follow(self, position, exits=True):
        """Each record from a position on. Whoever needs the end takes the
        last one's after."""
        while True:
            if exits:
                position = self.exit_from(position)
            if position[0] % SEGMENT == 0 or position[0] % 4:
                return
            record = self.record_at(position[0], position)
            if not record:
                return
            yield record
            position = record.after

    def chunk(self, offset, length, crc):
        """One chunk or node that has to have a CRC."""
        data = self.read(offset, length)
        if len(data) < length:
            raise Damage(offset, "the file ends at %d" % self.size)
        if (offset, length, crc) not in self.sound:
            if crc32c(data) != crc:
                raise Damage(offset, "checksum of %d bytes" % length)
            self.sound.add((offset, length, crc))
        return data

    def check_payload(self, record):
        """Raises if a chunk is wrong, or the zeros behind them."""
        end = record.payload + record.length
        size = chunk_size(record.length)
        for i, crc in enumerate(record.sums):
            at = record.payload + i * size
            self.chunk(at, min(size, end - at), crc)
        zeros = record.after[0] - end
        if self.read(end, zeros) != bytes(zeros):
            raise Damage(end, "no zeros behind a record")


# ---- the state --------------------------------------------------------------

class Data:
    """A Data row, or the Data in a NAME row."""

    def __init__(self, parser, row_id=None):
        p = parser
        self.where = p.offset
        flags = p.u8()
        mode = p.varint(0, (7 << 16) + 0o177777)
        self.mode, self.flags = mode & 0o177777, mode >> 16
        if self.mode >> 12 not in TYPES:
            p.fail("mode %o" % self.mode)
        self.type = TYPES[self.mode >> 12]
        self.uid = p.varint(0, (1 << 32) - 1)
        self.gid = p.varint(0, (1 << 32) - 1)
        self.birth = p.big_u64()
        self.mtime = self.since_birth(p) if flags & 1 else self.birth
        self.ctime = self.since_birth(p) if flags & 2 else self.mtime
        self.atime = self.since_birth(p) if flags & 4 else self.mtime
        self.id = p.varint(1, ID_MAX)
        if row_id is not None and self.id != row_id:
            p.fail("Data %d is in the row of %d" % (self.id, row_id))
        space = self.type == "d"
        self.size = p.varint(0, 0 if space else ID_MAX)
        self.nlink = p.varint(0, (1 << 32) - 1) if flags & 8 else 1
        self.rdev = p.varint() if flags & 16 else 0
        self.parent = p.varint(0, ID_MAX) if flags & 32 else 0
        if space != (self.parent != 0):
            p.fail("Data %d has parent %d" % (self.id, self.parent))
        self.contents(p, flags >> 6)
        p.end()
        if space and self.kind:
            p.fail("a key space with contents")

    def since_birth(self, p):
        return self.birth + p.zigzag() & U64

    def contents(self, p, kind):
        self.kind, self.stored, self.inline, self.extents = kind, 0, b"", []
        if kind == 1:
            self.inline = p.take(p.left())
            self.stored = len(self.inline)
            if not 1 <= self.stored <= min(256, self.size):
                p.fail("%d bytes in a row" % self.stored)
        elif kind == 2:
            count, at = p.u8(), 0
            if not 1 <= count <= 4:
                p.fail("%d extents" % count)
            for _ in range(count):
                at += p.varint()
                extent = Extent(p)
                self.extents.append((at, extent))
                at += extent.length
                self.stored += extent.length
            if at > self.size:
                p.fail("extents beyond the size")
        elif kind == 3:
            self.stored = p.varint(0, self.size)


def varint_bytes(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Packed:
    """Datas in an operation: what is left out follows from it, from the row
    key or from the Data before. The row values are built of them."""

    def __init__(self, stamp, next_id):
        self.stamp, self.id = stamp, next_id - 1 & U64
        self.mode, self.uid, self.gid = 0o100644, 0, 0

    def value(self, p, key):
        word = p.varint(0, (1 << 14) - 1)
        if word >> 7 & 3 == 3 or word >> 9 & 3 == 3:
            p.fail("word of a Data")
        u32 = (1 << 32) - 1
        mode = p.varint(0, u32) if word & 32 else self.mode
        uid, gid = self.uid, self.gid
        if word & 64:
            uid, gid = p.varint(0, u32), p.varint(0, u32)
        in_key = key[:1] == DATA and len(key) == 9 and \
            int.from_bytes(key[1:], "big")
        number = p.varint() if word & 4 else in_key or self.id
        birth = self.time(p, word & 8)
        mtime = birth if word & 256 else self.time(p, word & 128)
        ctime = self.time(p, word & 16)
        atime = self.time(p, 1) if word & 512 else \
            mtime if word & 1024 else birth
        space = mode & 0o170000 == 0o040000
        size = p.varint() if word & 2048 else None
        nlink = p.varint(0, u32) if word & 4096 else 2 if space else 1
        rdev = p.varint() if word & 8192 else 0
        parent = p.varint() if space else 0
        kind = word & 3
        contents = p.take(p.varint()) if kind else b""
        if size is None:
            size = len(contents) if kind == 1 else 0
        if not in_key:
            self.id = number + 1 & U64
        self.mode, self.uid, self.gid = mode, uid, gid
        flags = kind << 6 | (mtime != birth) | (ctime != mtime) << 1 | \
            (atime != mtime) << 2 | (nlink != 1) << 3 | (rdev != 0) << 4 | \
            (parent != 0) << 5
        numbers = [mode, uid, gid, None]
        numbers += [self.zigzag(t - birth) for t, bit in
                    ((mtime, 1), (ctime, 2), (atime, 4)) if flags & bit]
        numbers += [number, size]
        numbers += [n for n, bit in ((nlink, 8), (rdev, 16), (parent, 32))
                    if flags & bit]
        return bytes([1, flags]) + b"".join(
            be64(birth) if n is None else varint_bytes(n)
            for n in numbers) + contents

    def time(self, p, follows):
        return self.stamp + p.zigzag() & U64 if follows else self.stamp

    @staticmethod
    def zigzag(difference):
        """Of a difference modulo 2^64, as a signed number."""
        difference &= U64
        if difference >> 63:
            return (U64 - difference) << 1 | 1
        return difference << 1


class Extent:
    def __init__(self, p):
        flags = p.varint()
        if flags & ~3:
            p.fail("extent flags %d" % flags)
        self.where = p.offset
        self.shared = flags & 1
        self.payload = p.varint(4096, ID_MAX)
        self.whole = p.varint(1)
        self.sum = p.u32()
        self.start = p.varint() if flags & 2 else 0
        self.length = p.varint(1) if flags & 2 else self.whole
        segment_end = (self.payload // SEGMENT + 1) * SEGMENT
        if self.payload + self.whole > segment_end or \
                self.start + self.length > self.whole:
            p.fail("an extent leads out of its segment or payload")


class State:
    """What a file says: the tree of a freeze, and what came behind it."""

    def __init__(self, log, snapshot=None):
        self.log = log
        self.nodes = {}
        self.redo = {}
        self.find_freeze()
        self.find_end()
        self.replay()
        if snapshot is not None:
            self.go_back(snapshot)

    def go_back(self, name):
        """To the freeze of a snapshot: its tree, and nothing to replay."""
        found = self.row(SNAPSHOT + name)
        if not found:
            raise KeyError(name)
        self.freeze = self.snapshot(name, *found)
        self.redo, self.redo_keys = {}, []

    # -- opening: steps 2 to 11

    def find_freeze(self):
        log = self.log
        if not log.headers:
            raise Damage(log.size, "no segment has a header")
        k = max(log.headers)
        self.header = log.headers[k]
        begin = (k * SEGMENT or 4096) + 64
        found = None
        for record in log.follow((begin,) + self.header.position[1:], False):
            if FreezeBody.valid(record):
                found = record
        if not found:
            at = self.header.freeze
            found = log.record_at(at) if at else None
            if not found or not FreezeBody.valid(found):
                raise Damage(at or begin, "no freeze is found")
        self.freeze = FreezeBody(found)

    def find_end(self):
        log, freeze = self.log, self.freeze
        if freeze.replay[0] > log.size:
            raise Damage(log.size, "cut off below the replay position")
        self.records = list(log.follow(freeze.replay))
        self.end = log.exit_from(
            self.records[-1].after if self.records else freeze.replay)
        durable = self.durable_to()
        if durable > self.end[0]:
            raise Damage(self.end[0],
                         "the log ends, but was durable to %d" % durable)
        for i, record in enumerate(self.records):
            if not record.length or record.offset < durable:
                continue
            try:
                log.check_payload(record)
            except Damage:
                self.end = record.before
                del self.records[i:]
                break

    def durable_to(self):
        log = self.log
        noted = [self.freeze.durable_to, self.header.durable_to]
        behind = segment_of(self.freeze.replay[0])
        noted += [h.durable_to for k, h in log.headers.items() if k > behind]
        noted += [record.durable_to() for record in self.records]
        x = self.end[0]
        last = (log.size - 1) // SEGMENT * SEGMENT
        noted += self.strays(x, (x // SEGMENT + 1) * SEGMENT)
        noted += self.strays(last or 4160, log.size)
        headed = max(log.headers) * SEGMENT
        noted += self.strays(headed or 4160,
                             min(headed + SEGMENT, log.size))
        return max(noted)

    def strays(self, begin, end):
        """What marks and freezes note that lie there, in the chain or out of
        it."""
        data = self.log.read(begin, end - begin)
        for start in (b"\5\x08\0\0", b"\4\x78\0\0"):
            at = data.find(start)
            while at >= 0:
                if (begin + at) % 4 == 0 and at >= 12:
                    record = self.log.record_at(begin + at - 12)
                    if record:
                        yield record.durable_to()
                at = data.find(start, at + 1)

    def replay(self):
        self.next_id = self.freeze.next_id
        self.keys, self.live = self.freeze.keys, self.freeze.live
        for record in self.records:
            if record.kind == OPERATION:
                self.apply(record)
        self.redo_keys = sorted(self.redo)

    def apply(self, record):
        p = Parser(record.body, record.offset)
        first = p.u8()
        if not 1 <= first & 15 <= 9 or first > 127:
            p.fail("kind of operation")
        time = p.u64()
        stamp = time - p.zigzag() & U64
        self.next_id = p.varint(self.next_id, ID_MAX)
        self.keys += (0, 1, -1)[first >> 4 & 3] if first & 48 < 48 \
            else p.zigzag()
        self.live += p.zigzag() if first & 64 else 0
        packed = Packed(stamp, self.next_id)
        kind, tail, value = 0, bytes(8), b""
        rows = 0
        while p.left():
            first = p.u8()
            before = kind, tail
            kind, tail = self.row_key(p, first, tail)
            if rows and (kind, tail) <= before:
                p.fail("row keys in an operation do not ascend")
            if rows and kind == before[0] and \
                    self.share_more(tail, before[1], p.shared):
                p.fail("row keys share more than they say")
            rows += 1
            key = bytes([kind]) + tail
            form = first >> 3 & 3
            if form == 0:
                self.redo[key] = (None, record.offset)
                continue
            if form == 1:
                value = b""
            elif form == 2:
                value = value[:p.varint(0, len(value))] + p.take(p.varint())
            else:
                value = packed.value(p, key)
            if len(value) > VALUE_MAX:
                p.fail("row value in an operation")
            self.redo[key] = (value, record.offset)

    @staticmethod
    def row_key(p, first, before):
        """The type of a row and what is behind it in its key."""
        kind = first & 7
        length = {2: 8, 5: 16, 6: 8}.get(kind)
        kind = kind or p.u8()
        p.shared = (first >> 5) + 1 if first >> 5 else p.varint()
        if p.shared > len(before):
            p.fail("a row key shares too much")
        rest = p.varint() if length is None else length - p.shared
        if rest < 0:
            p.fail("a row key shares too much")
        tail = before[:p.shared] + p.take(rest)
        if len(tail) >= KEY_MAX:
            p.fail("row key in an operation")
        return kind, tail

    @staticmethod
    def share_more(a, b, count):
        return a[count:count + 1] == b[count:count + 1]

    # -- the tree

    def node(self, offset, length, crc, level):
        """Its entries: (row key, value) or (separator, where the child is)."""
        known = self.nodes.get((offset, length, crc, level))
        if known is not None:
            return known
        p = Parser(self.log.chunk(offset, length, crc), offset)
        if p.u8() != 0xb7 or p.u8() != level:
            p.fail("magic or level of a node")
        count, prefix_length, template_length = p.u16(), p.u16(), p.u16()
        if not count or prefix_length > KEY_MAX or \
                template_length > (0 if level else VALUE_MAX):
            p.fail("header of a node")
        prefix, template = p.take(prefix_length), p.take(template_length)
        entries, before = [], None
        for _ in range(count):
            if level:
                key = prefix + p.take(p.varint(0, KEY_MAX))
                entries.append((key, self.child(p, offset)))
            else:
                suffix = p.varint(0, KEY_MAX)
                shared, rest = p.varint(0, len(template)), p.varint()
                if shared + rest > VALUE_MAX:
                    p.fail("row value in a node")
                key = prefix + p.take(suffix)
                entries.append((key, template[:shared] + p.take(rest)))
            if len(key) > KEY_MAX or (before is not None and key <= before):
                p.fail("row keys in a node")
            before = key
        p.end()
        if len(self.nodes) > 2000:
            self.nodes.clear()
        self.nodes[offset, length, crc, level] = entries
        return entries

    @staticmethod
    def child(p, parent):
        place, length = p.varint(), p.varint(1, NODE_MAX)
        crc = p.u32()
        offset = parent - (place >> 1) if place & 1 else place >> 1
        if offset < 4096 or offset + length > parent:
            p.fail("a child at %d" % offset)
        return offset, length, crc

    def tree_rows(self, place, level, low, high, lower=b"", upper=None):
        """Rows of a subtree with low <= row key < high (None: no bound)."""
        entries = self.node(*place, level)
        if upper is not None and entries[-1][0] >= upper:
            raise Damage(place[0], "rows beyond the bound of a node")
        if entries[0][0] < lower:
            raise Damage(place[0], "rows below the bound of a node")
        for i, (key, what) in enumerate(entries):
            if high is not None and key >= high:
                return
            if not level:
                if key >= low:
                    yield key, what, place[0]
                continue
            bound = entries[i + 1][0] if i + 1 < len(entries) else upper
            if bound is None or bound > low:
                yield from self.tree_rows(what, level - 1, low, high,
                                          key, bound)

    def freeze_rows(self, freeze, low=b"", high=None):
        if freeze.height:
            yield from self.tree_rows(
                (freeze.root, freeze.root_length, freeze.root_crc),
                freeze.height - 1, low, high)

    def rows(self, low=b"", high=None):
        """Row key, row value, offset of what says so: tree and redo merged."""
        tree = self.freeze_rows(self.freeze, low, high)
        row = next(tree, None)
        for key in self.redo_range(low, high):
            while row and row[0] < key:
                yield row
                row = next(tree, None)
            if row and row[0] == key:
                row = next(tree, None)
            value, where = self.redo[key]
            if value is not None:
                yield key, value, where
        while row:
            yield row
            row = next(tree, None)

    def redo_range(self, low, high):
        begin = bisect_left(self.redo_keys, low)
        end = len(self.redo_keys) if high is None else \
            bisect_left(self.redo_keys, high)
        return self.redo_keys[begin:end]

    def rows_of(self, kind, number):
        """The rows of one id: what follows the id in the row key, the value,
        and where it is from."""
        low = kind + be64(number)
        for key, value, where in self.rows(low, kind + be64(number + 1)):
            yield key[9:], value, where

    def row(self, key):
        for _, value, where in self.rows(key, key + b"\0"):
            return value, where
        return None

    # -- what rows mean

    def data(self, number, where):
        found = self.row(DATA + be64(number))
        if not found:
            raise Damage(where, "there is no Data %d" % number)
        return self.parse_data(*found, number)

    @staticmethod
    def parse_data(value, where, number):
        p = Parser(value, where)
        if p.u8() != 1:
            p.fail("a DATA row without a Data")
        return Data(p, number)

    def resolve(self, value, where):
        """The Data that a NAME row is or refers to, and whether it refers."""
        p = Parser(value, where)
        first = p.u8()
        if first == 1:
            data = Data(p)
            if data.type == "d" or data.nlink != 1:
                p.fail("Data %d must not be embedded" % data.id)
            return data, False
        if first:
            p.fail("a NAME row begins with %d" % first)
        kind = p.u8()
        number = p.varint(1, ID_MAX)
        p.end()
        data = self.data(number, where)
        if data.mode >> 12 != kind:
            p.fail("a reference says type %d" % kind)
        return data, True

    @staticmethod
    def check_name(space, name, where):
        if not 1 <= len(name) <= 255 or b"/" in name or b"\0" in name or \
                name in (b".", b"..") or (space == 1 and name == b".banyan"):
            raise Damage(where, "the name %s" % quote(name))

    def names(self, space):
        for name, value, where in self.rows_of(NAME, space):
            self.check_name(space, name, where)
            yield name, *self.resolve(value, where)

    def walk(self):
        """Path and Data of all keys, depth first; a loop, not a recursion, as
        the nesting is the file's to choose."""
        self.data(1, self.freeze.here)
        seen = {1}
        stack = [(b"", self.names(1))]
        while stack:
            path, names = stack[-1]
            for name, data, _ in names:
                yield path + name, data
                if data.type == "d":
                    if data.id in seen:
                        raise Damage(data.where, "two ways to key space %d" %
                                     data.id)
                    seen.add(data.id)
                    stack.append((path + name + b"/", self.names(data.id)))
                    break
            else:
                stack.pop()

    def lookup(self, path):
        data = self.data(1, self.freeze.here)
        for name in path.split(b"/") if path not in (b"", b"/") else []:
            found = self.row(NAME + be64(data.id) + name) \
                if data.type == "d" and 1 <= len(name) <= 255 else None
            if not found:
                raise KeyError(path)
            self.check_name(data.id, name, found[1])
            data, _ = self.resolve(*found)
        return data

    # -- values

    def extents_of(self, data):
        """(offset in the value, extent), checked to be in order."""
        if data.kind != 3:
            yield from data.extents
            return
        end = 0
        for rest, value, where in self.rows_of(EXTENT, data.id):
            p = Parser(value, where)
            extent = Extent(p)
            p.end()
            at = int.from_bytes(rest, "big")
            if len(rest) != 8 or at < end:
                p.fail("extents overlap")
            end = at + extent.length
            if end > data.size:
                p.fail("an extent beyond the size")
            yield at, extent

    def pieces(self, data):
        """(offset in the value, bytes) of all that is not a hole."""
        if data.inline:
            yield 0, data.inline
        for at, extent in self.extents_of(data):
            for piece in self.extent_bytes(extent):
                yield at, piece
                at += len(piece)

    def extent_bytes(self, extent):
        log = self.log
        size = chunk_size(extent.whole)
        if extent.whole <= size:
            sums = [extent.sum]
        else:
            length = -(-extent.whole // size) * 4
            if length > extent.payload:
                raise Damage(extent.where, "no room for an array")
            array = log.chunk(extent.payload - length, length, extent.sum)
            sums = struct.unpack("<%dI" % (length // 4), array)
        stop = extent.start + extent.length
        for i in range(extent.start // size, (stop - 1) // size + 1):
            begin = i * size
            chunk = log.chunk(extent.payload + begin,
                              min(size, extent.whole - begin), sums[i])
            yield chunk[max(0, extent.start - begin):stop - begin]

    # -- snapshots

    def snapshot(self, name, value, where):
        """The freeze that a SNAPSHOT row names."""
        self.check_name(0, name, where)
        p = Parser(value, where)
        number, offset = p.varint(1, ID_MAX - 1), p.varint(0, ID_MAX - 1)
        p.end()
        record = self.log.record_at(offset) if offset % 4 == 0 else None
        if not record or not FreezeBody.valid(record) or \
                FreezeBody(record).number != number:
            p.fail("there is no freeze %d at %d" % (number, offset))
        return FreezeBody(record)

    def snapshots(self):
        for key, value, where in self.rows(SNAPSHOT, bytes([8])):
            yield key[1:], self.snapshot(key[1:], value, where)

    def attribute(self, value, where):
        p = Parser(value, where)
        form = p.u8()
        if form > 1:
            p.fail("an attribute begins with %d" % form)
        if form == 0:
            data = p.take(p.left())
        else:
            count = p.u8()
            if not 1 <= count <= 8:
                p.fail("%d extents in an attribute" % count)
            extents = [Extent(p) for _ in range(count)]
            p.end()
            if sum(e.length for e in extents) > 65536:
                p.fail("a long attribute")
            data = b"".join(b for e in extents for b in self.extent_bytes(e))
        if len(data) > 65536:
            p.fail("a long attribute")
        return data

    def attributes(self, data):
        for name, value, where in self.rows_of(XATTR, data.id):
            if not 1 <= len(name) <= 255 or b"\0" in name:
                raise Damage(where, "name of an attribute")
            yield name, self.attribute(value, where)


# ---- verify -----------------------------------------------------------------

class Verifier:
    """Reads all there is once: the log, the trees, the rows, the values."""

    def __init__(self, state):
        self.state, self.log = state, state.log
        self.records = self.torn = 0
        self.datas, self.references, self.links = {}, {}, {}
        self.spaces_in, self.orphans, self.extents = {}, set(), {}
        self.keys = self.live = self.bytes = self.attributes = 0
        self.attribute_ids = {}
        self.snapshots = 0

    def run(self):
        self.check_log()
        for key, value, where in self.state.rows():
            self.check_row(key, value, where)
        for data, embedded, where in self.datas.values():
            self.check_data(data, embedded, where)
        self.check_sums()

    def check_log(self):
        """The whole chain from its first record, through the replay position,
        to the end that opening has found; and the trees of all freezes in it."""
        state, log = self.state, self.log
        position, replay, end = self.begin(), state.freeze.replay, state.end
        met = position == replay
        freezes, nodes = [], []
        for record in log.follow(position):
            if record.before == end:
                break
            self.records += 1
            if record.kind == NODES:
                nodes.append(record)
            else:
                log.check_payload(record)
            if FreezeBody.valid(record):
                freezes.append(FreezeBody(record))
            position = log.exit_from(record.after)
            met = met or replay in (record.before, record.after, position)
        if position != end or not met:
            raise Damage(position[0], "the chain of records is broken")
        for freeze in freezes:
            for _ in state.freeze_rows(freeze):
                pass
        for record in nodes:
            self.check_nodes(record)

    def begin(self):
        """Record 1, or in a punched file where its oldest freeze begins."""
        freeze = self.state.freeze
        while freeze.previous:
            record = self.log.record_at(freeze.previous)
            if not record or not FreezeBody.valid(record):
                raise Damage(freeze.previous, "there is no freeze")
            freeze = FreezeBody(record)
        return freeze.replay if freeze.punched else (4160, 1, 0)

    def check_nodes(self, record):
        """A crash may have torn them: then no freeze refers to them, and all
        that any does refer to has been found sound already."""
        size = chunk_size(record.length)
        try:
            for begin in range(0, record.length, size):
                self.log.chunk(record.payload + begin,
                               min(size, record.length - begin),
                               record.sums[begin // size])
        except Damage:
            self.torn += 1
        else:
            self.log.check_payload(record)

    def check_row(self, key, value, where):
        kind, rest = key[:1], key[9:]
        if kind == SNAPSHOT:
            self.state.snapshot(key[1:], value, where)
            self.snapshots += 1
            return
        if not NAME <= kind <= ORPHAN:
            return
        number = int.from_bytes(key[1:9], "big")
        if len(key) < 9 or not 1 <= number <= ID_MAX:
            raise Damage(where, "the id in a row key")
        if kind == NAME:
            self.check_key(number, rest, value, where)
        elif kind == DATA:
            self.expect(not rest, where, "a long DATA row key")
            data = State.parse_data(value, where, number)
            self.add_data(data, None, where)
        elif kind == LINK:
            self.expect(not value, where, "a LINK row with a value")
            self.links.setdefault(number, set()).add(rest)
        elif kind == XATTR:
            self.expect(1 <= len(rest) <= 255 and b"\0" not in rest, where,
                        "name of an attribute")
            self.attribute_ids[number] = where
            self.attributes += 1
            self.bytes += len(self.state.attribute(value, where))
        elif kind == EXTENT:
            self.extents[number] = where
        else:
            self.expect(not rest and not value, where, "an ORPHAN row")
            self.orphans.add(number)

    @staticmethod
    def expect(condition, where, why):
        if not condition:
            raise Damage(where, why)

    def check_key(self, space, name, value, where):
        state = self.state
        state.check_name(space, name, where)
        data, refers = state.resolve(value, where)
        self.keys += 1
        if not refers:
            self.add_data(data, space, where)
            return
        self.references.setdefault(data.id, set()).add(be64(space) + name)
        if data.type == "d":
            self.spaces_in[space] = self.spaces_in.get(space, 0) + 1
            self.expect(data.parent == space, where,
                        "parent of key space %d" % data.id)

    def add_data(self, data, embedded, where):
        self.expect(data.id not in self.datas, where,
                    "Data %d is there twice" % data.id)
        self.expect(data.id < self.state.next_id, where,
                    "Data %d is not below the next id" % data.id)
        self.datas[data.id] = data, embedded, where
        self.live += data.stored

    def check_data(self, data, embedded, where):
        keys = self.references.pop(data.id, set())
        links = self.links.pop(data.id, set())
        orphan = data.id in self.orphans
        self.orphans.discard(data.id)
        self.attribute_ids.pop(data.id, None)
        extents = self.extents.pop(data.id, None)
        self.expect(keys == links, where, "LINK rows of Data %d" % data.id)
        nlink = len(keys)
        if embedded is not None:
            nlink = 1
        elif data.type == "d" and (keys or data.id == 1):
            nlink = 2 + self.spaces_in.get(data.id, 0)
            self.expect(len(keys) == (data.id != 1), where,
                        "keys of key space %d" % data.id)
        self.expect(data.nlink == nlink, where, "nlink of Data %d is %d" %
                    (data.id, data.nlink))
        self.expect(orphan == (nlink == 0), where,
                    "ORPHAN row of Data %d" % data.id)
        self.expect(extents is None or data.kind == 3, where,
                    "EXTENT rows of Data %d" % data.id)
        found = sum(len(piece) for _, piece in self.state.pieces(data))
        self.bytes += found
        self.expect(found == data.stored or orphan, where,
                    "stored bytes of Data %d" % data.id)

    def check_sums(self):
        state, here = self.state, self.state.end[0]
        self.expect(1 in self.datas, here, "there is no root")
        for rows, what in ((self.links, "LINK"), (self.orphans, "ORPHAN"),
                           (self.extents, "EXTENT"),
                           (self.attribute_ids, "XATTR")):
            for number in rows:
                raise Damage(here, "%s rows of no Data, %d" % (what, number))
        spaces = {i for i, d in self.datas.items() if d[0].type == "d"}
        self.expect(self.spaces_in.keys() <= spaces, here,
                    "keys in what is no key space")
        self.expect(self.keys == state.keys, here, "%d keys, not %d" %
                    (self.keys, state.keys))
        self.expect(self.live == state.live, here, "%d live bytes, not %d" %
                    (self.live, state.live))

    def report(self):
        state = self.state
        ignored = self.log.size - state.end[0]
        return "records %d, freeze %d, redo %d, keys %d, datas %d, " \
            "attributes %d, bytes %d, end %d, ignored %d, torn nodes %d, " \
            "snapshots %d" % (
                self.records, state.freeze.number,
                sum(r.kind == OPERATION for r in state.records), self.keys,
                len(self.datas), self.attributes, self.bytes, state.end[0],
                ignored, self.torn, self.snapshots)


# ---- export -----------------------------------------------------------------

class Exporter:
    """Writes keys as files. Modes and times come last, directories behind
    what they hold."""

    def __init__(self, state, target):
        self.state, self.target = state, os.fsencode(target)
        self.first, self.later, self.left_out = {}, [], 0

    def run(self):
        os.mkdir(self.target, 0o700)
        root = self.state.data(1, self.state.freeze.here)
        self.later.append((self.target, root))
        for path, data in self.state.walk():
            self.write(self.target + b"/" + path, data)
        for path, data in reversed(self.later):
            self.dress(path, data)

    def write(self, path, data):
        if data.id in self.first:
            os.link(self.first[data.id], path, follow_symlinks=False)
            return
        if data.type == "d":
            os.mkdir(path, 0o700)
        elif data.type == "l":
            os.symlink(self.target_of(data), path)
        elif data.type == "p":
            os.mkfifo(path, 0o600)
        elif data.type == "f":
            self.write_file(path, data)
        else:
            self.left_out += 1
            complain("left out, no file: %s" % quote(path))
            return
        self.first[data.id] = path
        self.later.append((path, data))

    def target_of(self, data):
        if data.size > 4095:
            raise Damage(data.where, "a long symbolic link")
        target = bytearray(data.size)
        for at, piece in self.state.pieces(data):
            target[at:at + len(piece)] = piece
        return bytes(target)

    def write_file(self, path, data):
        with open(path, "xb") as out:
            for at, piece in self.state.pieces(data):
                out.seek(at)
                out.write(piece)
            out.truncate(data.size)

    def dress(self, path, data):
        for name, value in self.state.attributes(data):
            try:
                os.setxattr(path, name, value, follow_symlinks=False)
            except OSError as error:
                complain("attribute %s of %s: %s" % (
                    quote(name), quote(path), error.strerror))
        if data.type != "l":
            os.chmod(path, stat.S_IMODE(data.mode))
        times = (since_1970(data.atime), since_1970(data.mtime))
        os.utime(path, ns=times, follow_symlinks=False)


# ---- the commands -----------------------------------------------------------

def quote(name):
    return "".join(chr(b) if 32 < b < 127 and b != 92 else "\\%03o" % b
                   for b in name)


def complain(text):
    print("read_banyan.py: " + text, file=sys.stderr)


def do_list(state, end="\n"):
    for path, data in state.walk():
        line = "%s %d %d " % (data.type, data.size, data.nlink)
        shown = path if end == "\0" else quote(path).encode()
        sys.stdout.buffer.write(line.encode() + shown + end.encode())


def do_get(state, key):
    data = state.lookup(os.fsencode(key))
    if data.type == "d":
        raise OSError(errno.EISDIR, "it is a key space")
    out, at = sys.stdout.buffer, 0
    for begin, piece in state.pieces(data):
        write_zeros(out, begin - at)
        out.write(piece)
        at = begin + len(piece)
    write_zeros(out, data.size - at)


def write_zeros(out, count):
    zeros = bytes(1 << 20)
    while count > 0:
        out.write(zeros[:count])
        count -= len(zeros)


def do_attrs(state, key):
    for name, value in state.attributes(state.lookup(os.fsencode(key))):
        print(quote(name), value.hex())


def do_times(state, key):
    data = state.lookup(os.fsencode(key))
    for name in ("birth", "mtime", "ctime", "atime"):
        print(name, since_1970(getattr(data, name)))


def do_snapshots(state):
    for name, freeze in state.snapshots():
        print(freeze.number, freeze.keys, quote(name))


def do_verify(state):
    verifier = Verifier(state)
    verifier.run()
    print(verifier.report())


def do_export(state, target):
    Exporter(state, target).run()


def main(args):
    commands = {"list": (do_list, 2), "get": (do_get, 3),
                "attrs": (do_attrs, 3), "times": (do_times, 3),
                "snapshots": (do_snapshots, 2),
                "verify": (do_verify, 2), "export": (do_export, 3)}
    name = None
    if len(args) > 1 and args[0] == "--at":
        name = os.fsencode(args[1])
        del args[:2]
    if args[:2] == ["list", "-0"]:
        del args[1]
        commands["list"] = (lambda state: do_list(state, "\0"), 2)
    if not args or args[0] not in commands or \
            len(args) != commands[args[0]][1]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        commands[args[0]][0](State(Log(args[1]), name), *args[2:])
        sys.stdout.flush()
        return 0
    except (Damage, Refused) as error:
        complain("%s: %s" % (args[1], error))
    except KeyError:
        complain("%s: there is no key %s" % (args[1], args[2]))
    except OSError as error:
        complain("%s: %s" % (args[1], error.strerror))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
