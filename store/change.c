/* SPDX-License-Identifier: MIT */
#include "change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The rest of a record is for the operation that comes when this is reached */
#define ENCODED_MAX (BODY_MAX - (256u << 10))

/* What to do at the end about a home that was told, or an id that was barred */
struct home_undo {
	uint64_t id;
	bool barred;
	struct home_before before;
};

int state_get(const struct state *s, const struct row_key *key,
	      struct buf *value)
{
	return layers_get(&s->layers, key->bytes, key->len, value);
}

int change_begin(struct change *c, enum operation_kind kind, uint64_t next_id,
		 int64_t now)
{
	struct layers *l = &c->state.layers;
	struct redo_table *edits = redo_table_new();
	if (!edits)
		return -ENOMEM;
	assert(l->tables < LAYERS_TABLES);
	for (unsigned i = l->tables; i > 0; i--)
		l->table[i] = l->table[i - 1];
	l->table[0].table = edits;
	l->table[0].seq = UINT64_MAX;
	l->tables++;
	c->edits = edits;
	c->op = (struct operation){ .kind = kind,
				    .time = now,
				    .next_id = next_id };
	return 0;
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
	while (c->undos)
		settle(c, &c->undo[--c->undos], committed);
	if (c->leaves_orphans && committed)
		atomic_store(c->orphans, true);
	free(c->undo);
	redo_table_unref(c->edits);
	buf_free(&c->scratch);
	*c = (struct change){ 0 };
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

static int put(struct change *c, const struct row_key *key,
	       const uint8_t *value, size_t len)
{
	int rc = redo_table_put(c->edits, key->bytes, key->len, value, len, 1);
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

int change_delete(struct change *c, const struct row_key *key)
{
	return put(c, key, NULL, 0);
}

int64_t change_time(const struct change *c, int64_t last_ctime)
{
	if (c->op.time > last_ctime || last_ctime == INT64_MAX)
		return c->op.time;
	return last_ctime + 1;
}

bool change_empty(const struct change *c)
{
	return redo_table_rows(c->edits) == 0;
}

bool change_full(struct change *c)
{
	struct redo_cursor row;
	if (c->encoded <= ENCODED_MAX)
		return false;
	/* What changed more than once was counted as often: count anew */
	c->encoded = 0;
	redo_cursor_init(&row, c->edits, UINT64_MAX);
	for (bool more = redo_cursor_seek(&row, "", 0); more;
	     more = redo_cursor_next(&row)) {
		size_t key_len = 0;
		size_t value_len = 0;
		redo_cursor_key(&row, &key_len);
		redo_cursor_value(&row, &value_len);
		c->encoded += encoded_size(key_len, value_len);
	}
	return c->encoded > ENCODED_MAX;
}
