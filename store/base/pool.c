/* SPDX-License-Identifier: MIT */
/*
 * The pool is an array of chunks, and a chunk an array of frames with a bit for
 * each that is taken. The first frames are the chunk's own head, so that what is
 * released finds it by its address. Who asks for memory gets the first run of
 * frames that is long enough (first fit), in the first chunk: so what is in use
 * gathers at one end, and the other can be given back. `longest` is no less than
 * a chunk's longest run, and tells in which ones not to search.
 *
 * A chunk that gets empty is kept if it is the only such one, else it goes.
 *
 * The lock protects everything. It is held while a bit map is searched, which
 * takes less than a microsecond.
 */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/pages.h"

/* With the address sanitizer what has not been given out must not be touched */
#if defined(__has_include)
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifdef ASAN_POISON_MEMORY_REGION
#define POISON ASAN_POISON_MEMORY_REGION
#define UNPOISON ASAN_UNPOISON_MEMORY_REGION
#else
#define POISON(memory, size) ((void)(memory), (void)(size))
#define UNPOISON(memory, size) ((void)(memory), (void)(size))
#endif

#define FRAME 256u
#define FRAMES (PAGES_UNIT / FRAME)
#define WORD 64u
#define HEAD ((sizeof(struct chunk) + FRAME - 1) / FRAME)

struct chunk {
	size_t index; /* of its room */
	unsigned free; /* frames */
	unsigned from; /* all before it are taken */
	uint64_t taken[FRAMES / WORD];
};

struct room {
	struct chunk *chunk;
	unsigned longest; /* no run of free frames in it is longer */
};

struct pool {
	pthread_mutex_t lock;
	bool huge;
	struct room *rooms;
	size_t chunks;
	size_t capacity;
	size_t empty; /* chunks in which nothing is */
};

static unsigned frames_of(size_t size)
{
	assert(size > 0 && size <= POOL_MOST);
	return (unsigned)((size + FRAME - 1) / FRAME);
}

size_t pool_cost(size_t size)
{
	return (size_t)frames_of(size) * FRAME;
}

/* ---- a chunk ---------------------------------------------------------- */

static void set_bits(struct chunk *c, unsigned from, unsigned n, bool taken)
{
	while (n) {
		unsigned bit = from % WORD;
		unsigned some = WORD - bit < n ? WORD - bit : n;
		uint64_t mask =
			(some == WORD ? UINT64_MAX : (UINT64_C(1) << some) - 1)
			<< bit;
		if (taken)
			c->taken[from / WORD] |= mask;
		else
			c->taken[from / WORD] &= ~mask;
		from += some;
		n -= some;
	}
}

/* The first frame from `at` on that is taken, or is not; FRAMES: none */
static unsigned next_frame(const struct chunk *c, unsigned at, bool taken)
{
	while (at < FRAMES) {
		uint64_t word = c->taken[at / WORD];
		word = (taken ? word : ~word) >> at % WORD;
		if (word)
			return at + (unsigned)__builtin_ctzll(word);
		at += WORD - at % WORD;
	}
	return FRAMES;
}

/* Where the run of free frames begins that ends before `at`: the chunk's head is
 * always before it */
static unsigned run_begin(const struct chunk *c, unsigned at)
{
	for (;;) {
		unsigned bits = at % WORD ? at % WORD : WORD;
		unsigned word = (at - 1) / WORD;
		uint64_t before = c->taken[word] << (WORD - bits);
		if (before)
			return at - (unsigned)__builtin_clzll(before);
		at -= bits;
	}
}

/* The first run of n free frames; 0: there is none, and *longest is as long as
 * the longest */
static unsigned find_run(const struct chunk *c, unsigned n, unsigned *longest)
{
	unsigned most = 0;
	unsigned at = next_frame(c, c->from, false);
	while (at < FRAMES) {
		unsigned end = next_frame(c, at, true);
		if (end - at >= n)
			return at;
		if (end - at > most)
			most = end - at;
		at = next_frame(c, end, false);
	}
	*longest = most;
	return 0;
}

static unsigned take_run(struct room *r, unsigned n)
{
	struct chunk *c = r->chunk;
	unsigned at = find_run(c, n, &r->longest);
	if (!at)
		return 0;
	set_bits(c, at, n, true);
	c->free -= n;
	c->from = next_frame(c, c->from, false);
	return at;
}

/* ---- all of them ------------------------------------------------------ */

static struct room *new_room(struct pool *p)
{
	if (p->chunks == p->capacity) {
		size_t capacity = p->capacity ? p->capacity * 2 : 16;
		struct room *rooms =
			realloc(p->rooms, capacity * sizeof(*rooms));
		if (!rooms)
			return NULL;
		p->rooms = rooms;
		p->capacity = capacity;
	}
	return &p->rooms[p->chunks];
}

static struct room *add_chunk(struct pool *p)
{
	struct room *r = new_room(p);
	struct chunk *c = r ? pages_get(p->huge) : NULL;
	if (!c)
		return NULL;
	c->index = p->chunks;
	c->free = FRAMES - HEAD;
	c->from = HEAD;
	set_bits(c, 0, HEAD, true);
	POISON((uint8_t *)c + HEAD * FRAME, PAGES_UNIT - HEAD * FRAME);
	*r = (struct room){ c, c->free };
	p->chunks++;
	p->empty++;
	return r;
}

static void drop_chunk(struct pool *p, struct chunk *c)
{
	p->chunks--;
	p->empty--;
	for (size_t i = c->index; i < p->chunks; i++) {
		p->rooms[i] = p->rooms[i + 1];
		p->rooms[i].chunk->index = i;
	}
	UNPOISON(c, PAGES_UNIT);
	pages_put(c);
}

static void *take_from(struct pool *p, struct room *r, unsigned n)
{
	unsigned at = take_run(r, n);
	if (!at)
		return NULL;
	p->empty -= r->chunk->free + n == FRAMES - HEAD;
	return (uint8_t *)r->chunk + (size_t)at * FRAME;
}

static void *alloc(struct pool *p, unsigned n)
{
	for (size_t i = 0; i < p->chunks; i++) {
		void *memory = p->rooms[i].longest >= n ?
				       take_from(p, &p->rooms[i], n) :
				       NULL;
		if (memory)
			return memory;
	}
	struct room *r = add_chunk(p);
	return r ? take_from(p, r, n) : NULL;
}

static void release(struct pool *p, uint8_t *memory, unsigned n)
{
	uintptr_t offset = (uintptr_t)memory % PAGES_UNIT;
	struct chunk *c = (struct chunk *)(void *)(memory - offset);
	unsigned at = (unsigned)(offset / FRAME);
	assert(offset % FRAME == 0 && at >= HEAD && at + n <= FRAMES);
	assert(next_frame(c, at, false) >= at + n);
	set_bits(c, at, n, false);
	c->free += n;
	if (at < c->from)
		c->from = at;
	unsigned run = next_frame(c, at + n, true) - run_begin(c, at);
	struct room *r = &p->rooms[c->index];
	if (r->longest < run)
		r->longest = run;
	if (c->free == FRAMES - HEAD && p->empty++)
		drop_chunk(p, c);
}

/* ---- the pool --------------------------------------------------------- */

struct pool *pool_new(bool huge)
{
	struct pool *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->huge = huge;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	/* Else something has not been released: a leak */
	assert(p->empty == p->chunks);
	while (p->chunks)
		drop_chunk(p, p->rooms[p->chunks - 1].chunk);
	free(p->rooms);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void *pool_alloc(struct pool *p, size_t size)
{
	unsigned n = frames_of(size);
	pthread_mutex_lock(&p->lock);
	void *memory = alloc(p, n);
	pthread_mutex_unlock(&p->lock);
	if (memory)
		UNPOISON(memory, size);
	return memory;
}

void pool_release(struct pool *p, void *memory, size_t size)
{
	unsigned n = frames_of(size);
	POISON(memory, (size_t)n * FRAME);
	pthread_mutex_lock(&p->lock);
	release(p, memory, n);
	pthread_mutex_unlock(&p->lock);
}

static void trim_chunk(struct chunk *c)
{
	unsigned page = (unsigned)(pages_size() / FRAME);
	unsigned at = next_frame(c, HEAD, false);
	while (at < FRAMES) {
		unsigned end = next_frame(c, at, true);
		unsigned from = (at + page - 1) / page * page;
		unsigned to = end / page * page;
		if (from < to)
			pages_drop((uint8_t *)c + (size_t)from * FRAME,
				   (size_t)(to - from) * FRAME);
		at = next_frame(c, end, false);
	}
}

void pool_trim(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->chunks; i++)
		trim_chunk(p->rooms[i].chunk);
	pthread_mutex_unlock(&p->lock);
}

uint64_t pool_bytes(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	uint64_t bytes = p->chunks * PAGES_UNIT;
	pthread_mutex_unlock(&p->lock);
	return bytes;
}
