/* SPDX-License-Identifier: MIT */
#include "engine/past.h"

#include <errno.h>

#include "engine/freezes.h"
#include "engine/read_txn.h"
#include "engine/replay.h"
#include "engine/snapshot.h"

int past_begin(const struct freeze *f, uint64_t offset, struct volume *volume,
	       struct view_state *past)
{
	struct tree tree = { f->root, f->height, volume->file };
	struct redo_table *table = redo_table_new();
	*past = (struct view_state){ .next_id = f->next_id,
				     .keys = f->keys,
				     .live = f->live_bytes };
	if (table)
		past->view = view_new(table, NULL, &tree, volume, offset);
	redo_table_unref(table);
	return past->view ? 0 : -ENOMEM;
}

static void read_now(struct store *store, const struct view_state *now,
		     struct read_txn *rtxn)
{
	read_txn_begin_at(store, now->view, now->seq, rtxn);
	read_txn_pin(rtxn);
}

static int begin_snapshot(struct store *store, const struct view_state *now,
			  const struct snapshot *s, struct view_state *past)
{
	struct freeze f;
	struct volume *volume = now->view->volume;
	int rc = snapshot_freeze(store, volume, s, &f);
	return rc ? rc : past_begin(&f, s->offset, volume, past);
}

int past_at_snapshot(struct store *store, const struct view_state *now,
		     const char *name, size_t len, struct view_state *past)
{
	struct read_txn rtxn;
	struct snapshot s;
	read_now(store, now, &rtxn);
	int rc = snapshots_find(&rtxn.state, name, len, &s);
	read_txn_end(&rtxn);
	return rc ? rc : begin_snapshot(store, now, &s, past);
}

struct numbered {
	uint64_t number;
	struct snapshot found;
};

static int is_numbered(void *arg, const struct snapshot *s)
{
	struct numbered *n = arg;
	if (s->number != n->number)
		return 0;
	n->found = *s;
	n->found.len = 0; /* the name is valid in here only */
	return 1;
}

/* One that the chain of freezes does not lead to */
static int past_at_named(struct store *store, const struct view_state *now,
			 uint64_t number, struct view_state *past)
{
	struct read_txn rtxn;
	struct numbered n = { .number = number };
	read_now(store, now, &rtxn);
	int rc = snapshots_visit(&rtxn.state, is_numbered, &n);
	read_txn_end(&rtxn);
	if (rc <= 0)
		return rc ? rc : -ENOENT;
	return begin_snapshot(store, now, &n.found, past);
}

int past_at_freeze(struct store *store, const struct view_state *now,
		   uint64_t number, struct view_state *past)
{
	struct freeze f;
	struct volume *volume = now->view->volume;
	uint64_t offset = now->view->last_freeze;
	int rc = freezes_find(store, volume, number, &offset, &f);
	if (rc == -ENOENT)
		return past_at_named(store, now, number, past);
	return rc ? rc : past_begin(&f, offset, volume, past);
}

static bool is_later_than(const void *time, const struct freeze *f)
{
	return f->time > *(const timestamp *)time;
}

/* The last freeze that has nothing of what came after that time. If the
 * operations behind it are missing nothing later than itself is known. */
static int find_before(struct store *store, const struct view *now,
		       timestamp time, struct freeze *f, uint64_t *offset)
{
	struct freeze_walk w;
	bool gap = false;
	int rc = freezes_walk_to(now->volume, now->last_freeze, false,
				 is_later_than, &time, &w);
	while (!rc && !(rc = freezes_next(store, &w, f, offset))) {
		if (f->time <= time)
			return gap && f->time < time ? -ENOENT : 0;
		gap = f->gap;
	}
	return rc > 0 ? -ENOENT : rc;
}

/* ---- forward through the log ------------------------------------------- */

/* At a freeze, whose operations behind it are to be read */
static int walk_begin(struct past_walk *w, const struct freeze *f,
		      uint64_t offset, struct volume *volume)
{
	uint64_t size = 0;
	past_walk_end(w);
	int rc = past_begin(f, offset, volume, &w->past);
	if (!rc)
		rc = file_size(volume->file, &size);
	if (!rc)
		rc = log_scan_open(&w->scan, volume->file, volume->sb.salt,
				   size, &f->replay);
	if (rc)
		past_walk_end(w);
	return rc;
}

void past_walk_end(struct past_walk *w)
{
	log_scan_close(&w->scan);
	view_unref(w->past.view);
	*w = (struct past_walk){ 0 };
}

/* Replay an operation; 1 if it came after the time */
static int replay_one(struct past_walk *w, timestamp time)
{
	struct redo_reader rows;
	struct operation op;
	int rc = redo_open(&rows, w->rec.body, w->rec.header.body_len, &op);
	if (!rc && op.time > time)
		return 1;
	return rc ? rc :
		    replay_rows(w->past.view->active, &rows, &op, &w->past);
}

/* The operations from there on, up to the first that came after the time or
 * lies at or behind `end` */
static int walk_on(struct past_walk *w, timestamp time, uint64_t end)
{
	int rc = 0;
	while (!rc && (w->ahead || w->scan.at.offset < end)) {
		if (!w->ahead)
			rc = log_scan_next(&w->scan, &w->rec);
		w->ahead = !rc;
		if (rc || w->rec.offset >= end)
			break;
		if (w->rec.header.type == RECORD_OPERATION)
			rc = replay_one(w, time);
		w->ahead = rc > 0;
	}
	return rc > 0 ? 0 : rc;
}

/* One state, and no further: *past is that of the walk, which ends */
static int walk_once(struct past_walk *w, int rc, struct view_state *past)
{
	if (!rc) {
		*past = w->past;
		w->past.view = NULL;
	}
	past_walk_end(w);
	return rc;
}

int past_at_time(struct store *store, const struct view_state *now,
		 timestamp time, struct view_state *past)
{
	struct freeze f;
	struct volume *volume = now->view->volume;
	uint64_t offset = 0;
	struct past_walk w = { 0 };
	int rc = find_before(store, now->view, time, &f, &offset);
	if (!rc)
		rc = walk_begin(&w, &f, offset, volume);
	if (!rc)
		rc = walk_on(&w, time, UINT64_MAX);
	return walk_once(&w, rc, past);
}

static bool is_behind(const void *end, const struct freeze *f)
{
	return f->replay.offset > *(const uint64_t *)end;
}

/* The last freeze from which that place can be reached by replay. From *limit on
 * it can be reached from a later one. */
static int find_reaching(struct store *store, const struct view *now,
			 uint64_t end, struct freeze *f, uint64_t *offset,
			 uint64_t *limit)
{
	struct freeze_walk w;
	int rc = freezes_walk_to(now->volume, now->last_freeze, true, is_behind,
				 &end, &w);
	*limit = UINT64_MAX;
	while (!rc && !(rc = freezes_next(store, &w, f, offset))) {
		uint64_t from = f->replay.offset;
		if (f->gap && *offset >= from)
			from = *offset + 1;
		if (from <= end)
			return 0;
		*limit = from;
	}
	return rc > 0 ? -ENOENT : rc;
}

int past_forward(struct store *store, const struct view *now, uint64_t end,
		 struct past_walk *w)
{
	struct freeze f;
	uint64_t offset = 0, limit = w->limit;
	int rc = 0;
	if (!w->past.view || end < w->reached || end >= limit) {
		rc = find_reaching(store, now, end, &f, &offset, &limit);
		if (!rc)
			rc = walk_begin(w, &f, offset, now->volume);
	}
	if (!rc)
		rc = walk_on(w, TIMESTAMP_MAX, end);
	w->limit = limit;
	w->reached = end;
	return rc;
}

int past_before(struct store *store, const struct view *now, uint64_t end,
		struct view_state *past)
{
	struct past_walk w = { 0 };
	return walk_once(&w, past_forward(store, now, end, &w), past);
}

static bool is_any(const void *arg, const struct freeze *f)
{
	(void)arg;
	(void)f;
	return true;
}

int past_first(struct store *store, const struct view *now, struct freeze *f,
	       struct view_state *past)
{
	struct freeze_walk w;
	uint64_t offset = 0;
	int rc = freezes_walk_to(now->volume, now->last_freeze, true, is_any,
				 NULL, &w);
	while (!rc)
		rc = freezes_next(store, &w, f, &offset);
	if (rc < 0)
		return rc;
	return offset ? past_begin(f, offset, now->volume, past) : -ENOENT;
}
