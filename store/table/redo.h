/* SPDX-License-Identifier: MIT */
/*
 * redo.h - the body of an operation record: which rows it changed.
 *
 *   1 byte   kind (enum operation_kind)
 *   8 bytes  time, a timestamp, little-endian
 *   varint   next id after the operation
 *   zigzag   by how much the number of keys changed
 *   zigzag   by how much the live bytes changed
 *   varint   number of rows
 *   then for each row, keys strictly ascending:
 *     varint  bytes that the key shares with the previous row's key
 *     varint  bytes of the rest of the key, times 2; plus 1 if a value follows
 *     bytes   the rest of the key
 *     varint  bytes that the value shares with the previous value
 *     varint  bytes of the rest of the value
 *     bytes   the rest of the value
 *   A row without a value is deleted. The value before the first is empty.
 *
 * Sharing is what makes a batch of alike records cost little more than their
 * own bytes. To replay is to put the rows into the redo table, no more; how much
 * memory that takes has a limit for one operation here, and for all of them in
 * replay.c, so that a hostile file cannot have gigabytes in a few MiB.
 */
#ifndef STORE_TABLE_REDO_H
#define STORE_TABLE_REDO_H

#include <stdint.h>

#include "tree/btree.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/timestamp.h"
#include "table/redo_table.h"

/* Bytes in the keys and values of one operation's rows, written in full */
#define REDO_ROWS_MAX (16u << 20)

enum operation_kind {
	OPERATION_BATCH = 1,
	OPERATION_INSERT = 2,
	OPERATION_ALIAS = 3,
	OPERATION_DELETE = 4,
	OPERATION_MOVE = 5,
	OPERATION_WRITE = 6,
	OPERATION_ATTR = 7,
	OPERATION_XATTR = 8,
	OPERATION_SWEEP = 9, /* of what orphans left */
};

struct operation {
	enum operation_kind kind;
	timestamp time;
	uint64_t next_id;
	int64_t keys; /* change of the number of keys */
	int64_t live; /* change of the live bytes */
};

/*
 * Append the body for an operation that has changed these rows, whose newest
 * versions are what it made of them, keys ascending. 0, -E2BIG or -ENOMEM.
 */
int redo_encode(const struct operation *op, struct index_row *const *rows,
		size_t count, struct buf *body);

struct redo_reader {
	struct reader in;
	uint64_t left; /* rows to come */
	size_t bytes; /* of keys and values so far */
	uint8_t key[ROW_KEY_MAX];
	size_t key_len;
	uint8_t value[ROW_VALUE_MAX];
	size_t value_len;
};

/* Take a body apart: 0 or -EUCLEAN. The reader borrows the body. */
int redo_open(struct redo_reader *r, const uint8_t *body, size_t size,
	      struct operation *op);
/* 0: a row, valid until the next call. 1: the end. -EUCLEAN. */
int redo_next(struct redo_reader *r, struct row_change *change);

#endif
