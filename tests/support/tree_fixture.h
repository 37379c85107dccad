/* SPDX-License-Identifier: MIT */
/*
 * tree_fixture.h - what the tests of the tree share: a file in memory, a sink
 * that appends nodes to it, and merges of rows from an array.
 *
 * The file is one of these tests' own because it can fail on request and lets
 * its bytes be damaged. Nothing may read while another thread appends.
 */
#ifndef TESTS_TREE_FIXTURE_H
#define TESTS_TREE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tree/btree.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "random.h"

struct test_file {
	struct file file; /* first: a file of this kind starts with it */
	struct buf bytes;
	_Atomic long fail_read_in; /* 1: the next read fails; 0: none */
};

static int test_file_read(struct file *f, void *buffer, size_t size,
			  uint64_t offset)
{
	struct test_file *t = (struct test_file *)f;

	if (atomic_load(&t->fail_read_in) > 0 &&
	    atomic_fetch_sub(&t->fail_read_in, 1) == 1)
		return -EIO;
	if (offset > t->bytes.len || size > t->bytes.len - offset)
		return -ENODATA;
	memcpy(buffer, t->bytes.data + offset, size);
	return 0;
}

static const struct file_ops test_file_ops = { .read = test_file_read };

/* Nothing of a tree lies at offset 0 */
static inline void test_file_init(struct test_file *t)
{
	*t = (struct test_file){ .file.ops = &test_file_ops };
	buf_add_zeros(&t->bytes, 64);
}

static inline void test_file_free(struct test_file *t)
{
	buf_free(&t->bytes);
}

/* Append a node as it is and say where */
static inline struct node_ref test_file_add(struct test_file *t,
					    const void *node, size_t size)
{
	struct node_ref ref = { t->bytes.len, (uint32_t)size,
				crc32c(0, node, size) };
	buf_add(&t->bytes, node, size);
	assert_false(t->bytes.failed);
	return ref;
}

struct test_sink {
	struct test_file *file;
	size_t gap; /* what others append between two runs */
	size_t longest; /* run so far */
	long fail_in; /* 1: the next write fails; 0: none */
};

static int test_sink_write(void *arg, const void *run, size_t size,
			   uint64_t *offset)
{
	struct test_sink *s = arg;

	if (s->fail_in > 0 && --s->fail_in == 0)
		return -ENOSPC;
	buf_add_zeros(&s->file->bytes, s->gap);
	*offset = s->file->bytes.len;
	buf_add(&s->file->bytes, run, size);
	if (size > s->longest)
		s->longest = size;
	return 0;
}

struct test_row {
	uint8_t *key;
	size_t key_len;
	uint8_t *value; /* NULL: in a merge, the row is deleted */
	size_t value_len;
};

struct test_source {
	const struct test_row *rows;
	size_t count;
	size_t at;
};

static int test_source_next(void *arg, struct row_change *change)
{
	struct test_source *s = arg;

	if (s->at == s->count)
		return 1;
	const struct test_row *row = &s->rows[s->at++];
	*change = (struct row_change){ row->key, row->key_len, row->value,
				       row->value_len };
	return 0;
}

#define TEST_RUN_BYTES (32u << 10)

/* Merge rows, sorted, into *tree */
static inline int test_merge(struct cache *cache, struct test_sink *s,
			     const struct test_row *rows, size_t count,
			     struct tree *tree, struct merge_stats *stats)
{
	struct test_source from = { rows, count, 0 };
	struct merge_source source = { test_source_next, &from };
	struct node_sink sink = { test_sink_write, s, TEST_RUN_BYTES,
				  NODE_TARGET };

	tree->file = &s->file->file;
	return btree_merge(cache, tree, &source, &sink, tree, stats);
}

/* ---- a tree of numbers ------------------------------------------------ */

/* Row i has the key 10 * i, big-endian, and 4 bytes of value */
#define TEST_NUMBER_KEY 8

static inline struct tree test_numbers(struct cache *cache,
				       struct test_file *file, size_t count)
{
	struct test_sink sink = { .file = file };
	struct test_row *rows = calloc(count, sizeof(*rows));
	uint8_t *bytes = malloc(count * 12);
	struct tree tree = { 0 };

	assert_true(rows && bytes);
	for (size_t i = 0; i < count; i++) {
		uint8_t *at = bytes + 12 * i;
		put_be64(at, 10 * i);
		put_le32(at + 8, (uint32_t)i);
		rows[i] = (struct test_row){ at, TEST_NUMBER_KEY, at + 8, 4 };
	}
	assert_int_equal(test_merge(cache, &sink, rows, count, &tree, NULL), 0);
	free(bytes);
	free(rows);
	return tree;
}

/* ---- the shape of a tree ---------------------------------------------- */

struct test_shape {
	uint64_t nodes[TREE_HEIGHT_MAX];
	uint64_t bytes[TREE_HEIGHT_MAX];
	uint64_t small[TREE_HEIGHT_MAX]; /* under a third full */
	uint64_t large; /* leaves that are more than full */
	uint64_t rows;
};

static inline void test_walk(struct cache *cache, struct file *file,
			     const struct node_ref *ref, unsigned level,
			     const uint8_t *lower, size_t lower_len,
			     const uint8_t *upper, size_t upper_len,
			     struct test_shape *shape)
{
	const struct node *node;

	assert_int_equal(cache_get(cache, file, ref, level, &node), 0);
	assert_int_equal(
		node_check_bounds(node, lower, lower_len, upper, upper_len), 0);
	shape->nodes[level]++;
	shape->bytes[level] += ref->length;
	if (!level && ref->length > NODE_TARGET)
		shape->large++;
	if (ref->length < NODE_TARGET / 3)
		shape->small[level]++;
	if (!level)
		shape->rows += node->count;
	for (unsigned i = 0; level && i < node->count; i++) {
		uint8_t low[ROW_KEY_MAX];
		uint8_t high[ROW_KEY_MAX];
		struct node_ref child;
		bool last = i + 1 == node->count;
		size_t low_len = node_key(node, i, low);
		size_t high_len = last ? upper_len :
					 node_key(node, i + 1, high);
		node_child(node, i, &child);
		assert_true(child.offset + child.length <= ref->offset);
		test_walk(cache, file, &child, level - 1, low, low_len,
			  last ? upper : high, high_len, shape);
	}
	cache_put(cache, node);
}

/* Check every bound in the tree and tell its shape */
static inline struct test_shape test_shape_of(struct cache *cache,
					      const struct tree *tree)
{
	struct test_shape shape = { 0 };

	if (tree->height)
		test_walk(cache, tree->file, &tree->root, tree->height - 1,
			  (const uint8_t *)"", 0, NULL, 0, &shape);
	return shape;
}

#endif
