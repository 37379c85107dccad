/* SPDX-License-Identifier: MIT */
/*
 * The body of an operation record: what is read from it, put into a redo table
 * and encoded again, must be the same operation.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/redo.h"
#include "targets.h"

#define ROWS_MAX 4096u

struct rows {
	struct redo_table *table;
	struct index_row *row[ROWS_MAX];
	size_t count;
	struct operation op;
};

static void rows_free(struct rows *rows)
{
	if (rows)
		redo_table_unref(rows->table);
	free(rows);
}

static int add_row(struct rows *rows, const struct row_change *c)
{
	struct index_row *fresh = NULL;
	if (rows->count == ROWS_MAX)
		return -1;
	int rc = redo_table_put(rows->table, c->key, c->key_len, c->value,
				c->value_len, 1, &fresh);
	if (rc)
		return rc;
	assert(fresh);
	rows->row[rows->count++] = fresh;
	return 0;
}

static int load_rows(struct rows *rows, const uint8_t *body, size_t size)
{
	struct redo_reader *r = malloc(sizeof(*r));
	struct row_change c;
	uint8_t last[ROW_KEY_MAX];
	size_t last_len = 0;
	if (!r)
		return -1;
	int rc = redo_open(r, body, size, &rows->op);
	while (!rc && (rc = redo_next(r, &c)) == 0) {
		assert(c.key_len > 0 && c.key_len <= ROW_KEY_MAX);
		assert(c.value_len <= ROW_VALUE_MAX);
		assert(compare_bytes(last, last_len, c.key, c.key_len) < 0);
		memcpy(last, c.key, c.key_len);
		last_len = c.key_len;
		rc = add_row(rows, &c);
	}
	free(r);
	return rc == 1 ? 0 : -1;
}

/* NULL: no body of an operation */
static struct rows *load(const uint8_t *body, size_t size)
{
	struct rows *rows = calloc(1, sizeof(*rows));
	if (rows)
		rows->table = redo_table_new();
	if (rows && rows->table && !load_rows(rows, body, size))
		return rows;
	rows_free(rows);
	return NULL;
}

static void check_again(const struct rows *rows)
{
	struct buf first = BUF_INIT;
	struct buf again = BUF_INIT;
	struct rows *same = NULL;
	const struct operation *op = &rows->op;
	if (redo_encode(op, rows->row, rows->count, &first))
		goto out;
	same = load(first.data, first.len);
	assert(same && same->count == rows->count);
	assert(op->kind == same->op.kind && op->time == same->op.time &&
	       op->stamp == same->op.stamp && op->next_id == same->op.next_id &&
	       op->keys == same->op.keys && op->live == same->op.live);
	if (!redo_encode(&same->op, same->row, same->count, &again))
		assert(again.len == first.len &&
		       !memcmp(again.data, first.data, first.len));
out:
	buf_free(&first);
	buf_free(&again);
	rows_free(same);
}

void fuzz_redo(const uint8_t *input, size_t size)
{
	/* Of just this size, so that sanitizers see a step beyond the end */
	uint8_t *body = malloc(size ? size : 1);
	if (!body)
		return;
	if (size)
		memcpy(body, input, size);
	struct rows *rows = load(body, size);
	if (rows)
		check_again(rows);
	rows_free(rows);
	free(body);
}
