/* SPDX-License-Identifier: MIT */
/*
 * view.h - what the current state consists of, for readers to hold on to.
 *
 * A view names the redo table, the table that is being frozen (if any), and the
 * tree. It is immutable and counted: a freeze makes a new one, and the old one
 * goes when its last reader does. (Most readers are not counted: see
 * engine/store.h.) Which of the redo table's operations a reader sees is a
 * sequence number beside the view.
 */
#ifndef STORE_TABLE_VIEW_H
#define STORE_TABLE_VIEW_H

#include <stdatomic.h>

#include "table/merged.h"
#include "table/volume.h"

struct view {
	_Atomic unsigned refs;
	struct redo_table *active; /* one reference each */
	struct redo_table *frozen; /* NULL: nothing is being frozen */
	struct tree tree;
	struct volume *volume; /* where the tree lies, and values; a reference */
	uint64_t last_freeze; /* offset of its record there; 0: none */
	/* When it was current no more, and what has been so before it */
	uint64_t mark;
	struct view *retired;
};

/* References to the tables and the volume are taken. NULL: no memory. */
struct view *view_new(struct redo_table *active, struct redo_table *frozen,
		      const struct tree *tree, struct volume *volume,
		      uint64_t last_freeze);
struct view *view_ref(struct view *v);
void view_unref(struct view *v); /* NULL is fine */

/* Memory of its tables, in bytes */
uint64_t view_bytes(const struct view *v);

/* The layers of a view, with the operations up to seq */
void view_merged(const struct view *v, uint64_t seq, struct merged *l);

#endif
