/* SPDX-License-Identifier: MIT */
#include "engine/history.h"

#include <errno.h>

#include "engine/freezes.h"

/* ---- states ----------------------------------------------------------- */

static void read_state(struct store *store, const struct view_state *s,
		       struct read_txn *rtxn)
{
	read_txn_begin_at(store, s->view, s->seq, rtxn);
	read_txn_pin(rtxn);
}

static void drop_state(struct view_state *s, struct read_txn *rtxn)
{
	if (!s->view)
		return;
	read_txn_end(rtxn);
	view_unref(s->view);
	s->view = NULL;
}

static void close_gap(struct history_gap *g)
{
	merged_diff_free(g->rows);
	g->rows = NULL;
	drop_state(&g->before, &g->from);
	drop_state(&g->after, &g->to);
}

/* ---- opening ---------------------------------------------------------- */

/*
 * Others may go on writing to the file. A store that only reads shows so many
 * operations behind its last freeze, and no more are looked at.
 */
static void find_end(struct history *h)
{
	struct store *store = h->store;
	h->left = UINT64_MAX;
	if (!store->read_only)
		return;
	h->tail = store->last.replay.offset;
	h->left = atomic_load(&store->visible);
}

int history_open(struct store *store, struct history *h)
{
	struct freeze f = { 0 };
	uint64_t size = 0;
	*h = (struct history){ .store = store, .now = store_view(store) };
	struct volume *volume = h->now->volume;
	int rc = past_first(store, h->now, &f, &h->first);
	if (!rc)
		read_state(store, &h->first, &h->base);
	if (!rc)
		rc = file_size(volume->file, &size);
	if (!rc)
		rc = log_scan_open(&h->scan, volume->file, volume->sb.salt,
				   size, &f.replay);
	if (rc) {
		history_close(h);
		return rc;
	}
	h->began = f.time;
	h->begin = f.replay.offset;
	h->next_id = f.next_id;
	find_end(h);
	return 0;
}

void history_close(struct history *h)
{
	close_gap(&h->sides);
	log_scan_close(&h->scan);
	drop_state(&h->first, &h->base);
	view_unref(h->now);
	h->now = NULL;
}

/* ---- steps ------------------------------------------------------------ */

static int open_gap(struct history *h)
{
	struct history_gap *g = &h->sides;
	int rc = history_before(h, &g->before);
	if (rc)
		return rc;
	read_state(h->store, &g->before, &g->from);
	rc = history_after(h, &g->after);
	if (!rc)
		read_state(h->store, &g->after, &g->to);
	return rc;
}

static int begin_step(struct history *h, timestamp time, uint64_t next_id)
{
	h->time = time;
	h->first_new = h->next_id;
	h->next_id = next_id;
	return 0;
}

static int take_operation(struct history *h)
{
	struct operation op;
	if (h->record.offset >= h->tail && h->left != UINT64_MAX &&
	    h->left-- == 0)
		return 1;
	int rc = redo_open(&h->rows, h->record.body, h->record.header.body_len,
			   &op);
	h->gap = false;
	return rc ? rc : begin_step(h, op.time, op.next_id);
}

int history_next(struct history *h)
{
	struct freeze f;
	int rc;
	close_gap(&h->sides);
	while ((rc = log_scan_next(&h->scan, &h->record)) == 0) {
		h->offset = h->record.offset;
		if (h->record.header.type == RECORD_OPERATION)
			return take_operation(h);
		if (!log_record_freeze(&h->record, &f) || !f.gap)
			continue;
		if (h->offset > h->now->last_freeze)
			return 1;
		h->gap = true;
		rc = open_gap(h);
		return rc ? rc : begin_step(h, f.time, f.next_id);
	}
	return rc;
}

int history_rows(struct history *h)
{
	struct operation op;
	struct history_gap *g = &h->sides;
	if (!h->gap)
		return redo_open(&h->rows, h->record.body,
				 h->record.header.body_len, &op);
	merged_diff_free(g->rows);
	g->rows = NULL;
	return merged_diff_new(&g->from.state.merged, &g->to.state.merged,
			       &g->rows);
}

int history_row(struct history *h, struct row_change *row)
{
	struct tree_difference d;
	if (!h->gap)
		return redo_next(&h->rows, row);
	int rc = merged_diff_next(h->sides.rows, &d);
	if (!rc)
		*row = (struct row_change){ d.key, d.key_len, d.after,
					    d.after ? d.after_len : 0 };
	return rc;
}

int history_before(struct history *h, struct view_state *past)
{
	return past_before(h->store, h->now, h->offset, past);
}

int history_after(struct history *h, struct view_state *past)
{
	return past_before(h->store, h->now, h->offset + 1, past);
}

bool history_is_current(const struct history *h)
{
	return h->now->volume == h->store->volume;
}
