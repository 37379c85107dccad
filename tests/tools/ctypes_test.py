# SPDX-License-Identifier: MIT
"""ctypes_test.py LIBRARY - libbanyan from Python, with nothing but ctypes.

What a binding for another language needs: options, values, errors in words,
batches and views as handles, cursors, and calls that move between threads.
"""
import ctypes as c
import os
import sys
import tempfile
import threading

lib = c.CDLL(sys.argv[1])


class Options(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("flags", c.c_uint), ("mode", c.c_uint),
                ("cache_bytes", c.c_uint64), ("freeze", c.c_uint64),
                ("report", c.c_void_p), ("report_arg", c.c_void_p),
                ("keeper", c.c_void_p)]


class Time(c.Structure):
    _fields_ = [("sec", c.c_int64), ("nsec", c.c_uint64)]


class Attr(c.Structure):
    _fields_ = [("id", c.c_uint64), ("mode", c.c_uint32), ("uid", c.c_uint32),
                ("gid", c.c_uint32), ("nlink", c.c_uint32), ("flags", c.c_uint32), ("size", c.c_uint64),
                ("stored", c.c_uint64), ("rdev", c.c_uint64), ("birth", Time),
                ("atime", Time), ("mtime", Time), ("ctime", Time)]


class Entry(c.Structure):
    _fields_ = [("name", c.c_char_p), ("len", c.c_size_t), ("attr", Attr),
                ("value", c.c_void_p)]


class Range(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("prefix", c.c_char_p), ("prefix_len", c.c_size_t),
                ("from_", c.c_char_p), ("from_len", c.c_size_t), ("after", c.c_bool),
                ("to", c.c_char_p), ("to_len", c.c_size_t), ("reverse", c.c_bool),
                ("names_only", c.c_bool), ("values", c.c_bool)]


CREATE = 1
SEEK_REVERSE = 1

signatures = {
    "open": (c.c_int, [c.c_char_p, c.POINTER(Options), c.POINTER(c.c_void_p)]),
    "close": (c.c_int, [c.c_void_p]),
    "put": (c.c_int, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_size_t, c.c_uint]),
    "get": (c.c_int, [c.c_void_p, c.c_char_p, c.POINTER(c.c_void_p), c.POINTER(c.c_size_t)]),
    "free": (None, [c.c_void_p]),
    "remove": (c.c_int, [c.c_void_p, c.c_char_p]),
    "root": (c.c_void_p, [c.c_void_p]),
    "search": (c.c_int, [c.c_void_p, c.c_char_p, c.c_size_t, c.POINTER(c.c_void_p), c.POINTER(Attr)]),
    "release": (None, [c.c_void_p, c.c_uint64]),
    "begin": (c.c_int, [c.c_void_p, c.POINTER(c.c_void_p)]),
    "commit": (c.c_int, [c.c_void_p]),
    "abort": (None, [c.c_void_p]),
    "view": (c.c_int, [c.c_void_p, c.POINTER(c.c_void_p)]),
    "scan": (c.c_int, [c.c_void_p, c.POINTER(Range), c.POINTER(c.c_void_p)]),
    "next": (c.c_int, [c.c_void_p, c.POINTER(Entry)]),
    "seek": (c.c_int, [c.c_void_p, c.c_char_p, c.c_size_t, c.c_uint]),
    "scan_end": (None, [c.c_void_p]),
    "sync": (c.c_int, [c.c_void_p]),
    "strerror": (c.c_char_p, [c.c_int]),
    "last_error": (c.c_size_t, [c.c_void_p, c.c_char_p, c.c_size_t]),
    "version": (c.c_char_p, []),
}


class Failure(Exception):
    pass


def call(name, *args):
    function = getattr(lib, "banyan_" + name)
    function.restype, function.argtypes = signatures[name]
    return function(*args)


class Database:
    """A handle: a database, a view, or a batch."""

    def __init__(self, handle):
        self.handle = handle

    @classmethod
    def open(cls, path):
        handle = c.c_void_p()
        options = Options(struct_size=c.sizeof(Options), flags=CREATE)
        rc = call("open", path.encode(), c.byref(options), c.byref(handle))
        if rc:
            raise Failure(call("strerror", rc).decode())
        return cls(handle)

    def check(self, rc):
        if rc < 0:
            text = c.create_string_buffer(300)
            call("last_error", self.handle, text, len(text))
            raise Failure(text.value.decode())
        return rc

    def derived(self, how):
        handle = c.c_void_p()
        self.check(call(how, self.handle, c.byref(handle)))
        return Database(handle)

    def put(self, key, value):
        self.check(call("put", self.handle, key.encode(), value, len(value), 0))

    def get(self, key):
        value, size = c.c_void_p(), c.c_size_t()
        self.check(call("get", self.handle, key.encode(), c.byref(value), c.byref(size)))
        result = c.string_at(value, size.value)
        call("free", value)
        return result

    def remove(self, key):
        self.check(call("remove", self.handle, key.encode()))

    def keys(self, prefix=b"", seek=None):
        cursor, entry = c.c_void_p(), Entry()
        wanted = Range(struct_size=c.sizeof(Range), prefix=prefix, prefix_len=len(prefix))
        self.check(call("scan", call("root", self.handle), c.byref(wanted), c.byref(cursor)))
        if seek:
            self.check(call("seek", cursor, seek, len(seek), SEEK_REVERSE))
        result = []
        while self.check(call("next", cursor, c.byref(entry))) == 0:
            result.append(entry.name.decode())
        call("scan_end", cursor)
        return result

    def attributes(self, key):
        data, attr = c.c_void_p(), Attr()
        self.check(call("search", call("root", self.handle), key.encode(), len(key),
                        c.byref(data), c.byref(attr)))
        call("release", data, 1)
        return attr

    def end(self, how):
        rc = call(how, self.handle)
        if rc:
            raise Failure(call("strerror", rc).decode())


passed = failed = 0


def test(sentence, got, expected):
    global passed, failed
    if got == expected:
        passed += 1
        print("ok", sentence)
    else:
        failed += 1
        print(f"not ok {sentence}\n    expected {expected!r}\n    got      {got!r}")


def failure(function, *args):
    try:
        function(*args)
    except Failure as error:
        return str(error)
    return None


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def main(path):
    db = Database.open(path)
    test("the version is a string", call("version").decode().count("."), 2)
    for name in "ash", "banyan", "beech", "oak":
        db.put(name, name.upper().encode())
    test("a value comes back", db.get("oak"), b"OAK")
    test("keys come in order", db.keys(), ["ash", "banyan", "beech", "oak"])
    test("with a prefix", db.keys(b"b"), ["banyan", "beech"])
    test("backwards from a place", db.keys(seek=b"n"), ["beech", "banyan", "ash"])
    test("attributes come with a search", db.attributes("oak").size, 3)
    test("an error names the key", failure(db.get, "elm"), "get 'elm': No such file or directory")

    view = db.derived("view")
    batch = db.derived("begin")
    in_thread(batch.put, "elm", b"ELM")
    in_thread(batch.remove, "ash")
    test("a batch sees what other threads did in it", batch.keys(), ["banyan", "beech", "elm", "oak"])
    test("nobody else does", db.keys(), ["ash", "banyan", "beech", "oak"])
    in_thread(batch.end, "commit")
    test("committed by a thread, it is there", db.keys(), ["banyan", "beech", "elm", "oak"])
    test("a view shows what was", view.keys(), ["ash", "banyan", "beech", "oak"])
    test("and cannot be written", failure(view.put, "x", b""), "put 'x': opened for reading only")

    batch = db.derived("begin")
    in_thread(batch.put, "gone", b"")
    call("abort", batch.handle)
    test("an aborted batch leaves nothing", db.keys(b"gone"), [])
    test("a batch cannot be synced", call("sync", db.derived("begin").handle) < 0, True)
    # That batch is still open, and its owner has lost it: the close ends it
    db.end("close")
    test("a view outlives its database", view.get("ash"), b"ASH")
    view.end("close")
    db = Database.open(path)
    test("what was committed is there", db.keys(), ["banyan", "beech", "elm", "oak"])
    db.end("close")


with tempfile.TemporaryDirectory() as directory:
    main(os.path.join(directory, "python.banyan"))
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
