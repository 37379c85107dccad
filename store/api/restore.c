/* SPDX-License-Identifier: MIT */
/*
 * restore.c - what a process needs that goes on where another one has died: see
 * struct banyan_keeper.
 *
 * A Data with a DATA row is found by its id. All others live in the NAME rows of
 * their keys, which are gone through once, for all of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/handle.h"
#include "engine/write.h"

void banyan_set_note(struct banyan_note *note)
{
	write_set_note(note);
}

/* The holds that are to be restored, by the hash of their id */
struct wanted {
	struct {
		const struct banyan_holds *holds; /* NULL: free */
		bool found;
	} * slot;
	size_t mask;
	size_t left; /* that were not found */
};

static size_t find(const struct wanted *w, uint64_t id)
{
	size_t i = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
	while (w->slot[i & w->mask].holds &&
	       w->slot[i & w->mask].holds->id != id)
		i++;
	return i & w->mask;
}

static int wanted_new(struct wanted *w, const struct banyan_holds *holds,
		      size_t count)
{
	size_t size = 16;
	while (size < count * 2)
		size *= 2;
	*w = (struct wanted){ .mask = size - 1 };
	w->slot = calloc(size, sizeof(*w->slot));
	if (!w->slot)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		size_t at = find(w, holds[i].id);
		if (!holds[i].times || holds[i].id == BANYAN_ROOT_ID ||
		    w->slot[at].holds)
			continue;
		w->slot[at].holds = &holds[i];
		w->left++;
	}
	return 0;
}

/* It lives there; at: the place in w */
static int restore(banyan *db, struct wanted *w, size_t at,
		   const struct location *home, bool orphan)
{
	const struct banyan_holds *h = w->slot[at].holds;
	w->slot[at].found = true;
	w->left--;
	return held_restore(db->held, h->id, home, h->times, orphan);
}

/* Those with a DATA row */
static int restore_by_id(banyan *db, const struct state *state,
			 struct wanted *w)
{
	for (size_t i = 0; w->left && i <= w->mask; i++) {
		struct located l;
		if (!w->slot[i].holds || w->slot[i].found)
			continue;
		int rc = names_data(state, w->slot[i].holds->id, &l);
		if (!rc)
			rc = restore(db, w, i, &l.at, l.d.nlink == 0);
		if (rc && rc != -ENOENT)
			return rc;
	}
	return 0;
}

/* If one that is wanted lives in the NAME row at the cursor */
static int restore_here(banyan *db, const struct merged_cursor *rows,
			struct wanted *w)
{
	struct location home;
	uint64_t id = 0;
	int rc = names_embedded(rows, &id);
	if (rc)
		return rc > 0 ? 0 : rc;
	size_t at = find(w, id);
	if (!w->slot[at].holds || w->slot[at].found)
		return 0;
	rc = names_home(rows, &home);
	return rc ? rc : restore(db, w, at, &home, false);
}

static int restore_by_name(banyan *db, const struct state *state,
			   struct wanted *w)
{
	const uint8_t prefix = ROW_NAME;
	struct merged_cursor *rows = NULL;
	if (!w->left)
		return 0;
	int rc = merged_cursor_open(&state->merged, &prefix, 1, &rows);
	while (!rc && w->left) {
		rc = restore_here(db, rows, w);
		if (!rc)
			rc = merged_cursor_next(rows);
	}
	merged_cursor_free(rows);
	return rc > 0 ? 0 : rc; /* the rest is gone */
}

/* Of so many most have no DATA row, and to look for one takes as long as to pass by
 * ten keys */
#define MANY 1000u

int banyan_restore_holds(banyan *db, const struct banyan_holds *holds,
			 size_t count)
{
	struct read_txn rtxn;
	struct wanted w;
	int rc = handle_check(db);
	if (rc || db->kind != HANDLE_STORE)
		return rc ? rc : -EINVAL;
	rc = wanted_new(&w, holds, count);
	if (!rc)
		rc = handle_read_pinned(db, &rtxn);
	if (!rc) {
		if (count > MANY)
			rc = restore_by_name(db, &rtxn.state, &w);
		if (!rc)
			rc = restore_by_id(db, &rtxn.state, &w);
		if (!rc && count <= MANY)
			rc = restore_by_name(db, &rtxn.state, &w);
		read_txn_end(&rtxn);
	}
	free(w.slot);
	return rc;
}
