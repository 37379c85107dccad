/* SPDX-License-Identifier: MIT */
/*
 * redo_table.h - rows in RAM, sorted: the redo table.
 *
 * A skip list whose memory comes from an arena and is freed only with the whole
 * table. One writer at a time adds; any number of readers look up and iterate
 * beside it without locks. Each change carries the sequence number of its
 * operation, and a row keeps all its versions (newest first), so a reader that
 * asks "as of sequence S" sees whole operations, and goes on seeing the same
 * for as long as it holds the table.
 *
 * A deleted row is a version too: it hides the row of the layer below.
 */
#ifndef STORE_REDO_TABLE_H
#define STORE_REDO_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redo_table;

struct redo_table *redo_table_new(void); /* one reference; NULL: no memory */
struct redo_table *redo_table_ref(struct redo_table *t);
void redo_table_unref(struct redo_table *t); /* NULL is fine */

/*
 * Let the row be this value (copied), or deleted if value is NULL (a value of
 * length 0 is not NULL). seq never decreases from call to call; a second change
 * of one row with the same seq replaces the first. 0 or -ENOMEM.
 */
int redo_table_put(struct redo_table *t, const void *key, size_t key_len,
		   const void *value, size_t value_len, uint64_t seq);

/*
 * What a change may need in memory at the most, and to have so much at hand:
 * changes that need no more cannot fail then. 0 or -ENOMEM.
 */
size_t redo_table_need(size_t key_len, size_t value_len);
int redo_table_reserve(struct redo_table *t, size_t bytes);

enum redo_found {
	REDO_ABSENT, /* the table says nothing about this row */
	REDO_ROW,
	REDO_DELETED,
};

/* The newest version at or before seq; *value lives as long as the table */
enum redo_found redo_table_get(const struct redo_table *t, const void *key,
			       size_t key_len, uint64_t seq,
			       const uint8_t **value, size_t *value_len);

size_t redo_table_bytes(const struct redo_table *t); /* memory in use */
size_t redo_table_rows(const struct redo_table *t); /* different keys */

/*
 * Iterate over the rows that have a version at or before seq, deleted ones
 * included. The table must outlive the cursor, which owns no memory.
 */
struct redo_cursor {
	const struct redo_table *table;
	uint64_t seq;
	const struct redo_row *row; /* NULL: no position */
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
