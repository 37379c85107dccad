/* SPDX-License-Identifier: MIT */
#include "model/txn.h"

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
struct location_undo {
	uint64_t id;
	bool barred;
	struct location_before before;
};

int state_get(const struct state *s, const struct row_key *key,
	      struct row_value *value)
{
	return merged_get(&s->merged, key->bytes, key->len, value);
}

void txn_begin(struct txn *txn, enum operation_kind kind, uint64_t seq,
	       uint64_t next_id, timestamp now)
{
	txn->seq = seq;
	txn->count = 0;
	txn->state.space = NULL;
	txn->stamps = 0;
	txn->encoded = 0;
	txn->memory = redo_table_bytes(txn->table);
	txn->batch = false;
	txn->broken = 0;
	txn->undo = NULL;
	txn->undos = 0;
	txn->undo_capacity = 0;
	txn->leaves_orphans = false;
	txn->op = (struct operation){ .kind = kind,
				      .time = now,
				      .next_id = next_id };
}

static void settle(struct txn *txn, struct location_undo *u, bool committed)
{
	if (u->barred)
		held_unbar(txn->held, u->id, &u->before, committed);
	else if (held_settle(txn->held, u->id, &u->before, committed))
		atomic_store(txn->orphans, true);
}

void txn_end(struct txn *txn, bool committed)
{
	if (!committed)
		for (size_t i = 0; i < txn->count; i++)
			redo_table_undo(txn->table, txn->rows[i], txn->seq);
	txn->count = 0;
	while (txn->undos)
		settle(txn, &txn->undo[--txn->undos], committed);
	if (txn->leaves_orphans && committed)
		atomic_store(txn->orphans, true);
	free(txn->undo);
	txn->undo = NULL;
	txn->undo_capacity = 0;
	/* What a large batch has needed is not kept for ever */
	if (txn->capacity > ROWS_KEPT || txn->body.capacity > BODY_KEPT)
		txn_free(txn);
}

void txn_free(struct txn *txn)
{
	free(txn->rows);
	txn->rows = NULL;
	txn->capacity = 0;
	buf_free(&txn->scratch);
	buf_free(&txn->body);
}

/* Room for one more, before anything is done that would have to be undone */
static struct location_undo *next_undo(struct txn *txn)
{
	if (txn->undos == txn->undo_capacity) {
		size_t capacity = txn->undo_capacity ? txn->undo_capacity * 2 :
						       4;
		struct location_undo *u =
			realloc(txn->undo, capacity * sizeof(*u));
		if (!u) {
			txn->broken = -ENOMEM;
			return NULL;
		}
		txn->undo = u;
		txn->undo_capacity = capacity;
	}
	return &txn->undo[txn->undos];
}

uint64_t txn_new_id(struct txn *txn)
{
	/* INT64_MAX is never used: it says that there are no more */
	return txn->op.next_id < INT64_MAX ? txn->op.next_id++ : INT64_MAX;
}

int txn_relocate(struct txn *txn, uint64_t id, const struct location *was,
		 const struct location *home, bool orphan)
{
	int rc = 0;
	struct location_undo *u = next_undo(txn);
	if (!u)
		return -ENOMEM;
	*u = (struct location_undo){ .id = id };
	/* Neither held nor barred: somebody came or went in between */
	while (rc == 0) {
		rc = held_move(txn->held, id, home, orphan, &u->before);
		if (rc == 0) {
			rc = held_bar(txn->held, txn->db, id, was, &u->before);
			u->barred = rc == 1;
		}
	}
	if (rc == 1)
		txn->undos++;
	if (rc < 0)
		txn->broken = rc;
	/* Nobody will release it: it is to be swept like one left by a crash */
	if (orphan && rc != 1)
		txn->leaves_orphans = true;
	return rc < 0 ? rc : 0;
}

int txn_bar(struct txn *txn, uint64_t id)
{
	struct location_undo *u = next_undo(txn);
	if (!u)
		return -ENOMEM;
	*u = (struct location_undo){ .id = id, .barred = true };
	int rc = held_bar(txn->held, txn->db, id, NULL, &u->before);
	if (rc == 1)
		txn->undos++;
	return rc > 0 ? 1 : rc;
}

/* Of a row that shares nothing with the one before: see redo.h */
static size_t encoded_size(size_t key_len, size_t value_len)
{
	return key_len + value_len + 4 * 3;
}

static int note_row(struct txn *txn, struct index_row *row)
{
	if (txn->count == txn->capacity) {
		size_t capacity = txn->capacity ? txn->capacity * 2 : 16;
		struct index_row **rows = realloc(
			txn->rows, capacity * sizeof(struct index_row *));
		if (!rows) {
			redo_table_undo(txn->table, row, txn->seq);
			return -ENOMEM;
		}
		txn->rows = rows;
		txn->capacity = capacity;
	}
	txn->rows[txn->count++] = row;
	return 0;
}

static int put(struct txn *txn, const struct row_key *key, const uint8_t *value,
	       size_t len)
{
	struct index_row *fresh = NULL;
	int rc = redo_table_put(txn->table, key->bytes, key->len, value, len,
				txn->seq, &fresh);
	if (!rc && fresh)
		rc = note_row(txn, fresh);
	if (rc)
		txn->broken = rc;
	txn->stamps++;
	txn->encoded += encoded_size(key->len, len);
	return rc;
}

int txn_put(struct txn *txn, const struct row_key *key, const struct buf *value)
{
	static const uint8_t nothing;
	assert(value->len <= ROW_VALUE_MAX);
	return put(txn, key, value->data ? value->data : &nothing, value->len);
}

int txn_put_empty(struct txn *txn, const struct row_key *key)
{
	static const uint8_t nothing;
	return put(txn, key, &nothing, 0);
}

static int put_space(struct txn *txn)
{
	struct row_key key;
	if (!txn->state.space)
		return 0;
	txn->state.space = NULL;
	row_key_data(&key, txn->space.id);
	int rc = data_encode(&txn->space, &txn->scratch);
	if (rc)
		txn->broken = rc;
	return rc ? rc : txn_put(txn, &key, &txn->scratch);
}

int txn_put_space(struct txn *txn, const struct data *space)
{
	int rc = 0;
	if (txn->state.space && txn->space.id != space->id)
		rc = put_space(txn);
	if (&txn->space != space)
		txn->space = *space;
	txn->state.space = &txn->space;
	txn->stamps++;
	return rc;
}

int txn_delete(struct txn *txn, const struct row_key *key)
{
	if (txn->state.space && key->bytes[0] == ROW_DATA &&
	    get_be64(key->bytes + 1) == txn->space.id)
		txn->state.space = NULL;
	return put(txn, key, NULL, 0);
}

static bool in_order(const struct txn *txn)
{
	for (size_t i = 1; i < txn->count; i++)
		if (compare_bytes(txn->rows[i - 1]->key,
				  txn->rows[i - 1]->key_len, txn->rows[i]->key,
				  txn->rows[i]->key_len) >= 0)
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

int txn_finish(struct txn *txn)
{
	int rc = put_space(txn);
	if (!rc && !in_order(txn))
		qsort(txn->rows, txn->count, sizeof(struct index_row *),
		      by_key);
	return rc;
}

timestamp txn_time(const struct txn *txn, timestamp last_ctime)
{
	if (txn->op.time > last_ctime || last_ctime == TIMESTAMP_MAX)
		return txn->op.time;
	return last_ctime + 1;
}

bool txn_empty(const struct txn *txn)
{
	return txn->count == 0 && !txn->state.space;
}

/* What changed more than once was counted as often */
static void count_anew(struct txn *txn)
{
	txn->encoded = 0;
	for (size_t i = 0; i < txn->count; i++) {
		size_t value_len = 0;
		redo_row_value(txn->rows[i], &value_len);
		txn->encoded += encoded_size(txn->rows[i]->key_len, value_len);
	}
}

bool txn_full(struct txn *txn)
{
	/* Rows that are changed again take memory each time */
	if (redo_table_bytes(txn->table) - txn->memory > MEMORY_MAX)
		return true;
	if (txn->encoded <= ENCODED_MAX)
		return false;
	count_anew(txn);
	return txn->encoded > ENCODED_MAX;
}

int txn_fits(struct txn *txn, size_t rows, size_t bytes)
{
	size_t more = rows * encoded_size(bytes, 0) + BODY_HEAD_MAX;
	if (!txn->batch || txn->encoded + more <= BODY_MAX)
		return 0;
	count_anew(txn);
	return txn->encoded + more <= BODY_MAX ? 0 : -E2BIG;
}

int txn_encode(struct txn *txn)
{
	int rc = txn_finish(txn);
	buf_reset(&txn->body);
	if (!rc)
		rc = redo_encode(&txn->op, txn->rows, txn->count, &txn->body);
	return rc || txn->body.len <= BODY_MAX ? rc : -E2BIG;
}
