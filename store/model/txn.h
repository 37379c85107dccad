/* SPDX-License-Identifier: MIT */
/*
 * txn.h - a state of the store, and an operation on it in the making.
 *
 * A struct state is what rows and values are read from: layers of rows, and the
 * file in which values lie. A struct txn is an operation, or a batch of
 * them, that is being built by the one writer: it puts the rows that will differ
 * into the redo table, with a number that nobody else looks at yet, and stages
 * payloads in the log. Its own state shows the store as if the operation had
 * happened. When it is dropped its rows are taken back.
 *
 * Each key that is made or deleted changes its key space too. The Data of the
 * last such space is kept here, and its row is put when another one comes, or
 * at the end: in a batch, once instead of a thousand times.
 *
 * An operation first reads and decides, then changes rows: a failure while it
 * decides leaves a batch as it was. A failure while it changes rows (no memory)
 * breaks the whole change.
 */
#ifndef STORE_MODEL_TXN_H
#define STORE_MODEL_TXN_H

#include <stdatomic.h>

#include "model/data.h"
#include "file/file.h"
#include "model/held_data.h"
#include "model/moves.h"
#include "table/merged.h"
#include "log/log.h"
#include "model/redo.h"
#include "model/rows.h"

struct state {
	struct merged merged; /* its tree says in which file values lie */
	const struct data *space; /* newer than its DATA row; NULL: none */
};

/* The row's value, valid for as long as the state is. 0, -ENOENT, error. */
int state_get(const struct state *s, const struct row_key *key,
	      struct row_value *value);

struct txn {
	struct state state;
	struct redo_table *table; /* where rows are put: layers.table[0] */
	uint64_t seq; /* the operation's number there */
	struct index_row **rows; /* that have changed */
	size_t count;
	size_t capacity;
	struct data space; /* state.space, if there is one */
	/* If there is none: the id of the key space that space holds as its row has it,
	 * or 0 */
	uint64_t read;
	struct absent_range absent; /* in the layers below the table */
	struct log *log;
	timestamp now; /* what it stamps Data with */
	struct operation op; /* its time is 0 before the commit */
	uint64_t stamps; /* changes of rows in this operation of a batch */
	int64_t keys_before, live_before; /* of op, before this one */
	size_t memory; /* of the table, at the beginning */
	size_t encoded; /* bytes of their rows in a record, at the most */
	bool batch; /* callers' memory does not stay until the commit */
	bool makes_room; /* as does each operation of a batch, so far */
	int broken; /* 0, or why the change cannot be committed */
	struct buf scratch; /* row values on their way into the table */
	struct buf body; /* of the record */

	struct held_table *held; /* of those who see what is committed */
	struct held_table *own; /* of the batch's handle; NULL: no batch */
	struct moves moves;
	struct buf drops; /* see txn_drop() */
	size_t drop_bytes; /* in a record, at the most */
	bool leaves_orphans; /* that nobody holds */
	_Atomic bool *orphans; /* set at the end if so */
};

/*
 * Begin on top of the state in *c, whose first table it is to change, with the
 * number seq; log, db, held and orphans are set too, the rest is zero but for
 * what an earlier change has left in rows, scratch and body: their memory.
 */
void txn_begin(struct txn *txn, enum operation_kind kind, uint64_t seq,
	       uint64_t next_id, timestamp now);

/* Put what is still to be put; the rows are in key order then. 0 or -ENOMEM. */
int txn_finish(struct txn *txn);

/*
 * Before the record is written: readers learn where Data will be. Nothing is
 * moved or removed afterwards. 0 or -ENOMEM.
 */
int txn_publish_moves(struct txn *txn);

/* Unless it was committed, rows and locations are again what they were */
void txn_end(struct txn *txn, bool committed);
/* Free the memory that is kept for the next one */
void txn_free(struct txn *txn);

int txn_put(struct txn *txn, const struct row_key *key,
	    const struct buf *value);
int txn_put_empty(struct txn *txn, const struct row_key *key);
int txn_delete(struct txn *txn, const struct row_key *key);

/* The key space is now this; its DATA row is put later */
int txn_put_space(struct txn *txn, const struct data *space);
/* Put that row now. 0 or -ENOMEM. */
int txn_put_pending(struct txn *txn);

uint64_t txn_new_id(struct txn *txn);

/*
 * The Data has moved from a row to another (NULL: its DATA row). orphan: it has
 * no key any more. 0 or -ENOMEM.
 */
int txn_relocate(struct txn *txn, uint64_t id, const struct location *was,
		 const struct location *now, bool orphan);

/* Does the batch itself hold the Data? */
bool txn_holds(const struct txn *txn, uint64_t id);

/* A Data whose last key has gone */
struct dropped {
	uint64_t id;
	uint64_t stored;
	bool beside; /* it has rows beside its own */
	const struct location *was; /* where it lived */
	const uint8_t *value; /* of its row, as an orphan */
	size_t value_len;
};

/*
 * Drop it. Whether it can go with its key depends on who holds it at the commit,
 * so that is decided then. bytes: what its rows can take in the record, at the
 * most. 0 or -ENOMEM.
 */
int txn_drop(struct txn *txn, const struct dropped *d, size_t bytes);
/* Visit each Data that was dropped and forget them all; stop at an error */
int txn_visit_drops(struct txn *txn,
		    int (*visit)(struct txn *txn, const struct dropped *d));

/*
 * The Data is removed: 1: nobody holds it, nor can until the operation has
 * ended. 0: held. -ENOMEM.
 */
int txn_remove(struct txn *txn, uint64_t id);

/*
 * The next ctime of a Data: the time of the operation, or 1 ns after the last
 * ctime if that is not earlier (the clock has not gone on, or was set back). If
 * the last one is TIMESTAMP_MAX, the time of the operation.
 *
 * An mtime is always the time of the operation: programs compare the mtimes of
 * different files, and a nanosecond more would make the earlier one look newer.
 */
timestamp txn_time(const struct txn *txn, timestamp last_ctime);

bool txn_empty(const struct txn *txn);

/* What a row takes in a record, at the most */
size_t txn_row_bytes(size_t key_len, size_t value_len);

/* Would one more operation of the usual size make the record too large? */
bool txn_full(struct txn *txn);

/*
 * Before an operation changes very many rows: -E2BIG if these, of so many bytes
 * each at the most, might not fit into the record of a batch. Any other
 * operation learns that when it is committed.
 */
int txn_fits(struct txn *txn, size_t rows, size_t bytes);

/* Encode the record's body. 0, -E2BIG or -ENOMEM. */
int txn_encode(struct txn *txn);

#endif
