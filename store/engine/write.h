/* SPDX-License-Identifier: MIT */
/*
 * write.h - write transactions: one operation, or a batch of them.
 *
 * The writer has the turn from store_write_begin() to store_write_end(). An
 * operation of a batch is begun and ended in between, with batch_step_begin()
 * and batch_step_end().
 */
#ifndef STORE_ENGINE_WRITE_H
#define STORE_ENGINE_WRITE_H

#include "engine/store.h"

/*
 * Begin an operation. makes_room: it may use the last bytes of a full disk.
 * Waits for the turn. Always paired with store_write_end() if it succeeds.
 */
int store_write_begin(struct store *store, enum operation_kind kind,
		      bool makes_room, struct txn **txn);

/* Likewise, but -EAGAIN rather than to wait for a batch or a freeze */
int store_write_begin_soon(struct store *store, enum operation_kind kind,
			   bool makes_room, struct txn **txn);

/*
 * Commit the transaction if rc is 0, else drop it. Returns rc, or why it could
 * not be committed.
 */
int store_write_end(struct store *store, int rc);

/* Where the thread notes its operations: see banyan_set_note() */
void write_set_note(struct banyan_note *note);
/* Those of a process that has died, which has left a log with this end */
void write_settle_notes(struct banyan_note *const *notes, size_t count,
			uint64_t end);

/* A vacuum that cannot keep up with writers slows them down: wait for as long as
 * so many operations are to wait */
void store_wait_for_vacuum(const struct store *store, unsigned operations);

/* The next operation of the batch: 0, -E2BIG, or why all of it is lost */
int batch_step_begin(struct txn *txn, bool makes_room);
/*
 * It has succeeded if rc is 0, else it is taken back. If that cannot be done
 * the batch is lost. Returns rc, or why it does not fit into the batch.
 */
int batch_step_end(struct txn *txn, int rc);

/* Make all that was committed durable */
int store_sync(struct store *store);
/* Append a mark that tells what is durable, if it is of any use */
void store_mark(struct store *store);

#endif
