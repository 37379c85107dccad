/* SPDX-License-Identifier: MIT */
#include "btree.h"

#include <errno.h>

/*
 * The child of *node that is in charge of key takes its place. -ENOENT if there
 * cannot be such a row.
 */
static int step_down(struct cache *cache, const void *key, size_t key_len,
		     const struct node **node)
{
	const struct node *child;
	int i = node_search_child(*node, key, key_len);
	if (i < 0)
		return -ENOENT;
	int r = cache_get_child(cache, *node, (unsigned)i, &child);
	if (r)
		return r;
	cache_put(cache, *node);
	*node = child;
	return 0;
}

int btree_lookup(struct cache *cache, const struct tree *tree, const void *key,
		 size_t key_len, struct row_value *value)
{
	const struct node *node;
	bool found;

	if (!tree->height)
		return -ENOENT;
	if (tree->height > TREE_HEIGHT_MAX)
		return -EUCLEAN;
	int r = cache_get(cache, &tree->root, tree->height - 1, &node);
	if (r)
		return r;
	while (!r && node->level)
		r = step_down(cache, key, key_len, &node);
	if (!r) {
		unsigned i = node_search(node, key, key_len, &found);
		r = found ? 0 : -ENOENT;
		if (found) {
			value->len = node_value(node, i, value->room);
			value->bytes = value->room;
		}
	}
	cache_put(cache, node);
	return r;
}
