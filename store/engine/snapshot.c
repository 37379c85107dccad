/* SPDX-License-Identifier: MIT */
#include "engine/snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/freeze.h"
#include "engine/read_txn.h"
#include "engine/sweep.h"
#include "engine/write.h"

/* A name that no snapshot has: 0, -EEXIST or another error */
static int check_new(const struct state *state, const char *name, size_t len)
{
	struct snapshot s;
	int rc = snapshots_find(state, name, len, &s);
	/* One that is damaged is in the way as well */
	if (rc == -ENOENT)
		return 0;
	return rc && rc != -EUCLEAN ? rc : -EEXIST;
}

static int check_committed(struct store *store, const char *name, size_t len)
{
	struct read_txn rtxn;
	read_txn_begin(store, &rtxn);
	int rc = check_new(&rtxn.state, name, len);
	read_txn_end(&rtxn);
	return rc;
}

static int write_row(struct store *store, const struct snapshot *s)
{
	struct txn *txn = NULL;
	int rc = store_write_begin(store, OPERATION_BATCH, false, &txn);
	if (rc)
		return rc;
	rc = check_new(&txn->state, s->name, s->len);
	if (!rc)
		rc = snapshots_put(txn, s);
	rc = store_write_end(store, rc);
	atomic_fetch_add(&store->snapshot_changes, 1);
	return rc;
}

/* Let a vacuum know, which has to make the freeze in its file, too */
static int note_taken(struct store *store, const struct freeze *f,
		      uint64_t offset)
{
	size_t n = store->taken_count;
	if (!atomic_load(&store->vacuuming))
		return 0;
	struct taken *more = realloc(store->taken, (n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	more[n] = (struct taken){ f->number, offset };
	store->taken = more;
	store->taken_count++;
	return 0;
}

/* With snapshot_lock: from the freeze to the row it is one file */
static int take(struct store *store, const char *name, size_t len)
{
	struct snapshot s = { .name = name, .len = len };
	struct freeze f;
	int rc = check_committed(store, name, len);
	if (!rc)
		rc = store_sweep(store);
	if (!rc)
		rc = freeze_new(store, NULL, &f, &s.offset);
	if (!rc)
		rc = note_taken(store, &f, s.offset);
	if (rc)
		return rc;
	s.number = f.number;
	return write_row(store, &s);
}

/* What a vacuum has to do for a snapshot takes as long as so many operations */
#define VACUUM_OPERATIONS 16u

int store_snapshot(struct store *store, const char *name, size_t len)
{
	if (store->read_only)
		return -EROFS;
	store_wait_for_vacuum(store, VACUUM_OPERATIONS);
	pthread_mutex_lock(&store->snapshot_lock);
	int rc = take(store, name, len);
	pthread_mutex_unlock(&store->snapshot_lock);
	if (!rc)
		rc = store_sync(store);
	return rc;
}

int store_snapshot_drop(struct store *store, const char *name, size_t len)
{
	struct snapshot s;
	struct txn *txn = NULL;
	int rc = store_write_begin(store, OPERATION_BATCH, true, &txn);
	if (rc)
		return rc;
	rc = snapshots_find(&txn->state, name, len, &s);
	/* A damaged one can be dropped */
	if (!rc || rc == -EUCLEAN)
		rc = snapshots_delete(txn, name, len);
	rc = store_write_end(store, rc);
	atomic_fetch_add(&store->snapshot_changes, 1);
	return rc;
}

static int rename_row(struct txn *txn, const char *name, size_t len,
		      const char *new_name, size_t new_len)
{
	struct snapshot s;
	int rc = snapshots_find(&txn->state, name, len, &s);
	if (rc)
		return rc;
	if (len == new_len && memcmp(name, new_name, len) == 0)
		return 0;
	rc = check_new(&txn->state, new_name, new_len);
	if (!rc)
		rc = snapshots_delete(txn, name, len);
	s.name = new_name;
	s.len = new_len;
	return rc ? rc : snapshots_put(txn, &s);
}

int store_snapshot_rename(struct store *store, const char *name, size_t len,
			  const char *new_name, size_t new_len)
{
	struct txn *txn = NULL;
	int rc = store_write_begin(store, OPERATION_BATCH, false, &txn);
	return rc ? rc :
		    store_write_end(store, rename_row(txn, name, len, new_name,
						      new_len));
}

int snapshot_freeze(struct store *store, const struct volume *volume,
		    const struct snapshot *s, struct freeze *f)
{
	struct freeze found;
	uint64_t size = 0;
	int rc = file_size(volume->file, &size);
	if (!rc)
		rc = log_read_freeze(volume->file, volume->sb.salt, size,
				     s->offset, &found);
	if (rc > 0)
		rc = -EBADMSG;
	else if (!rc && found.number != s->number)
		rc = -EUCLEAN;
	if (is_damage(rc))
		store_report(store,
			     "snapshot '%.*s': there is no freeze %llu at "
			     "offset %llu",
			     (int)s->len, s->name,
			     (unsigned long long)s->number,
			     (unsigned long long)s->offset);
	if (!rc)
		*f = found;
	return rc;
}
