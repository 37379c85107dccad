/* SPDX-License-Identifier: MIT */
/*
 * The row of an extent has the offset of its first byte in the old file as its
 * key, behind a byte that rows of other kinds do not begin with. Its value is the
 * extent in the new file.
 */
#include "vacuum/extent_map.h"

#define ROW_MAPPED 0x7fu

int extent_map_open(struct extent_map *m, struct file *beside,
		    uint64_t cache_bytes)
{
	struct file *file = NULL;
	*m = (struct extent_map){ 0 };
	int rc = file_beside(beside, &file);
	return rc ? rc : rebuild_open(&m->rows, file, cache_bytes, NULL, NULL);
}

void extent_map_close(struct extent_map *m)
{
	rebuild_drop(&m->rows);
	buf_free(&m->scratch);
}

static uint64_t first_byte(const struct extent *e)
{
	return e->payload + e->start;
}

static void key_of(uint64_t first, struct row_key *key)
{
	key->bytes[0] = ROW_MAPPED;
	put_be64(key->bytes + 1, first);
	key->len = 9;
}

int extent_map_add(struct extent_map *m, const struct extent *from,
		   const struct extent *to)
{
	struct row_key key;
	key_of(first_byte(from), &key);
	buf_reset(&m->scratch);
	extent_encode(to, &m->scratch);
	if (m->scratch.failed)
		return -ENOMEM;
	return rebuild_put(&m->rows, &key, m->scratch.data, m->scratch.len);
}

int extent_map_find(struct extent_map *m, const struct extent *from,
		    struct extent *to)
{
	struct row_key key;
	uint64_t first = first_byte(from);
	key_of(first, &key);
	int rc = rebuild_find_before(&m->rows, &key, &m->scratch);
	if (!rc)
		rc = extent_row_decode(to, m->scratch.data, m->scratch.len);
	if (rc)
		return rc;
	uint64_t skip = first - get_be64(key.bytes + 1);
	if (skip > to->length || from->length > to->length - skip)
		return 1;
	to->start += (uint32_t)skip;
	to->length = from->length;
	to->shared = from->shared;
	return 0;
}
