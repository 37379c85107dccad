/* SPDX-License-Identifier: MIT */
/* contents_read.h - the bytes of a value: read, and find holes. */
#ifndef STORE_MODEL_CONTENTS_READ_H
#define STORE_MODEL_CONTENTS_READ_H

#include "model/extents.h"

/* Does all of the value lie in the Data itself? */
static inline bool data_is_short(const struct data *d)
{
	return d->contents == CONTENTS_NONE || d->contents == CONTENTS_INLINE;
}

/* All of [offset, offset + size), which must lie within the value */
int contents_read(const struct state *s, const struct data *d, void *buffer,
		  size_t size, uint64_t offset);

/* Where data (or a hole) begins at or after offset, which is below the size */
int contents_seek(const struct state *s, const struct data *d, uint64_t offset,
		  bool hole, uint64_t *found);

#endif
