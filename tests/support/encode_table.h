/* SPDX-License-Identifier: MIT */
/* encode_table.h - the body of an operation that changes all rows of a table */
#ifndef TESTS_ENCODE_TABLE_H
#define TESTS_ENCODE_TABLE_H

#include <stdlib.h>
#include <string.h>

#include "model/redo.h"

static inline int encode_table(const struct operation *op,
			       const struct redo_table *t, struct buf *body)
{
	size_t count = redo_table_rows(t);
	struct index_row **rows = calloc(count + 1, sizeof(struct index_row *));
	struct redo_cursor c;
	size_t n = 0;
	redo_cursor_init(&c, t, UINT64_MAX);
	for (bool more = redo_cursor_seek(&c, "", 0); more && n < count;
	     more = redo_cursor_next(&c))
		/* The cursor's are const: they are only read here, too */
		memcpy(&rows[n++], &c.spot.row, sizeof(rows[0]));
	int rc = redo_encode(op, rows, n, body);
	free(rows);
	return rc;
}

#endif
