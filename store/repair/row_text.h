/* SPDX-License-Identifier: MIT */
/* row_text.h - which key, Data or attribute a row is about, in words. */
#ifndef STORE_REPAIR_ROW_TEXT_H
#define STORE_REPAIR_ROW_TEXT_H

#include "model/txn.h"

/*
 * Append "key SPACE/SPACE/NAME", by the LINK rows of the key spaces. Where
 * these do not lead to the root the path begins with "(space N)". Only a lack
 * of memory makes it fail, which *text notes.
 */
void text_key(const struct state *s, uint64_t space, const void *name,
	      size_t len, struct buf *text);

/* "key PATH" by the first LINK row of the Data, or "Data N" */
void text_data(const struct state *s, uint64_t id, struct buf *text);

/* What a row of this key is about */
void text_row(const struct state *s, const uint8_t *key, size_t len,
	      struct buf *text);

/* printf to the end of a buffer, no NUL behind it */
__attribute__((format(printf, 2, 3))) void text_add(struct buf *text,
						    const char *format, ...);

#endif
