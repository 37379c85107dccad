/* SPDX-License-Identifier: MIT */
#include "tests/support/tree_fixture.h"

#include "tree/cursor.h"

#define ROWS 50000 /* keys 0, 10, 20 ... as test_numbers() makes them */

struct state {
	struct test_file file;
	struct cache *cache;
	struct tree tree;
	struct tree_cursor cursor;
	uint64_t random;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	test_file_init(&s->file);
	if (cache_new(4u << 20, &s->cache))
		return -1;
	s->tree = test_numbers(s->cache, &s->file, ROWS);
	s->random = test_seed();
	tree_cursor_init(&s->cursor, s->cache, &s->tree);
	*out = s;
	return 0;
}

static int tear_down(void **in)
{
	struct state *s = *in;
	tree_cursor_free(&s->cursor);
	cache_free(s->cache);
	test_file_free(&s->file);
	free(s);
	return 0;
}

static int seek(struct state *s, uint64_t number)
{
	uint8_t key[TEST_NUMBER_KEY];
	put_be64(key, number);
	return tree_cursor_seek(&s->cursor, key, sizeof(key));
}

static int seek_before(struct state *s, uint64_t number)
{
	uint8_t key[TEST_NUMBER_KEY];
	put_be64(key, number);
	return tree_cursor_seek_before(&s->cursor, key, sizeof(key));
}

/* The cursor is at row i */
static void assert_at(struct state *s, uint64_t i)
{
	size_t n;
	const uint8_t *key = tree_cursor_key(&s->cursor, &n);
	assert_int_equal(n, TEST_NUMBER_KEY);
	assert_int_equal(get_be64(key), 10 * i);
	const uint8_t *value = tree_cursor_value(&s->cursor, &n);
	assert_int_equal(n, 4);
	assert_int_equal(get_le32(value), i);
}

static void assert_nowhere(struct state *s)
{
	assert_false(s->cursor.valid);
	assert_int_equal(tree_cursor_next(&s->cursor), 1);
	assert_int_equal(tree_cursor_prev(&s->cursor), 1);
}

static void seeks_the_first_row_at_or_after_a_key(void **in)
{
	struct state *s = *in;
	for (uint64_t i = 0; i < ROWS; i++) {
		assert_int_equal(seek(s, 10 * i), 0);
		assert_at(s, i);
		int r = seek(s, 10 * i + 1 + i % 9);
		if (i + 1 == ROWS) {
			assert_int_equal(r, 1);
			assert_nowhere(s);
		} else {
			assert_int_equal(r, 0);
			assert_at(s, i + 1);
		}
	}
}

static void seeks_the_last_row_before_a_key(void **in)
{
	struct state *s = *in;
	assert_int_equal(seek_before(s, 0), 1);
	assert_nowhere(s);
	for (uint64_t i = 0; i < ROWS; i++) {
		assert_int_equal(seek_before(s, 10 * i + 1 + i % 9), 0);
		assert_at(s, i);
		if (i > 0) {
			assert_int_equal(seek_before(s, 10 * i), 0);
			assert_at(s, i - 1);
		}
	}
	assert_int_equal(tree_cursor_seek_before(&s->cursor, NULL, 0), 0);
	assert_at(s, ROWS - 1);
	assert_int_equal(tree_cursor_seek_before(&s->cursor, "\xff", 1), 0);
	assert_at(s, ROWS - 1);
	assert_int_equal(tree_cursor_seek_before(&s->cursor, "", 0), 1);
}

static void seeks_keys_of_other_lengths(void **in)
{
	struct state *s = *in;
	uint8_t key[TEST_NUMBER_KEY + 1] = { 0 };
	assert_int_equal(tree_cursor_seek(&s->cursor, NULL, 0), 0);
	assert_at(s, 0);
	assert_int_equal(tree_cursor_seek(&s->cursor, "", 0), 0);
	assert_at(s, 0);
	put_be64(key, 5000);
	assert_int_equal(tree_cursor_seek(&s->cursor, key, sizeof(key)), 0);
	assert_at(s, 501);
	assert_int_equal(tree_cursor_seek_before(&s->cursor, key, sizeof(key)),
			 0);
	assert_at(s, 500);
	assert_int_equal(tree_cursor_seek(&s->cursor, key, 7), 0);
	assert_at(s, 487); /* 4864 is 0x1300 */
}

static void walks_to_and_fro(void **in)
{
	struct state *s = *in;
	uint64_t at = ROWS / 2;
	assert_int_equal(seek(s, 10 * at), 0);
	for (unsigned turn = 0; turn < 200; turn++) {
		bool back = test_below(&s->random, 2);
		for (uint64_t n = test_below(&s->random, 1000); n > 0; n--) {
			if (at == (back ? 0 : ROWS - 1))
				break;
			assert_int_equal(back ? tree_cursor_prev(&s->cursor) :
						tree_cursor_next(&s->cursor),
					 0);
			at = back ? at - 1 : at + 1;
			assert_at(s, at);
		}
	}
}

static void has_no_position_beyond_the_ends(void **in)
{
	struct state *s = *in;
	assert_nowhere(s);
	assert_int_equal(seek(s, 10 * (ROWS - 1)), 0);
	assert_int_equal(tree_cursor_next(&s->cursor), 1);
	assert_nowhere(s);
	assert_int_equal(seek(s, 0), 0);
	assert_int_equal(tree_cursor_prev(&s->cursor), 1);
	assert_nowhere(s);
	assert_int_equal(seek(s, 70), 0);
	assert_at(s, 7);
}

static void an_empty_tree_has_no_position(void **in)
{
	struct state *s = *in;
	struct tree none = { 0 };
	struct tree_cursor c;
	tree_cursor_init(&c, s->cache, &none);
	assert_int_equal(tree_cursor_seek(&c, "", 0), 1);
	assert_int_equal(tree_cursor_seek_before(&c, NULL, 0), 1);
	assert_int_equal(tree_cursor_next(&c), 1);
	tree_cursor_free(&c);
	struct tree_cursor zeroed = { 0 };
	tree_cursor_free(&zeroed);
}

/* The key that a cursor gave lies in its own buffer */
static void seeks_its_own_key(void **in)
{
	struct state *s = *in;
	size_t n;
	for (uint64_t i = 1; i < 3000; i++) {
		assert_int_equal(seek(s, 10 * i), 0);
		const uint8_t *key = tree_cursor_key(&s->cursor, &n);
		assert_int_equal(tree_cursor_seek_before(&s->cursor, key, n),
				 0);
		assert_at(s, i - 1);
		key = tree_cursor_key(&s->cursor, &n);
		assert_int_equal(tree_cursor_seek(&s->cursor, key, n), 0);
		assert_at(s, i - 1);
	}
}

static void holds_what_it_needs_in_the_smallest_cache(void **in)
{
	struct state *s = *in;
	cache_set_limit(s->cache, 0);
	uint64_t n = 0;
	int r = tree_cursor_seek(&s->cursor, "", 0);
	for (; !r; r = tree_cursor_next(&s->cursor))
		assert_at(s, n++);
	assert_int_equal(r, 1);
	assert_int_equal(n, ROWS);
	struct cache_stat stat;
	cache_get_stat(s->cache, &stat);
	assert_int_equal(stat.bytes, 0);
}

/* Whichever read fails: the error comes back, and then all is well again */
static void a_failed_read_ends_the_movement(void **in)
{
	struct state *s = *in;
	long n = 1;
	uint64_t rows;

	do {
		cache_set_limit(s->cache, 0);
		atomic_store(&s->file.fail_read_in, n);
		rows = 0;
		int r = seek(s, 123456);
		for (; !r && rows < 1000; r = tree_cursor_next(&s->cursor))
			rows++;
		atomic_store(&s->file.fail_read_in, 0);
		assert_true(r == 0 || r == -EIO);
		if (r)
			assert_nowhere(s);
		n++;
	} while (rows < 1000);
	assert_true(n > 4);
	assert_int_equal(seek(s, 123450), 0);
	assert_at(s, 12345);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(seeks_the_first_row_at_or_after_a_key),
		TEST(seeks_the_last_row_before_a_key),
		TEST(seeks_keys_of_other_lengths),
		TEST(walks_to_and_fro),
		TEST(has_no_position_beyond_the_ends),
		TEST(an_empty_tree_has_no_position),
		TEST(seeks_its_own_key),
		TEST(holds_what_it_needs_in_the_smallest_cache),
		TEST(a_failed_read_ends_the_movement),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
