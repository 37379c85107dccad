/* SPDX-License-Identifier: MIT */
#include "tests/support/tree_fixture.h"

#define HERE 100000 /* where the nodes of these tests lie */

/* ---- building --------------------------------------------------------- */

struct row {
	const char *key;
	const char *value;
};

static const struct row some_rows[] = {
	{ "dir/", "" },
	{ "dir/a", "file root 12" },
	{ "dir/ab", "file root" },
	{ "dir/abcd", "file me" },
	{ "dir/abcde", "link" },
	{ "dir/b", "file root 99999" },
	{ "dir/ba", "fi" },
};
#define SOME_ROWS (sizeof(some_rows) / sizeof(some_rows[0]))

/* A leaf of some_rows */
static void encode_leaf(struct buf *out)
{
	static const char template_bytes[] = "file root ";
	size_t most = strlen(template_bytes);
	struct node_head head = {
		.count = SOME_ROWS,
		.prefix = (const uint8_t *)"dir/",
		.prefix_len = 4,
		.template_bytes = (const uint8_t *)template_bytes,
		.template_len = most,
	};

	node_encode_head(out, &head);
	for (size_t i = 0; i < SOME_ROWS; i++) {
		const struct row *row = &some_rows[i];
		size_t len = strlen(row->value);
		size_t n = common_prefix(template_bytes, most, row->value, len);
		node_encode_row(out, (const uint8_t *)row->key + 4,
				strlen(row->key) - 4, n,
				(const uint8_t *)row->value + n, len - n);
	}
}

/* One by offset, one by distance */
static const struct node_ref some_children[] = {
	{ 4096, 3000, 0x12345678 },
	{ HERE - 500, 500, 0xffffffff },
};

static void encode_inner(struct buf *out)
{
	struct node_head head = { .level = 1,
				  .count = 2,
				  .prefix = (const uint8_t *)"x",
				  .prefix_len = 1 };
	struct node_ref back = some_children[1];

	node_encode_head(out, &head);
	node_encode_child(out, NULL, 0, &some_children[0], false);
	back.offset = HERE - back.offset;
	node_encode_child(out, (const uint8_t *)"y", 1, &back, true);
}

/* ---- loading ---------------------------------------------------------- */

/* Load bytes as they are, from a place in memory that ends where they end */
static int load_with(const void *bytes, size_t size, uint32_t crc,
		     unsigned level, struct node **node)
{
	struct node_ref ref = { HERE, (uint32_t)size, crc };
	uint8_t *copy = malloc(size ? size : 1);
	assert_non_null(copy);
	if (size)
		memcpy(copy, bytes, size);
	int r = node_load(copy, &ref, level, node);
	free(copy);
	return r;
}

static int load(const struct buf *b, unsigned level, struct node **node)
{
	assert_false(b->failed);
	return load_with(b->data, b->len, crc32c(0, b->data, b->len), level,
			 node);
}

static void assert_refused(const struct buf *b, unsigned level)
{
	struct node *node = NULL;
	assert_int_equal(load(b, level, &node), -EUCLEAN);
	assert_null(node);
}

/* Look at everything in a node, for a sanitizer to watch */
static void touch_all(const struct node *node)
{
	uint8_t key[ROW_KEY_MAX];
	uint8_t value[ROW_VALUE_MAX];
	bool found;

	for (unsigned i = 0; i < node->count; i++) {
		size_t len = node_key(node, i, key);
		assert_int_equal(node_search(node, key, len, &found), i);
		assert_true(found);
		if (node->level) {
			struct node_ref child;
			node_child(node, i, &child);
			assert_true(child.length > 0 &&
				    child.length <= NODE_MAX);
			assert_true(child.offset + child.length <= HERE);
		} else {
			assert_true(node_value(node, i, value) <=
				    ROW_VALUE_MAX);
		}
	}
}

/* ---- tests: what is right --------------------------------------------- */

static void a_leaf_gives_back_its_rows(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	uint8_t key[ROW_KEY_MAX];
	uint8_t value[ROW_VALUE_MAX];
	struct node *node;

	encode_leaf(&b);
	assert_int_equal(load(&b, 0, &node), 0);
	assert_int_equal(node->count, SOME_ROWS);
	for (unsigned i = 0; i < SOME_ROWS; i++) {
		size_t len = node_key(node, i, key);
		assert_int_equal(len, strlen(some_rows[i].key));
		assert_memory_equal(key, some_rows[i].key, len);
		len = node_value(node, i, value);
		assert_int_equal(len, strlen(some_rows[i].value));
		assert_memory_equal(value, some_rows[i].value, len);
	}
	node_free(node);
	buf_free(&b);
}

static void an_inner_node_gives_back_its_children(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct node *node;

	encode_inner(&b);
	assert_int_equal(load(&b, 1, &node), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct node_ref child;
		node_child(node, i, &child);
		assert_int_equal(child.offset, some_children[i].offset);
		assert_int_equal(child.length, some_children[i].length);
		assert_int_equal(child.crc, some_children[i].crc);
	}
	assert_int_equal(node_search_child(node, "w", 1), -1);
	assert_int_equal(node_search_child(node, "x", 1), 0);
	assert_int_equal(node_search_child(node, "xxx", 3), 0);
	assert_int_equal(node_search_child(node, "xy", 2), 1);
	assert_int_equal(node_search_child(node, "z", 1), 1);
	node_free(node);
	buf_free(&b);
}

/*
 * Short keys of few different bytes: equal heads, zeros, prefixes of others;
 * half of them with more in common than the rest.
 */
static size_t random_key(uint64_t *random, uint8_t *key)
{
	static const uint8_t bytes[] = { 0, 1, 0xff };
	static const uint8_t alike[] = { 1, 1, 0, 1, 1 };
	size_t common = test_below(random, 2) ? sizeof(alike) : 0;
	size_t len = common + test_below(random, 9);
	memcpy(key, alike, common);
	for (size_t i = common; i < len; i++)
		key[i] = bytes[test_below(random, 3)];
	return len;
}

struct short_key {
	uint8_t bytes[20];
	size_t len;
};

static int compare_short(const void *a, const void *b)
{
	const struct short_key *x = a;
	const struct short_key *y = b;
	return compare_bytes(x->bytes, x->len, y->bytes, y->len);
}

static size_t random_keys(uint64_t *random, struct short_key *keys, size_t n,
			  size_t prefix_len)
{
	size_t count = 1;

	for (size_t i = 0; i < n; i++) {
		memset(keys[i].bytes, 1, prefix_len);
		keys[i].len = prefix_len +
			      random_key(random, keys[i].bytes + prefix_len);
	}
	qsort(keys, n, sizeof(*keys), compare_short);
	for (size_t i = 1; i < n; i++)
		if (compare_short(&keys[count - 1], &keys[i]))
			keys[count++] = keys[i];
	return count;
}

static void search_with(uint64_t *random, size_t prefix_len)
{
	struct short_key keys[120];
	size_t n = random_keys(random, keys, 1 + test_below(random, 120),
			       prefix_len);
	struct node_head head = { .count = n,
				  .prefix = keys[0].bytes,
				  .prefix_len = prefix_len };
	struct buf b = BUF_INIT;
	struct node *node;

	node_encode_head(&b, &head);
	for (size_t i = 0; i < n; i++)
		node_encode_row(&b, keys[i].bytes + prefix_len,
				keys[i].len - prefix_len, 0, NULL, 0);
	assert_int_equal(load(&b, 0, &node), 0);
	for (unsigned round = 0; round < 300; round++) {
		struct short_key key;
		bool found;
		unsigned i = 0;
		key.len = random_key(random, key.bytes);
		while (i < n && compare_short(&keys[i], &key) < 0)
			i++;
		bool there = i < n && !compare_short(&keys[i], &key);
		assert_int_equal(node_search(node, key.bytes, key.len, &found),
				 i);
		assert_int_equal(found, there);
		assert_int_equal(node_search_child(node, key.bytes, key.len),
				 (int)i - !there);
	}
	node_free(node);
	buf_free(&b);
}

static void search_agrees_with_a_linear_one(void **state)
{
	(void)state;
	uint64_t random = test_seed();
	for (unsigned i = 0; i < 300; i++)
		search_with(&random, i % 4);
}

static void tells_whether_keys_keep_to_bounds(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct node *node;

	encode_leaf(&b);
	assert_int_equal(load(&b, 0, &node), 0);
	assert_int_equal(node_check_bounds(node, "", 0, NULL, 0), 0);
	assert_int_equal(node_check_bounds(node, "dir/", 4, "dir/bb", 6), 0);
	assert_int_equal(node_check_bounds(node, "dir/0", 5, NULL, 0),
			 -EUCLEAN);
	assert_int_equal(node_check_bounds(node, "e", 1, NULL, 0), -EUCLEAN);
	assert_int_equal(node_check_bounds(node, "", 0, "dir/ba", 6), -EUCLEAN);
	assert_int_equal(node_check_bounds(node, "", 0, "d", 1), -EUCLEAN);
	node_free(node);
	buf_free(&b);
}

/* ---- tests: what is wrong --------------------------------------------- */

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 2; level++) {
		struct buf b = BUF_INIT;
		(level ? encode_inner : encode_leaf)(&b);
		while (b.len-- > 0)
			assert_refused(&b, level);
		b.len = 0;
		buf_free(&b);
	}
}

static void trailing_bytes_are_refused(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 2; level++) {
		struct buf b = BUF_INIT;
		(level ? encode_inner : encode_leaf)(&b);
		for (unsigned i = 0; i < 20; i++) {
			buf_add_u8(&b, 0);
			assert_refused(&b, level);
		}
		buf_free(&b);
	}
}

static void other_bytes_than_the_reference_means_are_told(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct node *node;

	encode_leaf(&b);
	uint32_t crc = crc32c(0, b.data, b.len);
	for (size_t i = 0; i < 8 * b.len; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(load_with(b.data, b.len, crc, 0, &node),
				 -EBADMSG);
		b.data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(load_with(b.data, b.len, crc, 0, &node), 0);
	node_free(node);
	buf_free(&b);
}

/* With a checksum that suits: somebody did it on purpose */
static void any_changed_byte_is_refused_or_harmless(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 2; level++) {
		struct buf b = BUF_INIT;
		(level ? encode_inner : encode_leaf)(&b);
		for (size_t i = 0; i < b.len; i++) {
			uint8_t was = b.data[i];
			for (unsigned v = 0; v < 256; v++) {
				struct node *node = NULL;
				b.data[i] = (uint8_t)v;
				int r = load(&b, level, &node);
				assert_true(r == 0 || r == -EUCLEAN);
				if (!r)
					touch_all(node);
				node_free(node);
			}
			b.data[i] = was;
		}
		buf_free(&b);
	}
}

static void random_bytes_are_refused_or_harmless(void **state)
{
	(void)state;
	uint64_t random = test_seed();
	for (unsigned round = 0; round < 20000; round++) {
		struct buf b = BUF_INIT;
		struct node *node = NULL;
		unsigned level = round % 2;
		(level ? encode_inner : encode_leaf)(&b);
		for (uint64_t i = 1 + test_below(&random, 4); i > 0; i--)
			b.data[test_below(&random, b.len)] =
				(uint8_t)test_random(&random);
		if (!load(&b, level, &node))
			touch_all(node);
		node_free(node);
		buf_free(&b);
	}
}

static void a_header_that_lies_is_refused(void **state)
{
	(void)state;
	static const struct {
		size_t at;
		uint16_t value;
	} lies[] = {
		{ 0, 0x00b6 }, /* magic */
		{ 0, 0x01b7 }, /* level */
		{ 2, 0 }, /* entries */
		{ 2, SOME_ROWS - 1 },
		{ 2, SOME_ROWS + 1 },
		{ 2, UINT16_MAX },
		{ 4, 301 }, /* prefix */
		{ 4, UINT16_MAX },
		{ 4, 300 },
		{ 6, 4097 }, /* template */
		{ 6, UINT16_MAX },
		{ 6, 0 },
	};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct buf b = BUF_INIT;
		encode_leaf(&b);
		put_le16(b.data + lies[i].at, lies[i].value);
		assert_refused(&b, 0);
		buf_free(&b);
	}
}

/* A node of one entry with an empty suffix behind so many bytes of zeros */
static int load_padded(unsigned level, uint16_t prefix_len,
		       uint16_t template_len)
{
	struct node_head head = { .level = level, .count = 1 };
	struct node_ref child = { 0, 100, 0 };
	struct node *node = NULL;
	struct buf b = BUF_INIT;

	node_encode_head(&b, &head);
	put_le16(b.data + 4, prefix_len);
	put_le16(b.data + 6, template_len);
	buf_add_zeros(&b, (size_t)prefix_len + template_len);
	if (level)
		node_encode_child(&b, NULL, 0, &child, false);
	else
		node_encode_row(&b, NULL, 0, 0, NULL, 0);
	int r = load(&b, level, &node);
	if (!r)
		touch_all(node);
	node_free(node);
	buf_free(&b);
	return r;
}

static void prefix_and_template_have_limits(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 2; level++) {
		assert_int_equal(load_padded(level, ROW_KEY_MAX, 0), 0);
		assert_int_equal(load_padded(level, ROW_KEY_MAX + 1, 0),
				 -EUCLEAN);
	}
	assert_int_equal(load_padded(0, 0, ROW_VALUE_MAX), 0);
	assert_int_equal(load_padded(0, 0, ROW_VALUE_MAX + 1), -EUCLEAN);
	assert_int_equal(load_padded(1, 0, 1), -EUCLEAN);
}

static void the_level_must_be_the_expected_one(void **state)
{
	(void)state;
	struct buf leaf = BUF_INIT;
	struct buf inner = BUF_INIT;
	encode_leaf(&leaf);
	encode_inner(&inner);
	assert_refused(&leaf, 1);
	assert_refused(&inner, 0);
	assert_refused(&inner, 2);
	buf_free(&leaf);
	buf_free(&inner);
}

/* A leaf of two rows whose keys and values have these lengths */
static int load_rows(size_t prefix_len, size_t suffix_len, size_t shared,
		     size_t rest_len, bool ascending)
{
	static const uint8_t zeros[8192];
	static const uint8_t ones[] = { 1 };
	struct node_head head = { .count = 2,
				  .prefix = zeros,
				  .prefix_len = prefix_len,
				  .template_bytes = zeros,
				  .template_len = shared };
	struct node *node = NULL;
	struct buf b = BUF_INIT;

	node_encode_head(&b, &head);
	buf_add_varint(&b, suffix_len);
	buf_add_varint(&b, shared);
	buf_add_varint(&b, rest_len);
	buf_add(&b, zeros, suffix_len + rest_len);
	node_encode_row(&b, ascending ? ones : zeros, ascending, 0, NULL, 0);
	int r = load(&b, 0, &node);
	if (!r)
		touch_all(node);
	node_free(node);
	buf_free(&b);
	return r;
}

static void rows_beyond_the_limits_are_refused(void **state)
{
	(void)state;
	assert_int_equal(load_rows(0, ROW_KEY_MAX, 0, 0, true), 0);
	assert_int_equal(load_rows(0, ROW_KEY_MAX + 1, 0, 0, true), -EUCLEAN);
	assert_int_equal(load_rows(200, 100, 0, 0, true), 0);
	assert_int_equal(load_rows(200, 101, 0, 0, true), -EUCLEAN);
	assert_int_equal(load_rows(0, 1, 0, ROW_VALUE_MAX, true), 0);
	assert_int_equal(load_rows(0, 1, 0, ROW_VALUE_MAX + 1, true), -EUCLEAN);
	assert_int_equal(load_rows(0, 1, 4000, 96, true), 0);
	assert_int_equal(load_rows(0, 1, 4000, 97, true), -EUCLEAN);
}

static void keys_must_ascend(void **state)
{
	(void)state;
	assert_int_equal(load_rows(5, 0, 0, 0, true), 0);
	assert_int_equal(load_rows(5, 0, 0, 0, false), -EUCLEAN); /* equal */
	assert_int_equal(load_rows(5, 1, 0, 0, false), -EUCLEAN);
}

static void a_reference_to_too_large_a_node_is_refused(void **state)
{
	(void)state;
	static uint8_t bytes[NODE_MAX + 1];
	struct node *node;
	assert_int_equal(load_with(bytes, sizeof(bytes),
				   crc32c(0, bytes, sizeof(bytes)), 0, &node),
			 -EUCLEAN);
	assert_int_equal(load_with(bytes, 0, 0, 0, &node), -EUCLEAN);
}

/* An inner node with one child that lies where v says */
static int load_child(uint64_t v, uint64_t length)
{
	struct node_head head = { .level = 1, .count = 1 };
	struct node *node = NULL;
	struct buf b = BUF_INIT;

	node_encode_head(&b, &head);
	buf_add_varint(&b, 0);
	buf_add_varint(&b, v);
	buf_add_varint(&b, length);
	buf_add_le32(&b, 0);
	int r = load(&b, 1, &node);
	if (!r)
		touch_all(node);
	node_free(node);
	buf_free(&b);
	return r;
}

static void a_child_lies_before_its_parent(void **state)
{
	(void)state;
	assert_int_equal(load_child(2 * (HERE - 100), 100), 0);
	assert_int_equal(load_child(2 * (HERE - 100), 101), -EUCLEAN);
	assert_int_equal(load_child(2 * HERE, 1), -EUCLEAN); /* itself */
	assert_int_equal(load_child(2 * (HERE + 1000), 100), -EUCLEAN);
	assert_int_equal(load_child(UINT64_MAX - 1, 100), -EUCLEAN);
	assert_int_equal(load_child(2 * 100 + 1, 100), 0); /* by distance */
	assert_int_equal(load_child(2 * 99 + 1, 100), -EUCLEAN);
	assert_int_equal(load_child(1, 1), -EUCLEAN);
	assert_int_equal(load_child(2 * HERE + 1, 100), 0);
	assert_int_equal(load_child(2 * (HERE + 1) + 1, 100), -EUCLEAN);
	assert_int_equal(load_child(UINT64_MAX, 100), -EUCLEAN);
	assert_int_equal(load_child(0, 0), -EUCLEAN);
	assert_int_equal(load_child(0, NODE_MAX), 0);
	assert_int_equal(load_child(0, NODE_MAX + 1), -EUCLEAN);
	assert_int_equal(load_child(0, UINT64_MAX), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_gives_back_its_rows),
		cmocka_unit_test(an_inner_node_gives_back_its_children),
		cmocka_unit_test(search_agrees_with_a_linear_one),
		cmocka_unit_test(tells_whether_keys_keep_to_bounds),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(trailing_bytes_are_refused),
		cmocka_unit_test(other_bytes_than_the_reference_means_are_told),
		cmocka_unit_test(any_changed_byte_is_refused_or_harmless),
		cmocka_unit_test(random_bytes_are_refused_or_harmless),
		cmocka_unit_test(a_header_that_lies_is_refused),
		cmocka_unit_test(prefix_and_template_have_limits),
		cmocka_unit_test(the_level_must_be_the_expected_one),
		cmocka_unit_test(rows_beyond_the_limits_are_refused),
		cmocka_unit_test(keys_must_ascend),
		cmocka_unit_test(a_reference_to_too_large_a_node_is_refused),
		cmocka_unit_test(a_child_lies_before_its_parent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
