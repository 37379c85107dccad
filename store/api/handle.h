/* SPDX-License-Identifier: MIT */
/*
 * handle.h - what a `banyan *` is, and how public functions begin and end.
 *
 * A handle is the store as banyan_open() gave it, a view of it, or a batch. What
 * they have in common is a root and a table of Data that are held through them.
 * They share one store, which goes with the last of them.
 *
 *   HANDLE_STORE  reads what is committed now; each write is an operation
 *   HANDLE_VIEW   reads what was committed when it was made
 *   HANDLE_BATCH  reads what the batch has made of the store, and adds to it;
 *                 `lock` lets one call in at a time
 *
 * Every public function begins with a check: its arguments, and that it runs in
 * the process that opened the store.
 */
#ifndef STORE_API_HANDLE_H
#define STORE_API_HANDLE_H

#include "engine/read_txn.h"
#include "engine/store.h"
#include "model/names.h"

enum handle_kind {
	HANDLE_STORE,
	HANDLE_VIEW,
	HANDLE_BATCH,
};

/* Which call has failed last, and on what: see last_error.h */
struct last_error {
	pthread_mutex_t lock;
	int rc; /* 0: none has */
	const char *call;
	bool named; /* by a key or a path; else by its id */
	uint64_t id;
	size_t len;
	char name[512];
};

struct banyan {
	enum handle_kind kind;
	struct store *store; /* one reference */
	struct held_table *held; /* the store's, or own */
	struct held_table own; /* of a view, of a batch */
	banyan_data *root;
	struct last_error last_error;

	struct view_state shown; /* of a view */

	/* Of a batch */
	pthread_mutex_t lock;
	struct txn *txn; /* has the writer's turn; NULL: the store was closed */
};

/* What it shows, with a reference to the view; of a batch: what is committed */
void handle_state(const banyan *db, struct view_state *shown);

/* 0, -EINVAL for NULL, -ECHILD in a child of the process that opened it */
int handle_check(const banyan *db);
int data_check(const banyan_data *data);

/*
 * A handle of this kind, but for what it shows and its root. It takes over a
 * reference of the store, even if it fails.
 */
int handle_alloc(struct store *store, enum handle_kind kind, banyan **db);
int handle_hold_root(banyan *db);
void handle_free(banyan *db); /* NULL is fine */

/* The handle on a store in a file, as store_open() has it */
int handle_open_file(struct file *file, const struct banyan_options *o,
		     bool fresh, banyan **db);

/* Commit the batch if rc is 0, else drop it; the handle stays */
int batch_end(banyan *batch, int rc);
/* Drop the batch that is open in the store, if there is one */
void batch_cancel(struct store *store);

/* ---- reading ---------------------------------------------------------- */

/* Begin to read. On failure there is nothing to end. */
int handle_read(banyan *db, struct read_txn *rtxn);
void handle_read_end(banyan *db, struct read_txn *rtxn);

/* Likewise for long; to be ended with read_txn_end() */
int handle_read_pinned(banyan *db, struct read_txn *rtxn);

/* Begin to read, and load the Data that is held. -ESTALE. */
int handle_read_data(banyan_data *data, struct read_txn *rtxn,
		     struct located *l);

/* ---- writing ---------------------------------------------------------- */

/*
 * Begin an operation, in the batch if it is one. makes_room: it may use the
 * last bytes of a full disk. On failure there is nothing to end.
 */
int handle_write(banyan *db, enum operation_kind kind, bool makes_room,
		 struct txn **txn);

/*
 * Commit the operation if rc is 0, else drop it. Returns rc, or why it could
 * not be committed. In a batch nothing is committed yet.
 */
int handle_write_end(banyan *db, int rc);

/* Load the Data that is held, for writing */
int handle_write_data(struct txn *txn, banyan_data *data, struct located *l);

/* For the writer: hold what it has found in its own transaction */
int handle_hold(banyan *db, const struct located *l, banyan_data **data);

/* May an operation be split into several? Not in a batch. */
static inline bool handle_can_split(const banyan *db)
{
	return db->kind != HANDLE_BATCH;
}

#endif
