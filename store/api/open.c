/* SPDX-License-Identifier: MIT */
/* open.c - the public functions that open, close, and make views. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "api/last_error.h"
#include "base/sized.h"
#include "base/umask.h"
#include "engine/open.h"
#include "engine/past.h"

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
		rc = file_open(path, !read_only, o->keeper, file);
		*fresh = false;
	}
	if (rc != -ENOENT || !(o->flags & BANYAN_CREATE) || read_only)
		return rc;
	*fresh = true;
	return file_create(path, new_file_mode(o->mode), o->keeper, file);
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
		(void)file_claim((*db)->store->volume->file);
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

int banyan_close(banyan *db)
{
	int rc = 0;
	if (!db)
		return 0;
	if (!handle_check(db) && db->kind == HANDLE_STORE) {
		batch_cancel(db->store);
		if (held_release_all(db->held))
			atomic_store(&db->store->orphans, true);
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

/* ---- views ------------------------------------------------------------ */

/* A handle that shows this; takes over its reference */
static int open_view(banyan *db, const struct view_state *shown, banyan **out)
{
	banyan *view = NULL;
	int rc = handle_alloc(store_ref(db->store), HANDLE_VIEW, &view);
	if (rc) {
		view_unref(shown->view);
		return rc;
	}
	view->shown = *shown;
	rc = handle_hold_root(view);
	if (rc)
		handle_free(view);
	else
		*out = view;
	return rc;
}

int banyan_view(banyan *db, banyan **out)
{
	struct view_state shown;
	int rc = handle_check(db);
	if (rc || !out || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	handle_state(db, &shown);
	return open_view(db, &shown, out);
}

int banyan_view_at_freeze(banyan *db, uint64_t number, banyan **out)
{
	struct view_state now;
	struct view_state past;
	int rc = handle_check(db);
	if (rc || !out || db->kind != HANDLE_STORE)
		return rc ? rc : -EINVAL;
	store_state(db->store, &now);
	rc = past_at_freeze(db->store, &now, number, &past);
	view_unref(now.view);
	return rc ? rc : open_view(db, &past, out);
}

int banyan_view_snapshot(banyan *db, const char *name, size_t len, banyan **out)
{
	struct view_state now;
	struct view_state past;
	int rc = handle_check(db);
	if (rc || !name || !out || db->kind != HANDLE_STORE)
		return rc ? rc : -EINVAL;
	store_state(db->store, &now);
	rc = past_at_snapshot(db->store, &now, name, len, &past);
	view_unref(now.view);
	if (!rc)
		rc = open_view(db, &past, out);
	return (int)note_key(db, rc, __func__, name, len);
}

int banyan_view_at_time(banyan *db, struct banyan_time time, banyan **out)
{
	struct view_state now;
	struct view_state past;
	int rc = handle_check(db);
	if (rc || !out || db->kind != HANDLE_STORE || time.nsec >= 1000000000)
		return rc ? rc : -EINVAL;
	store_state(db->store, &now);
	rc = past_at_time(db->store, &now, timestamp_of(time), &past);
	view_unref(now.view);
	return rc ? rc : open_view(db, &past, out);
}
