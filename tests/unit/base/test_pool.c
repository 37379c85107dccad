/* SPDX-License-Identifier: MIT */
/* The memory of nodes: nothing is given out twice, and what is idle goes back */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pages.h"
#include "base/pool.h"
#include "tests/support/random.h"

#define PIECES 2000u

struct piece {
	uint8_t *memory;
	size_t size;
	uint8_t mark;
};

struct worker {
	struct pool *pool;
	uint64_t random;
	uint64_t steps;
	struct piece pieces[PIECES];
	bool wrong;
};

static void mark(struct piece *p, uint64_t *random)
{
	p->mark = (uint8_t)test_random(random);
	memset(p->memory, p->mark, p->size);
}

static bool is_whole(const struct piece *p)
{
	for (size_t i = 0; i < p->size; i++)
		if (p->memory[i] != p->mark)
			return false;
	return true;
}

/* Mostly nodes, sometimes the smallest and the largest there are */
static size_t some_size(uint64_t *random)
{
	uint64_t kind = test_below(random, 100);
	if (kind == 0)
		return POOL_MOST - test_below(random, 300);
	return 1 + test_below(random, kind < 10 ? 300 : 6000);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	for (uint64_t i = 0; i < w->steps && !w->wrong; i++) {
		struct piece *p = &w->pieces[test_below(&w->random, PIECES)];
		if (p->memory) {
			w->wrong = !is_whole(p);
			pool_release(w->pool, p->memory, p->size);
			p->memory = NULL;
			continue;
		}
		p->size = some_size(&w->random);
		p->memory = pool_alloc(w->pool, p->size);
		w->wrong = !p->memory || (uintptr_t)p->memory % 256;
		if (!w->wrong)
			mark(p, &w->random);
		if (i % 1000 == 0)
			pool_trim(w->pool);
	}
	return NULL;
}

static void release_all(struct worker *w)
{
	for (unsigned i = 0; i < PIECES; i++)
		if (w->pieces[i].memory)
			pool_release(w->pool, w->pieces[i].memory,
				     w->pieces[i].size);
}

static void nothing_is_given_out_twice(void **state)
{
	struct worker *w = calloc(4, sizeof(*w));
	pthread_t threads[4];
	uint64_t seed = test_seed();
	(void)state;
	assert_non_null(w);
	w[0].pool = pool_new(false);
	assert_non_null(w[0].pool);
	for (unsigned i = 0; i < 4; i++) {
		w[i].pool = w[0].pool;
		w[i].random = seed + i;
		w[i].steps = 100000 / test_one_in(10);
		assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]),
				 0);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(w[i].wrong);
		release_all(&w[i]);
	}
	/* One chunk is kept for what comes next */
	assert_true(pool_bytes(w[0].pool) <= PAGES_UNIT);
	pool_free(w[0].pool);
	free(w);
}

/* Pieces come and go as nodes do, in a cache that is full */
static void holes_are_used_again(void **state)
{
	struct pool *pool = pool_new(false);
	struct piece *pieces = calloc(PIECES, sizeof(*pieces));
	uint64_t random = test_seed();
	uint64_t used = 0;
	(void)state;
	assert_non_null(pool);
	assert_non_null(pieces);
	for (unsigned i = 0; i < 200000 / test_one_in(10); i++) {
		struct piece *p = &pieces[test_below(&random, PIECES)];
		if (p->memory) {
			pool_release(pool, p->memory, p->size);
			used -= pool_cost(p->size);
		}
		p->size = 2000 + test_below(&random, 3000);
		used += pool_cost(p->size);
		p->memory = pool_alloc(pool, p->size);
		assert_non_null(p->memory);
		mark(p, &random);
	}
	print_message("%ju bytes in use take %ju\n", (uintmax_t)used,
		      (uintmax_t)pool_bytes(pool));
	assert_true(pool_bytes(pool) < used + used / 5 + PAGES_UNIT);
	for (unsigned i = 0; i < PIECES; i++)
		if (pieces[i].memory)
			pool_release(pool, pieces[i].memory, pieces[i].size);
	pool_free(pool);
	free(pieces);
}

/* Two that lay side by side make room for one as large as both */
static void neighbours_become_one_whoever_goes_first(void **state)
{
	enum { SIZE = 4096, COUNT = 511 }; /* as many as a chunk has */
	struct pool *pool = pool_new(false);
	uint8_t *at[COUNT];
	(void)state;
	assert_non_null(pool);
	for (unsigned i = 0; i < COUNT; i++) {
		at[i] = pool_alloc(pool, SIZE);
		assert_non_null(at[i]);
	}
	/* It does not fit, so now it is known how little there is left */
	void *rest = pool_alloc(pool, POOL_MOST);
	assert_non_null(rest);
	pool_release(pool, rest, POOL_MOST);
	uint64_t bytes = pool_bytes(pool);
	for (unsigned i = 0; i + 1 < COUNT; i += 8) {
		bool left = i % 16 == 0;
		pool_release(pool, at[left ? i : i + 1], SIZE);
		pool_release(pool, at[left ? i + 1 : i], SIZE);
		assert_ptr_equal(pool_alloc(pool, 2 * SIZE), at[i]);
	}
	assert_int_equal(pool_bytes(pool), bytes);
	for (unsigned i = 0; i < COUNT; i++) {
		bool pair = i % 8 == 0 && i + 1 < COUNT;
		pool_release(pool, at[i], pair ? 2 * SIZE : SIZE);
		i += pair;
	}
	pool_free(pool);
}

/* Pages of this process in RAM, of all kinds */
static size_t pages_in_ram(void)
{
	size_t all = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu %zu", &all, &resident), 2);
	fclose(f);
	return resident;
}

static void trim_gives_idle_pages_back_and_no_others(void **state)
{
	enum { COUNT = 4096, SIZE = 4600 };
	struct pool *pool = pool_new(false);
	struct piece *pieces = calloc(COUNT, sizeof(*pieces));
	uint64_t random = 1;
	(void)state;
	assert_non_null(pool);
	assert_non_null(pieces);
	for (unsigned i = 0; i < COUNT; i++) {
		pieces[i].size = SIZE;
		pieces[i].memory = pool_alloc(pool, SIZE);
		assert_non_null(pieces[i].memory);
		mark(&pieces[i], &random);
	}
	/* All but every eighth go */
	for (unsigned i = 0; i < COUNT; i++)
		if (i % 8)
			pool_release(pool, pieces[i].memory, SIZE);
	size_t before = pages_in_ram();
	pool_trim(pool);
	size_t after = pages_in_ram();
	print_message("%zu pages, %zu after trimming\n", before, after);
	assert_true(before - after >= COUNT * SIZE / pages_size() / 8 * 6);
	for (unsigned i = 0; i < COUNT; i += 8) {
		assert_true(is_whole(&pieces[i]));
		pool_release(pool, pieces[i].memory, SIZE);
	}
	pool_free(pool);
	free(pieces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_given_out_twice),
		cmocka_unit_test(holes_are_used_again),
		cmocka_unit_test(neighbours_become_one_whoever_goes_first),
		cmocka_unit_test(trim_gives_idle_pages_back_and_no_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
