/* SPDX-License-Identifier: MIT */
/*
 * banyan.h - the public interface of libbanyan, and the only public header.
 *
 * A Banyan database is one file. It holds an ordered key-value store: a B-tree
 * index over an append-only log. A *key* is a name of 1 to 255 bytes in a *key
 * space*; it points to a *Data*, the object that a value lives in. Several keys
 * may point to the same Data (*aliases*), and a key space is itself a Data, so
 * key spaces nest.
 *
 * Errors. A function that can fail returns a negative errno value, which
 * banyan_strerror() puts into words; out parameters are written on success
 * only. The values with a meaning of their own here:
 *
 *   -ENOENT     the key does not exist
 *   -EEXIST     the key exists already
 *   -EUCLEAN    damaged structure: a record or a node that makes no sense
 *   -EBADMSG    checksum mismatch: bytes that are not those once written
 *   -EROFS      opened read-only
 *   -EPERM      the flags of a Data forbid it; a key space can have no alias
 *   -EBUSY      open for writing elsewhere
 *   -EIO        a sync or a write failed, or another program has cut, deleted
 *               or replaced the file; nothing more is written
 *   -ENOSPC, -EDQUOT, -EFBIG  no room: nothing is changed by what did not fit
 *   -EMEDIUMTYPE      not a Banyan database
 *   -EPROTONOSUPPORT  written by a newer format than this library knows
 *   -E2BIG      the batch is too large for one record
 *   -ESTALE     the Data is gone
 *   -ECHILD     the handle was made before a fork(2), by the parent process
 *   -ECANCELED  cancelled; of a batch: its database was closed
 *   -EINVAL     an argument that is never right: NULL, a flag that is not
 *               known, a call that this kind of handle does not have
 *
 * Handles. A `banyan *` is a database as banyan_open() gave it, a view of it
 * (banyan_view()) or a batch (banyan_begin()). Functions that read take any of
 * them. A Data and a cursor belong to the handle through which they were found,
 * and cannot be used after it is closed; what is found through one handle
 * cannot be passed to a function together with what is of another: -EXDEV.
 *
 * The file. Only the library may write to it. Before each append it compares
 * the file's size with what it has written, and at each sync and at close it
 * looks whether the file was cut, deleted, or replaced by another one at its
 * path. If so, all later writes and syncs fail with -EIO, and the report
 * callback (struct banyan_options) gets the reason. Moving the file, or giving
 * it further names, does no harm: the database goes on in it.
 *
 * Signals. The library handles none. A write beyond RLIMIT_FSIZE (ulimit -f)
 * fails with -EFBIG, as one on a full disk does with -ENOSPC: deletes still
 * have room, and with a higher limit writes succeed again. The kernel may send
 * SIGXFSZ, which ends the process by default: callers should ignore it, as in
 * signal(SIGXFSZ, SIG_IGN).
 *
 * Threads. Every function may be called from any thread at any time, with two
 * exceptions: banyan_close(), banyan_commit() and banyan_abort() must be the last
 * call on their handle, and a cursor is used by one thread at a time. Writers
 * take turns. Readers never wait for an open batch or a sync, and see nothing
 * that is not committed. (One case waits for the record of a commit to be
 * written: to come to hold a Data whose last key this commit deletes.)
 *
 * Processes. After fork(2) only the process that opened a database can use it.
 * In the child every function fails with -ECHILD and touches neither the file
 * nor its lock; banyan_close() closes the child's descriptor of the file, and
 * returns 0. (The memory stays until the child ends or calls exec(3): threads of
 * the parent may have been changing it at the fork.) A program that becomes a
 * daemon by a fork opens the database afterwards, in the child.
 *
 * Structures that a caller fills in begin with struct_size, so that they can grow:
 * let it be the sizeof of the structure. 0 means the size that it had in version
 * 0.1. -E2BIG if a program sets a field that this library does not know yet.
 *
 * Units. Sizes and offsets are bytes, times are struct banyan_time.
 */
#ifndef BANYAN_H
#define BANYAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BANYAN_VERSION "0.1.0"

#define BANYAN_NAME_MAX 255 /* bytes in a name */
#define BANYAN_XATTR_MAX 65536 /* bytes in the value of an attribute */
#define BANYAN_XATTR_LIST_MAX 65536 /* bytes of all names of a Data, NULs too */
#define BANYAN_VALUE_MAX INT64_MAX /* bytes in a value */
#define BANYAN_ROOT_ID 1 /* the id of the root key space */
#define BANYAN_CACHE_DEFAULT (256u << 20)
#define BANYAN_CACHE_MIN (1u << 20)
/*
 * The first and the last second that a time can have: 1901-12-13 20:45:52 and
 * 2486-07-02 20:20:25 UTC. The last one ends after 709551615 ns.
 */
#define BANYAN_TIME_MIN INT64_C(-2147483648)
#define BANYAN_TIME_MAX INT64_C(16299260425)

typedef struct banyan banyan; /* an open database */
typedef struct banyan_data banyan_data; /* a Data that is held */
typedef struct banyan_cursor banyan_cursor; /* a scan in progress */

/* ---- open and close --------------------------------------------------- */

enum {
	BANYAN_CREATE = 1 << 0, /* create the file if there is none */
	BANYAN_EXCLUSIVE = 1 << 1, /* with CREATE: -EEXIST if there is one */
	BANYAN_READ_ONLY = 1 << 2, /* the state at this moment, for ever */
};

/*
 * Which operations a thread has made, in memory that outlives the process: so the
 * next process can tell whether the last one was made. See struct banyan_keeper.
 */
struct banyan_note {
	uint64_t made; /* operations, since the caller cleared it */
	uint64_t offset; /* of the record that is being written; 0: none is */
	uint64_t end;
};

/*
 * Operations that the calling thread makes from now on, a batch that it commits, too,
 * are noted there; NULL: nowhere.
 */
void banyan_set_note(struct banyan_note *note);

/*
 * For a program that is to go on when the process dies that has the database open:
 * another of its processes, which does nothing else, keeps descriptors of the file,
 * and with them the lock, and starts the next process. Nobody else can open the
 * database for writing in between. See banyan_restore_holds() for the rest of what
 * such a program needs.
 */
#define BANYAN_SYNC_FAILED 0x80000000u
struct banyan_keeper {
	/* What was kept of the process that has died. The one that is the file at
	 * path is used instead of a new descriptor. */
	const int *files;
	size_t file_count;
	/* The notes of its threads. Before anything is written, an operation that was
	 * being written is counted if it is in the file. */
	struct banyan_note *const *notes;
	size_t note_count;
	/* How many syncs are going on, in memory that outlives the process. If it is 0
	 * in the next process, then what the kernel has of the file is what the disk has
	 * or will get, and need not be synced and read again. BANYAN_SYNC_FAILED: what
	 * has returned to callers may be lost, so nobody can go on: -EIO. NULL: all that
	 * is not known. */
	uint32_t *unsure;
	/* fd has the lock of the database; who keeps it has to duplicate it. First
	 * (settled false) when its file is about to take the place of the present
	 * one, as at the end of a vacuum, then when the file has its place: then all
	 * others need not be kept. Called at open, too. May be NULL. */
	void (*keep)(void *arg, int fd, bool settled);
	void *arg;
};

struct banyan_options {
	size_t struct_size;
	unsigned flags; /* BANYAN_CREATE ... */
	mode_t mode; /* of a new file; 0 means 0644 less the umask */
	uint64_t cache_bytes; /* limit of RAM in use; 0 means the default */
	/* With READ_ONLY: the state at the freeze with this number (see
	 * banyan_freezes()), for ever; 0 means the present. -ENOENT if there is
	 * none, -EINVAL without READ_ONLY. */
	uint64_t freeze;
	/* Told, one line without a newline at a time, what return values
	 * cannot say: the place of damage, what recovery did. May be NULL. May
	 * be called from any thread that is inside the library. */
	void (*report)(void *arg, const char *line);
	void *report_arg;
	const struct banyan_keeper *keeper; /* NULL: none */
};

/*
 * Open the database at path, or one in memory if path is ":memory:" (always
 * new, gone at close). options may be NULL. A writable open takes the lock of
 * the file: -EBUSY if another process or handle has it; a read-only open needs
 * no lock, and shows all operations that had returned when it was called.
 * What was done since the last freeze and does not fit into cache_bytes is frozen
 * on the way. A read-only open keeps it in memory, unless it is far too much:
 * -ENOMEM.
 * Creation is atomic: after a crash there is either no file or a whole one.
 */
int banyan_open(const char *path, const struct banyan_options *options,
		banyan **db);

/*
 * Close a handle. Every cursor must have been ended; a Data that is still held is
 * released. The handle is gone even if an error comes back. NULL is fine.
 *
 * Of a database: freeze and sync; an error says that the last operations may
 * not be durable. Its batches must have been ended; one that is open is aborted.
 * Views may still be used until they are closed. A batch that is closed is aborted.
 */
int banyan_close(banyan *db);

/* The text for a value returned by this library; never NULL, not to be freed */
const char *banyan_strerror(int error);

/*
 * What failed last on this handle, in any thread, as one line with the key or
 * the place: "put 'people/ada': read-only file system". As snprintf(3): the
 * length of the text, of which at most size - 1 bytes and a NUL are stored. 0 if
 * nothing has failed yet.
 */
size_t banyan_last_error(banyan *db, char *text, size_t size);

/* The version of the library in use, as BANYAN_VERSION is that of this header */
const char *banyan_version(void);

/*
 * The process that has the database at path open for writing: its pid, 0 if
 * there is none, -1 if there is one that cannot be named, or a negative errno
 * value below -1. A hint: it may be out of date on return.
 */
pid_t banyan_holder(const char *path);

/* The handle cannot write, for ever */
bool banyan_read_only(const banyan *db);

/* As struct timespec has it: of times before 1970, too, nsec counts upwards */
struct banyan_time {
	int64_t sec; /* since 1970-01-01 00:00 UTC; may be negative */
	uint64_t nsec; /* 0 to 999999999 */
};

/*
 * A read-only handle that shows what is committed now, for as long as it is open,
 * whatever is written meanwhile. Making one takes microseconds; it shares the
 * cache with db. Of a view: another one that shows the same. -EINVAL for a batch.
 * A view keeps the redo tables of its moment in memory until it is closed.
 */
int banyan_view(banyan *db, banyan **view);

/*
 * Likewise the state of the past: at the freeze with this number, or after the
 * last operation that came before or at that time. The past begins with the
 * first freeze in the file: -ENOENT if it is later, or if there is no such
 * freeze. A vacuum leaves out the operations before the freezes that it keeps: a
 * time between two of them is -ENOENT, too. An operation has the time of the system's clock, so if that was set
 * back, the first operation that is later ends the state that is shown. A view
 * at a time takes as long as replay from the freeze before it would, and has
 * these operations in memory. -EINVAL for a view and for a batch.
 */
int banyan_view_at_freeze(banyan *db, uint64_t number, banyan **view);
int banyan_view_at_time(banyan *db, struct banyan_time time, banyan **view);

/* Likewise the state that a snapshot has (see banyan_snapshot()); the view stays
 * as it is if the snapshot is dropped. -ENOENT. */
int banyan_view_snapshot(banyan *db, const char *name, size_t len,
			 banyan **view);

/* ---- Data ------------------------------------------------------------- */

/*
 * Attributes of a Data. mode has the type bits of stat(2).
 *
 * The library takes times from CLOCK_REALTIME_COARSE, as the kernel's file
 * systems do. This clock advances every 1 to 10 ms; two changes of a value in
 * between have the same mtime. The ctime of a Data is strictly increasing: if the
 * clock has not advanced, or was set back, the next ctime is 1 ns after the last
 * one. (Only behind the last time that can be kept there is no later one: the
 * ctime is that of the clock again.)
 */
struct banyan_attr {
	uint64_t id; /* never changes, is never used again */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink; /* keys; of a key space 2 + key spaces in it */
	uint32_t flags; /* BANYAN_IMMUTABLE, ... */
	uint32_t reserved; /* 0 */
	uint64_t size; /* bytes of the value; of a key space 0 */
	uint64_t stored; /* bytes that are not holes */
	uint64_t rdev; /* of a device, as in stat(2) */
	struct banyan_time birth;
	struct banyan_time atime;
	struct banyan_time mtime;
	struct banyan_time ctime;
};

/*
 * Flags of a Data, as chattr(1) sets them. What they forbid fails with -EPERM,
 * whoever asks for it.
 */
enum {
	/* Nothing of it changes, it gets and loses no key, and of a key space: nor do
	 * keys in it */
	BANYAN_IMMUTABLE = 1 << 0,
	/* Likewise, but bytes may be written behind its end and keys made in it, and
	 * its times may become those of now */
	BANYAN_APPEND_ONLY = 1 << 1,
	BANYAN_NO_DUMP = 1 << 2, /* forbids nothing */
};

/* Which attributes banyan_set_attr() sets */
enum {
	BANYAN_SET_MODE = 1 << 0, /* permission bits only */
	BANYAN_SET_UID = 1 << 1,
	BANYAN_SET_GID = 1 << 2,
	BANYAN_SET_SIZE = 1 << 3,
	BANYAN_SET_ATIME = 1 << 4,
	BANYAN_SET_MTIME = 1 << 5,
	BANYAN_SET_ATIME_NOW = 1 << 6,
	BANYAN_SET_MTIME_NOW = 1 << 7,
	BANYAN_SET_KEEP_MTIME = 1 << 8, /* SET_SIZE leaves mtime alone */
	BANYAN_SET_FLAGS = 1 << 9,
};

/* An extended attribute; see banyan_set_xattr() */
struct banyan_xattr {
	const char *name;
	const void *value;
	size_t size;
};

/* What a new Data is made of */
struct banyan_new {
	size_t struct_size;
	uint32_t mode; /* type and permissions; no type means regular file */
	uint32_t uid;
	uint32_t gid;
	uint64_t rdev; /* character and block devices */
	const void *value; /* first contents; the target of a symlink */
	size_t size;
	const struct banyan_xattr *xattrs; /* its extended attributes */
	size_t xattr_count;
};

/* The root key space. Valid until banyan_close(); need not be released. */
banyan_data *banyan_root(banyan *db);

/*
 * A held Data stays usable, even when its last key is deleted, until it has
 * been released as often as it was held. All functions that hand one back have
 * held it once for the caller. The same id gives the same pointer for as long
 * as it is held by anybody.
 */
void banyan_hold(banyan_data *data);
void banyan_release(banyan_data *data, uint64_t times);

uint64_t banyan_id(const banyan_data *data);
banyan *banyan_db(const banyan_data *data);

/*
 * The Data with this id, which the caller holds already, or else somebody who does
 * not release it meanwhile: no hold is added. NULL if nobody holds it. It takes some
 * 30 ns, so a program can remember ids and need no table of pointers.
 */
banyan_data *banyan_held(banyan *db, uint64_t id);

/*
 * The id of the key space in which the key of a held Data lies. 0: it is a key space, it
 * has or had further keys, it has none, or the handle is no store. Nothing is read for
 * it: some 100 instructions.
 */
uint64_t banyan_home(banyan_data *data);

/*
 * Hold the Data again that a process held which had the database open and died, those
 * without a key, too. To be called before anything else, as a Data without a key that
 * nobody holds is swept sooner or later. An id of which there is no Data is passed
 * over. The time is that of one pass over all keys (see banyan_find_id()), and memory
 * is taken for what is held. 0 or an error, with some of them held.
 */
struct banyan_holds {
	uint64_t id;
	uint64_t times; /* 0: not at all */
};
int banyan_restore_holds(banyan *db, const struct banyan_holds *holds,
			 size_t count);

/*
 * Eight bits for the caller's own use, which are 0 when the Data comes to be held and
 * are forgotten with the last hold. Set, or clear, those in bits.
 */
void banyan_set_tag(banyan_data *data, uint8_t bits, bool on);
uint8_t banyan_tag(const banyan_data *data);

/*
 * Hold the Data with this id. -ESTALE if there is none, or if it has no key any
 * more. A Data that is held, a key space, and a Data that has, or had, several keys
 * are found at once. Any other is stored with its key, of which the id says nothing:
 * then all keys of the database are gone through, 0.06 s for a million of them if
 * they are in the cache.
 */
int banyan_find_id(banyan *db, uint64_t id, banyan_data **data);

/*
 * The Data that the key called name in a key space points to. attr, if not NULL,
 * gets its attributes. -ENOENT, -ENOTDIR, -ENAMETOOLONG.
 */
int banyan_search(banyan_data *space, const char *name, size_t len,
		  banyan_data **data, struct banyan_attr *attr);

/* Flags of the functions that make, remove and move keys */
enum {
	BANYAN_NO_REPLACE = 1 << 0, /* move: -EEXIST if the target exists */
	BANYAN_EXCHANGE = 1 << 1, /* move: swap the two keys */
	BANYAN_ONLY_SPACE = 1 << 2, /* delete: -ENOTDIR unless a key space */
	BANYAN_NOT_SPACE = 1 << 3, /* delete: -EISDIR if a key space */
};

/*
 * Make a key with a new Data. The type bits of make->mode say which kind.
 * -EEXIST if the key exists, -EINVAL for an unfit name. data may be NULL. attr,
 * if not NULL, gets the attributes.
 */
int banyan_insert(banyan_data *space, const char *name, size_t len,
		  const struct banyan_new *make, banyan_data **data,
		  struct banyan_attr *attr);

/*
 * Make a Data that has no key yet: give it one with banyan_insert_data(), or
 * release it and it is gone (after a crash too).
 */
int banyan_insert_unnamed(banyan *db, const struct banyan_new *make,
			  banyan_data **data, struct banyan_attr *attr);

/*
 * Make a further key, an alias, of an existing Data (link(2)). Key spaces
 * cannot have aliases: -EPERM. -EEXIST if the key exists.
 */
int banyan_insert_data(banyan_data *space, const char *name, size_t len,
		       banyan_data *data);

/*
 * Delete a key. If data is not NULL the Data that it pointed to is handed back
 * and lives on while it is held. -ENOTEMPTY for a key space with keys in it.
 */
int banyan_delete(banyan_data *space, const char *name, size_t len,
		  unsigned flags, banyan_data **data);

/*
 * Move a key; nothing is copied, whatever it points to. A key in the way is
 * replaced as rename(2) replaces it. flags: NO_REPLACE or EXCHANGE. -EINVAL
 * for a key space that would end below itself.
 */
int banyan_move(banyan_data *space, const char *name, size_t len,
		banyan_data *new_space, const char *new_name, size_t new_len,
		unsigned flags);

/* The id of the key space that a key space lies in; the root's is itself */
int banyan_parent(banyan_data *space, uint64_t *id);

int banyan_get_attr(banyan_data *data, struct banyan_attr *attr);

/*
 * Set the attributes named by which (BANYAN_SET_...) in one operation; ctime
 * follows. A time before BANYAN_TIME_MIN or after BANYAN_TIME_MAX becomes the
 * nearest one that can be kept; -EINVAL if its nsec are a second or more. after,
 * if not NULL, gets all attributes as they are then. A value of more than
 * 100,000 extents is cut in several operations, from its end.
 */
int banyan_set_attr(banyan_data *data, const struct banyan_attr *attr,
		    unsigned which, struct banyan_attr *after);

/* ---- contents --------------------------------------------------------- */

enum {
	BANYAN_APPEND = 1 << 0, /* write: offset is the end of the value */
	BANYAN_KILL_PRIV = 1 << 1, /* write: clear set-id bits, as write(2) */
	BANYAN_KEEP_MTIME = 1 << 2, /* write: leave mtime to the caller */
};

/*
 * Read up to size bytes at offset: the number read, short only at the end of
 * the value. Holes read as zeros. Of a symlink: its target.
 */
ssize_t banyan_read(banyan_data *data, void *buffer, size_t size,
		    uint64_t offset);

/*
 * The value of a key, without holding its Data: copies its first size bytes at
 * the most, and gives its whole size. The fastest way to read many keys of one
 * key space. Errors as banyan_search() and banyan_read() have them.
 */
ssize_t banyan_fetch(banyan_data *space, const char *name, size_t len,
		     void *buffer, size_t size);

/*
 * Write size bytes at offset, all of them or none. after, if not NULL, gets the
 * attributes as they are then.
 */
int banyan_write(banyan_data *data, const void *buffer, size_t size,
		 uint64_t offset, unsigned flags, struct banyan_attr *after);

int banyan_truncate(banyan_data *data, uint64_t size);

/*
 * Make a hole of size bytes at offset (they then read as zeros). keep_size:
 * the value does not grow if the hole ends beyond it. A hole where more than
 * 100,000 extents were is made by several operations, in order.
 */
int banyan_punch(banyan_data *data, uint64_t offset, uint64_t size,
		 bool keep_size);

/*
 * Let size bytes at target_offset be those at source_offset, by sharing them
 * in the log. The number of bytes: short at the end of the source. -EINVAL if
 * the ranges overlap in one Data.
 */
int64_t banyan_clone(banyan_data *source, uint64_t source_offset,
		     banyan_data *target, uint64_t target_offset,
		     uint64_t size);

/* The next data or hole at or after offset, as lseek(2) has it; -ENXIO */
int64_t banyan_seek_data(banyan_data *data, uint64_t offset);
int64_t banyan_seek_hole(banyan_data *data, uint64_t offset);

/* ---- extended attributes ---------------------------------------------- */

enum {
	BANYAN_XATTR_CREATE = 1 << 0, /* -EEXIST if there is one */
	BANYAN_XATTR_REPLACE = 1 << 1, /* -ENODATA if there is none */
};

/*
 * As getxattr(2) and its family: with size 0 get and list return the size that
 * is needed, -ERANGE if it is more than size. list puts a NUL behind each name.
 * set: -ENOSPC if the list would be longer than BANYAN_XATTR_LIST_MAX bytes,
 * the most that the kernel lists. Of a Data that has more, from before there
 * was a limit, list gives the names that fit.
 */
ssize_t banyan_get_xattr(banyan_data *data, const char *name, void *value,
			 size_t size);
int banyan_set_xattr(banyan_data *data, const char *name, const void *value,
		     size_t size, unsigned flags);
ssize_t banyan_list_xattr(banyan_data *data, char *names, size_t size);
int banyan_remove_xattr(banyan_data *data, const char *name);

/* ---- scans ------------------------------------------------------------ */

/* Which keys of a key space, and in which order. All zeros: all, ascending. */
struct banyan_range {
	size_t struct_size;
	const char *prefix; /* only names that begin so; NULL: any */
	size_t prefix_len;
	const char *from; /* first name, inclusive; NULL: no bound */
	size_t from_len;
	bool after; /* from itself is left out */
	const char *to; /* last name, exclusive; NULL: no bound */
	size_t to_len;
	bool reverse; /* from the last name down */
	bool names_only; /* of attr only id and the type in mode are set */
	bool values; /* the values, too, of files and symlinks */
};

/* Bytes of the longest value that a scan with values hands out */
#define BANYAN_SCAN_VALUE_MAX (1u << 20)

struct banyan_entry {
	const char *name; /* NUL-terminated; valid until the next call */
	size_t len;
	struct banyan_attr attr;
	/* With values: attr.size bytes, valid until the next call. NULL if
	 * there are more than BANYAN_SCAN_VALUE_MAX (see banyan_entry_data()),
	 * and of what has no value. */
	const void *value;
};

/*
 * Scan the keys of a key space in order of their bytes. The cursor shows the
 * moment at which it was made, whatever is written meanwhile, and must be
 * ended. -ENOTDIR.
 */
int banyan_scan(banyan_data *space, const struct banyan_range *range,
		banyan_cursor **cursor);

/* 0: *entry is the next key. 1: there is none. Negative: an error. */
int banyan_next(banyan_cursor *cursor, struct banyan_entry *entry);

/*
 * Hold the Data of the key that banyan_next() gave last. -ESTALE if it has been
 * deleted since the cursor was made.
 */
int banyan_entry_data(banyan_cursor *cursor, banyan_data **data);

enum {
	BANYAN_SEEK_REVERSE = 1 << 0, /* go down from there */
};

/*
 * Let banyan_next() go on at the first key at or behind name, or with
 * SEEK_REVERSE at the last key at or before it, and from there in that direction.
 * The cursor keeps to its range, and to the moment that it shows. name NULL: the
 * first, or last, key of the range. -ENAMETOOLONG.
 */
int banyan_seek(banyan_cursor *cursor, const char *name, size_t len,
		unsigned flags);

void banyan_scan_end(banyan_cursor *cursor); /* NULL is fine */

/* ---- by path, for people ---------------------------------------------- */

/*
 * A path is names joined by '/'; leading, trailing and doubled slashes do not
 * matter, and the empty path is the root key space. "." and ".." are not names.
 * Symlinks are not followed. A new Data belongs to the effective user and group
 * and gets mode 0644 (0755 for a key space) less the umask.
 */
int banyan_find(banyan *db, const char *path, banyan_data **data);

enum {
	BANYAN_NEW_ONLY = 1 << 0, /* put: -EEXIST if the key exists */
	BANYAN_PARENTS = 1 << 1, /* make the key spaces that are missing */
};

/*
 * Let the key's value be these bytes: makes the key, or writes through to its
 * Data, aliases included. One atomic operation.
 */
int banyan_put(banyan *db, const char *path, const void *value, size_t size,
	       unsigned flags);

/*
 * Let the key's value be all that source holds, likewise; nothing is copied.
 * For values that are not in memory as a whole: write them to an unnamed Data
 * first.
 */
int banyan_put_data(banyan *db, const char *path, banyan_data *source,
		    unsigned flags);

/*
 * The whole value: *value is to be freed with banyan_free(), and has a NUL
 * behind its *size bytes. -EISDIR for a key space, -EFBIG if it is beyond
 * SIZE_MAX.
 */
int banyan_get(banyan *db, const char *path, void **value, size_t *size);
void banyan_free(void *value); /* NULL is fine */

int banyan_remove(banyan *db, const char *path);
int banyan_alias(banyan *db, const char *path, const char *alias);
int banyan_rename(banyan *db, const char *path, const char *new_path,
		  unsigned flags);
int banyan_make_space(banyan *db, const char *path, unsigned flags);

/*
 * Call visit for each key below the key space at path, parents before what is
 * in them, each level in order; path in the call is relative to the start. A
 * visit that returns non-zero ends the walk with that value. range applies to
 * the first level, but its reverse and names_only to all; NULL: all keys. Any
 * depth will do; of a level more than 32 above the one at hand what is written
 * meanwhile may be shown. -ELOOP: a key space of a damaged file lies in itself.
 */
typedef int banyan_visit(void *arg, const char *path,
			 const struct banyan_entry *entry);
int banyan_walk(banyan *db, const char *path, const struct banyan_range *range,
		bool recursive, banyan_visit *visit, void *arg);

/* ---- differences ------------------------------------------------------ */

/* A key whose Data is not the same in two states */
struct banyan_change {
	const char *path; /* of the key, without a slash at its beginning */
	/* NULL: there is no such key before, or after */
	const struct banyan_attr *before;
	const struct banyan_attr *after;
};

/*
 * Visit each key that was added, removed or changed from one state to the
 * other: two views, or a view and the database, of one banyan_open(); else
 * -EXDEV. A key was changed if it points to another Data, or if the Data or its
 * attributes were changed; of a key space its mode, owner and extended
 * attributes count. Each alias of a Data is a key. A key space that was moved
 * is removed and added; what is in it has moved with it, and is not told. The
 * order is by key space and name. A visit that returns non-zero ends it with
 * that value; what it is given is valid until it returns. The cost follows what
 * has changed, unless a vacuum was between the two states. -EINVAL for a batch.
 */
int banyan_diff(banyan *before, banyan *after,
		int (*visit)(void *arg, const struct banyan_change *change),
		void *arg);

/* ---- history ---------------------------------------------------------- */

/*
 * The file has each operation since its first freeze, so what became of a key
 * is known from there on. A vacuum is the end of that: it leaves nothing of what
 * was before it, but for the freezes that it keeps. Between two of these the
 * operations are not known; what differs is told with the time of the later one.
 *
 * A key is known by its path, not by the id of its Data, since editors save by
 * moving a new Data onto it. Keys that do not exist now, in key spaces that do
 * not exist now, have a history like others.
 *
 * These functions go over the whole log once. They keep what they find in a file
 * without a name, beside the database or where that cannot be in the directory
 * for temporary files ($TMPDIR), so that their memory has a limit. They may be
 * called from any thread, while others write: what others do meanwhile may be
 * told or not. All want the handle that banyan_open() gave: -EINVAL for a view
 * and for a batch. -EUCLEAN, -EBADMSG: the log, or a tree of the past, is
 * damaged. Of a database that was opened read-only, the history goes up to the
 * state that it shows.
 */

/* What became of a key */
enum banyan_event {
	BANYAN_KEPT, /* it was there at the first freeze in the file */
	BANYAN_MADE, /* also by a move to this place */
	BANYAN_CHANGED, /* its contents */
	BANYAN_ATTRIBUTES, /* all else: mode, times, aliases, attributes */
	BANYAN_REPLACED, /* by another Data, as by a move onto it */
	BANYAN_MOVED, /* away, or a key space that it is in was */
	BANYAN_DELETED, /* its Data may live on under another key */
};

struct banyan_version {
	/* banyan_view_at_time() shows the version; unless the clock was set back
	 * and showed this time, or a later one, once before */
	struct banyan_time time;
	enum banyan_event event;
	struct banyan_attr
		attr; /* as the event left it; MOVED, DELETED: before */
};

/*
 * The versions of the key at path, newest first. Of a key space, what changes
 * its mode, owner and extended attributes makes a version, not what its keys
 * do. A visit that returns non-zero ends it with that value. -ENOENT: the file
 * knows nothing of such a key. -EINVAL, -ENAMETOOLONG: a path that no key has.
 */
int banyan_log(banyan *db, const char *path,
	       int (*visit)(void *arg, const struct banyan_version *version),
	       void *arg);

/* A key that does not exist now */
struct banyan_deleted_key {
	/* Without a slash at its beginning. Key spaces that exist have the names
	 * that they have now, others those that they had last. */
	const char *path;
	struct banyan_time time; /* of the deletion */
	uint64_t id; /* of its Data */
	uint64_t size;
	uint32_t type; /* S_IFREG, S_IFDIR ..., as in the mode */
};

/*
 * Visit the keys that were deleted and do not exist now, newest deletion first:
 * all, or those at any depth below the key space at path, which need not exist
 * (NULL, "": all). Also what was made and deleted between two freezes, and each
 * key that was in a key space that was deleted. Keys that were moved away are
 * not told, nor those whose Data lives on under another key, nor those that
 * exist again: see banyan_log(). What the visit is given is valid until it
 * returns; if it returns non-zero, that ends it and comes back.
 */
int banyan_deleted(banyan *db, const char *path,
		   int (*visit)(void *arg,
				const struct banyan_deleted_key *key),
		   void *arg);

/*
 * Bring back a key that was deleted: as it was before its deletion, at its path,
 * or at `to` if that is not NULL. path is as banyan_deleted() tells it.
 *
 * A key gets a new Data (an id is never used again) with the contents, which are
 * referred to and not copied, attributes, extended attributes, mtime, atime and
 * time of birth; ctime is now. Its other aliases of then come back as well, where
 * nothing is in the way. If the Data lives on under another key, an alias of it
 * is made.
 *
 * A key space comes back with what was in it after the last change in it, at any
 * depth, that was no deletion: so with all that was deleted since, be it key by
 * key, but not with what was deleted before that change.
 *
 * All is done in one batch, or in several if it does not fit into one (or if a
 * value has tens of thousands of extents). Then, when an error comes back, a part
 * may be there. made, if not NULL, is told the
 * paths of the keys that have come back when all is committed, but for those in
 * a key space that has. -EEXIST: there is such a key (give another one as `to`:
 * then the last deletion of the key at path counts, even if it exists again).
 * -ENOENT, -ENOTDIR: there is no key space for it. -EPERM: that, or the Data that
 * lives on, is immutable. -ENODATA: it was not deleted, as far as the file knows.
 * -ESTALE: a vacuum has ended between two batches. -EROFS, -EINVAL (a batch).
 */
int banyan_undelete(banyan *db, const char *path, const char *to,
		    void (*made)(void *arg, const char *path), void *arg);

/*
 * Bring back many keys as banyan_undelete() does each, at their own paths, in any
 * order: the log is read twice, however many there are. A key that exists by its
 * turn is passed by, since a key space that is among them may have brought it
 * back. What cannot come back is left out; if nothing worse happens, the reason
 * for one of them comes back when all others are there: -ENODATA, -ENOENT,
 * -ENOTDIR or -EPERM.
 */
int banyan_undelete_keys(banyan *db, const char *const *paths, size_t count,
			 void (*made)(void *arg, const char *path), void *arg);

/* ---- batches ---------------------------------------------------------- */

/*
 * A batch: operations that are committed as one. It is a handle, through which
 * they are made and which sees what they have done so far; nobody else sees
 * anything of it before it is committed. Any thread may use it, one call at a
 * time. It belongs to no thread: one that ends leaves it as it is.
 *
 * banyan_begin() waits for its turn, and all other writers wait until the batch
 * ends: a thread that has a batch open and writes through another handle waits
 * for itself, and so does banyan_freeze(). -EROFS, -EINVAL for a batch.
 *
 * An operation that fails changes nothing and the batch may go on; -E2BIG when
 * it is full (about 2.5 MiB of keys and of values up to a few hundred bytes;
 * longer values count little). Where memory, space or the disk fails in the
 * middle of an operation that cannot be taken back alone, the whole batch is
 * lost: this error is what all its operations, reads through it and
 * banyan_commit() then say, and nothing of it is applied.
 *
 * A cursor shows what the batch has done before the cursor was made; what it does
 * later may be seen or not.
 */
int banyan_begin(banyan *db, banyan **batch);

/*
 * Hold in a batch a Data that is held through the database, to use it together with
 * what is found through the batch. -ESTALE if the batch itself has moved or deleted it
 * before; -EXDEV: the Data is of a view, or of another database.
 */
int banyan_hold_in(banyan *batch, banyan_data *data, banyan_data **held);

/*
 * Commit it as one atomic operation, or drop it. The handle is gone, whatever
 * comes back. What was committed survives the process; banyan_sync() makes it
 * survive loss of power.
 */
int banyan_commit(banyan *batch);
void banyan_abort(banyan *batch); /* NULL is fine */

/* ---- records ---------------------------------------------------------- */

/*
 * A record is a row of typed fields; a schema says which they are. Packed, it
 * is a compact run of bytes in which any byte may occur: a value, or with
 * others a block that is one. Nothing here touches a database.
 */
enum banyan_type {
	BANYAN_ABSENT, /* of a value: the record has none for this field */
	BANYAN_INTEGER,
	BANYAN_FLOAT,
	BANYAN_TEXT, /* UTF-8; may have NULs in it */
	BANYAN_BYTES,
	BANYAN_BOOLEAN,
};

struct banyan_field {
	const char *name;
	enum banyan_type type;
};

#define BANYAN_FIELDS_MAX 4096 /* in a schema */

/*
 * Fields that are added at the end are absent in records packed before. All
 * else about a schema must stay as it is: records do not say what they are.
 */
struct banyan_schema {
	const struct banyan_field *fields;
	size_t count;
	size_t key; /* index of the field that names a record */
};

struct banyan_value {
	enum banyan_type type; /* of the field, or BANYAN_ABSENT */
	union {
		int64_t integer;
		double number; /* a FLOAT */
		bool boolean;
		const void *bytes; /* of TEXT and BYTES; NULL if size is 0 */
	};
	size_t size; /* of TEXT and BYTES */
};

/*
 * Is the schema fit? -EINVAL: no fields or too many, a name that is empty or
 * there twice, an unknown type, or a key field that is not an integer, text or
 * bytes. The functions below want one that is; they say -EINVAL, too, for an
 * argument that is NULL where bytes or values should be.
 */
int banyan_check_schema(const struct banyan_schema *schema);

/*
 * The name of the key for a record, from its key field: an integer in decimal,
 * others as they are. values has one for each field. Returns the length; name
 * gets a NUL behind it. -ENODATA if the field is absent, -ENAMETOOLONG, -EINVAL
 * for what is no name: empty, ".", "..", or with a '/' or a NUL in it.
 */
ssize_t banyan_record_key(const struct banyan_schema *schema,
			  const struct banyan_value *values,
			  char name[BANYAN_NAME_MAX + 1]);

/*
 * Pack a record into a buffer of size bytes: the number of bytes that it takes.
 * With size 0 only that number, -ERANGE if it is more than size. -EINVAL if a
 * value is not of the type of its field, -EILSEQ for text that is not UTF-8.
 */
ssize_t banyan_record_pack(const struct banyan_schema *schema,
			   const struct banyan_value *values, void *buffer,
			   size_t size);

/*
 * Unpack a record that is these bytes, all of them: values, one for each field,
 * point into them. -EUCLEAN if they are no record of this schema.
 */
int banyan_record_unpack(const struct banyan_schema *schema, const void *bytes,
			 size_t size, struct banyan_value *values);

/*
 * Append a record to a block that has *used of size bytes, which grows. -ERANGE
 * if there is no room, else as banyan_record_pack(). A new block has used 0.
 */
int banyan_block_append(const struct banyan_schema *schema,
			const struct banyan_value *values, void *block,
			size_t size, size_t *used);

/*
 * The record at *at in a block of size bytes; *at, 0 at first, goes to the next
 * one. 0: values are set, as banyan_record_unpack() does. 1: there is none.
 * -EUCLEAN.
 */
int banyan_block_next(const struct banyan_schema *schema, const void *block,
		      size_t size, size_t *at, struct banyan_value *values);

/* ---- the whole database ----------------------------------------------- */

/*
 * Make everything that has returned durable (fdatasync). Nothing to do for a
 * view; -EINVAL for a batch.
 */
int banyan_sync(banyan *db);

/*
 * Merge the redo table into the tree, durably: the next open starts here. Waits
 * for an open batch. -EROFS for a view, -EINVAL for a batch.
 */
int banyan_freeze(banyan *db);

struct banyan_freeze_info {
	uint64_t number; /* 1, 2, ... */
	struct banyan_time time; /* when it began: what came later is not in it */
	uint64_t offset; /* of its record in the file */
	uint64_t file_bytes; /* up to the end of its record */
	uint64_t keys;
	uint64_t live_bytes;
	bool automatic; /* not asked for by anybody */
	/* A vacuum has left out the operations since the freeze before it */
	bool gap;
};

/*
 * The freezes, newest first; of a handle that shows a past freeze, this one and
 * those before it. visit returns non-zero to end; that value comes back.
 * -EBADMSG, -EUCLEAN: the way back is broken at the next one.
 */
int banyan_freezes(banyan *db,
		   int (*visit)(void *arg, const struct banyan_freeze_info *),
		   void *arg);

/*
 * A snapshot is a freeze with a name, of 1 to 255 bytes, and with the rules that
 * names of keys have. Freeze, and give that freeze a name: it is durable when
 * this returns 0. Waits for an open batch.
 * -EEXIST: there is a snapshot of this name; -EINVAL, -ENAMETOOLONG: it is no
 * name; -EROFS for a view, -EINVAL for a batch.
 */
int banyan_snapshot(banyan *db, const char *name, size_t len);

/*
 * Take the name away: the freeze goes with the next vacuum. Views of it stay.
 * Durable with the next sync. -ENOENT.
 */
int banyan_snapshot_drop(banyan *db, const char *name, size_t len);

/* Durable with the next sync. -ENOENT; -EEXIST: the new name is another's. */
int banyan_snapshot_rename(banyan *db, const char *name, size_t len,
			   const char *new_name, size_t new_len);

struct banyan_snapshot_info {
	const char *name; /* no NUL behind it; valid until visit returns */
	size_t len;
	struct banyan_freeze_info freeze;
};

/*
 * The snapshots that there are in what the handle shows, in order of their
 * names. (A vacuum takes them out of all states but the present one.) visit
 * returns non-zero to end; that value comes back. It may take and drop snapshots.
 * -EUCLEAN, -EBADMSG: the freeze of the next one is damaged.
 */
int banyan_snapshots(banyan *db,
		     int (*visit)(void *arg,
				  const struct banyan_snapshot_info *),
		     void *arg);

struct banyan_vacuum_options {
	size_t struct_size;
	/* Bytes a second at most, but for what is written meanwhile; 0: as fast
	 * as it goes */
	uint64_t rate;
	/* Told now and then how many bytes were written, of about how many;
	 * what it returns, if not 0, ends the vacuum. It may read and write the
	 * database, but leave no batch open. May be NULL. */
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	/* Keep the freezes of the last so many seconds, as if they had names.
	 * What was between two of them is gone all the same. */
	uint64_t keep;
};

struct banyan_vacuum_result {
	size_t struct_size;
	uint64_t bytes_before; /* of the file, when the new one took its place */
	uint64_t bytes_after; /* of the new one */
	uint64_t freezes_dropped; /* that were in the file when it began */
	uint64_t freezes_kept; /* that have names, or that keep asks for */
};

/*
 * Copy what is live into a new file, and put it in the place of the old one.
 * The file that was written to goes on to be the same database: ids, held Data
 * and numbers of freezes stay, and its generation grows by one. Snapshots stay as
 * they are, and what they share with each other and the present is in the new
 * file once; so do the freezes that keep asks for. Other freezes are gone, and
 * what was deleted or overwritten before the call and is in none of these is
 * nowhere in the new file. (A snapshot that is taken while it runs may get
 * another number.) Views that are open, and other processes that read,
 * keep the old file until they close it.
 *
 * Needs room on the disk for the new file beside the old one: if there is less
 * than banyan_vacuum_plan() says, it does not begin. Other threads go on reading
 * and writing; writers wait some milliseconds at the end, and are
 * slowed down before if the vacuum cannot keep up with them. Waits for an open
 * batch. When it returns 0 the new file is durable. On an error nothing has
 * changed: -EROFS (of a view, too), -EINVAL (a batch), -EBUSY (another vacuum
 * is running, or the file is a mount point), -ENOSPC, what progress has returned; -EMLINK: the file has other
 * names (hard links), which would go on to mean the old file; -ESTALE: it is
 * not any more where it was opened; -EACCES, ...: there can be no new file in
 * its directory; -EUCLEAN, -EBADMSG: it is damaged. options and result may be
 * NULL.
 */
int banyan_vacuum(banyan *db, const struct banyan_vacuum_options *options,
		  struct banyan_vacuum_result *result);

/*
 * Give the dead parts of the file back to the disk, in place, as holes: for a disk
 * without room for the new file of a vacuum, or a file too large to be copied. The
 * past ends: earlier freezes are gone, but for snapshots, and the generation grows by one. The file's
 * size stays, the disk has less for it: that is what result tells, before and
 * after. It takes as long as reading the keys.
 *
 * It does not erase: deleted bytes stay where they share a block of 4 KiB with
 * live ones. And a copy of the file that is being made meanwhile (cp, rsync) can be
 * bad: the one case in which bytes of the file change.
 *
 * Errors as banyan_vacuum() has them, but -ENOSPC is rare: it needs room for a
 * freeze, which is kept free. -EBUSY as well if somebody reads an earlier state:
 * a view or a cursor here, or another process that has opened the file to read. If
 * it fails or is cancelled midway, nothing live is lost; the past has ended, and
 * the rest can be punched another time. options->rate is not used. Another thread
 * may read and write meanwhile. -EOPNOTSUPP: its file system has no holes.
 */
int banyan_vacuum_punch(banyan *db, const struct banyan_vacuum_options *options,
			struct banyan_vacuum_result *result);

/*
 * Write a compact copy of what the handle shows to a new file at path, as a vacuum
 * would make it, with the snapshots and the freezes that options->keep asks for. The
 * database stays as it is. Of any handle but a batch: of one that was opened to read,
 * beside its writer, too, or of a view of an earlier state. Others may read and write
 * meanwhile. -EEXIST if there is a file at path; nobody sees the new one before it is
 * whole and durable, and nothing is left of it if this fails. It belongs to the same
 * database (UUID), and its mode is that of the file, less the umask. -ENOSPC, too,
 * before anything is written, if there is less room than banyan_vacuum_plan() says.
 */
int banyan_backup(banyan *db, const char *path,
		  const struct banyan_vacuum_options *options,
		  struct banyan_vacuum_result *result);

/* What a vacuum, a backup or a punch would do, about */
struct banyan_vacuum_plan {
	size_t struct_size;
	uint64_t bytes_before; /* that the disk has for the file */
	uint64_t bytes_after; /* of the new file; of a punch: that it has then */
	uint64_t bytes_needed; /* on its disk while it is made; of a punch 0 */
	uint64_t bytes_free; /* for this user, where the new file would be; of a
			      * punch, and where nobody can know, UINT64_MAX */
	uint64_t freezes_dropped;
	uint64_t freezes_kept; /* that have names, or that keep asks for */
};

/*
 * Look ahead at a vacuum, or, if path is not NULL, at a backup to that path, with
 * the same options. It takes a read for each freeze in the file, and as many as
 * the states that are kept have nodes in which they differ. bytes_after is
 * estimated, one or two percent of the file off; it is too much if there are
 * clones, which count as often as they are referred to. Of any handle but a batch:
 * also of one that was opened to read, for what another process would do. Errors as
 * of what is looked ahead at, but -ENOSPC and -EROFS.
 */
int banyan_vacuum_plan(banyan *db, const char *path,
		       const struct banyan_vacuum_options *options,
		       struct banyan_vacuum_plan *plan);

/*
 * Look ahead at a punch. It takes as long as the punch, which reads all keys;
 * bytes_after is what it would leave, to some 100 KiB, more if there are many
 * operations since the last freeze. -EOPNOTSUPP: the file cannot have holes.
 */
int banyan_vacuum_punch_plan(banyan *db,
			     const struct banyan_vacuum_options *options,
			     struct banyan_vacuum_plan *plan);

enum banyan_loss_kind {
	BANYAN_LOSS_FREEZE, /* see struct banyan_freeze_info */
	BANYAN_LOSS_KEY, /* a deleted key, as banyan_deleted() tells it */
	BANYAN_LOSS_VERSION, /* of a key that exists, as banyan_log() tells it */
};

/* What a vacuum would drop for good */
struct banyan_loss {
	enum banyan_loss_kind kind;
	/* Of the freeze, of the deletion, or of the event that made the version */
	struct banyan_time time;
	uint64_t freeze; /* its number */
	/* Of a key or a version: its path, without a slash at its beginning (NULL
	 * for a freeze), Data, size, and type, as in the mode */
	const char *path;
	uint64_t id;
	uint64_t size;
	uint32_t type;
	enum banyan_event event; /* that made the version */
};

/*
 * Visit what a vacuum with these options would drop: freezes, the newest first;
 * keys that were deleted, the newest deletion first; versions of keys that exist,
 * by key space and name, each key's oldest first. What a freeze that is kept has is
 * not told. A version of a Data with several keys is told with one of them. Not
 * told are versions that a key had in another place, before it was moved, and those
 * of keys that do not exist, but for the last one.
 *
 * A pass over the log, as of the functions of the history, with the same errors;
 * what it finds is in a file without a name. What the visit is given is valid until
 * it returns; if it returns non-zero, that ends it and comes back.
 */
int banyan_vacuum_losses(
	banyan *db, const struct banyan_vacuum_options *options,
	int (*visit)(void *arg, const struct banyan_loss *loss), void *arg);

/*
 * A descriptor by O_PATH of the file that the database is in now: where it
 * lies, and on what, can be asked of it. After a vacuum it still means the old
 * file. To be closed by the caller. -EOPNOTSUPP if the database is in memory.
 */
int banyan_file(banyan *db);

struct banyan_stat {
	size_t struct_size;
	uint8_t uuid[16]; /* of the database, for ever */
	uint8_t file_uuid[16]; /* of this file */
	uint64_t generation; /* grows with each vacuum */
	uint64_t file_bytes;
	uint64_t live_bytes; /* of values; extended attributes do not count */
	/* What a vacuum would give back to the disk, about: some 2 % of the
	 * file off; too little if there are clones, or snapshots between which
	 * the same bytes were written several times; and up to 12 MiB too much
	 * while another process writes to the file */
	uint64_t reclaimable_bytes;
	uint64_t keys; /* names, those of key spaces included */
	uint64_t next_id;
	uint64_t freezes; /* that were made, be they still there or not */
	uint64_t durable_to; /* offset up to which all is known durable */
	uint64_t redo_bytes; /* log since the last freeze */
	uint64_t redo_rows;
	uint64_t cache_bytes; /* in use by nodes */
	uint64_t cache_limit;
	uint64_t cache_hits;
	uint64_t cache_misses;
	unsigned format; /* version of the file format */
	unsigned tree_height; /* levels of nodes */
	uint64_t held; /* Data that are held through this handle; the root, too */
};

int banyan_get_stat(banyan *db, struct banyan_stat *stat);

/*
 * Where the log of a file ends. All before is there; nothing in a file tells of
 * what came behind it, so a file that was cut short where a record ends looks
 * like one that was never longer.
 */
struct banyan_log_end {
	uint64_t freeze; /* the number of the last one */
	struct banyan_time freeze_time;
	uint64_t operations; /* that are not in it */
	struct banyan_time operation_time; /* of the last of them, if any */
	uint64_t offset;
	uint64_t tail_bytes; /* behind offset: no whole record */
	bool closed; /* a freeze is the last thing in it, as after a close */
};

/*
 * Read everything in the file at path and verify every checksum and every
 * cross-reference. Each damage goes to found as one line that names the place
 * and, where it can be told, the key. note is told what is no damage, but good
 * to know: signs that the file was cut short, which a file in use or one that a
 * crash has left has as well. progress is told how far it is (bytes) and
 * returns non-zero to cancel: -ECANCELED. Returns the number of damages, 0 if
 * the file is sound as far as *end says, or a negative errno value if the check
 * could not run. check may be NULL.
 */
struct banyan_check {
	size_t struct_size;
	void (*found)(void *arg, const char *line); /* all three may be NULL */
	void (*note)(void *arg, const char *line);
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t cache_bytes; /* 0: default */
	/* Of the tree and what it refers to: the state at this freeze, as
	 * banyan_view_at_freeze() finds it. The log is checked as a whole. */
	uint64_t freeze;
	/* Filled in unless damage hides it; may be NULL */
	struct banyan_log_end *end;
	/* As freeze: the state at this time, or that of the snapshot of this
	 * name. One of the three at most; the others are 0 and NULL. */
	const struct banyan_time *time;
	const char *snapshot;
};
int64_t banyan_check(const char *path, const struct banyan_check *check);

/*
 * Copy what is sound in the database at path, which is only read, into a new
 * one at out: -EEXIST if that exists. Nobody sees the new file before it is
 * whole and durable, and nothing is left of it if this fails. Every byte that is
 * copied was verified. Kept are ids, attributes, times, aliases, extended
 * attributes, key spaces within each other, holes; the new database has UUIDs of
 * its own and no past, nor snapshots: note is told their names.
 *
 * The state is that of the last sound freeze and the operations behind it, up
 * to the first that is missing. What the tree has lost is looked for in older
 * trees and in the operations since. A value with damaged bytes is left out,
 * unless zeros are asked for. What no key leads to any more gets one in a key
 * space "lost+found", named by its id.
 *
 * lost is told each thing that is lost, one line: the key, and which bytes, or
 * the place. note is told what was damaged and cost nothing. progress as in
 * struct banyan_check. Returns the number of losses, 0 if there were none, or a
 * negative errno value. salvage may be NULL.
 */
struct banyan_salvage {
	size_t struct_size;
	void (*lost)(void *arg, const char *line); /* all three may be NULL */
	void (*note)(void *arg, const char *line);
	int (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	bool zeros; /* keep damaged values, with zeros for damaged bytes */
	mode_t mode; /* of the new file; 0 means 0644 less the umask */
	uint64_t cache_bytes; /* 0: default */
};
int64_t banyan_salvage(const char *path, const char *out,
		       const struct banyan_salvage *salvage);

#ifdef __cplusplus
}
#endif

#endif
