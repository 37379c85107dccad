/* SPDX-License-Identifier: MIT */
/*
 * copy.h - rows and values, from the old file to the new one.
 *
 * The rows of a state are copied as a whole, and of those behind it what differs
 * from the one before. A row that names a snapshot gets the place of its freeze in
 * the new file.
 *
 * Each extent becomes one extent, so that a row stays one row. What is copied
 * is what rows refer to and nothing else: bytes of a payload that no row refers
 * to any more are left behind. What several extents share is copied once.
 */
#ifndef STORE_VACUUM_COPY_H
#define STORE_VACUUM_COPY_H

#include "engine/successor.h"
#include "vacuum/extent_map.h"
#include "vacuum/states.h"

/* Asked now and then: what it returns, if not 0, ends the copying. bytes: that
 * were written since it was asked last. */
typedef int copy_pace(void *arg, uint64_t bytes);

struct copy {
	struct file *from;
	struct store *next;
	const struct states *states;
	struct extent_map map;
	copy_pace *pace;
	void *arg;
	uint8_t *buffer; /* of what is staged; the first `used` bytes */
	size_t used;
	const struct state_pair *rows; /* that are being copied */
	bool noted; /* the map knows what is shared in them */
	uint64_t values; /* bytes of them so far, */
	uint64_t most; /* of which there cannot be more */
	struct buf row; /* the value of the row that was copied last */
};

/* states: those that snapshots may name; borrowed. scratch: as extent_map_open() has
 * it. */
int copy_open(struct copy *c, struct file *from, struct store *next,
	      struct file *scratch, const struct states *states,
	      copy_pace *pace, void *arg);
void copy_close(struct copy *c); /* zeroed is fine */

/* A state of the host, and the one of which its successor has the tree */
struct state_pair {
	const struct view_state *before; /* NULL: the empty tree */
	const struct view_state *after;
	bool last; /* only then rows of snapshots are copied */
};

/* What differs between the two goes into the tree, which is *tree, with about
 * *index_bytes */
int copy_tree(struct copy *c, const struct state_pair *rows, struct tree *tree,
	      uint64_t *index_bytes);

/* One operation of the host, from the body of its record */
int copy_operation(struct copy *c, const uint8_t *body, size_t size);

#endif
