/* SPDX-License-Identifier: MIT */
#include "vacuum/rows_ahead.h"

#include <errno.h>

#include "log/format.h"
#include "model/row_extents.h"
#include "model/rows.h"

void rows_ahead_init(struct rows_ahead *a, struct file_aside *values,
		     int (*next)(void *arg, struct row_change *row), void *arg)
{
	*a = (struct rows_ahead){ .values = values, .next = next, .arg = arg };
}

void rows_ahead_free(struct rows_ahead *a)
{
	for (unsigned i = 0; i < AHEAD_ROWS; i++) {
		buf_free(&a->row[i].key);
		buf_free(&a->row[i].value);
	}
}

/* The checksums of its chunks lie in front of the payload. Small values that
 * lie side by side share a block. */
static int tell_kernel(void *arg, const struct extent *e)
{
	struct rows_ahead *a = arg;
	uint32_t chunks = chunk_count(e->payload_len);
	uint64_t sums = chunks > 1 && !e->start ? 4 * (uint64_t)chunks : 0;
	uint64_t from = e->payload + e->start;
	uint64_t to = from + e->length;
	from -= sums < from ? sums : from;
	from -= from % FILE_BLOCK;
	to += (FILE_BLOCK - to % FILE_BLOCK) % FILE_BLOCK;
	a->row[(a->first + a->count) % AHEAD_ROWS].bytes += e->length;
	if (from >= a->told_from && to <= a->told_to)
		return 0;
	a->told_from = from;
	a->told_to = to;
	file_aside_do(a->values, from, to);
	return 0;
}

static void tell_of(struct rows_ahead *a, const struct row_change *row)
{
	bool data = row->key_len &&
		    (row->key[0] == ROW_NAME || row->key[0] == ROW_DATA);
	/* Whoever copies it will find what is wrong with it */
	if (!data || data_may_have_extents(row->value, row->value_len))
		row_extents(row->key, row->key_len, row->value, row->value_len,
			    tell_kernel, a);
}

static int fetch(struct rows_ahead *a)
{
	struct ahead_row *to = &a->row[(a->first + a->count) % AHEAD_ROWS];
	struct row_change row;
	int rc = a->next(a->arg, &row);
	if (rc)
		return rc;
	rc = buf_set(&to->key, row.key, row.key_len);
	to->deleted = !row.value;
	to->bytes = 0;
	buf_reset(&to->value);
	if (row.value) {
		if (!rc)
			rc = buf_set(&to->value, row.value, row.value_len);
		tell_of(a, &row);
	}
	a->bytes += to->bytes;
	a->count++;
	return rc;
}

int rows_ahead_next(struct rows_ahead *a, struct row_change *row)
{
	while (!a->ended && a->count < AHEAD_ROWS &&
	       (a->bytes < AHEAD_BYTES || !a->count))
		a->ended = fetch(a);
	if (!a->count || a->ended < 0)
		return a->ended;
	struct ahead_row *r = &a->row[a->first];
	*row = (struct row_change){ r->key.data, r->key.len, NULL, 0 };
	if (!r->deleted) {
		/* An empty one is there, too */
		row->value = r->value.len ? r->value.data : r->key.data;
		row->value_len = r->value.len;
	}
	a->bytes -= r->bytes;
	a->first = (a->first + 1) % AHEAD_ROWS;
	a->count--;
	return 0;
}
