/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 65536 ids, found by hash. A block is a sorted array of the low 16
 * bits of its ids, and from the size on at which that is smaller, a bitmap.
 */
#include "base/id_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BITS 16
#define BITMAP_SIZE ((1u << BLOCK_BITS) / 8) /* bytes */
#define ARRAY_MAX (BITMAP_SIZE / sizeof(uint16_t))

struct id_block {
	uint64_t number; /* the ids' high bits */
	uint32_t count;
	uint32_t capacity; /* of low; 0: it is a bitmap */
	union {
		uint16_t *low;
		uint8_t *bits;
		void *memory;
	};
};

void id_set_free(struct id_set *s)
{
	for (size_t i = 0; s->blocks && i <= s->mask; i++)
		free(s->blocks[i].memory);
	free(s->blocks);
	*s = (struct id_set){ 0 };
}

/* The block with this number, or the free place for it */
static struct id_block *find(const struct id_set *s, uint64_t number)
{
	uint64_t hash = number * UINT64_C(0x9e3779b97f4a7c15);
	size_t i = (size_t)(hash >> 32) & s->mask;
	while (s->blocks[i].count && s->blocks[i].number != number)
		i = (i + 1) & s->mask;
	return &s->blocks[i];
}

static int grow(struct id_set *s)
{
	size_t n = s->mask ? (s->mask + 1) * 2 : 16;
	struct id_set bigger = { .mask = n - 1, .used = s->used };
	bigger.blocks = calloc(n, sizeof(*bigger.blocks));
	if (!bigger.blocks)
		return -ENOMEM;
	for (size_t i = 0; s->blocks && i <= s->mask; i++)
		if (s->blocks[i].count)
			*find(&bigger, s->blocks[i].number) = s->blocks[i];
	free(s->blocks);
	*s = bigger;
	return 0;
}

/* Where in the array the id is, or belongs */
static uint32_t place(const struct id_block *b, uint16_t low)
{
	uint32_t from = 0;
	uint32_t to = b->count;
	if (to && b->low[to - 1] < low)
		return to; /* they come in order, mostly */
	while (from < to) {
		uint32_t middle = (from + to) / 2;
		if (b->low[middle] < low)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool has(const struct id_block *b, uint16_t low)
{
	if (!b->count)
		return false;
	if (!b->capacity)
		return b->bits[low / 8] >> low % 8 & 1;
	uint32_t i = place(b, low);
	return i < b->count && b->low[i] == low;
}

static int to_bitmap(struct id_block *b)
{
	uint8_t *bits = calloc(1, BITMAP_SIZE);
	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->count; i++)
		bits[b->low[i] / 8] |= (uint8_t)(1u << b->low[i] % 8);
	free(b->low);
	b->bits = bits;
	b->capacity = 0;
	return 0;
}

/* Room for one more in the array, or a bitmap */
static int make_room(struct id_block *b)
{
	if (b->count && (!b->capacity || b->count < b->capacity))
		return 0;
	if (b->count == ARRAY_MAX)
		return to_bitmap(b);
	uint32_t capacity = b->count ? b->count * 2 : 4;
	uint16_t *low = realloc(b->low, capacity * sizeof(*low));
	if (!low)
		return -ENOMEM;
	b->low = low;
	b->capacity = capacity;
	return 0;
}

int id_set_add(struct id_set *s, uint64_t id)
{
	uint64_t number = id >> BLOCK_BITS;
	uint16_t low = (uint16_t)id;
	if (!s->mask || s->used > s->mask / 4 * 3) {
		int rc = grow(s);
		if (rc)
			return rc;
	}
	struct id_block *b = find(s, number);
	if (has(b, low))
		return 1;
	int rc = make_room(b);
	if (rc)
		return rc;
	if (!b->count) {
		b->number = number;
		s->used++;
	}
	if (b->capacity) {
		uint32_t i = place(b, low);
		memmove(b->low + i + 1, b->low + i,
			(b->count - i) * sizeof(*b->low));
		b->low[i] = low;
	} else {
		b->bits[low / 8] |= (uint8_t)(1u << low % 8);
	}
	b->count++;
	return 0;
}

bool id_set_has(const struct id_set *s, uint64_t id)
{
	return s->mask && has(find(s, id >> BLOCK_BITS), (uint16_t)id);
}
