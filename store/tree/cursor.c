/* SPDX-License-Identifier: MIT */
/*
 * path[] holds one node a level, in use, with the entry that was taken on the
 * way down; path[0] is the leaf. Within a leaf the order of keys was validated
 * when it was loaded. From leaf to leaf it is checked here, against the last
 * key that was passed, which is kept in `key`: so a tree whose nodes are
 * reachable in several ways ends the iteration with an error at once.
 */
#include "tree/cursor.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

enum direction { FORWARD, BACKWARD };

void tree_cursor_init(struct tree_cursor *c, struct cache *cache,
		      const struct tree *tree)
{
	/* Not key and room, which are long and need no values yet */
	memset(c, 0, offsetof(struct tree_cursor, key));
	c->cache = cache;
	c->tree = *tree;
}

static void drop_path(struct tree_cursor *c)
{
	for (unsigned i = 0; i < TREE_HEIGHT_MAX; i++) {
		cache_put(c->cache, c->path[i].node);
		c->path[i].node = NULL;
	}
	c->prefix_of = NULL;
	c->valid = false;
}

void tree_cursor_free(struct tree_cursor *c)
{
	drop_path(c);
}

/* memcpy() for what is mostly shorter than a call of it is worth */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
	if (n > 16) {
		memcpy(to, from, n);
	} else if (n >= 8) {
		uint64_t last = get_le64(from + n - 8);
		put_le64(to, get_le64(from));
		put_le64(to + n - 8, last);
	} else {
		for (size_t i = 0; i < n; i++)
			to[i] = from[i];
	}
}

/* Key and value of the row at the position */
static void take_row(struct tree_cursor *c)
{
	const struct node *leaf = c->path[0].node;
	struct node_row row;

	node_row(leaf, c->path[0].at, &row);
	if (c->prefix_of != leaf) {
		memcpy(c->key, node_prefix(leaf), leaf->prefix_len);
		c->prefix_of = leaf;
	}
	copy_short(c->key + leaf->prefix_len, row.suffix, row.suffix_len);
	c->key_len = leaf->prefix_len + row.suffix_len;
	c->value = row.rest;
	c->value_len = row.shared + row.rest_len;
	if (row.shared) {
		copy_short(c->room, node_template(leaf), row.shared);
		copy_short(c->room + row.shared, row.rest, row.rest_len);
		c->value = c->room;
	}
}

/* The result of a movement; without a row the cursor has no position */
static int arrive(struct tree_cursor *c, int r)
{
	if (r) {
		drop_path(c);
	} else {
		take_row(c);
		c->valid = true;
	}
	return r;
}

/* The node on the path at a level is replaced by the child taken above it */
static int take_child(struct tree_cursor *c, unsigned level)
{
	const struct node *child;
	const struct node *parent = c->path[level + 1].node;
	unsigned at = c->path[level + 1].at;
	int r = c->entered ? cache_get_child_in(c->cache, c->slot, parent, at,
						&child) :
			     cache_get_child(c->cache, parent, at, &child);
	if (r)
		return r;
	cache_put(c->cache, c->path[level].node);
	c->path[level].node = child;
	return 0;
}

/* From the leaf to its neighbour, and there to the nearest row */
static int cross(struct tree_cursor *c, enum direction direction)
{
	unsigned level = 1;

	for (;; level++) {
		if (level == c->tree.height)
			return 1;
		unsigned last = c->path[level].node->count - 1;
		if (c->path[level].at != (direction == FORWARD ? last : 0))
			break;
	}
	if (direction == FORWARD)
		c->path[level].at++;
	else
		c->path[level].at--;
	while (level-- > 0) {
		int r = take_child(c, level);
		if (r)
			return r;
		c->path[level].at = direction == FORWARD ?
					    0 :
					    c->path[level].node->count - 1;
	}
	int order = node_compare(c->path[0].node, c->path[0].at, c->key,
				 c->key_len);
	return (direction == FORWARD ? order > 0 : order < 0) ? 0 : -EUCLEAN;
}

/* The entry to take at a node on the way down to key; NULL: to the end */
static unsigned entry_towards(const struct node *node, const void *key,
			      size_t key_len)
{
	if (!key)
		return node->count - 1;
	int i = node_search_child(node, key, key_len);
	return i < 0 ? 0 : (unsigned)i;
}

/* Fill the path down to the leaf in charge of key. 1: the tree is empty. */
static int descend(struct tree_cursor *c, const void *key, size_t key_len)
{
	drop_path(c);
	if (!c->tree.height)
		return 1;
	if (c->tree.height > TREE_HEIGHT_MAX)
		return -EUCLEAN;
	unsigned level = c->tree.height - 1;
	const struct node **root = &c->path[level].node;
	int r = c->entered ? cache_get_in(c->cache, c->slot, c->tree.file,
					  &c->tree.root, level, root) :
			     cache_get(c->cache, c->tree.file, &c->tree.root,
				       level, root);
	while (!r && level > 0) {
		c->path[level].at =
			entry_towards(c->path[level].node, key, key_len);
		r = take_child(c, --level);
	}
	return r;
}

/* Let `key` be the sought key, which may be it already. No row has a longer
 * one than ROW_KEY_MAX: of a longer one the beginning is in the same place. */
static void note_key(struct tree_cursor *c, const void *key, size_t key_len)
{
	c->key_len = key_len < ROW_KEY_MAX ? key_len : ROW_KEY_MAX;
	if (key && key_len)
		memmove(c->key, key, c->key_len);
	c->prefix_of = NULL;
}

int tree_cursor_seek(struct tree_cursor *c, const void *key, size_t key_len)
{
	bool found;
	int r = descend(c, key ? key : "", key_len);
	if (r)
		return arrive(c, r);
	const struct node *leaf = c->path[0].node;
	c->path[0].at = node_search(leaf, key ? key : "", key_len, &found);
	if (c->path[0].at == leaf->count) {
		note_key(c, key, key_len);
		r = cross(c, FORWARD);
	}
	return arrive(c, r);
}

int tree_cursor_seek_before(struct tree_cursor *c, const void *key,
			    size_t key_len)
{
	bool found;
	int r = descend(c, key, key_len);
	if (r)
		return arrive(c, r);
	const struct node *leaf = c->path[0].node;
	unsigned i = key ? node_search(leaf, key, key_len, &found) :
			   leaf->count;
	if (i > 0) {
		c->path[0].at = i - 1;
	} else {
		note_key(c, key, key_len);
		r = cross(c, BACKWARD);
	}
	return arrive(c, r);
}

int tree_cursor_next(struct tree_cursor *c)
{
	if (!c->valid)
		return 1;
	if (c->path[0].at + 1 < c->path[0].node->count) {
		c->path[0].at++;
		return arrive(c, 0);
	}
	return arrive(c, cross(c, FORWARD));
}

int tree_cursor_prev(struct tree_cursor *c)
{
	if (!c->valid)
		return 1;
	if (c->path[0].at > 0) {
		c->path[0].at--;
		return arrive(c, 0);
	}
	return arrive(c, cross(c, BACKWARD));
}

const uint8_t *tree_cursor_key(const struct tree_cursor *c, size_t *len)
{
	assert(c->valid);
	*len = c->key_len;
	return c->key;
}

const uint8_t *tree_cursor_value(const struct tree_cursor *c, size_t *len)
{
	assert(c->valid);
	*len = c->value_len;
	return c->value;
}
