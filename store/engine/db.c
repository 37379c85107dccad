/* SPDX-License-Identifier: MIT */
#include "engine/db.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "model/contents.h"

/* Bytes that are read at once, while nothing that has gone can be freed */
#define READ_SHORT (128u << 10)

void db_report(const banyan *db, const char *format, ...)
{
	char line[512];
	va_list args;
	if (!db->report)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	db->report(db->report_arg, line);
}

timestamp db_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return timestamp_of((struct banyan_time){
		.sec = ts.tv_sec, .nsec = (uint32_t)ts.tv_nsec });
}

static uintptr_t this_thread(void)
{
	return (uintptr_t)pthread_self();
}

bool db_in_batch(const banyan *db)
{
	return atomic_load(&db->batch_owner) == this_thread();
}

/* ---- reading ---------------------------------------------------------- */

/* See what is there, for as long as the thread does not leave */
static void enter(banyan *db, struct read_txn *rtxn)
{
	unsigned slot = cache_enter(db->cache);
	struct view *v = atomic_load(&db->view);
	/* After the view: operations that it does not have, it will not show */
	uint64_t seq = atomic_load(&db->visible);
	view_merged(v, seq, db->cache, &rtxn->state.merged);
	rtxn->state.merged.slot = slot;
	rtxn->state.merged.entered = true;
	rtxn->state.file = db->file;
	rtxn->state.space = NULL;
	rtxn->view = NULL;
	rtxn->seen = v;
	rtxn->entered = db->cache;
}

/* What has entered keeps all that goes from being freed: not for long */
void read_txn_pin(struct read_txn *rtxn)
{
	if (!rtxn->entered)
		return;
	rtxn->view = view_ref(rtxn->seen);
	rtxn->state.merged.entered = false;
	cache_leave(rtxn->entered, rtxn->state.merged.slot);
	rtxn->entered = NULL;
}

void read_txn_begin(banyan *db, struct read_txn *rtxn)
{
	if (!db_in_batch(db)) {
		enter(db, rtxn);
		return;
	}
	rtxn->view = NULL;
	rtxn->entered = NULL;
	rtxn->state = db->change.state;
}

void read_txn_begin_pinned(banyan *db, struct read_txn *rtxn)
{
	enter(db, rtxn);
	read_txn_pin(rtxn);
}

int read_txn_contents(struct read_txn *rtxn, const struct data *d, void *buffer,
		      size_t size, uint64_t offset)
{
	if (size > READ_SHORT)
		read_txn_pin(rtxn);
	return contents_read(&rtxn->state, d, buffer, size, offset);
}

void read_txn_end(struct read_txn *rtxn)
{
	view_unref(rtxn->view);
	rtxn->view = NULL;
	if (rtxn->entered)
		cache_leave(rtxn->entered, rtxn->state.merged.slot);
	rtxn->entered = NULL;
}

void db_set_view(banyan *db, struct view *v)
{
	struct view *old = atomic_exchange(&db->view, v);
	absent_range_forget(&db->change.absent);
	if (!old)
		return;
	old->mark = epoch_mark(cache_epoch(db->cache));
	old->retired = db->retired;
	db->retired = old;
	db_reap_views(db);
}

void db_reap_views(banyan *db)
{
	struct view **at = &db->retired;
	while (*at) {
		struct view *v = *at;
		if (!epoch_passed(cache_epoch(db->cache), v->mark)) {
			at = &v->retired;
			continue;
		}
		*at = v->retired;
		view_unref(v);
	}
}

int read_txn_data(banyan_data *data, struct read_txn *rtxn, struct located *l)
{
	banyan *db = data->db;
	/* The home first: if it is newer than the view there is a second try */
	struct location home = held_location(&db->held, data);
	read_txn_begin(db, rtxn);
	int rc = data_load(&rtxn->state, data->id, &home, l);
	if (rc == -ESTALE && !db->read_only && !db_in_batch(db)) {
		read_txn_end(rtxn);
		pthread_mutex_lock(&db->write_lock);
		home = held_location(&db->held, data);
		read_txn_begin(db, rtxn);
		pthread_mutex_unlock(&db->write_lock);
		rc = data_load(&rtxn->state, data->id, &home, l);
	}
	if (rc)
		read_txn_end(rtxn);
	return rc;
}

/* ---- writing ---------------------------------------------------------- */

static void start_change(banyan *db, enum operation_kind kind)
{
	struct txn *txn = &db->change;
	txn->log = db->log;
	txn->db = db;
	txn->held = &db->held;
	txn->orphans = &db->orphans;
	txn->table = db->view->active;
	view_merged(db->view, UINT64_MAX, db->cache, &txn->state.merged);
	txn->state.merged.own = txn->table;
	txn->state.merged.absent = &txn->absent;
	txn->state.file = db->file;
	txn_begin(txn, kind, atomic_load(&db->visible) + 1,
		  atomic_load(&db->next_id), db_now());
}

int db_write_begin(banyan *db, enum operation_kind kind, bool makes_room,
		   struct txn **txn)
{
	if (db->read_only)
		return -EROFS;
	if (db_in_batch(db)) {
		db->change.stamps = 0;
		db->change.keys_before = db->change.op.keys;
		db->change.live_before = db->change.op.live;
		db->change.makes_room &= makes_room;
		*txn = &db->change;
		if (db->change.broken)
			return db->change.broken;
		return txn_full(&db->change) ? -E2BIG : 0;
	}
	int rc = freeze_wait_for_room(db, makes_room);
	if (rc)
		return rc;
	pthread_mutex_lock(&db->write_lock);
	rc = log_poisoned(db->log);
	if (rc) {
		pthread_mutex_unlock(&db->write_lock);
		return rc;
	}
	log_begin(db->log, makes_room);
	start_change(db, kind);
	db->change.makes_room = makes_room;
	*txn = &db->change;
	return 0;
}

int db_write_data(struct txn *txn, banyan_data *data, struct located *l)
{
	struct location home = held_location(txn->held, data);
	return data_load(&txn->state, data->id, &home, l);
}

/* The record is in the log: now everybody may see it */
static void publish(banyan *db, const struct txn *txn)
{
	atomic_fetch_add(&db->keys, (uint64_t)txn->op.keys);
	atomic_fetch_add(&db->live, (uint64_t)txn->op.live);
	atomic_fetch_add(&db->redo_bytes, txn->body.len);
	atomic_store(&db->visible, txn->seq);
}

static int write_change(banyan *db, struct txn *txn)
{
	uint64_t offset = 0;
	/* A batch of deletes is to go where its deletes alone would */
	log_makes_room(db->log, txn->makes_room);
	int rc = txn_encode(txn);
	if (!rc)
		rc = log_stage_body(db->log, RECORD_OPERATION, txn->body.data,
				    txn->body.len, &offset);
	if (rc)
		log_abort(db->log);
	else
		rc = log_commit(db->log);
	if (!rc)
		publish(db, txn);
	return rc;
}

/* Commit the change if rc is 0, else drop it, and unlock */
static int end_change(banyan *db, int rc)
{
	struct txn *txn = &db->change;
	bool written = false;
	if (!rc)
		rc = txn->broken;
	if (!rc && !txn_empty(txn)) {
		rc = write_change(db, txn);
		written = rc == 0;
	} else {
		log_abort(db->log);
	}
	/* Somebody may still hold what was to be: its id is not used again */
	atomic_store(&db->next_id, txn->op.next_id);
	txn_end(txn, written);
	/* What was dropped takes memory in the table, too */
	if (!log_poisoned(db->log))
		freeze_if_full(db);
	/* Readers may have been in when a freeze was done */
	if (db->retired)
		db_reap_views(db);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int db_write_end(banyan *db, struct txn *txn, int rc)
{
	if (!db_in_batch(db))
		return end_change(db, rc);
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

/* ---- batches ---------------------------------------------------------- */

int banyan_begin(banyan *db)
{
	struct txn *txn = NULL;
	if (db_in_batch(db))
		return -EINVAL;
	int rc = db_write_begin(db, OPERATION_BATCH, false, &txn);
	if (rc)
		return rc;
	txn->batch = true;
	txn->makes_room = true;
	atomic_store(&db->batch_owner, this_thread());
	return 0;
}

int banyan_commit(banyan *db)
{
	if (!db_in_batch(db))
		return -EINVAL;
	atomic_store(&db->batch_owner, 0);
	return end_change(db, 0);
}

void banyan_abort(banyan *db)
{
	if (!db_in_batch(db))
		return;
	atomic_store(&db->batch_owner, 0);
	end_change(db, -ECANCELED);
}

/* ---- durability ------------------------------------------------------- */

void db_mark(banyan *db)
{
	pthread_mutex_lock(&db->write_lock);
	/* A mark is a help to recovery; the sync has succeeded without it */
	(void)log_mark(db->log);
	pthread_mutex_unlock(&db->write_lock);
}

int banyan_sync(banyan *db)
{
	bool fresh = false;
	if (db->read_only)
		return 0;
	if (db_in_batch(db))
		return -EBUSY;
	int rc = log_sync(db->log, &fresh);
	if (!rc && fresh)
		db_mark(db);
	return rc;
}

/* ---- orphans ---------------------------------------------------------- */

/* The first orphan after id: 0, 1 if there is none, or an error */
static int next_orphan(banyan *db, uint64_t *id)
{
	struct read_txn rtxn;
	struct row_key key;
	struct merged_cursor *cursor = NULL;
	size_t len = 0;
	read_txn_begin_pinned(db, &rtxn);
	row_key_orphan(&key, *id + 1);
	int rc = merged_cursor_new(&rtxn.state.merged, &cursor);
	if (!rc)
		rc = merged_cursor_within(cursor, key.bytes, 1);
	if (!rc)
		rc = merged_cursor_seek(cursor, key.bytes, key.len);
	if (!rc) {
		const uint8_t *row = merged_cursor_key(cursor, &len);
		if (len == ROW_ID_LEN && row[0] == ROW_ORPHAN)
			*id = get_be64(row + 1);
		else
			rc = 1;
	}
	merged_cursor_free(cursor);
	read_txn_end(&rtxn);
	return rc;
}

/* 0: swept or held, 1: there is more of it, or an error */
static int sweep_some(banyan *db, uint64_t id)
{
	struct txn *txn = NULL;
	int more = 0;
	int rc = db_write_begin(db, OPERATION_SWEEP, true, &txn);
	if (rc)
		return rc;
	int barred = txn_bar(txn, id);
	if (barred > 0)
		more = names_sweep(txn, id);
	else if (barred < 0)
		more = barred;
	rc = db_write_end(db, txn, more < 0 ? more : 0);
	return rc ? rc : more;
}

int db_sweep(banyan *db)
{
	uint64_t id = 0;
	int rc = 0;
	if (!atomic_exchange(&db->orphans, false))
		return 0;
	while (rc == 0 && (rc = next_orphan(db, &id)) == 0) {
		do {
			rc = sweep_some(db, id);
		} while (rc > 0);
	}
	if (rc < 0)
		atomic_store(&db->orphans, true);
	return rc < 0 ? rc : 0;
}
