/* SPDX-License-Identifier: MIT */
#include "api/revive.h"

#include <errno.h>

#include "model/extents.h"
#include "model/row_lookup.h"
#include "model/xattr.h"

enum {
	ROW_COPY = 0x7b, /* id: new id, space id, name of its copy */
};

/* Bytes in the row of a Data at the most, but for what it has in itself */
#define DATA_BYTES 400u

/* ---- one operation of the batch --------------------------------------- */

/* -ESTALE: what was found out about the past does not hold any more */
int revive_begin(struct reviver *u)
{
	u->fresh = true;
	int rc = banyan_begin(u->db, &u->batch);
	return rc || history_is_current(&u->d.h) ? rc : -ESTALE;
}

int revive_commit(struct reviver *u)
{
	banyan *batch = u->batch;
	u->batch = NULL;
	u->committed = true;
	return banyan_commit(batch);
}

static int try_action(struct reviver *u, revive_action *act, void *arg)
{
	struct txn *txn = NULL;
	int rc = handle_write(u->batch, OPERATION_INSERT, false, &txn);
	return rc ? rc : handle_write_end(u->batch, act(u, txn, arg));
}

int revive_run(struct reviver *u, revive_action *act, void *arg)
{
	int rc = try_action(u, act, arg);
	if (rc == -E2BIG && !u->fresh) {
		rc = revive_commit(u);
		if (!rc)
			rc = revive_begin(u);
		if (!rc)
			rc = try_action(u, act, arg);
	}
	u->fresh = false;
	return rc;
}

/* ---- rows of a Data --------------------------------------------------- */

static int copy_extents(struct reviver *u, struct txn *txn,
			const struct data *from, uint64_t id)
{
	struct extent_iter it;
	struct row_key key;
	struct run run;
	int rc = extent_iter_open(&it, u->source, from, 0, UINT64_MAX);
	if (rc)
		return rc;
	while ((rc = extent_iter_next(&it, &run)) == 0) {
		run.e.shared = true;
		row_key_extent(&key, id, run.at);
		buf_reset(&u->scratch);
		extent_encode(&run.e, &u->scratch);
		rc = u->scratch.failed ? -ENOMEM :
					 txn_put(txn, &key, &u->scratch);
		if (rc)
			break;
	}
	extent_iter_close(&it);
	return rc < 0 ? rc : 0;
}

struct xattr_copy {
	struct reviver *u;
	struct txn *txn;
	uint64_t id;
};

static int copy_xattr(void *arg, const uint8_t *row, size_t len,
		      const uint8_t *value, size_t value_len)
{
	const struct xattr_copy *c = arg;
	struct extent e[XATTR_EXTENTS_MAX];
	struct runs runs = { 0 };
	struct row_key key;
	struct buf *to = &c->u->scratch;
	if (!xattr_named(row, len))
		return -EUCLEAN;
	row_key_id(&key, ROW_XATTR, c->id);
	row_key_add(&key, row + ROW_ID_LEN, len - ROW_ID_LEN);
	int count = xattr_extents(value, value_len, e);
	int rc = count < 0 ? count : 0;
	buf_reset(to);
	for (int i = 0; !rc && i < count; i++) {
		e[i].shared = true;
		rc = runs_add(&runs, 0, &e[i]);
	}
	if (!rc && count)
		rc = xattr_put_extents(&runs, to);
	else if (!rc)
		rc = buf_set(to, value, value_len);
	runs_free(&runs);
	return rc ? rc : txn_put(c->txn, &key, to);
}

static int add_bytes(void *arg, const uint8_t *row, size_t len,
		     const uint8_t *value, size_t value_len)
{
	size_t *bytes = arg;
	(void)row;
	(void)value;
	*bytes += txn_row_bytes(len, value_len);
	return 0;
}

/* A key takes its two rows, and those of its key space and of the Data */
static int add_link(void *arg, const uint8_t *row, size_t len,
		    const uint8_t *value, size_t value_len)
{
	size_t *bytes = arg;
	(void)row;
	(void)value;
	(void)value_len;
	*bytes += 2 * txn_row_bytes(len, DATA_BYTES);
	return 0;
}

/* Before rows are changed: -E2BIG if all that there is beside the Data, or only
 * its keys, does not fit into the batch */
static int check_room(struct reviver *u, struct txn *txn, const struct data *d,
		      bool copy)
{
	const struct state *s = u->source;
	struct row_key key;
	size_t bytes = txn_row_bytes(ROW_KEY_MAX, INLINE_MAX) + DATA_BYTES;
	int rc = 0;
	row_key_id(&key, ROW_XATTR, d->id);
	if (copy)
		rc = rows_visit(s, key.bytes, key.len, add_bytes, &bytes);
	row_key_id(&key, ROW_EXTENT, d->id);
	if (!rc && copy && d->contents == CONTENTS_ROWS)
		rc = rows_visit(s, key.bytes, key.len, add_bytes, &bytes);
	row_key_id(&key, ROW_LINK, d->id);
	if (!rc && d->nlink > 1 && !data_is_space(d))
		rc = rows_visit(s, key.bytes, key.len, add_link, &bytes);
	return rc ? rc : txn_fits(txn, 1, bytes);
}

static int copy_xattrs(struct reviver *u, struct txn *txn, uint64_t from,
		       uint64_t id)
{
	struct xattr_copy c = { u, txn, id };
	struct row_key prefix;
	row_key_id(&prefix, ROW_XATTR, from);
	return rows_visit(u->source, prefix.bytes, prefix.len, copy_xattr, &c);
}

/* A new Data like this one, at a key that does not exist */
static int insert_copy(struct reviver *u, struct txn *txn,
		       const struct name *to, const struct data *from,
		       struct data *d)
{
	*d = *from;
	d->id = txn_new_id(txn);
	d->nlink = data_is_space(d) ? 2 : 1;
	d->parent = data_is_space(d) ? to->space : 0;
	d->ctime = txn_time(txn, d->ctime);
	for (uint32_t i = 0; i < d->extents; i++)
		d->extent[i].e.shared = true;
	if (d->id > INT64_MAX - 1)
		return -ENOSPC;
	int rc = names_insert(txn, to, d);
	if (!rc && d->contents == CONTENTS_ROWS)
		rc = copy_extents(u, txn, from, d->id);
	return rc ? rc : copy_xattrs(u, txn, from->id, d->id);
}

/* ---- one key ---------------------------------------------------------- */

static int note_made(struct reviver *u, const struct name *n)
{
	buf_add_be64(&u->made, n->space);
	buf_add_u8(&u->made, (uint8_t)n->len);
	buf_add(&u->made, n->bytes, n->len);
	return u->made.failed ? -ENOMEM : 0;
}

struct links {
	struct reviver *u;
	struct txn *txn;
	const struct name *to; /* where the Data is now */
};

/* A key that the Data had then, by its LINK row */
static int revive_link(void *arg, const uint8_t *link, size_t len,
		       const uint8_t *value, size_t value_len)
{
	const struct links *l = arg;
	const struct name *from = &l->u->from;
	struct located now;
	(void)value;
	(void)value_len;
	if (len <= ROW_LINK_LEN)
		return 0;
	struct name n = name_in_link(link, len);
	if (n.space == from->space &&
	    compare_bytes(n.bytes, n.len, from->bytes, from->len) == 0)
		return 0;
	int rc = names_check_new(l->txn, &n);
	if (rc == -EEXIST || rc == -ENOENT || rc == -ENOTDIR || rc == -EINVAL ||
	    rc == -EPERM)
		return 0;
	if (!rc)
		rc = names_lookup(&l->txn->state, l->to, &now);
	if (!rc)
		rc = names_alias(l->txn, &n, &now);
	return rc ? rc : note_made(l->u, &n);
}

/* Its other keys in key spaces that exist, if nothing else is there now */
static int revive_links(struct reviver *u, struct txn *txn,
			const struct revival *r)
{
	struct links l = { u, txn, &r->to };
	struct row_key prefix;
	if (r->was.d.nlink < 2 || data_is_space(&r->was.d))
		return 0;
	row_key_id(&prefix, ROW_LINK, r->was.d.id);
	return rows_visit(u->source, prefix.bytes, prefix.len, revive_link, &l);
}

/* What stands for this Data now: the Data itself if it has keys, or its copy.
 * -ENOENT: nothing. */
static int find_copy(struct reviver *u, struct txn *txn, const struct data *d,
		     struct located *l)
{
	struct row_key key;
	if (data_is_space(d))
		return -ENOENT;
	int rc = names_data(&txn->state, d->id, l);
	if (!rc && l->d.nlink)
		return 0;
	if (rc && rc != -ENOENT)
		return rc;
	deletions_row_key(ROW_COPY, d->id, &key);
	rc = rebuild_get(&u->d.rows, &key, &u->scratch);
	if (rc || u->scratch.len <= 16)
		return rc ? rc : -EUCLEAN;
	const uint8_t *at = u->scratch.data;
	struct name n = { get_be64(at + 8), (const char *)at + 16,
			  u->scratch.len - 16 };
	rc = names_lookup(&txn->state, &n, l);
	return !rc && l->d.id != get_be64(at) ? -ENOENT : rc;
}

static int note_copy(struct reviver *u, const struct revival *r)
{
	struct row_key key;
	if (r->was.d.nlink < 2 || data_is_space(&r->was.d))
		return 0;
	deletions_row_key(ROW_COPY, r->was.d.id, &key);
	buf_reset(&u->scratch);
	buf_add_be64(&u->scratch, r->id);
	buf_add_be64(&u->scratch, r->to.space);
	buf_add(&u->scratch, r->to.bytes, r->to.len);
	if (u->scratch.failed)
		return -ENOMEM;
	return rebuild_put(&u->d.rows, &key, u->scratch.data, u->scratch.len);
}

/* It has its key: tell of that, and give it those that it had beside it */
static int end_revival(struct reviver *u, struct txn *txn,
		       const struct revival *r)
{
	size_t made = u->made.len;
	int rc = r->top ? note_made(u, &r->to) : 0;
	if (!rc)
		rc = revive_links(u, txn, r);
	if (rc)
		u->made.len = made;
	return rc;
}

static int revive(struct reviver *u, struct txn *txn, void *arg)
{
	struct revival *r = arg;
	struct located l;
	int rc = names_check_new(txn, &r->to);
	if (!rc)
		rc = find_copy(u, txn, &r->was.d, &l);
	bool copy = rc == -ENOENT;
	if (!rc || copy)
		rc = check_room(u, txn, &r->was.d, copy);
	if (rc)
		return rc;
	rc = copy ? insert_copy(u, txn, &r->to, &r->was.d, &l.d) :
		    names_alias(txn, &r->to, &l);
	r->id = l.d.id;
	if (!rc && copy)
		rc = note_copy(u, r);
	return rc ? rc : end_revival(u, txn, r);
}

/* ---- more extents than one operation can have -------------------------- */

/* Rows that are put at once */
#define EXTENTS_AT_ONCE 20000u

/* Some of them, into a Data without a key: 0, 1 if there are no more, error */
static int put_some(struct txn *txn, struct extent_iter *it, struct located *l,
		    struct buf *scratch)
{
	struct row_key key;
	struct run run;
	int rc = 0;
	for (unsigned n = 0; !rc && n < EXTENTS_AT_ONCE; n++) {
		rc = extent_iter_next(it, &run);
		if (rc)
			break;
		run.e.shared = true;
		row_key_extent(&key, l->d.id, run.at);
		buf_reset(scratch);
		extent_encode(&run.e, scratch);
		rc = scratch->failed ? -ENOMEM : txn_put(txn, &key, scratch);
		l->d.stored += run.e.length;
		txn->op.live += run.e.length;
	}
	return rc;
}

static int fill_some(struct reviver *u, struct extent_iter *it,
		     banyan_data *data)
{
	struct txn *txn = NULL;
	struct located l;
	int rc = handle_write(u->db, OPERATION_WRITE, false, &txn);
	if (rc)
		return rc;
	rc = history_is_current(&u->d.h) ? 0 : -ESTALE;
	if (!rc)
		rc = handle_write_data(txn, data, &l);
	if (rc)
		return handle_write_end(u->db, rc);
	l.d.contents = CONTENTS_ROWS;
	l.d.size = it->data->size;
	rc = put_some(txn, it, &l, &u->scratch);
	bool more = rc == 0;
	if (rc >= 0)
		rc = data_save(txn, &l);
	rc = handle_write_end(u->db, rc);
	return rc ? rc : !more;
}

static int fill(struct reviver *u, const struct data *from, banyan_data *data)
{
	struct extent_iter it;
	int rc = extent_iter_open(&it, u->source, from, 0, UINT64_MAX);
	if (rc)
		return rc;
	while (!rc)
		rc = fill_some(u, &it, data);
	extent_iter_close(&it);
	return rc < 0 ? rc : 0;
}

/* Give it its key, and all else */
static int name_filled(struct reviver *u, struct txn *txn, void *arg)
{
	struct revival *r = arg;
	const struct data *was = &r->was.d;
	struct located l;
	int rc = names_check_new(txn, &r->to);
	if (!rc)
		rc = names_data(&txn->state, r->id, &l);
	if (rc)
		return rc;
	l.d.uid = was->uid;
	l.d.gid = was->gid;
	l.d.birth = was->birth;
	l.d.atime = was->atime;
	l.d.mtime = was->mtime;
	rc = names_alias(txn, &r->to, &l);
	if (!rc)
		rc = copy_xattrs(u, txn, was->id, r->id);
	if (!rc)
		rc = note_copy(u, r);
	return rc ? rc : end_revival(u, txn, r);
}

/*
 * A value of very many extents is put together before it gets its key. If that
 * fails in between, what there is so far has no key and is swept.
 */
static int revive_large(struct reviver *u, struct revival *r)
{
	const struct banyan_new make = { .struct_size = sizeof(make),
					 .mode = r->was.d.mode };
	banyan_data *data = NULL;
	int rc = revive_commit(u);
	if (!rc)
		rc = banyan_insert_unnamed(u->db, &make, &data, NULL);
	if (rc)
		return rc;
	r->id = banyan_id(data);
	rc = fill(u, &r->was.d, data);
	if (!rc)
		rc = revive_begin(u);
	if (!rc)
		rc = revive_run(u, name_filled, r);
	if (!rc) {
		rc = revive_commit(u);
		banyan_release(data, 1);
		return rc ? rc : revive_begin(u);
	}
	banyan_abort(u->batch);
	u->batch = NULL;
	banyan_release(data, 1);
	return rc;
}

int revive_data(struct reviver *u, struct revival *r)
{
	int rc = revive_run(u, revive, r);
	if (rc == -E2BIG && r->was.d.contents == CONTENTS_ROWS)
		rc = revive_large(u, r);
	return rc;
}

void revive_end(struct reviver *u)
{
	banyan_abort(u->batch);
	u->batch = NULL;
	buf_free(&u->scratch);
	buf_free(&u->made);
}
