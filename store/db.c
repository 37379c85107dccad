/* SPDX-License-Identifier: MIT */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "contents.h"

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

int64_t db_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
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
static void enter(banyan *db, struct snapshot *s)
{
	unsigned slot = cache_enter(db->cache);
	struct view *v = atomic_load(&db->view);
	/* After the view: operations that it does not have, it will not show */
	uint64_t seq = atomic_load(&db->visible);
	view_layers(v, seq, db->cache, &s->state.layers);
	s->state.layers.slot = slot;
	s->state.layers.entered = true;
	s->state.file = db->file;
	s->state.space = NULL;
	s->view = NULL;
	s->seen = v;
	s->entered = db->cache;
}

/* What has entered keeps all that goes from being freed: not for long */
void db_read_stay(struct snapshot *s)
{
	if (!s->entered)
		return;
	s->view = view_ref(s->seen);
	s->state.layers.entered = false;
	cache_leave(s->entered, s->state.layers.slot);
	s->entered = NULL;
}

void db_read_begin(banyan *db, struct snapshot *s)
{
	if (!db_in_batch(db)) {
		enter(db, s);
		return;
	}
	s->view = NULL;
	s->entered = NULL;
	s->state = db->change.state;
}

void db_read_long(banyan *db, struct snapshot *s)
{
	enter(db, s);
	db_read_stay(s);
}

int db_read_contents(struct snapshot *s, const struct data *d, void *buffer,
		     size_t size, uint64_t offset)
{
	if (size > READ_SHORT)
		db_read_stay(s);
	return contents_read(&s->state, d, buffer, size, offset);
}

void db_read_end(struct snapshot *s)
{
	view_unref(s->view);
	s->view = NULL;
	if (s->entered)
		cache_leave(s->entered, s->state.layers.slot);
	s->entered = NULL;
}

void db_set_view(banyan *db, struct view *v)
{
	struct view *old = atomic_exchange(&db->view, v);
	gap_forget(&db->change.gap);
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

int db_read_data(banyan_data *data, struct snapshot *s, struct located *l)
{
	banyan *db = data->db;
	/* The home first: if it is newer than the view there is a second try */
	struct home home = held_home(&db->held, data);
	db_read_begin(db, s);
	int rc = data_load(&s->state, data->id, &home, l);
	if (rc == -ESTALE && !db->read_only && !db_in_batch(db)) {
		db_read_end(s);
		pthread_mutex_lock(&db->write_lock);
		home = held_home(&db->held, data);
		db_read_begin(db, s);
		pthread_mutex_unlock(&db->write_lock);
		rc = data_load(&s->state, data->id, &home, l);
	}
	if (rc)
		db_read_end(s);
	return rc;
}

/* ---- writing ---------------------------------------------------------- */

static void start_change(banyan *db, enum operation_kind kind)
{
	struct change *c = &db->change;
	c->log = db->log;
	c->db = db;
	c->held = &db->held;
	c->orphans = &db->orphans;
	c->table = db->view->active;
	view_layers(db->view, UINT64_MAX, db->cache, &c->state.layers);
	c->state.layers.own = c->table;
	c->state.layers.gap = &c->gap;
	c->state.file = db->file;
	change_begin(c, kind, atomic_load(&db->visible) + 1,
		     atomic_load(&db->next_id), db_now());
}

int db_write_begin(banyan *db, enum operation_kind kind, bool makes_room,
		   struct change **c)
{
	if (db->read_only)
		return -EROFS;
	if (db_in_batch(db)) {
		db->change.stamps = 0;
		db->change.keys_before = db->change.op.keys;
		db->change.live_before = db->change.op.live;
		db->change.makes_room &= makes_room;
		*c = &db->change;
		if (db->change.broken)
			return db->change.broken;
		return change_full(&db->change) ? -E2BIG : 0;
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
	*c = &db->change;
	return 0;
}

int db_write_data(struct change *c, banyan_data *data, struct located *l)
{
	struct home home = held_home(c->held, data);
	return data_load(&c->state, data->id, &home, l);
}

/* The record is in the log: now everybody may see it */
static void publish(banyan *db, const struct change *c)
{
	atomic_fetch_add(&db->keys, (uint64_t)c->op.keys);
	atomic_fetch_add(&db->live, (uint64_t)c->op.live);
	atomic_fetch_add(&db->redo_bytes, c->body.len);
	atomic_store(&db->visible, c->seq);
}

static int write_change(banyan *db, struct change *c)
{
	uint64_t offset = 0;
	/* A batch of deletes is to go where its deletes alone would */
	log_makes_room(db->log, c->makes_room);
	int rc = change_encode(c);
	if (!rc)
		rc = log_stage_body(db->log, RECORD_OPERATION, c->body.data,
				    c->body.len, &offset);
	if (rc)
		log_abort(db->log);
	else
		rc = log_commit(db->log);
	if (!rc)
		publish(db, c);
	return rc;
}

/* Commit the change if rc is 0, else drop it, and unlock */
static int end_change(banyan *db, int rc)
{
	struct change *c = &db->change;
	bool written = false;
	if (!rc)
		rc = c->broken;
	if (!rc && !change_empty(c)) {
		rc = write_change(db, c);
		written = rc == 0;
	} else {
		log_abort(db->log);
	}
	/* Somebody may still hold what was to be: its id is not used again */
	atomic_store(&db->next_id, c->op.next_id);
	change_end(c, written);
	/* What was dropped takes memory in the table, too */
	if (!log_poisoned(db->log))
		freeze_if_full(db);
	/* Readers may have been in when a freeze was done */
	if (db->retired)
		db_reap_views(db);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int db_write_end(banyan *db, struct change *c, int rc)
{
	if (!db_in_batch(db))
		return end_change(db, rc);
	/* What is said to have gone well must not fail at the commit */
	if (!rc && change_fits(c, 0, 0))
		rc = change_encode(c);
	if (!rc)
		return 0;
	/* Rows were changed before it failed: there is no way back in here */
	if (c->stamps && !c->broken)
		c->broken = rc;
	c->op.keys = c->keys_before;
	c->op.live = c->live_before;
	return rc;
}

/* ---- batches ---------------------------------------------------------- */

int banyan_begin(banyan *db)
{
	struct change *c = NULL;
	if (db_in_batch(db))
		return -EINVAL;
	int rc = db_write_begin(db, OPERATION_BATCH, false, &c);
	if (rc)
		return rc;
	c->batch = true;
	c->makes_room = true;
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
	struct snapshot s;
	struct row_key key;
	struct layer_cursor *cursor = NULL;
	size_t len = 0;
	db_read_long(db, &s);
	row_key_orphan(&key, *id + 1);
	int rc = layer_cursor_new(&s.state.layers, &cursor);
	if (!rc)
		rc = layer_cursor_within(cursor, key.bytes, 1);
	if (!rc)
		rc = layer_cursor_seek(cursor, key.bytes, key.len);
	if (!rc) {
		const uint8_t *row = layer_cursor_key(cursor, &len);
		if (len == ROW_ID_LEN && row[0] == ROW_ORPHAN)
			*id = get_be64(row + 1);
		else
			rc = 1;
	}
	layer_cursor_free(cursor);
	db_read_end(&s);
	return rc;
}

/* 0: swept or held, 1: there is more of it, or an error */
static int sweep_some(banyan *db, uint64_t id)
{
	struct change *c = NULL;
	int more = 0;
	int rc = db_write_begin(db, OPERATION_SWEEP, true, &c);
	if (rc)
		return rc;
	int barred = change_bar(c, id);
	if (barred > 0)
		more = names_sweep(c, id);
	else if (barred < 0)
		more = barred;
	rc = db_write_end(db, c, more < 0 ? more : 0);
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
