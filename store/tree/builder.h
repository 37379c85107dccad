/* SPDX-License-Identifier: MIT */
/*
 * builder.h - the entries of one level that are waiting to become nodes.
 *
 * Entries come in key order; as soon as there are enough to leave a decent rest
 * behind, a full node can be cut from the front. The rest stays until it is
 * known what comes next: more entries, which it joins, or a part of the old
 * tree that is kept as it is, before which it is cut into one or two nodes.
 *
 * A builder never holds much more than two nodes' worth, whatever the tree.
 */
#ifndef STORE_TREE_BUILDER_H
#define STORE_TREE_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tree/node.h"

#define TEMPLATE_MAX 64 /* longer ones were not worth their bytes */

struct builder_entry {
	size_t at; /* of the key in bytes; the value follows it */
	size_t key_len;
	size_t value_len; /* leaf */
	size_t shared; /* bytes of the value that are in the template */
	struct node_ref child; /* above level 0 */
	bool in_run; /* child.offset counts from the start of the run */
};

struct builder {
	unsigned level;
	size_t target; /* bytes at which a node is full */
	struct buf bytes; /* keys and values */
	struct builder_entry *entries;
	size_t count;
	size_t capacity;
	size_t prefix_len; /* that all keys share */
	size_t sum; /* of what entries take, with their whole keys */
	size_t look_at; /* size from which a cut is worth looking for */
	uint8_t template_bytes[TEMPLATE_MAX];
	size_t template_len;
	uint8_t lower[ROW_KEY_MAX]; /* leaf: lower bound of the first entry */
	size_t lower_len;
};

void builder_init(struct builder *b, unsigned level, size_t target);
void builder_free(struct builder *b);

/*
 * A node with less than this is joined with a neighbour. A little above a third
 * because the size is estimated.
 */
static inline size_t builder_least(const struct builder *b)
{
	return b->target * 3 / 8;
}

/* For leaves: no key is below this bound. Heeded while the builder is empty. */
void builder_set_lower(struct builder *b, const void *lower, size_t len);
/* The lower bound of the node that will be cut next */
const uint8_t *builder_lower(const struct builder *b, size_t *len);

/*
 * Add an entry. -EUCLEAN if its key is not above the last one, -ENOMEM.
 * in_run: child->offset counts from the start of the run being gathered.
 */
int builder_add_row(struct builder *b, const void *key, size_t key_len,
		    const void *value, size_t value_len);
int builder_add_child(struct builder *b, const void *key, size_t key_len,
		      const struct node_ref *child, bool in_run);

/* Take back the last child; the entry is valid until the next addition */
const struct builder_entry *builder_pop(struct builder *b);
const uint8_t *builder_key(const struct builder *b,
			   const struct builder_entry *e);

/* Bytes of one node with all the entries, about */
size_t builder_size(const struct builder *b);

/* Choose the template anew; makes builder_size() as small as it gets */
void builder_settle(struct builder *b);

/* How many entries make a full node that can be cut now; 0: wait for more */
size_t builder_full(struct builder *b);

/* How many entries to cut if nothing more comes; 0: there are none left */
size_t builder_rest(struct builder *b);

/* Append the first n entries to the run as a node */
void builder_encode(const struct builder *b, size_t n, struct buf *run);
/* Drop them, and set the lower bound of what follows */
void builder_drop(struct builder *b, size_t n);

/* The run has been written at this offset: children in it have a place now */
void builder_place(struct builder *b, uint64_t offset);

#endif
