/* SPDX-License-Identifier: MIT */
#include "api/key_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/row_lookup.h"

/* ---- the path --------------------------------------------------------- */

static bool next_part(const char **path, struct name *n)
{
	*path += strspn(*path, "/");
	*n = (struct name){ 0, *path, strcspn(*path, "/") };
	*path += n->len;
	return n->len > 0;
}

static int split(const char *path, struct key_history *k)
{
	struct name n;
	size_t count = 0;
	const char *at = path;
	while (next_part(&at, &n)) {
		/* Space 0: the reserved name may have been used before */
		int rc = name_check(0, n.bytes, n.len);
		if (rc)
			return rc;
		count++;
	}
	if (!count)
		return -EINVAL;
	k->part = calloc(count, sizeof(*k->part));
	if (!k->part)
		return -ENOMEM;
	k->parts = count;
	at = path;
	for (size_t i = 0; i < count; i++)
		(void)next_part(&at, &k->part[i].name);
	k->part[0].name.space = BANYAN_ROOT_ID;
	return 0;
}

/* What the part before it leads to now; nothing leads beyond */
static void enter(struct key_history *k, size_t i, uint64_t space)
{
	k->part[i].name.space = space;
	for (size_t next = i; next < k->parts; next++) {
		k->part[next].id = 0;
		if (next > i)
			k->part[next].name.space = 0;
	}
}

/* ---- looked up in a state --------------------------------------------- */

static int look_up_value(const struct state *s, struct key_history *k)
{
	const struct key_part *last = &k->part[k->parts - 1];
	struct located l;
	int rc = names_lookup(s, &last->name, &l);
	k->now.there = rc == 0;
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	k->now.d = l.d;
	k->now.embedded = l.at.space != 0;
	k->part[k->parts - 1].id = l.d.id;
	return 0;
}

/* From part i on, whose space is known */
static int look_up(const struct state *s, struct key_history *k, size_t i)
{
	struct name_row row;
	struct located l;
	k->now.there = false;
	for (; i + 1 < k->parts; i++) {
		int rc = names_row(s, &k->part[i].name, &row, &l);
		if (rc == -ENOENT)
			return 0;
		if (rc)
			return rc;
		k->part[i].id = row.id;
		if (row.embedded || !name_row_is_space(&row))
			return 0;
		enter(k, i + 1, row.id);
	}
	return look_up_value(s, k);
}

/* ---- looked up in the rows of the step -------------------------------- */

static bool is_name(const struct row_change *row, const struct name *n)
{
	struct row_key key;
	if (row->key[0] != ROW_NAME || row->key_len != ROW_ID_LEN + n->len ||
	    get_be64(row->key + 1) != n->space)
		return false;
	row_key_name(&key, n->space, n->bytes, n->len);
	return memcmp(key.bytes, row->key, key.len) == 0;
}

static bool is_id(const struct row_change *row, enum row_type type, uint64_t id)
{
	return row->key_len >= ROW_ID_LEN && row->key[0] == type &&
	       get_be64(row->key + 1) == id;
}

/* The Data in its DATA row, as the step has put it. 1: it has not. */
static int find_data(struct key_history *k, uint64_t id)
{
	struct row_change row;
	int rc = history_rows(&k->h);
	while (!rc && (rc = history_row(&k->h, &row)) == 0) {
		if (!is_id(&row, ROW_DATA, id) || row.key_len != ROW_ID_LEN)
			continue;
		if (!row.value)
			return 1;
		return rows_decode_data(row.key, row.key_len, row.value,
					row.value_len, &k->now.d);
	}
	return rc;
}

/* In the state after the step: of what has changed before it */
static int look_back(struct key_history *k, size_t i)
{
	struct view_state past;
	struct read_txn rtxn;
	int rc = history_after(&k->h, &past);
	if (rc)
		return rc;
	read_txn_begin_at(k->h.store, past.view, past.seq, &rtxn);
	read_txn_pin(&rtxn);
	rc = look_up(&rtxn.state, k, i);
	read_txn_end(&rtxn);
	view_unref(past.view);
	return rc;
}

/* ---- steps ------------------------------------------------------------ */

/* What the key's own row says now */
static int take_value(struct key_history *k, const struct row_change *row)
{
	struct key_part *last = &k->part[k->parts - 1];
	struct name_row name;
	k->now.there = row->value != NULL;
	last->id = 0;
	if (!row->value)
		return 0;
	int rc = name_row_decode(&name, &k->now.d, row->value, row->value_len);
	if (rc)
		return rc;
	last->id = name.id;
	k->now.embedded = name.embedded;
	return 0;
}

/* A key space of the path is another one now, or none */
static int take_part(struct key_history *k, size_t i,
		     const struct row_change *row)
{
	struct name_row name = { 0 };
	uint64_t id = 0;
	int rc = row->value ? name_row_decode(&name, NULL, row->value,
					      row->value_len) :
			      0;
	if (rc)
		return rc;
	if (row->value && !name.embedded && name_row_is_space(&name))
		id = name.id;
	if (id == k->part[i].id)
		return 0;
	if (i < k->lost) {
		k->lost = i;
		k->left = k->part[i].id;
	}
	k->part[i].id = id;
	return 0;
}

static int take_row(struct key_history *k, const struct row_change *row)
{
	uint64_t id = k->part[k->parts - 1].id;
	if (row->key_len < ROW_ID_LEN)
		return 0;
	switch (row->key[0]) {
	case ROW_NAME:
		for (size_t i = 0; i < k->parts; i++) {
			if (!is_name(row, &k->part[i].name))
				continue;
			return i + 1 < k->parts ? take_part(k, i, row) :
						  take_value(k, row);
		}
		return 0;
	case ROW_DATA:
		if (!k->now.there || k->now.embedded || !row->value ||
		    row->key_len != ROW_ID_LEN || !is_id(row, ROW_DATA, id))
			return 0;
		return rows_decode_data(row->key, row->key_len, row->value,
					row->value_len, &k->now.d);
	case ROW_XATTR:
		k->beside |= data_is_space(&k->now.d) &&
			     is_id(row, ROW_XATTR, id);
		return 0;
	case ROW_EXTENT:
		k->beside |= is_id(row, ROW_EXTENT, id);
		return 0;
	default:
		return 0;
	}
}

/* The Data that the key refers to: in the step, or from long before */
static int find_referred(struct key_history *k)
{
	int rc = find_data(k, k->part[k->parts - 1].id);
	return rc > 0 ? look_back(k, k->parts - 1) : rc;
}

/* Part i lies in a key space that the step has made: 0, 1: so does the next
 * part, or an error */
static int look_in_step(struct key_history *k, size_t i)
{
	struct row_change row;
	int rc = history_rows(&k->h);
	while (!rc && (rc = history_row(&k->h, &row)) == 0)
		if (is_name(&row, &k->part[i].name))
			break;
	if (rc)
		return rc < 0 ? rc : 0;
	if (i + 1 == k->parts) {
		rc = take_value(k, &row);
		if (rc || !k->now.there || k->now.embedded)
			return rc;
		return find_referred(k);
	}
	rc = take_part(k, i, &row);
	if (rc || !k->part[i].id)
		return rc;
	enter(k, i + 1, k->part[i].id);
	return 1;
}

/*
 * The way leads elsewhere from part `lost` on. What is in a key space that was
 * made in this step was put there in this step.
 */
static int find_way(struct key_history *k)
{
	size_t i = k->lost;
	uint64_t id = k->part[i].id;
	int rc = 1;
	k->now.there = false;
	enter(k, i + 1, id);
	if (!id)
		return 0;
	while (rc > 0 && id >= k->h.first_new) {
		rc = look_in_step(k, ++i);
		id = k->part[i].id;
	}
	return rc > 0 ? look_back(k, i + 1) : rc;
}

static int read_step(struct key_history *k)
{
	struct row_change row;
	k->lost = k->parts;
	k->beside = false;
	int rc = history_rows(&k->h);
	while (!rc && (rc = history_row(&k->h, &row)) == 0)
		rc = take_row(k, &row);
	if (rc < 0)
		return rc;
	if (k->lost < k->parts)
		return find_way(k);
	bool refers = k->now.there && !k->now.embedded;
	if (!refers || k->now.d.id == k->part[k->parts - 1].id)
		return 0;
	/* It refers to another Data than before */
	return find_referred(k);
}

/* ---- events ----------------------------------------------------------- */

/*
 * Do their rows speak of the same bytes? Whoever shares them changes nothing. A
 * vacuum may have moved them.
 */
static bool same_contents(const struct data *a, const struct data *b,
			  bool moved)
{
	if (a->size != b->size || a->contents != b->contents ||
	    a->inline_len != b->inline_len || a->extents != b->extents ||
	    memcmp(a->inline_bytes, b->inline_bytes, a->inline_len) != 0)
		return false;
	if (moved)
		return a->mtime == b->mtime;
	for (uint32_t i = 0; i < a->extents; i++) {
		const struct extent *x = &a->extent[i].e, *y = &b->extent[i].e;
		if (a->extent[i].at != b->extent[i].at ||
		    x->payload != y->payload || x->start != y->start ||
		    x->length != y->length)
			return false;
	}
	return true;
}

static bool same_attributes(const struct data *a, const struct data *b)
{
	if (a->mode != b->mode || a->flags != b->flags || a->uid != b->uid ||
	    a->gid != b->gid)
		return false;
	/* A key in it changes the rest of a key space */
	return data_is_space(a) ||
	       (a->mtime == b->mtime && a->atime == b->atime &&
		a->ctime == b->ctime && a->nlink == b->nlink);
}

/* Has the step put a key of this Data somewhere else? 1, 0, or an error. */
static int was_moved(struct key_history *k, uint64_t id)
{
	struct row_change row;
	struct name_row name;
	int rc = history_rows(&k->h);
	while (!rc && (rc = history_row(&k->h, &row)) == 0) {
		if (row.key[0] != ROW_NAME || !row.value)
			continue;
		rc = name_row_decode(&name, NULL, row.value, row.value_len);
		if (!rc && name.id == id)
			return 1;
	}
	return rc < 0 ? rc : 0;
}

/* 0: an event, 1: none */
static int compare(struct key_history *k, enum banyan_event *event)
{
	const struct data *was = &k->before.d, *is = &k->now.d;
	if (!k->before.there && !k->now.there)
		return 1;
	if (!k->before.there) {
		*event = BANYAN_MADE;
	} else if (!k->now.there) {
		int moved =
			was_moved(k, k->lost < k->parts ? k->left : was->id);
		if (moved < 0)
			return moved;
		*event = moved ? BANYAN_MOVED : BANYAN_DELETED;
	} else if (was->id != is->id) {
		*event = BANYAN_REPLACED;
	} else if (data_is_file(is) &&
		   (!same_contents(was, is, k->h.gap) ||
		    (k->beside && was->ctime != is->ctime))) {
		*event = BANYAN_CHANGED;
	} else if ((k->beside && data_is_space(is)) ||
		   !same_attributes(was, is)) {
		*event = BANYAN_ATTRIBUTES;
	} else {
		return 1;
	}
	return 0;
}

int key_history_next(struct key_history *k, enum banyan_event *event)
{
	int rc;
	while ((rc = history_next(&k->h)) == 0) {
		k->before = k->now;
		rc = read_step(k);
		if (!rc)
			rc = compare(k, event);
		if (rc <= 0)
			break;
	}
	return rc;
}

int key_history_open(struct store *store, const char *path,
		     struct key_history *k)
{
	memset(k, 0, sizeof(*k));
	int rc = split(path, k);
	if (!rc)
		rc = history_open(store, &k->h);
	if (rc) {
		free(k->part);
		return rc;
	}
	rc = look_up(&k->h.base.state, k, 0);
	if (rc)
		key_history_close(k);
	return rc;
}

void key_history_close(struct key_history *k)
{
	history_close(&k->h);
	free(k->part);
	k->part = NULL;
}
