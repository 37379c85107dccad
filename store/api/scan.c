/* SPDX-License-Identifier: MIT */
/* scan.c - cursors over the keys of a key space. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/attributes.h"
#include "api/handle.h"
#include "api/scan.h"
#include "base/sized.h"
#include "model/contents.h"

struct banyan_cursor {
	banyan_data *space; /* held */
	struct read_txn rtxn;
	struct merged_cursor *rows;
	struct row_key prefix; /* all keys that are wanted begin so */
	struct row_key from;
	struct row_key to; /* len 0: no bound */
	struct row_key at; /* where to begin, if `sought` */
	bool sought;
	bool after;
	bool reverse;
	bool names_only;
	bool values;
	bool started;
	bool ended;
	struct name_row row; /* of the key that was given last */
	struct located l;
	char name[BANYAN_NAME_MAX + 1];
	size_t len;
	struct buf value; /* of the key, if it lies in several places */
};

/* The first key behind all that begin with k: false if there is none */
static bool successor(struct row_key *k)
{
	while (k->len && k->bytes[k->len - 1] == 0xff)
		k->len--;
	if (k->len == 0)
		return false;
	k->bytes[k->len - 1]++;
	return true;
}

static int set_range(struct banyan_cursor *c, const struct banyan_range *range)
{
	struct banyan_range taken;
	const struct banyan_range *r = &taken;
	uint64_t id = c->space->id;
	int rc = sized_take(&taken, sizeof(taken), sizeof(taken), range);
	if (rc)
		return rc;
	row_key_name(&c->prefix, id, NULL, 0);
	c->from = c->prefix;
	if (r->prefix_len > BANYAN_NAME_MAX || r->from_len > BANYAN_NAME_MAX ||
	    r->to_len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	if (r->prefix)
		row_key_name(&c->prefix, id, r->prefix, r->prefix_len);
	if (r->from)
		row_key_name(&c->from, id, r->from, r->from_len);
	if (r->to)
		row_key_name(&c->to, id, r->to, r->to_len);
	c->after = r->from && r->after;
	c->reverse = r->reverse;
	c->names_only = r->names_only;
	c->values = r->values && !r->names_only;
	return 0;
}

static int open_rows(struct banyan_cursor *c, const struct banyan_range *range)
{
	struct data d;
	int rc = set_range(c, range);
	if (!rc)
		rc = names_space(&c->rtxn.state, c->space->id, &d);
	if (!rc)
		rc = merged_cursor_new(&c->rtxn.state.merged, &c->rows);
	if (!rc)
		merged_cursor_within(c->rows, c->prefix.bytes, c->prefix.len);
	return rc == -ENOENT ? -ESTALE : rc;
}

int banyan_scan(banyan_data *space, const struct banyan_range *range,
		banyan_cursor **cursor)
{
	int rc = data_check(space);
	if (rc || !cursor)
		return rc ? rc : -EINVAL;
	struct banyan_cursor *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	rc = handle_read_pinned(space->db, &c->rtxn);
	if (rc) {
		free(c);
		return rc;
	}
	c->space = space;
	banyan_hold(space);
	rc = open_rows(c, range);
	if (rc)
		banyan_scan_end(c);
	else
		*cursor = c;
	return rc;
}

void banyan_scan_end(banyan_cursor *c)
{
	if (!c || data_check(c->space))
		return;
	merged_cursor_free(c->rows);
	read_txn_end(&c->rtxn);
	banyan_release(c->space, 1);
	buf_free(&c->value);
	free(c);
}

static int compare_keys(const struct row_key *a, const struct row_key *b)
{
	return compare_bytes(a->bytes, a->len, b->bytes, b->len);
}

/* The first key of the range, but none before `at` */
static int seek_first(struct banyan_cursor *c)
{
	const struct row_key *start = &c->from;
	if (compare_keys(&c->prefix, start) > 0)
		start = &c->prefix;
	if (c->sought && compare_keys(&c->at, start) > 0)
		start = &c->at;
	int rc = merged_cursor_seek(c->rows, start->bytes, start->len);
	if (rc == 0 && c->after) {
		size_t len = 0;
		const uint8_t *key = merged_cursor_key(c->rows, &len);
		if (compare_bytes(key, len, c->from.bytes, c->from.len) == 0)
			rc = merged_cursor_next(c->rows);
	}
	return rc;
}

/* The last key of the range, but none behind `at` */
static int seek_last(struct banyan_cursor *c)
{
	struct row_key bound = c->prefix;
	/* A NAME row's key begins with 01: there is always a successor */
	(void)successor(&bound);
	if (c->to.len && compare_keys(&c->to, &bound) < 0)
		bound = c->to;
	if (c->sought) {
		struct row_key behind = c->at;
		behind.bytes[behind.len++] = 0;
		if (compare_keys(&behind, &bound) < 0)
			bound = behind;
	}
	return merged_cursor_seek_before(c->rows, bound.bytes, bound.len);
}

int banyan_seek(banyan_cursor *c, const char *name, size_t len, unsigned flags)
{
	int rc = c ? data_check(c->space) : -EINVAL;
	if (rc || (flags & ~BANYAN_SEEK_REVERSE))
		return rc ? rc : -EINVAL;
	if (len > BANYAN_NAME_MAX)
		return -ENAMETOOLONG;
	c->sought = name != NULL;
	if (name)
		row_key_name(&c->at, c->space->id, name, len);
	c->reverse = flags & BANYAN_SEEK_REVERSE;
	c->started = false;
	c->ended = false;
	return 0;
}

static int step(struct banyan_cursor *c)
{
	if (c->started)
		return c->reverse ? merged_cursor_prev(c->rows) :
				    merged_cursor_next(c->rows);
	c->started = true;
	return c->reverse ? seek_last(c) : seek_first(c);
}

/* The cursor over the rows keeps to the prefix by itself */
static bool in_range(const struct banyan_cursor *c, const uint8_t *key,
		     size_t len)
{
	if (!c->reverse)
		return !c->to.len ||
		       compare_bytes(key, len, c->to.bytes, c->to.len) < 0;
	int order = compare_bytes(key, len, c->from.bytes, c->from.len);
	return c->after ? order > 0 : order >= 0;
}

/*
 * A batch may be changed by other threads while it is scanned, and a scan sees their
 * rows at once. So a step is not made in the middle of an operation, which would have
 * half of its rows, nor while the last row is still to be put into the table.
 */
static int lock_batch(struct banyan_cursor *c)
{
	banyan *db = c->space->db;
	if (db->kind != HANDLE_BATCH)
		return 0;
	pthread_mutex_lock(&db->lock);
	return db->txn ? txn_put_pending(db->txn) : 0;
}

static void unlock_batch(struct banyan_cursor *c)
{
	if (c->space->db->kind == HANDLE_BATCH)
		pthread_mutex_unlock(&c->space->db->lock);
}

/* In a batch: has the key at the position gone since the cursor came to it? */
static bool deleted_since(const struct banyan_cursor *c)
{
	const struct name n = { c->space->id, c->name, c->len };
	struct name_row row;
	struct located l;
	if (c->space->db->kind != HANDLE_BATCH)
		return false;
	int rc = names_row(&c->rtxn.state, &n, &row, &l);
	return rc == -ENOENT || (rc == 0 && row.id != c->row.id);
}

/* What the row at the position says; -EAGAIN: it has gone meanwhile */
static int decode(struct banyan_cursor *c)
{
	size_t len = 0;
	struct location *home = &c->l.at;
	const uint8_t *value = merged_cursor_value(c->rows, &len);
	int rc = name_row_decode(&c->row, &c->l.d, value, len);
	if (!rc)
		rc = name_check(c->space->id, c->name, c->len) ? -EUCLEAN : 0;
	if (rc)
		return rc;
	location_set(home, c->row.embedded ? c->space->id : 0, c->name,
		     c->row.embedded ? c->len : 0);
	if (c->row.embedded || c->names_only)
		return 0;
	rc = names_data(&c->rtxn.state, c->row.id, &c->l);
	if (rc == -ENOENT)
		rc = deleted_since(c) ? -EAGAIN : -EUCLEAN;
	return rc;
}

/* The whole value at the position; *value is NULL if it is not to be had */
static int take_value(struct banyan_cursor *c, const void **value)
{
	const struct data *d = &c->l.d;
	size_t size = (size_t)d->size;
	uint32_t type = d->mode & S_IFMT;
	*value = NULL;
	if ((type != S_IFREG && type != S_IFLNK) ||
	    d->size > BANYAN_SCAN_VALUE_MAX)
		return 0;
	if (d->contents == CONTENTS_INLINE && d->inline_len == d->size) {
		*value = d->inline_bytes;
		return 0;
	}
	buf_reset(&c->value);
	uint8_t *to = buf_reserve(&c->value, size + 1);
	if (!to)
		return -ENOMEM;
	*value = to;
	return contents_read(&c->rtxn.state, d, to, size, 0);
}

/* The row at the position: 0, 1 if it is out of the range, or an error */
static int take_row(struct banyan_cursor *c, const void **value)
{
	size_t len = 0;
	const uint8_t *key = merged_cursor_key(c->rows, &len);
	if (!in_range(c, key, len))
		return 1;
	if (len - ROW_ID_LEN > BANYAN_NAME_MAX)
		return -EUCLEAN;
	c->len = len - ROW_ID_LEN;
	memcpy(c->name, key + ROW_ID_LEN, c->len);
	c->name[c->len] = '\0';
	int rc = decode(c);
	if (!rc && c->values)
		rc = take_value(c, value);
	return rc;
}

int banyan_next(banyan_cursor *c, struct banyan_entry *entry)
{
	const void *value = NULL;
	int rc = c ? data_check(c->space) : -EINVAL;
	if (rc || !entry)
		return rc ? rc : -EINVAL;
	if (c->ended)
		return 1;
	rc = lock_batch(c);
	if (!rc)
		do {
			rc = step(c);
			if (rc == 0)
				rc = take_row(c, &value);
		} while (rc == -EAGAIN);
	unlock_batch(c);
	c->ended = rc != 0;
	if (is_damage(rc))
		store_report(c->space->db->store,
			     "damage near key '%s' of space %llu", c->name,
			     (unsigned long long)c->space->id);
	if (rc)
		return rc;
	entry->name = c->name;
	entry->len = c->len;
	entry->value = value;
	if (c->names_only)
		entry->attr = (struct banyan_attr){ .id = c->row.id,
						    .mode = c->row.type };
	else
		fill_attr(&c->l.d, &entry->attr);
	return 0;
}

int banyan_entry_data(banyan_cursor *c, banyan_data **data)
{
	banyan_data *held = NULL;
	int rc = c ? data_check(c->space) : -EINVAL;
	if (rc || !data || !c->len)
		return rc ? rc : -EINVAL;
	banyan *db = c->space->db;
	/* The table of a batch knows nothing of moves of what nobody held */
	if (db->kind != HANDLE_BATCH) {
		rc = held_hold(db->held, c->row.id, &c->l.at, c->rtxn.seq,
			       data);
		if (rc != -EAGAIN)
			return rc;
	}
	/* It may have moved since: look where it is now */
	rc = banyan_search(c->space, c->name, c->len, &held, NULL);
	if (rc)
		return rc == -ENOENT ? -ESTALE : rc;
	if (held->id != c->row.id) {
		banyan_release(held, 1);
		return -ESTALE;
	}
	*data = held;
	return 0;
}

/* Does the LINK row at the cursor lead to the key that was given last? */
static bool leads_here(const struct banyan_cursor *c,
		       const struct merged_cursor *links)
{
	struct row_key link;
	size_t len = 0;
	const uint8_t *key = merged_cursor_key(links, &len);
	row_key_link(&link, c->row.id, c->space->id, c->name, c->len);
	return compare_bytes(key, len, link.bytes, link.len) == 0;
}

int scan_check_only_key(banyan_cursor *c)
{
	struct merged_cursor *links = NULL;
	struct row_key prefix;
	row_key_id(&prefix, ROW_LINK, c->row.id);
	int rc = merged_cursor_open(&c->rtxn.state.merged, prefix.bytes,
				    prefix.len, &links);
	bool here = rc == 0 && leads_here(c, links);
	if (here)
		rc = merged_cursor_next(links);
	merged_cursor_free(links);
	if (rc < 0)
		return rc;
	return here && rc == 1 ? 0 : -EUCLEAN;
}
