/* SPDX-License-Identifier: MIT */
/*
 * deleted.c - the public function that lists keys that were deleted.
 *
 * People know a key by its path. So each key is filed with the key space that had
 * its path last (last_path.h), and told if it does not exist there now.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/deleted.h"
#include "api/handle.h"
#include "api/last_error.h"
#include "api/last_path.h"
#include "model/row_lookup.h"

enum {
	ROW_FOUND = 0x78, /* space id, name: a struct deletion */
	ROW_ORDER = 0x79, /* newest first, number: space id, deletion, name */
};

struct deleted {
	struct deletions *d;
	struct read_txn now;
	struct buf below; /* paths that begin so are told */
	struct last_path at;
	uint64_t count;
	struct buf row;
	const struct deleted_order *order;
};

/* Do paths in the key space that was resolved last begin as asked for? */
static bool is_below(const struct deleted *x)
{
	return begins_with(x->at.path.data, x->at.path.len, x->below.data,
			   x->below.len);
}

/* ---- filing ----------------------------------------------------------- */

/* Is there such a key, or does the Data live under another one? 1, 0, error. */
static int exists(struct deleted *x, const struct name *n, uint64_t id)
{
	struct name_row row;
	struct located l;
	int rc = names_row(&x->now.state, n, &row, &l);
	if (!rc)
		return 1;
	if (rc == -ENOENT)
		rc = names_data(&x->now.state, id, &l);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return l.d.nlink > 0;
}

static void found_key(const struct name *n, struct row_key *key)
{
	key->bytes[0] = ROW_FOUND;
	put_be64(key->bytes + 1, n->space);
	key->len = ROW_ID_LEN;
	row_key_add(key, n->bytes, n->len);
}

/* Of several that had one path the newest counts */
static int is_newest(struct deleted *x, const struct row_key *row,
		     const struct deletion *key)
{
	struct deletion other;
	int rc = rebuild_get(&x->d->rows, row, &x->row);
	if (rc)
		return rc == -ENOENT ? 1 : rc;
	if (x->row.len != sizeof(other))
		return -EUCLEAN;
	memcpy(&other, x->row.data, sizeof(other));
	return other.offset < key->offset;
}

static int file_key(void *arg, const struct name *n, const struct deletion *key)
{
	struct deleted *x = arg;
	struct row_key row;
	int rc = last_path_find(&x->at, n->space);
	if (rc || !x->at.last || !is_below(x))
		return rc;
	struct name last = { x->at.last, n->bytes, n->len };
	rc = exists(x, &last, key->id);
	if (rc)
		return rc < 0 ? rc : 0;
	found_key(&last, &row);
	rc = is_newest(x, &row, key);
	if (rc > 0)
		rc = rebuild_put(&x->d->rows, &row, key, sizeof(*key));
	return rc;
}

static int order_key(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	struct deleted *x = arg;
	struct deletion found;
	struct row_key row;
	if (value_len != sizeof(found))
		return -EUCLEAN;
	memcpy(&found, value, sizeof(found));
	if (x->order->wanted && !x->order->wanted(x->order->wanted_arg, &found))
		return 0;
	row.bytes[0] = ROW_ORDER;
	put_be64(row.bytes + 1, ~found.offset);
	put_be64(row.bytes + 9, x->count++);
	row.len = 17;
	buf_reset(&x->row);
	buf_add(&x->row, value, value_len);
	buf_add(&x->row, key + 1, len - 1);
	if (x->row.failed)
		return -ENOMEM;
	return rebuild_put(&x->d->rows, &row, x->row.data, x->row.len);
}

/* ---- telling ---------------------------------------------------------- */

static int tell_key(void *arg, const uint8_t *row, size_t row_len,
		    const uint8_t *value, size_t len)
{
	struct deleted *x = arg;
	struct deletion key;
	struct banyan_deleted_key told = { 0 };
	(void)row;
	(void)row_len;
	if (len <= sizeof(key) + 8)
		return -EUCLEAN;
	memcpy(&key, value, sizeof(key));
	value += sizeof(key);
	len -= sizeof(key);
	int rc = last_path_find(&x->at, get_be64(value));
	if (rc)
		return rc;
	size_t space = x->at.path.len;
	buf_add(&x->at.path, value + 8, len - 8);
	buf_add_u8(&x->at.path, 0);
	if (x->at.path.failed)
		return -ENOMEM;
	told.path = (const char *)x->at.path.data;
	told.time = timestamp_split(key.time);
	told.id = key.id;
	told.size = key.size;
	told.type = key.type;
	rc = x->order->visit(x->order->arg, &told);
	x->at.path.len = space;
	return rc;
}

static int each_row(struct deleted *x, uint8_t kind, row_visit *visit)
{
	struct read_txn rtxn;
	int rc = rebuild_read(&x->d->rows, &rtxn);
	if (rc)
		return rc;
	rc = rows_visit(&rtxn.state, &kind, 1, visit, x);
	rebuild_read_end(&rtxn);
	return rc;
}

static int list(struct deleted *x)
{
	int rc = deletions_each(x->d, 0, file_key, x);
	if (!rc)
		rc = each_row(x, ROW_FOUND, order_key);
	last_path_forget(&x->at);
	return rc ? rc : each_row(x, ROW_ORDER, tell_key);
}

/* The path as it is compared: names with a slash behind each */
static int set_below(struct deleted *x, const char *path)
{
	while (path && *(path += strspn(path, "/"))) {
		size_t len = strcspn(path, "/");
		buf_add(&x->below, path, len);
		buf_add_u8(&x->below, '/');
		path += len;
	}
	return x->below.failed ? -ENOMEM : 0;
}

static void end(struct deleted *x)
{
	read_txn_end(&x->now);
	buf_free(&x->below);
	last_path_free(&x->at);
	buf_free(&x->row);
}

/* ---- some keys -------------------------------------------------------- */

struct search {
	struct deleted *x;
	struct deleted_version *v; /* by path */
	size_t count;
};

/* Is there a key by this name now? 1, 0, or an error. */
static int is_there(struct deleted *x, const struct name *n)
{
	struct name_row row;
	struct located l;
	int rc = names_row(&x->now.state, n, &row, &l);
	return rc ? (rc == -ENOENT ? 0 : rc) : 1;
}

static int compare_path(const void *path, const void *v)
{
	return strcmp(path, ((const struct deleted_version *)v)->path);
}

/* The version that is looked for of a key in the key space that was resolved
 * last. NULL: none, or there is no memory. */
static struct deleted_version *wanted(const struct search *s,
				      const struct name *n)
{
	struct buf *path = &s->x->at.path;
	size_t space = path->len;
	struct deleted_version *v = NULL;
	buf_add(path, n->bytes, n->len);
	buf_add_u8(path, 0);
	if (!path->failed)
		v = bsearch(path->data, s->v, s->count, sizeof(*v),
			    compare_path);
	path->len = space;
	return v;
}

static int match_key(void *arg, const struct name *n,
		     const struct deletion *key)
{
	const struct search *s = arg;
	struct deleted *x = s->x;
	int rc = last_path_find(&x->at, n->space);
	struct deleted_version *v = rc || !x->at.last ? NULL : wanted(s, n);
	if (x->at.path.failed)
		return -ENOMEM;
	if (!v)
		return rc;
	const struct name last = { x->at.last, n->bytes, n->len };
	rc = is_there(x, &last);
	if (rc || (v->name.len && key->offset < v->key.offset))
		return rc < 0 ? rc : 0;
	memcpy(v->bytes, n->bytes, n->len);
	v->name = (struct name){ n->space, v->bytes, n->len };
	v->key = *key;
	return 0;
}

int deleted_find(struct store *store, struct deletions *d,
		 struct deleted_version *v, size_t count)
{
	struct deleted x = { .d = d, .at.d = d, .at.now = &x.now };
	struct search s = { &x, v, count };
	read_txn_begin_pinned(store, &x.now);
	int rc = deletions_each(d, 0, match_key, &s);
	end(&x);
	return rc;
}

char *deleted_path(const char *path)
{
	struct deleted x = { 0 };
	int rc = set_below(&x, path);
	x.below.len -= x.below.len > 0;
	buf_add_u8(&x.below, 0);
	if (!rc && !x.below.failed)
		return (char *)x.below.data;
	buf_free(&x.below);
	return NULL;
}

/* ---- all -------------------------------------------------------------- */

int deleted_list(struct store *store, struct deletions *d,
		 const struct deleted_order *order)
{
	struct deleted x = {
		.d = d, .at.d = d, .at.now = &x.now, .order = order
	};
	read_txn_begin_pinned(store, &x.now);
	int rc = set_below(&x, order->path);
	if (!rc)
		rc = list(&x);
	end(&x);
	return rc;
}

int banyan_deleted(banyan *db, const char *path,
		   int (*visit)(void *arg,
				const struct banyan_deleted_key *key),
		   void *arg)
{
	const struct deleted_order order = { .path = path,
					     .visit = visit,
					     .arg = arg };
	struct deletions d;
	int rc = handle_check(db);
	if (rc || !visit || db->kind != HANDLE_STORE)
		return rc ? rc : -EINVAL;
	rc = deletions_open(db->store, false, &d);
	if (rc)
		return (int)note_path(db, rc, __func__, path ? path : "");
	rc = deleted_list(db->store, &d, &order);
	deletions_close(&d);
	return (int)note_path(db, rc, __func__, path ? path : "");
}
