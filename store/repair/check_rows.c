/* SPDX-License-Identifier: MIT */
/* check_rows.c - the rows in a tree, and what they say of each other. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "repair/check.h"
#include "base/id_set.h"
#include "model/row_lookup.h"
#include "repair/row_text.h"
#include "repair/verify.h"
#include "engine/read_txn.h"
#include "engine/snapshot.h"
#include "model/xattr.h"

/* ---- rows ------------------------------------------------------------- */

struct rows {
	struct checker *k;
	struct store *store;
	const struct state *s;
	struct verifier verifier;
	struct id_set owners; /* ids of Datas */
	struct id_set in_rows; /* of those with extents in EXTENT rows */
	struct id_set rooted; /* see rows_way_up() */
	uint64_t stray[2]; /* what was told last: of XATTR, of EXTENT rows */
	uint64_t next_id;
	uint64_t keys;
	uint64_t live;
	uint64_t seen;
};

/* An error because a row lies below a damaged node is no damage of its own:
 * 1 */
static int beside_torn(const struct rows *r, int rc)
{
	return r->k->torn_count && is_damage(rc) ? 1 : rc;
}

struct value {
	struct rows *r;
	const char *what; /* whose it is */
	uint64_t size;
	bool bad;
};

static int bad_value(void *arg, uint64_t start, uint64_t end)
{
	struct value *v = arg;
	v->bad = true;
	tell_bad(&v->r->k->tell,
		 "damaged value of %s: bytes %" PRIu64 " to %" PRIu64
		 " of %" PRIu64,
		 v->what, start, end - 1, v->size);
	return 0;
}

static int check_value(struct rows *r, const struct data *d, const char *what)
{
	struct value v = { .r = r, .what = what, .size = d->size };
	uint64_t stored = 0;
	uint64_t own = 0;
	int rc = verify_value(&r->verifier, r->s, d, bad_value, &v, &stored,
			      &own);
	if (rc)
		return rc;
	bool in_extents = d->contents == CONTENTS_EXTENTS ||
			  d->contents == CONTENTS_ROWS;
	/* Some extents of an orphan may have been swept already */
	if (in_extents && d->nlink && stored != d->stored && !v.bad)
		tell_bad(&r->k->tell,
			 "damaged value of %s: %" PRIu64
			 " bytes are stored, it says %" PRIu64,
			 what, stored, d->stored);
	return 0;
}

/* Checks of a Data in a DATA or a NAME row; *text: its name in words */
static int check_one(struct rows *r, const struct data *d, struct buf *text)
{
	const char *what = tell_text(&r->k->tell, text);
	int rc = id_set_add(&r->owners, d->id);
	if (rc > 0)
		tell_bad(&r->k->tell,
			 "Data %" PRIu64 " at %s is also elsewhere", d->id,
			 what);
	/* Read the value once: a hostile file may repeat the Data very often */
	if (rc)
		return rc < 0 ? rc : 0;
	r->live += d->stored;
	if (d->id >= r->next_id)
		tell_bad(&r->k->tell,
			 "Data %" PRIu64 " is not below the next id, %" PRIu64,
			 d->id, r->next_id);
	if (d->contents == CONTENTS_ROWS)
		rc = id_set_add(&r->in_rows, d->id);
	return rc < 0 ? rc : check_value(r, d, what);
}

/* A key that refers to a Data: its DATA row and its LINK row must exist */
static int check_reference(struct rows *r, const struct name_row *row,
			   uint64_t space, const char *name, size_t len,
			   const char *what)
{
	struct row_key key;
	struct data d;
	int rc = rows_data(r->s, row->id, &d);
	if (rc == -ENOENT || (!rc && (d.mode & 0170000) != row->type)) {
		tell_bad(&r->k->tell,
			 "%s refers to Data %" PRIu64
			 ", which is not there or of another type",
			 what, row->id);
		return 0;
	}
	if (rc)
		return rc;
	row_key_link(&key, row->id, space, name, len);
	rc = rows_has(r->s, &key);
	if (rc == 0)
		tell_bad(&r->k->tell, "%s has no LINK row", what);
	return rc < 0 ? rc : 0;
}

static int check_named(struct rows *r, const uint8_t *key, size_t len,
		       const uint8_t *value, size_t value_len, struct buf *text)
{
	struct name_row row;
	struct data d;
	struct data space;
	uint64_t id = get_be64(key + 1);
	const char *name = (const char *)key + ROW_ID_LEN;
	size_t name_len = len - ROW_ID_LEN;
	int rc = rows_data(r->s, id, &space);
	if (rc == -ENOENT || (!rc && !data_is_space(&space))) {
		tell_bad(&r->k->tell,
			 "%s lies in space %" PRIu64 ", which is not there",
			 tell_text(&r->k->tell, text), id);
		rc = 0;
	}
	rc = beside_torn(r, rc);
	if (rc < 0)
		return rc;
	if (name_check(id, name, name_len) ||
	    name_row_decode(&row, &d, value, value_len))
		return -EUCLEAN;
	if (row.embedded)
		return check_one(r, &d, text);
	rc = check_reference(r, &row, id, name, name_len,
			     tell_text(&r->k->tell, text));
	rc = beside_torn(r, rc);
	return rc < 0 ? rc : 0;
}

static int check_name(struct rows *r, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct buf text = BUF_INIT;
	r->keys++;
	text_row(r->s, key, len, &text);
	int rc = check_named(r, key, len, value, value_len, &text);
	buf_free(&text);
	return rc;
}

struct counts {
	uint64_t rows;
	uint64_t spaces; /* of them */
};

static int count_row(void *arg, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	struct counts *c = arg;
	struct name_row row;
	(void)len;
	c->rows++;
	if (key[0] == ROW_NAME &&
	    name_row_decode(&row, NULL, value, value_len) == 0 &&
	    name_row_is_space(&row))
		c->spaces++;
	return 0;
}

static int count_rows(const struct rows *r, const struct row_key *prefix,
		      struct counts *c)
{
	return rows_visit(r->s, prefix->bytes, prefix->len, count_row, c);
}

static int check_nlink(struct rows *r, const struct data *d)
{
	struct row_key key;
	struct counts links = { 0 };
	struct counts names = { 0 };
	row_key_id(&key, ROW_LINK, d->id);
	int rc = count_rows(r, &key, &links);
	if (!rc && data_is_space(d)) {
		row_key_id(&key, ROW_NAME, d->id);
		rc = count_rows(r, &key, &names);
	}
	if (rc)
		return rc;
	bool root = d->id == BANYAN_ROOT_ID;
	uint64_t want = data_is_space(d) && (links.rows || root) ?
				2 + names.spaces :
				links.rows;
	if (d->nlink != want || (data_is_space(d) && links.rows > 1) ||
	    (root && links.rows))
		tell_bad(&r->k->tell,
			 "Data %" PRIu64 " says that it has %" PRIu32
			 " links, it has %" PRIu64,
			 d->id, d->nlink, want);
	if (d->nlink)
		return 0;
	row_key_orphan(&key, d->id);
	rc = rows_has(r->s, &key);
	if (rc == 0)
		tell_bad(&r->k->tell,
			 "Data %" PRIu64 " is lost: no key leads to it", d->id);
	return rc < 0 ? rc : 0;
}

/* A key space must lie where its parent field says, and below the root */
static int check_space(struct rows *r, const struct data *d)
{
	uint64_t parent = BANYAN_ROOT_ID;
	uint64_t circle = 0;
	if (d->id != BANYAN_ROOT_ID) {
		int rc = rows_parent(r->s, d->id, &parent);
		if (rc <= 0) /* an orphan, or told of by check_nlink() */
			return rc;
	}
	if (d->parent != parent)
		tell_bad(&r->k->tell,
			 "key space %" PRIu64 " says that it lies in %" PRIu64
			 ", it lies in %" PRIu64,
			 d->id, d->parent, parent);
	int rc = rows_way_up(r->s, d->id, &r->rooted, &circle);
	if (rc == 1)
		tell_bad(&r->k->tell, "key space %" PRIu64 " lies below itself",
			 circle);
	return rc < 0 ? rc : 0;
}

static int check_data(struct rows *r, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct data d;
	struct buf text = BUF_INIT;
	if (rows_decode_data(key, len, value, value_len, &d))
		return -EUCLEAN;
	int rc = beside_torn(r, check_nlink(r, &d));
	if (rc >= 0 && data_is_space(&d))
		rc = beside_torn(r, check_space(r, &d));
	if (rc >= 0) {
		text_data(r->s, d.id, &text);
		rc = check_one(r, &d, &text);
	}
	buf_free(&text);
	return rc < 0 ? rc : 0;
}

/* A LINK row must name a key that refers to the same Data */
static int check_link(struct rows *r, const uint8_t *key, size_t len)
{
	struct row_key name;
	struct name_row row = { 0 };
	struct buf value = BUF_INIT;
	if (len <= ROW_LINK_LEN || len > ROW_LINK_LEN + BANYAN_NAME_MAX)
		return -EUCLEAN;
	uint64_t id = get_be64(key + 1);
	row_key_name(&name, row_link_space(key),
		     (const char *)key + ROW_LINK_LEN, len - ROW_LINK_LEN);
	int rc = rows_get(r->s, &name, &value);
	if (!rc)
		rc = name_row_decode(&row, NULL, value.data, value.len);
	buf_free(&value);
	if (rc == -ENOENT || (!rc && (row.embedded || row.id != id))) {
		tell_bad(&r->k->tell,
			 "LINK row of Data %" PRIu64
			 " leads to key %.*s of space %" PRIu64
			 ", which is another's",
			 id, (int)(len - ROW_LINK_LEN),
			 (const char *)key + ROW_LINK_LEN, row_link_space(key));
		rc = 0;
	}
	rc = beside_torn(r, rc);
	return rc < 0 ? rc : 0;
}

/* An XATTR or EXTENT row must belong to a Data; told once for each Data */
static void check_owner(struct rows *r, const uint8_t *key)
{
	bool extent = key[0] == ROW_EXTENT;
	uint64_t id = get_be64(key + 1);
	uint64_t *told = &r->stray[extent];
	/* The Data may be in a row below a damaged node */
	if (id_set_has(extent ? &r->in_rows : &r->owners, id) || *told == id ||
	    r->k->torn_count)
		return;
	*told = id;
	tell_bad(&r->k->tell, "%s rows of Data %" PRIu64 ", which %s",
		 extent ? "EXTENT" : "XATTR", id,
		 extent ? "has no contents in them" : "is not there");
}

static int bad_xattr(void *arg, uint32_t start, uint32_t end)
{
	bool *bad = arg;
	(void)start;
	(void)end;
	*bad = true;
	return 0;
}

static int check_xattr(struct rows *r, const uint8_t *key, size_t len,
		       const uint8_t *value, size_t value_len)
{
	struct extent e[XATTR_EXTENTS_MAX];
	struct buf text = BUF_INIT;
	bool bad = false;
	int count = xattr_extents(value, value_len, e);
	if (count < 0 || !xattr_named(key, len))
		return -EUCLEAN;
	check_owner(r, key);
	int rc = 0;
	for (int i = 0; !rc && i < count; i++)
		rc = verify_extent(&r->verifier, &e[i], bad_xattr, &bad);
	if (!rc && bad) {
		text_row(r->s, key, len, &text);
		tell_bad(&r->k->tell, "damaged: %s",
			 tell_text(&r->k->tell, &text));
		buf_free(&text);
	}
	return rc;
}

static int check_extent(struct rows *r, const uint8_t *key, size_t len,
			const uint8_t *value, size_t value_len)
{
	struct extent e;
	if (len != ROW_ID_LEN + 8)
		return -EUCLEAN;
	check_owner(r, key);
	return extent_row_decode(&e, value, value_len);
}

/* Its tree was read with all that is in the log */
static int check_snapshot(struct rows *r, const uint8_t *key, size_t len,
			  const uint8_t *value, size_t value_len)
{
	struct snapshot s;
	struct freeze f;
	int rc = snapshot_decode(&s, key, len, value, value_len);
	if (rc)
		return rc;
	rc = snapshot_freeze(r->store, r->store->volume, &s, &f);
	return is_damage(rc) ? 0 : rc; /* which was reported */
}

static int check_row(struct rows *r, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	if (len && key[0] == ROW_SNAPSHOT)
		return check_snapshot(r, key, len, value, value_len);
	if (len < ROW_ID_LEN)
		return -EUCLEAN;
	switch (key[0]) {
	case ROW_NAME:
		return check_name(r, key, len, value, value_len);
	case ROW_DATA:
		return check_data(r, key, len, value, value_len);
	case ROW_LINK:
		return check_link(r, key, len);
	case ROW_XATTR:
		return check_xattr(r, key, len, value, value_len);
	case ROW_EXTENT:
		return check_extent(r, key, len, value, value_len);
	case ROW_ORPHAN:
		return len == ROW_ID_LEN ? 0 : -EUCLEAN;
	default:
		return -EUCLEAN;
	}
}

static int tell_row(struct rows *r, const uint8_t *key, size_t len, int rc)
{
	struct buf text = BUF_INIT;
	if (!is_damage(rc))
		return rc;
	text_row(r->s, key, len, &text);
	tell_bad(&r->k->tell, "damaged row, type %u: %s", len ? key[0] : 0,
		 tell_text(&r->k->tell, &text));
	buf_free(&text);
	return 0;
}

static int row_progress(struct rows *r, uint64_t expect)
{
	double part = (double)r->seen / (double)(expect + 1);
	uint64_t half = r->k->tell.total / 2;
	if (++r->seen % 1024)
		return 0;
	return tell_progress(&r->k->tell,
			     half + (uint64_t)((double)half * part));
}

/*
 * rc: what moving the cursor from key `behind` has returned. If it met a
 * damaged node, move the cursor behind that node. 0: it is at a row, 1: there
 * is none. *next is the first damaged node that was not passed yet.
 */
static int pass_torn(struct rows *r, struct merged_cursor *c,
		     const struct row_key *behind, size_t *next, int rc)
{
	while (is_damage(rc) && *next < r->k->torn_count) {
		const struct torn *t = &r->k->torn[(*next)++];
		if (t->last)
			return 1;
		if (compare_bytes(t->upper, t->upper_len, behind->bytes,
				  behind->len) > 0)
			rc = merged_cursor_seek(c, t->upper, t->upper_len);
	}
	return rc;
}

static int check_all(struct rows *r, struct merged_cursor *c, uint64_t expect)
{
	struct row_key at = { .len = 0 };
	size_t torn = 0;
	int rc = pass_torn(r, c, &at, &torn, merged_cursor_seek(c, "", 0));
	while (rc == 0) {
		size_t value_len = 0;
		const uint8_t *key = merged_cursor_key(c, &at.len);
		const uint8_t *value = merged_cursor_value(c, &value_len);
		memcpy(at.bytes, key, at.len);
		rc = check_row(r, at.bytes, at.len, value, value_len);
		rc = tell_row(r, at.bytes, at.len, rc);
		if (!rc)
			rc = row_progress(r, expect);
		if (!rc)
			rc = pass_torn(r, c, &at, &torn, merged_cursor_next(c));
	}
	return rc < 0 ? rc : 0;
}

/* Compare the sums with the counters, unless some rows could not be read */
static void check_counts(struct rows *r, uint64_t keys, uint64_t live)
{
	if (r->k->torn_count)
		return;
	if (r->keys != keys)
		tell_bad(&r->k->tell,
			 "the count of keys is %" PRIu64 ", there are %" PRIu64,
			 keys, r->keys);
	if (r->live != live)
		tell_bad(&r->k->tell,
			 "the count of live bytes is %" PRIu64
			 ", there are %" PRIu64,
			 live, r->live);
}

int check_rows(struct checker *k, struct store *store,
	       const struct view_state *now, const struct state *state)
{
	struct merged_cursor *c = NULL;
	struct rows *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->k = k;
	r->store = store;
	r->s = state;
	r->verifier.file = store->volume->file;
	r->next_id = now->next_id;
	int rc = merged_cursor_new(&state->merged, &c);
	if (!rc)
		rc = check_all(r, c, now->keys);
	merged_cursor_free(c);
	if (!rc)
		check_counts(r, now->keys, now->live);
	verifier_free(&r->verifier);
	id_set_free(&r->owners);
	id_set_free(&r->in_rows);
	id_set_free(&r->rooted);
	free(r);
	return rc;
}
