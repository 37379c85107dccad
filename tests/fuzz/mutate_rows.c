/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "mutate.h"
#include "model/redo.h"
#include "tests/support/encode_table.h"
#include "model/rows.h"

#define ROWS_MAX 64u

struct row {
	uint8_t key[ROW_KEY_MAX];
	uint8_t value[ROW_VALUE_MAX];
	size_t key_len;
	size_t value_len;
	bool gone;
};

struct mutator {
	uint64_t random;
	struct operation op;
	struct row row[ROWS_MAX];
	size_t count;
};

/* ---- from a body and back --------------------------------------------- */

static int read_rows(struct mutator *m, const uint8_t *body, size_t size)
{
	struct redo_reader *r = malloc(sizeof(*r));
	struct row_change c;
	int rc = r ? redo_open(r, body, size, &m->op) : -1;
	while (!rc && m->count < ROWS_MAX && (rc = redo_next(r, &c)) == 0) {
		struct row *row = &m->row[m->count++];
		memcpy(row->key, c.key, c.key_len);
		row->key_len = c.key_len;
		row->gone = !c.value;
		row->value_len = c.value_len;
		if (c.value_len)
			memcpy(row->value, c.value, c.value_len);
	}
	free(r);
	return rc < 0 || !m->count ? -1 : 0;
}

static int by_key(const void *a, const void *b)
{
	const struct row *x = a;
	const struct row *y = b;
	return compare_bytes(x->key, x->key_len, y->key, y->key_len);
}

/* Sorted, each key once, none empty: else the body is refused as a whole */
static void put_in_order(struct mutator *m)
{
	size_t n = 0;
	qsort(m->row, m->count, sizeof(*m->row), by_key);
	for (size_t i = 0; i < m->count; i++)
		if (m->row[i].key_len &&
		    (!n || by_key(&m->row[n - 1], &m->row[i])))
			m->row[n++] = m->row[i];
	m->count = n;
}

/* By the writer's own code, which takes any rows; a row that is none of the model is
 * written as it is. */
static void write_rows(const struct mutator *m, struct buf *body)
{
	struct redo_table *t = redo_table_new();
	if (!t) {
		body->failed = true;
		return;
	}
	for (size_t i = 0; i < m->count; i++) {
		const struct row *r = &m->row[i];
		if (redo_table_put(t, r->key, r->key_len,
				   r->gone ? NULL : r->value,
				   r->gone ? 0 : r->value_len, 1, NULL))
			body->failed = true;
	}
	if (encode_table(&m->op, t, body))
		body->failed = true;
	redo_table_unref(t);
}

/* ---- what is changed -------------------------------------------------- */

static void change_bytes(uint64_t *random, uint8_t *bytes, size_t *len,
			 size_t most)
{
	static const uint8_t edges[] = { 0, 1, 2, 0x7f, 0x80, 0xff };
	size_t n = 0;
	switch (test_below(random, 6)) {
	case 0: /* cut off */
		*len = test_below(random, *len + 1);
		break;
	case 1: /* longer, maybe up to the limit */
		n = test_below(random, 3) ? 1 + test_below(random, 8) :
					    test_below(random, most);
		for (; n && *len < most; n--)
			bytes[(*len)++] = (uint8_t)('a' + n % 7);
		break;
	case 2: /* a byte in the middle goes, or comes */
		n = test_below(random, *len + 1);
		if (n < *len && test_below(random, 2)) {
			memmove(bytes + n, bytes + n + 1, --*len - n);
		} else if (*len < most) {
			memmove(bytes + n + 1, bytes + n, (*len)++ - n);
			bytes[n] = edges[test_below(random, sizeof(edges))];
		}
		break;
	default:
		for (n = 1 + test_below(random, 3); n && *len; n--)
			bytes[test_below(random, *len)] =
				test_below(random, 2) ?
					(uint8_t)test_random(random) :
					edges[test_below(random, sizeof(edges))];
	}
}

/* The id in a row's key becomes that of another, or nearly */
static void change_id(struct mutator *m, struct row *row)
{
	const struct row *other = &m->row[test_below(&m->random, m->count)];
	if (row->key_len < ROW_ID_LEN || other->key_len < ROW_ID_LEN)
		return;
	memmove(row->key + 1, other->key + 1, 8);
	if (test_below(&m->random, 2))
		row->key[8] = (uint8_t)test_below(&m->random, 16);
}

static void change_row(struct mutator *m)
{
	struct row *row = &m->row[test_below(&m->random, m->count)];
	const struct row *other = &m->row[test_below(&m->random, m->count)];
	if (m->count < ROWS_MAX && test_below(&m->random, 4) == 0) {
		/* A row more, to be told apart by what follows */
		m->row[m->count] = *row;
		row = &m->row[m->count++];
	}
	switch (test_below(&m->random, 8)) {
	case 0:
		row->gone = !row->gone;
		break;
	case 1:
		*row = m->row[--m->count];
		break;
	case 2:
		row->value_len = other->value_len;
		memmove(row->value, other->value, other->value_len);
		break;
	case 3:
		change_id(m, row);
		break;
	case 4:
		change_bytes(&m->random, row->key, &row->key_len, ROW_KEY_MAX);
		break;
	default:
		change_bytes(&m->random, row->value, &row->value_len,
			     ROW_VALUE_MAX);
	}
}

size_t mutate_rows(uint8_t *input, size_t size, size_t most, uint64_t seed)
{
	struct mutator *m = calloc(1, sizeof(*m));
	struct buf body = BUF_INIT;
	size_t result = 0;
	if (!m || size < 2 || read_rows(m, input + 2, size - 2))
		goto out;
	m->random = seed;
	for (uint64_t n = 1 + test_below(&m->random, 3); n && m->count; n--)
		change_row(m);
	put_in_order(m);
	write_rows(m, &body);
	if (body.failed || body.len > most - 2)
		goto out;
	memcpy(input + 2, body.data, body.len);
	result = body.len + 2;
out:
	free(m);
	buf_free(&body);
	return result;
}
