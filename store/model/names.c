/* SPDX-License-Identifier: MIT */
#include "model/names.h"

#include <errno.h>

#include "model/extents.h"

/* Rows that one operation sweeps of a Data that goes; more are left to later */
#define SWEEP_MAX 10000u
/* With so many rows beside its own a Data is left to a sweep */
#define DROP_MAX (SWEEP_MAX / 2)

/* ---- finding ---------------------------------------------------------- */

int names_data(const struct state *s, uint64_t id, struct located *l)
{
	struct row_key key;
	struct row_value value;
	int rc = 0;
	if (s->space && s->space->id == id) {
		l->d = *s->space;
	} else {
		row_key_data(&key, id);
		rc = state_get(s, &key, &value);
		if (!rc)
			rc = data_decode(&l->d, value.bytes, value.len);
	}
	if (!rc && l->d.id != id)
		rc = -EUCLEAN;
	if (!rc)
		location_set(&l->at, 0, NULL, 0);
	return rc;
}

int names_embedded(const struct merged_cursor *rows, uint64_t *id)
{
	struct name_row row;
	size_t len = 0;
	const uint8_t *value = merged_cursor_value(rows, &len);
	int rc = name_row_decode(&row, NULL, value, len);
	if (rc || !row.embedded)
		return rc ? rc : 1;
	*id = row.id;
	return 0;
}

int names_home(const struct merged_cursor *rows, struct location *at)
{
	struct name n;
	size_t len = 0;
	const uint8_t *key = merged_cursor_key(rows, &len);
	if (!name_row_key(key, len, &n))
		return -EUCLEAN;
	location_set(at, n.space, n.bytes, n.len);
	return 0;
}

int names_row(const struct state *s, const struct name *n, struct name_row *row,
	      struct located *l)
{
	struct row_key key;
	struct row_value value;
	if (n->len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	row_key_name(&key, n->space, n->bytes, n->len);
	int rc = state_get(s, &key, &value);
	if (!rc)
		rc = name_row_decode(row, &l->d, value.bytes, value.len);
	if (!rc && row->embedded)
		location_set(&l->at, n->space, n->bytes, n->len);
	return rc;
}

int names_lookup(const struct state *s, const struct name *n, struct located *l)
{
	struct name_row row;
	int rc = names_row(s, n, &row, l);
	if (rc || row.embedded)
		return rc;
	rc = names_data(s, row.id, l);
	return rc == -ENOENT ? -EUCLEAN : rc;
}

int data_load(const struct state *s, uint64_t id, const struct home *at,
	      struct located *l)
{
	struct name_row row;
	struct name n = { at->space, at->name, at->len };
	int rc = n.space ? names_row(s, &n, &row, l) : names_data(s, id, l);
	if (!rc && n.space && (!row.embedded || row.id != id))
		rc = -ENOENT;
	return rc == -ENOENT ? -ESTALE : rc;
}

int names_space(const struct state *s, uint64_t id, struct data *d)
{
	struct located l;
	int rc = names_data(s, id, &l);
	/* Every space has a row of its own: without one it is something else */
	if (rc == -ENOENT || (!rc && !data_is_space(&l.d)))
		rc = -ENOTDIR;
	if (rc)
		return rc;
	*d = l.d;
	return 0;
}

/* ---- writing rows ----------------------------------------------------- */

static int put_data_row(struct txn *txn, const struct data *d)
{
	struct row_key key;
	if (data_is_space(d))
		return txn_put_space(txn, d);
	row_key_data(&key, d->id);
	int rc = data_encode(d, &txn->scratch);
	return rc ? rc : txn_put(txn, &key, &txn->scratch);
}

static int put_embedded(struct txn *txn, const struct name *n,
			const struct data *d)
{
	struct row_key key;
	row_key_name(&key, n->space, n->bytes, n->len);
	int rc = data_encode(d, &txn->scratch);
	return rc ? rc : txn_put(txn, &key, &txn->scratch);
}

static int put_reference(struct txn *txn, const struct name *n,
			 const struct data *d)
{
	struct row_key key;
	row_key_name(&key, n->space, n->bytes, n->len);
	int rc = reference_encode(d->id, d->mode, &txn->scratch);
	if (!rc)
		rc = txn_put(txn, &key, &txn->scratch);
	row_key_link(&key, d->id, n->space, n->bytes, n->len);
	return rc ? rc : txn_put_empty(txn, &key);
}

static int delete_name(struct txn *txn, const struct name *n)
{
	struct row_key key;
	row_key_name(&key, n->space, n->bytes, n->len);
	return txn_delete(txn, &key);
}

static int delete_link(struct txn *txn, uint64_t id, const struct name *n)
{
	struct row_key key;
	row_key_link(&key, id, n->space, n->bytes, n->len);
	return txn_delete(txn, &key);
}

static int put_orphan(struct txn *txn, uint64_t id)
{
	struct row_key key;
	row_key_orphan(&key, id);
	return txn_put_empty(txn, &key);
}

static int delete_id_row(struct txn *txn, enum row_type type, uint64_t id)
{
	struct row_key key;
	row_key_id(&key, type, id);
	return txn_delete(txn, &key);
}

int data_save(struct txn *txn, const struct located *l)
{
	struct name n = { l->at.space, l->at.name, l->at.len };
	return n.space ? put_embedded(txn, &n, &l->d) :
			 put_data_row(txn, &l->d);
}

/*
 * The key space as the operation has made it so far, read once: the first one that is
 * wanted stays in txn->space, others come into *room.
 */
static int own_space(struct txn *txn, uint64_t id, struct data *room,
		     struct data **space)
{
	bool taken = txn->state.space || txn->read;
	*space = &txn->space;
	if (taken && txn->space.id == id)
		return 0;
	if (taken)
		*space = room;
	int rc = names_space(&txn->state, id, *space);
	if (!rc && !taken)
		txn->read = id;
	return rc;
}

/* A key space has got or lost a key, and maybe a key space below it */
static int touch_space(struct txn *txn, uint64_t id, int spaces)
{
	struct data room;
	struct data *space = NULL;
	int rc = own_space(txn, id, &room, &space);
	if (rc)
		return rc;
	if (space->flags & BANYAN_IMMUTABLE)
		return -EPERM;
	space->ctime = txn_time(txn, space->ctime);
	space->mtime = txn->now;
	if (spaces > 0 || space->nlink > 2)
		space->nlink = (uint32_t)((int64_t)space->nlink + spaces);
	return txn_put_space(txn, space);
}

static void touch(const struct txn *txn, struct data *d)
{
	d->ctime = txn_time(txn, d->ctime);
}

/* ---- making keys ------------------------------------------------------ */

int names_check_new(struct txn *txn, const struct name *n)
{
	struct row_key key;
	struct row_value value;
	struct data room;
	struct data *space = NULL;
	int rc = name_check(n->space, n->bytes, n->len);
	if (!rc)
		rc = own_space(txn, n->space, &room, &space);
	if (!rc && space->nlink == 0)
		rc = -ENOENT;
	if (!rc)
		rc = data_may_write(space, 0);
	if (rc)
		return rc;
	row_key_name(&key, n->space, n->bytes, n->len);
	rc = state_get(&txn->state, &key, &value);
	if (rc == -ENOENT)
		return 0;
	return rc ? rc : -EEXIST;
}

int names_insert(struct txn *txn, const struct name *n, const struct data *d)
{
	/* First the space, which may be immutable */
	int rc = touch_space(txn, n->space, data_is_space(d));
	if (rc)
		return rc;
	txn->op.keys++;
	txn->op.live += (int64_t)d->stored;
	if (!data_is_space(d))
		return put_embedded(txn, n, d);
	rc = put_reference(txn, n, d);
	return rc ? rc : put_data_row(txn, d);
}

int names_insert_unnamed(struct txn *txn, const struct data *d)
{
	txn->op.live += (int64_t)d->stored;
	int rc = put_data_row(txn, d);
	return rc ? rc : put_orphan(txn, d->id);
}

/* Give an embedded Data a row of its own; its key then refers to it */
static int move_to_data_row(struct txn *txn, struct located *l)
{
	struct location was = l->at;
	struct name n = { was.space, was.name, was.len };
	if (!n.space)
		return 0;
	int rc = put_reference(txn, &n, &l->d);
	if (!rc)
		rc = txn_relocate(txn, l->d.id, &was, NULL, false);
	location_set(&l->at, 0, NULL, 0);
	return rc;
}

int names_alias(struct txn *txn, const struct name *n, struct located *l)
{
	if (data_is_space(&l->d))
		return -EPERM;
	if (l->d.nlink == UINT32_MAX)
		return -EMLINK;
	int rc = data_may_change(&l->d);
	if (!rc)
		rc = names_check_new(txn, n);
	if (rc)
		return rc;
	bool orphan = l->d.nlink == 0;
	rc = move_to_data_row(txn, l);
	if (!rc && orphan)
		rc = delete_id_row(txn, ROW_ORPHAN, l->d.id);
	if (!rc && orphan)
		rc = txn_relocate(txn, l->d.id, NULL, NULL, false);
	l->d.nlink++;
	touch(txn, &l->d);
	if (!rc)
		rc = put_data_row(txn, &l->d);
	if (!rc)
		rc = put_reference(txn, n, &l->d);
	txn->op.keys++;
	return rc ? rc : touch_space(txn, n->space, 0);
}

/* ---- deleting --------------------------------------------------------- */

/*
 * Delete the rows of one type that a Data has, *left of them at the most.
 * 0: all are gone, 1: there are more.
 */
static int sweep_rows(struct txn *txn, enum row_type type, uint64_t id,
		      size_t *left)
{
	struct merged_cursor *cursor = NULL;
	struct row_key key;
	row_key_id(&key, type, id);
	int rc = merged_cursor_open(&txn->state.merged, key.bytes, key.len,
				    &cursor);
	while (rc == 0 && *left) {
		--*left;
		const uint8_t *bytes = merged_cursor_key(cursor, &key.len);
		memcpy(key.bytes, bytes, key.len);
		rc = txn_delete(txn, &key);
		if (!rc)
			rc = merged_cursor_next(cursor);
	}
	merged_cursor_free(cursor);
	return rc < 0 ? rc : rc == 0;
}

/* Count the rows of one type that a Data has, `most` of them at the most */
static int count_rows(const struct txn *txn, enum row_type type, uint64_t id,
		      size_t most, size_t *count)
{
	struct merged_cursor *cursor = NULL;
	struct row_key prefix;
	row_key_id(&prefix, type, id);
	*count = 0;
	int rc = merged_cursor_open(&txn->state.merged, prefix.bytes,
				    prefix.len, &cursor);
	while (rc == 0 && *count < most) {
		++*count;
		rc = merged_cursor_next(cursor);
	}
	merged_cursor_free(cursor);
	return rc < 0 ? rc : 0;
}

/*
 * The rows of a Data beside its own. *count gets their number; if it is more
 * than one operation should sweep, that limit. *bytes: what their deletion takes
 * in a record at the most.
 */
static int count_beside(const struct txn *txn, const struct data *d,
			size_t *count, size_t *bytes)
{
	size_t xattrs = 0;
	size_t extents = 0;
	int rc = count_rows(txn, ROW_XATTR, d->id, DROP_MAX, &xattrs);
	if (!rc && d->contents == CONTENTS_ROWS)
		rc = count_rows(txn, ROW_EXTENT, d->id, DROP_MAX - xattrs,
				&extents);
	*count = xattrs + extents;
	*bytes = xattrs * txn_row_bytes(ROW_ID_LEN + BANYAN_NAME_MAX, 0) +
		 extents * txn_row_bytes(ROW_ID_LEN + 8, 0);
	return rc;
}

/* A Data without a key stays for those who hold it */
static int make_orphan(struct txn *txn, const struct data *d,
		       const struct location *was)
{
	int rc = put_data_row(txn, d);
	if (!rc)
		rc = put_orphan(txn, d->id);
	return rc ? rc : txn_relocate(txn, d->id, was, NULL, true);
}

/*
 * The last key of a Data has gone. If nobody holds the Data it goes with its
 * key, which is decided at the commit. With many rows it becomes an orphan in
 * any case, to be swept by operations of their own.
 */
static int drop_data(struct txn *txn, struct located *l, bool keep)
{
	struct location was = l->at;
	size_t beside = 0;
	size_t bytes = 0;
	l->d.nlink = 0;
	touch(txn, &l->d);
	location_set(&l->at, 0, NULL, 0);
	if (keep || txn_holds(txn, l->d.id))
		return make_orphan(txn, &l->d, &was);
	int rc = count_beside(txn, &l->d, &beside, &bytes);
	if (rc)
		return rc;
	if (beside == DROP_MAX)
		return make_orphan(txn, &l->d, &was);
	rc = data_encode(&l->d, &txn->scratch);
	if (rc)
		return rc;
	bytes += txn_row_bytes(2 * ROW_ID_LEN, txn->scratch.len);
	struct dropped dropped = { .id = l->d.id,
				   .stored = l->d.stored,
				   .beside = beside != 0,
				   .was = &was,
				   .value = txn->scratch.data,
				   .value_len = txn->scratch.len };
	return txn_drop(txn, &dropped, bytes);
}

/* All rows of a Data that is removed, but for the NAME row that it lived in */
static int remove_data(struct txn *txn, const struct dropped *dropped)
{
	size_t left = SIZE_MAX;
	int rc = 0;
	if (!dropped->was->space)
		rc = delete_id_row(txn, ROW_DATA, dropped->id);
	if (!rc && dropped->beside)
		rc = sweep_rows(txn, ROW_XATTR, dropped->id, &left);
	if (!rc && dropped->beside)
		rc = sweep_rows(txn, ROW_EXTENT, dropped->id, &left);
	txn->op.live -= (int64_t)dropped->stored;
	return rc;
}

static int settle_drop(struct txn *txn, const struct dropped *dropped)
{
	struct data d;
	int rc = txn_remove(txn, dropped->id);
	if (rc > 0)
		return remove_data(txn, dropped);
	if (!rc)
		rc = data_decode(&d, dropped->value, dropped->value_len);
	return rc ? rc : make_orphan(txn, &d, dropped->was);
}

int names_settle_drops(struct txn *txn)
{
	return txn_visit_drops(txn, settle_drop);
}

/* 0: empty, -ENOTEMPTY, or an error */
static int check_empty(const struct state *s, uint64_t space)
{
	struct merged_cursor *cursor = NULL;
	struct row_key prefix;
	row_key_id(&prefix, ROW_NAME, space);
	int rc = merged_cursor_open(&s->merged, prefix.bytes, prefix.len,
				    &cursor);
	merged_cursor_free(cursor);
	if (rc < 0)
		return rc;
	return rc ? 0 : -ENOTEMPTY;
}

/* Take a key from the Data that it points to; the space is not touched */
static int remove_key(struct txn *txn, const struct name *n, struct located *l,
		      bool keep)
{
	bool embedded = l->at.space != 0;
	int rc = delete_name(txn, n);
	txn->op.keys--;
	if (!rc && !embedded)
		rc = delete_link(txn, l->d.id, n);
	if (rc)
		return rc;
	if (embedded || data_is_space(&l->d) || l->d.nlink <= 1)
		return drop_data(txn, l, keep);
	l->d.nlink--;
	touch(txn, &l->d);
	return put_data_row(txn, &l->d);
}

int names_delete(struct txn *txn, const struct name *n, unsigned flags,
		 bool keep)
{
	struct located l;
	struct data room;
	struct data *space = NULL;
	int rc = name_check(n->space, n->bytes, n->len);
	if (!rc)
		rc = own_space(txn, n->space, &room, &space);
	if (!rc)
		rc = names_lookup(&txn->state, n, &l);
	if (rc)
		return rc;
	bool is_space = data_is_space(&l.d);
	rc = data_may_change(space);
	if (!rc)
		rc = data_may_change(&l.d);
	if (rc)
		return rc;
	if (is_space && (flags & BANYAN_NOT_SPACE))
		return -EISDIR;
	if (!is_space && (flags & BANYAN_ONLY_SPACE))
		return -ENOTDIR;
	if (is_space)
		rc = check_empty(&txn->state, l.d.id);
	if (!rc)
		rc = remove_key(txn, n, &l, keep);
	if (!rc)
		rc = touch_space(txn, n->space, is_space ? -1 : 0);
	return rc;
}

int names_sweep(struct txn *txn, uint64_t id)
{
	size_t left = SWEEP_MAX;
	struct located l;
	int rc = names_data(&txn->state, id, &l);
	if (rc == -ENOENT)
		return delete_id_row(txn, ROW_ORPHAN, id);
	if (rc)
		return rc;
	if (l.d.nlink)
		return delete_id_row(txn, ROW_ORPHAN, id);
	rc = sweep_rows(txn, ROW_XATTR, id, &left);
	if (rc == 0 && l.d.contents == CONTENTS_ROWS)
		rc = sweep_rows(txn, ROW_EXTENT, id, &left);
	if (rc)
		return rc;
	txn->op.live -= (int64_t)l.d.stored;
	rc = delete_id_row(txn, ROW_DATA, id);
	return rc ? rc : delete_id_row(txn, ROW_ORPHAN, id);
}

/* ---- moving ----------------------------------------------------------- */

static bool same_name(const struct name *a, const struct name *b)
{
	return a->space == b->space &&
	       compare_bytes(a->bytes, a->len, b->bytes, b->len) == 0;
}

/* -EINVAL if the space `below` is the space `id`, or lies below it */
static int check_no_loop(const struct state *s, uint64_t id, uint64_t below)
{
	struct data d;
	/* No honest path is longer; a hostile one may be a circle */
	for (unsigned depth = 0; depth < 100000; depth++) {
		if (below == id)
			return -EINVAL;
		if (below == BANYAN_ROOT_ID)
			return 0;
		int rc = names_space(s, below, &d);
		if (rc)
			return rc;
		below = d.parent;
	}
	return -EUCLEAN;
}

/* Take a key off its Data, and put the Data or a reference at another */
static int carry(struct txn *txn, const struct name *from,
		 const struct name *to, struct located *l)
{
	struct location home;
	touch(txn, &l->d);
	if (data_is_space(&l->d))
		l->d.parent = to->space;
	if (l->at.space == 0) {
		int rc = delete_link(txn, l->d.id, from);
		if (!rc)
			rc = put_reference(txn, to, &l->d);
		return rc ? rc : put_data_row(txn, &l->d);
	}
	location_set(&home, to->space, to->bytes, to->len);
	int rc = put_embedded(txn, to, &l->d);
	return rc ? rc : txn_relocate(txn, l->d.id, &l->at, &home, false);
}

/* The spaces on both sides of a move; what they gain in spaces */
static int touch_both(struct txn *txn, const struct name *from,
		      const struct name *to, int from_gains, int to_gains)
{
	if (from->space == to->space)
		return touch_space(txn, from->space, from_gains + to_gains);
	int rc = touch_space(txn, from->space, from_gains);
	return rc ? rc : touch_space(txn, to->space, to_gains);
}

static int exchange(struct txn *txn, const struct name *from,
		    const struct name *to, struct located *a, struct located *b)
{
	int a_space = data_is_space(&a->d);
	int b_space = data_is_space(&b->d);
	int rc = 0;
	if (a_space)
		rc = check_no_loop(&txn->state, a->d.id, to->space);
	if (!rc && b_space)
		rc = check_no_loop(&txn->state, b->d.id, from->space);
	if (!rc)
		rc = carry(txn, from, to, a);
	if (!rc)
		rc = carry(txn, to, from, b);
	return rc ? rc :
		    touch_both(txn, from, to, b_space - a_space,
			       a_space - b_space);
}

/* May b be replaced by a? As rename(2) has it. */
static int check_replace(const struct state *s, const struct located *a,
			 const struct located *b)
{
	if (data_is_space(&a->d) && !data_is_space(&b->d))
		return -ENOTDIR;
	if (!data_is_space(&a->d) && data_is_space(&b->d))
		return -EISDIR;
	return data_is_space(&b->d) ? check_empty(s, b->d.id) : 0;
}

static int replace(struct txn *txn, const struct name *from,
		   const struct name *to, struct located *a, struct located *b)
{
	int a_space = data_is_space(&a->d);
	int rc = 0;
	if (a_space)
		rc = check_no_loop(&txn->state, a->d.id, to->space);
	if (!rc && b)
		rc = check_replace(&txn->state, a, b);
	if (!rc && b)
		rc = remove_key(txn, to, b, false);
	if (!rc)
		rc = delete_name(txn, from);
	if (!rc)
		rc = carry(txn, from, to, a);
	return rc ? rc :
		    touch_both(txn, from, to, -a_space,
			       a_space - (b && data_is_space(&b->d)));
}

/* Do the flags of all that are concerned let a become b (NULL: there is none)? */
static int may_move(const struct data *from, const struct data *to,
		    const struct data *a, const struct data *b)
{
	int rc = data_may_change(from);
	if (!rc)
		rc = b ? data_may_change(to) : data_may_write(to, 0);
	if (!rc)
		rc = data_may_change(a);
	return rc || !b ? rc : data_may_change(b);
}

int names_move(struct txn *txn, const struct name *from, const struct name *to,
	       unsigned flags)
{
	struct located a;
	struct located b;
	struct data from_room;
	struct data room;
	struct data *from_space = NULL;
	struct data *space = NULL;
	if (flags != 0 && flags != BANYAN_NO_REPLACE &&
	    flags != BANYAN_EXCHANGE)
		return -EINVAL;
	int rc = name_check(to->space, to->bytes, to->len);
	if (!rc)
		rc = name_check(from->space, from->bytes, from->len);
	if (!rc)
		rc = own_space(txn, from->space, &from_room, &from_space);
	if (!rc)
		rc = own_space(txn, to->space, &room, &space);
	if (!rc && space->nlink == 0)
		rc = -ENOENT;
	if (!rc)
		rc = names_lookup(&txn->state, from, &a);
	if (rc)
		return rc;
	rc = names_lookup(&txn->state, to, &b);
	if (rc && rc != -ENOENT)
		return rc;
	bool there = rc == 0;
	if (there && (flags & BANYAN_NO_REPLACE))
		return -EEXIST;
	if (!there && (flags & BANYAN_EXCHANGE))
		return -ENOENT;
	/* Two keys of one Data: rename(2) does nothing, and says success */
	if (same_name(from, to) || (there && a.d.id == b.d.id))
		return 0;
	rc = may_move(from_space, space, &a.d, there ? &b.d : NULL);
	if (rc)
		return rc;
	if (flags & BANYAN_EXCHANGE)
		return exchange(txn, from, to, &a, &b);
	return replace(txn, from, to, &a, there ? &b : NULL);
}
