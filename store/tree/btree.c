/* SPDX-License-Identifier: MIT */
#include "tree/btree.h"

#include <errno.h>

/* The leaf in charge of key; -ENOENT if there cannot be such a row */
static int find_leaf(struct cache *cache, unsigned slot,
		     const struct tree *tree, const void *key, size_t key_len,
		     const struct node **leaf)
{
	const struct node *node;
	int r = cache_peek(cache, slot, tree->file, &tree->root,
			   tree->height - 1, &node);
	while (!r && node->level) {
		int i = node_search_child(node, key, key_len);
		r = i < 0 ? -ENOENT :
			    cache_peek_child(cache, slot, node, (unsigned)i,
					     &node);
	}
	if (!r)
		*leaf = node;
	return r;
}

int btree_lookup_in(struct cache *cache, unsigned slot, const struct tree *tree,
		    const void *key, size_t key_len, struct row_value *value)
{
	const struct node *leaf;
	bool found = false;

	if (!tree->height)
		return -ENOENT;
	if (tree->height > TREE_HEIGHT_MAX)
		return -EUCLEAN;
	int r = find_leaf(cache, slot, tree, key, key_len, &leaf);
	if (r)
		return r;
	unsigned i = node_search(leaf, key, key_len, &found);
	if (!found)
		return -ENOENT;
	value->len = node_value(leaf, i, value->room);
	value->bytes = value->room;
	return 0;
}

int btree_lookup(struct cache *cache, const struct tree *tree, const void *key,
		 size_t key_len, struct row_value *value)
{
	unsigned slot = cache_enter(cache);
	int r = btree_lookup_in(cache, slot, tree, key, key_len, value);
	cache_leave(cache, slot);
	return r;
}
