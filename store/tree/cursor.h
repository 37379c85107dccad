/* SPDX-License-Identifier: MIT */
/*
 * cursor.h - iterate over the rows of one tree, both ways.
 *
 * A cursor holds the nodes on its path in the cache. All movements return 0 at
 * a row, 1 if there is none there, or a negative errno value; after the two
 * latter the cursor has no position until the next seek. Keys must come out
 * strictly ordered, whatever the file says: else -EUCLEAN.
 */
#ifndef STORE_TREE_CURSOR_H
#define STORE_TREE_CURSOR_H

#include "tree/btree.h"

struct tree_cursor {
	struct cache *cache;
	struct tree tree;
	struct {
		const struct node *node;
		unsigned at;
	} path[TREE_HEIGHT_MAX]; /* path[0] is the leaf */
	bool valid;
	bool entered; /* the cache, by slot, for as long as it is used */
	unsigned slot;
	size_t key_len;
	const uint8_t *value; /* in the leaf, or in room */
	size_t value_len;
	const struct node *prefix_of; /* the leaf whose prefix key begins with */
	uint8_t key[ROW_KEY_MAX];
	uint8_t room[ROW_VALUE_MAX];
};

void tree_cursor_init(struct tree_cursor *c, struct cache *cache,
		      const struct tree *tree);
void tree_cursor_free(struct tree_cursor *c); /* zeroed is fine */

int tree_cursor_seek(struct tree_cursor *c, const void *key, size_t key_len);
/* Last row before key; of all rows if key is NULL */
int tree_cursor_seek_before(struct tree_cursor *c, const void *key,
			    size_t key_len);
int tree_cursor_next(struct tree_cursor *c);
int tree_cursor_prev(struct tree_cursor *c);

/* Of the row at the position; valid until the next movement */
const uint8_t *tree_cursor_key(const struct tree_cursor *c, size_t *len);
const uint8_t *tree_cursor_value(const struct tree_cursor *c, size_t *len);

#endif
