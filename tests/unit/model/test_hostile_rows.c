/* SPDX-License-Identifier: MIT */
/*
 * Rows that nobody honest has written: bytes of them changed, cut off, made
 * longer than any name, put under other keys. The checksums are right, as in a
 * file that somebody made on purpose. The public functions may say what they
 * like about it, as long as they come back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "api/handle.h"
#include "engine/write.h"
#include "tests/support/random.h"

#define ROWS_MAX 256

struct row {
	uint8_t key[ROW_KEY_MAX];
	size_t key_len;
	uint8_t value[ROW_VALUE_MAX];
	size_t value_len;
};

struct rows {
	struct row row[ROWS_MAX];
	size_t count;
};

/* ---- an honest database ----------------------------------------------- */

static void write_pieces(banyan *db, const char *path, unsigned pieces)
{
	static const uint8_t bytes[5000] = { 1, 2, 3 };
	banyan_data *d = NULL;
	assert_int_equal(banyan_put(db, path, "", 0, 0), 0);
	assert_int_equal(banyan_find(db, path, &d), 0);
	for (unsigned i = 0; i < pieces; i++)
		assert_int_equal(banyan_write(d, bytes, sizeof(bytes),
					      i * 10000ull, 0, NULL),
				 0);
	banyan_release(d, 1);
}

static banyan *make_database(void)
{
	static const char bytes[3000] = "attribute";
	banyan *db = NULL;
	banyan_data *d = NULL;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_make_space(db, "space/below", BANYAN_PARENTS),
			 0);
	assert_int_equal(banyan_put(db, "short", "hello", 5, 0), 0);
	assert_int_equal(banyan_put(db, "space/two", "keys", 4, 0), 0);
	assert_int_equal(banyan_alias(db, "space/two", "alias"), 0);
	write_pieces(db, "few", 2);
	write_pieces(db, "space/many", 9);
	assert_int_equal(banyan_find(db, "short", &d), 0);
	assert_int_equal(banyan_set_xattr(d, "user.short", "x", 1, 0), 0);
	assert_int_equal(
		banyan_set_xattr(d, "user.long", bytes, sizeof(bytes), 0), 0);
	banyan_release(d, 1);
	return db;
}

static void collect_rows(banyan *db, struct rows *rows)
{
	struct read_txn s;
	struct merged_cursor *c = NULL;
	rows->count = 0;
	read_txn_begin(db->store, &s);
	assert_int_equal(merged_cursor_new(&s.state.merged, &c), 0);
	int rc = merged_cursor_seek(c, "", 0);
	for (; rc == 0 && rows->count < ROWS_MAX; rc = merged_cursor_next(c)) {
		struct row *row = &rows->row[rows->count++];
		const uint8_t *p = merged_cursor_key(c, &row->key_len);
		memcpy(row->key, p, row->key_len);
		p = merged_cursor_value(c, &row->value_len);
		memcpy(row->value, p, row->value_len);
	}
	merged_cursor_free(c);
	read_txn_end(&s);
}

/* ---- what is done to it ----------------------------------------------- */

static void change_bytes(uint64_t *random, uint8_t *bytes, size_t *len,
			 size_t most)
{
	static const uint8_t edges[] = { 0, 1, 2, 0x7f, 0x80, 0xff };
	size_t n = 0;
	switch (test_below(random, 5)) {
	case 0: /* cut off */
		*len = test_below(random, *len + 1);
		break;
	case 1: /* longer, maybe up to the limit */
		n = test_below(random, 3) ? 1 + test_below(random, 8) : most;
		for (; n && *len < most; n--)
			bytes[(*len)++] = (uint8_t)('a' + n % 7);
		break;
	default:
		for (n = 1 + test_below(random, 3); n && *len; n--) {
			uint8_t *b = &bytes[test_below(random, *len)];
			if (test_below(random, 2))
				*b ^= (uint8_t)(1u << test_below(random, 8));
			else
				*b = edges[test_below(random, sizeof(edges))];
		}
	}
}

static void put_row(struct txn *c, const struct row *row)
{
	struct row_key key = { .len = row->key_len };
	struct buf value = BUF_INIT;
	memcpy(key.bytes, row->key, row->key_len);
	buf_add(&value, row->value, row->value_len);
	assert_int_equal(txn_put(c, &key, &value), 0);
	buf_free(&value);
}

static void spoil(uint64_t *random, banyan *db, const struct rows *rows)
{
	struct txn *c = NULL;
	unsigned n = 1 + (unsigned)test_below(random, 4);
	assert_int_equal(
		store_write_begin(db->store, OPERATION_BATCH, true, &c), 0);
	while (n--) {
		struct row row = rows->row[test_below(random, rows->count)];
		const struct row *other =
			&rows->row[test_below(random, rows->count)];
		switch (test_below(random, 4)) {
		case 0:
			change_bytes(random, row.key, &row.key_len,
				     ROW_KEY_MAX);
			break;
		case 1: /* another row's value */
			row.value_len = other->value_len;
			memcpy(row.value, other->value, other->value_len);
			break;
		default:
			change_bytes(random, row.value, &row.value_len,
				     ROW_VALUE_MAX);
		}
		if (row.key_len)
			put_row(c, &row);
	}
	assert_int_equal(store_write_end(db->store, 0), 0);
	atomic_store(&db->store->orphans, true);
}

/* ---- what people then do with it -------------------------------------- */

static int visit(void *arg, const char *path, const struct banyan_entry *e)
{
	unsigned *left = arg;
	assert_true(strlen(path) >= e->len);
	assert_true(e->len <= BANYAN_NAME_MAX);
	return --*left == 0;
}

static void use_value(uint64_t *random, banyan_data *d)
{
	static uint8_t bytes[70000];
	struct banyan_attr attr = { 0 };
	char names[512];
	(void)banyan_get_attr(d, &attr);
	uint64_t at = attr.size ? test_below(random, attr.size) : 0;
	(void)banyan_read(d, bytes, sizeof(bytes), 0);
	(void)banyan_read(d, bytes, 100, at);
	(void)banyan_seek_data(d, at);
	(void)banyan_seek_hole(d, at);
	(void)banyan_list_xattr(d, names, sizeof(names));
	(void)banyan_get_xattr(d, "user.long", bytes, sizeof(bytes));
	(void)banyan_set_xattr(d, "user.new", bytes, 2000, 0);
	(void)banyan_remove_xattr(d, "user.short");
	switch (test_below(random, 5)) {
	case 0:
		(void)banyan_write(d, bytes, 1 + test_below(random, 20000), at,
				   0, NULL);
		break;
	case 1:
		(void)banyan_write(d, bytes, 300, 0, BANYAN_APPEND, NULL);
		break;
	case 2:
		(void)banyan_truncate(d, at);
		break;
	case 3:
		(void)banyan_punch(d, at, test_below(random, 20000), false);
		break;
	default:
		(void)banyan_clone(d, at, d, at + 30000, 20000);
	}
}

static void use_space(uint64_t *random, banyan_data *space)
{
	struct banyan_range range = { .reverse = test_below(random, 2),
				      .names_only = test_below(random, 2) };
	banyan_cursor *c = NULL;
	struct banyan_entry e;
	if (banyan_scan(space, &range, &c))
		return;
	while (banyan_next(c, &e) == 0) {
		banyan_data *d = NULL;
		banyan_data *gone = NULL;
		if (banyan_entry_data(c, &d) == 0) {
			use_value(random, d);
			banyan_release(d, 1);
		}
		switch (test_below(random, 6)) {
		case 0:
			if (!banyan_delete(space, e.name, e.len, 0, &gone))
				banyan_release(gone, 1);
			break;
		case 1:
			(void)banyan_delete(space, e.name, e.len, 0, NULL);
			break;
		case 2:
			(void)banyan_move(space, e.name, e.len, space, "new", 3,
					  0);
			break;
		case 3:
			(void)banyan_move(space, e.name, e.len,
					  banyan_root(banyan_db(space)), "few",
					  3, BANYAN_EXCHANGE);
			break;
		default:
			break;
		}
	}
	banyan_scan_end(c);
}

static void use(uint64_t *random, banyan *db)
{
	static const char *const paths[] = { "short",	   "space",
					     "space/two",  "alias",
					     "few",	   "space/many",
					     "space/below" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const char *path = paths[test_below(random, 7)];
		banyan_data *d = NULL;
		if (banyan_find(db, path, &d))
			continue;
		use_value(random, d);
		use_space(random, d);
		(void)banyan_alias(db, path, "another");
		(void)banyan_remove(db, path);
		banyan_release(d, 1);
	}
	use_space(random, banyan_root(db));
	(void)banyan_put(db, "space/below/fresh", "x", 1, BANYAN_PARENTS);
	(void)banyan_rename(db, "space", "few/space", 0);
}

static void strange_rows_do_no_harm(void **in)
{
	uint64_t random = test_seed();
	const char *text = getenv("BANYAN_ROUNDS");
	unsigned long rounds = 300 * (text ? strtoul(text, NULL, 10) : 1);
	struct rows *rows = malloc(sizeof(*rows));
	(void)in;
	assert_non_null(rows);
	for (unsigned long i = 0; i < rounds; i++) {
		unsigned left = 1000;
		banyan *db = make_database();
		collect_rows(db, rows);
		spoil(&random, db, rows);
		if (test_below(&random, 2))
			(void)banyan_freeze(db);
		(void)banyan_walk(db, "", NULL, true, visit, &left);
		use(&random, db);
		(void)banyan_freeze(db);
		(void)banyan_close(db);
	}
	free(rows);
}

static void a_name_in_a_row_may_be_too_long(void **in)
{
	struct banyan_range range = { .names_only = true };
	struct banyan_entry e;
	struct row row = { .key = { ROW_NAME }, .key_len = ROW_KEY_MAX };
	banyan_cursor *c = NULL;
	struct txn *change = NULL;
	banyan *db = NULL;
	(void)in;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	row.key[8] = BANYAN_ROOT_ID;
	memset(row.key + ROW_ID_LEN, 'x', ROW_KEY_MAX - ROW_ID_LEN);
	row.value[1] = S_IFREG >> 12;
	row.value[2] = 2;
	row.value_len = 3;
	assert_int_equal(store_write_begin(db->store, OPERATION_BATCH, true,
					   &change),
			 0);
	put_row(change, &row);
	assert_int_equal(store_write_end(db->store, 0), 0);
	assert_int_equal(banyan_scan(banyan_root(db), &range, &c), 0);
	assert_int_equal(banyan_next(c, &e), -EUCLEAN);
	banyan_scan_end(c);
	assert_int_equal(banyan_close(db), 0);
}

static void names_beyond_the_limit_are_refused_by_all(void **in)
{
	char name[ROW_KEY_MAX];
	struct banyan_new make = { .mode = S_IFREG | 0600 };
	banyan_data *d = NULL;
	banyan *db = NULL;
	(void)in;
	memset(name, 'x', sizeof(name));
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	banyan_data *root = banyan_root(db);
	assert_int_equal(banyan_search(root, name, sizeof(name), &d, NULL),
			 -ENAMETOOLONG);
	assert_int_equal(banyan_insert(root, name, sizeof(name), &make, &d,
				       NULL),
			 -ENAMETOOLONG);
	assert_int_equal(banyan_delete(root, name, sizeof(name), 0, NULL),
			 -ENAMETOOLONG);
	assert_int_equal(banyan_delete(root, name, sizeof(name), 0, &d),
			 -ENAMETOOLONG);
	assert_int_equal(banyan_move(root, name, sizeof(name), root, "a", 1, 0),
			 -ENAMETOOLONG);
	assert_int_equal(banyan_close(db), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_in_a_row_may_be_too_long),
		cmocka_unit_test(names_beyond_the_limit_are_refused_by_all),
		cmocka_unit_test(strange_rows_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
