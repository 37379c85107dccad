/* SPDX-License-Identifier: MIT */
#include "model/extents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* To seek costs as much as some dozen steps: worth it behind extents that were joined
 * of many, which are longer than this. Others have no deleted rows behind them. */
#define LONG_EXTENT 7680u
#define MANY_ROWS 256u
/* Bytes in an EXTENT row, at the most */
#define ROW_BYTES (ROW_ID_LEN + 8u + 30u)

void runs_free(struct runs *r)
{
	free(r->run);
	*r = (struct runs){ 0 };
}

int runs_add(struct runs *r, uint64_t at, const struct extent *e)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 8;
		struct run *run = realloc(r->run, capacity * sizeof(*run));
		if (!run)
			return -ENOMEM;
		r->run = run;
		r->capacity = capacity;
	}
	r->run[r->count++] = (struct run){ at, *e };
	return 0;
}

static uint64_t run_end(const struct run *r)
{
	return r->at + r->e.length;
}

struct run run_part(const struct run *r, uint64_t from, uint64_t to)
{
	struct run part = *r;
	uint64_t begin = from > r->at ? from : r->at;
	uint64_t end = to < run_end(r) ? to : run_end(r);
	assert(begin < end);
	part.at = begin;
	part.e.start = (uint32_t)(r->e.start + (begin - r->at));
	part.e.length = (uint32_t)(end - begin);
	return part;
}

/* ---- iteration -------------------------------------------------------- */

/* Does the cursor stand on an EXTENT row of this value? Decode it. */
static int row_at_cursor(const struct extent_iter *it, struct run *run)
{
	size_t len = 0;
	const uint8_t *key = merged_cursor_key(it->cursor, &len);
	if (len < ROW_ID_LEN || key[0] != ROW_EXTENT ||
	    get_be64(key + 1) != it->data->id)
		return 1;
	if (len != ROW_ID_LEN + 8)
		return -EUCLEAN;
	run->at = get_be64(key + ROW_ID_LEN);
	const uint8_t *value = merged_cursor_value(it->cursor, &len);
	int rc = extent_row_decode(&run->e, value, len);
	if (rc)
		return rc;
	return run->at <= INT64_MAX ? 0 : -EUCLEAN;
}

/* 0: the cursor's row is of this value and has the byte at `from`, 1: not so */
static int row_covers(const struct extent_iter *it, uint64_t from)
{
	struct run run;
	int rc = row_at_cursor(it, &run);
	return rc ? rc : run.at <= from && run_end(&run) > from ? 0 : 1;
}

static int seek_at(struct extent_iter *it, uint64_t at)
{
	struct row_key key;
	row_key_extent(&key, it->data->id, at);
	return merged_cursor_seek(it->cursor, key.bytes, key.len);
}

/* May there be so many deleted rows that to step over them takes long? */
static bool many_in_redo(const struct state *s)
{
	size_t rows = 0;
	for (unsigned i = 0; i < s->merged.tables; i++)
		rows += redo_table_rows(s->merged.table[i].table);
	return rows > MANY_ROWS;
}

/*
 * Where extents have been joined, the deleted rows of the small ones lie
 * between `from` and the row that has it. But that one is the first row of a
 * block: try there. 0, 1 if that did not help, or an error.
 */
static int seek_joined(struct extent_iter *it, uint64_t from)
{
	int rc = 1;
	if (!many_in_redo(it->state))
		return 1;
	for (size_t i = 0; rc == 1 && i < JOIN_BLOCKS; i++) {
		rc = seek_at(it, from - from % join_blocks[i]);
		if (rc == 0)
			rc = row_covers(it, from);
	}
	return rc;
}

/* No extent is longer than a segment: none that begins before `low` has the byte
 * at `from` */
static void set_bounds(struct extent_iter *it, uint64_t from, uint64_t to)
{
	struct row_key key;
	uint64_t low = from > SEGMENT_SIZE ? from - SEGMENT_SIZE : 0;
	row_key_extent(&key, it->data->id, low);
	it->bounds.len = key.len;
	memcpy(it->bounds.low, key.bytes, key.len);
	row_key_extent(&key, it->data->id, to);
	memcpy(it->bounds.high, key.bytes, key.len);
	merged_cursor_between(it->cursor, &it->bounds);
}

/* Stand on the first row that ends behind `from` */
static int seek_row(struct extent_iter *it, uint64_t from)
{
	struct row_key key;
	row_key_extent(&key, it->data->id, from + 1);
	int rc = seek_joined(it, from);
	if (rc == 1) {
		rc = merged_cursor_seek_before(it->cursor, key.bytes, key.len);
		if (rc == 0)
			rc = row_covers(it, from);
	}
	if (rc == 1)
		rc = seek_at(it, from + 1);
	it->at_row = rc == 0;
	return rc < 0 ? rc : 0;
}

static int open_rows(struct extent_iter *it, uint64_t from, uint64_t to)
{
	int rc = merged_cursor_new(&it->state->merged, &it->cursor);
	if (rc)
		return rc;
	set_bounds(it, from, to);
	rc = seek_row(it, from);
	if (rc)
		extent_iter_close(it);
	return rc;
}

int extent_iter_open(struct extent_iter *it, const struct state *s,
		     const struct data *d, uint64_t from, uint64_t to)
{
	*it = (struct extent_iter){ .state = s, .data = d };
	if (d->contents == CONTENTS_ROWS)
		return open_rows(it, from, to);
	while (d->contents == CONTENTS_EXTENTS && it->next < d->extents &&
	       d->extent[it->next].at + d->extent[it->next].e.length <= from)
		it->next++;
	return 0;
}

void extent_iter_close(struct extent_iter *it)
{
	merged_cursor_free(it->cursor);
	it->cursor = NULL;
}

/*
 * Go on from the row before. Where extents were joined the deleted rows of the
 * small ones may still lie between a long one and the next: pass over them.
 */
static int leave_row(struct extent_iter *it)
{
	if (!it->left_behind)
		return 0;
	it->left_behind = false;
	bool step = it->every_row || it->end - it->begin < LONG_EXTENT ||
		    !many_in_redo(it->state);
	int rc = step ? merged_cursor_next(it->cursor) : seek_at(it, it->end);
	it->at_row = rc == 0;
	return rc < 0 ? rc : 0;
}

static int next_row(struct extent_iter *it, struct run *run)
{
	int rc = leave_row(it);
	if (rc)
		return rc;
	if (!it->at_row)
		return 1;
	rc = row_at_cursor(it, run);
	if (rc)
		return rc;
	/* Rows are in order, but only this keeps them from overlapping */
	if (run->at < it->end || run_end(run) > it->data->size)
		return -EUCLEAN;
	it->begin = run->at;
	it->end = run_end(run);
	it->left_behind = true;
	return 0;
}

int extent_iter_next(struct extent_iter *it, struct run *run)
{
	const struct data *d = it->data;
	if (d->contents == CONTENTS_ROWS)
		return next_row(it, run);
	if (d->contents != CONTENTS_EXTENTS || it->next == d->extents)
		return 1;
	*run = (struct run){ d->extent[it->next].at, d->extent[it->next].e };
	it->next++;
	return 0;
}

int extents_collect(const struct state *s, const struct data *d, uint64_t from,
		    uint64_t to, size_t most, struct runs *runs)
{
	struct extent_iter it;
	struct run run;
	int rc = extent_iter_open(&it, s, d, from, to);
	if (rc)
		return rc;
	while ((rc = extent_iter_next(&it, &run)) == 0 && run.at < to) {
		rc = runs->count < most ? runs_add(runs, run.at, &run.e) :
					  -E2BIG;
		if (rc)
			break;
	}
	extent_iter_close(&it);
	return rc < 0 ? rc : 0;
}

/* ---- replacing -------------------------------------------------------- */

static int put_row(struct txn *txn, uint64_t id, const struct run *run)
{
	struct row_key key;
	row_key_extent(&key, id, run->at);
	buf_reset(&txn->scratch);
	extent_encode(&run->e, &txn->scratch);
	if (txn->scratch.failed)
		return -ENOMEM;
	return txn_put(txn, &key, &txn->scratch);
}

static int delete_row(struct txn *txn, uint64_t id, uint64_t at)
{
	struct row_key key;
	row_key_extent(&key, id, at);
	return txn_delete(txn, &key);
}

static int put_rows(struct txn *txn, uint64_t id, const struct runs *runs)
{
	for (size_t i = 0; i < runs->count; i++) {
		int rc = put_row(txn, id, &runs->run[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int delete_rows(struct txn *txn, uint64_t id, const struct runs *runs)
{
	for (size_t i = 0; i < runs->count; i++) {
		int rc = delete_row(txn, id, runs->run[i].at);
		if (rc)
			return rc;
	}
	return 0;
}

/* Cut [from, to) out of the old runs: what stays, in order, goes to *rest */
static int cut(const struct runs *old, uint64_t from, uint64_t to,
	       struct runs *left, struct runs *right)
{
	for (size_t i = 0; i < old->count; i++) {
		const struct run *r = &old->run[i];
		int rc = 0;
		if (r->at < from) {
			struct run part = run_part(r, 0, from);
			rc = runs_add(left, part.at, &part.e);
		}
		if (!rc && run_end(r) > to) {
			struct run part = run_part(r, to, UINT64_MAX);
			rc = runs_add(right, part.at, &part.e);
		}
		if (rc)
			return rc;
	}
	return 0;
}

static int append_runs(struct runs *to, const struct runs *from)
{
	for (size_t i = 0; i < from->count; i++) {
		int rc = runs_add(to, from->run[i].at, &from->run[i].e);
		if (rc)
			return rc;
	}
	return 0;
}

static uint64_t runs_bytes(const struct runs *r)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < r->count; i++)
		sum += r->run[i].e.length;
	return sum;
}

/* These are all the extents of the value: put them where they fit */
static int place(struct txn *txn, struct data *d, const struct runs *all)
{
	d->stored = runs_bytes(all);
	d->extents = 0;
	if (all->count > EXTENTS_IN_ROW) {
		d->contents = CONTENTS_ROWS;
		int fits = txn_fits(txn, all->count, ROW_BYTES);
		return fits ? fits : put_rows(txn, d->id, all);
	}
	d->contents = all->count ? CONTENTS_EXTENTS : CONTENTS_NONE;
	for (size_t i = 0; i < all->count; i++) {
		d->extent[i].at = all->run[i].at;
		d->extent[i].e = all->run[i].e;
		d->extents++;
	}
	return 0;
}

static int replace_in_data(struct txn *txn, struct data *d, uint64_t from,
			   uint64_t to, const struct runs *runs)
{
	struct runs old = { 0 };
	struct runs right = { 0 };
	struct runs all = { 0 };
	int rc = extents_collect(&txn->state, d, 0, UINT64_MAX, EXTENTS_IN_ROW,
				 &old);
	if (!rc)
		rc = cut(&old, from, to, &all, &right);
	if (!rc)
		rc = append_runs(&all, runs);
	if (!rc)
		rc = append_runs(&all, &right);
	if (!rc)
		rc = place(txn, d, &all);
	runs_free(&old);
	runs_free(&right);
	runs_free(&all);
	return rc;
}

/* `fresh` take the place of `old`, which have rows */
static int swap_rows(struct txn *txn, struct data *d, const struct runs *old,
		     const struct runs *fresh)
{
	int rc = txn_fits(txn, old->count + fresh->count, ROW_BYTES);
	if (!rc)
		rc = delete_rows(txn, d->id, old);
	if (!rc)
		rc = put_rows(txn, d->id, fresh);
	if (rc)
		return rc;
	/* A hostile file may understate what it has stored */
	uint64_t stored = d->stored + runs_bytes(fresh);
	uint64_t gone = runs_bytes(old);
	d->stored = stored > gone ? stored - gone : 0;
	if (d->stored == 0)
		d->contents = CONTENTS_NONE;
	return 0;
}

/* The same, and `old` are all that there are: few new ones need no rows */
static int swap_all(struct txn *txn, struct data *d, const struct runs *old,
		    const struct runs *fresh)
{
	int rc = txn_fits(txn, old->count + fresh->count, ROW_BYTES);
	if (!rc)
		rc = delete_rows(txn, d->id, old);
	return rc ? rc : place(txn, d, fresh);
}

static int replace_in_rows(struct txn *txn, struct data *d, uint64_t from,
			   uint64_t to, const struct runs *runs)
{
	struct runs old = { 0 };
	struct runs right = { 0 };
	struct runs fresh = { 0 };
	int rc = extents_collect(&txn->state, d, from, to,
				 EXTENTS_PER_OPERATION, &old);
	if (!rc)
		rc = cut(&old, from, to, &fresh, &right);
	if (!rc)
		rc = append_runs(&fresh, runs);
	if (!rc)
		rc = append_runs(&fresh, &right);
	if (!rc)
		rc = from == 0 && to >= d->size ?
			     swap_all(txn, d, &old, &fresh) :
			     swap_rows(txn, d, &old, &fresh);
	runs_free(&old);
	runs_free(&right);
	runs_free(&fresh);
	return rc;
}

int extents_replace(struct txn *txn, struct data *d, uint64_t from, uint64_t to,
		    const struct runs *runs)
{
	if (from >= to)
		return 0;
	if (d->contents == CONTENTS_ROWS)
		return replace_in_rows(txn, d, from, to, runs);
	return replace_in_data(txn, d, from, to, runs);
}

int extents_share(struct txn *txn, struct data *d, const struct runs *runs)
{
	/* Here, and as many again where they are shared */
	int fits = txn_fits(txn, 2 * runs->count, ROW_BYTES);
	if (fits)
		return fits;
	if (d->contents == CONTENTS_EXTENTS) {
		for (size_t i = 0; i < runs->count; i++)
			for (uint32_t k = 0; k < d->extents; k++)
				if (d->extent[k].at == runs->run[i].at)
					d->extent[k].e.shared = true;
		return 0;
	}
	for (size_t i = 0; i < runs->count; i++) {
		struct run run = runs->run[i];
		if (run.e.shared)
			continue;
		run.e.shared = true;
		int rc = put_row(txn, d->id, &run);
		if (rc)
			return rc;
	}
	return 0;
}
