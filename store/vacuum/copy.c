/* SPDX-License-Identifier: MIT */
#include "vacuum/copy.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/budget.h"
#include "engine/freeze.h"
#include "engine/write.h"
#include "model/snapshots.h"
#include "model/xattr.h"
#include "table/merged_diff.h"
#include "vacuum/rows_ahead.h"

/* The memory of the map, and of its tables */
#define MAP_CACHE (8u << 20)
/* No payload is longer */
#define BUFFER_SIZE SEGMENT_SIZE

int copy_open(struct copy *c, struct file *from, struct store *next,
	      struct file *scratch, const struct states *states,
	      copy_pace *pace, void *arg)
{
	*c = (struct copy){ .from = from,
			    .next = next,
			    .states = states,
			    .pace = pace,
			    .arg = arg };
	int rc = extent_map_open(&c->map, scratch, MAP_CACHE);
	c->buffer = rc ? NULL : malloc(BUFFER_SIZE);
	return rc || c->buffer ? rc : -ENOMEM;
}

void copy_close(struct copy *c)
{
	extent_map_close(&c->map);
	free(c->buffer);
	buf_free(&c->row);
}

/* ---- values ----------------------------------------------------------- */

static int flush(struct copy *c)
{
	struct log *log = c->next->volume->log;
	uint64_t bytes = c->used;
	int rc = log_flush(log);
	c->used = 0;
	return rc ? rc : c->pace(c->arg, bytes);
}

/* Copy the bytes of an extent, to an extent that nobody shares yet */
static int copy_bytes(struct copy *c, const struct extent *e,
		      struct extent *fresh)
{
	struct log_place place;
	int rc = 0;
	if (e->length > BUFFER_SIZE - c->used)
		rc = flush(c);
	uint8_t *to = c->buffer + c->used;
	if (!rc)
		rc = log_read_payload(c->from, e->payload, e->payload_len,
				      e->sum, e->start, e->length, to);
	if (!rc)
		rc = log_stage_payload(c->next->volume->log, RECORD_EXTENT, to,
				       e->length, true, &place);
	if (rc)
		return rc;
	c->used += e->length;
	*fresh = (struct extent){ .payload = place.payload,
				  .payload_len = e->length,
				  .sum = place.sum,
				  .length = e->length };
	return 0;
}

/* What is done about a row */
enum pass {
	PASS_NOTE, /* only note what is shared, and not there yet */
	PASS_FIRST, /* of the first state */
	PASS_NEXT, /* of another: its values may have been copied before */
	PASS_AGAIN, /* of an operation: likewise */
};

static int note_shared(struct copy *c);

/* Copy the extent, and all around it that is shared as well */
static int copy_around(struct copy *c, const struct extent *e, enum pass pass,
		       struct extent *fresh)
{
	struct extent all = *e;
	bool of_state = pass != PASS_AGAIN;
	int rc = 0;
	if (of_state && e->shared) {
		rc = note_shared(c);
		if (!rc)
			rc = extent_map_around(&c->map, e, &all);
	}
	/* Of a hostile file: values made of the same bytes over and over */
	if (!rc && of_state && all.length > c->most - c->values)
		rc = -EUCLEAN;
	if (!rc && of_state)
		c->values += all.length;
	if (!rc)
		rc = copy_bytes(c, &all, fresh);
	if (!rc)
		rc = extent_map_add(&c->map, &all, fresh);
	if (rc)
		return rc;
	fresh->start += e->start - all.start;
	fresh->length = e->length;
	return 0;
}

static int copy_extent(struct copy *c, struct extent *e, enum pass pass)
{
	struct extent fresh;
	int rc = 1;
	if (pass == PASS_NOTE && !e->shared)
		return 0;
	if (pass != PASS_FIRST || e->shared)
		rc = extent_map_find(&c->map, e, &fresh);
	if (pass == PASS_NOTE)
		return rc > 0 ? extent_map_note(&c->map, e) : rc;
	if (rc > 0)
		rc = copy_around(c, e, pass, &fresh);
	if (rc)
		return rc;
	fresh.shared = e->shared;
	*e = fresh;
	return 0;
}

/* ---- rows ------------------------------------------------------------- */

/* The row's value, with what it refers to in the new file, into c->row */
static int copy_data(struct copy *c, struct data *d, enum pass pass)
{
	int rc = 0;
	if (d->contents == CONTENTS_EXTENTS)
		for (uint32_t i = 0; !rc && i < d->extents; i++)
			rc = copy_extent(c, &d->extent[i].e, pass);
	return rc ? rc : data_encode(d, &c->row);
}

static int copy_name_row(struct copy *c, const struct row_change *row,
			 enum pass pass)
{
	struct name_row name;
	struct data d;
	int rc = name_row_decode(&name, &d, row->value, row->value_len);
	if (rc)
		return rc;
	return name.embedded ? copy_data(c, &d, pass) :
			       buf_set(&c->row, row->value, row->value_len);
}

static int copy_data_row(struct copy *c, const struct row_change *row,
			 enum pass pass)
{
	struct data d;
	int rc = data_decode(&d, row->value, row->value_len);
	return rc ? rc : copy_data(c, &d, pass);
}

static int copy_extent_row(struct copy *c, const struct row_change *row,
			   enum pass pass)
{
	struct extent e;
	int rc = extent_row_decode(&e, row->value, row->value_len);
	if (!rc)
		rc = copy_extent(c, &e, pass);
	if (rc)
		return rc;
	buf_reset(&c->row);
	extent_encode(&e, &c->row);
	return c->row.failed ? -ENOMEM : 0;
}

static int copy_xattr_row(struct copy *c, const struct row_change *row,
			  enum pass pass)
{
	struct extent e[XATTR_EXTENTS_MAX];
	struct runs runs = { 0 };
	int count = xattr_extents(row->value, row->value_len, e);
	int rc = count < 0 ? count : 0;
	if (!count)
		return buf_set(&c->row, row->value, row->value_len);
	for (int i = 0; !rc && i < count; i++) {
		rc = copy_extent(c, &e[i], pass);
		if (!rc)
			rc = runs_add(&runs, 0, &e[i]);
	}
	buf_reset(&c->row);
	if (!rc)
		rc = xattr_put_extents(&runs, &c->row);
	runs_free(&runs);
	return rc;
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

/* Let *row, which is not a deletion, have the value that it has in the new
 * file. It is valid until the next one. */
static int copy_row(struct copy *c, struct row_change *row, enum pass pass)
{
	int rc = -EUCLEAN;
	switch (row->key_len ? row->key[0] : 0) {
	case ROW_NAME:
		rc = copy_name_row(c, row, pass);
		break;
	case ROW_DATA:
		rc = copy_data_row(c, row, pass);
		break;
	case ROW_EXTENT:
		rc = copy_extent_row(c, row, pass);
		break;
	case ROW_XATTR:
		rc = copy_xattr_row(c, row, pass);
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
	enum pass pass;
	struct merged before, after;
	struct merged_cursor *cursor;
	struct merged_diff *diff; /* NULL: all, by the cursor */
	bool begun; /* the cursor is at a row */
	bool snapshots; /* it goes over their rows now */
	bool last; /* see struct state_pair */
	struct rows_ahead ahead; /* of those that are copied */
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

static int open_rows(struct rows *r, struct copy *c, enum pass pass)
{
	const struct state_pair *p = c->rows;
	*r = (struct rows){ .c = c, .pass = pass, .last = p->last };
	rows_ahead_init(&r->ahead, c->from, find_row, r);
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

static int next_row(void *arg, struct row_change *row)
{
	struct rows *r = arg;
	int rc = rows_ahead_next(&r->ahead, row);
	return rc || !row->value ? rc : copy_row(r->c, row, r->pass);
}

/* Rows between two times of asking */
#define NOTE_ROWS 4096u

/* When the first extent is met that is shared: most databases have none, and
 * need not be read twice */
static int note_shared(struct copy *c)
{
	struct rows rows;
	struct row_change row;
	if (c->noted)
		return 0;
	c->noted = true;
	int rc = open_rows(&rows, c, PASS_NOTE);
	/* Their freezes may not be there yet */
	rows.last = false;
	for (unsigned n = 1; !rc && (rc = find_row(&rows, &row)) == 0; n++) {
		if (row.value)
			rc = copy_row(c, &row, PASS_NOTE);
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
	uint64_t bytes = c->used + size;
	c->used = 0;
	if (!rc)
		rc = freeze_write_run(c->next, run, size, offset);
	log_begin(log, true);
	return rc ? rc : c->pace(c->arg, bytes);
}

int copy_tree(struct copy *c, const struct state_pair *pair, struct tree *tree,
	      uint64_t *index_bytes)
{
	struct rows rows;
	struct merge_source source = { next_row, &rows };
	struct node_sink sink = { write_run, c, FREEZE_RUN,
				  budget_leaf(c->next->cache_limit) };
	struct merge_stats stats = { 0 };
	struct tree merged = { 0 };
	c->rows = pair;
	c->noted = false;
	c->values = 0;
	/* Now, so that all values of the state are in there */
	int rc = file_size(c->from, &c->most);
	if (!rc)
		rc = open_rows(&rows, c, pair->before ? PASS_NEXT : PASS_FIRST);
	else
		rows = (struct rows){ 0 };
	if (!rc) {
		log_begin(c->next->volume->log, true);
		rc = btree_merge(c->next->cache, tree, &source, &sink, &merged,
				 &stats);
		/* Values of no tree: all of theirs is in the log before its
		 * root */
		if (rc)
			log_abort(c->next->volume->log);
		else
			rc = log_commit(c->next->volume->log);
	}
	c->used = 0;
	close_rows(&rows);
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
	if (!row->value)
		return txn_delete(txn, &key);
	int rc = copy_row(c, row, PASS_AGAIN);
	/* The buffer is used again for the next one */
	if (!rc && c->used)
		rc = flush(c);
	if (rc)
		return rc;
	return row->value_len ? txn_put(txn, &key, &c->row) :
				txn_put_empty(txn, &key);
}

static int copy_rows(struct copy *c, struct redo_reader *in, struct txn *txn)
{
	struct row_change row;
	int rc;
	while ((rc = redo_next(in, &row)) == 0) {
		rc = put_row(c, &row, txn);
		if (rc)
			return rc;
	}
	return rc < 0 ? rc : 0;
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
	rc = copy_rows(c, &in, txn);
	c->used = 0;
	return store_write_end(c->next, rc);
}
