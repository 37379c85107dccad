/* SPDX-License-Identifier: MIT */
#include "vacuum/extent_rows.h"

#include <errno.h>
#include <stdlib.h>

/* First byte of the rows that note lengths, in the store of the map */
#define ROW_LENGTH 0x7du
/* A group ends when it has so many rows: there may be no end of them */
#define GROUP_ROWS 1024u
/* No more than a few wait in an honest file: those of one old row, or of a group */
#define WAITING_MAX 65536u

int extent_rows_open(struct extent_rows *x, struct layout *layout)
{
	*x = (struct extent_rows){ .layout = layout };
	x->group = malloc(GROUP_ROWS * sizeof(*x->group));
	return x->group ? 0 : -ENOMEM;
}

void extent_rows_close(struct extent_rows *x)
{
	free(x->group);
	free(x->waiting);
	buf_free(&x->value);
}

/* ---- old rows --------------------------------------------------------- */

/* An old row; without a value length is 0 */
struct change {
	uint64_t id;
	struct run run;
};

static int read_change(const uint8_t *key, size_t key_len, const uint8_t *value,
		       size_t value_len, struct change *c)
{
	*c = (struct change){ 0 };
	if (key_len != ROW_ID_LEN + 8)
		return -EUCLEAN;
	c->id = get_be64(key + 1);
	c->run.at = get_be64(key + ROW_ID_LEN);
	if (c->run.at > INT64_MAX)
		return -EUCLEAN;
	return value ? extent_row_decode(&c->run.e, value, value_len) : 0;
}

static uint64_t run_end(const struct run *r)
{
	return r->at + r->e.length;
}

static void length_key(uint64_t id, uint64_t at, struct row_key *key)
{
	row_key_extent(key, id, at);
	key->bytes[0] = ROW_LENGTH;
}

static int note_length(struct extent_rows *x, const struct old_row *row)
{
	struct row_key key;
	uint8_t length[4];
	length_key(x->id, row->at, &key);
	put_le32(length, row->length);
	return rebuild_put(&x->layout->map.rows, &key, length, sizeof(length));
}

/* Forget the note: 0, and *length is what it said; 1: there is none; or an error */
static int take_length(struct extent_rows *x, uint64_t id, uint64_t at,
		       uint32_t *length)
{
	struct rebuild *notes = &x->layout->map.rows;
	struct row_key key;
	length_key(id, at, &key);
	int rc = rebuild_get(notes, &key, &x->value);
	if (rc)
		return rc == -ENOENT ? 1 : rc;
	*length = get_le32(x->value.data);
	return rebuild_delete(notes, &key);
}

/* ---- groups ----------------------------------------------------------- */

/* Note the old rows of the group that are not the same now */
static int note_lengths(struct extent_rows *x)
{
	const struct runs *out = &x->layout->out;
	size_t k = 0;
	int rc = 0;
	for (size_t i = 0; !rc && i < x->count; i++) {
		const struct old_row *row = &x->group[i];
		while (k < out->count && out->run[k].at < row->at)
			k++;
		if (k == out->count || out->run[k].at != row->at ||
		    out->run[k].e.length != row->length)
			rc = note_length(x, row);
	}
	return rc;
}

/* Where it is now is in layout->out then */
static int settle_group(struct extent_rows *x)
{
	int rc = layout_end(x->layout);
	if (!rc)
		rc = note_lengths(x);
	x->count = 0;
	return rc;
}

static bool group_goes_on(const struct extent_rows *x, const struct change *c)
{
	return x->count && c->run.e.length && c->id == x->id &&
	       c->run.at == x->end;
}

/* Does it end here? */
static bool group_is_full(const struct extent_rows *x)
{
	return layout_is_settled(x->layout) || x->count == GROUP_ROWS;
}

static int add_to_group(struct extent_rows *x, const struct run *run)
{
	if (!x->count)
		layout_start(x->layout);
	x->group[x->count++] = (struct old_row){ run->at, run->e.length };
	x->end = run_end(run);
	return layout_add(x->layout, run);
}

/* ---- new rows that wait, in a state ----------------------------------- */

void extent_rows_begin(struct extent_rows *x, struct cache *cache,
		       const struct tree *before)
{
	x->tree = (struct merged){ .cache = cache, .tree = *before };
	x->id = 0;
	x->end = 0;
	x->count = 0;
	x->tail.e.length = 0;
	x->waiting_count = 0;
	x->first = 0;
	x->ready = 0;
	x->last.len = 0;
}

static int grow_waiting(struct extent_rows *x)
{
	if (x->first) {
		x->waiting_count -= x->first;
		memmove(x->waiting, x->waiting + x->first,
			x->waiting_count * sizeof(*x->waiting));
		x->first = 0;
	}
	if (x->waiting_count < x->waiting_max)
		return 0;
	if (x->waiting_count >= WAITING_MAX)
		return -EUCLEAN;
	size_t max = x->waiting_max ? 2 * x->waiting_max : 64;
	struct new_row *more = realloc(x->waiting, max * sizeof(*more));
	if (!more)
		return -ENOMEM;
	x->waiting = more;
	x->waiting_max = max;
	return 0;
}

/* Behind this one goes a row with such a key; of the value whose rows come */
static size_t place_of(const struct extent_rows *x, uint64_t at)
{
	size_t i = x->waiting_count;
	while (i > x->first && x->waiting[i - 1].id == x->id &&
	       x->waiting[i - 1].at > at)
		i--;
	return i;
}

/* e: NULL: the row is deleted, unless it is put as well */
static int add_waiting(struct extent_rows *x, uint64_t at,
		       const struct extent *e)
{
	const struct new_row row = { .id = x->id,
				     .at = at,
				     .put = e,
				     .e = e ? *e : (struct extent){ 0 } };
	size_t i = place_of(x, at);
	if (i > x->first && x->waiting[i - 1].id == x->id &&
	    x->waiting[i - 1].at == at) {
		/* Two that are put: of a hostile file */
		if (e && x->waiting[i - 1].put)
			return -EUCLEAN;
		if (e)
			x->waiting[i - 1] = row;
		return 0;
	}
	if (x->waiting_count == x->waiting_max) {
		int rc = grow_waiting(x);
		if (rc)
			return rc;
		i = place_of(x, at);
	}
	memmove(x->waiting + i + 1, x->waiting + i,
		(x->waiting_count - i) * sizeof(*x->waiting));
	x->waiting[i] = row;
	x->waiting_count++;
	return 0;
}

static bool is_ready(const struct extent_rows *x)
{
	if (x->first == x->waiting_count)
		return false;
	const struct new_row *next = &x->waiting[x->first];
	return next->id != x->id || next->at < x->ready;
}

int extent_rows_next(struct extent_rows *x, struct row_change *row)
{
	struct row_key key;
	if (!is_ready(x))
		return 1;
	const struct new_row *next = &x->waiting[x->first++];
	row_key_extent(&key, next->id, next->at);
	if (compare_bytes(x->last.bytes, x->last.len, key.bytes, key.len) >= 0)
		return -EUCLEAN;
	row_key_extent(&x->last, next->id, next->at);
	*row = (struct row_change){ .key = x->last.bytes, .key_len = key.len };
	if (next->put) {
		buf_reset(&x->value);
		extent_encode(&next->e, &x->value);
		row->value = x->value.data;
		row->value_len = x->value.len;
	}
	return x->value.failed ? -ENOMEM : 0;
}

/* ---- cutting, in a state ---------------------------------------------- */

static int read_new_row(const struct extent_rows *x,
			const struct merged_cursor *cursor, struct run *run)
{
	size_t key_len = 0, len = 0;
	const uint8_t *key = merged_cursor_key(cursor, &key_len);
	const uint8_t *value = merged_cursor_value(cursor, &len);
	struct change c;
	if (!key_len || key[0] != ROW_EXTENT)
		return 1;
	int rc = read_change(key, key_len, value, len, &c);
	*run = c.run;
	return rc ? rc : c.id == x->id ? 0 : 1;
}

/* The new row that has this byte of an old one */
static int find_new_row(const struct extent_rows *x, const struct merged *in,
			uint64_t byte, struct run *run)
{
	struct merged_cursor *cursor = NULL;
	struct row_key key;
	row_key_extent(&key, x->id, byte + 1);
	int rc = merged_cursor_new(in, &cursor);
	if (!rc) {
		merged_cursor_within(cursor, key.bytes, ROW_ID_LEN);
		rc = merged_cursor_seek_before(cursor, key.bytes, key.len);
	}
	if (!rc)
		rc = read_new_row(x, cursor, run);
	merged_cursor_free(cursor);
	if (rc < 0)
		return rc;
	return rc || run_end(run) <= byte ? -EUCLEAN : 0;
}

/* Let what is left of a new row wait, up to `at` */
static int pass_tail(struct extent_rows *x, uint64_t at)
{
	struct run *tail = &x->tail;
	if (!tail->e.length || tail->at >= at)
		return 0;
	struct run part = run_part(tail, tail->at, at);
	if (run_end(tail) > at)
		*tail = run_part(tail, at, UINT64_MAX);
	else
		tail->e.length = 0;
	return add_waiting(x, part.at, &part.e);
}

/* The new row that has this byte is no more, and becomes the tail */
static int begin_tail(struct extent_rows *x, uint64_t byte)
{
	struct run run;
	int rc = find_new_row(x, &x->tree, byte, &run);
	if (!rc)
		rc = add_waiting(x, run.at, NULL);
	if (rc)
		return rc;
	x->tail = run;
	return pass_tail(x, byte);
}

static int cut_out(struct extent_rows *x, uint64_t from, uint64_t to)
{
	struct run *tail = &x->tail;
	while (from < to) {
		int rc = tail->e.length ? 0 : begin_tail(x, from);
		if (!rc && tail->at != from)
			rc = -EUCLEAN;
		if (rc)
			return rc;
		from = run_end(tail);
		if (from > to)
			*tail = run_part(tail, to, UINT64_MAX);
		else
			tail->e.length = 0;
	}
	return 0;
}

/* ---- in a state ------------------------------------------------------- */

static int end_group(struct extent_rows *x)
{
	const struct runs *out = &x->layout->out;
	if (!x->count)
		return 0;
	int rc = settle_group(x);
	for (size_t i = 0; !rc && i < out->count; i++)
		rc = add_waiting(x, out->run[i].at, &out->run[i].e);
	return rc;
}

/* All of its new rows are ready */
static int end_value(struct extent_rows *x)
{
	int rc = end_group(x);
	if (!rc)
		rc = pass_tail(x, UINT64_MAX);
	x->ready = UINT64_MAX;
	return rc;
}

/* What the row was in the state before, if there was one, is no more */
static int remove_old(struct extent_rows *x, uint64_t at)
{
	uint32_t length = 0;
	int rc = take_length(x, x->id, at, &length);
	if (rc)
		return rc < 0 ? rc : add_waiting(x, at, NULL);
	return cut_out(x, at, at + length);
}

static int put_new(struct extent_rows *x, const struct run *run)
{
	/* Rows of a hostile file overlap */
	if (run->at < x->end)
		return -EUCLEAN;
	int rc = add_to_group(x, run);
	return rc || !group_is_full(x) ? rc : end_group(x);
}

int extent_rows_change(struct extent_rows *x, const struct row_change *row)
{
	struct change c;
	int rc = read_change(row->key, row->key_len, row->value, row->value_len,
			     &c);
	if (!rc && c.id != x->id) {
		rc = end_value(x);
		x->id = c.id;
		x->end = 0;
	} else if (!rc) {
		if (!group_goes_on(x, &c))
			rc = end_group(x);
		if (!rc)
			rc = pass_tail(x, c.run.at);
	}
	x->ready = x->count ? x->group[0].at : c.run.at;
	if (!rc && x->layout->source != LAYOUT_FIRST)
		rc = remove_old(x, c.run.at);
	if (!rc && row->value)
		rc = put_new(x, &c.run);
	return rc;
}

bool extent_rows_pending(const struct extent_rows *x)
{
	return x->count || x->tail.e.length || x->first < x->waiting_count;
}

int extent_rows_end(struct extent_rows *x)
{
	return end_value(x);
}

/* ---- in an operation -------------------------------------------------- */

static int put_run(struct txn *txn, uint64_t id, const struct run *run)
{
	struct row_key key;
	row_key_extent(&key, id, run->at);
	buf_reset(&txn->scratch);
	extent_encode(&run->e, &txn->scratch);
	return txn->scratch.failed ? -ENOMEM :
				     txn_put(txn, &key, &txn->scratch);
}

/* What the new row has outside of the bytes stays */
static int cut_row(const struct extent_rows *x, struct txn *txn,
		   const struct run *run)
{
	struct row_key key;
	row_key_extent(&key, x->id, run->at);
	int rc = txn_delete(txn, &key);
	if (!rc && run->at < x->cut_from) {
		struct run left = run_part(run, 0, x->cut_from);
		rc = put_run(txn, x->id, &left);
	}
	if (!rc && run_end(run) > x->cut_to) {
		struct run right = run_part(run, x->cut_to, UINT64_MAX);
		rc = put_run(txn, x->id, &right);
	}
	return rc;
}

int extent_rows_all_removed(struct extent_rows *x, struct txn *txn)
{
	uint64_t at = x->cut_from;
	int rc = 0;
	while (!rc && at < x->cut_to) {
		struct run run;
		rc = find_new_row(x, &txn->state.merged, at, &run);
		if (!rc)
			rc = cut_row(x, txn, &run);
		if (!rc)
			at = run_end(&run);
	}
	x->cut_from = x->cut_to = 0;
	return rc;
}

int extent_rows_remove(struct extent_rows *x, struct txn *txn,
		       const struct row_change *row)
{
	struct row_key key;
	struct change c;
	uint32_t length = 0;
	int rc = read_change(row->key, row->key_len, NULL, 0, &c);
	if (!rc)
		rc = take_length(x, c.id, c.run.at, &length);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		/* Also if it is put: in the new file another row may then have
		 * its bytes, one that begins before it */
		row_key_extent(&key, c.id, c.run.at);
		return txn_delete(txn, &key);
	}
	if (c.id != x->id || c.run.at != x->cut_to) {
		rc = extent_rows_all_removed(x, txn);
		x->id = c.id;
		x->cut_from = c.run.at;
	}
	x->cut_to = c.run.at + length;
	return rc;
}

int extent_rows_all_put(struct extent_rows *x, struct txn *txn)
{
	const struct runs *out = &x->layout->out;
	if (!x->count)
		return 0;
	int rc = settle_group(x);
	for (size_t i = 0; !rc && i < out->count; i++)
		rc = put_run(txn, x->id, &out->run[i]);
	return rc;
}

int extent_rows_put(struct extent_rows *x, struct txn *txn,
		    const struct row_change *row)
{
	struct change c;
	if (!row->value)
		return 0;
	int rc = read_change(row->key, row->key_len, row->value, row->value_len,
			     &c);
	if (!rc && !group_goes_on(x, &c))
		rc = extent_rows_all_put(x, txn);
	if (rc)
		return rc;
	x->id = c.id;
	rc = add_to_group(x, &c.run);
	return rc || !group_is_full(x) ? rc : extent_rows_all_put(x, txn);
}
