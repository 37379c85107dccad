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

#include "base/steady.h"
#include "engine/budget.h"
#include "engine/freeze.h"

/* Redo beyond this, and beyond a quarter of the index, is worth a freeze:
 * replaying it takes about half a second */
#define REDO_MAX (192u << 20)

/* In the writer's turn: an empty table above what waits to be merged, if
 * anything */
static int set_table(struct store *store, struct redo_table *frozen)
{
	const struct view *v = store->view;
	struct redo_table *fresh = redo_table_new();
	if (!fresh)
		return -ENOMEM;
	struct view *next =
		view_new(fresh, frozen, &v->tree, v->volume, v->last_freeze);
	redo_table_unref(fresh);
	if (!next)
		return -ENOMEM;
	store_set_view(store, next);
	return 0;
}

/* In the writer's turn, no table being frozen: begin a freeze */
static int begin_freeze(struct store *store, bool automatic)
{
	assert(!store->view->frozen);
	int rc = set_table(store, store->view->active);
	if (rc)
		return rc;
	log_begin(store->volume->log, true);
	store->next = (struct freeze){
		.time = store_stamp(store),
		.automatic = automatic,
		.replay = log_end(store->volume->log),
		.next_id = atomic_load(&store->next_id),
		.keys = atomic_load(&store->keys),
		.live_bytes = atomic_load(&store->live),
	};
	atomic_store(&store->redo_bytes, 0);
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

int freeze_write_run(void *arg, const void *run, size_t size, uint64_t *offset)
{
	struct store *store = arg;
	struct log_place place;
	store_lock(store);
	log_begin(store->volume->log, true);
	/* A freeze that fails leaves room for deletes, however often */
	int rc = log_has_room(store->volume->log, size + LOG_RESERVE / 4);
	if (!rc)
		rc = log_stage_payload(store->volume->log, RECORD_NODES, run,
				       size, true, &place);
	if (rc)
		log_abort(store->volume->log);
	else
		rc = log_commit(store->volume->log);
	store_unlock(store);
	if (rc)
		return rc;
	store->freezer.wrote = true;
	*offset = place.payload;
	return 0;
}

/* The table that waits goes into the tree */
static int merge_table(struct store *store, const struct view *v,
		       struct tree *tree, uint64_t *index_bytes)
{
	struct redo_cursor c;
	struct merge_stats stats = { 0 };
	struct merge_source source = { next_row, &c };
	struct node_sink sink = { freeze_write_run, store, FREEZE_RUN,
				  budget_leaf(store->cache_limit) };
	redo_cursor_init(&c, v->frozen, UINT64_MAX);
	int rc = btree_merge(store->cache, &v->tree, &source, &sink, tree,
			     &stats);
	if (rc)
		return rc;
	uint64_t bytes = store->last.index_bytes + stats.bytes_written;
	*index_bytes =
		bytes > stats.bytes_replaced ? bytes - stats.bytes_replaced : 0;
	return 0;
}

uint64_t freeze_number(struct store *store)
{
	struct store *counts = store->host ? store->host : store;
	return atomic_fetch_add(&counts->numbered, 1) + 1;
}

static int write_freeze(struct store *store, struct freeze *f, uint64_t *offset)
{
	uint8_t body[FREEZE_BODY_SIZE];
	store_lock(store);
	log_begin(store->volume->log, true);
	/* If nothing has happened since the swap, replay need not go over the
	 * nodes: after a close there is nothing to replay at all */
	if (!store->replaying && redo_table_rows(store->view->active) == 0) {
		f->replay = log_end(store->volume->log);
		f->next_id = atomic_load(&store->next_id);
	}
	freeze_encode(f, body);
	int rc = log_stage_body(store->volume->log, RECORD_FREEZE, body,
				sizeof(body), offset);
	if (rc)
		log_abort(store->volume->log);
	else
		rc = log_commit(store->volume->log);
	store_unlock(store);
	return rc;
}

int freeze_record(struct store *store, struct freeze *f, uint64_t *offset)
{
	if (f->number <= store->last.number)
		f->number = freeze_number(store);
	f->durable_to = log_durable_to(store->volume->log);
	return write_freeze(store, f, offset);
}

/* The nodes and what they refer to must be durable before the record is. Nobody
 * sees the file of a successor before all of it is. */
static int write_durably(struct store *store, struct freeze *f,
			 uint64_t *offset)
{
	if (store->host)
		return freeze_record(store, f, offset);
	int rc = log_sync(store->volume->log, NULL);
	if (!rc)
		rc = freeze_record(store, f, offset);
	return rc ? rc : log_sync(store->volume->log, NULL);
}

void freeze_set_last(struct store *store, struct view *v,
		     const struct freeze *f, uint64_t offset)
{
	store_lock(store);
	log_set_last_freeze(store->volume->log, offset);
	v->last_freeze = offset;
	store_set_view(store, v);
	budget_follow(store, store->view);
	store_unlock(store);
	atomic_store(&store->volume->punches, f->punches);
	store->last = *f;
	atomic_store(&store->freezes, f->number);
	atomic_store(&store->index_bytes, f->index_bytes);
}

/* Second half; freeze_lock is held */
static int merge(struct store *store)
{
	struct tree tree = { 0 };
	struct view *merged = NULL;
	uint64_t offset = 0;
	int rc = 0;
	/* Both belong together, and a swap changes both */
	store_lock(store);
	struct freeze f = store->next;
	struct view *v = view_ref(store->view);
	store_unlock(store);
	if (!v->frozen)
		goto out;
	f.previous = f.punched ? 0 : v->last_freeze;
	f.punches = atomic_load(&v->volume->punches) + f.punched;
	rc = merge_table(store, v, &tree, &f.index_bytes);
	f.root = tree.root;
	f.height = tree.height;
	/* Now, as nothing may fail once the record is durable. No other table
	 * becomes the active one while there is a frozen one. */
	if (!rc) {
		merged = view_new(v->active, NULL, &tree, v->volume, 0);
		rc = merged ? write_durably(store, &f, &offset) : -ENOMEM;
	}
	if (rc)
		goto out;
	freeze_set_last(store, merged, &f, offset);
	merged = NULL;
out:
	view_unref(merged);
	view_unref(v);
	return rc;
}

/*
 * Swap if nothing waits to be merged already and there is something to freeze.
 * Who asks for a freeze gets one to go back to, even if the state has not
 * changed since an automatic one.
 */
static int swap(struct store *store, bool automatic)
{
	int rc = 0;
	store_lock(store);
	bool something = redo_table_rows(store->view->active) ||
			 (!automatic && store->last.automatic);
	if (!store->view->frozen && something)
		rc = begin_freeze(store, automatic);
	else if (store->view->frozen && !automatic)
		store->next.automatic = false; /* a writer was faster */
	store_unlock(store);
	return rc;
}

int freeze_all(struct store *store, bool automatic)
{
	pthread_mutex_lock(&store->freeze_lock);
	int rc = merge(store);
	if (!rc)
		rc = swap(store, automatic);
	if (!rc)
		rc = merge(store);
	pthread_mutex_unlock(&store->freeze_lock);
	return rc;
}

/* With freeze_lock, nothing being frozen. Writers may have been faster, and have
 * begun an automatic one meanwhile: it has all that this one was to have. */
static int swap_always(struct store *store, bool punched,
		       const struct freeze *like)
{
	int rc = 0;
	store_lock(store);
	if (!store->view->frozen)
		rc = begin_freeze(store, punched);
	store->next.automatic = punched;
	store->next.punched = punched;
	if (!rc && like) {
		store->next.number = like->number;
		store->next.time = like->time;
	}
	store_unlock(store);
	return rc;
}

static int merge_new(struct store *store, bool punched,
		     const struct freeze *like)
{
	int rc = merge(store);
	if (!rc)
		rc = swap_always(store, punched, like);
	return rc ? rc : merge(store);
}

int freeze_new(struct store *store, const struct freeze *like, struct freeze *f,
	       uint64_t *offset)
{
	pthread_mutex_lock(&store->freeze_lock);
	int rc = merge_new(store, false, like);
	if (!rc) {
		struct view *v = store_view(store);
		*f = store->last;
		*offset = v->last_freeze;
		view_unref(v);
	}
	pthread_mutex_unlock(&store->freeze_lock);
	return rc;
}

int freeze_end_past(struct store *store, struct freeze *f)
{
	pthread_mutex_lock(&store->freeze_lock);
	int rc = merge_new(store, true, NULL);
	if (!rc)
		*f = store->last;
	/* If it is tried again, that is no reason to drop the past */
	store_lock(store);
	store->next.punched = false;
	store_unlock(store);
	pthread_mutex_unlock(&store->freeze_lock);
	return rc;
}

int freeze_waiting(struct store *store)
{
	pthread_mutex_lock(&store->freeze_lock);
	int rc = merge(store);
	pthread_mutex_unlock(&store->freeze_lock);
	return rc;
}

int freeze_renumber(struct store *store)
{
	const struct view *v = store->view;
	struct freeze f = store->last;
	uint64_t offset = 0;
	assert(!v->frozen);
	struct view *same = view_new(v->active, NULL, &v->tree, v->volume, 0);
	if (!same)
		return -ENOMEM;
	f.previous = v->last_freeze;
	f.number = 0;
	f.gap = false;
	int rc = freeze_record(store, &f, &offset);
	if (rc) {
		view_unref(same);
		return rc;
	}
	freeze_set_last(store, same, &f, offset);
	return 0;
}

int freeze_replayed(struct store *store, const struct log_position *at)
{
	pthread_mutex_lock(&store->freeze_lock);
	int rc = begin_freeze(store, true);
	if (!rc) {
		store->next.replay = *at;
		rc = merge(store);
	}
	pthread_mutex_unlock(&store->freeze_lock);
	store_reap(store);
	return rc;
}

/* ---- the freezer ------------------------------------------------------ */

static void ask_freezer(struct store *store)
{
	struct freezer *f = &store->freezer;
	pthread_mutex_lock(&f->lock);
	f->wanted = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

static bool redo_long(const struct store *store)
{
	uint64_t redo = atomic_load(&store->redo_bytes);
	return redo > REDO_MAX && redo > atomic_load(&store->index_bytes) / 4;
}

void freeze_if_full(struct store *store)
{
	budget_follow(store, store->view);
	if (store->view->frozen)
		return;
	if (!budget_table_full(store, store->view->active) && !redo_long(store))
		return;
	/* Without memory for it the table grows a little beyond its limit */
	if (begin_freeze(store, true) == 0)
		ask_freezer(store);
}

void freeze_begin(struct store *store)
{
	const struct view *v = store->view;
	if (v->frozen)
		return;
	if (redo_table_rows(v->active) == 0)
		(void)set_table(store, NULL);
	else if (begin_freeze(store, true) == 0)
		ask_freezer(store);
}

/* What cannot be read now: to write all that goes before it once more for
 * each operation would fill the disk */
#define TRIES_AT_ONCE 3
#define DAMAGE_PAUSE INT64_C(10000000000) /* ns */

/* A bad sector is no better than damage. (After a write or sync that failed,
 * which says EIO as well, nothing is written in any case.) */
static bool cannot_read(int rc)
{
	return rc == -EIO || is_damage(rc);
}

bool freeze_has_room(struct store *store, bool makes_room)
{
	struct epoch *epoch = cache_epoch(store->cache);
	unsigned slot = epoch_enter(epoch);
	bool full =
		budget_exhausted(store, atomic_load(&store->view), makes_room);
	epoch_leave(epoch, slot);
	return !full;
}

int freeze_wait_for_room(struct store *store, bool makes_room)
{
	struct freezer *f = &store->freezer;
	int rc = 0;
	while (rc == 0 && !freeze_has_room(store, makes_room)) {
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
	struct store *store = arg;
	struct freezer *f = &store->freezer;
	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		if (!f->wanted) {
			pthread_cond_wait(&f->wake, &f->lock);
			continue;
		}
		f->wanted = false;
		pthread_mutex_unlock(&f->lock);
		pthread_mutex_lock(&store->freeze_lock);
		f->wrote = false;
		int rc = merge(store);
		bool wasted = rc && f->wrote;
		pthread_mutex_unlock(&store->freeze_lock);
		store_reap(store);
		if (rc)
			store_report(store, "automatic freeze failed: %s",
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

int freezer_start(struct store *store)
{
	int rc = pthread_create(&store->freezer.thread, NULL, freezer_main,
				store);
	store->freezer.started = rc == 0;
	return -rc;
}

void freezer_stop(struct store *store)
{
	struct freezer *f = &store->freezer;
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
