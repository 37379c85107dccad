/* SPDX-License-Identifier: MIT */
/*
 * freeze.c - merge the redo table into the tree, and say so in the log.
 *
 * A freeze has two halves. The swap, under the write lock, puts an empty table
 * in the place of the full one and notes where in the log that was: replay will
 * start there. The merge streams the full table into the tree, with writers
 * going on beside it: nodes, a sync, the freeze record, another sync. Only then
 * do readers change over. If the merge fails (no space), the full table stays
 * between the new one and the tree, and the next freeze tries again.
 *
 * When the table is full the writer that filled it swaps, and the freezer, a
 * thread, merges. Writers wait only if the next table is full before that.
 */
#include <assert.h>
#include <errno.h>
#include <time.h>

#include "engine/budget.h"

/* Nodes are appended in runs of about this size */
#define RUN_BYTES (256u << 10)
/* Redo beyond this, and beyond a quarter of the index, is worth a freeze:
 * replaying it takes about half a second */
#define REDO_MAX (192u << 20)

/* With write_lock held, no table being frozen: begin a freeze */
static int begin_freeze(banyan *db, bool automatic)
{
	struct view *v = db->view;
	assert(!v->frozen);
	struct redo_table *fresh = redo_table_new();
	if (!fresh)
		return -ENOMEM;
	struct view *next = view_new(fresh, v->active, &v->tree);
	redo_table_unref(fresh);
	if (!next)
		return -ENOMEM;
	db_set_view(db, next);
	log_begin(db->log, true);
	db->next = (struct freeze){
		.time = db_now(),
		.automatic = automatic,
		.replay = log_end(db->log),
		.next_id = atomic_load(&db->next_id),
		.keys = atomic_load(&db->keys),
		.live_bytes = atomic_load(&db->live),
	};
	atomic_store(&db->redo_bytes, 0);
	return 0;
}

static int next_row(void *arg, struct row_change *change)
{
	struct redo_cursor *c = arg;
	bool more = c->spot.row ? redo_cursor_next(c) :
				  redo_cursor_seek(c, "", 0);
	if (!more)
		return 1;
	change->key = redo_cursor_key(c, &change->key_len);
	change->value = redo_cursor_value(c, &change->value_len);
	return 0;
}

static int write_run(void *arg, const void *run, size_t size, uint64_t *offset)
{
	banyan *db = arg;
	struct log_place place;
	pthread_mutex_lock(&db->write_lock);
	log_begin(db->log, true);
	/* A freeze that fails leaves room for deletes, however often */
	int rc = log_has_room(db->log, size + LOG_RESERVE / 4);
	if (!rc)
		rc = log_stage_payload(db->log, RECORD_NODES, run, size, true,
				       &place);
	if (rc)
		log_abort(db->log);
	else
		rc = log_commit(db->log);
	pthread_mutex_unlock(&db->write_lock);
	if (rc)
		return rc;
	db->freezer.wrote = true;
	*offset = place.payload;
	return 0;
}

/* The table that waits goes into the tree */
static int merge_table(banyan *db, const struct view *v, struct tree *tree,
		       uint64_t *index_bytes)
{
	struct redo_cursor c;
	struct merge_stats stats = { 0 };
	struct merge_source source = { next_row, &c };
	struct node_sink sink = { write_run, db, RUN_BYTES,
				  budget_leaf(db->cache_limit) };
	redo_cursor_init(&c, v->frozen, UINT64_MAX);
	int rc = btree_merge(db->cache, &v->tree, &source, &sink, tree, &stats);
	if (rc)
		return rc;
	uint64_t bytes = db->last.index_bytes + stats.bytes_written;
	*index_bytes =
		bytes > stats.bytes_replaced ? bytes - stats.bytes_replaced : 0;
	return 0;
}

static int write_freeze(banyan *db, struct freeze *f, uint64_t *offset)
{
	uint8_t body[FREEZE_BODY_SIZE];
	pthread_mutex_lock(&db->write_lock);
	log_begin(db->log, true);
	/* If nothing has happened since the swap, replay need not go over the
	 * nodes: after a close there is nothing to replay at all */
	if (!db->replaying && redo_table_rows(db->view->active) == 0) {
		f->replay = log_end(db->log);
		f->next_id = atomic_load(&db->next_id);
	}
	freeze_encode(f, body);
	int rc = log_stage_body(db->log, RECORD_FREEZE, body, sizeof(body),
				offset);
	if (rc)
		log_abort(db->log);
	else
		rc = log_commit(db->log);
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

/* The nodes and what they refer to must be durable before the record is */
static int write_durably(banyan *db, struct freeze *f, uint64_t *offset)
{
	int rc = log_sync(db->log, NULL);
	if (rc)
		return rc;
	f->durable_to = log_durable_to(db->log);
	rc = write_freeze(db, f, offset);
	return rc ? rc : log_sync(db->log, NULL);
}

/* Second half; freeze_lock is held */
static int merge(banyan *db)
{
	struct tree tree = { 0 };
	struct view *merged = NULL;
	uint64_t offset = 0;
	int rc = 0;
	/* Both belong together, and a swap changes both */
	pthread_mutex_lock(&db->write_lock);
	struct freeze f = db->next;
	struct view *v = view_ref(db->view);
	pthread_mutex_unlock(&db->write_lock);
	if (!v->frozen)
		goto out;
	f.number = db->last.number + 1;
	f.previous = db->last_offset;
	rc = merge_table(db, v, &tree, &f.index_bytes);
	f.root = tree.root;
	f.height = tree.height;
	/* Now, as nothing may fail once the record is durable. No other table
	 * becomes the active one while there is a frozen one. */
	if (!rc) {
		merged = view_new(v->active, NULL, &tree);
		rc = merged ? write_durably(db, &f, &offset) : -ENOMEM;
	}
	if (rc)
		goto out;
	pthread_mutex_lock(&db->write_lock);
	log_set_last_freeze(db->log, offset);
	db_set_view(db, merged);
	merged = NULL;
	budget_follow(db, db->view);
	pthread_mutex_unlock(&db->write_lock);
	db->last = f;
	atomic_store(&db->last_offset, offset);
	atomic_store(&db->freezes, f.number);
	atomic_store(&db->index_bytes, f.index_bytes);
out:
	view_unref(merged);
	view_unref(v);
	return rc;
}

/* The memory of a table that was merged goes as soon as readers let it */
static void reap(banyan *db)
{
	struct epoch *epoch = cache_epoch(db->cache);
	epoch_wait(epoch, epoch_mark(epoch));
	pthread_mutex_lock(&db->write_lock);
	db_reap_views(db);
	pthread_mutex_unlock(&db->write_lock);
}

/*
 * Swap if nothing waits to be merged already and there is something to freeze.
 * Who asks for a freeze gets one to go back to, even if the state has not
 * changed since an automatic one.
 */
static int swap(banyan *db, bool automatic)
{
	int rc = 0;
	pthread_mutex_lock(&db->write_lock);
	bool something = redo_table_rows(db->view->active) ||
			 (!automatic && db->last.automatic);
	if (!db->view->frozen && something)
		rc = begin_freeze(db, automatic);
	else if (db->view->frozen && !automatic)
		db->next.automatic = false; /* a writer was faster */
	pthread_mutex_unlock(&db->write_lock);
	return rc;
}

int freeze_all(banyan *db, bool automatic)
{
	pthread_mutex_lock(&db->freeze_lock);
	int rc = merge(db);
	if (!rc)
		rc = swap(db, automatic);
	if (!rc)
		rc = merge(db);
	pthread_mutex_unlock(&db->freeze_lock);
	return rc;
}

int freeze_replayed(banyan *db, const struct log_position *at)
{
	pthread_mutex_lock(&db->freeze_lock);
	int rc = begin_freeze(db, true);
	if (!rc) {
		db->next.replay = *at;
		rc = merge(db);
	}
	pthread_mutex_unlock(&db->freeze_lock);
	reap(db);
	return rc;
}

int banyan_freeze(banyan *db)
{
	if (db->read_only)
		return -EROFS;
	if (db_in_batch(db))
		return -EBUSY;
	int rc = db_sweep(db);
	if (!rc)
		rc = freeze_all(db, false);
	if (!rc)
		rc = banyan_sync(db);
	/* Somebody may know its number by now: damage must not pass for a tail
	 * that was torn, with the number going to another freeze */
	if (!rc)
		db_mark(db);
	return rc;
}

/* ---- the freezer ------------------------------------------------------ */

static void ask_freezer(banyan *db)
{
	struct freezer *f = &db->freezer;
	pthread_mutex_lock(&f->lock);
	f->wanted = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

static bool redo_long(const banyan *db)
{
	uint64_t redo = atomic_load(&db->redo_bytes);
	return redo > REDO_MAX && redo > atomic_load(&db->index_bytes) / 4;
}

void freeze_if_full(banyan *db)
{
	budget_follow(db, db->view);
	if (db->view->frozen)
		return;
	if (!budget_table_full(db, db->view->active) && !redo_long(db))
		return;
	/* Without memory for it the table grows a little beyond its limit */
	if (begin_freeze(db, true) == 0)
		ask_freezer(db);
}

/* What cannot be read now: to write all that goes before it once more for
 * each operation would fill the disk */
#define TRIES_AT_ONCE 3
#define DAMAGE_PAUSE INT64_C(10000000000) /* ns */

/* In ns, by a clock that nobody can set: db_now() may go back by hours */
static int64_t steady_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A bad sector is no better than damage. (After a write or sync that failed,
 * which says EIO as well, nothing is written in any case.) */
static bool cannot_read(int rc)
{
	return rc == -EIO || is_damage(rc);
}

static bool no_room(banyan *db, bool makes_room)
{
	struct epoch *epoch = cache_epoch(db->cache);
	unsigned slot = epoch_enter(epoch);
	bool full = budget_exhausted(db, atomic_load(&db->view), makes_room);
	epoch_leave(epoch, slot);
	return full;
}

int freeze_wait_for_room(banyan *db, bool makes_room)
{
	struct freezer *f = &db->freezer;
	int rc = 0;
	while (rc == 0 && no_room(db, makes_room)) {
		pthread_mutex_lock(&f->lock);
		if (f->wasted && cannot_read(f->result) &&
		    f->failures > TRIES_AT_ONCE && steady_now() < f->again) {
			rc = f->result;
			pthread_mutex_unlock(&f->lock);
			break;
		}
		uint64_t round = f->rounds;
		f->wanted = true;
		pthread_cond_signal(&f->wake);
		while (f->rounds == round && !f->stop)
			pthread_cond_wait(&f->done, &f->lock);
		rc = f->stop ? -EIO : f->result;
		pthread_mutex_unlock(&f->lock);
	}
	return rc;
}

static void *freezer_main(void *arg)
{
	banyan *db = arg;
	struct freezer *f = &db->freezer;
	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		if (!f->wanted) {
			pthread_cond_wait(&f->wake, &f->lock);
			continue;
		}
		f->wanted = false;
		pthread_mutex_unlock(&f->lock);
		pthread_mutex_lock(&db->freeze_lock);
		f->wrote = false;
		int rc = merge(db);
		bool wasted = rc && f->wrote;
		pthread_mutex_unlock(&db->freeze_lock);
		reap(db);
		if (rc)
			db_report(db, "automatic freeze failed: %s",
				  banyan_strerror(rc));
		pthread_mutex_lock(&f->lock);
		f->rounds++;
		f->result = rc;
		f->wasted = wasted;
		f->failures = rc ? f->failures + 1 : 0;
		f->again = steady_now() + DAMAGE_PAUSE;
		pthread_cond_broadcast(&f->done);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int freezer_start(banyan *db)
{
	int rc = pthread_create(&db->freezer.thread, NULL, freezer_main, db);
	db->freezer.started = rc == 0;
	return -rc;
}

void freezer_stop(banyan *db)
{
	struct freezer *f = &db->freezer;
	if (!f->started)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_broadcast(&f->wake);
	pthread_cond_broadcast(&f->done);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	f->started = false;
}
