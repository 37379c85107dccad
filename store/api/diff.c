/* SPDX-License-Identifier: MIT */
/*
 * diff.c - the public function that compares two states.
 *
 * Rows that differ lead to keys: a NAME row is one, and a DATA row stands for
 * the keys that its LINK rows name. Rows of extents need not be looked at, nor
 * those of attributes but for key spaces, as whoever changes them sets the
 * ctime of their Data. Where rows differ only in where extents lie, as a vacuum
 * has it, nothing has changed.
 */
#include <errno.h>
#include <string.h>

#include "api/attributes.h"
#include "api/handle.h"
#include "api/space_path.h"
#include "model/row_lookup.h"
#include "table/merged_diff.h"

/* One of the two states */
struct side {
	banyan *db;
	struct read_txn rtxn;
	/* The path of the key space that was asked for last, with a slash */
	uint64_t space; /* 0: none */
	struct buf path;
};

struct diff {
	struct side before;
	struct side after;
	int (*visit)(void *arg, const struct banyan_change *change);
	void *arg;
	struct buf path;
	uint64_t attributes_of; /* whose attributes differed last */
};

/* What a key points to; absent: nothing */
struct found {
	bool there;
	struct data d;
};

/* ---- paths ------------------------------------------------------------ */

/* The path of a name in it, into d->path */
static int make_path(struct diff *d, struct side *s, const struct name *n)
{
	int rc = 0;
	if (s->space != n->space) {
		s->space = 0;
		rc = space_path(&s->rtxn.state, n->space, &s->path);
	}
	if (rc)
		return rc;
	s->space = n->space;
	buf_reset(&d->path);
	buf_add(&d->path, s->path.data, s->path.len);
	buf_add(&d->path, n->bytes, n->len);
	buf_add_u8(&d->path, 0);
	return d->path.failed ? -ENOMEM : 0;
}

/* ---- keys ------------------------------------------------------------- */

static int look_up(const struct side *s, const struct name *n, struct found *f)
{
	struct located l;
	int rc = names_lookup(&s->rtxn.state, n, &l);
	f->there = rc == 0;
	if (!rc)
		f->d = l.d;
	return rc == -ENOENT ? 0 : rc;
}

/* Whoever changes contents or attributes sets the ctime. In a key space those
 * do who change its keys, which is no change of its own. */
static bool is_changed(const struct data *a, const struct data *b)
{
	if (a->id != b->id || a->mode != b->mode || a->flags != b->flags ||
	    a->uid != b->uid || a->gid != b->gid)
		return true;
	return !data_is_space(a) &&
	       (a->ctime != b->ctime || a->mtime != b->mtime ||
		a->size != b->size);
}

/* attributes: those of the Data are not the same, and nothing else is told of
 * it */
static int tell(struct diff *d, const struct name *n, bool attributes,
		const struct found *before, const struct found *after)
{
	struct banyan_attr then, now;
	struct banyan_change change = { 0 };
	if (!before->there && !after->there)
		return 0;
	bool both = before->there && after->there;
	if (attributes ? !both || is_changed(&before->d, &after->d) :
			 both && !is_changed(&before->d, &after->d))
		return 0;
	int rc = make_path(d, after->there ? &d->after : &d->before, n);
	if (rc)
		return rc > 0 ? 0 : rc;
	change.path = (const char *)d->path.data;
	if (before->there) {
		fill_attr(&before->d, &then);
		change.before = &then;
	}
	if (after->there) {
		fill_attr(&after->d, &now);
		change.after = &now;
	}
	return d->visit(d->arg, &change);
}

static int tell_key(struct diff *d, const struct name *n, bool attributes)
{
	struct found before, after;
	int rc = look_up(&d->before, n, &before);
	if (!rc)
		rc = look_up(&d->after, n, &after);
	return rc ? rc : tell(d, n, attributes, &before, &after);
}

/* ---- rows ------------------------------------------------------------- */

/* Of a NAME row. Keys that refer to the same Data before and after are those of
 * its DATA row. */
static int name_differs(struct diff *d, const struct tree_difference *row)
{
	struct name_row before = { 0 }, after = { 0 };
	struct name n = name_in_row(row->key, row->key_len);
	int rc = row->before ? name_row_decode(&before, NULL, row->before,
					       row->before_len) :
			       0;
	if (!rc && row->after)
		rc = name_row_decode(&after, NULL, row->after, row->after_len);
	if (rc)
		return rc;
	if (row->before && row->after && before.id == after.id &&
	    !after.embedded)
		return 0;
	return tell_key(d, &n, false);
}

/* What is told of the keys of a Data */
struct aliases {
	struct diff *diff;
	uint64_t id;
	bool attributes; /* see tell() */
};

/* A key that the Data has now, by its LINK row: did it have it before? */
static int alias_differs(void *arg, const uint8_t *link, size_t len,
			 const uint8_t *value, size_t value_len)
{
	const struct aliases *a = arg;
	struct row_key key;
	struct row_value found;
	struct name_row was;
	(void)value;
	(void)value_len;
	if (len <= ROW_LINK_LEN)
		return 0;
	struct name n = name_in_link(link, len);
	row_key_name(&key, n.space, n.bytes, n.len);
	int rc = state_get(&a->diff->before.rtxn.state, &key, &found);
	if (rc == -ENOENT)
		return 0;
	if (!rc)
		rc = name_row_decode(&was, NULL, found.bytes, found.len);
	if (rc || was.id != a->id)
		return rc;
	return tell_key(a->diff, &n, a->attributes);
}

/* All keys that a Data has now. Those that it had, and has no more, and those
 * that are new have NAME rows that differ. */
static int aliases_differ(struct diff *d, uint64_t id, bool attributes)
{
	struct aliases a = { d, id, attributes };
	struct row_key prefix;
	row_key_id(&prefix, ROW_LINK, id);
	return rows_visit(&d->after.rtxn.state, prefix.bytes, prefix.len,
			  alias_differs, &a);
}

/* Of a DATA row */
static int data_differs(struct diff *d, const struct tree_difference *row)
{
	return row->after ? aliases_differ(d, get_be64(row->key + 1), false) :
			    0;
}

/* Of an XATTR row: if it is a key space's */
static int attribute_differs(struct diff *d, const struct tree_difference *row)
{
	struct data space;
	uint64_t id = get_be64(row->key + 1);
	if (id == d->attributes_of || id == BANYAN_ROOT_ID)
		return 0;
	d->attributes_of = id;
	int rc = names_space(&d->after.rtxn.state, id, &space);
	if (rc)
		return rc == -ENOTDIR ? 0 : rc;
	return aliases_differ(d, id, true);
}

static int compare(struct diff *d)
{
	struct merged_diff *rows = NULL;
	struct tree_difference row;
	int rc = merged_diff_new(&d->before.rtxn.state.merged,
				 &d->after.rtxn.state.merged, &rows);
	while (!rc) {
		rc = merged_diff_next(rows, &row);
		if (rc) {
			rc = rc < 0 ? rc : 0;
			break;
		}
		if (row.key_len > ROW_ID_LEN && row.key[0] == ROW_NAME)
			rc = name_differs(d, &row);
		else if (row.key_len == ROW_ID_LEN && row.key[0] == ROW_DATA)
			rc = data_differs(d, &row);
		else if (row.key_len > ROW_ID_LEN && row.key[0] == ROW_XATTR)
			rc = attribute_differs(d, &row);
	}
	merged_diff_free(rows);
	return rc;
}

int banyan_diff(banyan *before, banyan *after,
		int (*visit)(void *arg, const struct banyan_change *change),
		void *arg)
{
	struct diff d = { .before = { .db = before },
			  .after = { .db = after },
			  .visit = visit,
			  .arg = arg };
	int rc = handle_check(before);
	if (!rc)
		rc = handle_check(after);
	if (rc || !visit || before->kind == HANDLE_BATCH ||
	    after->kind == HANDLE_BATCH)
		return rc ? rc : -EINVAL;
	if (before->store != after->store)
		return -EXDEV;
	rc = handle_read_pinned(before, &d.before.rtxn);
	if (rc)
		return rc;
	rc = handle_read_pinned(after, &d.after.rtxn);
	if (!rc) {
		rc = compare(&d);
		read_txn_end(&d.after.rtxn);
	}
	read_txn_end(&d.before.rtxn);
	buf_free(&d.path);
	buf_free(&d.before.path);
	buf_free(&d.after.path);
	return rc;
}
