/* SPDX-License-Identifier: MIT */
/*
 * buf.h - a growable run of bytes.
 *
 * A zeroed struct buf (or BUF_INIT) is empty and valid; buf_free() makes it so
 * again. The bytes are at data[0 .. len), which is NULL while nothing was ever
 * added. When memory runs out `failed` is set and stays set until buf_reset():
 * later additions do nothing, so that one test at the end of building suffices.
 * buf_reserve() reports at once.
 */
#ifndef STORE_BASE_BUF_H
#define STORE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t capacity;
	bool failed;
};

/* clang-format off */
#define BUF_INIT { NULL, 0, 0, false }
/* clang-format on */

void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* empty it, keep the memory */

/* buf_reserve() when there is no room yet */
uint8_t *buf_grow(struct buf *b, size_t n);

/* Room for n more bytes: where they go, or NULL. Does not change len. */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (b->data && n <= b->capacity - b->len && !b->failed)
		return b->data + b->len;
	return buf_grow(b, n);
}

static inline void buf_add(struct buf *b, const void *bytes, size_t n)
{
	uint8_t *to = buf_reserve(b, n);
	if (!to)
		return;
	if (n)
		memcpy(to, bytes, n);
	b->len += n;
}

static inline void buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

static inline void buf_add_varint(struct buf *b, uint64_t v)
{
	uint8_t *to = buf_reserve(b, VARINT_MAX);
	if (to)
		b->len += put_varint(to, v);
}

void buf_add_zeros(struct buf *b, size_t n);
void buf_add_le32(struct buf *b, uint32_t v);
void buf_add_le64(struct buf *b, uint64_t v);
void buf_add_be64(struct buf *b, uint64_t v);

/* Replace the contents: 0 or -ENOMEM */
int buf_set(struct buf *b, const void *bytes, size_t n);

#endif
