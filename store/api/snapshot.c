/* SPDX-License-Identifier: MIT */
/* snapshot.c - the public functions on snapshots. */
#include "api/snapshot.h"

#include <errno.h>

#include "api/handle.h"
#include "api/last_error.h"
#include "engine/snapshot.h"
#include "engine/write.h"

/* May it write snapshots? */
static int check(const banyan *db, const char *name)
{
	int rc = handle_check(db);
	if (rc || !name || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	return banyan_read_only(db) ? -EROFS : 0;
}

int banyan_snapshot(banyan *db, const char *name, size_t len)
{
	int rc = check(db, name);
	if (rc)
		return rc;
	rc = store_snapshot(db->store, name, len);
	/* Somebody may know the number of its freeze by now: see
	 * banyan_freeze() */
	if (!rc)
		store_mark(db->store);
	return (int)note_key(db, rc, __func__, name, len);
}

int banyan_snapshot_drop(banyan *db, const char *name, size_t len)
{
	int rc = check(db, name);
	if (rc)
		return rc;
	rc = store_snapshot_drop(db->store, name, len);
	return (int)note_key(db, rc, __func__, name, len);
}

int banyan_snapshot_rename(banyan *db, const char *name, size_t len,
			   const char *new_name, size_t new_len)
{
	int rc = check(db, name);
	if (rc || !new_name)
		return rc ? rc : -EINVAL;
	rc = store_snapshot_rename(db->store, name, len, new_name, new_len);
	return (int)note_key(db, rc, __func__, name, len);
}

struct listing {
	struct store *store;
	const struct volume *volume;
	int (*visit)(void *arg, const struct banyan_snapshot_info *);
	void *arg;
};

static int visit_one(void *arg, const struct snapshot *s)
{
	const struct listing *l = arg;
	struct freeze f;
	int rc = snapshot_freeze(l->store, l->volume, s, &f);
	if (rc)
		return rc;
	const struct banyan_snapshot_info info = {
		.name = s->name,
		.len = s->len,
		.freeze = freeze_info(&f, s->offset),
	};
	return l->visit(l->arg, &info);
}

int banyan_snapshots(banyan *db,
		     int (*visit)(void *arg,
				  const struct banyan_snapshot_info *),
		     void *arg)
{
	struct read_txn rtxn;
	int rc = handle_check(db);
	if (rc || !visit)
		return rc ? rc : -EINVAL;
	rc = handle_read_pinned(db, &rtxn);
	if (rc)
		return rc;
	struct listing l = { db->store, rtxn.view->volume, visit, arg };
	rc = snapshots_visit(&rtxn.state, visit_one, &l);
	read_txn_end(&rtxn);
	return rc;
}
