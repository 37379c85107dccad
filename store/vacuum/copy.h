/* SPDX-License-Identifier: MIT */
/*
 * copy.h - rows and values, from the old file to the new one.
 *
 * The rows of a state are copied as a whole, and of those behind it what differs
 * from the one before. A row that names a snapshot gets the place of its freeze in
 * the new file.
 *
 * What is copied is what rows refer to and nothing else: bytes of a payload that
 * no row refers to any more are left behind. What several extents share is copied
 * once. layout.h has how the bytes lie then, and extent_rows.h what becomes of the
 * rows of a value that has rows for its extents. Of any other a row stays one row.
 */
#ifndef STORE_VACUUM_COPY_H
#define STORE_VACUUM_COPY_H

#include "engine/successor.h"
#include "vacuum/extent_rows.h"
#include "vacuum/states.h"

struct copy {
	struct store *next;
	const struct states *states;
	struct layout layout; /* of values */
	struct file_aside *ahead; /* of the file that they are read from */
	struct extent_rows extents;
	copy_pace *pace;
	void *arg;
	const struct state_pair *rows; /* that are being copied */
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
