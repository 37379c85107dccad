/* SPDX-License-Identifier: MIT */
/*
 * Merging works on sources, newest first: each stands on its next row in the
 * direction of travel. The smallest (going back: largest) key is the row; of
 * several sources that stand on it the first one tells, and all step on
 * together. When the direction changes, all sources are sought anew.
 */
#include "table/merged.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* The key is in none of the layers below the first: how far is that so? */
static void find_absent_range(const struct merged *l, const void *key,
			      size_t key_len)
{
	struct merged below = { .cache = l->cache, .tree = l->tree };
	struct merged_cursor *c = NULL;
	size_t len = 0;
	for (unsigned i = 1; i < l->tables; i++)
		below.table[below.tables++] = l->table[i];
	int rc = merged_cursor_new(&below, &c);
	if (!rc)
		rc = merged_cursor_seek(c, key, key_len);
	if (!rc) {
		const uint8_t *high = merged_cursor_key(c, &len);
		absent_range_set(l->absent, key, key_len, high, len);
	} else if (rc > 0) {
		absent_range_set(l->absent, key, key_len, NULL, 0);
	}
	/* An error is told when somebody needs what could not be read */
	merged_cursor_free(c);
}

/* In the tables from `first` on, and in the tree */
static int get_from(const struct merged *l, unsigned first, const void *key,
		    size_t key_len, struct row_value *value)
{
	for (unsigned i = first; i < l->tables; i++) {
		if (!redo_table_rows(l->table[i].table))
			continue;
		switch (redo_table_get(l->table[i].table, key, key_len,
				       l->table[i].seq, &value->bytes,
				       &value->len)) {
		case REDO_ROW:
			return 0;
		case REDO_DELETED:
			return -ENOENT;
		case REDO_ABSENT:
			break;
		}
	}
	return l->entered ?
		       btree_lookup_in(l->cache, l->slot, &l->tree, key,
				       key_len, value) :
		       btree_lookup(l->cache, &l->tree, key, key_len, value);
}

/* For the writer */
static int get_own(const struct merged *l, const void *key, size_t key_len,
		   struct row_value *value)
{
	switch (redo_table_get_newest(l->own, key, key_len, &value->bytes,
				      &value->len)) {
	case REDO_ROW:
		return 0;
	case REDO_DELETED:
		return -ENOENT;
	case REDO_ABSENT:
		break;
	}
	if (absent_range_has(l->absent, key, key_len))
		return -ENOENT;
	int rc = get_from(l, 1, key, key_len, value);
	if (rc == -ENOENT && redo_table_follows(l->own) &&
	    absent_range_wanted(l->absent))
		find_absent_range(l, key, key_len);
	return rc;
}

int merged_get(const struct merged *l, const void *key, size_t key_len,
	       struct row_value *value)
{
	return l->own ? get_own(l, key, key_len, value) :
			get_from(l, 0, key, key_len, value);
}

struct merged_cursor {
	unsigned tables;
	struct redo_cursor table[MERGED_TABLES];
	bool table_at[MERGED_TABLES]; /* it stands on a row */
	unsigned tables_at; /* how many do; none: the tree is all there is */
	struct tree_cursor tree;
	bool tree_at;
	bool back; /* the direction of travel */
	int source; /* whose row is the position; -1: none, tables: the tree */
	const uint8_t *key; /* of the position: the source's */
	size_t key_len;
	uint8_t prefix[ROW_KEY_MAX]; /* of the keys that are of interest */
	size_t prefix_len;
	const struct merged_bounds *bounds; /* or NULL */
};

int merged_cursor_new(const struct merged *l, struct merged_cursor **out)
{
	struct merged_cursor *c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->tables = l->tables;
	for (unsigned i = 0; i < l->tables; i++) {
		redo_cursor_init(&c->table[i], l->table[i].table,
				 l->table[i].seq);
		c->table_at[i] = false;
	}
	c->tables_at = 0;
	tree_cursor_init(&c->tree, l->cache, &l->tree);
	c->tree.entered = l->entered;
	c->tree.slot = l->slot;
	c->tree_at = false;
	c->back = false;
	c->source = -1;
	c->prefix_len = 0;
	c->bounds = NULL;
	*out = c;
	return 0;
}

int merged_cursor_open(const struct merged *l, const void *prefix, size_t len,
		       struct merged_cursor **out)
{
	*out = NULL;
	int rc = merged_cursor_new(l, out);
	if (rc)
		return rc;
	merged_cursor_within(*out, prefix, len);
	/* NULL would be behind all keys */
	return merged_cursor_seek(*out, len ? prefix : "", len);
}

void merged_cursor_free(struct merged_cursor *c)
{
	if (!c)
		return;
	tree_cursor_free(&c->tree);
	free(c);
}

void merged_cursor_within(struct merged_cursor *c, const void *prefix,
			  size_t len)
{
	assert(len <= sizeof(c->prefix));
	if (len)
		memcpy(c->prefix, prefix, len);
	c->prefix_len = len;
}

void merged_cursor_between(struct merged_cursor *c,
			   const struct merged_bounds *bounds)
{
	c->bounds = bounds;
}

/* Is a key of no interest? What comes after it is not either. */
static bool is_beyond(const struct merged_cursor *c, const uint8_t *key,
		      size_t len)
{
	const struct merged_bounds *b = c->bounds;
	if (c->prefix_len && !begins_with(key, len, c->prefix, c->prefix_len))
		return true;
	if (!b)
		return false;
	return c->back ? compare_bytes(key, len, b->low, b->len) < 0 :
			 compare_bytes(key, len, b->high, b->len) >= 0;
}

static bool stands(const struct merged_cursor *c, unsigned source)
{
	return source < c->tables ? c->table_at[source] : c->tree_at;
}

static const uint8_t *key_of(const struct merged_cursor *c, unsigned source,
			     size_t *len)
{
	return source < c->tables ? redo_cursor_key(&c->table[source], len) :
				    tree_cursor_key(&c->tree, len);
}

/* 0: the tree stands on a row or has none; negative: an error */
static int tree_moved(struct merged_cursor *c, int rc)
{
	c->tree_at = rc == 0;
	return rc < 0 ? rc : 0;
}

static int step_source(struct merged_cursor *c, unsigned source)
{
	if (source < c->tables) {
		struct redo_cursor *t = &c->table[source];
		c->table_at[source] = c->back ? redo_cursor_prev(t) :
						redo_cursor_next(t);
		c->tables_at -= !c->table_at[source];
		return 0;
	}
	return tree_moved(c, c->back ? tree_cursor_prev(&c->tree) :
				       tree_cursor_next(&c->tree));
}

static bool goes_first(const struct merged_cursor *c, unsigned a, unsigned b)
{
	size_t a_len = 0;
	size_t b_len = 0;
	const uint8_t *x = key_of(c, a, &a_len);
	const uint8_t *y = key_of(c, b, &b_len);
	int order = compare_bytes(x, a_len, y, b_len);
	return c->back ? order > 0 : order < 0;
}

/* The source whose row is next: the newest of those with the foremost key */
static int foremost(const struct merged_cursor *c)
{
	int best = -1;
	if (!c->tables_at)
		return c->tree_at ? (int)c->tables : -1;
	for (unsigned i = 0; i < c->tables; i++)
		if (c->table_at[i] &&
		    (best < 0 || goes_first(c, i, (unsigned)best)))
			best = (int)i;
	if (c->tree_at &&
	    (best < 0 || goes_first(c, c->tables, (unsigned)best)))
		best = (int)c->tables;
	return best;
}

/* All sources that stand on the position step on, its own as the last */
static int leave(struct merged_cursor *c)
{
	if (!c->tables_at)
		return step_source(c, c->tables);
	for (unsigned i = 0; i <= c->tables; i++) {
		size_t len = 0;
		if ((int)i == c->source || !stands(c, i))
			continue;
		const uint8_t *key = key_of(c, i, &len);
		if (compare_bytes(key, len, c->key, c->key_len) != 0)
			continue;
		int rc = step_source(c, i);
		if (rc)
			return rc;
	}
	return step_source(c, (unsigned)c->source);
}

/* Stand on the foremost row that is not deleted */
static int settle(struct merged_cursor *c)
{
	for (;;) {
		size_t len = 0;
		c->source = foremost(c);
		if (c->source < 0)
			return 1;
		c->key = key_of(c, (unsigned)c->source, &c->key_len);
		if (is_beyond(c, c->key, c->key_len)) {
			c->source = -1;
			return 1;
		}
		if ((unsigned)c->source == c->tables ||
		    redo_cursor_value(&c->table[c->source], &len))
			return 0;
		int rc = leave(c);
		if (rc) {
			c->source = -1;
			return rc;
		}
	}
}

int merged_cursor_seek(struct merged_cursor *c, const void *key, size_t key_len)
{
	c->back = false;
	c->source = -1;
	c->tables_at = 0;
	for (unsigned i = 0; i < c->tables; i++) {
		c->table_at[i] = redo_cursor_seek(&c->table[i], key, key_len);
		c->tables_at += c->table_at[i];
	}
	int rc = tree_moved(c, tree_cursor_seek(&c->tree, key, key_len));
	return rc ? rc : settle(c);
}

int merged_cursor_seek_before(struct merged_cursor *c, const void *key,
			      size_t key_len)
{
	c->back = true;
	c->source = -1;
	c->tables_at = 0;
	for (unsigned i = 0; i < c->tables; i++) {
		c->table_at[i] =
			redo_cursor_seek_before(&c->table[i], key, key_len);
		c->tables_at += c->table_at[i];
	}
	int rc = tree_moved(c, tree_cursor_seek_before(&c->tree, key, key_len));
	return rc ? rc : settle(c);
}

/* Seek from the position itself, in the other direction */
static int turn(struct merged_cursor *c)
{
	uint8_t key[ROW_KEY_MAX + 1];
	size_t len = c->key_len;
	memcpy(key, c->key, len);
	if (!c->back)
		return merged_cursor_seek_before(c, key, len);
	/* The first key behind it: the same with a NUL at the end */
	key[len++] = 0;
	return merged_cursor_seek(c, key, len);
}

/* The next row of the tree, beside which no table has any: as leave() and
 * settle() */
static int next_in_tree(struct merged_cursor *c)
{
	int rc = tree_cursor_next(&c->tree);
	if (rc == 0) {
		c->key = tree_cursor_key(&c->tree, &c->key_len);
		if (!is_beyond(c, c->key, c->key_len))
			return 0;
		rc = 1;
	} else {
		c->tree_at = false;
	}
	c->source = -1;
	return rc;
}

static int step(struct merged_cursor *c, bool back)
{
	if (c->source < 0)
		return 1;
	if (c->back != back)
		return turn(c);
	int rc = leave(c);
	if (rc) {
		c->source = -1;
		return rc;
	}
	return settle(c);
}

int merged_cursor_next(struct merged_cursor *c)
{
	if (c->source == (int)c->tables && !c->tables_at && !c->back)
		return next_in_tree(c);
	return step(c, false);
}

int merged_cursor_prev(struct merged_cursor *c)
{
	return step(c, true);
}

const uint8_t *merged_cursor_key(const struct merged_cursor *c, size_t *len)
{
	assert(c->source >= 0);
	*len = c->key_len;
	return c->key;
}

const uint8_t *merged_cursor_value(const struct merged_cursor *c, size_t *len)
{
	assert(c->source >= 0);
	return (unsigned)c->source < c->tables ?
		       redo_cursor_value(&c->table[c->source], len) :
		       tree_cursor_value(&c->tree, len);
}
