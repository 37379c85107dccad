/* SPDX-License-Identifier: MIT */
/*
 * revive.h - put a Data of the past back into the database, at a key.
 *
 * What comes back is a new Data, since an id is never used again, with contents
 * that refer to the same extents. Its other keys of then come back, too, where
 * nothing is in the way. A Data that lives on, or of which this reviver has made
 * a copy already, gets an alias instead. A key space comes back empty.
 *
 * A reviver is in one of these states:
 *
 *   no batch     before revive_begin(), and after revive_commit() or an error
 *   fresh        the batch has nothing in it: what is too large for it is too
 *                large for any batch
 *   filled       what does not fit any more goes into the next batch
 *
 * A value with more extents than an operation can have is put together outside
 * of batches, in a Data without a key, which is swept if this fails.
 *
 * An open batch is the writer's turn, so nobody else writes, and no vacuum
 * changes the file, between revive_begin() and the commit. At each begin the
 * file is compared with that in which the past was read: -ESTALE.
 */
#ifndef STORE_API_REVIVE_H
#define STORE_API_REVIVE_H

#include "api/deletions.h"
#include "api/handle.h"

struct reviver {
	banyan *db;
	banyan *batch;
	bool fresh;
	bool committed; /* a batch has been */
	struct deletions
		d; /* which the caller opens and closes; row 0x7b is used */
	const struct state *source; /* the state of the past, */
	struct name from; /* and the key in it that was asked for */
	struct buf scratch;
	struct buf made; /* keys: space id, length, name */
};

struct revival {
	struct name to; /* a key that does not exist */
	struct located was; /* in the past */
	bool top; /* the very key that was asked for */
	uint64_t id; /* of what the key points to now, in the end */
};

/* What is to be done in a batch, with what */
typedef int revive_action(struct reviver *u, struct txn *txn, void *arg);

int revive_begin(struct reviver *u);
/* In this batch, or in another one if this is full */
int revive_run(struct reviver *u, revive_action *act, void *arg);
int revive_commit(struct reviver *u);

/* Put a Data back. r->to and, if it is `top`, the aliases are noted in u->made. */
int revive_data(struct reviver *u, struct revival *r);

/* All is over, done or not: an open batch is aborted */
void revive_end(struct reviver *u);

#endif
