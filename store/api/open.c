/* SPDX-License-Identifier: MIT */
/* open.c - the public functions that make and end handles: open, close, views,
 * batches. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "base/sized.h"
#include "base/umask.h"
#include "engine/open.h"
#include "engine/write.h"

/* ---- the store -------------------------------------------------------- */

/* The file, and whether it is a new one, to be filled */
static int open_file(const char *path, const struct banyan_options *o,
		     struct file **file, bool *fresh)
{
	bool read_only = o->flags & BANYAN_READ_ONLY;
	int rc = -ENOENT;
	*fresh = true;
	if (strcmp(path, ":memory:") == 0)
		return file_memory(file);
	if (!(o->flags & BANYAN_EXCLUSIVE)) {
		rc = file_open(path, !read_only, file);
		*fresh = false;
	}
	if (rc != -ENOENT || !(o->flags & BANYAN_CREATE) || read_only)
		return rc;
	*fresh = true;
	return file_create(path, new_file_mode(o->mode), file);
}

int handle_open_file(struct file *file, const struct banyan_options *o,
		     bool fresh, banyan **db)
{
	struct store *store = NULL;
	banyan *handle = NULL;
	int rc = store_open(file, o, fresh, &store);
	if (!rc)
		rc = handle_alloc(store, HANDLE_STORE, &handle);
	if (rc)
		return rc;
	rc = handle_hold_root(handle);
	if (rc) {
		handle_free(handle);
	} else {
		*db = handle;
	}
	return rc;
}

static int open_path(const char *path, const struct banyan_options *o,
		     banyan **db)
{
	struct file *file = NULL;
	bool fresh = false;
	unsigned again = o->flags & BANYAN_EXCLUSIVE ? 0 : 1;
	int rc;
	do {
		rc = open_file(path, o, &file, &fresh);
		if (!rc)
			rc = handle_open_file(file, o, fresh, db);
		/* Somebody else has just created it: to be opened, then */
	} while (rc == -EEXIST && fresh && again-- > 0);
	if (!rc && !(*db)->store->read_only)
		(void)file_claim((*db)->store->file);
	return rc;
}

#define OPEN_FLAGS (BANYAN_CREATE | BANYAN_EXCLUSIVE | BANYAN_READ_ONLY)

static int check_options(const struct banyan_options *o)
{
	bool read_only = o->flags & BANYAN_READ_ONLY;
	if ((o->flags & ~OPEN_FLAGS) || (o->freeze && !read_only) ||
	    (o->mode & ~(mode_t)07777))
		return -EINVAL;
	return 0;
}

int banyan_open(const char *path, const struct banyan_options *options,
		banyan **db)
{
	struct banyan_options o;
	if (!path || !db)
		return -EINVAL;
	int rc = sized_take(&o, sizeof(o), sizeof(o), options);
	if (!rc)
		rc = check_options(&o);
	return rc ? rc : open_path(path, &o, db);
}

static void cancel_batch(struct store *store);

int banyan_close(banyan *db)
{
	int rc = 0;
	if (!db)
		return 0;
	if (!handle_check(db) && db->kind == HANDLE_STORE) {
		cancel_batch(db->store);
		rc = store_shut(db->store);
	} else if (!handle_check(db) && db->kind == HANDLE_BATCH) {
		batch_end(db, -ECANCELED);
	}
	handle_free(db);
	return rc;
}

banyan_data *banyan_root(banyan *db)
{
	return db ? db->root : NULL;
}

bool banyan_read_only(const banyan *db)
{
	return db && (db->kind == HANDLE_VIEW || db->store->read_only);
}

pid_t banyan_holder(const char *path)
{
	return path ? file_holder(path) : -EINVAL;
}

/* ---- views and batches ------------------------------------------------ */

/*
 * What is committed now. The counters belong to the operation `seq` if none has
 * begun to be counted behind it.
 */
static struct view *count_view(const struct store *store, banyan *view)
{
	struct view *current;
	do {
		current = store_current(store, &view->seq);
		view->keys = atomic_load(&store->keys);
		view->live = atomic_load(&store->live);
		view->next_id = atomic_load(&store->next_id);
		view->last_freeze = atomic_load(&store->last_offset);
	} while (atomic_load(&store->counted) != view->seq);
	return current;
}

static void take_view(banyan *db, banyan *view)
{
	struct store *store = db->store;
	if (db->kind == HANDLE_VIEW) {
		view->view = view_ref(db->view);
		view->seq = db->seq;
		view->keys = db->keys;
		view->live = db->live;
		view->next_id = db->next_id;
		view->last_freeze = db->last_freeze;
		return;
	}
	unsigned slot = cache_enter(store->cache);
	view->view = view_ref(count_view(store, view));
	cache_leave(store->cache, slot);
}

int banyan_view(banyan *db, banyan **out)
{
	banyan *view = NULL;
	int rc = handle_check(db);
	if (rc || !out || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	rc = handle_alloc(store_ref(db->store), HANDLE_VIEW, &view);
	if (rc)
		return rc;
	take_view(db, view);
	rc = handle_hold_root(view);
	if (rc)
		handle_free(view);
	else
		*out = view;
	return rc;
}

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

static void cancel_batch(struct store *store)
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
