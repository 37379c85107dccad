/* SPDX-License-Identifier: MIT */
#include "tests/support/tree_fixture.h"
#include "tree_model.h"

#include "tree/cursor.h"

/* ---- a tree beside its model ------------------------------------------ */

struct state {
	struct test_file file;
	struct test_sink sink;
	struct cache *cache;
	struct tree tree;
	struct merge_stats stats;
	struct model model;
	uint64_t random;
	struct row_value value;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	test_file_init(&s->file);
	s->sink = (struct test_sink){ .file = &s->file, .gap = 24 };
	s->random = test_seed();
	*out = s;
	return cache_new(4u << 20, &s->cache);
}

static int tear_down(void **in)
{
	struct state *s = *in;
	cache_free(s->cache);
	rows_free(s->model.rows, s->model.count);
	test_file_free(&s->file);
	free(s);
	return 0;
}

static void assert_row(const struct test_row *row, const struct tree_cursor *c)
{
	size_t n;
	const uint8_t *key = tree_cursor_key(c, &n);
	assert_int_equal(n, row->key_len);
	assert_memory_equal(key, row->key, n);
	const uint8_t *value = tree_cursor_value(c, &n);
	assert_int_equal(n, row->value_len);
	if (n)
		assert_memory_equal(value, row->value, n);
}

static void scan_both_ways(struct state *s)
{
	struct tree_cursor c;
	size_t i = 0;
	int r;

	tree_cursor_init(&c, s->cache, &s->tree);
	for (r = tree_cursor_seek(&c, "", 0); !r; r = tree_cursor_next(&c)) {
		assert_true(i < s->model.count);
		assert_row(&s->model.rows[i++], &c);
	}
	assert_int_equal(r, 1);
	assert_int_equal(i, s->model.count);
	for (r = tree_cursor_seek_before(&c, NULL, 0); !r;
	     r = tree_cursor_prev(&c)) {
		assert_true(i > 0);
		assert_row(&s->model.rows[--i], &c);
	}
	assert_int_equal(r, 1);
	assert_int_equal(i, 0);
	tree_cursor_free(&c);
}

static void look_up_all(struct state *s)
{
	for (size_t i = 0; i < s->model.count; i++) {
		const struct test_row *row = &s->model.rows[i];
		assert_int_equal(btree_lookup(s->cache, &s->tree, row->key,
					      row->key_len, &s->value),
				 0);
		assert_int_equal(s->value.len, row->value_len);
		if (row->value_len)
			assert_memory_equal(s->value.bytes, row->value,
					    row->value_len);
	}
}

/* Nodes under a third are right only where no neighbour could take them */
static void assert_balanced(struct state *s)
{
	struct test_shape shape = test_shape_of(s->cache, &s->tree);

	assert_int_equal(shape.rows, s->model.count);
	for (unsigned i = 0; i < s->tree.height; i++) {
		if (shape.nodes[i] > 1)
			assert_int_equal(shape.small[i], 0);
	}
}

static void merge(struct state *s, const struct test_row *changes, size_t count)
{
	assert_int_equal(test_merge(s->cache, &s->sink, changes, count,
				    &s->tree, &s->stats),
			 0);
	model_merge(&s->model, changes, count);
}

static void verify(struct state *s)
{
	scan_both_ways(s);
	look_up_all(s);
	assert_balanced(s);
	assert_true(s->sink.longest <= TEST_RUN_BYTES);
}

/* ---- kinds of rows ---------------------------------------------------- */

/* A directory-like key: a space, then a name; and attributes as a value */
static struct test_row plain_row(uint64_t i, uint64_t *random)
{
	uint8_t key[64];
	uint8_t value[80];

	key[0] = 1;
	put_be64(key + 1, i / 1000 + 1);
	int n = snprintf((char *)key + 9, sizeof(key) - 9, "file-%06llu.txt",
			 (unsigned long long)(i % 1000));
	memcpy(value, "rw-r--r-- user group a few more shared bytes ", 45);
	put_be64(value + 45, i);
	put_be64(value + 53, test_random(random));
	return (struct test_row){ copy_of(key, 9 + (size_t)n), 9 + (size_t)n,
				  copy_of(value, 61), 61 };
}

/* Rows all alike */
static struct test_row number_row(uint64_t i, uint64_t *random)
{
	uint8_t key[8];
	uint8_t value[16];

	put_be64(key, i);
	put_be64(value, test_random(random));
	put_be64(value + 8, test_random(random));
	return (struct test_row){ copy_of(key, 8), 8, copy_of(value, 16), 16 };
}

/* Anything goes: empty and huge, groups of keys with long prefixes */
static struct test_row wild_row(uint64_t i, uint64_t *random)
{
	uint8_t key[ROW_KEY_MAX] = { 0 };
	static uint8_t value[ROW_VALUE_MAX];
	uint64_t kind = i % 7;
	size_t key_len = kind == 0 ? ROW_KEY_MAX : kind == 1 ? 250 : 12;
	size_t value_len = test_below(random, 20) == 0 ?
				   test_below(random, ROW_VALUE_MAX + 1) :
				   test_below(random, 30);

	memset(key, (int)kind + 'a', sizeof(key));
	put_be64(key + key_len - 8, i);
	if (i % 97 == 0) {
		put_be64(key, i);
		key_len = 8;
	}
	for (size_t k = 0; k < value_len; k++)
		value[k] = (uint8_t)(k < value_len / 2 ? 'v' :
							 test_random(random));
	return (struct test_row){ copy_of(key, key_len), key_len,
				  copy_of(value, value_len), value_len };
}

typedef struct test_row make_row(uint64_t i, uint64_t *random);

/* count changes of random rows out of keys, deletes_in_10 of 10 deletes */
static void merge_random(struct state *s, make_row *make, uint64_t from,
			 uint64_t keys, size_t count, unsigned deletes_in_10)
{
	struct test_row *rows = calloc(count, sizeof(*rows));
	assert_non_null(rows);
	for (size_t i = 0; i < count; i++) {
		rows[i] = make(from + test_below(&s->random, keys), &s->random);
		if (test_below(&s->random, 10) < deletes_in_10) {
			free(rows[i].value);
			rows[i].value = NULL;
		}
	}
	count = sort_rows(rows, count);
	merge(s, rows, count);
	rows_free(rows, count);
}

/* Rows from, from + step ... */
static void merge_steps(struct state *s, make_row *make, uint64_t from,
			size_t count, uint64_t step, bool delete)
{
	struct test_row *rows = calloc(count, sizeof(*rows));
	assert_non_null(rows);
	for (size_t i = 0; i < count; i++) {
		rows[i] = make(from + i * step, &s->random);
		if (delete) {
			free(rows[i].value);
			rows[i].value = NULL;
		}
	}
	count = sort_rows(rows, count);
	merge(s, rows, count);
	rows_free(rows, count);
}

static void merge_sequence(struct state *s, make_row *make, uint64_t from,
			   size_t count, bool delete)
{
	merge_steps(s, make, from, count, 1, delete);
}

/* ---- tests ------------------------------------------------------------ */

static void an_empty_tree_has_no_rows(void **in)
{
	struct state *s = *in;
	assert_int_equal(btree_lookup(s->cache, &s->tree, "a", 1, &s->value),
			 -ENOENT);
	merge(s, NULL, 0);
	assert_int_equal(s->tree.height, 0);
	verify(s);
	merge_sequence(s, plain_row, 0, 10, true);
	assert_int_equal(s->tree.height, 0);
	assert_int_equal(s->stats.bytes_written, 0);
}

static void a_sequential_load_fills_leaves(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 60000, false);
	verify(s);
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	assert_true(shape.bytes[0] * 100 >= shape.nodes[0] * NODE_TARGET * 95);
	assert_int_equal(s->tree.height, 3);
}

static void appending_in_turns_keeps_leaves_full(void **in)
{
	struct state *s = *in;
	for (uint64_t i = 0; i < 20000; i += 500)
		merge_sequence(s, plain_row, i, 500, false);
	verify(s);
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	assert_true(shape.bytes[0] * 100 >= shape.nodes[0] * NODE_TARGET * 80);
}

static void finds_every_row_after_random_merges(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 20000, false);
	for (unsigned i = 0; i < 40; i++) {
		size_t count = 1 + test_below(&s->random, i % 2 ? 4000 : 5);
		merge_random(s, plain_row, 0, 40000, count, i % 11);
		if (i % 4 != 3)
			continue;
		verify(s);
		/* Rows that share less than their neighbours may do that */
		struct test_shape shape = test_shape_of(s->cache, &s->tree);
		assert_true(shape.large * 50 <= shape.nodes[0]);
	}
}

/* One row more in every third leaf or so */
static void full_leaves_split_in_two(void **in)
{
	struct state *s = *in;
	merge_steps(s, number_row, 0, 30000, 2, false);
	uint64_t before = test_shape_of(s->cache, &s->tree).nodes[0];
	merge_steps(s, number_row, 201, 60, 1000, false);
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	assert_true(shape.nodes[0] > before + 40);
	assert_int_equal(shape.large, 0);
	verify(s);
}

static void shared_attributes_are_stored_once(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 10000, false);
	/* Without sharing 85 bytes a row: 24 of key, 61 of value */
	assert_true(s->stats.bytes_written < 10000u * 40);
}

static void small_changes_write_little(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 60000, false);
	for (unsigned i = 0; i < 50; i++) {
		merge_random(s, plain_row, 0, 60000, 1, 0);
		assert_true(s->stats.nodes_written <= s->tree.height + 3);
		assert_true(s->stats.nodes_read <= s->tree.height + 2);
	}
	verify(s);
}

static void takes_rows_of_any_size(void **in)
{
	struct state *s = *in;
	for (unsigned i = 0; i < 60; i++) {
		size_t count = 1 + test_below(&s->random, 800);
		merge_random(s, wild_row, 0, 6000, count, i % 9);
		if (i % 5 == 4) {
			scan_both_ways(s);
			look_up_all(s);
			test_shape_of(s->cache, &s->tree);
		}
	}
}

static void takes_a_single_row(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 7, 1, false);
	assert_int_equal(s->tree.height, 1);
	verify(s);
	merge_sequence(s, plain_row, 7, 1, true);
	assert_int_equal(s->tree.height, 0);
	merge_sequence(s, wild_row, 0, 1, false);
	scan_both_ways(s);
}

static void takes_the_largest_rows(void **in)
{
	struct state *s = *in;
	struct test_row rows[20];
	for (unsigned i = 0; i < 20; i++) {
		uint8_t key[ROW_KEY_MAX] = { 0 };
		uint8_t value[ROW_VALUE_MAX];
		memset(value, (int)i, sizeof(value));
		key[i < 10 ? 0 : ROW_KEY_MAX - 1] = (uint8_t)(i + 1);
		rows[i] = (struct test_row){ copy_of(key, sizeof(key)),
					     sizeof(key),
					     copy_of(value, sizeof(value)),
					     sizeof(value) };
	}
	size_t count = sort_rows(rows, 20);
	merge(s, rows, count);
	for (size_t i = 0; i < count; i++)
		row_free(&rows[i]);
	scan_both_ways(s);
	look_up_all(s);
	assert_balanced(s);
}

static void refuses_rows_that_are_too_large(void **in)
{
	struct state *s = *in;
	uint8_t bytes[ROW_VALUE_MAX + 1] = { 0 };
	struct test_row long_key = { bytes, ROW_KEY_MAX + 1, bytes, 1 };
	struct test_row long_value = { bytes, 1, bytes, ROW_VALUE_MAX + 1 };
	assert_int_equal(test_merge(s->cache, &s->sink, &long_key, 1, &s->tree,
				    NULL),
			 -EINVAL);
	assert_int_equal(test_merge(s->cache, &s->sink, &long_value, 1,
				    &s->tree, NULL),
			 -EINVAL);
	assert_int_equal(s->tree.height, 0);
}

static void refuses_changes_out_of_order(void **in)
{
	struct state *s = *in;
	uint8_t a[] = "a";
	uint8_t b[] = "b";
	struct test_row down[] = { { b, 1, b, 1 }, { a, 1, a, 1 } };
	struct test_row twice[] = { { a, 1, a, 1 }, { a, 1, b, 1 } };
	assert_int_equal(test_merge(s->cache, &s->sink, down, 2, &s->tree,
				    NULL),
			 -EINVAL);
	assert_int_equal(test_merge(s->cache, &s->sink, twice, 2, &s->tree,
				    NULL),
			 -EINVAL);
}

static void deletes_shrink_the_tree(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 60000, false);
	assert_int_equal(s->tree.height, 3);
	merge_sequence(s, plain_row, 100, 59000, true);
	verify(s);
	assert_int_equal(s->tree.height, 2);
	merge_sequence(s, plain_row, 20, 59970, true);
	verify(s);
	assert_int_equal(s->tree.height, 1);
	merge_sequence(s, plain_row, 0, 60000, true);
	assert_int_equal(s->tree.height, 0);
	assert_int_equal(s->tree.root.length, 0);
	verify(s);
}

/* Cut ranges out at the front, in the middle and at the very end */
static void stays_balanced_when_ranges_are_deleted(void **in)
{
	struct state *s = *in;
	for (unsigned i = 0; i < 12; i++) {
		merge_sequence(s, plain_row, 0, 20000, false);
		uint64_t from = i % 3 == 0 ? 0 : test_below(&s->random, 19000);
		uint64_t to = i % 3 == 1 ? 20000 :
					   from + test_below(&s->random,
							     20001 - from);
		if (to > from)
			merge_sequence(s, plain_row, from, to - from, true);
		verify(s);
	}
	for (unsigned i = 0; i < 300 / test_one_in(5) && s->model.count; i++) {
		merge_random(s, plain_row, s->model.count * 15 / 16, 20000, 40,
			     9);
		assert_balanced(s);
	}
}

static void deleting_the_last_rows_joins_the_leaf_on_the_left(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 20000, false);
	for (uint64_t left = 19990; left > 18000; left -= 7) {
		merge_sequence(s, plain_row, left, 7, true);
		assert_balanced(s);
	}
	merge_sequence(s, plain_row, 18000, 2000, true);
	verify(s);
}

static void an_old_tree_stays_as_it_was(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 5000, false);
	struct tree old = s->tree;
	struct test_shape before = test_shape_of(s->cache, &old);
	merge_random(s, plain_row, 0, 8000, 3000, 5);
	struct test_shape after = test_shape_of(s->cache, &old);
	assert_int_equal(before.rows, after.rows);
	assert_int_equal(before.bytes[0], after.bytes[0]);
}

static void a_failed_merge_leaves_the_tree(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 20000, false);
	struct test_row row = plain_row(777, &s->random);
	struct tree before = s->tree;

	s->sink.fail_in = 1;
	assert_int_equal(test_merge(s->cache, &s->sink, &row, 1, &s->tree,
				    NULL),
			 -ENOSPC);
	assert_memory_equal(&before, &s->tree, sizeof(before));
	cache_set_limit(s->cache, 0);
	atomic_store(&s->file.fail_read_in, 2);
	assert_int_equal(
		test_merge(s->cache, &s->sink, &row, 1, &s->tree, NULL), -EIO);
	assert_memory_equal(&before, &s->tree, sizeof(before));
	row_free(&row);
	verify(s);
}

static void keys_below_a_vanished_first_leaf_can_return(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 20000, false);
	merge_sequence(s, plain_row, 0, 9000, true);
	verify(s);
	struct test_row row = plain_row(5, &s->random);
	assert_int_equal(btree_lookup(s->cache, &s->tree, row.key, row.key_len,
				      &s->value),
			 -ENOENT);
	merge(s, &row, 1);
	row_free(&row);
	verify(s);
}

/* ---- damage ------------------------------------------------------------ */

/* A flipped bit anywhere is an error, or was in what is not in use */
static void a_flipped_byte_never_gives_wrong_rows(void **in)
{
	struct state *s = *in;
	merge_sequence(s, plain_row, 0, 3000, false);
	for (size_t i = 64; i < s->file.bytes.len;
	     i += 1 + test_below(&s->random, 200)) {
		cache_set_limit(s->cache, 0);
		cache_set_limit(s->cache, 1u << 20);
		struct tree_cursor c;
		size_t n = 0;
		int r;
		s->file.bytes.data[i] ^= (uint8_t)(1 + i % 255);
		tree_cursor_init(&c, s->cache, &s->tree);
		for (r = tree_cursor_seek(&c, "", 0); !r;
		     r = tree_cursor_next(&c))
			assert_row(&s->model.rows[n++], &c);
		assert_true(r == -EBADMSG || n == s->model.count);
		tree_cursor_free(&c);
		s->file.bytes.data[i] ^= (uint8_t)(1 + i % 255);
	}
	cache_set_limit(s->cache, 0);
	verify(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_tree_has_no_rows),
		TEST(a_sequential_load_fills_leaves),
		TEST(appending_in_turns_keeps_leaves_full),
		TEST(finds_every_row_after_random_merges),
		TEST(full_leaves_split_in_two),
		TEST(shared_attributes_are_stored_once),
		TEST(small_changes_write_little),
		TEST(takes_rows_of_any_size),
		TEST(takes_a_single_row),
		TEST(takes_the_largest_rows),
		TEST(refuses_rows_that_are_too_large),
		TEST(refuses_changes_out_of_order),
		TEST(deletes_shrink_the_tree),
		TEST(stays_balanced_when_ranges_are_deleted),
		TEST(deleting_the_last_rows_joins_the_leaf_on_the_left),
		TEST(an_old_tree_stays_as_it_was),
		TEST(a_failed_merge_leaves_the_tree),
		TEST(keys_below_a_vanished_first_leaf_can_return),
		TEST(a_flipped_byte_never_gives_wrong_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
