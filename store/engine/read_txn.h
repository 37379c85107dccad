/* SPDX-License-Identifier: MIT */
/*
 * read_txn.h - a read transaction: one state of the store, for as long as it
 * lasts.
 *
 * A short one keeps everything that has gone since from being freed, for the
 * whole store, and costs next to nothing: it is for one call that ends soon. A
 * pinned one refers to its view, and may last.
 */
#ifndef STORE_ENGINE_READ_TXN_H
#define STORE_ENGINE_READ_TXN_H

#include "engine/store.h"

struct read_txn {
	struct state state;
	uint64_t seq; /* operations up to this are seen */
	struct view *view; /* pinned; NULL: not */
	struct view *seen; /* while it is short: what it sees */
	struct cache *entered; /* by state.merged.slot; NULL: not */
};

/* What is committed now; short */
void read_txn_begin(struct store *store, struct read_txn *rtxn);
/* What a view shows up to operation seq; the caller keeps the view. Short. */
void read_txn_begin_at(struct store *store, struct view *view, uint64_t seq,
		       struct read_txn *rtxn);
/* What is committed now; pinned */
void read_txn_begin_pinned(struct store *store, struct read_txn *rtxn);

/* Pin a short one, before what may go over many rows. No harm in a pinned one. */
void read_txn_pin(struct read_txn *rtxn);

/* As contents_read(); pins the transaction if there is much to read */
int read_txn_contents(struct read_txn *rtxn, const struct data *d, void *buffer,
		      size_t size, uint64_t offset);

void read_txn_end(struct read_txn *rtxn);

#endif
