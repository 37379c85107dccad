/* SPDX-License-Identifier: MIT */
/*
 * contents.h - the bytes of a value: write, resize, punch, clone.
 *
 * Short values lie in the Data itself, others in extents. The functions that
 * change contents update the Data in memory and rows beside it; the caller puts
 * the Data's own row afterwards, with new times. Ranges that a caller passes
 * end at or before INT64_MAX.
 */
#ifndef STORE_MODEL_CONTENTS_H
#define STORE_MODEL_CONTENTS_H

#include "model/contents_read.h"

int contents_write(struct txn *txn, struct data *d, const void *bytes,
		   size_t size, uint64_t offset);

/* -E2BIG if more than EXTENTS_PER_OPERATION extents would go */
int contents_resize(struct txn *txn, struct data *d, uint64_t size);

/* The smallest size, at least `size`, to which one operation can cut it */
int contents_can_cut(const struct state *s, const struct data *d, uint64_t size,
		     uint64_t *to);

/* Make a hole; the size of the value stays */
int contents_punch(struct txn *txn, struct data *d, uint64_t offset,
		   uint64_t size);

/*
 * Let target have, at target_offset, up to size bytes that source has at
 * source_offset; *done tells how many, fewer if that would be more than `most`
 * extents. The range lies within the source. Both may be the same struct
 * if the ranges do not overlap. *source_changed: its row must be put as well.
 */
int contents_clone(struct txn *txn, struct data *source, uint64_t source_offset,
		   struct data *target, uint64_t target_offset, uint64_t size,
		   size_t most, uint64_t *done, bool *source_changed);

#endif
