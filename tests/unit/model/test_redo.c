/* SPDX-License-Identifier: MIT */
/* The body of an operation record: redo.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/redo.h"
#include "model/rows.h"
#include "tests/support/encode_table.h"
#include "tests/support/random.h"

static const struct operation plain = { .kind = OPERATION_BATCH,
					.time = TIMESTAMP_MAX - 7,
					.stamp = TIMESTAMP_MAX - 4000000,
					.next_id = 300,
					.keys = -1,
					.live = INT64_MIN };

static void put(struct redo_table *t, const char *key, const char *value)
{
	assert_int_equal(redo_table_put(t, key, strlen(key), value,
					value ? strlen(value) : 0, 1, NULL),
			 0);
}

/* ---- honest bodies ---------------------------------------------------- */

static void an_operation_comes_back(void **in)
{
	struct redo_table *t = redo_table_new();
	struct buf body = BUF_INIT;
	struct redo_reader r;
	struct row_change row;
	struct operation op;
	(void)in;
	put(t, "apple", "red");
	put(t, "apricot", NULL);
	put(t, "b", "");
	put(t, "banana", "reed");
	assert_int_equal(encode_table(&plain, t, &body), 0);
	assert_int_equal(redo_open(&r, body.data, body.len, &op), 0);
	assert_int_equal(op.kind, OPERATION_BATCH);
	assert_true(op.time == plain.time && op.stamp == plain.stamp);
	assert_true(op.next_id == 300);
	assert_true(op.keys == -1 && op.live == INT64_MIN);
	assert_int_equal(redo_next(&r, &row), 0);
	assert_int_equal(row.key_len, 5);
	assert_memory_equal(row.key, "apple", 5);
	assert_int_equal(row.value_len, 3);
	assert_memory_equal(row.value, "red", 3);
	assert_int_equal(redo_next(&r, &row), 0);
	assert_memory_equal(row.key, "apricot", 7);
	assert_null(row.value);
	assert_int_equal(redo_next(&r, &row), 0);
	/* Empty is not deleted */
	assert_non_null(row.value);
	assert_int_equal(row.value_len, 0);
	assert_int_equal(redo_next(&r, &row), 0);
	assert_memory_equal(row.key, "banana", 6);
	assert_memory_equal(row.value, "reed", 4);
	assert_int_equal(redo_next(&r, &row), 1);
	assert_int_equal(redo_next(&r, &row), 1);
	buf_free(&body);
	redo_table_unref(t);
}

static void any_bytes(uint64_t *random, uint8_t *to, size_t n)
{
	/* Few different ones, so that much is shared */
	for (size_t i = 0; i < n; i++)
		to[i] = test_below(random, 8) ?
				(uint8_t)0 :
				(uint8_t)(test_below(random, 3) * 0x7f);
}

static struct redo_table *any_table(uint64_t *random)
{
	struct redo_table *t = redo_table_new();
	size_t rows = test_below(random, 60);
	assert_non_null(t);
	for (size_t i = 0; i < rows; i++) {
		uint8_t key[ROW_KEY_MAX];
		uint8_t value[ROW_VALUE_MAX];
		size_t key_len = 1 + test_below(random, test_below(random, 4) ?
								12 :
								ROW_KEY_MAX);
		size_t len = test_below(
			random, test_below(random, 4) ? 20 : ROW_VALUE_MAX + 1);
		any_bytes(random, key, key_len);
		any_bytes(random, value, len);
		bool deleted = test_below(random, 4) == 0;
		assert_int_equal(redo_table_put(t, key, key_len,
						deleted ? NULL : value,
						deleted ? 0 : len, 1, NULL),
				 0);
	}
	return t;
}

static void assert_rows(const struct buf *body, const struct redo_table *t)
{
	struct redo_cursor c;
	struct redo_reader r;
	struct operation op;
	struct row_change row;
	assert_int_equal(redo_open(&r, body->data, body->len, &op), 0);
	redo_cursor_init(&c, t, UINT64_MAX);
	for (bool more = redo_cursor_seek(&c, "", 0); more;
	     more = redo_cursor_next(&c)) {
		size_t key_len = 0;
		size_t len = 0;
		const uint8_t *key = redo_cursor_key(&c, &key_len);
		const uint8_t *value = redo_cursor_value(&c, &len);
		assert_int_equal(redo_next(&r, &row), 0);
		assert_int_equal(row.key_len, key_len);
		assert_memory_equal(row.key, key, key_len);
		assert_int_equal(row.value == NULL, value == NULL);
		assert_int_equal(row.value_len, value ? len : 0);
		if (value)
			assert_memory_equal(row.value, value, len);
	}
	assert_int_equal(redo_next(&r, &row), 1);
}

static void any_rows_come_back_in_order(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 1000; i++) {
		struct redo_table *t = any_table(&random);
		struct buf body = BUF_INIT;
		assert_int_equal(encode_table(&plain, t, &body), 0);
		assert_rows(&body, t);
		buf_free(&body);
		redo_table_unref(t);
	}
}

static void alike_rows_cost_little_more_than_what_differs(void **in)
{
	struct redo_table *t = redo_table_new();
	struct buf body = BUF_INIT;
	(void)in;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t key[40] = { ROW_NAME };
		uint8_t value[200] = { 0 };
		put_be32(key + 36, i);
		put_be32(value + 196, i);
		assert_int_equal(redo_table_put(t, key, sizeof(key), value,
						sizeof(value), 1, NULL),
				 0);
	}
	assert_int_equal(encode_table(&plain, t, &body), 0);
	assert_true(body.len < 1000 * 9);
	buf_free(&body);
	redo_table_unref(t);
}

/* ---- hostile bodies --------------------------------------------------- */

/*
 * Read it to its end, in memory of its own: 1 or -EUCLEAN. What comes out on the
 * way keeps to the limits and ascends.
 */
static int read_all(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct buf last = BUF_INIT;
	struct redo_reader r;
	struct operation op;
	struct row_change row;
	assert_non_null(copy);
	if (size)
		memcpy(copy, bytes, size);
	int rc = redo_open(&r, copy, size, &op);
	while (rc == 0 && (rc = redo_next(&r, &row)) == 0) {
		assert_in_range(row.key_len, 1, ROW_KEY_MAX);
		assert_true(row.value_len <= ROW_VALUE_MAX);
		assert_true(compare_bytes(last.data, last.len, row.key,
					  row.key_len) < 0);
		assert_int_equal(buf_set(&last, row.key, row.key_len), 0);
	}
	assert_true(rc == 1 || rc == -EUCLEAN);
	buf_free(&last);
	free(copy);
	return rc;
}

static void add_head(struct buf *body)
{
	buf_reset(body);
	buf_add_u8(body, OPERATION_WRITE);
	buf_add_le64(body, 0);
	buf_add_varint(body, 0);
	buf_add_varint(body, 1);
}

/* A row of the type NAME. same and rest are as they are said, and there are as many
 * bytes as in text. */
static void add_key(struct buf *body, uint64_t same, uint64_t rest,
		    bool has_value, const char *text)
{
	buf_add_u8(body, has_value ? 1 + (2 << 3) : 1);
	buf_add_varint(body, same);
	buf_add_varint(body, rest);
	buf_add(body, text, strlen(text));
}

static void add_value(struct buf *body, uint64_t same, uint64_t rest,
		      const char *text)
{
	buf_add_varint(body, same);
	buf_add_varint(body, rest);
	buf_add(body, text, strlen(text));
}

static int read_body(const struct buf *body)
{
	assert_false(body->failed);
	return read_all(body->data, body->len);
}

/* It may end behind a row; then it has fewer of them */
static void a_body_that_is_cut_off_ends_with_a_row(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 20; i++) {
		struct redo_table *t = any_table(&random);
		struct buf body = BUF_INIT;
		size_t ends = 0;
		assert_int_equal(encode_table(&plain, t, &body), 0);
		for (size_t n = 0; n <= body.len; n++)
			ends += read_all(body.data, n) == 1;
		assert_int_equal(ends, redo_table_rows(t) + 1);
		buf_free(&body);
		redo_table_unref(t);
	}
}

static void survives_every_changed_byte(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 20; i++) {
		struct redo_table *t = any_table(&random);
		struct buf body = BUF_INIT;
		assert_int_equal(encode_table(&plain, t, &body), 0);
		size_t most = body.len < 2000 ? body.len : 2000;
		for (size_t k = 0; k < most; k++) {
			uint8_t was = body.data[k];
			body.data[k] = (uint8_t)test_random(&random);
			(void)read_body(&body);
			body.data[k] = was ^ 0x80;
			(void)read_body(&body);
			body.data[k] = was;
		}
		buf_free(&body);
		redo_table_unref(t);
	}
}

static void knows_nine_kinds_of_operations(void **in)
{
	struct buf body = BUF_INIT;
	(void)in;
	add_head(&body);
	for (unsigned kind = 0; kind < 16; kind++) {
		body.data[0] = (uint8_t)kind;
		assert_int_equal(read_body(&body),
				 kind >= 1 && kind <= 9 ? 1 : -EUCLEAN);
		body.data[0] = (uint8_t)(kind | 128);
		assert_int_equal(read_body(&body), -EUCLEAN);
	}
	buf_free(&body);
}

static void refuses_keys_that_do_not_ascend(void **in)
{
	struct buf body = BUF_INIT;
	(void)in;
	add_head(&body);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 0, 2, false, "bc");
	assert_int_equal(read_body(&body), -EUCLEAN); /* shares one, says 0 */
	add_head(&body);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 1, 1, false, "c");
	assert_int_equal(read_body(&body), 1);
	add_head(&body);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 1, 1, false, "b");
	assert_int_equal(read_body(&body), -EUCLEAN); /* the same again */
	add_head(&body);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 0, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 1, 0, false, "");
	assert_int_equal(read_body(&body), -EUCLEAN); /* only the beginning */
	add_head(&body);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 2, 1, false, "a");
	assert_int_equal(read_body(&body), 1);
	add_head(&body);
	add_key(&body, 0, 1, false, "a");
	buf_add_u8(&body, 0); /* a type that has no room there, */
	buf_add_u8(&body, 0); /* which is less than the one before */
	buf_add_varint(&body, 0);
	buf_add_varint(&body, 0);
	assert_int_equal(read_body(&body), -EUCLEAN);
	buf_free(&body);
}

static void refuses_to_share_what_is_not_there(void **in)
{
	struct buf body = BUF_INIT;
	(void)in;
	add_head(&body);
	add_key(&body, 8, 1, false, "a"); /* an id of 0 is before the first */
	assert_int_equal(read_body(&body), 1);
	add_head(&body);
	add_key(&body, 9, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body);
	add_key(&body, 0, 1, false, "a");
	add_key(&body, 2, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body);
	add_key(&body, 0, 1, true, "a");
	add_value(&body, 1, 0, "");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body);
	add_key(&body, UINT64_MAX, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	buf_free(&body);
}

static void a_deleted_row_leaves_the_value_to_share(void **in)
{
	struct buf body = BUF_INIT;
	struct redo_reader r;
	struct operation op;
	struct row_change row;
	(void)in;
	add_head(&body);
	add_key(&body, 0, 1, true, "a");
	add_value(&body, 0, 3, "xyz");
	add_key(&body, 0, 1, false, "b");
	add_key(&body, 0, 1, true, "c");
	add_value(&body, 2, 1, "!");
	assert_int_equal(redo_open(&r, body.data, body.len, &op), 0);
	assert_int_equal(redo_next(&r, &row), 0);
	assert_int_equal(redo_next(&r, &row), 0);
	assert_null(row.value);
	assert_int_equal(redo_next(&r, &row), 0);
	assert_int_equal(row.value_len, 3);
	assert_memory_equal(row.value, "xy!", 3);
	assert_int_equal(redo_next(&r, &row), 1);
	buf_free(&body);
}

static void refuses_lengths_beyond_the_limits(void **in)
{
	struct buf body = BUF_INIT;
	uint8_t *bytes = calloc(1, ROW_VALUE_MAX + 1);
	(void)in;
	assert_non_null(bytes);
	for (size_t over = 0; over < 2; over++) {
		size_t n = ROW_KEY_MAX - 1 + over;
		add_head(&body);
		add_key(&body, 0, n, false, "");
		buf_add(&body, bytes, n);
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
		n = ROW_VALUE_MAX + over;
		add_head(&body);
		add_key(&body, 0, 1, true, "a");
		buf_add_varint(&body, 0);
		buf_add_varint(&body, n);
		buf_add(&body, bytes, n);
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
		/* Together with what is shared */
		add_head(&body);
		add_key(&body, 0, 1, true, "a");
		buf_add_varint(&body, 0);
		buf_add_varint(&body, ROW_VALUE_MAX);
		buf_add(&body, bytes, ROW_VALUE_MAX);
		add_key(&body, 0, 1, true, "b");
		add_value(&body, ROW_VALUE_MAX, over, over ? "x" : "");
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
	}
	add_head(&body);
	add_key(&body, 0, UINT64_MAX / 2, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body);
	add_key(&body, 0, 1, true, "a");
	add_value(&body, 0, 1, "x");
	add_key(&body, 0, 1, true, "b");
	add_value(&body, 1, UINT64_MAX, "x"); /* the sum would wrap round */
	assert_int_equal(read_body(&body), -EUCLEAN);
	free(bytes);
	buf_free(&body);
}

/* ---- what is left out ------------------------------------------------- */

static const timestamp now = (timestamp)1 << 61;

static struct data any_data(uint64_t *random, uint64_t id)
{
	static const uint32_t modes[] = { 0100644, 0040755, 0100600, 0120777 };
	const timestamp times[] = { now, now - 3,	now + 70,
				    1,	 TIMESTAMP_MAX, test_random(random) };
	struct data d;
	data_clear(&d);
	d.id = id;
	d.mode = modes[test_below(random, 4)];
	d.flags = test_below(random, 4) ? 0 : BANYAN_NO_DUMP;
	d.uid = test_below(random, 2) ? 0 : UINT32_MAX;
	d.gid = test_below(random, 2) ? 0 : 1000;
	d.birth = times[test_below(random, 6)];
	d.mtime = times[test_below(random, 6)];
	d.ctime = times[test_below(random, 6)];
	d.atime = test_below(random, 2) ? d.mtime :
					  times[test_below(random, 6)];
	d.nlink = (uint32_t)test_below(random, 4);
	if (data_is_space(&d)) {
		d.parent = 1 + test_below(random, 1000);
		return d;
	}
	d.rdev = test_below(random, 4) ? 0 : test_random(random);
	d.size = test_below(random, INLINE_MAX + 1);
	if (d.size && test_below(random, 2)) {
		d.contents = CONTENTS_INLINE;
		d.inline_len = (uint32_t)(1 + test_below(random, d.size));
		memset(d.inline_bytes, 'x', d.inline_len);
	}
	return d;
}

static void put_any_data(struct redo_table *t, uint64_t *random, uint64_t id)
{
	struct row_key key;
	struct buf value = BUF_INIT;
	struct data d = any_data(random, id);
	if (test_below(random, 2))
		row_key_data(&key, test_below(random, 9) ? id : id + 1);
	else
		row_key_name(&key, 1 + test_below(random, 3), (const char *)&id,
			     1 + test_below(random, 8));
	assert_int_equal(data_encode(&d, &value), 0);
	/* Not as data_encode() makes it, or none at all */
	if (test_below(random, 9) == 0)
		value.data[test_below(random, value.len)] ^= 1;
	assert_int_equal(redo_table_put(t, key.bytes, key.len, value.data,
					value.len, 1, NULL),
			 0);
	buf_free(&value);
}

static void any_data_come_back(void **in)
{
	uint64_t random = test_seed();
	const struct operation op = { .kind = OPERATION_BATCH,
				      .time = now + 3000000,
				      .stamp = now,
				      .next_id = 100 };
	(void)in;
	for (unsigned i = 0; i < 3000; i++) {
		struct redo_table *t = redo_table_new();
		struct buf body = BUF_INIT;
		assert_non_null(t);
		for (uint64_t n = 1 + test_below(&random, 8); n; n--)
			put_any_data(t, &random, 100 - n);
		assert_int_equal(encode_table(&op, t, &body), 0);
		assert_rows(&body, t);
		buf_free(&body);
		redo_table_unref(t);
	}
}

/* A new file and its key space: only what nothing else tells is written */
static void what_an_operation_tells_is_not_written(void **in)
{
	const struct operation op = { .kind = OPERATION_INSERT,
				      .time = now + 3000000,
				      .stamp = now,
				      .next_id = 8,
				      .keys = 1 };
	struct redo_table *t = redo_table_new();
	struct buf body = BUF_INIT;
	struct buf value = BUF_INIT;
	struct row_key key;
	struct data d;
	(void)in;
	data_clear(&d);
	d.id = 7;
	d.mode = 0100644;
	d.nlink = 1;
	d.birth = d.atime = d.mtime = d.ctime = now;
	assert_int_equal(data_encode(&d, &value), 0);
	row_key_name(&key, 5, "name", 4);
	assert_int_equal(redo_table_put(t, key.bytes, key.len, value.data,
					value.len, 1, NULL),
			 0);
	d.id = 5;
	d.parent = 1;
	d.mode = 0040755;
	d.nlink = 2;
	d.birth = d.atime = now - ((uint64_t)1 << 54);
	d.ctime++;
	assert_int_equal(data_encode(&d, &value), 0);
	row_key_data(&key, 5);
	assert_int_equal(redo_table_put(t, key.bytes, key.len, value.data,
					value.len, 1, NULL),
			 0);
	assert_int_equal(encode_table(&op, t, &body), 0);
	/* The head; a NAME row; of a key space mode, birth, ctime and parent */
	assert_int_equal(body.len,
			 (1 + 8 + 4 + 1) + (3 + 4 + 1) + (2 + 3 + 8 + 1 + 1));
	buf_free(&value);
	buf_free(&body);
	redo_table_unref(t);
}

static void refuses_a_data_that_is_none(void **in)
{
	struct buf body = BUF_INIT;
	const uint64_t words[] = { 1 << 14, 3 << 7, 3 << 9, UINT64_MAX };
	(void)in;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		add_head(&body);
		buf_add_u8(&body, 1 + (3 << 3));
		buf_add_varint(&body, 0);
		buf_add_varint(&body, 1);
		buf_add_u8(&body, 'a');
		buf_add_varint(&body, words[i]);
		for (unsigned k = 0; k < 20; k++)
			buf_add_varint(&body, 1);
		assert_int_equal(read_body(&body), -EUCLEAN);
	}
	/* Contents that are longer than a row */
	for (size_t over = 0; over < 2; over++) {
		static const uint8_t bytes[ROW_VALUE_MAX];
		size_t n = ROW_VALUE_MAX - 18 + over;
		add_head(&body);
		buf_add_u8(&body, 1 + (3 << 3));
		buf_add_varint(&body, 0);
		buf_add_varint(&body, 1);
		buf_add_u8(&body, 'a');
		buf_add_varint(&body, CONTENTS_INLINE);
		buf_add_varint(&body, n);
		buf_add(&body, bytes, n);
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
	}
	buf_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_operation_comes_back),
		cmocka_unit_test(any_rows_come_back_in_order),
		cmocka_unit_test(alike_rows_cost_little_more_than_what_differs),
		cmocka_unit_test(a_body_that_is_cut_off_ends_with_a_row),
		cmocka_unit_test(survives_every_changed_byte),
		cmocka_unit_test(knows_nine_kinds_of_operations),
		cmocka_unit_test(refuses_keys_that_do_not_ascend),
		cmocka_unit_test(refuses_to_share_what_is_not_there),
		cmocka_unit_test(a_deleted_row_leaves_the_value_to_share),
		cmocka_unit_test(refuses_lengths_beyond_the_limits),
		cmocka_unit_test(any_data_come_back),
		cmocka_unit_test(what_an_operation_tells_is_not_written),
		cmocka_unit_test(refuses_a_data_that_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
