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

/* The holds that are still to be restored, by the hash of their id */
struct wanted {
	const struct banyan_holds **slots;
	size_t mask;
	size_t count;
};

static size_t find(const struct wanted *w, uint64_t id)
{
	size_t i = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
	while (w->slots[i & w->mask] && w->slots[i & w->mask]->id != id)
		i++;
	return i & w->mask;
}

static int wanted_new(struct wanted *w, size_t count)
{
	size_t size = 16;
	while (size < count * 2)
		size *= 2;
	*w = (struct wanted){ .mask = size - 1 };
	w->slots = calloc(size, sizeof(*w->slots));
	return w->slots ? 0 : -ENOMEM;
}

/* Those with a DATA row; the others are wanted */
static int restore_by_id(banyan *db, const struct state *state,
			 const struct banyan_holds *holds, size_t count,
			 struct wanted *w)
{
	for (size_t i = 0; i < count; i++) {
		struct located l;
		if (!holds[i].times || holds[i].id == BANYAN_ROOT_ID)
			continue;
		int rc = names_data(state, holds[i].id, &l);
		if (!rc)
			rc = held_restore(db->held, holds[i].id, &l.at,
					  holds[i].times, l.d.nlink == 0);
		if (rc && rc != -ENOENT)
			return rc;
		size_t at = find(w, holds[i].id);
		if (rc && !w->slots[at]) {
			w->slots[at] = &holds[i];
			w->count++;
		}
	}
	return 0;
}

/* If one that is wanted lives in the NAME row at the cursor */
static int restore_here(banyan *db, const struct merged_cursor *rows,
			struct wanted *w)
{
	struct name_row row;
	struct location at;
	struct name n;
	size_t len = 0, value_len = 0;
	const uint8_t *key = merged_cursor_key(rows, &len);
	const uint8_t *value = merged_cursor_value(rows, &value_len);
	int rc = name_row_decode(&row, NULL, value, value_len);
	if (rc || !row.embedded)
		return rc;
	const struct banyan_holds *h = w->slots[find(w, row.id)];
	if (!h)
		return 0;
	if (!name_row_key(key, len, &n))
		return -EUCLEAN;
	location_set(&at, n.space, n.bytes, n.len);
	w->count--;
	return held_restore(db->held, row.id, &at, h->times, false);
}

static int restore_by_name(banyan *db, const struct state *state,
			   struct wanted *w)
{
	const uint8_t prefix = ROW_NAME;
	struct merged_cursor *rows = NULL;
	int rc = merged_cursor_open(&state->merged, &prefix, 1, &rows);
	while (!rc && w->count) {
		rc = restore_here(db, rows, w);
		if (!rc)
			rc = merged_cursor_next(rows);
	}
	merged_cursor_free(rows);
	return rc > 0 ? 0 : rc; /* the rest is gone */
}

int banyan_restore_holds(banyan *db, const struct banyan_holds *holds,
			 size_t count)
{
	struct read_txn rtxn;
	struct wanted w;
	int rc = handle_check(db);
	if (rc || db->kind != HANDLE_STORE)
		return rc ? rc : -EINVAL;
	rc = wanted_new(&w, count);
	if (!rc)
		rc = handle_read_pinned(db, &rtxn);
	if (!rc) {
		rc = restore_by_id(db, &rtxn.state, holds, count, &w);
		if (!rc && w.count)
			rc = restore_by_name(db, &rtxn.state, &w);
		read_txn_end(&rtxn);
	}
	free(w.slots);
	return rc;
}
