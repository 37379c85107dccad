/* SPDX-License-Identifier: MIT */
/*
 * node.h - one node of the tree: its bytes in the file and its form in RAM.
 *
 * In the file a node is as long as it needs to be; in RAM it is those bytes and
 * an index over them, built while they are validated. The bytes never change.
 *
 * Node. All keys in it begin with the prefix, which is stored once.
 *   OFFSET SIZE DESCRIPTION
 *   0      1    magic: 0xB7
 *   1      1    level; 0: a leaf
 *   2      2    number of entries, at least 1
 *   4      2    P: length of the prefix, at most 300
 *   6      2    T: length of the template, at most 4096; 0 above level 0
 *   8      P    prefix
 *   8+P    T    template: bytes with which values in this leaf begin
 *   ..     ..   the entries, keys strictly ascending; then the node ends
 *
 * Entry of a leaf: a row. Key: prefix, suffix. Value: shared bytes of the
 * template, rest. A key has at most 300 bytes, a value at most 4096.
 *   varint      length of the suffix
 *   varint      number of leading bytes of the template, at most T
 *   varint      length of the rest
 *   ..          suffix
 *   ..          rest
 *
 * Entry above level 0: a child, whose level is one less. All keys in child i
 * are at or above the key of entry i (the separator) and below that of entry
 * i + 1, or for the last child below the upper bound of the node itself. The
 * node's lower bound may be less than its first separator; no row is between.
 *   varint      length of the suffix
 *   ..          suffix
 *   varint      V: where the child lies. Even: at offset V / 2 of the file.
 *               Odd: (V - 1) / 2 bytes before this node. (Nodes are written in
 *               runs, whose place is known only afterwards.) Either way it
 *               ends at or before the offset of this node: no cycles.
 *   varint      length of the child, 1 to 32768
 *   4           CRC-32C of the child's bytes
 */
#ifndef STORE_TREE_NODE_H
#define STORE_TREE_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pool.h"
#include "base/row_limits.h"

#define NODE_TARGET 4096u /* bytes at which a node is full, by default */
#define NODE_HEADER_SIZE 8u

/*
 * A node in RAM, one allocation. Use the functions below: all but what belongs
 * to the cache is never changed after node_load(). A head is four bytes of a
 * suffix as a big-endian number, zeros behind short ones: most of a search looks
 * at nothing else. They are the first four, unless most entries have these in
 * common, as in a root that leads to many names and to a few rows of other
 * kinds: then those behind.
 */
struct node {
	/* What a search looks at comes first, in one cache line */
	struct node *_Atomic chain; /* the cache's, as below */
	struct node_ref ref;
	const uint8_t *raw; /* the bytes of the file */
	const uint16_t *at; /* where in raw each entry lies */
	const uint32_t *heads;
	uint16_t level;
	uint16_t count;
	uint16_t prefix_len;
	uint16_t template_len;
	/* Entries begin .. end - 1 share so many bytes behind the prefix */
	uint16_t alike;
	uint16_t begin;
	uint16_t end;
	_Atomic uint32_t refs;
	_Atomic uint32_t lives;
	struct file *file; /* in which it lies: the cache's, as below */
	struct node *before;
	struct node *after;
	uint64_t mark;
	size_t memory; /* bytes allocated */
	struct pool *pool; /* from here; NULL: malloc() */
	const struct node_ref *children; /* above level 0 */
};

/*
 * Validate the ref->length bytes that lie at ref and index a copy of them.
 * -EBADMSG: not the bytes that ref speaks of; -EUCLEAN: no node of this level;
 * -ENOMEM. Whether the keys suit the parent is node_check_bounds()'s business.
 */
int node_load(const void *bytes, const struct node_ref *ref, unsigned level,
	      struct node **node);
/* The same, with memory from the pool */
int node_load_in(struct pool *pool, const void *bytes,
		 const struct node_ref *ref, unsigned level,
		 struct node **node);
void node_free(struct node *node); /* NULL is fine */

/* -EUCLEAN unless lower <= all keys < upper. upper NULL: there is none. */
int node_check_bounds(const struct node *node, const void *lower,
		      size_t lower_len, const void *upper, size_t upper_len);

/* The first entry at or above key (count: none); *found: it is key itself */
unsigned node_search(const struct node *node, const void *key, size_t len,
		     bool *found);

/* The entry whose child is in charge of key; -1: below the first separator */
int node_search_child(const struct node *node, const void *key, size_t len);

/* How the key of entry i compares with key: <0, 0, >0 */
int node_compare(const struct node *node, unsigned i, const void *key,
		 size_t len);

/* The key of entry i; gives its length, at most ROW_KEY_MAX */
size_t node_key(const struct node *node, unsigned i, uint8_t *key);

/* The value of row i; gives its length, at most ROW_VALUE_MAX */
size_t node_value(const struct node *node, unsigned i, uint8_t *value);

/*
 * Row i in parts, all within the node: the key is the node's prefix and this
 * suffix, the value begins with `shared` bytes of the node's template.
 */
struct node_row {
	const uint8_t *suffix;
	size_t suffix_len;
	size_t shared;
	const uint8_t *rest;
	size_t rest_len;
};
void node_row(const struct node *node, unsigned i, struct node_row *row);
const uint8_t *node_prefix(const struct node *node);
const uint8_t *node_template(const struct node *node);

/* The child of entry i */
static inline void node_child(const struct node *node, unsigned i,
			      struct node_ref *child)
{
	*child = node->children[i];
}

/*
 * Encoding: the head of a node, then exactly count entries. They append to a
 * buffer and leave a lack of memory to its `failed`.
 */
struct node_head {
	unsigned level;
	size_t count;
	const uint8_t *prefix;
	size_t prefix_len;
	const uint8_t *template_bytes;
	size_t template_len;
};

void node_encode_head(struct buf *out, const struct node_head *head);
void node_encode_row(struct buf *out, const uint8_t *suffix, size_t suffix_len,
		     size_t shared, const uint8_t *rest, size_t rest_len);
/* back: child->offset is a distance, from the child's start to this node's */
void node_encode_child(struct buf *out, const uint8_t *suffix,
		       size_t suffix_len, const struct node_ref *child,
		       bool back);

#endif
