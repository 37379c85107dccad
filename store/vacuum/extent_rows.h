/* SPDX-License-Identifier: MIT */
/*
 * extent_rows.h - EXTENT rows of the old file, and those of the new one.
 *
 * A value that has EXTENT rows is laid out anew (layout.h): so several old rows
 * may be one new row, and one may be several. Later states and operations put and
 * delete old rows, of which a deletion does not even say how long it was. So of
 * each old row that is not the same in the new file its length is kept, in the
 * store of the map. When such a row is put again or deleted, its bytes are cut out
 * of the new rows first, whatever these are, and what they have beside it stays.
 * An old row without such a note is the new row with the same key.
 *
 * In states the old rows come in key order, and new ones go to a merge in key
 * order. A few of them wait: for a block to become full, and for old rows that cut
 * off more.
 */
#ifndef STORE_VACUUM_EXTENT_ROWS_H
#define STORE_VACUUM_EXTENT_ROWS_H

#include "model/txn.h"
#include "vacuum/layout.h"

/* An old row that is put, in the group that is being laid out */
struct old_row {
	uint64_t at;
	uint32_t length;
};

/* A new row that is put, or deleted */
struct new_row {
	uint64_t id;
	uint64_t at;
	bool put;
	struct extent e;
};

struct extent_rows {
	struct layout *layout;
	struct merged tree; /* of the state before, in the new file */
	uint64_t id; /* of the value whose rows come */
	uint64_t end; /* of the row that was put last */
	/* Rows that touch each other */
	struct old_row *group;
	size_t count;
	/* What is left of a new row that was cut; length 0: none */
	struct run tail;
	/* In key order. Those of other values, and those before `ready`, have no
	 * others to come before them. */
	struct new_row *waiting;
	size_t waiting_count;
	size_t waiting_max; /* for which there is memory */
	size_t first; /* that was not handed out */
	uint64_t ready;
	struct row_key last; /* that was handed out; its value */
	struct buf value;
	/* Old bytes to be cut out of the rows of an operation */
	uint64_t cut_from, cut_to;
};

int extent_rows_open(struct extent_rows *x, struct layout *layout);
void extent_rows_close(struct extent_rows *x); /* zeroed is fine */

/* ---- in a state ------------------------------------------------------- */

/* Its rows, or those in which it differs from the one before, come next; before: the
 * tree of that in the new file; an empty one if there is none. */
void extent_rows_begin(struct extent_rows *x, struct cache *cache,
		       const struct tree *before);
/* An old row, in key order */
int extent_rows_change(struct extent_rows *x, const struct row_change *row);
/* Is there something that waits for the next one? */
bool extent_rows_pending(const struct extent_rows *x);
/* There are no more */
int extent_rows_end(struct extent_rows *x);
/* 0: the next new row, valid until the next call; 1: none is ready; or an error */
int extent_rows_next(struct extent_rows *x, struct row_change *row);

/* ---- in an operation -------------------------------------------------- */

/*
 * First, for each of its old rows: what it was is taken out of the new ones. Also
 * rows that are deleted: a new row may begin where one of them did.
 */
int extent_rows_remove(struct extent_rows *x, struct txn *txn,
		       const struct row_change *row);
int extent_rows_all_removed(struct extent_rows *x, struct txn *txn);
/* Then, for each of them again: put it, if it has a value */
int extent_rows_put(struct extent_rows *x, struct txn *txn,
		    const struct row_change *row);
int extent_rows_all_put(struct extent_rows *x, struct txn *txn);

#endif
