/* SPDX-License-Identifier: MIT */
#include "model/txn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The rest of a record is for the operation that comes when this is reached */
#define ENCODED_MAX (BODY_MAX - (256u << 10))

/* What a record's body has beside the rows, at the most */
#define BODY_HEAD_MAX 64u

/* What a batch may take in RAM: a row that is changed again takes more */
#define MEMORY_MAX (48u << 20)

/* Memory that is kept from one operation for the next */
#define ROWS_KEPT 65536u
#define BODY_KEPT (1u << 20)

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
	txn->read = 0;
	txn->stamps = 0;
	txn->encoded = 0;
	txn->memory = redo_table_bytes(txn->table);
	txn->batch = false;
	txn->broken = 0;
	txn->leaves_orphans = false;
	buf_reset(&txn->drops);
	txn->drop_bytes = 0;
	txn->now = now;
	txn->op = (struct operation){ .kind = kind,
				      .stamp = now,
				      .next_id = next_id };
}

void txn_end(struct txn *txn, bool committed)
{
	if (!committed)
		for (size_t i = 0; i < txn->count; i++)
			redo_table_undo(txn->table, txn->rows[i], txn->seq);
	txn->count = 0;
	if (moves_settle(&txn->moves, txn->held, txn->seq, committed))
		txn->leaves_orphans = true;
	if (txn->leaves_orphans && committed)
		atomic_store(txn->orphans, true);
	/* What a large batch has needed is not kept for ever */
	if (txn->capacity > ROWS_KEPT || txn->body.capacity > BODY_KEPT ||
	    txn->drops.capacity > BODY_KEPT)
		txn_free(txn);
}

void txn_free(struct txn *txn)
{
	free(txn->rows);
	txn->rows = NULL;
	txn->capacity = 0;
	buf_free(&txn->scratch);
	buf_free(&txn->body);
	buf_free(&txn->drops);
	moves_free(&txn->moves);
}

uint64_t txn_new_id(struct txn *txn)
{
	/* INT64_MAX is never used: it says that there are no more */
	return txn->op.next_id < INT64_MAX ? txn->op.next_id++ : INT64_MAX;
}

int txn_relocate(struct txn *txn, uint64_t id, const struct location *was,
		 const struct location *now, bool orphan)
{
	int rc = moves_add(&txn->moves, id, was, now, orphan);
	if (!rc && txn->own) {
		struct placement *p = placement_new(now);
		rc = p ? 0 : -ENOMEM;
		if (p)
			held_replace(txn->own, id, p, orphan);
	}
	if (rc)
		txn->broken = rc;
	return rc;
}

int txn_publish_moves(struct txn *txn)
{
	return moves_publish(&txn->moves, txn->held, txn->seq);
}

bool txn_holds(const struct txn *txn, uint64_t id)
{
	return txn->own && held_is_held(txn->own, id);
}

int txn_remove(struct txn *txn, uint64_t id)
{
	return moves_remove(&txn->moves, txn->held, id);
}

/* How it is kept: its name and its row value follow in the buffer */
struct drop {
	uint64_t id;
	uint64_t stored;
	uint64_t space;
	uint32_t value_len;
	uint8_t name_len;
	bool beside;
};

int txn_drop(struct txn *txn, const struct dropped *d, size_t bytes)
{
	const struct drop kept = { d->id,	  d->stored,
				   d->was->space, (uint32_t)d->value_len,
				   d->was->len,	  d->beside };
	buf_add(&txn->drops, &kept, sizeof(kept));
	buf_add(&txn->drops, d->was->name, d->was->len);
	buf_add(&txn->drops, d->value, d->value_len);
	if (txn->drops.failed) {
		txn->broken = -ENOMEM;
		return -ENOMEM;
	}
	txn->drop_bytes += bytes;
	txn->stamps++;
	return 0;
}

int txn_visit_drops(struct txn *txn,
		    int (*visit)(struct txn *txn, const struct dropped *d))
{
	size_t at = 0;
	int rc = 0;
	while (!rc && at < txn->drops.len) {
		struct drop kept;
		struct location was;
		struct dropped d = { .was = &was };
		const uint8_t *p = txn->drops.data + at;
		memcpy(&kept, p, sizeof(kept));
		p += sizeof(kept);
		location_set(&was, kept.space, (const char *)p, kept.name_len);
		d.id = kept.id;
		d.stored = kept.stored;
		d.beside = kept.beside;
		d.value = p + kept.name_len;
		d.value_len = kept.value_len;
		at += sizeof(kept) + kept.name_len + kept.value_len;
		rc = visit(txn, &d);
	}
	buf_reset(&txn->drops);
	txn->drop_bytes = 0;
	return rc;
}

/* Of a row that shares nothing with the one before: see redo.h */
size_t txn_row_bytes(size_t key_len, size_t value_len)
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
	if (txn->read && key->bytes[0] == ROW_DATA &&
	    get_be64(key->bytes + 1) == txn->read)
		txn->read = 0;
	int rc = redo_table_put(txn->table, key->bytes, key->len, value, len,
				txn->seq, &fresh);
	if (!rc && fresh)
		rc = note_row(txn, fresh);
	if (rc)
		txn->broken = rc;
	txn->stamps++;
	txn->encoded += txn_row_bytes(key->len, len);
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

int txn_put_pending(struct txn *txn)
{
	struct row_key key;
	if (!txn->state.space)
		return 0;
	txn->state.space = NULL;
	txn->read = 0;
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
		rc = txn_put_pending(txn);
	if (&txn->space != space)
		txn->space = *space;
	txn->state.space = &txn->space;
	txn->read = 0;
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
	int rc = txn_put_pending(txn);
	if (!rc && !in_order(txn))
		qsort(txn->rows, txn->count, sizeof(struct index_row *),
		      by_key);
	return rc;
}

timestamp txn_time(const struct txn *txn, timestamp last_ctime)
{
	if (txn->now > last_ctime || last_ctime == TIMESTAMP_MAX)
		return txn->now;
	return last_ctime + 1;
}

bool txn_empty(const struct txn *txn)
{
	return txn->count == 0 && !txn->state.space && !txn->drops.len;
}

/* What changed more than once was counted as often */
static void count_anew(struct txn *txn)
{
	txn->encoded = 0;
	for (size_t i = 0; i < txn->count; i++) {
		size_t value_len = 0;
		redo_row_value(txn->rows[i], &value_len);
		txn->encoded += txn_row_bytes(txn->rows[i]->key_len, value_len);
	}
}

bool txn_full(struct txn *txn)
{
	/* Rows that are changed again take memory each time */
	if (redo_table_bytes(txn->table) - txn->memory > MEMORY_MAX)
		return true;
	if (txn->encoded + txn->drop_bytes <= ENCODED_MAX)
		return false;
	count_anew(txn);
	return txn->encoded + txn->drop_bytes > ENCODED_MAX;
}

int txn_fits(struct txn *txn, size_t rows, size_t bytes)
{
	size_t more = rows * txn_row_bytes(bytes, 0) + BODY_HEAD_MAX +
		      txn->drop_bytes;
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
	if (!rc && txn->body.len + txn->drop_bytes > BODY_MAX)
		rc = -E2BIG;
	return rc;
}
