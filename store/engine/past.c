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

/* The operations from there on, up to the first that came after the time or
 * lies at or behind `end` */
static int replay_until(struct volume *volume, const struct log_position *from,
			timestamp time, uint64_t end, struct view_state *past)
{
	struct log_scan s;
	struct log_record rec;
	struct redo_reader rows;
	struct operation op;
	uint64_t size = 0;
	int rc = file_size(volume->file, &size);
	if (!rc)
		rc = log_scan_open(&s, volume->file, volume->sb.salt, size,
				   from);
	if (rc)
		return rc;
	while (!rc && s.at.offset < end &&
	       (rc = log_scan_next(&s, &rec)) == 0 && rec.offset < end) {
		if (rec.header.type != RECORD_OPERATION)
			continue;
		rc = redo_open(&rows, rec.body, rec.header.body_len, &op);
		if (!rc && op.time > time)
			break;
		if (!rc)
			rc = replay_rows(past->view->active, &rows, &op, past);
	}
	log_scan_close(&s);
	return rc > 0 ? 0 : rc;
}

/* Likewise, onto the freeze that *past shows; it is dropped if that fails */
static int replay_onto(struct volume *volume, const struct freeze *f,
		       timestamp time, uint64_t end, struct view_state *past)
{
	int rc = replay_until(volume, &f->replay, time, end, past);
	if (rc) {
		view_unref(past->view);
		past->view = NULL;
	}
	return rc;
}

int past_at_time(struct store *store, const struct view_state *now,
		 timestamp time, struct view_state *past)
{
	struct freeze f;
	struct volume *volume = now->view->volume;
	uint64_t offset = 0;
	int rc = find_before(store, now->view, time, &f, &offset);
	if (!rc)
		rc = past_begin(&f, offset, volume, past);
	if (rc)
		return rc;
	return replay_onto(volume, &f, time, UINT64_MAX, past);
}

static bool is_behind(const void *end, const struct freeze *f)
{
	return f->replay.offset > *(const uint64_t *)end;
}

/* The last freeze from which that place can be reached by replay */
static int find_reaching(struct store *store, const struct view *now,
			 uint64_t end, struct freeze *f, uint64_t *offset)
{
	struct freeze_walk w;
	int rc = freezes_walk_to(now->volume, now->last_freeze, true, is_behind,
				 &end, &w);
	do {
		if (!rc)
			rc = freezes_next(store, &w, f, offset);
	} while (!rc && (f->replay.offset > end || (f->gap && *offset >= end)));
	return rc > 0 ? -ENOENT : rc;
}

int past_before(struct store *store, const struct view *now, uint64_t end,
		struct view_state *past)
{
	struct freeze f;
	uint64_t offset = 0;
	int rc = find_reaching(store, now, end, &f, &offset);
	if (!rc)
		rc = past_begin(&f, offset, now->volume, past);
	if (rc)
		return rc;
	return replay_onto(now->volume, &f, TIMESTAMP_MAX, end, past);
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
