/* SPDX-License-Identifier: MIT */
/*
 * Which rows there are is kept by a row index. A row's versions are a list,
 * newest first, that grows at the head: a version is complete before a release
 * store makes it the newest, and does not change or go after that (unless its
 * operation is taken back, and then nobody has looked at it).
 *
 * A million rows of 16 + 100 bytes take 190 MB. So what a row costs beside its
 * key and value is kept small: the first version lies right behind the key in
 * the same piece of memory, and only further ones have a pointer to an older
 * one, which lies in front of them.
 */
#include "table/redo_table.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Above the length in a version's word */
#define VERSION_DELETED (1u << 31)
#define VERSION_HAS_OLDER (1u << 30)
#define VERSION_LENGTH (VERSION_HAS_OLDER - 1)

struct redo_version {
	uint32_t seq; /* less the table's base */
	uint32_t word; /* length of the value, and flags */
	uint8_t bytes[];
};

struct redo_table {
	_Atomic unsigned refs;
	_Atomic size_t rows;
	_Atomic uint64_t base; /* the first operation's number */
	struct row_index index;
	struct arena arena;
};

struct redo_table *redo_table_new(void)
{
	struct redo_table *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	atomic_init(&t->refs, 1);
	if (row_index_init(&t->index, &t->arena)) {
		free(t);
		return NULL;
	}
	return t;
}

struct redo_table *redo_table_ref(struct redo_table *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void redo_table_unref(struct redo_table *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	arena_free(&t->arena);
	free(t);
}

size_t redo_table_bytes(const struct redo_table *t)
{
	return sizeof(*t) + arena_bytes(&t->arena);
}

size_t redo_table_rows(const struct redo_table *t)
{
	return atomic_load_explicit(&t->rows, memory_order_relaxed);
}

bool redo_table_follows(const struct redo_table *t)
{
	const struct row_index *ix = &t->index;
	return ix->last_at && ix->finger_at == ix->last_at;
}

size_t redo_table_in_order(const struct redo_table *t)
{
	return t->index.in_order;
}

/* ---- versions --------------------------------------------------------- */

static const struct redo_version *newest_of(const struct index_row *row)
{
	return atomic_load_explicit(&row->newest, memory_order_acquire);
}

static const struct redo_version *older_than(const struct redo_version *v)
{
	const struct redo_version *older = NULL;
	if (v->word & VERSION_HAS_OLDER)
		memcpy(&older, (const uint8_t *)v - sizeof(older),
		       sizeof(older));
	return older;
}

static const struct redo_version *
visible(const struct redo_table *t, const struct index_row *row, uint64_t seq)
{
	const struct redo_version *v = newest_of(row);
	if (!v)
		return NULL;
	/* After the row: there is a base as soon as there is a row */
	uint64_t base = atomic_load_explicit(&t->base, memory_order_relaxed);
	if (seq < base)
		return NULL;
	while (v && v->seq > seq - base)
		v = older_than(v);
	return v;
}

static const uint8_t *value_of(const struct redo_version *v, size_t *len)
{
	*len = v->word & VERSION_LENGTH;
	return v->word & VERSION_DELETED ? NULL : v->bytes;
}

static enum redo_found found(const struct redo_version *v,
			     const uint8_t **value, size_t *len)
{
	if (!v)
		return REDO_ABSENT;
	if (v->word & VERSION_DELETED)
		return REDO_DELETED;
	*value = value_of(v, len);
	return REDO_ROW;
}

enum redo_found redo_table_get(const struct redo_table *t, const void *key,
			       size_t key_len, uint64_t seq,
			       const uint8_t **value, size_t *value_len)
{
	struct index_spot spot;
	const struct index_row *row;
	if (!row_index_seek(&t->index, key, key_len, &spot))
		return REDO_ABSENT;
	row = spot.row;
	if (compare_bytes(row->key, row->key_len, key, key_len) != 0)
		return REDO_ABSENT;
	return found(visible(t, row, seq), value, value_len);
}

enum redo_found redo_table_get_newest(struct redo_table *t, const void *key,
				      size_t key_len, const uint8_t **value,
				      size_t *value_len)
{
	const struct index_row *row = row_index_find(&t->index, key, key_len);
	return row ? found(newest_of(row), value, value_len) : REDO_ABSENT;
}

const uint8_t *redo_row_value(const struct index_row *row, size_t *len)
{
	return value_of(newest_of(row), len);
}

/* ---- adding ----------------------------------------------------------- */

static void fill_version(struct redo_version *v, const void *value, size_t len,
			 uint32_t seq)
{
	v->seq = seq;
	v->word = (uint32_t)len | (value ? 0 : VERSION_DELETED);
	if (value && len)
		memcpy(v->bytes, value, len);
}

/* A version in front of which there is another */
static struct redo_version *new_version(struct redo_table *t,
					const struct redo_version *older,
					const void *value, size_t len,
					uint32_t seq)
{
	uint8_t *memory = arena_alloc(
		&t->arena, sizeof(older) + sizeof(struct redo_version) + len);
	if (!memory)
		return NULL;
	void *at = memory + sizeof(older);
	struct redo_version *v = at;
	memcpy(memory, &older, sizeof(older));
	fill_version(v, value, len, seq);
	if (older)
		v->word |= VERSION_HAS_OLDER;
	return v;
}

/* A row with its first version behind the key, at a multiple of 4 */
static int add_row(struct redo_table *t, const void *key, size_t key_len,
		   const void *value, size_t len, uint32_t seq,
		   struct index_row **out)
{
	size_t at = (sizeof(struct index_row) + key_len + 3) / 4 * 4;
	uint8_t *memory =
		arena_alloc(&t->arena, at + sizeof(struct redo_version) + len);
	if (!memory)
		return -ENOMEM;
	void *row_at = memory;
	void *version_at = memory + at;
	struct index_row *row = row_at;
	fill_version(version_at, value, len, seq);
	row->key_len = (uint16_t)key_len;
	if (key_len)
		memcpy(row->key, key, key_len);
	atomic_init(&row->newest, version_at);
	int rc = row_index_add(&t->index, row);
	if (rc)
		return rc;
	atomic_fetch_add_explicit(&t->rows, 1, memory_order_relaxed);
	*out = row;
	return 0;
}

static int change_row(struct redo_table *t, struct index_row *row,
		      const void *value, size_t len, uint32_t seq, bool *again)
{
	const struct redo_version *old = newest_of(row);
	*again = old && old->seq == seq;
	if (*again)
		old = older_than(old);
	struct redo_version *v = new_version(t, old, value, len, seq);
	if (!v)
		return -ENOMEM;
	atomic_store_explicit(&row->newest, v, memory_order_release);
	return 0;
}

int redo_table_put(struct redo_table *t, const void *key, size_t key_len,
		   const void *value, size_t value_len, uint64_t seq,
		   struct index_row **fresh)
{
	bool again = false;
	if (redo_table_rows(t) == 0)
		atomic_store_explicit(&t->base, seq, memory_order_relaxed);
	seq -= atomic_load_explicit(&t->base, memory_order_relaxed);
	assert(seq < UINT32_MAX && value_len <= VERSION_LENGTH &&
	       key_len <= UINT16_MAX);
	struct index_row *row = row_index_find(&t->index, key, key_len);
	int rc = row ? change_row(t, row, value, value_len, (uint32_t)seq,
				  &again) :
		       add_row(t, key, key_len, value, value_len, (uint32_t)seq,
			       &row);
	if (!rc && fresh)
		*fresh = again ? NULL : row;
	return rc;
}

void redo_table_undo(struct redo_table *t, struct index_row *row, uint64_t seq)
{
	const struct redo_version *v = newest_of(row);
	seq -= atomic_load_explicit(&t->base, memory_order_relaxed);
	if (v && v->seq == seq)
		atomic_store_explicit(&row->newest, older_than(v),
				      memory_order_release);
}

/* ---- the cursor ------------------------------------------------------- */

void redo_cursor_init(struct redo_cursor *c, const struct redo_table *t,
		      uint64_t seq)
{
	*c = (struct redo_cursor){ .table = t, .seq = seq };
}

/* Go on to a row that can be seen; on: there is a row to begin with */
static bool arrive(struct redo_cursor *c, bool on, bool back)
{
	const struct row_index *ix = &c->table->index;
	while (on) {
		c->version = visible(c->table, c->spot.row, c->seq);
		if (c->version)
			return true;
		on = back ? row_index_prev(ix, &c->spot) :
			    row_index_next(ix, &c->spot);
	}
	c->spot.row = NULL;
	return false;
}

bool redo_cursor_seek(struct redo_cursor *c, const void *key, size_t key_len)
{
	bool on = row_index_seek(&c->table->index, key, key_len, &c->spot);
	return arrive(c, on, false);
}

bool redo_cursor_seek_before(struct redo_cursor *c, const void *key,
			     size_t key_len)
{
	bool on =
		row_index_seek_before(&c->table->index, key, key_len, &c->spot);
	return arrive(c, on, true);
}

bool redo_cursor_next(struct redo_cursor *c)
{
	if (!c->spot.row)
		return false;
	return arrive(c, row_index_next(&c->table->index, &c->spot), false);
}

bool redo_cursor_prev(struct redo_cursor *c)
{
	if (!c->spot.row)
		return false;
	return arrive(c, row_index_prev(&c->table->index, &c->spot), true);
}

const uint8_t *redo_cursor_key(const struct redo_cursor *c, size_t *len)
{
	assert(c->spot.row);
	*len = c->spot.row->key_len;
	return c->spot.row->key;
}

const uint8_t *redo_cursor_value(const struct redo_cursor *c, size_t *len)
{
	assert(c->spot.row);
	return value_of(c->version, len);
}
