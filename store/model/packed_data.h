/* SPDX-License-Identifier: MIT */
/*
 * packed_data.h - a Data as the record of an operation has it.
 *
 * Each operation writes the whole row of a Data that it changes. Most of the
 * fields follow from the operation (its time is the birth of a new Data and the
 * mtime of its key space), from the row key (the id), or from the Data in the row
 * before (the owner). Such fields are left out:
 *
 *   varint  word, see packed_data.c: which fields follow, and the kind of the
 *           contents
 *   ..      these fields
 *   varint  bytes of the contents, if their kind is not "none"
 *   ..      the contents as in the row
 *
 * Times are zigzag differences to the stamp of the operation.
 */
#ifndef STORE_MODEL_PACKED_DATA_H
#define STORE_MODEL_PACKED_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "model/data.h"

/* What fields that are left out have. Writer and reader go from row to row with
 * the same. */
struct packed_state {
	timestamp stamp; /* what the operation stamps Data with */
	uint64_t id; /* of the next Data in a NAME row */
	uint32_t mode; /* of the Data before, with the flags above it */
	uint32_t uid;
	uint32_t gid;
};

/* Before the first row of an operation */
void packed_begin(struct packed_state *s, timestamp stamp, uint64_t next_id);

/* A packed value takes at most so many bytes more than the value itself */
#define PACKED_MORE (DATA_FIELDS_MAX + 2 * VARINT_MAX)

/*
 * Pack the value of a row. id: that of a DATA row, 0 for a NAME row. Returns the
 * number of bytes, or 0 if it is no Data as data_encode() makes it; then *s is as
 * it was.
 */
size_t packed_write(struct packed_state *s, uint64_t id, const uint8_t *value,
		    size_t len, uint8_t *to);

/* The value, of ROW_VALUE_MAX bytes at most: their number, or 0 if it is not valid.
 * What is in it nobody has checked: see data_decode(). */
size_t packed_read(struct packed_state *s, uint64_t id, struct reader *in,
		   uint8_t *value);

#endif
