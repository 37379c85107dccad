/* SPDX-License-Identifier: MIT */
/* The body of an operation record: redo.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "table/redo.h"
#include "tests/support/encode_table.h"
#include "tests/support/random.h"

static const struct operation plain = { .kind = OPERATION_BATCH,
					.time = TIMESTAMP_MAX - 7,
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
	assert_true(op.time == plain.time && op.next_id == 300);
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

static void any_rows_come_back_in_order(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 1000; i++) {
		struct redo_table *t = any_table(&random);
		struct buf body = BUF_INIT;
		struct redo_cursor c;
		struct redo_reader r;
		struct operation op;
		struct row_change row;
		assert_int_equal(encode_table(&plain, t, &body), 0);
		assert_int_equal(redo_open(&r, body.data, body.len, &op), 0);
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
		uint8_t key[40] = { 0 };
		uint8_t value[200] = { 0 };
		put_be32(key + 36, i);
		put_be32(value + 196, i);
		assert_int_equal(redo_table_put(t, key, sizeof(key), value,
						sizeof(value), 1, NULL),
				 0);
	}
	assert_int_equal(encode_table(&plain, t, &body), 0);
	assert_true(body.len < 1000 * 8);
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

static void add_head(struct buf *body, uint64_t rows)
{
	buf_reset(body);
	buf_add_u8(body, OPERATION_WRITE);
	buf_add_le64(body, 0);
	buf_add_varint(body, 1);
	buf_add_varint(body, 0);
	buf_add_varint(body, 0);
	buf_add_varint(body, rows);
}

/* same and rest as they are said, and as many bytes as there are in text */
static void add_key(struct buf *body, uint64_t same, uint64_t rest,
		    bool has_value, const char *text)
{
	buf_add_varint(body, same);
	buf_add_varint(body, rest * 2 + has_value);
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

static void refuses_every_body_that_is_cut_off(void **in)
{
	uint64_t random = test_seed();
	(void)in;
	for (unsigned i = 0; i < 20; i++) {
		struct redo_table *t = any_table(&random);
		struct buf body = BUF_INIT;
		assert_int_equal(encode_table(&plain, t, &body), 0);
		assert_int_equal(read_body(&body), 1);
		for (size_t n = 0; n < body.len; n++)
			assert_int_equal(read_all(body.data, n), -EUCLEAN);
		buf_add_u8(&body, 0);
		assert_int_equal(read_body(&body), -EUCLEAN);
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
	add_head(&body, 0);
	for (unsigned kind = 0; kind < 256; kind++) {
		body.data[0] = (uint8_t)kind;
		assert_int_equal(read_body(&body),
				 kind >= 1 && kind <= 9 ? 1 : -EUCLEAN);
	}
	buf_free(&body);
}

static void refuses_keys_that_do_not_ascend(void **in)
{
	struct buf body = BUF_INIT;
	(void)in;
	add_head(&body, 2);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 0, 2, false, "bc");
	assert_int_equal(read_body(&body), -EUCLEAN); /* shares one, says 0 */
	add_head(&body, 2);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 1, 1, false, "c");
	assert_int_equal(read_body(&body), 1);
	add_head(&body, 2);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 1, 1, false, "b");
	assert_int_equal(read_body(&body), -EUCLEAN); /* the same again */
	add_head(&body, 2);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 0, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body, 2);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 1, 0, false, "");
	assert_int_equal(read_body(&body), -EUCLEAN); /* only the beginning */
	add_head(&body, 2);
	add_key(&body, 0, 2, false, "bb");
	add_key(&body, 2, 1, false, "a");
	assert_int_equal(read_body(&body), 1);
	add_head(&body, 1);
	add_key(&body, 0, 0, false, "");
	assert_int_equal(read_body(&body), -EUCLEAN); /* no key at all */
	buf_free(&body);
}

static void refuses_to_share_what_is_not_there(void **in)
{
	struct buf body = BUF_INIT;
	(void)in;
	add_head(&body, 1);
	add_key(&body, 1, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body, 2);
	add_key(&body, 0, 1, false, "a");
	add_key(&body, 2, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body, 1);
	add_key(&body, 0, 1, true, "a");
	add_value(&body, 1, 0, "");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body, 1);
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
	add_head(&body, 3);
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
		size_t n = ROW_KEY_MAX + over;
		add_head(&body, 1);
		buf_add_varint(&body, 0);
		buf_add_varint(&body, n * 2);
		buf_add(&body, bytes, n);
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
		n = ROW_VALUE_MAX + over;
		add_head(&body, 1);
		add_key(&body, 0, 1, true, "a");
		buf_add_varint(&body, 0);
		buf_add_varint(&body, n);
		buf_add(&body, bytes, n);
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
		/* Together with what is shared */
		add_head(&body, 2);
		add_key(&body, 0, 1, true, "a");
		buf_add_varint(&body, 0);
		buf_add_varint(&body, ROW_VALUE_MAX);
		buf_add(&body, bytes, ROW_VALUE_MAX);
		add_key(&body, 0, 1, true, "b");
		add_value(&body, ROW_VALUE_MAX, over, over ? "x" : "");
		assert_int_equal(read_body(&body), over ? -EUCLEAN : 1);
	}
	add_head(&body, 1);
	add_key(&body, 0, UINT64_MAX / 2, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body, 2);
	add_key(&body, 0, 1, true, "a");
	add_value(&body, 0, 1, "x");
	add_key(&body, 0, 1, true, "b");
	add_value(&body, 1, UINT64_MAX, "x"); /* the sum would wrap round */
	assert_int_equal(read_body(&body), -EUCLEAN);
	free(bytes);
	buf_free(&body);
}

static void a_count_of_rows_that_lies_is_found_out(void **in)
{
	struct buf body = BUF_INIT;
	(void)in;
	add_head(&body, 0);
	add_key(&body, 0, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	add_head(&body, UINT64_MAX);
	add_key(&body, 0, 1, false, "a");
	assert_int_equal(read_body(&body), -EUCLEAN);
	assert_int_equal(read_all(NULL, 0), -EUCLEAN);
	buf_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_operation_comes_back),
		cmocka_unit_test(any_rows_come_back_in_order),
		cmocka_unit_test(alike_rows_cost_little_more_than_what_differs),
		cmocka_unit_test(refuses_every_body_that_is_cut_off),
		cmocka_unit_test(survives_every_changed_byte),
		cmocka_unit_test(knows_nine_kinds_of_operations),
		cmocka_unit_test(refuses_keys_that_do_not_ascend),
		cmocka_unit_test(refuses_to_share_what_is_not_there),
		cmocka_unit_test(a_deleted_row_leaves_the_value_to_share),
		cmocka_unit_test(refuses_lengths_beyond_the_limits),
		cmocka_unit_test(a_count_of_rows_that_lies_is_found_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
