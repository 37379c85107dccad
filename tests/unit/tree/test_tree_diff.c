/* SPDX-License-Identifier: MIT */
/* Differences of trees, compared with those that two cursors find */
#include "tests/support/tree_fixture.h"

#include "tree/cursor.h"
#include "tree/tree_diff.h"

#define VERSIONS 40u
#define KEYS 30000u

struct state {
	struct test_file file;
	struct test_sink sink;
	struct cache *cache;
	struct tree trees[VERSIONS];
	struct merge_stats stats[VERSIONS]; /* of the merge that made it */
	uint64_t random;
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
	return cache_new(16u << 20, &s->cache);
}

static int tear_down(void **in)
{
	struct state *s = *in;
	cache_free(s->cache);
	test_file_free(&s->file);
	free(s);
	return 0;
}

/* ---- versions --------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	const struct test_row *x = a, *y = b;
	return memcmp(x->key, y->key, TEST_NUMBER_KEY);
}

/* Changes of keys near each other or all over; a quarter are deletions */
static size_t random_changes(struct state *s, size_t most,
			     struct test_row *rows, uint8_t *bytes)
{
	size_t count = 1 + test_below(&s->random, most), n = 0;
	uint64_t first = test_below(&s->random, KEYS);
	uint64_t range = test_below(&s->random, 2) ? KEYS : 2 * count;
	for (size_t i = 0; i < count; i++) {
		uint8_t *at = bytes + 48 * i;
		put_be64(at, (first + test_below(&s->random, range)) % KEYS);
		put_le32(at + 8, (uint32_t)test_random(&s->random));
		bool dead = test_below(&s->random, 4) == 0;
		rows[i] = (struct test_row){
			at, TEST_NUMBER_KEY, dead ? NULL : at + 8,
			dead ? 0 : 4 + test_below(&s->random, 36)
		};
	}
	qsort(rows, count, sizeof(*rows), by_key);
	for (size_t i = 0; i < count; i++)
		if (!n || by_key(&rows[n - 1], &rows[i]))
			rows[n++] = rows[i];
	return n;
}

static void make_versions(struct state *s, size_t first, size_t most)
{
	struct test_row *rows = calloc(KEYS, sizeof(*rows));
	uint8_t *bytes = calloc(KEYS, 48);
	assert_true(rows && bytes);
	for (unsigned i = 0; i < VERSIONS; i++) {
		size_t n = random_changes(s, i ? most : first, rows, bytes);
		if (i)
			s->trees[i] = s->trees[i - 1];
		assert_int_equal(test_merge(s->cache, &s->sink, rows, n,
					    &s->trees[i], &s->stats[i]),
				 0);
	}
	free(rows);
	free(bytes);
}

/* ---- the plain way ---------------------------------------------------- */

struct pair {
	struct tree_cursor before, after;
	int at_before, at_after; /* 0: at a row */
};

/* Who of the two comes first: <0, >0, 0 for both */
static int first_of(const struct pair *p)
{
	size_t n, k;
	if (p->at_before || p->at_after)
		return p->at_before ? 1 : -1;
	const uint8_t *x = tree_cursor_key(&p->before, &n);
	const uint8_t *y = tree_cursor_key(&p->after, &k);
	return compare_bytes(x, n, y, k);
}

static bool same_value(const struct pair *p)
{
	size_t n, k;
	const uint8_t *x = tree_cursor_value(&p->before, &n);
	const uint8_t *y = tree_cursor_value(&p->after, &k);
	return n == k && memcmp(x, y, n) == 0;
}

static void assert_value(const struct tree_cursor *c, bool wanted,
			 const uint8_t *value, size_t len)
{
	size_t n;
	if (!wanted) {
		assert_null(value);
		return;
	}
	const uint8_t *bytes = tree_cursor_value(c, &n);
	assert_non_null(value);
	assert_int_equal(len, n);
	assert_memory_equal(value, bytes, n);
}

static void assert_difference(const struct pair *p, int order,
			      const struct tree_difference *d)
{
	size_t n;
	const uint8_t *key =
		tree_cursor_key(order <= 0 ? &p->before : &p->after, &n);
	assert_int_equal(d->key_len, n);
	assert_memory_equal(d->key, key, n);
	assert_value(&p->before, order <= 0, d->before, d->before_len);
	assert_value(&p->after, order >= 0, d->after, d->after_len);
}

/* Returns how many nodes were looked into */
static uint64_t compare(struct state *s, const struct tree *before,
			const struct tree *after)
{
	struct pair p;
	struct tree_diff *diff = NULL;
	struct tree_difference d;
	tree_cursor_init(&p.before, s->cache, before);
	tree_cursor_init(&p.after, s->cache, after);
	p.at_before = tree_cursor_seek(&p.before, "", 0);
	p.at_after = tree_cursor_seek(&p.after, "", 0);
	assert_int_equal(tree_diff_new(s->cache, before, after, &diff), 0);
	while (!p.at_before || !p.at_after) {
		int order = first_of(&p);
		if (order || !same_value(&p)) {
			assert_int_equal(tree_diff_next(diff, &d), 0);
			assert_difference(&p, order, &d);
		}
		if (order <= 0)
			p.at_before = tree_cursor_next(&p.before);
		if (order >= 0)
			p.at_after = tree_cursor_next(&p.after);
	}
	assert_int_equal(tree_diff_next(diff, &d), 1);
	assert_int_equal(tree_diff_next(diff, &d), 1);
	uint64_t nodes = tree_diff_nodes(diff);
	tree_diff_free(diff);
	tree_cursor_free(&p.before);
	tree_cursor_free(&p.after);
	return nodes;
}

/* ---- the tests -------------------------------------------------------- */

static void all_versions_with_others(struct state *s)
{
	const struct tree none = { .file = &s->file.file };
	for (unsigned i = 0; i < VERSIONS; i++) {
		unsigned k = (unsigned)test_below(&s->random, VERSIONS);
		compare(s, &s->trees[i], &s->trees[k]);
		if (i)
			compare(s, &s->trees[i - 1], &s->trees[i]);
	}
	compare(s, &none, &s->trees[VERSIONS - 1]);
	compare(s, &s->trees[VERSIONS - 1], &none);
	assert_int_equal(compare(s, &none, &none), 0);
}

static void of_large_trees(void **in)
{
	make_versions(*in, KEYS, 300);
	all_versions_with_others(*in);
}

static void of_trees_that_grow_and_shrink(void **in)
{
	make_versions(*in, 3, 3000);
	all_versions_with_others(*in);
}

/* Each node that only one of the two has is read, and none of the others */
static void nodes_that_both_have_are_not_read(void **in)
{
	struct state *s = *in;
	make_versions(s, KEYS, 40);
	for (unsigned i = 1; i < VERSIONS; i++) {
		uint64_t nodes = compare(s, &s->trees[i - 1], &s->trees[i]);
		assert_true(nodes <=
			    s->stats[i].nodes_read + s->stats[i].nodes_written);
		assert_true(nodes >= 2);
	}
	assert_int_equal(compare(s, &s->trees[1], &s->trees[1]), 0);
}

static void errors_of_reading_come_back(void **in)
{
	struct state *s = *in;
	struct tree_diff *diff = NULL;
	struct tree_difference d;
	int rc = 0;
	unsigned failed = 0;
	make_versions(s, KEYS, 3000);
	for (long n = 1; n < 60; n++) {
		cache_set_limit(s->cache, 0);
		cache_set_limit(s->cache, 16u << 20);
		assert_int_equal(tree_diff_new(s->cache, &s->trees[0],
					       &s->trees[VERSIONS - 1], &diff),
				 0);
		atomic_store(&s->file.fail_read_in, n);
		while ((rc = tree_diff_next(diff, &d)) == 0)
			;
		atomic_store(&s->file.fail_read_in, 0);
		assert_true(rc == 1 || rc == -EIO);
		failed += rc == -EIO;
		tree_diff_free(diff);
	}
	assert_true(failed > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_large_trees),
		TEST(of_trees_that_grow_and_shrink),
		TEST(nodes_that_both_have_are_not_read),
		TEST(errors_of_reading_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
