/* SPDX-License-Identifier: MIT */
/*
 * Trees that nobody honest has written, with checksums that suit: they may give
 * an error, but not crash, hang, or make a merge write nonsense.
 */
#include "tests/support/tree_fixture.h"

#include "tree/cursor.h"

struct state {
	struct test_file file;
	struct test_sink sink;
	struct cache *cache;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	test_file_init(&s->file);
	s->sink = (struct test_sink){ .file = &s->file };
	*out = s;
	return cache_new(4u << 20, &s->cache);
}

static int tear_down(void **in)
{
	struct state *s = *in;
	cache_free(s->cache);
	test_file_free(&s->file);
	free(s);
	return 0;
}

struct slot {
	const char *key;
	struct node_ref child;
};

static struct node_ref add_leaf(struct state *s, const char *const *keys,
				size_t count)
{
	struct buf b = BUF_INIT;
	struct node_head head = { .count = count };
	node_encode_head(&b, &head);
	for (size_t i = 0; i < count; i++)
		node_encode_row(&b, (const uint8_t *)keys[i], strlen(keys[i]),
				0, (const uint8_t *)"v", 1);
	struct node_ref ref = test_file_add(&s->file, b.data, b.len);
	buf_free(&b);
	return ref;
}

static struct node_ref add_inner(struct state *s, unsigned level,
				 const struct slot *slots, size_t count)
{
	struct buf b = BUF_INIT;
	struct node_head head = { .level = level, .count = count };
	node_encode_head(&b, &head);
	for (size_t i = 0; i < count; i++)
		node_encode_child(&b, (const uint8_t *)slots[i].key,
				  strlen(slots[i].key), &slots[i].child, false);
	struct node_ref ref = test_file_add(&s->file, b.data, b.len);
	buf_free(&b);
	return ref;
}

/* ---- all that can be done with a tree; an error that came back, or 0 --- */

static int scan_forward(struct state *s, const struct tree *tree)
{
	struct tree_cursor c;
	tree_cursor_init(&c, s->cache, tree);
	int r = tree_cursor_seek(&c, "", 0);
	while (!r)
		r = tree_cursor_next(&c);
	tree_cursor_free(&c);
	return r == 1 ? 0 : r;
}

static int scan_backward(struct state *s, const struct tree *tree)
{
	struct tree_cursor c;
	tree_cursor_init(&c, s->cache, tree);
	int r = tree_cursor_seek_before(&c, NULL, 0);
	while (!r)
		r = tree_cursor_prev(&c);
	tree_cursor_free(&c);
	return r == 1 ? 0 : r;
}

static int look_up(struct state *s, const struct tree *tree)
{
	struct row_value value;
	int error = 0;
	for (char k = 'a'; k <= 'z'; k++) {
		int r = btree_lookup(s->cache, tree, &k, 1, &value);
		error = r < 0 && r != -ENOENT ? r : error;
	}
	return error;
}

/* Delete b and add q */
static int change(struct state *s, const struct tree *tree)
{
	uint8_t bytes[] = "bqx";
	struct tree merged = *tree;
	struct test_row rows[] = {
		{ bytes, 1, NULL, 0 },
		{ bytes + 1, 1, bytes + 2, 1 },
	};
	return test_merge(s->cache, &s->sink, rows, 2, &merged, NULL);
}

/* All of it, each with an empty cache. Every way must give the same. */
static int use_in_every_way(struct state *s, const struct tree *tree)
{
	int (*const ways[])(struct state *, const struct tree *) = {
		scan_forward, scan_backward, look_up, change
	};
	int first = 0;

	for (unsigned i = 0; i < 4; i++) {
		cache_set_limit(s->cache, 0);
		cache_set_limit(s->cache, 4u << 20);
		int r = ways[i](s, tree);
		first = i ? first : r;
		assert_int_equal(r, first);
	}
	return first;
}

/* Load a node without anybody to check it against its parent */
static void keep_in_cache(struct state *s, const struct node_ref *ref,
			  unsigned level)
{
	const struct node *node;
	assert_int_equal(cache_get(s->cache, &s->file.file, ref, level, &node),
			 0);
	cache_put(s->cache, node);
}

static void a_tree_of_shared_children_ends_with_an_error(void **in)
{
	struct state *s = *in;
	static const char *const keys[] = { "a", "b" };
	struct node_ref ref = add_leaf(s, keys, 2);
	struct node_ref refs[TREE_HEIGHT_MAX];
	for (unsigned level = 1; level < TREE_HEIGHT_MAX; level++) {
		struct slot slots[200];
		char names[200][4];
		for (unsigned i = 0; i < 200; i++) {
			snprintf(names[i], 4, "%03u", i);
			slots[i] = (struct slot){ i ? names[i] : "", ref };
		}
		refs[level - 1] = ref;
		ref = add_inner(s, level, slots, 200);
	}
	struct tree tree = { ref, TREE_HEIGHT_MAX, &s->file.file };
	assert_int_equal(scan_forward(s, &tree), -EUCLEAN);
	assert_int_equal(scan_backward(s, &tree), -EUCLEAN);
	assert_int_equal(change(s, &tree), -EUCLEAN);
	/* The same again with all nodes in the cache, where none is checked */
	for (unsigned level = 0; level + 1 < TREE_HEIGHT_MAX; level++)
		keep_in_cache(s, &refs[level], level);
	assert_int_equal(scan_forward(s, &tree), -EUCLEAN);
	assert_int_equal(scan_backward(s, &tree), -EUCLEAN);
	assert_int_equal(change(s, &tree), -EUCLEAN);
}

/* A leaf that reaches above its upper bound, and one below its lower bound */
static void rows_beyond_their_bounds_are_found(void **in)
{
	struct state *s = *in;
	static const char *const low[] = { "a", "c", "p" };
	static const char *const high[] = { "m", "z" };
	static const char *const fine[] = { "a", "c" };
	static const char *const below[] = { "l", "z" };
	struct slot above[] = { { "", add_leaf(s, low, 3) },
				{ "m", add_leaf(s, high, 2) } };
	struct slot under[] = { { "", add_leaf(s, fine, 2) },
				{ "m", add_leaf(s, below, 2) } };
	struct tree trees[] = { { add_inner(s, 1, above, 2), 2, &s->file.file },
				{ add_inner(s, 1, under, 2), 2,
				  &s->file.file } };
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(use_in_every_way(s, &trees[i]), -EUCLEAN);
	/* Nodes in the cache are checked by a merge all the same */
	for (unsigned i = 0; i < 2; i++) {
		keep_in_cache(s, &above[i].child, 0);
		keep_in_cache(s, &under[i].child, 0);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(change(s, &trees[i]), -EUCLEAN);
}

/* The nodes above a single leaf vanish in a merge */
static void a_root_with_one_child_collapses(void **in)
{
	struct state *s = *in;
	static const char *const keys[] = { "a", "b" };
	struct slot slot = { "", add_leaf(s, keys, 2) };
	struct node_ref leaf = slot.child;
	for (unsigned level = 1; level < 5; level++)
		slot.child = add_inner(s, level, &slot, 1);
	struct tree tree = { slot.child, 5, &s->file.file };
	assert_int_equal(use_in_every_way(s, &tree), 0);
	assert_int_equal(test_merge(s->cache, &s->sink, NULL, 0, &tree, NULL),
			 0);
	assert_int_equal(tree.height, 1);
	assert_int_equal(tree.root.offset, leaf.offset);
}

static void a_child_of_the_wrong_level_is_refused(void **in)
{
	struct state *s = *in;
	static const char *const keys[] = { "a", "b" };
	struct slot leaf = { "", add_leaf(s, keys, 2) };
	struct tree skips = { add_inner(s, 2, &leaf, 1), 3, &s->file.file };
	assert_int_equal(use_in_every_way(s, &skips), -EUCLEAN);
	struct tree high = { leaf.child, 2, &s->file.file };
	assert_int_equal(use_in_every_way(s, &high), -EUCLEAN);
	struct tree fine = { leaf.child, 1, &s->file.file };
	assert_int_equal(use_in_every_way(s, &fine), 0);
	/* And when the leaf is in the cache */
	keep_in_cache(s, &leaf.child, 0);
	assert_int_equal(look_up(s, &skips), -EUCLEAN);
	assert_int_equal(scan_forward(s, &high), -EUCLEAN);
	struct tree too_high = { leaf.child, TREE_HEIGHT_MAX + 1,
				 &s->file.file };
	assert_int_equal(use_in_every_way(s, &too_high), -EUCLEAN);
}

static void a_root_beyond_the_file_is_refused(void **in)
{
	struct state *s = *in;
	struct tree tree = { { s->file.bytes.len, 100, 0 }, 1, &s->file.file };
	assert_int_equal(use_in_every_way(s, &tree), -EUCLEAN);
	tree.root.length = UINT32_MAX;
	assert_int_equal(use_in_every_way(s, &tree), -EUCLEAN);
	tree.root.length = 0;
	assert_int_equal(use_in_every_way(s, &tree), -EUCLEAN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tree_of_shared_children_ends_with_an_error),
		TEST(rows_beyond_their_bounds_are_found),
		TEST(a_root_with_one_child_collapses),
		TEST(a_child_of_the_wrong_level_is_refused),
		TEST(a_root_beyond_the_file_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
