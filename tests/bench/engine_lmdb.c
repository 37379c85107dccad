/* SPDX-License-Identifier: MIT */
/*
 * LMDB with the settings that the documentation in lmdb.h advises:
 *
 *  - mdb_env_set_mapsize: "should be as large as possible".
 *  - Syncs are the default's: data, then the meta page, at each commit. Not
 *    durable is MDB_NOSYNC. Not MDB_WRITEMAP: it "may be slightly faster for
 *    DBs that fit entirely in RAM", is slower for larger ones, and gives up
 *    protection from wild pointers.
 *  - mdb_cursor_put: MDB_APPEND "allows fast bulk loading when keys are already
 *    known to be in the correct order", through one cursor a transaction.
 *  - Readers: MDB_NOTLS and one read-only transaction each, kept. Values are
 *    looked at where they are in the map, not copied.
 *  - Not MDB_NORDAHEAD: that is for databases larger than RAM.
 */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "values.h"

#define MAP_SIZE ((size_t)64 << 30)

struct store {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn;
	MDB_cursor *cursor; /* of txn, when keys ascend */
	bool ordered;
	size_t value_size;
};

struct reader {
	MDB_dbi dbi;
	MDB_txn *txn;
};

static void check(int rc, const char *what)
{
	if (rc)
		die("lmdb: %s: %s", what, mdb_strerror(rc));
}

static void *store_open(const struct set_up *how)
{
	struct store *s = make_zeroed(sizeof(*s));
	unsigned flags = MDB_NOTLS | (how->durable ? 0u : MDB_NOSYNC);

	s->ordered = how->ordered;
	s->value_size = how->value_size;
	check(mdb_env_create(&s->env), "create");
	check(mdb_env_set_mapsize(s->env, MAP_SIZE), "map");
	check(mdb_env_open(s->env, how->dir, flags, 0644), how->dir);
	check(mdb_txn_begin(s->env, NULL, 0, &s->txn), "begin");
	check(mdb_dbi_open(s->txn, NULL, 0, &s->dbi), "open");
	check(mdb_txn_commit(s->txn), "commit");
	return s;
}

static void store_close(void *store)
{
	struct store *s = store;

	check(mdb_env_sync(s->env, 1), "sync");
	mdb_env_close(s->env);
	free(s);
}

static void store_begin(void *store)
{
	struct store *s = store;

	check(mdb_txn_begin(s->env, NULL, 0, &s->txn), "begin");
	if (s->ordered)
		check(mdb_cursor_open(s->txn, s->dbi, &s->cursor), "cursor");
}

/* LMDB takes pointers that are not const, and leaves alone what is behind */
static MDB_val as_val(const void *bytes, size_t size)
{
	MDB_val val = { .mv_size = size };

	memcpy(&val.mv_data, &bytes, sizeof(bytes));
	return val;
}

static void store_insert(void *store, const char *key, const void *value)
{
	struct store *s = store;
	MDB_val k = as_val(key, KEY_SIZE);
	MDB_val v = as_val(value, s->value_size);

	if (s->ordered)
		check(mdb_cursor_put(s->cursor, &k, &v, MDB_APPEND), "append");
	else
		check(mdb_put(s->txn, s->dbi, &k, &v, MDB_NOOVERWRITE), "put");
}

static void store_update(void *store, const char *key, const void *value)
{
	struct store *s = store;
	MDB_val k = as_val(key, KEY_SIZE);
	MDB_val v = as_val(value, s->value_size);

	check(mdb_put(s->txn, s->dbi, &k, &v, 0), "put");
}

static void store_remove(void *store, const char *key)
{
	struct store *s = store;
	MDB_val k = as_val(key, KEY_SIZE);

	check(mdb_del(s->txn, s->dbi, &k, NULL), "delete");
}

static void store_commit(void *store)
{
	struct store *s = store;

	if (s->ordered)
		mdb_cursor_close(s->cursor);
	check(mdb_txn_commit(s->txn), "commit");
}

static void store_single(void *store, const char *key, const void *value)
{
	store_begin(store);
	store_insert(store, key, value);
	store_commit(store);
}

static void *store_reader(void *store)
{
	struct store *s = store;
	struct reader *r = make_zeroed(sizeof(*r));

	r->dbi = s->dbi;
	check(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &r->txn), "begin");
	return r;
}

static void reader_end(void *reader)
{
	struct reader *r = reader;

	mdb_txn_abort(r->txn);
	free(r);
}

static void reader_get(void *reader, const char *key, struct check *expected)
{
	struct reader *r = reader;
	MDB_val k = as_val(key, KEY_SIZE);
	MDB_val v;

	check(mdb_get(r->txn, r->dbi, &k, &v), "get");
	check_value(expected, key, v.mv_data, v.mv_size);
}

static void reader_scan(void *reader, bool values, struct check *expected)
{
	struct reader *r = reader;
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc;

	check(mdb_cursor_open(r->txn, r->dbi, &cursor), "cursor");
	while ((rc = mdb_cursor_get(cursor, &k, values ? &v : NULL,
				    MDB_NEXT)) == 0)
		check_pair(expected, k.mv_data, k.mv_size,
			   values ? v.mv_data : NULL, values ? v.mv_size : 0);
	if (rc != MDB_NOTFOUND)
		check(rc, "next");
	mdb_cursor_close(cursor);
}

const struct engine engine_lmdb = {
	.name = "LMDB",
	.settings = "map of 64 GiB, no cache of its own; MDB_APPEND when in "
		    "order; syncs data and meta page at commit; values are "
		    "read in place",
	.open = store_open,
	.close = store_close,
	.begin = store_begin,
	.insert = store_insert,
	.update = store_update,
	.remove = store_remove,
	.commit = store_commit,
	.single = store_single,
	.reader = store_reader,
	.get = reader_get,
	.scan = reader_scan,
	.reader_end = reader_end,
};
