/* SPDX-License-Identifier: MIT */
#include "engine/write.h"

#include <errno.h>
#include <time.h>

#include "engine/freeze.h"
#include "model/names.h"

/* ---- beginning and ending --------------------------------------------- */

static void start(struct store *store, enum operation_kind kind)
{
	struct txn *txn = &store->txn;
	txn->log = store->volume->log;
	txn->held = &store->held;
	txn->own = NULL;
	txn->orphans = &store->orphans;
	txn->table = store->view->active;
	view_merged(store->view, UINT64_MAX, &txn->state.merged);
	txn->state.merged.own = txn->table;
	txn->state.merged.absent = &txn->absent;
	txn_begin(txn, kind, atomic_load(&store->visible) + 1,
		  atomic_load(&store->next_id), store_now());
}

/* In the writer's turn, which is given back on failure */
static int begin(struct store *store, enum operation_kind kind, bool makes_room,
		 struct txn **txn)
{
	int rc = log_poisoned(store->volume->log);
	if (rc) {
		store_unlock(store);
		return rc;
	}
	log_begin(store->volume->log, makes_room);
	start(store, kind);
	store->txn.makes_room = makes_room;
	*txn = &store->txn;
	return 0;
}

void store_wait_for_vacuum(const struct store *store, unsigned operations)
{
	uint64_t ns = atomic_load_explicit(&store->brake, memory_order_relaxed);
	if (!ns)
		return;
	ns *= operations;
	const struct timespec pause = { .tv_sec = (time_t)(ns / 1000000000),
					.tv_nsec = (long)(ns % 1000000000) };
	nanosleep(&pause, NULL);
}

int store_write_begin(struct store *store, enum operation_kind kind,
		      bool makes_room, struct txn **txn)
{
	if (store->read_only)
		return -EROFS;
	int rc = freeze_wait_for_room(store, makes_room);
	if (rc)
		return rc;
	store_wait_for_vacuum(store, 1);
	store_lock(store);
	return begin(store, kind, makes_room, txn);
}

int store_write_begin_soon(struct store *store, enum operation_kind kind,
			   bool makes_room, struct txn **txn)
{
	if (store->read_only)
		return -EROFS;
	if (!freeze_has_room(store, makes_room) || !store_lock_soon(store))
		return -EAGAIN;
	return begin(store, kind, makes_room, txn);
}

/* ---- notes ------------------------------------------------------------- */

/*
 * A process can be killed between any two of these stores, and whoever reads them
 * then sees all that came before. While the turn is held no vacuum changes files, so
 * an offset is one in the file that the next process opens.
 */
static _Thread_local struct banyan_note *noted;

void write_set_note(struct banyan_note *note)
{
	noted = note;
}

static void note_writing(uint64_t offset, uint64_t end)
{
	if (!noted)
		return;
	noted->end = end;
	__atomic_store_n(&noted->offset, offset, __ATOMIC_RELEASE);
}

static void note_written(struct banyan_note *note, bool made)
{
	if (!note)
		return;
	if (made)
		__atomic_store_n(&note->made, note->made + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&note->offset, 0, __ATOMIC_RELEASE);
}

void write_settle_notes(struct banyan_note *const *notes, size_t count,
			uint64_t end)
{
	for (size_t i = 0; i < count; i++)
		if (notes[i]->offset)
			note_written(notes[i], notes[i]->end <= end);
}

/* The record is in the log: now everybody may see it */
static void publish(struct store *store, const struct txn *txn)
{
	/* Before the counters change: see count_view() */
	atomic_store(&store->counted, txn->seq);
	atomic_fetch_add(&store->keys, (uint64_t)txn->op.keys);
	atomic_fetch_add(&store->live, (uint64_t)txn->op.live);
	atomic_store(&store->next_id, txn->op.next_id);
	atomic_fetch_add(&store->redo_bytes, txn->body.len);
	atomic_store(&store->visible, txn->seq);
}

static int write_record(struct store *store, struct txn *txn)
{
	uint64_t offset = 0;
	/* A batch of deletes is to go where its deletes alone would */
	log_makes_room(store->volume->log, txn->makes_room);
	if (!txn->op.time)
		txn->op.time = store_stamp(store);
	int rc = txn_encode(txn);
	if (!rc)
		rc = log_stage_body(store->volume->log, RECORD_OPERATION,
				    txn->body.data, txn->body.len, &offset);
	if (!rc)
		rc = txn_publish_moves(txn);
	if (rc) {
		log_abort(store->volume->log);
		return rc;
	}
	note_writing(offset, log_end(store->volume->log).offset);
	rc = log_commit(store->volume->log);
	note_written(noted, !rc);
	return rc;
}

static int commit(struct store *store, struct txn *txn)
{
	int rc = txn->broken;
	if (!rc)
		rc = names_settle_drops(txn);
	if (!rc)
		rc = write_record(store, txn);
	if (!rc)
		publish(store, txn);
	return rc;
}

int store_write_end(struct store *store, int rc)
{
	struct txn *txn = &store->txn;
	bool written = false;
	if (!rc && !txn_empty(txn)) {
		rc = commit(store, txn);
		written = rc == 0;
	} else if (!rc) {
		rc = txn->broken;
	}
	if (!written)
		log_abort(store->volume->log);
	/* Somebody may still hold what was to be: its id is not used again */
	atomic_store(&store->next_id, txn->op.next_id);
	txn_end(txn, written);
	/* What was dropped takes memory in the table, too */
	if (!log_poisoned(store->volume->log))
		freeze_if_full(store);
	/* Readers may have been in when a freeze was done */
	if (store->retired)
		store_reap_views(store);
	store_unlock(store);
	return rc;
}

/* ---- batches ---------------------------------------------------------- */

int batch_step_begin(struct txn *txn, bool makes_room)
{
	txn->stamps = 0;
	txn->keys_before = txn->op.keys;
	txn->live_before = txn->op.live;
	txn->makes_room &= makes_room;
	if (txn->broken)
		return txn->broken;
	return txn_full(txn) ? -E2BIG : 0;
}

int batch_step_end(struct txn *txn, int rc)
{
	/* What is said to have gone well must not fail at the commit */
	if (!rc && txn_fits(txn, 0, 0))
		rc = txn_encode(txn);
	if (!rc)
		return 0;
	/* Rows were changed before it failed: there is no way back in here */
	if (txn->stamps && !txn->broken)
		txn->broken = rc;
	txn->op.keys = txn->keys_before;
	txn->op.live = txn->live_before;
	return rc;
}

/* ---- durability ------------------------------------------------------- */

int store_sync(struct store *store)
{
	bool fresh = false;
	if (store->read_only)
		return 0;
	/* If a vacuum changes files meanwhile, what the old one has is durable
	 * in the new one by then */
	struct volume *volume = store_volume(store);
	int rc = log_sync(volume->log, &fresh);
	volume_unref(volume);
	if (!rc && fresh)
		store_mark(store);
	return rc;
}

void store_mark(struct store *store)
{
	atomic_store(&store->mark_wanted, true);
	/* Who has the turn does it at its end. Not to wait for that: a batch may
	 * take long, and this thread may be the one that has it. */
	if (store_try_lock(store))
		store_unlock(store);
}
