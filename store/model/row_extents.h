/* SPDX-License-Identifier: MIT */
/* row_extents.h - the bytes outside of a row that it refers to. */
#ifndef STORE_MODEL_ROW_EXTENTS_H
#define STORE_MODEL_ROW_EXTENTS_H

#include "model/data.h"

/*
 * Visit each extent in the row: that of an EXTENT row, those in a Data, those of
 * an attribute. A visit that returns non-zero ends it; that comes back. -EUCLEAN.
 */
int row_extents(const uint8_t *key, size_t key_len, const uint8_t *value,
		size_t value_len,
		int (*visit)(void *arg, const struct extent *e), void *arg);

#endif
