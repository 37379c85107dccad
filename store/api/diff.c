/* SPDX-License-Identifier: MIT */
/*
 * diff.c - the public function that compares two states.
 *
 * Rows that differ lead to keys: a NAME row is one, and a DATA row stands for the
 * keys that its LINK rows name. Rows of extents need not be looked at, nor those
 * of attributes but for key spaces, as whoever changes them sets the ctime of their
 * Data. Where rows differ only in where extents lie, as a vacuum has it, nothing has
 * changed.
 */
#include <errno.h>
#include <string.h>

#include "api/attributes.h"
#include "api/handle.h"
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

/* The first or the next LINK row of a Data: 0, or 1 if there is none */
static int next_link(struct merged_cursor *c, bool first, uint64_t id,
		     struct row_key *link)
{
	struct row_key prefix;
	size_t len = 0;
	row_key_id(&prefix, ROW_LINK, id);
	int rc = first ? merged_cursor_seek(c, prefix.bytes, prefix.len) :
			 merged_cursor_next(c);
	if (rc)
		return rc;
	const uint8_t *key = merged_cursor_key(c, &len);
	if (!row_has_id(key, len, &prefix) || len <= ROW_LINK_LEN)
		return 1;
	memcpy(link->bytes, key, len);
	link->len = len;
	return 0;
}

static int only_link(const struct side *s, uint64_t id, struct row_key *link)
{
	struct merged_cursor *c = NULL;
	int rc = merged_cursor_new(&s->rtxn.state.merged, &c);
	if (!rc)
		rc = next_link(c, true, id, link);
	merged_cursor_free(c);
	return rc;
}

/* No path is deeper: the key spaces of a damaged file may form a circle */
#define DEPTH_MAX 1000000u

/* The path of a key space, from its end to its beginning, into s->path: 1 if no key
 * leads there. */
static int find_path(struct side *s, uint64_t space)
{
	struct row_key link;
	buf_reset(&s->path);
	s->space = 0;
	for (unsigned depth = 0; space != BANYAN_ROOT_ID; depth++) {
		int rc = depth == DEPTH_MAX ? -ELOOP :
					      only_link(s, space, &link);
		if (rc)
			return rc;
		size_t n = link.len - ROW_LINK_LEN;
		uint8_t *to = buf_reserve(&s->path, n + 1);
		if (!to)
			return -ENOMEM;
		memmove(s->path.data + n + 1, s->path.data, s->path.len);
		memcpy(s->path.data, link.bytes + ROW_LINK_LEN, n);
		s->path.data[n] = '/';
		s->path.len += n + 1;
		space = row_link_space(link.bytes);
	}
	return 0;
}

/* The path of a name in it, into d->path */
static int make_path(struct diff *d, struct side *s, const struct name *n)
{
	int rc = s->space == n->space ? 0 : find_path(s, n->space);
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

/* Whoever changes contents or attributes sets the ctime. In a key space those do
 * who change its keys, which is no change of its own. */
static bool is_changed(const struct data *a, const struct data *b)
{
	if (a->id != b->id || a->mode != b->mode || a->uid != b->uid ||
	    a->gid != b->gid)
		return true;
	return !data_is_space(a) &&
	       (a->ctime != b->ctime || a->mtime != b->mtime ||
		a->size != b->size);
}

/* attributes: those of the Data are not the same, and nothing else is told of it */
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
	struct name n = { get_be64(row->key + 1),
			  (const char *)row->key + ROW_ID_LEN,
			  row->key_len - ROW_ID_LEN };
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

/* A key that a Data, of which the DATA row differs, has now: did it have it before? */
static int alias_differs(struct diff *d, uint64_t id,
			 const struct row_key *link, bool attributes)
{
	struct row_key name;
	struct row_value value;
	struct name_row was;
	struct name n = { row_link_space(link->bytes),
			  (const char *)link->bytes + ROW_LINK_LEN,
			  link->len - ROW_LINK_LEN };
	row_key_name(&name, n.space, n.bytes, n.len);
	int rc = state_get(&d->before.rtxn.state, &name, &value);
	if (rc == -ENOENT)
		return 0;
	if (!rc)
		rc = name_row_decode(&was, NULL, value.bytes, value.len);
	if (rc || was.id != id)
		return rc;
	return tell_key(d, &n, attributes);
}

/* Of a DATA row: all keys that it has. Those that it had, and has no more, and those
 * that are new have NAME rows that differ. */
static int data_differs(struct diff *d, const struct tree_difference *row)
{
	struct merged_cursor *c = NULL;
	struct row_key link;
	uint64_t id = get_be64(row->key + 1);
	int more = 0;
	if (!row->after)
		return 0;
	int rc = merged_cursor_new(&d->after.rtxn.state.merged, &c);
	bool first = true;
	while (!rc && (more = next_link(c, first, id, &link)) == 0) {
		first = false;
		rc = alias_differs(d, id, &link, false);
	}
	merged_cursor_free(c);
	return rc ? rc : more < 0 ? more : 0;
}

/* Of an XATTR row: if it is a key space's */
static int attribute_differs(struct diff *d, const struct tree_difference *row)
{
	struct row_key link;
	struct data space;
	uint64_t id = get_be64(row->key + 1);
	if (id == d->attributes_of || id == BANYAN_ROOT_ID)
		return 0;
	d->attributes_of = id;
	int rc = names_space(&d->after.rtxn.state, id, &space);
	if (rc)
		return rc == -ENOTDIR ? 0 : rc;
	rc = only_link(&d->after, id, &link);
	if (rc)
		return rc < 0 ? rc : 0;
	return alias_differs(d, id, &link, true);
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
