/* SPDX-License-Identifier: MIT */
/*
 * btree.h - the tree on disk: lookup, and merging a sorted run of changes.
 *
 * Rows are byte strings, ordered by compare_bytes(). Nodes are immutable and
 * found through node_ref; a tree is a root and a height, and stays readable for
 * as long as the file does. A merge writes new nodes and gives a new tree,
 * which shares with the old one all that the changes did not touch.
 */
#ifndef STORE_TREE_BTREE_H
#define STORE_TREE_BTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tree/cache.h"
#include "tree/node.h"

struct tree {
	struct node_ref root; /* all zeros: the empty tree */
	unsigned height; /* levels; 0: the empty tree, 1: one leaf */
	struct file *file; /* in which its nodes lie */
};

/* A row's value, and room for it if it does not lie in one piece elsewhere */
struct row_value {
	const uint8_t *bytes;
	size_t len;
	uint8_t room[ROW_VALUE_MAX];
};

/* The row's value, in *value itself. 0, -ENOENT, or an error. For who has
 * entered the cache by slot, and for who has not. */
int btree_lookup_in(struct cache *cache, unsigned slot, const struct tree *tree,
		    const void *key, size_t key_len, struct row_value *value);
int btree_lookup(struct cache *cache, const struct tree *tree, const void *key,
		 size_t key_len, struct row_value *value);

/* One change of a merge; value NULL: the row is deleted */
struct row_change {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value;
	size_t value_len;
};

/* The changes, keys strictly ascending. next: 0 a change, 1 the end, <0. */
struct merge_source {
	int (*next)(void *arg, struct row_change *change);
	void *arg;
};

/*
 * Where nodes go. write appends a run of nodes, at most run_bytes unless one
 * node alone is larger, and tells at which offset of the file it lies.
 */
struct node_sink {
	int (*write)(void *arg, const void *run, size_t size, uint64_t *offset);
	void *arg;
	size_t run_bytes;
	size_t leaf_bytes; /* at which a leaf is full; 0: NODE_TARGET */
};

struct merge_stats {
	uint64_t nodes_written;
	uint64_t bytes_written;
	uint64_t nodes_read;
	uint64_t bytes_replaced; /* of the nodes read, which the tree drops */
};

/*
 * Merge the changes into old and give the new tree. On failure *tree is not
 * touched; what was written by then is dead weight in the log. stats may be
 * NULL.
 */
int btree_merge(struct cache *cache, const struct tree *old,
		const struct merge_source *source, const struct node_sink *sink,
		struct tree *tree, struct merge_stats *stats);

#endif
