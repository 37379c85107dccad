/* SPDX-License-Identifier: MIT */
/*
 * find_id.c - a Data by its id.
 *
 * A Data with a DATA row is found by that. One that lives in the NAME row of its key
 * can be found only by going through all NAME rows: no row leads from its id to its
 * key, as such a row would be a third more to write for each key that is made.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "api/handle.h"
#include "api/keys.h"
#include "api/last_error.h"

static int find_held(banyan *db, uint64_t id, banyan_data **data)
{
	struct banyan_attr attr;
	banyan_data *d = held_find(db->held, id, 1);
	if (!d)
		return -ENOENT;
	int rc = banyan_get_attr(d, &attr);
	if (!rc && attr.nlink == 0)
		rc = -ESTALE;
	if (rc)
		banyan_release(d, 1);
	else
		*data = d;
	return rc;
}

/* -EAGAIN as search_once() has it */
static int find_in_data_row(banyan *db, uint64_t id, banyan_data **data)
{
	struct read_txn rtxn;
	struct located l;
	int rc = handle_read(db, &rtxn);
	if (rc)
		return rc;
	rc = names_data(&rtxn.state, id, &l);
	bool found = !rc;
	location_set(&l.at, 0, NULL, 0);
	if (found)
		rc = l.d.nlink ?
			     held_hold(db->held, id, &l.at, rtxn.seq, data) :
			     -ESTALE;
	handle_read_end(db, &rtxn);
	if (found && rc == -EAGAIN)
		held_wait(db->held, id);
	return rc;
}

/* 0: the row at the cursor is that of the Data's only key. 1: it is not. */
static int is_home(const struct merged_cursor *rows, uint64_t id,
		   struct location *at)
{
	uint64_t found = 0;
	int rc = names_embedded(rows, &found);
	if (rc || found != id)
		return rc ? rc : 1;
	return names_home(rows, at);
}

/*
 * In the present state: the only key of the Data. -EAGAIN: it has a DATA row by now.
 * -ESTALE: there is none.
 */
static int find_home(banyan *db, uint64_t id, struct location *at)
{
	const uint8_t prefix = ROW_NAME;
	struct read_txn rtxn;
	struct located l;
	struct merged_cursor *rows = NULL;
	int rc = handle_read_pinned(db, &rtxn);
	if (rc)
		return rc;
	rc = merged_cursor_open(&rtxn.state.merged, &prefix, 1, &rows);
	while (!rc && (rc = is_home(rows, id, at)) == 1)
		rc = merged_cursor_next(rows);
	merged_cursor_free(rows);
	if (rc == 1) {
		rc = names_data(&rtxn.state, id, &l);
		rc = rc ? rc : -EAGAIN;
	}
	read_txn_end(&rtxn);
	return rc == -ENOENT ? -ESTALE : rc;
}

/* It may have left the key meanwhile, for another key or a DATA row: -EAGAIN */
static int hold_at(banyan *db, uint64_t id, const struct location *at,
		   banyan_data **data)
{
	const struct name n = { at->space, at->name, at->len };
	banyan_data *found = NULL;
	int rc;
	while ((rc = search_once(db, &n, &found, NULL)) == -EAGAIN)
		sched_yield();
	if (rc)
		return rc == -ENOENT || rc == -ENOTDIR ? -EAGAIN : rc;
	if (found->id == id) {
		*data = found;
		return 0;
	}
	banyan_release(found, 1);
	return -EAGAIN;
}

/* Of no Data yet. A batch has made some of which the store does not know. */
static bool is_unused(const banyan *db, uint64_t id)
{
	if (db->kind == HANDLE_BATCH)
		return false;
	return id >= (db->kind == HANDLE_VIEW ?
			      db->shown.next_id :
			      atomic_load(&db->store->next_id));
}

static int try_find_id(banyan *db, uint64_t id, banyan_data **data)
{
	struct location at;
	if (id == 0 || is_unused(db, id))
		return -ESTALE;
	int rc = find_held(db, id, data);
	if (rc == -ENOENT)
		rc = find_in_data_row(db, id, data);
	if (rc != -ENOENT)
		return rc;
	rc = find_home(db, id, &at);
	return rc ? rc : hold_at(db, id, &at, data);
}

int banyan_find_id(banyan *db, uint64_t id, banyan_data **data)
{
	int rc = handle_check(db);
	if (rc || !data)
		return rc ? rc : -EINVAL;
	/* Each try that fails is an operation of a writer that has succeeded */
	while ((rc = try_find_id(db, id, data)) == -EAGAIN)
		sched_yield();
	return (int)note_id(db, rc, __func__, id);
}
