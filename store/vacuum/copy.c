/* SPDX-License-Identifier: MIT */
#include "vacuum/copy.h"

#include <errno.h>

#include "engine/budget.h"
#include "engine/freeze.h"
#include "engine/write.h"
#include "model/row_extents.h"
#include "model/snapshots.h"
#include "model/xattr.h"
#include "table/merged_diff.h"
#include "vacuum/rows_ahead.h"

static int note_shared(void *arg);

int copy_open(struct copy *c, struct file *from, struct store *next,
	      struct file *scratch, const struct states *states,
	      copy_pace *pace, void *arg)
{
	*c = (struct copy){
		.next = next, .states = states, .pace = pace, .arg = arg
	};
	int rc = layout_open(&c->layout, from, next->volume->log, scratch);
	c->layout.pace = pace;
	c->layout.arg = arg;
	c->layout.note_shared = note_shared;
	c->layout.note_arg = c;
	if (!rc) {
		c->ahead = file_aside_start(from, file_will_need);
		c->layout.writer =
			file_aside_start(next->volume->file, file_write_out);
	}
	return rc ? rc : extent_rows_open(&c->extents, &c->layout);
}

void copy_close(struct copy *c)
{
	file_aside_stop(c->ahead);
	file_aside_stop(c->layout.writer);
	extent_rows_close(&c->extents);
	layout_close(&c->layout);
	buf_free(&c->row);
}

/* ---- rows ------------------------------------------------------------- */

/* The row's value, with what it refers to in the new file, into c->row */
static int copy_data(struct copy *c, struct data *d)
{
	const struct runs *out = &c->layout.out;
	struct run old[EXTENTS_IN_ROW];
	if (d->contents != CONTENTS_EXTENTS)
		return data_encode(d, &c->row);
	for (uint32_t i = 0; i < d->extents; i++)
		old[i] = (struct run){ d->extent[i].at, d->extent[i].e };
	int rc = layout_row(&c->layout, old, d->extents, EXTENTS_IN_ROW);
	if (rc)
		return rc;
	d->extents = (uint32_t)out->count;
	for (uint32_t i = 0; i < d->extents; i++) {
		d->extent[i].at = out->run[i].at;
		d->extent[i].e = out->run[i].e;
	}
	return data_encode(d, &c->row);
}

static int copy_name_row(struct copy *c, const struct row_change *row)
{
	struct name_row name;
	struct data d;
	int rc = name_row_decode(&name, &d, row->value, row->value_len);
	if (rc)
		return rc;
	return name.embedded ? copy_data(c, &d) :
			       buf_set(&c->row, row->value, row->value_len);
}

static int copy_data_row(struct copy *c, const struct row_change *row)
{
	struct data d;
	int rc = data_decode(&d, row->value, row->value_len);
	return rc ? rc : copy_data(c, &d);
}

static int copy_xattr_row(struct copy *c, const struct row_change *row)
{
	struct extent e[XATTR_EXTENTS_MAX];
	struct run old[XATTR_EXTENTS_MAX];
	uint64_t at = 0;
	int count = xattr_extents(row->value, row->value_len, e);
	if (count < 0)
		return count;
	if (!count)
		return buf_set(&c->row, row->value, row->value_len);
	for (int i = 0; i < count; i++) {
		old[i] = (struct run){ at, e[i] };
		at += e[i].length;
	}
	int rc = layout_row(&c->layout, old, (size_t)count, XATTR_EXTENTS_MAX);
	buf_reset(&c->row);
	return rc ? rc : xattr_put_extents(&c->layout.out, &c->row);
}

/* The freeze is elsewhere in the new file, and may have another number there */
static int copy_snapshot_row(struct copy *c, const struct row_change *row)
{
	struct snapshot s;
	int rc = snapshot_decode(&s, row->key, row->key_len, row->value,
				 row->value_len);
	const struct carried *to = rc ? NULL : states_find(c->states, s.number);
	if (!to || !to->new_offset || to->offset != s.offset)
		return -EUCLEAN;
	s.number = to->new_number;
	s.offset = to->new_offset;
	buf_reset(&c->row);
	snapshot_encode(&s, &c->row);
	return c->row.failed ? -ENOMEM : 0;
}

static bool is_extent_row(const struct row_change *row)
{
	return row->key_len && row->key[0] == ROW_EXTENT;
}

/* Let *row, which is neither a deletion nor an EXTENT row, have the value that it
 * has in the new file. It is valid until the next one. */
static int copy_row(struct copy *c, struct row_change *row)
{
	int rc = -EUCLEAN;
	switch (row->key_len ? row->key[0] : 0) {
	case ROW_NAME:
		rc = copy_name_row(c, row);
		break;
	case ROW_DATA:
		rc = copy_data_row(c, row);
		break;
	case ROW_XATTR:
		rc = copy_xattr_row(c, row);
		break;
	case ROW_LINK:
	case ROW_ORPHAN:
		rc = buf_set(&c->row, row->value, row->value_len);
		break;
	case ROW_SNAPSHOT:
		rc = copy_snapshot_row(c, row);
		break;
	default:
		break;
	}
	row->value = c->row.data;
	row->value_len = c->row.len;
	return rc;
}

/* ---- the tree --------------------------------------------------------- */

/* The rows of a state, or those that differ from a state before */
struct rows {
	struct copy *c;
	struct merged before, after;
	struct merged_cursor *cursor;
	struct merged_diff *diff; /* NULL: all, by the cursor */
	bool begun; /* the cursor is at a row */
	bool snapshots; /* it goes over their rows now */
	bool last; /* see struct state_pair */
	struct rows_ahead ahead; /* of those that are copied */
	/* One was found that must wait for EXTENT rows before it: */
	bool held;
	int found; /* what rows_ahead_next() said of it */
	struct row_change row;
};

static int next_difference(struct rows *r, struct row_change *row)
{
	struct tree_difference d;
	int rc = merged_diff_next(r->diff, &d);
	if (!rc)
		*row = (struct row_change){ d.key, d.key_len, d.after,
					    d.after_len };
	return rc;
}

static int next_of_all(struct rows *r, struct row_change *row)
{
	const uint8_t from = ROW_SNAPSHOT;
	int rc = r->begun ? merged_cursor_next(r->cursor) :
			    merged_cursor_seek(r->cursor, &from, r->snapshots);
	r->begun = true;
	if (rc)
		return rc;
	row->key = merged_cursor_key(r->cursor, &row->key_len);
	row->value = merged_cursor_value(r->cursor, &row->value_len);
	return 0;
}

/*
 * Rows of snapshots come last. They are in no tree of the new file but that of
 * the last state, which has all of them, not only those that differ.
 */
static int find_row(void *arg, struct row_change *row)
{
	struct rows *r = arg;
	if (!r->snapshots) {
		int rc = r->diff ? next_difference(r, row) :
				   next_of_all(r, row);
		if (rc < 0 ||
		    (rc == 0 && (!row->key_len || row->key[0] < ROW_SNAPSHOT)))
			return rc;
		r->snapshots = true;
		r->begun = false;
	}
	return r->last ? next_of_all(r, row) : 1;
}

static int open_rows(struct rows *r, struct copy *c)
{
	const struct state_pair *p = c->rows;
	*r = (struct rows){ .c = c, .last = p->last };
	rows_ahead_init(&r->ahead, c->ahead, find_row, r);
	view_merged(p->after->view, p->after->seq, &r->after);
	int rc = merged_cursor_new(&r->after, &r->cursor);
	if (rc || !p->before)
		return rc;
	view_merged(p->before->view, p->before->seq, &r->before);
	return merged_diff_new(&r->before, &r->after, &r->diff);
}

static void close_rows(struct rows *r)
{
	merged_cursor_free(r->cursor);
	merged_diff_free(r->diff);
	rows_ahead_free(&r->ahead);
}

/* One that is no EXTENT row, or the end */
static int next_other(struct rows *r, struct row_change *row)
{
	r->held = r->found != 0;
	*row = r->row;
	return r->found || !row->value ? r->found : copy_row(r->c, row);
}

/* Of the new file. EXTENT rows that come are not those that go: one by one. */
static int next_row(void *arg, struct row_change *row)
{
	struct rows *r = arg;
	struct extent_rows *extents = &r->c->extents;
	int rc;
	while ((rc = extent_rows_next(extents, row)) > 0) {
		if (!r->held)
			r->found = rows_ahead_next(&r->ahead, &r->row);
		if (r->found < 0)
			return r->found;
		if (r->found == 0 && is_extent_row(&r->row)) {
			rc = extent_rows_change(extents, &r->row);
		} else if (r->held || !extent_rows_pending(extents)) {
			return next_other(r, row);
		} else {
			r->held = true;
			rc = extent_rows_end(extents);
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* Rows between two times of asking */
#define NOTE_ROWS 4096u

static int note_extent(void *arg, const struct extent *e)
{
	return layout_note(arg, e);
}

/* When the first extent is met that is shared: most databases have none, and
 * need not be read twice */
static int note_shared(void *arg)
{
	struct copy *c = arg;
	struct rows rows;
	struct row_change row;
	int rc = open_rows(&rows, c);
	/* They have no extents */
	rows.last = false;
	for (unsigned n = 1; !rc && (rc = find_row(&rows, &row)) == 0; n++) {
		if (row.value)
			rc = row_extents(row.key, row.key_len, row.value,
					 row.value_len, note_extent,
					 &c->layout);
		if (!rc && n % NOTE_ROWS == 0)
			rc = c->pace(c->arg, 0);
	}
	close_rows(&rows);
	return rc < 0 ? rc : 0;
}

/* Values that are staged go first: the log has one end */
static int write_run(void *arg, const void *run, size_t size, uint64_t *offset)
{
	struct copy *c = arg;
	struct log *log = c->next->volume->log;
	int rc = log_commit(log);
	uint64_t bytes = layout_forget(&c->layout) + size;
	if (!rc)
		rc = freeze_write_run(c->next, run, size, offset);
	log_begin(log, true);
	return rc ? rc : c->pace(c->arg, bytes);
}

static int merge_rows(struct copy *c, struct tree *tree, struct tree *merged,
		      struct merge_stats *stats)
{
	struct log *log = c->next->volume->log;
	struct rows rows;
	struct merge_source source = { next_row, &rows };
	struct node_sink sink = { write_run, c, FREEZE_RUN,
				  budget_leaf(c->next->cache_limit) };
	int rc = open_rows(&rows, c);
	if (!rc) {
		extent_rows_begin(&c->extents, c->next->cache, tree);
		log_begin(log, true);
		rc = btree_merge(c->next->cache, tree, &source, &sink, merged,
				 stats);
		/* Values of no tree: all of theirs is in the log before its
		 * root */
		if (rc)
			log_abort(log);
		else
			rc = log_commit(log);
	}
	layout_forget(&c->layout);
	close_rows(&rows);
	return rc;
}

int copy_tree(struct copy *c, const struct state_pair *pair, struct tree *tree,
	      uint64_t *index_bytes)
{
	struct merge_stats stats = { 0 };
	struct tree merged = { 0 };
	uint64_t most = 0;
	c->rows = pair;
	/* Now, so that all values of the state are in there */
	int rc = file_size(c->layout.from, &most);
	layout_begin(&c->layout, pair->before ? LAYOUT_STATE : LAYOUT_FIRST,
		     most);
	if (!rc)
		rc = merge_rows(c, tree, &merged, &stats);
	if (rc)
		return rc;
	*tree = merged;
	*index_bytes += stats.bytes_written;
	*index_bytes -= stats.bytes_replaced < *index_bytes ?
				stats.bytes_replaced :
				*index_bytes;
	return 0;
}

/* ---- operations ------------------------------------------------------- */

static int put_row(struct copy *c, struct row_change *row, struct txn *txn)
{
	struct row_key key = { .len = row->key_len };
	memcpy(key.bytes, row->key, row->key_len);
	if (is_extent_row(row))
		return extent_rows_put(&c->extents, txn, row);
	if (!row->value)
		return txn_delete(txn, &key);
	int rc = copy_row(c, row);
	if (rc)
		return rc;
	return row->value_len ? txn_put(txn, &key, &c->row) :
				txn_put_empty(txn, &key);
}

static int remove_row(struct copy *c, struct row_change *row, struct txn *txn)
{
	return is_extent_row(row) ? extent_rows_remove(&c->extents, txn, row) :
				    0;
}

static int
each_row(struct copy *c, const uint8_t *body, size_t size, struct txn *txn,
	 int (*call)(struct copy *c, struct row_change *row, struct txn *txn))
{
	struct redo_reader in;
	struct operation op;
	struct row_change row;
	int rc = redo_open(&in, body, size, &op);
	while (!rc && (rc = redo_next(&in, &row)) == 0)
		rc = call(c, &row, txn);
	return rc < 0 ? rc : 0;
}

/* All that its EXTENT rows were is removed before they are put: a row may be
 * longer than before, so that those which it covers then are deleted behind it.
 * In the new file it may be several, one of which begins where one of those did. */
static int copy_rows(struct copy *c, const uint8_t *body, size_t size,
		     struct txn *txn)
{
	int rc = each_row(c, body, size, txn, remove_row);
	if (!rc)
		rc = extent_rows_all_removed(&c->extents, txn);
	if (!rc)
		rc = each_row(c, body, size, txn, put_row);
	return rc ? rc : extent_rows_all_put(&c->extents, txn);
}

int copy_operation(struct copy *c, const uint8_t *body, size_t size)
{
	struct redo_reader in;
	struct operation op;
	struct txn *txn = NULL;
	int rc = redo_open(&in, body, size, &op);
	if (!rc)
		rc = store_write_begin(c->next, op.kind, true, &txn);
	if (rc)
		return rc;
	txn->op = op;
	layout_begin(&c->layout, LAYOUT_OPERATION, 0);
	rc = copy_rows(c, body, size, txn);
	/* Its memory is used again for the next one */
	if (!rc && c->layout.used)
		rc = layout_flush(&c->layout);
	layout_forget(&c->layout);
	return store_write_end(c->next, rc);
}
