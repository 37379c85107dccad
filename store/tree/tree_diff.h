/* SPDX-License-Identifier: MIT */
/*
 * tree_diff.h - in which rows two trees differ.
 *
 * Trees that came from one another share the nodes that no change has touched.
 * Both are walked at once, and where both have the same node it is passed by
 * unread. So the cost follows what has changed: at most the nodes that only one
 * of the two has are read.
 */
#ifndef STORE_TREE_TREE_DIFF_H
#define STORE_TREE_TREE_DIFF_H

#include "tree/btree.h"

struct tree_diff;

/* A row that is not the same in both; NULL: it is not there */
struct tree_difference {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *before;
	size_t before_len;
	const uint8_t *after;
	size_t after_len;
};

/* 0 or -ENOMEM */
int tree_diff_new(struct cache *cache, const struct tree *before,
		  const struct tree *after, struct tree_diff **diff);
void tree_diff_free(struct tree_diff *diff); /* NULL is fine */

/* 0: the next difference, in key order, valid until the next call; 1: there are
 * no more; or an error */
int tree_diff_next(struct tree_diff *diff, struct tree_difference *d);

/* 0, or an error, which comes back */
typedef int tree_diff_node(void *arg, const struct node_ref *ref);

/* Call visit for each node of `after` that is looked into: all those that `before`
 * does not have, and perhaps some that it has. From the beginning on. */
void tree_diff_watch(struct tree_diff *diff, tree_diff_node *visit, void *arg);

/* Only that */
int tree_diff_visit(struct cache *cache, const struct tree *before,
		    const struct tree *after, tree_diff_node *visit, void *arg);

/* Nodes that were looked into so far */
uint64_t tree_diff_nodes(const struct tree_diff *diff);

#endif
