/* SPDX-License-Identifier: MIT */
/*
 * Berkeley DB as a Transactional Data Store, set up as the chapters of its
 * Programmer's Reference Guide advise:
 *
 *  - "Transaction throughput", "DB_ENV->set_flags": a commit flushes the log,
 *    the default. Not durable is DB_TXN_WRITE_NOSYNC: written, not flushed.
 *  - "Selecting a cache size": set_cachesize to what all engines are given.
 *    (Below 500 MB it takes a quarter more by itself, for its overhead.)
 *    DB_PRIVATE, as there is one process.
 *  - "Selecting a page size": that of the file system, 4 KiB; large enough for
 *    no value to need overflow pages, which are slow: 32 KiB for 4 KiB values.
 *    (Measured: scans are 4 times as fast so as with 8 KiB and overflow pages,
 *    reads a third and random loads half slower.)
 *  - "Configuring logging": a larger log buffer when much is logged at a time.
 *  - "Checkpoints", "Log file removal": a checkpoint whenever 64 MiB have been
 *    logged (as much as SQLite's WAL, RocksDB's write buffer), and at close;
 *    DB_LOG_AUTO_REMOVE.
 *  - "Retrieving and updating records in bulk": puts, deletes and scans with
 *    DB_MULTIPLE or DB_MULTIPLE_KEY.
 *  - "Transaction tuning": reads outside of transactions increase throughput.
 *
 * An environment that is private must be recovered at each open (DB_RECOVER).
 */
#include <db.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "values.h"

#define SMALL_VALUE 900 /* no overflow pages up to here with pages of 4 KiB */
#define CHECKPOINT_KIB (64 << 10)
#define LOG_BUFFER (2u << 20)
#define BULK_BYTES (1u << 20) /* for scans */
#define MOST_LOCKS 100000 /* pages that a batch touches, and then some */

struct store {
	DB_ENV *env;
	DB *db;
	DB_TXN *txn;
	size_t value_size;
	/* The batch: a buffer of keys, or keys and values, from which next
	 * points to where the next one goes */
	enum { NOTHING, PUTS, DELETES } batch;
	DBT bulk;
	void *next;
};

struct reader {
	DB *db;
	size_t value_size;
	void *buffer;
};

static void check(int rc, const char *what)
{
	if (rc)
		die("bdb: %s: %s", what, db_strerror(rc));
}

static void open_environment(struct store *s, const struct set_up *how)
{
	DB_ENV *env;

	check(db_env_create(&env, 0), "environment");
	env->set_errfile(env, stderr);
	check(env->set_cachesize(env, (uint32_t)(how->cache >> 30),
				 (uint32_t)(how->cache & ((1u << 30) - 1)), 1),
	      "cache");
	check(env->set_lg_bsize(env, LOG_BUFFER), "log buffer");
	check(env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1), "auto remove");
	check(env->set_lk_max_locks(env, MOST_LOCKS), "locks");
	check(env->set_lk_max_objects(env, MOST_LOCKS), "locks");
	if (!how->durable)
		check(env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1), "no sync");
	check(env->open(env, how->dir,
			DB_CREATE | DB_RECOVER | DB_PRIVATE | DB_THREAD |
				DB_INIT_TXN | DB_INIT_LOG | DB_INIT_LOCK |
				DB_INIT_MPOOL,
			0),
	      how->dir);
	s->env = env;
}

static void *store_open(const struct set_up *how)
{
	struct store *s = make_zeroed(sizeof(*s));

	open_environment(s, how);
	check(db_create(&s->db, s->env, 0), "create");
	check(s->db->set_pagesize(s->db, how->value_size <= SMALL_VALUE ?
						 4 << 10 :
						 32 << 10),
	      "page size");
	check(s->db->open(s->db, NULL, "keys.db", NULL, DB_BTREE,
			  DB_CREATE | DB_AUTO_COMMIT | DB_THREAD, 0644),
	      "open");
	s->value_size = how->value_size;
	/* A bulk buffer has four integers for each pair, and is aligned */
	s->bulk.ulen = (uint32_t)(BATCH * (KEY_SIZE + s->value_size + 32));
	s->bulk.data = make_zeroed(s->bulk.ulen);
	s->bulk.flags = DB_DBT_USERMEM | DB_DBT_BULK;
	return s;
}

static void store_close(void *store)
{
	struct store *s = store;

	check(s->env->txn_checkpoint(s->env, 0, 0, DB_FORCE), "checkpoint");
	check(s->db->close(s->db, 0), "close");
	check(s->env->close(s->env, 0), "close");
	free(s->bulk.data);
	free(s);
}

static DBT as_dbt(const void *bytes, size_t size)
{
	DBT dbt = { .size = (uint32_t)size };

	memcpy(&dbt.data, &bytes, sizeof(bytes));
	return dbt;
}

static void store_begin(void *store)
{
	struct store *s = store;

	check(s->env->txn_begin(s->env, NULL, &s->txn, 0), "begin");
	DB_MULTIPLE_WRITE_INIT(s->next, &s->bulk);
	s->batch = NOTHING;
}

static void store_put(void *store, const char *key, const void *value)
{
	struct store *s = store;

	s->batch = PUTS;
	DB_MULTIPLE_KEY_WRITE_NEXT(s->next, &s->bulk, key, KEY_SIZE, value,
				   s->value_size);
	if (!s->next)
		die("bdb: the batch is full");
}

static void store_remove(void *store, const char *key)
{
	struct store *s = store;

	s->batch = DELETES;
	DB_MULTIPLE_WRITE_NEXT(s->next, &s->bulk, key, KEY_SIZE);
	if (!s->next)
		die("bdb: the batch is full");
}

static void store_commit(void *store)
{
	struct store *s = store;
	DBT none = { 0 };

	if (s->batch == PUTS)
		check(s->db->put(s->db, s->txn, &s->bulk, &none,
				 DB_MULTIPLE_KEY),
		      "put");
	else if (s->batch == DELETES)
		check(s->db->del(s->db, s->txn, &s->bulk, DB_MULTIPLE),
		      "delete");
	check(s->txn->commit(s->txn, 0), "commit");
	check(s->env->txn_checkpoint(s->env, CHECKPOINT_KIB, 0, 0),
	      "checkpoint");
}

static void store_single(void *store, const char *key, const void *value)
{
	struct store *s = store;
	DBT k = as_dbt(key, KEY_SIZE), v = as_dbt(value, s->value_size);

	check(s->db->put(s->db, NULL, &k, &v, DB_NOOVERWRITE), "put");
}

static void *store_reader(void *store)
{
	struct store *s = store;
	struct reader *r = make_zeroed(sizeof(*r));

	r->db = s->db;
	r->value_size = s->value_size;
	r->buffer = make_zeroed(BULK_BYTES + VALUE_MOST);
	return r;
}

static void reader_end(void *reader)
{
	struct reader *r = reader;

	free(r->buffer);
	free(r);
}

static void reader_get(void *reader, const char *key, struct check *expected)
{
	struct reader *r = reader;
	DBT k = as_dbt(key, KEY_SIZE);
	DBT v = { .data = r->buffer,
		  .ulen = BULK_BYTES,
		  .flags = DB_DBT_USERMEM };

	check(r->db->get(r->db, NULL, &k, &v, 0), "get");
	check_value(expected, key, v.data, v.size);
}

/* As many pairs as there are in the bulk buffer */
static void check_bulk(struct check *expected, DBT *bulk)
{
	void *at, *key, *value;
	uint32_t key_size, size;

	DB_MULTIPLE_INIT(at, bulk);
	for (;;) {
		DB_MULTIPLE_KEY_NEXT(at, bulk, key, key_size, value, size);
		if (!at)
			break;
		check_pair(expected, key, key_size, value, size);
	}
}

static int next_bulk(DBC *cursor, struct reader *r, struct check *expected)
{
	DBT key = { 0 };
	DBT bulk = { .data = r->buffer,
		     .ulen = BULK_BYTES,
		     .flags = DB_DBT_USERMEM };
	int rc = cursor->get(cursor, &key, &bulk, DB_NEXT | DB_MULTIPLE_KEY);

	if (rc == 0)
		check_bulk(expected, &bulk);
	return rc;
}

/* The key, and none of the bytes of the value */
static int next_key(DBC *cursor, struct reader *r, struct check *expected)
{
	DBT key = { .data = r->buffer,
		    .ulen = BULK_BYTES,
		    .flags = DB_DBT_USERMEM };
	DBT none = { .flags = DB_DBT_USERMEM | DB_DBT_PARTIAL };
	int rc = cursor->get(cursor, &key, &none, DB_NEXT);

	if (rc == 0)
		check_pair(expected, key.data, key.size, NULL, 0);
	return rc;
}

/* Small values cost less in bulk than their keys do one at a time */
static void reader_scan(void *reader, bool values, struct check *expected)
{
	struct reader *r = reader;
	bool bulk = values || r->value_size <= SMALL_VALUE;
	DBC *cursor;
	int rc;

	check(r->db->cursor(r->db, NULL, &cursor, bulk ? DB_CURSOR_BULK : 0),
	      "cursor");
	do {
		rc = bulk ? next_bulk(cursor, r, expected) :
			    next_key(cursor, r, expected);
	} while (rc == 0);
	if (rc != DB_NOTFOUND)
		check(rc, "next");
	check(cursor->close(cursor), "close");
}

const struct engine engine_bdb = {
	.name = "BDB",
	.settings = "Berkeley DB 5.3, transactional B-tree, log flushed at "
		    "commit; cachesize; 4 KiB pages (values above 900 bytes: "
		    "32); bulk put, delete and scan; checkpoint every 64 MiB",
	.open = store_open,
	.close = store_close,
	.begin = store_begin,
	.insert = store_put,
	.update = store_put,
	.remove = store_remove,
	.commit = store_commit,
	.single = store_single,
	.reader = store_reader,
	.get = reader_get,
	.scan = reader_scan,
	.reader_end = reader_end,
};
