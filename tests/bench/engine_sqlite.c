/* SPDX-License-Identifier: MIT */
/*
 * SQLite, set up as the pages of its documentation advise:
 *
 *  - "Write-Ahead Logging" (wal.html): WAL "is significantly faster in most
 *    scenarios"; with synchronous=FULL, says "PRAGMA Statements"
 *    (pragma.html#pragma_synchronous), the WAL is synced at each commit, which
 *    is what makes it durable. Not durable is OFF. A larger WAL before a
 *    checkpoint makes writes faster: 64 MiB, which is also what RocksDB's
 *    write buffer and (of the default cache) Banyan's redo table hold.
 *  - "Clustered Indexes and the WITHOUT ROWID Optimization"
 *    (withoutrowid.html): for keys that are no integers and rows of less than
 *    about a 20th of a page. Larger ones go to a rowid table.
 *  - "Internal Versus External BLOBs" (intern-v-extern-blob.html): large BLOBs
 *    do best with pages of 8 or 16 KiB; of 4 KiB values only the latter holds
 *    several. Small ones: the default of 4 KiB.
 *  - "Memory-Mapped I/O" (mmap.html): reads without a copy; up to the most
 *    that SQLite allows. cache_size is the cache that all engines are given.
 *  - "Using SQLite In Multi-Threaded Applications" (threadsafe.html): a
 *    connection a thread, then without mutexes. Statements are prepared once;
 *    many reads are one transaction.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "values.h"

#define SMALL_VALUE 200 /* a 20th of a page */
#define WAL_BYTES (64 << 20)

enum statement { BEGIN, COMMIT, INSERT, UPDATE, REMOVE, GET, SCAN, KEYS, LAST };

static const char *const statements[LAST] = {
	"BEGIN",
	"COMMIT",
	"INSERT INTO t VALUES (?1, ?2)",
	"UPDATE t SET v = ?2 WHERE k = ?1",
	"DELETE FROM t WHERE k = ?1",
	"SELECT v FROM t WHERE k = ?1",
	"SELECT k, v FROM t ORDER BY k",
	"SELECT k FROM t ORDER BY k",
};

/* A connection: the store, and one for each reader */
struct store {
	struct set_up how;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *statements[LAST];
};

static void check(struct store *s, int rc, const char *what)
{
	if (rc != SQLITE_OK)
		die("sqlite: %s: %s", what, sqlite3_errmsg(s->db));
}

static void run(struct store *s, const char *format, long long number)
{
	char *sql = sqlite3_mprintf(format, number);

	check(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL), sql);
	sqlite3_free(sql);
}

static void *store_open(const struct set_up *how)
{
	struct store *s = make_zeroed(sizeof(*s));
	bool small = how->value_size <= SMALL_VALUE;

	s->how = *how;
	s->path = path_in(how->dir, "keys.sqlite");
	check(s,
	      sqlite3_open_v2(s->path, &s->db,
			      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				      SQLITE_OPEN_NOMUTEX,
			      NULL),
	      s->path);
	run(s, "PRAGMA page_size=%lld", small ? 4096 : 16384);
	run(s, "PRAGMA journal_mode=WAL", 0);
	run(s, "PRAGMA synchronous=%lld", how->durable ? 2 : 0);
	run(s, "PRAGMA wal_autocheckpoint=%lld",
	    WAL_BYTES / (small ? 4096 : 16384));
	run(s, "PRAGMA cache_size=-%lld", (long long)(how->cache >> 10));
	run(s, "PRAGMA mmap_size=%lld", 1ll << 40); /* it takes what it can */
	run(s,
	    small ? "CREATE TABLE IF NOT EXISTS t"
		    " (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID" :
		    "CREATE TABLE IF NOT EXISTS t (k BLOB PRIMARY KEY, v BLOB)",
	    0);
	for (int i = 0; i < LAST; i++)
		check(s,
		      sqlite3_prepare_v3(s->db, statements[i], -1,
					 SQLITE_PREPARE_PERSISTENT,
					 &s->statements[i], NULL),
		      statements[i]);
	return s;
}

static void disconnect(struct store *s)
{
	for (int i = 0; i < LAST; i++)
		sqlite3_finalize(s->statements[i]);
	check(s, sqlite3_close(s->db), "close");
}

static void sync_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

/* The last connection to close moves the WAL into the file */
static void store_close(void *store)
{
	struct store *s = store;

	disconnect(s);
	if (!s->how.durable)
		sync_file(s->path);
	free(s->path);
	free(s);
}

static void step(struct store *s, enum statement which)
{
	sqlite3_stmt *statement = s->statements[which];

	if (sqlite3_step(statement) != SQLITE_DONE)
		check(s, SQLITE_ERROR, statements[which]);
	sqlite3_reset(statement);
}

static void bind(struct store *s, enum statement which, const char *key,
		 const void *value)
{
	sqlite3_stmt *statement = s->statements[which];

	sqlite3_bind_blob(statement, 1, key, KEY_SIZE, SQLITE_STATIC);
	if (value)
		sqlite3_bind_blob(statement, 2, value, (int)s->how.value_size,
				  SQLITE_STATIC);
}

static void store_begin(void *store)
{
	step(store, BEGIN);
}

static void store_commit(void *store)
{
	step(store, COMMIT);
}

static void store_insert(void *store, const char *key, const void *value)
{
	bind(store, INSERT, key, value);
	step(store, INSERT);
}

/* What was to be changed must have been there */
static void change_one(struct store *s, enum statement which)
{
	step(s, which);
	if (sqlite3_changes(s->db) != 1)
		die("sqlite: %s: no such key", statements[which]);
}

static void store_update(void *store, const char *key, const void *value)
{
	bind(store, UPDATE, key, value);
	change_one(store, UPDATE);
}

static void store_remove(void *store, const char *key)
{
	bind(store, REMOVE, key, NULL);
	change_one(store, REMOVE);
}

static void *store_reader(void *store)
{
	const struct store *s = store;
	struct store *r = store_open(&s->how);

	step(r, BEGIN);
	return r;
}

static void reader_end(void *reader)
{
	struct store *r = reader;

	step(r, COMMIT);
	disconnect(r);
	free(r->path);
	free(r);
}

static void reader_get(void *reader, const char *key, struct check *expected)
{
	struct store *r = reader;
	sqlite3_stmt *statement = r->statements[GET];

	bind(r, GET, key, NULL);
	if (sqlite3_step(statement) != SQLITE_ROW)
		check(r, SQLITE_ERROR, "get");
	check_value(expected, key, sqlite3_column_blob(statement, 0),
		    (size_t)sqlite3_column_bytes(statement, 0));
	sqlite3_reset(statement);
}

static void reader_scan(void *reader, bool values, struct check *expected)
{
	struct store *r = reader;
	sqlite3_stmt *row = r->statements[values ? SCAN : KEYS];
	int rc;

	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		const void *key = sqlite3_column_blob(row, 0);
		size_t key_size = (size_t)sqlite3_column_bytes(row, 0);

		if (values)
			check_pair(expected, key, key_size,
				   sqlite3_column_blob(row, 1),
				   (size_t)sqlite3_column_bytes(row, 1));
		else
			check_pair(expected, key, key_size, NULL, 0);
	}
	if (rc != SQLITE_DONE)
		check(r, SQLITE_ERROR, "scan");
	sqlite3_reset(row);
}

const struct engine engine_sqlite = {
	.name = "SQLite",
	.settings = "version " SQLITE_VERSION ", WAL of up to 64 MiB, "
		    "synchronous=FULL or OFF, cache_size, mmap_size; WITHOUT "
		    "ROWID and 4 KiB pages (values above 200 bytes: with, 16)",
	.open = store_open,
	.close = store_close,
	.begin = store_begin,
	.insert = store_insert,
	.update = store_update,
	.remove = store_remove,
	.commit = store_commit,
	.single = store_insert,
	.reader = store_reader,
	.get = reader_get,
	.scan = reader_scan,
	.reader_end = reader_end,
};
