/* SPDX-License-Identifier: MIT */
/* extent_io.h - the bytes of extents, in the log. */
#ifndef STORE_MODEL_EXTENT_IO_H
#define STORE_MODEL_EXTENT_IO_H

#include "model/extents.h"

/* Read an extent's bytes, verified */
int extent_read_bytes(const struct state *s, const struct extent *e,
		      uint32_t skip, uint32_t size, uint8_t *buffer);

/* Write bytes to the log: the runs at which they then lie, from `at` on */
int extent_stage(struct txn *txn, const uint8_t *bytes, size_t size,
		 uint64_t at, struct runs *runs);

#endif
