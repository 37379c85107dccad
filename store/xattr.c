/* SPDX-License-Identifier: MIT */
#include "xattr.h"

#include <errno.h>

#include "contents.h"

/* Longer values go to the log */
#define XATTR_INLINE_MAX 1024u
/* A value of 64 KiB crosses at most one segment boundary, and so do pieces */
#define XATTR_EXTENTS_MAX 8u

enum {
	XATTR_BYTES = 0,
	XATTR_EXTENTS = 1,
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

static int decode_extents(const struct state *s, struct reader *in,
			  struct buf *value)
{
	uint8_t count = read_u8(in);
	if (count < 1 || count > XATTR_EXTENTS_MAX)
		return -EUCLEAN;
	while (count--) {
		struct extent e;
		if (!extent_read(in, &e) ||
		    e.length > BANYAN_XATTR_MAX - value->len)
			return -EUCLEAN;
		uint8_t *to = buf_reserve(value, e.length);
		if (!to)
			return -ENOMEM;
		int rc = contents_read_extent(s, &e, 0, e.length, to);
		if (rc)
			return rc;
		value->len += e.length;
	}
	return in->at == in->end ? 0 : -EUCLEAN;
}

static int decode(const struct state *s, const struct row_value *row,
		  struct buf *value)
{
	struct reader in = reader_of(row->bytes, row->len);
	buf_reset(value);
	switch (read_u8(&in)) {
	case XATTR_BYTES:
		if (in.bad)
			return -EUCLEAN;
		return buf_set(value, in.at, reader_left(&in));
	case XATTR_EXTENTS:
		return decode_extents(s, &in, value);
	default:
		return -EUCLEAN;
	}
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

static int encode(struct change *c, const void *value, size_t size,
		  struct buf *row)
{
	struct runs runs = { 0 };
	int rc = 0;
	buf_reset(row);
	if (size <= XATTR_INLINE_MAX) {
		buf_add_u8(row, XATTR_BYTES);
		buf_add(row, value, size);
	} else {
		rc = contents_stage(c, value, size, 0, &runs);
		if (!rc && runs.count > XATTR_EXTENTS_MAX)
			rc = -E2BIG;
		buf_add_u8(row, XATTR_EXTENTS);
		buf_add_u8(row, (uint8_t)runs.count);
		for (size_t i = 0; !rc && i < runs.count; i++)
			extent_encode(&runs.run[i].e, row);
		runs_free(&runs);
	}
	return !rc && row->failed ? -ENOMEM : rc;
}

/* 0: it is there; -ENODATA; an error */
static int find(struct change *c, uint64_t id, const char *name,
		struct row_key *key)
{
	struct row_value row;
	int rc = make_key(key, id, name);
	if (!rc)
		rc = state_get(&c->state, key, &row);
	return rc == -ENOENT ? -ENODATA : rc;
}

int xattr_set(struct change *c, uint64_t id, const char *name,
	      const void *value, size_t size, unsigned flags)
{
	struct row_key key;
	struct buf row = BUF_INIT;
	if (size > BANYAN_XATTR_MAX)
		return -E2BIG;
	int rc = find(c, id, name, &key);
	if (rc == 0 && (flags & BANYAN_XATTR_CREATE))
		return -EEXIST;
	if (rc == -ENODATA && !(flags & BANYAN_XATTR_REPLACE))
		rc = 0;
	if (!rc)
		rc = encode(c, value, size, &row);
	if (!rc)
		rc = change_put(c, &key, &row);
	buf_free(&row);
	return rc;
}

int xattr_remove(struct change *c, uint64_t id, const char *name)
{
	struct row_key key;
	int rc = find(c, id, name, &key);
	return rc ? rc : change_delete(c, &key);
}

int xattr_list(const struct state *s, uint64_t id, struct buf *names)
{
	struct layer_cursor *cursor = NULL;
	struct row_key prefix;
	row_key_id(&prefix, ROW_XATTR, id);
	buf_reset(names);
	int rc = layer_cursor_open(&s->layers, prefix.bytes, prefix.len,
				   &cursor);
	while (rc == 0) {
		size_t len = 0;
		const uint8_t *key = layer_cursor_key(cursor, &len);
		if (len == ROW_ID_LEN || len - ROW_ID_LEN > BANYAN_NAME_MAX ||
		    memchr(key + ROW_ID_LEN, '\0', len - ROW_ID_LEN)) {
			rc = -EUCLEAN;
			break;
		}
		buf_add(names, key + ROW_ID_LEN, len - ROW_ID_LEN);
		buf_add_u8(names, 0);
		rc = layer_cursor_next(cursor);
	}
	layer_cursor_free(cursor);
	if (rc < 0)
		return rc;
	return names->failed ? -ENOMEM : 0;
}
