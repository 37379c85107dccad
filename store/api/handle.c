/* SPDX-License-Identifier: MIT */
#include "api/handle.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fork_guard.h"
#include "engine/open.h"
#include "engine/write.h"

int handle_check(const banyan *db)
{
	if (!db)
		return -EINVAL;
	return fork_guard_is_owner(db->store->guard) ? 0 : -ECHILD;
}

int data_check(const banyan_data *data)
{
	return data ? handle_check(data->db) : -EINVAL;
}

/* ---- making and freeing ----------------------------------------------- */

int handle_hold_root(banyan *db)
{
	const struct location at = { 0 };
	return held_hold(db->held, BANYAN_ROOT_ID, &at, UINT64_MAX, &db->root);
}

int handle_alloc(struct store *store, enum handle_kind kind, banyan **out)
{
	banyan *db = calloc(1, sizeof(*db));
	int rc = db ? 0 : -ENOMEM;
	if (rc) {
		store_unref(store);
		return rc;
	}
	db->kind = kind;
	db->store = store;
	pthread_mutex_init(&db->lock, NULL);
	pthread_mutex_init(&db->last_error.lock, NULL);
	if (kind == HANDLE_STORE) {
		db->held = &store->held;
		store->held.db = db;
	} else {
		db->held = &db->own;
		rc = held_init(&db->own, db);
	}
	if (rc)
		handle_free(db);
	else
		*out = db;
	return rc;
}

void handle_free(banyan *db)
{
	if (!db)
		return;
	if (handle_check(db)) { /* see free_store() */
		store_unref(db->store);
		return;
	}
	held_destroy(&db->own);
	view_unref(db->shown.view);
	store_unref(db->store);
	pthread_mutex_destroy(&db->lock);
	pthread_mutex_destroy(&db->last_error.lock);
	free(db);
}

void handle_state(const banyan *db, struct view_state *shown)
{
	if (db->kind != HANDLE_VIEW) {
		store_state(db->store, shown);
		return;
	}
	*shown = db->shown;
	view_ref(shown->view);
}

/* ---- reading ---------------------------------------------------------- */

static int read_batch(banyan *db, struct read_txn *rtxn)
{
	pthread_mutex_lock(&db->lock);
	/* One that is broken may have half of an operation */
	int rc = db->txn ? db->txn->broken : -ECANCELED;
	if (rc) {
		pthread_mutex_unlock(&db->lock);
		return rc;
	}
	*rtxn = (struct read_txn){ .state = db->txn->state,
				   .seq = db->txn->seq };
	return 0;
}

int handle_read(banyan *db, struct read_txn *rtxn)
{
	switch (db->kind) {
	case HANDLE_STORE:
		read_txn_begin(db->store, rtxn);
		return 0;
	case HANDLE_VIEW:
		read_txn_begin_at(db->store, db->shown.view, db->shown.seq,
				  rtxn);
		return 0;
	case HANDLE_BATCH:
		return read_batch(db, rtxn);
	}
	return -EINVAL;
}

void handle_read_end(banyan *db, struct read_txn *rtxn)
{
	read_txn_end(rtxn);
	if (db->kind == HANDLE_BATCH)
		pthread_mutex_unlock(&db->lock);
}

/*
 * What the batch has made of the store so far, for a reader that goes on beside
 * the batch: as readers see it, but for its own operation, too.
 */
static int pin_batch(banyan *db, struct read_txn *rtxn)
{
	int rc = read_batch(db, rtxn);
	if (rc)
		return rc;
	rc = txn_put_pending(db->txn);
	if (!rc) {
		struct view *v = db->store->view;
		rtxn->view = view_ref(v);
		view_merged(v, db->txn->seq, &rtxn->state.merged);
		rtxn->state.space = NULL;
	}
	pthread_mutex_unlock(&db->lock);
	return rc;
}

int handle_read_pinned(banyan *db, struct read_txn *rtxn)
{
	if (db->kind == HANDLE_BATCH)
		return pin_batch(db, rtxn);
	int rc = handle_read(db, rtxn);
	if (!rc)
		read_txn_pin(rtxn);
	return rc;
}

int handle_read_data(banyan_data *data, struct read_txn *rtxn,
		     struct located *l)
{
	banyan *db = data->db;
	int rc = handle_read(db, rtxn);
	if (rc)
		return rc;
	rc = data_load(&rtxn->state, data->id, held_home(data, rtxn->seq), l);
	if (rc)
		handle_read_end(db, rtxn);
	return rc;
}

/* ---- writing ---------------------------------------------------------- */

static int write_batch(banyan *db, bool makes_room, struct txn **txn)
{
	pthread_mutex_lock(&db->lock);
	int rc = db->txn ? batch_step_begin(db->txn, makes_room) : -ECANCELED;
	if (rc)
		pthread_mutex_unlock(&db->lock);
	else
		*txn = db->txn;
	return rc;
}

int handle_write(banyan *db, enum operation_kind kind, bool makes_room,
		 struct txn **txn)
{
	switch (db->kind) {
	case HANDLE_STORE:
		return store_write_begin(db->store, kind, makes_room, txn);
	case HANDLE_VIEW:
		return -EROFS;
	case HANDLE_BATCH:
		return write_batch(db, makes_room, txn);
	}
	return -EINVAL;
}

int handle_write_end(banyan *db, int rc)
{
	if (db->kind != HANDLE_BATCH)
		return store_write_end(db->store, rc);
	rc = batch_step_end(db->txn, rc);
	pthread_mutex_unlock(&db->lock);
	return rc;
}

int handle_write_data(struct txn *txn, banyan_data *data, struct located *l)
{
	/* Not beyond the operation before: nothing has moved in this one yet,
	 * but for a batch, whose own table has no versions */
	const struct home *at = held_home(data, txn->seq - 1);
	return data_load(&txn->state, data->id, at, l);
}

int handle_hold(banyan *db, const struct located *l, banyan_data **data)
{
	return held_hold(db->held, l->d.id, &l->at, UINT64_MAX, data);
}
