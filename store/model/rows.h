/* SPDX-License-Identifier: MIT */
/*
 * rows.h - the keys of the rows that the model is made of.
 *
 *   NAME    01, space id, name        a key: its Data, or where that lies
 *   DATA    02, id                    a Data with aliases, a key space, ...
 *   LINK    03, id, space id, name    the way back from a Data to its keys
 *   XATTR   04, id, name              an extended attribute
 *   EXTENT  05, id, offset            a run of bytes of a long value
 *   ORPHAN  06, id                    a Data without a key, to be swept
 *   SNAPSHOT 07, name                 a freeze that has a name
 *
 * Ids and offsets are big-endian, so that the rows of one space, Data or value
 * are neighbours, in order.
 */
#ifndef STORE_MODEL_ROWS_H
#define STORE_MODEL_ROWS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/row_limits.h"

enum row_type {
	ROW_NAME = 1,
	ROW_DATA = 2,
	ROW_LINK = 3,
	ROW_XATTR = 4,
	ROW_EXTENT = 5,
	ROW_ORPHAN = 6,
	ROW_SNAPSHOT = 7,
};

#define ROW_ID_LEN 9u /* a type and an id */
#define ROW_LINK_LEN (ROW_ID_LEN + 8u) /* and the id of a space: LINK rows */

struct row_key {
	size_t len;
	uint8_t bytes[ROW_KEY_MAX];
};

static inline void row_key_id(struct row_key *k, enum row_type type,
			      uint64_t id)
{
	k->bytes[0] = (uint8_t)type;
	put_be64(k->bytes + 1, id);
	k->len = ROW_ID_LEN;
}

static inline void row_key_add(struct row_key *k, const void *bytes, size_t n)
{
	assert(n <= sizeof(k->bytes) - k->len);
	if (n)
		memcpy(k->bytes + k->len, bytes, n);
	k->len += n;
}

static inline void row_key_name(struct row_key *k, uint64_t space,
				const char *name, size_t len)
{
	row_key_id(k, ROW_NAME, space);
	row_key_add(k, name, len);
}

static inline void row_key_data(struct row_key *k, uint64_t id)
{
	row_key_id(k, ROW_DATA, id);
}

static inline void row_key_link(struct row_key *k, uint64_t id, uint64_t space,
				const char *name, size_t len)
{
	uint8_t bytes[8];
	put_be64(bytes, space);
	row_key_id(k, ROW_LINK, id);
	row_key_add(k, bytes, sizeof(bytes));
	row_key_add(k, name, len);
}

/* In which space the key of a LINK row, of ROW_LINK_LEN bytes at least, says that
 * its Data lies; the name of the Data's key is behind these */
static inline uint64_t row_link_space(const uint8_t *key)
{
	return get_be64(key + ROW_ID_LEN);
}

static inline void row_key_xattr(struct row_key *k, uint64_t id,
				 const char *name, size_t len)
{
	row_key_id(k, ROW_XATTR, id);
	row_key_add(k, name, len);
}

static inline void row_key_extent(struct row_key *k, uint64_t id,
				  uint64_t offset)
{
	uint8_t bytes[8];
	put_be64(bytes, offset);
	row_key_id(k, ROW_EXTENT, id);
	row_key_add(k, bytes, sizeof(bytes));
}

static inline void row_key_orphan(struct row_key *k, uint64_t id)
{
	row_key_id(k, ROW_ORPHAN, id);
}

static inline void row_key_snapshot(struct row_key *k, const char *name,
				    size_t len)
{
	k->bytes[0] = ROW_SNAPSHOT;
	k->len = 1;
	row_key_add(k, name, len);
}

/* Does this row's key begin with the type and id of k? */
static inline bool row_has_id(const uint8_t *key, size_t len,
			      const struct row_key *k)
{
	return len >= ROW_ID_LEN && memcmp(key, k->bytes, ROW_ID_LEN) == 0;
}

#endif
