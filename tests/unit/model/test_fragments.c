/* SPDX-License-Identifier: MIT */
/* Values of many extents that are written again: deleted rows of the old ones lie in
 * the redo table, and no write may step over all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "banyan.h"
#include "tests/support/random.h"

#define FEW 2000u
#define MANY 16000u
#define STRIDE 1024u
#define PIECE 512u
/* A write beside eight times as many deleted rows may take so many times as long.
 * When each stepped over all of them it took nine times as long. */
#define MOST 4.0

enum order { FORTH, BACK, MIXED };

static double cpu_time(void)
{
	struct timespec t;
	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void shuffle(uint64_t *at, unsigned n)
{
	uint64_t random = 1;
	for (unsigned i = n; i > 1; i--) {
		unsigned j = (unsigned)test_below(&random, i);
		uint64_t other = at[j];
		at[j] = at[i - 1];
		at[i - 1] = other;
	}
}

static double fill(banyan_data *d, unsigned n, enum order order)
{
	static uint64_t at[MANY];
	char piece[PIECE] = { 'x' };
	for (unsigned i = 0; i < n; i++)
		at[i] = (order == BACK ? n - 1 - i : i) * STRIDE;
	if (order == MIXED)
		shuffle(at, n);
	double began = cpu_time();
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(banyan_write(d, piece, sizeof(piece), at[i], 0,
					      NULL),
				 0);
	return (cpu_time() - began) / n;
}

/* Seconds a write, with so many deleted rows; the least of a few times */
static double cost(unsigned n, enum order order)
{
	const struct banyan_attr empty = { .size = 0 };
	double best = 1e9;
	banyan *db = NULL;
	banyan_data *d = NULL;
	assert_int_equal(banyan_open(":memory:", NULL, &db), 0);
	assert_int_equal(banyan_put(db, "a", "", 0, 0), 0);
	assert_int_equal(banyan_find(db, "a", &d), 0);
	fill(d, n, FORTH);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			banyan_set_attr(d, &empty, BANYAN_SET_SIZE, NULL), 0);
		double took = fill(d, n, order);
		if (took < best)
			best = took;
	}
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
	return best;
}

static void assert_does_not_grow(enum order order)
{
	double few = cost(FEW, order);
	double many = cost(MANY, order);
	print_message("%.1f and %.1f us a write\n", few * 1e6, many * 1e6);
	assert_true(many < MOST * few);
}

static void a_write_forth_does_not_step_over_all(void **state)
{
	(void)state;
	assert_does_not_grow(FORTH);
}

static void nor_does_one_back(void **state)
{
	(void)state;
	assert_does_not_grow(BACK);
}

static void nor_does_one_in_any_order(void **state)
{
	(void)state;
	assert_does_not_grow(MIXED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_forth_does_not_step_over_all),
		cmocka_unit_test(nor_does_one_back),
		cmocka_unit_test(nor_does_one_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
