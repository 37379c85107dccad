/* SPDX-License-Identifier: MIT */
/*
 * RocksDB, set up as the pages of its wiki advise:
 *
 *  - "Setup Options and Basic Tuning", which is for general loads: a Bloom
 *    filter of 10 bits a key, an LRU block cache (of the size that all engines
 *    are given), index and filter blocks in it, those of level 0 pinned, blocks
 *    of 16 KiB, bytes_per_sync of 1 MiB, level_compaction_dynamic_level_bytes.
 *    All else is left as it is, as the page says: a write buffer of 64 MiB,
 *    leveled compaction, and the compression that it comes with, Snappy.
 *  - "RocksDB Tuning Guide": increase_parallelism, here for 2 cores. Not
 *    optimize_for_point_lookup, which is for those who "never use an iterator".
 *  - "Basic Operations": WriteBatch; WriteOptions.sync, "similar to write()
 *    followed by fdatasync()", for durable ones. Reads are pinned, not copied.
 *  - "Iterator": a scan of all need not fill the cache.
 *
 * Inserts and deletes do not look for the key, as always with RocksDB.
 */
#include <rocksdb/c.h>
#include <stdlib.h>

#include "engine.h"
#include "values.h"

struct store {
	rocksdb_t *db;
	rocksdb_writeoptions_t *write;
	rocksdb_writeoptions_t *write_durably;
	rocksdb_writebatch_t *batch;
	size_t value_size;
};

struct reader {
	rocksdb_t *db;
	rocksdb_readoptions_t *get;
	rocksdb_readoptions_t *scan;
};

static void check(const char *error, const char *what)
{
	if (error)
		die("rocksdb: %s: %s", what, error);
}

/* What is handed over here is shared, and may be let go of at once */
static void set_table(rocksdb_options_t *options, uint64_t cache_bytes)
{
	rocksdb_block_based_table_options_t *table =
		rocksdb_block_based_options_create();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(cache_bytes);

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_filter_policy(
		table, rocksdb_filterpolicy_create_bloom(10));
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(
		table, 1);
	rocksdb_block_based_options_set_block_size(table, 16 << 10);
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	rocksdb_cache_destroy(cache);
}

static void *store_open(const struct set_up *how)
{
	struct store *s = make_zeroed(sizeof(*s));
	rocksdb_options_t *options = rocksdb_options_create();
	char *error = NULL;

	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_increase_parallelism(options, 2);
	rocksdb_options_set_bytes_per_sync(options, 1 << 20);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	set_table(options, how->cache);
	s->db = rocksdb_open(options, how->dir, &error);
	check(error, how->dir);
	rocksdb_options_destroy(options);

	s->value_size = how->value_size;
	s->batch = rocksdb_writebatch_create();
	s->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(s->write, how->durable);
	s->write_durably = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(s->write_durably, 1);
	return s;
}

static void store_close(void *store)
{
	struct store *s = store;
	char *error = NULL;

	rocksdb_flush_wal(s->db, 1, &error);
	check(error, "flush");
	rocksdb_close(s->db);
	rocksdb_writebatch_destroy(s->batch);
	rocksdb_writeoptions_destroy(s->write);
	rocksdb_writeoptions_destroy(s->write_durably);
	free(s);
}

static void store_begin(void *store)
{
	struct store *s = store;

	rocksdb_writebatch_clear(s->batch);
}

static void store_put(void *store, const char *key, const void *value)
{
	struct store *s = store;

	rocksdb_writebatch_put(s->batch, key, KEY_SIZE, value, s->value_size);
}

static void store_remove(void *store, const char *key)
{
	struct store *s = store;

	rocksdb_writebatch_delete(s->batch, key, KEY_SIZE);
}

static void store_commit(void *store)
{
	struct store *s = store;
	char *error = NULL;

	rocksdb_write(s->db, s->write, s->batch, &error);
	check(error, "write");
}

static void store_single(void *store, const char *key, const void *value)
{
	struct store *s = store;
	char *error = NULL;

	rocksdb_put(s->db, s->write_durably, key, KEY_SIZE, value,
		    s->value_size, &error);
	check(error, "put");
}

static void *store_reader(void *store)
{
	struct store *s = store;
	struct reader *r = make_zeroed(sizeof(*r));

	r->db = s->db;
	r->get = rocksdb_readoptions_create();
	r->scan = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(r->scan, 0);
	return r;
}

static void reader_end(void *reader)
{
	struct reader *r = reader;

	rocksdb_readoptions_destroy(r->get);
	rocksdb_readoptions_destroy(r->scan);
	free(r);
}

static void reader_get(void *reader, const char *key, struct check *expected)
{
	struct reader *r = reader;
	rocksdb_pinnableslice_t *slice;
	const char *value;
	char *error = NULL;
	size_t size;

	slice = rocksdb_get_pinned(r->db, r->get, key, KEY_SIZE, &error);
	check(error, "get");
	value = rocksdb_pinnableslice_value(slice, &size);
	check_value(expected, key, value, size);
	rocksdb_pinnableslice_destroy(slice);
}

static void reader_scan(void *reader, bool values, struct check *expected)
{
	struct reader *r = reader;
	rocksdb_iterator_t *i = rocksdb_create_iterator(r->db, r->scan);
	char *error = NULL;

	for (rocksdb_iter_seek_to_first(i); rocksdb_iter_valid(i);
	     rocksdb_iter_next(i)) {
		const char *key, *value = NULL;
		size_t key_size, size = 0;

		key = rocksdb_iter_key(i, &key_size);
		if (values)
			value = rocksdb_iter_value(i, &size);
		check_pair(expected, key, key_size, value, size);
	}
	rocksdb_iter_get_error(i, &error);
	check(error, "scan");
	rocksdb_iter_destroy(i);
}

const struct engine engine_rocksdb = {
	.name = "RocksDB",
	.settings = "WriteBatch, sync of the WAL; block cache, Bloom filter of "
		    "10 bits, blocks of 16 KiB, Snappy, write buffers of 64 "
		    "MiB beside the cache; close leaves the WAL as it is",
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
