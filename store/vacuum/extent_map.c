/* SPDX-License-Identifier: MIT */
/*
 * A row of copied bytes has the offset of its first byte in the old file as its
 * key, behind a byte that rows of other kinds do not begin with. Its value is
 * the extent in the new file. Rows overlap where bytes were copied
 * again; what the last row that begins before a byte does not have counts as not
 * copied. Rows of bytes that are noted have another first byte, and their extent
 * in the old file. No two of these overlap.
 */
#include "vacuum/extent_map.h"

#include <errno.h>

#define ROW_NOTED 0x7eu
#define ROW_MAPPED 0x7fu

/* Its memory, and that of its tables */
#define MAP_CACHE (8u << 20)

int extent_map_open(struct extent_map *m, struct file *file)
{
	*m = (struct extent_map){ 0 };
	return rebuild_open(&m->rows, file, MAP_CACHE, NULL, NULL);
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

static uint64_t end_of(const struct extent *e)
{
	return first_byte(e) + e->length;
}

static void key_of(uint8_t kind, uint64_t first, struct row_key *key)
{
	key->bytes[0] = kind;
	put_be64(key->bytes + 1, first);
	key->len = 9;
}

static int put_extent(struct extent_map *m, const struct row_key *key,
		      const struct extent *e)
{
	buf_reset(&m->scratch);
	extent_encode(e, &m->scratch);
	if (m->scratch.failed)
		return -ENOMEM;
	return rebuild_put(&m->rows, key, m->scratch.data, m->scratch.len);
}

/* The last one that begins at or before *key, which is then its key; 1: none */
static int find_extent(struct extent_map *m, struct row_key *key,
		       struct extent *e)
{
	int rc = rebuild_find_before(&m->rows, key, &m->scratch);
	return rc ? rc : extent_row_decode(e, m->scratch.data, m->scratch.len);
}

int extent_map_add(struct extent_map *m, const struct extent *from,
		   const struct extent *to)
{
	struct row_key key;
	key_of(ROW_MAPPED, first_byte(from), &key);
	return put_extent(m, &key, to);
}

/* Let *all cover the other one as well, with which it has bytes in common */
static int join(struct extent *all, const struct extent *other)
{
	uint64_t end = end_of(all) > end_of(other) ? end_of(all) :
						     end_of(other);
	if (all->payload != other->payload ||
	    all->payload_len != other->payload_len)
		return -EUCLEAN;
	if (other->start < all->start)
		all->start = other->start;
	all->length = (uint32_t)(end - first_byte(all));
	return 0;
}

int extent_map_note(struct extent_map *m, const struct extent *e)
{
	struct extent all = *e;
	struct extent other;
	struct row_key key;
	int rc;
	for (;;) {
		key_of(ROW_NOTED, end_of(&all) - 1, &key);
		rc = find_extent(m, &key, &other);
		if (rc || end_of(&other) <= first_byte(&all))
			break;
		if (first_byte(&other) <= first_byte(&all) &&
		    end_of(&other) >= end_of(&all))
			return 0;
		rc = join(&all, &other);
		if (!rc)
			rc = rebuild_delete(&m->rows, &key);
		if (rc)
			return rc;
	}
	if (rc < 0)
		return rc;
	key_of(ROW_NOTED, first_byte(&all), &key);
	return put_extent(m, &key, &all);
}

int extent_map_around(struct extent_map *m, const struct extent *e,
		      struct extent *all)
{
	struct row_key key;
	key_of(ROW_NOTED, first_byte(e), &key);
	int rc = find_extent(m, &key, all);
	if (rc)
		return rc < 0 ? rc : -EUCLEAN;
	return end_of(all) >= end_of(e) ? 0 : -EUCLEAN;
}

int extent_map_find(struct extent_map *m, const struct extent *from,
		    struct extent *to)
{
	struct row_key key;
	uint64_t first = first_byte(from);
	key_of(ROW_MAPPED, first, &key);
	int rc = find_extent(m, &key, to);
	if (rc)
		return rc;
	uint64_t skip = first - get_be64(key.bytes + 1);
	if (skip >= to->length)
		return 1;
	to->start += (uint32_t)skip;
	to->length -= (uint32_t)skip;
	if (to->length > from->length)
		to->length = from->length;
	to->shared = from->shared;
	return 0;
}
