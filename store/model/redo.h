/* SPDX-License-Identifier: MIT */
/*
 * redo.h - the body of an operation record: which rows it changed.
 *
 *   1 byte   kind (enum operation_kind), and which of the next numbers follow
 *   8 bytes  time, a timestamp, little-endian
 *   zigzag   time less the stamp, which the operation gives the Data it makes
 *   varint   next id after the operation
 *   zigzag   by how much the number of keys changed
 *   zigzag   by how much the live bytes changed
 *   then each row up to the end of the body, keys strictly ascending:
 *     1 byte  type; form of the value; shared bytes of the key, if these are few
 *     1 byte  type, if it has no room there
 *     varint  bytes that the key shares with the previous row's key, behind the
 *             type of both
 *     varint  bytes of the rest of the key, unless the type tells its length
 *     bytes   the rest of the key
 *     the value: nothing if it is deleted or empty; a Data (packed_data.h); or
 *     varint  bytes that the value shares with the previous value
 *     varint  bytes of the rest of the value
 *     bytes   the rest of the value
 *   Before the first row the previous key has an id of 0, the value is empty.
 *   docs/FORMAT.md has the bits.
 *
 * Sharing is what makes a batch of alike records cost little more than their
 * own bytes. To replay is to put the rows into the redo table, no more; how much
 * memory that takes has a limit for one operation here, and for all of them in
 * replay.c, so that a hostile file cannot have gigabytes in a few MiB.
 */
#ifndef STORE_MODEL_REDO_H
#define STORE_MODEL_REDO_H

#include <stdint.h>

#include "tree/btree.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/timestamp.h"
#include "model/packed_data.h"
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
	timestamp stamp; /* that of the Data which it makes or changes */
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
	struct packed_state packed;
	uint64_t rows; /* so far */
	size_t bytes; /* of their keys and values */
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
