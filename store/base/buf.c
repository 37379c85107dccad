/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <errno.h>
#include <stdlib.h>

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

uint8_t *buf_grow(struct buf *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (n > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return NULL;
	}
	size_t want = b->capacity ? b->capacity : 64;
	while (want < b->len + n)
		want *= 2;
	uint8_t *data = realloc(b->data, want);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->capacity = want;
	return b->data + b->len;
}

void buf_add_zeros(struct buf *b, size_t n)
{
	uint8_t *to = buf_reserve(b, n);
	if (!to)
		return;
	memset(to, 0, n);
	b->len += n;
}

void buf_add_le32(struct buf *b, uint32_t v)
{
	uint8_t bytes[4];
	put_le32(bytes, v);
	buf_add(b, bytes, sizeof(bytes));
}

void buf_add_le64(struct buf *b, uint64_t v)
{
	uint8_t bytes[8];
	put_le64(bytes, v);
	buf_add(b, bytes, sizeof(bytes));
}

void buf_add_be64(struct buf *b, uint64_t v)
{
	uint8_t bytes[8];
	put_be64(bytes, v);
	buf_add(b, bytes, sizeof(bytes));
}

int buf_set(struct buf *b, const void *bytes, size_t n)
{
	buf_reset(b);
	buf_add(b, bytes, n);
	return b->failed ? -ENOMEM : 0;
}
