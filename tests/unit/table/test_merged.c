/* SPDX-License-Identifier: MIT */
/*
 * Up to three redo tables and a tree, against a plain model: an array of all
 * keys, with what each layer says about each.
 */
#include "tests/support/tree_fixture.h"

#include "table/merged.h"

#define KEYS 3000u
#define KEY_LEN 12u

enum said { NOTHING, DELETED, A_ROW };

struct state {
	struct test_file file;
	struct cache *cache;
	struct merged merged;
	struct redo_table *tables[MERGED_TABLES];
	uint64_t random;
	/* What the layers say, newest first and the tree last */
	uint8_t said[MERGED_TABLES + 1][KEYS];
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	test_file_init(&s->file);
	s->random = test_seed();
	*out = s;
	return cache_new(1u << 20, &s->cache);
}

static void drop_tables(struct state *s)
{
	for (unsigned i = 0; i < MERGED_TABLES; i++)
		redo_table_unref(s->tables[i]);
	memset(s->tables, 0, sizeof(s->tables));
}

static int tear_down(void **in)
{
	struct state *s = *in;
	drop_tables(s);
	cache_free(s->cache);
	test_file_free(&s->file);
	free(s);
	return 0;
}

/* Some keys are the beginning of the next: a NUL at the end is easily lost */
static size_t key_of(unsigned i, uint8_t key[KEY_LEN])
{
	memset(key, 0, KEY_LEN);
	put_be32(key + 4, i / 3);
	return 8 + i % 3;
}

/* A row's value tells its layer and its number; every 16th is empty */
static size_t value_of(unsigned layer, unsigned i, uint8_t value[5])
{
	value[0] = (uint8_t)layer;
	put_le32(value + 1, i);
	return i % 16 ? 5 : 0;
}

/* ---- filling ---------------------------------------------------------- */

static void fill_table(struct state *s, unsigned layer, unsigned percent)
{
	struct redo_table *t = redo_table_new();
	assert_non_null(t);
	s->tables[layer] = t;
	for (unsigned i = 0; i < KEYS; i++) {
		uint8_t key[KEY_LEN];
		uint8_t value[5];
		size_t key_len = key_of(i, key);
		size_t len = value_of(layer, i, value);
		s->said[layer][i] = NOTHING;
		if (test_below(&s->random, 100) >= percent)
			continue;
		bool deleted = test_below(&s->random, 2);
		s->said[layer][i] = deleted ? DELETED : A_ROW;
		assert_int_equal(redo_table_put(t, key, key_len,
						deleted ? NULL : value, len, 7,
						NULL),
				 0);
	}
	/* What is too new to be seen */
	for (unsigned n = 0; n < KEYS / 10; n++) {
		uint8_t key[KEY_LEN];
		size_t len =
			key_of((unsigned)test_below(&s->random, KEYS), key);
		bool deleted = test_below(&s->random, 2);
		assert_int_equal(redo_table_put(t, key, len,
						deleted ? NULL : "new", 3, 8,
						NULL),
				 0);
	}
	s->merged.table[layer].table = t;
	s->merged.table[layer].seq = 7;
}

static void fill_tree(struct state *s, unsigned layer, unsigned percent)
{
	struct test_row *rows = calloc(KEYS, sizeof(*rows));
	uint8_t(*keys)[KEY_LEN] = calloc(KEYS, KEY_LEN);
	uint8_t(*values)[5] = calloc(KEYS, 5);
	struct test_sink sink = { .file = &s->file };
	size_t count = 0;
	assert_true(rows && keys && values);
	for (unsigned i = 0; i < KEYS; i++) {
		s->said[layer][i] = NOTHING;
		if (test_below(&s->random, 100) >= percent)
			continue;
		s->said[layer][i] = A_ROW;
		struct test_row *row = &rows[count++];
		row->key = keys[i];
		row->key_len = key_of(i, keys[i]);
		row->value = values[i];
		row->value_len = value_of(layer, i, values[i]);
	}
	s->merged.tree = (struct tree){ 0 };
	assert_int_equal(test_merge(s->cache, &sink, rows, count,
				    &s->merged.tree, NULL),
			 0);
	free(rows);
	free(keys);
	free(values);
}

/* So many tables, and how many percent of the keys the layers know */
static void fill(struct state *s, unsigned tables, unsigned percent)
{
	drop_tables(s);
	memset(s->said, NOTHING, sizeof(s->said));
	s->merged.tables = tables;
	s->merged.cache = s->cache;
	for (unsigned layer = 0; layer < tables; layer++)
		fill_table(s, layer, percent);
	fill_tree(s, tables, percent);
}

/* ---- the model -------------------------------------------------------- */

/* The layer that has row i, or -1 */
static int layer_of(const struct state *s, unsigned i)
{
	for (unsigned layer = 0; layer <= s->merged.tables; layer++)
		if (s->said[layer][i] != NOTHING)
			return s->said[layer][i] == A_ROW ? (int)layer : -1;
	return -1;
}

static unsigned model_next(const struct state *s, unsigned i)
{
	while (i < KEYS && layer_of(s, i) < 0)
		i++;
	return i;
}

static unsigned model_before(const struct state *s, unsigned i)
{
	while (i-- > 0)
		if (layer_of(s, i) >= 0)
			return i;
	return KEYS;
}

/* The cursor said rc, and ought to stand on row i, or nowhere at KEYS */
static void assert_at(const struct state *s, const struct merged_cursor *c,
		      int rc, unsigned i)
{
	uint8_t key[KEY_LEN];
	uint8_t value[5];
	size_t len = 0;
	assert_int_equal(rc, i == KEYS);
	if (rc)
		return;
	size_t want = key_of(i, key);
	const uint8_t *got = merged_cursor_key(c, &len);
	assert_int_equal(len, want);
	assert_memory_equal(got, key, len);
	want = value_of((unsigned)layer_of(s, i), i, value);
	got = merged_cursor_value(c, &len);
	assert_int_equal(len, want);
	assert_true(!len || memcmp(got, value, len) == 0);
}

static void assert_gets(const struct state *s)
{
	struct row_value got;
	for (unsigned i = 0; i < KEYS; i++) {
		uint8_t key[KEY_LEN];
		uint8_t value[5];
		int layer = layer_of(s, i);
		size_t len = key_of(i, key);
		int rc = merged_get(&s->merged, key, len, &got);
		assert_int_equal(rc, layer < 0 ? -ENOENT : 0);
		if (rc)
			continue;
		len = value_of((unsigned)layer, i, value);
		assert_int_equal(got.len, len);
		assert_true(!len || memcmp(got.bytes, value, len) == 0);
	}
}

static struct merged_cursor *new_cursor(const struct state *s)
{
	struct merged_cursor *c = NULL;
	assert_int_equal(merged_cursor_new(&s->merged, &c), 0);
	return c;
}

static int seek(struct merged_cursor *c, unsigned i, bool back)
{
	uint8_t key[KEY_LEN];
	size_t len = key_of(i, key);
	return back ? merged_cursor_seek_before(c, key, len) :
		      merged_cursor_seek(c, key, len);
}

static void assert_scans(const struct state *s)
{
	struct merged_cursor *c = new_cursor(s);
	unsigned at = model_next(s, 0);
	int rc = merged_cursor_seek(c, "", 0);
	for (; at < KEYS; at = model_next(s, at + 1)) {
		assert_at(s, c, rc, at);
		rc = merged_cursor_next(c);
	}
	assert_at(s, c, rc, KEYS);
	rc = merged_cursor_seek_before(c, NULL, 0);
	for (at = model_before(s, KEYS); at < KEYS; at = model_before(s, at)) {
		assert_at(s, c, rc, at);
		rc = merged_cursor_prev(c);
	}
	assert_at(s, c, rc, KEYS);
	merged_cursor_free(c);
}

/* ---- tests ------------------------------------------------------------ */

static void the_first_layer_that_knows_a_row_decides(void **in)
{
	static const unsigned percents[] = { 0, 1, 30, 60, 95, 100 };
	struct state *s = *in;
	for (unsigned tables = 0; tables <= MERGED_TABLES; tables++)
		for (unsigned i = 0; i < 6; i++) {
			fill(s, tables, percents[i]);
			assert_gets(s);
			assert_scans(s);
		}
}

static void layers_may_differ_in_what_they_know(void **in)
{
	struct state *s = *in;
	for (unsigned round = 0; round < 16; round++) {
		fill(s, MERGED_TABLES, 0);
		for (unsigned i = 0; i < MERGED_TABLES; i++) {
			redo_table_unref(s->tables[i]);
			fill_table(s, i, round >> i & 1 ? 70 : 3);
		}
		fill_tree(s, MERGED_TABLES, round >> 3 & 1 ? 90 : 5);
		assert_gets(s);
		assert_scans(s);
	}
}

static void walks_to_and_fro_from_anywhere(void **in)
{
	struct state *s = *in;
	for (unsigned round = 0; round < 12; round++) {
		fill(s, round % (MERGED_TABLES + 1), 20 + 5 * round);
		struct merged_cursor *c = new_cursor(s);
		for (unsigned n = 0; n < 300; n++) {
			bool back = test_below(&s->random, 2);
			unsigned i = (unsigned)test_below(&s->random, KEYS);
			int rc = seek(c, i, back);
			i = back ? model_before(s, i) : model_next(s, i);
			assert_at(s, c, rc, i);
			for (unsigned step = 0; !rc && step < 12; step++) {
				back = test_below(&s->random, 2);
				rc = back ? merged_cursor_prev(c) :
					    merged_cursor_next(c);
				i = back ? model_before(s, i) :
					   model_next(s, i + 1);
				assert_at(s, c, rc, i);
			}
		}
		merged_cursor_free(c);
	}
}

static void has_no_position_beyond_the_ends(void **in)
{
	struct state *s = *in;
	fill(s, 2, 60);
	struct merged_cursor *c = new_cursor(s);
	assert_int_equal(merged_cursor_next(c), 1);
	assert_int_equal(merged_cursor_prev(c), 1);
	int rc = seek(c, KEYS - 1, false);
	while (!rc)
		rc = merged_cursor_next(c);
	assert_int_equal(rc, 1);
	assert_int_equal(merged_cursor_next(c), 1);
	assert_int_equal(merged_cursor_prev(c), 1);
	assert_int_equal(merged_cursor_seek_before(c, "", 0), 1);
	assert_int_equal(merged_cursor_seek(c, "\xff", 1), 1);
	assert_at(s, c, merged_cursor_seek_before(c, "\xff", 1),
		  model_before(s, KEYS));
	merged_cursor_free(c);
	merged_cursor_free(NULL);
}

/* The cursor's own key lies in memory that a seek writes to */
static void seeks_its_own_key(void **in)
{
	struct state *s = *in;
	fill(s, MERGED_TABLES, 50);
	struct merged_cursor *c = new_cursor(s);
	unsigned at = model_next(s, 0);
	int rc = merged_cursor_seek(c, "", 0);
	for (; at < KEYS; at = model_next(s, at + 1)) {
		size_t len = 0;
		assert_at(s, c, rc, at);
		const uint8_t *key = merged_cursor_key(c, &len);
		rc = merged_cursor_seek_before(c, key, len);
		assert_at(s, c, rc, model_before(s, at));
		if (!rc) {
			key = merged_cursor_key(c, &len);
			assert_at(s, c, merged_cursor_seek(c, key, len),
				  model_before(s, at));
		}
		assert_at(s, c, seek(c, at, false), at);
		rc = merged_cursor_next(c);
	}
	assert_int_equal(rc, 1);
	merged_cursor_free(c);
}

/* The struct that it was made from can go, and the rows go on as they were */
static void a_cursor_sees_the_state_that_it_was_made_for(void **in)
{
	struct state *s = *in;
	fill(s, 2, 60);
	struct merged_cursor *c = new_cursor(s);
	struct merged kept = s->merged;
	memset(&s->merged, 0xee, sizeof(s->merged));
	s->merged.tables = kept.tables;
	int rc = merged_cursor_seek(c, "", 0);
	unsigned at = model_next(s, 0);
	for (unsigned n = 0; at < KEYS; at = model_next(s, at + 1)) {
		uint8_t key[KEY_LEN];
		assert_at(s, c, rc, at);
		size_t len = key_of(n++, key);
		redo_table_put(s->tables[n % 2], key, len,
			       n % 3 ? "later" : NULL, 5, 9, NULL);
		rc = merged_cursor_next(c);
	}
	assert_int_equal(rc, 1);
	merged_cursor_free(c);
}

/* Rows of other kinds, deleted or not, end the walk at once */
static void stays_within_a_prefix(void **in)
{
	struct state *s = *in;
	for (unsigned round = 0; round < 200; round++) {
		if (round % 20 == 0)
			fill(s, round / 20 % (MERGED_TABLES + 1),
			     round < 100 ? 40 : 95);
		struct merged_cursor *c = new_cursor(s);
		uint8_t prefix[KEY_LEN];
		bool back = test_below(&s->random, 2);
		/* The keys of three numbers, or of 256 times three */
		unsigned first = (unsigned)test_below(&s->random, KEYS / 3);
		size_t len = test_below(&s->random, 2) ? 8 : 7;
		unsigned count = len == 8 ? 3 : 768;
		first = len == 8 ? first * 3 : first / 256 * 768;
		unsigned end = first + count < KEYS ? first + count : KEYS;
		key_of(first, prefix);
		merged_cursor_within(c, prefix, len);
		unsigned i = back ? model_before(s, end) : model_next(s, first);
		int rc = end == KEYS && back ?
				 merged_cursor_seek_before(c, NULL, 0) :
				 seek(c, back ? end : first, back);
		while (i < KEYS && i >= first && i < end) {
			assert_at(s, c, rc, i);
			rc = back ? merged_cursor_prev(c) :
				    merged_cursor_next(c);
			i = back ? model_before(s, i) : model_next(s, i + 1);
		}
		assert_at(s, c, rc, KEYS);
		merged_cursor_free(c);
	}
}

/*
 * The writer asks its own table first and keeps a gap in the layers below:
 * whatever it puts in between, in order or not, it sees what readers would.
 */
static void the_writer_sees_what_readers_would(void **in)
{
	struct state *s = *in;
	struct absent_range gap = { 0 };
	unsigned in_gap = 0;
	for (unsigned round = 0; round < 30; round++) {
		fill(s, MERGED_TABLES, round % 3 ? 2 : 30);
		absent_range_forget(&gap);
		s->merged.table[0].seq = UINT64_MAX;
		struct merged own = s->merged;
		own.own = s->tables[0];
		own.absent = &gap;
		for (unsigned n = 0; n < KEYS; n++) {
			struct row_value seen;
			struct row_value wanted;
			uint8_t key[KEY_LEN + 1];
			/* Keys that are in no layer lie behind each of them */
			unsigned i = round % 2 ? n : n * 7 % KEYS;
			size_t len = key_of(i, key);
			key[len] = 0;
			len += n % 5 != 0;
			uint32_t used = gap.used;
			int rc = merged_get(&own, key, len, &seen);
			in_gap += gap.used > used;
			assert_int_equal(rc, merged_get(&s->merged, key, len,
							&wanted));
			if (rc == 0) {
				assert_int_equal(seen.len, wanted.len);
				assert_true(!seen.len ||
					    !memcmp(seen.bytes, wanted.bytes,
						    seen.len));
			}
			if (n % 3)
				assert_int_equal(redo_table_put(s->tables[0],
								key, len, "w",
								1, 9, NULL),
						 0);
		}
	}
	assert_true(in_gap > 1000);
}

/* Whichever read fails: the error comes back, and then all is well again */
static void a_failed_read_is_told(void **in)
{
	struct state *s = *in;
	struct row_value got;
	fill(s, 2, 60);
	struct merged_cursor *c = new_cursor(s);
	cache_set_limit(s->cache, 0);
	unsigned failed = 0;
	for (unsigned n = 0; n < 1000; n++) {
		bool back = n % 2;
		unsigned from = (unsigned)test_below(&s->random, KEYS);
		atomic_store(&s->file.fail_read_in, 1 + n % 8);
		int rc = seek(c, from, back);
		for (unsigned step = 0; !rc && step < 40; step++)
			rc = back ? merged_cursor_prev(c) :
				    merged_cursor_next(c);
		atomic_store(&s->file.fail_read_in, 0);
		assert_true(rc == 0 || rc == 1 || rc == -EIO);
		failed += rc < 0;
		assert_int_equal(merged_cursor_next(c) == 1, rc != 0);
		assert_at(s, c, seek(c, 100, false), model_next(s, 100));
	}
	assert_true(failed > 20);
	merged_cursor_free(c);
	atomic_store(&s->file.fail_read_in, 1);
	assert_int_equal(merged_get(&s->merged, "\0\0\0\0\0\0\1\1x", 9, &got),
			 -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_layer_that_knows_a_row_decides),
		TEST(layers_may_differ_in_what_they_know),
		TEST(walks_to_and_fro_from_anywhere),
		TEST(has_no_position_beyond_the_ends),
		TEST(seeks_its_own_key),
		TEST(a_cursor_sees_the_state_that_it_was_made_for),
		TEST(stays_within_a_prefix),
		TEST(the_writer_sees_what_readers_would),
		TEST(a_failed_read_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
