/* SPDX-License-Identifier: MIT */
/*
 * redo_table.h - rows in RAM, sorted: the redo table.
 *
 * Rows are added and changed by one writer at a time; any number of readers
 * look up and iterate beside it without locks. Memory comes from an arena and
 * is freed only with the whole table. Each change carries the number of its
 * operation, and a row keeps all its versions (newest first), so a reader that
 * asks "as of operation N" sees whole operations, and goes on seeing the same
 * for as long as it holds the table. So the writer can put the rows of an
 * operation right here while it is still in the making: nobody looks that far
 * yet, and if nothing comes of it they are taken back.
 *
 * A deleted row is a version too: it hides the row of the layer below.
 */
#ifndef STORE_TABLE_REDO_TABLE_H
#define STORE_TABLE_REDO_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "table/row_index.h"

struct redo_table;
struct redo_version;

struct redo_table *redo_table_new(void); /* one reference; NULL: no memory */
struct redo_table *redo_table_ref(struct redo_table *t);
void redo_table_unref(struct redo_table *t); /* NULL is fine */

/*
 * Let the row be this value (copied), or deleted if value is NULL (a value of
 * length 0 is not NULL). seq, the number of the operation, never decreases from
 * call to call, nor grows by more than 2^32 over all; a second change of one
 * row with the same seq replaces the first. *fresh (may be NULL) gets the row
 * if this is its first change with this seq, else NULL. 0 or -ENOMEM.
 */
int redo_table_put(struct redo_table *t, const void *key, size_t key_len,
		   const void *value, size_t value_len, uint64_t seq,
		   struct index_row **fresh);

/* Take back what the operation seq, the last one, has made of the row */
void redo_table_undo(struct redo_table *t, struct index_row *row, uint64_t seq);

enum redo_found {
	REDO_ABSENT, /* the table says nothing about this row */
	REDO_ROW,
	REDO_DELETED,
};

/* The newest version at or before seq; *value lives as long as the table */
enum redo_found redo_table_get(const struct redo_table *t, const void *key,
			       size_t key_len, uint64_t seq,
			       const uint8_t **value, size_t *value_len);

/* Likewise the newest of all, for the writer: to put the row is cheap then */
enum redo_found redo_table_get_newest(struct redo_table *t, const void *key,
				      size_t key_len, const uint8_t **value,
				      size_t *value_len);

/* Has the key that was got last come right behind the row added last? */
bool redo_table_follows(const struct redo_table *t);

/* The newest version of a row: NULL if it is deleted */
const uint8_t *redo_row_value(const struct index_row *row, size_t *len);

size_t redo_table_bytes(const struct redo_table *t); /* memory in use */
size_t redo_table_rows(const struct redo_table *t); /* different keys */
/* Of these, how many came right behind the one before; for the writer */
size_t redo_table_in_order(const struct redo_table *t);

/*
 * Iterate over the rows that have a version at or before seq, deleted ones
 * included. The table must outlive the cursor, which owns no memory.
 */
struct redo_cursor {
	const struct redo_table *table;
	uint64_t seq;
	struct index_spot spot; /* spot.row NULL: no position */
	const struct redo_version *version;
};

void redo_cursor_init(struct redo_cursor *c, const struct redo_table *t,
		      uint64_t seq);
/* First row at or after key. All four: true if there is a row. */
bool redo_cursor_seek(struct redo_cursor *c, const void *key, size_t key_len);
/* Last row before key; of all rows if key is NULL */
bool redo_cursor_seek_before(struct redo_cursor *c, const void *key,
			     size_t key_len);
bool redo_cursor_next(struct redo_cursor *c);
bool redo_cursor_prev(struct redo_cursor *c);
const uint8_t *redo_cursor_key(const struct redo_cursor *c, size_t *len);
/* NULL: deleted */
const uint8_t *redo_cursor_value(const struct redo_cursor *c, size_t *len);

#endif
