/* SPDX-License-Identifier: MIT */
/*
 * Banyan as banyan.h advises. A batch is banyan_begin() to banyan_commit(),
 * made durable with banyan_sync(); close freezes. Keys lie in the root key
 * space. The cache limit holds for all that it has in RAM, redo included.
 * Reads are banyan_fetch(), which copies; scans get values from the cursor.
 */
#include <stdlib.h>
#include <string.h>

#include "banyan.h"
#include "engine.h"
#include "values.h"

#define VALUE_ROOM 65536u

struct store {
	banyan *db;
	banyan *batch; /* the one that is open, or db */
	banyan_data *root;
	bool durable;
	size_t value_size;
};

static void check(int rc, const char *what)
{
	if (rc < 0)
		die("banyan: %s: %s", what, banyan_strerror(rc));
}

static void *store_open(const struct set_up *how)
{
	struct banyan_options options = { .flags = BANYAN_CREATE,
					  .cache_bytes = how->cache };
	struct store *s = make_zeroed(sizeof(*s));
	char *path = path_in(how->dir, "keys.banyan");

	s->durable = how->durable;
	s->value_size = how->value_size;
	check(banyan_open(path, &options, &s->db), path);
	s->batch = s->db;
	s->root = banyan_root(s->db);
	free(path);
	return s;
}

static void store_close(void *store)
{
	struct store *s = store;

	check(banyan_close(s->db), "close");
	free(s);
}

static void store_begin(void *store)
{
	struct store *s = store;

	check(banyan_begin(s->db, &s->batch), "begin");
}

static void store_insert(void *store, const char *key, const void *value)
{
	struct store *s = store;
	struct banyan_new make = { .mode = 0644,
				   .value = value,
				   .size = s->value_size };

	check(banyan_insert(banyan_root(s->batch), key, KEY_SIZE, &make, NULL,
			    NULL),
	      "insert");
}

static void as_path(char path[KEY_SIZE + 1], const char *key)
{
	memcpy(path, key, KEY_SIZE);
	path[KEY_SIZE] = '\0';
}

static void store_update(void *store, const char *key, const void *value)
{
	struct store *s = store;
	char path[KEY_SIZE + 1];

	as_path(path, key);
	check(banyan_put(s->batch, path, value, s->value_size, 0), "put");
}

static void store_remove(void *store, const char *key)
{
	struct store *s = store;

	check(banyan_delete(banyan_root(s->batch), key, KEY_SIZE, 0, NULL),
	      "delete");
}

static void store_commit(void *store)
{
	struct store *s = store;

	check(banyan_commit(s->batch), "commit");
	s->batch = s->db;
	if (s->durable)
		check(banyan_sync(s->db), "sync");
}

static void store_single(void *store, const char *key, const void *value)
{
	struct store *s = store;

	store_insert(store, key, value);
	check(banyan_sync(s->db), "sync");
}

/* Banyan's handle serves all threads, and reads see the latest state */
static void *store_reader(void *store)
{
	return store;
}

static void reader_end(void *reader)
{
	(void)reader;
}

static void reader_get(void *reader, const char *key, struct check *expected)
{
	struct store *s = reader;
	char value[VALUE_ROOM];
	ssize_t size =
		banyan_fetch(s->root, key, KEY_SIZE, value, sizeof(value));

	check(size < 0 ? (int)size : 0, "fetch");
	if ((size_t)size > sizeof(value))
		die("banyan: values of more than %u bytes", VALUE_ROOM);
	check_value(expected, key, value, (size_t)size);
}

static void reader_scan(void *reader, bool values, struct check *expected)
{
	struct banyan_range range = { .names_only = !values, .values = values };
	struct store *s = reader;
	struct banyan_entry entry;
	banyan_cursor *cursor;
	int rc;

	check(banyan_scan(s->root, &range, &cursor), "scan");
	while ((rc = banyan_next(cursor, &entry)) == 0)
		check_pair(expected, entry.name, entry.len, entry.value,
			   entry.attr.size);
	check(rc, "next");
	banyan_scan_end(cursor);
}

const struct engine engine_banyan = {
	.name = "banyan",
	.settings = "version " BANYAN_VERSION ", the cache limit holds for "
		    "all memory; banyan_begin to banyan_commit, then "
		    "banyan_sync; banyan_fetch copies the value",
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
