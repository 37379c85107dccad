/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "banyan.h"
#include "engine.h"

struct store {
	banyan *db;
	bool durable;
};

static void check(int rc, const char *what)
{
	if (rc < 0)
		die("banyan: %s: %s", what, banyan_strerror(rc));
}

static void *store_open(const char *path, bool durable, bool ordered)
{
	struct banyan_options options = { .flags = BANYAN_CREATE };
	struct store *s = calloc(1, sizeof(*s));

	(void)ordered;
	if (!s)
		die("no memory");
	s->durable = durable;
	check(banyan_open(path, &options, &s->db), path);
	return s;
}

static void store_begin(void *store)
{
	struct store *s = store;

	check(banyan_begin(s->db), "begin");
}

static void store_insert(void *store, const char *key, const void *value)
{
	struct store *s = store;
	struct banyan_new make = { .mode = 0644,
				   .value = value,
				   .size = VALUE_SIZE };

	check(banyan_insert(banyan_root(s->db), key, KEY_SIZE, &make, NULL),
	      "insert");
}

static void store_commit(void *store)
{
	struct store *s = store;

	check(banyan_commit(s->db), "commit");
	if (s->durable)
		check(banyan_sync(s->db), "sync");
}

static void store_close(void *store)
{
	struct store *s = store;

	check(banyan_close(s->db), "close");
	free(s);
}

static void store_read(void *store)
{
	(void)store;
}

static void store_get(void *store, const char *key, void *value)
{
	struct store *s = store;
	char name[KEY_SIZE + 1];
	void *found;
	size_t size;

	memcpy(name, key, KEY_SIZE);
	name[KEY_SIZE] = '\0';
	check(banyan_get(s->db, name, &found, &size), "get");
	if (size != VALUE_SIZE)
		die("banyan: a value of %zu bytes", size);
	memcpy(value, found, VALUE_SIZE);
	free(found);
}

static void read_value(banyan_cursor *cursor, uint64_t *sum)
{
	unsigned char value[VALUE_SIZE];
	banyan_data *data;

	check(banyan_entry_data(cursor, &data), "entry");
	if (banyan_read(data, value, sizeof(value), 0) != VALUE_SIZE)
		die("banyan: cannot read a value");
	banyan_release(data, 1);
	*sum += sum_value(value);
}

static uint64_t store_scan(void *store, bool values, uint64_t *sum)
{
	struct store *s = store;
	struct banyan_entry entry;
	banyan_cursor *cursor;
	uint64_t count = 0;
	int rc;

	check(banyan_scan(banyan_root(s->db), NULL, &cursor), "scan");
	while ((rc = banyan_next(cursor, &entry)) == 0) {
		count++;
		if (values)
			read_value(cursor, sum);
		else
			*sum += (unsigned char)entry.name[0];
	}
	check(rc, "next");
	banyan_scan_end(cursor);
	return count;
}

const struct engine engine_banyan = {
	.name = "banyan",
	.settings = "defaults; banyan_insert in batches; banyan_get, which "
		    "copies the value",
	.open = store_open,
	.begin = store_begin,
	.insert = store_insert,
	.commit = store_commit,
	.close = store_close,
	.read_begin = store_read,
	.get = store_get,
	.scan = store_scan,
	.read_end = store_read,
};
