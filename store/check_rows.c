/* SPDX-License-Identifier: MIT */
/* check_rows.c - the nodes of the tree, and the rows in them. */
#include <errno.h>
#include <inttypes.h>

#include "check.h"
#include "contents.h"
#include "xattr.h"

/* ---- nodes ------------------------------------------------------------ */

struct bound {
	uint8_t key[ROW_KEY_MAX];
	size_t len;
};

static int check_node(struct checker *k, banyan *db, const struct node_ref *ref,
		      unsigned level, const struct bound *lower,
		      const struct bound *upper);

static int check_children(struct checker *k, banyan *db,
			  const struct node *node, const struct bound *upper)
{
	for (unsigned i = 0; i < node->count; i++) {
		struct bound from;
		struct bound to;
		struct node_ref child;
		bool last = i + 1 == node->count;
		from.len = node_key(node, i, from.key);
		if (!last)
			to.len = node_key(node, i + 1, to.key);
		node_child(node, i, &child);
		int rc = check_node(k, db, &child, node->level - 1, &from,
				    last ? upper : &to);
		if (rc)
			return rc;
	}
	return 0;
}

/* Depth is at most TREE_HEIGHT_MAX; bounds keep a node from being seen twice */
static int check_node(struct checker *k, banyan *db, const struct node_ref *ref,
		      unsigned level, const struct bound *lower,
		      const struct bound *upper)
{
	const struct node *node = NULL;
	int rc = cache_get(db->cache, ref, level, &node);
	if (!rc) {
		rc = node_check_bounds(node, lower->key, lower->len,
				       upper ? upper->key : NULL,
				       upper ? upper->len : 0);
		if (!rc && level > 0)
			rc = check_children(k, db, node, upper);
		else if (!rc)
			rc = check_progress(k, k->done);
		cache_put(db->cache, node);
	}
	if (check_is_damage(rc)) {
		check_found(k,
			    "damaged node at offset %" PRIu64 ", %" PRIu32
			    " bytes, level %u",
			    ref->offset, ref->length, level);
		rc = 0;
	}
	return rc;
}

int check_tree(struct checker *k, banyan *db)
{
	struct snapshot s;
	struct bound lower = { .len = 0 };
	int rc = 0;
	db_read_long(db, &s);
	const struct tree *t = &s.state.layers.tree;
	if (t->height)
		rc = check_node(k, db, &t->root, t->height - 1, &lower, NULL);
	db_read_end(&s);
	return rc;
}

/* ---- rows ------------------------------------------------------------- */

struct rows {
	struct checker *k;
	const struct state *s;
	uint64_t next_id;
	uint64_t keys;
	uint64_t live;
	uint64_t seen;
};

static int has_row(const struct rows *r, const struct row_key *key)
{
	struct row_value value;
	int rc = state_get(r->s, key, &value);
	return rc == 0 ? 1 : rc == -ENOENT ? 0 : rc;
}

/* Read the bytes of a value, a piece at a time */
static int check_value(struct rows *r, const struct data *d)
{
	struct extent_iter it;
	struct run run;
	uint8_t piece[CHUNK_SIZE];
	uint64_t stored = 0;
	int rc = extent_iter_open(&it, r->s, d, 0);
	if (rc)
		return rc;
	while ((rc = extent_iter_next(&it, &run)) == 0) {
		stored += run.e.length;
		for (uint32_t at = 0; !rc && at < run.e.length;) {
			/* Whole chunks, so that none is read twice */
			uint32_t n =
				CHUNK_SIZE - (run.e.start + at) % CHUNK_SIZE;
			if (n > run.e.length - at)
				n = run.e.length - at;
			rc = contents_read_extent(r->s, &run.e, at, n, piece);
			at += n;
		}
		if (rc)
			break;
	}
	extent_iter_close(&it);
	if (rc < 0)
		return rc;
	bool in_extents = d->contents == CONTENTS_EXTENTS ||
			  d->contents == CONTENTS_ROWS;
	/* Of an orphan some may have been swept already */
	return in_extents && d->nlink && stored != d->stored ? -EUCLEAN : 0;
}

static int value_found(struct rows *r, const struct data *d, const char *name,
		       size_t len)
{
	int rc = check_value(r, d);
	r->live += d->stored;
	if (d->id >= r->next_id)
		check_found(r->k,
			    "Data %" PRIu64
			    " is not below the next id, %" PRIu64,
			    d->id, r->next_id);
	if (!check_is_damage(rc))
		return rc;
	check_found(r->k, "damaged value of Data %" PRIu64 " %s%.*s", d->id,
		    len ? "at key " : "", (int)len, name);
	return 0;
}

/* A key that refers to a DATA row: that, and the way back, must be there */
static int check_reference(struct rows *r, const struct name_row *row,
			   uint64_t space, const char *name, size_t len)
{
	struct row_key key;
	struct located l;
	struct home home = { 0 };
	int rc = data_load(r->s, row->id, &home, &l);
	if (rc == -ESTALE || (!rc && (l.d.mode & 0170000) != row->type)) {
		check_found(r->k,
			    "key %.*s of space %" PRIu64
			    " refers to Data %" PRIu64
			    ", which is not there or of another type",
			    (int)len, name, space, row->id);
		return 0;
	}
	if (rc)
		return rc;
	row_key_link(&key, row->id, space, name, len);
	rc = has_row(r, &key);
	if (rc == 0)
		check_found(r->k,
			    "key %.*s of space %" PRIu64 " has no LINK row",
			    (int)len, name, space);
	return rc < 0 ? rc : 0;
}

static int check_name(struct rows *r, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct name_row row;
	struct data d;
	struct data space;
	uint64_t id = get_be64(key + 1);
	const char *name = (const char *)key + ROW_ID_LEN;
	size_t name_len = len - ROW_ID_LEN;
	r->keys++;
	int rc = names_space(r->s, id, &space);
	if (rc == -ENOENT || rc == -ENOTDIR) {
		check_found(r->k,
			    "key %.*s lies in space %" PRIu64
			    ", which is not there",
			    (int)name_len, name, id);
		rc = 0;
	}
	if (rc)
		return rc;
	if (name_check(id, name, name_len) ||
	    name_row_decode(&row, &d, value, value_len))
		return -EUCLEAN;
	if (row.embedded)
		return value_found(r, &d, name, name_len);
	return check_reference(r, &row, id, name, name_len);
}

/* How many rows begin with this key; of them, how many are key spaces */
static int count_rows(struct rows *r, const struct row_key *prefix,
		      uint64_t *rows, uint64_t *spaces)
{
	struct layer_cursor *c = NULL;
	int rc = layer_cursor_new(&r->s->layers, &c);
	if (rc)
		return rc;
	rc = layer_cursor_within(c, prefix->bytes, prefix->len);
	if (!rc)
		rc = layer_cursor_seek(c, prefix->bytes, prefix->len);
	while (rc == 0) {
		struct name_row row = { 0 };
		size_t len = 0;
		const uint8_t *key = layer_cursor_key(c, &len);
		if (!row_has_id(key, len, prefix))
			break;
		++*rows;
		const uint8_t *value = layer_cursor_value(c, &len);
		if (prefix->bytes[0] == ROW_NAME &&
		    name_row_decode(&row, NULL, value, len) == 0 &&
		    row.type == 0040000)
			++*spaces;
		rc = layer_cursor_next(c);
	}
	layer_cursor_free(c);
	return rc < 0 ? rc : 0;
}

static int check_nlink(struct rows *r, const struct data *d)
{
	struct row_key key;
	uint64_t links = 0;
	uint64_t names = 0;
	uint64_t spaces = 0;
	row_key_id(&key, ROW_LINK, d->id);
	int rc = count_rows(r, &key, &links, &spaces);
	if (!rc && data_is_space(d)) {
		row_key_id(&key, ROW_NAME, d->id);
		rc = count_rows(r, &key, &names, &spaces);
	}
	if (rc)
		return rc;
	bool root = d->id == BANYAN_ROOT_ID;
	uint64_t want = data_is_space(d) && (links || root) ? 2 + spaces :
							      links;
	if (d->nlink != want || (data_is_space(d) && links > 1) ||
	    (root && links))
		check_found(r->k,
			    "Data %" PRIu64 " says that it has %" PRIu32
			    " links, it has %" PRIu64,
			    d->id, d->nlink, want);
	if (d->nlink)
		return 0;
	row_key_orphan(&key, d->id);
	rc = has_row(r, &key);
	if (rc == 0)
		check_found(r->k,
			    "Data %" PRIu64 " is lost: no key leads to it",
			    d->id);
	return rc < 0 ? rc : 0;
}

static int check_data(struct rows *r, const uint8_t *key, size_t len,
		      const uint8_t *value, size_t value_len)
{
	struct data d;
	if (len != ROW_ID_LEN || data_decode(&d, value, value_len) ||
	    d.id != get_be64(key + 1))
		return -EUCLEAN;
	int rc = check_nlink(r, &d);
	return rc ? rc : value_found(r, &d, "", 0);
}

/* The way back must lead to a key that refers to the Data it starts from */
static int check_link(struct rows *r, const uint8_t *key, size_t len)
{
	struct name_row row;
	struct located l;
	if (len < ROW_ID_LEN + 9)
		return -EUCLEAN;
	struct name n = { get_be64(key + ROW_ID_LEN),
			  (const char *)key + ROW_ID_LEN + 8,
			  len - ROW_ID_LEN - 8 };
	if (n.len > BANYAN_NAME_MAX)
		return -EUCLEAN;
	int rc = names_row(r->s, &n, &row, &l);
	if (rc == -ENOENT ||
	    (!rc && (row.embedded || row.id != get_be64(key + 1)))) {
		check_found(r->k,
			    "LINK row of Data %" PRIu64
			    " leads to key %.*s, which is another's",
			    get_be64(key + 1), (int)n.len, n.bytes);
		rc = 0;
	}
	return rc;
}

static int check_xattr(struct rows *r, const uint8_t *key, size_t len)
{
	char name[BANYAN_NAME_MAX + 1];
	struct buf value = BUF_INIT;
	size_t n = len - ROW_ID_LEN;
	if (n > BANYAN_NAME_MAX)
		return -EUCLEAN;
	memcpy(name, key + ROW_ID_LEN, n);
	name[n] = '\0';
	int rc = xattr_get(r->s, get_be64(key + 1), name, &value);
	buf_free(&value);
	return rc == -ENODATA ? -EUCLEAN : rc;
}

static int check_row(struct rows *r, const uint8_t *key, size_t len,
		     const uint8_t *value, size_t value_len)
{
	struct extent e;
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
		return check_xattr(r, key, len);
	case ROW_EXTENT:
		return extent_row_decode(&e, value, value_len);
	case ROW_ORPHAN:
		return 0;
	default:
		return -EUCLEAN;
	}
}

static int check_all(struct rows *r, struct layer_cursor *c, uint64_t expect)
{
	int rc = layer_cursor_seek(c, "", 0);
	while (rc == 0) {
		size_t len = 0;
		size_t value_len = 0;
		const uint8_t *key = layer_cursor_key(c, &len);
		const uint8_t *value = layer_cursor_value(c, &value_len);
		rc = check_row(r, key, len, value, value_len);
		if (check_is_damage(rc)) {
			check_found(r->k, "damaged row of type %u, id %" PRIu64,
				    len ? key[0] : 0,
				    len >= ROW_ID_LEN ? get_be64(key + 1) : 0);
			rc = 0;
		}
		uint64_t half = r->k->total / 2;
		if (++r->seen % 1024 == 0 && !rc)
			rc = check_progress(
				r->k, half + (uint64_t)((double)half *
							(double)r->seen /
							(double)(expect + 1)));
		if (!rc)
			rc = layer_cursor_next(c);
	}
	return rc < 0 ? rc : 0;
}

int check_rows(struct checker *k, banyan *db)
{
	struct snapshot s;
	struct layer_cursor *c = NULL;
	db_read_long(db, &s);
	struct rows r = { .k = k,
			  .s = &s.state,
			  .next_id = atomic_load(&db->next_id) };
	uint64_t keys = atomic_load(&db->keys);
	uint64_t live = atomic_load(&db->live);
	int rc = layer_cursor_new(&s.state.layers, &c);
	if (!rc)
		rc = check_all(&r, c, keys);
	layer_cursor_free(c);
	db_read_end(&s);
	if (!rc && r.keys != keys)
		check_found(k,
			    "the count of keys is %" PRIu64
			    ", there are %" PRIu64,
			    keys, r.keys);
	if (!rc && r.live != live)
		check_found(k,
			    "the count of live bytes is %" PRIu64
			    ", there are %" PRIu64,
			    live, r.live);
	return rc;
}
