/* SPDX-License-Identifier: MIT */
/*
 * undelete.c - the public function that brings back a deleted key.
 *
 * What comes back is a new Data, since an id is never used again, with contents
 * that refer to the same extents. It is read from a state of the past: of a key,
 * that before its deletion. A key space was emptied before it was deleted, in
 * any number of operations. So it is read from the state after the last change
 * in it that was no deletion: what was deleted afterwards, with nothing else
 * done in between, was one removal.
 *
 * A key space is brought back level by level. Its rows, and what is still to be
 * done, are in the store that deletions.h has: memory does not follow the tree.
 */
#include <errno.h>
#include <string.h>

#include "api/deleted.h"
#include "api/handle.h"
#include "api/key_history.h"
#include "api/keys.h"
#include "api/last_error.h"
#include "api/space_path.h"
#include "model/extents.h"
#include "model/row_lookup.h"
#include "model/xattr.h"

enum {
	ROW_SEEN = 0x7a, /* id of a deleted key space that was looked into */
	ROW_DONE = 0x7d, /* id of one that was brought back */
	ROW_COPY = 0x7b, /* id: new id, space id, name of its copy */
	ROW_QUEUE = 0x7c, /* number: id of a key space, and of its copy */
};

/* Bytes in the row of a Data at the most, but for what it has in itself */
#define DATA_BYTES 400u

struct undelete {
	banyan *db;
	banyan *batch;
	bool fresh; /* the batch has nothing in it yet */
	bool committed; /* one has been */
	struct deletions d;
	uint8_t file[16]; /* the UUID of the file in which it was found */
	/* The key, and the step that deleted it */
	struct name from;
	struct deletion key;
	char from_bytes[BANYAN_NAME_MAX];
	struct view_state past;
	struct read_txn source; /* of that */
	uint64_t first, last; /* rows of the queue */
	struct buf scratch;
	struct buf made; /* keys: space id, length, name */
	struct buf paths; /* of these, each with a NUL behind it */
};

static void row_key_own(struct row_key *key, uint8_t kind, uint64_t number)
{
	key->bytes[0] = kind;
	put_be64(key->bytes + 1, number);
	key->len = ROW_ID_LEN;
}

/* ---- which state ------------------------------------------------------ */

struct removal {
	struct undelete *u;
	uint64_t changed; /* offset of the last change */
	struct buf spaces; /* ids, to be looked into */
	uint64_t space;
};

static int note_change(struct removal *r, uint64_t id)
{
	uint64_t offset = 0;
	int rc = deletions_changed(&r->u->d, id, &offset);
	if (offset > r->changed)
		r->changed = offset;
	return rc;
}

/* 1: for the first time, 0: not, or an error. A damaged file may have key
 * spaces in a circle. */
static int see(struct undelete *u, uint8_t kind, uint64_t space)
{
	struct row_key key;
	row_key_own(&key, kind, space);
	int rc = rebuild_has(&u->d.rows, &key);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = rebuild_put(&u->d.rows, &key, NULL, 0);
	return rc ? rc : 1;
}

static int look_at(void *arg, const struct name *n, const struct deletion *key)
{
	struct removal *r = arg;
	(void)n;
	if (key->type != 0040000)
		return key->embedded ? 0 : note_change(r, key->id);
	int rc = see(r->u, ROW_SEEN, key->id);
	if (rc <= 0)
		return rc;
	buf_add(&r->spaces, &key->id, sizeof(key->id));
	return r->spaces.failed ? -ENOMEM : 0;
}

/* The offset of the last change in the key space but for deletions; 0: none */
static int find_change(struct undelete *u, uint64_t *offset)
{
	struct removal r = { .u = u };
	uint64_t space = u->key.id;
	int rc;
	for (;;) {
		rc = note_change(&r, space);
		if (!rc)
			rc = deletions_each(&u->d, space, look_at, &r);
		if (rc || !r.spaces.len)
			break;
		r.spaces.len -= sizeof(space);
		memcpy(&space, r.spaces.data + r.spaces.len, sizeof(space));
	}
	buf_free(&r.spaces);
	*offset = r.changed;
	return rc;
}

/* Places in the log are those of one file: -ESTALE if this is another one */
static int check_file(const struct undelete *u, const struct history *h)
{
	const uint8_t *file = h->now->volume->sb.file_uuid;
	return memcmp(u->file, file, sizeof(u->file)) == 0 ? 0 : -ESTALE;
}

/* The state that the key is read from */
static int go_back(struct undelete *u)
{
	const struct history *h = &u->d.h;
	uint64_t end = u->key.offset;
	uint64_t changed = 0;
	int rc = 0;
	if (u->key.type == 0040000) {
		/* Of all that was in it */
		deletions_close(&u->d);
		rc = deletions_open(u->db->store, true, &u->d);
		if (!rc)
			rc = check_file(u, h);
		if (rc)
			return rc;
		rc = find_change(u, &changed);
		if (changed + 1 < end)
			end = changed + 1;
		if (end < h->begin)
			end = h->begin;
	}
	if (!rc)
		rc = past_before(h->store, h->now, end, &u->past);
	if (rc)
		return rc;
	read_txn_begin_at(h->store, u->past.view, u->past.seq, &u->source);
	read_txn_pin(&u->source);
	return 0;
}

/* ---- which key -------------------------------------------------------- */

static int take_key(struct undelete *u, const struct name *n,
		    const struct deletion *key)
{
	memcpy(u->from_bytes, n->bytes, n->len);
	u->from = (struct name){ n->space, u->from_bytes, n->len };
	u->key = *key;
	return 0;
}

/* Its last deletion, though it exists now */
static int find_earlier(struct undelete *u, const char *path)
{
	struct key_history k;
	enum banyan_event event;
	bool found = false;
	int rc = key_history_open(u->db->store, path, &k);
	if (rc)
		return rc;
	rc = check_file(u, &k.h);
	while (!rc && (rc = key_history_next(&k, &event)) == 0) {
		if (event != BANYAN_DELETED)
			continue;
		const struct data *d = &k.before.d;
		const struct deletion key = { .offset = k.h.offset,
					      .time = k.h.time,
					      .id = d->id,
					      .type = d->mode & 0170000,
					      .embedded = k.before.embedded };
		take_key(u, &k.part[k.parts - 1].name, &key);
		found = true;
	}
	key_history_close(&k);
	return rc < 0 ? rc : found ? 0 : -ENODATA;
}

static int find_key(struct undelete *u, const char *path)
{
	struct deleted_key found;
	int rc = deleted_find(u->db->store, &u->d, path, &found);
	if (rc == -ENOENT)
		return find_earlier(u, path);
	if (rc)
		return rc;
	const struct name n = { found.space, found.name, found.len };
	return take_key(u, &n, &found.key);
}

/* ---- one operation of the batch --------------------------------------- */

/* -ESTALE: what was found out about the past does not hold any more */
static int begin_batch(struct undelete *u)
{
	u->fresh = true;
	int rc = banyan_begin(u->db, &u->batch);
	return rc || history_is_current(&u->d.h) ? rc : -ESTALE;
}

static int end_batch(struct undelete *u)
{
	banyan *batch = u->batch;
	u->batch = NULL;
	u->committed = true;
	return banyan_commit(batch);
}

/* What is to be done, with what */
typedef int action(struct undelete *u, struct txn *txn, void *arg);

static int try_action(struct undelete *u, action *act, void *arg)
{
	struct txn *txn = NULL;
	int rc = handle_write(u->batch, OPERATION_INSERT, false, &txn);
	return rc ? rc : handle_write_end(u->batch, act(u, txn, arg));
}

/* In this batch, or in another one if this is full */
static int run(struct undelete *u, action *act, void *arg)
{
	int rc = try_action(u, act, arg);
	if (rc == -E2BIG && !u->fresh) {
		rc = end_batch(u);
		if (!rc)
			rc = begin_batch(u);
		if (!rc)
			rc = try_action(u, act, arg);
	}
	u->fresh = false;
	return rc;
}

/* ---- rows of a Data --------------------------------------------------- */

static int copy_extents(struct undelete *u, struct txn *txn,
			const struct data *from, uint64_t id)
{
	struct extent_iter it;
	struct row_key key;
	struct run run;
	int rc = extent_iter_open(&it, &u->source.state, from, 0);
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
	struct undelete *u;
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
static int check_room(struct undelete *u, struct txn *txn, const struct data *d,
		      bool copy)
{
	const struct state *s = &u->source.state;
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

static int copy_xattrs(struct undelete *u, struct txn *txn, uint64_t from,
		       uint64_t id)
{
	struct xattr_copy c = { u, txn, id };
	struct row_key prefix;
	row_key_id(&prefix, ROW_XATTR, from);
	return rows_visit(&u->source.state, prefix.bytes, prefix.len,
			  copy_xattr, &c);
}

/* A new Data like this one, at a key that does not exist */
static int insert_copy(struct undelete *u, struct txn *txn,
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

struct revival {
	struct name to;
	struct located was; /* in the past */
	uint64_t id; /* of what the key points to now */
	bool top; /* the very key that was asked for */
};

static int note_made(struct undelete *u, const struct name *n)
{
	buf_add_be64(&u->made, n->space);
	buf_add_u8(&u->made, (uint8_t)n->len);
	buf_add(&u->made, n->bytes, n->len);
	return u->made.failed ? -ENOMEM : 0;
}

struct links {
	struct undelete *u;
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
	struct name n = { row_link_space(link),
			  (const char *)link + ROW_LINK_LEN,
			  len - ROW_LINK_LEN };
	if (n.space == from->space &&
	    compare_bytes(n.bytes, n.len, from->bytes, from->len) == 0)
		return 0;
	int rc = names_check_new(l->txn, &n);
	if (rc == -EEXIST || rc == -ENOENT || rc == -ENOTDIR || rc == -EINVAL)
		return 0;
	if (!rc)
		rc = names_lookup(&l->txn->state, l->to, &now);
	if (!rc)
		rc = names_alias(l->txn, &n, &now);
	return rc ? rc : note_made(l->u, &n);
}

/* Its other keys in key spaces that exist, if nothing else is there now */
static int revive_links(struct undelete *u, struct txn *txn,
			const struct revival *r)
{
	struct links l = { u, txn, &r->to };
	struct row_key prefix;
	if (r->was.d.nlink < 2 || data_is_space(&r->was.d))
		return 0;
	row_key_id(&prefix, ROW_LINK, r->was.d.id);
	return rows_visit(&u->source.state, prefix.bytes, prefix.len,
			  revive_link, &l);
}

/* What stands for this Data now: the Data itself if it has keys, or its copy.
 * -ENOENT: nothing. */
static int find_copy(struct undelete *u, struct txn *txn, const struct data *d,
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
	row_key_own(&key, ROW_COPY, d->id);
	rc = rebuild_get(&u->d.rows, &key, &u->scratch);
	if (rc || u->scratch.len <= 16)
		return rc ? rc : -EUCLEAN;
	const uint8_t *at = u->scratch.data;
	struct name n = { get_be64(at + 8), (const char *)at + 16,
			  u->scratch.len - 16 };
	rc = names_lookup(&txn->state, &n, l);
	return !rc && l->d.id != get_be64(at) ? -ENOENT : rc;
}

static int note_copy(struct undelete *u, const struct revival *r)
{
	struct row_key key;
	if (r->was.d.nlink < 2 || data_is_space(&r->was.d))
		return 0;
	row_key_own(&key, ROW_COPY, r->was.d.id);
	buf_reset(&u->scratch);
	buf_add_be64(&u->scratch, r->id);
	buf_add_be64(&u->scratch, r->to.space);
	buf_add(&u->scratch, r->to.bytes, r->to.len);
	if (u->scratch.failed)
		return -ENOMEM;
	return rebuild_put(&u->d.rows, &key, u->scratch.data, u->scratch.len);
}

static int revive(struct undelete *u, struct txn *txn, void *arg)
{
	struct revival *r = arg;
	struct located l;
	size_t made = u->made.len;
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
	if (!rc && r->top)
		rc = note_made(u, &r->to);
	if (!rc)
		rc = revive_links(u, txn, r);
	if (rc)
		u->made.len = made;
	return rc;
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

static int fill_some(struct undelete *u, struct extent_iter *it,
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

static int fill(struct undelete *u, const struct data *from, banyan_data *data)
{
	struct extent_iter it;
	int rc = extent_iter_open(&it, &u->source.state, from, 0);
	if (rc)
		return rc;
	while (!rc)
		rc = fill_some(u, &it, data);
	extent_iter_close(&it);
	return rc < 0 ? rc : 0;
}

/* Give it its key, and all else */
static int name_filled(struct undelete *u, struct txn *txn, void *arg)
{
	struct revival *r = arg;
	const struct data *was = &r->was.d;
	struct located l;
	size_t made = u->made.len;
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
	if (!rc && r->top)
		rc = note_made(u, &r->to);
	if (!rc)
		rc = revive_links(u, txn, r);
	if (rc)
		u->made.len = made;
	return rc;
}

/*
 * A value of very many extents is put together before it gets its key. If that
 * fails in between, what there is so far has no key and is swept.
 */
static int revive_large(struct undelete *u, struct revival *r)
{
	const struct banyan_new make = { .struct_size = sizeof(make),
					 .mode = r->was.d.mode };
	banyan_data *data = NULL;
	int rc = end_batch(u);
	if (!rc)
		rc = banyan_insert_unnamed(u->db, &make, &data, NULL);
	if (rc)
		return rc;
	r->id = banyan_id(data);
	rc = fill(u, &r->was.d, data);
	if (!rc)
		rc = begin_batch(u);
	if (!rc)
		rc = run(u, name_filled, r);
	if (!rc) {
		rc = end_batch(u);
		banyan_release(data, 1);
		return rc ? rc : begin_batch(u);
	}
	banyan_abort(u->batch);
	u->batch = NULL;
	banyan_release(data, 1);
	return rc;
}

/* ---- a key space ------------------------------------------------------ */

static int enqueue(struct undelete *u, uint64_t old, uint64_t new)
{
	struct row_key key;
	const uint64_t pair[2] = { old, new };
	row_key_own(&key, ROW_QUEUE, u->last++);
	return rebuild_put(&u->d.rows, &key, pair, sizeof(pair));
}

static int dequeue(struct undelete *u, uint64_t pair[2])
{
	struct row_key key;
	row_key_own(&key, ROW_QUEUE, u->first++);
	int rc = rebuild_get(&u->d.rows, &key, &u->scratch);
	if (!rc && u->scratch.len != 2 * sizeof(*pair))
		rc = -EUCLEAN;
	if (!rc)
		memcpy(pair, u->scratch.data, 2 * sizeof(*pair));
	return rc;
}

static int revive_key(struct undelete *u, struct revival *r)
{
	int rc = run(u, revive, r);
	if (rc == -E2BIG && r->was.d.contents == CONTENTS_ROWS)
		rc = revive_large(u, r);
	if (!rc && data_is_space(&r->was.d))
		rc = enqueue(u, r->was.d.id, r->id);
	return rc;
}

struct space_copy {
	struct undelete *u;
	uint64_t id; /* of the copy */
};

static int revive_name(void *arg, const uint8_t *row, size_t len,
		       const uint8_t *value, size_t value_len)
{
	const struct space_copy *c = arg;
	struct revival r;
	(void)value;
	(void)value_len;
	if (len <= ROW_ID_LEN)
		return -EUCLEAN;
	struct name n = { get_be64(row + 1), (const char *)row + ROW_ID_LEN,
			  len - ROW_ID_LEN };
	int rc = names_lookup(&c->u->source.state, &n, &r.was);
	if (rc)
		return rc;
	r.to = (struct name){ c->id, n.bytes, n.len };
	r.top = false;
	return revive_key(c->u, &r);
}

struct times {
	uint64_t id;
	const struct data *was;
};

/* Keys that were made in it have changed them */
static int set_times(struct undelete *u, struct txn *txn, void *arg)
{
	const struct times *t = arg;
	struct located l;
	(void)u;
	int rc = names_space(&txn->state, t->id, &l.d);
	if (rc)
		return rc;
	location_set(&l.at, 0, NULL, 0);
	l.d.mtime = t->was->mtime;
	l.d.atime = t->was->atime;
	l.d.ctime = txn_time(txn, l.d.ctime);
	return data_save(txn, &l);
}

static int revive_space(struct undelete *u, uint64_t old, uint64_t new)
{
	struct space_copy c = { u, new };
	struct row_key prefix;
	struct data was;
	struct times t = { new, &was };
	row_key_id(&prefix, ROW_NAME, old);
	int rc = see(u, ROW_DONE, old);
	if (rc <= 0)
		return rc ? rc : -EUCLEAN;
	rc = names_space(&u->source.state, old, &was);
	if (!rc)
		rc = rows_visit(&u->source.state, prefix.bytes, prefix.len,
				revive_name, &c);
	return rc ? rc : run(u, set_times, &t);
}

/* ---- all of it -------------------------------------------------------- */

struct target {
	const char *path;
	struct name n;
};

static int find_target(struct undelete *u, struct txn *txn, void *arg)
{
	struct target *t = arg;
	struct located l;
	(void)u;
	int rc = resolve_last(txn, t->path, false, &t->n);
	if (!rc)
		rc = names_lookup(&txn->state, &t->n, &l);
	if (rc == 0)
		return -EEXIST;
	return rc == -ENOENT && t->n.space ? 0 : rc;
}

static int revive_all(struct undelete *u, const char *to)
{
	struct target t = { .path = to };
	struct revival r = { .top = true };
	uint64_t pair[2];
	int rc = run(u, find_target, &t);
	if (rc)
		return rc;
	r.to = t.n;
	rc = u->key.type == 0040000 ?
		     names_space(&u->source.state, u->key.id, &r.was.d) :
		     names_lookup(&u->source.state, &u->from, &r.was);
	if (!rc)
		rc = revive_key(u, &r);
	while (!rc && u->first < u->last) {
		rc = dequeue(u, pair);
		if (!rc)
			rc = revive_space(u, pair[0], pair[1]);
	}
	return rc == -ENOENT || rc == -ENOTDIR ? -EUCLEAN : rc;
}

/* The paths of the keys that were noted, before nothing can go wrong any more */
static int name_made(struct undelete *u, struct txn *txn, void *arg)
{
	struct reader in = reader_of(u->made.data, u->made.len);
	int rc = 0;
	(void)arg;
	while (!rc && reader_left(&in)) {
		uint64_t space = read_be64(&in);
		uint8_t len = read_u8(&in);
		const uint8_t *name = read_bytes(&in, len);
		rc = space_path(&txn->state, space, &u->scratch);
		/* What somebody has removed since has none */
		if (rc > 0) {
			rc = 0;
			continue;
		}
		buf_add(&u->paths, u->scratch.data, u->scratch.len);
		buf_add(&u->paths, name, len);
		buf_add_u8(&u->paths, 0);
		if (!rc && u->paths.failed)
			rc = -ENOMEM;
	}
	return rc;
}

static int undelete(struct undelete *u, const char *path, const char *to)
{
	int rc = deletions_open_path(u->db->store, path, &u->d);
	if (rc)
		return rc;
	memcpy(u->file, u->d.h.now->volume->sb.file_uuid, sizeof(u->file));
	rc = find_key(u, path);
	if (!rc)
		rc = go_back(u);
	if (!rc)
		rc = begin_batch(u);
	if (!rc)
		rc = revive_all(u, to);
	if (!rc)
		rc = run(u, name_made, NULL);
	if (rc)
		banyan_abort(u->batch);
	else
		rc = end_batch(u);
	return rc;
}

static void tell_made(const struct undelete *u,
		      void (*made)(void *arg, const char *path), void *arg)
{
	const char *path = (const char *)u->paths.data;
	const char *last = path + u->paths.len;
	while (path != last) {
		made(arg, path);
		path += strlen(path) + 1;
	}
}

static void end(struct undelete *u)
{
	if (u->past.view) {
		read_txn_end(&u->source);
		view_unref(u->past.view);
	}
	deletions_close(&u->d);
	buf_free(&u->scratch);
	buf_free(&u->made);
	buf_free(&u->paths);
}

int banyan_undelete(banyan *db, const char *path, const char *to,
		    void (*made)(void *arg, const char *path), void *arg)
{
	struct undelete u = { .db = db };
	banyan_data *data = NULL;
	bool again;
	int rc = handle_check(db);
	if (rc || !path || db->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	if (banyan_read_only(db))
		return -EROFS;
	to = to ? to : path;
	rc = banyan_find(db, to, &data);
	if (!rc) {
		banyan_release(data, 1);
		return (int)note_path(db, -EEXIST, __func__, to);
	}
	if (rc != -ENOENT)
		return rc;
	do {
		rc = undelete(&u, path, to);
		if (!rc && made)
			tell_made(&u, made, arg);
		again = rc == -ESTALE && !u.committed;
		end(&u);
		u = (struct undelete){ .db = db };
	} while (again);
	return (int)note_path(db, rc, __func__, path);
}
