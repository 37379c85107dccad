/* SPDX-License-Identifier: MIT */
/* The index of the redo table, with as many rows as make it several levels */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "table/row_index.h"
#include "tests/support/random.h"

#define ROWS 20000u
#define KEY 25u

struct state {
	struct arena arena;
	struct row_index index;
	uint64_t random;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	s->random = test_seed();
	*out = s;
	return row_index_init(&s->index, &s->arena);
}

static int tear_down(void **in)
{
	struct state *s = *in;
	arena_free(&s->arena);
	free(s);
	return 0;
}

/* Keys of two key spaces and of other kinds of rows, in order of i */
static void key_of(uint32_t i, uint8_t key[KEY])
{
	memset(key, 0, KEY);
	key[0] = i < ROWS / 2 ? 1 : i < ROWS - 5 ? 2 : 3;
	key[8] = i % ROWS < ROWS / 4 ? 1 : 2;
	memcpy(key + 9, "some/prefix", 11);
	put_be32(key + 21, i);
}

static void add(struct state *s, uint32_t i)
{
	uint8_t key[KEY];
	struct index_row *row =
		arena_alloc(&s->arena, sizeof(*row) + sizeof(key));
	key_of(i, key);
	assert_non_null(row);
	assert_null(row_index_find(&s->index, key, KEY));
	atomic_init(&row->newest, NULL);
	row->key_len = KEY;
	memcpy(row->key, key, KEY);
	assert_int_equal(row_index_add(&s->index, row), 0);
	assert_ptr_equal(row_index_find(&s->index, key, KEY), row);
}

static uint32_t number_of(const struct index_row *row)
{
	assert_int_equal(row->key_len, KEY);
	return get_be32(row->key + 21);
}

/* Rows first, first + step, ... are there and no others */
static void verify(struct state *s, uint32_t first, uint32_t step)
{
	struct index_spot spot;
	uint8_t key[KEY];
	uint32_t i = first;
	bool more = row_index_seek(&s->index, "", 0, &spot);
	for (; more; i += step) {
		assert_int_equal(number_of(spot.row), i);
		more = row_index_next(&s->index, &spot);
	}
	assert_true(i >= ROWS && i < ROWS + step);
	more = row_index_seek_before(&s->index, NULL, 0, &spot);
	for (i -= step; more; i -= step) {
		assert_int_equal(number_of(spot.row), i);
		more = row_index_prev(&s->index, &spot);
	}
	assert_int_equal(i, first - step);
	for (i = 0; i < ROWS; i++) {
		bool there = i % step == first;
		key_of(i, key);
		assert_int_equal(row_index_find(&s->index, key, KEY) != NULL,
				 there);
		if (row_index_seek(&s->index, key, KEY, &spot))
			assert_in_range(number_of(spot.row), i, i + step - 1);
		else
			assert_true(i + step > ROWS);
		if (row_index_seek_before(&s->index, key, KEY, &spot))
			assert_in_range(number_of(spot.row),
					i < step ? 0 : i - step, i - 1);
		else
			assert_true(i <= first);
	}
}

/* Odd rows in some order, then the even ones between them in another */
static uint32_t place(uint32_t n, unsigned order, uint64_t multiplier)
{
	const uint32_t half = ROWS / 2;
	switch (order) {
	case 0:
		return n;
	case 1:
		return half - 1 - n;
	default: /* the multiplier has no factor in common with ROWS */
		return (uint32_t)(n * multiplier % half);
	}
}

static void keeps_rows_in_order_however_they_come(void **in)
{
	struct state *s = *in;
	static const uint64_t multipliers[] = { 7919, 104729, 611953 };
	uint64_t m = multipliers[test_below(&s->random, 3)];
	for (unsigned order = 0; order < 9; order++) {
		arena_free(&s->arena);
		assert_int_equal(row_index_init(&s->index, &s->arena), 0);
		for (uint32_t n = 0; n < ROWS / 2; n++)
			add(s, 2 * place(n, order / 3, m) + 1);
		verify(s, 1, 2);
		for (uint32_t n = 0; n < ROWS / 2; n++)
			add(s, 2 * place(n, order % 3, m));
		verify(s, 0, 1);
	}
}

static void knows_when_rows_come_in_order(void **in)
{
	struct state *s = *in;
	/* The last row is there first, as that of the key space is */
	add(s, ROWS - 1);
	for (uint32_t i = 0; i + 1 < ROWS; i++)
		add(s, i);
	assert_in_range(s->index.in_order, ROWS * 9 / 10, ROWS);
	/* Blocks are full then: 64 entries of 16 bytes, and a little */
	size_t rows = ROWS * (sizeof(struct index_row) + KEY + 8);
	assert_true(arena_bytes(&s->arena) < rows + ROWS * 20 + (4u << 20));
}

static void knows_when_they_do_not(void **in)
{
	struct state *s = *in;
	for (uint32_t i = 0; i < ROWS; i++)
		add(s, (uint32_t)(i * (uint64_t)7919 % ROWS));
	assert_in_range(s->index.in_order, 0, ROWS / 10);
}

static void looks_for_others_before_a_row_is_added(void **in)
{
	struct state *s = *in;
	uint8_t key[KEY];
	for (uint32_t i = 0; i < ROWS; i += 2)
		add(s, i);
	for (uint32_t i = 1; i < ROWS; i += 2) {
		struct index_row *row =
			arena_alloc(&s->arena, sizeof(*row) + sizeof(key));
		assert_non_null(row);
		atomic_init(&row->newest, NULL);
		row->key_len = KEY;
		key_of(i, row->key);
		assert_null(row_index_find(&s->index, row->key, KEY));
		/* One that is there, far away, and the first one again */
		key_of(i * 7919 % ROWS / 2 * 2, key);
		assert_non_null(row_index_find(&s->index, key, KEY));
		assert_null(row_index_find(&s->index, row->key, KEY));
		assert_int_equal(row_index_add(&s->index, row), 0);
	}
	verify(s, 0, 1);
}

/* ---- beside a reader -------------------------------------------------- */

struct shared {
	struct state *s;
	_Atomic uint32_t done;
	_Atomic unsigned failures;
};

static void *read_all(void *arg)
{
	struct shared *x = arg;
	uint64_t random = 17;
	uint32_t done;
	while ((done = atomic_load(&x->done)) < ROWS) {
		struct index_spot spot;
		uint8_t key[KEY];
		uint32_t want;
		if (done == 0)
			continue;
		/* What is done must be found, to and fro */
		want = (uint32_t)(test_below(&random, done) * 7919 % ROWS);
		key_of(want, key);
		if (!row_index_seek(&x->s->index, key, KEY, &spot) ||
		    get_be32(spot.row->key + 21) != want)
			atomic_fetch_add(&x->failures, 1);
		for (unsigned n = 0; n < 100; n++) {
			uint32_t last = get_be32(spot.row->key + 21);
			if (!row_index_next(&x->s->index, &spot))
				break;
			if (get_be32(spot.row->key + 21) <= last)
				atomic_fetch_add(&x->failures, 1);
		}
		if (!row_index_seek_before(&x->s->index, NULL, 0, &spot))
			atomic_fetch_add(&x->failures, 1);
		for (unsigned n = 0; n < 100; n++) {
			uint32_t last = get_be32(spot.row->key + 21);
			if (!row_index_prev(&x->s->index, &spot))
				break;
			if (get_be32(spot.row->key + 21) >= last)
				atomic_fetch_add(&x->failures, 1);
		}
	}
	return NULL;
}

static void readers_find_what_is_there_beside_a_writer(void **in)
{
	struct shared x = { .s = *in };
	pthread_t threads[2];
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_all, &x), 0);
	for (uint32_t i = 0; i < ROWS; i++) {
		add(x.s, (uint32_t)(i * (uint64_t)7919 % ROWS));
		atomic_store(&x.done, i + 1);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(x.failures, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_rows_in_order_however_they_come),
		TEST(looks_for_others_before_a_row_is_added),
		TEST(knows_when_rows_come_in_order),
		TEST(knows_when_they_do_not),
		TEST(readers_find_what_is_there_beside_a_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
