/* SPDX-License-Identifier: MIT */
/*
 * merged.h - the rows of a store as one sorted sequence.
 *
 * What is current lies in layers: the redo table, the table that is being frozen,
 * and the tree. The first layer that knows a row says what it is; a deletion in
 * it hides what is below.
 *
 * A struct merged only borrows: whoever fills it in keeps tables and tree alive.
 */
#ifndef STORE_TABLE_MERGED_H
#define STORE_TABLE_MERGED_H

#include "tree/btree.h"
#include "tree/cursor.h"
#include "table/absent_range.h"
#include "table/redo_table.h"

#define MERGED_TABLES 2

struct merged {
	struct redo_table *own; /* the writer's first table; readers: NULL */
	struct absent_range
		*absent; /* the writer's, in the layers below that one */
	unsigned tables; /* how many of the next are in use, newest first */
	struct {
		const struct redo_table *table;
		uint64_t seq; /* versions after it are not seen */
	} table[MERGED_TABLES];
	struct cache *cache;
	bool entered; /* the cache, by slot, for as long as the layers last */
	unsigned slot;
	struct tree tree;
};

/* The row's value, valid for as long as the layers are. 0, -ENOENT, error. */
int merged_get(const struct merged *l, const void *key, size_t key_len,
	       struct row_value *value);

/* Iterate as tree_cursor does: 0 at a row, 1 none there, negative error */
struct merged_cursor;

int merged_cursor_new(const struct merged *l, struct merged_cursor **c);
void merged_cursor_free(struct merged_cursor *c); /* NULL is fine */

/*
 * Rows that do not begin so are of no interest: the cursor ends where the first
 * one is. Without it, to find that there are no rows of a kind may mean to walk
 * over any number of deleted ones of another.
 */
void merged_cursor_within(struct merged_cursor *c, const void *prefix,
			  size_t len);

/*
 * Likewise with rows before `low` for a cursor that goes back, and with rows at
 * `high` or behind it for one that goes forth. Borrowed.
 */
struct merged_bounds {
	size_t len; /* of both */
	uint8_t low[24];
	uint8_t high[24];
};
void merged_cursor_between(struct merged_cursor *c,
			   const struct merged_bounds *bounds);

/*
 * A new cursor within the prefix, on its first row: 0, 1 if there is none, or
 * negative. It is to be freed, whatever comes back (*c may be NULL then).
 */
int merged_cursor_open(const struct merged *l, const void *prefix, size_t len,
		       struct merged_cursor **c);
int merged_cursor_seek(struct merged_cursor *c, const void *key,
		       size_t key_len);
/* Last row before key; of all rows if key is NULL */
int merged_cursor_seek_before(struct merged_cursor *c, const void *key,
			      size_t key_len);
int merged_cursor_next(struct merged_cursor *c);
int merged_cursor_prev(struct merged_cursor *c);
const uint8_t *merged_cursor_key(const struct merged_cursor *c, size_t *len);
const uint8_t *merged_cursor_value(const struct merged_cursor *c, size_t *len);

#endif
