/* SPDX-License-Identifier: MIT */
/*
 * LMDB with the settings that lmdb.h advises: a map that is large enough from
 * the start, MDB_APPEND when keys come in order, one read transaction for many
 * reads, and MDB_NOSYNC where nothing need be durable.
 */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define MAP_SIZE ((size_t)16 << 30)

struct store {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *txn;
	unsigned put_flags;
};

static void check(int rc, const char *what)
{
	if (rc)
		die("lmdb: %s: %s", what, mdb_strerror(rc));
}

static void *store_open(const char *path, bool durable, bool ordered)
{
	struct store *s = calloc(1, sizeof(*s));
	unsigned flags = MDB_NOSUBDIR | (durable ? 0u : MDB_NOSYNC);

	if (!s)
		die("no memory");
	s->put_flags = ordered ? MDB_APPEND : MDB_NOOVERWRITE;
	check(mdb_env_create(&s->env), "create");
	check(mdb_env_set_mapsize(s->env, MAP_SIZE), "map");
	check(mdb_env_open(s->env, path, flags, 0644), path);
	check(mdb_txn_begin(s->env, NULL, 0, &s->txn), "begin");
	check(mdb_dbi_open(s->txn, NULL, 0, &s->dbi), "open");
	check(mdb_txn_commit(s->txn), "commit");
	return s;
}

static void store_begin(void *store)
{
	struct store *s = store;

	check(mdb_txn_begin(s->env, NULL, 0, &s->txn), "begin");
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
	MDB_val v = as_val(value, VALUE_SIZE);

	check(mdb_put(s->txn, s->dbi, &k, &v, s->put_flags), "put");
}

static void store_commit(void *store)
{
	struct store *s = store;

	check(mdb_txn_commit(s->txn), "commit");
}

static void store_close(void *store)
{
	struct store *s = store;

	check(mdb_env_sync(s->env, 1), "sync");
	mdb_env_close(s->env);
	free(s);
}

static void store_read_begin(void *store)
{
	struct store *s = store;

	check(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn), "begin");
}

static void store_read_end(void *store)
{
	struct store *s = store;

	mdb_txn_abort(s->txn);
}

static void store_get(void *store, const char *key, void *value)
{
	struct store *s = store;
	MDB_val k = as_val(key, KEY_SIZE);
	MDB_val v;

	check(mdb_get(s->txn, s->dbi, &k, &v), "get");
	if (v.mv_size != VALUE_SIZE)
		die("lmdb: a value of %zu bytes", v.mv_size);
	memcpy(value, v.mv_data, VALUE_SIZE);
}

static uint64_t store_scan(void *store, bool values, uint64_t *sum)
{
	struct store *s = store;
	MDB_cursor *cursor;
	MDB_val k, v;
	uint64_t count = 0;
	int rc;

	check(mdb_cursor_open(s->txn, s->dbi, &cursor), "cursor");
	while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
		count++;
		*sum += values ? sum_value(v.mv_data) :
				 *(const unsigned char *)k.mv_data;
	}
	if (rc != MDB_NOTFOUND)
		check(rc, "next");
	mdb_cursor_close(cursor);
	return count;
}

const struct engine engine_lmdb = {
	.name = "LMDB",
	.settings = "map of 16 GiB; MDB_APPEND when in order; MDB_NOSYNC when "
		    "not synced; get copies the value, scan does not",
	.open = store_open,
	.begin = store_begin,
	.insert = store_insert,
	.commit = store_commit,
	.close = store_close,
	.read_begin = store_read_begin,
	.get = store_get,
	.scan = store_scan,
	.read_end = store_read_end,
};
