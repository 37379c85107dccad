/* SPDX-License-Identifier: MIT */
#include "table/merged_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLES (2 * MERGED_TABLES)

struct merged_diff {
	const struct merged *before;
	const struct merged *after;
	struct tree_diff *trees;
	struct tree_difference in_trees;
	bool trees_ended;
	struct redo_cursor table[TABLES]; /* spot.row NULL: it has ended */
	unsigned tables;
	size_t key_len; /* of the row at hand; 0: none yet */
	uint8_t key[ROW_KEY_MAX];
	struct row_value value_before;
	struct row_value value_after;
};

/* ---- rows that may differ --------------------------------------------- */

/* A table that both have is looked through once, up to the later of the two */
static void add_table(struct merged_diff *d, const struct redo_table *table,
		      uint64_t seq)
{
	for (unsigned i = 0; i < d->tables; i++) {
		struct redo_cursor *c = &d->table[i];
		if (c->table != table)
			continue;
		if (c->seq < seq)
			redo_cursor_init(c, table, seq);
		return;
	}
	redo_cursor_init(&d->table[d->tables++], table, seq);
}

static int next_in_trees(struct merged_diff *d)
{
	int rc;
	do /* a row without a key is none */
		rc = tree_diff_next(d->trees, &d->in_trees);
	while (!rc && !d->in_trees.key_len);
	d->trees_ended = rc != 0;
	return rc < 0 ? rc : 0;
}

int merged_diff_new(const struct merged *before, const struct merged *after,
		    struct merged_diff **out)
{
	struct merged_diff *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->before = before;
	d->after = after;
	for (unsigned i = 0; i < before->tables; i++)
		add_table(d, before->table[i].table, before->table[i].seq);
	for (unsigned i = 0; i < after->tables; i++)
		add_table(d, after->table[i].table, after->table[i].seq);
	for (unsigned i = 0; i < d->tables; i++)
		(void)redo_cursor_seek(&d->table[i], "", 0);
	int rc = tree_diff_new(before->cache, &before->tree, &after->tree,
			       &d->trees);
	if (!rc)
		rc = next_in_trees(d);
	if (rc)
		merged_diff_free(d);
	else
		*out = d;
	return rc;
}

void merged_diff_free(struct merged_diff *d)
{
	if (!d)
		return;
	tree_diff_free(d->trees);
	free(d);
}

static void take_if_first(struct merged_diff *d, const uint8_t *key, size_t len)
{
	if (d->key_len && compare_bytes(d->key, d->key_len, key, len) <= 0)
		return;
	memcpy(d->key, key, len);
	d->key_len = len;
}

/* The first row that any of them tells; false: there are no more */
static bool find_first(struct merged_diff *d)
{
	size_t len;
	d->key_len = 0;
	if (!d->trees_ended)
		take_if_first(d, d->in_trees.key, d->in_trees.key_len);
	for (unsigned i = 0; i < d->tables; i++) {
		if (!d->table[i].spot.row)
			continue;
		const uint8_t *key = redo_cursor_key(&d->table[i], &len);
		take_if_first(d, key, len);
	}
	return d->key_len > 0;
}

static bool is_at_hand(const struct merged_diff *d, const uint8_t *key,
		       size_t len)
{
	return len == d->key_len && memcmp(key, d->key, len) == 0;
}

/* All of them behind the row at hand */
static int pass_first(struct merged_diff *d)
{
	size_t len;
	for (unsigned i = 0; i < d->tables; i++) {
		struct redo_cursor *c = &d->table[i];
		if (!c->spot.row)
			continue;
		const uint8_t *key = redo_cursor_key(c, &len);
		if (is_at_hand(d, key, len) && !redo_cursor_next(c))
			c->spot.row = NULL;
	}
	if (!d->trees_ended &&
	    is_at_hand(d, d->in_trees.key, d->in_trees.key_len))
		return next_in_trees(d);
	return 0;
}

/* ---- rows that do ----------------------------------------------------- */

/* The row in one of the two, or NULL */
static int look_up(const struct merged_diff *d, const struct merged *in,
		   struct row_value *value, const uint8_t **bytes, size_t *len)
{
	int rc = merged_get(in, d->key, d->key_len, value);
	*bytes = rc ? NULL : value->bytes;
	*len = rc ? 0 : value->len;
	return rc == -ENOENT ? 0 : rc;
}

static int look_up_both(struct merged_diff *d, struct tree_difference *out)
{
	*out = (struct tree_difference){ .key = d->key, .key_len = d->key_len };
	int rc = look_up(d, d->before, &d->value_before, &out->before,
			 &out->before_len);
	return rc ? rc :
		    look_up(d, d->after, &d->value_after, &out->after,
			    &out->after_len);
}

static bool is_same(const struct tree_difference *d)
{
	if (!d->before || !d->after)
		return d->before == d->after;
	return d->before_len == d->after_len &&
	       memcmp(d->before, d->after, d->before_len) == 0;
}

int merged_diff_next(struct merged_diff *d, struct tree_difference *out)
{
	int rc = d->key_len ? pass_first(d) : 0;
	while (!rc && find_first(d)) {
		rc = look_up_both(d, out);
		if (!rc && !is_same(out))
			return 0;
		if (!rc)
			rc = pass_first(d);
	}
	return rc ? rc : 1;
}
