/* SPDX-License-Identifier: MIT */
/*
 * The pool is a list of chunks, and a chunk an array of frames with a bit for
 * each that is taken. The first frames are the chunk's own head, so that what is
 * released finds it by its address. Who asks for memory gets the next run of
 * frames that is long enough, from where the last one was found (next fit), in
 * a chunk of which that can be so: `longest` is no less than its longest run.
 *
 * A chunk that gets empty is kept if it is the only such one, else it goes.
 *
 * The lock protects everything. It is held while a bit map is searched, which
 * takes less than a microsecond.
 */
#include "pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "pages.h"

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
	struct chunk *next; /* a ring */
	struct chunk *before;
	unsigned free; /* frames */
	unsigned longest; /* no run of free ones is longer */
	unsigned from; /* where to search next */
	uint64_t taken[FRAMES / WORD];
};

struct pool {
	pthread_mutex_t lock;
	bool huge;
	struct chunk *chunk; /* of the ring: where to search next; NULL: none */
	uint64_t chunks;
	unsigned empty; /* chunks in which nothing is */
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

/* A run of n free frames that begins in [from, to); 0: none. *most becomes the
 * length of the longest that was met, if it is longer. */
static unsigned find_run(const struct chunk *c, unsigned from, unsigned to,
			 unsigned n, unsigned *most)
{
	unsigned at = next_frame(c, from, false);
	while (at < to) {
		unsigned end = next_frame(c, at, true);
		if (end - at >= n)
			return at;
		if (end - at > *most)
			*most = end - at;
		at = next_frame(c, end, false);
	}
	return 0;
}

static unsigned take_run(struct chunk *c, unsigned n)
{
	unsigned most = 0;
	if (c->longest < n)
		return 0;
	unsigned at = find_run(c, c->from, FRAMES, n, &most);
	if (!at)
		at = find_run(c, HEAD, c->from, n, &most);
	if (!at) {
		c->longest = most;
		return 0;
	}
	set_bits(c, at, n, true);
	c->free -= n;
	c->from = at + n;
	return at;
}

/* ---- the ring --------------------------------------------------------- */

static struct chunk *add_chunk(struct pool *p)
{
	struct chunk *c = pages_get(p->huge);
	if (!c)
		return NULL;
	c->free = FRAMES - HEAD;
	c->longest = c->free;
	c->from = HEAD;
	set_bits(c, 0, HEAD, true);
	POISON((uint8_t *)c + HEAD * FRAME, PAGES_UNIT - HEAD * FRAME);
	c->next = p->chunk ? p->chunk->next : c;
	c->before = p->chunk ? p->chunk : c;
	c->next->before = c;
	c->before->next = c;
	p->chunk = c;
	p->chunks++;
	p->empty++;
	return c;
}

static void drop_chunk(struct pool *p, struct chunk *c)
{
	c->before->next = c->next;
	c->next->before = c->before;
	if (p->chunk == c)
		p->chunk = c->next == c ? NULL : c->next;
	p->chunks--;
	p->empty--;
	UNPOISON(c, PAGES_UNIT);
	pages_put(c);
}

/* A run in any chunk, the one in which it is becoming the current one */
static unsigned find_anywhere(struct pool *p, unsigned n)
{
	for (uint64_t i = 0; i < p->chunks; i++) {
		unsigned at = take_run(p->chunk, n);
		if (at)
			return at;
		p->chunk = p->chunk->next;
	}
	return 0;
}

static void *alloc(struct pool *p, unsigned n)
{
	unsigned at = find_anywhere(p, n);
	if (!at && add_chunk(p))
		at = take_run(p->chunk, n);
	if (!at)
		return NULL;
	p->empty -= p->chunk->free + n == FRAMES - HEAD;
	return (uint8_t *)p->chunk + (size_t)at * FRAME;
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
	c->longest = c->free; /* it may be longer than the run itself, now */
	if (c->free < FRAMES - HEAD)
		return;
	if (p->empty++)
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
	while (p->chunk)
		drop_chunk(p, p->chunk);
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
	struct chunk *c = p->chunk;
	for (uint64_t i = 0; i < p->chunks; i++, c = c->next)
		trim_chunk(c);
	pthread_mutex_unlock(&p->lock);
}

uint64_t pool_bytes(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	uint64_t bytes = p->chunks * PAGES_UNIT;
	pthread_mutex_unlock(&p->lock);
	return bytes;
}
