/* SPDX-License-Identifier: MIT */
#include "model/xattr.h"

#include <errno.h>

#include "model/extent_io.h"

/* Longer values go to the log */
#define XATTR_INLINE_MAX 1024u

/* What a row's value begins with */
enum {
	IN_ROW = 0,
	IN_EXTENTS = 1,
};

static int make_key(struct row_key *key, uint64_t id, const char *name)
{
	size_t len = strlen(name);
	if (len == 0)
		return -EINVAL;
	if (len > BANYAN_NAME_MAX)
		return -ERANGE;
	row_key_xattr(key, id, name, len);
	return 0;
}

bool xattr_named(const uint8_t *key, size_t len)
{
	return len > ROW_ID_LEN && len - ROW_ID_LEN <= BANYAN_NAME_MAX &&
	       !memchr(key + ROW_ID_LEN, '\0', len - ROW_ID_LEN);
}

int xattr_extents(const uint8_t *value, size_t len,
		  struct extent e[XATTR_EXTENTS_MAX])
{
	struct reader in = reader_of(value, len);
	uint64_t sum = 0;
	uint8_t kind = read_u8(&in);
	if (!in.bad && kind == IN_ROW)
		return 0;
	uint8_t count = read_u8(&in);
	if (in.bad || kind != IN_EXTENTS || count < 1 ||
	    count > XATTR_EXTENTS_MAX)
		return -EUCLEAN;
	for (unsigned i = 0; i < count; i++) {
		if (!extent_read(&in, &e[i]))
			return -EUCLEAN;
		sum += e[i].length;
	}
	if (in.at != in.end || sum > BANYAN_XATTR_MAX)
		return -EUCLEAN;
	return count;
}

int xattr_put_extents(const struct runs *runs, struct buf *row)
{
	if (runs->count > XATTR_EXTENTS_MAX)
		return -E2BIG;
	buf_add_u8(row, IN_EXTENTS);
	buf_add_u8(row, (uint8_t)runs->count);
	for (size_t i = 0; i < runs->count; i++)
		extent_encode(&runs->run[i].e, row);
	return row->failed ? -ENOMEM : 0;
}

static int decode(const struct state *s, const struct row_value *row,
		  struct buf *value)
{
	struct extent e[XATTR_EXTENTS_MAX];
	int count = xattr_extents(row->bytes, row->len, e);
	if (count == 0)
		return buf_set(value, row->bytes + 1, row->len - 1);
	buf_reset(value);
	for (int i = 0; i < count; i++) {
		uint8_t *to = buf_reserve(value, e[i].length);
		if (!to)
			return -ENOMEM;
		int rc = extent_read_bytes(s, &e[i], 0, e[i].length, to);
		if (rc)
			return rc;
		value->len += e[i].length;
	}
	return count < 0 ? count : 0;
}

int xattr_get(const struct state *s, uint64_t id, const char *name,
	      struct buf *value)
{
	struct row_key key;
	struct row_value row;
	int rc = make_key(&key, id, name);
	if (!rc)
		rc = state_get(s, &key, &row);
	if (!rc)
		rc = decode(s, &row, value);
	return rc == -ENOENT ? -ENODATA : rc;
}

static int encode(struct txn *txn, const void *value, size_t size,
		  struct buf *row)
{
	struct runs runs = { 0 };
	buf_reset(row);
	if (size <= XATTR_INLINE_MAX) {
		buf_add_u8(row, IN_ROW);
		buf_add(row, value, size);
		return row->failed ? -ENOMEM : 0;
	}
	int rc = extent_stage(txn, value, size, 0, &runs);
	if (!rc)
		rc = xattr_put_extents(&runs, row);
	runs_free(&runs);
	return rc;
}

/* 0: it is there; -ENODATA; an error */
static int find(const struct state *s, uint64_t id, const char *name,
		struct row_key *key)
{
	struct row_value row;
	int rc = make_key(key, id, name);
	if (!rc)
		rc = state_get(s, key, &row);
	return rc == -ENOENT ? -ENODATA : rc;
}

int xattr_has(const struct state *s, uint64_t id, const char *name)
{
	struct row_key key;
	return find(s, id, name, &key);
}

/*
 * The names in their order, as many as a list can have: appended to *names if
 * that is not NULL, and their bytes added up in *size. 0, 1 if there are more,
 * or an error.
 */
static int walk_names(const struct state *s, uint64_t id, struct buf *names,
		      size_t *size)
{
	struct merged_cursor *cursor = NULL;
	struct row_key prefix;
	bool full = false;
	row_key_id(&prefix, ROW_XATTR, id);
	*size = 0;
	int rc = merged_cursor_open(&s->merged, prefix.bytes, prefix.len,
				    &cursor);
	while (rc == 0) {
		size_t len = 0;
		const uint8_t *key = merged_cursor_key(cursor, &len);
		if (!xattr_named(key, len)) {
			rc = -EUCLEAN;
			break;
		}
		len -= ROW_ID_LEN;
		full = len + 1 > BANYAN_XATTR_LIST_MAX - *size;
		if (full)
			break;
		*size += len + 1;
		if (names) {
			buf_add(names, key + ROW_ID_LEN, len);
			buf_add_u8(names, 0);
		}
		rc = merged_cursor_next(cursor);
	}
	merged_cursor_free(cursor);
	return rc < 0 ? rc : full;
}

int xattr_list(const struct state *s, uint64_t id, struct buf *names)
{
	size_t size = 0;
	buf_reset(names);
	int rc = walk_names(s, id, names, &size);
	if (rc < 0)
		return rc;
	return names->failed ? -ENOMEM : 0;
}

/* Is there room in the list for one more name? */
static int check_list(const struct state *s, uint64_t id, const char *name)
{
	size_t size = 0;
	int rc = walk_names(s, id, NULL, &size);
	if (rc == 0 && strlen(name) + 1 > BANYAN_XATTR_LIST_MAX - size)
		rc = 1;
	return rc > 0 ? -ENOSPC : rc;
}

int xattr_set(struct txn *txn, uint64_t id, const char *name, const void *value,
	      size_t size, unsigned flags)
{
	struct row_key key;
	struct buf row = BUF_INIT;
	if (size > BANYAN_XATTR_MAX)
		return -E2BIG;
	int rc = find(&txn->state, id, name, &key);
	if (rc == 0 && (flags & BANYAN_XATTR_CREATE))
		return -EEXIST;
	if (rc == -ENODATA && !(flags & BANYAN_XATTR_REPLACE))
		rc = check_list(&txn->state, id, name);
	if (!rc)
		rc = encode(txn, value, size, &row);
	if (!rc)
		rc = txn_put(txn, &key, &row);
	buf_free(&row);
	return rc;
}

int xattr_remove(struct txn *txn, uint64_t id, const char *name)
{
	struct row_key key;
	int rc = find(&txn->state, id, name, &key);
	return rc ? rc : txn_delete(txn, &key);
}
