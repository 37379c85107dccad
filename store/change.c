/* SPDX-License-Identifier: MIT */
#include "change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The rest of a record is for the operation that comes when this is reached */
#define ENCODED_MAX (BODY_MAX - (256u << 10))

/* What a record's body has beside the rows, at the most */
#define BODY_HEAD_MAX 64u

/* What a batch may take in RAM: a row that is changed again takes more */
#define MEMORY_MAX (48u << 20)

/* Memory that is kept from one operation for the next */
#define ROWS_KEPT 65536u
#define BODY_KEPT (1u << 20)

/* What to do at the end about a home that was told, or an id that was barred */
struct home_undo {
	uint64_t id;
	bool barred;
	struct home_before before;
};

int state_get(const struct state *s, const struct row_key *key,
	      struct row_value *value)
{
	return layers_get(&s->layers, key->bytes, key->len, value);
}

void change_begin(struct change *c, enum operation_kind kind, uint64_t seq,
		  uint64_t next_id, int64_t now)
{
	c->seq = seq;
	c->count = 0;
	c->state.space = NULL;
	c->stamps = 0;
	c->encoded = 0;
	c->memory = redo_table_bytes(c->table);
	c->batch = false;
	c->broken = 0;
	c->undo = NULL;
	c->undos = 0;
	c->undo_capacity = 0;
	c->leaves_orphans = false;
	c->op = (struct operation){ .kind = kind,
				    .time = now,
				    .next_id = next_id };
}

static void settle(struct change *c, struct home_undo *u, bool committed)
{
	if (u->barred)
		held_unbar(c->held, u->id, &u->before, committed);
	else if (held_settle(c->held, u->id, &u->before, committed))
		atomic_store(c->orphans, true);
}

void change_end(struct change *c, bool committed)
{
	if (!committed)
		for (size_t i = 0; i < c->count; i++)
			redo_table_undo(c->table, c->rows[i], c->seq);
	c->count = 0;
	while (c->undos)
		settle(c, &c->undo[--c->undos], committed);
	if (c->leaves_orphans && committed)
		atomic_store(c->orphans, true);
	free(c->undo);
	c->undo = NULL;
	c->undo_capacity = 0;
	/* What a large batch has needed is not kept for ever */
	if (c->capacity > ROWS_KEPT || c->body.capacity > BODY_KEPT)
		change_free(c);
}

void change_free(struct change *c)
{
	free(c->rows);
	c->rows = NULL;
	c->capacity = 0;
	buf_free(&c->scratch);
	buf_free(&c->body);
}

/* Room for one more, before anything is done that would have to be undone */
static struct home_undo *next_undo(struct change *c)
{
	if (c->undos == c->undo_capacity) {
		size_t capacity = c->undo_capacity ? c->undo_capacity * 2 : 4;
		struct home_undo *u = realloc(c->undo, capacity * sizeof(*u));
		if (!u) {
			c->broken = -ENOMEM;
			return NULL;
		}
		c->undo = u;
		c->undo_capacity = capacity;
	}
	return &c->undo[c->undos];
}

uint64_t change_new_id(struct change *c)
{
	/* INT64_MAX is never used: it says that there are no more */
	return c->op.next_id < INT64_MAX ? c->op.next_id++ : INT64_MAX;
}

int change_rehome(struct change *c, uint64_t id, const struct home *was,
		  const struct home *home, bool orphan)
{
	int rc = 0;
	struct home_undo *u = next_undo(c);
	if (!u)
		return -ENOMEM;
	*u = (struct home_undo){ .id = id };
	/* Neither held nor barred: somebody came or went in between */
	while (rc == 0) {
		rc = held_move(c->held, id, home, orphan, &u->before);
		if (rc == 0) {
			rc = held_bar(c->held, c->db, id, was, &u->before);
			u->barred = rc == 1;
		}
	}
	if (rc == 1)
		c->undos++;
	if (rc < 0)
		c->broken = rc;
	/* Nobody will release it: it is to be swept like one left by a crash */
	if (orphan && rc != 1)
		c->leaves_orphans = true;
	return rc < 0 ? rc : 0;
}

int change_bar(struct change *c, uint64_t id)
{
	struct home_undo *u = next_undo(c);
	if (!u)
		return -ENOMEM;
	*u = (struct home_undo){ .id = id, .barred = true };
	int rc = held_bar(c->held, c->db, id, NULL, &u->before);
	if (rc == 1)
		c->undos++;
	return rc > 0 ? 1 : rc;
}

/* Of a row that shares nothing with the one before: see redo.h */
static size_t encoded_size(size_t key_len, size_t value_len)
{
	return key_len + value_len + 4 * 3;
}

static int note_row(struct change *c, struct index_row *row)
{
	if (c->count == c->capacity) {
		size_t capacity = c->capacity ? c->capacity * 2 : 16;
		struct index_row **rows =
			realloc(c->rows, capacity * sizeof(struct index_row *));
		if (!rows) {
			redo_table_undo(c->table, row, c->seq);
			return -ENOMEM;
		}
		c->rows = rows;
		c->capacity = capacity;
	}
	c->rows[c->count++] = row;
	return 0;
}

static int put(struct change *c, const struct row_key *key,
	       const uint8_t *value, size_t len)
{
	struct index_row *fresh = NULL;
	int rc = redo_table_put(c->table, key->bytes, key->len, value, len,
				c->seq, &fresh);
	if (!rc && fresh)
		rc = note_row(c, fresh);
	if (rc)
		c->broken = rc;
	c->stamps++;
	c->encoded += encoded_size(key->len, len);
	return rc;
}

int change_put(struct change *c, const struct row_key *key,
	       const struct buf *value)
{
	static const uint8_t nothing;
	assert(value->len <= ROW_VALUE_MAX);
	return put(c, key, value->data ? value->data : &nothing, value->len);
}

int change_put_empty(struct change *c, const struct row_key *key)
{
	static const uint8_t nothing;
	return put(c, key, &nothing, 0);
}

static int put_space(struct change *c)
{
	struct row_key key;
	if (!c->state.space)
		return 0;
	c->state.space = NULL;
	row_key_data(&key, c->space.id);
	int rc = data_encode(&c->space, &c->scratch);
	if (rc)
		c->broken = rc;
	return rc ? rc : change_put(c, &key, &c->scratch);
}

int change_put_space(struct change *c, const struct data *space)
{
	int rc = 0;
	if (c->state.space && c->space.id != space->id)
		rc = put_space(c);
	if (&c->space != space)
		c->space = *space;
	c->state.space = &c->space;
	c->stamps++;
	return rc;
}

int change_delete(struct change *c, const struct row_key *key)
{
	if (c->state.space && key->bytes[0] == ROW_DATA &&
	    get_be64(key->bytes + 1) == c->space.id)
		c->state.space = NULL;
	return put(c, key, NULL, 0);
}

static bool in_order(const struct change *c)
{
	for (size_t i = 1; i < c->count; i++)
		if (compare_bytes(c->rows[i - 1]->key, c->rows[i - 1]->key_len,
				  c->rows[i]->key, c->rows[i]->key_len) >= 0)
			return false;
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct index_row *const *x = a;
	const struct index_row *const *y = b;
	return compare_bytes((*x)->key, (*x)->key_len, (*y)->key,
			     (*y)->key_len);
}

int change_finish(struct change *c)
{
	int rc = put_space(c);
	if (!rc && !in_order(c))
		qsort(c->rows, c->count, sizeof(struct index_row *), by_key);
	return rc;
}

int64_t change_time(const struct change *c, int64_t last_ctime)
{
	if (c->op.time > last_ctime || last_ctime == INT64_MAX)
		return c->op.time;
	return last_ctime + 1;
}

bool change_empty(const struct change *c)
{
	return c->count == 0 && !c->state.space;
}

/* What changed more than once was counted as often */
static void count_anew(struct change *c)
{
	c->encoded = 0;
	for (size_t i = 0; i < c->count; i++) {
		size_t value_len = 0;
		redo_row_value(c->rows[i], &value_len);
		c->encoded += encoded_size(c->rows[i]->key_len, value_len);
	}
}

bool change_full(struct change *c)
{
	/* Rows that are changed again take memory each time */
	if (redo_table_bytes(c->table) - c->memory > MEMORY_MAX)
		return true;
	if (c->encoded <= ENCODED_MAX)
		return false;
	count_anew(c);
	return c->encoded > ENCODED_MAX;
}

int change_fits(struct change *c, size_t rows, size_t bytes)
{
	size_t more = rows * encoded_size(bytes, 0) + BODY_HEAD_MAX;
	if (!c->batch || c->encoded + more <= BODY_MAX)
		return 0;
	count_anew(c);
	return c->encoded + more <= BODY_MAX ? 0 : -E2BIG;
}

int change_encode(struct change *c)
{
	int rc = change_finish(c);
	buf_reset(&c->body);
	if (!rc)
		rc = redo_encode(&c->op, c->rows, c->count, &c->body);
	return rc || c->body.len <= BODY_MAX ? rc : -E2BIG;
}
