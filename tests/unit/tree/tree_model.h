/* SPDX-License-Identifier: MIT */
/*
 * tree_model.h - what a tree is compared with: a sorted array of rows, into
 * which changes are merged in the plainest way.
 */
#ifndef TESTS_TREE_MODEL_H
#define TESTS_TREE_MODEL_H

#include "tests/support/tree_fixture.h"

struct model {
	struct test_row *rows;
	size_t count;
	size_t capacity;
};

static inline void row_free(struct test_row *row)
{
	free(row->key);
	free(row->value);
}

static inline void rows_free(struct test_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		row_free(&rows[i]);
	free(rows);
}

static inline uint8_t *copy_of(const void *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	assert_non_null(copy);
	if (n)
		memcpy(copy, bytes, n);
	return copy;
}

static inline int compare_rows(const void *a, const void *b)
{
	const struct test_row *x = a;
	const struct test_row *y = b;
	return compare_bytes(x->key, x->key_len, y->key, y->key_len);
}

/* Sort, and of rows with the same key leave one */
static inline size_t sort_rows(struct test_row *rows, size_t count)
{
	size_t n = 0;

	qsort(rows, count, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < count; i++) {
		if (n && !compare_rows(&rows[n - 1], &rows[i]))
			row_free(&rows[i]);
		else
			rows[n++] = rows[i];
	}
	return n;
}

static inline struct test_row row_copy(const struct test_row *row)
{
	return (struct test_row){ copy_of(row->key, row->key_len), row->key_len,
				  copy_of(row->value, row->value_len),
				  row->value_len };
}

static inline void model_merge(struct model *model,
			       const struct test_row *changes, size_t count)
{
	struct test_row *out =
		malloc((model->count + count + 1) * sizeof(*out));
	size_t n = 0;
	size_t i = 0;
	size_t k = 0;

	assert_non_null(out);
	while (i < model->count || k < count) {
		int c = i == model->count ? 1 :
			k == count	  ? -1 :
				     compare_rows(&model->rows[i], &changes[k]);
		if (c < 0) {
			out[n++] = model->rows[i++];
			continue;
		}
		if (!c)
			row_free(&model->rows[i++]);
		if (changes[k].value)
			out[n++] = row_copy(&changes[k]);
		k++;
	}
	free(model->rows);
	model->rows = out;
	model->count = n;
}

#endif
