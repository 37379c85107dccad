/* SPDX-License-Identifier: MIT */
/*
 * arena.h - memory for many small things that go together, at once.
 *
 * One thread allocates; what it has allocated anybody may use for as long as
 * the arena lives.
 */
#ifndef STORE_BASE_ARENA_H
#define STORE_BASE_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	uint8_t *free; /* in the newest chunk */
	size_t left;
	_Atomic size_t bytes; /* of all chunks */
};

#define ARENA_INIT \
	{          \
		0  \
	}

/* n bytes, aligned to 8; NULL: no memory */
void *arena_alloc(struct arena *a, size_t n);
size_t arena_bytes(const struct arena *a); /* from any thread */
void arena_free(struct arena *a); /* all of it */

#endif
