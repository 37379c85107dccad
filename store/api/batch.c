/* SPDX-License-Identifier: MIT */
/* batch.c - the public functions on batches. */
#include <errno.h>

#include "api/handle.h"
#include "api/last_error.h"
#include "engine/open.h"
#include "engine/write.h"

int banyan_begin(banyan *db, banyan **out)
{
	banyan *batch = NULL;
	struct txn *txn = NULL;
	int rc = handle_check(db);
	if (rc || !out)
		return rc ? rc : -EINVAL;
	if (db->kind != HANDLE_STORE)
		return db->kind == HANDLE_VIEW ? -EROFS : -EINVAL;
	rc = handle_alloc(store_ref(db->store), HANDLE_BATCH, &batch);
	if (rc)
		return rc;
	rc = store_write_begin(db->store, OPERATION_BATCH, false, &txn);
	if (rc) {
		handle_free(batch);
		return rc;
	}
	txn->batch = true;
	txn->makes_room = true;
	txn->own = &batch->own;
	batch->txn = txn;
	batch->store->batch = batch;
	rc = handle_hold_root(batch);
	if (rc)
		banyan_abort(batch);
	else
		*out = batch;
	return rc;
}

int banyan_hold_in(banyan *batch, banyan_data *data, banyan_data **held)
{
	struct read_txn rtxn;
	struct located l;
	int rc = handle_check(batch);
	if (!rc)
		rc = data_check(data);
	if (rc || !held || batch->kind != HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	if (data->db->kind != HANDLE_STORE || data->db->store != batch->store)
		return -EXDEV;
	rc = handle_read(batch, &rtxn);
	if (rc)
		return (int)note_data(data, rc, __func__);
	/* Where others see it: the batch has the turn, so nobody else moves it */
	rc = data_load(&rtxn.state, data->id, held_home(data, rtxn.seq - 1),
		       &l);
	if (!rc)
		rc = handle_hold(batch, &l, held);
	handle_read_end(batch, &rtxn);
	return (int)note_data(data, rc, __func__);
}

/* With the store's batch_lock held */
static int end(banyan *batch, int rc)
{
	pthread_mutex_lock(&batch->lock);
	if (batch->txn) {
		batch->txn = NULL;
		batch->store->batch = NULL;
		rc = store_write_end(batch->store, rc);
	} else {
		rc = -ECANCELED;
	}
	pthread_mutex_unlock(&batch->lock);
	return rc;
}

int batch_end(banyan *batch, int rc)
{
	struct store *store = batch->store;
	pthread_mutex_lock(&store->batch_lock);
	rc = end(batch, rc);
	pthread_mutex_unlock(&store->batch_lock);
	return rc;
}

void batch_cancel(struct store *store)
{
	pthread_mutex_lock(&store->batch_lock);
	banyan *batch = atomic_load(&store->batch);
	if (batch)
		(void)end(batch, -ECANCELED);
	pthread_mutex_unlock(&store->batch_lock);
}

int banyan_commit(banyan *batch)
{
	if (!batch || batch->kind != HANDLE_BATCH)
		return -EINVAL;
	int rc = handle_check(batch);
	if (!rc)
		rc = batch_end(batch, 0);
	handle_free(batch);
	return rc;
}

void banyan_abort(banyan *batch)
{
	if (batch && batch->kind == HANDLE_BATCH)
		(void)banyan_close(batch);
}
