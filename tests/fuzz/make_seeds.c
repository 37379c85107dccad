/* SPDX-License-Identifier: MIT */
/*
 * make_seeds DIR - write inputs to begin with to DIR/TARGET/: what the code of
 * today makes of an honest database. To be run again when the format changes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/handle.h"
#include "honest.h"
#include "image_file.h"

static const char *top;

static void fail(const char *what)
{
	fprintf(stderr, "make_seeds: %s\n", what);
	exit(1);
}

/* An input is a head and a rest */
static void seed(const char *target, const char *name, const void *head,
		 size_t head_len, const void *rest, size_t size)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", top, target);
	if (mkdir(path, 0777) && errno != EEXIST)
		fail(path);
	snprintf(path, sizeof(path), "%s/%s/%s", top, target, name);
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(head, 1, head_len, f) != head_len ||
	    fwrite(rest, 1, size, f) != size || fclose(f))
		fail(path);
}

/* ---- whole files ------------------------------------------------------ */

static void file_seed(const char *name, const struct image *image)
{
	static const uint8_t flags[] = { 0, 1, 2, 4 };
	struct buf recipe = BUF_INIT;
	char path[64];
	recipe_write(image, &recipe);
	for (uint8_t i = 0; i < sizeof(flags); i++) {
		uint8_t head[2] = { flags[i], i };
		snprintf(path, sizeof(path), "%s-%u", name, flags[i]);
		seed("file", path, head, sizeof(head), recipe.data, recipe.len);
	}
	buf_free(&recipe);
}

static banyan *open_seed(const struct image *image, struct image *keep)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	struct file *f = NULL;
	banyan *db = NULL;
	if (image_file(image, keep, &f) ||
	    handle_open_file(f, &o, image == NULL, &db))
		fail("cannot open");
	return db;
}

/* A tree of two levels; zeros cost nothing in a recipe */
static void fill_high(banyan *db)
{
	char name[16];
	char value[120] = { 0 };
	banyan *to = NULL;
	if (banyan_begin(db, &to))
		fail("cannot begin");
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "key%u", i);
		value[i] = 'v';
		if (banyan_put(to, name, value, sizeof(value), 0))
			fail("cannot put");
	}
	if (banyan_commit(to))
		fail("cannot commit");
}

static void file_seeds(struct image *honest)
{
	struct image image = { 0 };
	struct image torn = { 0 };
	banyan *db = open_seed(NULL, &image);
	(void)banyan_close(db);
	file_seed("empty", &image);
	image_free(&image);

	db = open_seed(NULL, honest);
	honest_fill(db);
	(void)banyan_freeze(db);
	(void)banyan_put(db, "redo", "behind the freeze", 17, 0);
	(void)banyan_close(db);
	file_seed("honest", honest);

	/* Bytes behind the end: the log goes on in the next segment */
	if (image_copy(&torn, honest) ||
	    image_write(&torn, (const uint8_t *)"torn", 4, torn.size))
		fail("no memory");
	torn.size += 4;
	db = open_seed(&torn, &image);
	(void)banyan_put(db, "next", "segment", 7, 0);
	(void)banyan_close(db);
	file_seed("segments", &image);
	image_free(&image);
	image_free(&torn);

	db = open_seed(NULL, &image);
	fill_high(db);
	if (banyan_freeze(db) || db->store->view->tree.height != 2)
		fail("the tree has not two levels");
	(void)banyan_close(db);
	file_seed("high", &image);
	image_free(&image);
}

/* ---- rows and bodies -------------------------------------------------- */

#define ROWS_MAX 256u

struct rows {
	struct redo_table *table;
	struct index_row *row[ROWS_MAX];
	size_t count;
};

static void add_row(struct rows *rows, const uint8_t *key, size_t key_len,
		    const uint8_t *value, size_t value_len)
{
	if (!rows->table)
		rows->table = redo_table_new();
	if (!rows->table || rows->count == ROWS_MAX ||
	    redo_table_put(rows->table, key, key_len, value, value_len, 1,
			   &rows->row[rows->count++]))
		fail("no memory for a row");
}

/* The rows are gone then */
static void body_seed(const char *name, struct rows *rows)
{
	static const uint8_t head[2] = { 7, 1 };
	struct operation op = { .kind = OPERATION_BATCH,
				.time = 1700000000000000000,
				.stamp = 1699999999998000000,
				.next_id = 100,
				.keys = 1,
				.live = -1 };
	struct buf body = BUF_INIT;
	if (redo_encode(&op, rows->row, rows->count, &body))
		fail("cannot encode");
	seed("redo", name, NULL, 0, body.data, body.len);
	seed("rows", name, head, sizeof(head), body.data, body.len);
	buf_free(&body);
	redo_table_unref(rows->table);
}

static void row_seed(unsigned number, const uint8_t *key, size_t key_len,
		     const uint8_t *value, size_t value_len)
{
	struct rows rows = { 0 };
	char name[64];
	snprintf(name, sizeof(name), "row%u-of-type-%u", number, key[0]);
	add_row(&rows, key, key_len, value, value_len);
	body_seed(name, &rows);
	seed("data", name, NULL, 0, value, value_len);
}

static void row_seeds(banyan *db)
{
	struct rows all = { 0 };
	struct rows none = { 0 };
	struct merged_cursor *c = NULL;
	struct read_txn s;
	unsigned count = 0;
	read_txn_begin(db->store, &s);
	if (merged_cursor_new(&s.state.merged, &c))
		fail("no memory");
	for (int rc = merged_cursor_seek(c, "", 0); rc == 0;
	     rc = merged_cursor_next(c)) {
		size_t key_len = 0;
		size_t len = 0;
		const uint8_t *key = merged_cursor_key(c, &key_len);
		const uint8_t *value = merged_cursor_value(c, &len);
		row_seed(count++, key, key_len, value, len);
		add_row(&all, key, key_len, value, len);
		add_row(&none, key, key_len, NULL, 0);
	}
	merged_cursor_free(c);
	read_txn_end(&s);
	body_seed("all", &all);
	body_seed("none", &none);
}

/* ---- nodes ------------------------------------------------------------ */

static void node_seed(banyan *db, const char *name, const struct node_ref *ref,
		      unsigned level)
{
	uint8_t head[9] = { (uint8_t)level };
	uint8_t bytes[NODE_MAX];
	put_le64(head + 1, ref->offset << 8);
	if (file_read(db->store->volume->file, bytes, ref->length, ref->offset))
		fail("cannot read a node");
	seed("node", name, head, sizeof(head), bytes, ref->length);
}

static void node_seeds(void)
{
	banyan *db = open_seed(NULL, NULL);
	const struct node *root = NULL;
	struct node_ref child;
	honest_fill(db);
	fill_high(db);
	if (banyan_freeze(db) || db->store->view->tree.height != 2)
		fail("the tree has not two levels");
	struct node_ref ref = db->store->view->tree.root;
	node_seed(db, "root", &ref, 1);
	if (cache_get(db->store->cache, db->store->volume->file, &ref, 1,
		      &root))
		fail("cannot load the root");
	for (unsigned i = 0; i < root->count && i < 3; i++) {
		char name[16];
		node_child(root, i, &child);
		snprintf(name, sizeof(name), "leaf%u", i);
		node_seed(db, name, &child, 0);
	}
	cache_put(db->store->cache, root);
	(void)banyan_close(db);
}

/* ---- records ---------------------------------------------------------- */

static void record_seeds(void)
{
	static const struct banyan_field fields[] = {
		{ "a", BANYAN_TEXT },  { "b", BANYAN_INTEGER },
		{ "c", BANYAN_FLOAT }, { "d", BANYAN_BOOLEAN },
		{ "e", BANYAN_BYTES },
	};
	static const struct banyan_schema schema = { fields, 5, 0 };
	static const struct banyan_value values[5] = {
		{ .type = BANYAN_TEXT,
		  .bytes = "\xc3\xa4\xf0\x9f\x8c\xb3",
		  .size = 6 },
		{ .type = BANYAN_INTEGER, .integer = -1234567 },
		{ .type = BANYAN_FLOAT, .number = 0.1 },
		{ .type = BANYAN_BOOLEAN, .boolean = true },
		{ .type = BANYAN_BYTES, .bytes = "\0\xff", .size = 2 },
	};
	uint8_t head[] = { 4, 2, 0, 1, 4, 3, 0 };
	uint8_t bytes[256];
	size_t used = 0;
	ssize_t n = banyan_record_pack(&schema, values, bytes, sizeof(bytes));
	if (n < 0)
		fail("cannot pack");
	seed("record", "one", head, sizeof(head), bytes, (size_t)n);
	for (unsigned i = 0; i < 3; i++)
		if (banyan_block_append(&schema, values, bytes, sizeof(bytes),
					&used))
			fail("cannot append");
	head[6] = 1;
	seed("record", "block", head, sizeof(head), bytes, used);
}

int main(int argc, char **argv)
{
	struct image honest = { 0 };
	if (argc != 2)
		fail("usage: make_seeds DIR");
	top = argv[1];
	if (mkdir(top, 0777) && errno != EEXIST)
		fail(top);
	file_seeds(&honest);
	banyan *db = open_seed(&honest, NULL);
	row_seeds(db);
	(void)banyan_close(db);
	image_free(&honest);
	node_seeds();
	record_seeds();
	return 0;
}
